/** What a read takes on a line: `requestMs` for the question and its turnaround, `registerMs` more for each register. */
export interface ReadCost {
  readonly requestMs: number;
  readonly registerMs: number;
}

/** Weight that the past keeps at each new sample. */
const MEMORY = 1 - 1 / 16;
/** The slope is believed from the samples once their counts spread by more than this, registers squared. */
const PRIOR_SPREAD = 16;
/** A sample beyond this many times the expected counts as so many times, once there are some. */
const OUTLIER = 3;
const OUTLIER_FLOOR_MS = 5;
const SETTLED_AFTER = 4;

const TURNAROUND_MS = 20;
/** Question of 8 bytes, 5 of the answer around its registers, 3.5 characters of silence behind each. */
const FRAME_CHARS = 8 + 5 + 7;

/** What reads take on a serial line before anything was learnt. `charMs`: one character. */
export const serialCost = (charMs: number): ReadCost => ({
  requestMs: FRAME_CHARS * charMs + TURNAROUND_MS,
  registerMs: 2 * charMs,
});

/** The same on a network that carries the answers of one device. */
export const NETWORK_COST: ReadCost = { requestMs: 5, registerMs: 0.005 };

/**
 * Learns what reads of one unit take from its own answers: least squares of time over registers, older answers counting
 * less, the slope drawn to the line's own where all reads are of about one length.
 */
export class CostLearner {
  readonly #prior: ReadCost;
  #weight = 0;
  #registers = 0;
  #ms = 0;
  /** Spread of registers, and of registers with ms, about their means. */
  #spread = 0;
  #together = 0;

  constructor(prior: ReadCost) {
    this.#prior = prior;
  }

  /** Whether anything was learnt. */
  get isKnown(): boolean {
    return this.#weight > 0;
  }

  get cost(): ReadCost {
    if (this.#weight === 0) return this.#prior;
    const spread = this.#spread / this.#weight;
    const together = this.#together / this.#weight;
    const slope = (together + PRIOR_SPREAD * this.#prior.registerMs) / (spread + PRIOR_SPREAD);
    // Answers of few registers at least as slow as long ones: all of it is turnaround.
    const registerMs = Math.min(Math.max(0, slope), this.#ms / Math.max(1, this.#registers));
    return { requestMs: Math.max(0, this.#ms - registerMs * this.#registers), registerMs };
  }

  /** What its reads have taken lately, whatever their lengths; 0 when nothing was learnt. */
  get meanMs(): number {
    return this.#ms;
  }

  expectMs(registers: number): number {
    const { requestMs, registerMs } = this.cost;
    return requestMs + registerMs * registers;
  }

  learn(registers: number, elapsedMs: number): void {
    const most = OUTLIER * this.expectMs(registers) + OUTLIER_FLOOR_MS;
    const ms = this.#weight < SETTLED_AFTER ? elapsedMs : Math.min(elapsedMs, most);
    this.#weight = this.#weight * MEMORY + 1;
    this.#spread *= MEMORY;
    this.#together *= MEMORY;
    const offRegisters = registers - this.#registers;
    const offMs = ms - this.#ms;
    this.#registers += offRegisters / this.#weight;
    this.#ms += offMs / this.#weight;
    this.#spread += offRegisters * (registers - this.#registers);
    this.#together += offRegisters * (ms - this.#ms);
  }

  /** What was learnt is no longer true. */
  forget(): void {
    this.#weight = 0;
    this.#registers = 0;
    this.#ms = 0;
    this.#spread = 0;
    this.#together = 0;
  }
}

import { withFacts } from '../agent/driver.ts';
import type { Device } from '../agent/driver.ts';
import type { Clock, Random } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import type { Mode, Readings } from '../protocols/reading.ts';
import { PLAIN_VERB } from '../protocols/verb-facts.ts';

/** How often a machine misbehaves, as shares of its calls and readings. */
const IGNORES = 0.02;
const ANSWER_LOST = 0.02;
const REFUSES = 0.02;
const SILENT = 0.01;
const ANSWER_MS = 30;
const SETTLES_MS = 1_500;
const SETTLES_MORE_MS = 4_000;
const SET = { ...PLAIN_VERB, effectS: { typical: 4, atMost: 6 }, source: 'SETTLES_MS above' } as const;
const VERBS = { sleep: SET, wake: SET } as const;

/** What a machine was told, at the moment it was told; judged before it acts on it. */
export type OnCall = (miner: StormMiner, mode: Mode) => void;

/**
 * A machine that remembers what has been done to it and what it has said: it obeys after seconds, and now and then
 * ignores a command, refuses it, or obeys while its answer is lost.
 */
export class StormMiner {
  readonly place: number;
  mode: Mode = 'sleep';
  /** Where it is on its way to. */
  goal: Mode = 'sleep';
  /**
   * It is where it was told to be, and has said so to the agent that runs now. Told to go elsewhere and refusing, it is
   * not: whoever told it cannot know that it never will.
   */
  seen = false;
  calls = 0;
  #told: Mode = 'sleep';
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #onCall: OnCall;

  constructor(place: number, clock: Clock, random: Random, onCall: OnCall) {
    this.place = place;
    this.#clock = clock;
    this.#random = random;
    this.#onCall = onCall;
  }

  get powerW(): number {
    return this.mode === 'mine' ? 3_200 : 30;
  }

  /** As one life of an agent has it: what is on its way when that life ends never comes back to it. */
  device(alive: () => boolean): Device {
    const verb = (mode: Mode) => async (): Promise<void> => {
      this.#onCall(this, mode);
      this.calls += 1;
      this.#told = mode;
      this.seen = false;
      const chance = this.#random.next();
      await this.#pause(alive);
      if (chance < REFUSES) throw new Fault('VERB_REFUSED');
      if (chance < REFUSES + IGNORES) return;
      this.#go(mode);
      if (chance < REFUSES + IGNORES + ANSWER_LOST) throw new Fault('NET_TIMEOUT');
    };
    const verbs = withFacts(VERBS, { sleep: verb('sleep'), wake: verb('mine') });
    return {
      driver: 'storm',
      identify: () => Promise.reject(new Fault('NET_TIMEOUT')),
      verbs,
      close: () => undefined,
      read: async () => {
        const { calls } = this;
        await this.#pause(alive);
        if (this.#random.next() < SILENT) throw new Fault('NET_TIMEOUT');
        this.seen ||= calls === this.calls && this.mode === this.goal && this.mode === this.#told;
        return this.#readings();
      },
    };
  }

  #go(mode: Mode): void {
    this.goal = mode;
    this.#clock.after(SETTLES_MS + this.#random.next() * SETTLES_MORE_MS, () => (this.mode = this.goal));
  }

  #pause(alive: () => boolean): Promise<void> {
    return new Promise((resolve) =>
      this.#clock.after(ANSWER_MS, () => {
        if (alive()) resolve();
      }),
    );
  }

  #readings(): Readings {
    const atMs = this.#clock.wallMs();
    const good = { ok: true, quality: 'good', atMs } as const;
    return {
      power: { ...good, value: this.powerW, unit: 'W', measured: true },
      hashrate: { ...good, value: this.mode === 'mine' ? 1e14 : 0, unit: 'H/s' },
      mode: { ...good, value: this.mode, unit: 'text' },
    };
  }
}

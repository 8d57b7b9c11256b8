/** So many reads over a faulty wire, and what became of each of them. */
import { makeLines } from '../host/line.ts';
import type { Line, LineTarget } from '../host/line.ts';
import { seededRandom } from '../host/random.ts';
import type { Clock, Random } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { ReadRequest } from '../protocols/modbus/frame.ts';
import { DOUBLED_MAX_MS } from './modbus-faults.ts';
import type { FaultClass, Wire } from './modbus-faults.ts';
import { Truth } from './modbus-truth.ts';
import { MeterWire } from './modbus-wire.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Who reads. Rejects with anything; resolves with the registers, coils as 0 or 1. */
export interface Reader {
  read(request: ReadRequest, timeoutMs: number): Promise<ArrayLike<number>>;
  close(): void;
}

/** Makes a reader on a wire. */
export type MakeReader = (parts: {
  readonly wire: Wire;
  readonly device: MeterWire;
  readonly clock: Clock;
  readonly random: Random;
}) => Reader;

export interface ReadsOptions {
  readonly wire: Wire;
  readonly seed: number;
  readonly reads: number;
  /** Only these classes of faults; all of the wire when absent. */
  readonly classes?: readonly FaultClass[];
  /** Of the answers, how many are faulty; 0.35 when absent. */
  readonly share?: number;
  readonly makeReader?: MakeReader;
  /** How long one read may take, ms: drawn between these; 1,500 to 5,000 when absent. */
  readonly timeoutMs?: readonly [least: number, most: number];
  /** Reads asked at once at most; 4 when absent. */
  readonly atOnce?: number;
}

/** `outcomes`: by class of fault (`none` too) and by what became of the read: `right`, `wrong`, `hang` or a fault's code. */
export interface ReadsResult {
  readonly reads: number;
  readonly right: number;
  readonly wrong: number;
  readonly hangs: number;
  readonly crashes: number;
  /** Failed reads in a row, at most. */
  readonly longestLoss: number;
  readonly asked: number;
  readonly injected: Readonly<Record<string, number>>;
  readonly outcomes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** The first few, for whoever looks for the reason. */
  readonly examples: readonly string[];
}

/** Beyond its deadline a read may take this long, ms of virtual time. */
const MARGIN_MS = 50;
const EXAMPLES_MAX = 5;
const SHARE = 0.35;

/** Plays them in virtual time. The same options give the same result. */
export async function playReads(options: ReadsOptions): Promise<ReadsResult> {
  // Loaded before virtual time begins, which does not wait for a disk.
  if (options.wire === 'serial')
    await Promise.all([import('../host/line-serial.ts'), import('modbus-serial')]);
  const random = seededRandom(options.seed);
  const clock = new VirtualClock({ startWallMs: 1_700_000_000_000 });
  const truth = new Truth();
  const { wire, share = SHARE, classes } = options;
  const device = new MeterWire({ wire, random, truth, share, ...(classes && { classes }) }, clock);
  const reader = (options.makeReader ?? lineReader)({ wire, device, clock, random });
  const run = new Run(options, { random, clock, truth, device, reader });
  const state = { playing: true };
  const played = run.play().finally(() => {
    state.playing = false;
  });
  while (state.playing) await clock.advance(1_000);
  await played;
  reader.close();
  return run.result();
}

/** The product's own line. */
function lineReader({ wire, device, clock, random }: Parameters<MakeReader>[0]): Reader {
  const lines = makeLines({ net: device.net, clock, random, serial: device.serial });
  const target: LineTarget =
    wire === 'serial'
      ? { framing: 'serial', path: 'meters', baud: 9_600, parity: 'none', stopBits: 1 }
      : { framing: wire, host: 'meters', port: 502 };
  const line: Line = lines.line(target);
  return {
    read: async ({ unit, fc, address, count }, timeoutMs) => {
      const deadlineMs = clock.monoMs() + timeoutMs;
      return (await line.read({ unit, fc, address, count, deadlineMs })).registers;
    },
    close: () => lines.close(),
  };
}

interface Parts {
  readonly random: Random;
  readonly clock: VirtualClock;
  readonly truth: Truth;
  readonly device: MeterWire;
  readonly reader: Reader;
}

class Run {
  readonly #options: ReadsOptions;
  readonly #parts: Parts;
  readonly #outcomes = new Map<string, Map<string, number>>();
  readonly #examples: string[] = [];
  readonly #counts = { reads: 0, right: 0, wrong: 0, hangs: 0 };
  #loss = 0;
  #longestLoss = 0;

  constructor(options: ReadsOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
  }

  async play(): Promise<void> {
    const { random, device } = this.#parts;
    const { reads, atOnce = 4 } = this.#options;
    while (this.#counts.reads < reads) {
      const together = random.next() < 0.6 ? 1 : 1 + Math.floor(random.next() * atOnce);
      device.struck.length = 0;
      device.waiting = together;
      const outcomes = await Promise.all(Array.from({ length: together }, (_, place) => this.#one(place)));
      for (const outcome of outcomes) this.#note(outcome, device.struck);
      await this.#pause();
    }
  }

  /** What was doubled comes before the next question; else there is a pause or none. */
  #pause(): Promise<void> {
    const { random, clock, device } = this.#parts;
    const waitMs = device.struck.includes('duplicated')
      ? 2 * DOUBLED_MAX_MS
      : random.next() < 0.5
        ? 0
        : random.next() * 60;
    return new Promise((resolve) => {
      clock.after(waitMs, resolve);
    });
  }

  async #one(place: number): Promise<string> {
    const { random, clock, truth, device, reader } = this.#parts;
    const { timeoutMs: [least, most] = [1_500, 5_000] } = this.#options;
    const request = drawRequest(random, place);
    const timeoutMs = least + random.next() * (most - least);
    const since = truth.asked;
    const read = reader.read(request, timeoutMs).then(
      (registers) => {
        if (truth.isRight(request, since, registers)) return 'right';
        this.#example(request, registers);
        return 'wrong';
      },
      (error: unknown) => asFault(error).code,
    );
    const hang = new Promise<string>((resolve) => {
      const cancel = clock.after(timeoutMs + MARGIN_MS, () => resolve('hang'));
      void read.then(cancel);
    });
    const outcome = await Promise.race([read, hang]);
    device.waiting -= 1;
    device.gaveUp();
    return outcome;
  }

  #example(request: ReadRequest, registers: ArrayLike<number>): void {
    if (this.#examples.length >= EXAMPLES_MAX) return;
    const { truth, device } = this.#parts;
    const struck = device.struck.join(', ');
    this.#examples.push(`${JSON.stringify(request)} got ${truth.whose(registers)} (${struck})`);
  }

  #note(outcome: string, struck: readonly FaultClass[]): void {
    this.#counts.reads += 1;
    if (outcome === 'right') this.#counts.right += 1;
    if (outcome === 'wrong') this.#counts.wrong += 1;
    if (outcome === 'hang') this.#counts.hangs += 1;
    this.#loss = outcome === 'right' ? 0 : this.#loss + 1;
    this.#longestLoss = Math.max(this.#longestLoss, this.#loss);
    for (const name of struck.length === 0 ? ['none'] : new Set(struck)) {
      const row = this.#outcomes.get(name) ?? new Map<string, number>();
      this.#outcomes.set(name, row.set(outcome, (row.get(outcome) ?? 0) + 1));
    }
  }

  result(): ReadsResult {
    const { truth, device } = this.#parts;
    return {
      ...this.#counts,
      crashes: device.crashes,
      longestLoss: this.#longestLoss,
      asked: truth.asked,
      injected: Object.fromEntries(device.injected),
      outcomes: Object.fromEntries([...this.#outcomes].map(([name, row]) => [name, Object.fromEntries(row)])),
      examples: this.#examples,
    };
  }
}

/** Few shapes, so that an answer of another time, place or unit would fit. `place` keeps those asked together apart. */
function drawRequest(random: Random, place: number): ReadRequest {
  const kind = random.next();
  const fc = kind < 0.7 ? 3 : kind < 0.9 ? 4 : kind < 0.95 ? 1 : 2;
  const unit = 1 + Math.floor(random.next() * 3);
  const address = 100 * Math.floor(random.next() * 3) + 1_000 * place;
  const fixed = fc <= 2 ? 64 : 8;
  const count = random.next() < 0.7 ? fixed : fixed / 4 + Math.floor(random.next() * (fc <= 2 ? 200 : 40));
  return { kind: 'read', unit, fc, address, count };
}

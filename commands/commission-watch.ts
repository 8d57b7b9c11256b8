import type { Site } from '../config/site.ts';
import { restMode } from '../controller/core/economics.ts';
import type { Clock } from '../host/deps.ts';
import type {
  CommissionNote,
  ConsoleView,
  MeterView,
  OperatorRequest,
  Preview,
} from '../protocols/console/view.ts';
import { Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import { SAMPLES_LEAST } from '../protocols/metering/fall.ts';
import type { Mode } from '../protocols/reading.ts';

/** The running product, as a logged-in operator has it. */
export interface Product {
  /** The newest view; undefined: not connected. */
  view(): ConsoleView | undefined;
  meters(): Promise<readonly MeterView[]>;
  /** Previews and executes; resolves once it is durable. Rejects with the product's refusal. */
  order(request: OperatorRequest): Promise<Preview>;
  note(note: CommissionNote): Promise<void>;
}

const LOOK_MS = 1_000;
/** Meters of a site are looked at for at most so many of their periods more than the window. */
const PATIENCE = 2;

/** While one of these stands, load is not switched for a proof. SHED_SHORTFALL is what a wrong topology looks like. */
const IN_THE_WAY: readonly FaultCode[] = [
  'AGENT_LOST',
  'CAP_EXCEEDED',
  'FEED_LOST',
  'LEASE_LOST',
  'LIMIT_INFEASIBLE',
  'LIMIT_OUTSIDE',
  'PROTECTION_TRIPPED',
  'PERMISSIVE_LOST',
  'LEDGER_RESERVE',
];

/** Why load is not switched for a proof now; undefined: nothing stands against it. `jobs`: AI jobs known before. */
export function whyNot(view: ConsoleView, jobs?: ReadonlySet<string>): string | undefined {
  const { site, signals, alarms } = view;
  const lost = alarms.find(({ code }) => code === 'METER_LOST' || code === 'METER_IMPLAUSIBLE');
  if (!site.underControl) return `the site is not under control${lost === undefined ? '' : `: ${lost.text}`}`;
  const limit = signals.find(({ kind }) => kind === 'limit');
  if (limit !== undefined) return `the utility: ${limit.text}`;
  const alarm = alarms.find(({ code }) => IN_THE_WAY.includes(code));
  if (alarm !== undefined) return `alarm ${alarm.code}: ${alarm.text}`;
  const job = signals.find(({ kind, id }) => kind === 'ai' && jobs?.has(id) === false);
  return job === undefined ? undefined : `AI work has come: ${job.text}`;
}

/** AI jobs that run. */
export const jobsIn = (view: ConsoleView): ReadonlySet<string> =>
  new Set(view.signals.filter(({ kind }) => kind === 'ai').map(({ id }) => id));

/** What was seen in a time in which nothing was switched. */
export interface Seen {
  /** Meter to its samples, W, oldest first. */
  readonly meters: ReadonlyMap<string, readonly number[]>;
  /** Machine to the mean of what it said it drew, W. */
  readonly words: ReadonlyMap<number, number>;
  /** What the machines that were not switched were doing. */
  readonly others: readonly (Mode | null)[];
}

/** Looks at the running site, second by second, and stops everything when it may not go on. */
export class Watch {
  readonly #site: Site;
  readonly #product: Product;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #windowMs: number;
  #jobs: ReadonlySet<string> | undefined;

  constructor(options: {
    readonly site: Site;
    readonly product: Product;
    readonly clock: Clock;
    readonly signal: AbortSignal;
    readonly windowMs: number;
  }) {
    this.#site = options.site;
    this.#product = options.product;
    this.#clock = options.clock;
    this.#signal = options.signal;
    this.#windowMs = options.windowMs;
  }

  /** The view of now. Rejects with COMMISSION_REFUSED when load may not be switched (any more). */
  look(): ConsoleView {
    if (this.#signal.aborted) throw new Fault('COMMISSION_REFUSED', 'stopped by the person who began it');
    const view = this.#product.view();
    if (view === undefined) throw new Fault('COMMISSION_REFUSED', 'the connection to the controller is lost');
    const why = whyNot(view, this.#jobs);
    if (why !== undefined) throw new Fault('COMMISSION_REFUSED', why);
    this.#jobs ??= jobsIn(view);
    return view;
  }

  /** Looks each second until `done`; false: not within `mostMs`. */
  async until(mostMs: number, done: (view: ConsoleView) => boolean): Promise<boolean> {
    const endMs = this.#clock.monoMs() + mostMs;
    for (;;) {
      if (done(this.look())) return true;
      if (this.#clock.monoMs() >= endMs) return false;
      await this.#second();
    }
  }

  #second(): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(LOOK_MS, resolve);
    });
  }

  /** Nothing on its way any more: nobody told something that has not settled. */
  calm(mostMs: number): Promise<boolean> {
    return this.until(mostMs, ({ machines }) =>
      machines.every(({ stage }) => stage !== 'sent' && stage !== 'acknowledged'),
    );
  }

  /** Waits until what these machines say they draw no longer changes. */
  async settled(machines: readonly number[], mostMs: number): Promise<void> {
    const ratedW = machines.reduce((sum, index) => sum + (this.#site.machines[index]?.model.ratedW ?? 0), 0);
    let mark = new Map<number, number>();
    let beforeW = Number.NaN;
    await this.until(mostMs, (view) => {
      const words = machines.map((index) => view.machines[index]);
      if (words.some((word, place) => word?.atMs === mark.get(machines[place] ?? -1))) return false;
      const sumW = words.reduce((sum, word) => sum + (word?.powerW ?? 0), 0);
      const same = Math.abs(sumW - beforeW) <= 0.02 * ratedW;
      mark = new Map(machines.map((index, place) => [index, words[place]?.atMs ?? Number.NaN]));
      beforeW = sumW;
      return same;
    });
  }

  /** Watches all meters, and what these machines say, for as long as it takes to have enough of both. */
  async window(machines: readonly number[]): Promise<Seen> {
    const startMs = this.#clock.monoMs();
    const fromMs = this.look().site.atMs;
    const slowest = (periods: readonly number[]): number => Math.max(0, ...periods);
    const capMs =
      this.#windowMs +
      PATIENCE * SAMPLES_LEAST * slowest(this.#site.meters.map(({ periodMs }) => periodMs)) +
      PATIENCE * slowest(machines.map((index) => this.#site.machines[index]?.periodMs ?? 0));
    const samples = new Map<string, { atMs: number; readonly watts: number[] }>();
    const words = new Map<number, { atMs: number; readonly watts: number[] }>();
    for (;;) {
      const meters = await this.#product.meters();
      for (const { id, powerW, atMs } of meters)
        if (powerW !== null && atMs !== null && atMs >= fromMs)
          take(samples, id, atMs, powerW + this.#behindW(id, meters));
      const view = this.look();
      for (const index of machines) {
        const { powerW, atMs } = view.machines[index] ?? { powerW: null, atMs: null };
        if (powerW !== null && atMs !== null && atMs >= fromMs) take(words, index, atMs, powerW);
      }
      const passedMs = this.#clock.monoMs() - startMs;
      const enough =
        [...samples.values()].every(({ watts }) => watts.length >= SAMPLES_LEAST) &&
        machines.every((index) => words.has(index));
      if (passedMs >= capMs || (passedMs >= this.#windowMs && enough)) {
        const switched = new Set(machines);
        return {
          meters: new Map([...samples].map(([id, { watts }]) => [id, watts])),
          words: new Map([...words].map(([index, { watts }]) => [index, mean(watts)])),
          others: view.machines.map(({ mode }, index) => (switched.has(index) ? null : mode)),
        };
      }
      await this.#second();
    }
  }

  /** What is generated behind a meter of a node, W: clouds must not look like machines. */
  #behindW(id: string, meters: readonly MeterView[]): number {
    const { meters: known, nodes } = this.#site;
    const own = known.find((meter) => meter.id === id);
    if (own?.role !== 'node') return 0;
    return known.reduce((sum, { role, nodeIndex }, place) => {
      const isBehind = role === 'generation' && nodes[nodeIndex]?.path.includes(own.nodeIndex) === true;
      return sum + (isBehind ? (meters[place]?.powerW ?? 0) : 0);
    }, 0);
  }

  /** Waits until machines are in a mode; those that are when the time is over. */
  async inMode(
    machines: readonly number[],
    mode: 'rest' | 'mine',
    mostMs: number,
  ): Promise<readonly number[]> {
    const arrived = ({ machines: views }: ConsoleView): number[] =>
      machines.filter((index) => {
        const model = this.#site.machines[index]?.model;
        const view = views[index];
        const wanted = mode === 'mine' ? 'mine' : model && restMode(model);
        return view?.mode === wanted && view?.stage !== 'sent' && view?.stage !== 'acknowledged';
      });
    await this.until(mostMs, (view) => arrived(view).length === machines.length);
    return arrived(this.look());
  }
}

const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;

/** Keeps a sample once. */
function take<Key>(
  kept: Map<Key, { atMs: number; readonly watts: number[] }>,
  key: Key,
  atMs: number,
  watts: number,
): void {
  const known = kept.get(key);
  if (known === undefined) kept.set(key, { atMs, watts: [watts] });
  else if (atMs > known.atMs) {
    known.atMs = atMs;
    known.watts.push(watts);
  }
}

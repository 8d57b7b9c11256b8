import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import type { CommissionNote, ConsoleView, MeterView } from '../protocols/console/view.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import { fallOf, meanFall } from '../protocols/metering/fall.ts';

import { findingsOf, judgeRack, nextToggle } from '../protocols/metering/topology.ts';
import type { Fall, Toggle, Verdict, VerdictKind, Wiring } from '../protocols/metering/topology.ts';
import {
  changeW,
  checkSame,
  coverOf,
  freeMachines,
  planOf,
  stateOf,
  unreadable,
  wiringOf,
} from './commission-plan.ts';
import type { Plan } from './commission-plan.ts';
import type { Mode } from '../protocols/reading.ts';
import { Watch } from './commission-watch.ts';
import type { Product, Seen } from './commission-watch.ts';

/** What became of one rack. */
export interface RackReport extends Omit<Verdict, 'verdict'> {
  readonly verdict: VerdictKind | 'untested';
  /** Machines that were switched, and those that were left as they are. */
  readonly tested: readonly string[];
  readonly left: readonly string[];
  readonly toggles: number;
}

/** What a person is asked before a rack is switched. */
export interface Question {
  readonly rack: string;
  readonly machines: readonly string[];
  readonly from: 'mine' | 'rest';
  /** How much load moves, kW, and for how long about, minutes. */
  readonly kw: number;
  readonly minutes: number;
  /** What stands against it, without forbidding it. */
  readonly warnings: readonly string[];
}

export interface RunOptions {
  readonly site: Site;
  readonly product: Product;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly racks: readonly string[];
  readonly windowMs: number;
  /** A change that hides in the noise is repeated up to so often. */
  readonly cycles: number;
  readonly confirm: (question: Question) => Promise<boolean>;
  readonly say: (line: string) => void;
}

/** Holds end by themselves after this long when this program is gone, minutes. */
const HOLD_MINUTES = 60;
/** From this part of its model's draw on a machine has followed. */
const OBEYED = 0.3;
const RENEW_MS = 40 * 60_000;
const CALM_MS = 15 * 60_000;
/** To single machines out of a rack, at most so many further toggles. */
const MORE_TOGGLES = 24;
/** Ids that one order may name. */
const SCOPE_MOST = 256;

/** Proves rack by rack, at the meters, that machines hang where the site file says. Gives everything back at its end. */
export async function commission(options: RunOptions): Promise<RackReport[]> {
  const run = new Run(options);
  return run.go();
}

class Run {
  readonly #options: RunOptions;
  readonly #watch: Watch;
  readonly #wiring: Wiring;
  readonly #toggles: Toggle[] = [];
  /** Machines held by this run, and in what. */
  readonly #held = new Map<number, 'mine' | 'rest'>();
  #heldMonoMs = -Infinity;
  /** Machines that a person has ordered otherwise meanwhile. */
  readonly #yielded = new Set<number>();
  /** Machines that are switched now: their orders may wait for a ramp. */
  #moving: ReadonlySet<number> = new Set();

  constructor(options: RunOptions) {
    this.#options = options;
    this.#wiring = wiringOf(options.site);
    this.#watch = new Watch(options);
  }

  async go(): Promise<RackReport[]> {
    const { product, racks, say } = this.#options;
    const reports: RackReport[] = [];
    const first = this.#watch.look();
    checkSame(this.#options.site, first, await product.meters());
    await this.#note(
      'begun',
      racks.map((rack) => ({ rack, verdict: '', text: '' })),
    );
    try {
      const free = freeMachines(this.#options.site, first);
      for (const rack of racks) reports.push(await this.#rack(rack, free));
    } catch (error) {
      const { message } = asFault(error);
      const undone = racks.slice(reports.length);
      for (const rack of undone) reports.push(untested(rack, message));
    } finally {
      await this.#giveBack();
    }
    // What other racks show of the same meter counts: judged once more with all that was seen.
    const judged = reports.map((report) => ({
      ...report,
      ...judgeRack(this.#wiring, this.#toggles, report.rack),
    }));
    await this.#note('ended', judged).catch((error: unknown) =>
      say(`its end is not in the ledger: ${asFault(error).message}`),
    );
    return judged;
  }

  /** In as many records as it takes. */
  async #note(phase: CommissionNote['phase'], racks: CommissionNote['racks']): Promise<void> {
    for (let at = 0; at < racks.length; at += NOTES_MOST) {
      const said = racks.slice(at, at + NOTES_MOST);
      await this.#options.product.note({
        phase,
        racks: said.map(({ rack, verdict, text }) => ({ rack, verdict, text: text.slice(0, TEXT_MOST) })),
      });
    }
  }

  async #rack(rack: string, free: ReadonlySet<number>): Promise<RackReport> {
    const { site, say, confirm, product } = this.#options;
    const view = this.#watch.look();
    this.#yield(view);
    const plan = planOf(site, view, rack, this.#open(free, view));
    if (plan.machines.length === 0)
      return untested(
        rack,
        `${plan.left.join(', ')} may not be switched: by authority, a hold, a lockout or AI work, or because they do not answer`,
      );
    const meters = new Map((await product.meters()).map((meter) => [meter.id, meter]));
    const blind = this.#onPath(plan).find((id) => unreadable(meters.get(id), view.site.atMs));
    if (blind !== undefined)
      return untested(rack, `${blind} gives no value: ${meters.get(blind)?.why ?? 'it is not known'}`);
    if (!(await confirm(this.#question(plan, meters)))) return untested(rack, 'not confirmed');
    const now = this.#watch.look();
    this.#yield(now);
    const again = planOf(site, now, rack, this.#open(free, now));
    if (again.machines.join(' ') !== plan.machines.join(' ') || again.from !== plan.from)
      return untested(rack, 'its machines changed while the question waited for its answer: ask again');
    await this.#hold(this.#open(free, now));
    if (!(await this.#watch.calm(CALM_MS))) return untested(rack, 'the site does not come to rest');
    const own: Toggle[] = [];
    for (let next: readonly number[] | undefined = plan.machines; next !== undefined;) {
      say(`${rack}: ${next.length === 1 ? this.#wiring.nameOf(next[0] ?? -1) : `${next.length} machines`} …`);
      const toggle = await this.#proof(rack, next, plan.from);
      if (typeof toggle === 'string') {
        if (own.length === 0) return untested(rack, toggle);
        break;
      }
      own.push(toggle);
      this.#toggles.push(toggle);
      next = own.length > MORE_TOGGLES ? undefined : nextToggle(this.#wiring, this.#toggles, rack);
    }
    const verdict = judgeRack(this.#wiring, this.#toggles, rack);
    if (verdict === undefined) return untested(rack, 'nothing was seen');
    say(`${rack}: ${verdict.verdict}: ${verdict.text}`);
    const tested = [...(own[0]?.fell.keys() ?? [])].map((index) => this.#wiring.nameOf(index));
    return { ...verdict, tested, left: plan.left, toggles: own.length };
  }

  /** Those that this run holds already, and those that nobody has taken meanwhile. */
  #open(free: ReadonlySet<number>, view: ConsoleView): ReadonlySet<number> {
    const untaken = freeMachines(this.#options.site, view);
    return new Set(
      [...free].filter((index) => !this.#yielded.has(index) && (this.#held.has(index) || untaken.has(index))),
    );
  }

  /** What a person has ordered otherwise since is that person's: neither held on, nor switched, nor given back. */
  #yield({ machines }: ConsoleView): void {
    for (const [index, mode] of this.#held) {
      const { id, owner, wanted } = machines[index] ?? {};
      if (owner !== 'manual' || this.#moving.has(index) || (wanted === 'mine') === (mode === 'mine'))
        continue;
      this.#held.delete(index);
      this.#yielded.add(index);
      this.#options.say(`${id ?? ''}: a person has ordered otherwise; it is left alone`);
    }
  }

  /** Ids of the meters above the machines of a plan. */
  #onPath({ machines }: Plan): string[] {
    return this.#wiring.meters
      .filter((_, meter) => machines.some((machine) => this.#wiring.share(machine, meter) > 0))
      .map(({ id }) => id);
  }

  #question(plan: Plan, meters: ReadonlyMap<string, MeterView>): Question {
    const machines = plan.machines.flatMap((index) => this.#options.site.machines[index] ?? []);
    const seconds = this.#mostMs(plan.machines, 'mine') + this.#mostMs(plan.machines, 'rest');
    return {
      rack: plan.rack,
      machines: machines.map(({ id }) => id),
      from: plan.from,
      kw: machines.reduce((sum, machine) => sum + changeW(machine), 0) / 1_000,
      minutes: Math.ceil((seconds / 2 + 3 * this.#options.windowMs) / 60_000),
      warnings: this.#onPath(plan).flatMap((id) => {
        const meter = meters.get(id);
        return meter?.trusted === false ? [`${id} is not trusted: ${meter.why ?? ''}`] : [];
      }),
    };
  }

  /** Everything that automation could move stays as it is until this run ends. */
  async #hold(free: ReadonlySet<number>): Promise<void> {
    const heldForMs = this.#options.clock.monoMs() - this.#heldMonoMs;
    if (heldForMs < RENEW_MS) return;
    // They have ended by themselves: automation has moved on since.
    if (heldForMs >= HOLD_MINUTES * 60_000) this.#held.clear();
    const view = this.#watch.look();
    const modes = new Map(
      [...free].flatMap((index): [number, 'mine' | 'rest'][] => {
        const mode = this.#held.get(index) ?? stateOf(view, index);
        return mode === undefined ? [] : [[index, mode]];
      }),
    );
    for (const mode of ['mine', 'rest'] as const) {
      const machines = [...modes].filter(([, one]) => one === mode).map(([index]) => index);
      await this.#order(machines, mode, 'held steady while the topology is proven');
    }
    this.#heldMonoMs = this.#options.clock.monoMs();
  }

  async #order(machines: readonly number[], mode: 'mine' | 'rest', reason: string): Promise<void> {
    const scope = coverOf(this.#options.site, new Set(machines));
    for (const index of machines) this.#held.set(index, mode);
    for (let at = 0; at < scope.length; at += SCOPE_MOST) {
      await this.#options.product.order({
        scope: scope.slice(at, at + SCOPE_MOST),
        action: mode === 'mine' ? 'mine' : 'sleep',
        minutes: HOLD_MINUTES,
        reason: `commission: ${reason}`,
      });
    }
  }

  /** One toggle, repeated while its change hides in the noise; a text says why there is none. */
  async #proof(rack: string, machines: readonly number[], from: 'mine' | 'rest'): Promise<Toggle | string> {
    const cycles: Toggle[] = [];
    let merged: Toggle | undefined;
    let disturbed = 0;
    while (cycles.length < this.#options.cycles) {
      const toggle = await this.#toggle(rack, machines, from);
      if (typeof toggle === 'string') {
        disturbed++;
        if (merged !== undefined || disturbed > 1) return merged ?? toggle;
        continue;
      }
      cycles.push(toggle);
      merged = {
        ...toggle,
        falls: toggle.falls.map((_, meter) => meanFall(cycles.map(({ falls }) => falls[meter]))),
      };
      const path = findingsOf(this.#wiring, merged).filter(({ onPath }) => onPath);
      const roots = this.#wiring.meters.filter(({ isRoot }) => isRoot).map(({ id }) => id);
      if (!path.some(({ is, meter }) => is === 'noisy' && (path.length === 1 || !roots.includes(meter))))
        break;
    }
    return merged ?? 'nothing was seen';
  }

  /** There and back once, as automation's own commands would: within every limit, ramp and guard. */
  async #toggle(rack: string, machines: readonly number[], from: 'mine' | 'rest'): Promise<Toggle | string> {
    const to = from === 'mine' ? 'rest' : 'mine';
    if (this.#options.clock.monoMs() - this.#heldMonoMs >= RENEW_MS) {
      this.#yield(this.#watch.look());
      await this.#hold(new Set(this.#held.keys()));
    }
    const before = await this.#watch.window(machines);
    this.#moving = new Set(machines);
    await this.#order(machines, to, `${rack} is tested`);
    const there = await this.#watch.inMode(machines, to, this.#mostMs(machines, to));
    await this.#watch.settled(there, this.#mostMs(machines, to));
    const between = await this.#watch.window(machines);
    await this.#order(machines, from, `${rack} comes back`);
    const back = await this.#watch.inMode(machines, from, this.#mostMs(machines, from));
    await this.#watch.settled(back, this.#mostMs(machines, from));
    const after = await this.#watch.window(machines);
    if (back.length === machines.length) this.#moving = new Set();
    const names = (list: readonly number[]): string =>
      list.map((index) => this.#wiring.nameOf(index)).join(', ');
    if (back.length < machines.length)
      throw new Fault(
        'COMMISSION_REFUSED',
        `${names(machines.filter((index) => !back.includes(index)))} did not come back as they were`,
      );
    const moved = movedBeside([before, between, after]);
    if (moved !== undefined)
      return `${this.#wiring.nameOf(moved)} moved meanwhile: test again when the site is quiet`;
    const toggle = this.#seen(rack, machines, from, [before, between, after]);
    return toggle.fell.size === 0 ? `none of ${rack} obeyed` : toggle;
  }

  #seen(
    rack: string,
    machines: readonly number[],
    from: 'mine' | 'rest',
    [before, between, after]: readonly [Seen, Seen, Seen],
  ): Toggle {
    const sign = from === 'mine' ? 1 : -1;
    const back = new Map<number, number>();
    const fell = new Map<number, number>();
    for (const index of machines) {
      const [a, b, c] = [before, between, after].map(({ words }) => words.get(index));
      const machine = this.#options.site.machines[index];
      const byModelW = machine === undefined ? 0 : changeW(machine);
      // Without its word, what its model says.
      const watts =
        a === undefined || b === undefined || c === undefined ? byModelW : sign * ((a + c) / 2 - b);
      if (a !== undefined && c !== undefined) back.set(index, c - a);
      // Who did not follow the order shows nothing.
      if (watts >= OBEYED * byModelW) fell.set(index, watts);
    }
    const falls = this.#wiring.meters.map(({ id }, meter): Fall | undefined => {
      const [a = [], b = [], c = []] = [before, between, after].map(({ meters }) => meters.get(id));
      const backW = [...back].reduce(
        (sum, [index, watts]) => sum + watts * this.#wiring.share(index, meter),
        0,
      );
      const fall = fallOf(a, b, c, backW);
      return fall && { ...fall, watts: sign * fall.watts };
    });
    return { rack, fell, falls };
  }

  /** How long machines may take to be in a mode: their own time, least times and ramps, ms. */
  #mostMs(machines: readonly number[], mode: 'mine' | 'rest'): number {
    const seconds = machines.flatMap((index) => {
      const machine = this.#options.site.machines[index];
      if (machine === undefined) return [];
      const { model, minOnS, minOffS } = machine;
      return mode === 'mine' ? [model.wakeS * 1.5 + minOffS] : [model.sleepS * 1.5 + minOnS];
    });
    return (Math.max(0, ...seconds) + 120) * 1_000;
  }

  /** Automation has everything again; what rests by this run's order alone is wanted at work by it as before. */
  async #giveBack(): Promise<void> {
    const { product, site, say } = this.#options;
    const view = product.view();
    if (view !== undefined) this.#yield(view);
    const scope = coverOf(site, new Set(this.#held.keys()));
    try {
      for (let at = 0; at < scope.length; at += SCOPE_MOST)
        await product.order({
          scope: scope.slice(at, at + SCOPE_MOST),
          action: 'release',
          reason: 'commission: given back',
        });
    } catch (error) {
      say(
        `NOT given back: ${asFault(error).message}; the holds end by themselves within ${HOLD_MINUTES} minutes`,
      );
    }
  }
}

/** A machine that was not switched and did something else meanwhile; who was out of sight for a moment did not. */
function movedBeside(windows: readonly Seen[]): number | undefined {
  const seen = new Map<number, Mode>();
  for (const { others } of windows)
    for (const [index, mode] of others.entries()) {
      if (mode === null) continue;
      if ((seen.get(index) ?? mode) !== mode) return index;
      seen.set(index, mode);
    }
  return undefined;
}

const untested = (rack: string, text: string): RackReport => ({
  rack,
  verdict: 'untested',
  text,
  findings: [],
  elsewhere: [],
  tested: [],
  left: [],
  toggles: 0,
});

const TEXT_MOST = 500;
const NOTES_MOST = 100;

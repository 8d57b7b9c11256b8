import { MODELS } from '../config/models.ts';
import { resolveSite } from '../config/site.ts';
import type { Site } from '../config/site.ts';
import type { Random } from '../host/deps.ts';
import { seededRandom } from '../host/random.ts';
import { mostUsed } from '../protocols/trip.ts';
import type { TripPoint } from '../protocols/trip.ts';
import { defaultMisbehaviour } from '../simulator/scenarios.ts';
import type { Truth } from '../simulator/world.ts';
import type { Happening } from './faults.ts';
import { runSeed } from './harness.ts';
import { harnessSite } from './site.ts';

/**
 * One controller that dies, is cut off or freezes while its site is at its cap and more is waking: what the meter of
 * the site shows above the cap from that moment on, sample by sample. That meter is of class 0.5: what it does not
 * see, no guard can; how far the truth of the simulated world went is said beside it.
 *
 * A limit holds the site far below its cap and is lifted; what rested starts again under the ramp. When the load has
 * come to 97 % of the cap, some of those that must go on resting wake by themselves, and as soon as what is waking
 * will add 5 % of the cap, the controller is gone.
 */
export interface Death {
  readonly seed: number;
  readonly how: (typeof WAYS)[number];
  /** The controller was lost with the load at 97 % and 5 % more on its way; false: it never came to that. */
  readonly atStake: boolean;
  /** True load at that moment, and what the machines on their way up would still add, % of the cap. */
  readonly loadPct: number;
  readonly wakingPct: number;
  /** The most true load after it, % of the cap. */
  readonly peakPct: number;
  /** By the meter. */
  readonly excessKwS: number;
  /** The longest stretch above the cap by the meter, s; 0: never above it. */
  readonly longestS: number;
  /** Share of the site's trip curve that the true load used, %: from 100 on its breaker opens. */
  readonly tripPct: number;
}

const WAYS = ['dies', 'cut off', 'freezes'] as const;

/** An electronic trip unit set as tight as they come: far below what a breaker rated at the cap bears. */
const TRIP: readonly TripPoint[] = [
  { load: 1.02, s: 120 },
  { load: 1.05, s: 40 },
  { load: 1.1, s: 20 },
  { load: 1.3, s: 5 },
  { load: 2, s: 0.5 },
];

/** What the miners of the site would draw beyond what it may carry: the cap binds, and some always rest for it. */
const BEYOND_CAP = 1.15;
/** Losses and cooling on top of what machines draw, as a share: measured on this site. */
const ON_TOP = 1.05;
const AT_CAP = 0.97;
const WAKING = 0.05;
/** The limit that holds the site down until it is lifted, as a share of the cap. */
const LIMIT_SHARE = 0.45;
const LIFTED_MS = 60_000;
/** The controller is gone by then, at its cap or not. */
const LATEST_MS = 420_000;
const WATCHED_MS = 100_000;
/** A frozen controller comes back after this and still believes that it is in charge. */
const FROZEN_MS = 60_000;
/** What wakes by itself at the cap, as a share of it. */
const WOKEN_LEAST = 0.055;
const WOKEN_MOST = 0.08;
/** Of the others at rest this share wakes by itself later, up to past T2: then nobody but the guard sends them back. */
const LATER_SHARE = 0.7;
const LATER_MS = 60_000;
/** A machine is asked at least once in this, and wakes then. */
const ASKED_MS = 15_000;
const POLL_MS = 10_000;
const FEED_MS = 30_000;
const STEP_S = 1;

/** The simulated site without GPU hosts and sun, and with one meter, read each second, at a cap that binds. */
function deathSite(machines: number): Site {
  const { config, machines: all } = harnessSite(machines);
  const { ai: _, ...rest } = config;
  const minersW = all.reduce(
    (sum, { model }) => sum + (model.kind === 'asic' ? (model.rungs.at(-1)?.powerW ?? 0) : 0),
    0,
  );
  const capKw = Math.round((minersW * ON_TOP) / BEYOND_CAP / 1_000);
  const root = config.nodes.find((node) => node.parent === undefined);
  const { energy, hash } = config.prices;
  return resolveSite(
    {
      ...rest,
      control: { ...config.control, marginPct: 0.2 },
      nodes: config.nodes.map((node) =>
        node === root
          ? { ...node, capKw, rampUpKwPerMin: capKw * 0.8, rampDownKwPerMin: capKw * 2, trip: [...TRIP] }
          : node,
      ),
      machines: config.machines
        .filter((group) => !group.target.startsWith('gpu:'))
        .map((group) => ({ ...group, periodMs: POLL_MS })),
      meters: config.meters
        .filter((meter) => meter.role === 'node' && meter.node === root?.id)
        .map((meter) => ({ ...meter, periodMs: STEP_S * 1_000 })),
      prices: {
        hash: { ...hash, periodMs: FEED_MS },
        ...(energy && { energy: { ...energy, periodMs: FEED_MS, maxAgeS: 300 } }),
      },
    },
    MODELS,
  );
}

/** What happens to the site of one seed, decided by what its load really is. */
class Course {
  atMs: number | undefined;
  atStake = false;
  wakingShare = 0;
  readonly #site: Site;
  readonly #random: Random;
  readonly #how: Death['how'];
  readonly #capW: number;
  readonly #planned: { readonly atMs: number; readonly happening: Happening }[] = [];
  #woken = false;

  constructor(site: Site, random: Random, how: Death['how']) {
    this.#site = site;
    this.#random = random;
    this.#how = how;
    this.#capW = (site.nodes[0]?.capKw ?? 0) * 1_000;
    // Who is deaf or lies for the whole run would hold room that nobody may use.
    for (const { machine } of defaultMisbehaviour(site)) this.#behave(machine, 'none', 0);
    this.#plan(0, limitOf(site.nodes[0]?.capKw ?? 0));
    this.#plan(LIFTED_MS + random.next() * 10_000, limitOf(undefined));
  }

  react(truth: Truth, atMs: number): Happening[] {
    if (this.atMs === undefined) this.#watch(truth, atMs);
    const due = this.#planned.filter((one) => one.atMs <= atMs);
    for (const one of due) this.#planned.splice(this.#planned.indexOf(one), 1);
    return due.map(({ happening }) => happening);
  }

  #watch(truth: Truth, atMs: number): void {
    const atCap = (truth.nodeW[0] ?? 0) >= AT_CAP * this.#capW && atMs > LIFTED_MS;
    if (atCap && !this.#woken) this.#wakeSome(truth, atMs);
    this.wakingShare = this.#toComeW(truth) / this.#capW;
    this.atStake = atCap && this.wakingShare >= WAKING;
    if (!this.atStake && atMs < LATEST_MS) return;
    this.atMs = atMs;
    this.#plan(atMs, endOf(this.#how));
    const later = this.#resting(truth).filter(() => this.#random.next() < LATER_SHARE);
    for (const { id } of later) this.#wake(id, atMs + this.#random.next() * LATER_MS);
  }

  /** What all who mine have not come to yet, W. */
  #toComeW(truth: Truth): number {
    return this.#site.machines.reduce(
      (sum, machine, place) =>
        sum +
        (truth.modes[place] === 'mine' ? Math.max(0, fullW(machine) - (truth.machineW[place] ?? 0)) : 0),
      0,
    );
  }

  #resting(truth: Truth): Site['machines'] {
    return this.#site.machines.filter(({ index }) => truth.modes[index] === 'sleep');
  }

  #wakeSome(truth: Truth, atMs: number): void {
    this.#woken = true;
    let leftW = (WOKEN_LEAST + this.#random.next() * (WOKEN_MOST - WOKEN_LEAST)) * this.#capW;
    const order = this.#resting(truth)
      .map((machine) => ({ machine, chance: this.#random.next() }))
      .sort((a, b) => a.chance - b.chance);
    for (const { machine } of order) {
      if (leftW <= 0) return;
      leftW -= fullW(machine);
      this.#wake(machine.id, atMs);
    }
  }

  #wake(machine: string, atMs: number): void {
    this.#behave(machine, 'wakes', atMs);
    this.#behave(machine, 'none', atMs + ASKED_MS);
  }

  #behave(machine: string, behaviour: 'wakes' | 'none', atMs: number): void {
    this.#plan(atMs, { kind: 'world', change: { kind: 'machine', machine, behaviour } });
  }

  #plan(atMs: number, happening: Happening): void {
    this.#planned.push({ atMs, happening });
  }
}

const fullW = ({ model }: Site['machines'][number]): number =>
  model.kind === 'asic' ? (model.rungs.at(-1)?.powerW ?? 0) : model.ratedW;

function limitOf(capKw: number | undefined): Happening {
  const limit =
    capKw === undefined
      ? ({ limitKw: undefined, event: 'none' } as const)
      : ({ limitKw: Math.round(capKw * LIMIT_SHARE), event: 'emergency' } as const);
  return { kind: 'world', change: { kind: 'utility-limit', deadlineS: 0, ...limit } };
}

function endOf(how: Death['how']): Happening {
  if (how === 'dies')
    return { kind: 'kill', process: 'controller', disk: 'process', downMs: 10 * WATCHED_MS };
  const forMs = how === 'freezes' ? FROZEN_MS : 10 * WATCHED_MS;
  return { kind: 'partition', client: 'controller', forMs };
}

/** The goal: never above the cap for longer, by the meter, s; and its breaker never opens. */
const LONGEST_S = 10;
export const failed = ({ longestS, tripPct }: Death): boolean => longestS > LONGEST_S || tripPct >= 100;

export interface DeathTask {
  readonly seed: number;
  readonly machines: number;
}

/** Plays one seed. Throws when the meter did not see all of it: what it did not show is not below the cap. */
export async function playDeath({ seed, machines }: DeathTask): Promise<Death> {
  const site = deathSite(machines);
  const how = WAYS[seed % WAYS.length] ?? 'dies';
  const course = new Course(site, seededRandom(seed * 7_919), how);
  const truthW: number[] = [];
  const meterW: number[] = [];
  await runSeed({
    seed,
    machines,
    site,
    timeline: [],
    unsettled: true,
    hours: (LATEST_MS + WATCHED_MS) / 3_600_000,
    react: (truth, atMs) => {
      if (course.atMs !== undefined) truthW.push(truth.nodeW[0] ?? 0);
      if (course.atMs !== undefined && atMs >= course.atMs + WATCHED_MS) return 'end';
      return course.react(truth, atMs);
    },
    onEvent: (_atMs, event) => {
      if (event.event === 'meter' && course.atMs !== undefined) meterW.push(event.powerW);
    },
  });
  if (meterW.length < truthW.length * 0.95)
    throw new Error(`seed ${seed}: the meter showed ${meterW.length} of ${truthW.length} samples`);
  const capW = (site.nodes[0]?.capKw ?? 0) * 1_000;
  const pct = (share: number): number => Math.round(share * 1_000) / 10;
  return {
    seed,
    how,
    atStake: course.atStake,
    loadPct: pct((truthW[0] ?? 0) / capW),
    wakingPct: pct(course.wakingShare),
    peakPct: pct(Math.max(...truthW) / capW),
    ...excessOf(meterW, capW),
    tripPct: pct(mostUsed(site.nodes[0]?.trip ?? [], truthW, capW, STEP_S)),
  };
}

/** `powerW`: one value per STEP_S. */
function excessOf(powerW: readonly number[], capW: number): Pick<Death, 'excessKwS' | 'longestS'> {
  let excessWs = 0;
  let longestS = 0;
  let stretchS = 0;
  for (const watts of powerW) {
    excessWs += Math.max(0, watts - capW) * STEP_S;
    stretchS = watts > capW ? stretchS + STEP_S : 0;
    longestS = Math.max(longestS, stretchS);
  }
  return { excessKwS: Math.round(excessWs / 100) / 10, longestS };
}

/** What half of the values, 99 % of them and all of them do not exceed. */
export function quantiles(values: readonly number[]): {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
} {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}

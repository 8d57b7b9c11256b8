import type { Site, SiteNode } from '../../config/site.ts';
import { METER_MAX_AGE_MS } from '../../protocols/metering/age.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import { makeBucket } from '../../protocols/ramp.ts';
import type { Bucket } from '../../protocols/ramp.ts';
import type { VerbTable } from '../../protocols/mqtt/verbs.ts';
import { MODES } from '../../protocols/reading.ts';
import type { Mode, Reading } from '../../protocols/reading.ts';
import type { Because, Desired } from '../../protocols/mqtt/desired.ts';
import type { Lock } from '../../protocols/mqtt/lockouts.ts';
import type { Action } from '../../protocols/mqtt/status.ts';
import type { AiJob } from '../../protocols/prices/feed.ts';
import type { AgentState } from './agents.ts';
import { auxiliariesOf } from './auxiliaries.ts';
import type { Auxiliaries } from './auxiliaries.ts';
import { emptyBoards } from './boards.ts';
import type { Boards } from './boards.ts';
import type { PoolOrder } from './pool-order.ts';
import type { FromLedger } from './recover.ts';
import type { Left } from './room.ts';
import { siteMetering } from './site-metering.ts';
import type { SiteMetering } from './site-metering.ts';
import { makeCourses } from './courses.ts';
import type { Courses } from './courses.ts';
import { noLimit, noPrice } from './signals.ts';
import type { LimitState, PriceState } from './signals.ts';
import { makeGate } from './witness.ts';
import type { Gate } from './witness.ts';

/** What is wanted of a machine, why, and how far it has come. */
export type Stage = 'steady' | 'sent' | 'acknowledged' | 'observed' | 'failed';

export interface Wish {
  mode: Mode;
  because: Because;
}

/** A change of load under way, followed until the meters show it or its time is over. */
export interface Command {
  readonly id: string;
  readonly signalId: string | undefined;
  readonly owner: string;
  readonly text: string;
  readonly atMs: number;
  readonly sentMonoMs: number;
  readonly machines: readonly number[];
  /** Per metered node: change expected (negative: a shed), meter before, and what it showed at the end. */
  readonly nodes: {
    readonly node: number;
    readonly expectedW: number;
    readonly beforeW: number;
    /** What the other machines below drew by their own word, W. */
    readonly othersW: number;
    /** What earlier commands of the same direction still owe here, W: it must show too before this one is proven. */
    readonly alsoDueW: number;
    /** What the node drew beyond its machines' words, W. */
    readonly unexplainedW: number;
    measuredW: number | undefined;
    done: boolean;
  }[];
  /** Something newer took back what this raise gave, before a meter had shown it. */
  overtaken: boolean;
  readonly expectedW: number;
  readonly deadlineMonoMs: number;
  /** When the last of its machines must have settled; from then on meters and words are compared once. */
  readonly settledMonoMs: number;
  compared: boolean;
  state: 'sent' | 'verifying' | 'verified' | 'observed' | 'failed' | 'superseded';
}

export interface Alarm {
  readonly id: string;
  readonly code: FaultCode;
  readonly subject: string;
  text: string;
  readonly sinceMs: number;
  acknowledgedBy: string | null;
  /** The agent that told it, and in which of its starts; null: the controller judged it. */
  toldBy: { readonly agent: string; readonly boot: number } | null;
}

/** Who released a machine to manual, when and why. */
export interface Manual {
  readonly by: string;
  readonly sinceMs: number;
  readonly reason: string;
}

export interface Hold {
  readonly mode: Mode;
  readonly untilMs: number;
  readonly actor: string;
  readonly reason: string;
}

/** A person's permission to restart below a node, on its way to the start of an agent that was in force then. */
export interface Permit {
  readonly agent: string;
  readonly boot: number | undefined;
  readonly action: Action;
  saidMonoMs: number;
}

/** What prices alone have moved in the window that ends now, and the most they may. */
export interface Share {
  mostW: number;
  /** Something waits for the window to go on, or for a witness. */
  isFull: boolean;
  moved: { atMonoMs: number; watts: number }[];
}

/**
 * All the controller knows. Numbers per machine are columns (NaN or -1: unknown), indexed as `site.machines`;
 * per node as `site.nodes`. Changed by `step` alone.
 */
export interface SiteState {
  readonly site: Site;
  epoch: number;
  generation: number;
  readonly startedMonoMs: number;
  /** False until the first picture of the site is complete enough to command. */
  deciding: boolean;
  busConnected: boolean;
  /** Since when it is. */
  busMonoMs: number;

  /** Index in MODES, -1: unknown. */
  readonly mode: Int8Array;
  readonly modeAtMs: Float64Array;
  readonly heardMonoMs: Float64Array;
  /** By machine, why its agent could not read it the last time; absent: it could. */
  readonly unread: Map<number, FaultCode>;
  readonly powerW: Float64Array;
  readonly hashrateHs: Float64Array;
  readonly temperatureC: Float64Array;
  readonly boards: Boards;
  /** Draw learned per machine in its working mode (mine, or ai for GPU hosts), W. */
  readonly workW: Float64Array;
  /** From how many readings, as far as it matters. */
  readonly workReads: Uint8Array;
  /** What a machine drew when it was last known, W; 0: never known. */
  readonly lastKnownW: Float64Array;
  /** What machines that are lost left in the residuals above them. */
  readonly left: Map<number, Left>;
  /** When its newest reading was taken, on this controller's monotonic clock. */
  readonly modeMonoMs: Float64Array;
  /** Generation of the rack that last changed what is wanted of it: older results are about something else. */
  readonly issuedGeneration: Float64Array;
  readonly wish: (Wish | undefined)[];
  readonly wishMonoMs: Float64Array;
  readonly stage: Stage[];
  /** True while a machine takes commands and does not obey. */
  readonly disobeys: Uint8Array;
  readonly commandOf: (string | undefined)[];
  /** Machines whose agent has not let a command out yet: its own limit, in words. */
  readonly waits: Map<number, string>;

  readonly meterW: Float64Array;
  /** What a node's limits in kVA and A come to by its meter, W; NaN before it has told. */
  readonly learntCapW: Float64Array;
  readonly meterMonoMs: Float64Array;
  /** Everything flowing into a node that no known machine explains, W. */
  readonly residualW: Float64Array;
  readonly residualKnown: Uint8Array;
  /** 1: not learned by this controller, but found in the ledger while machines below are on their way. */
  readonly residualFound: Uint8Array;
  /** What draws beside machines. */
  readonly auxiliaries: Auxiliaries;
  /** What is known of the meters themselves. */
  readonly metering: SiteMetering;
  /** Per node, as its path: the share of its draw that flows there, by the feeds that have voltage. */
  shares: readonly (readonly number[])[];
  /** Feeds without voltage, though what hangs on them and on another one goes on drawing. */
  lostFeeds: ReadonlySet<number>;
  readonly fromLedger: FromLedger;
  solarW: number;
  readonly meterHeard: Float64Array;
  /** What each meter said last, trusted or not, as `site.meters`. */
  readonly meterSaid: (Reading | undefined)[];

  readonly agents: Map<string, AgentState>;
  readonly rackGeneration: Map<string, number>;
  readonly desired: Map<string, Desired>;
  readonly commands: Command[];
  /** What was announced of the site's load. */
  readonly courses: Courses;
  /** Set while commands wait too long for the ledger: the moment up to which their times were held. */
  unwritten: { readonly atMonoMs: number } | undefined;
  readonly alarms: Map<string, Alarm>;
  /** Per revenue meter, by the beginning of an interval (UTC ms): the newest revision that is written down. */
  readonly intervals: Map<string, Map<number, number>>;
  /** Per node, what a shed left unexplained: watts before it and watts missing. */
  readonly shortfalls: Map<number, { readonly beforeW: number; readonly missingW: number }>;
  readonly holds: Map<number, Hold>;
  /** Released to manual: automation leaves them as they are until a person gives them back. */
  readonly manual: Map<number, Manual>;
  /** Every lockout known, ended ones too; and by machine those that lock it. */
  locks: readonly Lock[];
  readonly lockouts: Map<number, readonly Lock[]>;
  /** Per agent, lockout and machine as `<lock> <machine>`: what it says is on its disk. */
  readonly held: Map<string, ReadonlySet<string>>;
  /** Since when an agent owes the confirmation of a lockout, and when they were last said again. */
  readonly unheldMonoMs: Map<string, number>;
  lockoutsSaidMonoMs: number;
  readonly price: PriceState;
  hashpriceUsdPerPhDay: number;
  hashpriceMonoMs: number;
  readonly hashGate: Gate;
  jobs: readonly AiJob[];
  /** Jobs that run by their times: their beginning and end are signals. */
  activeJobs: ReadonlySet<string>;
  /** GPU host (machine index) to the job it serves. */
  readonly jobOf: Map<number, string>;
  readonly limit: LimitState;
  /** Signals that took load and have ended: what they took is being given back. */
  readonly restoring: Set<string>;
  /** Per node, as `site.nodes`. */
  readonly rampUp: readonly Bucket[];
  readonly rampDown: readonly Bucket[];
  readonly priceShare: Share;
  /** Permissions to restart that their agents have not shown to have taken, by id. */
  readonly permits: Map<string, Permit>;
  /** By machine, what it can be told, as its agent says. */
  readonly verbs: Map<number, VerbTable>;
  /** The newest last. */
  readonly poolOrders: PoolOrder[];
  leaseSeq: number;
  lastLeaseMonoMs: number;
  commandCount: number;
  /** What the last allocation adds up to, kW; undefined before the first. */
  planKw: number | undefined;
  planKey: string;
}

export const modeIndex = (mode: Mode): number => MODES.indexOf(mode);
export const modeAt = (index: number): Mode | undefined => MODES[index];

/** A state that knows nothing yet. */
export function emptyState(site: Site, epoch: number, monoMs: number): SiteState {
  const [machines, nodes] = [site.machines.length, site.nodes.length];
  const nan = (length: number): Float64Array => new Float64Array(length).fill(Number.NaN);
  return {
    site,
    epoch,
    generation: 0,
    startedMonoMs: monoMs,
    deciding: false,
    busConnected: false,
    busMonoMs: -Infinity,
    mode: new Int8Array(machines).fill(-1),
    modeAtMs: nan(machines),
    heardMonoMs: new Float64Array(machines).fill(-Infinity),
    powerW: nan(machines),
    hashrateHs: nan(machines),
    temperatureC: nan(machines),
    boards: emptyBoards(machines),
    workW: nan(machines),
    workReads: new Uint8Array(machines),
    lastKnownW: new Float64Array(machines),
    left: new Map(),
    modeMonoMs: new Float64Array(machines).fill(-Infinity),
    issuedGeneration: new Float64Array(machines),
    wish: Array.from({ length: machines }, () => undefined),
    wishMonoMs: new Float64Array(machines).fill(-Infinity),
    stage: Array.from({ length: machines }, () => 'steady'),
    disobeys: new Uint8Array(machines),
    commandOf: Array.from({ length: machines }, () => undefined),
    waits: new Map(),
    meterW: nan(nodes),
    learntCapW: nan(nodes),
    meterMonoMs: new Float64Array(nodes).fill(-Infinity),
    residualW: new Float64Array(nodes),
    ...wiringOf(site),
    residualKnown: new Uint8Array(nodes),
    residualFound: new Uint8Array(nodes),
    fromLedger: { nodes: new Map(), limit: undefined, events: [] },
    solarW: Number.NaN,
    meterHeard: new Float64Array(site.meters.length).fill(-Infinity),
    meterSaid: site.meters.map(() => undefined),
    agents: new Map(),
    rackGeneration: new Map(),
    desired: new Map(),
    commands: [],
    alarms: new Map(),
    shortfalls: new Map(),
    holds: new Map(),
    manual: new Map(),
    locks: [],
    lockouts: new Map(),
    held: new Map(),
    unheldMonoMs: new Map(),
    lockoutsSaidMonoMs: -Infinity,
    price: noPrice(),
    hashpriceUsdPerPhDay: site.config.prices.hash.fallbackUsdPerPhDay,
    hashpriceMonoMs: -Infinity,
    hashGate: makeGate(),
    jobs: [],
    activeJobs: new Set(),
    jobOf: new Map(),
    restoring: new Set(),
    limit: noLimit(),
    rampUp: site.nodes.map(() => makeBucket(monoMs)),
    rampDown: site.nodes.map(() => makeBucket(monoMs)),
    priceShare: { mostW: 0, isFull: false, moved: [] },
    intervals: new Map(),
    ...nothingSaid(),
  };
}

const nothingSaid = (): Pick<
  SiteState,
  | 'poolOrders'
  | 'unread'
  | 'verbs'
  | 'permits'
  | 'leaseSeq'
  | 'lastLeaseMonoMs'
  | 'commandCount'
  | 'planKw'
  | 'planKey'
  | 'courses'
  | 'unwritten'
> => ({
  permits: new Map(),
  unread: new Map(),
  poolOrders: [],
  verbs: new Map(),
  leaseSeq: 0,
  lastLeaseMonoMs: -Infinity,
  commandCount: 0,
  planKw: undefined,
  planKey: '',
  courses: makeCourses(),
  unwritten: undefined,
});

/** No feed lost, and what hangs on the nodes beside machines. */
const wiringOf = (site: Site): Pick<SiteState, 'shares' | 'lostFeeds' | 'auxiliaries' | 'metering'> => ({
  shares: site.nodes.map(({ shares }) => shares),
  lostFeeds: new Set(),
  auxiliaries: auxiliariesOf(site),
  metering: siteMetering(site),
});

export const rootOf = (site: Site): SiteNode => {
  const root = site.nodes[0];
  if (root === undefined) throw new Error('a site has a root node');
  return root;
};

/** A machine is known while it answers: unknown is neither asleep nor at full draw. */
export function isKnown(state: SiteState, machine: number): boolean {
  return (state.mode[machine] ?? -1) >= 0;
}

/** True when this controller may command a machine: by the site file, and because no person has taken it over. */
export const isOurs = (state: SiteState, machine: number): boolean =>
  state.site.machines[machine]?.authority === 'automatic' && !state.manual.has(machine);

/** What the node's meter says while its last good sample is young, W. */
export function meterOf(state: SiteState, node: number, monoMs: number): number | undefined {
  const powerW = state.meterW[node] ?? Number.NaN;
  return Number.isNaN(powerW) || monoMs - (state.meterMonoMs[node] ?? -Infinity) > METER_MAX_AGE_MS
    ? undefined
    : powerW;
}

/** Known to be off: its outlet is open. */
export const isUnpowered = (state: SiteState, machine: number): boolean =>
  state.mode[machine] === modeIndex('off');

/** A machine that rests or works as wanted, by its own reading; without power it rests. */
export function doesAsWanted(state: SiteState, machine: number): boolean {
  const wanted = state.wish[machine]?.mode;
  if (isUnpowered(state, machine)) return wanted === 'sleep' || wanted === 'idle' || wanted === 'off';
  return modeAt(state.mode[machine] ?? -1) === wanted;
}

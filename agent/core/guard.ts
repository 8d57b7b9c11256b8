import type { Model } from '../../config/schema/model.ts';
import type { Mode } from '../../protocols/reading.ts';
import { forget, learn, makeCalibration, unlearn } from '../../protocols/metering/calibration.ts';
import type { Calibration } from '../../protocols/metering/calibration.ts';
import { standInW, WORDS_MARGIN } from '../../protocols/metering/stand-in.ts';
import type { Sum } from '../../protocols/metering/stand-in.ts';
import { heat, tripS, TYPICAL_TRIP } from '../../protocols/trip.ts';
import type { TripPoint } from '../../protocols/trip.ts';
import { drawW, restMode, shedRank } from './draw.ts';

/** One sample this far above the cap is enough. */
const AT_ONCE = 1.05;
const SAMPLES = 2;
/** So is one at which the breaker would open within this time, s. */
const SOON_S = 60;
/** Added to the excess, as a share of the cap, so that the next sample is below it. */
const BEYOND = 0.02;
/** With less than this share of its cap a node says nothing of how its meter compares with what is below it. */
const TELLING = 0.05;
/** Who is not known may make up this share of the sum: it stands in it now as it will then. */
const UNKNOWN_MOST = 0.02;

export interface GuardMachine {
  readonly index: number;
  /** Of its draw, what flows through this node; less than 1 while another feed carries the rest. */
  readonly share: number;
  readonly model: Model;
  readonly mode: Mode | undefined;
  /** Draw by the last reading; the last known one while it does not answer; undefined when never known. */
  readonly presentW: number | undefined;
  /** It is the last known one: firmware that tells no power at rest leaves it at that of its work. */
  readonly isPast?: boolean;
  readonly reachable: boolean;
  readonly controllable: boolean;
  /** It took commands and did not obey: told when nobody else is left, and never counted on. */
  readonly ignores?: boolean;
  /** A command to rest is under way and still within its time. */
  readonly falling: boolean;
  /** A command to rest was given and did not work in its time. */
  readonly stuck: boolean;
}

/** What the guard of one node remembers. */
export interface GuardState {
  /** What the node may carry, W: may change from look to look with how its load uses its limits in kVA and A. */
  capW: number;
  overs: number;
  /** What the node draws beside its machines by declaration, W: changes from look to look too. */
  auxiliaryW: number;
  /** What sources below feed in, W; undefined while one of them is not read: nothing of it may be counted on. */
  fedW: number | undefined;
  /** How much more the node's meter shows than its machines, and the meters below it, while all were good. */
  readonly byMachines: Calibration;
  readonly byMeters: Calibration;
  /** What the machines' words may be off when they stand in, as a share, at least. */
  readonly marginShare: number;
  active: boolean;
  /** How long the node's breaker bears more than its cap. */
  readonly trip: readonly TripPoint[];
  /** Share of that curve used by what flowed up to `loadMs`. */
  used: number;
  loadMs: number | undefined;
  /** What flows now would open the breaker in this time, s. */
  leftS: number;
}

/** Of a guard whose node has no meter to learn from: another node's calibration, and what words may be off beside it. */
export interface Borrowed {
  readonly byMachines: Calibration;
  readonly marginShare: number;
}

export const makeGuard = (
  capW: number,
  trip: readonly TripPoint[] = TYPICAL_TRIP,
  { byMachines, marginShare }: Borrowed = { byMachines: makeCalibration(), marginShare: WORDS_MARGIN },
): GuardState => ({
  capW,
  auxiliaryW: 0,
  overs: 0,
  fedW: 0,
  byMachines,
  marginShare,
  byMeters: makeCalibration(),
  active: false,
  trip,
  used: 0,
  loadMs: undefined,
  leftS: Infinity,
});

/** A load flows, W, and since the look before it did too: counts it against the node's trip curve. */
export function noteLoad(state: GuardState, loadW: number, nowMs: number): void {
  const load = loadW / state.capW;
  state.used = heat(state.trip, state.used, load, (nowMs - (state.loadMs ?? nowMs)) / 1_000);
  state.loadMs = nowMs;
  state.leftS = Math.max(0, 1 - state.used) * tripS(state.trip, load);
}

export interface GuardVerdict {
  readonly loadW: number;
  /** By which it goes: the node's own meter, or what stands in for it. */
  readonly source: 'meter' | Sum['source'];
  /** What stands in; undefined: the meter tells. */
  readonly standIn: Sum | undefined;
  /** Machines to put to rest now, by their index. */
  readonly shed: readonly number[];
  readonly began: boolean;
  readonly ended: boolean;
  /** True when nothing is left that could be shed. */
  readonly short: boolean;
}

/**
 * One look at one node. `meterW`: a new good sample; undefined when the meter is lost: then the meters below it stand
 * for it (`below`), or without any of them the machines' sum. Sheds that are still under way are counted before more is
 * chosen. `nowMs`: monotonic.
 */
export function guardStep(
  state: GuardState,
  meterW: number | undefined,
  machines: readonly GuardMachine[],
  nowMs: number,
  below?: Sum,
): GuardVerdict {
  const sum = machineSum(state, machines);
  if (meterW !== undefined)
    for (const one of [sum, below])
      if (one?.isWhole === true && one.drawnW > state.capW * TELLING)
        learn(calibrationOf(state, one), meterW + one.fedW, one.drawnW, nowMs);
  const stands = below ?? sum;
  const loadW = meterW ?? standInW(stands, calibrationOf(state, stands));
  const [source, standIn] = meterW === undefined ? [stands.source, stands] : (['meter', undefined] as const);
  noteLoad(state, loadW, nowMs);
  state.overs = loadW > state.capW ? state.overs + 1 : 0;
  const wasActive = state.active;
  if (loadW > state.capW * AT_ONCE || state.overs >= SAMPLES || state.leftS < SOON_S) state.active = true;
  else if (loadW <= state.capW) state.active = false;
  const needW = state.active && loadW > state.capW ? loadW - state.capW * (1 - BEYOND) : 0;
  const { shed, short } = choose(needW, machines, state.leftS);
  const [began, ended] = [state.active && !wasActive, wasActive && !state.active];
  return { loadW, source, standIn, shed, short, began, ended };
}

export const calibrationOf = (state: GuardState, { source }: Pick<Sum, 'source'>): Calibration =>
  source === 'meters' ? state.byMeters : state.byMachines;

/** The node's meter is found to be wrong: what was learnt from it is taken back. What meters may lack is known without it. */
export function distrust({ byMachines, byMeters }: GuardState): void {
  unlearn(byMachines);
  forget(byMeters);
}

function machineSum({ auxiliaryW, fedW, marginShare }: GuardState, machines: readonly GuardMachine[]): Sum {
  let drawnW = auxiliaryW;
  let unknownW = 0;
  for (const { reachable, presentW, isPast = false, share, model } of machines) {
    const watts = share * (presentW ?? model.ratedW);
    drawnW += watts;
    if (!reachable || presentW === undefined || isPast) unknownW += watts;
  }
  const isWhole = fedW !== undefined && unknownW <= UNKNOWN_MOST * drawnW;
  return { ...sumOfMachines(drawnW, fedW), errorShare: marginShare, isWhole };
}

/** What machines and auxiliaries of a node say, as what stands in for its meter. */
export const sumOfMachines = (drawnW: number, fedW: number | undefined): Sum => ({
  source: 'machines',
  drawnW,
  fedW: fedW ?? 0,
  errorShare: WORDS_MARGIN,
  lossShare: 0,
  coverage: 0,
  isWhole: false,
});

const gainW = (machine: GuardMachine): number =>
  machine.share * Math.max(0, (machine.presentW ?? 0) - drawW(machine.model, restMode(machine.model)));

/**
 * Worst value first until `needW` is covered; before it, who is at rest before the breaker would open in `leftS`. Who
 * ignored a command before may obey this one: it is told last, and the node is short all the same.
 */
function choose(
  needW: number,
  machines: readonly GuardMachine[],
  leftS: number,
): { shed: number[]; short: boolean } {
  const sure = cover(
    needW,
    machines.filter(({ ignores }) => ignores !== true),
    leftS,
  );
  const doubtful = cover(
    sure.leftW,
    machines.filter(({ ignores }) => ignores === true),
    leftS,
  );
  return { shed: [...sure.shed, ...doubtful.shed], short: sure.leftW > 0 };
}

/** Of these, who is told to cover `needW`, and what is left of it then. */
function cover(
  needW: number,
  machines: readonly GuardMachine[],
  leftS: number,
): { shed: number[]; leftW: number } {
  let leftW = needW;
  for (const machine of machines) if (machine.falling) leftW -= gainW(machine);
  if (needW <= 0 || leftW <= 0) return { shed: [], leftW: 0 };
  const order = machines
    .filter(
      (machine) =>
        machine.controllable && machine.reachable && !machine.falling && !machine.stuck && gainW(machine) > 0,
    )
    .map((machine) => ({
      machine,
      rank: shedRank(machine.model, machine.mode),
      late: machine.model.sleepS > leftS ? 1 : 0,
    }))
    .filter(({ rank }) => rank > 0)
    .sort((a, b) => a.late - b.late || b.rank - a.rank || a.machine.index - b.machine.index);
  const shed: number[] = [];
  for (const { machine } of order) {
    if (leftW <= 0) break;
    shed.push(machine.index);
    leftW -= gainW(machine);
  }
  return { shed, leftW };
}

/** A machine the guard put to rest, and what was in force then. */
export interface Held {
  readonly node: number;
  readonly epoch: number;
  readonly generation: number;
}

/**
 * True when the guard lets a machine go: the controller asks for load in a document newer than the shed, and the
 * node has room for it.
 */
export function released(
  held: Held,
  wanted: {
    readonly epoch: number;
    readonly generation: number;
    readonly load: boolean;
    readonly targetW: number;
  },
  node: { readonly loadW: number | undefined; readonly capW: number },
): boolean {
  const newer =
    wanted.epoch > held.epoch || (wanted.epoch === held.epoch && wanted.generation > held.generation);
  if (!newer || node.loadW === undefined) return false;
  return !wanted.load || node.loadW + wanted.targetW <= node.capW;
}

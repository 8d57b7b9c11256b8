/** The words of the hand-over: states, observations, steps, and the thresholds for a model of host. */
import type { GpuModel } from '../../config/schema/model.ts';
import type { FaultCode } from '../../protocols/faults.ts';

export type GpuOwner = 'mine' | 'ai';
export type GpuWanted = 'ai' | 'mine' | 'idle';
/** `changing`: activating or deactivating, so neither proof of running nor of release. */
export type UnitState = 'active' | 'inactive' | 'changing' | 'unknown';

export type HandoverName =
  | 'UNKNOWN'
  | 'IDLE'
  | 'STARTING_MINING'
  | 'MINING'
  | 'STOPPING_MINING'
  | 'STARTING_AI'
  | 'AI_RUNNING'
  | 'AI_DRAINING'
  | 'AI_STOPPING'
  | 'EXTERNAL'
  | 'FAULT';

/** Processes with a context on any GPU, by whose they are. */
export interface GpuProcesses {
  readonly mine: number;
  readonly ai: number;
  readonly other: number;
}

/** What was seen of a host at one moment. What could not be seen is `unknown` or undefined, never zero. */
export interface GpuObservation {
  /** Monotonic ms of the oldest evidence in it. */
  readonly atMs: number;
  readonly units: { readonly mine: UnitState; readonly ai: UnitState };
  readonly processes: GpuProcesses | undefined;
  /** Most memory in use on any one GPU, MiB. */
  readonly memoryUsedMib: number | undefined;
  /** Sum over the GPUs' own sensors, W; not the host. */
  readonly powerW: number | undefined;
  /** Sum of the enforced power limits, W. */
  readonly limitW: number | undefined;
  /** What the AI service's health page says; undefined when there is none or it was not asked. */
  readonly aiHealthy: boolean | undefined;
  /** Requests the AI service still works on, where that is known. */
  readonly aiInFlight?: number;
}

export interface HandoverProfile {
  /** How long all signs of release must hold together. */
  readonly settleMs: number;
  /** Memory in use on one GPU at which it still counts as free, MiB. */
  readonly memoryFreeMib: number;
  /** GPU power at which all GPUs together count as idle, W. */
  readonly idleMaxW: number;
  /** GPU power from which mining counts as started, W; less under a cap. */
  readonly mineMinW: number;
  readonly aiHealthRequired: boolean;
  readonly startMineMs: number;
  readonly startAiMs: number;
  /** From `stop` to release proven. */
  readonly stopMineMs: number;
  readonly stopAiMs: number;
  /** How long requests in flight may finish before `stop`; 0 leaves draining to the unit's own stop. */
  readonly drainMs: number;
  /** A stop not obeyed is said again after this. */
  readonly repeatMs: number;
  /** Without any observation for so long the state is unknown. */
  readonly unknownAfterMs: number;
  /** Two like observations at least so far apart make an unknown state known. */
  readonly consistentMs: number;
  /** An observation older than this says nothing. */
  readonly maxAgeMs: number;
  /** Two observations further apart than this do not vouch for the time between them. */
  readonly maxGapMs: number;
  /** Wait after the first, second and every later failed start. */
  readonly backoffMs: readonly [number, number, number];
}

export type HandoverStep =
  | { readonly kind: 'start'; readonly unit: GpuOwner }
  | { readonly kind: 'stop'; readonly unit: GpuOwner }
  | { readonly kind: 'close-admission' }
  | { readonly kind: 'open-admission' }
  /** Observe again soon: something is under way or unproven. */
  | { readonly kind: 'read-back' };

export interface HandoverAlarm {
  readonly code: FaultCode;
  readonly text: string;
}

/** Everything remembered between two calls; plain data. */
export interface HandoverState {
  readonly name: HandoverName;
  /** When this state was entered. */
  readonly sinceMs: number;
  readonly deadlineMs: number | undefined;
  /** Time of the first of the unbroken run of observations that all show released GPUs. */
  readonly quietSinceMs: number | undefined;
  /** What the last observations agree on, and since when (UNKNOWN and EXTERNAL). */
  readonly likely: { readonly name: HandoverName; readonly sinceMs: number } | undefined;
  /** Time of the newest observation used. */
  readonly seenMs: number;
  /** When `stop` was said last. */
  readonly stoppedMs: number;
  readonly failures: Readonly<Record<GpuOwner, number>>;
  /** No start before this time, after failed ones. */
  readonly blockedUntilMs: Readonly<Record<GpuOwner, number>>;
  readonly why: string;
}

export interface HandoverResult {
  readonly state: HandoverState;
  readonly steps: readonly HandoverStep[];
  readonly alarm?: HandoverAlarm;
}

/** The GPUs' part of what a host draws more under load: the rest goes to fans and supplies. */
const GPU_SHARE = 0.62;
/** Draw of an idle board as a part of its limit, where the model does not say. */
const IDLE_SHARE = 0.17;

/** The thresholds and deadlines for a model of host; `changes` come from the site file. */
export function handoverProfile(model: GpuModel, changes: Partial<HandoverProfile> = {}): HandoverProfile {
  const idleW = model.gpus * (model.gpuIdleW ?? model.capMaxW * IDLE_SHARE);
  return {
    settleMs: 10_000,
    memoryFreeMib: model.memoryBaselineMib + 256,
    idleMaxW: idleW * 1.2,
    mineMinW: Math.max(idleW * 1.5, 0.6 * (idleW + GPU_SHARE * (model.mineW - model.idleW))),
    aiHealthRequired: false,
    startMineMs: 120_000,
    startAiMs: 300_000,
    stopMineMs: 60_000,
    stopAiMs: 120_000,
    drainMs: 30_000,
    repeatMs: 15_000,
    unknownAfterMs: 30_000,
    consistentMs: 5_000,
    maxAgeMs: 10_000,
    maxGapMs: 30_000,
    backoffMs: [600_000, 1_800_000, 7_200_000],
    ...changes,
  };
}

/** The state of a host nothing is known about yet. */
export function unknownState(nowMs: number, why = 'just started'): HandoverState {
  return {
    name: 'UNKNOWN',
    sinceMs: nowMs,
    deadlineMs: undefined,
    quietSinceMs: undefined,
    likely: undefined,
    seenMs: -Infinity,
    stoppedMs: -Infinity,
    failures: { mine: 0, ai: 0 },
    blockedUntilMs: { mine: -Infinity, ai: -Infinity },
    why,
  };
}

/** A person looked at a host in FAULT: it is reconciled anew, and nothing is started before release is proven again. */
export function acknowledgeFault(state: HandoverState, nowMs: number): HandoverState {
  return state.name === 'FAULT' ? unknownState(nowMs, 'fault acknowledged') : state;
}

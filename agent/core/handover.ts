/**
 * The hand-over of one host's GPUs between a miner and an AI service: who owns them, what to do next, and the
 * proof without which nothing is started. Pure: observation and time in, next state and steps out.
 */
import type { FaultCode } from '../../protocols/faults.ts';
import { judge } from './handover-evidence.ts';
import type { Evidence } from './handover-evidence.ts';
import type {
  GpuObservation,
  GpuOwner,
  GpuWanted,
  HandoverName,
  HandoverProfile,
  HandoverResult,
  HandoverState,
  HandoverStep,
} from './handover-state.ts';

const READ_BACK: HandoverStep = { kind: 'read-back' };
/** The next state and what to do now. `observation`: the newest there is, or undefined when observing failed. */
export function advance(
  state: HandoverState,
  observation: GpuObservation | undefined,
  wanted: GpuWanted,
  nowMs: number,
  profile: HandoverProfile,
): HandoverResult {
  const evidence = judge(state, observation, nowMs, profile);
  const next = remember(state, evidence, profile);
  const context: Context = { state: next, evidence, wanted, nowMs, profile };
  return table[state.name](context);
}

interface Context {
  readonly state: HandoverState;
  readonly evidence: Evidence;
  readonly wanted: GpuWanted;
  readonly nowMs: number;
  readonly profile: HandoverProfile;
}

function remember(state: HandoverState, evidence: Evidence, profile: HandoverProfile): HandoverState {
  if (evidence.kind === 'none') return state;
  const gapMs = evidence.atMs - state.seenMs;
  const unbroken = gapMs <= profile.maxGapMs;
  const quietSinceMs = evidence.quiet
    ? ((unbroken ? state.quietSinceMs : undefined) ?? evidence.atMs)
    : undefined;
  const same = unbroken && evidence.likely !== undefined && state.likely?.name === evidence.likely;
  const likely =
    evidence.likely === undefined
      ? undefined
      : same
        ? state.likely
        : { name: evidence.likely, sinceMs: evidence.atMs };
  return { ...state, quietSinceMs, likely, seenMs: evidence.told ? evidence.atMs : state.seenMs };
}

/** True when this very observation ends an unbroken time of release that is long enough, counted from `fromMs` at the earliest. */
function released({ state, evidence, profile }: Context, fromMs = -Infinity): boolean {
  return (
    evidence.kind === 'fresh' &&
    evidence.quiet &&
    state.quietSinceMs !== undefined &&
    evidence.atMs - Math.max(state.quietSinceMs, fromMs) >= profile.settleMs
  );
}

function enter(
  { state, nowMs }: Context,
  name: HandoverName,
  why: string,
  more: {
    readonly steps?: readonly HandoverStep[];
    readonly deadlineMs?: number;
    readonly alarm?: FaultCode;
  } = {},
): HandoverResult {
  const steps = more.steps ?? [];
  const next: HandoverState = {
    ...state,
    name,
    sinceMs: nowMs,
    deadlineMs: more.deadlineMs,
    likely: undefined,
    stoppedMs: steps.some((step) => step.kind === 'stop') ? nowMs : state.stoppedMs,
    // What was quiet before a start says nothing about the time after it.
    quietSinceMs: steps.some((step) => step.kind === 'start') ? undefined : state.quietSinceMs,
    why,
  };
  return more.alarm === undefined
    ? { state: next, steps }
    : { state: next, steps, alarm: { code: more.alarm, text: why } };
}

function stay({ state }: Context, steps: readonly HandoverStep[] = []): HandoverResult {
  return { state, steps };
}

const START_NAME = { mine: 'STARTING_MINING', ai: 'STARTING_AI' } as const;
const RUN_NAME = { mine: 'MINING', ai: 'AI_RUNNING' } as const;
const STOP_NAME = { mine: 'STOPPING_MINING', ai: 'AI_STOPPING' } as const;

function otherOf(owner: GpuOwner): GpuOwner {
  return owner === 'mine' ? 'ai' : 'mine';
}

function beginStop(context: Context, owner: GpuOwner, why: string, alarm?: FaultCode): HandoverResult {
  const { nowMs, profile } = context;
  const deadlineMs = nowMs + (owner === 'mine' ? profile.stopMineMs : profile.stopAiMs);
  const steps: HandoverStep[] = [{ kind: 'stop', unit: owner }, READ_BACK];
  return enter(
    context,
    STOP_NAME[owner],
    why,
    alarm === undefined ? { steps, deadlineMs } : { steps, deadlineMs, alarm },
  );
}

/** The link has been silent too long for a state that rests on what is seen. */
function blind({ state, nowMs, profile }: Context): boolean {
  return nowMs - Math.max(state.seenMs, state.sinceMs) > profile.unknownAfterMs;
}

function unknown(context: Context): HandoverResult {
  const { state, evidence, profile } = context;
  if (evidence.kind === 'none' || state.likely === undefined) return stay(context, [READ_BACK]);
  const { name, sinceMs } = state.likely;
  if (name === 'EXTERNAL') return enter(context, 'EXTERNAL', 'processes of neither unit hold GPUs');
  if (name === 'FAULT')
    return enter(context, 'FAULT', 'miner and AI service hold the GPUs at once', {
      alarm: 'GPU_NOT_RELEASED',
    });
  if (name === 'IDLE' ? released(context) : evidence.atMs - sinceMs >= profile.consistentMs) {
    return enter(context, name, 'observed');
  }
  return stay({ ...context, state: { ...state, why: evidence.obstacle } }, [READ_BACK]);
}

function idle(context: Context): HandoverResult {
  const { state, evidence, wanted, nowMs, profile } = context;
  if (blind(context))
    return enter(context, 'UNKNOWN', 'nothing seen of the host', { alarm: 'GPU_TELEMETRY_LOST' });
  if (evidence.kind === 'none') return stay(context);
  if (evidence.other) return enter(context, 'EXTERNAL', 'processes of neither unit hold GPUs');
  if (evidence.busy.mine || evidence.busy.ai) {
    const who = evidence.busy.mine ? 'the miner' : 'the AI service';
    return enter(context, 'UNKNOWN', `${who} was started by somebody else`, { alarm: 'SELF_WOKEN' });
  }
  if (evidence.known && !evidence.memoryFree)
    return enter(context, 'UNKNOWN', 'memory is taken and no process shows it');
  if (wanted === 'idle' || nowMs < state.blockedUntilMs[wanted]) return stay(context);
  if (!released(context)) return stay(context, [READ_BACK]);
  const deadlineMs = nowMs + (wanted === 'mine' ? profile.startMineMs : profile.startAiMs);
  const steps: HandoverStep[] = [{ kind: 'start', unit: wanted }, READ_BACK];
  if (wanted === 'ai') steps.push({ kind: 'open-admission' });
  return enter(context, START_NAME[wanted], 'release proven', { steps, deadlineMs });
}

function starting(owner: GpuOwner): (context: Context) => HandoverResult {
  return (context) => {
    const { state, evidence, wanted, nowMs, profile } = context;
    if (evidence.kind === 'fresh' && evidence.atMs > state.sinceMs) {
      const conflict = clash(context, owner);
      if (conflict !== undefined) return conflict;
      if (wanted === owner && evidence.runs[owner]) {
        const proven = enter(context, RUN_NAME[owner], 'start proven');
        return { ...proven, state: { ...proven.state, failures: { ...state.failures, [owner]: 0 } } };
      }
    }
    if (wanted !== owner) return beginStop(context, owner, 'no longer wanted');
    if (state.deadlineMs !== undefined && nowMs < state.deadlineMs) return stay(context, [READ_BACK]);
    const failures = state.failures[owner] + 1;
    const waitMs = profile.backoffMs[Math.min(failures, 3) - 1] ?? profile.backoffMs[2];
    const given = beginStop(context, owner, 'the start could not be proven in time', 'VERB_NOT_OBSERVED');
    const blockedUntilMs = { ...state.blockedUntilMs, [owner]: nowMs + waitMs };
    return {
      ...given,
      state: { ...given.state, failures: { ...state.failures, [owner]: failures }, blockedUntilMs },
    };
  };
}

/** Somebody else came onto GPUs that `owner` holds. */
function clash(context: Context, owner: GpuOwner): HandoverResult | undefined {
  const { evidence, state } = context;
  if (evidence.kind !== 'fresh') return undefined;
  if (evidence.busy[otherOf(owner)]) {
    // What this machine started last gives way; of two that ran, a miner loses nothing that cannot be had again.
    const unit = state.name === 'STARTING_AI' ? 'ai' : 'mine';
    return enter(context, 'FAULT', 'miner and AI service hold the GPUs at once', {
      steps: [{ kind: 'stop', unit }],
      alarm: 'GPU_NOT_RELEASED',
    });
  }
  if (!evidence.other) return undefined;
  // A tenant's processes are not touched; a miner makes room, AI work under contract is left for a person to judge.
  const steps: HandoverStep[] = owner === 'mine' ? [{ kind: 'stop', unit: 'mine' }] : [];
  return enter(context, 'EXTERNAL', `processes of neither unit hold GPUs beside ${owner}`, {
    steps,
    alarm: 'SELF_WOKEN',
  });
}

function running(owner: GpuOwner): (context: Context) => HandoverResult {
  return (context) => {
    const { evidence, wanted, nowMs, profile } = context;
    const conflict = clash(context, owner);
    if (conflict !== undefined) return conflict;
    // A stop is said even blind: it can only lower the load, and what it did is proven afterwards.
    if (wanted !== owner) {
      if (owner === 'mine' || profile.drainMs <= 0) return beginStop(context, owner, 'no longer wanted');
      const deadlineMs = nowMs + profile.drainMs;
      return enter(context, 'AI_DRAINING', 'no longer wanted', {
        steps: [{ kind: 'close-admission' }, READ_BACK],
        deadlineMs,
      });
    }
    if (evidence.kind === 'fresh' && evidence.gone[owner]) {
      return enter(context, 'UNKNOWN', `${owner} stopped by itself`, { alarm: 'SELF_WOKEN' });
    }
    if (blind(context))
      return enter(context, 'UNKNOWN', 'nothing seen of the host', { alarm: 'GPU_TELEMETRY_LOST' });
    return stay(context);
  };
}

function draining(context: Context): HandoverResult {
  const { state, evidence, wanted, nowMs } = context;
  const conflict = clash(context, 'ai');
  if (conflict !== undefined) return conflict;
  if (wanted === 'ai')
    return enter(context, 'AI_RUNNING', 'wanted again', { steps: [{ kind: 'open-admission' }] });
  const late = state.deadlineMs === undefined || nowMs >= state.deadlineMs;
  const empty =
    evidence.kind === 'fresh' &&
    evidence.atMs > state.sinceMs &&
    (evidence.inFlight === 0 || evidence.gone.ai);
  if (empty) return beginStop(context, 'ai', 'drained');
  return late ? beginStop(context, 'ai', 'time to drain is over') : stay(context, [READ_BACK]);
}

function stopping(owner: GpuOwner): (context: Context) => HandoverResult {
  return (context) => {
    const { state, evidence, nowMs, profile } = context;
    if (evidence.kind === 'fresh' && evidence.atMs > state.sinceMs) {
      if (evidence.busy[otherOf(owner)]) {
        return enter(context, 'FAULT', 'the other unit was started before release', {
          alarm: 'GPU_NOT_RELEASED',
        });
      }
      if (evidence.other) return enter(context, 'EXTERNAL', 'processes of neither unit hold GPUs');
      // Only signs that began after the stop prove the release.
      if (released(context, state.sinceMs)) return idle(enterIdle(context));
    }
    if (state.deadlineMs === undefined || nowMs < state.deadlineMs) {
      if (nowMs - state.stoppedMs < profile.repeatMs || evidence.unitDown[owner])
        return stay(context, [READ_BACK]);
      return { state: { ...state, stoppedMs: nowMs }, steps: [{ kind: 'stop', unit: owner }, READ_BACK] };
    }
    // Every sign of release is there and only their time is missing, as when few looks come through: no fault.
    if (evidence.kind === 'fresh' && evidence.quiet) return stay(context, [READ_BACK]);
    if (evidence.kind !== 'fresh' || !evidence.known) {
      return enter(context, 'UNKNOWN', 'release cannot be seen', { alarm: 'GPU_TELEMETRY_LOST' });
    }
    return enter(context, 'FAULT', `GPUs not released: ${evidence.obstacle}`, { alarm: 'GPU_NOT_RELEASED' });
  };
}

function enterIdle(context: Context): Context {
  return { ...context, state: enter(context, 'IDLE', 'release proven').state };
}

function external(context: Context): HandoverResult {
  const { state, evidence, profile } = context;
  if (
    evidence.kind !== 'fresh' ||
    !evidence.told ||
    state.likely === undefined ||
    state.likely.name === 'EXTERNAL'
  )
    return stay(context);
  const goneMs = evidence.atMs - state.likely.sinceMs;
  return goneMs >= profile.consistentMs
    ? enter(context, 'UNKNOWN', 'the other processes left')
    : stay(context, [READ_BACK]);
}

/** Nothing is started out of a fault; what still runs may be told to stop when the site wants the load away. */
function fault(context: Context): HandoverResult {
  const { state, evidence, wanted, nowMs, profile } = context;
  if (wanted !== 'idle' || evidence.kind !== 'fresh' || nowMs - state.stoppedMs < profile.repeatMs)
    return stay(context);
  const units = (['mine', 'ai'] as const).filter((unit) => evidence.unitUp[unit]);
  if (units.length === 0) return stay(context);
  return {
    state: { ...state, stoppedMs: nowMs },
    steps: units.map((unit) => ({ kind: 'stop' as const, unit })),
  };
}

const table: Readonly<Record<HandoverName, (context: Context) => HandoverResult>> = {
  UNKNOWN: unknown,
  IDLE: idle,
  STARTING_MINING: starting('mine'),
  MINING: running('mine'),
  STOPPING_MINING: stopping('mine'),
  STARTING_AI: starting('ai'),
  AI_RUNNING: running('ai'),
  AI_DRAINING: draining,
  AI_STOPPING: stopping('ai'),
  EXTERNAL: external,
  FAULT: fault,
};

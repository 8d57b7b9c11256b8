import type { Model } from '../../config/schema/model.ts';
import type { Authority } from '../../config/schema/site.ts';
import { FAULTS } from '../../protocols/faults.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import type { Owner } from '../../protocols/mqtt/desired.ts';
import type { LeasePhase } from '../../protocols/mqtt/status.ts';
import type { Mode } from '../../protocols/reading.ts';
import { drawW, isAtRest, restMode, satisfies, settleMs } from './draw.ts';

/** A command given up is tried again no sooner than this. */
export const RETRY_MS = 60_000;
/**
 * A rest that never reached its machine, as far as anybody knows, has not been disobeyed: it is tried sooner. Work is
 * not: a machine that heard and only did not say so would begin anew each time, and never get there.
 */
const UNHEARD_RETRY_MS = 15_000;
/** An ambiguous end of a command (no answer) is looked at this long before it is given once more. */
const AMBIGUOUS_MS = 5_000;
const MOST_TRIES = 2;

/** What a machine shall do and by whose word. */
export interface Goal {
  readonly mode: Mode;
  readonly powerW?: number | undefined;
  /** `powerW` is the limit of before one of ours: exactly that. */
  readonly restores?: boolean;
  readonly commandId: string;
  readonly epoch: number;
  readonly generation: number;
  /** All but `desired` act without lease and before everything else. */
  readonly owner: 'desired' | 'guard' | 'fail-safe' | 'protection' | 'lockout';
  /** On whose behalf the controller asks; absent for what the agent does by itself. */
  readonly because?: Owner;
  readonly urgent: boolean;
  /** A beat names this document now. */
  readonly armed: boolean;
  /** Its time is over by the controller's clock: nothing new is started. */
  readonly expired: boolean;
}

/** The last command given to a machine and how far it came. */
export interface Attempt {
  readonly commandId: string;
  readonly mode: Mode;
  readonly powerW: number | undefined;
  readonly verb: string;
  readonly tries: number;
  /** Monotonic ms. */
  readonly dispatchedMs: number;
  /** When the machine had first taken in the same command, and it did not have to be doubted; absent: it has not. */
  readonly firstMs?: number | undefined;
  /** Monotonic ms when the machine had answered, or was waited for no more; absent: it is still being asked. */
  readonly endedMs?: number;
  readonly stage: 'sent' | 'acknowledged' | 'ambiguous' | 'observed' | 'failed';
  readonly why?: FaultCode | undefined;
  /** Until then it may be seen at rest for a restart that we ordered meanwhile: new pools, a reboot. Monotonic ms. */
  readonly restartsUntilMs?: number;
}

/** What the machine showed last. `beganMs`: monotonic, when that reading began. */
export interface Sight {
  readonly mode: Mode | undefined;
  readonly powerLimitW: number | undefined;
  readonly beganMs: number;
  /** False when it stopped answering: nothing is sent into the dark. */
  readonly reachable: boolean;
}

export interface ReconcileInput {
  readonly model: Model;
  readonly goal: Goal | undefined;
  readonly sight: Sight;
  readonly attempt: Attempt | undefined;
  /** What it was last told before the agent started; undefined: nothing, or that is over. */
  readonly toldBefore: Mode | undefined;
  readonly inFlight: boolean;
  readonly authority: Authority;
  /** Who locks it out, in words; undefined: nobody. */
  readonly lockout: string | undefined;
  /** What the plant's inputs hold it back for: nothing that adds load is begun. */
  readonly inhibition: { readonly why: FaultCode; readonly text: string } | undefined;
  readonly phase: LeasePhase;
  readonly nowMs: number;
  /** Time between two readings of a machine under command. */
  readonly pollMs: number;
  readonly canLimit: boolean;
  /** How long the last command may take to show, ms; undefined: as its model says. */
  readonly patienceMs: number | undefined;
  /** Between two power limits that money alone asks for, ms. */
  readonly limitDwellMs: number;
  /** A limit that brings its load down when it does not rest, W; undefined: there is no such way. */
  readonly leastLimitW: number | undefined;
}

/** What is to be done, as plain data. `raise`: it adds load and needs the envelope's consent. */
export type Step =
  | {
      readonly kind: 'verb';
      readonly verb: 'sleep' | 'wake' | 'power-limit' | 'cap';
      readonly argument: number | undefined;
      readonly goal: Goal;
      readonly raise: boolean;
      readonly tries: number;
    }
  | {
      readonly kind: 'handover';
      readonly to: 'ai' | 'mine' | 'idle';
      readonly goal: Goal;
      readonly raise: boolean;
      readonly tries: number;
    };

export type Decision =
  | {
      readonly kind: 'none';
      readonly reason: 'no-goal' | 'busy' | 'lease' | 'expired' | 'unseen' | 'settling' | 'backing-off';
    }
  /** A reading shows the goal. `verb`: what brought it there, `none` when it was there already. */
  | { readonly kind: 'observed'; readonly verb: string }
  | { readonly kind: 'failed'; readonly why: FaultCode; readonly detail: string }
  | { readonly kind: 'refused'; readonly why: FaultCode; readonly detail: string }
  /** `woke`: the machine had been where it should be and left by itself. */
  | { readonly kind: 'dispatch'; readonly step: Step; readonly woke: boolean };

const none = (reason: Extract<Decision, { kind: 'none' }>['reason']): Decision => ({ kind: 'none', reason });

/** One machine, one step: from what is wanted, what a reading shows and what was last commanded. */
export function reconcile(input: ReconcileInput): Decision {
  const { model, goal, sight, authority, nowMs } = input;
  if (goal === undefined) return none('no-goal');
  if (!canBe(model, goal.mode))
    return { kind: 'refused', why: 'VERB_UNSUPPORTED', detail: `${model.id} cannot be set to ${goal.mode}` };
  if (input.inFlight) return none('busy');
  const shown = shows(input, goal);
  if (shown !== undefined) return shown;
  if (authority !== 'automatic')
    return { kind: 'refused', why: 'AUTHORITY_REFUSED', detail: `authority is ${authority}` };
  // Hands in the rack: nothing moves but the one rest that belongs to the lockout itself.
  if (input.lockout !== undefined && goal.owner !== 'lockout')
    return { kind: 'refused', why: 'LOCKED_OUT', detail: input.lockout };
  if (goal.owner === 'desired') {
    if (!goal.armed || input.phase === 'lost') return none('lease');
    if (goal.expired) return none('expired');
  }
  const step = stepOf(input, goal);
  if (step.raise && input.phase !== 'live') return none('lease');
  const { inhibition } = input;
  if (step.raise && inhibition !== undefined)
    return { kind: 'refused', why: inhibition.why, detail: inhibition.text };
  if (!sight.reachable) return none('unseen');
  return pursue(input, goal, step, nowMs);
}

/** Where a reading that counts shows the goal reached; undefined when it does not. */
function shows(
  { model, sight, attempt, nowMs, pollMs, canLimit }: ReconcileInput,
  goal: Goal,
): Decision | undefined {
  if (sight.mode === undefined || !sight.reachable || !satisfies(model, goal.mode, sight.mode))
    return undefined;
  if (attempt === undefined)
    return needsLimit(goal, sight, undefined, canLimit) ? undefined : { kind: 'observed', verb: 'none' };
  // Older than the last command: it shows what was before.
  if (sight.beganMs < attempt.dispatchedMs) return undefined;
  const towards = satisfies(model, goal.mode, attempt.mode);
  // On its way somewhere else by our own word: where it is at this moment proves nothing.
  if (!towards && underWay(attempt) && nowMs < endOf(attempt) + settleMs(model, attempt.mode, pollMs))
    return undefined;
  if (needsLimit(goal, sight, attempt, canLimit)) return undefined;
  const earlier = attempt.stage === 'observed' && attempt.commandId !== goal.commandId;
  return { kind: 'observed', verb: towards && !earlier ? attempt.verb : 'none' };
}

/** A machine that answers slowly may act as late as it answers. */
const endOf = (attempt: Attempt): number => attempt.endedMs ?? attempt.dispatchedMs;

const underWay = (attempt: Attempt): boolean =>
  attempt.stage === 'sent' || attempt.stage === 'acknowledged' || attempt.stage === 'ambiguous';

/** True when the machine runs in the wanted mode but at another power than asked. */
function needsLimit(goal: Goal, sight: Sight, attempt: Attempt | undefined, canLimit: boolean): boolean {
  if (goal.powerW === undefined || !canLimit || (goal.mode !== 'mine' && goal.mode !== 'ai')) return false;
  if (sight.powerLimitW !== undefined)
    return Math.abs(sight.powerLimitW - goal.powerW) > (goal.restores === true ? 0 : goal.powerW * 0.03);
  return attempt?.powerW !== goal.powerW || attempt.stage === 'failed';
}

function canBe(model: Model, mode: Mode): boolean {
  if (model.kind === 'asic') return mode === 'mine' || mode === 'sleep';
  return mode !== 'off';
}

function stepOf({ model, sight, attempt, canLimit }: ReconcileInput, goal: Goal): Step {
  const seen = sight.mode;
  const tries = 1;
  const there = seen !== undefined && satisfies(model, goal.mode, seen);
  const beforeW =
    seen === undefined ? undefined : drawW(model, seen, seen === goal.mode ? sight.powerLimitW : undefined);
  const raise =
    goal.mode !== restMode(model) &&
    goal.mode !== 'sleep' &&
    drawW(model, goal.mode, goal.powerW) > (beforeW ?? 0);
  // Turning a command around that is still under way goes the whole way, whatever the mode shows yet.
  const settled = attempt === undefined || !underWay(attempt) || satisfies(model, goal.mode, attempt.mode);
  if (there && settled && goal.powerW !== undefined && canLimit) {
    const verb = model.kind === 'asic' ? 'power-limit' : 'cap';
    const argument = model.kind === 'asic' ? Math.round(goal.powerW) : perGpuW(model, goal.powerW);
    return { kind: 'verb', verb, argument, goal, raise, tries };
  }
  if (model.kind === 'asic')
    return {
      kind: 'verb',
      verb: goal.mode === 'mine' ? 'wake' : 'sleep',
      argument: undefined,
      goal,
      raise: goal.mode === 'mine' && (raise || !settled),
      tries,
    };
  const to = goal.mode === 'ai' || goal.mode === 'mine' ? goal.mode : 'idle';
  return { kind: 'handover', to, goal, raise: to !== 'idle' && (raise || !settled), tries };
}

/** The limit of one GPU that keeps the whole host at `hostW`, within what the GPU allows. */
function perGpuW(model: Extract<Model, { kind: 'gpu-host' }>, hostW: number): number {
  const restW = Math.max(0, model.aiW - model.gpus * model.capMaxW);
  return Math.round(Math.min(model.capMaxW, Math.max(model.capMinW, (hostW - restW) / model.gpus)));
}

/**
 * The first command, the wait for its effect, one repetition after a reading that shows it did not work, for a rest that
 * does not come another verb to that end, then a rest.
 */
function pursue(input: ReconcileInput, goal: Goal, step: Step, nowMs: number): Decision {
  const { model, sight, attempt, toldBefore, pollMs } = input;
  const dispatch = (tries: number, woke = false): Decision => ({
    kind: 'dispatch',
    step: { ...step, tries },
    woke,
  });
  const same =
    attempt !== undefined && satisfies(model, goal.mode, attempt.mode) && attempt.powerW === limitOf(step);
  if (!same) {
    // A mode that cannot be read may be put to rest, which is safe, but not started.
    if (sight.mode === undefined && (step.raise || wasTold(model, toldBefore, step))) return none('unseen');
    return dwells(input, goal, step) ? none('settling') : dispatch(1);
  }
  if (attempt.stage === 'observed' && !isAtRest(goal.mode) && nowMs < (attempt.restartsUntilMs ?? -Infinity))
    return none('settling');
  if (attempt.stage === 'observed')
    return sight.mode === undefined ? none('unseen') : dispatch(1, sight.beganMs > attempt.dispatchedMs);
  if (attempt.stage === 'failed')
    return nowMs < attempt.dispatchedMs + retryMs(model, goal, attempt) ? none('backing-off') : dispatch(1);
  const patienceMs =
    attempt.stage === 'ambiguous' ? AMBIGUOUS_MS : (input.patienceMs ?? settleMs(model, goal.mode, pollMs));
  if (nowMs < endOf(attempt) + patienceMs) return none('settling');
  // Only a reading that began after the command had been given may say that it did not work.
  if (sight.beganMs <= endOf(attempt) || sight.mode === undefined) return none('unseen');
  if (attempt.tries < MOST_TRIES) return dispatch(attempt.tries + 1);
  const { leastLimitW } = input;
  if (attempt.tries === MOST_TRIES && goal.mode === restMode(model) && leastLimitW !== undefined) {
    const tries = MOST_TRIES + 1;
    const instead: Step = {
      kind: 'verb',
      verb: 'power-limit',
      argument: leastLimitW,
      goal,
      raise: false,
      tries,
    };
    return { kind: 'dispatch', step: instead, woke: false };
  }
  const why = attempt.why ?? 'VERB_NOT_OBSERVED';
  return {
    kind: 'failed',
    why,
    detail: `${triedWords(attempt, goal)}${attempt.firstMs === undefined ? ' without a whole answer' : ''}, the machine shows ${sight.mode}`,
  };
}

/** Given up without the miner having said once that it took it in, and without a refusal: it may not have heard. */
export const isUnheard = (model: Model, { stage, firstMs, why }: Attempt): boolean =>
  model.kind === 'asic' &&
  stage === 'failed' &&
  firstMs === undefined &&
  why !== undefined &&
  FAULTS[why].retry !== 'never';

const retryMs = (model: Model, goal: Goal, attempt: Attempt): number =>
  isAtRest(goal.mode) && isUnheard(model, attempt) ? UNHEARD_RETRY_MS : RETRY_MS;

const triedWords = ({ verb, tries }: Attempt, goal: Goal): string =>
  tries > MOST_TRIES
    ? `${goal.mode} given ${MOST_TRIES} times, then its lowest ${verb}`
    : `${verb} given ${tries} times`;

/** Money alone asks for another limit, and the last one was given a moment ago. */
const dwells = ({ attempt, nowMs, limitDwellMs }: ReconcileInput, goal: Goal, step: Step): boolean =>
  attempt !== undefined &&
  step.kind === 'verb' &&
  step.verb === 'power-limit' &&
  attempt.verb === step.verb &&
  goal.owner === 'desired' &&
  goal.because === 'price' &&
  goal.restores !== true &&
  !goal.urgent &&
  nowMs < attempt.dispatchedMs + limitDwellMs;

/**
 * True when the same was said before the agent's own restart: as without one, only a reading says that it did not
 * work. What protects does not wait for it, and a hand-over does nothing that is done already.
 */
const wasTold = (model: Model, toldBefore: Mode | undefined, { kind, goal }: Step): boolean =>
  kind === 'verb' &&
  goal.owner === 'desired' &&
  toldBefore !== undefined &&
  satisfies(model, goal.mode, toldBefore);

const limitOf = (step: Step): number | undefined =>
  step.kind === 'verb' && (step.verb === 'power-limit' || step.verb === 'cap') ? step.goal.powerW : undefined;

/** The record of a step that goes out now. */
export function attemptOf(step: Step, nowMs: number): Attempt {
  const { goal, tries } = step;
  const verb = step.kind === 'verb' ? step.verb : `${step.to}-handover`;
  return {
    commandId: goal.commandId,
    mode: goal.mode,
    powerW: limitOf(step),
    verb,
    tries,
    dispatchedMs: nowMs,
    stage: 'sent',
  };
}

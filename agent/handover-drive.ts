import type { Clock } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import type { LeasePhase } from '../protocols/mqtt/status.ts';
import { advance } from './core/handover.ts';
import type { GpuObservation, GpuWanted, HandoverName, HandoverStep } from './core/handover-state.ts';
import { canObserve } from './machine.ts';
import type { GpuSide, Machine } from './machine.ts';

const OBSERVE_TIMEOUT_MS = 5_000;
const STEP_TIMEOUT_MS = 20_000;
/** A host is observed this often while something is under way, ms. */
export const PULSE_MS = 2_000;

export interface DriveOptions {
  readonly clock: Clock;
  readonly phase: (machine: Machine) => LeasePhase;
  readonly mayAct: (machine: Machine) => boolean;
  /** A unit was told to start or stop and its host said yes. */
  readonly acknowledged: (machine: Machine) => void;
  /** One owner has given proof of release: units inactive, no processes, memory free, power settled. */
  readonly released: (machine: Machine) => void;
  readonly alarm: (machine: Machine, code: FaultCode, text: string) => void;
  /** Look again soon. */
  readonly again: (machine: Machine) => void;
}

/** What leaves everything as it is: work that runs goes on, what was begun to stop is brought to an end. */
const HOLD: Readonly<Record<HandoverName, GpuWanted>> = {
  UNKNOWN: 'idle',
  IDLE: 'idle',
  STARTING_MINING: 'mine',
  MINING: 'mine',
  STOPPING_MINING: 'idle',
  STARTING_AI: 'ai',
  AI_RUNNING: 'ai',
  AI_DRAINING: 'idle',
  AI_STOPPING: 'idle',
  EXTERNAL: 'idle',
  FAULT: 'mine',
};
const RUNS: Readonly<Record<'ai' | 'mine', readonly HandoverName[]>> = {
  ai: ['STARTING_AI', 'AI_RUNNING'],
  mine: ['STARTING_MINING', 'MINING'],
};

const STOPPING: readonly HandoverName[] = ['STOPPING_MINING', 'AI_STOPPING'];
/** A stop ends in these only with proof of release. */
const PROVEN: readonly HandoverName[] = ['IDLE', 'STARTING_MINING', 'STARTING_AI'];

/** What the hand-over shall aim at now: the target, unless it would start something while nothing may be raised. */
export function aimOf(gpu: Pick<GpuSide, 'state' | 'target'>, mayRaise: boolean): GpuWanted {
  const { target, state } = gpu;
  if (target === undefined) return HOLD[state.name];
  if (target === 'idle' || mayRaise || RUNS[target].includes(state.name)) return target;
  return HOLD[state.name];
}

/** One look at a GPU host and the steps that follow from it. Never rejects. */
export async function pulse(machine: Machine, options: DriveOptions): Promise<void> {
  const { gpu, device } = machine;
  if (gpu === undefined || gpu.busy || !options.mayAct(machine) || !canObserve(device)) return;
  gpu.busy = true;
  try {
    let seen: GpuObservation | undefined;
    try {
      seen = await device.observe(OBSERVE_TIMEOUT_MS);
    } catch {
      seen = undefined;
    }
    const guarded = machine.held !== undefined || machine.resting;
    const aim = aimOf(gpu, guarded || options.phase(machine) === 'live');
    // A breaker does not wait until requests are answered.
    const profile = machine.held === undefined ? gpu.profile : { ...gpu.profile, drainMs: 0 };
    const before = gpu.state.name;
    const result = advance(gpu.state, seen, aim, options.clock.monoMs(), profile);
    gpu.state = result.state;
    if (result.alarm !== undefined)
      options.alarm(machine, result.alarm.code, `${result.state.name}: ${result.alarm.text}`);
    const { name } = gpu.state;
    if (STOPPING.includes(before) && PROVEN.includes(name)) options.released(machine);
    // Whoever lost its work by itself asks anew for the watts it needs.
    if (name !== before && (name === 'UNKNOWN' || name === 'FAULT' || name === 'EXTERNAL'))
      gpu.target = undefined;
    for (const step of result.steps) await carryOut(machine, step, options);
    if (result.steps.length > 0 || name !== before) options.again(machine);
  } finally {
    gpu.busy = false;
  }
}

async function carryOut(machine: Machine, step: HandoverStep, options: DriveOptions): Promise<void> {
  // Admission is closed and opened by the service's own unit: there is nothing to say on these hosts.
  if (step.kind !== 'start' && step.kind !== 'stop') return;
  const verb = machine.device.verbs[`${step.unit}-${step.kind}`];
  if (verb === undefined) {
    options.alarm(machine, 'VERB_UNSUPPORTED', `${step.unit}-${step.kind}`);
    return;
  }
  try {
    await verb(undefined, STEP_TIMEOUT_MS);
    options.acknowledged(machine);
  } catch (error) {
    // What it did is for the next observation to tell; the state machine says a stop again by itself.
    const fault = asFault(error);
    if (fault.retry === 'never') options.alarm(machine, fault.code, fault.detail);
  }
}

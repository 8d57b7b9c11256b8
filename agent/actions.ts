import type { Clock } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Action, Agree, MachineResult, Trip } from '../protocols/mqtt/status.ts';
import type { Alarms } from './alarms.ts';
import { controllerMs, rackPhase } from './core/lease.ts';
import type { LeaseState } from './core/lease.ts';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';

const MOST_KNOWN = 1_000;
const MOST_ANSWERED = 100;
const TIMEOUT_MS = 20_000;

export interface ActionsOptions {
  readonly plant: Plant;
  readonly clock: Clock;
  readonly lease: LeaseState;
  readonly alarms: Alarms;
  readonly result: (rack: string, result: MachineResult) => void;
  /** A person permits the restart after a trip. */
  readonly permit: (trip: Trip) => void;
  /** A person's word on a meter. Rejects when it is not taken. */
  readonly agree: (said: { readonly meter: string; readonly agree: Agree }) => Promise<void>;
}

/** One-shot verbs (reboot, locate) and permissions to restart: each id once, never again by itself. */
export interface Actions {
  take(action: Action): void;
  /** For the heartbeat: the words on meters that were answered. */
  status(): { agreed?: string[] };
}

export function makeActions(options: ActionsOptions): Actions {
  const { plant, clock, lease, alarms } = options;
  const words = makeWords(options);
  const known = new Set<string>();
  const tellLate = makeLate(alarms);

  const say = (
    machine: Machine,
    action: Action,
    stage: MachineResult['stage'],
    ms: number,
    fault?: Fault,
  ): void =>
    options.result(machine.config.rack, {
      commandId: action.id,
      epoch: action.epoch,
      generation: 0,
      machine: machine.config.id,
      verb: action.verb,
      stage,
      ms,
      ...(fault === undefined ? {} : { why: fault.code, detail: fault.detail.slice(0, 300) }),
      atMs: clock.wallMs(),
    });
  const carryOut = async (machine: Machine, action: Action, name: 'reboot' | 'locate'): Promise<void> => {
    const verb = machine.device.verbs[name];
    const beganMs = clock.monoMs();
    try {
      if (verb === undefined) throw new Fault('VERB_UNSUPPORTED', action.verb);
      machine.inFlight = true;
      await verb(undefined, TIMEOUT_MS);
      say(machine, action, 'acknowledged', clock.monoMs() - beganMs);
    } catch (error) {
      say(machine, action, 'failed', clock.monoMs() - beganMs, asFault(error));
    } finally {
      machine.inFlight = false;
    }
  };
  return {
    status: words.status,
    take: (action) => {
      if (known.has(action.id)) return;
      if (known.size >= MOST_KNOWN) known.clear();
      const { verb } = action;
      const isWord = verb === 'permit' || verb === 'agree';
      const late = isWord ? staleness(action, lease, clock.monoMs()) : undefined;
      if (late !== undefined) return tellLate(action, late);
      known.add(action.id);
      if (verb === 'permit') {
        if (action.trip !== undefined) options.permit(action.trip);
        return;
      }
      if (verb === 'agree') {
        if (action.agree !== undefined) void words.hear(action.id, action.machine, action.agree);
        return;
      }
      const machine = plant.byId.get(action.machine);
      if (machine === undefined) {
        alarms.tell('BUS_MESSAGE', action.machine, `${action.verb} for a machine of another agent`);
        return;
      }
      const refusal = refuse(machine, action, lease, clock.monoMs());
      if (refusal === undefined) void carryOut(machine, action, verb);
      else say(machine, action, 'refused', 0, refusal);
    },
  };
}

/** Words that came too soon or too late, and are said again: each is an alarm once. */
function makeLate(alarms: Alarms): (action: Action, late: Fault) => void {
  const refused = new Set<string>();
  return ({ id, verb, machine }, late) => {
    if (refused.size >= MOST_KNOWN) refused.clear();
    const what = verb === 'permit' ? 'the permission to restart' : 'what was agreed of it';
    if (!refused.has(id)) alarms.tell(late.code, machine, `${what} was not taken: ${late.message}`);
    refused.add(id);
  };
}

/** People's words on meters, and which were answered. */
function makeWords(options: Pick<ActionsOptions, 'agree' | 'alarms'>) {
  const answered: string[] = [];
  const hear = async (id: string, meter: string, agree: Agree): Promise<void> => {
    try {
      await options.agree({ meter, agree });
    } catch (error) {
      const fault = asFault(error);
      // Not on the disk yet: the keeper tries again and says so; it is not answered for.
      if (fault.code !== 'AGREE_REFUSED') return;
      options.alarms.tell(fault.code, meter, fault.detail);
    }
    answered.push(id);
    if (answered.length > MOST_ANSWERED) answered.shift();
  };
  return { hear, status: () => (answered.length === 0 ? {} : { agreed: [...answered] }) };
}

/** From another controller than the one in charge, or too late. */
function staleness(action: Action, lease: LeaseState, nowMs: number): Fault | undefined {
  const controller = controllerMs(lease, nowMs);
  if (controller === undefined) return new Fault('LEASE_STALE');
  if (lease.taken?.epoch !== action.epoch) return new Fault('DESIRED_STALE', `epoch ${action.epoch}`);
  return controller >= action.expiresAtMs ? new Fault('DESIRED_EXPIRED') : undefined;
}

/** Why a one-shot verb is not carried out; undefined when it is. */
function refuse(machine: Machine, action: Action, lease: LeaseState, nowMs: number): Fault | undefined {
  if (machine.lockout !== undefined) return new Fault('LOCKED_OUT', machine.lockout.words);
  if (machine.config.authority !== 'automatic')
    return new Fault('AUTHORITY_REFUSED', machine.config.authority);
  if (rackPhase(lease, machine.config.rack, nowMs) !== 'live') return new Fault('LEASE_STALE');
  const late = staleness(action, lease, nowMs);
  if (late !== undefined) return late;
  if (machine.inFlight) return new Fault('ENVELOPE_REFUSED', 'another command is under way');
  if (action.verb === 'reboot' && machine.inhibition !== undefined)
    return new Fault(machine.inhibition.why, machine.inhibition.text);
  // A restarted machine comes up hashing.
  if (action.verb === 'reboot' && (machine.held !== undefined || machine.resting))
    return new Fault('ENVELOPE_REFUSED', 'the guard or the fail-safe holds it at rest');
  return undefined;
}

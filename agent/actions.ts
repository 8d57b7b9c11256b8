import type { Pool } from '../config/pools.ts';
import type { Clock } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Action, Agree, MachineResult, Trip } from '../protocols/mqtt/status.ts';
import type { Alarms } from './alarms.ts';
import { isAtRest, settleMs } from './core/draw.ts';
import { controllerMs, rackPhase } from './core/lease.ts';
import type { LeaseState } from './core/lease.ts';
import { COMMAND_POLL_MS } from './machine.ts';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';
import type { SettingsBook } from './settings-book.ts';
import { AMBIGUOUS, poolsShow } from './verify.ts';

const MOST_KNOWN = 1_000;
const MOST_ANSWERED = 100;
const TIMEOUT_MS = 20_000;
/** A machine begins anew with its pools; full readings come once a minute or so. */
const SHOWN_MS = 600_000;
const LOOK_MS = 2_000;

export interface ActionsOptions {
  readonly plant: Plant;
  readonly clock: Clock;
  readonly lease: LeaseState;
  readonly alarms: Alarms;
  readonly result: (rack: string, result: MachineResult) => void;
  readonly settings: Pick<SettingsBook, 'beforePools' | 'ended'>;
  /** The set of pools that the site file names so, for this machine. Throws a Fault. */
  readonly pools: (machine: Machine, name: string) => readonly Pool[];
  /** A person permits the restart after a trip. */
  readonly permit: (trip: Trip) => void;
  /** A person's word on a meter. Rejects when it is not taken. */
  readonly agree: (said: { readonly meter: string; readonly agree: Agree }) => Promise<void>;
}

/** One-shot verbs (reboot, locate, pools) and permissions to restart: each id once, never again by itself. */
export interface Actions {
  take(action: Action): void;
  /** For the heartbeat: the words on meters that were answered. */
  status(): { agreed?: string[] };
  stop(): void;
}

export function makeActions(options: ActionsOptions): Actions {
  const { plant, clock, lease, alarms } = options;
  const words = makeWords(options);
  const known = new Set<string>();
  const tellLate = makeLate(alarms);

  const say = makeSay(options);
  const watches = new Set<() => void>();
  const carryOut = async (machine: Machine, action: Action): Promise<void> => {
    const beganMs = clock.monoMs();
    try {
      machine.inFlight = true;
      const { isShown, unanswered } = await tell(machine, action, options);
      if (unanswered === undefined) say(machine, action, 'acknowledged', clock.monoMs() - beganMs);
      if (isShown)
        watch(options, watches, isShown, (fault) =>
          say(
            machine,
            action,
            fault ? 'failed' : 'observed',
            clock.monoMs() - beganMs,
            fault && (unanswered ?? fault),
          ),
        );
    } catch (error) {
      say(machine, action, 'failed', clock.monoMs() - beganMs, asFault(error));
    } finally {
      expectRestart(machine, action, clock.monoMs());
      machine.inFlight = false;
    }
  };
  return {
    status: words.status,
    stop: () => {
      for (const cancel of watches) cancel();
    },
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
      if (refusal === undefined) void carryOut(machine, action);
      else say(machine, action, 'refused', 0, refusal);
    },
  };
}

/** What has come of an action, to the controller. */
function makeSay({ clock, result }: Pick<ActionsOptions, 'clock' | 'result'>) {
  return (machine: Machine, action: Action, stage: MachineResult['stage'], ms: number, fault?: Fault): void =>
    result(machine.config.rack, {
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
}

interface ToldOnce {
  /** Whether its settings show it; absent: no setting does. */
  readonly isShown?: () => boolean;
  /** It went out and may have been carried out: only what the machine shows tells. */
  readonly unanswered?: Fault | undefined;
}

/** Tells a machine. Rejects with a Fault. */
async function tell(
  machine: Machine,
  { verb, pools: name = '' }: Action,
  { clock, settings, pools }: ActionsOptions,
): Promise<ToldOnce> {
  const { device } = machine;
  if (verb === 'pools') {
    const set = device.verbs.pools;
    if (set === undefined) throw new Fault('VERB_UNSUPPORTED', verb);
    const wanted = pools(machine, name);
    const before = settings.beforePools(machine, wanted);
    const unanswered = await set(wanted, TIMEOUT_MS, before).then(() => undefined, asFault);
    settings.ended(machine);
    if (unanswered !== undefined && !AMBIGUOUS.includes(unanswered.code)) throw unanswered;
    const sinceMs = clock.monoMs();
    return { isShown: () => poolsShow(machine.device, wanted, sinceMs), unanswered };
  }
  const act = verb === 'reboot' || verb === 'locate' ? device.verbs[verb] : undefined;
  if (act === undefined) throw new Fault('VERB_UNSUPPORTED', verb);
  await act(undefined, TIMEOUT_MS);
  return {};
}

/** That it stands still for a moment after this is our own doing, and no reason to start it again. */
function expectRestart(machine: Machine, { verb }: Action, nowMs: number): void {
  const { attempt, config, device } = machine;
  if (attempt === undefined || (verb !== 'reboot' && verb !== 'pools')) return;
  if (device.verbs[verb]?.facts.restartsMining !== true) return;
  const restartsUntilMs = nowMs + settleMs(config.model, 'mine', COMMAND_POLL_MS);
  machine.attempt = { ...attempt, restartsUntilMs };
}

/** Looks at what the regular readings have told, until it is shown or the time for that is over. */
function watch(
  { clock }: Pick<ActionsOptions, 'clock'>,
  watches: Set<() => void>,
  isShown: () => boolean,
  done: (fault: Fault | undefined) => void,
): void {
  const untilMs = clock.monoMs() + SHOWN_MS;
  const look = (): void => {
    watches.delete(cancel);
    if (isShown()) return done(undefined);
    if (clock.monoMs() >= untilMs)
      return done(new Fault('VERB_NOT_OBSERVED', 'its settings do not show these pools'));
    cancel = clock.after(LOOK_MS, look);
    watches.add(cancel);
  };
  let cancel = clock.after(LOOK_MS, look);
  watches.add(cancel);
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

/** Seen asleep, or told to rest: idle for want of a pool is neither. */
const rests = ({ mode, attempt }: Machine): boolean =>
  mode === 'sleep' || (attempt !== undefined && isAtRest(attempt.mode));

/** Why a one-shot verb is not carried out; undefined when it is. */
function refuse(machine: Machine, action: Action, lease: LeaseState, nowMs: number): Fault | undefined {
  if (machine.lockout !== undefined) return new Fault('LOCKED_OUT', machine.lockout.words);
  if (machine.config.authority !== 'automatic')
    return new Fault('AUTHORITY_REFUSED', machine.config.authority);
  if (rackPhase(lease, machine.config.rack, nowMs) !== 'live') return new Fault('LEASE_STALE');
  const late = staleness(action, lease, nowMs);
  if (late !== undefined) return late;
  if (machine.inFlight) return new Fault('ENVELOPE_REFUSED', 'another command is under way');
  if (action.verb === 'pools' && machine.manual)
    return new Fault('AUTHORITY_REFUSED', 'a person has taken it out of automation’s hands');
  // A restarted machine comes up hashing, and one that is told other pools may restart.
  const restarts = action.verb === 'reboot' || action.verb === 'pools';
  if (restarts && machine.inhibition !== undefined)
    return new Fault(machine.inhibition.why, machine.inhibition.text);
  if (restarts && (machine.held !== undefined || machine.resting))
    return new Fault('ENVELOPE_REFUSED', 'the guard or the fail-safe holds it at rest');
  if (action.verb === 'pools' && machine.device.verbs.pools?.facts.restartsMining === true && rests(machine))
    return new Fault(
      'ENVELOPE_REFUSED',
      'it is at rest, and its firmware may start mining with new pools: say it again when it works',
    );
  return undefined;
}

import { FAULTS } from '../../protocols/faults.ts';
import type { Lease } from '../../protocols/mqtt/desired.ts';
import { JUDGED_BY_CONTROLLER } from '../../protocols/mqtt/status.ts';
import type { AgentEvent } from '../../protocols/mqtt/status.ts';
import { adoptAll } from './adopt.ts';
import { ageAgents } from './agents.ts';
import { acknowledge, clearAlarm, raiseAlarm, setAlarm } from './alarms.ts';
import { takeEnergy } from './energy.ts';
import { issue, restWhereFound, sayAgain } from './commands.ts';
import type { Effect } from './effects.ts';
import type { ControllerEvent, Now } from './events.ts';
import { endOld, takeFrame, takeMissed, takeResult, takeStatus, takeStored } from './ingest.ts';
import { ageHashprice, ageLimit, takeFeedFailure, takeHashprice, takeJobs, turnJobs } from './inputs.ts';
import { noteAnswered, repeatWords, takeMeterWord } from './meter-agree.ts';
import { repeatPermits } from './inhibit.ts';
import { takeObserved, watchContract } from './limit.ts';
import { takeAgreement, takeWitness } from './agree.ts';
import { agePrice, takePrice } from './price.ts';
import { announce } from './notice.ts';
import { holdTimes } from './unwritten.ts';
import { watchIgnored } from './ignored.ts';
import { sayLockouts, takeHeld, watchLockouts } from './lockouts.ts';
import { takeOperator } from './operator.ts';
import { sayPools, takePoolResults, takePools } from './pools.ts';
import { turnShare, release } from './release.ts';
import { learnResiduals } from './room.ts';
import { judgeSite, takeNaming } from './metering.ts';
import { passEpoch, takeForeignBeat } from './rivals.ts';
import { isKnown, meterOf } from './state.ts';
import type { SiteState } from './state.ts';
import { decideTargets } from './target.ts';
import { verify } from './verify.ts';
import type { Targets } from './target.ts';
import { takeVerbs } from './verbs.ts';
import {
  ageMachines,
  ageMeters,
  watchAi,
  watchCaps,
  watchFeeds,
  watchLimit,
  watchReserve,
  watchRestored,
} from './watch.ts';

/** How long the first picture may take before the controller decides with what it has, ms. */
const PICTURE_MS = 15_000;

/** Takes one event: changes the state, returns what is to be done. The only place that changes the state. */
export function step(state: SiteState, event: ControllerEvent, now: Now): Effect[] {
  switch (event.kind) {
    case 'tick':
      holdTimes(state, event.unwrittenSinceMonoMs, now);
      return [...watchReserve(state, event.reserve, now), ...tick(state, now)];
    case 'frame':
      return takeFrame(state, event, now);
    case 'stored':
      return takeStored(state, event);
    case 'missed':
      return takeMissed(state, event);
    case 'status':
      noteAnswered(state, event.status.agreed);
      return [...passEpoch(state, event.status, now), ...takeStatus(state, event.status, now)];
    case 'beat':
      return takeForeignBeat(state, event.beat);
    case 'result':
      return [...takeResult(state, event.result, now), ...takePoolResults(state, event.result, now)];
    case 'observed':
      return decideOn(takeObserved(state, event.observed, now), state, now);
    case 'held-lockouts':
      return takeHeld(state, event, now);
    case 'verbs':
      return takeVerbs(state, event);
    case 'agent-event':
      return takeAgentEvent(state, event.event, now);
    case 'energy':
      return takeEnergy(state, event.energy, now);
    case 'bus':
      return takeBus(state, event.connected, now);
    case 'price':
      return decideOn(takePrice(state, event, now), state, now);
    case 'hashprice':
      return [...takeHashprice(state, event, now), ...clearAlarm(state, now, 'SIGNAL_LOST', 'hashprice')];
    case 'witness':
      return takeWitness(state, event, now);
    case 'agree':
      return [...takeAgreement(state, event, now), ...decide(state, now)];
    case 'meter-word':
      return takeMeterWord(state, event, now);
    case 'ai-demand':
      return decideOn(
        [...takeJobs(state, event.jobs, now), ...clearAlarm(state, now, 'SIGNAL_LOST', 'ai-demand')],
        state,
        now,
      );
    case 'feed-failed':
      return takeFeedFailure(state, event, now);
    case 'operator':
      // Where a machine mines moves no load that is decided on.
      if (event.request.action === 'pools') return takePools(state, event, now);
      return [...takeOperator(state, event, now), ...decide(state, now)];
    case 'alarm-ack':
      return acknowledge(state, now, event.alarmId, event.actor);
  }
}

function takeAgentEvent(state: SiteState, event: AgentEvent, now: Now): Effect[] {
  if (JUDGED_BY_CONTROLLER.includes(event.code)) return [];
  const { code, subject, agent, boot } = event;
  takeNaming(state, event);
  if (event.state === 'cleared') return clearAlarm(state, now, code, subject);
  const effects = raiseAlarm(state, now, code, subject, event.text);
  const alarm = state.alarms.get(`${code}:${subject}`);
  if (alarm !== undefined) alarm.toldBy = { agent, boot };
  const newest = state.agents.get(agent)?.boot ?? boot;
  return boot < newest ? [...effects, ...endOld(state, now, agent, newest)] : effects;
}

/** Everything retained is said again after a reconnect: the broker holds no truth. */
function takeBus(state: SiteState, connected: boolean, now: Now): Effect[] {
  if (connected && !state.busConnected) state.busMonoMs = now.monoMs;
  state.busConnected = connected;
  const alarm = setAlarm(state, now, !connected, 'BUS_OFFLINE', 'broker', FAULTS.BUS_OFFLINE.cause);
  if (!connected) return alarm;
  // Who has hands in a rack is said before anything is decided.
  const told = [...alarm, ...sayLockouts(state)];
  if (!state.deciding) return told;
  return [...told, ...[...state.desired.values()].map((desired): Effect => ({ kind: 'desired', desired }))];
}

/** Once a second: ages everything, learns, decides, beats the lease, asks the meters. */
function tick(state: SiteState, now: Now): Effect[] {
  const effects: Effect[] = [
    ...agePrice(state, now),
    ...ageHashprice(state, now),
    ...ageLimit(state, now),
    ...watchContract(state, now),
    ...turnJobs(state, now),
    ...ageAgents(state, now),
    ...ageMachines(state, now),
    ...watchIgnored(state, now),
    ...ageMeters(state, now),
    ...judgeSite(state, now),
    ...watchCaps(state, now),
    ...watchFeeds(state, now),
    ...watchLockouts(state, now),
    ...repeatPermits(state, now),
    ...repeatWords(state, now),
    ...sayPools(state, now),
  ];
  learnResiduals(state, now.monoMs);
  if (!state.deciding && pictureComplete(state, now)) {
    state.deciding = true;
    effects.push(...adoptAll(state, now));
  }
  // Before the picture is whole, what other machines did meanwhile cannot be told apart.
  if (state.deciding) effects.push(...verify(state, now));
  effects.push(...takeDrift(state, now));
  effects.push(...decide(state, now));
  effects.push(...renew(state, now));
  effects.push(...beat(state, now));
  effects.push(...tellAgents(state, now));
  return effects;
}

/** Beyond its settling time a machine gets this long before its state counts as taken by someone else, ms. */
const DRIFT_MS = 30_000;

/**
 * A machine that should work and rests (its agent's guard shed it, its envelope had no room, it was restarted) is
 * wanted at rest from now on, and its agent is told: so its start is decided, admitted and commanded anew.
 */
function takeDrift(state: SiteState, now: Now): Effect[] {
  if (!state.deciding || !state.busConnected) return [];
  const drifted = state.site.machines.filter((machine) => {
    const index = machine.index;
    const sinceMs = now.monoMs - Math.max(state.wishMonoMs[index] ?? -Infinity, state.startedMonoMs);
    const late = sinceMs >= machine.model.wakeS * 1_500 + DRIFT_MS;
    return late && isKnown(state, index) && state.disobeys[index] === 0;
  });
  const text = 'found at rest although it should work; it is started again when there is room';
  const changed = restWhereFound(
    state,
    drifted.map((machine) => machine.index),
    text,
  );
  for (const machine of changed) state.wishMonoMs[machine] = now.monoMs;
  return changed.length === 0
    ? []
    : sayAgain(state, new Set(changed.map((machine) => state.site.machines[machine]?.rack ?? '')), text, now);
}

/** Agents heard, their first round of polls in, and the inputs known or known to fail. */
function pictureComplete(state: SiteState, now: Now): boolean {
  const waited = now.monoMs - state.startedMonoMs;
  if (!state.busConnected || state.agents.size === 0) return false;
  if (waited >= PICTURE_MS) return true;
  const agents = state.site.agents.every((agent) => state.agents.get(agent)?.online === true);
  const heard = state.site.machines.filter((machine) => isKnown(state, machine.index)).length;
  const price =
    state.site.config.prices.energy === undefined || state.price.heardMonoMs >= state.startedMonoMs;
  const utility = state.site.config.utility === undefined || state.limit.last !== undefined;
  const root = meterOf(state, 0, now.monoMs) !== undefined || state.site.meters.length === 0;
  return agents && price && utility && root && heard >= state.site.machines.length * 0.97;
}

/** What an input led to, and at once a decision when it was a new signal and not the old one heard again. */
function decideOn(effects: Effect[], state: SiteState, now: Now): Effect[] {
  const changed = effects.some((effect) => effect.kind === 'report' && effect.event.event === 'signal');
  return changed ? [...effects, ...decide(state, now)] : effects;
}

/** Decides and commands. Also called at once when a signal changes, not only at the next tick. */
function decide(state: SiteState, now: Now): Effect[] {
  if (!state.deciding || !state.busConnected) return [];
  const targets = decideTargets(state, now);
  state.planKw = targets.planKw;
  turnShare(state, now);
  const effects = announcePlan(state, targets);
  effects.push(...watchAi(state, targets, now));
  // What waits for the disk goes first: else all that is decided meanwhile would go out at once.
  if (state.unwritten === undefined) {
    const released = release(state, targets, now);
    effects.push(...announce(state, released, now), ...issue(state, released, now));
  }
  effects.push(...watchLimit(state, targets, now), ...watchRestored(state, targets, now));
  for (const [machine, target] of targets.of.entries()) {
    const wish = state.wish[machine];
    // The reason may change while the mode stays: the newest one is the one to show.
    if (target !== undefined && wish !== undefined && wish.mode === target.mode)
      wish.because = target.because;
  }
  return effects;
}

/** Says what follows from a changed signal, once per change: the target and the first thing that moves for it. */
function announcePlan(state: SiteState, targets: Targets): Effect[] {
  const key = [
    state.price.signalId,
    state.limit.signalId,
    state.limit.lost,
    state.hashpriceUsdPerPhDay,
    ...state.jobs.map((job) => job.id),
  ].join(' ');
  if (key === state.planKey) return [];
  state.planKey = key;
  const moving = targets.of.find(
    (target, machine) => target !== undefined && target.mode !== state.wish[machine]?.mode,
  );
  const because = moving?.because;
  const signal = because?.signalId === undefined ? {} : { signalId: because.signalId };
  return [
    {
      kind: 'report',
      event: {
        event: 'plan',
        ...signal,
        targetKw: targets.planKw,
        owner: because?.owner ?? 'price',
        reason: because?.text ?? 'nothing has to move',
      },
    },
  ];
}

/** Desired states are renewed at half their life: same generation, later expiry. */
function renew(state: SiteState, now: Now): Effect[] {
  if (!state.deciding || !state.busConnected) return [];
  const lifeMs = state.site.config.lease.expiryS * 1_000;
  const effects: Effect[] = [];
  for (const [rack, desired] of state.desired) {
    if (desired.expiresAtMs - now.wallMs > lifeMs / 2) continue;
    const renewed = { ...desired, issuedAtMs: now.wallMs, expiresAtMs: now.wallMs + lifeMs };
    state.desired.set(rack, renewed);
    effects.push({ kind: 'desired', desired: renewed });
  }
  return effects;
}

function beat(state: SiteState, now: Now): Effect[] {
  if (
    !state.deciding ||
    !state.busConnected ||
    now.monoMs - state.lastLeaseMonoMs < state.site.config.lease.beatMs * 0.9
  )
    return [];
  state.lastLeaseMonoMs = now.monoMs;
  state.leaseSeq++;
  const lease: Lease = {
    v: 1,
    site: state.site.id,
    epoch: state.epoch,
    seq: state.leaseSeq,
    atMs: now.wallMs,
    racks: Object.fromEntries(state.rackGeneration),
    nonces: Object.fromEntries(
      [...state.agents].filter(([, agent]) => agent.nonce !== '').map(([id, agent]) => [id, agent.nonce]),
    ),
  };
  return [{ kind: 'lease', lease }];
}

/** Starts of an agent that one acknowledgement speaks of. */
const MOST_STORED = 64;

/** Tells each agent how far its frames are stored, and what the utility shall see. */
function tellAgents(state: SiteState, now: Now): Effect[] {
  const powerW = meterOf(state, 0, now.monoMs);
  const limit = state.limit;
  const infeasible = state.alarms.has('LIMIT_INFEASIBLE:utility');
  const status =
    limit.limitKw === undefined
      ? 'normal'
      : infeasible || limit.obeyedKw !== limit.limitKw
        ? 'cannot-comply'
        : limit.met
          ? 'complied'
          : 'reducing';
  const utility =
    state.site.config.utility === undefined || powerW === undefined || limit.sequence < 0
      ? {}
      : { utility: { powerKw: powerW / 1_000, status, echoSequence: limit.sequence } as const };
  return [...state.agents].map(([id, agent]) => {
    const { boot, resend } = agent;
    agent.resend = false;
    // An acknowledgement that is lost on the way: of this start it is said every second, of others when they ask again.
    const stored = [...agent.stored.values()].slice(0, MOST_STORED);
    for (const one of stored) if (one.boot !== boot) agent.stored.delete(one.boot);
    return { kind: 'ack', ack: { v: 1, site: state.site.id, agent: id, boot, stored, resend, ...utility } };
  });
}

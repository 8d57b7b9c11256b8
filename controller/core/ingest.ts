import { METER_MAX_AGE_MS } from '../../protocols/metering/age.ts';
import { sentence } from '../../protocols/faults.ts';
import { flowOf, learnCapW } from '../../protocols/loading.ts';
import { modeOf, numberOf } from '../../protocols/reading.ts';
import type { Readings } from '../../protocols/reading.ts';
import type { MachineResult, Result, Status } from '../../protocols/mqtt/status.ts';
import { clearAlarm, raiseAlarm, toldBefore } from './alarms.ts';
import { noteBoards } from './boards.ts';
import { reissue } from './commands.ts';
import { drawW } from './economics.ts';
import type { Effect } from './effects.ts';
import type { ControllerEvent, Now } from './events.ts';
import { takeNaming, trustMeter } from './metering.ts';
import { leaveBehind, recount, takeBack } from './room.ts';
import { doesAsWanted, isKnown, modeAt, modeIndex } from './state.ts';
import { raiseIgnored } from './ignored.ts';
import { indexesOf } from './indexes.ts';
import type { SiteState } from './state.ts';

/** Estimates of when a reading was taken differ by this much at most when the reading is the same. */
const ORDER_SLACK_MS = 500;

/** The quantities that decide anything here: of the others in a frame no object needs to be made. */
export const INGESTED: ReadonlySet<string> = new Set([
  'mode',
  'power',
  'hashrate',
  'temperature.max',
  'boards.count',
  'chips.count',
  'power.active.total',
  'power.apparent.total',
  ...['L1', 'L2', 'L3'].flatMap((phase) => [`current.${phase}`, `voltage.${phase}N`]),
]);

/** One agent's frame: the newest readings of a rack, or of the meters. */
export function takeFrame(
  state: SiteState,
  event: Extract<ControllerEvent, { kind: 'frame' }>,
  now: Now,
): Effect[] {
  // How old the frame was when it came: a backlog after an outage is history, not the present.
  const offsetMs = state.agents.get(event.agent)?.clockOffsetMs ?? now.wallMs - event.tickMs;
  const ageMs = Math.max(0, now.wallMs - event.tickMs - offsetMs);
  if (event.group === 'meters' && ageMs > METER_MAX_AGE_MS) return [];
  const effects: Effect[] = [];
  for (const row of event.rows) {
    if (event.group === 'meters')
      effects.push(...takeMeter(state, row.id, row.readings, { ageMs, tickMs: event.tickMs }, now));
    else effects.push(...takeMachine(state, row.id, row.readings, { ageMs, tickMs: event.tickMs }, now));
  }
  return effects;
}

function takeMachine(
  state: SiteState,
  id: string,
  readings: Readings,
  frame: { readonly ageMs: number; readonly tickMs: number },
  now: Now,
): Effect[] {
  const index = indexesOf(state).machines.get(id);
  if (index === undefined) return [];
  const { ageMs } = frame;
  const said = readings['mode'];
  if (said?.ok === false) state.unread.set(index, said.why);
  else state.unread.delete(index);
  const mode = modeOf(readings);
  if (mode === undefined) {
    // Between two states a machine may not say which it is in, and still say what it draws.
    const power = readings['power'];
    if (power?.ok === true && isKnown(state, index)) {
      state.heardMonoMs[index] = Math.max(state.heardMonoMs[index] ?? -Infinity, now.monoMs - ageMs);
      state.powerW[index] = numberOf(power) ?? Number.NaN;
    } else if (ageMs < METER_MAX_AGE_MS) forgetMachine(state, index);
    return [];
  }
  // Counted on this controller's clock: the agent's own may step.
  const atMonoMs = now.monoMs - ageMs - Math.max(0, frame.tickMs - (said?.atMs ?? frame.tickMs));
  if (atMonoMs < (state.modeMonoMs[index] ?? -Infinity) - ORDER_SLACK_MS) return [];
  const returns = !isKnown(state, index);
  const first = state.modeMonoMs[index] === -Infinity;
  state.mode[index] = modeIndex(mode);
  state.modeMonoMs[index] = atMonoMs;
  state.modeAtMs[index] = now.wallMs - (now.monoMs - atMonoMs);
  state.heardMonoMs[index] = Math.max(state.heardMonoMs[index] ?? -Infinity, now.monoMs - ageMs);
  state.powerW[index] = numberOf(readings['power']) ?? Number.NaN;
  state.hashrateHs[index] = numberOf(readings['hashrate']) ?? Number.NaN;
  state.temperatureC[index] = numberOf(readings['temperature.max']) ?? Number.NaN;
  if (returns) takeBack(state, index, first);
  learnDraw(state, index, now);
  const effects = noteBoards(state, index, readings, now);
  if (state.disobeys[index] === 1 && doesAsWanted(state, index)) {
    state.disobeys[index] = 0;
    state.stage[index] = 'observed';
    effects.push(...clearAlarm(state, now, 'COMMAND_IGNORED', id));
  }
  return effects;
}

/** A machine that does not answer is unknown: neither asleep nor at full draw. */
export function forgetMachine(state: SiteState, index: number): void {
  if (isKnown(state, index)) leaveBehind(state, index);
  state.mode[index] = -1;
  state.powerW[index] = Number.NaN;
  state.hashrateHs[index] = Number.NaN;
}

/** A learned draw is the mean of about so many readings. */
export const WORK_READS = 10;

/** Learns what a machine draws at work once it has settled there. */
function learnDraw(state: SiteState, index: number, now: Now): void {
  const model = state.site.machines[index]?.model;
  const powerW = state.powerW[index] ?? Number.NaN;
  if (model?.kind !== 'asic' || Number.isNaN(powerW) || modeAt(state.mode[index] ?? -1) !== 'mine') return;
  const settledMs = model.wakeS * 1_000;
  if (now.monoMs - (state.wishMonoMs[index] ?? -Infinity) < settledMs) return;
  const leastW = 0.4 * (state.boards.share[index] ?? 1) * drawW(state, index, 'mine');
  // A draw far from the model's is another fault's business; it must not bend the plan.
  if (powerW < leastW || powerW > 1.2 * model.ratedW) return;
  const countedW = drawW(state, index, 'mine');
  const before = state.workW[index] ?? Number.NaN;
  // The mean of the first readings, then slower and slower: one reading alone is off by its noise.
  const reads = Math.min(WORK_READS, (state.workReads[index] ?? 0) + 1);
  state.workReads[index] = reads;
  const workW = Number.isNaN(before) ? powerW : before + (powerW - before) / reads;
  state.workW[index] = workW;
  recount(state, index, workW - countedW);
}

function takeMeter(
  state: SiteState,
  id: string,
  readings: Readings,
  frame: { readonly ageMs: number; readonly tickMs: number },
  now: Now,
): Effect[] {
  const index = indexesOf(state).meters.get(id);
  const meter = state.site.meters[index ?? -1];
  if (index === undefined || meter === undefined) return [];
  const reading = readings['power.active.total'];
  state.meterSaid[index] = reading;
  const powerW = numberOf(reading);
  if (powerW === undefined || reading?.ok !== true || reading.quality !== 'good') return [];
  if (!plausible(state, meter.nodeIndex, meter.role, powerW))
    return raiseAlarm(
      state,
      now,
      'METER_IMPLAUSIBLE',
      id,
      `${id} says ${(powerW / 1_000).toFixed(1)} kW, which ${meter.node} cannot draw; it is not used`,
    );
  const atMonoMs = now.monoMs - frame.ageMs - Math.max(0, frame.tickMs - reading.atMs);
  // Said again, an old value is no newer; within its own period no newer one can be there.
  const newestMs = Math.min(now.monoMs, atMonoMs + meter.periodMs);
  if (now.monoMs - newestMs > METER_MAX_AGE_MS || !trustMeter(state, meter, powerW, atMonoMs)) return [];
  state.meterHeard[index] = atMonoMs;
  if (meter.role === 'generation') state.solarW = powerW;
  else {
    state.meterW[meter.nodeIndex] = powerW;
    learnCap(state, meter.nodeIndex, readings);
    state.meterMonoMs[meter.nodeIndex] = newestMs;
  }
  return [...clearAlarm(state, now, 'METER_IMPLAUSIBLE', id), ...clearAlarm(state, now, 'METER_LOST', id)];
}

/** What a node's limits in kVA and A come to follows from how its load uses them. */
function learnCap(state: SiteState, index: number, readings: Readings): void {
  const node = state.site.nodes[index];
  const flow = flowOf(readings);
  if (node === undefined || flow === undefined) return;
  const before = state.learntCapW[index] ?? Number.NaN;
  const learntW = learnCapW(Number.isNaN(before) ? undefined : before, node, flow);
  if (learntW !== undefined) state.learntCapW[index] = learntW;
}

/** Bounds of physics: a node draws no more than half above its cap, and feeds back only where there is generation. */
function plausible(state: SiteState, node: number, role: string, powerW: number): boolean {
  const capW = (state.site.nodes[node]?.capKw ?? 0) * 1_000;
  const feedsBack =
    role === 'generation' ||
    state.site.meters.some(
      (meter) =>
        meter.role === 'generation' && (state.site.nodes[meter.nodeIndex]?.path ?? []).includes(node),
    );
  const leastW = feedsBack ? -capW : -0.02 * capW;
  return powerW >= leastW && powerW <= 1.5 * capW;
}

/** A start of an agent not heard for this long gives way to any other, ms. */
const AGENT_SILENT_MS = 5_000;

export function takeStatus(state: SiteState, status: Status, now: Now): Effect[] {
  const known = state.agents.get(status.agent);
  // A lower number is an older start, unless that start has gone silent: a box may come back with its clock behind.
  const heardMs = now.monoMs - (known?.heardMonoMs ?? -Infinity);
  if (known !== undefined && known.online && status.boot < known.boot && heardMs < AGENT_SILENT_MS) return [];
  const fresh = known === undefined || known.boot !== status.boot;
  state.agents.set(status.agent, {
    boot: status.boot,
    heardMonoMs: status.online ? now.monoMs : (known?.heardMonoMs ?? -Infinity),
    sinceMonoMs: known?.online === true && !fresh ? known.sinceMonoMs : now.monoMs,
    online: status.online,
    phase: status.online ? status.phase : 'lost',
    nonce: status.online ? status.nonce : '',
    stored: known?.stored ?? new Map(),
    resend: !fresh && (known?.resend ?? false),
    clockOffsetMs: status.online ? now.wallMs - status.atMs : (known?.clockOffsetMs ?? 0),
    spooled: status.spooled,
    guarding: status.guarding,
    inhibitions: status.online ? (status.inhibitions ?? []) : (known?.inhibitions ?? []),
    openOutlets: status.online ? (status.openOutlets ?? []) : (known?.openOutlets ?? []),
    unmovable: status.online
      ? new Set([...(status.quarantined ?? []), ...(status.unable ?? [])])
      : (known?.unmovable ?? new Set()),
    intervals: status.online ? (status.intervals ?? []) : (known?.intervals ?? []),
    host: status.host ?? null,
    reissuedMonoMs: known?.reissuedMonoMs ?? -Infinity,
  });
  const back = backFromFailSafe(state, status, now);
  return [
    ...back,
    ...(fresh ? endOld(state, now, status.agent, status.boot) : []),
    ...status.guarding.flatMap((node) =>
      raiseAlarm(state, now, 'CAP_EXCEEDED', node, `the agent's guard sheds load below ${node}`),
    ),
  ];
}

/** An agent has started anew: what still is it tells again. */
export const endOld = (state: SiteState, now: Now, agent: string, boot: number): Effect[] =>
  toldBefore(state, agent, boot).flatMap(({ code, subject }) => {
    takeNaming(state, { code, subject, state: 'cleared' });
    return clearAlarm(state, now, code, subject);
  });

/** How far what an agent said is stored. */
export function takeStored(state: SiteState, event: Extract<ControllerEvent, { kind: 'stored' }>): Effect[] {
  // One that is not known yet is told with its first status.
  state.agents.get(event.agent)?.stored.set(event.stored.boot, event.stored);
  return [];
}

/** An agent's frame could not be understood: everything it keeps must be said again. */
export function takeMissed(state: SiteState, event: Extract<ControllerEvent, { kind: 'missed' }>): Effect[] {
  const agent = state.agents.get(event.agent);
  if (agent !== undefined) agent.resend = true;
  return [];
}

/** How long the agent gets to take up a new generation before it is said again, ms. */
const REISSUE_MS = 10_000;

/** An agent that is heard again after T2 stays in its fail-safe until a fresh generation releases it. */
function backFromFailSafe(state: SiteState, status: Status, now: Now): Effect[] {
  const agent = state.agents.get(status.agent);
  if (
    agent === undefined ||
    !status.online ||
    status.phase !== 'lost' ||
    !state.deciding ||
    !state.busConnected
  )
    return [];
  // What waits for the disk goes first: each of these would wait behind the one before it.
  if (state.unwritten !== undefined || now.monoMs - agent.reissuedMonoMs < REISSUE_MS) return [];
  agent.reissuedMonoMs = now.monoMs;
  return reissue(state, status.agent, now);
}

/** How far machines have come, as their agent knows it. */
export function takeResult(state: SiteState, result: Result, now: Now): Effect[] {
  if (result.results.some((one) => one.epoch > state.epoch)) return [];
  return result.results.flatMap((one) => takeOne(state, one, now));
}

/** What an agent's own limits say of a command that they hold back. */
const OWN_LIMITS: ReadonlySet<string> = new Set([
  'ENVELOPE_REFUSED',
  'RAMP_WAIT',
  'DWELL_WAIT',
  'CYCLES_SPENT',
  'OUTLET_OPEN',
]);

const ONE_SHOTS: ReadonlySet<string> = new Set(['reboot', 'locate', 'pools']);

function takeOne(state: SiteState, one: MachineResult, now: Now): Effect[] {
  const index = indexesOf(state).machines.get(one.machine);
  const wish = state.wish[index ?? -1];
  // What a person had said once is no answer to what is wanted.
  if (ONE_SHOTS.has(one.verb)) return [];
  if (index === undefined || wish === undefined || one.epoch !== state.epoch) return [];
  // Said again after a reconnect, or late: it is about what was wanted before.
  if (one.generation < (state.issuedGeneration[index] ?? 0)) return [];
  const commandId = state.commandOf[index] ?? one.commandId;
  if (one.stage === 'refused' && one.why !== undefined && OWN_LIMITS.has(one.why))
    state.waits.set(index, `${one.why}: ${one.detail ?? ''}`);
  else state.waits.delete(index);
  if (one.stage === 'acknowledged') {
    if (state.stage[index] === 'sent') state.stage[index] = 'acknowledged';
    return [
      {
        kind: 'report',
        event: { event: 'acknowledged', commandId, machine: one.machine, verb: one.verb, ms: one.ms },
      },
    ];
  }
  if (one.stage === 'observed' && one.mode !== undefined) {
    const wasOpen =
      state.stage[index] === 'sent' ||
      state.stage[index] === 'acknowledged' ||
      state.stage[index] === 'failed';
    if (isKnown(state, index)) {
      state.mode[index] = modeIndex(one.mode);
      if (one.powerW !== undefined) state.powerW[index] = one.powerW;
    }
    if (one.mode === wish.mode || (one.mode === 'off' && doesAsWanted(state, index))) {
      state.stage[index] = 'observed';
      state.disobeys[index] = 0;
    }
    if (!wasOpen) return [];
    const power = one.powerW === undefined ? {} : { powerW: one.powerW };
    return [
      ...clearAlarm(state, now, 'COMMAND_IGNORED', one.machine),
      {
        kind: 'report',
        event: { event: 'observed', commandId, machine: one.machine, mode: one.mode, ...power },
      },
    ];
  }
  if (one.stage === 'observed' || one.why === 'DEVICE_LOST') return [];
  // A refusal of the agent's own limits is followed by the deed when there is room; one of authority is not, nor,
  // for hours, one of a machine that was started often enough.
  if (one.stage === 'refused' && one.why !== 'AUTHORITY_REFUSED' && one.why !== 'CYCLES_SPENT') return [];
  state.stage[index] = 'failed';
  state.disobeys[index] = 1;
  const what = sentence(`${one.machine} was told to ${wish.mode} and does not: ${one.detail ?? one.why}`);
  const text = `${what} Its load was taken elsewhere`;
  return raiseIgnored(state, index, { text, commandId }, now);
}

import { FAULTS } from '../../protocols/faults.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import { METER_MAX_AGE_MS } from '../../protocols/metering/age.ts';
import { heardSinceMs } from './agents.ts';
import { raiseAlarm, setAlarm, subjectsOf } from './alarms.ts';

import type { Effect } from './effects.ts';
import type { LedgerReserve, Now } from './events.ts';
import { forgetMachine } from './ingest.ts';
import { substituteText } from './substitute.ts';
import { estimatedW, limitInForceKw, ownCapW } from './room.ts';
import { doesAsWanted, isKnown, meterOf, rootOf } from './state.ts';
import type { SiteState } from './state.ts';
import type { Targets } from './target.ts';

/** A disk without room for the ledger's whole reserve, and how much of it is left. */
export function watchReserve(state: SiteState, reserve: LedgerReserve | undefined, now: Now): Effect[] {
  if (reserve === undefined) return [];
  const [heldKiB, wantedKiB] = [reserve.heldBytes, reserve.wantedBytes].map((bytes) =>
    Math.floor(bytes / 1_024),
  );
  const text = `the disk has no room: ${heldKiB} of ${wantedKiB} KiB are left to write down what is commanded`;
  return setAlarm(state, now, reserve.short, 'LEDGER_RESERVE', 'ledger', text);
}

/** AI work that a limit or a cap takes down, or keeps from starting, is always said aloud. */
export function watchAi(state: SiteState, targets: Targets, now: Now): Effect[] {
  const names = targets.aiCut.slice(0, 3).map((machine) => state.site.machines[machine]?.id ?? '');
  const text = `${targets.aiCut.length} hosts under contract find no room: ${names.join(', ')}`;
  return setAlarm(state, now, targets.aiCut.length > 0, 'AI_INTERRUPTED', 'ai', text);
}

/** A limit that cannot be met, a limit met, and the end of what a limit took. */
export function watchLimit(state: SiteState, targets: Targets, now: Now): Effect[] {
  const root = rootOf(state.site);
  const infeasible = targets.infeasible.includes(root.index) && limitInForceKw(state) !== undefined;
  const effects = setAlarm(
    state,
    now,
    infeasible,
    'LIMIT_INFEASIBLE',
    'utility',
    `everything that may be shed is shed and the site still needs more than ${limitInForceKw(state) ?? 0} kW`,
  );
  return effects;
}

/** Says when everything that a signal took, as far as it may, works again. */
export function watchRestored(state: SiteState, targets: Targets, now: Now): Effect[] {
  const root = rootOf(state.site);
  const powerW = meterOf(state, root.index, now.monoMs) ?? estimatedW(state)[0] ?? 0;
  return [...state.restoring].flatMap((signalId): Effect[] => {
    const taken = state.commands
      .filter((command) => command.signalId === signalId && command.expectedW < 0)
      .flatMap((command) => command.machines);
    const working = taken.filter((machine) => worksAgain(state, machine, targets));
    const waiting = taken.filter(
      (machine) =>
        isKnown(state, machine) &&
        state.disobeys[machine] === 0 &&
        !working.includes(machine) &&
        !restsForGood(state, machine, targets),
    );
    if (taken.length > 0 && (waiting.length > 0 || working.length === 0)) return [];
    state.restoring.delete(signalId);
    return [{ kind: 'report', event: { event: 'restored', signalId, node: root.id, powerW } }];
  });
}

const worksAgain = (state: SiteState, machine: number, targets: Targets): boolean =>
  doesAsWanted(state, machine) &&
  targets.of[machine]?.mode === state.wish[machine]?.mode &&
  !rests(state, machine);

/** At rest, and wanted so for another reason now. */
const restsForGood = (state: SiteState, machine: number, targets: Targets): boolean =>
  doesAsWanted(state, machine) &&
  rests(state, machine) &&
  targets.of[machine]?.mode === state.wish[machine]?.mode;

function rests(state: SiteState, machine: number): boolean {
  const mode = state.wish[machine]?.mode;
  return mode === 'sleep' || mode === 'idle' || mode === 'off';
}

/** A machine not heard of for some polls is unknown; a whole rack at once is one alarm, not twenty. */
export function ageMachines(state: SiteState, now: Now): Effect[] {
  const effects: Effect[] = [];
  const toldLost = subjectsOf(state, 'DEVICE_LOST');
  for (const rack of state.site.racks) {
    let lost = 0;
    const sinceMs = heardSinceMs(state, state.site.machines[rack.machines[0] ?? -1]?.agent ?? '');
    const isLost = (index: number): boolean =>
      !isKnown(state, index) &&
      now.monoMs - Math.max(state.heardMonoMs[index] ?? -Infinity, sinceMs ?? Infinity) >
        (state.site.machines[index]?.periodMs ?? 10_000) * state.site.config.control.lostAfterPolls;
    for (const index of rack.machines) {
      const period = state.site.machines[index]?.periodMs ?? 10_000;
      const silentMs = now.monoMs - Math.max(state.heardMonoMs[index] ?? -Infinity, state.startedMonoMs);
      if (silentMs > period * state.site.config.control.lostAfterPolls + 2_000) {
        forgetMachine(state, index);
      }
      if (isLost(index)) lost++;
    }
    // Who is seen through an agent that is not heard is not blamed for it: what was said of it before stands.
    if (sinceMs === undefined) continue;
    const whole = lost >= 3 && lost >= rack.machines.length * 0.8;
    effects.push(
      ...setAlarm(
        state,
        now,
        whole,
        'RACK_LOST',
        rack.id,
        () =>
          `${lost} of ${rack.machines.length} machines of ${rack.id} do not answer${whyUnread(state, rack.machines.filter(isLost))}`,
      ),
    );
    for (const index of rack.machines) {
      const id = state.site.machines[index]?.id ?? '';
      const alone = !whole && isLost(index);
      if (alone || toldLost.has(id))
        effects.push(
          ...setAlarm(
            state,
            now,
            alone,
            'DEVICE_LOST',
            id,
            () => `${id} does not answer${whyUnread(state, [index])}`,
          ),
        );
    }
  }
  return effects;
}

/** Silence explains itself. */
const SILENT: readonly FaultCode[] = ['NET_TIMEOUT', 'DEVICE_LOST', 'VALUE_STALE'];

/** What their agent says of machines that it cannot read, where they are all silent for the same reason and it is not silence itself. */
function whyUnread(state: SiteState, machines: readonly number[]): string {
  const [why, ...others] = new Set(machines.map((index) => state.unread.get(index)));
  if (why === undefined || others.length > 0 || SILENT.includes(why)) return '';
  return `: ${why}, ${FAULTS[why].cause}: ${FAULTS[why].next}`;
}

export function ageMeters(state: SiteState, now: Now): Effect[] {
  return state.site.meters.flatMap((meter) => {
    const sinceMs = heardSinceMs(state, meter.agent);
    const silentMs = now.monoMs - Math.max(state.meterHeard[meter.index] ?? -Infinity, sinceMs ?? Infinity);
    return silentMs > METER_MAX_AGE_MS + meter.periodMs
      ? raiseAlarm(
          state,
          now,
          'METER_LOST',
          meter.id,
          `${meter.id} (${meter.node}) gives no usable value; control goes on from ${substituteText(state, meter.nodeIndex, now.monoMs)}`,
        )
      : [];
  });
}

/** Feeds of what hangs on two of them: which has no voltage, and what the other one carries now. */
export function watchFeeds(state: SiteState, now: Now): Effect[] {
  const feeds = new Set(
    state.site.nodes.flatMap((node) => (node.feeds.length > 1 ? node.feeds.map((feed) => feed.node) : [])),
  );
  return [...feeds].flatMap((feed) => {
    const id = state.site.nodes[feed]?.id ?? '';
    const text = `${id} carries nothing: what hangs on it and on another feed draws all from there`;
    return setAlarm(state, now, state.lostFeeds.has(feed), 'FEED_LOST', id, text);
  });
}

export function watchCaps(state: SiteState, now: Now): Effect[] {
  return state.site.nodes.flatMap((node) => {
    const meterW = meterOf(state, node.index, now.monoMs);
    const guarding = [...state.agents.values()].some((agent) => agent.guarding.includes(node.id));
    // A node whose meter was lost above its cap is above it until somebody sees otherwise.
    const blind = meterW === undefined && state.alarms.has(`CAP_EXCEEDED:${node.id}`);
    const capW = ownCapW(state, node);
    const above = guarding || blind || (meterW !== undefined && meterW > capW);
    return setAlarm(
      state,
      now,
      above,
      'CAP_EXCEEDED',
      node.id,
      () => `${node.id} draws ${((meterW ?? 0) / 1_000).toFixed(1)} kW of ${(capW / 1_000).toFixed(1)} kW`,
    );
  });
}

/** Meters against each other where they hang on several agents, and what stands in for one that cannot be used. */
import type { SiteMeter } from '../../config/site.ts';
import { findingText, isDistrusted, pardonWhat } from '../../protocols/metering/finding.ts';
import { keptMeterSchema, meterPrint, pardonText } from '../../protocols/metering/kept-meter.ts';
import { endPardons, keptOf, restoreMeter } from '../../protocols/metering/pardon.ts';
import { judgeMeters, noteMeter, noteOwn } from '../../protocols/metering/reconcile.ts';
import type { Words } from '../../protocols/metering/windows.ts';
import type { AgentEvent } from '../../protocols/mqtt/status.ts';
import { raiseAlarm, setAlarm } from './alarms.ts';
import { believedW } from './economics.ts';
import type { Effect } from './effects.ts';
import type { LedgerRecord, Now } from './events.ts';
import { isOff } from './inhibit.ts';
import { onItsWay } from './room.ts';
import type { KeptMeter } from '../../protocols/metering/kept-meter.ts';
import { WORDS_MS } from './site-metering.ts';
import { forgetNode, NAMED } from './substitute.ts';
import { isKnown, modeAt } from './state.ts';
import type { SiteState } from './state.ts';

/** Of so many machines that say they rest, one may not. */
const LIARS_IN = 20;

/** A good sample of a meter; false when the others contradict it and it may not be used. */
export function trustMeter(state: SiteState, meter: SiteMeter, powerW: number, atMonoMs: number): boolean {
  const { reconciler } = state.metering;
  noteMeter(reconciler, meter.index, powerW, atMonoMs);
  return !isDistrusted(reconciler.found.get(meter.index));
}

/** An agent names a meter of its own, or takes that back: what was learnt from a wrong one is not believed. */
export function takeNaming(
  state: SiteState,
  { code, subject, state: change }: Pick<AgentEvent, 'code' | 'subject' | 'state'>,
): void {
  const meter = NAMED.includes(code) ? state.site.meters.find(({ id }) => id === subject) : undefined;
  if (meter === undefined || meter.role !== 'node') return;
  if (change === 'raised') forgetNode(state, meter.nodeIndex);
  else if (!NAMED.some((one) => one !== code && state.alarms.has(`${one}:${subject}`)))
    state.metering.named.delete(meter.nodeIndex);
}

/** Once a second: what the meters of several agents say of each other. */
export function judgeSite(state: SiteState, now: Now): Effect[] {
  const { metering } = state;
  const { reconciler } = metering;
  if (reconciler.equations.length === 0) return [];
  if (now.monoMs - metering.wordsMonoMs >= WORDS_MS) {
    metering.wordsMonoMs = now.monoMs;
    noteOwn(reconciler, wordsByNode(state, now.monoMs));
  }
  const before = new Map(reconciler.found);
  const isOver = endPardons(reconciler, now.wallMs);
  const isNews = judgeMeters(reconciler, now.monoMs, state.lostFeeds.size > 0);
  if (!isNews && !isOver && !metering.isUnsaid) return [];
  const isAll = isOver || metering.isUnsaid;
  metering.isUnsaid = false;
  const dropped = sayDropped(state, now);
  const changed = state.site.meters.filter(
    ({ index }) => isAll || reconciler.found.get(index) !== before.get(index),
  );
  return [...dropped, ...sayFindings(state, changed, now)];
}

function sayDropped(state: SiteState, now: Now): Effect[] {
  const ids = [...state.metering.dropped];
  state.metering.dropped.clear();
  const text =
    'what stood against it before the restart is dropped: the site file says something else of it or of those around it';
  return ids.flatMap((id) => raiseAlarm(state, now, 'METER_CHANGED', id, text));
}

/** What the controller knows of these meters now: said as alarms, and written down so that a restart does not forget it. */
export function sayFindings(state: SiteState, meters: readonly SiteMeter[], now: Now): Effect[] {
  const { metering } = state;
  const { reconciler } = metering;
  return meters.flatMap((meter): Effect[] => {
    const { index, id, nodeIndex, role } = meter;
    const finding = reconciler.found.get(index);
    const kept = keptNow(state, meter);
    const before = metering.written.get(id);
    if (before === undefined && kept.finding === undefined && kept.pardons === undefined) return [];
    if (role === 'node' && isDistrusted(finding)) forgetNode(state, nodeIndex);
    const isSaid = finding !== undefined && finding.pardon === undefined;
    if (!isSaid) metering.named.delete(nodeIndex);
    const text = isSaid ? findingText(finding, reconciler.meters) : '';
    const [pardon] = kept.pardons ?? [];
    const agreed =
      pardon === undefined ? '' : pardonText(pardonWhat(pardon, index, state.site.meters), pardon);
    const isNew = JSON.stringify(kept) !== before;
    metering.written.set(id, JSON.stringify(kept));
    const record: LedgerRecord = { t: 'meter', atMs: now.wallMs, meter: id, kept };
    return [
      ...(isNew ? [{ kind: 'ledger' as const, records: [record], after: [] }] : []),
      ...setAlarm(state, now, isSaid && finding.kind !== 'drift', 'METER_RATIO', id, text),
      ...setAlarm(state, now, isSaid && finding.kind === 'drift', 'METER_DRIFT', id, text),
      ...setAlarm(state, now, agreed !== '', 'METER_AGREED', id, agreed),
    ];
  });
}

function keptNow({ metering }: SiteState, meter: SiteMeter): KeptMeter {
  const { finding, pardon } = keptOf(metering.reconciler, meter.index);
  return {
    as: meterPrint(meter),
    ...(finding !== undefined && { finding }),
    ...(pardon !== undefined && { pardons: [pardon] }),
  };
}

/** What the ledger says of a meter, in the order of its lines: the last one holds, unless it is another meter by now. */
export function recoverMeters(
  state: SiteState,
  lines: readonly Extract<LedgerRecord, { t: 'meter' }>[],
): void {
  const { metering } = state;
  const last = new Map(lines.map((line) => [line.meter, line.kept]));
  for (const meter of state.site.meters) {
    const line = last.get(meter.id);
    if (line === undefined) continue;
    const { data: kept } = keptMeterSchema.safeParse(line);
    // Also of one that is dropped: that nothing stands any more is written down.
    metering.written.set(meter.id, JSON.stringify(line));
    metering.isUnsaid = true;
    const isSame = kept?.as === meterPrint(meter);
    const isWhole = isSame && restoreMeter(metering.reconciler, meter.index, kept);
    const isNothing = kept !== undefined && kept.finding === undefined && kept.pardons === undefined;
    if (!isWhole && !isNothing) metering.dropped.add(meter.id);
    if (meter.role === 'node' && isDistrusted(metering.reconciler.found.get(meter.index)))
      metering.named.add(meter.nodeIndex);
  }
}

function wordsByNode(state: SiteState, monoMs: number): Words[] {
  const words = state.site.nodes.map(() => ({ machinesW: 0, unknownW: 0, doubtW: 0, auxiliaryW: 0 }));
  const resting = state.site.nodes.map(() => 0);
  for (const { index, nodeIndex, model } of state.site.machines) {
    const own = words[nodeIndex];
    if (own === undefined || isOff(state, index)) continue;
    if (!isKnown(state, index) || onItsWay(state, index, monoMs)) {
      own.unknownW += model.ratedW;
      continue;
    }
    own.machinesW += believedW(state, index);
    const mode = modeAt(state.mode[index] ?? -1);
    if (mode === 'mine' || mode === 'ai') continue;
    if ((resting[nodeIndex] = (resting[nodeIndex] ?? 0) + 1) % LIARS_IN === 1) own.doubtW += model.ratedW;
  }
  const { drawers, heat } = state.auxiliaries;
  for (const [place, { node, fixedW, perItW }] of drawers.entries()) {
    const own = words[node];
    if (own !== undefined) own.auxiliaryW += fixedW + perItW * (heat.itW[place] ?? 0);
  }
  return words;
}

/** Meters against each other where they hang on several agents, and what stands in for one that cannot be used. */
import type { SiteMeter } from '../../config/site.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import { forget } from '../../protocols/metering/calibration.ts';
import { findingText } from '../../protocols/metering/finding.ts';
import { judgeMeters, noteMeter, noteOwn } from '../../protocols/metering/reconcile.ts';
import type { Words } from '../../protocols/metering/windows.ts';
import type { AgentEvent } from '../../protocols/mqtt/status.ts';
import { setAlarm } from './alarms.ts';
import { believedW } from './economics.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import { isOff } from './inhibit.ts';
import { onItsWay } from './room.ts';
import { WORDS_MS } from './site-metering.ts';
import { isKnown, modeAt } from './state.ts';
import type { SiteState } from './state.ts';

/** Of so many machines that say they rest, one may not. */
const LIARS_IN = 20;
/** What an agent says of a meter that it does not use. */
const NAMED: readonly FaultCode[] = ['METER_WIRING', 'METER_RATIO'];

/** A good sample of a meter; false when the others contradict it and it may not be used. */
export function trustMeter(state: SiteState, meter: SiteMeter, powerW: number, atMonoMs: number): boolean {
  const { reconciler } = state.metering;
  noteMeter(reconciler, meter.index, powerW, atMonoMs);
  return reconciler.found.get(meter.index)?.isDistrusted !== true;
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

function forgetNode(state: SiteState, node: number): void {
  state.metering.named.add(node);
  state.residualKnown[node] = 0;
  const calibration = state.metering.calibrations.get(node);
  if (calibration !== undefined) forget(calibration);
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
  if (!judgeMeters(reconciler, now.monoMs, state.lostFeeds.size > 0)) return [];
  return state.site.meters.flatMap(({ index, id, nodeIndex, role }): Effect[] => {
    const finding = reconciler.found.get(index);
    if (finding === undefined && !before.has(index)) return [];
    if (finding?.isDistrusted === true && before.get(index)?.isDistrusted !== true && role === 'node')
      forgetNode(state, nodeIndex);
    if (finding === undefined) metering.named.delete(nodeIndex);
    const text = finding === undefined ? '' : findingText(finding, reconciler.meters);
    const isDrift = finding?.kind === 'drift';
    return [
      ...setAlarm(state, now, finding !== undefined && !isDrift, 'METER_RATIO', id, text),
      ...setAlarm(state, now, isDrift, 'METER_DRIFT', id, text),
    ];
  });
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

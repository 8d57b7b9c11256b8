import { balanceOfSite, mountingOf } from '../protocols/metering/site-balance.ts';
import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import type { FaultCode } from '../protocols/faults.ts';
import type { Equation } from '../protocols/metering/balance.ts';
import { findingText } from '../protocols/metering/finding.ts';
import type { MeterFinding } from '../protocols/metering/finding.ts';
import { judgeMeters, makeReconciler, noteMeter, noteOwn } from '../protocols/metering/reconcile.ts';
import type { Words } from '../protocols/metering/windows.ts';
import { makeWiring, noteWiring, phasesOf, wiringText } from '../protocols/metering/wiring.ts';
import type { Wiring } from '../protocols/metering/wiring.ts';
import { numberOf } from '../protocols/reading.ts';
import type { Readings } from '../protocols/reading.ts';
import { uncertain } from './readings.ts';
import type { Alarms } from './alarms.ts';
import { isAtRest } from './core/draw.ts';
import { distrust } from './core/guard.ts';
import { isOff } from './machine.ts';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';

export interface MeteringOptions {
  readonly site: Site;
  readonly agent: string;
  readonly plant: Plant;
  readonly clock: Pick<Clock, 'monoMs'>;
  readonly alarms: Pick<Alarms, 'raise' | 'clear'>;
}

/** Judges the agent's own meters by their phases and by each other, before anybody acts on what they say. */
export interface Metering {
  /** The readings of a meter (its place in `Plant.meters`) as they may be used. */
  take(index: number, readings: Readings, beganMs: number): Readings;
  /** Called once a second. */
  tick(): void;
}

const POWER = 'power.active.total';
/** How often machines are asked for their words, in ticks of a second. */
const WORDS_EVERY = 5;
/** A word older than this many polls and the rest is none. */
const OLD_POLLS = 1.5;
const OLD_MORE_MS = 5_000;
/** Of so many machines that say they rest, one may not. */
const LIARS_IN = 20;

export function makeMetering(options: MeteringOptions): Metering {
  const { site, plant, clock, agent } = options;
  const mountings = plant.meters.map(({ config }) => mountingOf(site, config));
  const wirings = plant.meters.map(makeWiring);
  const { nodes, meters } = balanceOfSite(site);
  const periodsMs = plant.machines.map(({ config }) => config.periodMs);
  const reconciler = makeReconciler(nodes, meters, {
    ownLagMs: Math.max(0, ...periodsMs) + WORDS_EVERY * 1_000,
    judged: (equation) => isOwn(site, agent, equation),
  });
  let ticks = 0;

  const say = (index: number): void => {
    const { id = '', index: at = -1 } = plant.meters[index]?.config ?? {};
    for (const [code, text] of wordsOf(site, wirings[index]?.found, reconciler.found.get(at)))
      if (text === undefined) options.alarms.clear(code, id, 'its phases and the other meters agree again');
      else options.alarms.raise(code, id, text);
  };
  return {
    take: (index, readings, beganMs) => {
      const meter = plant.meters[index];
      const wiring = wirings[index];
      const mounting = mountings[index];
      const power = readings[POWER];
      if (meter === undefined || wiring === undefined || mounting === undefined || power === undefined)
        return readings;
      const isMiswired = noteWiring(wiring, phasesOf(readings), mounting, beganMs);
      const isGood = power.ok && power.quality === 'good' && !isMiswired;
      noteMeter(reconciler, meter.config.index, isGood ? numberOf(power) : undefined, beganMs);
      if (isMiswired) say(index);
      const finding = reconciler.found.get(meter.config.index);
      const miswired = isMiswired ? (wiring.now ?? wiring.found) : undefined;
      const why =
        miswired !== undefined
          ? wiringText(miswired)
          : finding?.isDistrusted === true
            ? findingText(finding, meters)
            : undefined;
      return why === undefined ? readings : { ...readings, [POWER]: uncertain(power, why) };
    },
    tick: () => {
      const nowMs = clock.monoMs();
      if (ticks++ % WORDS_EVERY === 0) noteOwn(reconciler, wordsByNode(options, nowMs));
      const before = new Map(reconciler.found);
      if (judgeMeters(reconciler, nowMs, plant.lostFeeds.size > 0))
        for (const meter of plant.meters) {
          const finding = reconciler.found.get(meter.config.index);
          const guard = meter.node === undefined ? undefined : plant.nodes[meter.node]?.guard;
          if (finding?.isDistrusted !== true || guard === undefined) continue;
          if (before.get(meter.config.index)?.isDistrusted !== true) distrust(guard);
        }
      for (const index of plant.meters.keys()) say(index);
    },
  };
}

/** Everything that stands in it is this agent's own. */
export const isOwn = (site: Site, agent: string, { meter, parts, own }: Equation): boolean =>
  [meter, ...parts.map((part) => part.meter)].every((each) => site.meters[each]?.agent === agent) &&
  [...own.keys()].every((node) => site.nodes[node]?.agent === agent);

/** What is said of a meter, by code; undefined: nothing of that kind. */
function wordsOf(
  site: Site,
  wiring: Wiring | undefined,
  finding: MeterFinding | undefined,
): readonly (readonly [FaultCode, string | undefined])[] {
  const text = finding === undefined ? undefined : findingText(finding, site.meters);
  return [
    ['METER_WIRING', wiring === undefined ? undefined : wiringText(wiring)],
    ['METER_RATIO', finding?.kind === 'drift' ? undefined : text],
    ['METER_DRIFT', finding?.kind === 'drift' ? text : undefined],
  ];
}

/** What machines and auxiliaries of each of the site's nodes say now; nothing for those of others. */
function wordsByNode({ site, agent, plant }: MeteringOptions, nowMs: number): Words[] {
  const words = site.nodes.map(() => ({ machinesW: 0, unknownW: 0, doubtW: 0, auxiliaryW: 0 }));
  const resting = site.nodes.map(() => 0);
  for (const machine of plant.machines) {
    const { nodeIndex, model } = machine.config;
    const own = words[nodeIndex];
    if (own === undefined || isOff(machine)) continue;
    const { powerW } = machine;
    if (powerW === undefined || !isSettled(machine, nowMs)) {
      own.unknownW += model.ratedW;
      continue;
    }
    own.machinesW += powerW;
    if (machine.mode === undefined || !isAtRest(machine.mode)) continue;
    if ((resting[nodeIndex] = (resting[nodeIndex] ?? 0) + 1) % LIARS_IN === 1) own.doubtW += model.ratedW;
  }
  const own = site.nodes.filter((node) => node.agent === agent);
  const { drawers, heat } = plant.auxiliaries;
  for (const [place, { node, fixedW, perItW }] of drawers.entries()) {
    const at = words[own[node]?.index ?? -1];
    if (at !== undefined) at.auxiliaryW += fixedW + perItW * (heat.itW[place] ?? 0);
  }
  return words;
}

/** It has answered lately, and what it says of its mode has had the time to show in its draw. */
function isSettled(machine: Machine, nowMs: number): boolean {
  const { model, periodMs } = machine.config;
  const settleMs =
    1_500 * (machine.mode === undefined || isAtRest(machine.mode) ? model.sleepS : model.wakeS);
  const isFresh = nowMs - machine.beganMs <= OLD_POLLS * periodMs + OLD_MORE_MS;
  return machine.reachable && isFresh && nowMs - machine.modeSinceMs > settleMs;
}

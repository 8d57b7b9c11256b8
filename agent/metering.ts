import { balanceOfSite, mountingOf } from '../protocols/metering/site-balance.ts';
import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import type { Equation } from '../protocols/metering/balance.ts';
import { findingText, isDistrusted } from '../protocols/metering/finding.ts';
import type { MeterFinding } from '../protocols/metering/finding.ts';
import { coversWiring, isOver, SEEN_CHARS } from '../protocols/metering/kept-meter.ts';
import type { Pardon } from '../protocols/metering/kept-meter.ts';
import { endPardons, keptOf, pardonMeter, restoreMeter } from '../protocols/metering/pardon.ts';
import { judgeMeters, makeReconciler, noteMeter, noteOwn } from '../protocols/metering/reconcile.ts';
import type { Reconciler } from '../protocols/metering/reconcile.ts';
import type { Words as MachineWords } from '../protocols/metering/windows.ts';
import { makeWiring, noteWiring, phasesOf, wiringText } from '../protocols/metering/wiring.ts';
import type { Wiring, WiringState } from '../protocols/metering/wiring.ts';
import { numberOf } from '../protocols/reading.ts';
import type { Reading, Readings } from '../protocols/reading.ts';
import { uncertain } from './readings.ts';
import type { Alarms } from './alarms.ts';
import { isAtRest } from './core/draw.ts';
import { distrust } from './core/guard.ts';
import { isOff } from './machine.ts';
import type { Machine } from './machine.ts';
import type { MeterMemory } from './meter-memory.ts';
import type { Plant } from './plant.ts';

export interface MeteringOptions {
  readonly site: Site;
  readonly agent: string;
  readonly plant: Plant;
  readonly clock: Pick<Clock, 'monoMs' | 'wallMs'>;
  readonly alarms: Pick<Alarms, 'raise' | 'clear'>;
  readonly memory: Pick<MeterMemory, 'onRead' | 'note'>;
}

/** Judges the agent's own meters by their phases and by each other, before anybody acts on what they say. */
export interface Metering {
  /** The readings of a meter (its place in `Plant.meters`) as they may be used. */
  take(index: number, readings: Readings, beganMs: number): Readings;
  /** Called once a second. */
  tick(): void;
  /** A person declares what is found of a meter wrong. Throws AGREE_REFUSED when these are not the words of what is. */
  pardon(index: number, code: FindingCode, seen: string, word: Omit<Pardon, 'of'>): void;
}

/** What a person can declare wrong. */
type FindingCode = 'METER_WIRING' | 'METER_RATIO' | 'METER_DRIFT';

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

  const words = makeWords(options, wirings, reconciler);
  const noteTrust = makeTrust(plant);
  return {
    take: (index, readings, beganMs) => {
      const meter = plant.meters[index];
      const wiring = wirings[index];
      const mounting = mountings[index];
      const power = readings[POWER];
      if (meter === undefined || wiring === undefined || mounting === undefined || power === undefined)
        return readings;
      const shows = noteWiring(wiring, phasesOf(readings), mounting, beganMs);
      const isMiswired = shows && !words.isCovered(index, wiring.now ?? wiring.found);
      const isGood = power.ok && power.quality === 'good' && !isMiswired;
      noteMeter(reconciler, meter.config.index, isGood ? numberOf(power) : undefined, beganMs);
      if (isMiswired) words.say(index);
      const finding = reconciler.found.get(meter.config.index);
      const miswired = isMiswired ? (wiring.now ?? wiring.found) : undefined;
      const why =
        miswired !== undefined
          ? wiringText(miswired)
          : finding !== undefined && isDistrusted(finding)
            ? findingText(finding, meters)
            : undefined;
      noteTrust(index, why === undefined ? power : undefined);
      return why === undefined ? readings : { ...readings, [POWER]: uncertain(power, why) };
    },
    tick: () => {
      const nowMs = clock.monoMs();
      if (ticks++ % WORDS_EVERY === 0) noteOwn(reconciler, wordsByNode(options, nowMs));
      judgeMeters(reconciler, nowMs, plant.lostFeeds.size > 0);
      words.tick();
      if (reconciler.found.size > 0)
        for (const [index, { config }] of plant.meters.entries())
          if (isDistrusted(reconciler.found.get(config.index))) noteTrust(index, undefined);
    },
    pardon: words.pardon,
  };
}

/**
 * Takes in the power of a meter as it was judged; undefined: it may not be used. Where it was good before, guards have
 * learnt from it while nobody knew yet: of one that stands still for minutes, whatever the load did meanwhile.
 */
function makeTrust(plant: Plant): (index: number, power: Reading | undefined) => void {
  const wasGood = plant.meters.map(() => false);
  return (index, power) => {
    const meter = plant.meters[index];
    // Its silence says nothing of what it said before, nor does that of a part of one that is worked out.
    if (meter === undefined || power?.ok === false) return;
    const isGood = power?.quality === 'good';
    const isDoubted = wasGood[index] === true && !isGood && meter.parts().length === 0;
    wasGood[index] = isGood;
    if (!isDoubted) return;
    for (const { guard, meter: own } of plant.nodes)
      if (guard !== undefined && own !== undefined && (own === meter || own.parts().includes(meter)))
        distrust(guard);
  };
}

interface Words {
  isCovered(index: number, wiring: Wiring | undefined): boolean;
  /** Says of a meter what has changed. */
  say(index: number): void;
  /** Ends words whose time is over; says and keeps what has changed. */
  tick(): void;
  readonly pardon: Metering['pardon'];
}

/** What is said and kept of what is found, and what people say to it. */
function makeWords(options: MeteringOptions, wirings: readonly WiringState[], reconciler: Reconciler): Words {
  const { site, plant, clock } = options;
  const pardons = new Map<number, Pardon>();
  const said = new Map<string, string>();

  const isCovered = (index: number, wiring: Wiring | undefined): boolean => {
    const pardon = pardons.get(index);
    return pardon !== undefined && wiring !== undefined && coversWiring(pardon, wiring);
  };
  const words = (index: number): readonly (readonly [FindingCode, string | undefined])[] => {
    const found = wirings[index]?.found;
    const at = plant.meters[index]?.config.index ?? -1;
    return wordsOf(site, isCovered(index, found) ? undefined : found, reconciler.found.get(at));
  };
  const say = (index: number): void => {
    const { id = '' } = plant.meters[index]?.config ?? {};
    for (const [code, text = ''] of words(index)) {
      const before = said.get(`${code} ${id}`) ?? '';
      if (text === before) continue;
      said.set(`${code} ${id}`, text);
      const end = text === '' ? 'it agrees with itself and with the others, or a person says so' : text;
      if (before !== '') options.alarms.clear(code, id, end);
      if (text !== '') options.alarms.raise(code, id, text);
    }
  };
  const note = (index: number): void => {
    const { finding, pardon } = keptOf(reconciler, plant.meters[index]?.config.index ?? -1);
    const both = [pardons.get(index), pardon].filter((one) => one !== undefined);
    const wiring = wirings[index]?.found;
    options.memory.note(index, { finding, wiring, pardons: both });
  };
  options.memory.onRead((index, kept) => {
    const { found } = wirings[index] ?? {};
    const pardon = kept.pardons?.find(({ of }) => of.kind === 'wiring');
    if (pardon !== undefined) pardons.set(index, pardon);
    // What was found meanwhile is newer.
    if (wirings[index] !== undefined && found === undefined) wirings[index].found = kept.wiring;
    const isWhole = restoreMeter(reconciler, plant.meters[index]?.config.index ?? -1, kept);
    say(index);
    note(index);
    return isWhole ? undefined : 'nothing compares those meters any more';
  });
  return {
    isCovered,
    say,
    tick: () => {
      const wallMs = clock.wallMs();
      endPardons(reconciler, wallMs);
      for (const [index, pardon] of pardons) if (isOver(pardon, wallMs)) pardons.delete(index);
      for (const index of plant.meters.keys()) {
        say(index);
        note(index);
      }
    },
    pardon: (index, code, seen, word) => {
      const meter = plant.meters[index]?.config.index ?? -1;
      const text = words(index).find(([one]) => one === code)?.[1];
      if (text?.slice(0, SEEN_CHARS) !== seen)
        throw new Fault(
          'AGREE_REFUSED',
          text === undefined ? `no ${code} stands` : `${code} now says: ${text}`,
        );
      const wiring = wirings[index]?.found;
      if (code !== 'METER_WIRING') pardonMeter(reconciler, meter, word);
      else if (wiring !== undefined) pardons.set(index, { ...word, of: { kind: 'wiring', wiring } });
      say(index);
      note(index);
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
): readonly (readonly [FindingCode, string | undefined])[] {
  const isSaid = finding !== undefined && finding.pardon === undefined;
  const text = isSaid ? findingText(finding, site.meters) : undefined;
  return [
    ['METER_WIRING', wiring === undefined ? undefined : wiringText(wiring)],
    ['METER_RATIO', finding?.kind === 'drift' ? undefined : text],
    ['METER_DRIFT', finding?.kind === 'drift' ? text : undefined],
  ];
}

/** What machines and auxiliaries of each of the site's nodes say now; nothing for those of others. */
function wordsByNode({ site, agent, plant }: MeteringOptions, nowMs: number): MachineWords[] {
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

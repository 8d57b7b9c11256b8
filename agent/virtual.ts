import { virtualMeter } from '../config/virtual.ts';
import type { Site, SiteMeter } from '../config/site.ts';
import { virtualText, virtualValue } from '../protocols/metering/virtual.ts';
import type { VirtualPart, VirtualValue } from '../protocols/metering/virtual.ts';
import type { Reading, Readings } from '../protocols/reading.ts';
import type { Device } from './driver.ts';
import { isOff } from './machine.ts';
import type { Machine } from './machine.ts';
import type { Meter } from './plant.ts';

/** What a virtual meter is worked out from; asked anew at each reading. */
export interface VirtualOptions {
  readonly site: Site;
  readonly config: SiteMeter;
  readonly meters: () => readonly Meter[];
  readonly machines: () => readonly Machine[];
}

/** Wider than this share of what its node may carry, a value may not steer. */
const STEERS_SHARE = 0.03;
/** Machines' own figures are off by this share at most. */
const WORD_SHARE = 0.1;

/** A meter that is worked out from others, read like any: what is missing makes it uncertain, never smaller. */
export function virtualDevice(options: VirtualOptions): Device {
  return {
    driver: 'virtual',
    identify: () => Promise.resolve({ vendor: 'virtual', model: options.config.target, firmware: '' }),
    read: () => Promise.resolve(readingOf(options)),
    verbs: {},
    close: () => undefined,
  };
}

function readingOf({ site, config, meters, machines }: VirtualOptions): Readings {
  const virtual = virtualMeter(config.target);
  const capW = (site.nodes[config.nodeIndex]?.capKw ?? 0) * 1_000;
  if (typeof virtual !== 'object') return {};
  if (virtual.of === 'machines') {
    const below = machines().filter(({ config: { nodeIndex } }) =>
      site.nodes[nodeIndex]?.path.includes(config.nodeIndex),
    );
    const atMs = Math.max(0, ...below.map(({ readings }) => readings['power']?.atMs ?? 0));
    const value = virtualValue(wordsOf(site, below, config.nodeIndex));
    return { 'power.active.total': reading(value, atMs, false) };
  }
  const parts = partsOf(config, meters());
  const value = virtualValue(parts.map((meter) => partOf(site, meter, virtual.minus)));
  const oldestMs = Math.min(...parts.map(({ readings }) => readings['power.active.total']?.atMs ?? 0));
  const isClose = value.mostW - value.leastW <= 2 * STEERS_SHARE * capW;
  return { 'power.active.total': reading(value, oldestMs, value.missing.length === 0 && isClose) };
}

/** The meters that a virtual one is worked out from; none of any other. */
export function partsOf({ target }: SiteMeter, meters: readonly Meter[]): readonly Meter[] {
  const virtual = virtualMeter(target);
  if (typeof virtual !== 'object') return [];
  return [...virtual.plus, ...virtual.minus].flatMap(
    (id) => meters.find((one) => one.config.id === id) ?? [],
  );
}

function reading(value: VirtualValue, atMs: number, isGood: boolean): Reading {
  const known = { ok: true, value: value.powerW, unit: 'W', atMs, measured: false } as const;
  return isGood ? { ...known, quality: 'good' } : { ...known, quality: 'uncertain', why: virtualText(value) };
}

function partOf(site: Site, { config, readings }: Meter, minus: readonly string[]): VirtualPart {
  const capW = (site.nodes[config.nodeIndex]?.capKw ?? 0) * 1_000;
  const power = readings['power.active.total'];
  const isGood = power?.ok === true && power.quality === 'good' && typeof power.value === 'number';
  return {
    id: config.id,
    sign: minus.includes(config.id) ? -1 : 1,
    powerW: isGood ? power.value : undefined,
    errorShare: Math.hypot(config.accuracyClassPct, config.ctClassPct) / 100,
    leastW: 0,
    mostW: capW,
  };
}

/** Those who answer as one part, since what their figures are off by is the same for all of a kind; the others each. */
function wordsOf(site: Site, machines: readonly Machine[], node: number): VirtualPart[] {
  const known = { id: 'machines', sign: 1, powerW: 0, errorShare: WORD_SHARE, leastW: 0, mostW: 0 } as const;
  let [knownW, ratedW] = [0, 0];
  const unknown: VirtualPart[] = [];
  for (const machine of machines) {
    const { nodeIndex, model, id } = machine.config;
    const { path = [], shares = [] } = site.nodes[nodeIndex] ?? {};
    const share = shares[path.indexOf(node)] ?? 1;
    const powerW = isOff(machine) ? 0 : machine.powerW;
    const mostW = model.ratedW * share;
    if (powerW === undefined) unknown.push({ ...known, id, powerW, mostW });
    else {
      knownW += powerW * share;
      ratedW += mostW;
    }
  }
  return [{ ...known, powerW: knownW, mostW: ratedW }, ...unknown];
}

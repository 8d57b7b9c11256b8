import { virtualMeter } from '../config/virtual.ts';
import type { Site, SiteMachine, SiteMeter } from '../config/site.ts';
import { WORD_SHARE } from '../protocols/metering/balance.ts';
import { isLearnt, spreadShare } from '../protocols/metering/calibration.ts';
import { balanceOfSite } from '../protocols/metering/site-balance.ts';
import { WORDS_MARGIN } from '../protocols/metering/stand-in.ts';
import { virtualText, virtualValue } from '../protocols/metering/virtual.ts';
import type { VirtualPart, VirtualValue } from '../protocols/metering/virtual.ts';
import type { Reading, Readings } from '../protocols/reading.ts';
import type { Device } from './driver.ts';
import { isOff, saidAtMs } from './machine.ts';
import type { Machine } from './machine.ts';
import type { Borrowed } from './core/guard.ts';
import type { Meter, PlantNode } from './plant.ts';

/** What a virtual meter is worked out from; asked anew at each reading. */
export interface VirtualOptions {
  readonly site: Site;
  readonly config: SiteMeter;
  readonly meters: () => readonly Meter[];
  readonly machines: () => readonly Machine[];
  readonly nodes: () => readonly PlantNode[];
}

/** Wider than this share of what its node may carry, a value may not steer. */
const STEERS_SHARE = 0.03;

/** A meter that is worked out from others, read like any: what is missing makes it uncertain, never smaller. */
export function virtualDevice(options: VirtualOptions): Device {
  let lent: Lent | undefined;
  const lentOnce = (): Lent => (lent ??= lentTo(options));
  return {
    driver: 'virtual',
    identify: () => Promise.resolve({ vendor: 'virtual', model: options.config.target, firmware: '' }),
    read: () => Promise.resolve(readingOf(options, lentOnce)),
    verbs: {},
    close: () => undefined,
  };
}

function readingOf({ site, config, meters, machines }: VirtualOptions, lentOnce: () => Lent): Readings {
  const virtual = virtualMeter(config.target);
  const capW = (site.nodes[config.nodeIndex]?.capKw ?? 0) * 1_000;
  if (typeof virtual !== 'object') return {};
  if (virtual.of === 'machines') {
    const below = machines().filter(({ config: { nodeIndex } }) =>
      site.nodes[nodeIndex]?.path.includes(config.nodeIndex),
    );
    const atMs = Math.max(0, ...below.map((machine) => saidAtMs(machine, 'power') ?? 0));
    const nowMs = Math.max(...below.map(({ beganMs }) => beganMs));
    const calibrated = calibratedBy(lentOnce(), nowMs);
    const value = virtualValue(wordsOf(site, below, config.nodeIndex, calibrated));
    // Never good: what machines say may not prove what machines did.
    const why = `${virtualText(value)}; ${calibrated.text}`;
    return { 'power.active.total': { ...known(value, atMs), quality: 'uncertain', why } };
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

const known = ({ powerW }: VirtualValue, atMs: number) =>
  ({ ok: true, value: powerW, unit: 'W', atMs, measured: false }) as const;

const reading = (value: VirtualValue, atMs: number, isGood: boolean): Reading => ({
  ...known(value, atMs),
  ...(isGood ? { quality: 'good' } : { quality: 'uncertain', why: virtualText(value) }),
});

/** The nearest node above one whose meter is nothing but machines' words, with a meter that is read. */
function lenderOf(site: Site, { nodeIndex }: SiteMeter, nodes: readonly PlantNode[]): PlantNode | undefined {
  const above = site.nodes[nodeIndex]?.path.filter((node) => node !== nodeIndex) ?? [];
  return above
    .map((node) => nodes.find(({ id }) => id === site.nodes[node]?.id))
    .find((node) => node?.meter !== undefined && !isWords(node.meter.config));
}

/** Nothing but what machines say. */
export const isWords = ({ target }: SiteMeter): boolean => {
  const virtual = virtualMeter(target);
  return typeof virtual === 'object' && virtual.of === 'machines';
};

/** What a guard of such a node goes by: what the next one above has learnt of machines' words. Nodes: parents first. */
export function borrowedFrom(
  site: Site,
  config: SiteMeter,
  nodes: readonly PlantNode[],
): Borrowed | undefined {
  if (!isWords(config)) return undefined;
  const lender = lenderOf(site, config, nodes);
  return lender?.guard === undefined
    ? undefined
    : { byMachines: lender.guard.byMachines, marginShare: WORDS_MARGIN + mixShare(site, config, lender) };
}

/**
 * How far a ratio learnt of all machines below a node may be off for some of them: figures are off alike for all of one
 * model, and their models may be others.
 */
function mixShare(site: Site, { nodeIndex }: SiteMeter, lender: PlantNode): number {
  const some = modelShares(
    site.machines.filter((one) => site.nodes[one.nodeIndex]?.path.includes(nodeIndex)),
  );
  const all = modelShares(lender.machines.map(({ config }) => config));
  const apart = [...all].reduce((sum, [model, share]) => sum + Math.abs(share - (some.get(model) ?? 0)), 0);
  return WORD_SHARE * apart;
}

/** Of the ratings of some machines, what each model has. */
function modelShares(machines: readonly SiteMachine[]): ReadonlyMap<string, number> {
  const ratedW = machines.reduce((sum, { model }) => sum + model.ratedW, 0);
  const shares = new Map<string, number>();
  for (const { model } of machines)
    shares.set(model.id, (shares.get(model.id) ?? 0) + model.ratedW / Math.max(1, ratedW));
  return shares;
}

interface Calibrated {
  readonly ratio: number;
  readonly errorShare: number;
  readonly text: string;
}

/** Whose calibration it is, and how much less exact than there it is here. */
interface Lent {
  readonly node: PlantNode | undefined;
  readonly awayShare: number;
}

function lentTo({ site, config, nodes }: VirtualOptions): Lent {
  const node = lenderOf(site, config, nodes());
  if (node === undefined) return { node, awayShare: 0 };
  // What is lost between the other node's meter and here may be all of it or nothing.
  const index = site.nodes.findIndex(({ id }) => id === node.id);
  const lossShare = balanceOfSite(site).nodes[index]?.lossShare ?? 0;
  return { node, awayShare: mixShare(site, config, node) + lossShare };
}

/** What machines' words must be multiplied with, and how exact they are then; `nowMs`: monotonic. */
function calibratedBy({ node, awayShare }: Lent, nowMs: number): Calibrated {
  const calibration = node?.guard?.byMachines;
  if (node?.meter === undefined || calibration === undefined || !isLearnt(calibration))
    return { ratio: 1, errorShare: WORD_SHARE, text: 'by machines, not calibrated' };
  const { ratio, learntMs } = calibration;
  const ageMin = Math.max(0, Math.round((nowMs - learntMs) / 60_000));
  return {
    ratio,
    errorShare: Math.min(WORD_SHARE, spreadShare(calibration) + awayShare),
    text: `by machines times ${ratio.toFixed(3)}, learnt of ${node.meter.config.id} ${ageMin} min ago`,
  };
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
function wordsOf(
  site: Site,
  machines: readonly Machine[],
  node: number,
  { ratio, errorShare }: Calibrated,
): VirtualPart[] {
  const none = { id: 'machines', sign: 1, powerW: 0, errorShare, leastW: 0, mostW: 0 } as const;
  let [knownW, ratedW] = [0, 0];
  const unknown: VirtualPart[] = [];
  for (const machine of machines) {
    const { nodeIndex, model, id } = machine.config;
    const { path = [], shares = [] } = site.nodes[nodeIndex] ?? {};
    const share = shares[path.indexOf(node)] ?? 1;
    const powerW = isOff(machine) ? 0 : machine.powerW;
    const mostW = model.ratedW * share;
    if (powerW === undefined) unknown.push({ ...none, id, powerW, mostW });
    else {
      knownW += powerW * share;
      ratedW += mostW;
    }
  }
  return [{ ...none, powerW: knownW * ratio, mostW: ratedW }, ...unknown];
}

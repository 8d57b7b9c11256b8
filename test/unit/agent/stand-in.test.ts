import { expect, test } from 'vitest';
import { guardStep } from '../../../agent/core/guard.ts';
import { drawW } from '../../../agent/core/draw.ts';
import { knownDrawW, takeReadings } from '../../../agent/machine.ts';
import { buildPlant, noteHeat, takeSample } from '../../../agent/plant.ts';
import { makeStandIns } from '../../../agent/stand-in.ts';
import { meteringSite } from '../../../proof/metering.ts';
import { Fault } from '../../../protocols/faults.ts';

const site = meteringSite(3);
const KW = 1_000;
/** What flows where: 9 kW in each rack, shared by `f2` and `f3` where it has two feeds; 1 kW of pumps, 1 % lost. */
const FLOWS_W: Readonly<Record<string, number>> = {
  'm-r1': 9_000,
  'm-r2': 9_000,
  'm-r3': 9_000,
  'm-r4': 9_000,
  'm-f1': 9_090,
  'm-f2': 13_630,
  'm-f3': 14_650,
};

function makeRig() {
  const plant = buildPlant(
    site,
    site.agents[0] ?? '',
    () => {
      throw new Fault('NET_REFUSED');
    },
    0,
  );
  const standIns = makeStandIns(site, site.agents[0] ?? '', plant);
  const root = plant.nodes[0]?.guard;
  if (root === undefined) throw new Error('the root has a meter');
  let nowMs = 0;
  const silent = new Set<string>();
  let solarW = 4 * KW;
  const netW = (): number => 37_750 - solarW;
  const shownW = (id: string): number =>
    id === 'm-main' ? netW() : id === 'm-solar' ? solarW : (FLOWS_W[id] ?? 0);
  const look = (): ReturnType<typeof guardStep> => {
    nowMs += 2_000;
    for (const machine of plant.machines)
      takeReadings(
        machine,
        {
          mode: { ok: true, value: 'mine', unit: 'text', quality: 'good', atMs: nowMs },
          power: { ok: true, value: 3_000, unit: 'W', quality: 'good', atMs: nowMs, measured: true },
        },
        'fast',
        nowMs,
      );
    for (const meter of plant.meters) {
      const { id } = meter.config;
      const power = { ok: true, value: shownW(id), unit: 'W', quality: 'good', atMs: nowMs } as const;
      if (!silent.has(id)) takeSample(meter, { 'power.active.total': power }, 'full', nowMs);
    }
    const machines = plant.machines.map((machine) => ({
      index: machine.at,
      share: 1,
      model: machine.config.model,
      mode: machine.mode,
      presentW: machine.powerW,
      reachable: true,
      controllable: true,
      falling: false,
      stuck: false,
    }));
    noteHeat(plant, nowMs);
    root.fedW = standIns.fedW(0, nowMs);
    return guardStep(
      root,
      silent.has('m-main') ? undefined : netW(),
      machines,
      nowMs,
      standIns.below(0, nowMs),
    );
  };
  return {
    look,
    silent,
    netW,
    lookFor: (count: number) => {
      for (let each = 1; each < count; each++) look();
      return look();
    },
    sun: (watts: number) => (solarW = watts),
  };
}

test('with its main meter lost a guard goes by the meters below it, as much more as the main meter has shown', () => {
  const { lookFor, silent, netW } = makeRig();
  expect(lookFor(100).source).toBe('meter');
  silent.add('m-main');
  const { source, loadW, standIn } = lookFor(3);
  expect(source).toBe('meters');
  expect(standIn?.coverage).toBe(1);
  expect(loadW).toBeGreaterThanOrEqual(netW());
  expect(loadW).toBeLessThan(netW() * 1.01);
});

test('never compared with its main meter, they count with all that may be lost on the way', () => {
  const { lookFor, silent, netW } = makeRig();
  silent.add('m-main');
  expect(lookFor(3).loadW).toBeGreaterThan(netW() * 1.03);
});

test('what the sun feeds in is not learnt as if the meter showed too little: it may set', () => {
  const { lookFor, silent, netW, sun } = makeRig();
  lookFor(100);
  for (const id of ['m-main', ...Object.keys(FLOWS_W)]) silent.add(id);
  sun(0);
  const { source, loadW } = lookFor(3);
  expect(source).toBe('machines');
  expect(loadW).toBeGreaterThanOrEqual(netW());
  expect(loadW).toBeLessThan(netW() * 1.04);
  // A source that is not read is not counted on either.
  sun(4 * KW);
  silent.add('m-solar');
  expect(lookFor(3).loadW).toBeGreaterThanOrEqual(netW() + 4 * KW);
});

test('of a feeder whose meter is silent too, what its racks show stands in; of none, what its machines say', () => {
  const { lookFor, silent, netW } = makeRig();
  lookFor(100);
  for (const id of ['m-main', 'm-f2', 'm-f3']) silent.add(id);
  const partly = lookFor(3);
  expect(partly.standIn?.coverage).toBeLessThan(0.5);
  expect(partly.loadW).toBeGreaterThanOrEqual(netW());
  for (const id of ['m-r2', 'm-r3', 'm-r4', 'm-f1', 'm-r1']) silent.add(id);
  const last = lookFor(3);
  expect(last.source).toBe('machines');
  // From one to the next nothing that could be taken for room.
  expect(last.loadW).toBeGreaterThanOrEqual(netW());
});

test('a machine whose firmware tells no power at rest counts as resting once a meter has told after it came to rest', () => {
  const plant = buildPlant(
    site,
    site.agents[0] ?? '',
    () => {
      throw new Fault('NET_REFUSED');
    },
    0,
  );
  const machine = plant.machines[0];
  if (machine === undefined) throw new Error('the site has machines');
  const told = (mode: 'mine' | 'sleep', atMs: number, powerW?: number): void => {
    const at = { ok: true, quality: 'good', atMs } as const;
    const power =
      powerW === undefined ? {} : { power: { ...at, value: powerW, unit: 'W', measured: true } as const };
    takeReadings(machine, { mode: { ...at, value: mode, unit: 'text' }, ...power }, 'full', atMs);
  };
  told('mine', 1_000, 3_000);
  expect(knownDrawW(machine, 0)).toBe(3_000);
  told('sleep', 10_000);
  // By its word it rests; whether it does no meter has said yet.
  expect(knownDrawW(machine, 10_000)).toBeUndefined();
  expect(machine.lastPowerW).toBe(3_000);
  expect(knownDrawW(machine, 600_000)).toBe(drawW(machine.config.model, 'sleep'));
});

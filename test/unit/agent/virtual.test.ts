import { expect, test } from 'vitest';
import { MODELS } from '../../../config/models.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import { guardStep } from '../../../agent/core/guard.ts';
import { takeReadings } from '../../../agent/machine.ts';
import { buildPlant, meterW, takeSample } from '../../../agent/plant.ts';
import type { Meter, Plant } from '../../../agent/plant.ts';
import { learn } from '../../../protocols/metering/calibration.ts';
import type { Reading } from '../../../protocols/reading.ts';

const target = 'modbus://127.0.0.1:1502/1?profile=eastron-sdm630';
const config = siteSchema.parse({
  schema: 1,
  site: 's',
  nodes: [
    { id: 'main', kind: 'site', capKw: 100 },
    { id: 'f1', kind: 'feeder', parent: 'main', capKw: 60 },
    { id: 'f2', kind: 'feeder', parent: 'main', capKw: 60 },
  ],
  meters: [
    { id: 'm', node: 'main', target },
    { id: 'm1', node: 'f1', target },
    { id: 'v', node: 'f2', target: 'virtual:difference?of=m&minus=m1' },
  ],
  prices: { hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 40 } },
});

function makePlant(): Plant {
  const site = resolveSite(config, new Map());
  return buildPlant(
    site,
    site.agents[0] ?? '',
    () => {
      throw new Error('nobody reads it');
    },
    0,
  );
}

const shows = (meter: Meter, watts: number, atMs: number): boolean =>
  takeSample(
    meter,
    { 'power.active.total': { ok: true, value: watts, unit: 'W', quality: 'good', atMs } },
    'full',
    atMs,
  );

test('a virtual meter with a part that fell silent is as old as that part, however often it is worked out', async () => {
  const plant = makePlant();
  const [main, first, virtual] = plant.meters;
  const node = plant.nodes.find(({ id }) => id === 'f2');
  if (main === undefined || first === undefined || virtual === undefined || node === undefined)
    throw new Error('the site has three meters');
  const look = async (atMs: number): Promise<number | undefined> => {
    takeSample(virtual, await virtual.device.read('fast', 1_000), 'fast', atMs);
    return meterW(node, atMs);
  };
  shows(main, 50_000, 1_000);
  shows(first, 20_000, 1_000);
  expect(await look(1_500)).toBe(30_000);
  // More flows, and one of the two is not heard any more.
  for (const atMs of [2_000, 3_000, 4_000, 5_000]) shows(first, 20_000, atMs);
  expect(await look(5_000)).toBeUndefined();
  shows(main, 70_000, 6_000);
  expect(await look(6_000)).toBe(50_000);
});

/** Two feeders of three machines; the second one has no meter of its own. */
function wordsSite(secondModel: string) {
  const words = siteSchema.parse({
    ...config,
    nodes: config.nodes.map((node) => (node.parent === undefined ? node : { ...node, kind: 'rack' })),
    meters: [
      { id: 'm', node: 'main', target },
      { id: 'v', node: 'f2', target: 'virtual:machines' },
    ],
    machines: [
      { rack: 'f1', model: 'antminer-s21', target: 'antminer://10.0.1.{n}', count: 3 },
      { rack: 'f2', model: secondModel, target: 'antminer://10.0.2.{n}', count: 3 },
    ],
  });
  const site = resolveSite(words, MODELS);
  const plant = buildPlant(
    site,
    site.agents[0] ?? '',
    () => {
      throw new Error('nobody reads it');
    },
    0,
  );
  for (const machine of plant.machines)
    takeReadings(
      machine,
      { power: { ok: true, value: 3_000, unit: 'W', quality: 'good', atMs: 0, measured: true } },
      'fast',
      600_000,
    );
  const [main, guarded] = ['main', 'f2'].map((id) => plant.nodes.find((node) => node.id === id)?.guard);
  if (main === undefined || guarded === undefined) throw new Error('both have a meter');
  const teach = (): void => {
    for (let look = 0; look < 30; look++) learn(main.byMachines, 18_900, 18_000, 300_000 + look);
  };
  return { plant, guarded, teach, virtual: plant.meters[1] };
}

const say = async (virtual: Meter | undefined): Promise<Reading | undefined> =>
  (await virtual?.device.read('fast', 1_000))?.['power.active.total'];

test('machines’ words are multiplied by what the next meter above has shown of them, and say by which and how old', async () => {
  const { guarded, teach, virtual } = wordsSite('antminer-s21');
  expect(await say(virtual)).toMatchObject({
    value: 9_000,
    quality: 'uncertain',
    why: 'between 8.1 and 9.9 kW, 100 % known; by machines, not calibrated',
  });
  teach();
  // 5 % that may be lost at the root are the band: the same model on both feeders is off alike.
  expect(await say(virtual)).toMatchObject({
    value: 9_450,
    quality: 'uncertain',
    why: 'between 9.0 and 9.9 kW, 100 % known; by machines times 1.050, learnt of m 5 min ago',
  });
  // The guard of the feeder goes by the same.
  expect(guardStep(guarded, undefined, [], 0).loadW).toBe(0);
  expect(guarded.byMachines.ratio).toBeCloseTo(1.05, 9);
  expect(guarded.marginShare).toBeCloseTo(0.03, 9);
});

test('of another model than most of those it was learnt of, a ratio is worth less', async () => {
  const { guarded, teach, virtual } = wordsSite('antminer-s19-pro');
  teach();
  expect(guarded.marginShare).toBeGreaterThan(0.1);
  expect(await say(virtual)).toMatchObject({ why: expect.stringContaining('between 8.5 and 10.4 kW') });
});

import { expect, test } from 'vitest';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import { buildPlant, meterW, takeSample } from '../../../agent/plant.ts';
import type { Meter, Plant } from '../../../agent/plant.ts';

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

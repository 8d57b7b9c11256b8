import { expect, test } from 'vitest';

import { MODELS } from '../../../../config/models.ts';
import { siteSchema } from '../../../../config/schema/site.ts';
import { resolveSite } from '../../../../config/site.ts';
import { seededRandom } from '../../../../host/random.ts';
import { makePlantMachine } from '../../../../simulator/plant.ts';
import { simulatedSite } from '../../../../simulator/site.ts';

const siteOf = (allFamilies: boolean) =>
  resolveSite(
    siteSchema.parse(simulatedSite({ hostKey: `SHA256:${'A'.repeat(43)}`, keyFile: 'k', allFamilies })),
    MODELS,
  );
const schemes = (allFamilies: boolean): string[] =>
  [...new Set(siteOf(allFamilies).machines.map(({ target }) => target.split(':')[0] ?? ''))].toSorted();

test('the site of all families has every one of them; the usual one has stock firmware alone', () => {
  expect(schemes(true)).toEqual([
    'antminer',
    'auradine',
    'avalon',
    'braiins',
    'braiins-graphql',
    'epic',
    'gpu',
    'luxos',
    'proto-rig',
    'vnish',
    'whatsminer',
    'whatsminer-v3',
  ]);
  expect(schemes(false)).toEqual(['antminer', 'gpu', 'whatsminer']);
});

test('each machine of it works, draws what its model says, loses its power and comes back', () => {
  const seen = new Set<string>();
  for (const machine of siteOf(true).machines) {
    const scheme = machine.target.split(':')[0] ?? '';
    if (machine.model.kind !== 'asic' || seen.has(scheme)) continue;
    seen.add(scheme);
    const random = seededRandom(1);
    const plant = makePlantMachine({ machine, random, gpuStart: 'idle', ambientC: () => 25 });
    const fullW = machine.model.rungs.at(-1)?.powerW ?? 0;
    expect(plant.mode(0), scheme).toBe('mine');
    expect(Math.abs(plant.powerW(1_000) / fullW - 1), scheme).toBeLessThan(0.06);
    expect(Object.keys(plant.settings()).length, scheme).toBeGreaterThan(0);
    plant.supply(false, 2_000);
    expect([plant.mode(3_000), plant.powerW(3_000)], scheme).toEqual(['off', 0]);
    plant.supply(true, 4_000);
    expect(plant.powerW(400_000), scheme).toBeGreaterThan(fullW * 0.9);
    expect(plant.stateCalls, scheme).toBe(0);
  }
  expect(seen.size).toBe(11);
});

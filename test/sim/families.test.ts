import { expect, test } from 'vitest';
import { MODELS } from '../../config/models.ts';
import { siteSchema } from '../../config/schema/site.ts';
import { resolveSite } from '../../config/site.ts';
import type { Planned } from '../../proof/faults.ts';
import { runSeed } from '../../proof/harness.ts';
import { NO_KEY } from '../../proof/site.ts';
import { simulatedSite } from '../../simulator/site.ts';

const SITE = resolveSite(
  siteSchema.parse(simulatedSite({ hostKey: NO_KEY, keyFile: '/sim/key', machines: 22, allFamilies: true })),
  MODELS,
);
const LIMIT_MS = 30_000;
const LIFTED_MS = 90_000;

const world = (atMs: number, change: object): Planned =>
  ({ atMs, happening: { kind: 'world', change }, fault: undefined }) as Planned;

test('a limit puts machines of every family to rest, and they come back when it is lifted', async () => {
  const family = new Map(SITE.machines.map(({ id, target }) => [id, target.split(':')[0] ?? '']));
  const seen = { sleep: new Set<string>(), mine: new Set<string>() };
  const obedient = SITE.machines.map(({ id }) =>
    world(0, { kind: 'machine', machine: id, behaviour: 'none' }),
  );
  const limit = { kind: 'utility-limit', deadlineS: 35, event: 'contracted' };
  const { violations } = await runSeed({
    seed: 1,
    hours: (LIFTED_MS + 120_000) / 3_600_000,
    wakeMaxS: 25,
    machines: SITE.machines.length,
    site: SITE,
    timeline: [
      ...obedient,
      world(LIMIT_MS, { ...limit, limitKw: 20 }),
      world(LIFTED_MS, { kind: 'utility-limit', limitKw: undefined, deadlineS: 0, event: 'none' }),
    ],
    unsettled: true,
    onEvent: (atMs, event) => {
      if (event.event !== 'observed' || !('machine' in event) || !('mode' in event)) return;
      const name = family.get(event.machine) ?? '';
      if (event.mode === 'sleep' && atMs > LIMIT_MS) seen.sleep.add(name);
      if (event.mode === 'mine' && atMs > LIFTED_MS) seen.mine.add(name);
    },
  });
  const families = [...new Set(family.values())].filter((name) => name !== 'gpu').toSorted();
  expect(families).toHaveLength(11);
  expect(violations).toEqual([]);
  expect([...seen.sleep].toSorted()).toEqual(families);
  expect([...seen.mine].filter((name) => name !== 'gpu').toSorted()).toEqual(families);
});

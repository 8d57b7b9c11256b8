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
const LIMIT_KW = 45;
const HOURS = 270_000 / 3_600_000;
/** Firmware that can be limited without restarting. */
const LIMITED = ['auradine', 'braiins', 'luxos', 'proto-rig', 'vnish'];

const world = (atMs: number, change: object): Planned =>
  ({ atMs, happening: { kind: 'world', change }, fault: undefined }) as Planned;

test('machines that accept and ignore are on the list, by name, told nothing that restarts them; the others carry the limit', async () => {
  const family = new Map(SITE.machines.map(({ id, target }) => [id, target.split(':')[0] ?? '']));
  const miners = SITE.machines.filter(({ model }) => model.kind === 'asic');
  const liars = new Set(miners.filter((_, at) => at % 3 === 0).map(({ id }) => id));
  const behaviours = SITE.machines.map(({ id }) =>
    world(0, { kind: 'machine', machine: id, behaviour: liars.has(id) ? 'ignores' : 'none' }),
  );
  const limit = { kind: 'utility-limit', deadlineS: 60, event: 'contracted', limitKw: LIMIT_KW };
  const told = new Map<string, Set<string>>();
  const raised = new Map<string, string>();
  const { violations } = await runSeed({
    seed: 1,
    hours: HOURS,
    wakeMaxS: 25,
    machines: SITE.machines.length,
    site: SITE,
    timeline: [...behaviours, world(LIMIT_MS, limit)],
    unsettled: true,
    onEvent: (_atMs, event) => {
      if (event.event === 'acknowledged' && liars.has(event.machine))
        told.set(event.machine, (told.get(event.machine) ?? new Set()).add(event.verb));
      if (event.event === 'alarm' && event.code === 'QUARANTINED') raised.set(event.subject, event.text);
    },
  });
  expect(violations).toEqual([]);
  expect(told.size).toBeGreaterThan(2);
  expect([...raised.keys()].toSorted()).toEqual([...told.keys()].toSorted());
  for (const text of raised.values()) expect(text).toMatch(/, firmware .*, ignores sleep/);
  const limited = [...told]
    .filter(([, verbs]) => verbs.has('power-limit'))
    .map(([id]) => family.get(id) ?? '');
  expect(limited.length).toBeGreaterThan(0);
  expect(limited.filter((name) => !LIMITED.includes(name))).toEqual([]);
  const others = [...told.values()].flatMap((verbs) => [...verbs]);
  expect(others.filter((verb) => verb !== 'sleep' && verb !== 'power-limit')).toEqual([]);
});

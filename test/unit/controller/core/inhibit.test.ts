import { expect, test } from 'vitest';
import type { Inhibition } from '../../../../protocols/mqtt/status.ts';
import { permitWords } from '../../../../controller/core/inhibit.ts';
import { siteSchema } from '../../../../config/schema/site.ts';
import { order } from './order.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

const held = (effect: Inhibition['effect'], changes: Partial<Inhibition> = {}): Inhibition => ({
  node: 'r1',
  effect,
  why: 'PERMISSIVE_LOST',
  text: "'pump' (pump of r1) is lost; starts go on when it has been on for 10 s",
  off: false,
  ...changes,
});
const tripped = (sinceMs: number, returnedMs?: number): Inhibition =>
  held('shed', {
    why: 'PROTECTION_TRIPPED',
    trip: { protection: 'q1', sinceMs, ...(returnedMs === undefined ? {} : { returnedMs }) },
  });
const of = (plant: Plant, rack: string): string =>
  plant.state.site.machines
    .filter((machine) => machine.rack === rack)
    .map(({ index }) => plant.mode[index]?.[0] ?? '?')
    .join('');
const works = (modes: string): boolean => /^m+$/.test(modes);
const rests = (modes: string): boolean => /^s+$/.test(modes);

test('what may not start is not planned on, says why, and is started when it may', () => {
  const plant = new Plant().run(20);
  expect(works(of(plant, 'r1'))).toBe(true);
  plant.priceUsdPerMwh = 500;
  plant.run(120);
  expect(rests(of(plant, 'r1'))).toBe(true);
  plant.inhibitions = [held('inhibit')];
  plant.priceUsdPerMwh = 20;
  const before = plant.desired.length;
  plant.run(120);
  expect(rests(of(plant, 'r1'))).toBe(true);
  expect(works(of(plant, 'r2'))).toBe(true);
  const { because } = plant.state.wish[0] ?? {};
  expect(because).toMatchObject({ owner: 'protection', rule: 'permissive-lost' });
  const asked = plant.desired
    .slice(before)
    .flatMap(({ rack, machines }) => (rack === 'r1' ? Object.values(machines).map(({ mode }) => mode) : []));
  expect(asked).not.toContain('mine');
  plant.inhibitions = [];
  plant.run(120);
  expect(works(of(plant, 'r1'))).toBe(true);
});

test('a start that is under way goes on when nothing more may be started', () => {
  const plant = new Plant(undefined, { rampS: 20 }).run(20);
  plant.priceUsdPerMwh = 500;
  plant.run(200);
  plant.priceUsdPerMwh = 20;
  const racks = (): string[] =>
    plant.state.site.machines.map(({ index }) => plant.state.wish[index]?.mode ?? '');
  while (!racks().includes('mine')) plant.run(1);
  const begun = racks().flatMap((mode, index) => (mode === 'mine' ? [index] : []));
  plant.inhibitions = [held('inhibit', { node: 'site' })];
  plant.run(60);
  for (const index of begun) expect(plant.state.wish[index]?.mode).toBe('mine');
});

test('what works goes on where nothing may only be started, and rests where protection says so', () => {
  const plant = new Plant().run(20);
  plant.inhibitions = [held('inhibit')];
  plant.run(30);
  expect(works(of(plant, 'r1'))).toBe(true);
  plant.inhibitions = [held('shed', { why: 'PROTECTION_TRIPPED' })];
  plant.run(30);
  expect(rests(of(plant, 'r1'))).toBe(true);
  expect(works(of(plant, 'r2'))).toBe(true);
});

test('a person permits the restart: one word to the agent for each protection in the scope', () => {
  const site = siteSchema.parse(smallSite);
  const point = { id: 'open', target: 'modbus://127.0.0.1/1', kind: 'discrete' as const, address: 1 };
  const protection = { id: 'q1', node: 'r1', input: 'open', kind: 'breaker' as const };
  const plant = new Plant({ ...site, plant: { points: [point], protections: [protection] } });
  plant.inhibitions = [tripped(1_000, 2_000)];
  plant.run(20);
  order(plant, 'anna#1', 'permit', ['r2']);
  expect(plant.actions).toEqual([]);
  order(plant, 'anna#1', 'permit', ['r1']);
  expect(plant.actions).toMatchObject([{ machine: 'q1', verb: 'permit', epoch: 1 }]);
  expect(plant.actions[0]?.trip).toEqual({ protection: 'q1', sinceMs: 1_000, returnedMs: 2_000 });
});

test('a permission is given for one trip: none while it is open, and none is said again for the next return', () => {
  const site = siteSchema.parse(smallSite);
  const point = { id: 'open', target: 'modbus://127.0.0.1/1', kind: 'discrete' as const, address: 1 };
  const protection = { id: 'q1', node: 'r1', input: 'open', kind: 'breaker' as const };
  const plant = new Plant({ ...site, plant: { points: [point], protections: [protection] } }).run(20);
  const nothing = 'nothing there waits for a permission to restart';
  expect(permitWords(plant.state, ['r1'])).toEqual({ some: false, conflicts: [nothing] });
  plant.inhibitions = [tripped(1_000)];
  plant.run(5);
  const early = "'q1' is still tripped, or cannot be read: it is permitted when it is back";
  expect(permitWords(plant.state, ['r1'])).toEqual({ some: false, conflicts: [early] });
  order(plant, 'anna#1', 'permit', ['r1']);
  plant.inhibitions = [tripped(1_000, 20_000)];
  plant.run(10);
  expect(plant.actions).toEqual([]);
  expect(permitWords(plant.state, ['site'])).toEqual({ some: true, conflicts: [] });
  order(plant, 'anna#1', 'permit', ['r1']);
  plant.run(1);
  expect(plant.actions.length).toBe(1);
  plant.inhibitions = [tripped(1_000, 30_000)];
  plant.run(20);
  expect(plant.actions.length).toBe(1);
  expect(plant.state.alarms.get('PROTECTION_TRIPPED:q1')?.text).toBe(
    'tripped or lost again after the restart was permitted: look again, then permit anew',
  );
});

test('a permission is said again, as the same one, until its trip is gone, it expires, or the agent starts anew', () => {
  const site = siteSchema.parse(smallSite);
  const point = { id: 'open', target: 'modbus://127.0.0.1/1', kind: 'discrete' as const, address: 1 };
  const protection = { id: 'q1', node: 'r1', input: 'open', kind: 'breaker' as const };
  const permitted = (): Plant => {
    const plant = new Plant({ ...site, plant: { points: [point], protections: [protection] } });
    plant.inhibitions = [tripped(1_000, 2_000)];
    plant.run(20);
    order(plant, 'anna#1', 'permit', ['r1']);
    return plant.run(10);
  };
  const said = ({ actions }: Plant): number => actions.length;
  const taken = permitted();
  expect(said(taken)).toBeGreaterThan(3);
  expect(new Set(taken.actions.map(({ id }) => id)).size).toBe(1);
  taken.inhibitions = [];
  const until = said(taken.run(2));
  expect(said(taken.run(20))).toBe(until);
  const expired = permitted().run(60);
  expect(said(expired.run(20))).toBe(said(expired.run(20)));
  const restarted = permitted();
  restarted.boot += 1;
  const before = said(restarted.run(2));
  expect(said(restarted.run(20))).toBe(before);
});

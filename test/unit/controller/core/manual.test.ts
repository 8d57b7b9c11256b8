import { expect, test } from 'vitest';
import { blockedBy } from '../../../../controller/core/operator.ts';
import { recover } from '../../../../controller/core/recover.ts';
import { viewOf, whyOf } from '../../../../controller/core/view.ts';
import { order } from './order.ts';
import { Plant } from './plant.ts';

const r1 = Array.from({ length: 10 }, (_, n) => `r1-${String(n + 1).padStart(2, '0')}`);
const now = { wallMs: 0, monoMs: 0 };
const newest = (plant: Plant, rack: string): readonly string[] =>
  Object.keys(plant.desired.findLast((desired) => desired.rack === rack)?.machines ?? {});
const WORDS =
  /^released to manual by anna since 1970-01-01T00:1\dZ \(fan\); a person returns it: automatic r1-01$/u;

test('released to manual, machines are left as people leave them, whatever prices and limits say', () => {
  const plant = new Plant().run(20);
  order(plant, 'anna#1', 'manual', r1);
  expect(newest(plant, 'r1')).toEqual([]);
  plant.mode[0] = 'sleep';
  plant.priceUsdPerMwh = 500;
  plant.run(60);
  plant.utility = { limitKw: 45, deadlineS: 60, sequence: 1 };
  plant.run(120);
  plant.mode[0] = 'mine';
  plant.mode[1] = 'sleep';
  plant.run(300);
  expect(plant.count('mine', 'r1')).toBe(9);
  expect(plant.mode[1]).toBe('sleep');
  expect(plant.count('mine', 'r2')).toBe(0);
  expect(newest(plant, 'r1')).toEqual([]);
});

test('given back while its agent still has it on the quarantine list, a machine whose work pays is not told to rest', () => {
  const plant = new Plant().run(20);
  plant.quarantined = ['r1-01'];
  plant.run(3);
  order(plant, 'anna#1', 'manual', ['r1-01']);
  plant.run(3);
  order(plant, 'anna#1', 'automatic', ['r1-01']);
  plant.run(10);
  expect(plant.state.wish[0]?.mode).toBe('mine');
  expect(plant.mode[0]).toBe('mine');
});

test('what they draw is not taken for room: others give way to the limit in their place', () => {
  const plant = new Plant().run(20);
  order(plant, 'anna#1', 'manual', r1);
  plant.utility = { limitKw: 50, deadlineS: 60, sequence: 1 };
  plant.run(120);
  expect(plant.count('mine', 'r1')).toBe(10);
  expect(plant.nodeW('site')).toBeLessThanOrEqual(50_000);
});

test('it is seen with who and why, survives a restart, and ends only by a person', () => {
  const before = new Plant().run(20);
  order(before, 'anna#1', 'manual', r1);
  before.run(5);
  const plant = new Plant();
  recover(plant.state, before.records, 0);
  plant.run(30);
  plant.mode[0] = 'sleep';
  plant.run(600);
  expect(plant.mode[0]).toBe('sleep');
  const why = whyOf(plant.state, 0, now);
  expect(why).toMatchObject({ owner: 'manual', rule: 'manual', untilMs: null });
  expect(why.text).toMatch(WORDS);
  expect(why.release).toBe(why.text);
  const view = viewOf(plant.state, now);
  expect(view.machines[0]?.owner).toBe('manual');
  expect(view.signals.find((signal) => signal.kind === 'manual')).toMatchObject({
    source: 'anna',
    text: '10 machines released to manual by anna: fan',
    untilMs: null,
  });
  order(plant, 'bert#2', 'automatic', ['r1-01']);
  plant.run(200);
  expect(plant.mode[0]).toBe('mine');
  expect(newest(plant, 'r1')).toEqual(['r1-01']);
  expect(viewOf(plant.state, now).signals.find((signal) => signal.kind === 'manual')?.text).toContain(
    '9 mach',
  );
});

test('an order that someone else’s word keeps from a machine says whose, and how it is released', () => {
  const plant = new Plant().run(20);
  order(plant, 'anna#1', 'manual', ['r1-01', 'r1-02']);
  order(plant, 'bert#2', 'lockout', ['r1-02']);
  plant.run(5);
  const blocked = (machine: number, action: Parameters<typeof blockedBy>[2], actor: string): string =>
    blockedBy(plant.state, machine, action, actor) ?? '';
  expect(blocked(0, 'mine', 'carl#3').replace('r1-01 is ', '')).toMatch(WORDS);
  expect(blocked(1, 'sleep', 'anna#1')).toMatch(
    /^r1-02 is locked out by bert .* only bert releases it: unlock r1-02$/u,
  );
  expect(blocked(1, 'unlock', 'anna#1')).toMatch(/only bert releases it/u);
  expect(blocked(1, 'unlock', 'bert#7')).toBe('');
  expect(blocked(1, 'automatic', 'carl#3')).toBe('');
  expect(blocked(2, 'sleep', 'carl#3')).toBe('');
});

test('agents keep it: a controller whose ledger was lost learns it from them, and anyone gives it back', () => {
  const first = new Plant().run(20);
  order(first, 'anna#1', 'manual', r1);
  first.run(5);
  expect(first.held?.map(({ kind, by, machines }) => [kind, by, machines.length])).toEqual([
    ['manual', 'anna', 10],
  ]);
  const second = new Plant();
  second.held = first.held;
  second.priceUsdPerMwh = 500;
  second.run(120);
  expect(second.count('mine', 'r1')).toBe(10);
  expect(whyOf(second.state, 0, now).text).toMatch(/^released to manual by anna/u);
  order(second, 'bert#2', 'automatic', r1);
  expect(second.saidLocks.get('r1')?.[0]).toMatchObject({ by: 'anna', machines: [], freed: r1 });
  second.run(60);
  expect(second.count('mine', 'r1')).toBe(0);
  // What was given back stays so, also for one who reads both ledgers' lines again.
  const third = new Plant();
  recover(third.state, second.records, 0);
  expect(third.state.manual.size).toBe(0);
});

test('a release to manual that no agent confirms is an alarm', () => {
  const plant = new Plant().run(20);
  plant.held = undefined;
  order(plant, 'anna#1', 'manual', ['r1-01']);
  plant.run(15);
  expect(plant.state.alarms.get('LOCKOUT_UNHELD:a1')?.text).toContain('r1-01');
});

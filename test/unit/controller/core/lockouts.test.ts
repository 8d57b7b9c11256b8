import { expect, test } from 'vitest';
import type { LedgerRecord } from '../../../../controller/core/events.ts';
import { recover } from '../../../../controller/core/recover.ts';
import { whyOf } from '../../../../controller/core/view.ts';
import { locksByMachine } from '../../../../protocols/mqtt/lockouts.ts';
import { order } from './order.ts';
import { Plant } from './plant.ts';

const mode = (plant: Plant, id: string): string | undefined =>
  plant.mode[plant.state.site.machines.find((one) => one.id === id)?.index ?? -1];
const locked = (plant: Plant): string[] => [...locksByMachine(plant.held ?? []).keys()].sort();
const unheld = (plant: Plant): boolean => plant.state.alarms.has('LOCKOUT_UNHELD:a1');

test('a lockout goes to the agent with who, when and why, and is free only when everybody released theirs', () => {
  const plant = new Plant().run(20);
  order(plant, 'anna#1', 'lockout', ['r1-01', 'r1-02']);
  order(plant, 'bert#2', 'lockout', ['r1-02']);
  plant.run(20);
  expect(plant.held?.map(({ by, reason, machines }) => ({ by, reason, machines }))).toEqual([
    { by: 'anna', reason: 'fan', machines: ['r1-01', 'r1-02'] },
    { by: 'bert', reason: 'fan', machines: ['r1-02'] },
  ]);
  order(plant, 'bert#2', 'unlock', ['r1-01', 'r1-02']);
  plant.run(100);
  expect(locked(plant)).toEqual(['r1-01', 'r1-02']);
  expect([mode(plant, 'r1-01'), mode(plant, 'r1-02')]).toEqual(['sleep', 'sleep']);
  // From another console, after another login: the same person.
  order(plant, 'anna#9', 'unlock', ['r1-01', 'r1-02']);
  plant.run(200);
  expect(locked(plant)).toEqual([]);
  expect([mode(plant, 'r1-01'), mode(plant, 'r1-02')]).toEqual(['mine', 'mine']);
  expect(unheld(plant)).toBe(false);
});

test('an agent that does not confirm is an alarm, and is told again', () => {
  const plant = new Plant().run(20);
  plant.held = undefined;
  order(plant, 'anna#1', 'lockout', ['r1-01']);
  plant.run(9);
  expect(unheld(plant)).toBe(false);
  plant.saidLocks.clear();
  plant.run(15);
  expect(unheld(plant)).toBe(true);
  expect(plant.saidLocks.get('r1')?.[0]?.machines).toEqual(['r1-01']);
  const why = whyOf(plant.state, 0, { wallMs: 0, monoMs: plant.nowMs });
  expect(why.inputs.find((input) => input.label === 'lockout')?.value).toContain('NOT confirmed');
  plant.held = [];
  plant.run(15);
  expect(locked(plant)).toEqual(['r1-01']);
  expect(unheld(plant)).toBe(false);
});

test('a controller whose ledger was lost learns the lockouts from the agent and cannot end one by forgetting', () => {
  const first = new Plant().run(20);
  order(first, 'anna#1', 'lockout', ['r1-01']);
  first.run(20);
  const second = new Plant();
  second.mode[0] = 'sleep';
  second.held = first.held;
  second.run(60);
  expect(mode(second, 'r1-01')).toBe('sleep');
  expect(whyOf(second.state, 0, { wallMs: 0, monoMs: 0 }).release).toMatch(
    /^locked out by anna since .*Z \(fan\); only anna releases it: unlock r1-01$/u,
  );
  order(second, 'anna#1', 'unlock', ['r1-01']);
  // It dies before the agent has heard of it.
  const third = new Plant();
  third.mode[0] = 'sleep';
  third.held = first.held;
  recover(third.state, second.records, 0);
  third.run(200);
  expect(locked(third)).toEqual([]);
  expect(mode(third, 'r1-01')).toBe('mine');
});

test('lockouts and their releases survive a restart of the controller in the order of the ledger', () => {
  const before = new Plant().run(20);
  order(before, 'anna#1', 'lockout', ['r1-01', 'r1-02']);
  order(before, 'anna#1', 'unlock', ['r1-02']);
  before.run(5);
  const records: LedgerRecord[] = [...before.records];
  const after = new Plant();
  recover(after.state, records, 0);
  after.run(20);
  expect(locked(after)).toEqual(['r1-01']);
  expect(after.held).toEqual(before.held);
});

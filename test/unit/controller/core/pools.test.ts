import { expect, test } from 'vitest';
import type { OperatorRequest } from '../../../../protocols/console/view.ts';
import type { MachineResult } from '../../../../protocols/mqtt/status.ts';
import { recover } from '../../../../controller/core/recover.ts';
import { viewOf } from '../../../../controller/core/view.ts';
import { order } from './order.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

const ALL = Array.from({ length: 10 }, (_, n) => `r1-${String(n + 1).padStart(2, '0')}`);

function plantWith(startsPer10S: number): Plant {
  const plant = new Plant({
    ...smallSite,
    control: { startsPer10S },
    pools: { main: [{ url: 'stratum+tcp://p:1', user: 'a.{machine}' }] },
  });
  return plant.run(60);
}

const setPools = (plant: Plant, ids: readonly string[], actor = 'ann#1'): void => {
  const request: OperatorRequest = { scope: ids, action: 'pools', pools: 'main', reason: 'new contract' };
  const machines = plant.state.site.machines.filter((one) => ids.includes(one.id)).map((one) => one.index);
  const atMs = 1_000_000 + plant.nowMs;
  plant.records.push({ t: 'operator', atMs, commandId: `op-${actor}`, actor, request, machines: ids });
  plant.take({ kind: 'operator', commandId: `op-${actor}`, actor, request, machines });
};

const said = (plant: Plant): string[] =>
  plant.actions.filter(({ verb }) => verb === 'pools').map(({ machine }) => machine);

function answer(
  plant: Plant,
  machine: string,
  stage: MachineResult['stage'],
  why?: MachineResult['why'],
): void {
  const action = plant.actions.find((one) => one.verb === 'pools' && one.machine === machine);
  const head = { commandId: action?.id ?? '', epoch: plant.state.epoch, generation: 0, ms: 1, atMs: 1 };
  const results = [{ ...head, machine, verb: 'pools', stage, ...(why && { why }) }];
  plant.take({
    kind: 'result',
    result: { v: 1, site: 'small', agent: 'a1', boot: 1, seq: 1, rack: 'r1', results },
  });
}

const shown = (plant: Plant): object | undefined =>
  viewOf(plant.state, { wallMs: 1_000_000 + plant.nowMs, monoMs: plant.nowMs }).commands.find(({ text }) =>
    text.startsWith('pools main by ann'),
  );
const alarms = (plant: Plant): string[] =>
  [...plant.state.alarms.values()].filter(({ code }) => code === 'POOLS_NOT_SET').map(({ text }) => text);

test('each machine is told once, so many in ten seconds, by name of the set alone', () => {
  const plant = plantWith(4);
  setPools(plant, ALL);
  plant.run(5);
  expect(said(plant)).toEqual(ALL.slice(0, 4));
  plant.run(10);
  expect(said(plant)).toEqual(ALL.slice(0, 8));
  plant.run(30);
  expect(said(plant)).toEqual(ALL);
  expect(plant.actions.find(({ verb }) => verb === 'pools')).toEqual({
    v: 1,
    site: 'small',
    id: 'op-ann#1-r1-01',
    epoch: plant.state.epoch,
    machine: 'r1-01',
    verb: 'pools',
    pools: 'main',
    expiresAtMs: expect.any(Number) as number,
  });
});

test('an order under way is kept however many come after it', () => {
  const plant = plantWith(1);
  const [first = '', second = '', other = ''] = ALL;
  setPools(plant, [first, second]);
  for (let n = 0; n < 30; n += 1) setPools(plant, [other], `bob#${n}`);
  plant.run(60);
  expect(said(plant)).toContain(second);
  plant.run(90);
  expect(plant.state.poolOrders.length).toBeLessThanOrEqual(32);
});

test('what comes of it is shown, what does not come is an alarm, and no mode is decided by it', () => {
  const plant = plantWith(20);
  const moves = plant.moves.length;
  setPools(plant, ALL.slice(0, 4));
  answer(plant, 'r1-01', 'acknowledged');
  expect(shown(plant)).toMatchObject({ state: 'sent', machines: 4, acknowledged: 1, observed: 0, failed: 0 });
  answer(plant, 'r1-01', 'observed');
  answer(plant, 'r1-02', 'acknowledged');
  answer(plant, 'r1-02', 'failed', 'VERB_NOT_OBSERVED');
  answer(plant, 'r1-03', 'refused', 'LOCKED_OUT');
  plant.run(70);
  expect(shown(plant)).toMatchObject({
    state: 'failed',
    machines: 4,
    acknowledged: 1,
    observed: 1,
    failed: 3,
  });
  expect(alarms(plant)).toEqual([
    "r1-02 is not known to mine at the pools 'main': VERB_NOT_OBSERVED",
    "r1-03 is not known to mine at the pools 'main': LOCKED_OUT",
    "r1-04 is not known to mine at the pools 'main': its agent has not said what came of it",
  ]);
  // Late is late, and yet it is so.
  answer(plant, 'r1-04', 'observed');
  expect(alarms(plant)).toHaveLength(2);
  expect(plant.moves.length).toBe(moves);
});

test('a lockout that comes while they wait is respected, and a newer order takes over what waits', () => {
  const plant = plantWith(2);
  setPools(plant, ALL.slice(0, 6));
  order(plant, 'bob#1', 'lockout', ['r1-03']);
  setPools(plant, ALL.slice(3, 6), 'eve#1');
  plant.run(60);
  expect(said(plant)).toEqual(['r1-01', 'r1-02', 'r1-04', 'r1-05', 'r1-06']);
  expect(plant.actions.filter(({ id }) => id.startsWith('op-eve#1-'))).toHaveLength(3);
  expect(alarms(plant).join()).toContain('r1-03');
});

/** The same site under a controller that starts anew with this ledger. */
function restarted(before: Plant): Plant {
  const plant = plantWith(4);
  recover(plant.state, before.records, 1_000_000 + before.nowMs);
  return plant.run(3);
}

test('an order that a restart interrupts is named with who has not confirmed, told to nobody again, and can be given again', () => {
  const before = plantWith(4);
  setPools(before, ALL);
  before.run(12);
  answer(before, 'r1-01', 'acknowledged');
  answer(before, 'r1-01', 'observed');
  answer(before, 'r1-02', 'failed', 'VERB_REFUSED');
  const plant = restarted(before);
  expect(said(plant)).toEqual([]);
  const open = (): string => alarms(plant).join('\n');
  expect(open()).toContain("the controller started anew during 'pools main by ann: new contract'");
  expect(open()).toContain('not confirmed by 8 machines: r1-03, r1-04,');
  // What its agent says late of one that was told is taken.
  const head = { epoch: 1, generation: 0, ms: 1, atMs: 1, stage: 'observed' } as const;
  const results = [{ ...head, commandId: 'op-ann#1-r1-03', machine: 'r1-03', verb: 'pools' }];
  plant.take({
    kind: 'result',
    result: { v: 1, site: 'small', agent: 'a1', boot: 1, seq: 1, rack: 'r1', results },
  });
  plant.run(1);
  expect(open()).toContain('not confirmed by 7 machines: r1-04,');
  setPools(plant, ALL, 'bob#1');
  plant.run(60);
  expect(alarms(plant).filter((text) => text.includes('started anew'))).toEqual([]);
  expect(said(plant)).toEqual(ALL);
});

test('of many orders that a restart interrupts each is named, and its alarm ends when it is given again', () => {
  const before = plantWith(4);
  const machines = before.state.site.machines.map(({ id }) => id);
  expect(machines.length).toBeGreaterThan(20);
  for (const [index, machine] of machines.entries()) setPools(before, [machine], `p${index}#1`);
  const plant = restarted(before);
  const interrupted = (): string[] => alarms(plant).filter((text) => text.includes('started anew'));
  expect(interrupted()).toHaveLength(machines.length);
  for (const [index, machine] of machines.entries()) setPools(plant, [machine], `q${index}#1`);
  expect(interrupted()).toEqual([]);
});

test('an order of which everybody has been heard, or that a newer one covers, is over after a restart', () => {
  const before = plantWith(10);
  setPools(before, ALL);
  before.run(12);
  for (const id of ALL) answer(before, id, id === 'r1-02' ? 'failed' : 'observed');
  expect(alarms(restarted(before))).toEqual([]);
  const twice = plantWith(10);
  setPools(twice, ALL);
  setPools(twice, ALL, 'bob#1');
  const plant = restarted(twice);
  expect(alarms(plant).map((text) => /by (\w+)/.exec(text)?.[1])).toEqual(['bob']);
});

import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { admit, committedW, makeEnvelope, recount, sliceBounds } from '../../../../agent/core/envelope.ts';
import type { EnvelopeMachine } from '../../../../agent/core/envelope.ts';
import { drawersOf, followHeat, makeHeat } from '../../../../protocols/auxiliary.ts';

const machine = (changes: Partial<EnvelopeMachine> = {}): EnvelopeMachine => ({
  path: [1, 0],
  ratedW: 3_400,
  presentW: 30,
  reachingW: undefined,
  ...changes,
});
const nodes = (
  siteW: number,
  rackW: number,
  meter?: number,
): { id: string; capW: number; meterW: number | undefined }[] => [
  { id: 'site', capW: siteW, meterW: undefined },
  { id: 'rack', capW: rackW, meterW: meter },
];

test('unknown counts as rated, a command under way as what it will reach', () => {
  expect(committedW(machine({ presentW: undefined }))).toBe(3_400);
  expect(committedW(machine({ presentW: 500, reachingW: 3_200 }))).toBe(3_200);
  expect(committedW(machine({ presentW: 3_250, reachingW: 30 }))).toBe(3_250);
});

test('what the meter shows above the machines takes room, also while machines change', () => {
  const envelope = makeEnvelope(2, { marginPct: 0, startsPer10S: 100 });
  const asleep = Array.from({ length: 3 }, () => machine());
  recount(envelope, nodes(100_000, 10_000, 5_090), asleep, 0);
  expect(admit(envelope, nodes(100_000, 10_000), machine(), 3_200, 0).ok).toBe(true);
  expect(admit(envelope, nodes(100_000, 10_000), machine(), 3_200, 0)).toMatchObject({
    limit: 'cap',
    node: 'rack',
  });
  const waking = [machine({ reachingW: 3_200 }), machine(), machine()];
  recount(envelope, nodes(100_000, 10_000, 5_100), waking, 5_000);
  expect(admit(envelope, nodes(100_000, 10_000), machine(), 3_200, 5_000).ok).toBe(false);
});

test('what follows a start takes room: all of it without a meter, the growth beside one', () => {
  const drawers = drawersOf([
    { path: [0] },
    { path: [1, 0], auxiliary: { fixedKw: 2, perItKw: 0.1, lagS: 60 } },
  ]);
  const heat = makeHeat(drawers);
  const asleep = Array.from({ length: 10 }, () => machine({ presentW: 0 }));
  /** How many of ten machines of 1 kW may start, one after the other. */
  const starts = (capW: number, meterW: number | undefined): number => {
    followHeat(heat, drawers, [0, 0], 0);
    const envelope = makeEnvelope(2, { marginPct: 0, startsPer10S: 100 }, { drawers, heat });
    const list = nodes(1e9, capW, meterW);
    recount(envelope, list, asleep, 0);
    return asleep.filter((one) => admit(envelope, list, one, 1_000, 0).ok).length;
  };
  expect([starts(12_000, undefined), starts(13_000, undefined)]).toEqual([9, 10]);
  // The meter shows that only one of the two pumps runs.
  expect([starts(11_999, 1_000), starts(12_000, 1_000)]).toEqual([9, 10]);
  // They work and their heat is followed no further than half: the rest is still to come.
  const working = asleep.map(() => machine({ presentW: 1_000 }));
  heat.itW[0] = 5_000;
  const envelope = makeEnvelope(2, { marginPct: 0, startsPer10S: 100 }, { drawers, heat });
  recount(envelope, nodes(1e9, 20_000, 12_500), working, 0);
  expect(envelope.committedW[1]).toBe(13_000);
  // Shed, they may be followed a while: without a meter that counts on.
  recount(envelope, nodes(1e9, 20_000), asleep, 200_000);
  expect(envelope.committedW[1]).toBe(2_500);
});

test('pumps on two feeds count in full on both, though a meter shows one part of them', () => {
  // Site, two feeds, a rack on both with 4 kW of pumps and fans after its heat.
  const drawers = drawersOf([
    { path: [0] },
    { path: [1, 0] },
    { path: [2, 0] },
    { path: [3, 2, 1, 0], auxiliary: { fixedKw: 4, perItKw: 0.2, lagS: 10 } },
  ]);
  const shares = [1, 0.5, 0.5, 1];
  const heat = makeHeat(drawers);
  followHeat(heat, drawers, [10_000, 5_000, 5_000, 10_000], 0);
  const auxiliaries = { drawers, heat, shares: [shares] };
  const envelope = makeEnvelope(4, { marginPct: 0, startsPer10S: 100 }, auxiliaries);
  const working = Array.from({ length: 10 }, () => machine({ path: [3, 2, 1, 0], shares, presentW: 1_000 }));
  const list = [16_000, 8_000, 8_000, undefined].map((meterW, node) => ({
    id: `n${node}`,
    capW: 1e9,
    meterW,
  }));
  recount(envelope, list, working, 0);
  expect(envelope.committedW).toEqual([16_000, 16_000, 16_000, 16_000]);
});

test('starts are counted over 10 s', () => {
  const envelope = makeEnvelope(2, { marginPct: 2, startsPer10S: 2 });
  const wide = nodes(1e9, 1e9);
  const ask = (nowMs: number): boolean => admit(envelope, wide, machine(), 3_200, nowMs).ok;
  expect([ask(0), ask(1), ask(2), ask(9_999), ask(10_000), ask(10_000), ask(10_001)]).toEqual([
    true,
    true,
    false,
    false,
    true,
    false,
    true,
  ]);
});

test('whatever is asked, what was admitted never commits a node above its cap', () => {
  const each = fc.record({
    presentW: fc.option(fc.integer({ min: 0, max: 3_400 }), { nil: undefined }),
    rack: fc.integer({ min: 1, max: 3 }),
    targetW: fc.integer({ min: 100, max: 3_400 }),
  });
  const caps = fc.array(fc.integer({ min: 1_000, max: 60_000 }), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(
      fc.array(each, { minLength: 1, maxLength: 40 }),
      caps,
      fc.integer({ min: 0, max: 30_000 }),
      (list, capsW, extraW) => {
        const machines = list.map(({ presentW, rack }) => machine({ presentW, path: [rack, 0] }));
        const start = capsW.map((capW, index) => ({
          id: `n${index}`,
          capW,
          meterW: undefined as number | undefined,
        }));
        const known = machines.reduce((sum, { presentW }) => sum + (presentW ?? 0), 0);
        if (start[0] !== undefined) start[0].meterW = known + extraW;
        const envelope = makeEnvelope(4, { marginPct: 2, startsPer10S: 1_000 });
        recount(envelope, start, machines, 0);
        for (const [index, each] of list.entries()) {
          const asked = machines[index];
          if (asked !== undefined && admit(envelope, start, asked, each.targetW, 0).ok)
            machines[index] = { ...asked, reachingW: each.targetW };
          else continue;
          for (const node of asked.path) {
            const sum = machines
              .filter(({ path }) => path.includes(node))
              .reduce((total, one) => total + committedW(one), 0);
            expect(sum + (node === 0 ? extraW : 0)).toBeLessThanOrEqual((capsW[node] ?? 0) + 1e-6);
          }
        }
      },
    ),
  );
});

test('a slice binds raises past T1 and all past T2, without a controller at no more than was drawn before', () => {
  const bounds = (unheardMs: number, live: boolean, heldW: number | undefined): unknown =>
    Object.values(sliceBounds({ capW: 40_000, heldW, unheardMs, live }, { t1Ms: 5_000, t2Ms: 30_000 }));
  expect(bounds(5_000, true, 9_000)).toEqual([Infinity, Infinity]);
  expect(bounds(5_001, true, 9_000)).toEqual([40_000, Infinity]);
  expect(bounds(5_001, false, 9_000)).toEqual([9_000, Infinity]);
  expect(bounds(30_001, true, 9_000)).toEqual([40_000, 40_000]);
  expect(bounds(30_001, false, 9_000)).toEqual([9_000, 9_000]);
  expect(bounds(30_001, false, 50_000)).toEqual([40_000, 40_000]);
  expect(bounds(30_001, false, undefined)).toEqual([40_000, 40_000]);
});

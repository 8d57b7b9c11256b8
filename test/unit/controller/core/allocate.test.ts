import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allocate } from '../../../../controller/core/allocate.ts';
import type { Increment } from '../../../../controller/core/allocate.ts';
import { seededRandom } from '../../../../host/random.ts';

const one = (machine: number, changes: Partial<Increment> = {}): Increment => ({
  machine,
  rung: 0,
  path: [1, 0],
  addW: 1_000,
  usdPerHour: 1,
  held: false,
  ...changes,
});
const room = (...watts: number[]): Float64Array => Float64Array.from(watts);
const none = room(0, 0, 0);

describe('allocate', () => {
  test('the best per watt first, nothing that does not pay', () => {
    const { taken } = allocate(
      [one(0, { usdPerHour: 1 }), one(1, { usdPerHour: 3 }), one(2, { usdPerHour: -1 })],
      room(1_500, 1_500),
      none,
    );
    expect([...taken]).toEqual([0, 1, 0]);
  });

  test('the node that has no room is named, the lowest first', () => {
    const { blockedBy } = allocate([one(0, { path: [2, 1, 0] })], room(9_000, 500, 9_000), none);
    expect([...blockedBy]).toEqual([1]);
  });

  test('what is in force is kept before an equal one, but not before a better one', () => {
    const equal = allocate([one(0), one(1, { held: true })], room(1_000, 1_000), none);
    expect([...equal.taken]).toEqual([0, 1]);
    const better = allocate([one(0, { usdPerHour: 2 }), one(1, { held: true })], room(1_000, 1_000), none);
    expect([...better.taken]).toEqual([1, 0]);
  });

  test('what starts must leave the spare room, what runs need not', () => {
    const spare = room(200, 200, 0);
    expect([...allocate([one(0)], room(1_100, 1_100), spare).taken]).toEqual([0]);
    expect([...allocate([one(0, { held: true })], room(1_100, 1_100), spare).taken]).toEqual([1]);
  });

  test('what follows a machine takes its part of the room, at the nodes where it hangs', () => {
    const grown = { newW: 1_000, growth: [1, 1.06] };
    const two = [one(0, grown), one(1, grown)];
    expect([...allocate(two, room(2_120, 2_000), none).taken]).toEqual([1, 1]);
    const short = allocate(two, room(2_119, 2_000), none);
    expect([...short.taken]).toEqual([1, 0]);
    expect([...short.blockedBy]).toEqual([-1, 0]);
    // Who works is followed already.
    expect([...allocate([one(0, { ...grown, newW: 0 })], room(1_000, 1_000), none).taken]).toEqual([1]);
  });

  test.each([900, 1_500])(
    'the best of %i are taken, of equal ones the first, however they are sorted',
    (count) => {
      const random = seededRandom(count);
      const worth = Array.from({ length: count }, () => Math.floor(random.next() * 300) / 7 + 0.01);
      const order = [...worth.keys()].sort((a, b) => (worth[b] ?? 0) - (worth[a] ?? 0) || a - b);
      const { taken } = allocate(
        worth.map((usdPerHour, machine) => one(machine, { usdPerHour })),
        room(200_000, 200_000),
        none,
      );
      expect([...taken.keys()].filter((place) => taken[place] === 1)).toEqual(
        order.slice(0, 200).sort((a, b) => a - b),
      );
    },
  );

  test('a rung is taken only above the one below it', () => {
    const ladder = [one(0, { rung: 0, usdPerHour: 1 }), one(0, { rung: 1, usdPerHour: 5 })];
    expect([...allocate(ladder, room(9_000, 9_000), none).taken][1]).toBe(0);
  });

  test('no node is ever given more than it has', () => {
    const arbitrary = fc.array(
      fc.record({
        addW: fc.integer({ min: 1, max: 4_000 }),
        usdPerHour: fc.double({ min: -1, max: 9, noNaN: true }),
        node: fc.integer({ min: 1, max: 3 }),
        held: fc.boolean(),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(
        arbitrary,
        fc.array(fc.integer({ min: -5_000, max: 60_000 }), { minLength: 4, maxLength: 4 }),
        (list, watts) => {
          const increments = list.map(({ node, ...rest }, machine) =>
            one(machine, { ...rest, path: [node, 0] }),
          );
          const { taken } = allocate(increments, room(...watts), room(0, 0, 0, 0));
          for (const [node, available] of watts.entries()) {
            const used = increments.reduce(
              (sum, increment, index) =>
                sum + (taken[index] === 1 && increment.path.includes(node) ? increment.addW : 0),
              0,
            );
            expect(used === 0 || used <= available).toBe(true);
          }
        },
      ),
    );
  });
});

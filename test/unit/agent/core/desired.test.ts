import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeOrders, offerDesired, promote } from '../../../../agent/core/desired.ts';
import type { Desired } from '../../../../protocols/mqtt/desired.ts';

const doc = (epoch: number, generation: number, changes: Partial<Desired> = {}): Desired => ({
  v: 1,
  site: 's',
  rack: 'r1',
  epoch,
  generation,
  commandId: `c${epoch}.${generation}`,
  issuedAtMs: 0,
  expiresAtMs: 60_000,
  urgent: false,
  machines: { m1: { mode: 'mine', because: { owner: 'price', rule: 'r', text: 't' } } },
  ...changes,
});
const at = (
  highestEpoch: number,
  nowMs = 0,
): { highestEpoch: number; nowMs: number; patienceMs: number } => ({
  highestEpoch,
  nowMs,
  patienceMs: 30_000,
});

test('a document waits until a beat names it', () => {
  const orders = makeOrders();
  expect(offerDesired(orders, doc(1, 5), at(1)).kind).toBe('kept');
  expect(orders.current).toBeUndefined();
  expect(promote(orders, 1, 4)).toBe(false);
  expect(promote(orders, 1, 5)).toBe(true);
  expect(orders.current?.generation).toBe(5);
});

test('older, changed and repeated documents are told apart', () => {
  const orders = makeOrders();
  offerDesired(orders, doc(1, 5), at(1));
  promote(orders, 1, 5);
  expect(offerDesired(orders, doc(0, 9), at(1))).toMatchObject({ kind: 'refused', why: 'DESIRED_STALE' });
  expect(offerDesired(orders, doc(1, 4), at(1)).kind).toBe('refused');
  expect(offerDesired(orders, doc(1, 5), at(1)).kind).toBe('same');
  expect(offerDesired(orders, doc(1, 5, { machines: {} }), at(1)).kind).toBe('refused');
  expect(offerDesired(orders, doc(1, 5, { urgent: true }), at(1)).kind).toBe('refused');
  expect(offerDesired(orders, doc(1, 5, { expiresAtMs: 90_000, commandId: 'other' }), at(1)).kind).toBe(
    'renewed',
  );
  expect(orders.current).toMatchObject({ expiresAtMs: 90_000, commandId: 'c1.5' });
});

test('a stray document that no beat names gives way after its time', () => {
  const orders = makeOrders();
  offerDesired(orders, doc(99, 1), at(1));
  expect(offerDesired(orders, doc(1, 2), at(1, 29_999)).kind).toBe('refused');
  expect(offerDesired(orders, doc(1, 2), at(1, 30_000)).kind).toBe('kept');
  expect(promote(orders, 1, 2)).toBe(true);
});

test('whatever comes in whatever order, what is in force never goes back', () => {
  const step = fc.record({
    epoch: fc.nat(3),
    generation: fc.nat(6),
    beat: fc.boolean(),
    ms: fc.nat(40_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const orders = makeOrders();
      let nowMs = 0;
      let highest = 0;
      let last = [-1, -1] as readonly [number, number];
      for (const { epoch, generation, beat, ms } of steps) {
        nowMs += ms;
        // The lease takes no beat of an epoch below the highest.
        if (beat && epoch >= highest) {
          highest = epoch;
          promote(orders, epoch, generation);
        } else offerDesired(orders, doc(epoch, generation), at(highest, nowMs));
        const { current } = orders;
        if (current === undefined) continue;
        const now = [current.epoch, current.generation] as const;
        expect(now[0] > last[0] || (now[0] === last[0] && now[1] >= last[1])).toBe(true);
        last = now;
      }
    }),
  );
});

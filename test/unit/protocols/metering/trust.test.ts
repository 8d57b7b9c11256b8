import { describe, expect, test } from 'vitest';
import type { BalanceMeter, BalanceNode } from '../../../../protocols/metering/balance.ts';
import { judgeMeters, makeReconciler, noteMeter, noteOwn } from '../../../../protocols/metering/reconcile.ts';
import type { Reconciler } from '../../../../protocols/metering/reconcile.ts';

const node = (capW: number, lossShare: number, ...feeds: number[]): BalanceNode => ({
  feeds: feeds.map((feed) => ({ node: feed, share: 1 / feeds.length })),
  capW,
  lossShare,
  mayExport: false,
});
const metersOf = (...ids: string[]): BalanceMeter[] =>
  ids.map((id, place) => ({ id, node: place, role: 'node', errorShare: 0.007, periodMs: 2_000 }));

/** What each meter shows and the machines of each node say at a second, W. */
type Moment = (atS: number) => {
  readonly shown: readonly number[];
  readonly said: readonly number[];
  readonly isTransferred?: boolean;
};

function play(state: Reconciler, minutes: number, momentOf: Moment): Reconciler {
  for (let atS = 0; atS < minutes * 60; atS++) {
    const { shown, said, isTransferred = false } = momentOf(atS);
    for (const [meter, watts] of shown.entries()) noteMeter(state, meter, watts, atS * 1_000);
    const words = said.map((machinesW) => ({ machinesW, unknownW: 0, doubtW: 0, auxiliaryW: 0 }));
    if (atS % 5 === 0) noteOwn(state, words);
    judgeMeters(state, atS * 1_000, isTransferred);
  }
  return state;
}

describe('a load at the root that nobody declared', () => {
  const NODES = [node(320_000, 0.05), node(160_000, 0.03, 0), node(160_000, 0.03, 0)];
  const FULL_W = 110_000;
  const make = (): Reconciler => makeReconciler(NODES, metersOf('main', 'f1', 'f2'), { ownLagMs: 7_000 });
  /** The machines of both feeders rest and work in turn. */
  const loadW = (atS: number): number => FULL_W * (atS % 1_200 < 500 ? 0.15 : 1);

  for (const undeclaredW of [22_000, 55_000])
    test(`of ${undeclaredW / 1_000} kW is said, at rest and at work, and the main meter is used: what flows through it is real`, () => {
      const state = play(make(), 80, (atS) => {
        const watts = loadW(atS);
        return { shown: [2 * watts + undeclaredW, watts, watts], said: [0, watts, watts] };
      });
      expect([...state.found.values()]).toMatchObject([{ kind: 'ratio', meter: 0, isDistrusted: false }]);
    });

  test('said of a main meter, it does not cover a ratio that becomes too small later', () => {
    const state = play(make(), 80, (atS) => {
      const mainW = atS < 2_400 ? 2 * FULL_W + 30_000 : 1.6 * FULL_W;
      return { shown: [mainW, FULL_W, FULL_W], said: [0, FULL_W, FULL_W] };
    });
    expect([...state.found.values()]).toMatchObject([{ kind: 'ratio', meter: 0, isDistrusted: true }]);
  });

  test('is never so large as a meter that shows ten times what flows', () => {
    const state = play(make(), 12, (atS) => ({
      shown: [0.4 * FULL_W * (atS > 600 ? 10 : 1), 0.2 * FULL_W, 0.2 * FULL_W],
      said: [0, 0.2 * FULL_W, 0.2 * FULL_W],
    }));
    expect([...state.found.values()]).toMatchObject([{ kind: 'ratio', meter: 0, isDistrusted: true }]);
  });
});

test('of two feeds one is lost for hours: neither its meter nor that of the other one is named for it', () => {
  const nodes = [
    node(320_000, 0.05),
    node(160_000, 0.03, 0),
    node(160_000, 0.03, 0),
    node(160_000, 0.01, 1, 2),
  ];
  const state = makeReconciler(nodes, metersOf('main', 'f1', 'f2', 'rack'), { ownLagMs: 7_000 });
  const watts = 140_000;
  // It is noticed some seconds later, by the meters of both.
  play(state, 240, (atS) => {
    const isLost = atS > 400 && atS < 10_000;
    const feeds = isLost ? [0, watts] : [watts / 2, watts / 2];
    return {
      shown: [watts, ...feeds, watts],
      said: [0, 0, 0, watts],
      isTransferred: isLost && atS > 405,
    };
  });
  expect([...state.found.values()]).toEqual([]);
});

test('machines that say too much at full power and right at half: what comes back does not go on coming and going', () => {
  const state = makeReconciler([node(100_000, 0.05)], metersOf('main'), { ownLagMs: 7_000 });
  let changes = 0;
  let isNamed = false;
  play(state, 720, (atS) => {
    if (state.found.size > 0 !== isNamed) changes++;
    isNamed = state.found.size > 0;
    const isFull = atS % 3_000 < 1_500;
    return { shown: [isFull ? 80_000 : 40_000], said: [isFull ? 96_000 : 40_000] };
  });
  // It is named, its end is believed twice, then no more.
  expect(changes).toBeLessThanOrEqual(5);
  expect(isNamed).toBe(true);
});

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { admit, committedW, makeEnvelope, recount } from '../../../agent/core/envelope.ts';
import type { EnvelopeMachine } from '../../../agent/core/envelope.ts';
import { allocate } from '../../../controller/core/allocate.ts';
import { flowShares, lostFeeds, pathOf } from '../../../protocols/feeds.ts';
import type { FedNode } from '../../../protocols/feeds.ts';

/** Per node what it hangs on, each lower than itself; two different ones: two feeds, the first with the share given. */
function tree(above: readonly (readonly number[])[], shares: readonly number[] = []): FedNode[] {
  const nodes: FedNode[] = [];
  for (const [index, feeds] of above.entries()) {
    const first = shares[index] ?? 0.5;
    nodes.push({
      index,
      feeds: feeds.map((node, place) => ({
        node,
        share: feeds.length < 2 ? 1 : place === 0 ? first : 1 - first,
      })),
      path: pathOf(
        index,
        feeds.flatMap((node) => nodes[node] ?? []),
      ),
    });
  }
  return nodes;
}

/** 0 site; 1 and 2 feeders; 3 a rack on both; 4 a rack on 2 alone. */
const SITE = tree([[], [0], [0], [1, 2], [2]], [0, 0, 0, 0.7]);

describe('two feeds', () => {
  test('what hangs on them has both above it, and the site once', () => {
    expect(SITE[3]?.path).toEqual([3, 2, 1, 0]);
    const shares = flowShares(SITE, new Set());
    expect(shares[3]?.map((share) => Math.round(share * 10) / 10)).toEqual([1, 0.3, 0.7, 1]);
    expect(shares[4]).toEqual([1, 1, 1]);
  });

  test('when one is lost the other carries all of it', () => {
    expect(flowShares(SITE, new Set([1]))[3]).toEqual([1, 1, 0, 1]);
    expect(flowShares(SITE, new Set([2]))[3]).toEqual([1, 0, 1, 1]);
    const dark = flowShares(SITE, new Set([1, 2]))[3];
    expect(dark?.map((share) => Math.round(share * 10) / 10)).toEqual([1, 0.3, 0.7, 1]);
  });

  test('a feed is lost when its meter shows nothing and the other one shows all', () => {
    const seen = (at: Readonly<Record<number, number>>): number[] => [
      ...lostFeeds(
        SITE,
        (node) => at[node],
        (node) => (node === 3 ? 20_000 : 0),
      ),
    ];
    expect(seen({ 1: 14_000, 2: 6_000 })).toEqual([]);
    expect(seen({ 1: 0, 2: 21_000 })).toEqual([1]);
    expect(seen({ 1: 20_000, 2: 40 })).toEqual([2]);
    // One meter alone may be stuck at zero, or without voltage itself.
    expect(seen({ 1: 0 })).toEqual([]);
    expect(seen({ 1: 0, 2: 6_000 })).toEqual([]);
    expect(seen({ 2: 21_000 })).toEqual([]);
  });
});

/** Trees of up to nine nodes, racks among them on one or two of the nodes before them, and what their racks ask for. */
const cases = fc
  .array(fc.tuple(fc.nat(), fc.nat(), fc.boolean(), fc.double({ min: 0, max: 1, noNaN: true })), {
    minLength: 2,
    maxLength: 8,
  })
  .chain((drawn) => {
    const above: number[][] = [[]];
    for (const [first, second, dual] of drawn) {
      const one = first % above.length;
      const other = second % above.length;
      above.push(dual && other !== one ? [one, other] : [one]);
    }
    const nodes = tree(above, [0.5, ...drawn.map(([, , , share]) => share)]);
    return fc.record({
      nodes: fc.constant(nodes),
      capsW: fc.array(fc.integer({ min: 2_000, max: 40_000 }), {
        minLength: nodes.length,
        maxLength: nodes.length,
      }),
      asks: fc.array(
        fc.record({ node: fc.nat(nodes.length - 1), watts: fc.integer({ min: 100, max: 9_000 }) }),
        {
          minLength: 1,
          maxLength: 25,
        },
      ),
    });
  });

/** The most that flows into each node, with nothing lost and with any one node but the site lost. */
function worstFlows(nodes: readonly FedNode[], loads: readonly { node: number; watts: number }[]): number[] {
  const worst = nodes.map(() => 0);
  for (const lost of [new Set<number>(), ...nodes.slice(1).map(({ index }) => new Set([index]))]) {
    const shares = flowShares(nodes, lost);
    const flow = nodes.map(() => 0);
    for (const { node, watts } of loads)
      for (const [place, above] of (nodes[node]?.path ?? []).entries())
        flow[above] = (flow[above] ?? 0) + watts * (shares[node]?.[place] ?? 0);
    for (const [index, watts] of flow.entries())
      if (!lost.has(index)) worst[index] = Math.max(worst[index] ?? 0, watts);
  }
  return worst;
}

test('what the agent admits stays below every cap when any one feed is lost', () => {
  fc.assert(
    fc.property(cases, ({ nodes, capsW, asks }) => {
      const envelope = makeEnvelope(nodes.length, { marginPct: 2, startsPer10S: 1_000 });
      const shares = flowShares(nodes, new Set());
      const admitted: { node: number; watts: number; machine: EnvelopeMachine }[] = [];
      for (const { node, watts } of asks) {
        const fresh = { path: nodes[node]?.path ?? [], shares: shares[node] ?? [], ratedW: watts };
        // The meters show what flows by the shares: the count behind each admission starts from them.
        const metered = nodes.map(({ index }) => ({
          id: String(index),
          capW: capsW[index] ?? 0,
          meterW: admitted.reduce((sum, one) => {
            const place = one.machine.path.indexOf(index);
            return sum + (place < 0 ? 0 : committedW(one.machine) * (one.machine.shares?.[place] ?? 0));
          }, 0),
        }));
        const known = admitted.map(({ machine }) => machine);
        recount(envelope, metered, known, 0);
        const machine = { ...fresh, presentW: 0, reachingW: undefined };
        if (!admit(envelope, metered, machine, watts, 0).ok) continue;
        admitted.push({ node, watts, machine: { ...machine, presentW: watts } });
      }
      for (const [index, watts] of worstFlows(nodes, admitted).entries())
        expect(watts).toBeLessThanOrEqual((capsW[index] ?? 0) + 1e-6);
    }),
  );
});

test('so does what the controller allocates', () => {
  fc.assert(
    fc.property(cases, ({ nodes, capsW, asks }) => {
      const increments = asks.map(({ node, watts }, machine) => ({
        machine,
        rung: 0,
        path: nodes[node]?.path ?? [],
        addW: watts,
        usdPerHour: 1 + (machine % 3),
        held: machine % 2 === 0,
      }));
      const { taken } = allocate(increments, Float64Array.from(capsW), new Float64Array(nodes.length));
      const loads = asks.filter((_, machine) => taken[machine] === 1);
      for (const [index, watts] of worstFlows(nodes, loads).entries())
        expect(watts).toBeLessThanOrEqual((capsW[index] ?? 0) + 1e-6);
    }),
  );
});

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  agentPhase,
  controllerMs,
  isArmed,
  issueNonce,
  makeLease,
  rackPhase,
  takeBeat,
  unheardMs,
} from '../../../../agent/core/lease.ts';
import type { LeaseState } from '../../../../agent/core/lease.ts';
import type { Lease } from '../../../../protocols/mqtt/desired.ts';

const T1 = 5_000;
const T2 = 30_000;
const make = (racks: readonly string[] = ['r1', 'r2']): LeaseState =>
  makeLease({ agent: 'a1', t1Ms: T1, t2Ms: T2, racks, durableEpoch: 0, nowMs: 0 });
const beat = (nonce: string | undefined, changes: Partial<Lease> = {}): Lease => ({
  v: 1,
  site: 's',
  epoch: 0,
  seq: 1,
  atMs: 1_000_000,
  racks: { r1: 1, r2: 1 },
  nonces: nonce === undefined ? {} : { a1: nonce },
  ...changes,
});

describe('a beat', () => {
  test('counts with a nonce of the last T1 only', () => {
    const lease = make();
    issueNonce(lease, 'n1', 0);
    expect(takeBeat(lease, beat(undefined), 100).kind).toBe('unheard');
    expect(takeBeat(lease, beat('other'), 100)).toMatchObject({ kind: 'refused', why: 'LEASE_STALE' });
    expect(takeBeat(lease, beat('n1'), T1 + 1)).toMatchObject({ kind: 'refused', why: 'LEASE_STALE' });
    expect(takeBeat(lease, beat('n1'), T1).kind).toBe('taken');
  });

  test('tells of another agent for as long as its nonce changes, and of nobody when it is not taken', () => {
    const lease = make();
    const take = (atMs: number, seq: number, other: string): unknown => {
      issueNonce(lease, `n${seq}`, atMs);
      return takeBeat(lease, beat(`n${seq}`, { seq, nonces: { a1: `n${seq}`, a2: other } }), atMs);
    };
    expect(unheardMs(lease, 'a2', 3_000)).toBe(3_000);
    take(4_000, 1, 'x');
    take(5_000, 2, 'y');
    take(6_000, 3, 'y');
    expect(unheardMs(lease, 'a2', 6_000)).toBe(1_000);
    takeBeat(lease, beat('old', { seq: 4, nonces: { a1: 'old', a2: 'z' } }), 7_000);
    expect(unheardMs(lease, 'a2', 7_000)).toBe(2_000);
  });

  test('does not go back in number or epoch, and a new epoch waits for the disk', () => {
    const lease = make();
    issueNonce(lease, 'n1', 0);
    expect(takeBeat(lease, beat('n1', { seq: 5 }), 1).kind).toBe('taken');
    expect(takeBeat(lease, beat('n1', { seq: 5 }), 2).kind).toBe('refused');
    expect(takeBeat(lease, beat('n1', { epoch: 3, seq: 0 }), 3)).toEqual({ kind: 'store-epoch', epoch: 3 });
    expect(isArmed(lease, 'r1', 0, 1, 3)).toBe(true);
    lease.durableEpoch = 3;
    expect(takeBeat(lease, beat('n1', { epoch: 3, seq: 0 }), 4).kind).toBe('taken');
    expect(takeBeat(lease, beat('n1', { epoch: 2, seq: 9 }), 5)).toMatchObject({ why: 'DESIRED_STALE' });
    expect(isArmed(lease, 'r1', 0, 1, 5)).toBe(false);
    expect(isArmed(lease, 'r1', 3, 1, 5)).toBe(true);
  });

  test('names no rack by the names of objects', () => {
    const lease = make(['toString']);
    issueNonce(lease, 'n1', 0);
    takeBeat(lease, beat('n1', { racks: {} }), 1);
    expect(isArmed(lease, 'toString', 0, 1, 1)).toBe(false);
    expect(takeBeat(lease, { ...beat(undefined), nonces: {} }, 2).kind).toBe('unheard');
  });
});

test('phases follow silence; after a loss only something newer for the rack ends the fail-safe there', () => {
  const lease = make();
  expect(agentPhase(lease, 0)).toBe('starting');
  expect(agentPhase(lease, T2 + 1)).toBe('lost');
  issueNonce(lease, 'n1', T2 + 10);
  takeBeat(lease, beat('n1'), T2 + 20);
  expect(agentPhase(lease, T2 + 20)).toBe('live');
  expect(agentPhase(lease, T2 + 20 + T1)).toBe('live');
  expect(agentPhase(lease, T2 + 21 + T1)).toBe('stale');
  const lateMs = 2 * T2 + 21;
  expect(agentPhase(lease, lateMs)).toBe('lost');
  issueNonce(lease, 'n2', lateMs);
  expect(takeBeat(lease, beat('n2', { seq: 2 }), lateMs).kind).toBe('taken');
  expect(agentPhase(lease, lateMs)).toBe('lost');
  expect(isArmed(lease, 'r1', 0, 1, lateMs)).toBe(false);
  takeBeat(lease, beat('n2', { seq: 3, racks: { r1: 2, r2: 1 } }), lateMs);
  expect(rackPhase(lease, 'r1', lateMs)).toBe('live');
  expect(rackPhase(lease, 'r2', lateMs)).toBe('lost');
  lease.durableEpoch = 1;
  takeBeat(lease, beat('n2', { seq: 0, epoch: 1 }), lateMs);
  expect(agentPhase(lease, lateMs)).toBe('live');
});

test('a rack never commanded is free again as soon as beats come', () => {
  const lease = make(['r1']);
  expect(agentPhase(lease, T2 + 1)).toBe('lost');
  issueNonce(lease, 'n', T2 + 2);
  takeBeat(lease, beat('n', { racks: {} }), T2 + 3);
  expect(agentPhase(lease, T2 + 3)).toBe('live');
});

test('the controller’s clock is its beat’s time and everything since the nonce', () => {
  const lease = make();
  expect(controllerMs(lease, 5)).toBeUndefined();
  issueNonce(lease, 'n', 1_000);
  takeBeat(lease, beat('n', { atMs: 50_000 }), 1_300);
  expect(controllerMs(lease, 1_300)).toBe(50_300);
  expect(controllerMs(lease, 11_000)).toBe(60_000);
});

type Move = { readonly kind: 'status' | 'wait' } | { readonly kind: 'deliver'; readonly pick: number };
const moves: fc.Arbitrary<readonly (Move & { readonly ms: number })[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constantFrom('status' as const, 'wait' as const),
      ms: fc.integer({ min: 0, max: 4_000 }),
    }),
    fc.record({
      kind: fc.constant('deliver' as const),
      pick: fc.nat(50),
      ms: fc.integer({ min: 0, max: 4_000 }),
    }),
  ),
  { maxLength: 120 },
);

test('however messages are delayed, repeated and reordered: live only on a nonce at most 2 × T1 old', () => {
  fc.assert(
    fc.property(moves, (list) => {
      const lease = make();
      const sent: { beat: Lease; issuedMs: number }[] = [];
      let nowMs = 0;
      let newest = { issuedMs: Number.NEGATIVE_INFINITY, takenMs: Number.NEGATIVE_INFINITY };
      for (const [index, move] of list.entries()) {
        nowMs += move.ms;
        if (move.kind === 'status') {
          issueNonce(lease, `n${index}`, nowMs);
          sent.push({ beat: beat(`n${index}`, { seq: index }), issuedMs: nowMs });
        } else if (move.kind === 'deliver' && sent.length > 0) {
          const chosen = sent[move.pick % sent.length];
          if (chosen !== undefined && takeBeat(lease, chosen.beat, nowMs).kind === 'taken') {
            expect(nowMs - chosen.issuedMs).toBeLessThanOrEqual(T1);
            newest = { issuedMs: chosen.issuedMs, takenMs: nowMs };
          }
        }
        if (agentPhase(lease, nowMs) !== 'live') continue;
        expect(nowMs - newest.takenMs).toBeLessThanOrEqual(T1);
        expect(nowMs - newest.issuedMs).toBeLessThanOrEqual(2 * T1);
      }
    }),
  );
});

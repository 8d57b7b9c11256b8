import { describe, expect, test } from 'vitest';
import { emptyState } from '../../../controller/core/state.ts';
import { harnessSite } from '../../../proof/site.ts';
import { Judge } from '../../../proof/invariants.ts';
import type { Desired } from '../../../protocols/mqtt/desired.ts';
import type { Result } from '../../../protocols/mqtt/status.ts';
import type { Truth } from '../../../simulator/world.ts';

const site = harnessSite(50);
const capW = (site.nodes[0]?.capKw ?? 0) * 1_000;

const truth = (rootW: number, changes: Partial<Truth> = {}): Truth => ({
  nodeW: site.nodes.map((node) => (node.index === 0 ? rootW : 0)),
  machineW: site.machines.map(() => 0),
  modes: site.machines.map(() => 'mine'),
  stateCalls: site.machines.map(() => 0),
  doubleOwned: 0,
  generationW: 0,
  ...changes,
});

const desired = (generation: number, expiresAtMs: number): Desired => ({
  v: 1,
  site: site.id,
  rack: 'r1',
  epoch: 1,
  generation,
  commandId: `c-${generation}`,
  issuedAtMs: 0,
  expiresAtMs,
  urgent: false,
  machines: {},
});

const result = (generation: number, atMs: number, ms = 0): Result => ({
  v: 1,
  site: site.id,
  agent: 'a1',
  boot: 1,
  seq: 1,
  rack: 'r1',
  results: [
    {
      commandId: `c-${generation}`,
      epoch: 1,
      generation,
      machine: 'r1-01',
      verb: 'sleep',
      stage: 'acknowledged',
      ms,
      atMs,
    },
  ],
});

const names = (judge: Judge): string[] => judge.violations.map((violation) => violation.invariant);

/** Each invariant must notice what it is there for: a check that cannot fail is none. */
describe('the judge', () => {
  test('sees a site above its cap for too long, and forgives a ramp', () => {
    const judge = new Judge(site);
    for (let s = 0; s < 60; s++) judge.power(truth(capW * 1.05), s * 1_000);
    expect(names(judge)).toEqual([]);
    for (let s = 60; s < 200; s++) judge.power(truth(capW * 1.05), s * 1_000);
    expect(names(judge)).toContain('cap');
  });

  test('sees a utility limit exceeded after its deadline', () => {
    const judge = new Judge(site);
    judge.limit(capW * 0.6, 30_000);
    for (let s = 0; s < 29; s++) judge.power(truth(capW * 0.9), s * 1_000);
    expect(judge.atStake.limit).toBe(0);
    for (let s = 30; s < 300; s++) judge.power(truth(capW * 0.9), s * 1_000);
    expect(names(judge)).toContain('limit');
  });

  test('sees GPUs with two owners', () => {
    const judge = new Judge(site);
    judge.power(truth(0, { doubleOwned: 1 }), 0);
    expect(names(judge)).toEqual(['gpu-owned-once']);
  });

  test('sees a command that starts after its expiry, and one nobody published', () => {
    const judge = new Judge(site);
    judge.desired(desired(1, 10_000));
    judge.result(result(1, 9_000), 9_000);
    expect(names(judge)).toEqual([]);
    judge.result(result(1, 11_000), 11_000);
    judge.result(result(2, 11_000), 11_000);
    expect(names(judge)).toEqual(['expired-or-stale', 'expired-or-stale']);
  });

  test('sees a machine that begins an older generation, and not one that is only said again', () => {
    const judge = new Judge(site);
    for (const generation of [1, 2]) judge.desired(desired(generation, 1e9));
    judge.result(result(2, 5_000), 5_000);
    judge.result(result(2, 5_000), 6_000);
    expect(names(judge)).toEqual([]);
    judge.result(result(1, 7_000), 7_000);
    expect(names(judge)).toEqual(['expired-or-stale']);
  });

  test('sees a lease that goes back', () => {
    const judge = new Judge(site);
    const lease = { v: 1, site: site.id, seq: 1, atMs: 0, nonces: {} } as const;
    judge.lease({ ...lease, epoch: 1, racks: { r1: 5 } }, 0);
    judge.lease({ ...lease, epoch: 2, racks: { r1: 1 } }, 1);
    expect(names(judge)).toEqual([]);
    judge.lease({ ...lease, epoch: 1, racks: { r1: 6 } }, 2);
    expect(names(judge)).toEqual(['expired-or-stale']);
  });

  test('sees an applied command without its ledger line before it', () => {
    const judge = new Judge(site);
    judge.desired(desired(1, 1e9));
    judge.desired(desired(2, 1e9));
    judge.result(result(1, 5_000), 5_000);
    judge.result(result(2, 6_000), 6_000);
    const line = {
      t: 'command',
      commandId: 'c',
      epoch: 1,
      rack: 'r1',
      expectedKw: 0,
      urgent: false,
      text: '',
      changes: [],
    } as const;
    judge.ledger(
      [
        { ...line, generation: 1, atMs: 4_000 },
        { ...line, generation: 2, atMs: 7_000 },
      ],
      10_000,
    );
    expect(judge.violations.map((violation) => violation.text)).toEqual([
      expect.stringContaining('1.2 was applied before its ledger line'),
    ]);
  });

  test('sees an unreachable machine that still counts as asleep', () => {
    const judge = new Judge(site);
    const state = emptyState(site, 1, 0);
    state.mode[3] = 1;
    judge.unknown(state, new Map([[3, 0]]), 20_000);
    expect(names(judge)).toEqual([]);
    judge.unknown(state, new Map([[3, 0]]), 200_000);
    expect(names(judge)).toEqual(['unknown-asleep']);
  });

  test('sees a site that has not come to rest', () => {
    const judge = new Judge(site);
    const state = emptyState(site, 1, 0);
    for (const machine of site.machines)
      state.wish[machine.index] = { mode: 'mine', because: { owner: 'price', rule: '', text: '' } };
    judge.converged(state, truth(0), new Set(), 0);
    expect(names(judge)).toEqual([]);
    const modes = site.machines.map((machine) =>
      machine.index === 4 ? ('sleep' as const) : ('mine' as const),
    );
    judge.converged(state, truth(0, { modes }), new Set(), 0);
    judge.converged(state, truth(0, { modes }), new Set([4]), 0);
    expect(names(judge)).toEqual(['converges']);
  });
});

import { describe, expect, test } from 'vitest';
import { emptyState } from '../../../controller/core/state.ts';
import type { Result } from '../../../protocols/mqtt/status.ts';
import { site, capW, truth, fail, desired, result, judgeOf, given, names } from './judge-bench.ts';

/** Each invariant must notice what it is there for: a check that cannot fail is none. */
describe('the judge', () => {
  test('sees a site above its cap for longer than a guard takes', () => {
    const judge = judgeOf();
    for (let s = 0; s < 30; s++) judge.power(truth(capW * 1.05), s * 1_000);
    expect(names(judge)).toEqual([]);
    for (let s = 30; s < 60; s++) judge.power(truth(capW * 1.05), s * 1_000);
    expect(names(judge)).toContain('cap');
  });

  test('sees a utility limit exceeded after its deadline', () => {
    const judge = judgeOf();
    judge.load.limit(capW * 0.6, 0, 30_000);
    for (let s = 0; s < 29; s++) judge.power(truth(capW * 0.9), s * 1_000);
    expect(judge.atStake.limit).toBe(0);
    for (let s = 30; s < 300; s++) judge.power(truth(capW * 0.9), s * 1_000);
    expect(names(judge)).toContain('limit');
  });

  test('sees a curtailment that was not restored exactly, and a bystander that a write took along', () => {
    const settings: Record<number, Readonly<Record<string, string | number>>> = {
      0: { workMode: 3, fanPwm: '80' },
      1: { workMode: 2, fanPwm: '90' },
    };
    const calls = site.machines.map(() => 0);
    const judge = judgeOf(new Map(), settings);
    const look = (atMs: number, machine: number, shown: Readonly<Record<string, string | number>>): void => {
      settings[machine] = shown;
      calls[machine] = (calls[machine] ?? 0) + 1;
      judge.power(truth(0, { stateCalls: [...calls] }), atMs);
    };
    look(1_000, 0, { fanPwm: '80' });
    look(2_000, 0, { workMode: 3, fanPwm: '80' });
    expect(names(judge)).toEqual([]);
    expect(judge.atStake.settings).toBe(1);
    look(3_000, 1, { fanPwm: '50' });
    look(4_000, 0, { fanPwm: '80' });
    look(5_000, 0, { workMode: 0, fanPwm: '80' });
    expect(judge.violations.map(({ invariant, text }) => `${invariant}: ${text}`)).toEqual([
      'settings: r1-02: fanPwm was 90 and is 50',
      'settings: r1-01: workMode was 3 and is 0',
    ]);
  });

  test('sees GPUs with two owners', () => {
    const judge = judgeOf();
    judge.power(truth(0, { doubleOwned: 1 }), 0);
    expect(names(judge)).toEqual(['gpu-owned-once']);
  });

  test('sees a command that starts after its expiry, and one nobody published', () => {
    const judge = judgeOf();
    given(judge, desired(1, 10_000));
    judge.result(result(1, 9_000), 9_000);
    expect(names(judge)).toEqual([]);
    judge.result(result(1, 11_000), 11_000);
    judge.result(result(2, 11_000), 11_000);
    expect(names(judge)).toEqual(['expired-or-stale', 'expired-or-stale']);
  });

  test('sees a machine that begins an older generation, and not one that is only said again', () => {
    const judge = judgeOf();
    for (const generation of [1, 2]) given(judge, desired(generation, 1e9));
    judge.result(result(2, 5_000), 5_000);
    judge.result(result(2, 5_000), 6_000);
    expect(names(judge)).toEqual([]);
    judge.result(result(1, 7_000), 7_000);
    expect(names(judge)).toEqual(['expired-or-stale']);
  });

  test('sees a lease that goes back', () => {
    const judge = judgeOf();
    const lease = { v: 1, site: site.id, seq: 1, atMs: 0, nonces: {} } as const;
    judge.lease({ ...lease, epoch: 1, racks: { r1: 5 } }, 0);
    judge.lease({ ...lease, epoch: 2, racks: { r1: 1 } }, 1);
    expect(names(judge)).toEqual([]);
    judge.lease({ ...lease, epoch: 1, racks: { r1: 6 } }, 2);
    expect(names(judge)).toEqual(['expired-or-stale']);
  });

  test('sees an applied command without its ledger line before it', () => {
    const judge = judgeOf();
    given(judge, desired(1, 1e9));
    given(judge, desired(2, 1e9));
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
      atMs: 0,
    } as const;
    judge.ledger([{ ...line, generation: 1 }], 10_000);
    expect(judge.violations.map((violation) => violation.text)).toEqual([
      expect.stringContaining('1.2 was applied without a ledger line'),
    ]);
  });

  test('sees a command that goes out before its line is durable', () => {
    const judge = judgeOf();
    judge.desired(desired(1, 1e9), true, 0);
    expect(names(judge)).toEqual([]);
    judge.desired(desired(2, 1e9), false, 0);
    expect(names(judge)).toEqual(['ledger-first']);
  });

  test('sees an unreachable machine that still counts as asleep', () => {
    const judge = judgeOf(new Map([[3, 0]]));
    const state = emptyState(site, 1, 0);
    state.mode[3] = 1;
    judge.unknown(state, () => true, 20_000);
    expect(names(judge)).toEqual([]);
    judge.unknown(state, () => true, 200_000);
    expect(names(judge)).toEqual(['unknown-asleep']);
  });

  test('sees a machine that works or is started while it is locked out', () => {
    const judge = judgeOf();
    judge.locked([4], 0);
    judge.power(truth(0), 70_000);
    expect(names(judge)).toEqual([]);
    judge.power(truth(0), 80_000);
    expect(names(judge)).toEqual(['lockout']);
    const other = judgeOf();
    const [id, rack] = [site.machines[0]?.id ?? '', site.machines[0]?.rack ?? ''];
    other.locked([0], 0);
    given(other, { ...desired(1, 1e9), rack });
    const started = { ...(result(1, 9_000).results[0] ?? fail()), machine: id, verb: 'wake' };
    other.result({ ...result(1, 9_000), rack, results: [{ ...started, atMs: 2_000 }] }, 2_000);
    expect(names(other)).toEqual([]);
    other.result({ ...result(1, 9_000), rack, results: [started] }, 9_000);
    expect(names(other)).toEqual(['lockout']);
  });

  test('sees starts that are admitted against the draw of now and not against what they will reach', () => {
    const judge = judgeOf();
    const rack = site.machines[0]?.rack ?? '';
    given(judge, { ...desired(1, 1e9), rack });
    judge.power(truth(capW * 0.99), 1_000);
    for (const { id } of site.machines.slice(0, 2)) {
      const one = { ...(result(1, 2_000).results[0] ?? fail()), machine: id, verb: 'wake' };
      judge.result({ ...result(1, 2_000), rack, results: [one] }, 2_000);
    }
    // Two starts are within the tolerance of a machine and a per cent; the third and fourth are not.
    for (const { id } of site.machines.slice(2, 5)) {
      const one = { ...(result(1, 2_500).results[0] ?? fail()), machine: id, verb: 'wake' };
      judge.result({ ...result(1, 2_500), rack, results: [one] }, 2_500);
    }
    expect(names(judge)).toContain('committed');
    expect(judge.atStake.committed).toBeGreaterThan(0);
  });

  test('sees a limit that took more than it asked for, unless something else moved load', () => {
    const run = (disturbed: boolean): string[] => {
      const judge = judgeOf();
      judge.power(truth(capW * 0.95), 300_000);
      judge.load.limit(capW * 0.8, 300_000, 330_000);
      if (disturbed) judge.load.disturbed(305_000);
      judge.power(truth(capW * 0.5), 340_000);
      return names(judge);
    };
    expect(run(false)).toEqual(['overshed']);
    expect(run(true)).toEqual([]);
  });

  test('counts a command that is done again though it had worked, whatever was read last', () => {
    const judge = judgeOf();
    given(judge, desired(1, 1e9));
    const again = (atMs: number): Result => {
      const one = result(1, atMs);
      return { ...one, results: one.results.map((each) => ({ ...each, mode: 'mine' as const })) };
    };
    const ignoring = judgeOf();
    given(ignoring, desired(1, 1e9));
    ignoring.result(again(5_000), 5_000);
    ignoring.power(truth(0), 6_000);
    ignoring.power(truth(0), 7_000);
    ignoring.result(again(8_000), 8_000);
    expect(ignoring.wrong.twice).toBe(0);
    judge.result(again(5_000), 5_000);
    const asleep = truth(0, { modes: site.machines.map(() => 'sleep') });
    judge.power(asleep, 6_000);
    judge.power(asleep, 7_000);
    judge.result(again(5_000), 7_500);
    expect(judge.wrong.twice).toBe(0);
    judge.result(again(8_000), 8_000);
    expect(judge.wrong.twice).toBe(1);
  });

  test('sees a damaged file that nobody names, and a controller in charge of a damaged ledger', () => {
    const judge = judgeOf();
    judge.damage.kept('/agent/agent-a1.pace.json', 1_000);
    judge.damage.kept('/agent/agent-a1.pace.json.copy', 2_000);
    judge.damage.heard('KEPT_DAMAGED', 'agent-a1.pace.json was damaged');
    judge.damage.heard('DISK_FULL', 'agent-a1.pace.json.copy was damaged');
    judge.damage.ledger(3_000);
    judge.damage.ledgerRestored();
    judge.damage.inCharge(4_000);
    expect(names(judge)).toEqual([]);
    judge.damage.ledger(5_000);
    judge.damage.inCharge(6_000);
    judge.damage.end(7_000);
    expect(judge.violations.map(({ invariant, text }) => `${invariant}: ${text}`)).toEqual([
      'damage: a controller is in charge with a damaged ledger',
      'damage: agent-a1.pace.json.copy is damaged since 2 s and nobody says so',
    ]);
  });

  test('sees a site that has not come to rest', () => {
    const judge = judgeOf();
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

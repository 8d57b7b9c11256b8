import { describe, expect, test } from 'vitest';

import type { Device, Verb } from '../../../agent/driver.ts';
import { actAndVerify } from '../../../agent/verify.ts';
import type { Verified } from '../../../agent/verify.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { Fault } from '../../../protocols/faults.ts';
import type { Reading, Readings } from '../../../protocols/reading.ts';

const reading = (value: number | string): Reading => ({
  ok: true,
  value,
  unit: '1',
  quality: 'good',
  atMs: 0,
});

interface Script {
  readonly verb: Verb;
  readonly argument?: number;
  /** What a reading gives, by ms since the dispatch; before it, negative. */
  readonly reads: (sinceMs: number) => Readings | Fault;
  readonly refuses?: Fault;
}

async function verify({ verb, argument, reads, refuses }: Script): Promise<Verified> {
  const clock = new VirtualClock({ startWallMs: 0 });
  let dispatchedMs = Number.POSITIVE_INFINITY;
  const device: Device = {
    driver: 'script',
    identify: () => Promise.reject(new Fault('INTERNAL')),
    read: () => {
      const since = Number.isFinite(dispatchedMs) ? clock.monoMs() - dispatchedMs : -1;
      const result = reads(since);
      return result instanceof Fault ? Promise.reject(result) : Promise.resolve(result);
    },
    verbs: {
      [verb]: () => {
        dispatchedMs = clock.monoMs();
        return refuses ? Promise.reject(refuses) : Promise.resolve();
      },
    },
    close: () => undefined,
  };
  const outcome = actAndVerify(device, verb, argument, { clock, timeoutMs: 10_000, pollMs: 500 });
  await clock.advance(20_000);
  return outcome;
}

describe('actAndVerify', () => {
  test.each(['NET_TIMEOUT', 'NET_RESET', 'ANSWER_PARTIAL'] as const)(
    'a command that went out and was answered by %s is settled by reading',
    async (code) => {
      const refuses = new Fault(code, 'no answer');
      const done = await verify({
        verb: 'sleep',
        refuses,
        reads: (since) => ({ mode: reading(since >= 2_000 ? 'sleep' : 'mine') }),
      });
      expect(done).toMatchObject({ stage: 'observed', ms: 2_000 });
      const ignored = await verify({ verb: 'sleep', refuses, reads: () => ({ mode: reading('mine') }) });
      expect(ignored).toMatchObject({ stage: 'failed', fault: { code } });
      const dead = await verify({ verb: 'sleep', refuses, reads: () => new Fault('NET_TIMEOUT', 'silent') });
      expect(dead).toMatchObject({ stage: 'failed', ms: 0, fault: { code } });
    },
  );

  test('is observed when a later reading shows the change', async () => {
    const outcome = await verify({
      verb: 'sleep',
      reads: (since) => ({ mode: reading(since >= 3_000 ? 'sleep' : 'mine') }),
    });
    expect(outcome).toMatchObject({
      stage: 'observed',
      ms: 3_000,
      before: { mode: { value: 'mine' } },
      after: { mode: { value: 'sleep' } },
    });
  });

  test('an unreachable machine is not asleep', async () => {
    const outcome = await verify({
      verb: 'sleep',
      reads: (since) => (since >= 0 ? new Fault('NET_TIMEOUT', 'gone') : { mode: reading('mine') }),
    });
    expect(outcome).toMatchObject({ stage: 'failed', after: undefined });
    expect(outcome.fault?.message).toContain('gone');
  });

  test('readings that fail for a while are waited through', async () => {
    const outcome = await verify({
      verb: 'wake',
      reads: (since) => (since < 5_000 ? new Fault('NET_RESET') : { mode: reading('mine') }),
    });
    expect(outcome).toMatchObject({ stage: 'observed', ms: 5_000, before: undefined });
  });

  test('a mode that is not known shows nothing', async () => {
    const outcome = await verify({
      verb: 'ai-stop',
      reads: () => ({ mode: { ok: false, why: 'VALUE_MISSING', atMs: 0 } }),
    });
    expect(outcome.stage).toBe('failed');
    expect(outcome.fault?.message).toContain('VALUE_MISSING');
  });

  test('a refusal is a failure with its reason', async () => {
    const outcome = await verify({
      verb: 'sleep',
      refuses: new Fault('AUTH_FAILED', 'root'),
      reads: () => ({ mode: reading('mine') }),
    });
    expect(outcome).toMatchObject({ stage: 'failed', after: { mode: { value: 'mine' } } });
    expect(outcome.fault?.message).toContain('AUTH_FAILED');
  });

  test('a limit is seen when it is set and kept', async () => {
    const at = (limitW: number, powerW: number) =>
      verify({
        verb: 'power-limit',
        argument: 3_000,
        reads: () => ({ 'power.limit': reading(limitW), power: reading(powerW) }),
      });
    expect((await at(3_000, 2_950)).stage).toBe('observed');
    expect((await at(3_000, 3_400)).stage).toBe('failed');
    expect((await at(3_400, 2_950)).stage).toBe('failed');
  });

  test('a cap is seen when every GPU has it', async () => {
    const at = (first: number, second: number) =>
      verify({
        verb: 'cap',
        argument: 400,
        reads: () => ({ 'gpu.0.powerLimit': reading(first), 'gpu.1.powerLimit': reading(second) }),
      });
    expect((await at(400, 400)).stage).toBe('observed');
    expect((await at(400, 700)).stage).toBe('failed');
    expect((await verify({ verb: 'cap', argument: 400, reads: () => ({}) })).stage).toBe('failed');
  });

  test('a reboot is seen by its uptime', async () => {
    const reboots = await verify({
      verb: 'reboot',
      reads: (since) => ({ uptime: reading(since > 4_000 ? (since - 4_000) / 1_000 : 9_000) }),
    });
    expect(reboots.stage).toBe('observed');
    const stays = await verify({
      verb: 'reboot',
      reads: (since) => ({ uptime: reading(9_000 + since / 1_000) }),
    });
    expect(stays.stage).toBe('failed');
  });

  test('what no reading shows is acknowledged, no more; what cannot be done is said', async () => {
    expect((await verify({ verb: 'locate', reads: () => ({}) })).stage).toBe('acknowledged');
    const clock = new VirtualClock({ startWallMs: 0 });
    const none = {
      driver: 'x',
      verbs: {},
      close: () => undefined,
      identify: () => Promise.reject(new Fault('INTERNAL')),
      read: () => Promise.resolve({}),
    };
    expect(
      (await actAndVerify(none, 'sleep', undefined, { clock, timeoutMs: 1, pollMs: 1 })).fault?.message,
    ).toContain('VERB_UNSUPPORTED');
  });
});

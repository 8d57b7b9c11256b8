import { describe, expect, test } from 'vitest';
import { beforeWrite, NOTHING_KEPT, seeSettings } from '../../../../agent/core/settings.ts';

const at = (limit: number): Record<string, number | string> => ({ limit, pool: 'a' });
const { kept: START } = seeSettings(NOTHING_KEPT, at(3_000));

test('what a write overwrites is the first value, whatever we write after it, until that value is back', () => {
  const first = beforeWrite(START, 'power-limit', { limit: 2_500 });
  expect(first.before).toEqual({ limit: 3_000 });
  const seen = seeSettings(first, at(2_490));
  expect(seen).toEqual({ kept: { known: at(2_490), before: { limit: 3_000 } }, changes: [] });
  const second = beforeWrite(seen.kept, 'power-limit', { limit: 2_000 });
  expect(second.before).toEqual({ limit: 3_000 });
  const back = seeSettings(beforeWrite(second, 'power-limit', { limit: 3_000 }), at(3_000));
  expect(back.kept).toEqual({ known: at(3_000), before: {} });
});

test('a write that was not carried out yet is no news, and one that sets nothing does not hide it', () => {
  const wrote = beforeWrite(START, 'power-limit', { limit: 2_500 });
  const waiting = seeSettings(wrote, at(3_000));
  expect(waiting).toEqual({ kept: wrote, changes: [] });
  const woken = beforeWrite(waiting.kept, 'wake', {});
  expect(seeSettings(woken, at(2_500)).changes).toEqual([]);
});

test('without a write of ours a change is foreign and becomes what is restored; with one it is disturbed', () => {
  const limited = seeSettings(beforeWrite(START, 'power-limit', { limit: 2_500 }), at(2_500)).kept;
  const foreign = seeSettings(limited, at(2_800));
  expect(foreign.changes).toEqual([{ kind: 'foreign', name: 'limit', from: 2_500, to: 2_800 }]);
  expect(foreign.kept.before).toEqual({ limit: 2_800 });
  const slept = seeSettings(beforeWrite(START, 'sleep', {}), { pool: 'b' });
  expect(slept.changes).toEqual([{ kind: 'disturbed', name: 'pool', from: 'a', to: 'b' }]);
  // What cannot be read asleep is still known.
  expect(slept.kept.known).toEqual({ limit: 3_000, pool: 'b' });
});

describe('pools', () => {
  const pools = (...hosts: readonly string[]): Record<string, string> =>
    Object.fromEntries(hosts.map((host, index) => [`pool.${index + 1}.url`, host]));
  const { kept: known } = seeSettings(NOTHING_KEPT, { ...at(3_000), ...pools('a', 'b') });

  test('changed, added or taken away by somebody else: foreign, with what was and what is', () => {
    const changesTo = (...hosts: readonly string[]): unknown => seeSettings(known, pools(...hosts)).changes;
    const change = (name: string, from: string, to: string): unknown => ({ kind: 'foreign', name, from, to });
    expect(changesTo('thief', 'b')).toEqual([change('pool.1.url', 'a', 'thief')]);
    expect(changesTo('a')).toEqual([change('pool.2.url', 'b', '')]);
    expect(changesTo('a', 'b', 'thief')).toEqual([change('pool.3.url', '', 'thief')]);
    // A machine that tells nothing of its pools, as one asleep, has not lost them.
    expect(seeSettings(known, at(3_000))).toEqual({ kept: known, changes: [] });
  });

  test('set by us: shown at once or late, and no change beside them goes unsaid', () => {
    const wrote = beforeWrite(known, 'pools', { ...pools('c'), 'pool.2.url': '' }, { stays: true });
    expect(wrote.before).toEqual({});
    expect(seeSettings(wrote, { ...at(3_000), ...pools('a', 'b') })).toEqual({ kept: wrote, changes: [] });
    const done = seeSettings(wrote, { ...at(2_000), ...pools('c') });
    expect(done.changes).toEqual([{ kind: 'disturbed', name: 'limit', from: 3_000, to: 2_000 }]);
    expect(done.kept.wrote).toBeUndefined();
    expect(seeSettings(done.kept, pools('a')).changes).toMatchObject([
      { kind: 'foreign', from: 'c', to: 'a' },
    ]);
    // Others than were set.
    expect(seeSettings(wrote, pools('x')).changes).toMatchObject([{ kind: 'disturbed', from: 'c', to: 'x' }]);
  });
});

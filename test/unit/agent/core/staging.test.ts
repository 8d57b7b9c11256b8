import { expect, test } from 'vitest';
import { comesBackAtRest, outletAct, drawnBehindW } from '../../../../agent/core/staging.ts';
import type { Behind, OutletSight, Told } from '../../../../agent/core/staging.ts';
import { admitAll, makeEnvelope } from '../../../../agent/core/envelope.ts';
import { MODELS } from '../../../../config/models.ts';

const one: Behind = {
  id: 'r1-01',
  hands: undefined,
  inhibited: undefined,
  rests: false,
  wanted: true,
  ignores: false,
  works: true,
};
/** Dropped out in an outage, its output written off, voltage back, everything wanted at work. */
const waiting: OutletSight = {
  standing: 'open',
  told: { closed: false, atMs: 0, endedMs: 0 },
  shownMs: 99_000,
  againMs: 0,
  supply: 'live',
  silentSinceMs: 0,
  isDark: false,
  live: true,
  behind: [one, { ...one, id: 'r1-02' }],
  cutsIgnored: 'never',
};
const NOW = 100_000;
const act = (change: Partial<OutletSight>): string => {
  const found = outletAct({ ...waiting, ...change }, NOW);
  return found.kind === 'wait' ? found.why : found.kind;
};
const told = (closed: boolean, agoMs: number): Told => ({
  closed,
  atMs: NOW - agoMs,
  endedMs: NOW - agoMs,
});
const with2 = (change: Partial<Behind>): Partial<OutletSight> => ({
  behind: [one, { ...one, id: 'r1-02', ...change }],
});

test('an outlet that power found open is closed when all behind it may start', () => {
  expect(act({})).toBe('close');
  expect(act({ supply: 'unmeasured' })).toBe('close');
  expect(act({ supply: 'dead' })).toContain('no voltage');
  expect(act({ supply: 'unknown' })).toContain('does not tell');
  expect(act({ live: false })).toContain('no controller');
  expect(act({ againMs: NOW + 1 })).toContain('tried again');
  expect(act(with2({ inhibited: 'no flow' }))).toBe('r1-02: no flow');
});

test('one that would start by itself and shall rest keeps it open; one that comes back at rest does not', () => {
  expect(act(with2({ wanted: false }))).toContain('r1-02 would start by itself');
  expect(act(with2({ wanted: false, rests: true }))).toBe('close');
  const keeps = MODELS.get('antminer-s21');
  const starts = MODELS.get('whatsminer-m60');
  const host = MODELS.get('gpu-8x-h100');
  if (keeps === undefined || starts === undefined || host === undefined) throw new Error('models');
  expect(comesBackAtRest(keeps, 'sleep')).toBe(true);
  // It mined when its power went, or nobody knows: then it mines again.
  expect(comesBackAtRest(keeps, 'mine')).toBe(false);
  expect(comesBackAtRest(keeps, undefined)).toBe(false);
  expect(comesBackAtRest(starts, 'sleep')).toBe(false);
  expect(comesBackAtRest(host, 'mine')).toBe(true);
});

test('hands in the rack, or an authority that is not ours: nothing is switched, neither way', () => {
  expect(act(with2({ hands: 'locked by kim' }))).toBe('r1-02: locked by kim');
  const dark = { standing: 'closed', isDark: true } as const;
  expect(act(dark)).toBe('open');
  expect(act({ ...dark, ...with2({ hands: 'authority is advise' }) })).toBe('r1-02: authority is advise');
});

test('machines that ignore every command are cut only where the site allows it, all together, and under load only where it says so', () => {
  const liar: Behind = { ...one, wanted: false, ignores: true };
  const both = [liar, { ...liar, id: 'r1-02' }];
  const closed = { standing: 'closed', told: undefined, silentSinceMs: undefined, behind: both } as const;
  expect(act(closed)).toBe('it is closed');
  expect(act({ ...closed, cutsIgnored: 'at-rest' })).toBe('it is closed');
  expect(act({ ...closed, cutsIgnored: 'under-load' })).toBe('open');
  const idle = both.map((each) => ({ ...each, works: false }));
  expect(act({ ...closed, behind: idle, cutsIgnored: 'at-rest' })).toBe('open');
  const obeys = [liar, { ...liar, id: 'r1-02', ignores: false }];
  expect(act({ ...closed, behind: obeys, cutsIgnored: 'under-load' })).toBe('it is closed');
  const locked = [liar, { ...liar, id: 'r1-02', hands: 'locked by kim' }];
  expect(act({ ...closed, behind: locked, cutsIgnored: 'under-load' })).toBe('r1-02: locked by kim');
});

test('what dropped out by itself has its output written off before anything else', () => {
  expect(act({ told: undefined })).toBe('open');
  expect(act({ told: told(true, 60_000) })).toBe('open');
  // Without supply too: its return must not close it.
  expect(act({ told: undefined, supply: 'dead' })).toBe('open');
  expect(act({ told: told(true, 2_000) })).toContain('being switched');
  // Its read-back may be the wrong one: off is written where nobody has answered for a while.
  expect(act({ told: undefined, silentSinceMs: undefined })).toContain('just been seen open');
  expect(act({ told: undefined, silentSinceMs: NOW - 9_000 })).toContain('just been seen open');
});

test('whether it followed is told by what was read when it should have, not by what was read before', () => {
  const closing = { told: told(true, 60_000) };
  expect(act({ ...closing, shownMs: NOW - 61_000 })).toContain('being switched');
  expect(act({ ...closing, shownMs: NOW - 51_000 })).toContain('being switched');
  expect(act({ ...closing, shownMs: NOW - 49_000 })).toBe('open');
  expect(act({ told: { closed: true, atMs: NOW - 60_000, endedMs: undefined } })).toContain('being switched');
});

test('a closed outlet is opened only where nothing is drawn: dark, and silent for a while', () => {
  const closed = { standing: 'closed', told: undefined } as const;
  expect(act(closed)).toBe('it is closed');
  expect(act({ ...closed, isDark: true })).toBe('open');
  // No voltage by a meter that shows power: a fuse of its own is gone.
  expect(act({ ...closed, supply: 'dead' })).toBe('it is closed');
  expect(act({ ...closed, isDark: true, silentSinceMs: undefined })).toBe('it is closed');
  expect(act({ ...closed, isDark: true, silentSinceMs: NOW - 5_000 })).toBe('it is closed');
  // Silent alone may be the network: unknown is not off.
  expect(act({ ...closed, supply: 'unknown' })).toBe('it is closed');
  // Welded: told once a minute, not each second.
  expect(act({ ...closed, isDark: true, told: told(false, 5_000) })).toContain('being');
  expect(act({ ...closed, isDark: true, told: told(false, 70_000) })).toBe('open');
});

test('nobody knows whether it is closed: nothing is switched', () => {
  expect(act({ standing: 'unknown', supply: 'dead', isDark: true })).toContain('nobody knows');
});

test('a group counts as all its starts: it needs the window for itself and holds it as long as one by one', () => {
  const nodes = [{ id: 'r1', capW: 200_000, meterW: 0 }];
  const machine = { path: [0], ratedW: 3_400, presentW: 0, reachingW: undefined };
  const group = (count: number) =>
    Array.from({ length: count }, () => ({ machine, targetW: 3_400, starts: true }));
  const envelope = makeEnvelope(1, { marginPct: 0, startsPer10S: 4 });
  const ask = (count: number, nowMs: number): boolean => admitAll(envelope, nodes, group(count), nowMs).ok;
  expect(ask(10, 0)).toBe(true);
  expect(ask(1, 20_000)).toBe(true);
  expect(ask(10, 29_000)).toBe(false);
  expect(ask(1, 29_000)).toBe(true);
  expect(ask(10, 45_000)).toBe(true);
  // All or none under the cap too: 22 of 58 are taken.
  expect(admitAll(envelope, nodes, group(37), 200_000)).toMatchObject({ ok: false, limit: 'cap' });
  expect(envelope.committedW[0]).toBeCloseTo(22 * 3_400);
});

test('what a meter shows behind outlets is what nothing else explains, beyond what meters and machines may err', () => {
  const flow = { meterW: 60_000, knownW: 30_000, besideW: 2_000, behindW: 34_000 };
  expect(drawnBehindW(flow, 3_400)).toBeCloseTo(27_100, 0);
  // One machine of ten still at work shows; 3 % of the others do not, nor does one at rest.
  expect(drawnBehindW({ ...flow, meterW: 32_000 + 3_200 }, 3_400)).toBeGreaterThan(0);
  expect(drawnBehindW({ ...flow, meterW: 32_000 + 900 + 1_600 }, 3_400)).toBe(0);
  expect(drawnBehindW({ ...flow, meterW: 0 }, 3_400)).toBe(0);
  // Nobody has learnt what else flows: only half of all that may be behind them speaks against them.
  expect(drawnBehindW({ ...flow, meterW: 47_000, besideW: undefined }, 3_400)).toBe(0);
  expect(drawnBehindW({ ...flow, meterW: 49_000, besideW: undefined }, 3_400)).toBeGreaterThan(0);
});

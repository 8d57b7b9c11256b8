import { expect, test } from 'vitest';
import type { BalanceMeter, BalanceNode } from '../../../../protocols/metering/balance.ts';
import { isDistrusted } from '../../../../protocols/metering/finding.ts';
import {
  coversFinding,
  coversWiring,
  isOver,
  meterPrint,
  PARDON_MS,
} from '../../../../protocols/metering/kept-meter.ts';
import type { KeptFinding, Pardon } from '../../../../protocols/metering/kept-meter.ts';
import { endPardons, keptOf, pardonMeter, restoreMeter } from '../../../../protocols/metering/pardon.ts';
import { judgeMeters, makeReconciler, noteMeter, noteOwn } from '../../../../protocols/metering/reconcile.ts';
import type { Reconciler } from '../../../../protocols/metering/reconcile.ts';

const word = { by: 'anna', reason: 'measured with a clamp', sinceMs: 0, untilMs: PARDON_MS };
const ratio: KeptFinding = { kind: 'ratio', gain: 0.8, or: [], isDistrusted: true };
const pardonOf = (finding: KeptFinding): Pardon => ({ ...word, of: { kind: 'finding', finding } });

test('a pardon covers the same finding, and none that has materially changed', () => {
  const pardon = pardonOf(ratio);
  expect(coversFinding(pardon, { ...ratio, gain: 0.84 })).toBe(true);
  expect(coversFinding(pardon, { ...ratio, gain: 0.7 })).toBe(false);
  expect(coversFinding(pardon, { ...ratio, gain: -0.8 })).toBe(false);
  expect(coversFinding(pardon, { ...ratio, kind: 'contradicts' })).toBe(false);
  const used = { ...ratio, gain: 1.2, isDistrusted: false };
  expect(coversFinding(pardonOf(used), { ...used, isDistrusted: true })).toBe(false);
  const drift: KeptFinding = { kind: 'drift', gain: 1, or: ['f1', 'f2'], isDistrusted: false };
  expect(coversFinding(pardonOf(drift), { ...drift, or: ['f2', 'f1'] })).toBe(true);
  expect(coversFinding(pardonOf(drift), { ...drift, or: ['f1'] })).toBe(false);
});

test('a word ends with its time, and when the clock by which it was said turns out to have been ahead', () => {
  const said = { sinceMs: 10 * PARDON_MS, untilMs: 11 * PARDON_MS };
  expect(isOver(said, 10.5 * PARDON_MS)).toBe(false);
  // A clock that is disciplined goes back a little.
  expect(isOver(said, said.sinceMs - 60_000)).toBe(false);
  expect(isOver(said, said.untilMs)).toBe(true);
  expect(isOver(said, 2 * PARDON_MS)).toBe(true);
});

test('a pardon of a wiring covers that wiring alone', () => {
  const wiring = { voltageOf: [0, 1, 2], reversed: [1] } as const;
  const pardon: Pardon = { ...word, of: { kind: 'wiring', wiring } };
  expect(coversWiring(pardon, wiring)).toBe(true);
  expect(coversWiring(pardon, { ...wiring, reversed: [2] })).toBe(false);
  expect(coversWiring(pardon, { ...wiring, voltageOf: [1, 0, 2] })).toBe(false);
  expect(coversWiring(pardonOf(ratio), wiring)).toBe(false);
});

test('a meter is another one by target, node, role and what is declared of it', () => {
  const meter = {
    target: 'modbus://m:502/1?profile=a',
    node: 'main',
    role: 'node',
    declared: { ctPrimaryA: 5 },
  };
  expect(meterPrint({ ...meter })).toBe(meterPrint(meter));
  for (const other of [
    { target: 'modbus://m:502/1?profile=b' },
    { node: 'f1' },
    { declared: { ctPrimaryA: 6 } },
  ])
    expect(meterPrint({ ...meter, ...other })).not.toBe(meterPrint(meter));
});

const node = (capW: number, ...feeds: number[]): BalanceNode => ({
  feeds: feeds.map((feed) => ({ node: feed, share: 1 })),
  capW,
  lossShare: 0.02,
  mayExport: false,
});
const METERS: BalanceMeter[] = ['main', 'f1', 'f2'].map((id, place) => ({
  id,
  node: place,
  role: 'node',
  errorShare: 0.007,
  periodMs: 2_000,
}));
const make = (): Reconciler =>
  makeReconciler([node(200_000), node(100_000, 0), node(100_000, 0)], METERS, { ownLagMs: 7_000 });

/** Minutes of full load from a minute on; the main meter shows so much of it. */
function play(state: Reconciler, gain: number, fromMin: number, minutes: number): Reconciler {
  for (let atS = fromMin * 60; atS < (fromMin + minutes) * 60; atS += 1) {
    for (const [meter, watts] of [160_000 * gain, 80_000, 80_000].entries())
      noteMeter(state, meter, watts, atS * 1_000);
    const words = [0, 80_000, 80_000].map((machinesW) => ({
      machinesW,
      unknownW: 0,
      doubtW: 0,
      auxiliaryW: 0,
    }));
    if (atS % 5 === 0) noteOwn(state, words);
    judgeMeters(state, atS * 1_000);
  }
  return state;
}

test('a finding goes on from the first moment after a restart, and ends by what ends a live one', () => {
  const { finding, pardon } = keptOf(play(make(), 0.8, 0, 10), 0);
  expect(finding).toMatchObject({ kind: 'ratio', isDistrusted: true });
  expect(pardon).toBeUndefined();
  const again = make();
  expect(restoreMeter(again, 0, { finding })).toBe(true);
  expect(isDistrusted(again.found.get(0))).toBe(true);
  expect(isDistrusted(play(again, 0.8, 0, 10).found.get(0))).toBe(true);
  expect(play(again, 1, 10, 10).found.get(0)).toBeUndefined();
  // Against meters that are none any more, or that nothing compares, it could never end.
  expect(restoreMeter(make(), 0, { finding: { ...ratio, or: ['gone'] } })).toBe(false);
  const alone = makeReconciler([node(200_000)], METERS.slice(0, 1), { ownLagMs: 7_000, judged: () => false });
  expect(restoreMeter(alone, 0, { finding })).toBe(false);
});

test('what a person declares wrong is believed until its time is over or it becomes another finding', () => {
  const state = play(make(), 0.8, 0, 10);
  pardonMeter(state, 0, word);
  expect(isDistrusted(state.found.get(0))).toBe(false);
  expect(isDistrusted(play(state, 0.8, 10, 10).found.get(0))).toBe(false);
  const { finding, pardon } = keptOf(state, 0);
  const again = make();
  restoreMeter(again, 0, { finding, pardons: pardon === undefined ? [] : [pardon] });
  expect(isDistrusted(again.found.get(0))).toBe(false);
  expect(isDistrusted(play(again, 0.6, 0, 10).found.get(0))).toBe(true);
  expect(endPardons(state, PARDON_MS - 1)).toBe(false);
  expect(endPardons(state, PARDON_MS)).toBe(true);
  expect(isDistrusted(state.found.get(0))).toBe(true);
});

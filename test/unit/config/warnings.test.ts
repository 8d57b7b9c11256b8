import { describe, expect, test } from 'vitest';

import { parseSite } from '../../../config/load.ts';
import { change, MODELS, PROFILES } from './good-site.ts';

describe('warnings', () => {
  const warningsOf = (text: string): string[] =>
    parseSite(text, MODELS, PROFILES).warnings.map(({ line, message }) => `${line}: ${message}`);

  test('a rack that cannot carry its machines', () => {
    expect(warningsOf(change('    kind: rack\n    capKw: 100', '    kind: rack\n    capKw: 50'))).toEqual([
      "18: the 24 machines in 'r1' are rated 72 kW together, above its cap of 50 kW",
    ]);
  });
  test('a rack that can carry its machines, but not what cools them', () => {
    const rack = '    kind: rack\n    capKw: 75\n    auxiliary: { fixedKw: 1, perItKw: 0.05 }';
    expect(warningsOf(change('    kind: rack\n    capKw: 100', rack))).toEqual([
      "18: the 24 machines in 'r1' are rated 72 kW together and with what cools them 76.6 kW, above its cap of 75 kW",
    ]);
  });
  test('a child larger than its parent', () => {
    expect(warningsOf(change('    capKw: 500', '    capKw: 1500'))).toEqual([
      "10: 'feeder-1' may take 1500 kW, more than 'main' above it (1000 kW)",
    ]);
  });
  test('children far larger than their parent', () => {
    expect(warningsOf(change('    capKw: 500', '    capKw: 2500'))[0]).toMatch(/^10: .*2\.5 times/);
  });
  test('limits in kVA and A: what no power factor reaches, and what nobody measures', () => {
    const limits = '    capKw: 500\n    capKva: 400\n    capA: 630\n    phaseV: 230';
    expect(warningsOf(change('    capKw: 500', limits))).toEqual([
      "14: 'feeder-1' may take 500 kW, but no more than 400 kVA: its capKw is never reached",
      "16: no meter measures 'feeder-1': its kVA and A are taken for 323.2 kW, with power factor, voltage and phases assumed at their worst",
    ]);
  });

  test('a meter that is read too slowly for its guard', () => {
    expect(warningsOf(change('periodMs: 1000', 'periodMs: 2000'))).toEqual([]);
    expect(warningsOf(change('periodMs: 1000', 'periodMs: 5000'))).toEqual([
      expect.stringMatching(/^23: 'm-main' is read every 5 s: the guard of 'main' believes a sample for 3 s/),
    ]);
  });
  test('no meter at the root', () => {
    expect(warningsOf(change('node: main', 'node: feeder-1'))).toEqual([
      expect.stringMatching(/^19: no meter measures 'main'/),
    ]);
  });
  test('a password in the file', () => {
    expect(warningsOf(change('?http=80&api=4028', '?http=80&user=root&password=root'))).toEqual([
      expect.stringMatching(/^27: a password stands in this file/),
    ]);
  });
  test('a user without a password reference', () => {
    expect(warningsOf(change('?http=80&api=4028', '?http=80&user=root'))).toEqual([
      expect.stringMatching(/^27: a user is named without passwordEnv/),
    ]);
  });
});

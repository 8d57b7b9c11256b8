import { expect, test } from 'vitest';

import { screenLines } from '../../../../console/cli/screen.ts';
import { alarmOf, limitSignal, siteView } from '../../../wire/fake-operator.ts';

const AT = 1_000_000;
const screen = { columns: 100, rows: 30, nowMs: AT, state: 'live', stale: false, messages: [], prompt: '' };
const textOf = (lines: readonly { readonly text: string }[]): string =>
  lines.map(({ text }) => text.trimEnd()).join('\n');

test('the screen fills its size exactly, whatever the site', () => {
  for (const [racks, rows, columns] of [
    [0, 6, 20],
    [2, 24, 80],
    [300, 30, 100],
    [40, 100, 300],
  ] as const) {
    const view = racks === 0 ? undefined : siteView({ racks, perRack: 20, atMs: AT });
    const lines = screenLines(view, { ...screen, rows, columns });
    expect(lines).toHaveLength(rows);
    expect(new Set(lines.map(({ text }) => Array.from(text).length))).toEqual(new Set([columns]));
  }
});

test('it shows site, racks by mode, limit and alarms', () => {
  const view = siteView({ racks: 3, perRack: 14, atMs: AT });
  const text = textOf(
    screenLines({ ...view, signals: [limitSignal(AT)], alarms: [alarmOf('a1', AT)] }, screen),
  );
  expect(text).toContain('Delta Flats  automatic  under control  live');
  expect(text).toMatch(/!! limit 400 kW.*1 h 00 min left/);
  expect(text).toMatch(/r1 +\d+ +- +- +\d+ +\d+ +1 +≥?[\d.]+ kW {2}13\/14/);
  expect(text).toContain('! a1  COMMAND_IGNORED r1-04');
});

test('over the limit is said in words, and a device cannot move the cursor', () => {
  const view = siteView({ racks: 1, perRack: 4, atMs: AT });
  const lines = screenLines(
    { ...view, site: { ...view.site, name: 'x\u001B[2Jy', limitKw: 1 } },
    { ...screen, messages: ['\u001B]0;owned\u0007'] },
  );
  expect(textOf(lines)).toContain('!! OVER LIMIT');
  expect(textOf(lines)).not.toContain('\u001B');
});

test('what does not fit is counted', () => {
  expect(textOf(screenLines(siteView({ racks: 90, perRack: 2, atMs: AT }), screen))).toMatch(
    /… and \d+ more/,
  );
});

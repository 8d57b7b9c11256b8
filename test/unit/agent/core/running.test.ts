import { describe, expect, it } from 'vitest';
import { makeBook, noteClockSet, takeEnergy, takePower } from '../../../../agent/core/interval-book.ts';
import type { Book, BookRules } from '../../../../agent/core/interval-book.ts';
import { runningOf } from '../../../../agent/core/running.ts';
import { settle } from '../../../../agent/core/settlement.ts';

const MIN_MS = 60_000;
const START_MS = Date.UTC(2026, 2, 8, 6);
const RULES: BookRules = {
  meter: 'm-main',
  calendar: { intervalMin: 5, timeZone: 'UTC' },
  source: 'counter',
  graceMs: 2 * MIN_MS,
  mostW: 12e6,
  lossFactor: 1,
};

/** 6 MW, counted every half minute, and power every second, up to a moment of the interval. */
function read(untilMs: number, fromMs = 0, countUntilMs = untilMs): Book {
  const book = makeBook();
  for (let ms = fromMs; ms <= untilMs; ms += 1_000) {
    const atMs = START_MS + ms;
    takePower(book, RULES, { atMs, activeW: 6e6, apparentVa: 6e6 });
    if (ms % 30_000 === 0 && ms <= countUntilMs)
      takeEnergy(book, RULES, {
        atMs,
        halfMs: 0,
        importWh: ms === fromMs ? 0 : 50_000,
        exportWh: undefined,
        stepWh: 1,
      });
    settle(book, RULES, atMs, undefined);
  }
  return book;
}
const at = (book: Book, ms: number) => runningOf(book, RULES, START_MS + ms, false);

describe('the interval that is under way', () => {
  it('is counted so far, and by power since; at its end it is what goes on', () => {
    const found = at(read(145_000), 145_000);
    expect(found).toMatchObject({ startMs: START_MS, endMs: START_MS + 5 * MIN_MS, quality: 'good' });
    expect(found?.importWh).toBeCloseTo((6e6 * 145) / 3_600, 3);
    expect(found?.endImportWh).toBeCloseTo(500_000, 3);
    expect(found).not.toHaveProperty('exportWh');
  });

  it('has no number when it began uncounted, and no end while power is old', () => {
    expect(at(read(120_000, 60_000), 120_000)).toEqual(expect.objectContaining({ quality: 'missing' }));
    expect(at(read(120_000, 60_000), 120_000)).not.toHaveProperty('importWh');
    const silent = at(read(145_000), 165_000);
    expect(silent?.importWh).toBeCloseTo((6e6 * 165) / 3_600, 3);
    expect(silent).not.toHaveProperty('endImportWh');
  });

  it('is an estimate while the counters are silent, and when the clock was set in it', () => {
    expect(at(read(145_000, 0, 60_000), 145_000)?.quality).toBe('estimated');
    const book = read(145_000);
    noteClockSet(book, RULES, -20_000, START_MS + 125_000);
    expect(at(book, 126_000)?.quality).toBe('estimated');
  });

  it('is none before anything was counted', () => {
    expect(at(makeBook(), 0)).toBeUndefined();
  });
});

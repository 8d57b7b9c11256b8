import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeBook, noteClockSet, takeEnergy, takePower } from '../../../../agent/core/interval-book.ts';
import type { Book, BookRules } from '../../../../agent/core/interval-book.ts';
import { settle } from '../../../../agent/core/settlement.ts';
import { nextBoundary } from '../../../../protocols/metering/calendar.ts';
import type { IntervalEnergy } from '../../../../protocols/mqtt/energy.ts';

const MIN_MS = 60_000;
const HOUR_MS = 60 * MIN_MS;
const START_MS = Date.UTC(2026, 2, 8, 6, 0);
const MOST_W = 12e6;

const RULES: BookRules = {
  meter: 'm-main',
  calendar: { intervalMin: 5, timeZone: 'America/Chicago' },
  source: 'counter',
  graceMs: 2 * MIN_MS,
  mostW: MOST_W,
  lossFactor: 1,
};

/** A site that draws `watts(t)`, its meter's true counter, and a book that reads it. */
class Bench {
  book: Book = makeBook();
  readonly published: IntervalEnergy[] = [];
  readonly #watts: (ms: number) => number;
  readonly #stepWh: number;
  readonly rules: BookRules;
  #lastWh: number | undefined;
  #trueMs = START_MS;
  #trueWh = 1e6 + 0.5;

  constructor(watts: (ms: number) => number, stepWh = 1, rules = RULES) {
    this.#watts = watts;
    this.#stepWh = stepWh;
    this.rules = rules;
  }

  /** True energy at a moment, Wh; asked with times that do not go back. */
  trueWh(atMs: number): number {
    for (; this.#trueMs < atMs; this.#trueMs += 1_000)
      this.#trueWh += (this.#watts(this.#trueMs) * Math.min(1_000, atMs - this.#trueMs)) / HOUR_MS;
    return this.#trueWh;
  }

  power(atMs: number): void {
    takePower(this.book, this.rules, { atMs, activeW: this.#watts(atMs), apparentVa: this.#watts(atMs) });
  }

  /** Reads the counter; what it shows. */
  count(atMs: number, doubt?: string): number {
    const shownWh = Math.floor(this.trueWh(atMs) / this.#stepWh) * this.#stepWh;
    const importWh = shownWh - (this.#lastWh ?? shownWh);
    this.#lastWh = shownWh;
    takeEnergy(this.book, this.rules, {
      atMs,
      halfMs: 0,
      importWh,
      exportWh: undefined,
      stepWh: this.#stepWh,
      doubt,
    });
    this.settle(atMs);
    return shownWh;
  }

  settle(atMs: number, clock?: { offsetMs: number; boundMs: number }): void {
    this.published.push(...settle(this.book, this.rules, atMs, clock));
  }

  /** As a process that dies after it was written down, and starts again. */
  restart(): void {
    this.book = JSON.parse(JSON.stringify(this.book)) as Book;
  }

  /** The newest word on each interval. */
  final(): IntervalEnergy[] {
    return [...new Map(this.published.map((one) => [one.startMs, one])).values()];
  }
}

const sumOf = (intervals: readonly IntervalEnergy[]): number =>
  intervals.reduce((sum, { importWh = 0 }) => sum + importWh, 0);

describe('a meter read every ten seconds', () => {
  it('gives intervals that begin and end on the market’s boundaries, each once', () => {
    const bench = new Bench(() => 6e6);
    for (let ms = 0; ms <= 20 * MIN_MS; ms += 10_000) bench.count(START_MS + ms);
    expect(bench.published.map(({ startMs }) => startMs)).toEqual(
      [0, 5, 10, 15].map((min) => START_MS + min * MIN_MS),
    );
    for (const one of bench.published)
      expect(one).toMatchObject({ revision: 1, quality: 'good', method: 'counter', importWh: 500_000 });
  });

  it('says of the interval in which counting began that it is not known', () => {
    const bench = new Bench(() => 6e6);
    for (let ms = 70_000; ms <= 10 * MIN_MS; ms += 10_000) bench.count(START_MS + ms);
    expect(bench.published).toMatchObject([{ quality: 'missing' }, { quality: 'good' }]);
    expect(bench.published[0]).not.toHaveProperty('importWh');
    expect(bench.published[0]?.why).toContain('counting began 70 s after');
  });

  it('a step in the load is found by power: the interval is closer than the counts alone tell', () => {
    const watts = (ms: number): number => (ms < START_MS + 5 * MIN_MS ? 9e6 : 1e6);
    const bench = new Bench(watts);
    for (let ms = 0; ms <= 10 * MIN_MS; ms += 1_000) {
      bench.power(START_MS + ms);
      if (ms % 20_000 === 10_000 || ms === 0) bench.count(START_MS + ms);
    }
    // By time alone half of the 20 s around the boundary, 27.8 kWh, would be split evenly.
    expect(Math.abs((bench.published[0]?.importWh ?? 0) - 750_000)).toBeLessThan(2_500);
    expect(bench.published[0]?.boundWh).toBeGreaterThan(20_000);
  });
});

describe('a gap', () => {
  it('within an interval costs nothing: its energy is counted', () => {
    const bench = new Bench((ms) => 6e6 + Math.sin(ms / 5e4) * 1e6);
    bench.count(START_MS);
    bench.count(START_MS + 4 * MIN_MS);
    bench.count(START_MS + 5 * MIN_MS);
    expect(bench.published).toMatchObject([{ quality: 'good', estimatedWh: 0 }]);
  });

  it('over boundaries is published as missing in time, and corrected by a numbered estimate whose sum is counted', () => {
    const bench = new Bench(() => 6e6);
    bench.count(START_MS);
    for (let ms = 0; ms <= 17 * MIN_MS; ms += 1_000) bench.settle(START_MS + ms);
    expect(bench.published).toMatchObject([
      { revision: 1, quality: 'missing', startMs: START_MS },
      { revision: 1, quality: 'missing', startMs: START_MS + 5 * MIN_MS },
      { revision: 1, quality: 'missing', startMs: START_MS + 10 * MIN_MS },
    ]);
    bench.count(START_MS + 18 * MIN_MS);
    bench.count(START_MS + 20 * MIN_MS);
    expect(bench.published.slice(3)).toMatchObject([
      { revision: 2, quality: 'estimated', importWh: 500_000, estimatedWh: 500_000 },
      { revision: 2, quality: 'estimated', importWh: 500_000 },
      { revision: 2, quality: 'estimated', importWh: 500_000 },
      { revision: 1, quality: 'estimated', importWh: 500_000, estimatedWh: 300_000 },
    ]);
    expect(bench.published.at(-1)?.why).toContain('not read for 1080 s');
  });

  it('is bridged by power while only the counter is silent', () => {
    const bench = new Bench((ms) => (ms < START_MS + 5 * MIN_MS ? 3e6 : 9e6));
    bench.count(START_MS);
    for (let ms = 0; ms <= 13 * MIN_MS; ms += 1_000) {
      bench.power(START_MS + ms);
      bench.settle(START_MS + ms);
    }
    expect(bench.published).toMatchObject([
      { revision: 1, quality: 'estimated', method: 'power' },
      { revision: 1, quality: 'estimated', method: 'power' },
    ]);
    expect(bench.published.map(({ importWh = 0 }) => Math.round(importWh / 1e3))).toEqual([251, 750]);
    bench.count(START_MS + 13 * MIN_MS);
    expect(bench.final().map(({ method, revision }) => [method, revision])).toEqual([
      ['counter', 2],
      ['counter', 2],
    ]);
    expect(bench.final().map(({ importWh = 0 }) => Math.round(importWh / 1e3))).toEqual([251, 750]);
  });

  it('of more than a month is not made up', () => {
    const bench = new Bench(() => 6e6);
    const sample = { halfMs: 0, importWh: 5e6, exportWh: undefined, stepWh: 1 };
    for (const days of [0, 40])
      takeEnergy(bench.book, RULES, { ...sample, atMs: START_MS + days * 24 * HOUR_MS });
    takeEnergy(bench.book, RULES, { ...sample, atMs: START_MS + 40 * 24 * HOUR_MS + 5 * MIN_MS });
    bench.settle(START_MS + 40 * 24 * HOUR_MS + 5 * MIN_MS);
    expect(bench.published).toMatchObject([{ quality: 'good' }]);
  });
});

describe('what the counter cannot say', () => {
  it('is an estimate, with the reason', () => {
    const bench = new Bench(() => 6e6);
    bench.count(START_MS);
    bench.count(START_MS + MIN_MS, 'it was set back');
    bench.count(START_MS + 5 * MIN_MS);
    expect(bench.published).toMatchObject([
      { quality: 'estimated', estimatedWh: 100_000, why: 'it was set back', importWh: 500_000 },
    ]);
  });
});

describe('the clock', () => {
  it('against the controller is stated with what it comes to', () => {
    const bench = new Bench(() => 3.6e6);
    bench.count(START_MS);
    for (let ms = 0; ms <= 302_000; ms += 1_000) bench.power(START_MS + ms);
    takeEnergy(bench.book, RULES, {
      atMs: START_MS + 301_000,
      halfMs: 0,
      importWh: 301_000,
      exportWh: undefined,
      stepWh: 1,
    });
    bench.settle(START_MS + 301_000, { offsetMs: -300, boundMs: 200 });
    // Half a second at each end, 3.6 MW: twice 500 Wh.
    expect(bench.published[0]?.clock).toEqual({ offsetMs: -300, boundMs: 200, errorWh: 1_000 });
  });

  it('that was set is told, and what it may have moved counts', () => {
    const bench = new Bench(() => 3.6e6);
    bench.count(START_MS);
    bench.power(START_MS + 1_000);
    noteClockSet(bench.book, RULES, -20_000, START_MS - 19_000);
    bench.count(START_MS + 5 * MIN_MS);
    expect(bench.published[0]?.why).toContain('went by -20.0 s');
    expect(bench.published[0]?.boundWh).toBeGreaterThan(20_000);
  });

  it('set back by half an hour: what flows while its time comes again is in one interval, an estimate, as also when it was set while the agent was down', () => {
    for (const told of [true, false]) {
      const bench = new Bench(() => 6e6);
      const sample = { halfMs: 0, exportWh: undefined, stepWh: 1 };
      for (let min = 0; min <= 7; min++) bench.count(START_MS + min * MIN_MS);
      if (told) noteClockSet(bench.book, RULES, -30 * MIN_MS, START_MS - 23 * MIN_MS);
      for (let min = -22; min <= 15; min++) {
        takeEnergy(bench.book, RULES, { ...sample, atMs: START_MS + min * MIN_MS, importWh: 100_000 });
        bench.settle(START_MS + min * MIN_MS);
      }
      const [before, long, after] = bench.published;
      expect([before?.quality, after?.quality]).toEqual(['good', 'good']);
      expect(long).toMatchObject({ quality: 'estimated', importWh: 3_500_000 });
      expect(Math.abs((long?.importWh ?? 0) - 500_000)).toBeLessThanOrEqual(long?.boundWh ?? 0);
      expect(long?.estimatedWh).toBeGreaterThan(0);
      expect(long?.why).toContain('clock went');
    }
  });

  it('set forward, within an interval or over boundaries: each interval that is too short is an estimate, also while nothing flows', () => {
    for (const [byMs, load, few] of [
      [2 * MIN_MS, 6e6, 1],
      [40_000, 0, 1],
      [4.5 * MIN_MS, 6e6, 2],
      [12 * MIN_MS, 0, 3],
    ] as const) {
      const bench = new Bench(() => load);
      bench.count(START_MS);
      bench.count(START_MS + MIN_MS);
      noteClockSet(bench.book, RULES, byMs, START_MS + MIN_MS + byMs);
      const sample = { halfMs: 0, exportWh: undefined, stepWh: 1, importWh: load / 360 };
      for (let ms = MIN_MS + byMs + 10_000; ms <= 30 * MIN_MS; ms += 10_000) {
        takeEnergy(bench.book, RULES, { ...sample, atMs: START_MS + ms });
        bench.settle(START_MS + ms);
      }
      const found = bench.published.map(({ quality }) => quality);
      expect(found.slice(0, few)).toEqual(Array.from({ length: few }, () => 'estimated'));
      expect(new Set(found.slice(few))).toEqual(new Set(['good']));
      for (const one of bench.published)
        expect(Math.abs((one.importWh ?? 0) - load / 12)).toBeLessThanOrEqual(one.boundWh);
    }
  });

  it('set back a little loses nothing; set back far, the time that comes again is numbered anew', () => {
    const bench = new Bench(() => 6e6);
    bench.count(START_MS);
    bench.count(START_MS + 5 * MIN_MS);
    bench.count(START_MS + 9 * MIN_MS);
    const sample = { halfMs: 0, exportWh: undefined, stepWh: 1 };
    takeEnergy(bench.book, RULES, { ...sample, atMs: START_MS + 7 * MIN_MS, importWh: 100_000 });
    takeEnergy(bench.book, RULES, { ...sample, atMs: START_MS + 10 * MIN_MS, importWh: 50_000 });
    bench.settle(START_MS + 10 * MIN_MS);
    expect(bench.published[1]?.importWh).toBe(550_000);
    takeEnergy(bench.book, RULES, { ...sample, atMs: START_MS - 3 * HOUR_MS, importWh: 1 });
    for (let ms = -3 * HOUR_MS; ms <= -2.5 * HOUR_MS; ms += MIN_MS)
      takeEnergy(bench.book, RULES, { ...sample, atMs: START_MS + ms, importWh: 100 });
    bench.settle(START_MS - 2.5 * HOUR_MS);
    expect(bench.published.slice(2).map(({ revision }) => revision)).toEqual([2, 2, 2, 2, 2, 2]);
  });
});

describe('losses', () => {
  it('of a transformer: no-load all the time, load losses by the square; then the loss factor', () => {
    const transformer = { ratedKva: 10_000, noLoadKw: 12, loadLossPct: 0.9 };
    const bench = new Bench(() => 5e6, 1, { ...RULES, transformer, lossFactor: 1.01 });
    for (let ms = 0; ms <= 5 * MIN_MS; ms += 1_000) bench.power(START_MS + ms);
    bench.count(START_MS);
    for (let ms = 0; ms <= 301_000; ms += 1_000) {
      bench.power(START_MS + ms);
      if (ms % 10_000 === 0) bench.count(START_MS + ms);
    }
    // 12 kW and 90 kW × (5/10)² over 5 min.
    expect(bench.published[0]?.lossWh).toBeCloseTo((34.5e3 * 5) / 60, 0);
    const [one] = bench.published;
    expect(one?.settledImportWh).toBeCloseTo(((one?.importWh ?? 0) + (one?.lossWh ?? 0)) * 1.01, 3);
    expect(one?.settledExportWh).toBe(0);
  });

  it.each([
    ['that exports', 0, 9_000],
    ['that exports less than its transformer takes', 0, 500],
    ['that does both', 300, 500],
    ['at rest', 0, 0],
    ['that takes', 9_000, 0],
  ])('of a site %s: the market settles what was metered, less what was lost', (_, importWh, exportWh) => {
    const rules = { ...RULES, transformer: { ratedKva: 10_000, noLoadKw: 12, loadLossPct: 0.9 } };
    const book = makeBook();
    const sample = { halfMs: 0, stepWh: 1, importWh, exportWh };
    takeEnergy(book, rules, { ...sample, atMs: START_MS });
    takeEnergy(book, rules, { ...sample, atMs: START_MS + 5 * MIN_MS });
    const [one] = settle(book, rules, START_MS + 5 * MIN_MS, undefined);
    expect(one?.lossWh).toBeGreaterThanOrEqual(1_000);
    const settledWh = (one?.settledImportWh ?? 0) - (one?.settledExportWh ?? 0);
    expect(settledWh).toBeCloseTo(importWh + (one?.lossWh ?? 0) - exportWh, 3);
  });

  it('a load that comes in bursts loses more than its mean', () => {
    const transformer = { ratedKva: 10_000, noLoadKw: 0, loadLossPct: 1 };
    const loss = (watts: (ms: number) => number): number => {
      const bench = new Bench(watts, 1, { ...RULES, transformer });
      for (let ms = 0; ms <= 301_000; ms += 1_000) {
        bench.power(START_MS + ms);
        if (ms % 10_000 === 0) bench.count(START_MS + ms);
      }
      return bench.published[0]?.lossWh ?? 0;
    };
    expect(loss((ms) => (Math.floor(ms / 30_000) % 2 === 0 ? 10e6 : 0))).toBeGreaterThan(
      1.8 * loss(() => 5e6),
    );
  });
});

it('whatever is read when, and however often the process starts again: the sum is the counter’s, each interval is within its bound, none comes twice', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          afterS: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 60, max: 2_500 })),
          restart: fc.boolean(),
          power: fc.boolean(),
          megawatts: fc.double({ min: 0, max: 10, noNaN: true }),
        }),
        { minLength: 3, maxLength: 40 },
      ),
      fc.constantFrom(1, 1_000),
      fc.constantFrom('America/Chicago', 'Asia/Kathmandu', 'Australia/Lord_Howe'),
      fc.constantFrom(5, 15, 30, 60),
      (reads, stepWh, timeZone, intervalMin) => {
        const levels: { fromMs: number; watts: number }[] = [{ fromMs: 0, watts: 5e6 }];
        const watts = (ms: number): number => levels.findLast(({ fromMs }) => fromMs <= ms)?.watts ?? 0;
        const calendar = { intervalMin, timeZone };
        const bench = new Bench(watts, stepWh, { ...RULES, calendar });
        let ms = nextBoundary(START_MS - 1, calendar);
        const firstWh = bench.count(ms);
        const trueAt = new Map<number, number>([[ms, bench.trueWh(ms)]]);
        let lastWh = firstWh;
        for (const { afterS, restart, power, megawatts } of reads) {
          const untilMs = ms + afterS * 1_000;
          for (; ms < untilMs; ms += 1_000) {
            if (power) bench.power(ms);
            if (ms % MIN_MS === 0) trueAt.set(ms, bench.trueWh(ms));
            bench.settle(ms);
          }
          trueAt.set(ms, bench.trueWh(ms));
          lastWh = bench.count(ms);
          if (restart) bench.restart();
          levels.push({ fromMs: ms, watts: megawatts * 1e6 });
        }
        const openWh = bench.book.cells.reduce((sum, { importWh }) => sum + importWh, 0);
        const known = bench.final().filter(({ endMs }) => endMs <= (bench.book.countMs ?? 0));
        expect(Math.abs(sumOf(known) + openWh - (lastWh - firstWh))).toBeLessThan(0.01);
        expect(new Set(bench.published.map(({ startMs, revision }) => `${startMs} ${revision}`)).size).toBe(
          bench.published.length,
        );
        for (const one of known) {
          const trueWh = (trueAt.get(one.endMs) ?? Number.NaN) - (trueAt.get(one.startMs) ?? Number.NaN);
          expect(Math.abs((one.importWh ?? 0) - trueWh)).toBeLessThanOrEqual(one.boundWh + 0.01);
        }
      },
    ),
    { numRuns: 40 },
  );
});

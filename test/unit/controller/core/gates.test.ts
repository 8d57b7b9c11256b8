import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SiteConfigInput } from '../../../../config/schema/site.ts';
import { believedW, drawW } from '../../../../controller/core/economics.ts';
import { viewOf } from '../../../../controller/core/view.ts';
import { feedsOf } from '../../../../controller/signals/list.ts';
import { asFault } from '../../../../protocols/faults.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

type Energy = NonNullable<SiteConfigInput['prices']['energy']>;
const energy = smallSite.prices.energy;
if (energy === undefined) throw new Error('the site has a price');

const SHARE = 0.25;
const WINDOW_S = 60;
const siteWith = (changes: Partial<Energy> = {}): SiteConfigInput => ({
  ...smallSite,
  prices: {
    ...smallSite.prices,
    energy: { ...energy, sharePct: 100 * SHARE, windowS: WINDOW_S, ...changes },
  },
});
/** A site at work whose price is said by hand from now on. */
const atWork = (changes: Partial<Energy> = {}): Plant => {
  const plant = new Plant(siteWith(changes)).run(20);
  plant.priceUsdPerMwh = undefined;
  return plant;
};
const wall = (plant: Plant): number => 1_000_000 + plant.nowMs;
const alarms = (plant: Plant): string[] => [...plant.state.alarms.keys()];
const say = (plant: Plant, usdPerMwh: number, startMs = wall(plant)): void =>
  plant.take({ kind: 'price', usdPerMwh, startMs, endMs: startMs + 300_000, publishedAtMs: wall(plant) });
/** The same price every second. */
const keepSaying = (plant: Plant, usdPerMwh: number, seconds: number, startMs = wall(plant)): void => {
  for (let second = 0; second < seconds; second++) {
    plant.run(1);
    say(plant, usdPerMwh, startMs);
  }
};
const seconds = (plant: Plant, value: number, witness: number): void => {
  plant.take({ kind: 'witness', input: 'price', value: witness });
  say(plant, value);
};
const agree = (plant: Plant, input: 'price' | 'limit', value: number): void => {
  plant.records.push({ t: 'agree', atMs: wall(plant), actor: 'anna#1', input, value });
  plant.take({ kind: 'agree', input, value, actor: 'anna#1' });
};
const shown = (plant: Plant, kind: string) =>
  viewOf(plant.state, { wallMs: wall(plant), monoMs: plant.nowMs }).signals.find(
    (signal) => signal.kind === kind,
  );
const asleep = (plant: Plant): number => plant.count('sleep');

describe('a price and its witnesses', () => {
  test('alone it moves its share per window; when a second source agrees it moves all that it is worth', () => {
    const alone = atWork();
    keepSaying(alone, 500, 40);
    expect(asleep(alone)).toBeGreaterThan(0);
    expect(asleep(alone)).toBeLessThan(10);
    expect(shown(alone, 'price')?.waits?.text).toContain('agree price');
    const both = atWork({ witness: { url: 'http://127.0.0.1/w', periodMs: 1_000, maxAgeS: 60 } });
    for (let second = 0; second < 40; second++) {
      both.run(1);
      seconds(both, 500, 502);
    }
    expect(asleep(both)).toBe(18);
    expect(shown(both, 'price')?.waits).toBeNull();
  });

  test('a later interval of the same feed is a witness; the same interval said again is none', () => {
    const plant = atWork();
    const startMs = wall(plant);
    keepSaying(plant, 500, 50, startMs);
    const before = asleep(plant);
    expect(before).toBeLessThan(10);
    say(plant, 503, startMs + WINDOW_S * 1_000);
    plant.run(8);
    expect(asleep(plant)).toBe(18);
  });

  test('a person is a witness, for the value they have seen and no other', () => {
    const plant = atWork();
    keepSaying(plant, 500, 20);
    const before = asleep(plant);
    agree(plant, 'price', 400);
    plant.run(5);
    expect(asleep(plant)).toBe(before);
    agree(plant, 'price', 500);
    plant.run(5);
    expect(asleep(plant)).toBe(18);
  });

  test('too large a step is not used before somebody agrees: the second source, the next interval, a person', () => {
    const step = { stepUsdPerMwh: 100, witness: { url: 'http://127.0.0.1/w', periodMs: 1_000, maxAgeS: 60 } };
    const doubted = (): Plant => {
      const plant = atWork(step);
      keepSaying(plant, 500, 10);
      expect(plant.state.price.usdPerMwh).toBe(40);
      expect(alarms(plant)).toContain('INPUT_DOUBTFUL:price');
      return plant;
    };
    const alone = doubted();
    keepSaying(alone, 500, 40);
    expect(asleep(alone)).toBe(0);
    say(alone, 500, wall(alone) + WINDOW_S * 1_000);
    expect(alone.state.price.usdPerMwh).toBe(500);
    expect(alarms(alone)).not.toContain('INPUT_DOUBTFUL:price');
    const second = doubted();
    seconds(second, 500, 498);
    expect(second.state.price.usdPerMwh).toBe(500);
    const person = doubted();
    expect(shown(person, 'price')?.waits?.value).toBe(500);
    agree(person, 'price', 500);
    person.run(10);
    expect(asleep(person)).toBe(18);
  });

  test('sources that disagree are an alarm, and the share stays until a person decides', () => {
    const plant = atWork({ witness: { url: 'http://127.0.0.1/w', periodMs: 1_000, maxAgeS: 60 } });
    for (let second = 0; second < 30; second++) {
      plant.run(1);
      seconds(plant, 500, 40);
    }
    expect(alarms(plant)).toContain('INPUT_DOUBTFUL:price');
    expect(asleep(plant)).toBeLessThan(10);
    agree(plant, 'price', 500);
    plant.run(10);
    expect(alarms(plant)).not.toContain('INPUT_DOUBTFUL:price');
    expect(asleep(plant)).toBe(18);
  });

  test('a hash value nobody has confirmed keeps the share, though the energy price is confirmed', () => {
    const plant = atWork({ witness: { url: 'http://127.0.0.1/w', periodMs: 1_000, maxAgeS: 60 } });
    seconds(plant, 40, 40);
    for (let second = 0; second < 30; second++) {
      plant.run(1);
      seconds(plant, 40, 40);
      plant.take({ kind: 'hashprice', usdPerPhDay: 6, atMs: wall(plant) - plant.nowMs });
    }
    expect(asleep(plant)).toBeGreaterThan(0);
    expect(asleep(plant)).toBeLessThan(10);
    plant.take({ kind: 'witness', input: 'hashprice', value: 6 });
    plant.run(10);
    expect(asleep(plant)).toBe(18);
  });
});

describe('a feed that is silent', () => {
  const qualities = (plant: Plant): (string | undefined)[] =>
    plant.events.flatMap((event) =>
      event.event === 'signal' && event.kind === 'price' ? [`${event.quality} ${event.value}`] : [],
    );

  test('the last good price holds for its time, then the declared one; every change of source is said', () => {
    const plant = atWork({ keepS: 120, fallbackUsdPerMwh: 70 });
    plant.run(5);
    expect(plant.state.price.quality).toBe('held');
    expect(alarms(plant)).toContain('PRICE_HELD:price');
    expect(shown(plant, 'price')?.text).toMatch(
      /the last good one; it holds until .*, then 70 USD\/MWh as declared/,
    );
    plant.run(120);
    expect(alarms(plant)).not.toContain('PRICE_HELD:price');
    expect(alarms(plant)).toContain('PRICE_STALE:price');
    say(plant, 40);
    expect(alarms(plant)).not.toContain('PRICE_STALE:price');
    expect(qualities(plant)).toEqual(['good 40', 'held 40', 'fallback 70', 'good 40']);
  });

  test('what was announced for now is used while it holds', () => {
    const plant = atWork({ keepS: 600, sharePct: 100 });
    const endMs = wall(plant) + 30_000;
    plant.take({
      kind: 'price',
      usdPerMwh: 40,
      startMs: wall(plant),
      endMs,
      publishedAtMs: wall(plant),
      later: [
        { startMs: endMs, endMs: endMs + 60_000, usdPerMwh: 80, kind: 'dayahead' },
        { startMs: endMs + 60_000, endMs: endMs + 120_000, usdPerMwh: 9_999, kind: 'dayahead' },
      ],
    });
    plant.run(60);
    expect(asleep(plant)).toBe(10);
    // What is no price is not used later either.
    plant.run(60);
    expect(plant.state.price.usdPerMwh).toBe(80);
  });

  test('a word published before one that was taken is not taken', () => {
    const plant = atWork();
    say(plant, 41);
    plant.take({
      kind: 'price',
      usdPerMwh: 55,
      startMs: wall(plant),
      endMs: wall(plant) + 1e6,
      publishedAtMs: wall(plant) - 60_000,
    });
    expect(plant.state.price.usdPerMwh).toBe(41);
    expect(alarms(plant)).toContain('PRICE_STALE:price');
  });

  test('a new controller goes on with the last good price for what is left of its time', () => {
    const plant = atWork({ keepS: 120, sharePct: 100 });
    say(plant, 80);
    plant.run(10);
    plant.restart(2).run(40);
    expect(plant.state.price).toMatchObject({ usdPerMwh: 80, quality: 'held' });
    expect(asleep(plant)).toBe(10);
    plant.run(80);
    expect(plant.state.price.quality).toBe('none');
    expect(asleep(plant)).toBe(10);
  });
});

describe('hostile feeds', () => {
  const iso = (ms: number): string => new Date(Math.max(0, ms)).toISOString();
  const HOUR = 3_600_000;
  interface Doc {
    readonly unit: unknown;
    readonly value: unknown;
    readonly shiftMs: number;
    readonly lengthMs: number;
    readonly publishedMs: number;
    readonly copies: number;
    readonly cut: number;
    readonly form: 'json' | 'html' | 'text' | 'number-text';
  }
  const hostile: fc.Arbitrary<Doc> = fc.record({
    unit: fc.constantFrom('USD/MWh', 'USD/MWh', 'USD/MWh', 'USD/MWh', 'USD/kWh', 'EUR/MWh', 'c/kWh', null, 5),
    value: fc.oneof(
      fc.constantFrom(null, '', 'NaN', 'Infinity', '5,123', '0x10', [], {}, true, 1e9, -1e9, 1e308),
      fc.constantFrom(0, 0.04, 4, 400, 4_000, 40_000, -40, -499, 4_999, '4000', '-0.04'),
      fc.double({ noNaN: true, min: -6_000, max: 6_000 }),
    ),
    shiftMs: fc.constantFrom(0, 0, 0, -HOUR, HOUR, -5 * HOUR, 24 * HOUR, -24 * HOUR, 1e12),
    lengthMs: fc.constantFrom(300_000, 300_000, 900_000, 0, -300_000, 48 * HOUR),
    publishedMs: fc.constantFrom(0, 0, 0, -60_000, -HOUR, HOUR, -900 * 24 * HOUR),
    copies: fc.constantFrom(1, 1, 1, 1, 1, 1, 2, 2, 2_001),
    cut: fc.constantFrom(1, 1, 1, 0.5, 0.99),
    form: fc.constantFrom('json', 'json', 'json', 'json', 'html', 'text', 'number-text'),
  });
  const textOf = (doc: Doc, nowMs: number): string => {
    if (doc.form === 'html') return '<!doctype html><h1>502 Bad Gateway</h1>';
    if (doc.form === 'text') return String(doc.value);
    const start = nowMs - 60_000 + doc.shiftMs;
    const one = {
      start: iso(start),
      end: iso(start + doc.lengthMs),
      value: doc.form === 'number-text' ? String(doc.value) : doc.value,
      kind: 'actual',
    };
    const text = JSON.stringify({
      market: 'M',
      location: 'L',
      unit: doc.unit,
      intervals: Array.from({ length: doc.copies }, () => one),
      publishedAt: iso(nowMs + doc.publishedMs),
    });
    return text.slice(0, Math.floor(text.length * doc.cut));
  };
  /** As the poller does: what cannot be read is an event too. */
  const offer = (plant: Plant, text: string): void => {
    const source = feedsOf(plant.state.site).find(({ feed }) => feed === 'price');
    try {
      const event = source?.read(text, wall(plant));
      if (event !== undefined) plant.take(event);
    } catch (error) {
      const { code, detail } = asFault(error, 'SIGNAL_INVALID');
      plant.take({ kind: 'feed-failed', feed: 'price', code, detail });
    }
  };
  const wishedW = (plant: Plant): number =>
    plant.state.site.machines.reduce(
      (sum, { index }) =>
        sum + (plant.state.wish[index]?.mode === 'mine' ? drawW(plant.state, index, 'mine') : 0),
      0,
    );

  test('more than 500 feeds: none is used unsaid, and none moves more than the share in a window', () => {
    let runs = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 2, maxLength: 3 }), (docs) => {
        const plant = new Plant(
          siteWith({
            stepUsdPerMwh: 200,
            keepS: 600,
            witness: { url: 'http://127.0.0.1/w', periodMs: 1_000, maxAgeS: 600 },
          }),
        ).run(4);
        plant.take({ kind: 'witness', input: 'price', value: 40 });
        const beforeW = wishedW(plant);
        const siteW = plant.state.site.machines.reduce(
          (sum, { index }) =>
            sum + Math.max(believedW(plant.state, index), drawW(plant.state, index, 'mine')),
          0,
        );
        plant.priceUsdPerMwh = undefined;
        for (const doc of docs) {
          runs++;
          offer(plant, textOf(doc, wall(plant)));
          plant.run(1);
          const { usdPerMwh } = plant.state.price;
          const isSaid = alarms(plant).some((id) => /^(PRICE|SIGNAL|INPUT)_.*:price$/.test(id));
          refused += Number(isSaid);
          expect(isSaid || Math.abs((usdPerMwh ?? Infinity) - 40) <= 5).toBe(true);
        }
        plant.run(8);
        expect(Math.abs(wishedW(plant) - beforeW)).toBeLessThanOrEqual(SHARE * siteW);
      }),
      { numRuns: 220, seed: 10 },
    );
    expect(runs).toBeGreaterThan(500);
    expect(refused).toBeGreaterThan(0.8 * runs);
  });
});

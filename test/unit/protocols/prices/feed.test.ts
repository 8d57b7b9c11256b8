import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Fault } from '../../../../protocols/faults.ts';
import { parseAiDemand, parseHashpriceFeed, parsePriceFeed } from '../../../../protocols/prices/feed.ts';

const NOW = Date.parse('2026-11-22T12:07:00Z');

const interval = (start: string, end: string, value: unknown, kind = 'actual'): Record<string, unknown> => ({
  start: `2026-11-22T${start}:00Z`,
  end: `2026-11-22T${end}:00Z`,
  value,
  kind,
});

const feed = (change: Record<string, unknown> = {}): string =>
  JSON.stringify({
    market: 'ERCOT',
    location: 'HB_WEST',
    unit: 'USD/MWh',
    intervals: [
      interval('12:00', '12:05', 31.5),
      interval('12:05', '12:10', 33),
      interval('12:10', '12:15', 240.25, 'indicative'),
    ],
    publishedAt: '2026-11-22T12:05:10Z',
    ...change,
  });

function code(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    return error instanceof Fault ? error.code : `not a Fault: ${String(error)}`;
  }
  return 'accepted';
}

describe('energy price feed', () => {
  test('finds the interval that holds now and the one after it', () => {
    const read = parsePriceFeed(feed(), NOW);
    expect(read.current).toEqual({
      startMs: Date.parse('2026-11-22T12:05:00Z'),
      endMs: Date.parse('2026-11-22T12:10:00Z'),
      usdPerMwh: 33,
      kind: 'actual',
    });
    expect(read.next?.usdPerMwh).toBe(240.25);
    expect(read.next?.kind).toBe('indicative');
  });

  test('intervals may come in any order, and a number may be written as text', () => {
    const read = parsePriceFeed(
      feed({ intervals: [interval('12:10', '12:15', '-12.50'), interval('12:05', '12:10', '33')] }),
      NOW,
    );
    expect(read.current?.usdPerMwh).toBe(33);
    expect(read.next?.usdPerMwh).toBe(-12.5);
  });

  test('a feed without an interval for now has no current price', () => {
    const read = parsePriceFeed(feed({ intervals: [interval('11:00', '11:05', 20)] }), NOW);
    expect(read.current).toBeUndefined();
    expect(read.next).toBeUndefined();
  });

  test.each([
    ['NaN in JSON', feed().replace('33,', 'NaN,')],
    ['NaN as text', feed({ intervals: [interval('12:05', '12:10', 'NaN')] })],
    ['Infinity as text', feed({ intervals: [interval('12:05', '12:10', 'Infinity')] })],
    ['null', feed({ intervals: [interval('12:05', '12:10', null)] })],
    ['number with a comma', feed({ intervals: [interval('12:05', '12:10', '5,123')] })],
    ['empty text', feed({ intervals: [interval('12:05', '12:10', '')] })],
    ['hexadecimal text', feed({ intervals: [interval('12:05', '12:10', '0x10')] })],
    ['overflow to infinity', feed().replace('33,', '1e999,')],
    ['USD/kWh', feed({ unit: 'USD/kWh' })],
    ['no unit', feed({ unit: undefined })],
    ['reversed', feed({ intervals: [interval('12:10', '12:05', 33)] })],
    ['empty interval', feed({ intervals: [interval('12:05', '12:05', 33)] })],
    ['overlap', feed({ intervals: [interval('12:00', '12:06', 33), interval('12:05', '12:10', 34)] })],
    [
      'same interval twice',
      feed({ intervals: [interval('12:05', '12:10', 33), interval('12:05', '12:10', 99)] }),
    ],
    ['no intervals', feed({ intervals: [] })],
    ['local time', feed({ publishedAt: '2026-11-22T12:05:10' })],
    ['time with offset', feed({ publishedAt: '2026-11-22T12:05:10+01:00' })],
    ['no such day', feed({ publishedAt: '2026-02-31T12:05:10Z' }).replace('02-31', '13-41')],
    ['published in the future', feed({ publishedAt: '2026-11-22T13:00:00Z' })],
    ['published years ago', feed({ publishedAt: '2021-11-22T13:00:00Z' })],
    [
      'interval years away',
      feed({
        intervals: [{ start: '2031-01-01T00:00:00Z', end: '2031-01-01T00:05:00Z', value: 1, kind: 'actual' }],
      }),
    ],
    [
      'interval of a month',
      feed({
        intervals: [{ start: '2026-11-20T00:00:00Z', end: '2026-12-20T00:05:00Z', value: 1, kind: 'actual' }],
      }),
    ],
    ['unknown kind', feed({ intervals: [interval('12:05', '12:10', 33, 'rumour')] })],
    ['an HTML page', '<!doctype html><title>502 Bad Gateway</title>'],
    ['nothing', ''],
    ['a list', '[]'],
    ['null document', 'null'],
    ['too long', `${' '.repeat(1_000_001)}{}`],
  ])('%s is refused', (_name, text) => {
    expect(code(() => parsePriceFeed(text, NOW))).toBe('PRICE_INVALID');
  });
});

describe('hashprice feed', () => {
  const text = (priceUSD: unknown, timestamp = '2026-11-22T12:00:00Z'): string =>
    JSON.stringify({ data: { priceUSD, priceBTC: 0.0005, timestamp } });

  test('reads the value', () => {
    expect(parseHashpriceFeed(text(41.25), NOW)).toEqual({
      usdPerPhDay: 41.25,
      atMs: Date.parse('2026-11-22T12:00:00Z'),
    });
  });

  test.each([[0], [-3], ['NaN'], [null], [undefined], [{}], [[41]]])('%s is refused', (value) => {
    expect(code(() => parseHashpriceFeed(text(value), NOW))).toBe('PRICE_INVALID');
  });

  test('a time in the future is refused', () => {
    expect(code(() => parseHashpriceFeed(text(40, '2027-01-01T00:00:00Z'), NOW))).toBe('PRICE_INVALID');
  });
});

describe('AI demand', () => {
  const job = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
    id: 'j1',
    contract: 'c1',
    hosts: 8,
    from: '2026-11-22T12:00:00Z',
    until: '2026-11-22T18:00:00Z',
    ...change,
  });
  const text = (...jobs: unknown[]): string => JSON.stringify({ jobs });

  test('gives jobs in order of start and drops those that are over', () => {
    const jobs = parseAiDemand(
      text(
        job({ id: 'b', from: '2026-11-22T14:00:00Z' }),
        job(),
        job({ id: 'over', until: '2026-11-22T12:01:00Z' }),
      ),
      NOW,
    );
    expect(jobs.map(({ id }) => id)).toEqual(['j1', 'b']);
    expect(jobs[0]).toMatchObject({ hosts: 8, untilMs: Date.parse('2026-11-22T18:00:00Z') });
  });

  test.each([
    ['no hosts', text(job({ hosts: 0 }))],
    ['half a host', text(job({ hosts: 1.5 }))],
    ['hosts as text', text(job({ hosts: '8' }))],
    ['ends before it starts', text(job({ until: '2026-11-22T11:00:00Z' }))],
    ['twice', text(job(), job())],
    ['no id', text(job({ id: '' }))],
    ['too many', text(...Array.from({ length: 1_001 }, (_, n) => job({ id: `j${n}` })))],
    ['HTML', '<html></html>'],
  ])('%s is refused', (_name, wire) => {
    expect(code(() => parseAiDemand(wire, NOW))).toBe('SIGNAL_INVALID');
  });
});

test('whatever comes, each parser answers or throws its Fault', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.json().map((value) => feed({ intervals: value })),
      ),
      (text) => {
        expect(['PRICE_INVALID', 'accepted']).toContain(code(() => parsePriceFeed(text, NOW)));
        expect(['PRICE_INVALID', 'accepted']).toContain(code(() => parseHashpriceFeed(text, NOW)));
        expect(['SIGNAL_INVALID', 'accepted']).toContain(code(() => parseAiDemand(text, NOW)));
      },
    ),
    { numRuns: 300 },
  );
});

import { describe, expect, it } from 'vitest';
import { revenueSchema } from '../../../config/schema/revenue.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import { findWarnings } from '../../../config/warnings.ts';

const warned = (profile: string, more: object = {}): readonly string[] => {
  const site = resolveSite(
    siteSchema.parse({
      schema: 1,
      site: 's',
      nodes: [{ id: 'main', kind: 'site', capKw: 100 }],
      meters: [
        {
          id: 'm',
          node: 'main',
          target: `modbus://127.0.0.1/1?profile=${profile}`,
          revenue: { intervalMin: 15, timeZone: 'America/Chicago', ...more },
        },
      ],
      prices: {
        hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
      },
    }),
    new Map(),
  );
  return findWarnings(site).map(({ path, message }) => `${path.join('.')}: ${message}`);
};

const pulses = (counter: object): object => ({
  pulses: { target: 'modbus://127.0.0.1/2', import: { address: 0, whPerPulse: 100, ...counter } },
});

describe('a revenue meter', () => {
  it('whose counters are none, or disputed, is warned of; pulses need none', () => {
    expect(warned('schneider-pm5xxx')).toEqual([]);
    expect(warned('raritan-px3')).toEqual([
      expect.stringMatching(/^meters\.0\.revenue: .*no energy\.active\.import/),
    ]);
    expect(warned('raritan-px3', pulses({ form: 'A' }))).toEqual([]);
    expect(warned('accuenergy-acuvim-ii')).toEqual([expect.stringContaining('sources disagree')]);
  });

  it('says of KYZ which edges are counted, and of form A nothing', () => {
    const fits = (counter: object): boolean =>
      revenueSchema.safeParse({ intervalMin: 5, ...pulses(counter) }).success;
    expect(fits({ form: 'KYZ', edges: 2 })).toBe(true);
    expect(fits({ form: 'KYZ' })).toBe(false);
    expect(fits({ form: 'A', edges: 1 })).toBe(false);
  });

  it('has an interval of a market, and a time zone that there is', () => {
    expect(revenueSchema.safeParse({ intervalMin: 7 }).success).toBe(false);
    expect(revenueSchema.safeParse({ intervalMin: 15, timeZone: 'America/Chikago' }).success).toBe(false);
  });
});

import { describe, expect, it } from 'vitest';

import { bench, FAMILIES } from './meter-bench.ts';
import type { Bench } from './meter-bench.ts';

describe('a meter whose registers stand still', () => {
  /** The quality of the total at each reading, one per second. */
  const qualities = async (b: Bench, turns: number): Promise<readonly unknown[]> => {
    const seen: unknown[] = [];
    for (let turn = 0; turn < turns; turn += 1) {
      const total = (await b.read(turn % 10 === 9 ? 'full' : 'fast'))['power.active.total'];
      seen.push(total?.ok && total.quality);
      await b.time.advance(1_000);
    }
    return seen;
  };

  it('doubts values that stand still under load, within three refresh periods', async () => {
    for (const [layout, profile] of FAMILIES) {
      const b = bench(layout, profile);
      expect(await qualities(b, 20)).not.toContain('uncertain');
      b.meter.fault = 'frozen';
      const since = b.time.monoMs();
      const seen = await qualities(b, 6);
      expect(seen.slice(-2), profile).toEqual(['uncertain', 'uncertain']);
      expect(b.time.monoMs() - since).toBeLessThan(6_500);
      expect(seen.indexOf('uncertain'), profile).toBeLessThanOrEqual(3);
      expect((await b.read('fast'))['current.L1']).toMatchObject({ why: expect.stringMatching(/^frozen/) });
      b.meter.fault = 'none';
      await b.time.advance(1_000);
      expect(await qualities(b, 3)).toEqual(['good', 'good', 'good']);
    }
  });

  it('lets values of an idle feeder stand', async () => {
    const b = bench('pm5xxx', 'schneider-pm5xxx', {}, 0);
    await qualities(b, 5);
    b.meter.fault = 'frozen';
    expect(await qualities(b, 30)).not.toContain('uncertain');
  });

  it('doubts values that stand still for as long as it is told, or never', async () => {
    const b = bench('pm5xxx', 'schneider-pm5xxx', { frozenS: '10' });
    const patient = bench('pm5xxx', 'schneider-pm5xxx', { frozenS: '0' });
    for (const { meter } of [b, patient]) meter.fault = 'frozen';
    expect((await qualities(b, 14)).indexOf('uncertain')).toBe(10);
    expect(await qualities(patient, 30)).not.toContain('uncertain');
  });
});

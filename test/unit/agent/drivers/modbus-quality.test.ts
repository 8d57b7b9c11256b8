import { describe, expect, it } from 'vitest';

import { crossCheck, makeCheckMemory } from '../../../../agent/drivers/modbus-checks.ts';
import { meterProfile, profileIds } from '../../../../config/meters.ts';
import type { Reading, Readings } from '../../../../protocols/reading.ts';
import { layoutOfProfile } from '../../../../simulator/devices/profile-layout.ts';
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

const good = (value: number, atMs = 0): Reading => ({ ok: true, value, unit: '1', quality: 'good', atMs });

describe('power against phases, volts, amperes and power factor', () => {
  const factor = 0.9;
  /** 10 kVA in each phase. */
  const three = (more: Readings = {}): Record<string, Reading> => ({
    ...Object.fromEntries(
      (['L1', 'L2', 'L3'] as const).flatMap((phase) => [
        [`voltage.${phase}N`, good(250)],
        [`current.${phase}`, good(40)],
        [`power.active.${phase}`, good(10_000 * factor)],
        [`powerFactor.${phase}`, good(factor)],
      ]),
    ),
    'power.active.total': good(30_000 * factor),
    'powerFactor.total': good(factor),
    ...more,
  });
  /** What is said of the total after so many such readings. */
  const totalAfter = (turns: readonly Record<string, Reading>[], stepW = 0): Reading | undefined => {
    const memory = makeCheckMemory();
    let last: Record<string, Reading> = {};
    for (const turn of turns) crossCheck((last = { ...turn }), memory, (q) => (/power/.test(q) ? stepW : 0));
    return last['power.active.total'];
  };

  it('agrees with what is right, whichever way it flows and however the factor is signed', () => {
    expect(totalAfter([three(), three()])).toMatchObject({ quality: 'good' });
    const back = Object.fromEntries(
      Object.entries(three()).map(([q, reading]) => [
        q,
        /power/i.test(q) && reading.ok ? { ...reading, value: -Number(reading.value) } : reading,
      ]),
    );
    expect(totalAfter([back, back])).toMatchObject({ quality: 'good' });
  });

  it('doubts a total that its phases contradict', () => {
    expect(totalAfter([three({ 'power.active.L2': good(-9_000) })])).toMatchObject({
      quality: 'uncertain',
      why: expect.stringMatching(/phases/),
    });
    // Coarse registers differ by their steps alone.
    const coarse = three({ 'power.active.total': good(26_300) });
    expect(totalAfter([coarse])).toMatchObject({ quality: 'uncertain' });
    expect(totalAfter([coarse], 100)).toMatchObject({ quality: 'good' });
  });

  it('doubts a power that is more than volts times amperes, of a phase or in total', () => {
    const readings = three({ 'power.active.L3': good(12_000), 'power.active.total': good(30_000) });
    crossCheck(readings, makeCheckMemory(), () => 0);
    expect(readings['power.active.total']).toMatchObject({ why: expect.stringMatching(/of L3 .*10000 VA/) });
    expect(readings['power.active.L3']).toMatchObject({ quality: 'uncertain' });
    expect(readings['power.active.L1']).toMatchObject({ quality: 'good' });
  });

  it('doubts nothing any more once nothing flows, where many meters tell no power factor', () => {
    const wrong = three(
      Object.fromEntries(['L1', 'L2', 'L3'].map((phase) => [`power.active.${phase}`, good(5_000)])),
    );
    wrong['power.active.total'] = good(15_000);
    expect(totalAfter([wrong, wrong])).toMatchObject({ quality: 'uncertain' });
    const idle = Object.fromEntries(
      Object.keys(three()).map((q) => [q, good(q.startsWith('voltage') ? 250 : 0)]),
    );
    expect(totalAfter([wrong, wrong, idle])).toMatchObject({ quality: 'good', value: 0 });
  });

  it('doubts a power that the power factor contradicts, twice in a row, until it no longer does', () => {
    // Phases and total agree with each other: one scale is wrong.
    const low = three(
      Object.fromEntries([
        ...['L1', 'L2', 'L3'].map((phase) => [`power.active.${phase}`, good(6_000)]),
        ['power.active.total', good(18_000)],
      ]),
    );
    const fast = Object.fromEntries(Object.entries(low).filter(([q]) => !q.startsWith('powerFactor')));
    expect(totalAfter([low])).toMatchObject({ quality: 'good' });
    expect(totalAfter([low, fast, low, fast])).toMatchObject({
      quality: 'uncertain',
      why: expect.stringMatching(/power factor of L1 give 9000 W/),
    });
    expect(totalAfter([low, low, three()])).toMatchObject({ quality: 'good' });
    // A factor from long ago is none, and one of a phase at rest says nothing.
    const old = {
      ...low,
      ...Object.fromEntries(
        ['L1', 'L2', 'L3', 'total'].map((each) => [`powerFactor.${each}`, good(0.9, -60_000)]),
      ),
    };
    expect(totalAfter([old, old])).toMatchObject({ quality: 'good' });
    const atRest = three(
      Object.fromEntries([
        ...['L1', 'L2', 'L3'].flatMap((phase) => [
          [`current.${phase}`, good(1.5)],
          [`power.active.${phase}`, good(100)],
          [`powerFactor.${phase}`, good(1)],
        ]),
        ['power.active.total', good(300)],
        ['powerFactor.total', good(1)],
      ]),
    );
    expect(totalAfter([three(), atRest, atRest])).toMatchObject({ quality: 'good' });
  });

  it('reads four-quadrant power factors', async () => {
    for (const profile of profileIds().map(meterProfile)) {
      if (profile.template === true || !profile.points.some(({ coding }) => coding !== undefined)) continue;
      const b = bench(layoutOfProfile(profile), profile.id);
      for (let turn = 0; turn < 4; turn += 1) {
        const readings = await b.read('full');
        expect(readings['power.active.total'], profile.id).toMatchObject({ quality: 'good' });
        await b.time.advance(31_000);
      }
    }
  });
});

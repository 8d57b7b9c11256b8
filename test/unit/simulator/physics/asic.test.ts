import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { loadModel } from '../../../../config/models.ts';
import type { AsicModel } from '../../../../config/schema/model.ts';
import { seededRandom } from '../../../../host/random.ts';
import { AsicPower } from '../../../../simulator/physics/asic.ts';

function model(id: string): AsicModel {
  const found = loadModel(id);
  if (found.kind !== 'asic') throw new Error(id);
  return found;
}

const s19 = model('antminer-s19j-pro');
const m30 = model('whatsminer-m30s-plus');
const unit = (from: AsicModel, seed = 1): AsicPower =>
  new AsicPower({ id: 'x', model: from, random: seededRandom(seed), startMs: 0 });

describe('AsicPower', () => {
  test('units of one model differ by no more than 3 %, and 1 % of noise', () => {
    const draws = Array.from({ length: 200 }, (_, seed) => unit(s19, seed).powerW(0));
    expect(Math.min(...draws)).toBeGreaterThan(3_068 * 0.96);
    expect(Math.max(...draws)).toBeLessThan(3_068 * 1.04);
    expect(Math.max(...draws) - Math.min(...draws)).toBeGreaterThan(3_068 * 0.04);
  });

  test('goes down to its sleeping draw in its time and stops hashing first', () => {
    const asic = unit(s19);
    asic.sleep(0);
    expect(asic.powerW(1_000)).toBeGreaterThan(2_000);
    expect(asic.hashrate(6_000)).toBe(0);
    expect(asic.powerW(6_000)).toBeGreaterThan(500);
    expect(asic.powerW(s19.sleepS * 1_000)).toBe(s19.sleepW);
    expect(asic.boardC(3_600_000)).toBeLessThan(27);
  });

  test('wakes in its time; hashing follows the draw', () => {
    const asic = unit(s19);
    asic.sleep(0);
    asic.wake(100_000);
    expect(asic.hashrate(130_000)).toBe(0);
    expect(asic.powerW(160_000)).toBeGreaterThan(500);
    expect(asic.powerW(160_000)).toBeLessThan(2_500);
    expect(asic.powerW(195_000)).toBeGreaterThan(2_900);
    expect(asic.hashrate(195_000)).toBeGreaterThan(95e12);
  });

  test('a power limit lowers draw and rate along the model', () => {
    const asic = unit(m30);
    asic.limit(0, 2_482);
    expect(asic.powerW(1_000) / 2_482).toBeCloseTo(1, 1);
    expect(asic.hashrate(1_000) / 79e12).toBeCloseTo(1, 1);
    asic.limit(2_000, 1);
    expect(asic.limitW).toBe(2_006);
    asic.limit(3_000, 99_999);
    expect(asic.limitW).toBe(3_400);
  });

  test('without supply it draws nothing, and mines again when it returns', () => {
    const asic = unit(s19);
    asic.supply(0, false);
    expect([asic.powerW(1_000), asic.hashrate(1_000)]).toEqual([0, 0]);
    asic.supply(2_000, true);
    expect(asic.powerW(2_000)).toBe(s19.sleepW);
    expect(asic.powerW(120_000)).toBeGreaterThan(2_900);
  });

  test('the same seed and questions give the same answers', () => {
    const ask = (): number[] => {
      const asic = unit(s19, 42);
      return Array.from({ length: 50 }, (_, i) => asic.powerW(i * 700));
    };
    expect(ask()).toEqual(ask());
  });

  test('two who ask at the same time hear the same, and time never goes back', () => {
    const asic = unit(s19);
    const draw = asic.powerW(5_000);
    expect(asic.powerW(5_000)).toBe(draw);
    expect(asic.powerW(4_000)).toBe(draw);
  });

  test('whatever it is told, draw stays between nothing and 4 % above its level', () => {
    const steps = fc.array(
      fc.tuple(
        fc.constantFrom('sleep', 'wake', 'restart', 'off', 'on', 'limit'),
        fc.integer({ min: 0, max: 60_000 }),
      ),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(steps, (told) => {
        const asic = unit(m30);
        let nowMs = 0;
        for (const [what, afterMs] of told) {
          nowMs += afterMs;
          if (what === 'sleep') asic.sleep(nowMs);
          else if (what === 'wake') asic.wake(nowMs);
          else if (what === 'restart') asic.restart(nowMs);
          else if (what === 'limit') asic.limit(nowMs, 2_500);
          else asic.supply(nowMs, what === 'on');
          for (const at of [nowMs, nowMs + 100]) {
            expect(asic.powerW(at)).toBeGreaterThanOrEqual(0);
            expect(asic.powerW(at)).toBeLessThanOrEqual(3_400 * 1.04);
            expect(asic.hashrate(at)).toBeGreaterThanOrEqual(0);
          }
        }
      }),
    );
  });
});

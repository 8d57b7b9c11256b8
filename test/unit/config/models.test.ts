import { describe, expect, test } from 'vitest';

import { loadModel, MODELS, parseModel } from '../../../config/models.ts';

describe('models', () => {
  test('hold the ASICs the simulated site is made of, each with its sources', () => {
    for (const id of [
      'antminer-s19j-pro',
      'antminer-s19-pro',
      'antminer-s21',
      'whatsminer-m30s-plus',
      'whatsminer-m60',
    ]) {
      const model = loadModel(id);
      expect(model.kind).toBe('asic');
      expect(model.sources.length).toBeGreaterThan(0);
    }
  });

  test.each([...MODELS.values()])('$id sleeps below every level it works at, and is rated above', (model) => {
    const highest = model.kind === 'asic' ? (model.rungs.at(-1)?.powerW ?? 0) : model.aiW;
    expect(model.sleepW).toBeLessThan(highest / 2);
    expect(model.ratedW).toBeGreaterThanOrEqual(highest);
    // Between 5 and 60 J/TH: anything else is a slip of the unit.
    if (model.kind === 'asic') {
      for (const rung of model.rungs) {
        expect(rung.powerW / rung.hashrateThs).toBeGreaterThan(5);
        expect(rung.powerW / rung.hashrateThs).toBeLessThan(60);
      }
    }
  });

  test('a file that breaks a rule is named with what is wrong', () => {
    const good = loadModel('antminer-s21');
    const text = (change: object): string => JSON.stringify({ ...good, ...change });
    expect(() => parseModel('antminer-s21.json', text({}))).not.toThrow();
    expect(() => parseModel('other.json', text({}))).toThrow(/other\.json/);
    expect(() => parseModel('antminer-s21.json', text({ ratedW: -1 }))).toThrow(/ratedW/);
    expect(() => parseModel('antminer-s21.json', text({ ratedW: 3_000 }))).toThrow(/rung above/);
    expect(() =>
      parseModel(
        'antminer-s21.json',
        text({
          rungs: [
            { powerW: 2, hashrateThs: 1 },
            { powerW: 1, hashrateThs: 1 },
          ],
        }),
      ),
    ).toThrow(/rise/);
    expect(() => parseModel('antminer-s21.json', '{')).toThrow(/CONFIG_INVALID/);
    expect(() => loadModel('none')).toThrow(/antminer-s21/);
  });
});

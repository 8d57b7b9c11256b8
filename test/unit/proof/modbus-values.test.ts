import { expect, it } from 'vitest';

import { playChanges } from '../../../proof/modbus-values.ts';

it('of values changed inside valid frames the checks notice what contradicts, and cannot notice what does not', async () => {
  const results = new Map((await playChanges(2, 3)).map((result) => [result.change, result]));
  const once = (change: string): readonly [number, number] => {
    const { powerSamples = 0, powerMarked = 0 } = results.get(change)?.once ?? {};
    return [powerMarked, powerSamples];
  };
  for (const change of [
    'total power × 2',
    'total power × 1.1',
    'total power 0',
    'sign of total power',
    'all powers × 2',
  ])
    expect(once(change), change).toEqual([2, 2]);
  // A power factor is believed against power only when it says so twice.
  expect(once('all powers × 0.5')).toEqual([0, 2]);
  expect(results.get('all powers × 0.5')?.lasting).toMatchObject({ powerMarked: 2, powerSamples: 2 });
  expect(results.get('a gateway’s cache that stands still')?.lasting).toMatchObject({ powerMarked: 2 });
  // One meter alone cannot know these: meters against each other do.
  expect(results.get('all powers and currents × 2')?.lasting).toMatchObject({ noticed: 0, samples: 2 });
});

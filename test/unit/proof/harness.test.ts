import { expect, test } from 'vitest';
import { runSeed } from '../../../proof/harness.ts';

const SMALL = { hours: 0.05, machines: 20 };

test('the same seed gives the same run twice in a row, another seed another one', async () => {
  const first = await runSeed({ seed: 5, ...SMALL });
  const again = await runSeed({ seed: 5, ...SMALL });
  const other = await runSeed({ seed: 6, ...SMALL });
  expect(again).toEqual(first);
  expect(other.hash).not.toBe(first.hash);
  expect(first.commands).toBeGreaterThan(0);
}, 240_000);

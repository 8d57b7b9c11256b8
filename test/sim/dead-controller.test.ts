import { expect, test } from 'vitest';
import { failed } from '../../proof/dead-controller.ts';
import { onAllCores } from '../../proof/threads.ts';

const MACHINES = 60;
const at = (seed: number): { seed: number; machines: number } => ({ seed, machines: MACHINES });

test('a controller that is lost at the cap while more wakes leaves nothing above it for 10 s', async () => {
  const deaths = await onAllCores('death', [1, 3].map(at), () => undefined);
  expect(deaths.map(({ how }) => how).sort()).toEqual(['cut off', 'dies']);
  for (const death of deaths) {
    expect(death.atStake).toBe(true);
    expect(death.loadPct).toBeGreaterThanOrEqual(97);
    expect(death.wakingPct).toBeGreaterThanOrEqual(5);
    expect(failed(death)).toBe(false);
  }
}, 600_000);

test.for(['committed draw ignored', 'guard removed'])(
  'it does with "%s"',
  { timeout: 600_000 },
  async (mutant) => {
    const [death] = await onAllCores('death', [at(2)], () => undefined, mutant);
    expect(death?.atStake).toBe(true);
    expect(death && failed(death)).toBe(true);
  },
);

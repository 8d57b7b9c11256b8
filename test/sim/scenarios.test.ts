import { expect, test } from 'vitest';
import { playScenario } from '../../proof/scenario.ts';
import { SCENARIOS } from '../../simulator/scenarios.ts';

/** A third of the demo site: the same tree, the same proportions. */
const MACHINES = 90;

const names = SCENARIOS.filter((scenario) => scenario.repeats !== true).map((scenario) => scenario.name);

test.for(names)('scenario %s ends as it must, in virtual time', { timeout: 240_000 }, async (name) => {
  const { summary, run } = await playScenario(name, 7, MACHINES);
  expect(summary.failures).toEqual([]);
  expect(summary.ok).toBe(true);
  expect(run.violations.filter((violation) => violation.invariant !== 'converges')).toEqual([]);
});

test(
  'the same seed plays the same scenario to the letter, another one does not',
  { timeout: 240_000 },
  async () => {
    const [first, again, other] = [
      await playScenario('utility-limit', 3, MACHINES),
      await playScenario('utility-limit', 3, MACHINES),
      await playScenario('utility-limit', 4, MACHINES),
    ];
    expect(again.run.hash).toBe(first.run.hash);
    expect(other.run.hash).not.toBe(first.run.hash);
  },
);

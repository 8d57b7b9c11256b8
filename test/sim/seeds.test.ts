import { expect, test } from 'vitest';
import type { RunResult } from '../../proof/harness.ts';
import { INVARIANTS } from '../../proof/invariants.ts';
import { simulate } from '../../proof/seeds.ts';

const PLAN = { seeds: 4, first: 1, hours: 6, machines: 100 };

test('four seeds of six hours with 100 machines violate nothing, nothing was done twice or late, and every invariant was at stake', async () => {
  const results: RunResult[] = [];
  const summary = await simulate(PLAN, (result) => results.push(result));
  console.log(JSON.stringify(summary));
  const broken = results.flatMap(({ seed, violations }) =>
    violations.map(
      ({ invariant, atMs, text }) => `seed ${seed} at ${Math.round(atMs / 1_000)} s: ${invariant}: ${text}`,
    ),
  );
  expect(broken).toEqual([]);
  expect(results).toHaveLength(PLAN.seeds);
  expect(summary.wrong).toEqual({ twice: 0, late: 0, stale: 0 });
  for (const name of INVARIANTS) expect(summary.atStake[name], name).toBeGreaterThan(0);
  expect(summary.commands).toBeGreaterThan(0);
}, 1_800_000);

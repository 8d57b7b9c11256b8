import { expect, test } from 'vitest';
import type { RunResult } from '../../proof/harness.ts';
import { simulate } from '../../proof/seeds.ts';

const PLAN = { seeds: 2, first: 21, hours: 1, machines: 30 };
/** At stake in any hour. The others are so in mutants.test.ts, where sites are narrower and timelines are made for it. */
const AT_STAKE = ['expired-or-stale', 'ledger-first', 'unknown-asleep', 'converges'] as const;

test('two seeds of an hour violate nothing, nothing was done twice or late, and the invariants were at stake', async () => {
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
  for (const name of AT_STAKE) expect(summary.atStake[name], name).toBeGreaterThan(0);
  expect(summary.commands).toBeGreaterThan(0);
}, 1_800_000);

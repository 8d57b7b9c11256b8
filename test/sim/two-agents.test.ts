/** Two agents on one site: one is away, and the other one's part makes up for it. */
import { expect, test } from 'vitest';
import type { Happening, Planned } from '../../proof/faults.ts';
import { runSeed } from '../../proof/harness.ts';
import type { WorldChange } from '../../simulator/scenarios.ts';

const at = (s: number, happening: Happening): Planned => ({ atMs: s * 1_000, happening, fault: undefined });
const world = (s: number, change: WorldChange): Planned => at(s, { kind: 'world', change });

const LIMIT_KW = 45;
const LIMIT_S = 70;
const DEADLINE_S = 60;

test('a limit holds at the site’s meter while one of two agents is dead: the other one sheds more', async () => {
  const kw: (readonly number[])[] = [];
  const run = await runSeed({
    seed: 1,
    hours: 0.08,
    machines: 24,
    shape: { agents: 2 },
    unsettled: true,
    timeline: [
      world(0, { kind: 'price', usdPerMwh: 20 }),
      at(60, { kind: 'kill', process: 'a2', disk: 'process', downMs: 600_000 }),
      world(LIMIT_S, {
        kind: 'utility-limit',
        limitKw: LIMIT_KW,
        deadlineS: DEADLINE_S,
        event: 'contracted',
      }),
    ],
    onLine: (line) => {
      if (line.t === 'truth') kw[Math.round(line.atMs / 1_000)] = line.nodeKw;
    },
  });
  expect(run.violations).toEqual([]);
  expect(run.atStake.limit).toBeGreaterThan(100);
  const before = kw[LIMIT_S - 2] ?? [];
  const after = kw[LIMIT_S + DEADLINE_S + 30] ?? [];
  expect(before[0]).toBeGreaterThan(LIMIT_KW * 1.3);
  expect(after[0]).toBeLessThanOrEqual(LIMIT_KW);
  // The second feeder is the dead agent's: it goes on as it was.
  expect(after[2]).toBeGreaterThan((before[2] ?? 0) * 0.95);
});

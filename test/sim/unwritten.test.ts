import { expect, test } from 'vitest';
import type { Planned } from '../../proof/faults.ts';
import { runSeed } from '../../proof/harness.ts';
import type { WorldChange } from '../../simulator/scenarios.ts';

const world = (s: number, change: WorldChange): Planned => ({
  atMs: s * 1_000,
  happening: { kind: 'world', change },
  fault: undefined,
});

test('what was decided while the ledger could not be written is carried out when it can', async () => {
  const kw: number[] = [];
  const run = await runSeed({
    seed: 3,
    hours: 0.05,
    machines: 14,
    unsettled: true,
    timeline: [
      world(0, { kind: 'price', usdPerMwh: 20 }),
      {
        atMs: 60_000,
        happening: { kind: 'disk', process: 'controller', fault: 'failing', forMs: 30_000 },
        fault: undefined,
      },
      world(62, { kind: 'utility-limit', limitKw: 25, deadlineS: 60, event: 'contracted' }),
    ],
    onLine: (line) => {
      if (line.t === 'truth') kw[Math.round(line.atMs / 1_000)] = line.nodeKw[0] ?? 0;
    },
  });
  expect(run.violations).toEqual([]);
  // Written down or not at all: nothing moves while the disk fails, however near the deadline comes.
  expect(kw[89]).toBeGreaterThan((kw[59] ?? 0) * 0.95);
  expect(kw[59]).toBeGreaterThan(35);
  expect(kw[125]).toBeLessThan(25);
});

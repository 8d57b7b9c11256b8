import { expect, test } from 'vitest';
import type { Planned } from '../../../proof/faults.ts';
import { runSeed } from '../../../proof/harness.ts';
import { harnessSite } from '../../../proof/site.ts';
import type { WorldChange } from '../../../simulator/scenarios.ts';

const SMALL = { hours: 0.05, machines: 20 };

test('the same seed gives the same run twice in a row, another seed another one', async () => {
  const first = await runSeed({ seed: 5, ...SMALL });
  const again = await runSeed({ seed: 5, ...SMALL });
  const other = await runSeed({ seed: 6, ...SMALL });
  expect(again).toEqual(first);
  expect(other.hash).not.toBe(first.hash);
  expect(first.commands).toBeGreaterThan(0);
}, 240_000);

test('hosts that lost both feeds are unreachable until one of them is back, whatever opened them', async () => {
  const site = harnessSite(SMALL.machines, { feeds: 2 });
  const happens = (atMs: number, change: WorldChange): Planned => ({
    atMs,
    happening: { kind: 'world', change },
    fault: undefined,
  });
  const run = (timeline: readonly Planned[]) =>
    runSeed({ seed: 1, machines: SMALL.machines, hours: 0.07, site, unsettled: true, timeline });
  const first = happens(30_000, { kind: 'electric-feed', node: 'gpu-row', up: false });
  const both = [first, happens(31_000, { kind: 'electric-feed', node: 'gpu-row-b', up: false })];
  const calm = await run([]);
  const dark = await run(both);
  const trip = happens(31_000, { kind: 'plant', part: 'q1', failed: true });
  const lit = await run([first, trip, happens(60_000, { kind: 'electric-feed', node: 'gpu-row', up: true })]);
  expect([dark.violations, lit.violations]).toEqual([[], []]);
  expect(dark.atStake['unknown-asleep']).toBeGreaterThan(calm.atStake['unknown-asleep']);
}, 60_000);

/** GPU racks with two cords, on two feeders of which one also carries miners: a breaker opens while AI runs. */
import { expect, test } from 'vitest';
import type { PublicEvent } from '../../protocols/events.ts';
import type { Planned } from '../../proof/faults.ts';
import { runSeed } from '../../proof/harness.ts';
import { harnessSite } from '../../proof/site.ts';
import type { WorldChange } from '../../simulator/scenarios.ts';

const MACHINES = 40;
const CUT_MS = 480_000;
const BACK_MS = 660_000;

test('the feed that is left carries all of it, below every cap from the first second on', async () => {
  const site = harnessSite(MACHINES, { feeds: 2 });
  const place = (id: string): number => site.nodes.findIndex((node) => node.id === id);
  const hosts = site.machines.filter(({ model }) => model.kind === 'gpu-host').length;
  const world = (atMs: number, change: WorldChange): Planned => ({
    atMs,
    fault: undefined,
    happening: { kind: 'world', change },
  });
  const truth: { readonly atMs: number; readonly nodeKw: readonly number[] }[] = [];
  const events: { readonly atMs: number; readonly event: PublicEvent }[] = [];
  const run = await runSeed({
    seed: 1,
    machines: MACHINES,
    site,
    hours: 0.25,
    unsettled: true,
    timeline: [
      world(30_000, { kind: 'ai-job', id: 'job', contract: 'train', hosts, durationS: 3_600 }),
      world(CUT_MS, { kind: 'electric-feed', node: 'gpu-row', up: false }),
      world(BACK_MS, { kind: 'electric-feed', node: 'gpu-row', up: true }),
    ],
    onLine: (line) => line.t === 'truth' && truth.push(line),
    onEvent: (atMs, event) => events.push({ atMs, event }),
  });
  expect(run.violations).toEqual([]);
  const kwAt = (id: string, atMs: number): number =>
    truth.findLast((line) => line.atMs <= atMs)?.nodeKw[place(id)] ?? 0;
  const bothKw = kwAt('gpu-row', CUT_MS - 2_000) + kwAt('gpu-row-b', CUT_MS - 2_000);
  expect(bothKw).toBeGreaterThan(hosts * 7);
  expect(kwAt('gpu-row', CUT_MS - 2_000)).toBeCloseTo(bothKw / 2, 0);
  expect(kwAt('gpu-row', CUT_MS + 5_000)).toBe(0);
  expect(kwAt('gpu-row-b', CUT_MS + 5_000)).toBeGreaterThan(bothKw * 0.95);
  const feeder = site.nodes[place('feeder-1')];
  const minersKw = site.machines.reduce((sum, { model, nodeIndex }) => {
    const below = feeder !== undefined && site.nodes[nodeIndex]?.path.includes(feeder.index) === true;
    return sum + (below && model.kind === 'asic' ? (model.rungs.at(-1)?.powerW ?? 0) / 1_000 : 0);
  }, 0);
  // Counted by what flows, all its miners would fit: and would not when the other feed is lost.
  expect(minersKw + bothKw / 2).toBeLessThan(feeder?.capKw ?? 0);
  expect(minersKw + bothKw).toBeGreaterThan((feeder?.capKw ?? 0) * 1.05);
  const miningKw = kwAt('feeder-1', CUT_MS - 2_000) - kwAt('gpu-row-b', CUT_MS - 2_000);
  expect(miningKw).toBeGreaterThan(5);
  for (const line of truth.filter(({ atMs }) => atMs > 300_000))
    for (const node of site.nodes)
      expect(line.nodeKw[node.index] ?? 0, `${node.id} at ${line.atMs} ms`).toBeLessThan(node.capKw * 1.005);
  // Nobody is shed for it, and AI least of all.
  expect(kwAt('gpu-row-b', BACK_MS - 2_000)).toBeGreaterThan(bothKw * 0.95);
  const alarms = events.flatMap(({ event }) =>
    event.event === 'alarm' && event.code === 'FEED_LOST' ? [`${event.subject} ${event.state}`] : [],
  );
  expect(alarms).toEqual(['gpu-row raised', 'gpu-row cleared']);
}, 120_000);

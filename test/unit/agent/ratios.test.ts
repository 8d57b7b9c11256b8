import { expect, test } from 'vitest';
import { makeAlarms } from '../../../agent/alarms.ts';
import { distrust } from '../../../agent/core/guard.ts';
import { makeKeeper } from '../../../agent/kept.ts';
import { buildPlant } from '../../../agent/plant.ts';
import { keepRatios } from '../../../agent/ratios.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { meteringSite } from '../../../proof/metering.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { isLearnt, learn } from '../../../protocols/metering/calibration.ts';
import { START_MS } from './bench.ts';

const site = meteringSite(1);
const MINUTE_MS = 60_000;

/** An agent's guards over one life of it. */
function live(disk: MemoryDisk, clock: VirtualClock, of = site) {
  const plant = buildPlant(
    of,
    'a1',
    () => {
      throw new Error('nobody reads it');
    },
    clock.monoMs(),
  );
  const keeper = makeKeeper({ disk, clock, alarms: makeAlarms(() => undefined), agent: 'a1', dataDir: '/d' });
  const ratios = keepRatios({ plant, clock, keeper });
  const root = plant.nodes[0]?.guard;
  if (root === undefined) throw new Error('the root has a meter');
  const run = async (
    minutes: number,
    ratio?: number,
    source: 'byMachines' | 'byMeters' = 'byMachines',
  ): Promise<void> => {
    for (let atS = 0; atS < minutes * 60; atS++) {
      if (ratio !== undefined) learn(root[source], ratio * 100_000, 100_000, clock.monoMs());
      ratios.tick();
      await clock.advance(1_000);
    }
  };
  return { root, run, stop: () => ratios.stop() };
}

test('what a guard has learnt of its meter outlives the agent, with its age', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS });
  const disk = new MemoryDisk({ clock });
  const first = live(disk, clock);
  await first.run(12, 1.03);
  first.stop();
  await clock.advance(5 * MINUTE_MS);
  const second = live(disk, clock);
  await second.run(0.1);
  expect(isLearnt(second.root.byMachines)).toBe(true);
  expect(second.root.byMachines.ratio).toBeCloseTo(1.03, 6);
  const ageMin = (clock.monoMs() - second.root.byMachines.learntMs) / MINUTE_MS;
  expect(ageMin).toBeGreaterThanOrEqual(5);
  expect(ageMin).toBeLessThan(18);
  // Of what was never compared nothing is kept.
  expect(isLearnt(second.root.byMeters)).toBe(false);
});

test('what was taken back, since its meter is wrong, is not found again', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS });
  const disk = new MemoryDisk({ clock });
  const first = live(disk, clock);
  await first.run(12, 0.8);
  distrust(first.root);
  await first.run(0.1);
  first.stop();
  const second = live(disk, clock);
  await second.run(0.1);
  expect(second.root.byMachines.ratio).toBe(1);
});

test('nor is it where that was all there was, of the meters below alone', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS });
  const disk = new MemoryDisk({ clock });
  const first = live(disk, clock);
  await first.run(12, 0.8, 'byMeters');
  distrust(first.root);
  await first.run(0.1);
  first.stop();
  const second = live(disk, clock);
  await second.run(0.1);
  expect(isLearnt(second.root.byMeters)).toBe(false);
});

test('of a meter that was exchanged meanwhile it says nothing', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS });
  const disk = new MemoryDisk({ clock });
  const first = live(disk, clock);
  await first.run(12, 0.8);
  first.stop();
  const meters = site.meters.map((meter) => ({ ...meter, target: `${meter.target}&other` }));
  const second = live(disk, clock, { ...site, meters });
  await second.run(0.1);
  expect(isLearnt(second.root.byMachines)).toBe(false);
});

test('after a month it says nothing of the plant of today', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS });
  const disk = new MemoryDisk({ clock });
  const first = live(disk, clock);
  await first.run(12, 1.03);
  first.stop();
  await clock.advance(31 * 1_440 * MINUTE_MS);
  const second = live(disk, clock);
  await second.run(0.1);
  expect(isLearnt(second.root.byMachines)).toBe(false);
});

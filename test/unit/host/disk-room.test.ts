import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeDisk } from '../../../host/disk.ts';
import { diskRoom, usedShare, watchDisk } from '../../../host/disk-room.ts';
import type { DiskRoom } from '../../../host/disk-room.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';

test('stages begin at 90, 95 and 99 % and end a hundredth below', () => {
  const walk = (shares: readonly number[]): DiskRoom[] => {
    let room: DiskRoom = 'ample';
    return shares.map((share) => (room = diskRoom(room, share)));
  };
  expect(walk([0.5, 0.9, 0.895, 0.889])).toEqual(['ample', 'low', 'low', 'ample']);
  expect(walk([0.96, 0.945, 0.939, 1])).toEqual(['short', 'short', 'low', 'full']);
  expect(walk([1, 0.985, 0.979, 0.3])).toEqual(['full', 'full', 'short', 'ample']);
});

test('a disk is looked at every 10 s; only changes are told, and none of a disk that does not tell', async () => {
  const clock = new VirtualClock({ startWallMs: 0 });
  const disk = new MemoryDisk({ clock });
  disk.put('/data/a', new Uint8Array(950));
  const told: [DiskRoom, number][] = [];
  const watch = watchDisk({
    disk,
    clock,
    path: '/data/x',
    onRoom: (room, used) => told.push([room, used]),
  });
  await clock.advance(60_000);
  expect(told).toEqual([]);
  disk.capacityBytes = 1_000;
  await clock.advance(30_000);
  expect(told).toEqual([['short', 0.95]]);
  expect(watch.room).toBe('short');
  disk.capacityBytes = Infinity;
  await clock.advance(10_000);
  expect(told.at(-1)?.[0]).toBe('ample');
  watch.stop();
  disk.capacityBytes = 950;
  await clock.advance(60_000);
  expect(told).toHaveLength(2);
});

test('the real disk tells what its file system has', async () => {
  const space = await makeDisk().space(join(tmpdir(), 'no-such-file'));
  const { blocks, bsize } = statfsSync(tmpdir());
  expect(space?.totalBytes).toBeGreaterThan(0);
  expect(space?.totalBytes).toBeLessThanOrEqual(blocks * bsize);
  expect(usedShare(space ?? { totalBytes: 0, freeBytes: 0 })).toBeGreaterThanOrEqual(0);
});

import { expect, test } from 'vitest';
import { nextBoot } from '../../../agent/boot.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';

test('no two starts have one number, whatever the clock says', async () => {
  const disk = new MemoryDisk({ clock: new VirtualClock({ startWallMs: 0 }) });
  const walls = [5_000_000, 5_000_400, 4_000_000, 0, 6_000_999];
  const boots: number[] = [];
  for (const wallMs of walls) boots.push(await nextBoot(disk, '/data/boot', wallMs));
  expect(boots).toEqual([5_000, 5_001, 5_002, 5_003, 6_000]);
});

test('a damaged file says nothing, a disk that refuses is an error', async () => {
  const disk = new MemoryDisk({ clock: new VirtualClock({ startWallMs: 0 }) });
  for (const text of ['', '{', '{"boot":-1}', '{"boot":"7"}', '{"boot":1e300}', 'null']) {
    disk.put('/data/boot', new TextEncoder().encode(text));
    expect(await nextBoot(disk, '/data/boot', 9_000)).toBe(9);
  }
  disk.fail('replace');
  await expect(nextBoot(disk, '/data/boot', 9_000)).rejects.toMatchObject({ code: 'DISK_FAILED' });
});

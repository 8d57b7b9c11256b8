import { expect, test } from 'vitest';
import type { Disk } from '../../../host/deps.ts';
import { killLedger } from '../../../proof/ledger-kills.ts';
import { harnessSite } from '../../../proof/site.ts';

test('nothing that was acknowledged is lost or forgotten in 200 kills at random places of the disk', async () => {
  const summary = await killLedger(harnessSite(14), 200, 1);
  expect(summary).toMatchObject({ kills: 200, lost: 0, forgotten: 0 });
  expect(summary.acknowledged).toBeGreaterThan(500);
  expect(summary.midWrite).toBeGreaterThan(50);
});

test('a disk that says it has synced and has not is noticed', async () => {
  const lying = (disk: Disk): Disk => ({
    read: (path) => disk.read(path),
    list: (prefix) => disk.list(prefix),
    remove: (path) => disk.remove(path),
    space: (path) => disk.space(path),
    replace: (path, bytes) => disk.replace(path, bytes),
    append: async (path) => {
      const file = await disk.append(path);
      return {
        get sizeBytes() {
          return file.sizeBytes;
        },
        append: (bytes) => file.append(bytes),
        sync: () => Promise.resolve(),
        truncate: (size) => file.truncate(size),
        get reservedBytes() {
          return file.reservedBytes;
        },
        reserve: (bytes) => file.reserve(bytes),
        rewind: (size) => file.rewind(size),
        close: () => file.close(),
      };
    },
  });
  const summary = await killLedger(harnessSite(14), 100, 1, lying);
  expect(summary.lost).toBeGreaterThan(0);
});

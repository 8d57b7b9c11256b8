import { expect, test } from 'vitest';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { seededRandom } from '../../../host/random.ts';
import { VirtualClock } from './virtual-clock.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('a power cut loses what was not synced, a process kill does not', async () => {
  let lost = 0;
  for (let seed = 0; seed < 50; seed += 1) {
    for (const kind of ['power', 'process'] as const) {
      const disk = new MemoryDisk({ clock: new VirtualClock() });
      const file = await disk.append('f');
      await file.append(bytes('safe'));
      await file.sync();
      await file.append(bytes('soft'));
      disk.crash(kind, seededRandom(seed));
      const text = new TextDecoder().decode(await disk.read('f'));
      expect(text.startsWith('safe')).toBe(true);
      if (kind === 'process') expect(text).toBe('safesoft');
      else if (text !== 'safesoft') lost += 1;
    }
  }
  expect(lost).toBeGreaterThan(10);
});

test('a replacement is the old or the new file, whole, and the dead never hear of it', async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 20; seed += 1) {
    const clock = new VirtualClock();
    const disk = new MemoryDisk({ clock, syncMs: () => 5 });
    disk.put('f', bytes('old'));
    let settled = false;
    const end = (): void => void (settled = true);
    disk.replace('f', bytes('new')).then(end, end);
    await clock.pass(2);
    disk.crash('power', seededRandom(seed));
    await clock.pass(100);
    expect(settled).toBe(false);
    seen.add(new TextDecoder().decode(await disk.read('f')));
  }
  expect([...seen].sort()).toEqual(['new', 'old']);
});

test('it is full, fails and rots when told to', async () => {
  const disk = new MemoryDisk({ clock: new VirtualClock(), capacityBytes: 4 });
  await expect(disk.replace('f', bytes('12345'))).rejects.toMatchObject({ code: 'DISK_FULL' });
  await disk.replace('f', bytes('1234'));
  disk.fail('read', 'DISK_FAILED', 2);
  await expect(disk.read('f')).rejects.toMatchObject({ code: 'DISK_FAILED' });
  await expect(disk.read('f')).rejects.toMatchObject({ code: 'DISK_FAILED' });
  disk.flip('f', 0);
  expect(await disk.read('f')).toEqual(bytes('0234'));
  expect(await disk.read('g')).toBeUndefined();
  expect(disk.paths).toEqual(['f']);
});

test('a removal that a crash broke off may have happened or not, one that was made stays', async () => {
  const seen = new Set<boolean>();
  for (let seed = 0; seed < 20; seed += 1) {
    const clock = new VirtualClock();
    const disk = new MemoryDisk({ clock, syncMs: () => 5 });
    for (const name of ['f-1', 'f-2', 'g']) disk.put(name, bytes(name));
    const made = disk.remove('f-1');
    await clock.pass(10);
    await made;
    void disk.remove('f-2');
    await clock.pass(2);
    disk.crash('process', seededRandom(seed));
    const left = await disk.list('f-');
    expect(left).not.toContain('f-1');
    seen.add(left.includes('f-2'));
  }
  expect(seen.size).toBe(2);
});

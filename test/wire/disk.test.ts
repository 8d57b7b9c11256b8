import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, expect, test } from 'vitest';
import { makeDisk } from '../../host/disk.ts';
import { openDiskLog } from '../../host/disklog.ts';
import { seededRandom } from '../../host/random.ts';

const folder = mkdtempSync(join(tmpdir(), 'disk-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('files are replaced whole, in order, and read back', async () => {
  const disk = makeDisk();
  const path = join(folder, 'state.json');
  expect(await disk.read(path)).toBeUndefined();
  await Promise.all(['one', 'two', 'three'].map((text) => disk.replace(path, bytes(text))));
  expect(await disk.read(path)).toEqual(bytes('three'));
  expect(readdirSync(folder)).toEqual(['state.json']);
  await expect(disk.replace(join(folder, 'none', 'x'), bytes('x'))).rejects.toMatchObject({
    code: 'DISK_FAILED',
  });
  await expect(disk.read(folder)).rejects.toMatchObject({ code: 'DISK_FAILED' });
});

test('files are listed by the beginning of their names and removed, and one that is gone is no error', async () => {
  const disk = makeDisk();
  for (const name of ['run-2', 'run-1', 'other']) await disk.replace(join(folder, name), bytes(name));
  const prefix = join(folder, 'run-');
  expect(await disk.list(prefix)).toEqual([`${prefix}1`, `${prefix}2`]);
  await disk.remove(`${prefix}1`);
  await disk.remove(`${prefix}1`);
  expect(await disk.list(prefix)).toEqual([`${prefix}2`]);
  expect(await disk.read(`${prefix}1`)).toBeUndefined();
  await expect(disk.list(join(folder, 'none', 'run-'))).rejects.toMatchObject({ code: 'DISK_FAILED' });
});

test('appends, syncs and truncations keep their order', async () => {
  const path = join(folder, 'append');
  const file = await makeDisk().append(path);
  const steps = [
    file.append(bytes('abc')),
    file.sync(),
    file.sync(),
    file.truncate(1),
    file.append(bytes('z')),
    file.sync(),
  ];
  await Promise.all(steps);
  expect(file.sizeBytes).toBe(2);
  await file.close();
  await expect(file.append(bytes('x'))).rejects.toMatchObject({ code: 'DISK_FAILED' });
  expect(await makeDisk().read(path)).toEqual(bytes('az'));
});

test('room that a file holds is really written, used by what is appended, and kept when the end goes back', async () => {
  const path = join(folder, 'held');
  const file = await makeDisk().append(path);
  await file.append(bytes('abc'));
  await file.reserve(100_000);
  await file.sync();
  expect(statSync(path).size).toBe(100_003);
  expect(statSync(path).blocks * 512).toBeGreaterThan(100_000);
  await file.append(bytes('defg'));
  expect([file.sizeBytes, file.reservedBytes, statSync(path).size]).toEqual([7, 99_996, 100_003]);
  await file.close();
  const again = await makeDisk().append(path);
  await again.rewind(2);
  await again.append(bytes('z'));
  expect([again.sizeBytes, again.reservedBytes]).toEqual([3, 100_000]);
  await again.close();
  const found = await makeDisk().read(path);
  expect(new TextDecoder().decode(found?.subarray(0, 3))).toBe('abz');
  expect(found?.subarray(3).every((byte) => byte === 0)).toBe(true);
});

const WRITER = `
import { makeDisk } from ${JSON.stringify(new URL('../../host/disk.ts', import.meta.url).href)};
import { openDiskLog } from ${JSON.stringify(new URL('../../host/disklog.ts', import.meta.url).href)};
const { log } = await openDiskLog(makeDisk(), process.argv[1]);
for (let round = 0; ; round += 1) {
  await Promise.all(Array.from({ length: 5 }, () => log.append(new Uint8Array(200).fill(round % 250 + 1))
    .then(({ seq }) => process.stdout.write(seq + '\\n'))));
}`;

test('what a killed process had acknowledged is in the log', async () => {
  const path = join(folder, 'journal');
  const random = seededRandom(5);
  let before = 0;
  for (let round = 0; round < 6; round += 1) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const killAfter = before + 1 + Math.floor(random.next() * 400);
    let acknowledged = before;
    createInterface(child.stdout).on('line', (line) => {
      acknowledged = Math.max(acknowledged, Number(line));
      if (acknowledged >= killAfter) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const { log, records } = await openDiskLog(makeDisk(), path);
    await log.close();
    expect(acknowledged).toBeGreaterThanOrEqual(killAfter);
    expect(records.length).toBeGreaterThanOrEqual(acknowledged);
    before = records.length;
  }
});

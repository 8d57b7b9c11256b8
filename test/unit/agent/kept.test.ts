import { expect, test } from 'vitest';
import * as z from 'zod';
import { makeKeeper } from '../../../agent/kept.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';

const PATH = '/data/agent-a1.epoch.json';
const COPY = `${PATH}.copy`;
const schema = z.strictObject({ epoch: z.number() });

/** A keeper over a disk: what it finds, and what it tells operators. */
class Bench {
  readonly clock = new VirtualClock({ startWallMs: 0 });
  readonly told: string[] = [];
  readonly found: (number | 'nothing')[] = [];
  readonly disk: MemoryDisk;
  readonly file;

  constructor(disk?: MemoryDisk) {
    this.disk = disk ?? new MemoryDisk({ clock: this.clock });
    const say = (code: string): void => void this.told.push(code);
    const keeper = makeKeeper({
      disk: this.disk,
      clock: this.clock,
      agent: 'a1',
      dataDir: '/data',
      alarms: { raise: say, tell: say, clear: () => undefined },
    });
    this.file = keeper.open('epoch', schema, (value) => this.found.push(value?.epoch ?? 'nothing'));
  }
}

/** What both files hold after an epoch was kept. */
async function keptBytes(epoch: number): Promise<Uint8Array> {
  const bench = new Bench();
  await bench.clock.advance(10);
  await bench.file.keep({ epoch });
  const bytes = (await bench.disk.read(PATH)) ?? new Uint8Array();
  expect(await bench.disk.read(COPY)).toEqual(bytes);
  return bytes;
}

async function startedWith(files: Readonly<Record<string, Uint8Array>>): Promise<Bench> {
  const clock = new VirtualClock({ startWallMs: 0 });
  const disk = new MemoryDisk({ clock });
  for (const [path, bytes] of Object.entries(files)) disk.put(path, bytes);
  const bench = new Bench(disk);
  await bench.clock.advance(10);
  await clock.advance(10);
  return bench;
}

test('whichever bit of whichever copy flips, it is said, the other one serves and both are whole again', async () => {
  const whole = await keptBytes(7);
  for (const damaged of [PATH, COPY])
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const bytes = whole.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const { found, told, disk } = await startedWith({ [PATH]: whole, [COPY]: whole, [damaged]: bytes });
      expect({ bit, found, told }).toEqual({ bit, found: [7], told: ['KEPT_DAMAGED'] });
      expect(await disk.read(damaged)).toEqual(whole);
    }
});

test('with both damaged nothing is found, also when one is whole but for being absent', async () => {
  const whole = await keptBytes(7);
  const bad = whole.map((byte, at) => (at === 12 ? byte ^ 1 : byte));
  for (const files of [{ [PATH]: bad, [COPY]: bad }, { [PATH]: bad }, { [COPY]: bad }]) {
    const { found, told } = await startedWith(files);
    expect({ found, told }).toEqual({ found: [], told: ['KEPT_DAMAGED'] });
  }
});

test('a copy that is missing is made, and nothing is said', async () => {
  const whole = await keptBytes(7);
  const { found, told, disk } = await startedWith({ [PATH]: whole });
  expect({ found, told }).toEqual({ found: [7], told: [] });
  expect(await disk.read(COPY)).toEqual(whole);
});

test('after a crash between the two copies one value serves, and both hold it again', async () => {
  const [old, unsaid] = [await keptBytes(7), await keptBytes(8)];
  const { found, told, disk } = await startedWith({ [PATH]: old, [COPY]: unsaid });
  expect({ found, told }).toEqual({ found: [7], told: [] });
  expect(await disk.read(COPY)).toEqual(old);
});

test('a value that could not be read again is not kept: it is said, the one before stands, and the next good one is kept', async () => {
  const bench = new Bench();
  await bench.clock.advance(10);
  await bench.file.keep({ epoch: 7 });
  const refused = expect(bench.file.keep({ epoch: Number.NaN })).rejects.toMatchObject({ code: 'INTERNAL' });
  await bench.clock.advance(10);
  await refused;
  expect(bench.told).toEqual(['INTERNAL']);
  expect(await bench.disk.read(PATH)).toEqual(await keptBytes(7));
  await bench.file.keep({ epoch: 8 });
  expect(await bench.disk.read(COPY)).toEqual(await keptBytes(8));
});

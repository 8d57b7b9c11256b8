import { expect, test } from 'vitest';
import { makeHoles } from '../../../agent/holes.ts';
import { makeKeeper } from '../../../agent/kept.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';

const found = { device: 'toy 0 1 ', barriers: [40], absent: ['voltage.L1L2'] };

test('what meters refuse is on the disk, and what was learnt before it was read is not lost', async () => {
  const clock = new VirtualClock({ startWallMs: 0 });
  const disk = new MemoryDisk({ clock });
  const start = async (sooner?: string) => {
    const holes = makeHoles();
    if (sooner !== undefined) holes.keep(sooner, found);
    const alarms = { raise: () => {}, tell: () => {}, clear: () => {} };
    holes.start(makeKeeper({ disk, clock, alarms, agent: 'a1', dataDir: '/data' }));
    await clock.advance(100);
    return holes;
  };
  const first = await start();
  expect(first.of('modbus://m/1')).toBeUndefined();
  first.keep('modbus://m/1', found);
  await clock.advance(100);
  first.stop();
  const second = await start('modbus://n/1');
  expect(second.of('modbus://m/1')).toEqual(found);
  second.stop();
  expect((await start()).of('modbus://n/1')).toEqual(found);
});

test('of a meter that lacks more than a file may hold as much is kept as may, and the file stays whole', async () => {
  const clock = new VirtualClock({ startWallMs: 0 });
  const disk = new MemoryDisk({ clock });
  const said: string[] = [];
  const start = async () => {
    const holes = makeHoles();
    const say = (code: string): void => void said.push(code);
    const alarms = { raise: say, tell: say, clear: () => {} };
    holes.start(makeKeeper({ disk, clock, alarms, agent: 'a1', dataDir: '/data' }));
    await clock.advance(100);
    return holes;
  };
  const first = await start();
  const many = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
  first.keep('modbus://m/1', {
    device: 'toy',
    barriers: many(1_500),
    absent: many(5_000).map((at) => `channel.${at}.power.active.total`),
  });
  await clock.advance(100);
  first.stop();
  expect((await start()).of('modbus://m/1')?.barriers.length).toBe(1_000);
  expect(said).toEqual([]);
});

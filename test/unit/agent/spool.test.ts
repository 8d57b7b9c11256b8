import { expect, test } from 'vitest';
import { seededRandom } from '../../../host/random.ts';
import { SpoolBench, START_MS } from './spool-bench.ts';

test('what is new goes out at once; what is stored at once never touches the disk', async () => {
  const bench = new SpoolBench();
  for (let round = 0; round < 20; round += 1) {
    bench.frame();
    bench.frame('meters');
    expect(bench.take()).toEqual([`live ${round}`, `live m${round}`]);
    bench.ack();
    await bench.second();
  }
  expect(bench.disk.paths).toEqual([]);
  expect(bench.spool.status()).toMatchObject({
    spooled: 0,
    dropped: 0,
    keptFrom: { machines: 20, meters: 20 },
  });
});

test('after an outage new frames come first, then results, meters and machines of the outage, each in order', async () => {
  const bench = new SpoolBench({ chunkBytes: 400 });
  bench.frame();
  bench.take();
  bench.ack();
  bench.wire.connected = false;
  for (let round = 0; round < 8; round += 1) {
    bench.frame();
    bench.frame('meters');
    bench.message();
    await bench.second();
  }
  bench.wire.connected = true;
  bench.spool.rewind();
  bench.frame();
  await bench.second(4);
  const came = bench.take();
  expect(came[0]).toBe('live 9');
  const late = came.slice(1).filter((name) => name.startsWith('late'));
  const count = (name: string): string[] => Array.from({ length: 8 }, (_, seq) => `late ${name}${seq}`);
  // At most eight pieces wait for their acknowledgement.
  expect(late.slice(0, 16)).toEqual([...count('result '), ...count('m')]);
  bench.ack();
  await bench.second(2);
  bench.ack();
  const rest = [...late.slice(16), ...bench.take()].filter((name) => name.startsWith('late'));
  expect(rest).toEqual(Array.from({ length: 8 }, (_, index) => `late ${index + 1}`));
  bench.ack();
  await bench.second(3);
  expect(bench.spool.status().spooled).toBe(0);
  expect(bench.disk.paths).toEqual([]);
  expect([bench.twice, bench.received.missing]).toEqual([0, 0]);
});

test('the backlog is bounded in what it takes of the wire', async () => {
  const bench = new SpoolBench({ chunkBytes: 500, backlogBytesPerS: 1_000 });
  bench.wire.connected = false;
  for (let round = 0; round < 200; round += 1) {
    bench.frame();
    await bench.second();
  }
  bench.wire.connected = true;
  bench.spool.rewind();
  const perSecond: number[] = [];
  while (bench.spool.status().spooled > 0 && perSecond.length < 300) {
    await bench.second();
    perSecond.push(bench.wire.sent.reduce((sum, { payload }) => sum + payload.length, 0));
    bench.take();
    bench.ack();
  }
  expect(Math.max(...perSecond)).toBeLessThan(4_096);
  expect(perSecond.length).toBeGreaterThan(10);
  expect(bench.frames.size).toBe(200);
});

test('an acknowledgement of what never went out is not believed, and only the controller’s word empties the spool', async () => {
  const bench = new SpoolBench();
  bench.wire.connected = false;
  bench.frame();
  bench.spool.ack([{ boot: 1, messages: 99, meters: 99, machines: 99 }]);
  expect(bench.spool.status().spooled).toBe(1);
  bench.wire.connected = true;
  bench.spool.rewind();
  await bench.second(5);
  // The broker has it, the controller has not said so.
  expect(bench.take()).toEqual(['late 0']);
  expect(bench.spool.status().spooled).toBe(1);
  bench.ack();
  expect(bench.spool.status().spooled).toBe(0);
});

test('an agent that is killed loses nothing durable: frames of earlier starts come under their own numbers', async () => {
  for (const kind of ['process', 'power'] as const) {
    const bench = new SpoolBench();
    bench.wire.connected = false;
    for (let life = 0; life < 3; life += 1) {
      for (let round = 0; round < 5; round += 1) {
        bench.frame();
        bench.message();
        await bench.second();
      }
      // Written within the second; nothing of it is under way any more.
      bench.disk.crash(kind, seededRandom(life));
      bench.start();
    }
    await bench.second();
    bench.wire.connected = true;
    bench.spool.rewind();
    await bench.second(3);
    bench.ack();
    const five = [0, 1, 2, 3, 4];
    expect(bench.take()).toEqual(
      ['result ', ''].flatMap((name) =>
        [1, 2, 3].flatMap((boot) => five.map((seq) => `late ${name}${seq} of ${boot}`)),
      ),
    );
    bench.ack();
    await bench.second();
    expect(bench.disk.paths).toEqual([]);
  }
});

test('a start that takes over files of a start before it does not write into them', async () => {
  const bench = new SpoolBench();
  bench.wire.connected = false;
  bench.frame();
  await bench.second(2);
  const [before] = bench.disk.paths;
  bench.start();
  bench.frame();
  await bench.second(2);
  expect(bench.disk.paths).toEqual([before, '/data/agent-a.spool-000000000001-2-machines']);
});

test('a byte changed anywhere in a file costs what it touches, is named, and nothing wrong is ever sent', async () => {
  const size = await (async () => {
    const bench = await fileOf(6);
    return (await bench.disk.read(bench.disk.paths[0] ?? ''))?.length ?? 0;
  })();
  expect(size).toBeGreaterThan(200);
  for (let offset = 0; offset < size; offset += 1) {
    const bench = await fileOf(6);
    bench.disk.flip(bench.disk.paths[0] ?? '', offset, 1 << (offset % 8));
    bench.start();
    bench.wire.connected = true;
    await bench.second(2);
    const came = bench.take();
    const seqs = came.map((name) => Number(name.split(' ')[1]));
    expect(seqs, `byte ${offset}`).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    for (const frame of bench.frames.values())
      expect(frame.cells[0]?.['power'], `byte ${offset}`).toMatchObject({
        ok: true,
        value: 3_000 + frame.seq,
      });
    const whole = came.length === 6;
    // Behind the last record stands the seal alone: what is lost of it is lost of nothing.
    expect(
      whole || bench.said.some((text) => text.includes('000000000000-1-machines')),
      `byte ${offset}`,
    ).toBe(true);
    expect(whole || bench.spool.status().damaged > 0, `byte ${offset}`).toBe(true);
    expect(
      came.every((name) => name.startsWith('late')),
      `byte ${offset}`,
    ).toBe(true);
  }
});

test('a file cut anywhere gives what is whole in front of the cut', async () => {
  const bench = await fileOf(6);
  const path = bench.disk.paths[0] ?? '';
  const bytes = (await bench.disk.read(path)) ?? new Uint8Array();
  let most = 0;
  for (let cut = 1; cut < bytes.length; cut += 1) {
    const torn = new SpoolBench({}, new Map([[path, bytes.subarray(0, cut)]]));
    await torn.second(2);
    const came = torn.take();
    expect(came).toEqual(Array.from({ length: came.length }, (_, seq) => `late ${seq} of 1`));
    expect(came.length).toBeGreaterThanOrEqual(most);
    most = came.length;
  }
  expect(most).toBe(6);
});

test('a full disk falls back to memory with an alarm, and what waited is written when there is room', async () => {
  const bench = new SpoolBench();
  bench.wire.connected = false;
  bench.frame();
  await bench.second();
  bench.disk.capacityBytes = 0;
  for (let round = 0; round < 10; round += 1) {
    bench.frame();
    await bench.second();
  }
  expect(bench.said).toContain('DISK_FULL');
  expect(bench.spool.status()).toMatchObject({ spooled: 11, dropped: 0 });
  bench.disk.capacityBytes = Infinity;
  await bench.second(2);
  bench.disk.crash('power', seededRandom(1));
  bench.start();
  bench.wire.connected = true;
  await bench.second(3);
  expect(bench.take()).toEqual(Array.from({ length: 11 }, (_, seq) => `late ${seq} of 1`));
});

test('a disk that never works leaves everything in memory, within its bound, and the spool goes on', async () => {
  const bench = new SpoolBench({
    chunkBytes: 1_000,
    limits: { diskBytes: 1e9, memoryBytes: 8_000, ageMs: 1e12 },
  });
  bench.take();
  bench.disk.fail('append', 'DISK_FAILED', 1e9);
  bench.wire.connected = false;
  for (let round = 0; round < 600; round += 1) {
    bench.frame();
    if (round % 10 === 0) bench.frame('meters');
    if (round % 60 === 0) bench.message();
    await bench.second();
  }
  const { thinned, dropped, spooled } = bench.spool.status();
  expect(thinned + dropped + spooled).toBe(670);
  bench.wire.connected = true;
  bench.spool.rewind();
  for (let round = 0; round < 20; round += 1) {
    bench.take();
    bench.ack();
    await bench.second();
  }
  expect(bench.spool.status()).toMatchObject({ spooled: 0, thinned, dropped });
  expect(bench.received.missing).toBe(thinned + dropped);
});

test('short of room machines are thinned, then meters, before anything is let go, and it is said how much', async () => {
  const bench = new SpoolBench({
    chunkBytes: 16_000,
    limits: { diskBytes: 130_000, memoryBytes: 1e9, ageMs: 1e12 },
  });
  bench.take();
  bench.wire.connected = false;
  const use = async (): Promise<number> => {
    let bytes = 0;
    for (const path of bench.disk.paths)
      bytes += Math.ceil(((await bench.disk.read(path))?.length ?? 0) / 4_096) * 4_096;
    return bytes;
  };
  let most = 0;
  for (let round = 0; round < 900; round += 1) {
    bench.frame();
    bench.frame('r2');
    bench.frame('meters');
    if (round % 100 === 0) bench.message('event');
    await bench.second();
    if (round % 50 === 0) most = Math.max(most, await use());
  }
  expect(most).toBeLessThanOrEqual(130_000 + 4 * 4_096);
  bench.wire.connected = true;
  bench.spool.rewind();
  for (let round = 0; round < 60; round += 1) {
    bench.take();
    bench.ack();
    await bench.second();
  }
  const { thinned, dropped, spooled } = bench.spool.status();
  expect(spooled).toBe(0);
  expect(thinned).toBeGreaterThan(1_000);
  expect(dropped).toBe(0);
  expect(bench.twice).toBe(0);
  expect(bench.received.missing).toBe(thinned + dropped);
  expect(bench.said.at(-1)).toBe(`over: ${thinned} readings thinned out, ${dropped} records let go`);
  const secondsOf = (group: string): number[] =>
    [...bench.frames.values()]
      .filter((frame) => frame.group === group)
      .map((frame) => (frame.tickMs - START_MS) / 1_000);
  expect(secondsOf('meters').length).toBeGreaterThan(secondsOf('r1').length);
  const gaps = secondsOf('r1').map((second, place, all) => second - (all[place - 1] ?? 0));
  expect(Math.max(...gaps)).toBeLessThanOrEqual(60);
  expect(bench.received.missing + bench.frames.size).toBe(2_700);
});

test('what is older than the time it is kept for is let go; steps of the wall clock are no age', async () => {
  const bench = new SpoolBench({
    chunkBytes: 300,
    limits: { diskBytes: 1e9, memoryBytes: 1e9, ageMs: 100_000 },
  });
  bench.wire.connected = false;
  for (let round = 0; round < 50; round += 1) {
    bench.frame();
    await bench.second();
  }
  bench.clock.stepWall(400 * 86_400_000);
  await bench.second(20);
  expect(bench.spool.status().dropped).toBe(0);
  await bench.second(100);
  expect(bench.spool.status()).toMatchObject({ dropped: 50, spooled: 0 });
});

test('a new controller gets what the old one had not stored, and nothing else', async () => {
  const bench = new SpoolBench();
  for (let round = 0; round < 5; round += 1) {
    bench.frame();
    await bench.second();
  }
  bench.take();
  bench.ack();
  for (let round = 0; round < 5; round += 1) {
    bench.frame();
    await bench.second();
  }
  bench.take();
  bench.newController();
  await bench.second(2);
  expect(bench.take()).toEqual([5, 6, 7, 8, 9].map((seq) => `late ${seq}`));
  bench.ack();
  bench.frame();
  expect(bench.take()).toEqual(['live 10']);
});

test('a publish that fails is said again after a pause, as backlog', async () => {
  const bench = new SpoolBench();
  bench.wire.fails = true;
  bench.frame();
  await bench.clock.advance(500);
  bench.wire.fails = false;
  await bench.second(2);
  expect(bench.take()).toEqual(['late 0']);
});

test('what is sent and never acknowledged by a controller that speaks is said again', async () => {
  const bench = new SpoolBench();
  bench.frame();
  bench.frame();
  // Lost behind the broker: the controller never sees these.
  bench.wire.sent.length = 0;
  for (let round = 0; round < 15; round += 1) {
    bench.spool.ack([]);
    await bench.second();
  }
  expect(bench.take()).toEqual(['late 0', 'late 1']);
});

test('an alarm’s end never overtakes its beginning', async () => {
  const bench = new SpoolBench();
  bench.wire.connected = false;
  bench.message('event');
  await bench.second();
  bench.wire.connected = true;
  bench.message('event');
  bench.spool.rewind();
  bench.message('event');
  await bench.second(2);
  bench.message('event');
  expect(bench.take()).toEqual(['late event 0', 'late event 1', 'late event 2', 'event 3']);
});

/** A bench whose agent was killed with this many frames in one sealed file. */
async function fileOf(frames: number): Promise<SpoolBench> {
  const bench = new SpoolBench();
  bench.wire.connected = false;
  for (let seq = 0; seq < frames; seq += 1) {
    bench.frame('r1', 3_000 + seq);
    await bench.second();
  }
  bench.spool.rewind();
  await bench.second();
  return bench;
}

import { expect, test } from 'vitest';
import { makeSpool } from '../../../agent/spool.ts';
import type { Spool } from '../../../agent/spool.ts';
import type { Bus } from '../../../host/deps.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { Fault } from '../../../protocols/faults.ts';
import { FrameDecoder } from '../../../protocols/mqtt/frame.ts';
import { tableOf } from '../../../protocols/mqtt/rows.ts';

/** A bus of the test's own: connected or not, keeping or losing what it is given. */
class Wire implements Bus {
  connected = true;
  fails = false;
  readonly sent: { topic: string; payload: Uint8Array }[] = [];
  publish(topic: string, payload: Uint8Array): Promise<void> {
    if (!this.connected || this.fails) return Promise.reject(new Fault('BUS_OFFLINE'));
    this.sent.push({ topic, payload });
    return Promise.resolve();
  }
  subscribe = (): Promise<void> => Promise.resolve();
  onState = (): void => {};
  close = (): Promise<void> => Promise.resolve();
  /** What arrived since the last question: frame numbers and other topics, in order. */
  take(decoder = new FrameDecoder()): (number | string)[] {
    return this.sent.splice(0).map(({ topic, payload }) => {
      if (topic !== 'frame') return topic;
      const decoded = decoder.decode(payload);
      return decoded.kind === 'frame' ? decoded.frame.seq : decoded.kind;
    });
  }
}

const clock = new VirtualClock({ startWallMs: 1e12 });
const bytes = new Uint8Array(1);
function add(spool: Spool, seq: number, group = 'r1'): void {
  const tickMs = 1e12 + seq;
  const power = { ok: true, value: 3_000 + seq, unit: 'W', quality: 'good', atMs: tickMs } as const;
  const head = { site: 's', agent: 'a', boot: 1, seq, group, tickMs, rows: ['m1'] };
  spool.frame({ ...head, table: tableOf([{ power }], tickMs) });
}
const make = (bus: Bus, changes: object = {}): Spool =>
  makeSpool({ bus, clock, frameTopic: 'frame', ...changes });

test('everything goes out at once, and again in order from a key frame after a loss', async () => {
  const wire = new Wire();
  const spool = make(wire);
  for (let seq = 0; seq < 5; seq += 1) add(spool, seq);
  spool.message('result', bytes);
  await clock.advance(1);
  expect(wire.take()).toEqual([0, 1, 2, 3, 4, 'result']);
  spool.ack(2);
  expect(spool.spooled).toBe(2);
  spool.rewind();
  await clock.advance(1);
  expect(wire.take()).toEqual(['result', 3, 4]);
  add(spool, 5);
  await clock.advance(1);
  spool.ack(5);
  spool.rewind();
  await clock.advance(1);
  expect(wire.take()).toEqual(['need-key']);
  expect(spool.spooled).toBe(0);
});

test('an acknowledgement of what never went out is not believed', async () => {
  const wire = new Wire();
  wire.connected = false;
  const spool = make(wire);
  add(spool, 0);
  spool.ack(99);
  expect(spool.spooled).toBe(1);
  wire.connected = true;
  spool.rewind();
  await clock.advance(1);
  expect(wire.take()).toEqual([0]);
});

test('offline frames are thinned per group once half the room is taken, bounded in count, and what is lost is counted', async () => {
  const wire = new Wire();
  wire.connected = false;
  const spool = make(wire, { mostFrames: 3 });
  for (let seq = 0; seq < 100; seq += 1) {
    add(spool, seq, seq % 2 === 0 ? 'r1' : 'r2');
    await clock.advance(1_000);
  }
  expect(spool.spooled).toBe(3);
  expect(spool.dropped).toBe(97);
  expect(spool.keptFrom).toBeGreaterThan(60);
});

test('a publish that fails is said again after a pause', async () => {
  const wire = new Wire();
  wire.fails = true;
  const spool = make(wire);
  add(spool, 7);
  await clock.advance(500);
  wire.fails = false;
  await clock.advance(600);
  expect(wire.take()).toEqual([7]);
});

import { expect, test } from 'vitest';
import { startKnocking } from '../../../agent/knock.ts';
import type { Net } from '../../../host/deps.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { Fault } from '../../../protocols/faults.ts';

/** So many silent devices behind one network; what each connect meets is said by `door`. */
function knocking(count: number) {
  const clock = new VirtualClock({ startWallMs: 0 });
  const connects: { readonly atMs: number; readonly index: number }[] = [];
  const answered: { readonly atMs: number; readonly index: number }[] = [];
  const bench = { door: 'none' as 'none' | 'refused' | 'open', silent: true, clock, connects, answered };
  const net: Net = {
    exchange: () => Promise.reject(new Fault('INTERNAL')),
    open: ({ port: index }, { timeoutMs }) => {
      connects.push({ atMs: clock.monoMs(), index });
      const { door } = bench;
      return new Promise((resolve, reject) => {
        if (door === 'none') clock.after(timeoutMs, () => reject(new Fault('NET_TIMEOUT')));
        else if (door === 'refused') clock.after(1, () => reject(new Fault('NET_REFUSED')));
        else {
          const connection = { onData: () => {}, onClose: () => {}, write: () => {}, destroy: () => {} };
          clock.after(1, () => resolve(connection));
        }
      });
    },
  };
  startKnocking({
    clock,
    net,
    count,
    doorOf: (index) => (bench.silent ? { host: 'h', port: index } : undefined),
    onAnswer: (index) => answered.push({ atMs: clock.monoMs(), index }),
  });
  return bench;
}

test('who is back is known within seconds, and said once', async () => {
  const bench = knocking(20);
  await bench.clock.advance(60_000);
  expect(bench.answered).toEqual([]);
  bench.door = 'open';
  await bench.clock.advance(6_000);
  expect(new Set(bench.answered.map(({ index }) => index)).size).toBe(20);
  await bench.clock.advance(60_000);
  expect(bench.answered).toHaveLength(20);
});

test('a host that boots is known when it refuses, and again when its door opens', async () => {
  const bench = knocking(1);
  await bench.clock.advance(10_000);
  bench.door = 'refused';
  await bench.clock.advance(6_000);
  expect(bench.answered).toHaveLength(1);
  bench.door = 'open';
  await bench.clock.advance(6_000);
  expect(bench.answered).toHaveLength(2);
});

test('what answered from the beginning and hangs is left alone', async () => {
  const bench = knocking(5);
  bench.door = 'open';
  await bench.clock.advance(60_000);
  expect(bench.answered).toEqual([]);
});

test('a whole site off the network is asked at a bounded rate, everyone in their turn', async () => {
  const bench = knocking(2_000);
  await bench.clock.advance(60_000);
  const bySecond = new Map<number, number>();
  for (const { atMs } of bench.connects) {
    const second = Math.floor(atMs / 1_000);
    bySecond.set(second, (bySecond.get(second) ?? 0) + 1);
  }
  expect(Math.max(...bySecond.values())).toBeLessThanOrEqual(100);
  expect(new Set(bench.connects.map(({ index }) => index)).size).toBe(2_000);
});

test('nobody knocks at devices that answer', async () => {
  const bench = knocking(5);
  bench.silent = false;
  await bench.clock.advance(20_000);
  expect(bench.connects).toEqual([]);
});

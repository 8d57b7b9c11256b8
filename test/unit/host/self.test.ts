import { expect, test } from 'vitest';
import { realClock } from '../../../host/clock.ts';
import { makeHostReader } from '../../../host/self.ts';
import type { HostSource } from '../../../host/self.ts';
import { numberOf } from '../../../protocols/reading.ts';
import { VirtualClock } from './virtual-clock.ts';

const source: HostSource = {
  currentLoad: () => Promise.resolve({ currentLoad: 0 }),
  mem: () => Promise.resolve({ total: 8_000, available: 6_000 }),
  fsSize: () =>
    Promise.resolve([
      { use: 20, rw: true },
      { use: 100, rw: false },
      { use: 55.5, rw: true },
    ]),
  networkStats: () =>
    Promise.resolve([
      { rx_bytes: 5, tx_bytes: 7 },
      { rx_bytes: 1, tx_bytes: 1 },
    ]),
  cpuTemperature: () => Promise.resolve({ main: null }),
};

test('the host’s own values, where zero is a value and null is none', async () => {
  const readings = await makeHostReader(new VirtualClock(), source).readHost();
  const values = Object.fromEntries(
    Object.entries(readings).map(([name, reading]) => [name, numberOf(reading)]),
  );
  expect(values).toEqual({
    'host.cpu': 0,
    'host.memoryUsed': 2_000,
    'host.memoryTotal': 8_000,
    'host.diskUsed': 55.5,
    'host.netReceived': 6,
    'host.netSent': 8,
    'host.temperature': undefined,
  });
  expect(readings['host.temperature']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
});

test('a call that fails or hangs costs only its own values', async () => {
  const clock = new VirtualClock();
  const reader = makeHostReader(clock, {
    ...source,
    mem: () => Promise.reject(new Error('no /proc')),
    fsSize: () => new Promise(() => undefined),
  });
  const reading = reader.readHost();
  await clock.pass(5_000);
  const readings = await reading;
  expect(readings['host.memoryUsed']).toMatchObject({ ok: false, detail: 'no /proc' });
  expect(readings['host.diskUsed']).toMatchObject({ ok: false });
  expect(numberOf(readings['host.cpu'])).toBe(0);
});

test('the system is asked at most once a minute', async () => {
  let calls = 0;
  const clock = new VirtualClock();
  const counted: HostSource = { ...source, mem: () => ((calls += 1), source.mem()) };
  const reader = makeHostReader(clock, counted);
  const first = await reader.readHost();
  await clock.pass(59_999);
  expect(await reader.readHost()).toBe(first);
  await clock.pass(1);
  expect(await reader.readHost()).not.toBe(first);
  expect(calls).toBe(2);
});

test('this machine answers', async () => {
  const readings = await makeHostReader(realClock).readHost();
  expect(numberOf(readings['host.memoryTotal'])).toBeGreaterThan(0);
});

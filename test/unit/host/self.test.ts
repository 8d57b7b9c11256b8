import { expect, test } from 'vitest';
import type { Box } from '../../../host/box.ts';
import { realClock } from '../../../host/clock.ts';
import { makeHostReader } from '../../../host/self.ts';
import { numberOf } from '../../../protocols/reading.ts';
import { VirtualClock } from './virtual-clock.ts';

const box: Box = {
  loadPct: () => Promise.resolve(0),
  memory: () => Promise.resolve({ totalBytes: 8_000, availableBytes: 6_000 }),
  disksUsedPct: () => Promise.resolve([20, 55.5]),
  network: () => Promise.resolve({ receivedBytes: 6, sentBytes: 8 }),
  processorC: () => Promise.resolve(undefined),
};

test('the host’s own values, where zero is a value and what is not said is none', async () => {
  const readings = await makeHostReader(new VirtualClock(), box).readHost();
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
    ...box,
    memory: () => Promise.reject(new Error('no /proc')),
    disksUsedPct: () => new Promise(() => undefined),
  });
  const reading = reader.readHost();
  await clock.pass(5_000);
  const readings = await reading;
  expect(readings['host.memoryUsed']).toMatchObject({ ok: false, detail: 'no /proc' });
  expect(readings['host.diskUsed']).toMatchObject({ ok: false });
  expect(numberOf(readings['host.cpu'])).toBe(0);
});

test('the system is asked at most every 10 s', async () => {
  let calls = 0;
  const clock = new VirtualClock();
  const counted: Box = { ...box, memory: () => ((calls += 1), box.memory()) };
  const reader = makeHostReader(clock, counted);
  const first = await reader.readHost();
  await clock.pass(9_999);
  expect(await reader.readHost()).toBe(first);
  await clock.pass(1);
  expect(await reader.readHost()).not.toBe(first);
  expect(calls).toBe(2);
});

test('this machine answers', async () => {
  const readings = await makeHostReader(realClock).readHost();
  for (const name of ['host.cpu', 'host.memoryUsed', 'host.memoryTotal'])
    expect(numberOf(readings[name]), name).toBeGreaterThan(0);
});

test.runIf(process.platform === 'linux')('so do its disks and its network', async () => {
  const readings = await makeHostReader(realClock).readHost();
  for (const name of ['host.diskUsed', 'host.netReceived', 'host.netSent'])
    expect(numberOf(readings[name]), name).toBeGreaterThanOrEqual(0);
  expect(numberOf(readings['host.diskUsed'])).toBeLessThanOrEqual(100);
});

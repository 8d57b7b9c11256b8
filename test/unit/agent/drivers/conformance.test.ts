import { describe, expect, test } from 'vitest';
import { DRIVERS } from '../../../../agent/drivers/list.ts';
import type { DeviceIo } from '../../../../agent/driver.ts';
import { openDevice, parseTarget } from '../../../../agent/target.ts';
import { makeLines } from '../../../../host/line.ts';
import { silentLog } from '../../../../host/log.ts';
import { seededRandom } from '../../../../host/random.ts';
import { VirtualClock } from '../../../../proof/virtual-clock.ts';
import { asFault, Fault } from '../../../../protocols/faults.ts';
import type { Answer, SimulatedEndpoint } from '../../../../simulator/device.ts';
import { makeMemoryFront } from '../../../../simulator/fronts/memory.ts';
import { FAMILIES } from './miner-families.ts';

/** A working target per scheme; a driver without one fails here. */
const TARGETS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(FAMILIES).map(([scheme, { url }]) => [scheme, url])),
  modbus: 'modbus://10.0.0.1:502/1?profile=eastron-sdm630',
  'modbus+rtu': 'modbus+rtu://10.0.0.1:502/1?profile=eastron-sdm630',
  gpu: `gpu://agent@10.0.0.1?key=k&hostKey=SHA256:${'A'.repeat(43)}`,
};
const PORTS = [22, 80, 502, 4028, 4433];
const TIMEOUT_MS = 5_000;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const stream = (respond: () => Answer): SimulatedEndpoint[] =>
  PORTS.map((port) => ({ host: '10.0.0.1', port, kind: 'stream', device: { respond } }));
const says = (answer: Uint8Array) => (): Answer => ({
  kind: 'bytes',
  bytes: answer,
  afterMs: 1,
  close: true,
});

/** What may stand at the address instead of the device. */
const WRONG: Readonly<Record<string, SimulatedEndpoint[]>> = {
  'nobody there': [],
  silence: stream(() => ({ kind: 'silence' })),
  'a reset': stream(() => ({ kind: 'reset' })),
  noise: stream(says(Uint8Array.from({ length: 64 }, (_, i) => (i * 89 + 7) & 0xff))),
  'a web page': stream(says(bytes('HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>'))),
  'half an answer': stream(says(bytes('{"STATUS":[{"STATUS":"S","Msg":"Summ'))),
  'an endless answer': stream(says(new Uint8Array(3_000_000).fill(0x7b))),
  'an empty answer': stream(says(new Uint8Array())),
};

function ioOf(endpoints: SimulatedEndpoint[]): { clock: VirtualClock; io: DeviceIo } {
  const clock = new VirtualClock({ startWallMs: 1_700_000_000_000 });
  const random = seededRandom(5);
  const front = makeMemoryFront({ endpoints, clock, random, latencyMs: () => 1 });
  const lines = makeLines({ net: front.net, clock, random });
  return { clock, io: { clock, random, ...front, lines, log: silentLog } };
}

const open = (url: string, io: DeviceIo) => openDevice(parseTarget(url, { env: { P: 'secret' } }), io);

describe('every driver', () => {
  test('has a name and schemes of its own', () => {
    const names = DRIVERS.map(({ name }) => name);
    const schemes = DRIVERS.flatMap((driver) => driver.schemes);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(schemes).size).toBe(schemes.length);
    expect(DRIVERS.filter((driver) => !driver.schemes.some((scheme) => scheme in TARGETS))).toEqual([]);
  });
});

describe.each(Object.entries(TARGETS))('%s', (_, url) => {
  test('refuses an option it does not know, and does no I/O to open', () => {
    const { io } = ioOf([]);
    const mistaken = `${url}${url.includes('?') ? '&' : '?'}nonsense=1`;
    expect(() => open(mistaken, io)).toThrow(/TARGET_INVALID/u);
    open(url, io).close();
  });

  test.each(Object.entries(WRONG))('%s is a fault in time, not a value', async (__, endpoints) => {
    const { clock, io } = ioOf(endpoints);
    const device = open(url, io);
    const outcomes: unknown[] = [];
    const works = [device.read('fast', TIMEOUT_MS), device.identify(TIMEOUT_MS)].map((work) =>
      work.then(
        (value) => outcomes.push(value),
        (error: unknown) => outcomes.push(error),
      ),
    );
    for (let waitedMs = 0; waitedMs < 4 * TIMEOUT_MS && outcomes.length < works.length; waitedMs += 100)
      await clock.advance(100);
    expect(outcomes.length, 'ends within its time').toBe(works.length);
    for (const outcome of outcomes) {
      if (outcome instanceof Error) {
        expect(outcome).toBeInstanceOf(Fault);
        expect(asFault(outcome).code).not.toBe('INTERNAL');
      } else expect(JSON.stringify(outcome)).not.toMatch(/"ok":true/u);
    }
    device.close();
  });
});

import type * as nodeNet from 'node:net';

import { afterAll, describe, expect, it } from 'vitest';

import { modbusMeter } from '../../agent/drivers/modbus-meter.ts';
import { openUtilityTerminal } from '../../agent/drivers/utility-terminal.ts';
import { realClock } from '../../host/clock.ts';
import type { LineTarget } from '../../host/line.ts';
import { seededRandom } from '../../host/random.ts';
import { Fault } from '../../protocols/faults.ts';
import { numberOf } from '../../protocols/reading.ts';
import type { Readings } from '../../protocols/reading.ts';
import { makeMeter } from '../../simulator/devices/meter.ts';
import { makeUtilityTerminal } from '../../simulator/devices/utility-terminal.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';
import {
  closeAll,
  freePort,
  hasPeer,
  mbpoll,
  modbusUrl,
  opened,
  serveRaw,
  startPeer,
  wireIo,
} from './modbus-rigs.ts';

const PYTHON = '/usr/bin/python3';
const withMbpoll = it.skipIf(!hasPeer('mbpoll', ['-V']));
const withPymodbus = it.skipIf(!hasPeer(PYTHON, ['-c', 'import pymodbus.datastore']));
const withPython = it.skipIf(!hasPeer(PYTHON, ['-V']));

afterAll(closeAll);

/** Numbers of an mbpoll listing, by address. */
function listed(output: string): Map<number, number> {
  const rows = output.matchAll(/^\[(\d+)\]:\s+(-?[\d.e+]+)/gm);
  return new Map([...rows].map(([, address, value]) => [Number(address), Number(value)]));
}

const value = (readings: Readings, q: string): number | undefined => numberOf(readings[q]);

const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof Fault ? error.code : String(error)),
  );

describe('simulated devices, asked by an independent master', () => {
  withMbpoll('mbpoll reads the meter', async () => {
    const port = await freePort();
    const meter = makeMeter({ unit: 3, layout: 'pm5xxx', powerW: () => 90_000, random: seededRandom(1) });
    const server = await serveEndpoints([{ host: '127.0.0.1', port, kind: 'stream', device: meter }], {
      clock: realClock,
    });
    opened.push(() => server.close());
    const floats = ['-a', '3', '-t', '4:float', '127.0.0.1'];
    const power = listed(await mbpoll(port, ['-r', '3053', '-c', '4', ...floats]));
    expect(power.get(3059)).toBeCloseTo(90, -0.5);
    expect((power.get(3053) ?? 0) + (power.get(3055) ?? 0) + (power.get(3057) ?? 0)).toBeCloseTo(
      power.get(3059) ?? 0,
      1,
    );
    const volts = listed(await mbpoll(port, ['-r', '3027', '-c', '1', ...floats]));
    expect(volts.get(3027)).toBeGreaterThan(225);
    await expect(mbpoll(port, ['-r', '900', '-c', '1', ...floats])).rejects.toThrow(/Illegal data address/);
  });

  withMbpoll('mbpoll reads the utility’s instruction and writes a report', async () => {
    const port = await freePort();
    const utility = makeUtilityTerminal({ unit: 1 });
    const server = await serveEndpoints([{ host: '127.0.0.1', port, kind: 'stream', device: utility }], {
      clock: realClock,
    });
    opened.push(() => server.close());
    utility.instruct({ limitKw: 70_000, deadlineS: 30, kind: 1 });
    const limit = listed(await mbpoll(port, ['-a', '1', '-r', '0', '-c', '1', '-t', '4:int', '127.0.0.1']));
    expect(limit.get(0)).toBe(70_000);
    const rest = listed(await mbpoll(port, ['-a', '1', '-r', '2', '-c', '5', '-t', '4', '127.0.0.1']));
    expect([2, 3, 4, 5].map((address) => rest.get(address))).toEqual([30, 1, 0, 1]);
    await mbpoll(port, ['-a', '1', '-r', '100', '-t', '4', '127.0.0.1', '0', '1', '5', '2', '17752', '2048']);
    expect(utility.report).toMatchObject({ echoSequence: 1, heartbeat: 5, status: 2, powerKw: 3456.5 });

    const terminal = openUtilityTerminal(modbusUrl('modbus', port, 1, {}), wireIo());
    expect(await terminal.read(2_000)).toMatchObject({
      limitKw: 70_000,
      deadlineS: 30,
      sequence: 1,
      kind: 'contracted',
    });
    await terminal.report({ powerKw: 69_000, status: 'complied', echoSequence: 1, heartbeat: 6 }, 2_000);
    expect(utility.report).toMatchObject({ echoSequence: 1, heartbeat: 6, status: 2, powerKw: 69_000 });
  });
});

describe('the driver, against an independent server', () => {
  for (const [scheme, framing] of [
    ['modbus', 'tcp'],
    ['modbus+rtu', 'rtu'],
  ] as const) {
    withPymodbus(`${scheme}: reads the hand-made image of a PM5xxx from pymodbus`, async () => {
      const port = Number(await startPeer(PYTHON, 'modbus_server.py', [framing, '3']));
      const device = modbusMeter.open(modbusUrl(scheme, port, 3, { profile: 'schneider-pm5xxx' }), wireIo());
      const readings = await device.read('full', 5_000);
      expect(readings['power.active.total']).toMatchObject({
        ok: true,
        value: 276_500,
        unit: 'W',
        quality: 'good',
      });
      expect(value(readings, 'power.active.L3')).toBe(92_250);
      expect(value(readings, 'current.L1')).toBe(412.5);
      expect(value(readings, 'voltage.L2N')).toBe(231);
      expect(value(readings, 'frequency')).toBeCloseTo(49.98, 3);
      expect(value(readings, 'powerFactor.total')).toBeCloseTo(0.97, 3);
      expect(value(readings, 'energy.active.import')).toBe(123_456_789_012);
      expect(value(readings, 'energy.active.export')).toBe(42);
    });
  }
});

describe('scales that stand in registers, against an independent server', () => {
  const read = async (image: string, profile: string): Promise<Readings> => {
    const port = Number(await startPeer(PYTHON, 'modbus_server.py', ['tcp', '3', image]));
    return modbusMeter.open(modbusUrl('modbus', port, 3, { profile }), wireIo()).read('full', 5_000);
  };

  withPymodbus('a SunSpec meter is found and read', async () => {
    const readings = await read('sunspec', 'sunspec');
    expect(readings['power.active.total']).toMatchObject({ ok: true, value: 276_500, unit: 'W' });
    expect(value(readings, 'power.active.L2')).toBe(91_700);
    expect(value(readings, 'voltage.L2N')).toBeCloseTo(231, 6);
    expect(value(readings, 'current.L3')).toBeCloseTo(41.3, 6);
    expect(value(readings, 'frequency')).toBeCloseTo(49.98, 6);
    expect(value(readings, 'powerFactor.total')).toBeCloseTo(0.97, 6);
    expect(value(readings, 'energy.active.import')).toBe(100_000_000);
    expect(readings['energy.active.export']).toMatchObject({ ok: false, why: 'VALUE_INVALID' });
    expect(readings['voltage.L1L2']).toMatchObject({ ok: false, why: 'VALUE_INVALID' });
  });

  withPymodbus('a Satec meter is read in the resolution that it is set to', async () => {
    const readings = await read('em133', 'satec-em133');
    expect(readings['power.active.total']).toMatchObject({ ok: true, value: -5_250_000, unit: 'W' });
    expect(value(readings, 'voltage.L1N')).toBe(19_919);
    expect(value(readings, 'current.L1')).toBeCloseTo(412.5, 6);
    expect(readings['parameter.ptRatio']).toMatchObject({ ok: true, value: 120 });
  });
});

interface Asked {
  readonly transaction: readonly [number, number];
  readonly n: number;
  readonly count: number;
  readonly socket: nodeNet.Socket;
}

/** A hand-written Modbus TCP server: registers hold the number of the question, then 7s. `answer` may do anything. */
function faultyServer(answer: (frame: Buffer, asked: Asked) => void): Promise<number> {
  let n = 0;
  return serveRaw((socket) => {
    let held = Buffer.alloc(0);
    socket.on('data', (part: Buffer) => {
      held = Buffer.concat([held, part]);
      while (held.length >= 12) {
        n += 1;
        const count = held.readUInt16BE(10);
        const frame = Buffer.alloc(9 + 2 * count);
        held.copy(frame, 0, 0, 4);
        frame.writeUInt16BE(3 + 2 * count, 4);
        frame.set([1, 3, 2 * count], 6);
        for (let at = 0; at < count; at += 1) frame.writeUInt16BE(at === 0 ? n : 7, 9 + 2 * at);
        const transaction = [held[0] ?? 0, held[1] ?? 0] as const;
        held = held.subarray(12);
        answer(frame, { transaction, n, count, socket });
      }
    });
  });
}

const FAULTS: Readonly<Record<string, readonly [(frame: Buffer, socket: nodeNet.Socket) => void, RegExp]>> = {
  RST: [(_frame, socket) => socket.resetAndDestroy(), /NET_RESET/],
  FIN: [(_frame, socket) => socket.end(), /NET_RESET/],
  'a stall': [() => undefined, /NET_TIMEOUT/],
  'a frame that breaks off': [(frame, socket) => socket.write(frame.subarray(0, 11)), /ANSWER_PARTIAL/],
  'a frame that breaks off with FIN': [
    (frame, socket) => socket.end(frame.subarray(0, 11)),
    /ANSWER_PARTIAL/,
  ],
  'another transaction': [
    (frame, socket) => socket.write(frame.fill((frame[0] ?? 0) ^ 0x55, 0, 1)),
    /MODBUS_DESYNC/,
  ],
  'another unit': [(frame, socket) => socket.write(frame.fill(2, 6, 7)), /MODBUS_DESYNC/],
  'another protocol': [(frame, socket) => socket.write(frame.fill(1, 2, 3)), /MODBUS_FRAME/],
  'a byte count too small': [(frame, socket) => socket.write(frame.fill(2, 8, 9)), /MODBUS_FRAME/],
  'a byte count too large': [(frame, socket) => socket.write(frame.fill(200, 8, 9)), /MODBUS_FRAME/],
  'stray bytes first': [
    (frame, socket) => socket.write(Buffer.concat([Buffer.from([0, 1, 2, 3, 4]), frame])),
    /MODBUS_/,
  ],
  text: [(_frame, socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), /MODBUS_FRAME/],
};

describe('a line on real sockets', () => {
  it.each(Object.keys(FAULTS))('%s: no value, and the next question is answered right', async (name) => {
    const [fault, expected] = FAULTS[name] ?? [() => undefined, /never/];
    let wrong = true;
    let asked = 0;
    const port = await faultyServer((frame, { n, socket }) => {
      asked = n;
      if (wrong) fault(frame, socket);
      else socket.write(frame);
    });
    const { lines, clock } = wireIo();
    const line = lines.line({ framing: 'tcp', host: '127.0.0.1', port });
    const read = (timeoutMs: number): Promise<readonly number[]> =>
      line
        .read({ unit: 1, fc: 3, address: 10, count: 4, deadlineMs: clock.monoMs() + timeoutMs })
        .then((answer) => [...answer.registers]);
    expect(await code(read(150))).toMatch(expected);
    wrong = false;
    expect(await read(3_000)).toEqual([asked, 7, 7, 7]);
    expect(await read(3_000)).toEqual([asked, 7, 7, 7]);
  });

  it('takes an answer that comes byte by byte, and none with bytes behind it', async () => {
    let connections = 0;
    const port = await faultyServer((frame, { n, socket }) => {
      if (n === 1) for (const byte of frame) socket.write(Uint8Array.of(byte));
      else socket.write(n === 2 ? Buffer.concat([frame, Buffer.from([9, 9])]) : frame);
      connections = socket.remotePort ?? connections;
    });
    const { lines, clock } = wireIo();
    const line = lines.line({ framing: 'tcp', host: '127.0.0.1', port });
    const ports: number[] = [];
    const read = async (): Promise<readonly number[]> => {
      const deadlineMs = clock.monoMs() + 2_000;
      const answer = await line.read({ unit: 1, fc: 3, address: 10, count: 2, deadlineMs });
      ports.push(connections);
      return [...answer.registers];
    };
    expect(await read()).toEqual([1, 7]);
    expect(await code(read())).toBe('MODBUS_DESYNC');
    expect(await read()).toEqual([3, 7]);
    expect(ports[1]).not.toBe(ports[0]);
  });

  it('says when nobody listens', async () => {
    const { lines, clock } = wireIo();
    const line = lines.line({ framing: 'tcp', host: '127.0.0.1', port: await freePort() });
    const deadlineMs = clock.monoMs() + 1_000;
    expect(await code(line.read({ unit: 1, fc: 3, address: 0, count: 1, deadlineMs }))).toBe('NET_REFUSED');
  });
});

describe('a serial line', () => {
  withPython('reads over a pseudo terminal, and takes no late answer for a new one', async () => {
    const path = await startPeer(PYTHON, 'modbus_serial.py', []);
    const { lines, clock } = wireIo();
    const target: LineTarget = { framing: 'serial', path, baud: 19_200, parity: 'none', stopBits: 1 };
    const line = lines.line(target);
    const read = (unit: number, timeoutMs: number): Promise<readonly number[]> =>
      line
        .read({ unit, fc: 3, address: 100, count: 4, deadlineMs: clock.monoMs() + timeoutMs })
        .then((answer) => [...answer.registers]);
    expect(await read(1, 5_000)).toEqual([1, 101, 102, 103]);
    expect(await read(1, 2_000)).toEqual([2, 101, 102, 103]);
    expect(await code(read(9, 300))).toBe('NET_TIMEOUT');
    expect((await read(1, 3_000)).slice(1)).toEqual([101, 102, 103]);
    expect(await code(read(8, 300))).toBe('NET_TIMEOUT');
    // The late answer waits in the port: it costs a question, and is given to none.
    let good: readonly number[] | undefined;
    for (let turn = 0; turn < 3 && !good; turn += 1) good = await read(8, 3_000).catch(() => undefined);
    expect(good?.slice(1)).toEqual([101, 102, 103]);
    expect(good?.[0]).toBeGreaterThan(5);
  });

  it('says when there is no such port', async () => {
    const { lines, clock } = wireIo();
    const line = lines.line({
      framing: 'serial',
      path: '/dev/switchyard-none',
      baud: 9_600,
      parity: 'none',
      stopBits: 1,
    });
    const deadlineMs = clock.monoMs() + 2_000;
    expect(await code(line.read({ unit: 1, fc: 3, address: 0, count: 1, deadlineMs }))).toMatch(/^NET_/);
  });
});

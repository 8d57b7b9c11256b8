/** Modbus RTU on serial ports: our master and foreign ones, our simulated line with its pace and foreign slaves. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

import { afterAll, describe, expect, it } from 'vitest';

import { realClock } from '../../host/clock.ts';
import { seededRandom } from '../../host/random.ts';
import { encodeRead } from '../../protocols/modbus/serve.ts';
import { makeMeter } from '../../simulator/devices/meter.ts';
import { makeModbusLine } from '../../simulator/devices/modbus-line.ts';
import type { ModbusLine, ModbusLineOptions, ModbusUnit } from '../../simulator/devices/modbus-line.ts';
import { isPlayable, WIRE_FAULTS } from '../../simulator/devices/wire-faults.ts';
import type { WireFault } from '../../simulator/devices/wire-faults.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';
import {
  closeAll,
  freePort,
  hasPeer,
  opened,
  readPatiently,
  startPeer,
  startSwitchyard,
  wireIo,
} from './modbus-rigs.ts';

const PYTHON = '/usr/bin/python3';
const hasPython = hasPeer(PYTHON, ['-V']);
const withMbpoll = it.skipIf(!hasPython || !hasPeer('mbpoll', ['-V']));
const withPymodbus = it.skipIf(!hasPeer(PYTHON, ['-c', 'import pymodbus.datastore']));
const withLibmodbus = it.skipIf(!hasPeer(PYTHON, ['-c', 'import ctypes; ctypes.CDLL("libmodbus.so.5")']));

afterAll(closeAll);

/** A serial device at whose other end the simulated line is, at 38,400 baud. */
async function serialLine(options: Pick<ModbusLineOptions, 'units' | 'faults'>): Promise<{
  readonly path: string;
  readonly line: ModbusLine;
}> {
  const port = await freePort();
  const line = makeModbusLine({ framing: 'rtu', pace: { baud: 38_400, bitsPerChar: 10 }, ...options });
  const server = await serveEndpoints([{ host: '127.0.0.1', port, kind: 'stream', device: line }], {
    clock: realClock,
  });
  opened.push(() => server.close());
  return { path: await startPeer(PYTHON, 'pty_relay.py', [String(port)]), line };
}

const meter = (unit: number): ModbusUnit =>
  makeMeter({
    unit,
    layout: 'sdm630',
    powerW: () => unit * 10_000,
    random: seededRandom(unit),
    answerMs: 20,
  });

const readSerial = (path: string, unit: number, profile: string) =>
  readPatiently(`modbus+serial://${path}/${unit}?profile=${profile}&baud=38400`);

describe('the simulated line on a serial port', () => {
  it.skipIf(!hasPython)('is read, each meter by its number, and takes the time of its bytes', async () => {
    const { path, line } = await serialLine({ units: [meter(1), meter(2)] });
    const startMs = realClock.monoMs();
    for (const unit of [1, 2]) {
      const readings = await readSerial(path, unit, 'eastron-sdm630');
      const power = readings['power.active.total'];
      expect(power).toMatchObject({ unit: 'W', quality: 'good' });
      expect(Number(power?.value) / 10_000).toBeCloseTo(unit, 1);
      expect(Object.values(readings).filter(({ quality }) => quality === 'good').length).toBeGreaterThan(25);
    }
    expect(line.asked).toBeGreaterThan(4);
    expect(line.busyMs).toBeGreaterThan(line.asked * 20);
    expect(realClock.monoMs() - startMs).toBeGreaterThan(line.busyMs - 2 * line.asked);
  });

  withMbpoll('is read by mbpoll', async () => {
    const { path } = await serialLine({ units: [meter(1), meter(2)] });
    const args = ['-m', 'rtu', '-a', '2', '-b', '38400', '-P', 'none', '-t', '3:float', '-B', '-0', '-1'];
    const { stdout } = await promisify(execFile)('mbpoll', [...args, '-r', '52', '-c', '1', path], {
      timeout: 10_000,
    });
    expect(Number(/^\[52\]:\s+([\d.e+]+)/m.exec(stdout)?.[1]) / 20_000).toBeCloseTo(1, 1);
  });

  it.skipIf(!hasPython)(
    'under every fault of the wire: no answer is another one’s',
    async () => {
      const kinds = WIRE_FAULTS.filter((kind) => isPlayable(kind, 'rtu') && !NOT_ON_SERIAL.includes(kind));
      await Promise.all(kinds.map(underFault));
    },
    60_000,
  );
});

/** Nobody on a serial line ends a connection. */
const NOT_ON_SERIAL: readonly WireFault[] = ['reset', 'fin'];

/** One wrong answer, then right ones: what is given out is the answer to its question. */
async function underFault(kind: WireFault): Promise<void> {
  let fault: WireFault | undefined;
  let asked = 0;
  /** The first register says how often it was asked. */
  const counter: ModbusUnit = {
    unit: 5,
    answerMs: 5,
    answer: (question, framing) => {
      asked += 1;
      if (question.kind !== 'request' || question.request.kind !== 'read') return undefined;
      const { count, address } = question.request;
      const words = Array.from({ length: count }, (_, at) => (at === 0 ? asked : address + at));
      return encodeRead(framing, question.transaction, question.request, words);
    },
  };
  const { path } = await serialLine({
    units: [counter],
    faults: { next: () => fault, random: seededRandom(3) },
  });
  const { lines, clock } = wireIo();
  const line = lines.line({ framing: 'serial', path, baud: 38_400, parity: 'none', stopBits: 1 });
  let right = 0;
  for (let n = 0; n < 8 && right < 3; n += 1) {
    fault = n === 1 ? kind : undefined;
    const before = asked;
    const request = { unit: 5, fc: 3, address: 100, count: 4, deadlineMs: clock.monoMs() + 10_000 } as const;
    const registers = await line.read(request).then(
      (answer) => [...answer.registers],
      () => undefined,
    );
    if (!registers) continue;
    expect(registers.slice(1), kind).toEqual([101, 102, 103]);
    expect(registers[0], kind).toBeGreaterThan(before);
    right += 1;
  }
  expect(right, kind).toBe(3);
}

describe('./switchyard', () => {
  it('reads what ./switchyard simulates', async () => {
    const port = await freePort();
    const args = ['--profile', 'eastron-sdm630', '--port', String(port), '--units', '2', '--kw', '7'];
    await startSwitchyard(['simulate', 'meter', ...args, '--framing', 'rtu', '--baud', '38400', '--json']);
    const target = `modbus+rtu://127.0.0.1:${port}/2?profile=eastron-sdm630`;
    const answer = JSON.parse(await startSwitchyard(['read', target, '--json']));
    expect(answer).toMatchObject({ target, vendor: 'Eastron' });
    expect(answer.readings['power.active.total']).toMatchObject({ unit: 'W', quality: 'good' });
    expect(answer.readings['power.active.total'].value / 14_000).toBeCloseTo(1, 1);
  });
});

describe('foreign slaves on a serial port', () => {
  const images: Readonly<Record<string, { readonly rows: readonly (readonly unknown[])[] }>> = JSON.parse(
    readFileSync(new URL('peers/meter_images.json', import.meta.url), 'utf8'),
  );
  const profile = 'carlo-gavazzi-em300';
  const unit = Object.keys(images).indexOf(profile) + 1;
  const expectAll = (readings: Awaited<ReturnType<typeof readSerial>>): void => {
    for (const [, , , q, value] of images[profile]?.rows ?? []) {
      expect(readings[String(q)]?.quality, String(q)).toBe('good');
      expect(readings[String(q)]?.value, String(q)).toBeCloseTo(Number(value), 6);
    }
  };

  withLibmodbus('libmodbus’s RTU slave is read', async () => {
    const [ours = '', theirs = ''] = (await startPeer(PYTHON, 'pty_relay.py', [])).split(' ');
    await startPeer(PYTHON, 'libmodbus_server.py', ['rtu', theirs, String(unit)]);
    expectAll(await readSerial(ours, unit, profile));
  });

  withPymodbus('pymodbus’s RTU framer is read', async () => {
    const port = await startPeer(PYTHON, 'modbus_server.py', ['rtu', '0', 'meters']);
    expectAll(await readSerial(await startPeer(PYTHON, 'pty_relay.py', [port]), unit, profile));
  });
});

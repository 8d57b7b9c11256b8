import { afterAll, describe, expect, it } from 'vitest';
import { openModbusInputs, openModbusOutput } from '../../agent/drivers/modbus-io.ts';
import { startPump } from '../../agent/pumps.ts';
import { siteSchema } from '../../config/schema/site.ts';
import { realClock } from '../../host/clock.ts';
import { makePlc } from '../../simulator/devices/plc.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';
import { closeAll, freePort, hasPeer, mbpoll, modbusUrl, opened, startPeer, wireIo } from './modbus-rigs.ts';

const PYTHON = '/usr/bin/python3';
const withMbpoll = it.skipIf(!hasPeer('mbpoll', ['-V']));
const withPymodbus = it.skipIf(!hasPeer(PYTHON, ['-c', 'import pymodbus.datastore']));

afterAll(closeAll);

const pointSchema = siteSchema.shape.plant.unwrap().shape.points.unwrap().element;
const point = (id: string, kind: string, address: number, more: object = {}) =>
  pointSchema.parse({ id, target: 'modbus://127.0.0.1/3', kind, address, ...more });

describe('a PLC', () => {
  withMbpoll('simulated: an independent master reads its inputs and sets its coils', async () => {
    const port = await freePort();
    const written: string[] = [];
    const plc = makePlc({
      unit: 3,
      inputs: [
        { area: 'discrete', address: 9, words: () => [1] },
        { area: 'input', address: 4, words: () => [215] },
      ],
      onWrite: (area, address, value) => written.push(`${area} ${address} ${value}`),
    });
    const server = await serveEndpoints([{ host: '127.0.0.1', port, kind: 'stream', device: plc }], {
      clock: realClock,
    });
    opened.push(() => server.close());
    expect(await mbpoll(port, ['-a', '3', '-t', '1', '-r', '8', '-c', '3', '127.0.0.1'])).toMatch(
      /\[8\]:\s+0[^]*\[9\]:\s+1[^]*\[10\]:\s+0/,
    );
    expect(await mbpoll(port, ['-a', '3', '-t', '3', '-r', '4', '-c', '1', '127.0.0.1'])).toMatch(
      /\[4\]:\s+215/,
    );
    await mbpoll(port, ['-a', '3', '-t', '0', '-r', '20', '127.0.0.1', '1']);
    expect(await mbpoll(port, ['-a', '3', '-t', '0', '-r', '20', '-c', '1', '127.0.0.1'])).toMatch(
      /\[20\]:\s+1/,
    );
    expect(written).toEqual(['coil 20 1']);
  });

  withPymodbus('independent: discrete inputs, coils and registers as the site file names them', async () => {
    const port = Number(await startPeer(PYTHON, 'modbus_server.py', ['tcp', '3']));
    const io = wireIo();
    const target = modbusUrl('modbus', port, 3, {});
    const inputs = openModbusInputs(
      target,
      [
        point('on', 'discrete', 3),
        point('off', 'discrete', 5),
        point('far', 'discrete', 150),
        point('beyond', 'discrete', 5_000),
        point('out', 'coil', 7),
        point('kw', 'holding', 3_059, { type: 'float32', scale: 2, offset: -1 }),
        point('broken', 'input', 3_059, { type: 'float32', most: 100 }),
      ],
      io,
    );
    const values = async () =>
      Object.fromEntries(
        [...(await inputs.read(5_000))].map(([id, one]) => [id, one.ok ? one.value : one.fault.code]),
      );
    expect(await values()).toEqual({
      on: 1,
      off: 0,
      far: 1,
      beyond: 'MODBUS_EXCEPTION',
      out: 0,
      kw: 552,
      broken: 'VALUE_IMPLAUSIBLE',
    });
    await openModbusOutput(target, { kind: 'coil', address: 7 }, io).write(1, 2_000);
    await openModbusOutput(target, { kind: 'holding', address: 3_059 }, io).write(0x43_8b, 2_000);
    expect(await values()).toMatchObject({ out: 1 });
  });
});

describe('the pump of a loop', () => {
  const both = it.skipIf(!hasPeer('mbpoll', ['-V']) || !hasPeer(PYTHON, ['-c', 'import pymodbus.datastore']));
  both(
    'independent: a pump is demanded before anything is known, and rests when nothing needs it',
    async () => {
      const port = Number(await startPeer(PYTHON, 'modbus_server.py', ['tcp', '3']));
      const io = wireIo();
      const target = modbusUrl('modbus', port, 3, {});
      const loop = siteSchema.shape.plant.unwrap().shape.loops.unwrap().element;
      const config = loop.parse({
        id: 'hydro',
        node: 'r1',
        target: 'modbus://127.0.0.1/3',
        address: 7,
        runOnS: 0,
        periodMs: 200,
      });
      const seen = async () =>
        /\[7\]:\s+(\d)/.exec(
          await mbpoll(port, ['-a', '3', '-t', '0', '-r', '7', '-c', '1', '127.0.0.1']),
        )?.[1];
      expect(await seen()).toBe('0');
      const pump = startPump({
        clock: realClock,
        alarms: { raise: () => undefined, clear: () => undefined, tell: () => undefined },
        plant: { nodes: [] },
        orders: [],
        config,
        sample: () => undefined,
        open: () => openModbusOutput(target, { kind: 'coil', address: config.address }, io),
      });
      opened.push(() => pump.stop());
      await expect.poll(seen).toBe('1');
      // No machine hangs on the loop, and nobody asks about frost.
      pump.tick();
      await expect.poll(seen).toBe('0');
    },
  );
});

/** A PDU whose outlets are switched by the site's own profile: what is behind one is cut only when it draws nothing, or by force. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Device } from '../../agent/driver.ts';
import { modbusMeter } from '../../agent/drivers/modbus-meter.ts';
import { actAndVerify } from '../../agent/verify.ts';
import type { Verified } from '../../agent/verify.ts';
import { realClock } from '../../host/clock.ts';
import { encodeNumber } from '../../protocols/modbus/registers.ts';
import { makePlc } from '../../simulator/devices/plc.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';
import { closeAll, freePort, hasPeer, mbpoll, modbusUrl, opened, wireIo } from './modbus-rigs.ts';
import { runCommand } from './site-rigs.ts';

const withMbpoll = it.skipIf(!hasPeer('mbpoll', ['-V']));

afterAll(closeAll);

const STRIDE = 16;
const profile = {
  id: 'our-pdu',
  vendor: 'Any',
  models: ['PDU'],
  fc: 3,
  wordOrder: 'msw',
  limits: { maxRegisters: 125, evenCount: false, maxGap: 0 },
  invalid: {},
  points: [],
  channels: {
    count: 4,
    stride: STRIDE,
    points: [
      {
        q: 'power.active.total',
        addr: 100,
        type: 'float32',
        scale: 1,
        unit: 'W',
        class: 'fast',
        agree: 'single',
        src: ['list'],
      },
    ],
  },
  outlets: {
    count: 4,
    stride: STRIDE,
    write: { kind: 'holding', addr: 110, on: 1, off: 2 },
    state: { kind: 'input', addr: 111, on: 5, off: 6 },
    agree: 'single',
    src: ['list'],
  },
  sums: [],
  sources: { list: 'the register list of this test' },
  notes: [],
};

interface Pdu {
  readonly port: number;
  readonly file: string;
  /** Everything that was written, in order. */
  readonly written: string[];
  /** What the channels draw, W, and what the state registers hold. */
  readonly drawsW: number[];
  readonly states: number[];
  deaf: boolean;
  open(channel: number): Device;
}

async function startPdu(): Promise<Pdu> {
  const folder = mkdtempSync(join(tmpdir(), 'switchyard-pdu-'));
  opened.push(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'our-pdu.json');
  writeFileSync(file, JSON.stringify(profile));
  const port = await freePort();
  const drawsW = [3_400, 3_400, 40, 0];
  const states = [5, 5, 5, 5];
  const written: string[] = [];
  const plc = makePlc({
    unit: 1,
    inputs: states.flatMap((_, place) => [
      {
        area: 'holding' as const,
        address: 100 + place * STRIDE,
        words: () => [...encodeNumber(drawsW[place] ?? 0, 'float32', 'msw')],
      },
      { area: 'input' as const, address: 111 + place * STRIDE, words: () => [states[place] ?? 0] },
    ]),
    onWrite: (area, address, value) => {
      written.push(`${area} ${address} ${value}`);
      const place = (address - 110) / STRIDE;
      if (pdu.deaf) return;
      states[place] = value === 1 ? 5 : 6;
      if (value !== 1) drawsW[place] = 0;
    },
  });
  const server = await serveEndpoints([{ host: '127.0.0.1', port, kind: 'stream', device: plc }], {
    clock: realClock,
  });
  opened.push(() => server.close());
  const io = wireIo();
  const pdu: Pdu = {
    port,
    file,
    written,
    drawsW,
    states,
    deaf: false,
    open: (channel) =>
      modbusMeter.open(modbusUrl('modbus', port, 1, { profile: file, channel: String(channel) }), io),
  };
  return pdu;
}

const act = (device: Device, verb: 'outlet-on' | 'outlet-off', argument?: number): Promise<Verified> =>
  actAndVerify(device, verb, argument, { clock: realClock, timeoutMs: 1_500, pollMs: 100 });

describe('an outlet of a PDU', () => {
  it('under load is not cut, and nothing is written; by force it is', async () => {
    const pdu = await startPdu();
    const device = pdu.open(2);
    const outcome = await act(device, 'outlet-off');
    expect(outcome.stage).toBe('failed');
    expect(outcome.fault?.message).toMatch(/^OUTLET_LOADED: .* 3400 W are drawn behind it/);
    expect(outcome.before?.['outlet']).toMatchObject({ ok: true, value: 'on' });
    expect(outcome.before?.['power.active.total']).toMatchObject({ value: 3_400 });
    expect(pdu.written).toEqual([]);
    const forced = await act(device, 'outlet-off', 1);
    expect(forced.stage).toBe('observed');
    expect(forced.after?.['outlet']).toMatchObject({ value: 'off' });
    expect(pdu.written).toEqual([`holding ${110 + STRIDE} 2`]);
  });

  withMbpoll('with a machine asleep is cut and given back, as an independent master sees it', async () => {
    const pdu = await startPdu();
    const device = pdu.open(3);
    const state = (): Promise<string> =>
      mbpoll(pdu.port, ['-a', '1', '-t', '3', '-r', String(111 + 2 * STRIDE), '-c', '1', '127.0.0.1']);
    expect((await act(device, 'outlet-off')).stage).toBe('observed');
    expect(await state()).toMatch(/:\s+6/);
    expect((await act(device, 'outlet-on')).stage).toBe('observed');
    expect(await state()).toMatch(/:\s+5/);
    expect(pdu.written).toEqual([2, 1].map((value) => `holding ${110 + 2 * STRIDE} ${value}`));
  });

  it('that takes the word and does not move is told once, and that is said', async () => {
    const pdu = await startPdu();
    pdu.deaf = true;
    const outcome = await act(pdu.open(4), 'outlet-off');
    expect(outcome).toMatchObject({ stage: 'failed', fault: { code: 'VERB_NOT_OBSERVED' } });
    expect(pdu.written).toEqual([`holding ${110 + 3 * STRIDE} 2`]);
    pdu.states[3] = 9;
    expect((await pdu.open(4).read('full', 1_000))['outlet']).toMatchObject({
      ok: false,
      why: 'VALUE_INVALID',
    });
  });

  it('whose meter cannot tell is not cut, and without a channel there is no outlet to name', async () => {
    const pdu = await startPdu();
    pdu.drawsW[3] = Number.NaN;
    expect((await act(pdu.open(4), 'outlet-off')).fault?.code).toBe('OUTLET_LOADED');
    expect(pdu.written).toEqual([]);
    const target = `modbus://127.0.0.1:${pdu.port}/1?profile=${encodeURIComponent(pdu.file)}`;
    const whole = await runCommand(['act', target, 'outlet-off', '--json', '--timeout', '2']);
    expect(whole.status).toBe(1);
    expect(JSON.parse(whole.stdout)).toMatchObject({ stage: 'failed', error: { code: 'VERB_UNSUPPORTED' } });
    const one = await runCommand([
      'act',
      `${target}&channel=1`,
      'outlet-off',
      '--force',
      '--json',
      '--timeout',
      '5',
    ]);
    expect(one.status).toBe(0);
    expect(JSON.parse(one.stdout)).toMatchObject({ stage: 'observed', after: { outlet: { value: 'off' } } });
    expect(pdu.written).toEqual(['holding 110 2']);
  });
});

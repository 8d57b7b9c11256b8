import { describe, expect, it } from 'vitest';

import { seededRandom } from '../../../../host/random.ts';
import { decodeAnswer, encodeRequest } from '../../../../protocols/modbus/frame.ts';
import type { ReadRequest } from '../../../../protocols/modbus/frame.ts';
import { makeMeter } from '../../../../simulator/devices/meter.ts';
import { METER_LAYOUTS } from '../../../../simulator/devices/meter-layouts.ts';

const power: ReadRequest = { kind: 'read', unit: 3, fc: 3, address: 3059, count: 2 };
const ask = (request: ReadRequest, transaction = 1): Uint8Array => encodeRequest('tcp', transaction, request);
const meterOf = (powerW: (nowMs: number) => number = () => 50_000) =>
  makeMeter({ unit: 3, layout: 'pm5xxx', powerW, random: seededRandom(9) });

describe('a simulated meter', () => {
  it('waits for the rest of a question and answers one at a time', () => {
    const meter = meterOf();
    const question = ask(power);
    for (let at = 0; at < question.length; at += 1) {
      expect(meter.respond(question.subarray(0, at), 1_000)).toEqual({ kind: 'wait' });
    }
    const both = Uint8Array.from([...question, ...ask(power, 2)]);
    expect(meter.respond(both, 1_000)).toMatchObject({
      kind: 'bytes',
      consumed: question.length,
      close: false,
    });
  });

  it.each<[string, Partial<ReadRequest>, number]>([
    ['a register it lacks', { address: 100 }, 2],
    ['a read over the end of a region', { address: 3110 }, 2],
    ['another function', { fc: 4 }, 1],
    ['another unit', { unit: 4 }, 11],
  ])('refuses %s', (_name, change, exception) => {
    const request = { ...power, ...change };
    const answer = meterOf().respond(ask(request), 1_000);
    const bytes = answer.kind === 'bytes' ? answer.bytes : new Uint8Array(0);
    expect(decodeAnswer('tcp', 1, request, bytes)).toMatchObject({ kind: 'exception', code: exception });
  });

  it('breaks off what is not Modbus', () => {
    expect(meterOf().respond(new TextEncoder().encode('GET / HTTP/1.1'), 1_000)).toEqual({ kind: 'reset' });
  });

  it('stays within its class and counts energy both ways', () => {
    const hourMs = 3_600_000;
    const meter = meterOf((nowMs) => (nowMs < hourMs ? 50_000 : -20_000));
    meter.measured(0);
    for (let nowMs = 0; nowMs < 2 * hourMs; nowMs += 60_000) {
      const { totalW } = meter.measured(nowMs);
      expect(Math.abs(totalW / (nowMs < hourMs ? 50_000 : -20_000) - 1)).toBeLessThan(0.005);
    }
    const { importWh, exportWh } = meter.measured(2 * hourMs);
    expect(importWh / 50_000).toBeCloseTo(1, 1);
    expect(exportWh / 20_000).toBeCloseTo(1, 1);
  });

  it('shows neither volts nor hertz nor amperes where there is no voltage', () => {
    let isLive = true;
    const live = makeMeter({
      unit: 3,
      layout: 'pm5xxx',
      powerW: () => (isLive ? 50_000 : 0),
      random: seededRandom(9),
      isLive: () => isLive,
    });
    expect(live.measured(0).voltageV[0]).toBeGreaterThan(220);
    isLive = false;
    const dead = live.measured(2_000);
    expect(
      [...dead.voltageV, ...dead.currentA, dead.frequencyHz, dead.totalW].every((one) => one === 0),
    ).toBe(true);
  });

  it('renews its registers once a second', () => {
    const meter = meterOf();
    const at = (nowMs: number): unknown => meter.respond(ask(power), nowMs);
    const first = at(1_000);
    expect(at(1_900)).toEqual(first);
    expect(at(2_000)).not.toEqual(first);
    const frozen = at(2_000);
    meter.fault = 'frozen';
    expect(at(60_000)).toEqual(frozen);
    meter.fault = 'silent';
    expect(at(61_000)).toEqual({ kind: 'silence' });
  });

  it.each(Object.entries(METER_LAYOUTS))('%s keeps its fields inside its regions', (_name, layout) => {
    const measured = meterOf().measured(0);
    for (const field of layout.fields(measured)) {
      const words = field.type.endsWith('64') ? 4 : field.type.endsWith('32') ? 2 : 1;
      const inside = layout.regions.some(
        ([from, count]) => field.at >= from && field.at + words <= from + count,
      );
      expect(inside, String(field.at)).toBe(true);
    }
  });
});

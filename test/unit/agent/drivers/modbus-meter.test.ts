import { describe, expect, it } from 'vitest';

import { modbusMeter } from '../../../../agent/drivers/modbus-meter.ts';
import type { Target } from '../../../../agent/driver.ts';
import { seededRandom } from '../../../../host/random.ts';
import { meterProfile, profileIds } from '../../../../config/meters.ts';
import { makeMeter } from '../../../../simulator/devices/meter.ts';
import { layoutOfProfile } from '../../../../simulator/devices/profile-layout.ts';
import type { MeterLayout } from '../../../../simulator/devices/meter-layouts.ts';
import type { StreamDevice } from '../../../../simulator/device.ts';
import { virtualTime } from '../../host/virtual-net.ts';
import { bench, FAMILIES, ioOver, targetOf, value } from './meter-bench.ts';

describe.each(FAMILIES)('meter %s', (layout, profile) => {
  it('shows what the instrument measures, in the product’s units', async () => {
    const b = bench(layout, profile);
    await b.read('full');
    await b.time.advance(3_600_000);
    const readings = await b.read('full');
    const truth = b.meter.measured(b.time.monoMs());
    expect(readings['power.active.total']).toMatchObject({ ok: true, quality: 'good', unit: 'W' });
    const relative = (q: string, expected: number): void =>
      expect(value(readings, q) / expected, q).toBeCloseTo(1, 3);
    relative('power.active.total', truth.totalW);
    for (const phase of [0, 1, 2] as const) {
      relative(`power.active.L${phase + 1}`, truth.phaseW[phase]);
      relative(`voltage.L${phase + 1}N`, truth.voltageV[phase]);
      relative(`current.L${phase + 1}`, truth.currentA[phase]);
    }
    relative('frequency', truth.frequencyHz);
    relative('powerFactor.total', truth.powerFactor);
    relative('energy.active.import', truth.importWh);
    expect(value(readings, 'energy.active.import') / 90_000).toBeCloseTo(1, 1);
    expect(value(readings, 'energy.active.export')).toBe(0);
  });

  it('reads what control needs in one request', async () => {
    const b = bench(layout, profile);
    await b.read('fast');
    const before = b.asked();
    const readings = await b.read('fast');
    expect(b.asked() - before).toBe(1);
    expect(Object.keys(readings)).toHaveLength(10);
    expect(Object.values(readings).every((reading) => reading.ok)).toBe(true);
  });

  it('has no value where the meter has none', async () => {
    const b = bench(layout, profile);
    b.meter.fault = 'nan';
    const readings = await b.read('full');
    expect(readings['power.active.total']).toMatchObject({ ok: false, why: 'VALUE_INVALID' });
    expect(readings['energy.active.import']).toMatchObject({ ok: false, why: 'VALUE_INVALID' });
  });

  it('doubts a total that is a thousand times what volts and amperes give', async () => {
    const b = bench(layout, profile, {}, 9_000);
    b.meter.fault = 'x1000';
    expect((await b.read('fast'))['power.active.total']).toMatchObject({ ok: true, quality: 'uncertain' });
  });

  it('turns signs and counters around when it is wired the other way', async () => {
    const b = bench(layout, profile, { invert: '1' });
    await b.read('full');
    await b.time.advance(60_000);
    const readings = await b.read('full');
    expect(value(readings, 'power.active.total')).toBeLessThan(-80_000);
    expect(value(readings, 'energy.active.export')).toBeGreaterThan(1_000);
    expect(value(readings, 'energy.active.import')).toBe(0);
  });
});

// The simulated side is made from the profile too: this shows that every form of it can be read, not that it is right.
describe.each(profileIds().filter((id) => meterProfile(id).template !== true))('profile %s', (id) => {
  it('is read to what the meter shows', async () => {
    const own = meterProfile(id);
    const options: Record<string, string> = own.channels ? { channel: '3' } : {};
    const b = bench(layoutOfProfile(own), id, options, 12_345);
    await b.read('full', 30_000);
    await b.time.advance(3_600_000);
    const readings = await b.read('full', 30_000);
    const truth = b.meter.measured(b.time.monoMs());
    const points = own.channels?.points ?? own.points;
    // A SunSpec accumulator of 0 says that nothing is counted, and nothing was exported here.
    for (const { q, invalid } of points)
      if (!invalid || !q.includes('export')) expect(readings[q], q).toMatchObject({ ok: true });
    const near = (q: string, expected: number): void => {
      const point = points.find((each) => each.q === q);
      // Some registers count in steps of 1 kW.
      if (point) expect(Math.abs(value(readings, q) - expected), q).toBeLessThan(0.001 * expected + 600);
    };
    near('power.active.total', truth.totalW);
    near('power.active.L2', truth.phaseW[1]);
    const volts = value(readings, 'voltage.L1N');
    if (!Number.isNaN(volts)) expect(volts).toBeCloseTo(truth.voltageV[0], -0.5);
    const factor = value(readings, 'powerFactor.total');
    if (!Number.isNaN(factor)) expect(factor).toBeCloseTo(truth.powerFactor, 1);
    // The classes that are not due are reported as they were.
    const again = await b.read('full', 30_000);
    expect(Object.keys(again).toSorted()).toEqual(Object.keys(readings).toSorted());
  });
});

describe('a SunSpec device', () => {
  it('is found by walking its chain, whichever meter model it has', async () => {
    const b = bench(layoutOfProfile(meterProfile('sunspec-211')), 'sunspec', {}, 9_000);
    expect(value(await b.read('fast'), 'power.active.total')).toBeCloseTo(9_000, -3);
  });

  it('of another model is not read', async () => {
    const b = bench(layoutOfProfile(meterProfile('sunspec-211')), 'sunspec-203');
    await expect(b.read('fast')).rejects.toThrow(/DEVICE_OTHER.*models 1, 211, none of 203/);
  });

  it('without a chain is not read', async () => {
    const b = bench('pac2200', 'sunspec');
    await expect(b.read('fast')).rejects.toThrow(/DEVICE_OTHER.*no chain/);
  });
});

describe('what a meter is and how it is set', () => {
  it('shows in what is read', async () => {
    const b = bench('b2x', 'abb-b2x');
    expect(await b.read('full')).toMatchObject({
      'meter.serial': { ok: true, value: '11223344' },
      'meter.firmware': { ok: true, value: 'B1.0' },
    });
  });

  it('decides whether it is read at all: another type has other registers', async () => {
    const b = bench('b2x', 'abb-b2x');
    const other = bench(
      layoutOfProfile({
        ...meterProfile('abb-b2x'),
        identity: { expect: { at: { addr: 0x8960, ascii: 2 }, oneOf: ['M4M'] } },
      }),
      'abb-b2x',
    );
    await expect(other.read('fast')).rejects.toThrow(/DEVICE_OTHER.*says 'M4M'/);
    expect(await b.read('fast')).toBeDefined();
  });

  it('is read anew, and values follow a setting that was changed', async () => {
    const em133 = meterProfile('satec-em133');
    let low = false;
    const layout = layoutOfProfile(em133);
    const b = bench(
      {
        ...layout,
        fields: (measured) =>
          layout.fields(measured).map((field) => (low && field.at === 2390 ? { ...field, value: 0 } : field)),
      },
      'satec-em133',
    );
    expect(value(await b.read('full'), 'power.active.total')).toBeCloseTo(90_000, -3);
    low = true;
    await b.time.advance(601_000);
    expect(value(await b.read('full'), 'power.active.total')).toBeCloseTo(90_000_000, -6);
  });

  it('that a meter refuses while it starts is asked for again soon, and is believed to be what it was meanwhile', async () => {
    const layout = layoutOfProfile(meterProfile('satec-em133'));
    const all = layout.regions;
    const shy: { -readonly [key in keyof MeterLayout]: MeterLayout[key] } = {
      ...layout,
      regions: all.filter(([from]) => from > 3_000),
    };
    const b = bench(shy, 'satec-em133');
    expect((await b.read('full'))['power.active.total']).toMatchObject({ ok: false, why: 'VALUE_INVALID' });
    shy.regions = all;
    await b.time.advance(31_000);
    expect(value(await b.read('fast'), 'power.active.total')).toBeCloseTo(90_000, -3);
    shy.regions = shy.regions.filter(([from]) => from > 3_000);
    await b.time.advance(601_000);
    expect(value(await b.read('full'), 'power.active.total')).toBeCloseTo(90_000, -3);
  });

  it('is refused where the map is only a template, or has no such channel', () => {
    expect(() => bench('pac2200', 'satec-pm180')).toThrow(/TARGET_INVALID.*template/);
    expect(() => bench('pac2200', 'siemens-pac2200', { channel: '1' })).toThrow(/has no channels/);
    expect(() => bench('pac2200', 'raritan-px3', { channel: '49' })).toThrow(/1 to 48/);
  });
});

describe('a meter that misbehaves', () => {
  it('rejects when nothing can be read, and recovers', async () => {
    const b = bench('pm5xxx', 'schneider-pm5xxx');
    await b.read('fast');
    for (const fault of ['silent', 'garbage'] as const) {
      b.meter.fault = fault;
      await expect(b.read('full', 600)).rejects.toMatchObject({ name: 'Fault' });
      b.meter.fault = 'none';
      await b.time.advance(2_000);
      expect((await b.read('fast'))['power.active.total']).toMatchObject({ ok: true, quality: 'good' });
    }
  });

  it('says which part could not be read and gives the rest', async () => {
    const time = virtualTime();
    const meter = makeMeter({ unit: 3, layout: 'pm5xxx', powerW: () => 1_000, random: seededRandom(1) });
    const deafAbove3190: StreamDevice = {
      respond: (bytes, nowMs) =>
        ((bytes[8] ?? 0) << 8) + (bytes[9] ?? 0) >= 3190 ? { kind: 'silence' } : meter.respond(bytes, nowMs),
    };
    const { io } = ioOver(time, deafAbove3190);
    const device = modbusMeter.open(targetOf({ profile: 'schneider-pm5xxx' }), io);
    const readings = await time.settle(device.read('full', 1_000));
    expect(readings['power.active.total']).toMatchObject({ ok: true });
    expect(readings['energy.active.import']).toMatchObject({ ok: false, why: 'NET_TIMEOUT' });
  });

  it('learns where the meter refuses to read across a gap', async () => {
    const b = bench('pm5xxx', 'schneider-pm5xxx');
    await b.read('full');
    const first = b.asked();
    const readings = await b.read('full');
    expect(b.asked() - first).toBe(3);
    expect(readings['powerFactor.total']).toMatchObject({ ok: true });
    expect(readings['energy.active.import']).toMatchObject({ ok: true });
  });

  it('reports a register that the meter lacks as missing, and the others', async () => {
    const time = virtualTime();
    const meter = makeMeter({ unit: 3, layout: 'b2x', powerW: () => 1_000, random: seededRandom(1) });
    const withoutExport: StreamDevice = {
      respond: (bytes, nowMs) => {
        const address = ((bytes[8] ?? 0) << 8) + (bytes[9] ?? 0);
        const end = address + ((bytes[10] ?? 0) << 8) + (bytes[11] ?? 0);
        if (address > 20_487 || end <= 20_484) return meter.respond(bytes, nowMs);
        const refused = Uint8Array.of(bytes[0] ?? 0, bytes[1] ?? 0, 0, 0, 0, 3, 3, 0x83, 2);
        return { kind: 'bytes', bytes: refused, afterMs: 1, close: false };
      },
    };
    const { io, asked } = ioOver(time, withoutExport);
    const device = modbusMeter.open(targetOf({ profile: 'abb-b2x' }), io);
    const readings = await time.settle(device.read('full', 1_000));
    expect(readings['energy.active.import']).toMatchObject({ ok: true });
    expect(readings['energy.active.export']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    await time.settle(device.read('full', 1_000));
    const before = asked();
    expect((await time.settle(device.read('full', 1_000)))['energy.active.export']).toMatchObject({
      ok: false,
    });
    expect(asked() - before).toBe(2);
  });
});

describe('the meter driver', () => {
  it('names vendor and models of the profile', async () => {
    const b = bench('sdm630', 'eastron-sdm630');
    expect(await b.time.settle(b.device.identify(1_000))).toMatchObject({
      vendor: 'Eastron',
      model: expect.stringMatching(/SDM630/),
    });
    expect(b.device.verbs).toEqual({});
  });

  it('refuses targets it cannot use', () => {
    const time = virtualTime();
    const { io } = ioOver(time, { respond: () => ({ kind: 'silence' }) });
    const open = (target: Partial<Target>, options: Record<string, string> = { profile: 'abb-b2x' }) =>
      modbusMeter.open({ ...targetOf(options), ...target }, io);
    expect(() => open({}, {})).toThrow(/TARGET_INVALID.*profile/);
    expect(() => open({}, { profile: 'none' })).toThrow(/TARGET_INVALID.*abb-b2x/);
    expect(() => open({}, { profile: 'abb-b2x', invert: 'yes' })).toThrow(/invert/);
    expect(() => open({}, { profile: 'abb-b2x', poll: '1' })).toThrow(/poll/);
    expect(() => open({}, { profile: 'abb-b2x', frozenS: 'x' })).toThrow(/frozenS/);
    expect(() => open({ path: '300' })).toThrow(/unit/);
    expect(() => open({ path: 'x' })).toThrow(/unit/);
    expect(() => open({ host: '' })).toThrow(/host/);
    const serial = { scheme: 'modbus+serial', host: '', port: undefined };
    const url = 'modbus+serial:///dev/ttyUSB0/7?profile=abb-b2x';
    expect(() => open({ ...serial, url })).not.toThrow();
    expect(() => open({ ...serial, url: 'modbus+serial:///7?x' })).toThrow(/serial device/);
    expect(() => open({ ...serial, url }, { profile: 'abb-b2x', baud: 'fast' })).toThrow(/baud/);
    expect(() => open({ ...serial, url }, { profile: 'abb-b2x', parity: 'mark' })).toThrow(/parity/);
    expect(() => open({ ...serial, url }, { profile: 'abb-b2x', stopBits: '3' })).toThrow(/stopBits/);
  });
});

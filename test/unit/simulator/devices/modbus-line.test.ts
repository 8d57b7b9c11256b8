import { describe, expect, it } from 'vitest';

import { makeLines } from '../../../../host/line.ts';
import type { Line } from '../../../../host/line.ts';
import { seededRandom } from '../../../../host/random.ts';
import { asFault } from '../../../../protocols/faults.ts';
import { VirtualClock } from '../../../../proof/virtual-clock.ts';
import { makeMeter } from '../../../../simulator/devices/meter.ts';
import { makeModbusLine } from '../../../../simulator/devices/modbus-line.ts';
import { isPlayable, WIRE_FAULTS } from '../../../../simulator/devices/wire-faults.ts';
import type { WireFault } from '../../../../simulator/devices/wire-faults.ts';
import { makeMemoryFront } from '../../../../simulator/fronts/memory.ts';

const host = '127.0.0.1';
const port = 502;

/** Meters 1 to 3 of 10, 20 and 30 kW on one line of 38,400 baud, asked in virtual time. */
function bench(framing: 'tcp' | 'rtu', fault?: () => WireFault | undefined) {
  const clock = new VirtualClock({ startWallMs: Date.UTC(2026, 0, 1) });
  const random = seededRandom(5);
  const units = [1, 2, 3].map((unit) =>
    makeMeter({ unit, layout: 'sdm630', powerW: () => unit * 10_000, random, answerMs: 10 }),
  );
  const pace = { baud: 38_400, bitsPerChar: 10 } as const;
  const device = makeModbusLine({ framing, units, pace, ...(fault && { faults: { next: fault, random } }) });
  const { net } = makeMemoryFront({
    endpoints: [{ host, port, kind: 'stream', device }],
    clock,
    random,
    latencyMs: () => 0,
  });
  const line = makeLines({ net, clock, random }).line({ framing, host, port });
  const read = (unit: number, count = 2): ReturnType<Line['read']> =>
    line.read({ unit, fc: 4, address: 52, count, deadlineMs: clock.monoMs() + 10_000 });
  return { clock, device, units, read };
}

/** 16-bit words to the float32 they hold. */
function floatOf([high = 0, low = 0]: ArrayLike<number> & Iterable<number>): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, high);
  view.setUint16(2, low);
  return view.getFloat32(0);
}

describe('several meters on one serial line', () => {
  it.each(['rtu', 'tcp'] as const)('%s: each answers to its own number', async (framing) => {
    const { clock, read } = bench(framing);
    const answers = Promise.all([1, 2, 3].map((unit) => read(unit)));
    await clock.advance(1_000);
    const watts = (await answers).map(({ registers }) => Math.round(floatOf(registers) / 1_000));
    expect(watts).toEqual([10, 20, 30]);
  });

  it('takes the time of the bytes, the silences and the turnaround, one exchange after the other', async () => {
    const { clock, device, read } = bench('rtu');
    // 8 bytes, 5 + 2 × 20 bytes, 7 characters of silence, at 3,840 characters a second, and 10 ms of the meter.
    const onceMs = ((8 + 45 + 7) * 1_000) / 3_840 + 10;
    const fromMs = clock.monoMs();
    const untilMs = Promise.all([1, 2, 3].map((unit) => read(unit, 20).then(() => clock.monoMs())));
    await clock.advance(1_000);
    for (const [index, atMs] of (await untilMs).entries())
      expect(atMs - fromMs).toBeCloseTo((index + 1) * onceMs, 6);
    expect(device.busyMs).toBeCloseTo(3 * onceMs, 6);
    expect(device.asked).toBe(3);
  });

  it('hears nothing from a dead unit and goes on with the others; Modbus TCP says who is not there', async () => {
    const { clock, units, read } = bench('rtu');
    const [first] = units;
    if (first) first.fault = 'silent';
    const code = (unit: number): Promise<string> =>
      read(unit).then(
        () => 'answered',
        (error: unknown) => asFault(error).code,
      );
    const rtu = Promise.all([code(1), code(9), code(2)]);
    await clock.advance(20_000);
    expect(await rtu).toEqual(['NET_TIMEOUT', 'NET_TIMEOUT', 'answered']);
    const other = bench('tcp');
    const tcp = other.read(9).catch((error: unknown) => asFault(error).detail);
    await other.clock.advance(1_000);
    expect(await tcp).toMatch(/exception 11/);
  });
});

describe('faults of the wire', () => {
  for (const framing of ['tcp', 'rtu'] as const)
    it.each(WIRE_FAULTS.filter((fault) => isPlayable(fault, framing)))(
      `${framing}, %s: what comes through is right, and so is what comes after it`,
      async (fault) => {
        let turn = 0;
        const { clock, read } = bench(framing, () => ((turn += 1) % 3 === 1 ? fault : undefined));
        let right = 0;
        let failed = 0;
        for (let n = 0; n < 30; n += 1) {
          const asked = read(1 + (n % 3)).then(
            ({ registers }) => Math.round(floatOf(registers) / 1_000) === 10 * (1 + (n % 3)),
            () => undefined,
          );
          await clock.advance(12_000);
          const outcome = await asked;
          expect(outcome).not.toBe(false);
          if (outcome === true) right += 1;
          else failed += 1;
        }
        expect(right).toBeGreaterThan(10);
        // A reset or FIN is asked again at once, pieces are put together, and a double is seen when its answer is taken.
        if (!['split', 'reset', 'fin', 'late', 'duplicated'].includes(fault))
          expect(failed).toBeGreaterThan(3);
      },
    );
});

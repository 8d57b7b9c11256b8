import { describe, expect, it } from 'vitest';

import type { Clock } from '../../../host/deps.ts';
import { Fault } from '../../../protocols/faults.ts';
import { encodeRequest } from '../../../protocols/modbus/frame.ts';
import type { ReadRequest } from '../../../protocols/modbus/frame.ts';
import { classesOf } from '../../../proof/modbus-faults.ts';
import type { FaultClass, Wire } from '../../../proof/modbus-faults.ts';
import { playReads } from '../../../proof/modbus-reads.ts';
import type { Reader } from '../../../proof/modbus-reads.ts';
import { Truth } from '../../../proof/modbus-truth.ts';
import type { MeterWire } from '../../../proof/modbus-wire.ts';

/** Takes whatever comes on its one connection as the answer to what it asked last. */
function credulous(device: MeterWire, clock: Clock): Reader {
  let held: number[] = [];
  let heard: (registers: readonly number[]) => void = () => undefined;
  let wanted = 0;
  device.attach({
    isOpen: true,
    give: (bytes) => {
      held.push(...bytes);
      if (held.length < 9 + 2 * wanted) return;
      const data = held.splice(0).slice(9);
      heard(Array.from({ length: wanted }, (_, at) => ((data[2 * at] ?? 0) << 8) | (data[2 * at + 1] ?? 0)));
    },
    end: () => undefined,
  });
  return {
    read: (request, timeoutMs) =>
      new Promise((resolve, reject) => {
        wanted = request.count;
        heard = resolve;
        clock.after(timeoutMs, () => reject(new Fault('NET_TIMEOUT')));
        if (request.fc > 2) device.write(encodeRequest('tcp', 7, request));
      }),
    close: () => undefined,
  };
}

describe('reads over a faulty wire', () => {
  it.each<[Wire, number]>([
    ['tcp', 8_000],
    ['rtu', 8_000],
    ['serial', 4_000],
  ])(
    '%s: of %d reads none is wrong, and each has an end',
    async (wire, reads) => {
      const result = await playReads({ wire, reads, seed: 11 });
      expect(result).toMatchObject({ wrong: 0, hangs: 0, crashes: 0, examples: [] });
      expect(result.right).toBeGreaterThan(0.35 * reads);
      for (const name of classesOf(wire)) expect(result.injected[name], name).toBeGreaterThan(5);
    },
    30_000,
  );

  it('is the same for the same seed', async () => {
    const play = (seed: number): Promise<object> => playReads({ wire: 'rtu', reads: 200, seed });
    expect(await play(3)).toEqual(await play(3));
    expect(await play(3)).not.toEqual(await play(4));
  });
});

describe('the judge', () => {
  const request: ReadRequest = { kind: 'read', unit: 1, fc: 3, address: 100, count: 8 };

  it('knows an answer of another time, place, unit or length', () => {
    const truth = new Truth();
    const since = truth.asked;
    const n = truth.ask(request);
    const right = truth.words(request, n);
    expect(truth.isRight(request, since, right)).toBe(true);
    expect(truth.isRight(request, n, right)).toBe(false);
    const others: readonly [ReadRequest, number][] = [
      [request, n - 1],
      [{ ...request, unit: 2 }, n],
      [{ ...request, fc: 4 }, n],
      [{ ...request, address: 101 }, n],
    ];
    for (const [other, at] of others)
      expect(truth.isRight(request, since, truth.words(other, at))).toBe(false);
    expect(truth.isRight(request, since, right.subarray(1))).toBe(false);
  });

  it('sees what a reader without checks passes on', async () => {
    const wrongOf = async (name: FaultClass): Promise<number> => {
      const result = await playReads({
        wire: 'tcp',
        reads: 400,
        seed: 5,
        classes: [name],
        atOnce: 1,
        makeReader: ({ device, clock }) => credulous(device, clock),
      });
      return result.wrong;
    };
    for (const name of ['late', 'wrong unit', 'wrong transaction'] as const)
      expect(await wrongOf(name), name).toBeGreaterThan(20);
    expect(await wrongOf('split')).toBe(0);
  });
});

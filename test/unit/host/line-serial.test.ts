import { beforeAll, describe, expect, it } from 'vitest';

import { makeLines } from '../../../host/line.ts';
import type { LineRead } from '../../../host/line.ts';
import { seededRandom } from '../../../host/random.ts';
import { Fault } from '../../../protocols/faults.ts';
import { crc16 } from '../../../protocols/modbus/frame.ts';
import { decodeRequest, encodeException, encodeRead } from '../../../protocols/modbus/serve.ts';
import { memorySerial } from '../../../proof/memory-serial.ts';
import type { MemorySerialPort } from '../../../proof/memory-serial.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';

type Behave = (answer: Uint8Array, port: MemorySerialPort, n: number) => void;

/** A device on a serial port whose registers hold the number of the question, coils whether it is odd. */
function bench(): {
  readonly clock: VirtualClock;
  readonly opened: () => number;
  readonly give: (bytes: Uint8Array) => void;
  readonly read: (fields?: Partial<LineRead>) => Promise<readonly number[] | string>;
  behave: Behave;
  atOpening: (port: MemorySerialPort) => void;
} {
  const clock = new VirtualClock({ startWallMs: 0 });
  let port: MemorySerialPort | undefined;
  let opened = 0;
  let asked = 0;
  const serial = memorySerial({
    opened: (next) => {
      port = next;
      opened += 1;
      made.atOpening(next);
    },
    written: (bytes) => {
      const decoded = decodeRequest('rtu', bytes);
      if (decoded.kind !== 'request' || decoded.request.kind !== 'read' || !port) return;
      asked += 1;
      const words = new Uint16Array(decoded.request.count).fill(asked);
      if (decoded.request.fc <= 2) words.fill(asked & 1);
      made.behave(encodeRead('rtu', 0, decoded.request, words), port, asked);
    },
    closed: () => undefined,
  });
  const net = {
    open: () => Promise.reject(new Fault('INTERNAL')),
    exchange: () => Promise.reject(new Fault('INTERNAL')),
  };
  const line = makeLines({ net, clock, random: seededRandom(1), serial }).line({
    framing: 'serial',
    path: 'meters',
    baud: 9_600,
    parity: 'none',
    stopBits: 1,
  });
  const made: ReturnType<typeof bench> = {
    clock,
    opened: () => opened,
    give: (bytes) => port?.give(bytes),
    behave: (answer, to) => to.give(answer),
    atOpening: () => undefined,
    read: async (fields) => {
      const ended: (readonly number[] | string)[] = [];
      const deadlineMs = clock.monoMs() + 2_000;
      void line.read({ unit: 1, fc: 3, address: 0, count: 4, deadlineMs, ...fields }).then(
        ({ registers }) => ended.push([...registers]),
        (error: unknown) => ended.push(error instanceof Fault ? error.code : String(error)),
      );
      while (ended.length === 0) await clock.advance(10);
      return ended[0] ?? '';
    },
  };
  return made;
}

// Loaded before virtual time begins, which does not wait for a disk.
beforeAll(() => Promise.all([import('../../../host/line-serial.ts'), import('modbus-serial')]));

describe('a serial line', () => {
  it('reads registers and coils of both kinds', async () => {
    const b = bench();
    expect(await b.read()).toEqual([1, 1, 1, 1]);
    expect(await b.read({ fc: 4 })).toEqual([2, 2, 2, 2]);
    expect(await b.read({ fc: 1, count: 10 })).toEqual(Array(10).fill(1));
    expect(await b.read({ fc: 2, count: 3 })).toEqual([0, 0, 0]);
    expect(b.opened()).toBe(1);
  });

  it('takes no answer that comes twice in one piece', async () => {
    const b = bench();
    b.behave = (answer, port, n) => {
      port.give(answer);
      if (n === 1) port.give(answer);
    };
    await b.read();
    const second = await b.read();
    expect(second).not.toEqual([1, 1, 1, 1]);
    b.behave = (answer, port) => port.give(Uint8Array.from([...answer, ...answer]));
    expect(await b.read()).toBe('MODBUS_DESYNC');
  });

  it('keeps silent after bytes that nobody asked for', async () => {
    const b = bench();
    let last = new Uint8Array(0);
    b.behave = (answer, port) => {
      last = Uint8Array.from(answer);
      port.give(answer);
    };
    expect(await b.read()).toEqual([1, 1, 1, 1]);
    for (const length of [5, last.length]) {
      b.give(last.subarray(0, length));
      await b.clock.advance(10);
      const startMs = b.clock.monoMs();
      expect(await b.read()).not.toContain(1);
      expect(b.clock.monoMs() - startMs).toBeGreaterThanOrEqual(300);
    }
    expect(b.opened()).toBe(3);
  });

  it('takes nothing that came while the port was closed', async () => {
    const b = bench();
    let old = new Uint8Array(0);
    b.behave = (answer) => {
      old = Uint8Array.from(answer);
    };
    expect(await b.read()).toBe('NET_TIMEOUT');
    b.behave = (answer, port) => port.give(answer);
    b.atOpening = (port) => port.give(old);
    // Of another unit, which owes nothing: no test of the line goes before it.
    old[0] = 2;
    new DataView(old.buffer).setUint16(old.length - 2, crc16(old, 0, old.length - 2), true);
    expect(await b.read({ unit: 2 })).toBe('MODBUS_DESYNC');
    b.atOpening = () => undefined;
    expect(await b.read({ unit: 2 })).not.toContain(1);
  });

  it('takes no answer of coils with another byte count', async () => {
    const b = bench();
    b.behave = (_answer, port) =>
      port.give(encodeRead('rtu', 0, { kind: 'read', unit: 1, fc: 1, address: 0, count: 17 }, []));
    expect(await b.read({ fc: 1, count: 10 })).not.toEqual(expect.any(Array));
  });

  it('says when an answer breaks off, and when the adapter is pulled out', async () => {
    const b = bench();
    b.behave = (answer, port) => port.give(answer.subarray(0, 6));
    expect(await b.read()).toBe('ANSWER_PARTIAL');
    b.behave = (_answer, port) => port.end('unplugged');
    expect(await b.read({ deadlineMs: b.clock.monoMs() + 9_000 })).toBe('NET_RESET');
  });

  it('hands on what the device refuses', async () => {
    const b = bench();
    b.behave = (_answer, port) => port.give(encodeException('rtu', 0, { unit: 1, fc: 3, exception: 2 }));
    expect(await b.read()).toBe('MODBUS_EXCEPTION');
    expect(b.opened()).toBe(1);
  });
});

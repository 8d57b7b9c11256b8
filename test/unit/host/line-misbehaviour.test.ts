import { beforeAll, describe, expect, it } from 'vitest';

import type { Connection, Net } from '../../../host/deps.ts';
import { ModbusException } from '../../../host/line-fault.ts';
import { makeLines } from '../../../host/line.ts';
import type { Line, LineTarget } from '../../../host/line.ts';
import { seededRandom } from '../../../host/random.ts';
import { Fault } from '../../../protocols/faults.ts';
import { wrap } from '../../../protocols/modbus/frame.ts';
import type { ReadRequest } from '../../../protocols/modbus/frame.ts';
import { decodeRequest, encodeException, encodeRead } from '../../../protocols/modbus/serve.ts';
import { memorySerial } from '../../../proof/memory-serial.ts';
import type { MemorySerialPort } from '../../../proof/memory-serial.ts';
import type { Wire } from '../../../proof/modbus-faults.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';

/** What a device can do about one question. */
interface Asked {
  readonly request: ReadRequest;
  readonly transaction: number;
  /** The right answer. */
  readonly answer: Uint8Array;
  readonly give: (bytes: Uint8Array, afterMs?: number) => void;
  readonly end: (how: 'RST' | 'FIN') => void;
  /** An answer of another unit, function or count, in this framing. */
  readonly other: (fields: Partial<ReadRequest>) => Uint8Array;
  /** Any PDU, in this framing. */
  readonly frame: (pdu: readonly number[], unit?: number) => Uint8Array;
}

type Behave = (asked: Asked) => void;

const WIRES: readonly Wire[] = ['tcp', 'rtu', 'serial'];
const right: Behave = ({ answer, give }) => give(answer);

/** A device on a wire whose registers hold the number of the question, and a line to it. */
class Bench {
  readonly clock = new VirtualClock({ startWallMs: 0 });
  readonly line: Line;
  behave: Behave = right;
  asked = 0;
  opened = 0;
  readonly #framing: 'tcp' | 'rtu';
  #reader: { give(bytes: Uint8Array): void; end(how: 'RST' | 'FIN'): void } | undefined;

  constructor(wire: Wire) {
    this.#framing = wire === 'tcp' ? 'tcp' : 'rtu';
    const serial = memorySerial({
      opened: (port) => this.#plug(port),
      written: (bytes) => this.#take(bytes),
      closed: () => undefined,
    });
    const net: Net = {
      open: async () => this.#connect(),
      exchange: () => Promise.reject(new Fault('INTERNAL')),
    };
    const target: LineTarget =
      wire === 'serial'
        ? { framing: 'serial', path: 'meters', baud: 9_600, parity: 'none', stopBits: 1 }
        : { framing: wire, host: 'meters', port: 502 };
    // The library changes the options that it is given.
    this.line = makeLines({ net, clock: this.clock, random: seededRandom(3), serial }).line(
      Object.freeze(target),
    );
  }

  #plug(port: MemorySerialPort): void {
    this.opened += 1;
    const end = (how: 'RST' | 'FIN'): void => port.end(how === 'RST' ? 'unplugged' : 'silent');
    this.#reader = { give: (bytes) => port.give(bytes), end };
  }

  #connect(): Connection {
    this.opened += 1;
    let open = true;
    const made: Connection = {
      onData: () => undefined,
      onClose: () => undefined,
      write: (bytes) => this.#take(bytes),
      destroy: () => {
        open = false;
      },
    };
    this.#reader = {
      give: (bytes) => open && made.onData(bytes),
      end: (how) => {
        if (open) made.onClose(how === 'RST' ? new Fault('NET_RESET') : undefined);
        open = false;
      },
    };
    return made;
  }

  #take(bytes: Uint8Array): void {
    const decoded = decodeRequest(this.#framing, bytes);
    if (decoded.kind !== 'request' || decoded.request.kind !== 'read') throw new Error('no read');
    this.asked += 1;
    const { request, transaction } = decoded;
    const words = new Uint16Array(300).fill(this.asked);
    const other = (fields: Partial<ReadRequest>): Uint8Array =>
      encodeRead(
        this.#framing,
        transaction,
        { ...request, ...fields },
        words.subarray(0, fields.count ?? request.count),
      );
    const reader = this.#reader;
    this.behave({
      request,
      transaction,
      answer: other({}),
      other,
      frame: (pdu, unit = request.unit) => wrap(this.#framing, transaction, unit, Uint8Array.from(pdu)),
      give: (part, afterMs = 1) => void this.clock.after(afterMs, () => reader?.give(Uint8Array.from(part))),
      end: (how) => void this.clock.after(2, () => reader?.end(how)),
    });
  }

  /** What a read came to: the number of the question that its registers answer, or a fault's code. */
  async read(
    fields: { readonly count?: number; readonly timeoutMs?: number } = {},
  ): Promise<number | string> {
    const { count = 8, timeoutMs = 4_000 } = fields;
    const ended: (number | string)[] = [];
    const deadlineMs = this.clock.monoMs() + timeoutMs;
    void this.line.read({ unit: 1, fc: 3, address: 0, count, deadlineMs }).then(
      ({ registers }) => {
        const [n = -1] = registers;
        ended.push(registers.length === count && registers.every((one) => one === n) ? n : 'mixed');
      },
      (error: unknown) =>
        ended.push(
          error instanceof ModbusException
            ? `exception ${error.exception}`
            : error instanceof Fault
              ? error.code
              : String(error),
        ),
    );
    while (ended.length === 0) await this.clock.advance(20);
    return ended[0] ?? '';
  }
}

/** Bytes that are no frame, the same each time. */
const noise = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 73 + 19) & 0xff);
const twice = (bytes: Uint8Array): Uint8Array => Uint8Array.from([...bytes, ...bytes]);
const changed = (bytes: Uint8Array, at: number, by = 1): Uint8Array =>
  bytes.map((byte, place) => (place === at ? (byte + by) & 0xff : byte));

/** What was seen of devices and gateways (and done to readers by it), one row each. */
const TABLE: Readonly<Record<string, { readonly wires?: readonly Wire[]; readonly behave: Behave }>> = {
  'FIN instead of an answer': { behave: ({ end }) => end('FIN') },
  'RST instead of an answer': { behave: ({ end }) => end('RST') },
  'a stall': { behave: () => undefined },
  'an answer that breaks off': { behave: ({ answer, give }) => give(answer.subarray(0, 9)) },
  'an answer that breaks off with FIN': {
    behave: ({ answer, give, end }) => {
      give(answer.subarray(0, 9));
      end('FIN');
    },
  },
  'another transaction id': { wires: ['tcp'], behave: ({ answer, give }) => give(changed(answer, 1)) },
  'a transaction id 256 further on': {
    wires: ['tcp'],
    behave: ({ answer, give }) => give(changed(answer, 0)),
  },
  'another protocol id': { wires: ['tcp'], behave: ({ answer, give }) => give(changed(answer, 3)) },
  'the answer of another unit': { behave: ({ other, give }) => give(other({ unit: 2 })) },
  'an exception of another unit': { behave: ({ frame, give }) => give(frame([0x83, 2], 2)) },
  'another function': { behave: ({ other, give }) => give(other({ fc: 4 })) },
  'an exception of another function': { behave: ({ frame, give }) => give(frame([0x84, 2])) },
  'identification with more to follow': {
    behave: ({ frame, give }) => give(frame([43, 14, 1, 1, 0xff, 1, 1, 0, 3, 65, 66, 67])),
  },
  'fewer registers than asked': { behave: ({ other, give }) => give(other({ count: 4 })) },
  'more registers than asked': { behave: ({ other, give }) => give(other({ count: 9 })) },
  'a byte count too small': { behave: ({ frame, give }) => give(frame([3, 2, ...noise(16)])) },
  'a byte count too big': { behave: ({ frame, give }) => give(frame([3, 200, ...noise(16)])) },
  'a length that is not true': { wires: ['tcp'], behave: ({ answer, give }) => give(changed(answer, 5, 2)) },
  'a bad checksum': {
    wires: ['rtu', 'serial'],
    behave: ({ answer, give }) => give(changed(answer, answer.length - 1)),
  },
  'noise that begins like an answer': {
    wires: ['rtu', 'serial'],
    behave: ({ give }) => give(Uint8Array.of(1, 3, 16, ...noise(18))),
  },
  '1 stray byte first': { behave: ({ answer, give }) => give(Uint8Array.of(7, ...answer)) },
  '5 stray bytes first': { behave: ({ answer, give }) => give(Uint8Array.of(...noise(5), ...answer)) },
  '64 stray bytes first': { behave: ({ answer, give }) => give(Uint8Array.of(...noise(64), ...answer)) },
  '5 stray bytes and no answer': { behave: ({ give }) => give(noise(5)) },
  'two answers in one piece': { behave: ({ answer, give }) => give(twice(answer)) },
  text: { behave: ({ give }) => give(new TextEncoder().encode('HTTP/1.1 400 Bad Request\r\n\r\n')) },
};

// Loaded before virtual time begins, which does not wait for a disk.
beforeAll(() => Promise.all([import('../../../host/line-serial.ts'), import('modbus-serial')]));

describe.each(WIRES)('on %s', (wire) => {
  const rows = Object.entries(TABLE).filter(([, { wires = WIRES }]) => wires.includes(wire));

  it.each(rows)('%s gives no value, and what is asked next is answered right', async (_name, { behave }) => {
    const b = new Bench(wire);
    expect(await b.read()).toBe(1);
    b.behave = behave;
    expect(await b.read({ timeoutMs: 900 })).toMatch(/^(NET|MODBUS|ANSWER)_[A-Z]+$/);
    b.behave = right;
    for (let turn = 0; turn < 5; turn += 1) expect(await b.read()).toBe(b.asked);
  });

  it('an answer that comes twice, the second time alone, is the answer to nothing', async () => {
    const b = new Bench(wire);
    b.behave = ({ answer, give }) => {
      give(answer);
      give(answer, 5);
    };
    expect(await b.read()).toBe(1);
    await b.clock.advance(30);
    b.behave = right;
    for (let turn = 0; turn < 5; turn += 1) expect(await b.read()).toBe(b.asked);
    expect(b.opened).toBe(2);
  });

  it('a late answer puts none of those after it one behind', async () => {
    const b = new Bench(wire);
    expect(await b.read()).toBe(1);
    b.behave = ({ answer, give }) => give(answer, 950);
    expect(await b.read({ timeoutMs: 900 })).toBe('NET_TIMEOUT');
    b.behave = right;
    for (let turn = 0; turn < 400; turn += 1) expect(await b.read()).toBe(b.asked);
  });

  it.each([2, 6, 11, 55])('exception %d is handed on, and the line stays', async (exception) => {
    const b = new Bench(wire);
    b.behave = ({ request, transaction, give }) =>
      give(encodeException(wire === 'tcp' ? 'tcp' : 'rtu', transaction, { ...request, exception }));
    expect(await b.read()).toBe(`exception ${exception}`);
    b.behave = right;
    expect(await b.read()).toBe(b.asked);
    expect(b.opened).toBe(1);
  });

  it('the longest answers are read, byte by byte too', async () => {
    const b = new Bench(wire);
    for (const count of [123, 124, 125]) expect(await b.read({ count })).toBe(b.asked);
    b.behave = ({ answer, give }) => answer.forEach((byte, at) => give(Uint8Array.of(byte), 1 + at / 10));
    expect(await b.read({ count: 125 })).toBe(4);
  });

  it('of many asked at once each gets its own, or is told that there were too many', async () => {
    const b = new Bench(wire);
    const ends = await Promise.all(Array.from({ length: 300 }, () => b.read({ timeoutMs: 30_000 })));
    const answered = ends.filter((end) => end !== 'QUEUE_FULL');
    expect(answered).toEqual(answered.map((_, at) => at + 1));
    expect(answered.length).toBeGreaterThan(60);
  });
});

import { describe, expect, it } from 'vitest';

import { ModbusException } from '../../../host/line-fault.ts';
import { makeLines } from '../../../host/line.ts';
import type { Line, LineRead, LineTarget } from '../../../host/line.ts';
import { seededRandom } from '../../../host/random.ts';
import { Fault } from '../../../protocols/faults.ts';
import type { Framing } from '../../../protocols/modbus/frame.ts';
import {
  decodeRequest,
  encodeException,
  encodeRead,
  encodeWritten,
} from '../../../protocols/modbus/serve.ts';
import { memoryNet, virtualTime } from './virtual-net.ts';
import type { MemoryNet, Peer, PeerEnd, VirtualTime } from './virtual-net.ts';

/** Registers that tell which question they answer: its number, then its address. */
type Behave = (
  answer: Uint8Array,
  end: PeerEnd,
  asked: { n: number; count: number; unit: number },
) => unknown;

interface Bench {
  readonly time: VirtualTime;
  readonly net: MemoryNet;
  readonly line: Line;
  readonly asked: () => number;
  readonly read: (fields?: Partial<LineRead> & { timeoutMs?: number }) => Promise<readonly number[]>;
  behave: Behave;
}

const prompt: Behave = (answer, end) => end.send(answer);

function bench(framing: Framing = 'tcp'): Bench {
  const time = virtualTime();
  let asked = 0;
  const peer: Peer = (all, end) => {
    const decoded = decodeRequest(framing, all);
    if (decoded.kind !== 'request') return decoded.kind === 'wait' ? 0 : all.length;
    const { request, transaction } = decoded;
    asked += 1;
    const count = request.kind === 'read' ? request.count : 0;
    const answer =
      request.kind === 'write'
        ? encodeWritten(framing, transaction, request)
        : encodeRead(
            framing,
            transaction,
            request,
            Array.from({ length: count }, (_, at) => (at === 0 ? asked & 0xffff : request.address)),
          );
    made.behave(answer, end, { n: asked, count, unit: request.unit });
    return decoded.consumed;
  };
  const net = memoryNet(time, peer);
  const lines = makeLines({ net, clock: time, random: seededRandom(7) });
  const line = lines.line({ framing, host: 'meter', port: 502 });
  const made: Bench = {
    time,
    net,
    line,
    asked: () => asked,
    behave: prompt,
    read: async ({ timeoutMs = 5_000, ...fields } = {}) => {
      const deadlineMs = time.monoMs() + timeoutMs;
      const answer = await line.read({ unit: 1, fc: 3, address: 40, count: 4, deadlineMs, ...fields });
      return [...answer.registers];
    },
  };
  return made;
}

const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof Fault ? error.code : String(error)),
  );

describe('a Modbus line', () => {
  it('has one question under way at a time and answers in order', async () => {
    const b = bench();
    let under = 0;
    b.behave = (answer, end) => {
      under += 1;
      expect(under).toBe(1);
      b.time.after(10, () => {
        under -= 1;
        end.send(answer, 0);
      });
    };
    const all = await b.time.settle(Promise.all([1, 2, 3].map(() => b.read())));
    expect(all.map(([n]) => n)).toEqual([1, 2, 3]);
    expect(b.net.opened).toBe(1);
  });

  it('dates an answer at the middle between asking and answering', async () => {
    const b = bench();
    b.behave = (answer, end) => end.send(answer, 20);
    const askedMs = b.time.wallMs();
    const deadlineMs = b.time.monoMs() + 500;
    const { atMs } = await b.time.settle(b.line.read({ unit: 1, fc: 3, address: 0, count: 2, deadlineMs }));
    expect(atMs).toBe(askedMs + 10);
  });

  it('puts bytes together that come one by one', async () => {
    const b = bench();
    b.behave = (answer, end) => answer.forEach((byte, at) => end.send(Uint8Array.of(byte), at));
    expect(await b.time.settle(b.read())).toEqual([1, 40, 40, 40]);
  });

  it('hands on what the device refuses and stays connected', async () => {
    const b = bench();
    b.behave = (answer, end) =>
      end.send(
        encodeException('tcp', ((answer[0] ?? 0) << 8) | (answer[1] ?? 0), { unit: 1, fc: 3, exception: 2 }),
      );
    const error: unknown = await b.time.settle(b.read().catch((caught: unknown) => caught));
    expect(error).toBeInstanceOf(ModbusException);
    expect(error).toMatchObject({ code: 'MODBUS_EXCEPTION', exception: 2 });
    b.behave = prompt;
    await b.time.settle(b.read());
    expect(b.net.opened).toBe(1);
  });

  it('drops the connection at a timeout, so that the late answer comes to nobody', async () => {
    const b = bench();
    b.behave = (answer, end) => end.send(answer, 700);
    expect(await b.time.settle(code(b.read({ timeoutMs: 500 })))).toBe('NET_TIMEOUT');
    b.behave = prompt;
    expect(await b.time.settle(b.read())).toEqual([2, 40, 40, 40]);
    expect(b.net.opened).toBe(2);
  });

  it('waits four times the usual answer time, 100 ms at least, and longer after each timeout', async () => {
    const b = bench();
    for (let turn = 0; turn < 30; turn += 1) await b.time.settle(b.read());
    b.behave = () => undefined;
    const waits: number[] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      await b.time.advance(5_000);
      const startMs = b.time.monoMs();
      expect(await b.time.settle(code(b.read({ timeoutMs: 10_000 })))).toBe('NET_TIMEOUT');
      waits.push(b.time.monoMs() - startMs);
    }
    expect(waits).toEqual([100, 400, 1600, 3000]);
  });

  it('never outlasts a deadline, in the queue neither', async () => {
    const b = bench();
    b.behave = () => undefined;
    const startMs = b.time.monoMs();
    const ends = [400, 150].map(async (timeoutMs) => {
      expect(await code(b.read({ timeoutMs }))).toBe('NET_TIMEOUT');
      return b.time.monoMs() - startMs;
    });
    expect(await b.time.settle(Promise.all(ends))).toEqual([400, 150]);
  });

  it('refuses more than its queue holds', async () => {
    const b = bench();
    const codes = Promise.all(Array.from({ length: 262 }, () => code(b.read())));
    expect((await b.time.settle(codes)).filter((one) => one === 'QUEUE_FULL')).toHaveLength(5);
  });

  it('refuses a request that no frame can hold', async () => {
    const b = bench();
    expect(await b.time.settle(code(b.read({ count: 126 })))).toBe('INTERNAL');
    expect(b.asked()).toBe(0);
  });

  it('backs off when nobody answers, tells why, and comes back within two seconds', async () => {
    const b = bench();
    b.net.refuse = new Fault('NET_REFUSED', 'meter:502');
    for (let turn = 0; turn < 200; turn += 1) {
      expect(await b.time.settle(code(b.read({ timeoutMs: 40 })))).toBe('NET_REFUSED');
      await b.time.advance(50);
    }
    expect(b.net.opened).toBeLessThan(20);
    b.net.refuse = undefined;
    const startMs = b.time.monoMs();
    await b.time.settle(b.read());
    expect(b.time.monoMs() - startMs).toBeLessThan(2_010);
  });

  it('asks again once when an idle connection had been closed, but never writes twice', async () => {
    for (const isWrite of [false, true]) {
      const b = bench();
      await b.time.settle(b.read());
      let closed = false;
      b.behave = (answer, end) => {
        if (closed) return end.send(answer);
        closed = true;
        return end.reset();
      };
      const deadlineMs = b.time.monoMs() + 1_000;
      const call = isWrite
        ? b.line.write({ unit: 1, fc: 16, address: 1, values: [1, 2], deadlineMs })
        : b.read();
      expect(await b.time.settle(code(call))).toBe(isWrite ? 'NET_RESET' : 'resolved');
      expect(b.asked()).toBe(isWrite ? 2 : 3);
    }
  });

  it('drops a connection on which bytes come without a question', async () => {
    const b = bench();
    await b.time.settle(b.read());
    b.net.last?.send(Uint8Array.of(1, 2, 3));
    await b.time.advance(10);
    expect(b.net.last?.open).toBe(false);
    expect(await b.time.settle(b.read())).toEqual([2, 40, 40, 40]);
  });

  it('refuses another framing on the same port', () => {
    const time = virtualTime();
    const lines = makeLines({ net: memoryNet(time, () => 0), clock: time, random: seededRandom(1) });
    const tcp: LineTarget = { framing: 'tcp', host: 'h', port: 502 };
    expect(lines.line(tcp)).toBe(lines.line({ ...tcp }));
    expect(() => lines.line({ ...tcp, framing: 'rtu' })).toThrow(/TARGET_INVALID/);
    expect(lines.line({ ...tcp, port: 503, framing: 'rtu' })).toBeDefined();
  });

  it('rejects what waits when it is closed', async () => {
    const b = bench();
    const lines = makeLines({ net: b.net, clock: b.time, random: seededRandom(1) });
    b.behave = () => undefined;
    const line = lines.line({ framing: 'tcp', host: 'x', port: 1 });
    const ask = (): Promise<string> =>
      code(line.read({ unit: 1, fc: 3, address: 0, count: 1, deadlineMs: b.time.monoMs() + 900 }));
    const both = Promise.all([ask(), ask()]);
    await b.time.advance(10);
    lines.close();
    expect(await b.time.settle(both)).toEqual(['NET_RESET', 'NET_RESET']);
    expect(await b.time.settle(ask())).toBe('NET_RESET');
  });
});

describe('a line without transaction ids', () => {
  it('keeps silent after a timeout and tests the line with a question of another length', async () => {
    const b = bench('rtu');
    const counts: number[] = [];
    b.behave = (answer, end, { count, n }) => {
      counts.push(count);
      // The gateway sends the first answer late, into whichever connection is there.
      if (n > 1) end.send(answer);
      else b.time.after(1_000, () => b.net.last?.send(answer, 0));
    };
    expect(await b.time.settle(code(b.read({ timeoutMs: 900 })))).toBe('NET_TIMEOUT');
    const startMs = b.time.monoMs();
    expect(await b.time.settle(b.read())).toEqual([3, 40, 40, 40]);
    expect(b.time.monoMs() - startMs).toBeGreaterThanOrEqual(300);
    expect(counts[1]).not.toBe(4);
  });

  it('asks in its test of the line for what no old answer has, however many are owed', async () => {
    const b = bench('rtu');
    const asked: number[] = [];
    const held: Uint8Array[] = [];
    // The device is busy for long: all it was asked comes in order, as soon as it is free.
    b.behave = (answer, end, { count }) => {
      asked.push(count);
      held.push(Uint8Array.from(answer));
      if (asked.length >= 5) for (const one of held.splice(0)) end.send(one);
    };
    for (let turn = 0; turn < 12; turn += 1) {
      const values = await b.time.settle(b.read({ timeoutMs: 4_000 }).catch(() => undefined));
      if (values) expect(values[0]).toBe(b.asked() & 0xffff);
    }
    expect(new Set(asked.slice(0, 5)).size).toBe(5);
    expect(await b.time.settle(b.read())).toEqual([b.asked() & 0xffff, 40, 40, 40]);
  });

  it('takes a refusal of its test for an answer only when nothing follows it', async () => {
    for (const follows of [true, false]) {
      const b = bench('rtu');
      b.behave = () => undefined;
      expect(await b.time.settle(code(b.read({ timeoutMs: 400 })))).toBe('NET_TIMEOUT');
      const refusal = encodeException('rtu', 0, { unit: 1, fc: 3, exception: 2 });
      b.behave = (answer, end, { count }) => {
        if (count === 4) return end.send(answer);
        end.send(refusal);
        return follows ? end.send(refusal, 20) : undefined;
      };
      const read = b.time.settle(code(b.read({ timeoutMs: 2_000 })));
      expect(await read).toBe(follows ? 'MODBUS_DESYNC' : 'resolved');
    }
  });

  it('keeps silent, too, after bytes that nobody asked for', async () => {
    const b = bench('rtu');
    await b.time.settle(b.read());
    b.net.last?.send(Uint8Array.of(1, 3, 2));
    await b.time.advance(10);
    const startMs = b.time.monoMs();
    await b.time.settle(b.read());
    expect(b.time.monoMs() - startMs).toBeGreaterThanOrEqual(300);
  });

  it('does not let a dead unit stand in the way of its neighbours', async () => {
    const b = bench('rtu');
    b.behave = (answer, end, { unit }) => {
      if (unit !== 9) end.send(answer);
    };
    for (let turn = 0; turn < 5; turn += 1) {
      expect(await b.time.settle(code(b.read({ unit: 9, timeoutMs: 500 })))).toBe('NET_TIMEOUT');
      await b.time.settle(b.read({ unit: 1, timeoutMs: 800 }));
    }
  });
});

/** One device that does everything wrong that a device or gateway has been seen to do. */
function misbehave(random: () => number, b: Bench, framing: Framing): Behave {
  let busyUntilMs = 0;
  return (answer, end) => {
    const nowMs = b.time.monoMs();
    if (framing === 'rtu' && busyUntilMs > nowMs) {
      // A serial device answers in order: behind a late answer all others are late too, whoever is connected by then.
      b.time.after(busyUntilMs - nowMs, () => b.net.last?.send(answer, 0));
      return undefined;
    }
    const broken = Uint8Array.from(answer);
    const at = Math.floor(random() * broken.length);
    switch (Math.floor(random() * 24)) {
      case 0:
        busyUntilMs = nowMs + random() * 8_000;
        b.time.after(busyUntilMs - nowMs, () => (framing === 'tcp' ? end : b.net.last)?.send(answer, 0));
        return undefined;
      case 1:
        return undefined;
      case 2:
        return end.reset();
      case 3:
        return end.fin();
      case 4:
        end.send(broken.slice(0, at));
        return random() < 0.5 ? end.fin() : undefined;
      case 5:
        return end.send(Uint8Array.from([...broken, ...broken]));
      case 6:
        // Registers of a TCP frame carry no checksum: only what the header says can be broken and seen.
        broken[framing === 'tcp' ? at % 9 : at] = Math.floor(random() * 256);
        return end.send(broken);
      case 7:
        return end.send(Uint8Array.from({ length: 1 + at }, () => Math.floor(random() * 256)));
      case 8:
        end.send(answer);
        // Never inside a frame: what stands there cannot be told from data when there is no checksum.
        return end.send(Uint8Array.of(0, 1, 2, 3));
      case 9:
        return end.send(Uint8Array.from([0, ...answer]));
      default:
        return answer.forEach((byte, index) => end.send(Uint8Array.of(byte), index * 0.01));
    }
  };
}

describe('a device that does everything wrong', () => {
  it.each<[Framing, number]>([
    ['tcp', 1],
    ['tcp', 2],
    ['rtu', 3],
    ['rtu', 4],
  ])(
    '%s, seed %d: never a wrong value, always an end, and recovery',
    async (framing, seed) => {
      const random = seededRandom(seed);
      const b = bench(framing);
      const wrong = misbehave(() => random.next(), b, framing);
      b.behave = wrong;
      let good = 0;
      for (let turn = 0; turn < 1_500; turn += 1) {
        const count = random.next() < 0.7 ? 8 : 1 + Math.floor(random.next() * 20);
        const address = Math.floor(random.next() * 3) * 100;
        const startMs = b.time.monoMs();
        const values = await b.time.settle(
          b.read({ count, address, timeoutMs: 2_000 }).catch(() => undefined),
        );
        expect(b.time.monoMs() - startMs).toBeLessThanOrEqual(2_000.001);
        await b.time.advance(random.next() * 200);
        if (!values) continue;
        good += 1;
        expect(values).toHaveLength(count);
        expect(values[0]).toBe(b.asked() & 0xffff);
        expect(values.slice(1).every((value) => value === address)).toBe(true);
      }
      expect(good).toBeGreaterThan(framing === 'tcp' ? 700 : 100);
      b.behave = prompt;
      await b.time.advance(10_000);
      for (let turn = 0; turn < 3; turn += 1) {
        await b.time.settle(b.read({ timeoutMs: 4_000 }).catch(() => undefined));
      }
      expect(await b.time.settle(b.read())).toHaveLength(4);
    },
    20_000,
  );
});

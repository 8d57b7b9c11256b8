import { describe, expect, it } from 'vitest';

import { makeLines } from '../../../host/line.ts';
import type { Line } from '../../../host/line.ts';
import type { Urgency } from '../../../host/line-queue.ts';
import { seededRandom } from '../../../host/random.ts';
import { Fault } from '../../../protocols/faults.ts';
import { decodeRequest, encodeRead } from '../../../protocols/modbus/serve.ts';
import { memoryNet, virtualTime } from './virtual-net.ts';
import type { Peer, VirtualTime } from './virtual-net.ts';

const BAUD = 38_400;
const CHAR_MS = (1_000 * 10) / BAUD;
const TURNAROUND_MS = 10;
/** A question, its answer and 3.5 characters of silence behind each, with the meter's turnaround between. */
const wireMs = (count: number): number => (8 + 5 + 2 * count + 7) * CHAR_MS + TURNAROUND_MS;

interface Bus {
  readonly time: VirtualTime;
  readonly line: Line;
  /** When a question came, and to whom. */
  readonly asked: { readonly atMs: number; readonly unit: number; readonly count: number }[];
  readonly dead: Set<number>;
  /** Units that take longer than the others, ms more. */
  readonly slow: Map<number, number>;
  /** When each unit answered the first time after it was cleared. */
  readonly heardMs: Map<number, number>;
  read(unit: number, urgency?: Urgency, count?: number): Promise<'answered' | Fault>;
}

/** A gateway with meters on a serial line behind it, which takes its time for every character. */
function bus(): Bus {
  const time = virtualTime();
  const asked: Bus['asked'] = [];
  const dead = new Set<number>();
  const slow: Bus['slow'] = new Map();
  const heardMs: Bus['heardMs'] = new Map();
  let freeMs = 0;
  const peer: Peer = (all, end) => {
    const decoded = decodeRequest('rtu', all);
    if (decoded.kind !== 'request' || decoded.request.kind !== 'read')
      return decoded.kind === 'wait' ? 0 : all.length;
    const { request } = decoded;
    const startMs = Math.max(time.monoMs(), freeMs);
    asked.push({ atMs: startMs, unit: request.unit, count: request.count });
    const words = Array.from({ length: request.count }, () => request.unit);
    freeMs = startMs + wireMs(request.count) + (slow.get(request.unit) ?? 0);
    if (dead.has(request.unit)) freeMs = startMs + (8 + 3.5) * CHAR_MS;
    else end.send(encodeRead('rtu', decoded.transaction, request, words), freeMs - time.monoMs());
    return decoded.consumed;
  };
  const lines = makeLines({ net: memoryNet(time, peer), clock: time, random: seededRandom(11) });
  const line = lines.line({ framing: 'rtu', host: 'gateway', port: 502 });
  return {
    time,
    line,
    asked,
    dead,
    slow,
    heardMs,
    read: async (unit, urgency = 'fast', count = 54) => {
      const deadlineMs = time.monoMs() + 15_000;
      try {
        const { registers } = await line.read({ unit, fc: 4, address: 0, count, deadlineMs, urgency });
        expect([...registers]).toEqual(Array.from({ length: count }, () => unit));
        if (!heardMs.has(unit)) heardMs.set(unit, time.monoMs());
        return 'answered';
      } catch (error) {
        if (error instanceof Fault) return error;
        throw error;
      }
    },
  };
}

const UNITS = Array.from({ length: 32 }, (_, index) => index + 1);

/** Every unit is asked again `againMs` after its answer, for `forMs`. */
async function sweepFor(b: Bus, forMs: number, againMs = 1): Promise<Map<number, number>> {
  const untilMs = b.time.monoMs() + forMs;
  const answers = new Map<number, number>();
  const lane = async (unit: number): Promise<void> => {
    while (b.time.monoMs() < untilMs) {
      const isAnswered = (await b.read(unit)) === 'answered';
      if (isAnswered) answers.set(unit, (answers.get(unit) ?? 0) + 1);
      await new Promise<void>((resolve) => b.time.after(isAnswered ? againMs : 500, resolve));
    }
  };
  await b.time.settle(Promise.all(UNITS.map(lane)));
  return answers;
}

describe('a serial line of 32 meters', () => {
  it('is swept in 1.2 times what its characters take', async () => {
    const b = bus();
    await b.time.settle(b.read(1));
    const startMs = b.time.monoMs();
    expect(await b.time.settle(Promise.all(UNITS.map((unit) => b.read(unit))))).toEqual(
      UNITS.map(() => 'answered'),
    );
    expect((b.time.monoMs() - startMs) / (UNITS.length * wireMs(54))).toBeLessThan(1.2);
  });

  it('loses a twentieth of its time to a dead meter, not more', async () => {
    const healthy = bus();
    const found = await sweepFor(healthy, 10_000);
    const good = await sweepFor(healthy, 120_000);
    const b = bus();
    b.dead.add(9);
    const finding = await sweepFor(b, 10_000);
    const withDead = await sweepFor(b, 120_000);
    const sum = (answers: Map<number, number>): number =>
      [...answers].reduce((total, [unit, count]) => total + (unit === 9 ? 0 : count), 0);
    // The dead one's own time goes to the others: by wire time alone they would have more, not less.
    const share = 1 - (sum(withDead) / sum(good)) * (31 / 32);
    expect(share).toBeLessThan(0.05);
    // To find out that it is dead takes 2.5 s of the line.
    expect(10_000 * (1 - (sum(finding) / sum(found)) * (31 / 32))).toBeLessThan(2_500);
    expect(withDead.get(9)).toBeUndefined();
  });

  it('says why a dead meter is not asked, and when it will be', async () => {
    const b = bus();
    await b.time.settle(Promise.all(UNITS.map((unit) => b.read(unit))));
    b.dead.add(9);
    for (let turn = 0; turn < 8; turn += 1) {
      await b.time.settle(Promise.all(UNITS.map((unit) => b.read(unit))));
      await b.time.advance(1_000);
    }
    // That may be the try which is due.
    await b.time.settle(b.read(9));
    const before = b.asked.length;
    const answer = await b.time.settle(b.read(9));
    expect(answer).toMatchObject({ code: 'NET_TIMEOUT' });
    expect(String(answer)).toMatch(/unit 9 did not answer \d+ times .*next try in \d+ ms/);
    expect(b.asked.length).toBe(before);
  });

  it('has a meter back that answers again, with the next try', async () => {
    const b = bus();
    b.dead.add(9);
    await sweepFor(b, 30_000, 500);
    b.dead.delete(9);
    const answers = await sweepFor(b, 62_000, 500);
    expect(answers.get(9)).toBeGreaterThan(1);
  });

  it('has half of its meters back, that fell silent together, as soon as one of them is found', async () => {
    const b = bus();
    await sweepFor(b, 20_000, 500);
    for (const unit of UNITS.slice(16)) b.dead.add(unit);
    await sweepFor(b, 60_000, 500);
    b.dead.clear();
    b.heardMs.clear();
    const backMs = b.time.monoMs();
    await sweepFor(b, 60_000, 500);
    const foundMs = UNITS.slice(16).map((unit) => (b.heardMs.get(unit) ?? Infinity) - backMs);
    expect(Math.min(...foundMs)).toBeLessThan(20_000);
    expect(Math.max(...foundMs) - Math.min(...foundMs)).toBeLessThan(2_500);
  });

  it('calls those that fell silent together once, however often one of them comes and goes', async () => {
    const b = bus();
    await sweepFor(b, 20_000, 500);
    for (const unit of UNITS.slice(16)) b.dead.add(unit);
    await sweepFor(b, 60_000, 500);
    const tries = (): number => b.asked.filter(({ unit }) => unit > 17).length;
    const counts: number[] = [];
    for (let turn = 0; turn < 4; turn += 1) {
      const before = tries();
      b.dead.delete(17);
      await sweepFor(b, 60_000, 500);
      b.dead.add(17);
      await sweepFor(b, 60_000, 500);
      counts.push(tries() - before);
    }
    // Each of the other 15 once more at first, then what the twentieth allows.
    expect(counts[0]).toBeLessThan(15 + 12);
    expect(Math.max(...counts.slice(1))).toBeLessThan(12);
  });

  it('finds a meter that takes 1.8 s within a minute, without leaving the others', async () => {
    const b = bus();
    b.slow.set(9, 1_800);
    const startMs = b.time.monoMs();
    const answers = await sweepFor(b, 60_000, 1_000);
    expect((b.heardMs.get(9) ?? Infinity) - startMs).toBeLessThan(60_000);
    expect(answers.get(9)).toBeGreaterThan(3);
    // Each of its answers takes the line for 1.8 s: the others wait, each as long as any other.
    const others = UNITS.filter((unit) => unit !== 9).map((unit) => answers.get(unit) ?? 0);
    expect(Math.min(...others)).toBeGreaterThan(20);
  });

  it('asks what is urgent next, whatever waits', async () => {
    const b = bus();
    const all = [
      b.read(1, 'slow', 100),
      ...UNITS.map((unit) => b.read(unit, 'slow', 100)),
      b.read(7, 'normal', 20),
      b.read(5, 'fast', 10),
      b.line
        .write({ unit: 3, fc: 6, address: 1, values: [1], deadlineMs: b.time.monoMs() + 50 })
        .catch(String),
    ];
    await b.time.settle(Promise.all(all));
    // The first was under way, the write has no answer here and is not seen by the peer as a read.
    expect(b.asked.slice(0, 4).map(({ count }) => count)).toEqual([100, 10, 20, 100]);
  });
});

import { describe, expect, it } from 'vitest';

import { MappedMeter } from '../../../../agent/drivers/modbus-mapped.ts';
import type { DeviceIo, KeptHoles } from '../../../../agent/driver.ts';
import { profileSchema } from '../../../../config/schema/profile.ts';
import { silentLog } from '../../../../host/log.ts';
import { makeLines } from '../../../../host/line.ts';
import { seededRandom } from '../../../../host/random.ts';
import { decodeRequest, encodeException, encodeRead } from '../../../../protocols/modbus/serve.ts';
import { memoryNet, virtualTime } from '../../host/virtual-net.ts';
import type { Peer } from '../../host/virtual-net.ts';

const point = (q: string, addr: number, agreed: object = {}): object => ({
  q,
  addr,
  type: 'uint16',
  scale: 1,
  unit: 'V',
  class: 'fast',
  agree: 'yes',
  src: ['s'],
  ...agreed,
});

const profile = profileSchema.parse({
  id: 'toy',
  vendor: 'toy',
  models: ['toy'],
  fc: 3,
  wordOrder: 'msw',
  limits: { maxRegisters: 60, evenCount: false, maxGap: 30 },
  identity: {
    expect: { at: { addr: 500, type: 'uint16' }, oneOf: [1, 2] },
    serial: { addr: 500, type: 'uint16' },
  },
  invalid: {},
  points: [
    point('voltage.L1N', 0),
    point('voltage.L2N', 20),
    point('voltage.L3N', 40),
    point('voltage.L1L2', 46),
  ],
  sums: [],
  sources: { s: 'this test' },
  notes: [],
});

/** A meter that has nothing between 21 and 39, nor at 46; it says how often it refused. */
function bench() {
  const time = virtualTime();
  const counts = { refused: 0, asked: 0, serial: 0 };
  const state = { serial: 1, refusesAll: false, isSerialMute: false };
  const book = new Map<string, KeptHoles>();
  const peer: Peer = (all, end) => {
    const decoded = decodeRequest('tcp', all);
    if (decoded.kind !== 'request' || decoded.request.kind !== 'read') return all.length;
    const { request, transaction, consumed } = decoded;
    counts.asked += 1;
    const holds = (at: number): boolean => request.address <= at && at < request.address + request.count;
    if (holds(500)) counts.serial += 1;
    if (state.isSerialMute && holds(500)) return consumed;
    if (state.refusesAll || holds(30) || holds(46)) {
      counts.refused += 1;
      end.send(encodeException('tcp', transaction, { unit: request.unit, fc: request.fc, exception: 2 }));
    } else {
      const value = request.address === 500 ? state.serial : 230;
      end.send(
        encodeRead(
          'tcp',
          transaction,
          request,
          Array.from({ length: request.count }, () => value),
        ),
      );
    }
    return consumed;
  };
  const net = memoryNet(time, peer);
  const absent = { request: () => Promise.reject(new Error()), open: () => Promise.reject(new Error()) };
  const open = (): MappedMeter => {
    const lines = makeLines({ net, clock: time, random: seededRandom(1) });
    const io: DeviceIo = {
      clock: time,
      random: seededRandom(1),
      net,
      lines,
      http: absent,
      remote: absent,
      log: silentLog,
      holes: { of: (meter) => book.get(meter), keep: (meter, holes) => book.set(meter, holes) },
    };
    const target = { url: 'modbus://m/1', scheme: 'modbus', host: 'm', port: 502 };
    return new MappedMeter({
      target: { ...target, user: undefined, password: undefined, path: '1', options: {} },
      unit: 1,
      line: lines.line({ framing: 'tcp', host: 'm', port: 502 }),
      io,
      profile,
      furtherBy: 0,
      channel: undefined,
      inverted: false,
      frozenMs: 0,
    });
  };
  const refusedBy = async (meter: MappedMeter): Promise<number> => {
    const before = counts.refused;
    const readings = await time.settle(meter.read('full', 4_000));
    for (const q of ['voltage.L1N', 'voltage.L2N', 'voltage.L3N'])
      expect(readings[q]).toMatchObject({ ok: true, value: 230 });
    expect(readings['voltage.L1L2']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    return counts.refused - before;
  };
  return { time, counts, state, book, open, refusedBy };
}

describe('what a meter refuses', () => {
  it('is found once, and known after a restart', async () => {
    const b = bench();
    const meter = b.open();
    expect(await b.refusedBy(meter)).toBeGreaterThan(1);
    expect(await b.refusedBy(meter)).toBe(0);
    // A point is believed to be lacking after its second refusal: a meter that is starting refuses what it has.
    await b.time.advance(31_000);
    expect(await b.refusedBy(meter)).toBe(1);
    expect(await b.refusedBy(b.open())).toBe(0);
    expect(b.book.get('modbus://m/1')?.absent).toEqual(['voltage.L1L2']);
  });

  it('is asked for again, more and more rarely', async () => {
    const b = bench();
    const meter = b.open();
    await b.refusedBy(meter);
    const again: number[] = [];
    for (let minute = 0; minute < 60; minute += 1) {
      await b.time.advance(60_000);
      again.push(await b.refusedBy(meter));
    }
    expect(again.slice(0, 15).filter((refused) => refused > 0).length).toBeGreaterThan(1);
    expect(again.slice(30).filter((refused) => refused > 0)).toEqual([]);
  });

  it('is forgotten when another device answers', async () => {
    const b = bench();
    await b.refusedBy(b.open());
    b.state.serial = 2;
    expect(await b.refusedBy(b.open())).toBeGreaterThan(1);
  });

  it.each(['has told all it has', 'was never heard'])(
    'is soon asked for again of a meter that %s',
    async (what) => {
      const b = bench();
      const meter = b.open();
      if (what === 'has told all it has') await b.refusedBy(meter);
      b.state.refusesAll = true;
      for (let second = 0; second < 900; second += 10) {
        await b.time.settle(meter.read(second % 100 === 0 ? 'full' : 'fast', 1_500));
        await b.time.advance(10_000);
      }
      b.state.refusesAll = false;
      await b.time.advance(31_000);
      await b.refusedBy(meter);
    },
  );
});

describe('a meter that is asked again who it is', () => {
  it('is read on when it does not say', async () => {
    const b = bench();
    const meter = b.open();
    await b.refusedBy(meter);
    b.state.isSerialMute = true;
    meter.doubtSetup();
    const before = b.counts.serial;
    for (let second = 0; second < 30; second += 1) {
      expect(await b.time.settle(meter.read('fast', 1_500))).toMatchObject({ 'voltage.L1N': { ok: true } });
      await b.time.advance(1_000);
    }
    // Each costs the line a time limit, and what it is silent for afterwards.
    expect(b.counts.serial - before).toBeLessThan(8);
  });

  it('gives no value more once it is another than its profile is for', async () => {
    const b = bench();
    const meter = b.open();
    await b.refusedBy(meter);
    b.state.serial = 3;
    await b.time.advance(700_000);
    await expect(b.time.settle(meter.read('full', 1_500))).rejects.toMatchObject({ code: 'DEVICE_OTHER' });
    await expect(b.time.settle(meter.read('fast', 1_500))).rejects.toMatchObject({ code: 'DEVICE_OTHER' });
  });
});

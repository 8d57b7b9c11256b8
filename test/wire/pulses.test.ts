/** A KYZ output counted by a remote I/O: an independent Modbus server, written to by an independent master. */
import { afterAll, expect, it } from 'vitest';
import { parseTarget } from '../../agent/target.ts';
import { startEnergy } from '../../agent/energy.ts';
import { makeKeeper } from '../../agent/kept.ts';
import { makeLease } from '../../agent/core/lease.ts';
import { buildPlant, tryOpen } from '../../agent/plant.ts';
import { siteSchema } from '../../config/schema/site.ts';
import { resolveSite } from '../../config/site.ts';
import { MemoryDisk } from '../../host/memory-disk.ts';
import { VirtualClock } from '../../proof/virtual-clock.ts';
import type { IntervalEnergy } from '../../protocols/mqtt/energy.ts';
import { closeAll, hasPeer, mbpoll, startPeer, wireIo } from './modbus-rigs.ts';

const PYTHON = '/usr/bin/python3';
const both = it.skipIf(!hasPeer('mbpoll', ['-V']) || !hasPeer(PYTHON, ['-c', 'import pymodbus.datastore']));

afterAll(closeAll);

const MIN_MS = 60_000;
const READ_MS = 10_000;
const START_MS = Date.UTC(2026, 2, 8, 6);
const COUNTER = 100;
/** 0.5 kWh a change-over; the I/O counts every second one. */
const WH_PER_COUNT = 1_000;

const siteAt = (port: number) =>
  resolveSite(
    siteSchema.parse({
      schema: 1,
      site: 'demo',
      nodes: [{ id: 'main', kind: 'site', capKw: 2_000 }],
      meters: [
        {
          id: 'm-utility',
          node: 'main',
          target: 'modbus://127.0.0.1:9/1?profile=schneider-pm5xxx',
          revenue: {
            intervalMin: 5,
            timeZone: 'America/Chicago',
            pulses: {
              target: `modbus://127.0.0.1:${port}/3`,
              periodMs: READ_MS,
              import: {
                kind: 'input',
                address: COUNTER,
                type: 'uint32',
                whPerPulse: 500,
                form: 'KYZ',
                edges: 1,
              },
            },
          },
        },
      ],
      prices: {
        hash: { url: 'http://127.0.0.1:9/', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
      },
    }),
    new Map(),
  );

/** An agent's revenue meters on virtual time, reading over real sockets; what they publish, and a reading at a time. */
function rig(port: number) {
  const wire = wireIo();
  let answers = 0;
  const line = (target: Parameters<typeof wire.lines.line>[0]) => {
    const own = wire.lines.line(target);
    const read: typeof own.read = (question) => own.read(question).finally(() => (answers += 1));
    return { ...own, read };
  };
  const clock = new VirtualClock({ startWallMs: START_MS - READ_MS });
  const site = siteAt(port);
  const published: IntervalEnergy[] = [];
  const raised: string[] = [];
  const say = (code: string, subject: string): void => void raised.push(`${code} ${subject}`);
  const alarms = { raise: say, clear: () => undefined, tell: say };
  const notRead = (): never => {
    throw new Error('only its pulses are read here');
  };
  const energy = startEnergy({
    site,
    clock,
    alarms,
    plant: buildPlant(site, 'a1', () => tryOpen(notRead, ''), 0),
    lease: makeLease({ agent: 'a1', t1Ms: 5_000, t2Ms: 60_000, racks: [], durableEpoch: 0, nowMs: 0 }),
    keeper: makeKeeper({
      disk: new MemoryDisk({ clock, syncMs: () => 1 }),
      clock,
      alarms,
      agent: 'a1',
      dataDir: '/data',
    }),
    io: { clock: wire.clock, lines: { line, close: () => undefined } },
    target: (url) => parseTarget(url, { env: {} }),
    say: (intervals) => published.push(...intervals),
    keptFrom: () => 0,
  });
  return {
    published,
    raised,
    stop: () => energy.stop(),
    /** The first reading, of the agent's start. */
    begin: async () => {
      await clock.advance(0);
      await expect.poll(() => answers, { interval: 2, timeout: 5_000 }).toBe(1);
    },
    /** Reads until this moment. */
    until: async (wallMs: number) => {
      while (clock.wallMs() < wallMs) {
        const before = answers;
        await clock.advance(READ_MS);
        await expect.poll(() => answers, { interval: 2, timeout: 5_000 }).toBe(before + 1);
        energy.tick();
      }
    },
    nowMs: () => clock.wallMs(),
  };
}

both(
  'its energy stands in intervals, over the end of the counter, a misreading and a reset',
  async () => {
    const port = Number(await startPeer(PYTHON, 'modbus_server.py', ['tcp', '3']));
    const at = ['-a', '3', '-t', '4', '-r', String(COUNTER), '127.0.0.1'];
    const set = (count: number): Promise<string> =>
      mbpoll(port, [...at, `${Math.floor(count / 0x1_0000)}`, `${count % 0x1_0000}`]);
    await set(2 ** 32 - 8);
    const meter = rig(port);
    const readAt = async (...counts: readonly number[]): Promise<void> => {
      for (const count of counts) {
        await set(count);
        await meter.until(meter.nowMs() + READ_MS);
      }
    };
    await meter.begin();
    await meter.until(START_MS);
    // Over the end of 32 bits; and a number that was never there.
    await readAt(2 ** 32 - 4, 0, 4, 900_000, 12);
    await meter.until(START_MS + 6 * MIN_MS);
    // Set to 0 by whoever changed the module: what flowed meanwhile nobody counted.
    await readAt(0, 3);
    await meter.until(START_MS + 10 * MIN_MS + READ_MS);
    meter.stop();
    const { published } = meter;
    expect(published.map(({ quality, method, revision }) => [quality, method, revision])).toEqual([
      ['missing', 'pulses', 1],
      ['good', 'pulses', 1],
      ['estimated', 'pulses', 1],
    ]);
    expect(published[1]).toMatchObject({ startMs: START_MS, importWh: 20 * WH_PER_COUNT, estimatedWh: 0 });
    expect(published[2]).toMatchObject({ importWh: 3 * WH_PER_COUNT });
    expect(published[2]?.why).toContain('set back');
    expect(meter.raised).toContain('ENERGY_ESTIMATED m-utility');
  },
  60_000,
);

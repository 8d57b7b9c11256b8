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
import { seededRandom } from '../../host/random.ts';
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

both(
  'its energy stands in intervals, over the end of the counter, a misreading and a reset',
  async () => {
    const port = Number(await startPeer(PYTHON, 'modbus_server.py', ['tcp', '3']));
    const set = (count: number): Promise<string> =>
      mbpoll(port, [
        ...['-a', '3', '-t', '4', '-r', String(COUNTER), '127.0.0.1'],
        ...[Math.floor(count / 0x1_0000), count % 0x1_0000].map(String),
      ]);
    await set(2 ** 32 - 8);
    const wire = wireIo();
    let answers = 0;
    const io = {
      clock: wire.clock,
      lines: {
        line: (target: Parameters<typeof wire.lines.line>[0]) => {
          const line = wire.lines.line(target);
          const read: typeof line.read = (question) => line.read(question).finally(() => (answers += 1));
          return { ...line, read };
        },
        close: () => undefined,
      },
    };
    const clock = new VirtualClock({ startWallMs: START_MS - READ_MS });
    const site = siteAt(port);
    const published: IntervalEnergy[] = [];
    const alarms: string[] = [];
    const say = (code: string, subject: string): void => void alarms.push(`${code} ${subject}`);
    const energy = startEnergy({
      site,
      plant: buildPlant(
        site,
        'a1',
        () =>
          tryOpen(() => {
            throw new Error('not read here');
          }, ''),
        0,
      ),
      clock,
      lease: makeLease({ agent: 'a1', t1Ms: 5_000, t2Ms: 60_000, racks: [], durableEpoch: 0, nowMs: 0 }),
      alarms: { raise: say, clear: () => undefined, tell: say },
      keeper: makeKeeper({
        disk: new MemoryDisk({ clock, syncMs: () => 1 }),
        clock,
        alarms: { raise: say, clear: () => undefined, tell: say },
        agent: 'a1',
        dataDir: '/data',
      }),
      io,
      target: (url) => parseTarget(url, { env: {} }),
      say: (intervals) => published.push(...intervals),
      keptFrom: () => 0,
    });
    /** One more reading, with the counter where it is. */
    const next = async (): Promise<void> => {
      const before = answers;
      await clock.advance(READ_MS);
      await expect.poll(() => answers, { interval: 2, timeout: 5_000 }).toBe(before + 1);
      energy.tick();
    };
    const readAt = async (count: number): Promise<void> => {
      await set(count);
      await next();
    };
    await clock.advance(0);
    await expect.poll(() => answers).toBe(1);
    await next();
    // Over the end of 32 bits; and a number that was never there.
    for (const count of [2 ** 32 - 4, 0, 4, 900_000, 12]) await readAt(count);
    while (clock.wallMs() < START_MS + 6 * MIN_MS) await next();
    // Set to 0 by whoever changed the module: what flowed meanwhile nobody counted.
    await readAt(0);
    await readAt(3);
    while (clock.wallMs() < START_MS + 10 * MIN_MS + READ_MS) await next();
    energy.stop();
    expect(published.map(({ quality, method, revision }) => [quality, method, revision])).toEqual([
      ['missing', 'pulses', 1],
      ['good', 'pulses', 1],
      ['estimated', 'pulses', 1],
    ]);
    expect(published[1]).toMatchObject({ startMs: START_MS, importWh: 20 * WH_PER_COUNT, estimatedWh: 0 });
    expect(published[2]).toMatchObject({
      importWh: 3 * WH_PER_COUNT,
      why: expect.stringContaining('set back') as string,
    });
    expect(alarms).toContain('ENERGY_ESTIMATED m-utility');
  },
  60_000,
);

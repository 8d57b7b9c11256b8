/** Revenue meters whose source, or clock, fails them. */
import { expect, test } from 'vitest';
import { makeLease } from '../../../agent/core/lease.ts';
import { startEnergy } from '../../../agent/energy.ts';
import { makeKeeper } from '../../../agent/kept.ts';
import { buildPlant, tryOpen } from '../../../agent/plant.ts';
import { parseTarget } from '../../../agent/target.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import type { Site } from '../../../config/site.ts';
import type { Line } from '../../../host/line.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { Fault } from '../../../protocols/faults.ts';
import type { IntervalEnergy } from '../../../protocols/mqtt/energy.ts';
import type { Reading } from '../../../protocols/reading.ts';

const MIN_MS = 60_000;
const START_MS = Date.UTC(2026, 2, 8, 6);
/** 1.2 MW, at 100 Wh a pulse. */
const MS_PER_PULSE = 300;

const siteWith = (pulses: object): Site =>
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
            ...pulses,
          },
        },
      ],
      prices: {
        hash: { url: 'http://127.0.0.1:9/', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
      },
    }),
    new Map(),
  );

const notAsked = (): never => {
  throw new Error('nobody asks that here');
};

/** An agent's revenue meters on virtual time, and what they publish. */
function rig(site: Site, clock: VirtualClock, read: Line['read']) {
  const line = { name: '', read, write: notAsked, costOf: notAsked, onLost: notAsked };
  const published: IntervalEnergy[] = [];
  const alarms = { raise: () => undefined, clear: () => undefined, tell: () => undefined };
  const disk = new MemoryDisk({ clock, syncMs: () => 1 });
  const lease = makeLease({ agent: 'a1', t1Ms: 5_000, t2Ms: 60_000, racks: [], durableEpoch: 0, nowMs: 0 });
  const energy = startEnergy({
    site,
    clock,
    alarms,
    plant: buildPlant(site, 'a1', () => tryOpen(notAsked, ''), 0),
    lease,
    keeper: makeKeeper({ disk, clock, alarms, agent: 'a1', dataDir: '/data' }),
    io: { clock, lines: { line: () => line, close: notAsked } },
    target: (url) => parseTarget(url, { env: {} }),
    say: (intervals) => published.push(...intervals),
    keptFrom: () => 0,
  });
  return { energy, published, lease };
}

test('while their counter is not read nothing is counted: what it shows behind the gap is an estimate in its split', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS - 1_000 });
  const isAway = (): boolean =>
    clock.wallMs() > START_MS + 2 * MIN_MS && clock.wallMs() < START_MS + 9 * MIN_MS;
  const counter = { address: 0, whPerPulse: 100, form: 'A' };
  const site = siteWith({ pulses: { target: 'modbus://127.0.0.1:10/3', import: counter } });
  const { energy, published } = rig(site, clock, () => {
    if (isAway()) return Promise.reject(new Fault('NET_TIMEOUT', 'the I/O'));
    const count = Math.floor((clock.wallMs() - START_MS + MIN_MS) / MS_PER_PULSE);
    const registers = Uint16Array.of(Math.floor(count / 0x1_0000), count % 0x1_0000);
    return Promise.resolve({ registers, atMs: clock.wallMs() });
  });
  for (let ticks = 0; ticks < 16 * 60; ticks++) {
    await clock.advance(1_000);
    energy.tick();
  }
  energy.stop();
  const own = published.filter(({ startMs }) => startMs >= START_MS && startMs < START_MS + 15 * MIN_MS);
  const inFirst = own.filter(({ startMs }) => startMs === START_MS);
  expect(inFirst.map(({ quality }) => quality)).toEqual(['missing', 'estimated']);
  for (const startMs of [0, 5, 10].map((minutes) => START_MS + minutes * MIN_MS)) {
    const { importWh = 0, boundWh = 0 } = own.findLast((one) => one.startMs === startMs) ?? {};
    expect(Math.abs(importWh - 100_000)).toBeLessThanOrEqual(boundWh);
    expect(Math.abs(importWh - 100_000)).toBeLessThanOrEqual(1_000);
  }
});

test('the export counter may have gone round while it was away: the interval is an estimate, though it is whole', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS - 1_000 });
  const isAway = (): boolean =>
    clock.wallMs() > START_MS + 6 * MIN_MS && clock.wallMs() < START_MS + 8 * MIN_MS;
  // 65 kWh: with 3 MW at the most it is round in 79 s.
  const counters = {
    target: 'modbus://127.0.0.1:10/3',
    import: { address: 0, whPerPulse: 1, form: 'A' },
    export: { address: 2, type: 'uint16', whPerPulse: 1, form: 'A' },
  };
  const { energy, published } = rig(siteWith({ pulses: counters }), clock, ({ address, count }) => {
    if (isAway()) return Promise.reject(new Fault('NET_TIMEOUT', 'the I/O'));
    const pulses = Math.floor((clock.wallMs() - START_MS + MIN_MS) / 1_000);
    const registers = Uint16Array.of(0, pulses, 0).slice(address, address + count);
    return Promise.resolve({ registers, atMs: clock.wallMs() });
  });
  for (let ticks = 0; ticks < 11 * 60; ticks++) {
    await clock.advance(1_000);
    energy.tick();
  }
  energy.stop();
  const [first, second] = published.filter(({ startMs }) => startMs >= START_MS);
  expect(first?.quality).toBe('good');
  expect(second).toMatchObject({ quality: 'estimated', importWh: 300 });
  expect(second?.why).toContain('gone round');
});

test('a value said again, of before the clock was set back, does not make its counter deaf for that long', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS });
  const { energy, published } = rig(siteWith({}), clock, notAsked);
  let trueWh = 1e6;
  let said: Reading = { ok: true, value: trueWh, unit: 'Wh', quality: 'good', atMs: clock.wallMs() };
  for (let second = 1; second <= 26 * 60; second++) {
    await clock.advance(1_000);
    trueWh += 1_000 / 3;
    if (second === 9 * 60 + 5) clock.stepWall(-180 * MIN_MS);
    // Energy is asked for every half minute, and said again in between.
    if (second % 30 === 0) said = { ...said, value: trueWh, atMs: clock.wallMs() };
    energy.onMeter(0, { 'energy.active.import': said }, clock.monoMs());
    energy.tick();
  }
  energy.stop();
  const last = published.findLast(({ startMs }) => startMs === START_MS - 165 * MIN_MS);
  expect(last?.quality).toBe('good');
  expect(Math.abs((last?.importWh ?? 0) - 100_000)).toBeLessThanOrEqual(last?.boundWh ?? 0);
});

test('the clock was set while no beat came: what is stated of it is of the clock as it is now', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS });
  const { energy, published, lease } = rig(siteWith({}), clock, notAsked);
  for (let second = 1; second <= 11 * 60; second++) {
    await clock.advance(1_000);
    const monoMs = clock.monoMs();
    // The only beat, by a controller whose clock is that of the agent.
    if (second === 10)
      lease.taken = {
        epoch: 1,
        seq: 1,
        racks: {},
        atMs: clock.wallMs(),
        issuedMs: monoMs,
        takenMs: monoMs,
      };
    if (second === 20) clock.stepWall(5_000);
    const said = {
      ok: true,
      unit: 'Wh',
      quality: 'good',
      value: 1e6 + second * 300,
      atMs: clock.wallMs(),
    } as const;
    energy.onMeter(0, { 'energy.active.import': said }, monoMs);
    energy.tick();
  }
  energy.stop();
  expect(published.at(-1)?.clock?.offsetMs).toBe(-5_000);
});

test('a box that stood still loses nothing of what was counted meanwhile, and says what is a guess of it', async () => {
  const clock = new VirtualClock({ startWallMs: START_MS - 2_000 });
  const { energy, published } = rig(siteWith({}), clock, notAsked);
  let trueWh = 1e6;
  for (let second = 0; second <= 12 * 60; second++) {
    energy.onMeter(
      0,
      {
        'energy.active.import': {
          ok: true,
          value: trueWh,
          unit: 'Wh',
          quality: 'good',
          atMs: clock.wallMs(),
        },
      },
      clock.monoMs(),
    );
    energy.tick();
    await clock.advance(1_000);
    trueWh += 1_000 / 3;
    if (second !== 150) continue;
    clock.stepWall(10 * MIN_MS);
    trueWh += 200_000;
  }
  energy.stop();
  const own = published.filter(({ startMs }) => startMs >= START_MS);
  expect(own.slice(0, 4).map(({ quality }) => quality)).toEqual([
    'estimated',
    'estimated',
    'estimated',
    'good',
  ]);
  for (const { importWh = 0 } of own) expect(importWh).toBeCloseTo(100_000, -2);
});

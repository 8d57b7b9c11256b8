/** The energy of a revenue meter while agent and controller die and the links between them are cut. */
import { expect, test } from 'vitest';
import type { LedgerRecord } from '../../controller/core/events.ts';
import { resolveSite } from '../../config/site.ts';
import type { Happening, Planned } from '../../proof/faults.ts';
import { runSeed } from '../../proof/harness.ts';
import type { IntervalEnergy } from '../../protocols/mqtt/energy.ts';
import { MODELS } from '../../config/models.ts';
import { siteSchema } from '../../config/schema/site.ts';

const MIN = 60_000;
/** The simulated instrument is of class 0.5. */
const CLASS = 0.005;
const START_WALL_MS = Date.UTC(2026, 5, 1, 6);

const at = (min: number, happening: Happening): Planned => ({
  atMs: min * MIN,
  happening,
  fault: undefined,
});

/** One rack behind one meter: what it draws is of no matter here. */
const SITE = resolveSite(
  siteSchema.parse({
    schema: 1,
    site: 'demo',
    authority: 'automatic',
    nodes: [
      { id: 'main', kind: 'site', capKw: 20, rampUpKwPerMin: 20, rampDownKwPerMin: 40 },
      { id: 'r1', kind: 'rack', parent: 'main', capKw: 19 },
    ],
    meters: [
      {
        id: 'm-main',
        node: 'main',
        target: 'modbus://127.20.0.1:1502/1?profile=schneider-pm5xxx',
        periodMs: 2_000,
        revenue: { intervalMin: 5, timeZone: 'America/Chicago', graceS: 60 },
      },
    ],
    machines: [
      {
        rack: 'r1',
        model: 'antminer-s21',
        target: 'antminer://127.20.1.{n}?http=8180&api=4028&user=root&passwordEnv=SWITCHYARD_SIM_PASSWORD',
        count: 4,
        periodMs: 30_000,
      },
    ],
    prices: {
      hash: {
        url: 'http://127.20.0.20:8190/hashprice.json',
        periodMs: 60_000,
        maxAgeS: 600,
        fallbackUsdPerPhDay: 50,
      },
    },
  }),
  MODELS,
);

const TROUBLE: readonly Planned[] = [
  // Over a boundary, and within an interval.
  at(3.5, { kind: 'kill', process: 'a1', disk: 'power', downMs: 2.5 * MIN }),
  at(8.2, { kind: 'kill', process: 'a1', disk: 'process', downMs: 20_000 }),
  // The controller dies as an interval ends, and again while it is told what it missed.
  at(10, { kind: 'kill', process: 'controller', disk: 'power', downMs: 1.2 * MIN }),
  at(11.3, { kind: 'kill', process: 'controller', disk: 'power', downMs: 5_000 }),
  // What the agent had to say when its link is cut, it says after its next start.
  at(14, { kind: 'partition', client: 'a1', forMs: 3 * MIN }),
  at(15.2, { kind: 'kill', process: 'a1', disk: 'power', downMs: 20_000 }),
  at(19.9, { kind: 'broker', downMs: 20_000 }),
  at(24.5, { kind: 'network', lossPct: 100, delayMs: 0, forMs: 3.4 * MIN }),
  at(30, { kind: 'disk', process: 'controller', fault: 'failing', forMs: MIN }),
];

test('every interval stands once in the ledger, and all together are what flowed', async () => {
  const records: LedgerRecord[] = [];
  const watts: number[] = [];
  const run = await runSeed({
    seed: 4,
    hours: 36 / 60,
    machines: 4,
    site: SITE,
    unsettled: true,
    timeline: TROUBLE,
    react: (truth, atMs) => {
      watts[Math.round(atMs / 1_000)] = truth.nodeW[0] ?? 0;
      return [];
    },
    onLedger: (lines) => records.push(...lines),
  });
  expect(run.violations).toEqual([]);
  const told = records.flatMap((record) => (record.t === 'energy' ? [record.interval] : []));
  const names = told.map(({ startMs, revision }) => `${startMs} ${revision}`);
  expect(new Set(names).size).toBe(names.length);
  // The last word on each interval, in their order.
  const last = [...new Map(told.map((one) => [one.startMs, one])).values()].toSorted(
    (a, b) => a.startMs - b.startMs,
  );
  const [, ...whole] = last;
  expect(whole.length).toBe(6);
  for (const [place, one] of whole.entries()) {
    expect(one.endMs - one.startMs).toBe(5 * MIN);
    expect(one.startMs).toBe((whole[0]?.startMs ?? 0) + place * 5 * MIN);
    expect(one.importWh).toBeDefined();
  }
  const trueWh = (fromMs: number, toMs: number): number =>
    watts
      .slice((fromMs - START_WALL_MS) / 1_000, (toMs - START_WALL_MS) / 1_000)
      .reduce((sum, one) => sum + one / 3_600, 0);
  const sumWh = whole.reduce((sum, one) => sum + (one.importWh ?? 0), 0);
  const flowedWh = trueWh(whole[0]?.startMs ?? 0, whole.at(-1)?.endMs ?? 0);
  expect(Math.abs(sumWh - flowedWh)).toBeLessThan(CLASS * flowedWh);
  for (const one of whole) {
    const ownWh = trueWh(one.startMs, one.endMs);
    expect(Math.abs((one.importWh ?? 0) - ownWh)).toBeLessThan(CLASS * ownWh + one.boundWh);
    expect(one.clock?.boundMs ?? 0).toBeLessThan(3_000);
  }
  expect(of(whole, 'estimated').length).toBeGreaterThanOrEqual(2);
  expect(of(whole, 'good').length).toBeGreaterThanOrEqual(2);
});

const of = (intervals: readonly IntervalEnergy[], quality: string): readonly IntervalEnergy[] =>
  intervals.filter((one) => one.quality === quality);

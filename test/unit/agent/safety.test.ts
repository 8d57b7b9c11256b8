import { expect, test } from 'vitest';
import { makeAlarms } from '../../../agent/alarms.ts';
import { makeOrders } from '../../../agent/core/desired.ts';
import { issueNonce, makeLease, rackPhase, takeBeat } from '../../../agent/core/lease.ts';
import { makeStall } from '../../../agent/core/stall.ts';
import { takeReadings } from '../../../agent/machine.ts';
import { buildPlant } from '../../../agent/plant.ts';
import { makeSafety } from '../../../agent/safety.ts';
import { makeStandIns } from '../../../agent/stand-in.ts';
import { MODELS } from '../../../config/models.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { Fault } from '../../../protocols/faults.ts';
import { START_MS } from './bench.ts';

/** Two racks of 10 and 190 miners at 3.5 kW, a cooler of the rack's own and one for all; who has a controller. */
function makeRig(firmCapKw: number) {
  const config = siteSchema.parse({
    schema: 1,
    site: 'toy',
    authority: 'automatic',
    lease: { t1S: 5, t2S: 30, failSafe: 'shed-to-firm-cap', firmCapKw },
    nodes: [
      { id: 'main', kind: 'site', capKw: 1_000, auxiliary: { fixedKw: 10, perItKw: 0.04, lagS: 90 } },
      { id: 'r1', parent: 'main', kind: 'rack', capKw: 100, auxiliary: { fixedKw: 1, lagS: 90 } },
      { id: 'r2', parent: 'main', kind: 'rack', capKw: 800 },
    ],
    machines: [
      { rack: 'r1', model: 'antminer-s21', target: 'antminer://10.0.1.{n}', count: 10 },
      { rack: 'r2', model: 'antminer-s21', target: 'antminer://10.0.2.{n}', count: 190 },
    ],
    prices: { hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 } },
  });
  const site = resolveSite(config, MODELS);
  const clock = new VirtualClock({ startWallMs: START_MS });
  const refuse = (): never => {
    throw new Fault('NET_REFUSED');
  };
  const plant = buildPlant(site, 'a1', refuse, 0);
  const atMs = START_MS;
  for (const machine of plant.machines)
    takeReadings(
      machine,
      {
        mode: { ok: true, value: 'mine', unit: 'text', quality: 'good', atMs },
        power: { ok: true, value: 3_500, unit: 'W', quality: 'good', atMs, measured: true },
      },
      'fast',
      0,
    );
  const racks = ['r1', 'r2'];
  const lease = makeLease({ agent: 'a1', t1Ms: 5_000, t2Ms: 30_000, racks, durableEpoch: 1, nowMs: 0 });
  const beat = (seq: number, generations: Record<string, number>): void => {
    const nowMs = clock.monoMs();
    issueNonce(lease, `n${seq}`, nowMs);
    const nonces = { a1: `n${seq}` };
    takeBeat(lease, { v: 1, site: 'toy', epoch: 1, seq, atMs, racks: generations, nonces }, nowMs);
  };
  const safety = makeSafety({
    site,
    plant,
    standIns: makeStandIns(site, 'a1', plant),
    clock,
    stall: makeStall(0),
    lease,
    orders: racks.map(makeOrders),
    alarms: makeAlarms(() => undefined),
    control: { look: () => undefined, pump: () => undefined },
  });
  const resting = (): readonly number[] =>
    plant.racks.map(({ machines }) => machines.filter((machine) => machine.resting).length);
  return { clock, lease, beat, safety, resting };
}

test('the fail-safe of one rack answers for what follows that rack, not for all that cools the others', async () => {
  // The share of ten in two hundred: 40 kW. They draw 35, 1.4 follow them, 1.5 are theirs of what is always there.
  const { clock, lease, beat, safety, resting } = makeRig(800);
  beat(1, { r1: 1, r2: 1 });
  await clock.advance(31_000);
  safety.tick();
  // 700 kW, 28 behind them, and 11 always: within the cap.
  expect(resting()).toEqual([0, 0]);
  beat(2, { r1: 1, r2: 2 });
  safety.tick();
  expect([rackPhase(lease, 'r1', 31_000), rackPhase(lease, 'r2', 31_000)]).toEqual(['lost', 'live']);
  expect(resting()).toEqual([0, 0]);
});

test('what follows the machines counts against the firm cap, for a rack alone as for all', async () => {
  const all = makeRig(735);
  all.beat(1, { r1: 1, r2: 1 });
  await all.clock.advance(31_000);
  all.safety.tick();
  // 739 kW, of which 4 must go.
  expect(all.resting()[0]).toBe(2);
  const one = makeRig(750);
  one.beat(1, { r1: 1, r2: 1 });
  await one.clock.advance(31_000);
  one.beat(2, { r1: 1, r2: 2 });
  one.safety.tick();
  // 37.9 kW against 37.5.
  expect(one.resting()).toEqual([1, 0]);
});

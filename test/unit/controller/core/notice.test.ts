import { expect, test } from 'vitest';
import type { LedgerRecord } from '../../../../controller/core/events.ts';
import { noticeKwOf } from '../../../../controller/core/notice.ts';
import { viewOf } from '../../../../controller/core/view.ts';
import { seededRandom } from '../../../../host/random.ts';
import { order } from './order.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

const notices = (records: readonly LedgerRecord[]) => records.filter((record) => record.t === 'notice');

/** How much the commands of a minute moved in one direction without a notice before them, at most, kW. */
function mostUnannounced(records: readonly LedgerRecord[]): number {
  let most = 0;
  for (const sign of [-1, 1]) {
    let announcedKw = 0;
    let went: { readonly atMs: number; readonly kw: number }[] = [];
    for (const record of records) {
      if (record.t === 'notice' && Math.sign(record.toKw - record.fromKw) === sign)
        announcedKw = Math.abs(record.toKw - record.fromKw) + 0.001;
      if (record.t !== 'command' || Math.sign(record.expectedKw) !== sign) continue;
      const covered = Math.min(announcedKw, Math.abs(record.expectedKw));
      announcedKw -= covered;
      went = went.filter(({ atMs }) => record.atMs - atMs < 60_000);
      went.push({ atMs: record.atMs, kw: Math.abs(record.expectedKw) - covered });
      most = Math.max(
        most,
        went.reduce((sum, { kw }) => sum + kw, 0),
      );
    }
  }
  return most;
}

test('a limit is announced before its first command: from what, to what, by its deadline, and why', () => {
  const plant = new Plant().run(60);
  const before = plant.records.length;
  plant.utility = { limitKw: 20, deadlineS: 120, sequence: 1, kind: 'contracted' };
  plant.run(200);
  const records = plant.records.slice(before);
  const [notice] = notices(records);
  expect(notice).toMatchObject({ owner: 'dr', text: expect.stringContaining('the utility allows 20 kW') });
  expect(notice?.toKw).toBeLessThan(21);
  expect(notice?.fromKw).toBeGreaterThan(25);
  expect(notice?.byMs).toBe(plant.state.limit.deadlineWallMs);
  expect(records.findIndex(({ t }) => t === 'notice')).toBeLessThan(
    records.findIndex(({ t }) => t === 'command'),
  );
  expect(plant.events.filter(({ event }) => event === 'notice')).not.toEqual([]);
  // One change, one notice, however many steps the ramp makes of it.
  expect(notices(records).length).toBe(1);
});

test('an emergency has its notice too, and an operator sees it until it is to be over', () => {
  const plant = new Plant().run(60);
  plant.utility = { limitKw: 20, deadlineS: 60, sequence: 1, kind: 'emergency' };
  plant.run(5);
  expect(notices(plant.records).at(-1)).toMatchObject({ owner: 'emergency', urgent: true });
  const seen = (): readonly string[] =>
    viewOf(plant.state, { wallMs: 1_000_000 + plant.nowMs, monoMs: plant.nowMs })
      .signals.filter(({ kind }) => kind === 'notice')
      .map(({ text }) => text);
  expect(seen().join()).toMatch(/^from \d+ kW to \d+ kW: the utility allows 20 kW/u);
  plant.run(120);
  expect(seen()).toEqual([]);
});

test('small changes are not announced, and many of them in a minute are one', () => {
  const plant = new Plant({ ...smallSite, control: { noticeKw: 8 } }).run(60);
  const before = plant.records.length;
  const sleep = (machine: number): void => {
    order(plant, 'anna#1', 'sleep', [plant.state.site.machines[machine]?.id ?? '']);
    plant.run(4);
  };
  sleep(0);
  sleep(1);
  expect(notices(plant.records.slice(before))).toEqual([]);
  sleep(2);
  expect(notices(plant.records.slice(before))).toMatchObject([{ owner: 'manual' }]);
});

test('whatever prices and limits do, no minute moves more than the figure without a notice before it', () => {
  let given = 0;
  for (let seed = 1; seed <= 3; seed += 1) {
    const random = seededRandom(seed);
    const plant = new Plant().run(60);
    // How a controller takes over what it finds is no change of load.
    const from = plant.records.length;
    for (let turn = 1; turn <= 8; turn += 1) {
      if (random.next() < 0.5) plant.priceUsdPerMwh = 20 + 120 * random.next();
      else
        plant.utility = {
          ...(random.next() < 0.7 && { limitKw: 20 + 60 * random.next() }),
          deadlineS: 30 + 60 * random.next(),
          sequence: turn,
          kind: random.next() < 0.8 ? 'contracted' : 'emergency',
        };
      plant.run(5 + Math.floor(100 * random.next()));
    }
    const records = plant.records.slice(from);
    given += notices(records).length;
    expect(mostUnannounced(records)).toBeLessThanOrEqual(noticeKwOf(plant.state));
  }
  expect(given).toBeGreaterThan(6);
});

test('what follows the machines is part of the change that is announced', () => {
  const site = {
    ...smallSite,
    nodes: smallSite.nodes.map((node, place) =>
      place === 0 ? { ...node, auxiliary: { fixedKw: 0, perItKw: 0.3, lagS: 60 } } : node,
    ),
  };
  const changeKw = (plant: Plant): { readonly saidKw: number; readonly machinesKw: number } => {
    const before = plant.run(60).records.length;
    plant.utility = { limitKw: 20, deadlineS: 120, sequence: 1, kind: 'contracted' };
    plant.run(20);
    const records = plant.records.slice(before);
    const [notice] = notices(records);
    return {
      saidKw: (notice?.toKw ?? Number.NaN) - (notice?.fromKw ?? Number.NaN),
      machinesKw: records.reduce((sum, record) => sum + (record.t === 'command' ? record.expectedKw : 0), 0),
    };
  };
  const alone = changeKw(new Plant());
  expect(alone.machinesKw).toBeLessThan(-40);
  expect(alone.saidKw).toBeCloseTo(alone.machinesKw, 6);
  // The meter of this plant shows the machines alone: as many must go, and each of them comes to more.
  const followed = changeKw(new Plant(site));
  expect(followed.machinesKw).toBeCloseTo(alone.machinesKw, 6);
  expect(followed.saidKw).toBeCloseTo(1.3 * alone.machinesKw, 6);
});

test('a raise is announced for as long as its slowest bound takes, and seen until nothing of it is to come', () => {
  const plant = new Plant({ ...smallSite, control: { startsPer10S: 1 } });
  plant.utility = { limitKw: 5, deadlineS: 30, sequence: 1, kind: 'contracted' };
  plant.run(200);
  const before = plant.records.length;
  plant.utility = { deadlineS: 0, sequence: 2, kind: 'contracted' };
  plant.run(400);
  const records = plant.records.slice(before);
  const notice = notices(records).find(({ fromKw, toKw }) => toKw > fromKw);
  const last = records.findLast((record) => record.t === 'command' && record.expectedKw > 0);
  expect(last?.atMs).toBeLessThanOrEqual(notice?.byMs ?? 0);
});

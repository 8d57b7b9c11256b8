import { expect, test } from 'vitest';
import type { Planned } from '../../proof/faults.ts';
import { runSeed } from '../../proof/harness.ts';
import { harnessSite } from '../../proof/site.ts';
import type { WorldChange } from '../../simulator/scenarios.ts';

const at = (s: number, change: WorldChange): Planned => ({
  atMs: s * 1_000,
  happening: { kind: 'world', change },
  fault: undefined,
});
const full = (s: number, forS: number): Planned => ({
  atMs: s * 1_000,
  happening: { kind: 'disk', process: 'controller', fault: 'full', forMs: forS * 1_000 },
  fault: undefined,
});
const limit = (limitKw: number | undefined): WorldChange => ({
  kind: 'utility-limit',
  limitKw,
  deadlineS: 60,
  event: limitKw === undefined ? 'none' : 'contracted',
});

/** Alarms as they came and went, and how a seed ended, with so much room that is the ledger’s own. */
async function lives(hours: number, reserveMiB: number, timeline: readonly Planned[]) {
  const site = harnessSite(14);
  const alarms: string[] = [];
  const run = await runSeed({
    seed: 3,
    hours,
    machines: 14,
    site: { ...site, config: { ...site.config, ledger: { reserveMiB } } },
    timeline: [at(0, { kind: 'price', usdPerMwh: 20 }), ...timeline].sort((a, b) => a.atMs - b.atMs),
    onEvent: (_atMs, event) => {
      if (event.event === 'alarm') alarms.push(`${event.code} ${event.state}`);
    },
  });
  return { run, alarms };
}

test('a controller’s disk is full to the last byte: a limit holds all the same, and a person is told how long', async () => {
  // Nothing is excused here: the limit must be met while the disk is full.
  const { run, alarms } = await lives(0.1, 1, [full(60, 160), at(70, limit(20)), at(240, limit(undefined))]);
  expect(run.violations).toEqual([]);
  expect(run.atStake.limit).toBeGreaterThan(0);
  expect(alarms).toEqual(expect.arrayContaining(['LEDGER_RESERVE raised', 'LEDGER_RESERVE cleared']));
  expect(alarms).not.toContain('DISK_FULL raised');
}, 60_000);

test('when the reserve is used up too, nothing is commanded that is not written down', async () => {
  const turns = Array.from({ length: 6 }, (_, turn) => [
    at(70 + turn * 20, limit(20)),
    at(80 + turn * 20, limit(undefined)),
  ]).flat();
  const { run, alarms } = await lives(0.12, 1 / 128, [full(60, 150), ...turns]);
  expect(run.violations).toEqual([]);
  expect(alarms).toEqual(expect.arrayContaining(['DISK_FULL raised', 'DISK_FULL cleared']));
  expect(run.atStake['ledger-first']).toBeGreaterThan(0);
}, 60_000);

import { expect, test } from 'vitest';
import { runSeed } from '../../proof/harness.ts';
import type { Planned } from '../../proof/faults.ts';
import type { WorldChange } from '../../simulator/scenarios.ts';

const at = (s: number, change: WorldChange): Planned => ({
  atMs: s * 1_000,
  happening: { kind: 'world', change },
  fault: undefined,
});
const fails = (s: number, part: string, forS: number): Planned[] => [
  at(s, { kind: 'plant', part, failed: true }),
  at(s + forS, { kind: 'plant', part, failed: false }),
];

test('a pump that rests by order is no lost condition; when it is wanted and does not come, nothing starts before it', async () => {
  const lost: { readonly s: number; readonly raised: boolean }[] = [];
  const SPIKE_S = 30;
  const BACK_S = 290;
  const run = await runSeed({
    seed: 3,
    hours: 0.16,
    machines: 14,
    timeline: [
      // It would never rest, and its pump with it.
      at(1, { kind: 'machine', machine: 'r1-01', behaviour: 'none' }),
      at(SPIKE_S, { kind: 'price', usdPerMwh: 400 }),
      // It fails while it stands still, and nobody can know before it is wanted.
      ...fails(BACK_S - 40, 'pump', 140),
      at(BACK_S, { kind: 'price', usdPerMwh: 20 }),
    ].sort((a, b) => a.atMs - b.atMs),
    onEvent: (atMs, event) => {
      if (event.event === 'alarm' && event.subject === 'pump')
        lost.push({ s: atMs / 1_000, raised: event.state === 'raised' });
    },
  });
  expect(run.violations).toEqual([]);
  expect(lost.map(({ raised }) => raised)).toEqual([true, false]);
  expect(lost[0]?.s).toBeGreaterThan(BACK_S);
  expect(lost[1]?.s).toBeGreaterThan(BACK_S + 100);
}, 60_000);

test('pumps, breakers, relays and a silent PLC: nothing is started that may not, and everything comes back', async () => {
  const alarms = new Set<string>();
  const run = await runSeed({
    seed: 11,
    hours: 0.19,
    machines: 14,
    timeline: [
      at(0, { kind: 'price', usdPerMwh: 20 }),
      ...fails(60, 'pump', 150),
      // The agent is away while the breaker opens and finds it open; the controller cannot tell it anything.
      {
        atMs: 85_000,
        happening: { kind: 'kill', process: 'a1', disk: 'power', downMs: 20_000 },
        fault: undefined,
      } satisfies Planned,
      ...fails(90, 'q1', 130),
      {
        atMs: 110_000,
        happening: { kind: 'partition', client: 'a1', forMs: 220_000 },
        fault: undefined,
      } satisfies Planned,
      ...fails(130, 'ufr', 100),
      ...fails(560, 'plc', 40),
    ].sort((a, b) => a.atMs - b.atMs),
    onEvent: (_atMs, event) => {
      if (event.event === 'alarm') alarms.add(event.code);
    },
  });
  expect(run.violations).toEqual([]);
  expect(run.atStake.tripped).toBeGreaterThan(200);
  expect([...alarms]).toEqual(
    expect.arrayContaining(['PERMISSIVE_LOST', 'PROTECTION_TRIPPED', 'INPUT_LOST']),
  );
}, 60_000);

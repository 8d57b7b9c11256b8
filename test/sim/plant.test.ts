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

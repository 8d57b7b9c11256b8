import { expect, test } from 'vitest';

import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { runScenario } from '../../../simulator/run-scenario.ts';
import type { Scenario, WorldChange } from '../../../simulator/scenarios.ts';

const SCENARIO: Scenario = {
  name: 'test',
  title: '',
  durationS: 100,
  steps: [
    { atS: 0, change: { kind: 'hashprice', usdPerPhDay: 40 } },
    { atS: 20, change: { kind: 'ai-job', id: 'j', contract: 'c', hosts: 1, durationS: 10 } },
    { atS: 20, change: { kind: 'ai-end', id: 'j' } },
  ],
};

function run(scenario: Scenario): {
  clock: VirtualClock;
  seen: [number, WorldChange][];
  running: ReturnType<typeof runScenario>;
} {
  const clock = new VirtualClock({ startWallMs: 0 });
  const seen: [number, WorldChange][] = [];
  const running = runScenario(scenario, { clock, act: (change) => seen.push([clock.monoMs(), change]) });
  return { clock, seen, running };
}

test('each change comes at its time, and the end after the last second', async () => {
  const { clock, seen, running } = run(SCENARIO);
  let ended = false;
  void running.done.then(() => {
    ended = true;
  });
  await clock.advance(99_999);
  expect(seen.map(([atMs, { kind }]) => [atMs, kind])).toEqual([
    [0, 'hashprice'],
    [20_000, 'ai-job'],
    [20_000, 'ai-end'],
  ]);
  expect(ended).toBe(false);
  await clock.advance(1);
  expect(ended).toBe(true);
});

test('a tour starts again, with other jobs, until it is stopped', async () => {
  const { clock, seen, running } = run({ ...SCENARIO, repeats: true });
  await clock.advance(225_000);
  expect(seen).toHaveLength(9);
  expect(seen.flatMap(([, change]) => (change.kind === 'ai-job' ? change.id : []))).toEqual([
    'j',
    'j-2',
    'j-3',
  ]);
  running.stop();
  await clock.advance(1_000_000);
  expect(seen).toHaveLength(9);
  await running.done;
});

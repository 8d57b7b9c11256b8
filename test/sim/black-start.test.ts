import { expect, test } from 'vitest';
import { playBlackStart } from '../../proof/black-start.ts';
import type { Planned } from '../../proof/faults.ts';

const plant = (s: number, part: string, failed: boolean): Planned => ({
  atMs: s * 1_000,
  happening: { kind: 'world', change: { kind: 'plant', part, failed } },
  fault: undefined,
});

test('a dark site starts again behind contactors: with an agent that died in the dark, a silent PLC, a stuck contactor', async () => {
  const run = await playBlackStart(1, 40, {
    troubles: [
      // It knows nothing of what slept when the power went, and finds the contactors open.
      {
        atMs: 270_000,
        happening: { kind: 'kill', process: 'a1', disk: 'power', downMs: 15_000 },
        fault: undefined,
      },
      plant(305, 'k-r2', true),
      plant(315, 'plc', true),
      plant(345, 'plc', false),
      plant(700, 'k-r2', false),
    ],
  });
  expect(run.violations).toEqual([]);
  expect(run.outlets).toBe(2);
  expect(run.alarms).toMatchObject({ OUTLET_FAILED: 1, INPUT_LOST: 2 });
  // Nobody works who was not told to; then all of it comes back, and a limit takes most away again.
  expect(run.unasked).toBe(0);
  expect(run.backS).toBeGreaterThan(60);
  expect(run.overCapKw).toBe(0);
  expect(run.startsIn10S).toBeLessThanOrEqual(run.startsPer10S);
  expect(run.upErrorPct).toBeLessThanOrEqual(5);
  expect(run.downErrorPct).toBeLessThanOrEqual(5);
}, 60_000);

test('it is seen when machines that start by themselves get their power before they may work', async () => {
  // Its contactor is welded since the load went down.
  const run = await playBlackStart(1, 40, { troubles: [plant(200, 'k-r2', true)] });
  expect(run.unasked).toBe(10);
}, 60_000);

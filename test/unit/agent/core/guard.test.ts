import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { distrust, guardStep, makeGuard, released } from '../../../../agent/core/guard.ts';
import type { GuardMachine } from '../../../../agent/core/guard.ts';
import { asic, gpuHost } from './toys.ts';

const miner = (index: number, changes: Partial<GuardMachine> = {}): GuardMachine => ({
  index,
  share: 1,
  model: asic(),
  mode: 'mine',
  presentW: 3_200,
  reachable: true,
  controllable: true,
  falling: false,
  stuck: false,
  ...changes,
});
const ten = Array.from({ length: 10 }, (_, index) => miner(index));

describe('the guard', () => {
  test('acts at the second sample above the cap, or at once far above it', () => {
    const guard = makeGuard(31_000);
    expect(guardStep(guard, 32_000, ten, 0)).toMatchObject({ shed: [], began: false });
    expect(guardStep(guard, 32_000, ten, 0)).toMatchObject({ shed: [0], began: true });
    expect(guardStep(makeGuard(30_000), 32_000, ten, 0).shed).toEqual([0]);
  });

  test('covers the excess and 2 %, and counts what is already falling', () => {
    expect(guardStep(makeGuard(20_000), 32_000, ten, 0).shed.length).toBe(4);
    const falling = ten.map((machine) => ({ ...machine, falling: machine.index < 3 }));
    expect(guardStep(makeGuard(20_000), 32_000, falling, 0).shed).toEqual([3]);
  });

  test('takes the worst miner first, then GPU mining, AI last; nothing that sleeps, is deaf or not its own', () => {
    const worse = asic({ rungs: [{ powerW: 3_200, hashrateThs: 80 }] });
    const list = [
      miner(0, { model: gpuHost(), mode: 'ai', presentW: 10_000 }),
      miner(1, { model: gpuHost(), mode: 'mine', presentW: 7_000 }),
      miner(2),
      miner(3, { model: worse }),
      miner(4, { model: worse, mode: 'sleep', presentW: 30 }),
      miner(5, { model: worse, reachable: false }),
      miner(6, { model: worse, controllable: false }),
      miner(7, { model: worse, stuck: true }),
    ];
    expect(guardStep(makeGuard(1_000), 40_000, list, 0)).toMatchObject({ shed: [3, 2, 1, 0], short: true });
  });

  test('who ignored a command is told last and only as much as is missing, and is counted on never', () => {
    const four = [miner(0, { ignores: true }), miner(1, { ignores: true }), miner(2), miner(3)];
    // One is enough: it is one that obeys. With both of those something is missing still.
    expect(guardStep(makeGuard(11_800), 12_800, four, 0)).toMatchObject({ shed: [2], short: false });
    expect(guardStep(makeGuard(6_000), 12_800, four, 0)).toMatchObject({ shed: [2, 3, 0], short: true });
    // Told again, it is no relief for what must be covered.
    const again = four.map((machine) => ({ ...machine, falling: machine.ignores === true }));
    expect(guardStep(makeGuard(11_800), 12_800, again, 0)).toMatchObject({ shed: [2], short: false });
  });

  test('ends when the load is below the cap again', () => {
    const guard = makeGuard(30_000);
    expect(guardStep(guard, 32_000, ten, 0).began).toBe(true);
    expect(guardStep(guard, 29_000, ten, 0)).toMatchObject({ ended: true, shed: [] });
  });

  test('without a meter works from the calibrated sum with a margin', () => {
    const guard = makeGuard(34_000);
    for (let sample = 0; sample < 200; sample += 1) guardStep(guard, 33_600, ten, 0);
    const verdict = guardStep(guard, undefined, ten, 0);
    expect(verdict.source).toBe('machines');
    expect(verdict.loadW).toBeCloseTo(33_600 * 1.03, -2);
    expect(guardStep(guard, undefined, ten, 0).shed.length).toBe(1);
  });

  test('a meter that showed too little for hours, before it carried enough to be named, lets nothing past the cap', () => {
    const guard = makeGuard(320_000);
    for (let atS = 0; atS < 7_200; atS++) guardStep(guard, 0.7 * 32_000, ten, atS * 1_000);
    distrust(guard);
    expect(guardStep(guard, undefined, ten, 7_200_000).loadW).toBeGreaterThan(32_000);
  });

  test('what is declared beside the machines is in the sum when the meter is lost, grown or not', () => {
    const guard = makeGuard(36_000);
    guard.auxiliaryW = 3_200;
    for (let sample = 0; sample < 200; sample += 1) guardStep(guard, 35_200, ten, 0);
    guard.auxiliaryW = 5_000;
    const { loadW, shed } = guardStep(guard, undefined, ten, 0);
    expect(loadW).toBeCloseTo(37_000 * 1.03, -2);
    expect(shed.length).toBe(1);
  });

  test('counts against the trip curve of its node, and acts at once when that is nearly used up', () => {
    const steep = [
      { load: 1.01, s: 100 },
      { load: 1.04, s: 50 },
    ];
    const guard = makeGuard(31_000, steep);
    expect(guardStep(guard, 31_320, ten, 0)).toMatchObject({ shed: [], began: false });
    expect(guard.used).toBe(0);
    expect(guard.leftS).toBeCloseTo(99, 0);
    guard.overs = 0;
    expect(guardStep(guard, 31_320, ten, 50_000).began).toBe(true);
    expect(guard.used).toBeCloseTo(0.505, 2);
    expect(guardStep(makeGuard(31_000, steep), 32_240, ten, 0).began).toBe(true);
    expect(guardStep(makeGuard(31_000), 32_240, ten, 0).began).toBe(false);
  });

  test('when the breaker would open before the worst miner is at rest, those who are quicker go first', () => {
    const worse = asic({ rungs: [{ powerW: 3_200, hashrateThs: 80 }], sleepS: 40 });
    const list = [miner(0), miner(1, { model: worse }), miner(2)];
    expect(guardStep(makeGuard(9_000), 9_600, list, 0).shed).toEqual([1]);
    expect(guardStep(makeGuard(9_000, [{ load: 1.05, s: 30 }]), 9_600, list, 0).shed).toEqual([0]);
  });
});

test('what it chose covers the need, or everything it may touch is chosen', () => {
  const some = fc.array(
    fc.record({
      presentW: fc.option(fc.integer({ min: 0, max: 3_400 }), { nil: undefined }),
      reachable: fc.boolean(),
      falling: fc.boolean(),
    }),
    { minLength: 1, maxLength: 30 },
  );
  fc.assert(
    fc.property(
      some,
      fc.integer({ min: 1_000, max: 80_000 }),
      fc.integer({ min: 0, max: 120_000 }),
      (list, capW, loadW) => {
        const machines = list.map((each, index) => miner(index, each));
        const guard = makeGuard(capW);
        guard.overs = 5;
        const { shed, short } = guardStep(guard, loadW, machines, 0);
        const gain = (machine: GuardMachine | undefined): number =>
          Math.max(0, (machine?.presentW ?? 0) - 30);
        const going = machines
          .filter(({ falling }) => falling)
          .reduce((sum, machine) => sum + gain(machine), 0);
        const covered = going + shed.reduce((sum, index) => sum + gain(machines[index]), 0);
        if (loadW > capW && !short) expect(covered).toBeGreaterThanOrEqual(loadW - capW * 0.98 - 1e-6);
        if (loadW <= capW) expect(shed).toEqual([]);
        expect(shed.every((index) => machines[index]?.reachable === true)).toBe(true);
      },
    ),
  );
});

test('a held machine is let go by a newer document and room at its node only', () => {
  const held = { node: 0, epoch: 1, generation: 5 };
  const mine = { epoch: 1, generation: 6, load: true, targetW: 3_200 };
  const node = { loadW: 10_000, capW: 20_000 };
  expect(released(held, mine, node)).toBe(true);
  expect(released(held, { ...mine, generation: 5 }, node)).toBe(false);
  expect(released(held, { ...mine, epoch: 2, generation: 0 }, node)).toBe(true);
  expect(released(held, mine, { ...node, loadW: 17_000 })).toBe(false);
  expect(released(held, mine, { ...node, loadW: undefined })).toBe(false);
  expect(released(held, { ...mine, load: false }, { ...node, loadW: 19_999 })).toBe(true);
});

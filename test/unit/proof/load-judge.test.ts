import { describe, expect, test } from 'vitest';
import { harnessSite } from '../../../proof/site.ts';
import type { Judge } from '../../../proof/invariants.ts';
import type { Truth } from '../../../simulator/world.ts';
import { site, capW, truth, BECAUSE, fail, desired, result, judgeOf, given, names } from './judge-bench.ts';

describe('the judge of load', () => {
  test('asks of a limit what the agents that can be told are able to shed, and no more', () => {
    const limited = (firstAgentW: number): string[] => {
      const two = harnessSite(50, { agents: 2 });
      const judge = judgeOf(new Map(), {}, two);
      judge.load.limit(capW * 0.6, 0, 30_000);
      judge.excuse(600_000, 'a2');
      const machineW = two.machines.map(({ agent }) => (agent === 'a1' ? firstAgentW : 3_000));
      for (let s = 30; s < 200; s++) judge.power(truth(capW * 0.9, { machineW }), s * 1_000);
      return names(judge);
    };
    expect(limited(3_000)).toContain('limit');
    expect(limited(100)).toEqual([]);
  });

  test('asks an agent to guard its nodes while another one is dead, and not those of the dead one', () => {
    const over = (dead: string): string[] => {
      const judge = judgeOf(new Map(), {}, harnessSite(50, { agents: 2 }));
      judge.agentAway(600_000, dead);
      for (let s = 0; s < 60; s++) judge.power(truth(capW * 1.05), s * 1_000);
      return names(judge);
    };
    expect(over('a2')).toContain('cap');
    expect(over('a1')).toEqual([]);
  });

  test('sees load that rises faster than the ramp, and forgives one machine', () => {
    const judge = judgeOf();
    const machines = Object.fromEntries(
      site.machines.map(({ id }) => [id, { mode: 'mine' as const, because: BECAUSE }]),
    );
    given(judge, { ...desired(1, 1e9), machines });
    const drawing = (count: number): Truth =>
      truth(0, { machineW: site.machines.map(({ index }) => (index < count ? 3_400 : 20)) });
    for (let s = 1; s <= 10; s++) judge.power(drawing(0), s * 1_000);
    for (let s = 11; s <= 20; s++) judge.power(drawing(1), s * 1_000);
    expect(names(judge)).toEqual([]);
    for (let s = 21; s <= 30; s++) judge.power(drawing(30), s * 1_000);
    expect(names(judge)).toEqual(['ramp']);
  });

  describe('sees load that falls faster than the ramp', () => {
    const wide = harnessSite(50, { rampShare: 0.2 });
    const asics = wide.machines.filter(({ model }) => model.kind === 'asic').map(({ index }) => index);
    /** Ten seconds at work, ten with so many of them at rest. */
    const fall = (
      count: number,
      told: 'sleep' | 'mine',
      before: (judge: Judge) => void,
      of = wide,
      those = asics,
    ): string[] => {
      const judge = judgeOf(new Map(), {}, of);
      const machines = Object.fromEntries(
        of.machines.map(({ id }) => [id, { mode: told, because: BECAUSE }]),
      );
      given(judge, { ...desired(1, 1e9), machines });
      before(judge);
      const drawing = (resting: number): Truth => {
        const rests = new Set(those.slice(0, resting));
        return truth(0, { machineW: of.machines.map(({ index }) => (rests.has(index) ? 20 : 3_300)) });
      };
      for (let s = 1_001; s <= 1_020; s++) judge.power(drawing(0), s * 1_000);
      for (let s = 1_021; s <= 1_040; s++) judge.power(drawing(count), s * 1_000);
      return names(judge);
    };
    const nothing = (): void => undefined;

    test('at one agent while another one is away, and not at the one that is', () => {
      const two = harnessSite(50, { rampShare: 0.2, agents: 2 });
      const fallOf = (agent: string): string[] => {
        const own = asics.filter((index) => two.machines[index]?.agent === agent);
        return fall(20, 'sleep', (judge) => judge.agentAway(1_100_000, 'a2'), two, own);
      };
      expect(fallOf('a1')).toEqual(['ramp']);
      expect(fallOf('a2')).toEqual([]);
    });

    test('and forgives one machine', () => {
      expect(fall(30, 'sleep', nothing)).toEqual(['ramp']);
      expect(fall(1, 'sleep', nothing)).toEqual([]);
    });

    test('and not what fell by itself, or is locked out', () => {
      expect(fall(30, 'mine', nothing)).toEqual([]);
      expect(fall(30, 'sleep', (judge) => judge.locked(asics, 1_000_000))).toEqual([]);
    });

    test('and not in an emergency, nor for a node at its cap, but soon after them', () => {
      expect(fall(30, 'sleep', (judge) => judge.ramps.frees('the utility', true))).toEqual([]);
      const atCapAt =
        (s: number) =>
        (judge: Judge): void =>
          judge.power(truth((wide.nodes[0]?.capKw ?? 0) * 1_000), s * 1_000);
      expect(fall(30, 'sleep', atCapAt(1_000))).toEqual([]);
      expect(fall(30, 'sleep', atCapAt(900))).toEqual(['ramp']);
    });
  });

  test('sees a start that fits as long as the other feed of the same feeder’s racks holds, and no longer', () => {
    const dual = harnessSite(50, { feeds: 2 });
    const feeder = dual.nodes.find(({ id }) => id === 'feeder-1');
    const { id, rack } = dual.machines[0] ?? fail();
    const run = (isOpen: boolean): string[] => {
      const judge = judgeOf(new Map(), {}, dual);
      judge.load.breaker('gpu-row', isOpen);
      given(judge, { ...desired(1, 1e9), rack });
      const machineW = dual.machines.map(({ model }) => (model.kind === 'gpu-host' ? 9_000 : 0));
      const nodeW = dual.nodes.map(({ id: node }) => (node === feeder?.id ? feeder.capKw * 800 : 0));
      judge.power(truth(0, { machineW, nodeW }), 1_000);
      const started = { ...(result(1, 2_000).results[0] ?? fail()), machine: id, verb: 'wake' };
      judge.result({ ...result(1, 2_000), rack, results: [started] }, 2_000);
      return names(judge);
    };
    expect(run(false)).toEqual(['committed']);
    expect(run(true)).toEqual([]);
  });
});

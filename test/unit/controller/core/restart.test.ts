import { describe, expect, test } from 'vitest';
import type { SiteConfigInput } from '../../../../config/schema/site.ts';
import { Plant } from './plant.ts';
import type { PlantPhysics } from './plant.ts';
import { smallSite } from './small-site.ts';

/** The small site four times over: 72 miners and 16 GPU hosts below one main meter, with ramps of its own. */
const largeSite: SiteConfigInput = {
  ...smallSite,
  nodes: [
    { id: 'site', kind: 'site', capKw: 400, rampUpKwPerMin: 300, rampDownKwPerMin: 300 },
    ...[1, 2, 3, 4].flatMap((n) =>
      smallSite.nodes.slice(1).map((node) => ({
        ...node,
        id: `${n}${node.id}`,
        parent: node.parent === 'site' ? 'site' : `${n}${node.parent}`,
      })),
    ),
  ],
  meters: (smallSite.meters ?? []).flatMap((meter) =>
    meter.node === 'site'
      ? [meter]
      : [1, 2, 3, 4].map((n) => ({ ...meter, id: `${n}${meter.id}`, node: `${n}${meter.node}` })),
  ),
  machines: [1, 2, 3, 4].flatMap((n) =>
    (smallSite.machines ?? []).map((group) => ({ ...group, rack: `${n}${group.rack}` })),
  ),
};

const DEADLINE_S = 60;
const DOWN_S = 2;
/** Every second of the shed and beyond. */
const DEATHS = Array.from({ length: 61 }, (_, second) => second);

interface Case {
  readonly name: string;
  readonly site: SiteConfigInput;
  readonly limitKw: number;
  readonly physics: PlantPhysics;
  readonly priceUsdPerMwh?: number;
  readonly liar?: string;
  readonly stubborn?: string;
}

interface Outcome {
  readonly asleep: number;
  readonly woken: readonly string[];
  /** The site's draw never exceeds the limit from here on, s after the signal. */
  readonly metS: number;
}

/** A site at work, and then the signal. */
function signalled(one: Case): Plant {
  const plant = new Plant(one.site, one.physics);
  plant.priceUsdPerMwh = one.priceUsdPerMwh ?? 40;
  if (one.liar !== undefined) plant.liars.add(one.liar);
  if (one.stubborn !== undefined) plant.stubborn.add(one.stubborn);
  plant.run(20);
  plant.utility = { limitKw: one.limitKw, deadlineS: DEADLINE_S, sequence: 1 };
  return plant;
}

/**
 * Played until everything has settled after the deadline and after the last death; `deaths`: seconds after the signal
 * at which the controller dies.
 */
function play(one: Case, deaths: readonly number[] = [], plant: Plant = signalled(one)): Outcome {
  const startMs = plant.nowMs;
  const began = plant.moves.length;
  const endMs = startMs + Math.max(80, Math.max(...deaths) + 45) * 1_000;
  let metS = 0;
  while (plant.nowMs < endMs) {
    const second = (plant.nowMs - startMs) / 1_000;
    if (deaths.includes(second)) plant.restart(DOWN_S);
    plant.run(1);
    if (plant.nodeW('site') > one.limitKw * 1_000) metS = second + 1;
  }
  const moves = plant.moves.slice(began);
  return {
    asleep: plant.count('sleep') + plant.count('idle'),
    woken: moves.filter(({ mode }) => mode === 'mine' || mode === 'ai').map(({ machine }) => machine),
    metS,
  };
}

const real: PlantPhysics = { rampS: 15, spread: 0.03, pollS: 5, silentFirmware: true };
const small: Case = { name: 'a small site', site: smallSite, limitKw: 45, physics: real };
const cases: readonly Case[] = [
  small,
  { ...small, name: 'firmware that says its draw', physics: { ...real, silentFirmware: false } },
  { ...small, name: 'a deep limit and slow machines', limitKw: 24, physics: { ...real, rampS: 25 } },
  { ...small, name: 'a price near what the machines earn', limitKw: 52, priceUsdPerMwh: 52 },
  { ...small, name: 'a machine that lies', liar: 'r1-10' },
  { ...small, name: 'a machine that does not obey', stubborn: 'r1-10' },
  { ...small, name: 'a large site that falls by its ramp', site: largeSite, limitKw: 190 },
];

describe('a controller that dies in the middle of a shed', () => {
  test.for(cases)('$name: sheds no more for it and wakes nobody', { timeout: 180_000 }, (one) => {
    const whole = play(one);
    expect(whole.woken).toEqual([]);
    expect(whole.metS).toBeLessThanOrEqual(DEADLINE_S);
    // Every second in the first case; the others, each at its own seconds, every fourth.
    const place = cases.indexOf(one);
    for (const second of DEATHS.filter((at) => place === 0 || at % 4 === place % 4)) {
      const broken = play(one, [second]);
      expect({ second, ...broken, metS: 0 }).toEqual({ second, ...whole, metS: 0 });
      expect(broken.metS, `died at ${second} s`).toBeLessThanOrEqual(DEADLINE_S);
    }
  });

  test('dies again before it has seen the end of it', { timeout: 180_000 }, () => {
    const whole = play(small);
    for (const second of DEATHS.slice(0, 25).filter((at) => at % 3 === 0)) {
      const broken = play(small, [second, second + DOWN_S + 4]);
      expect({ second, ...broken, metS: 0 }).toEqual({ second, ...whole, metS: 0 });
      expect(broken.metS).toBeLessThanOrEqual(DEADLINE_S);
    }
  });

  test('dies with its commands written down and not yet said: they are said by the next', () => {
    const whole = play(small);
    const plant = signalled(small);
    plant.delivers = false;
    expect({ ...play(small, [2], plant), metS: 0 }).toEqual({ ...whole, metS: 0 });
  });
});

describe('what a new controller takes up of the old one', () => {
  const taken = (): Plant => signalled(small).run(4).restart(DOWN_S);

  test('the proof of its commands, and the end of its signal', () => {
    const plant = taken().run(40);
    const proofs = plant.events.filter((event) => event.event === 'verified' && event.signalId === 'limit-1');
    expect(proofs.map((event) => (event.event === 'verified' ? event.commandId : ''))).toContain('c-1-2');
    plant.utility = { deadlineS: 0, sequence: 2 };
    plant.run(120);
    expect(plant.events.some((event) => event.event === 'restored' && event.signalId === 'limit-1')).toBe(
      true,
    );
    expect(plant.count('mine')).toBe(18);
  });

  test('a machine that lies is found out although the command was the old one’s', () => {
    const lying: Case = { ...small, physics: { ...real, spread: 0 } };
    const plant = signalled(lying);
    for (const id of ['r1-05', 'r1-06', 'r1-07']) plant.liars.add(id);
    plant.run(4).restart(DOWN_S).run(90);
    expect([...plant.state.alarms.keys()].some((id) => id.startsWith('SHED_SHORTFALL'))).toBe(true);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(small.limitKw * 1_000);
  });

  test('the deadline of the limit: it is due when it was', () => {
    const plant = taken().run(1);
    expect(plant.state.limit.deadlineMonoMs).toBeLessThanOrEqual(20_000 + DEADLINE_S * 1_000 + 1_000);
    expect(plant.state.limit.deadlineMonoMs).toBeGreaterThan(20_000 + DEADLINE_S * 1_000 - 1_000);
  });

  test('an emergency stays one when nobody says it any more: its deadline stands above the ramp', () => {
    const site: SiteConfigInput = {
      ...smallSite,
      nodes: smallSite.nodes.map((node) => (node.id === 'site' ? { ...node, rampDownKwPerMin: 12 } : node)),
    };
    const plant = new Plant(site);
    plant.run(20);
    plant.utility = { limitKw: 20, deadlineS: 60, sequence: 1, kind: 'emergency' };
    plant.run(2);
    plant.utilitySpeaks = false;
    plant.restart(DOWN_S).run(70);
    expect(plant.state.limit.kind).toBe('emergency');
    expect(plant.nodeW('site')).toBeLessThanOrEqual(20_000);
  });

  test('a limit that nobody says any more holds, and its end is said when it has ended meanwhile', () => {
    const silent = taken();
    silent.utilitySpeaks = false;
    silent.run(120);
    expect(silent.state.deciding).toBe(true);
    expect(silent.moves.filter(({ mode }) => mode === 'mine')).toEqual([]);
    const ended = signalled(small).run(30);
    ended.utility = { deadlineS: 0, sequence: 2 };
    ended.restart(DOWN_S).run(120);
    const kinds = ended.events.flatMap((event) =>
      event.event === 'signal' && event.source === 'utility' ? [event.kind] : [],
    );
    expect(kinds).toEqual(['limit', 'limit-end']);
    expect(ended.count('mine')).toBe(18);
  });
});

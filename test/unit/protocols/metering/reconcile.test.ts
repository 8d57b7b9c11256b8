import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../../host/random.ts';
import type { BalanceMeter, BalanceNode } from '../../../../protocols/metering/balance.ts';
import { judgeMeters, makeReconciler, noteMeter, noteOwn } from '../../../../protocols/metering/reconcile.ts';
import type { Reconciler } from '../../../../protocols/metering/reconcile.ts';

const CAP_W = [320_000, 110_000, 110_000, 110_000];
const node = (feeds: BalanceNode['feeds'], capW: number): BalanceNode => ({
  feeds,
  capW,
  lossShare: feeds.length === 0 ? 0.05 : 0.03,
  mayExport: false,
});
const below = [{ node: 0, share: 1 }];
const NODES = CAP_W.map((capW, place) => node(place === 0 ? [] : below, capW));
const METERS = ['main', 'f1', 'f2', 'f3'].map((id, place): BalanceMeter => ({
  id,
  node: place,
  role: 'node',
  errorShare: 0.007,
  periodMs: 2_000,
}));

const SOLAR: BalanceMeter = {
  id: 'solar',
  node: 0,
  role: 'generation',
  errorShare: 0.007,
  periodMs: 2_000,
};

/** Three feeders of 30 machines; `atWork`: the share of each that works at a time; `gain`: what each meter makes of it. */
interface Plant {
  readonly atWork: (feeder: number, atS: number) => number;
  readonly gain: (meter: number, atS: number) => number;
  /** Machines say so much of what they draw. */
  readonly word?: number;
  readonly known?: boolean;
  /** Fed in beside the main meter, with a meter of its own; absent: none. */
  readonly solarW?: number;
}

/** Plays so many minutes, and says after how many of them something was found first. */
function play(plant: Plant, minutes: number, seed = 1): { state: Reconciler; foundMin: number | undefined } {
  const random = seededRandom(seed);
  const meters = plant.solarW === undefined ? METERS : [...METERS, SOLAR];
  const state = makeReconciler(NODES, meters, { ownLagMs: 7_000 });
  const classOf = meters.map(() => 1 + 0.006 * (2 * random.next() - 1));
  const idle = { machinesW: 0, unknownW: 0, doubtW: 0, auxiliaryW: 0 };
  let said = NODES.map(() => idle);
  let foundMin: number | undefined;
  for (let atS = 0; atS < minutes * 60; atS++) {
    const machines = [1, 2, 3].map((feeder) => 30 * (60 + 3_300 * plant.atWork(feeder, atS)));
    const feeders = machines.map((watts) => watts * 1.007 * (1 + 0.002 * random.next()));
    const drawnW = feeders.reduce((sum, watts) => sum + watts, 0) * 1.02;
    const shown = [drawnW - (plant.solarW ?? 0), ...feeders, plant.solarW ?? 0].slice(0, meters.length);
    for (const [meter, watts] of shown.entries())
      if (atS % 2 === meter % 2)
        noteMeter(state, meter, watts * (classOf[meter] ?? 1) * plant.gain(meter, atS), atS * 1_000);
    if (atS % 7 === 0)
      said = [
        idle,
        ...machines.map((watts, place) => {
          const known = plant.known ?? true;
          const rests = plant.atWork(place + 1, atS) < 1;
          return {
            machinesW: known ? watts * (plant.word ?? 1) : 0,
            unknownW: known ? 0 : 30 * 3_400,
            doubtW: rests ? 2 * 3_400 : 0,
            auxiliaryW: 0,
          };
        }),
      ];
    if (atS % 5 === 0) noteOwn(state, said);
    if (judgeMeters(state, atS * 1_000) && state.found.size > 0) foundMin ??= atS / 60;
  }
  return { state, foundMin };
}

const full = (): number => 1;
/** Feeders go up and down by prices: two of them at least every ten minutes, one idle for hours. */
const busy = (feeder: number, atS: number): number => {
  if (feeder === 3 && atS % 20_000 < 9_000) return 0;
  const phase = (atS + feeder * 200) % 1_400;
  return phase < 700 ? 1 : Math.max(0.1, 1 - (phase - 700) / 20);
};
const named = (state: Reconciler): string[] =>
  [...state.found.values()].map(({ kind, meter }) => `${kind} ${state.meters[meter]?.id}`);

describe('meters against each other', () => {
  for (const meter of [0, 1, 2, 3])
    for (const wrong of [0.8, 1.2])
      test(`a ratio of ${wrong} at ${METERS[meter]?.id} is named within ten minutes of load, with its size`, () => {
        const gain = (one: number): number => (one === meter ? wrong : 1);
        const { state, foundMin } = play({ atWork: full, gain }, 30);
        expect(named(state)).toEqual([`ratio ${METERS[meter]?.id}`]);
        expect(foundMin).toBeLessThanOrEqual(10);
        expect(state.found.get(meter)?.gain).toBeCloseTo(wrong, 1);
        // One at the top that shows more than all others may be right: a load that nobody declared shows there alone.
        expect(state.found.get(meter)?.isDistrusted).toBe(meter > 0 || wrong < 1);
      });

  test('one that begins while feeders go up and down is named too, and forgotten when it is mended', () => {
    const gain = (one: number, atS: number): number => (one === 2 && atS > 7_000 && atS < 14_000 ? 0.8 : 1);
    const { state: during, foundMin } = play({ atWork: busy, gain }, 200);
    expect(named(during)).toEqual(['ratio f2']);
    expect(foundMin).toBeLessThan(7_000 / 60 + 30);
    const { state: after } = play({ atWork: busy, gain }, 320);
    expect(named(after)).toEqual([]);
  });

  test('half a day of feeders that go up and down, with machines that say 6 % too little or 5 % too much, finds nothing', () => {
    for (const [seed, word] of [0.94, 1, 1.05].entries())
      expect(play({ atWork: busy, gain: () => 1, word }, 720, seed).foundMin).toBeUndefined();
  });

  test('a sign that turns at the main meter is named within 30 s', () => {
    const gain = (meter: number, atS: number): number => (meter === 0 && atS > 600 ? -1 : 1);
    const { state, foundMin } = play({ atWork: full, gain }, 12);
    expect(named(state)).toEqual(['ratio main']);
    expect(foundMin).toBeLessThanOrEqual(10.55);
  });

  test('when the sign of the main meter is right again no other one is blamed for what it showed', () => {
    const gain = (meter: number, atS: number): number => (meter === 0 && atS > 600 && atS < 766 ? -1 : 1);
    const atWork = (): number => 0.4;
    const during = play({ atWork, gain, solarW: 11_000 }, 15).state;
    expect(named(during)).toEqual(['ratio main']);
    const after = play({ atWork, gain, solarW: 11_000 }, 25).state;
    expect(named(after)).toEqual([]);
  });

  test('without a word of any machine two that contradict each other are both named', () => {
    const gain = (meter: number): number => (meter === 0 ? 0.8 : 1);
    const { state } = play({ atWork: (feeder) => Number(feeder === 1), gain, known: false }, 40);
    const [finding] = state.found.values();
    expect(finding).toMatchObject({ kind: 'contradicts', meter: 0, or: [1], isDistrusted: true });
  });

  test('a drift is said long before it is a wrong ratio', () => {
    const gain = (meter: number, atS: number): number =>
      meter === 0 ? 1 + Math.max(0, atS - 14_400) * 3e-6 : 1;
    expect(play({ atWork: full, gain }, 240).foundMin).toBeUndefined();
    expect(named(play({ atWork: full, gain }, 480).state)).toEqual(['drift main']);
  });

  test('nothing is said of a plant at rest, whatever its meters show', () => {
    const gain = (meter: number): number => (meter === 1 ? 0.5 : 1);
    expect(play({ atWork: () => 0, gain }, 120).foundMin).toBeUndefined();
  });
});

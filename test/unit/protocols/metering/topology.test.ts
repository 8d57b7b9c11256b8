import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fallOf, meanFall } from '../../../../protocols/metering/fall.ts';
import { judgeRack, nextToggle } from '../../../../protocols/metering/topology.ts';
import type { Fall, Toggle, Verdict, Wiring } from '../../../../protocols/metering/topology.ts';

const DRAW_W = 3_400;

/** Racks of some machines on feeders, each with a meter, below one main meter. Where a machine hangs: its feeder's place, -1: none. */
interface Plant {
  readonly feeders: number;
  /** Machine to its rack, and to the feeder by the site file. */
  readonly racks: readonly {
    readonly id: string;
    readonly feeder: number;
    readonly machines: readonly number[];
  }[];
  readonly hangs: (machine: number) => readonly { readonly feeder: number; readonly share: number }[];
  /** What a meter shows of what flows, by its place; 0 is the main meter. */
  readonly factor?: (meter: number) => number;
  /** Standard deviation of each meter's answer, W. */
  readonly errorW?: (meter: number) => number;
  /** Two feeds of a rack by the site file. */
  readonly feeds?: ReadonlyMap<string, readonly [number, number]>;
}

function wiringOf({ feeders, racks, feeds }: Plant): Wiring {
  const rackOf = new Map(racks.flatMap((rack) => rack.machines.map((machine) => [machine, rack] as const)));
  return {
    meters: [
      { id: 'main', isRoot: true },
      ...Array.from({ length: feeders }, (_, feeder) => ({ id: `f${feeder}`, isRoot: false })),
    ],
    share: (machine, meter) => {
      const rack = rackOf.get(machine);
      if (meter === 0) return 1;
      const two = feeds?.get(rack?.id ?? '');
      if (two !== undefined) return two.includes(meter - 1) ? 0.5 : 0;
      return rack?.feeder === meter - 1 ? 1 : 0;
    },
    growth: () => 1,
    nameOf: (machine) => `m${machine}`,
  };
}

/** What the meters really show; `wobble`: a fixed error of each answer in standard deviations. */
function toggle(plant: Plant, rack: string, machines: readonly number[], wobble = 0): Toggle {
  const { feeders, hangs, factor = () => 1, errorW = () => 60 } = plant;
  const falls = Array.from({ length: feeders + 1 }, (_, meter): Fall => {
    let watts = 0;
    for (const machine of machines)
      for (const { feeder, share } of hangs(machine))
        if (meter === 0 || feeder === meter - 1) watts += DRAW_W * share;
    const sign = (meter + machines.length) % 2 === 0 ? 1 : -1;
    return { watts: watts * factor(meter) + sign * wobble * errorW(meter), errorW: errorW(meter) };
  });
  return { rack, fell: new Map(machines.map((machine) => [machine, DRAW_W])), falls };
}

/** All racks, and whatever further toggles the judge asks for: as the command does it. */
function prove(plant: Plant, wobble = 0): { verdicts: Verdict[]; toggles: Toggle[] } {
  const wiring = wiringOf(plant);
  const toggles: Toggle[] = [];
  for (const { id, machines } of plant.racks) {
    let next: readonly number[] | undefined = machines;
    for (let count = 0; next !== undefined && count < 40; count++) {
      toggles.push(toggle(plant, id, next, wobble));
      next = nextToggle(wiring, toggles, id);
    }
  }
  const verdicts = plant.racks.flatMap(({ id }) => judgeRack(wiring, toggles, id) ?? []);
  return { verdicts, toggles };
}

/** As the site file says. */
const asSaid =
  (racks: Plant['racks']): Plant['hangs'] =>
  (machine) => [{ feeder: racks.find((rack) => rack.machines.includes(machine))?.feeder ?? -1, share: 1 }];

function racksOf(feeders: number, perFeeder: number, perRack: number): Plant['racks'] {
  return Array.from({ length: feeders * perFeeder }, (_, at) => ({
    id: `r${at}`,
    feeder: Math.floor(at / perFeeder),
    machines: Array.from({ length: perRack }, (__, n) => at * perRack + n),
  }));
}

const sizes = fc.record({
  feeders: fc.integer({ min: 2, max: 4 }),
  perFeeder: fc.integer({ min: 1, max: 3 }),
  perRack: fc.integer({ min: 1, max: 16 }),
  wobble: fc.double({ min: -2, max: 2, noNaN: true }),
});
const kinds = (verdicts: readonly Verdict[]): Map<string, string> =>
  new Map(verdicts.map(({ rack, verdict }) => [rack, verdict]));

describe('the wiring by the meters', () => {
  test('a right site file is confirmed, whatever its size, with one toggle per rack', () => {
    fc.assert(
      fc.property(sizes, ({ feeders, perFeeder, perRack, wobble }) => {
        const racks = racksOf(feeders, perFeeder, perRack);
        const { verdicts, toggles } = prove({ feeders, racks, hangs: asSaid(racks) }, wobble);
        expect(verdicts.map(({ verdict }) => verdict)).toEqual(racks.map(() => 'confirmed'));
        expect(toggles).toHaveLength(racks.length);
      }),
      { numRuns: 60 },
    );
  });

  test('two racks swapped between feeders: both are named with the meter that moved, and nobody else', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), ({ feeders, perFeeder, perRack, wobble }, some, other) => {
        const racks = racksOf(feeders, perFeeder, perRack);
        const one = racks[some % racks.length];
        const elsewhere = racks.filter(({ feeder }) => feeder !== one?.feeder);
        const two = elsewhere[other % elsewhere.length];
        const real = new Map([
          [one?.id, two?.feeder],
          [two?.id, one?.feeder],
        ]);
        const hangs: Plant['hangs'] = (machine) => {
          const rack = racks.find((candidate) => candidate.machines.includes(machine));
          return [{ feeder: real.get(rack?.id) ?? rack?.feeder ?? -1, share: 1 }];
        };
        const { verdicts } = prove({ feeders, racks, hangs }, wobble);
        for (const { rack, verdict, text } of verdicts) {
          const wrong = real.get(rack);
          expect(verdict, rack).toBe(wrong === undefined ? 'confirmed' : 'wrong-feeder');
          if (wrong !== undefined) expect(text).toContain(`f${wrong} moved`);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('swapped PDUs (or meter addresses): every rack of both feeders is wrong', () => {
    const racks = racksOf(3, 2, 8);
    const hangs: Plant['hangs'] = (machine) => {
      const feeder = racks.find((rack) => rack.machines.includes(machine))?.feeder ?? -1;
      return [{ feeder: feeder === 0 ? 1 : feeder === 1 ? 0 : feeder, share: 1 }];
    };
    const { verdicts } = prove({ feeders: 3, racks, hangs });
    expect(verdicts.map(({ verdict }) => verdict)).toEqual([
      ...Array.from({ length: 4 }, () => 'wrong-feeder'),
      'confirmed',
      'confirmed',
    ]);
  });

  test('machines listed in a wrong rack are singled out by halving, each with its meter', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 20 }),
        fc.uniqueArray(fc.nat({ max: 19 }), { minLength: 1, maxLength: 3 }),
        fc.double({ min: -1, max: 1, noNaN: true }),
        (perRack, drawn, wobble) => {
          const racks = racksOf(3, 1, perRack);
          const strangers = drawn.map((one) => one % perRack).slice(0, Math.ceil(perRack / 2) - 1);
          const away = new Set(strangers);
          const said = asSaid(racks);
          const hangs: Plant['hangs'] = (machine) =>
            away.has(machine) ? [{ feeder: 1 + (machine % 2), share: 1 }] : said(machine);
          const { verdicts, toggles } = prove({ feeders: 3, racks, hangs }, wobble);
          expect(kinds(verdicts).get('r0')).toBe('machine-elsewhere');
          expect(verdicts[0]?.elsewhere.toSorted((a, b) => a.machine.localeCompare(b.machine))).toEqual(
            [...away]
              .map((machine) => ({ machine: `m${machine}`, meter: `f${1 + (machine % 2)}` }))
              .sort((a, b) => a.machine.localeCompare(b.machine)),
          );
          expect(toggles.length).toBeLessThanOrEqual(3 + away.size * Math.ceil(Math.log2(perRack)));
          expect([kinds(verdicts).get('r1'), kinds(verdicts).get('r2')]).toEqual(['confirmed', 'confirmed']);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a wrong CT ratio is told from machines without a meter, and from words that are off', () => {
    const racks = racksOf(2, 2, 8);
    const ratio = prove({
      feeders: 2,
      racks,
      hangs: asSaid(racks),
      factor: (meter) => (meter === 1 ? 0.8 : 1),
    });
    expect(ratio.verdicts.map(({ verdict }) => verdict)).toEqual([
      'other-size',
      'other-size',
      'confirmed',
      'confirmed',
    ]);
    expect(ratio.verdicts[0]?.text).toMatch(
      /^f0 shows 0.80 .*; \d toggles agree: its CT or PT ratio is off by ×0.80$/,
    );
    const said = asSaid(racks);
    const unmetered = prove({
      feeders: 2,
      racks,
      hangs: (machine) => (machine < 2 ? [{ feeder: -1, share: 1 }] : said(machine)),
    });
    expect(unmetered.verdicts[0]).toMatchObject({ verdict: 'other-size' });
    expect(unmetered.verdicts[0]?.text).toMatch(
      /not at every toggle: some of these machines hang where no meter is/,
    );
    const words = prove({ feeders: 2, racks, hangs: said, factor: () => 0.7 });
    expect(words.verdicts[0]?.text).toMatch(/so do all meters above: what the machines say they draw is off/);
    const mirrored = prove({ feeders: 2, racks, hangs: said, factor: (meter) => (meter === 1 ? -1 : 1) });
    expect(kinds(mirrored.verdicts).get('r0')).toBe('reversed');
  });

  test('racks with two cords: shares may be any, a cord that hangs elsewhere is seen', () => {
    const racks = racksOf(3, 1, 8);
    const feeds = new Map([['r0', [0, 1] as const]]);
    const at = (a: number, b: number, on: readonly [number, number] = [0, 1]): string | undefined => {
      const said = asSaid(racks);
      const hangs: Plant['hangs'] = (machine) =>
        machine < 8
          ? [
              { feeder: on[0], share: a },
              { feeder: on[1], share: b },
            ]
          : said(machine);
      return kinds(prove({ feeders: 3, racks, hangs, feeds }).verdicts).get('r0');
    };
    expect(at(0.5, 0.5)).toBe('confirmed');
    expect(at(0.75, 0.25)).toBe('confirmed');
    expect(at(1, 0)).toBe('wrong-feeder');
    expect(at(0.5, 0.5, [0, 2])).toBe('wrong-feeder');
  });

  test('noise above the change is no proof, of either kind; at the main meter it does not matter', () => {
    const racks = racksOf(2, 1, 2);
    const feeder = prove({ feeders: 2, racks, hangs: asSaid(racks), errorW: () => 2_000 });
    expect(feeder.verdicts.map(({ verdict }) => verdict)).toEqual(['inconclusive', 'inconclusive']);
    expect(feeder.verdicts[0]?.text).toMatch(
      /f0 cannot tell 6.80 kW from its noise .*: test again at a quieter time/,
    );
    const main = prove({
      feeders: 2,
      racks,
      hangs: asSaid(racks),
      errorW: (meter) => (meter === 0 ? 9_000 : 20),
    });
    expect(main.verdicts.map(({ verdict }) => verdict)).toEqual(['confirmed', 'confirmed']);
    expect(main.verdicts[0]?.text).toMatch(/main cannot tell/);
  });

  test('without a meter on the path, or one that is not read, nothing is confirmed', () => {
    const racks = racksOf(2, 1, 4);
    const plant: Plant = { feeders: 2, racks, hangs: asSaid(racks) };
    const bare: Wiring = { ...wiringOf(plant), share: () => 0 };
    expect(judgeRack(bare, [toggle(plant, 'r0', [0, 1, 2, 3])], 'r0')).toMatchObject({ verdict: 'no-meter' });
    const seen = toggle(plant, 'r0', [0, 1, 2, 3]);
    const unread = { ...seen, falls: seen.falls.map((fall, meter) => (meter === 1 ? undefined : fall)) };
    expect(judgeRack(wiringOf(plant), [unread], 'r0')).toMatchObject({ verdict: 'inconclusive' });
  });
});

describe('the fall of one meter', () => {
  const noise = (length: number, seed: number): number[] =>
    Array.from({ length }, (_, at) => 100 * Math.sin(seed * 12.9898 + at * 78.233));

  test('is what it was lower by at rest; an even drift and what came back higher do not count', () => {
    const line = (fromW: number, seed: number, slopeW: number): number[] =>
      noise(20, seed).map((one, at) => fromW + one + slopeW * at);
    const drifting = fallOf(line(100_000, 1, 20), line(90_400, 2, 20), line(100_800, 3, 20));
    expect(drifting?.watts).toBeCloseTo(10_000, -2);
    const steady = fallOf(line(100_000, 1, 0), line(90_000, 2, 0), line(100_000, 3, 0));
    expect(steady?.errorW).toBeLessThan(60);
    const higher = fallOf(line(100_000, 1, 0), line(90_000, 2, 0), line(100_400, 3, 0), 400);
    expect(higher?.errorW).toBeLessThan(60);
    expect(drifting?.errorW ?? 0).toBeGreaterThan(steady?.errorW ?? Infinity);
  });

  test('needs samples on all three sides, and several are surer than one', () => {
    expect(fallOf(noise(20, 1), noise(7, 2), noise(20, 3))).toBeUndefined();
    const one = fallOf(noise(20, 1), noise(20, 2), noise(20, 3));
    expect(meanFall([one, undefined, one])?.errorW).toBeCloseTo((one?.errorW ?? 0) / Math.SQRT2);
    expect(meanFall([undefined])).toBeUndefined();
  });
});

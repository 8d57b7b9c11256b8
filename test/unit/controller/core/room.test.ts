import { expect, test } from 'vitest';
import type { Mode } from '../../../../protocols/reading.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

/** Racks in two layers of metered nodes; nothing is to be decided while the draw of machines is set by hand. */
const observed = { ...smallSite, authority: 'observe' as const };
const BESIDE_W = 1_000;

function settled(): Plant {
  const plant = new Plant(observed);
  plant.extraW.set('f1', BESIDE_W);
  return plant.run(20);
}

const residualW = ({ state }: Plant, id: string): number =>
  state.residualW[state.site.nodes.find((node) => node.id === id)?.index ?? -1] ?? Number.NaN;

function setMode(plant: Plant, ids: readonly string[], mode: Mode): void {
  for (const { id, index } of plant.state.site.machines) if (ids.includes(id)) plant.mode[index] = mode;
}

/** Neither machines nor meters are heard, as behind a broker that is away; `meanwhile`, then machines are heard first. */
function gap(plant: Plant, ids: readonly string[], meanwhile: () => void): void {
  plant.metersRead = false;
  for (const id of ids) plant.silent.add(id);
  plant.run(40);
  meanwhile();
  plant.silent.clear();
  plant.run(1);
}

const IDS = ['r1-01', 'r1-02', 'r2-03'];

test.each([
  ['working', 'asleep', 'mine', 'sleep'],
  ['asleep', 'working', 'sleep', 'mine'],
  ['working', 'working', 'mine', 'mine'],
  ['working', 'without power', 'mine', 'off'],
] as const)(
  'lost %s and back %s, machines leave what is unexplained above them as it was',
  (_a, _b, from, to) => {
    const plant = settled();
    setMode(plant, IDS, from);
    plant.run(60);
    const before = ['site', 'f1', 'f2'].map((node) => residualW(plant, node));
    expect(before[0]).toBeCloseTo(BESIDE_W, 0);
    gap(plant, IDS, () => setMode(plant, IDS, to));
    const after = ['site', 'f1', 'f2'].map((node) => residualW(plant, node));
    for (const [place, watts] of after.entries()) expect(watts).toBeCloseTo(before[place] ?? 0, 0);
    // A second time, and one of them at another moment: nothing is taken out twice.
    gap(plant, ['r1-01'], () => setMode(plant, ['r1-01'], from));
    expect(residualW(plant, 'f1')).toBeCloseTo(BESIDE_W, 0);
    plant.metersRead = true;
    plant.run(60);
    expect(residualW(plant, 'site')).toBeCloseTo(BESIDE_W, 0);
  },
);

test.each([
  ['long ago, their present draw is taken out', 60],
  ['two readings ago, a part of both draws is', 2],
])('where the meter is back before the machines, which sleep by now, %s', (_words, seconds) => {
  const plant = settled();
  for (const id of IDS) plant.silent.add(id);
  plant.metersRead = false;
  plant.run(40);
  setMode(plant, IDS, 'sleep');
  plant.metersRead = true;
  plant.run(seconds);
  expect(residualW(plant, 'f1')).toBeGreaterThan(BESIDE_W + 50);
  plant.silent.clear();
  plant.metersRead = false;
  plant.run(1);
  for (const node of ['site', 'f1']) expect(residualW(plant, node)).toBeCloseTo(BESIDE_W, 0);
  expect(residualW(plant, 'f2')).toBeCloseTo(0, 0);
});

import { expect, test } from 'vitest';
import { order } from './order.ts';
import { Plant } from './plant.ts';

const r1 = Array.from({ length: 10 }, (_, n) => `r1-${String(n + 1).padStart(2, '0')}`);
const ignored = (plant: Plant): readonly (readonly [string, string])[] =>
  [...plant.state.alarms.values()]
    .filter(({ code }) => code === 'COMMAND_IGNORED')
    .map(({ subject, text }) => [subject, text] as const);

function disobeyed(ids: readonly string[]): Plant {
  const plant = new Plant().run(20);
  plant.refusal = 'NET_REFUSED';
  for (const id of ids) plant.stubborn.add(id);
  plant.utility = { limitKw: 20, deadlineS: 60, sequence: 1 };
  return plant.run(90);
}

test('a few that do not follow are told each, many of a rack as one that counts them', () => {
  expect(ignored(disobeyed(r1.slice(0, 3))).map(([subject]) => subject)).toEqual(r1.slice(0, 3));
  const many = ignored(disobeyed(r1));
  expect(many).toHaveLength(5);
  expect(many.find(([subject]) => subject === 'r1')?.[1]).toBe(
    '10 of 10 machines of r1 were told and do not follow. Their load was taken elsewhere',
  );
});

test('released to manual nothing is wanted of them any more: nobody is said to ignore it', () => {
  const plant = disobeyed(r1);
  order(plant, 'anna#1', 'manual', r1.slice(0, 8));
  plant.run(3);
  expect(ignored(plant).every(([subject]) => subject === 'r1' || r1.indexOf(subject) >= 8)).toBe(true);
  expect(ignored(plant).find(([subject]) => subject === 'r1')?.[1]).toMatch(/^2 of 10 /);
  order(plant, 'anna#1', 'manual', r1);
  plant.run(3);
  expect(ignored(plant)).toEqual([]);
});

import { expect, test } from 'vitest';
import { harnessSite } from '../../../proof/site.ts';
import { TripJudge } from '../../../proof/trip-judge.ts';
import type { Mode } from '../../../protocols/reading.ts';

const site = harnessSite(14);
const below = (node: string): number[] =>
  site.machines
    .filter(({ nodeIndex }) => site.nodes[nodeIndex]?.path.some((index) => site.nodes[index]?.id === node))
    .map(({ index }) => index);
const [first = -1] = below('feeder-1');
const [other = -1] = below('feeder-2');

function makeJudge() {
  const texts: string[] = [];
  const judge = new TripJudge(
    site,
    (_invariant, atMs, text) => texts.push(`${atMs / 1_000} ${text}`),
    () => undefined,
  );
  const look = (mode: Mode, s: number): void =>
    judge.look(
      site.machines.map(({ index }) => (index === first ? mode : 'sleep')),
      () => false,
      s * 1_000,
    );
  return { texts, judge, look };
}

test('a start below a breaker that tripped is found, up to the permission and not after it', () => {
  const { texts, judge } = makeJudge();
  judge.failed('q1', 0);
  // Not yet known to the agent; on another feeder.
  judge.started(first, 20_000, 20_000);
  judge.started(other, 90_000, 90_000);
  expect(texts).toEqual([]);
  judge.permitted(['feeder-1']);
  judge.returned('q1', 100_000);
  judge.started(first, 500_000, 500_000);
  expect(texts).toEqual(['500 r1-01 was started while q1 held it']);
  judge.permitted(['feeder-1']);
  judge.started(first, 501_000, 501_000);
  expect(texts).toHaveLength(1);
});

test('a relay that releases itself holds for its time after the return; cooling ends with its return', () => {
  const { texts, judge } = makeJudge();
  judge.failed('ufr', 0);
  judge.returned('ufr', 100_000);
  judge.started(other, 125_000, 125_000);
  judge.started(other, 131_000, 131_000);
  judge.failed('pump', 200_000);
  judge.started(first, 260_000, 260_000);
  judge.returned('pump', 270_000);
  judge.started(first, 271_000, 271_000);
  expect(texts).toEqual([
    '125 r5-01 was started while ufr held it',
    '260 r1-01 was started while pump held it',
  ]);
});

test('what works below a trip long after it is found, unless the agent was away', () => {
  const { texts, judge, look } = makeJudge();
  judge.failed('q1', 0);
  judge.returned('q1', 60_000);
  look('mine', 134);
  expect(texts).toEqual([]);
  judge.excuse(100_000);
  look('mine', 174);
  expect(texts).toEqual([]);
  look('mine', 175);
  expect(texts).toEqual(['175 r1-01 is in mine while q1 holds it at rest']);
});

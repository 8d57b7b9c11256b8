import { expect, test } from 'vitest';
import { blockedBy } from '../../../../controller/core/operator.ts';
import { whyOf } from '../../../../controller/core/view.ts';
import type { AgentVerbs } from '../../../../protocols/mqtt/verbs.ts';
import { PLAIN_VERB } from '../../../../protocols/verb-facts.ts';
import { Plant } from './plant.ts';

const r1 = Array.from({ length: 10 }, (_, n) => `r1-${String(n + 1).padStart(2, '0')}`);
const now = { wallMs: 0, monoMs: 0 };
const tell = (plant: Plant, kinds: AgentVerbs['kinds'], agent = 'a1'): void =>
  plant.take({ kind: 'verbs', agent, kinds });
const LIMIT = {
  ...PLAIN_VERB,
  restartsMining: true,
  dwellS: 300,
  effectS: { typical: 60, atMost: 240 },
  grain: { by: 'watts', stepW: 1, leastW: 2_000, mostW: 3_600 },
} as const;

test('a start that its firmware makes dear is not undone for money a moment later', () => {
  const worksAfterDip = (dwellS: number): readonly number[] => {
    const plant = new Plant().run(30);
    tell(plant, [{ verbs: { sleep: PLAIN_VERB, wake: { ...PLAIN_VERB, dwellS } }, machines: r1 }]);
    plant.priceUsdPerMwh = 500;
    plant.run(60);
    const asleep = plant.count('mine', 'r1');
    plant.priceUsdPerMwh = 5;
    plant.run(60);
    const soon = plant.count('mine', 'r1');
    plant.run(240);
    return [asleep, soon, plant.count('mine', 'r1')];
  };
  expect(worksAfterDip(0)).toEqual([0, 10, 10]);
  expect(worksAfterDip(240)).toEqual([0, 0, 10]);
});

test('an order is not for machines without a word for it, and says what they can be told', () => {
  const plant = new Plant().run(5);
  const [first = '', second = '', third = ''] = r1;
  const word = (id: string, action: 'sleep' | 'mine' | 'pools' | 'lockout'): string | undefined =>
    blockedBy(plant.state, r1.indexOf(id), action, 'anna#1');
  // Nobody has said: it is tried.
  expect(word(first, 'pools')).toBe(undefined);
  tell(plant, [
    { verbs: {}, machines: [first] },
    { verbs: { sleep: PLAIN_VERB, wake: PLAIN_VERB }, machines: [second] },
  ]);
  expect(word(first, 'sleep')).toBe(
    'r1-01 has no word for sleep as its agent reaches it; it can be told nothing: it is read only, or its credential is missing',
  );
  expect(word(second, 'sleep')).toBe(undefined);
  expect(word(second, 'mine')).toBe(undefined);
  expect(word(second, 'pools')).toBe(
    'r1-02 has no word for pools as its agent reaches it; it can be told sleep, wake',
  );
  expect(word(third, 'pools')).toBe(undefined);
  // Hands in the rack are no question of firmware.
  expect(word(first, 'lockout')).toBe(undefined);
});

test('what a machine can be told stands with why it is in its state', () => {
  const plant = new Plant().run(5);
  tell(plant, [{ verbs: { sleep: PLAIN_VERB, 'power-limit': LIMIT }, machines: ['r1-01'] }]);
  const said = (index: number): string[] =>
    whyOf(plant.state, index, now)
      .inputs.filter(({ label }) => label.startsWith('can be told'))
      .map(({ label, value }) => `${label}: ${value}`);
  expect(said(0)).toEqual([
    'can be told sleep: no reading shows it',
    'can be told power-limit: shows after 60 s, at most 240 s, restarts mining, for money again after 300 s, in steps of 1 W, 2000 to 3600 W',
  ]);
  expect(said(1)).toEqual([]);
});

test('a newer table takes the place of the one before, and nobody speaks for the machines of another', () => {
  const plant = new Plant().run(5);
  tell(plant, [{ verbs: {}, machines: ['r1-01'] }]);
  tell(plant, [{ verbs: {}, machines: ['r1-02', 'no-such'] }]);
  expect([...plant.state.verbs.keys()]).toEqual([1]);
  tell(plant, [{ verbs: { sleep: PLAIN_VERB }, machines: ['r1-02'] }], 'a2');
  expect(plant.state.verbs.get(1)).toEqual({});
});

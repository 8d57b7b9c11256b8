import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { locksByMachine, mergeLocks } from '../../../../protocols/mqtt/lockouts.ts';
import type { Lock } from '../../../../protocols/mqtt/lockouts.ts';

const machine = fc.constantFrom('m1', 'm2', 'm3', 'm4');
/** A person per lockout, so that every word on one is in the right name. */
const word: fc.Arbitrary<Lock> = fc
  .record({
    id: fc.constantFrom('l1', 'l2', 'l3'),
    machines: fc.uniqueArray(machine),
    freed: fc.uniqueArray(machine),
  })
  .map((one) => ({ ...one, kind: 'lockout', by: `by-${one.id}`, sinceMs: 0, reason: '' }));

const shape = (locks: readonly Lock[]): unknown =>
  locks
    .map(({ id, machines, freed }) => ({ id, machines: [...machines].sort(), freed: [...freed].sort() }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));

test('words on lockouts may come in any order, twice or late: the end is the same', () => {
  fc.assert(
    fc.property(
      fc
        .array(word)
        .chain((said) => fc.tuple(fc.constant(said), fc.shuffledSubarray(said, { minLength: said.length }))),
      ([said, shuffled]) => {
        const merge = (words: readonly Lock[]): readonly Lock[] =>
          words.reduce<readonly Lock[]>((known, one) => mergeLocks(known, [one]), []);
        const merged = merge(said);
        expect(shape(merge([...shuffled, ...said]))).toEqual(shape(merged));
        expect(mergeLocks(merged, said)).toBe(merged);
        // Locked: named by some word of a lockout and released from it by none.
        for (const lock of merged) {
          const words = said.filter((one) => one.id === lock.id);
          for (const id of ['m1', 'm2', 'm3', 'm4'])
            expect(lock.machines.includes(id)).toBe(
              words.some((one) => one.machines.includes(id)) && !words.some((one) => one.freed.includes(id)),
            );
        }
      },
    ),
  );
});

test('each of several persons must release a machine before it is free', () => {
  const lock = (id: string, by: string, machines: string[], freed: string[] = []): Lock => ({
    id,
    kind: 'lockout',
    by,
    sinceMs: 0,
    reason: '',
    machines,
    freed,
  });
  const both = [lock('l1', 'anna', ['m1']), lock('l2', 'bert', ['m1'])];
  const one = mergeLocks(both, [lock('l1', 'anna', [], ['m1'])]);
  expect([...locksByMachine(one).keys()]).toEqual(['m1']);
  expect(mergeLocks(one, [lock('l2', 'anna', [], ['m1'])])).toBe(one);
  expect(locksByMachine(mergeLocks(one, [lock('l2', 'bert', [], ['m1'])])).size).toBe(0);
});

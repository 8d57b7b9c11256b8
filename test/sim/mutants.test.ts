import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MUTANTS, mutate } from '../../proof/mutants.ts';
import { runAll } from '../../proof/seeds.ts';
import { stakeOf } from '../../proof/stakes.ts';

const HOME = new URL('../../', import.meta.url);

/** What notices each mutant, and in which seed of those in which it is at stake. `npm run soak:mutants`: in all of them. */
const NOTICED: Readonly<Record<string, { readonly by: string; readonly seed: number }>> = {
  'expiry ignored': { by: 'expired-or-stale', seed: 1 },
  'generation check removed': { by: 'expired-or-stale', seed: 1 },
  'ack before fsync': { by: 'ledger-first', seed: 1 },
  'unknown counted as zero': { by: 'committed', seed: 1 },
  'unknown counted as rated when shedding': { by: 'overshed', seed: 1 },
  'ramp ignored': { by: 'ramp', seed: 1 },
  'committed draw ignored': { by: 'committed', seed: 1 },
  'restore forgets the previous settings': { by: 'settings', seed: 1 },
  'spool trimmed on PUBACK': { by: 'telemetry', seed: 1 },
  'guard removed': { by: 'cap', seed: 1 },
  'lockout ignored': { by: 'lockout', seed: 1 },
  'protection ignored': { by: 'tripped', seed: 1 },
};

test.for(MUTANTS)('the mutant "$name" fits the product as it is', (mutant) => {
  for (const file of new Set(mutant.edits.map((edit) => edit.file))) {
    const text = readFileSync(new URL(file, HOME), 'utf8');
    expect(mutate(mutant, file, text)).not.toBe(text);
  }
});

describe('the invariants notice', () => {
  test.for(MUTANTS)('$name', { timeout: 240_000 }, async ({ name }) => {
    const kept = NOTICED[name];
    const [result] = await runAll([stakeOf(name, kept?.seed ?? 1)], () => undefined, name);
    expect(result?.violations[0]?.invariant).toBe(kept?.by);
  });
});

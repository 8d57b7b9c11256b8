import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openResults, parseResults } from '../../../proof/results.ts';
import type { KeptResult } from '../../../proof/results.ts';
import { simulate } from '../../../proof/seeds.ts';

const kept = (seed: number, changes: Partial<KeptResult> = {}): KeptResult => ({
  seed,
  hours: 24,
  machines: 50,
  commit: 'abc',
  violations: [],
  atStake: { cap: seed },
  commands: 10,
  wrong: { twice: 0, late: 0, stale: 1 },
  faultClasses: ['broker-restart'],
  hash: String(seed),
  ...changes,
});

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'results-'));
});
afterEach(() => rm(dir, { recursive: true }));

test('a file of results grows line by line, and what a kill broke off is passed over', async () => {
  const path = join(dir, 'a', 'chunk.jsonl');
  const first = await openResults(path);
  expect(first.kept).toEqual([]);
  first.add(kept(1));
  first.add(kept(2));
  await first.close();
  await writeFile(path, `${await readFile(path, 'utf8')}{"seed":3,"ho`);
  const second = await openResults(path);
  expect(second.kept.map(({ seed }) => seed)).toEqual([1, 2]);
  second.add(kept(3));
  await second.close();
  expect(parseResults(await readFile(path, 'utf8'))).toEqual([kept(1), kept(2), kept(3)]);
});

test('results of earlier runs of the same size are added up and not run again', async () => {
  const before = [
    kept(1),
    kept(2, { commit: 'def', faultClasses: ['rack-switch'] }),
    kept(3, { violations: [{ invariant: 'cap', atMs: 1, text: 'x' }] }),
    // Another seed, another size, a mutant's: none of this run.
    kept(4),
    kept(1, { machines: 20 }),
    kept(2, { stake: 'guard removed', mutated: true }),
  ];
  const ran: number[] = [];
  const summary = await simulate(
    { seeds: 3, first: 1, hours: 24, machines: 50 },
    (result) => ran.push(result.seed),
    { kept: before },
  );
  expect(ran).toEqual([]);
  expect(summary).toMatchObject({
    seeds: 3,
    siteDays: 3,
    commands: 30,
    violations: 1,
    wrong: { twice: 0, late: 0, stale: 3 },
    faultClasses: 2,
    commits: ['abc', 'def'],
  });
  expect(summary.atStake['cap']).toBe(6);
});

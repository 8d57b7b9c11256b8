import { parseArgs } from 'node:util';
import { killLedger } from './ledger-kills.ts';
import { MUTANTS } from './mutants.ts';
import type { RunOptions } from './harness.ts';
import { keptOf, openResults } from './results.ts';
import type { KeptResult } from './results.ts';
import { runAll } from './seeds.ts';
import { harnessSite } from './site.ts';
import { stakeOf } from './stakes.ts';

/** The long runs behind the figures of docs/reliability.md, one JSON line per result: `mutants` and `kills`. */
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
    mutant: { type: 'string' },
    kills: { type: 'string', default: '10000' },
    /** Each seed's result is a line of this file as soon as it ends; what stands there is not run again. */
    results: { type: 'string' },
  },
});
const first = Number(values.seed);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

/**
 * In how many of N seeds in which it is at stake the invariants notice a mutant, and in which of the same seeds they
 * are violated without it, which must be none.
 */
async function mutants(): Promise<boolean> {
  const seeds = Array.from({ length: Number(values.seeds) }, (_, place) => first + place);
  const file = values.results === undefined ? undefined : await openResults(values.results);
  let good = true;
  for (const { name } of MUTANTS.filter((one) => values.mutant === undefined || one.name === values.mutant)) {
    const runs = seeds.map((seed) => stakeOf(name, seed));
    const mutated = await resultsOf(file, runs, name, true);
    const sound = await resultsOf(file, runs, name, false);
    const by = mutated.flatMap(({ violations }) => violations.slice(0, 1).map((one) => one.invariant));
    const falseAlarms = sound.flatMap(({ seed, violations }) =>
      violations.slice(0, 1).map((one) => `seed ${seed} at ${one.atMs}: ${one.invariant}: ${one.text}`),
    );
    good &&= by.length >= 0.9 * seeds.length && falseAlarms.length === 0;
    say({
      mutant: name,
      seeds: seeds.length,
      noticed: by.length,
      by: Object.fromEntries(
        [...new Set(by)].map((one) => [one, by.filter((other) => other === one).length]),
      ),
      missed: mutated.filter((one) => one.violations.length === 0).map((one) => one.seed),
      falseAlarms,
    });
  }
  await file?.close();
  return good;
}

/** The results of these runs, with the mutant or without it: from the file where they stand there, else made now. */
async function resultsOf(
  file: Awaited<ReturnType<typeof openResults>> | undefined,
  runs: readonly RunOptions[],
  stake: string,
  mutated: boolean,
): Promise<readonly KeptResult[]> {
  const wanted = new Set(runs.map(({ seed }) => seed));
  const kept = (file?.kept ?? []).filter(
    (one) => one.stake === stake && one.mutated === mutated && wanted.has(one.seed),
  );
  const known = new Map(kept.map((one) => [one.seed, one]));
  const left = runs.filter(({ seed }) => !known.has(seed));
  await runAll(
    left,
    (result) => {
      const { hours, machines } = runs[0] ?? { hours: 0, machines: 0 };
      const one = keptOf(result, { hours, machines, stake, mutated });
      known.set(one.seed, one);
      file?.add(one);
    },
    mutated ? stake : undefined,
  );
  return [...known.values()].sort((a, b) => a.seed - b.seed);
}

async function kills(): Promise<boolean> {
  const summary = await killLedger(harnessSite(14), Number(values.kills), first);
  say(summary);
  return summary.lost === 0 && summary.forgotten === 0;
}

const good = positionals[0] === 'kills' ? await kills() : await mutants();
process.exitCode = good ? 0 : 1;

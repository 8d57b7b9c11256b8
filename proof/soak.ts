import { parseArgs } from 'node:util';
import { killLedger } from './ledger-kills.ts';
import { MUTANTS } from './mutants.ts';
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
  let good = true;
  for (const { name } of MUTANTS.filter((one) => values.mutant === undefined || one.name === values.mutant)) {
    const runs = seeds.map((seed) => stakeOf(name, seed));
    const mutated = await runAll(runs, () => undefined, name);
    const sound = await runAll(runs, () => undefined);
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
  return good;
}

async function kills(): Promise<boolean> {
  const summary = await killLedger(harnessSite(14), Number(values.kills), first);
  say(summary);
  return summary.lost === 0 && summary.forgotten === 0;
}

const good = positionals[0] === 'kills' ? await kills() : await mutants();
process.exitCode = good ? 0 : 1;

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { realClock } from '../host/clock.ts';
import { Fault } from '../protocols/faults.ts';
import { INVARIANTS } from '../proof/invariants.ts';
import type { RunResult } from '../proof/harness.ts';

const help = `Usage: ./switchyard sim [--seeds N] [--seed FIRST] [--hours H] [--machines M] [--json]

The whole product, agent and controller, in virtual time: faults drawn from each seed, invariants checked all the way.
The hash is that of the ordered event log: the same seed gives the same hash. Exit code 0 when nothing was violated.
`;

/** What one `sim` run came to, in the shape that programs rely on. */
export interface SimSummary {
  readonly event: 'summary';
  readonly seeds: number;
  readonly siteDays: number;
  readonly commands: number;
  readonly violations: number;
  readonly faultClasses: number;
  readonly atStake: Readonly<Record<string, number>>;
  readonly hash: string;
  readonly wallS: number;
}

function whole(text: string | undefined, fallback: number, name: string, most: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!(value > 0 && value <= most))
    throw new Fault('USAGE', `--${name} takes a number up to ${most}, not '${text}'`);
  return value;
}

/** `./switchyard sim`. */
export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      hours: { type: 'string' },
      machines: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const seeds = whole(values.seeds, 1, 'seeds', 1_000_000);
  const first = whole(values.seed, 1, 'seed', Number.MAX_SAFE_INTEGER / 2_000);
  const hours = whole(values.hours, 1, 'hours', 24 * 365);
  const machines = whole(values.machines, 100, 'machines', 20_000);
  const say = (value: object, text: string): void =>
    void process.stdout.write(values.json === true ? `${JSON.stringify(value)}\n` : `${text}\n`);
  const startedMs = realClock.monoMs();
  const results = await runAll({ seeds, first, hours, machines }, (result) => {
    for (const one of result.violations)
      say(
        { event: 'violation', seed: result.seed, invariant: one.invariant, atMs: one.atMs, text: one.text },
        `seed ${result.seed} at ${(one.atMs / 1_000).toFixed(0)} s: ${one.invariant}: ${one.text}`,
      );
    say(
      {
        event: 'seed',
        seed: result.seed,
        hash: result.hash,
        commands: result.commands,
        violations: result.violations.length,
      },
      `seed ${result.seed}: ${result.commands} commands, ${result.violations.length} violations, ${result.hash.slice(0, 16)}`,
    );
  });
  const summary = await summaryOf(results, hours, (realClock.monoMs() - startedMs) / 1_000);
  say(summary, JSON.stringify(summary, undefined, 2));
  return summary.violations === 0 ? 0 : 1;
}

async function summaryOf(results: readonly RunResult[], hours: number, wallS: number): Promise<SimSummary> {
  const { createHash } = await import('node:crypto');
  const inOrder = [...results].sort((a, b) => a.seed - b.seed);
  const hash = createHash('sha256');
  for (const result of inOrder) hash.update(result.hash);
  return {
    event: 'summary',
    seeds: results.length,
    siteDays: Math.round((results.length * hours * 1_000) / 24) / 1_000,
    commands: results.reduce((sum, result) => sum + result.commands, 0),
    violations: results.reduce((sum, result) => sum + result.violations.length, 0),
    faultClasses: new Set(results.flatMap((result) => result.faultClasses)).size,
    atStake: Object.fromEntries(
      INVARIANTS.map((name) => [name, results.reduce((sum, result) => sum + result.atStake[name], 0)]),
    ),
    hash: hash.digest('hex'),
    wallS: Math.round(wallS * 10) / 10,
  };
}

/** Seeds are independent: each core runs its own, a worker per seed in turn. */
async function runAll(
  plan: { seeds: number; first: number; hours: number; machines: number },
  onResult: (result: RunResult) => void,
): Promise<RunResult[]> {
  const results: RunResult[] = [];
  let next = plan.first;
  const lane = async (): Promise<void> => {
    while (next < plan.first + plan.seeds) {
      const result = await inWorker({ seed: next++, hours: plan.hours, machines: plan.machines });
      results.push(result);
      onResult(result);
    }
  };
  await Promise.all(Array.from({ length: Math.min(plan.seeds, availableParallelism()) }, lane));
  return results;
}

function inWorker(options: { seed: number; hours: number; machines: number }): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('../proof/worker.ts', import.meta.url), { workerData: options });
    worker.once('message', (result: RunResult) => resolve(result));
    worker.once('error', reject);
    worker.once('exit', (code) => {
      if (code !== 0) reject(new Fault('INTERNAL', `the worker of seed ${options.seed} ended with ${code}`));
    });
  });
}

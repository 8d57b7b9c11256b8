import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { realClock } from '../host/clock.ts';
import { Fault } from '../protocols/faults.ts';
import { INVARIANTS } from '../proof/invariants.ts';
import type { RunOptions, RunResult } from '../proof/harness.ts';
import { playScenario } from '../proof/scenario.ts';

const help = `Usage: ./switchyard sim [--seeds N] [--seed FIRST] [--hours H] [--machines M] [--json]
       ./switchyard sim --scenario NAME [--seed N] [--machines M] [--json]

The whole product, agent and controller, in virtual time: faults drawn from each seed, invariants checked all the way.
M counts ASICs and GPU hosts together (100; scenarios: 272). The hash is that of the ordered event log: the same seed gives the same hash. Exit code 0 when nothing was violated.
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

/** One scenario of the table in virtual time, with the events and the summary of `up --scenario`. */
async function runScenario(
  name: string,
  values: {
    readonly seed?: string | undefined;
    readonly machines?: string | undefined;
    readonly json?: boolean | undefined;
  },
): Promise<number> {
  const seed = whole(values.seed, 1, 'seed', Number.MAX_SAFE_INTEGER / 2_000);
  const machines =
    values.machines === undefined ? undefined : whole(values.machines, 272, 'machines', 20_000);
  const { summary } = await playScenario(name, seed, machines, (event) => {
    if (values.json === true) process.stdout.write(`${JSON.stringify(event)}\n`);
  });
  process.stdout.write(
    values.json === true ? `${JSON.stringify(summary)}\n` : `${JSON.stringify(summary, undefined, 2)}\n`,
  );
  return summary.ok ? 0 : 1;
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
      scenario: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  if (values.scenario !== undefined) return runScenario(values.scenario, values);
  const seeds = whole(values.seeds, 1, 'seeds', 1_000_000);
  const first = whole(values.seed, 1, 'seed', Number.MAX_SAFE_INTEGER / 2_000);
  const hours = whole(values.hours, 1, 'hours', 24 * 365);
  const machines = whole(values.machines, 100, 'machines', 20_000);
  const say = (value: object, text: string): void =>
    void process.stdout.write(values.json === true ? `${JSON.stringify(value)}\n` : `${text}\n`);
  const summary = await simulate({ seeds, first, hours, machines }, (result) => {
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

/** Which seeds to run, from `first` on, and how large and long each is. */
export interface SimPlan {
  readonly seeds: number;
  readonly first: number;
  readonly hours: number;
  readonly machines: number;
}

/** Runs every seed of a plan, on all cores; `onResult` hears of each as it ends. */
export async function simulate(plan: SimPlan, onResult: (result: RunResult) => void): Promise<SimSummary> {
  const startedMs = realClock.monoMs();
  const results: RunResult[] = [];
  let next = plan.first;
  // Seeds are independent: each core takes the next one, in a thread whose code is warm after its first.
  const lane = async (): Promise<void> => {
    const thread = new SeedThread();
    try {
      while (next < plan.first + plan.seeds) {
        const result = await thread.run({ seed: next++, hours: plan.hours, machines: plan.machines });
        results.push(result);
        onResult(result);
      }
    } finally {
      thread.end();
    }
  };
  await Promise.all(Array.from({ length: Math.min(plan.seeds, availableParallelism()) }, lane));
  return summaryOf(results, plan.hours, (realClock.monoMs() - startedMs) / 1_000);
}

/** A thread that runs one seed at a time. */
class SeedThread {
  readonly #worker = new Worker(new URL('../proof/worker.ts', import.meta.url));

  run(options: RunOptions): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      const worker = this.#worker.removeAllListeners();
      worker.once('message', (result: RunResult) => resolve(result));
      worker.once('error', reject);
      worker.once('exit', (code) =>
        reject(new Fault('INTERNAL', `the thread of seed ${options.seed} ended with ${code}`)),
      );
      worker.postMessage(options);
    });
  }

  end(): void {
    void this.#worker.removeAllListeners().terminate();
  }
}

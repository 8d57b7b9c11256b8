import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { realClock } from '../host/clock.ts';
import { Fault } from '../protocols/faults.ts';
import type { RunOptions, RunResult } from './harness.ts';
import { INVARIANTS } from './invariants.ts';

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

function summaryOf(results: readonly RunResult[], hours: number, wallS: number): SimSummary {
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
        const { hours, machines } = plan;
        const result = await thread.run({ seed: next++, hours, machines, stopAtViolation: true });
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
  readonly #worker = new Worker(new URL('./worker.ts', import.meta.url));

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

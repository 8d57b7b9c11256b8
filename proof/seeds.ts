import { createHash } from 'node:crypto';
import { realClock } from '../host/clock.ts';
import type { RunOptions, RunResult } from './harness.ts';
import { INVARIANTS } from './invariants.ts';
import type { Wrong } from './invariants.ts';
import { onAllCores } from './threads.ts';

/** What one `sim` run came to, in the shape that programs rely on. */
export interface SimSummary {
  readonly event: 'summary';
  readonly seeds: number;
  readonly siteDays: number;
  readonly commands: number;
  readonly violations: number;
  /** Commands that took effect and must not have: twice, after their expiry, from an older epoch or generation. */
  readonly wrong: Wrong;
  readonly faultClasses: number;
  readonly atStake: Readonly<Record<string, number>>;
  readonly hash: string;
  readonly wallS: number;
}

const sum = (results: readonly RunResult[], of: (result: RunResult) => number): number =>
  results.reduce((total, result) => total + of(result), 0);

function summaryOf(results: readonly RunResult[], hours: number, wallS: number): SimSummary {
  const inOrder = [...results].sort((a, b) => a.seed - b.seed);
  const hash = createHash('sha256');
  for (const result of inOrder) hash.update(result.hash);
  return {
    event: 'summary',
    seeds: results.length,
    siteDays: Math.round((results.length * hours * 1_000) / 24) / 1_000,
    commands: sum(results, (result) => result.commands),
    violations: sum(results, (result) => result.violations.length),
    wrong: {
      twice: sum(results, ({ wrong }) => wrong.twice),
      late: sum(results, ({ wrong }) => wrong.late),
      stale: sum(results, ({ wrong }) => wrong.stale),
    },
    faultClasses: new Set(results.flatMap((result) => result.faultClasses)).size,
    atStake: Object.fromEntries(
      INVARIANTS.map((name) => [name, sum(results, (result) => result.atStake[name])]),
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
  const { hours, machines } = plan;
  const runs = Array.from({ length: plan.seeds }, (_, place): RunOptions => ({
    seed: plan.first + place,
    hours,
    machines,
    stopAtViolation: true,
  }));
  const results = await runAll(runs, onResult);
  return summaryOf(results, plan.hours, (realClock.monoMs() - startedMs) / 1_000);
}

/**
 * Runs them all on all cores; the results as they end. With `mutant`, of a product that has this fault.
 */
export const runAll = (
  runs: readonly RunOptions[],
  onResult: (result: RunResult) => void,
  mutant?: string,
): Promise<RunResult[]> => onAllCores('seed', runs, onResult, mutant);

import { createHash } from 'node:crypto';
import { realClock } from '../host/clock.ts';
import type { RunOptions, RunResult } from './harness.ts';
import { INVARIANTS } from './invariants.ts';
import type { Wrong } from './invariants.ts';
import { keptOf } from './results.ts';
import type { KeptResult } from './results.ts';
import { shapeOf } from './site.ts';
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
  /** What was run: one, unless results of earlier runs are added up. */
  readonly commits: readonly string[];
  readonly wallS: number;
}

const sum = (results: readonly KeptResult[], of: (result: KeptResult) => number): number =>
  results.reduce((total, result) => total + of(result), 0);

function summaryOf(results: readonly KeptResult[], hours: number, wallS: number): SimSummary {
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
      INVARIANTS.map((name) => [name, sum(results, (result) => result.atStake[name] ?? 0)]),
    ),
    hash: hash.digest('hex'),
    commits: [...new Set(results.map(({ commit }) => commit ?? 'unknown'))].sort(),
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

/**
 * Runs every seed of a plan, on all cores; `onResult` hears of each as it ends. Seeds whose result is in `kept`, of the
 * same size and length, are not run again and count in the summary.
 */
export async function simulate(
  plan: SimPlan,
  onResult: (result: RunResult, kept: KeptResult) => void,
  { kept = [], commit }: { readonly kept?: readonly KeptResult[]; readonly commit?: string | undefined } = {},
): Promise<SimSummary> {
  const startedMs = realClock.monoMs();
  const { hours, machines, first, seeds } = plan;
  const known = new Map(
    kept
      .filter((one) => one.hours === hours && one.machines === machines && one.stake === undefined)
      .filter(({ seed }) => seed >= first && seed < first + seeds)
      .map((one) => [one.seed, one]),
  );
  const runs = Array.from({ length: seeds }, (_, place): RunOptions => ({
    seed: first + place,
    hours,
    machines,
    shape: shapeOf(first + place),
    stopAtViolation: true,
  })).filter(({ seed }) => !known.has(seed));
  await runAll(runs, (result) => {
    const one = keptOf(result, { hours, machines, commit });
    known.set(one.seed, one);
    onResult(result, one);
  });
  return summaryOf([...known.values()], hours, (realClock.monoMs() - startedMs) / 1_000);
}

/**
 * Runs them all on all cores; the results as they end. With `mutant`, of a product that has this fault.
 */
export const runAll = (
  runs: readonly RunOptions[],
  onResult: (result: RunResult) => void,
  mutant?: string,
): Promise<RunResult[]> => onAllCores('seed', runs, onResult, mutant);

import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import type { RunResult } from '../proof/harness.ts';
import { lineText, parseTimeline, replay } from '../proof/replay.ts';
import { openResults } from '../proof/results.ts';
import type { KeptResult } from '../proof/results.ts';
import { playScenario } from '../proof/scenario.ts';
import { simulate } from '../proof/seeds.ts';
import { Fault } from '../protocols/faults.ts';

const help = `Usage: ./switchyard sim [--seeds N] [--seed FIRST] [--hours H] [--machines M] [--data DIR] [--results FILE] [--json]
       ./switchyard sim --replay FILE [--from S] [--to S] [--json]
       ./switchyard sim --scenario NAME [--seed N] [--machines M] [--json]

The whole product, agent and controller, in virtual time: faults drawn from each seed, invariants checked all the way.
M counts ASICs and GPU hosts together (100; scenarios: 272). The hash is that of the ordered event log: the same seed gives the same hash. Exit code 0 when nothing was violated.

With --results every seed's result is a line of FILE as soon as it ends, and a seed that stands there with the same H and M is not run again: a long run can be stopped, taken up again, split over machines by --seed, and added up by putting the files together. A seed that was violated counts until its line is taken out.

A seed ends at its first violation: seed and commit are printed, and what was planned and the last five minutes are written to DIR (data/sim) as a timeline. --replay runs such a file again, step by step up to the violation; --from and --to are seconds from the start (the two minutes before the violation). Its exit code is 0 when the violation does not happen any more.
`;

const DATA_DIR = 'data/sim';
/** How much of a replay is shown when nobody says, ms before the violation. */
const SHOWN_MS = 120_000;

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

/** The commit that is being run, where it is known. */
async function commitOf(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('git', ['rev-parse', '--short=12', 'HEAD'], {
      cwd: import.meta.dirname,
    });
    return stdout.trim();
  } catch {
    return undefined;
  }
}

/** Writes what led to a violation; the name of the file. */
async function writeTimeline(dir: string, result: RunResult, commit: string | undefined): Promise<string> {
  const lines = (result.timeline ?? []).map((line) =>
    JSON.stringify(line.t === 'run' && commit !== undefined ? { ...line, commit } : line),
  );
  await mkdir(dir, { recursive: true });
  const path = join(dir, `seed-${result.seed}-${result.violations[0]?.invariant ?? 'none'}.jsonl`);
  await writeFile(path, `${lines.join('\n')}\n`);
  return path;
}

/** A timeline file again, step by step. */
async function runReplay(
  path: string,
  values: {
    readonly from?: string | undefined;
    readonly to?: string | undefined;
    readonly json?: boolean | undefined;
  },
): Promise<number> {
  const timeline = parseTimeline(await readFile(path, 'utf8'));
  const { head, found } = timeline;
  const most = head.hours * 3_600;
  const toMs = values.to === undefined ? Infinity : seconds(values.to, 'to', most);
  const fromMs =
    values.from === undefined
      ? Math.max(0, (found?.atMs ?? 0) - SHOWN_MS)
      : seconds(values.from, 'from', most);
  const say = (text: string, value: object): void =>
    void process.stdout.write(`${values.json === true ? JSON.stringify(value) : text}\n`);
  say(
    `${lineText(head)}, written ${head.commit === undefined ? 'by a commit that is not known' : `by ${head.commit}`}, now ${(await commitOf()) ?? 'unknown'}`,
    head,
  );
  const result = await replay(timeline, (line) => {
    if (line.t === 'violation' || (line.t !== 'run' && line.atMs >= fromMs && line.atMs <= toMs))
      say(lineText(line), line);
  });
  const now = result.violations[0];
  const again =
    now !== undefined && found !== undefined && now.invariant === found.invariant && now.atMs === found.atMs;
  const verdict =
    now === undefined
      ? 'nothing is violated any more'
      : again
        ? 'the same violation at the same time'
        : `another violation than the one found: ${found === undefined ? 'none' : `${found.invariant} at ${(found.atMs / 1_000).toFixed(0)} s`}`;
  say(verdict, { event: 'replayed', seed: head.seed, again, violations: result.violations.length });
  return now === undefined ? 0 : 1;
}

function seconds(text: string, name: string, most: number): number {
  const value = Number(text);
  if (text === '' || !(value >= 0 && value <= most))
    throw new Fault('USAGE', `--${name} takes seconds from 0 to ${most}, not '${text}'`);
  return value * 1_000;
}

type Say = (value: object, text: string) => void;

function sayResult(say: Say, { seed, violations, hash, commands }: RunResult): void {
  for (const { invariant, atMs, text } of violations)
    say(
      { event: 'violation', seed, invariant, atMs, text },
      `seed ${seed} at ${(atMs / 1_000).toFixed(0)} s: ${invariant}: ${text}`,
    );
  say(
    { event: 'seed', seed, hash, commands, violations: violations.length },
    `seed ${seed}: ${commands} commands, ${violations.length} violations, ${hash.slice(0, 16)}`,
  );
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
      replay: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      data: { type: 'string' },
      results: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  if (values.replay !== undefined) return runReplay(values.replay, values);
  if (values.scenario !== undefined) return runScenario(values.scenario, values);
  const seeds = whole(values.seeds, 1, 'seeds', 1_000_000);
  const first = whole(values.seed, 1, 'seed', Number.MAX_SAFE_INTEGER / 2_000);
  const hours = whole(values.hours, 1, 'hours', 24 * 365);
  const machines = whole(values.machines, 100, 'machines', 20_000);
  const say: Say = (value, text) =>
    void process.stdout.write(values.json === true ? `${JSON.stringify(value)}\n` : `${text}\n`);
  const commit = await commitOf();
  const file = values.results === undefined ? undefined : await openResults(values.results);
  const writing: Promise<void>[] = [];
  const onResult = (result: RunResult, kept: KeptResult): void => {
    file?.add(kept);
    sayResult(say, result);
    if (result.violations.length === 0) return;
    const timeline = writeTimeline(values.data ?? DATA_DIR, result, commit).then((path) =>
      say(
        { event: 'timeline', seed: result.seed, commit: commit ?? null, path },
        `seed ${result.seed} of commit ${commit ?? 'unknown'}: ./switchyard sim --replay ${path}`,
      ),
    );
    writing.push(timeline);
  };
  const kept = file?.kept ?? [];
  const summary = await simulate({ seeds, first, hours, machines }, onResult, { kept, commit });
  await file?.close();
  await Promise.all(writing);
  say(summary, JSON.stringify(summary, undefined, 2));
  return summary.violations === 0 ? 0 : 1;
}

/** `npm run soak:meters`: meters over a faulty wire, in virtual time, seeded; exits 1 on what `HELP` names. */
import { classesOf } from './modbus-faults.ts';
import type { FaultClass, Wire } from './modbus-faults.ts';
import { fuzzAll } from './modbus-fuzz.ts';
import { peerReader } from './modbus-peer.ts';
import { playReads } from './modbus-reads.ts';
import type { ReadsResult } from './modbus-reads.ts';
import { playChanges } from './modbus-values.ts';
import { misused, optionsOrHelp } from './soak-options.ts';

const HELP = `npm run soak:meters -- [--reads N] [--seed S] [--framing tcp|rtu|serial|all] [--peer modbus-serial]
                       [--classes N | --fuzz BYTES | --values N]

Without options 1000000 reads by the product's own lines, a third over each framing. Exits 1 on a wrong value passed as
good, a hang or a crash of ours, and when hardly anything is read.
--classes N    instead, N reads of each class of fault alone
--fuzz BYTES   instead, so many bytes into everything that takes Modbus bytes apart
--values N     instead, N times each change of values inside valid frames, and how many the driver's checks mark
--peer modbus-serial   reads by that library, whose wrong values fail nothing
`;
const values = optionsOrHelp(HELP, {
  reads: { type: 'string', default: '1000000' },
  seed: { type: 'string', default: '1' },
  framing: { type: 'string', default: 'all' },
  classes: { type: 'string' },
  peer: { type: 'string' },
  fuzz: { type: 'string' },
  values: { type: 'string' },
});
const WIRES: readonly Wire[] = ['tcp', 'rtu', 'serial'];
/** A run of this many reads is one seed, which can be played again alone. */
const READS_PER_SEED = 50_000;
const seed = Number(values.seed);
const wires = WIRES.filter((wire) => values.framing === 'all' || values.framing === wire);
const isPeer = values.peer === 'modbus-serial';
if (wires.length === 0 || (values.peer !== undefined && !isPeer))
  misused('--framing is tcp, rtu, serial or all; --peer is modbus-serial', HELP);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

/** What nobody caught: with real sockets the end of the process. */
let uncaught = 0;
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error: unknown) => {
    uncaught += 1;
    process.stderr.write(
      `${event}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  });

const cpuS = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function play(wire: Wire, reads: number, from: number, only?: FaultClass): Promise<ReadsResult> {
  return playReads({
    wire,
    reads,
    seed: from,
    ...(only !== undefined && { classes: [only] }),
    ...(isPeer && { makeReader: peerReader, atOnce: 1, timeoutMs: [500, 500] as const }),
  });
}

type Counts = Record<string, number>;

function add(sum: Counts, counts: Readonly<Counts>): void {
  for (const [name, count] of Object.entries(counts)) sum[name] = (sum[name] ?? 0) + count;
}

const bad = (sum: Counts): number => (sum['wrong'] ?? 0) + (sum['hangs'] ?? 0) + (sum['crashes'] ?? 0);

/** Who reads next to nothing is never wrong either: of mixed faults a little less than half is read. */
const LEAST_READ = 0.3;
const isBlind = (sum: Counts): boolean => (sum['right'] ?? 0) < LEAST_READ * (sum['reads'] ?? 0);

/** All classes mixed, in runs of a seed each. */
async function mixed(wire: Wire, reads: number): Promise<number> {
  const [sum, injected]: [Counts, Counts] = [{}, {}];
  const outcomes: Record<string, Counts> = {};
  const examples: string[] = [];
  const before = { cpu: cpuS(), uncaught };
  for (let run = 0; (sum['reads'] ?? 0) < reads; run += 1) {
    const left = reads - (sum['reads'] ?? 0);
    const one = await play(wire, Math.min(left, READS_PER_SEED), seed + run);
    const { right, wrong, hangs, crashes, asked } = one;
    add(sum, { reads: one.reads, right, wrong, hangs, crashes, asked });
    add(injected, one.injected);
    for (const [name, row] of Object.entries(one.outcomes)) add((outcomes[name] ??= {}), row);
    examples.push(...one.examples.map((text) => `seed ${seed + run}: ${text}`));
    process.stderr.write(`${wire}: ${sum['reads']} reads, ${bad(sum)} bad\n`);
  }
  add(sum, { crashes: uncaught - before.uncaught });
  for (const [name, row] of Object.entries(outcomes))
    say({ framing: wire, fault: name, injected: injected[name] ?? 0, ...row });
  const cpu = cpuS() - before.cpu;
  say({
    event: 'summary',
    framing: wire,
    ...sum,
    readsPerCpuS: Math.round((sum['reads'] ?? 0) / cpu),
    cpuS: Math.round(cpu),
    examples,
  });
  if (isBlind(sum)) process.stderr.write(`${wire}: only ${sum['right']} of ${sum['reads']} were read\n`);
  return bad(sum) + Number(isBlind(sum));
}

/** Each class alone: what a wrong value came from is then beyond doubt. */
async function alone(wire: Wire, reads: number): Promise<number> {
  let sum = 0;
  for (const name of classesOf(wire)) {
    const before = uncaught;
    const {
      injected,
      right,
      wrong,
      hangs,
      crashes: thrown,
      longestLoss,
      outcomes,
      examples,
    } = await play(wire, reads, seed, name);
    const crashes = thrown + uncaught - before;
    const { right: rightToo = 0, ...lost } = outcomes['none'] ?? {};
    /** Reads that failed though nothing was done to them. */
    const dragged = Object.values(lost).reduce((all, one) => all + one, 0);
    say({
      framing: wire,
      fault: name,
      reads,
      injected: injected[name] ?? 0,
      right,
      wrong,
      hangs,
      crashes,
      dragged,
      of: dragged + rightToo,
      longestLoss,
      examples: examples.slice(0, 1),
    });
    sum += wrong + hangs + crashes;
  }
  return sum;
}

async function fuzz(bytes: number): Promise<number> {
  let sum = 0;
  for (const result of await fuzzAll(bytes, seed)) {
    say(result);
    sum += result.untrue + result.thrown + result.unbounded;
  }
  return sum + uncaught;
}

/** No framer can see these: what is noticed is a figure, not a promise. */
async function changes(trials: number): Promise<number> {
  for (const result of await playChanges(trials, seed)) say(result);
  return uncaught;
}

async function all(): Promise<number> {
  if (values.values !== undefined) return changes(Number(values.values));
  if (values.fuzz !== undefined) return fuzz(Number(values.fuzz));
  let sum = 0;
  for (const wire of wires)
    sum +=
      values.classes === undefined
        ? await mixed(wire, Math.ceil(Number(values.reads) / wires.length))
        : await alone(wire, Number(values.classes));
  return sum;
}

const badOnes = await all();
// The library's own timers may still run.
process.exit(badOnes === 0 || isPeer ? 0 : 1);

/**
 * The floor bench: the product's own agent, as a process, reads a floor of miners of the declared mix every 10 s, over
 * sockets, and publishes what they say. This process stands where the controller would: it acknowledges what came and
 * compares what the watched machines said with what was stored of them.
 */
import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startBroker } from '../../host/broker.ts';
import { makeBus } from '../../host/bus.ts';
import { realClock } from '../../host/clock.ts';
import { silentLog } from '../../host/log.ts';
import { nativeUs, plainUs } from './floor-plain.ts';
import { FloorJudge } from './floor-judge.ts';
import type { Verdict } from './floor-judge.ts';
import { FAMILIES, floorSite, lifeOf, PASSWORD_ENV, RACK, WATCHED } from './floor-layout.ts';
import type { Spoken } from './floor-peer.ts';
import { figure } from './measure.ts';
import type { Figure } from './measure.ts';

const SCRIPT = fileURLToPath(new URL('../../switchyard', import.meta.url));
const PERIOD_S = 10;
const PLAIN_PORT = FAMILIES[0]?.doors.api?.port ?? 0;

export interface FloorOptions {
  readonly machines: number;
  /** Until code is warm, every machine has been read in full, and the dead are known, s. */
  readonly warmS: number;
  readonly measuredS: number;
}

interface FloorResult {
  readonly sharePct: number;
  readonly usPerPoll: number;
  /** Of it, in the system. */
  readonly systemUsPerPoll: number;
  /** Of the polls that those alive should have had in the time. */
  readonly reachedPct: number;
  readonly connectionsPerPoll: number;
  readonly rssMb: number;
  readonly ownMb: number;
  readonly plainUs: number;
  /** Undefined: there is no compiler. */
  readonly nativeUs: number | undefined;
  readonly verdict: Verdict;
}

/** CPU time of a process so far, all its threads, us. */
function usageOf(pid: number): { readonly userUs: number; readonly systemUs: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Clock ticks of 10 ms.
  return { userUs: Number(fields[11]) * 10_000, systemUs: Number(fields[12]) * 10_000 };
}

/** `own`: without the pages of the programs' files, which all that run them share. */
function memoryOf(pid: number): { readonly rssMb: number; readonly ownMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const mb = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? Number.NaN) / 1_024;
  return { rssMb: mb('VmRSS'), ownMb: mb('RssAnon') };
}

interface Told {
  readonly polls: number;
  readonly connections: number;
  readonly spoken: readonly Spoken[];
}

function askPeer(peer: ChildProcess): Promise<Told> {
  return new Promise((resolve) => {
    peer.once('message', (told) => resolve(told as Told));
    peer.send('tell');
  });
}

async function measureFloor({ machines, warmS, measuredS }: FloorOptions): Promise<FloorResult> {
  const racks = Math.ceil(machines / RACK);
  const folder = mkdtempSync(join(tmpdir(), 'switchyard-floor-'));
  const broker = await startBroker({ host: '127.0.0.1', port: 0 });
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const siteFile = join(folder, 'site.json');
  writeFileSync(siteFile, JSON.stringify(floorSite(racks, url)));
  const peer = fork(new URL('floor-peer.ts', import.meta.url));
  const bus = makeBus({ url, clientId: 'floor-judge', protocolVersion: 4, clock: realClock, log: silentLog });
  let agent: ChildProcess | undefined;
  try {
    await once(peer, 'message');
    const judge = new FloorJudge(bus);
    await judge.start();
    agent = spawn(SCRIPT, ['agent', '--site', siteFile, '--data', folder, '--log', 'error'], {
      env: { ...process.env, [PASSWORD_ENV]: 'secret' },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const pid = agent.pid ?? 0;
    await pause(warmS * 1_000);
    const from = await askPeer(peer);
    const before = usageOf(pid);
    const startMs = performance.now();
    judge.hear(from.spoken);
    await pause(measuredS * 1_000);
    const to = await askPeer(peer);
    const after = usageOf(pid);
    const tookUs = (performance.now() - startMs) * 1_000;
    const memory = memoryOf(pid);
    judge.hear(to.spoken);
    // What was said last is still on its way.
    await pause(PERIOD_S * 1_000);
    judge.hear((await askPeer(peer)).spoken);
    agent.kill('SIGTERM');
    await once(agent, 'exit');
    const polls = to.polls - from.polls;
    const systemUs = after.systemUs - before.systemUs;
    const cpuUs = after.userUs - before.userUs + systemUs;
    const alive = Array.from({ length: RACK }, (_, index) => lifeOf(index + 1)).filter(
      (life) => life === 'alive',
    );
    const due = (racks * alive.length * tookUs) / 1e6 / PERIOD_S;
    return {
      sharePct: (100 * cpuUs) / tookUs,
      usPerPoll: cpuUs / polls,
      systemUsPerPoll: systemUs / polls,
      reachedPct: (100 * polls) / due,
      connectionsPerPoll: (to.connections - from.connections) / polls,
      ...memory,
      plainUs: await plainUs(PLAIN_PORT, machines / PERIOD_S),
      nativeUs: nativeUs(PLAIN_PORT),
      verdict: judge.verdict(),
    };
  } finally {
    if (agent !== undefined && agent.exitCode === null && agent.signalCode === null) {
      agent.kill('SIGTERM');
      await once(agent, 'exit');
    }
    peer.kill();
    await bus.close();
    await broker.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The floor of the machines asked for: what its agent costs, beside the plainest programs that read such answers. */
export async function floorFigures(options: FloorOptions): Promise<Figure[]> {
  const { machines } = options;
  const floor = await measureFloor(options);
  const { verdict } = floor;
  const racks = Math.ceil(machines / RACK);
  if (verdict.machines < racks * WATCHED)
    throw new Error(`of ${racks * WATCHED} watched machines ${verdict.machines} were stored`);
  const name = `${machines} miners every ${PERIOD_S} s`;
  for (const one of [verdict.firstDifferent, verdict.firstMissing])
    if (one !== undefined) process.stderr.write(`the first of them: ${one}\n`);
  const native = floor.nativeUs;
  if (native === undefined) process.stderr.write('no C compiler (cc): the C floor is left out\n');
  return [
    figure(`${name}, of a core`, '%', floor.sharePct, { goal: 25 }),
    figure(`${name}, memory of the agent`, 'MB', floor.rssMb, { goal: 200 }),
    figure(`${name}, memory, of it not of the programs' files`, 'MB', floor.ownMb),
    figure(`${name}, a poll (baseline: plain net and JSON.parse at this pace)`, 'us', floor.usPerPoll, {
      baseline: floor.plainUs,
    }),
    ...(native === undefined
      ? []
      : [
          figure(`${name}, a poll (baseline: C, without parsing)`, 'us', floor.usPerPoll, {
            baseline: native,
          }),
        ]),
    figure(`${name}, a poll, of it in the system`, 'us', floor.systemUsPerPoll),
    figure(`${name}, connections a poll`, 'connections', floor.connectionsPerPoll),
    figure(`${name}, polls of the living that were missed`, '%', 100 - floor.reachedPct, { goal: 1 }),
    figure(`${name}, samples that differ, of ${verdict.samples}`, 'samples', verdict.different, { goal: 0 }),
    figure(`${name}, figures said and not stored`, 'figures', verdict.missing, { goal: 0 }),
  ];
}

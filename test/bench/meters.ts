import { fork } from 'node:child_process';
import ModbusRTU from 'modbus-serial';

import { MappedMeter } from '../../agent/drivers/modbus-mapped.ts';
import { startPoller } from '../../agent/poller.ts';
import { alignedPhases, METER_SCHEDULE } from '../../agent/core/schedule.ts';
import { profileSchema } from '../../config/schema/profile.ts';
import { silentLog } from '../../host/log.ts';
import { realEffects } from '../../host/real.ts';
import { freePort } from './devices.ts';
import { figure } from './measure.ts';
import type { Figure } from './measure.ts';

const METERS = 900;
const PERIOD_MS = 1_000;
/** Connections are made and code is warm after this. */
const WARM_MS = 6_000;
const MEASURED_MS = 15_000;

/** 22 values in 124 registers that take three reads. */
const BLOCKS = [
  { from: 0, words: 60, values: 11 },
  { from: 1_000, words: 32, values: 6 },
  { from: 2_000, words: 32, values: 5 },
];

function benchProfile() {
  const points = BLOCKS.flatMap(({ from, words, values }) =>
    Array.from({ length: values }, (_, at) => ({
      q: `voltage.B${from}N${at}`,
      addr: at === values - 1 ? from + words - 2 : from + 2 * at,
      type: 'float32',
      scale: 1,
      unit: 'V',
      class: 'fast',
      agree: 'yes',
      src: ['s'],
    })),
  );
  return profileSchema.parse({
    id: 'bench',
    vendor: 'bench',
    models: ['bench'],
    fc: 3,
    wordOrder: 'msw',
    limits: { maxRegisters: 125, evenCount: false, maxGap: 60 },
    invalid: {},
    points,
    sums: [],
    sources: { s: 'this bench' },
    notes: [],
  });
}

/** What 900 meters of three reads a second each cost the agent's way of reading them, and how late polls begin. */
export async function fleetFigures(): Promise<Figure[]> {
  const port = await freePort();
  const peer = fork(new URL('meters-peer.ts', import.meta.url), [String(port)]);
  try {
    await new Promise<void>((resolve, reject) => {
      peer.once('message', () => resolve());
      peer.once('exit', (code) => reject(new Error(`the peer ended with ${code}`)));
    });
    const ours = await fleet(port);
    return [
      figure(`${METERS} meters x ${BLOCKS.length} reads each second`, '% of a core', ours.sharePct, {
        goal: 15,
      }),
      figure('the same, a read', 'us', ours.usPerRead, { baseline: await plainUs(port) }),
      figure(
        'the same, p99 of how late a poll begins (baseline: timers of a process that only waits)',
        'ms',
        ours.lagP99Ms,
        { goal: 10, baseline: ours.timerP99Ms },
      ),
    ];
  } finally {
    peer.kill();
  }
}

function fleetMeters(effects: ReturnType<typeof realEffects>, port: number): MappedMeter[] {
  const profile = benchProfile();
  return Array.from({ length: METERS }, (_, index) => {
    const host = `127.0.${1 + (index >> 7)}.${1 + (index & 127)}`;
    const url = `modbus://${host}:${port}/1?profile=bench`;
    const target = {
      url,
      scheme: 'modbus',
      host,
      port,
      user: undefined,
      password: undefined,
      path: '1',
      options: {},
    };
    return new MappedMeter({
      target,
      unit: 1,
      line: effects.lines.line({ framing: 'tcp', host, port }),
      io: { ...effects, log: silentLog },
      profile,
      furtherBy: 0,
      channel: undefined,
      inverted: false,
      frozenMs: 0,
    });
  });
}

interface Measured {
  readonly sharePct: number;
  readonly usPerRead: number;
  readonly lagP99Ms: number;
  readonly timerP99Ms: number;
}

async function fleet(port: number): Promise<Measured> {
  const effects = realEffects();
  const { clock, random, lines } = effects;
  const meters = fleetMeters(effects, port);
  const periodsMs = meters.map(() => PERIOD_MS);
  const began: number[][] = meters.map(() => []);
  let reads = 0;
  let failed = 0;
  const poller = startPoller({
    clock,
    random,
    periodsMs,
    phasesMs: alignedPhases(
      periodsMs,
      meters.map(({ line }) => line.name),
      { monoMs: clock.monoMs(), wallMs: clock.wallMs() },
    ),
    schedule: METER_SCHEDULE,
    timeoutMs: () => 1_500,
    read: (index, scope, timeoutMs) => (meters[index] as MappedMeter).read(scope, timeoutMs),
    handlers: {
      onReadings: (index, readings, _scope, beganMs) => {
        began[index]?.push(beganMs);
        reads += BLOCKS.length;
        if (readings['voltage.B0N0']?.ok !== true) failed += 1;
      },
      onFailure: () => (failed += 1),
      onReturned: () => undefined,
      onHung: () => (failed += 1),
    },
  });
  // Now, since to start a process holds this one up.
  const waiting = fork(new URL('timer-peer.ts', import.meta.url));
  await new Promise((resolve) => setTimeout(resolve, WARM_MS));
  for (const times of began) times.length = 0;
  reads = 0;
  failed = 0;
  waiting.send('begin');
  const startMs = clock.monoMs();
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, MEASURED_MS));
  const { user, system } = process.cpuUsage(before);
  const tookMs = clock.monoMs() - startMs;
  poller.stop();
  lines.close();
  const timersMs = await new Promise<number[]>((resolve) => {
    waiting.once('message', (lateMs) => resolve(lateMs as number[]));
    waiting.send('end');
  });
  const expected = METERS * BLOCKS.length * (MEASURED_MS / PERIOD_MS);
  // On a machine that has no time for this process an answer may be late; what is measured must be the work, not its lack.
  if (failed > expected / 1_000 || reads < expected * 0.9)
    throw new Error(`${failed} of the fleet's polls failed, ${reads} reads of ${expected} were made`);
  return {
    sharePct: (user + system) / tookMs / 10,
    usPerRead: (user + system) / reads,
    lagP99Ms: p99(began.flatMap(lagsOf)),
    timerP99Ms: p99(timersMs),
  };
}

/** How late each poll of one meter began: after its due time, which is the same in every period. */
function lagsOf(times: readonly number[]): number[] {
  const [first = 0] = times;
  // A poll or two may have been left out: each is taken in its own period.
  const inPeriod = times.map((ms) => ms - first - PERIOD_MS * Math.round((ms - first) / PERIOD_MS));
  const earliest = first + Math.min(...inPeriod);
  const dueMs = Math.floor(earliest / METER_SCHEDULE.gridMs) * METER_SCHEDULE.gridMs;
  return inPeriod.map((ms) => first + ms - dueMs);
}

function p99(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[Math.ceil(values.length * 0.99) - 1] ?? Number.NaN;
}

/** The same reads one after the other by modbus-serial, on one connection, without a schedule or a value made of them. */
async function plainUs(port: number): Promise<number> {
  const client = new ModbusRTU.default();
  await client.connectTCP('127.0.0.1', { port });
  client.setID(1);
  const turn = async (): Promise<void> => {
    for (const { from, words } of BLOCKS) await client.readHoldingRegisters(from, words);
  };
  for (let done = 0; done < 1_000; done += 1) await turn();
  const before = process.cpuUsage();
  for (let done = 0; done < 2_000; done += 1) await turn();
  const { user, system } = process.cpuUsage(before);
  client.close(() => undefined);
  return (user + system) / (2_000 * BLOCKS.length);
}

/** What tests of whole processes share: a simulated site, its parts as processes, and a meter reader of their own. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import type { FromChild } from '../../host/child.ts';
import type { PublicEvent } from '../../protocols/events.ts';

export const SCRIPT = fileURLToPath(new URL('../../switchyard.ts', import.meta.url));

/** Closed after each test, last opened first. */
const opened: (() => Promise<void> | void)[] = [];

export async function closeAll(): Promise<void> {
  for (const close of opened.splice(0).reverse()) await close();
}

export const atEnd = (close: () => Promise<void> | void): void => void opened.push(close);

/** One process of the product, and what it told its parent. */
export interface Part {
  readonly child: ChildProcess;
  readonly messages: FromChild[];
  output: string;
  kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
}

const alive = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

export function startPart(args: readonly string[], env: Readonly<Record<string, string>> = {}): Part {
  const child = spawn(process.execPath, [...args], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
  });
  const part: Part = {
    child,
    messages: [],
    output: '',
    kill: async (signal) => {
      if (!alive(child)) return;
      const gone = once(child, 'exit');
      child.kill(signal);
      await gone;
    },
  };
  child.on('message', (message) => void part.messages.push(message as FromChild));
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (text: Buffer) => {
      part.output = (part.output + text.toString()).slice(-20_000);
    });
  atEnd(() => part.kill('SIGKILL'));
  parts.push(part);
  return part;
}

const parts: Part[] = [];

/** What every part said last, for whoever reads a failure. */
function lastWords(): string {
  return parts
    .map((part) => {
      const events = eventsOf(part)
        .filter(({ event }) => event !== 'meter')
        .slice(-12);
      const words = [
        part.output.slice(-1_500),
        ...events.map((event) => JSON.stringify(event).slice(0, 250)),
      ];
      return `${part.child.spawnargs.slice(2).join(' ')} (${part.child.exitCode ?? part.child.signalCode ?? 'runs'})\n${words.join('\n')}`;
    })
    .join('\n');
}

/** The events a part told, oldest first. */
export const eventsOf = (part: Part): PublicEvent[] =>
  part.messages.flatMap((message) => (message.type === 'event' ? [message.event] : []));

/** Waits for something that happens elsewhere; asks again every 50 ms. Rejects with `what` when the time is over. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}\n${lastWords()}`);
    await pause(50);
  }
}

/** Registers of a Modbus TCP device, asked in a few literal bytes: nothing of the product's own Modbus is used. */
function readRegisters(
  host: string,
  { unit = 1, address, count }: { unit?: number; address: number; count: number },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect(1_502, host);
    socket.setTimeout(10_000, () => socket.destroy(new Error(`${host}: silent`)));
    socket.once('error', reject);
    let held = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      if (held.length < 9 + 2 * count) return;
      socket.destroy();
      resolve(held.subarray(9, 9 + 2 * count));
    });
    const question = Buffer.from([0, 7, 0, 0, 0, 6, unit, 3, 0, 0, 0, 0]);
    question.writeUInt16BE(address, 8);
    question.writeUInt16BE(count, 10);
    socket.write(question);
  });
}

export interface Sample {
  readonly atMs: number;
  readonly powerKw: number;
}

export type Truth = Extract<FromChild, { type: 'truth' }>;

export interface SimulatedSite {
  readonly folder: string;
  readonly siteFile: string;
  /** Changes the site file before the parts are started. */
  edit(change: (site: Record<string, unknown>) => void): void;
  apply(change: object): void;
  /** What the PM5xxx at the site's inlet says: float32 in register 3060 of the vendor's list, kW. */
  mainKw(): Promise<number>;
  /** Every reading of the inlet since the start, about three a second. */
  readonly samples: readonly Sample[];
  /** What is really so: W into each node of the site; per machine its mode and the calls that set a state. */
  truth(): Promise<Truth>;
  /** What the site reported to the utility: the instruction it acts on, its status, its draw. */
  report(): Promise<{ sequence: number; status: number; powerKw: number }>;
}

const truthsOf = (simulator: Part): Truth[] =>
  simulator.messages.filter((message) => message.type === 'truth');

/** A loopback network nobody serves yet, away from those that `up` takes first. */
async function freeOctet(): Promise<number> {
  const first = 120 + (process.pid % 70);
  for (let octet = first; octet < 200; octet += 1) {
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(1_502, `127.${octet}.0.1`, () => server.close(() => resolve(true)));
    });
    if (free && !taken.has(octet)) {
      taken.add(octet);
      return octet;
    }
  }
  throw new Error('no loopback network is free');
}
const taken = new Set<number>();

/** The devices of a small site in a process; every machine obeys. */
export async function simulateSite(): Promise<SimulatedSite> {
  const folder = mkdtempSync(join(tmpdir(), 'switchyard-site-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const octet = await freeOctet();
  const simulator = startPart([
    SCRIPT,
    'simulate',
    '--data',
    folder,
    '--octet',
    String(octet),
    '--machines',
    '24',
    '--json',
  ]);
  await until('the simulator is ready', 20_000, () => {
    if (!alive(simulator.child)) throw new Error(`simulate ended: ${simulator.output}`);
    return simulator.messages.some(({ type }) => type === 'ready');
  });
  const siteFile = join(folder, 'site.yaml');
  const apply = (what: object): void => void simulator.child.send({ type: 'apply', change: what });
  const machines = [...simulator.output.matchAll(/"machine":"([^"]+)"/g)].map(([, id]) => id ?? '');
  for (const machine of machines) apply({ kind: 'machine', machine, behaviour: 'none' });
  const mainKw = async (): Promise<number> =>
    (await readRegisters(`127.${octet}.0.1`, { address: 3_059, count: 2 })).readFloatBE();
  const samples: Sample[] = [];
  const stop = new AbortController();
  const sampling = (async () => {
    while (!stop.signal.aborted) {
      const powerKw = await mainKw().catch(() => undefined);
      if (powerKw !== undefined) samples.push({ atMs: Date.now(), powerKw });
      await pause(300);
    }
  })();
  atEnd(async () => {
    stop.abort();
    await sampling;
  });
  return {
    folder,
    siteFile,
    edit: (change) => {
      const site = parse(readFileSync(siteFile, 'utf8')) as Record<string, unknown>;
      change(site);
      writeFileSync(siteFile, stringify(site));
    },
    apply,
    mainKw,
    samples,
    truth: () => {
      const before = truthsOf(simulator).length;
      simulator.child.send({ type: 'truth' });
      return until('the simulator tells the truth', 20_000, () => truthsOf(simulator)[before]);
    },
    report: async () => {
      const words = await readRegisters(`127.${octet}.0.10`, { address: 100, count: 6 });
      return {
        sequence: words.readUInt32BE(0),
        status: words.readUInt16BE(6),
        powerKw: words.readFloatBE(8),
      };
    },
  };
}

export const SIMULATED_PASSWORD = { SWITCHYARD_SIM_PASSWORD: 'root' };

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

export interface Health {
  readonly status: string;
  readonly site: string;
  readonly controller: unknown;
  readonly agents: unknown;
  readonly broker: unknown;
}

/** What /health answers; undefined while nobody does. */
export async function healthAt(port: number): Promise<{ code: number; body: Health } | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(3_000) });
    return { code: response.status, body: (await response.json()) as Health };
  } catch {
    return undefined;
  }
}

/** A command of the product, run to its end. */
export function runCommand(args: readonly string[]): Promise<{ status: number; stdout: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [SCRIPT, ...args], { timeout: 60_000 }, (error, stdout) =>
      resolve({ status: error === null ? 0 : Number(error.code ?? -1), stdout }),
    );
  });
}

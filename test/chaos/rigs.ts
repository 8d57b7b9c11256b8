/** What the tests of whole processes under real faults share: a plain Mosquitto, an ear on it, and the site's parts. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectMqtt } from 'mqtt';
import { TerminalClient } from '../../console/cli/client.ts';
import type { ConsoleLink } from '../../console/link.ts';
import { realClock } from '../../host/clock.ts';
import type { OperatorRequest } from '../../protocols/console/view.ts';
import { hasMosquitto, mortalMosquitto } from '../wire/bus-rigs.ts';
import {
  atEnd,
  freePort,
  healthAt,
  SCRIPT,
  SIMULATED_PASSWORD,
  simulateSite,
  startPart,
  until,
} from '../wire/site-rigs.ts';
import type { Part, SimulatedSite } from '../wire/site-rigs.ts';

/** Longest from the start of the processes to a site under control on a busy machine, ms. */
const CONTROL_MS = 90_000;

/** Whether a test's peer is here; one that is missing is a line on a laptop and an error where all are installed. */
export function peer(name: string, present: boolean): boolean {
  if (present) return true;
  if (process.env['CI'] === 'true') throw new Error(`${name} is needed`);
  process.stderr.write(`skipped: ${name} is not here\n`);
  return false;
}

export const withMosquitto = (): boolean => peer('mosquitto', hasMosquitto());

/** Whether strace is here and may look into a process that it did not start: some kernels keep that to root. */
export function withStrace(): boolean {
  if (!peer('strace', spawnSync('strace', ['-V']).status === 0)) return false;
  const stranger = '$(sh -c "sleep 1 >/dev/null & echo \\$!")';
  if (spawnSync('sh', ['-c', `strace -o /dev/null -p ${stranger}`]).status === 0) return true;
  process.stderr.write('skipped: strace may not attach to a process here\n');
  return false;
}

export interface Broker {
  readonly port: number;
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** Mosquitto without login on a port of its own; what it stored dies with it. */
async function plainBroker(folder: string): Promise<Broker> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const configuration = join(folder, 'mosquitto.conf');
  const user = process.getuid?.() === 0 ? 'user root\n' : '';
  writeFileSync(
    configuration,
    `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\n${user}`,
  );
  const broker = await mortalMosquitto(configuration, port);
  atEnd(broker.kill);
  return { port, ...broker };
}

/** A message on the bus, in the order in which the broker gave them out. */
export interface Said {
  readonly atMs: number;
  readonly kind: string;
  readonly retained: boolean;
  readonly body: Readonly<Record<string, unknown>>;
}

const EAR_KINDS = ['lease', 'desired', 'status', 'result', 'event', 'ack', 'lockouts'];

/** An independent client that writes down everything in JSON; it comes back by itself after the broker does. */
async function ear(port: number): Promise<Said[]> {
  const said: Said[] = [];
  const client = connectMqtt(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 200 });
  atEnd(() => client.endAsync(true));
  client.on('error', () => undefined);
  client.on('message', (topic, payload, packet) => {
    const kind = topic.split('/').at(-1) ?? '';
    if (!EAR_KINDS.includes(kind) || payload.length === 0) return;
    const body = JSON.parse(payload.toString()) as Readonly<Record<string, unknown>>;
    said.push({ atMs: Date.now(), kind, retained: packet.retain, body });
  });
  await until('the ear listens', 20_000, () => client.connected);
  await client.subscribeAsync('switchyard/v1/demo/#', { qos: 1 });
  return said;
}

export interface Carried {
  readonly machine: string;
  readonly verb: string;
  readonly commandId: string;
  readonly stage: string;
  readonly epoch: number;
  readonly generation: number;
  /** How long the device took, to the nanosecond: no two calls are alike. */
  readonly ms: number;
}

/** What machines acknowledged, once per call: an agent says a result again when it cannot know that it was heard. */
export function carried(said: readonly Said[]): Carried[] {
  const all = said
    .filter(({ kind }) => kind === 'result')
    .flatMap(({ body }) => body['results'] as Carried[])
    .filter(({ stage, verb }) => stage === 'acknowledged' && verb !== 'none');
  return [...new Map(all.map((one) => [`${one.machine} ${one.ms}`, one])).values()];
}

/** Machines that took a verb more than once. */
export function twice(all: readonly Carried[], verb: string): string[] {
  const machines = all.filter((one) => one.verb === verb).map(({ machine }) => machine);
  return machines.filter((machine, place) => machines.indexOf(machine) !== place);
}

export const bodies = (said: readonly Said[], kind: string): Readonly<Record<string, unknown>>[] =>
  said.filter((one) => one.kind === kind).map(({ body }) => body);

interface PartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Absent: the yard's own. */
  readonly siteFile?: string;
}

export interface Yard {
  readonly site: SimulatedSite;
  readonly broker: Broker;
  readonly said: Said[];
  readonly data: string;
  readonly port: number;
  agent(options?: PartOptions): Part;
  controller(options?: PartOptions & { data?: string; port?: number }): Part;
  /** Waits until the console's /health says that the site is under control. */
  underControl(port?: number): Promise<void>;
}

/** A simulated site on sockets with a broker of its own; parts are started by the test. */
export async function makeYard(
  change: (file: Record<string, unknown>, broker: Broker) => void = () => undefined,
  data?: string,
): Promise<Yard> {
  const site = await simulateSite();
  const broker = await plainBroker(join(site.folder, 'broker'));
  site.edit((file) => {
    Object.assign(file, { broker: { url: `mqtt://127.0.0.1:${broker.port}`, protocol: 5 } });
    change(file, broker);
  });
  const port = await freePort();
  const folder = data ?? join(site.folder, 'data');
  const start = (what: string, at: string, options: PartOptions, more: readonly string[]): Part => {
    const { env = {}, siteFile = site.siteFile } = options;
    return startPart([SCRIPT, what, '--site', siteFile, '--data', at, '--log', 'warn', ...more], {
      ...SIMULATED_PASSWORD,
      ...env,
    });
  };
  return {
    site,
    broker,
    said: await ear(broker.port),
    data: folder,
    port,
    agent: (options = {}) => start('agent', folder, options, []),
    controller: (options = {}) =>
      start('controller', options.data ?? folder, options, ['--port', String(options.port ?? port)]),
    underControl: async (at = port) => {
      await until('under control', CONTROL_MS, async () => (await healthAt(at))?.body.status === 'ok');
    },
  };
}

/** The highest reading of the inlet's own meter from a moment on, kW. */
export function highestSince(site: SimulatedSite, fromMs: number): number {
  const since = site.samples.filter(({ atMs }) => atMs >= fromMs).map(({ powerKw }) => powerKw);
  if (since.length < 3) throw new Error(`the meter was read ${since.length} times`);
  return Math.max(...since);
}

/** strace on a living process and all its threads until it is told to stop; what it wrote. */
export async function traced(
  pid: number,
  args: readonly string[],
  file: string,
): Promise<{ stop(): Promise<void> }> {
  const tracer = spawn('strace', ['-f', '-o', file, ...args, '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let words = '';
  tracer.stderr.on('data', (text: Buffer) => {
    words += text.toString();
  });
  const stop = async (): Promise<void> => {
    if (tracer.exitCode !== null || tracer.signalCode !== null) return;
    const gone = once(tracer, 'exit');
    tracer.kill('SIGINT');
    await gone;
  };
  atEnd(stop);
  await until('strace is attached', 20_000, () => {
    if (tracer.exitCode !== null) throw new Error(`strace ended: ${words}`);
    return words.includes('attached');
  });
  return { stop };
}

export interface Operator {
  /** Previews and confirms; resolves when it is acknowledged, rejects with the refusal. */
  order(action: OperatorRequest['action'], scope: string, reason: string): Promise<void>;
}

/** An operator at a controller's console, logged in with its one-time code. */
export async function operatorAt(controller: Part): Promise<Operator> {
  const ready = controller.messages.find((message) => message.type === 'ready');
  const detail = ready?.type === 'ready' ? ready.detail : {};
  const [url = ''] = String(detail['url']).split('#');
  let link: ConsoleLink | undefined;
  const nothing = (): void => undefined;
  const client = new TerminalClient({
    url,
    code: String(detail['code']),
    clock: realClock,
    handlers: {
      onReady: (opened) => {
        link = opened;
      },
      onView: nothing,
      onLost: nothing,
      onRefused: nothing,
    },
  });
  client.start();
  atEnd(() => client.close());
  const open = await until('the operator is logged in', 20_000, () => link);
  let orders = 0;
  return {
    order: async (action, scope, reason) => {
      const preview = await open.request('cmd.preview', { scope: [scope], action, reason });
      const { previewId, hash } = preview;
      await open.request('cmd.execute', { previewId, hash, key: `order-number-${(orders += 1)}` });
    },
  };
}

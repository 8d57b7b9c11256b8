import { execFileSync, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBroker } from '../../host/broker.ts';
import { makeBus } from '../../host/bus.ts';
import type { BusOptions } from '../../host/bus.ts';
import { realClock } from '../../host/clock.ts';
import type { Bus } from '../../host/deps.ts';
import { silentLog } from '../../host/log.ts';
import { MemoryBroker } from '../../host/memory-bus.ts';
import type { Will } from '../../host/memory-bus.ts';

/** A broker of some kind, its clients, and the ways in which the wire between them breaks. */
export interface Rig {
  open(id: string, options?: { readonly will?: Will }): Bus;
  /** Breaks a client's connection without a goodbye; the client may connect again. */
  sever(id: string): void;
  /** The broker dies at once and comes back without what it remembered. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  /** Options with which nobody may get in. */
  readonly strangers?: readonly Partial<BusOptions>[];
}

export function memoryRig(): Rig {
  const broker = new MemoryBroker({ clock: realClock, latencyMs: () => 1, silenceMs: 10 });
  return {
    open: (id, options) => broker.client(id, options),
    sever: (id) => {
      broker.partition(id, true);
      realClock.after(50, () => broker.partition(id, false));
    },
    restart: () => Promise.resolve(broker.restart(20)),
    stop: () => Promise.resolve(),
  };
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};

/** A TCP hop in front of the broker for one client, so that its connection can be broken from outside. */
async function hop(target: () => number): Promise<{ port: number; sever: () => void; server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target(), '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sever = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return { port: (server.address() as AddressInfo).port, sever, server };
}

const HOPS = ['a', 'b', 'c', 'd'];

async function wireRig(
  port: number,
  options: Pick<BusOptions, 'protocolVersion'> & Partial<BusOptions>,
  broker: { restart: () => Promise<void>; stop: () => Promise<void> },
): Promise<Rig> {
  const scheme = options.ca === undefined ? 'mqtt' : 'mqtts';
  const hops = new Map<string, Awaited<ReturnType<typeof hop>>>();
  for (const id of HOPS) hops.set(id, await hop(() => port));
  return {
    open: (id, more = {}) =>
      makeBus({
        ...options,
        ...more,
        url: `${scheme}://127.0.0.1:${hops.get(id)?.port ?? 0}`,
        clientId: id,
        clock: realClock,
        log: silentLog,
      }),
    sever: (id) => hops.get(id)?.sever(),
    restart: () => broker.restart(),
    stop: async () => {
      for (const { server, sever } of hops.values()) {
        server.close();
        sever();
      }
      await broker.stop();
    },
  };
}

export async function aedesRig(): Promise<Rig> {
  const login = { username: 'site', password: 'correct horse' };
  let broker = await startBroker({ port: 0, ...login });
  const { port } = broker;
  return wireRig(
    port,
    { protocolVersion: 4, ...login },
    {
      restart: async () => {
        await broker.close();
        broker = await startBroker({ port, ...login });
      },
      stop: () => broker.close(),
    },
  );
}

export const hasMosquitto = (): boolean =>
  ['mosquitto', 'mosquitto_passwd', 'openssl'].every(
    (tool) => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${tool}`]).status === 0,
  );

/** Mosquitto with a configuration file, listening. */
async function mosquitto(configuration: string, port: number): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', 'PATH=$PATH:/usr/sbin exec mosquitto -c "$0"', configuration], {
    stdio: 'ignore',
  });
  for (;;) {
    if (child.exitCode !== null) throw new Error(`mosquitto ended with ${child.exitCode}`);
    const socket = connect(port, '127.0.0.1');
    const listening = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (listening) return child;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** One that runs, dies by kill -9 and is started again on the same port. */
export async function mortalMosquitto(
  configuration: string,
  port: number,
): Promise<{ readonly kill: () => Promise<void>; readonly start: () => Promise<void> }> {
  let child = await mosquitto(configuration, port);
  return {
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
    start: async () => {
      child = await mosquitto(configuration, port);
    },
  };
}

/** An authority and a key of the broker at 127.0.0.1 in `folder`: ca.pem, broker.pem, broker.key. */
export function certificates(folder: string): void {
  const openssl = (...words: string[]): void =>
    void execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...ec,
    '-days',
    '2',
    '-subj',
    '/CN=test authority',
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
  );
  openssl('req', ...ec, '-subj', '/CN=127.0.0.1', '-keyout', 'broker.key', '-out', 'broker.csr');
  writeFileSync(join(folder, 'names'), 'subjectAltName=IP:127.0.0.1\n');
  openssl(
    'x509',
    '-req',
    '-in',
    'broker.csr',
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    'names',
    '-out',
    'broker.pem',
  );
}

/** Debian's mosquitto with TLS and credentials by configuration; `restart` is a kill -9. */
export async function mosquittoRig(): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'bus-'));
  certificates(folder);
  const passwords = join(folder, 'passwords');
  execFileSync('mosquitto_passwd', ['-b', '-c', passwords, 'site', 'correct horse'], { stdio: 'ignore' });
  const port = await freePort();
  const configuration = join(folder, 'mosquitto.conf');
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous false',
    `password_file ${passwords}`,
    `cafile ${join(folder, 'ca.pem')}`,
    `certfile ${join(folder, 'broker.pem')}`,
    `keyfile ${join(folder, 'broker.key')}`,
    ...(process.getuid?.() === 0 ? ['user root'] : []),
  ];
  writeFileSync(configuration, `${lines.join('\n')}\n`);
  let child = await mosquitto(configuration, port);
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  const ca = readFileSync(join(folder, 'ca.pem'), 'utf8');
  const rig = await wireRig(
    port,
    { protocolVersion: 5, username: 'site', password: 'correct horse', ca },
    {
      restart: async () => {
        await kill();
        child = await mosquitto(configuration, port);
      },
      stop: async () => {
        await kill();
        rmSync(folder, { recursive: true, force: true });
      },
    },
  );
  const login = { username: 'site', password: 'correct horse' };
  const url = `mqtts://127.0.0.1:${port}`;
  return {
    ...rig,
    strangers: [
      { url, ca },
      { url, ca, ...login, password: 'wrong' },
      // The system's authorities did not sign this broker: it could be anybody's.
      { url, ...login },
    ],
  };
}

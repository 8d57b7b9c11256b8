import { execFile, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import * as net from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import type { DeviceIo, Target } from '../../agent/driver.ts';
import { answerJson, readTarget } from '../../commands/read.ts';
import { realClock } from '../../host/clock.ts';
import { makeLines } from '../../host/line.ts';
import { makeNet } from '../../host/net.ts';
import { seededRandom } from '../../host/random.ts';
import { asFault } from '../../protocols/faults.ts';

const run = promisify(execFile);

/** Closed by the test file when it is done, last opened first. */
export const opened: (() => Promise<void> | void)[] = [];

export async function closeAll(): Promise<void> {
  for (const close of opened.splice(0).reverse()) await close();
}

/** True when a peer works here; where it must (CI), its absence is an error. */
export function hasPeer(command: string, args: readonly string[]): boolean {
  if (spawnSync(command, args, { timeout: 20_000 }).status === 0) return true;
  if (process.env['CI'] === 'true') throw new Error(`${command} ${args.join(' ')} is needed for this test`);
  process.stderr.write(`skipped: ${command} ${args.join(' ')} does not work here\n`);
  return false;
}

export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

/** A process that says in its first line where it listens. */
export function startPeer(command: string, script: string, args: readonly string[]): Promise<string> {
  return firstLine(command, [fileURLToPath(new URL(`peers/${script}`, import.meta.url)), ...args]);
}

/** The first line of a command of ours, which goes on if it has more to do. */
export function startSwitchyard(args: readonly string[]): Promise<string> {
  return firstLine(process.execPath, [
    fileURLToPath(new URL('../../switchyard.ts', import.meta.url)),
    ...args,
  ]);
}

/** Starts a program that goes on until `closeAll`; its first line. */
export function firstLine(command: string, args: readonly string[]): Promise<string> {
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  opened.push(() => {
    child.kill('SIGKILL');
  });
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (part: Buffer) => {
      text += part.toString();
      if (text.includes('\n')) resolve(text.trim());
    });
    child.once('exit', (status) => reject(new Error(`${args.join(' ')} ended with ${status}`)));
  });
}

/** Reads a target as `read --json` does; again where a peer was too slow, since this machine may be busy with others. */
export async function readPatiently(url: string): Promise<ReturnType<typeof answerJson>['readings']> {
  for (let n = 1; ; n += 1) {
    const answer = await readTarget(url, 20_000).catch((error: unknown) => {
      if (n === 5 || asFault(error).code !== 'NET_TIMEOUT') throw error;
      return undefined;
    });
    if (!answer) continue;
    const { readings } = answerJson(answer);
    if (n === 5 || Object.values(readings).every(({ why }) => why !== 'NET_TIMEOUT')) return readings;
  }
}

export async function mbpoll(port: number, args: readonly string[]): Promise<string> {
  const { stdout } = await run('mbpoll', ['-m', 'tcp', '-0', '-1', '-B', '-p', String(port), ...args], {
    timeout: 10_000,
  });
  return stdout;
}

/** What a driver needs, on real sockets. */
export function wireIo(): DeviceIo {
  const clock = realClock;
  const network = makeNet(clock);
  const random = seededRandom(1);
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, child: () => log };
  const absent = { request: () => Promise.reject(new Error()), open: () => Promise.reject(new Error()) };
  const lines = makeLines({ net: network, clock, random });
  opened.push(() => lines.close());
  return { clock, random, net: network, lines, http: absent, remote: absent, log };
}

export function modbusUrl(
  scheme: string,
  port: number,
  unit: number,
  options: Record<string, string>,
): Target {
  return {
    url: `${scheme}://127.0.0.1:${port}/${unit}?${new URLSearchParams(options).toString()}`,
    scheme,
    host: '127.0.0.1',
    port,
    user: undefined,
    password: undefined,
    path: String(unit),
    options,
  };
}

/** A TCP server on a free loopback port whose every connection is handled by `converse`. */
export async function serveRaw(converse: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    converse(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MACHINE_SCHEDULE } from '../../agent/core/schedule.ts';

/** What polls cost that read the same answers and do nothing with them: a process of its own, asked while the peer serves. */
const POLLS = 3_000;
const SECONDS = 3;
const ALIVE = 95;

function ask(port: number, place: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: `127.64.0.${1 + (place % ALIVE)}`, autoSelectFamily: false });
    let text = '';
    socket.setEncoding('latin1');
    socket.write('{"command":"stats"}');
    socket.on('data', (part: string) => (text += part));
    socket.on('error', reject);
    socket.on('end', () => {
      socket.destroy();
      JSON.parse(text.replace('\u0000', ''));
      resolve();
    });
  });
}

/** As many of them at once as the poller asks at once: a poll alone costs two or three times as much. */
async function round(port: number, perS: number): Promise<number> {
  const { gridMs } = MACHINE_SCHEDULE;
  const asked: Promise<void>[] = [];
  const before = process.cpuUsage();
  const fromMs = performance.now();
  for (let due = 0; due < perS * SECONDS; due += (perS * gridMs) / 1_000) {
    while (asked.length <= due) asked.push(ask(port, asked.length));
    await pause(Math.max(0, fromMs + (1_000 * due) / perS - performance.now()));
  }
  await Promise.all(asked);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / asked.length;
}

/** CPU of this process per poll by plain `net` and JSON.parse at so many polls a second, us, median of five after one to warm up. */
export async function plainUs(port: number, perS: number): Promise<number> {
  await round(port, perS);
  const figures: number[] = [];
  for (let done = 0; done < 5; done += 1) figures.push(await round(port, perS));
  return figures.sort((a, b) => a - b)[2] ?? Number.NaN;
}

/** The same by a C program without parsing; undefined where there is no compiler. */
export function nativeUs(port: number): number | undefined {
  const program = join(tmpdir(), `switchyard-floor-client-${process.pid}`);
  try {
    const source = fileURLToPath(new URL('floor-client.c', import.meta.url));
    if (spawnSync('cc', ['-O2', '-o', program, source]).status !== 0) return undefined;
    const figures = Array.from({ length: 5 }, () => {
      const { stdout, status } = spawnSync(program, [String(port), String(POLLS)], { encoding: 'utf8' });
      if (status !== 0) throw new Error('the C client could not read a miner');
      return Number(stdout);
    });
    return figures.sort((a, b) => a - b)[2];
  } finally {
    rmSync(program, { force: true });
  }
}

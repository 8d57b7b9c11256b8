import { execFile, spawn } from 'node:child_process';
import type * as nodeNet from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, describe, expect, it } from 'vitest';

import { openDevice, parseTarget } from '../../agent/target.ts';
import { realClock } from '../../host/clock.ts';
import { Fault } from '../../protocols/faults.ts';
import { decodeRequest, encodeRead } from '../../protocols/modbus/serve.ts';
import { closeAll, opened, serveRaw, wireIo } from './modbus-rigs.ts';

afterAll(closeAll);

const CONNECTIONS = 3_000;

/** Listens with room for two that nobody takes in: what comes then has no answer to its SYN. */
const NOBODY = `
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, server.address().port + '\\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

async function portOfNobody(): Promise<number> {
  const child = spawn(process.execPath, ['-e', NOBODY], { stdio: ['ignore', 'pipe', 'inherit'] });
  opened.push(() => void child.kill('SIGKILL'));
  const port = await new Promise<number>((resolve) => {
    child.stdout.once('data', (text: Buffer) => resolve(Number(text.toString())));
  });
  return port;
}

/** Answers reads with `words`, as `send` sends them. */
function serveMeter(
  words: Uint16Array,
  send: (socket: nodeNet.Socket, answer: Uint8Array) => void,
): Promise<number> {
  return serveRaw((socket) => {
    socket.on('data', (bytes: Buffer) => {
      const asked = decodeRequest('tcp', bytes);
      if (asked.kind !== 'request' || asked.request.kind !== 'read') throw new Error('no read');
      send(socket, encodeRead('tcp', asked.transaction, asked.request, words));
    });
  });
}

describe('connections that come and go', () => {
  it('leave neither sockets nor timers nor memory, whether they were ever answered or not', async () => {
    const silentPort = await portOfNobody();
    const meterPort = await serveMeter(new Uint16Array(10), (socket, answer) => socket.write(answer));
    const script = fileURLToPath(new URL('peers/connections.ts', import.meta.url));
    const args = ['--expose-gc', script, silentPort, meterPort, CONNECTIONS].map(String);
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const found = JSON.parse(stdout) as { silent: { timedOut: number }; grownBytes: number };
    expect(found).toMatchObject({ silent: { left: 0 }, isCollected: true, left: 0 });
    // All but the first two of 50, which the system takes in itself, as it does at a device whose program hangs.
    expect(found.silent.timedOut).toBeGreaterThanOrEqual(48);
    const { grownBytes } = found;
    process.stdout.write(
      `heap after ${CONNECTIONS} more connections: ${Math.round(grownBytes / 1_024)} KiB more\n`,
    );
    // What a connection leaves behind for good is some hundred bytes at the least.
    expect(grownBytes / CONNECTIONS).toBeLessThan(100);
  }, 60_000);

  it('share one buffer: an answer in two parts is whole though others came in between', async () => {
    const { lines, clock } = wireIo();
    const parts: (() => void)[] = [];
    const line = async (word: number): Promise<readonly number[]> => {
      const port = await serveMeter(new Uint16Array(4).fill(word), (socket, answer) => {
        socket.write(answer.subarray(0, 11));
        parts.push(() => socket.write(answer.subarray(11)));
        if (parts.length === 2) realClock.after(20, () => parts.forEach((send) => send()));
      });
      const of = lines.line({ framing: 'tcp', host: '127.0.0.1', port });
      const deadlineMs = clock.monoMs() + 20_000;
      return [...(await of.read({ unit: 1, fc: 3, address: 0, count: 4, deadlineMs })).registers];
    };
    expect(await Promise.all([line(0x1111), line(0x2222)])).toEqual([
      [0x1111, 0x1111, 0x1111, 0x1111],
      [0x2222, 0x2222, 0x2222, 0x2222],
    ]);
  });
});

describe('UDP', () => {
  it('is refused with a code that says what there is: a datagram that was cut would be a value', () => {
    const io = wireIo();
    for (const scheme of ['modbus+udp', 'udp']) {
      const open = (): unknown =>
        openDevice(parseTarget(`${scheme}://127.0.0.1:502/1?profile=pm5xxx`, { env: {} }), io);
      expect(open).toThrow(Fault);
      expect(open).toThrow(/TARGET_INVALID.*no driver for .*modbus\+rtu/s);
    }
  });
});

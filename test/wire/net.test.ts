import * as nodeNet from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';

import { realClock as clock } from '../../host/clock.ts';
import type { Exchanged } from '../../host/deps.ts';
import { makeHttp } from '../../host/http.ts';
import { makeNet } from '../../host/net.ts';
import { makeIsWhole } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Answer, HttpAnswer, SimulatedEndpoint } from '../../simulator/device.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';
import { openMiner } from './miner-rigs.ts';

const net = makeNet(clock);
const http = makeHttp(clock);
const closers: Array<() => Promise<void>> = [];
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (exchanged: Exchanged): string => new TextDecoder().decode(exchanged.bytes);

afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

async function serve(endpoints: readonly SimulatedEndpoint[]): Promise<void> {
  const server = await serveEndpoints(endpoints, { clock });
  closers.push(() => server.close());
}

function stream(host: string, respond: (bytes: Uint8Array) => Answer): SimulatedEndpoint {
  return { kind: 'stream', host, port: 14028, device: { respond } };
}

function web(host: string, respondHttp: (body: string) => HttpAnswer): SimulatedEndpoint {
  return { kind: 'http', host, port: 18080, device: { respondHttp: (request) => respondHttp(request.body) } };
}

/** A raw server for what a simulated device does not do: cut, drip, say nothing. */
async function raw(host: string, port: number, onSocket: (socket: nodeNet.Socket) => void): Promise<void> {
  const sockets = new Set<nodeNet.Socket>();
  const server = nodeNet.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(port, host, resolve);
  });
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof Fault ? error.code : String(error);
}

const ask = (host: string, options: { timeoutMs?: number; maxBytes?: number } = {}): Promise<Exchanged> =>
  net.exchange({ host, port: 14028 }, bytesOf('hello'), { timeoutMs: 2_000, maxBytes: 1_000, ...options });

describe('exchange', () => {
  test('gives the answer up to FIN, after the delay the device asks for', async () => {
    await serve([
      stream('127.9.0.1', () => ({ kind: 'bytes', bytes: bytesOf('world'), afterMs: 30, close: true })),
    ]);
    const before = clock.monoMs();
    const answer = await ask('127.9.0.1');
    expect(textOf(answer)).toBe('world');
    expect(answer.ended).toBe('fin');
    expect(clock.monoMs() - before).toBeGreaterThanOrEqual(28);
  });

  test('ends early when the answer is complete', async () => {
    await serve([
      stream('127.9.0.1', () => ({ kind: 'bytes', bytes: bytesOf('ab'), afterMs: 0, close: false })),
    ]);
    const answer = await net.exchange({ host: '127.9.0.1', port: 14028 }, bytesOf('x'), {
      timeoutMs: 2_000,
      maxBytes: 10,
      complete: (bytes) => bytes.length === 2,
    });
    expect(answer.ended).toBe('complete');
  });

  test('says what went wrong, by code', async () => {
    await serve([
      stream('127.9.0.2', () => ({ kind: 'reset' })),
      stream('127.9.0.3', () => ({ kind: 'silence' })),
      stream('127.9.0.4', () => ({ kind: 'bytes', bytes: new Uint8Array(5_000), afterMs: 0, close: true })),
    ]);
    expect(await codeOf(ask('127.9.0.1'))).toBe('NET_REFUSED');
    expect(await codeOf(ask('127.9.0.2'))).toBe('NET_RESET');
    expect(await codeOf(ask('127.9.0.3', { timeoutMs: 50 }))).toBe('NET_TIMEOUT');
    expect(await codeOf(ask('127.9.0.4'))).toBe('NET_OVERSIZE');
    expect(
      await codeOf(
        net.exchange({ host: '127.9.0.1', port: 99_999 }, bytesOf('x'), { timeoutMs: 50, maxBytes: 1 }),
      ),
    ).toBe('NET_UNREACHABLE');
  });

  test('keeps what came before a reset or the deadline', async () => {
    await raw('127.9.0.1', 14028, (socket) => {
      socket.on('data', () => socket.write('half', () => socket.resetAndDestroy()));
    });
    await raw('127.9.0.2', 14028, (socket) => {
      socket.on('data', () => socket.write('drip'));
    });
    const dripped = await ask('127.9.0.2', { timeoutMs: 60 });
    expect([textOf(dripped), dripped.ended]).toEqual(['drip', 'timeout']);
    // A reset may overtake the bytes before it: both outcomes are honest.
    const cut = await ask('127.9.0.1').catch((fault: Fault) => fault.code);
    expect(typeof cut === 'string' ? cut : cut.ended).toMatch(/reset/i);
  });

  test('an answer that trickles in byte by byte is not copied anew with each', async () => {
    const text = `{"a":"${'x'.repeat(40_000)}"}`;
    await raw('127.9.0.1', 14028, (socket) => {
      socket.setNoDelay(true);
      const drip = (at: number): void => {
        if (at < text.length && !socket.destroyed) socket.write(text.slice(at, at + 40), () => drip(at + 40));
      };
      socket.on('data', () => drip(0));
    });
    const whole = makeIsWhole();
    const places = new Set<ArrayBufferLike>();
    const answer = await net.exchange({ host: '127.9.0.1', port: 14028 }, bytesOf('x'), {
      timeoutMs: 5_000,
      maxBytes: 100_000,
      complete: (bytes) => {
        places.add(bytes.buffer);
        return whole(bytes);
      },
    });
    expect([textOf(answer) === text, answer.ended]).toEqual([true, 'complete']);
    // Twice as large each time: from a few bytes to 40 kB.
    expect(places.size).toBeLessThanOrEqual(16);
  });

  test('a peer that drips for ever ends at the deadline', async () => {
    await raw('127.9.0.1', 14028, (socket) => {
      const timer = setInterval(() => socket.write('.'), 5);
      socket.on('close', () => clearInterval(timer));
    });
    expect((await ask('127.9.0.1', { timeoutMs: 100 })).ended).toBe('timeout');
  });
});

describe('open', () => {
  test('carries bytes both ways and reports the end once', async () => {
    await serve([
      stream('127.9.0.1', (bytes) =>
        bytes.length < 3
          ? { kind: 'wait' }
          : { kind: 'bytes', bytes: bytes.slice(0, 3), afterMs: 0, close: bytes[0] === 0x7a, consumed: 3 },
      ),
    ]);
    const connection = await net.open({ host: '127.9.0.1', port: 14028 }, { timeoutMs: 1_000 });
    let heard = '';
    const closed = new Promise<Error | undefined>((resolve) => {
      connection.onClose = resolve;
    });
    connection.onData = (bytes) => {
      heard += new TextDecoder().decode(bytes);
      if (heard === 'abcdef') connection.write(bytesOf('zzz'));
    };
    connection.write(bytesOf('a'));
    connection.write(bytesOf('bcdef'));
    expect(await closed).toBeUndefined();
    expect(heard).toBe('abcdefzzz');
  });

  test('rejects where nobody listens', async () => {
    expect(await codeOf(net.open({ host: '127.9.0.9', port: 14028 }, { timeoutMs: 500 }))).toBe(
      'NET_REFUSED',
    );
  });
});

describe('http', () => {
  const get = (host: string, options: { timeoutMs?: number; maxBytes?: number } = {}) =>
    http.request({
      method: 'POST',
      url: `http://${host}:18080/x?y=1`,
      body: 'ping',
      timeoutMs: 2_000,
      maxBytes: 1_000,
      ...options,
    });

  test('gives any status with lower-case header names and follows no redirect', async () => {
    await serve([
      web('127.9.0.1', (body) => ({
        kind: 'response',
        status: 302,
        headers: { Location: 'http://127.9.0.2/', 'X-Got': body },
        body: 'moved',
        afterMs: 5,
      })),
    ]);
    const answer = await get('127.9.0.1');
    expect(answer.status).toBe(302);
    expect(answer.headers['x-got']).toBe('ping');
    expect(new TextDecoder().decode(answer.body)).toBe('moved');
  });

  test('says what went wrong, by code', async () => {
    await serve([
      web('127.9.0.2', () => ({ kind: 'reset' })),
      web('127.9.0.3', () => ({ kind: 'silence' })),
      web('127.9.0.4', () => ({
        kind: 'response',
        status: 200,
        headers: {},
        body: 'x'.repeat(5_000),
        afterMs: 0,
      })),
    ]);
    await raw('127.9.0.5', 18080, (socket) => socket.end('not http at all\r\n\r\n'));
    await raw('127.9.0.6', 18080, (socket) =>
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort'),
    );
    expect(await codeOf(get('127.9.0.1'))).toBe('NET_REFUSED');
    expect(await codeOf(get('127.9.0.2'))).toBe('NET_RESET');
    expect(await codeOf(get('127.9.0.3', { timeoutMs: 50 }))).toBe('NET_TIMEOUT');
    expect(await codeOf(get('127.9.0.4'))).toBe('NET_OVERSIZE');
    expect(await codeOf(get('127.9.0.5'))).toBe('ANSWER_GARBAGE');
    expect(await codeOf(get('127.9.0.6'))).toBe('NET_RESET');
    expect(await codeOf(http.request({ method: 'GET', url: 'ftp://x/', timeoutMs: 10, maxBytes: 1 }))).toBe(
      'TARGET_INVALID',
    );
  });
});

test('http keeps no connection: a device that serves one at a time can be commanded after a reading', async () => {
  let busy: nodeNet.Socket | undefined;
  await raw('127.9.0.1', 18080, (socket) => {
    if (busy?.destroyed === false) return void socket.pause();
    busy = socket;
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));
    socket.on('end', () => socket.destroy());
  });
  const own = makeHttp(clock);
  for (const method of ['GET', 'PUT', 'GET', 'POST'] as const) {
    const url = 'http://127.9.0.1:18080/x';
    expect((await own.request({ method, url, timeoutMs: 2_000, maxBytes: 1_000 })).status).toBe(200);
  }
});

describe('http pages, one after the other', () => {
  const page = (host: string, path = '', method: 'GET' | 'PUT' = 'GET') =>
    http.request({ method, url: `http://${host}:18080/${path}`, timeoutMs: 2_000, maxBytes: 100 });
  const answer = (text: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
  const pathOf = (bytes: Buffer): string => bytes.toString('latin1').split(' ')[1] ?? '';

  test('come over one connection, which is closed when no next one is asked for', async () => {
    let connections = 0;
    const ends: Promise<unknown>[] = [];
    await raw('127.9.0.1', 18080, (socket) => {
      connections += 1;
      ends.push(new Promise((resolve) => socket.on('close', resolve)));
      socket.on('data', (bytes) => socket.write(answer(pathOf(bytes))));
    });
    const texts: string[] = [];
    for (const path of ['a', 'b', 'c'])
      texts.push(new TextDecoder().decode((await page('127.9.0.1', path)).body));
    expect([texts, connections]).toEqual([['/a', '/b', '/c'], 1]);
    await Promise.all(ends);
  });

  test('let a command in between where one connection is served at a time', async () => {
    const asked: string[] = [];
    const waiting: (() => void)[] = [];
    let isBusy = false;
    await raw('127.9.0.1', 18080, (socket) => {
      const serve = (): void => {
        isBusy = true;
        socket.on('data', (bytes) => {
          const path = pathOf(bytes);
          asked.push(path);
          if (path === '/1') void page('127.9.0.1', 'command', 'PUT').then(() => asked.push('done'));
          // Long enough for the command to come to the door.
          setTimeout(() => socket.write(answer(path)), 30);
        });
        socket.resume();
      };
      socket.pause();
      socket.on('end', () => socket.end());
      socket.on('close', () => {
        isBusy = false;
        waiting.shift()?.();
      });
      if (isBusy) waiting.push(serve);
      else serve();
    });
    for (const path of ['1', '2', '3']) await page('127.9.0.1', path);
    expect(asked).toEqual(['/1', '/command', 'done', '/2', '/3']);
  });

  test('are asked for anew of a device that closes without a word; a command never goes out on an old connection', async () => {
    const asked: string[] = [];
    await raw('127.9.0.1', 18080, (socket) => {
      socket.once('data', (bytes) => {
        asked.push(pathOf(bytes));
        socket.write(answer(''));
        // What comes over it from now on is lost.
        socket.once('data', () => socket.resetAndDestroy());
      });
    });
    for (const path of ['1', '2']) await page('127.9.0.1', path);
    await page('127.9.0.1', 'command', 'PUT');
    expect(asked).toEqual(['/1', '/2', '/command']);
    await raw('127.9.0.2', 18080, (socket) => socket.once('data', () => socket.resetAndDestroy()));
    expect(await codeOf(page('127.9.0.2'))).toBe('NET_RESET');
  });
});

// Its vendor's own page reboots it by GET.
test('an Antminer that goes down with the page that reboots it is rebooted once', async () => {
  const asked: string[] = [];
  await raw('127.9.0.3', 18080, (socket) => {
    socket.on('data', (bytes) => {
      const path = bytes.toString('latin1').split(' ')[1] ?? '';
      asked.push(path);
      if (path.endsWith('reboot.cgi')) socket.resetAndDestroy();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}');
    });
  });
  const device = openMiner('antminer://127.9.0.3?http=18080&passwordEnv=P', 'secret');
  expect(await device.verbs.reboot?.(undefined, 2_000).then(() => 'done', String)).toBe('done');
  expect(asked).toEqual(['/cgi-bin/get_system_info.cgi', '/cgi-bin/reboot.cgi']);
});

describe('serving', () => {
  test('listens on hundreds of loopback addresses in one process', async () => {
    const hosts = Array.from({ length: 300 }, (_, i) => `127.9.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`);
    await serve(
      hosts.map((host) =>
        stream(host, () => ({ kind: 'bytes', bytes: bytesOf(host), afterMs: 0, close: true })),
      ),
    );
    const answers = await Promise.all(hosts.map((host) => ask(host)));
    expect(answers.map(textOf)).toEqual(hosts);
  });

  test('refuses an address that is taken or not loopback, and leaves nothing open', async () => {
    const answer: Answer = { kind: 'bytes', bytes: bytesOf('x'), afterMs: 0, close: true };
    await serve([stream('127.9.0.1', () => answer)]);
    const free = stream('127.9.0.2', () => answer);
    expect(await codeOf(serveEndpoints([free, stream('127.9.0.1', () => answer)], { clock }))).toBe(
      'LISTEN_FAILED',
    );
    expect(await codeOf(serveEndpoints([free, stream('0.0.0.0', () => answer)], { clock }))).toBe(
      'LISTEN_FAILED',
    );
    expect(await codeOf(ask('127.9.0.2'))).toBe('NET_REFUSED');
  });
});

import * as http from 'node:http';
import * as net from 'node:net';

import type { Clock } from '../../host/deps.ts';
import { Fault } from '../../protocols/faults.ts';
import type { HttpDevice, SimulatedEndpoint, StreamDevice } from '../device.ts';

/** More than any request to a device of ours; who sends more is cut off. */
const REQUEST_MAX_BYTES = 256 * 1024;

interface Server {
  close(): Promise<void>;
}

/**
 * Serves simulated devices on real loopback sockets: `stream` and `http` endpoints (`ssh` ones are left to their own
 * front). Devices are asked with the clock's monotonic time. Rejects with LISTEN_FAILED and closes what was opened.
 */
export async function serveEndpoints(
  endpoints: readonly SimulatedEndpoint[],
  { clock }: { readonly clock: Clock },
): Promise<Server> {
  const outcomes = await Promise.allSettled(
    endpoints.map(async (endpoint) => {
      if (endpoint.kind === 'ssh') return undefined;
      const { host, port } = endpoint;
      if (!isLoopback(host)) throwNotLoopback(host);
      return endpoint.kind === 'stream'
        ? serveStream({ host, port, device: endpoint.device, clock })
        : serveHttp({ host, port, device: endpoint.device, clock });
    }),
  );
  const servers = outcomes.flatMap((outcome) =>
    outcome.status === 'fulfilled' && outcome.value ? [outcome.value] : [],
  );
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.close()));
  };
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) {
    await close();
    throw failed.reason;
  }
  return { close };
}

interface Served<D> {
  readonly host: string;
  readonly port: number;
  readonly device: D;
  readonly clock: Clock;
}

function throwNotLoopback(host: string): never {
  throw new Fault('LISTEN_FAILED', `${host}: simulated devices listen on loopback addresses only`);
}

function isLoopback(host: string): boolean {
  return host === '::1' || (net.isIPv4(host) && host.startsWith('127.'));
}

function listening(server: net.Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Fault('LISTEN_FAILED', `${host}:${port}: ${error.message}`, { cause: error })),
    );
    server.listen({ host, port, exclusive: true }, resolve);
  });
}

async function serveStream(served: Served<StreamDevice>): Promise<Server> {
  const sockets = new Set<net.Socket>();
  // A client may send FIN after its request and still wait for the answer.
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    converse(socket, served.device, served.clock);
  });
  await listening(server, served.host, served.port);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Answers leave in the order of their requests, each no sooner than its device says. */
function converse(socket: net.Socket, device: StreamDevice, clock: Clock): void {
  let received: Buffer = Buffer.alloc(0);
  let dueMs = 0;
  let waiting = 0;
  let finished = false;
  let peerEnded = false;
  const later = (afterMs: number, fn: () => void): void => {
    const now = clock.monoMs();
    dueMs = Math.max(dueMs, now + afterMs);
    if (waiting === 0 && dueMs <= now) {
      fn();
      return;
    }
    waiting += 1;
    const cancel = clock.after(dueMs - now, () => {
      waiting -= 1;
      socket.off('close', cancel);
      if (!socket.destroyed) fn();
    });
    socket.once('close', cancel);
  };
  const step = (): boolean => {
    const answer = device.respond(received, clock.monoMs());
    switch (answer.kind) {
      case 'wait':
        return false;
      case 'silence':
        received = Buffer.alloc(0);
        return false;
      case 'reset':
        finished = true;
        later(0, () => socket.resetAndDestroy());
        return false;
      case 'bytes': {
        received = received.subarray(answer.consumed ?? received.length);
        finished = answer.close;
        later(answer.afterMs, () => {
          if (answer.close || (peerEnded && waiting === 0)) socket.end(answer.bytes);
          else socket.write(answer.bytes);
        });
        for (const { bytes, afterMs } of answer.more ?? []) later(afterMs, () => socket.write(bytes));
        return !finished && received.length > 0 && answer.consumed !== 0;
      }
      default:
        return false;
    }
  };
  socket.setMaxListeners(0);
  socket.on('error', () => socket.destroy());
  socket.on('end', () => {
    peerEnded = true;
    if (waiting === 0) socket.end();
  });
  socket.on('data', (bytes: Buffer) => {
    if (finished) return;
    received = received.length === 0 ? bytes : Buffer.concat([received, bytes]);
    if (received.length > REQUEST_MAX_BYTES) {
      socket.resetAndDestroy();
      return;
    }
    while (step());
  });
}

async function serveHttp(served: Served<HttpDevice>): Promise<Server> {
  const server = http.createServer((request, response) => {
    const parts: Buffer[] = [];
    let size = 0;
    request.on('error', () => request.destroy());
    request.on('data', (part: Buffer) => {
      size += part.length;
      if (size > REQUEST_MAX_BYTES) request.destroy();
      else parts.push(part);
    });
    request.on('end', () => answerHttp(served, request, Buffer.concat(parts).toString('utf8'), response));
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  await listening(server, served.host, served.port);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answerHttp(
  served: Served<HttpDevice>,
  request: http.IncomingMessage,
  body: string,
  response: http.ServerResponse,
): void {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = typeof value === 'string' ? value : value.join(', ');
  }
  const answer = served.device.respondHttp(
    { method: request.method ?? 'GET', path: request.url ?? '/', headers, body },
    served.clock.monoMs(),
  );
  switch (answer.kind) {
    case 'silence':
      return;
    case 'reset':
      request.socket.resetAndDestroy();
      return;
    case 'response': {
      const finish = (): void => {
        response.writeHead(answer.status, answer.headers);
        response.end(answer.body);
      };
      if (answer.afterMs <= 0) {
        finish();
        return;
      }
      const cancel = served.clock.after(answer.afterMs, finish);
      response.once('close', cancel);
    }
  }
}

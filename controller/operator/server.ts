import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';

import type { Clock, Log, Random } from '../../host/deps.ts';
import { FRAME_MAX_BYTES, SOCKET_PATH, SUBPROTOCOL } from '../../protocols/console/protocol.ts';
import type { OperatorPort } from '../../protocols/console/view.ts';
import { Fault, asFault } from '../../protocols/faults.ts';
import type { Assets } from './assets.ts';
import { Connection } from './connection.ts';
import { Feed } from './feed.ts';
import { makeGate, peerOf } from './gate.ts';
import type { Gate } from './gate.ts';
import { Logins } from './logins.ts';
import { makePages } from './pages.ts';
import { Requests } from './requests.ts';

const SOCKETS_MAX = 256;
const VERSION = '0.1';

export interface OperatorServerOptions {
  /** What the console shows and commands. */
  readonly operator: OperatorPort;
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** `fragment`: the code stands in the printed address (a site on one's own machine); `prompt`: a person types it. */
  readonly login: 'prompt' | 'fragment';
  readonly clock: Clock;
  /** From the operating system outside tests: codes, tokens and tickets come from it. */
  readonly random: Random;
  readonly log: Log;
  readonly assets: Assets;
}

export interface OperatorServer {
  /** To open in a browser; with login `fragment` it holds the code behind `#`, which no server ever sees. */
  readonly url: string;
  /** The first one-time code: good for 15 minutes until used. */
  readonly code: string;
  readonly port: number;
  /** A fresh one-time code, when the first was used or has expired. */
  newCode(): string;
  close(): Promise<void>;
}

/** Serves the console: page, /health and the operator protocol on /ws. Rejects with LISTEN_FAILED. */
export async function startOperatorServer(options: OperatorServerOptions): Promise<OperatorServer> {
  const { operator, clock, random, log, host } = options;
  const bootId = Array.from({ length: 16 }, () => Math.floor(random.next() * 16).toString(16)).join('');
  const logins = new Logins({ clock, random, reusable: options.login === 'fragment' });
  const feed = new Feed({ operator, clock, log, bootId });
  const requests = new Requests({ operator, clock, logins });
  const port = (): number => (server.address() as AddressInfo | null)?.port ?? 0;
  const gate = makeGate({ host, port });
  const server = http.createServer(
    { maxHeaderSize: 8_192, requestTimeout: 10_000, headersTimeout: 10_000, keepAliveTimeout: 5_000 },
    makePages({ operator, logins, gate, assets: options.assets, log, port }),
  );
  server.maxConnections = 2 * SOCKETS_MAX;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_MAX_BYTES,
    perMessageDeflate: false,
    clientTracking: true,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
  const shared = { clock, log, feed, logins, requests, bootId, version: VERSION, site: siteOf(operator) };
  server.on('upgrade', (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => undefined);
    const refusal = refuseUpgrade(request, gate, sockets.clients.size);
    if (refusal !== undefined) {
      log.warn({ from: peerOf(request), refusal }, 'console socket refused');
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (opened) => {
      const peer = { from: peerOf(request), fromBrowser: gate.origin(request) === 'same' };
      // The connection lives by its socket's events.
      void new Connection(opened, shared, peer);
    });
  });
  await listen(server, host, options.port);
  const { code } = logins.issueCode();
  return {
    url: `http://${shownHost(host)}:${port()}/${options.login === 'fragment' ? `#code=${code}` : ''}`,
    code,
    port: port(),
    newCode: () => logins.issueCode().code,
    close: () => closeAll(server, sockets, feed, clock),
  };
}

function refuseUpgrade(request: http.IncomingMessage, gate: Gate, open: number): string | undefined {
  if (!gate.hostAllowed(request)) return '421 Misdirected Request';
  if (gate.origin(request) === 'foreign') return '403 Forbidden';
  // A query could only hold a secret that would end in logs.
  if (request.url !== SOCKET_PATH) return '404 Not Found';
  return open >= SOCKETS_MAX ? '503 Service Unavailable' : undefined;
}

function siteOf(operator: OperatorPort): string {
  try {
    return operator.health().site;
  } catch {
    return '';
  }
}

const shownHost = (host: string): string =>
  host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;

function listen(server: http.Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Fault('LISTEN_FAILED', `${host}:${port}: ${asFault(error).detail}`, { cause: error })),
    );
    server.listen({ host, port, exclusive: true }, resolve);
  });
}

async function closeAll(
  server: http.Server,
  sockets: WebSocketServer,
  feed: Feed,
  clock: Clock,
): Promise<void> {
  feed.close();
  for (const socket of sockets.clients) socket.close(1001, 'the controller stops');
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  // Whoever does not say goodbye within a second is cut off.
  const cut = clock.after(1_000, () => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
  });
  await closed;
  cut();
  sockets.close();
}

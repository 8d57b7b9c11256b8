import * as http from 'node:http';
import * as https from 'node:https';
import type { Duplex } from 'node:stream';

import { Fault } from '../protocols/faults.ts';
import type { Clock, Http, HttpRequest, HttpResponse } from './deps.ts';
import { netFault } from './net.ts';

/** Connections kept for the next question wait this long; a machine is asked again within it, or is none that is asked often. */
const KEPT_MS = 12_000;
/** So many connections wait for a question at most, a few kilobytes each. */
const KEPT_MOST = 4_096;

/** Keeps one connection to each host, and no more than so many in all. */
class KeepingAgent extends http.Agent {
  readonly #kept = new Set<Duplex>();
  readonly #watched = new WeakSet<Duplex>();

  constructor() {
    super({ keepAlive: true, maxFreeSockets: 1, timeout: KEPT_MS });
  }

  override keepSocketAlive(socket: Duplex): boolean {
    // By its types it says nothing; by its documentation, false when the server has asked for no more.
    const may: unknown = super.keepSocketAlive(socket);
    if (may === false || this.#kept.size >= KEPT_MOST) return false;
    this.#kept.add(socket);
    if (!this.#watched.has(socket)) {
      this.#watched.add(socket);
      socket.once('close', () => this.#kept.delete(socket));
    }
    return true;
  }

  override reuseSocket(socket: Duplex, request: http.ClientRequest): void {
    this.#kept.delete(socket);
    super.reuseSocket(socket, request);
  }
}

/**
 * HTTP/1.1 over node:http and node:https: no redirects, no cookies. A GET goes out on a connection kept from the GET
 * before, where the server leaves it open, unless a header says `connection: close`; what may change something has a
 * connection of its own, so that nobody need guess whether it arrived.
 */
export function makeHttp(clock: Clock): Http {
  const agents = { kept: new KeepingAgent(), own: new http.Agent(), secure: new https.Agent() };
  return {
    request: (request) =>
      new Promise((resolve, reject) => {
        new Sending(clock, agents, request, { resolve, reject }).begin(
          request.method === 'GET' && request.headers?.['connection'] !== 'close',
        );
      }),
  };
}

interface Agents {
  readonly kept: http.Agent;
  readonly own: http.Agent;
  readonly secure: https.Agent;
}

/** One request until it has its answer, or its fault. */
class Sending {
  readonly #request: HttpRequest;
  readonly #agents: Agents;
  readonly #end: { resolve(response: HttpResponse): void; reject(fault: Fault): void };
  readonly #cancel: () => void;
  #done = false;
  #sent: http.ClientRequest | undefined;

  constructor(
    clock: Clock,
    agents: Agents,
    request: HttpRequest,
    end: { resolve(response: HttpResponse): void; reject(fault: Fault): void },
  ) {
    this.#request = request;
    this.#agents = agents;
    this.#end = end;
    const { url, timeoutMs } = request;
    this.#cancel = clock.after(timeoutMs, () =>
      this.#fail(new Fault('NET_TIMEOUT', `${url}: no whole answer in ${timeoutMs} ms`)),
    );
  }

  begin(kept: boolean): void {
    let sent: http.ClientRequest;
    try {
      sent = start(this.#request, this.#agents, kept);
    } catch (error) {
      this.#fail(
        error instanceof Fault ? error : new Fault('TARGET_INVALID', String(error), { cause: error }),
      );
      return;
    }
    this.#sent = sent;
    let answered = false;
    const broke = (fault: () => Fault): void => {
      if (this.#done || this.#sent !== sent) return;
      // The server closed what was kept while the question was under way: asked anew, on a connection of its own.
      if (sent.reusedSocket && !answered) this.begin(false);
      else this.#fail(fault());
    };
    sent.on('error', (error) => broke(() => httpFault(error, this.#request.url)));
    sent.on('close', () => {
      broke(() => new Fault('NET_RESET', `${this.#request.url}: closed without an answer`));
    });
    sent.on('response', (response) => {
      answered = true;
      this.#take(response, kept);
    });
  }

  #take(response: http.IncomingMessage, kept: boolean): void {
    const { url, maxBytes } = this.#request;
    const parts: Buffer[] = [];
    let size = 0;
    response.on('data', (part: Buffer) => {
      size += part.length;
      if (size <= maxBytes) parts.push(part);
      else this.#fail(new Fault('NET_OVERSIZE', `${url}: more than ${maxBytes} bytes`));
    });
    response.on('error', (error) => this.#fail(httpFault(error, url)));
    response.on('end', () => {
      if (this.#done) return;
      this.#done = true;
      this.#cancel();
      // Closed before the next one is opened: a host that is asked so has one connection at a time.
      if (!kept) this.#sent?.destroy();
      const [first] = parts;
      this.#end.resolve({
        status: response.statusCode ?? 0,
        headers: flat(response.headers),
        body: parts.length === 1 && first !== undefined ? first : Buffer.concat(parts),
      });
    });
  }

  #fail(fault: Fault): void {
    if (this.#done) return;
    this.#done = true;
    this.#cancel();
    this.#sent?.destroy();
    this.#end.reject(fault);
  }
}

function start(request: HttpRequest, { kept, own, secure }: Agents, keep: boolean): http.ClientRequest {
  const url = URL.parse(request.url);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new Fault('TARGET_INVALID', `${request.url}: not an http or https address`);
  }
  const body = request.body === undefined ? undefined : Buffer.from(request.body, 'utf8');
  const headers: Record<string, string> = { ...request.headers };
  if (body) headers['content-length'] = String(body.length);
  const options = { method: request.method, headers };
  const sent =
    url.protocol === 'https:'
      ? https.request(url, { ...options, agent: secure })
      : http.request(url, { ...options, agent: keep ? kept : own });
  sent.end(body);
  return sent;
}

function httpFault(error: unknown, url: string): Fault {
  if (error instanceof Error && 'code' in error) {
    const code = String(error.code);
    if (code === 'HPE_HEADER_OVERFLOW') return new Fault('NET_OVERSIZE', `${url}: ${code}`, { cause: error });
    if (code.startsWith('HPE_')) return new Fault('ANSWER_GARBAGE', `${url}: ${code}`, { cause: error });
    if (code.startsWith('CERT_') || code.includes('SIGNED_CERT') || code.startsWith('ERR_TLS')) {
      return new Fault('NET_REFUSED', `${url}: certificate not accepted: ${code}`, { cause: error });
    }
  }
  return netFault(error, url);
}

function flat(headers: http.IncomingHttpHeaders): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) result[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return result;
}

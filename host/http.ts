import * as http from 'node:http';
import * as https from 'node:https';
import type { Socket } from 'node:net';

import { Fault } from '../protocols/faults.ts';
import type { Clock, Http, HttpRequest, HttpResponse } from './deps.ts';
import { netFault } from './net.ts';

/**
 * HTTP/1.1 over node:http and node:https: no redirects, no cookies, and no connection that outlives what is done over it.
 * Devices serve few connections, some one: one kept for the next reading would keep a command out.
 */
export function makeHttp(clock: Clock): Http {
  const roads = new Roads();
  return {
    request: (request) =>
      new Promise((resolve, reject) => {
        new Sending(clock, roads, request, { resolve, reject }).begin();
      }),
  };
}

/**
 * The connections. Pages that are read one after the other come over one of them: it is closed unless the next page of
 * that host is asked for as soon as one has been read, and at once when anything else is asked of the host meanwhile, or
 * the request itself is to be alone.
 */
class Roads {
  /** A connection of its own for each request. */
  readonly plain = new http.Agent();
  readonly #pages = new http.Agent({ keepAlive: true });
  readonly #secure = new https.Agent();
  /** By host: how many requests have no answer yet. */
  readonly #waiting = new Map<string, number>();
  /** By host: the connection that a page has just come over. */
  readonly #open = new Map<string, Socket>();

  /** The agent for a request. Whatever changes something has a connection of its own: on an old one nobody could tell what became of it. */
  enter({ origin, protocol }: URL, isPage: boolean): http.Agent {
    const before = this.#waiting.get(origin) ?? 0;
    this.#waiting.set(origin, before + 1);
    if (protocol === 'https:') return this.#secure;
    if (isPage && before === 0) return this.#pages;
    this.#close(origin);
    return this.plain;
  }

  /** A page is asked for over this connection. */
  take(origin: string, socket: Socket): void {
    if (this.#open.get(origin) === socket) this.#open.delete(origin);
  }

  /** A request is over. `socket`: what it came over; `stays`: that may serve the next page. */
  leave(origin: string, socket: Socket | undefined, stays: boolean): void {
    const left = (this.#waiting.get(origin) ?? 1) - 1;
    if (left > 0) this.#waiting.set(origin, left);
    else this.#waiting.delete(origin);
    if (left > 0 || !stays || socket === undefined) {
      socket?.destroy();
      return;
    }
    this.#open.set(origin, socket);
    setImmediate(() => {
      if (this.#open.get(origin) === socket) this.#close(origin);
    });
  }

  #close(origin: string): void {
    this.#open.get(origin)?.destroy();
    this.#open.delete(origin);
  }
}

/** One request until it has its answer, or its fault. */
class Sending {
  readonly #roads: Roads;
  readonly #request: HttpRequest;
  readonly #end: { resolve(response: HttpResponse): void; reject(fault: Fault): void };
  readonly #cancel: () => void;
  #done = false;
  #sent: http.ClientRequest | undefined;
  #origin: string | undefined;

  constructor(
    clock: Clock,
    roads: Roads,
    request: HttpRequest,
    end: { resolve(response: HttpResponse): void; reject(fault: Fault): void },
  ) {
    this.#roads = roads;
    this.#request = request;
    this.#end = end;
    const { url, timeoutMs } = request;
    this.#cancel = clock.after(timeoutMs, () =>
      this.#fail(new Fault('NET_TIMEOUT', `${url}: no whole answer in ${timeoutMs} ms`)),
    );
  }

  begin(): void {
    const url = URL.parse(this.#request.url);
    if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
      this.#fail(new Fault('TARGET_INVALID', `${this.#request.url}: not an http or https address`));
      return;
    }
    this.#origin = url.origin;
    this.#send(url, this.#roads.enter(url, isPage(this.#request)));
  }

  #send(url: URL, agent: http.Agent): void {
    let sent: http.ClientRequest;
    try {
      sent = start(this.#request, url, agent);
    } catch (error) {
      this.#fail(new Fault('TARGET_INVALID', String(error), { cause: error }));
      return;
    }
    this.#sent = sent;
    const { origin } = url;
    let answered = false;
    const lost = (fault: () => Fault): void => {
      if (this.#done || this.#sent !== sent) return;
      // The device had closed it after the page before, without a word: nobody has seen this request.
      if (sent.reusedSocket && !answered) this.#send(url, this.#roads.plain);
      else this.#fail(fault());
    };
    sent.on('socket', (socket) => this.#roads.take(origin, socket));
    sent.on('error', (error) => lost(() => httpFault(error, this.#request.url)));
    sent.on('close', () =>
      lost(() => new Fault('NET_RESET', `${this.#request.url}: closed without an answer`)),
    );
    sent.on('response', (response) => {
      answered = true;
      this.#take(response);
    });
  }

  #take(response: http.IncomingMessage): void {
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
      this.#leave(response);
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
    this.#leave();
    this.#sent?.destroy();
    this.#end.reject(fault);
  }

  /** Its connection is closed, or serves the next page. */
  #leave(response?: http.IncomingMessage): void {
    if (this.#origin === undefined) return;
    const stays =
      isPage(this.#request) &&
      response?.httpVersion === '1.1' &&
      !/close/i.test(response.headers.connection ?? '');
    this.#roads.leave(this.#origin, this.#sent?.socket ?? undefined, stays);
  }
}

const isPage = ({ method, isAlone }: HttpRequest): boolean => method === 'GET' && isAlone !== true;

function start(request: HttpRequest, url: URL, agent: http.Agent): http.ClientRequest {
  const body = request.body === undefined ? undefined : Buffer.from(request.body, 'utf8');
  const headers: Record<string, string> = { ...request.headers };
  if (body) headers['content-length'] = String(body.length);
  const options = { method: request.method, headers, agent };
  const sent = url.protocol === 'https:' ? https.request(url, options) : http.request(url, options);
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

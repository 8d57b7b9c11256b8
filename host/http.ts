import * as http from 'node:http';
import * as https from 'node:https';

import { Fault } from '../protocols/faults.ts';
import type { Clock, Http, HttpRequest, HttpResponse } from './deps.ts';
import { netFault } from './net.ts';

/**
 * HTTP/1.1 over node:http and node:https: no redirects, no cookies, a connection of its own for each request. Devices
 * serve few connections, some one: one kept for the next reading would keep a command out.
 */
export function makeHttp(clock: Clock): Http {
  const agents = { plain: new http.Agent(), secure: new https.Agent() };
  return {
    request: (request) =>
      new Promise((resolve, reject) => {
        new Sending(clock, request, { resolve, reject }).begin(agents);
      }),
  };
}

interface Agents {
  readonly plain: http.Agent;
  readonly secure: https.Agent;
}

/** One request until it has its answer, or its fault. */
class Sending {
  readonly #request: HttpRequest;
  readonly #end: { resolve(response: HttpResponse): void; reject(fault: Fault): void };
  readonly #cancel: () => void;
  #done = false;
  #sent: http.ClientRequest | undefined;

  constructor(
    clock: Clock,
    request: HttpRequest,
    end: { resolve(response: HttpResponse): void; reject(fault: Fault): void },
  ) {
    this.#request = request;
    this.#end = end;
    const { url, timeoutMs } = request;
    this.#cancel = clock.after(timeoutMs, () =>
      this.#fail(new Fault('NET_TIMEOUT', `${url}: no whole answer in ${timeoutMs} ms`)),
    );
  }

  begin(agents: Agents): void {
    let sent: http.ClientRequest;
    try {
      sent = start(this.#request, agents);
    } catch (error) {
      this.#fail(
        error instanceof Fault ? error : new Fault('TARGET_INVALID', String(error), { cause: error }),
      );
      return;
    }
    this.#sent = sent;
    sent.on('error', (error) => this.#fail(httpFault(error, this.#request.url)));
    sent.on('close', () =>
      this.#fail(new Fault('NET_RESET', `${this.#request.url}: closed without an answer`)),
    );
    sent.on('response', (response) => this.#take(response));
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
      this.#sent?.destroy();
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

function start(request: HttpRequest, { plain, secure }: Agents): http.ClientRequest {
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
      : http.request(url, { ...options, agent: plain });
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

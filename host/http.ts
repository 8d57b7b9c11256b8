import * as http from 'node:http';
import * as https from 'node:https';

import { Fault } from '../protocols/faults.ts';
import type { Clock, Http, HttpRequest, HttpResponse } from './deps.ts';
import { netFault } from './net.ts';

/** HTTP/1.1 over node:http and node:https: no redirects, no cookies; a connection per request unless `keepAlive`. */
export function makeHttp(clock: Clock, options: { readonly keepAlive?: boolean } = {}): Http {
  const keepAlive = options.keepAlive ?? false;
  const plain = new http.Agent({ keepAlive });
  const secure = new https.Agent({ keepAlive });
  return { request: (request) => send(clock, plain, secure, request) };
}

function send(
  clock: Clock,
  plain: http.Agent,
  secure: https.Agent,
  request: HttpRequest,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    let done = false;
    let sent: http.ClientRequest | undefined;
    const fail = (fault: Fault): void => {
      if (done) return;
      done = true;
      cancel();
      sent?.destroy();
      reject(fault);
    };
    const cancel = clock.after(request.timeoutMs, () =>
      fail(new Fault('NET_TIMEOUT', `${request.url}: no whole answer in ${request.timeoutMs} ms`)),
    );
    try {
      sent = start(request, plain, secure);
    } catch (error) {
      fail(error instanceof Fault ? error : new Fault('TARGET_INVALID', String(error), { cause: error }));
      return;
    }
    sent.on('error', (error) => fail(httpFault(error, request.url)));
    sent.on('close', () => fail(new Fault('NET_RESET', `${request.url}: closed without an answer`)));
    sent.on('response', (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size <= request.maxBytes) parts.push(part);
        else fail(new Fault('NET_OVERSIZE', `${request.url}: more than ${request.maxBytes} bytes`));
      });
      response.on('error', (error) => fail(httpFault(error, request.url)));
      response.on('end', () => {
        if (done) return;
        done = true;
        cancel();
        resolve({
          status: response.statusCode ?? 0,
          headers: flat(response.headers),
          body: Buffer.concat(parts),
        });
      });
    });
  });
}

function start(request: HttpRequest, plain: http.Agent, secure: https.Agent): http.ClientRequest {
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

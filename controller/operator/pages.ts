import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';

import type { Log } from '../../host/deps.ts';
import type { OperatorPort } from '../../protocols/console/view.ts';
import { Fault, asFault, faultJson } from '../../protocols/faults.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import type { Assets } from './assets.ts';
import { peerOf } from './gate.ts';
import type { Gate } from './gate.ts';
import type { Logins, Session } from './logins.ts';

const BODY_MAX_BYTES = 4_096;
const loginSchema = z.strictObject({ code: z.string().min(1).max(64) });

const STATUS: Partial<Record<FaultCode, number>> = {
  LOGIN_THROTTLED: 429,
  LOGIN_REFUSED: 401,
  INTERNAL: 500,
};

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'no-store',
} as const;

interface Parts {
  readonly operator: OperatorPort;
  readonly logins: Logins;
  readonly gate: Gate;
  readonly assets: Assets;
  readonly log: Log;
  readonly port: () => number;
}

/** Answers plain HTTP: the page and its files, /health, and the login that sets the session cookie. Never throws. */
export function makePages(parts: Parts): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    response.on('error', () => undefined);
    answer(parts, request, response).catch((error: unknown) => {
      const fault = asFault(error);
      if (fault.code === 'INTERNAL') parts.log.error({ fault: fault.message }, 'console request failed');
      send(response, STATUS[fault.code] ?? 400, faultJson(fault));
    });
  };
}

async function answer(parts: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!parts.gate.hostAllowed(request)) {
    send(response, 421, faultJson(new Fault('CONSOLE_REQUEST', 'this server has another name')));
    return;
  }
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  if (request.method === 'GET' || request.method === 'HEAD') {
    get(parts, path, response, request.method === 'HEAD');
    return;
  }
  if (request.method !== 'POST') {
    send(response, 405, faultJson(new Fault('CONSOLE_REQUEST', 'GET and POST only')));
    return;
  }
  if (parts.gate.origin(request) === 'foreign') {
    send(response, 403, faultJson(new Fault('CONSOLE_REQUEST', 'a page of another site asked')));
    return;
  }
  if (path === '/login') await login(parts, request, response);
  else if (path === '/ticket') ticket(parts, request, response);
  else if (path === '/logout') logout(parts, request, response);
  else send(response, 404, faultJson(new Fault('CONSOLE_REQUEST', 'nothing here')));
}

function get(parts: Parts, path: string, response: ServerResponse, headOnly: boolean): void {
  if (path === '/health') {
    const health = parts.operator.health();
    send(response, health.status === 'starting' ? 503 : 200, health, headOnly);
    return;
  }
  const asset = parts.assets.get(path === '/' ? '/index.html' : path);
  if (asset === undefined) {
    send(response, 404, faultJson(new Fault('CONSOLE_REQUEST', 'nothing here')), headOnly);
    return;
  }
  response.writeHead(200, { ...HEADERS, 'content-type': asset.type, 'content-length': asset.bytes.length });
  response.end(headOnly ? undefined : asset.bytes);
}

async function login(parts: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = loginSchema.safeParse(await readJson(request));
  if (!body.success) throw new Fault('CONSOLE_REQUEST', 'the login needs a code');
  const from = peerOf(request);
  try {
    const { token } = parts.logins.exchange(body.data.code, from);
    parts.log.info({ from }, 'console logged in');
    // The port is in the name because cookies do not keep ports apart.
    const cookie = `${cookieName(parts)}=${token}; HttpOnly; SameSite=Strict; Path=/`;
    response.setHeader('set-cookie', cookie);
    send(response, 200, { ok: true });
  } catch (error) {
    parts.log.warn({ from, fault: asFault(error).message }, 'console login refused');
    throw error;
  }
}

function ticket(parts: Parts, request: IncomingMessage, response: ServerResponse): void {
  const session = sessionOf(parts, request);
  if (session === undefined) throw new Fault('LOGIN_REFUSED', 'no session');
  send(response, 200, { ticket: parts.logins.ticketFor(session) });
}

function logout(parts: Parts, request: IncomingMessage, response: ServerResponse): void {
  const session = sessionOf(parts, request);
  if (session !== undefined) parts.logins.end(session);
  response.setHeader('set-cookie', `${cookieName(parts)}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0`);
  send(response, 200, { ok: true });
}

const cookieName = (parts: Parts): string => `switchyard_${parts.port()}`;

function sessionOf(parts: Parts, request: IncomingMessage): Session | undefined {
  const wanted = `${cookieName(parts)}=`;
  const found = (request.headers.cookie ?? '')
    .split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(wanted));
  return found === undefined ? undefined : parts.logins.sessionOf(found.slice(wanted.length));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > BODY_MAX_BYTES) throw new Fault('CONSOLE_REQUEST', `more than ${BODY_MAX_BYTES} bytes`);
    pieces.push(piece);
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString('utf8'));
  } catch {
    throw new Fault('CONSOLE_REQUEST', 'not JSON');
  }
}

function send(response: ServerResponse, status: number, body: unknown, headOnly = false): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, {
    ...HEADERS,
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    // After a refused or unread body the connection is not reused.
    ...(status >= 400 && { connection: 'close' }),
  });
  response.end(headOnly ? undefined : text);
}

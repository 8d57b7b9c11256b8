import type { Clock, Http } from '../host/deps.ts';
import type { Json } from '../protocols/asic/cgminer.ts';
import { BODY_MAX_BYTES, parseJsonBody } from '../protocols/asic/json-body.ts';
import { Fault } from '../protocols/faults.ts';
import type { Deadline } from './ask-cgminer.ts';
import { middleMs } from './readings.ts';

export interface JsonRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON; absent: no body. */
  readonly body?: Json;
  /** What the page says is not read: its status alone counts. */
  readonly unread?: boolean;
  /** Its answer may hold a secret, or ours: no message quotes it. */
  readonly secret?: boolean;
}

/** A page and the UTC time in the middle between asking and answering; an empty page is undefined. */
export interface JsonPage {
  readonly value: Json | undefined;
  readonly atMs: number;
  /** The first words of a page that is not read; '' of one that is, or may hold a secret. */
  readonly said: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * One request to a page of a miner that speaks JSON over HTTP. Rejects with a Fault: NET_*, ANSWER_GARBAGE, AUTH_FAILED
 * (401, 403), VERB_UNSUPPORTED (no such page), QUEUE_FULL (busy), VERB_REFUSED (any other status, with what the page says).
 */
export async function askJson(
  io: { readonly http: Http; readonly clock: Clock },
  { method, url, headers, body, secret, unread }: JsonRequest,
  deadline: Deadline,
): Promise<JsonPage> {
  const startMs = io.clock.monoMs();
  const response = await io.http.request({
    method,
    url,
    headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    timeoutMs: deadline.leftMs(),
    maxBytes: BODY_MAX_BYTES,
  });
  const { status } = response;
  if (status < 200 || status > 299)
    throw refusal(status, `${method} ${url}`, secret === true ? new Uint8Array() : response.body);
  const value = unread === true ? undefined : parseJsonBody(response.body);
  if (value instanceof Fault)
    throw new Fault(value.code, secret === true ? `${url}: no JSON to be read` : `${url}: ${value.detail}`);
  const said = unread === true && secret !== true ? wordsOf(response.body) : '';
  return { value, said, atMs: middleMs(io.clock, startMs), headers: response.headers };
}

function wordsOf(body: Uint8Array): string {
  return new TextDecoder().decode(body.subarray(0, 400)).slice(0, 100);
}

function refusal(status: number, asked: string, body: Uint8Array): Fault {
  const said = `${asked}: HTTP ${status} ${wordsOf(body)}`.trim();
  if (status === 401 || status === 403) return new Fault('AUTH_FAILED', said);
  if (status === 404 || status === 405 || status === 501) return new Fault('VERB_UNSUPPORTED', said);
  if (status === 429 || status === 503) return new Fault('QUEUE_FULL', said);
  return new Fault('VERB_REFUSED', said);
}

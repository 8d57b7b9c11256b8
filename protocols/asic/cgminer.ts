import { Fault } from '../faults.ts';
import { parseBroken } from './broken-json.ts';

/** JSON as it comes from a device. Objects have no prototype, so that no key is special. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** A device's answer. `partial`: it broke off and holds what came whole. `notes`: every repair made, with its place. */
export interface CgminerAnswer {
  readonly value: JsonObject;
  readonly partial: boolean;
  readonly notes: readonly string[];
}

/** The largest answer any known device gives is below 64 KiB. */
export const ANSWER_MAX_BYTES = 256 * 1024;
const ANSWER_MAX_DEPTH = 16;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOT_FINITE = new Set(['inf', '-inf', '+inf', 'nan', '-nan', '+nan', 'infinity', '-infinity']);

/** Requests without a parameter: the few that drivers ask all day. */
const plainRequests = new Map<string, Uint8Array>();

/** One request of the cgminer API: `{"command":…,"parameter":…}`. The bytes may be shared: they are to be read alone. */
export function encodeCgminer(command: string, parameter?: string): Uint8Array {
  if (parameter !== undefined) return encoder.encode(JSON.stringify({ command, parameter }));
  let request = plainRequests.get(command);
  if (request === undefined)
    plainRequests.set(command, (request = encoder.encode(JSON.stringify({ command }))));
  return request;
}

/**
 * Parses an answer of the cgminer family, repairing by rule what firmwares are known to break (see `notes`).
 * `inf` and `nan` become null. Returns a Fault (ANSWER_GARBAGE, ANSWER_PARTIAL, NET_OVERSIZE; NET_REFUSED where the
 * firmware says that nothing listens behind it), never throws.
 */
export function parseCgminer(bytes: Uint8Array): CgminerAnswer | Fault {
  if (bytes.length > ANSWER_MAX_BYTES) return new Fault('NET_OVERSIZE', `${bytes.length} bytes`);
  const text = decoder.decode(bytes.subarray(0, contentLength(bytes)));
  const clean = parseClean(text);
  if (clean) return clean;
  if (text.startsWith('Socket connect failed')) {
    return new Fault('NET_REFUSED', 'the mining process does not run: Socket connect failed');
  }
  return parseBroken(text, ANSWER_MAX_DEPTH);
}

/**
 * Says of the bytes of one answer, each time more of them have come, whether they are one whole JSON object, so that a
 * peer that keeps the connection open need not be waited for. It looks at each byte once, however they trickle in.
 */
export function makeIsWhole(): (bytes: Uint8Array) => boolean {
  let seen = 0;
  let at = 0;
  let depth = 0;
  let quoted = false;
  let whole = false;
  return (bytes) => {
    let end = bytes.length;
    while (end > seen && (bytes[end - 1] ?? 0xff) <= 0x20) end -= 1;
    const isBlank = end === seen;
    seen = bytes.length;
    if (isBlank) return whole;
    if (bytes[end - 1] !== 0x7d) return (whole = false);
    for (; at < end; at += 1) {
      const byte = bytes[at];
      if (quoted) {
        if (byte === 0x5c) at += 1;
        else if (byte === 0x22) quoted = false;
      } else if (byte === 0x22) quoted = true;
      else if (byte === 0x7b || byte === 0x5b) depth += 1;
      else if (byte === 0x7d || byte === 0x5d) depth -= 1;
    }
    return (whole = depth === 0 && !quoted);
  };
}

/** What the device said of the request itself; S and I are success, W a warning, E and F errors. */
export interface CgminerStatus {
  readonly level: string;
  readonly code: number | undefined;
  readonly message: string;
}

/** The status of an answer, in the list form (`STATUS:[{…}]`) or the flat one (`STATUS:"S",Code:131`). */
export function statusOf(value: JsonObject): CgminerStatus | undefined {
  const status = field(value, 'STATUS');
  const from = isList(status) ? status[0] : value;
  if (!isObject(from)) return undefined;
  const level = field(from, 'STATUS');
  const code = field(from, 'Code');
  const message = field(from, 'Msg');
  if (typeof level !== 'string' && typeof code !== 'number') return undefined;
  return {
    level: typeof level === 'string' ? level.toUpperCase() : '',
    code: typeof code === 'number' ? code : undefined,
    message: typeof message === 'string' ? message : '',
  };
}

/** The objects of a section such as SUMMARY; empty when there is none. Case of the name does not count. */
export function sectionOf(value: JsonObject, name: string): readonly JsonObject[] {
  const section = field(value, name);
  if (isList(section)) return section.filter(isObject);
  return isObject(section) ? [section] : [];
}

/** A field by name; firmwares differ in the case of their keys. */
export function field(value: JsonObject, name: string): Json | undefined {
  const exact = value[name];
  if (exact !== undefined && Object.hasOwn(value, name)) return exact;
  const lower = name.toLowerCase();
  // Most lookups of a poll miss: comparing lengths first makes a miss cheap.
  for (const key of Object.keys(value))
    if (key.length === name.length && key.toLowerCase() === lower) return value[key];
  return undefined;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** Length without the NULs and white space at the end. */
export function contentLength(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && (bytes[end - 1] ?? 0xff) <= 0x20) end -= 1;
  return end;
}

/**
 * The usual case at the speed of the built-in parser. It keeps the last of two equal keys and drops the other, so
 * keys are counted; on any doubt the careful parser does the whole.
 */
function parseClean(text: string): CgminerAnswer | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(parsed as Json)) return undefined;
  if (keysIn(parsed as JsonObject, 1) !== countKeys(text)) return undefined;
  return { value: parsed as JsonObject, partial: false, notes: [] };
}

/** How many keys there are in it and below; NaN when it holds something that only the careful parser takes right. */
function keysIn(value: JsonObject | readonly Json[], depth: number): number {
  if (depth >= ANSWER_MAX_DEPTH) return Number.NaN;
  if (isList(value)) {
    let keys = 0;
    for (const item of value) keys += keysOf(item, depth);
    return keys;
  }
  const names = Object.keys(value);
  let keys = names.length;
  for (const name of names) keys += name === '__proto__' ? Number.NaN : keysOf(value[name] ?? null, depth);
  return keys;
}

function keysOf(value: Json, depth: number): number {
  if (typeof value === 'object') return value === null ? 0 : keysIn(value, depth + 1);
  if (typeof value === 'string') return isNotFinite(value) ? Number.NaN : 0;
  return typeof value === 'number' && !Number.isFinite(value) ? Number.NaN : 0;
}

/** By the first letter nearly every text is told to be none of these. */
function isNotFinite(text: string): boolean {
  const first = text.charCodeAt(0);
  const sign = first === 0x2b || first === 0x2d;
  return text.length <= 9 && (sign || first === 0x69 || first === 0x6e) && NOT_FINITE.has(text);
}

function countKeys(text: string): number {
  let count = 0;
  for (let at = text.indexOf('":'); at >= 0; at = text.indexOf('":', at + 2)) count += 1;
  return count;
}

import { Fault } from '../faults.ts';
import { ANSWER_MAX_BYTES, contentLength, encodeCgminer, isList, isObject, parseCgminer } from './cgminer.ts';
import type { CgminerAnswer, Json, JsonObject } from './cgminer.ts';

/** Avalons take requests as JSON or as text, firmware by firmware, and answer in kind. */
export type AvalonDialect = 'json' | 'text';

/** The sections whose name differs between the two dialects. */
const JSON_NAMES: ReadonlyMap<string, string> = new Map([
  ['POOL', 'POOLS'],
  ['ASC', 'DEVS'],
]);
const MOST_SECTIONS = 256;
const MOST_FIELDS = 4_096;
/** Longer digits are a name, not a number: a number would lose the last of them. */
const NUMBER = /^-?\d{1,15}(?:\.\d{1,15})?$/;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One request: `{"command":…,"parameter":…}`, or `command|parameter`. */
export function encodeAvalon(dialect: AvalonDialect, command: string, parameter?: string): Uint8Array {
  if (dialect === 'json') return encodeCgminer(command, parameter);
  return encoder.encode(parameter === undefined ? command : `${command}|${parameter}`);
}

/**
 * Parses an answer of either dialect to the form of the JSON one. In text a field that broke off is left out, and the
 * answer is marked partial. Returns a Fault (ANSWER_GARBAGE, ANSWER_PARTIAL, NET_OVERSIZE, NET_REFUSED), never throws.
 */
export function parseAvalon(bytes: Uint8Array): CgminerAnswer | Fault {
  if (bytes.length > ANSWER_MAX_BYTES) return new Fault('NET_OVERSIZE', `${bytes.length} bytes`);
  const text = decoder.decode(bytes.subarray(0, contentLength(bytes)));
  if (!/^[A-Z][A-Z0-9]*[=,|]/u.test(text)) return parseCgminer(bytes);
  const partial = !text.endsWith('|');
  const sections = Object.create(null) as Record<string, JsonObject[]>;
  const parts = splitOutside(text, '|').slice(0, MOST_SECTIONS);
  for (const [index, part] of parts.entries()) {
    const fields = splitOutside(part, ',').slice(0, MOST_FIELDS);
    if (partial && index === parts.length - 1) fields.pop();
    const [first = ''] = fields;
    const name = first.split('=', 1)[0] ?? '';
    if (name === '') continue;
    (sections[JSON_NAMES.get(name) ?? name] ??= []).push(
      objectOf(first.includes('=') ? fields : fields.slice(1)),
    );
  }
  if (Object.keys(sections).length === 0) return new Fault('ANSWER_PARTIAL', 'no whole field');
  return { value: sections, partial, notes: [] };
}

/** Pieces between separators that stand in no square brackets. */
function splitOutside(text: string, separator: '|' | ','): string[] {
  const pieces: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === '[') depth += 1;
    else if (letter === ']') depth = Math.max(0, depth - 1);
    else if (letter === separator && depth === 0) {
      pieces.push(text.slice(start, at));
      start = at + 1;
    }
  }
  pieces.push(text.slice(start));
  return pieces;
}

function objectOf(fields: readonly string[]): JsonObject {
  const object = Object.create(null) as Record<string, Json>;
  for (const field of fields) {
    const at = field.indexOf('=');
    if (at <= 0) continue;
    const value = field.slice(at + 1);
    object[field.slice(0, at)] =
      value === 'true' ? true : value === 'false' ? false : NUMBER.test(value) ? Number(value) : value;
  }
  return object;
}

/** The words in brackets of `Name[words] Name[words] …`; the first of two equal names counts. */
export type AvalonWords = ReadonlyMap<string, string>;

/** The bracket string of the one module, under whichever name the firmware has it; undefined when there is none. */
export function avalonWords(stats: readonly JsonObject[]): AvalonWords | undefined {
  for (const section of stats) {
    const value = section['MM ID0'] ?? section['MM ID0:Summary'];
    if (typeof value === 'string') return wordsOf(value);
    if (isObject(value)) return wordsOfObject(value);
  }
  return undefined;
}

function wordsOf(text: string): AvalonWords {
  const words = new Map<string, string>();
  for (let from = 0; words.size < MOST_FIELDS;) {
    const open = text.indexOf('[', from);
    const close = open < 0 ? -1 : text.indexOf(']', open);
    if (close < 0) break;
    const before = text.slice(from, open);
    const name = before.slice(Math.max(before.lastIndexOf('{'), before.lastIndexOf('}')) + 1).trim();
    if (name !== '' && !words.has(name)) words.set(name, text.slice(open + 1, close));
    from = close + 1;
  }
  return words;
}

/** Gateways hand the same on as an object, sometimes one level deeper. */
function wordsOfObject(value: JsonObject): AvalonWords {
  const inner = value['STATS'];
  const words = new Map<string, string>();
  for (const [name, part] of Object.entries(isObject(inner) ? inner : value)) {
    if (isList(part)) words.set(name, part.map(String).join(' '));
    else if (typeof part === 'string' || typeof part === 'number') words.set(name, String(part));
  }
  return words;
}

/** The numbers among the words of a name, in their order; what is none is undefined. */
export function avalonNumbers(words: AvalonWords, name: string): readonly (number | undefined)[] {
  return (words.get(name) ?? '')
    .split(/\s+/u)
    .filter((word) => word !== '')
    .slice(0, MOST_FIELDS)
    .map((word) => (/^-?\d{1,15}(?:\.\d{1,15})?%?$/u.test(word) ? Number.parseFloat(word) : undefined));
}

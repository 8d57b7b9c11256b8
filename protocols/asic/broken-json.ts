import { Fault } from '../faults.ts';
import type { CgminerAnswer, Json, JsonObject } from './cgminer.ts';

/** More repairs than this and the text is noise, not an answer with a flaw. */
const NOTES_MAX = 64;

const NOT_FINITE = /^[+-]?(inf|nan|infinity)$/i;
/**
 * Firmwares print bare numbers as C does: leading zeros, no digit before the point, a sign. A digit has one way only to
 * match: with two, a run of digits of some 100 KB that is no number in the end took minutes.
 */
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

const ENDS_WORD: ReadonlySet<number> = new Set(new TextEncoder().encode(',}] \n\r\t"[{:'));

class Cut extends Error {}
class Noise extends Error {}

interface Reader {
  readonly text: string;
  readonly maxDepth: number;
  at: number;
  readonly notes: string[];
  readonly place: (string | number)[];
}

/**
 * Parses JSON with the flaws of miner firmwares: missing, doubled, leading and trailing commas; raw line breaks in
 * strings; `inf` and `nan` (null); pairs in a list; equal keys (the second is kept as `key#2`); a tail cut off
 * (what is whole is kept). Every repair is named in `notes`. Never throws.
 */
export function parseBroken(text: string, maxDepth: number): CgminerAnswer | Fault {
  const start = text.indexOf('{');
  if (start < 0 || text.slice(0, start).trim() !== '') {
    return new Fault('ANSWER_GARBAGE', `not a JSON object: ${excerpt(text)}`);
  }
  const reader: Reader = { text, maxDepth, at: start, notes: [], place: [] };
  const root = emptyObject();
  let partial = false;
  try {
    readObject(reader, root, 1);
    skipSpace(reader);
    if (reader.at < text.length)
      note(reader, `more text after the answer: ${excerpt(text.slice(reader.at))}`);
  } catch (error) {
    if (error instanceof Noise) return new Fault('ANSWER_GARBAGE', `${error.message} at ${reader.at}`);
    if (!(error instanceof Cut)) throw error;
    partial = true;
  }
  if (partial && Object.keys(root).length === 0) return new Fault('ANSWER_PARTIAL', 'nothing whole came');
  return { value: root, partial, notes: reader.notes };
}

type Building = { [key: string]: Json };

function emptyObject(): Building {
  return Object.create(null) as Building;
}

function note(reader: Reader, what: string): void {
  if (reader.notes.length >= NOTES_MAX) throw new Noise('too many flaws');
  const place = reader.place.join('.');
  reader.notes.push(place === '' ? what : `${place}: ${what}`);
}

function readObject(reader: Reader, into: Building, depth: number): void {
  if (depth > reader.maxDepth) throw new Noise('nested too deep');
  reader.at += 1;
  for (let count = 0; ; count += 1) {
    if (atEnd(reader, '}', count)) return;
    if (reader.text[reader.at] !== '"') throw new Noise('a key was expected');
    const key = uniqueKey(reader, into, readString(reader));
    skipSpace(reader);
    if (reader.at >= reader.text.length) throw new Cut();
    if (reader.text[reader.at] !== ':') throw new Noise('a colon was expected');
    reader.at += 1;
    reader.place.push(key);
    readInto(reader, depth, into, key);
    reader.place.pop();
  }
}

function readList(reader: Reader, into: Json[], depth: number): void {
  if (depth > reader.maxDepth) throw new Noise('nested too deep');
  reader.at += 1;
  for (let count = 0; ; count += 1) {
    if (atEnd(reader, ']', count)) return;
    reader.place.push(count);
    const index = into.length;
    readInto(reader, depth, into, index);
    skipSpace(reader);
    const key = into[index];
    if (reader.text[reader.at] === ':' && typeof key === 'string') {
      // Whatsminer API 2.0.4 writes a dictionary in a list's brackets: ["329":"2024-…"].
      note(reader, 'a pair in a list');
      reader.at += 1;
      const pair = emptyObject();
      into[index] = pair;
      readInto(reader, depth, pair, key);
    }
    reader.place.pop();
  }
}

/** Skips what lies between items; true when the closing bracket was consumed. */
function atEnd(reader: Reader, closing: string, count: number): boolean {
  let commas = 0;
  for (;;) {
    skipSpace(reader);
    const next = reader.text[reader.at];
    if (next === undefined) throw new Cut();
    if (next === ',') {
      commas += 1;
      reader.at += 1;
      continue;
    }
    const wanted = next === closing || count === 0 ? 0 : 1;
    if (commas !== wanted) note(reader, commas < wanted ? 'a comma was missing' : 'a comma too many');
    if (next === closing) {
      reader.at += 1;
      return true;
    }
    return false;
  }
}

/** Reads a value to its place. Containers stand there before they are filled, so that a cut keeps what they held. */
function readInto(reader: Reader, depth: number, into: Building | Json[], key: string | number): void {
  const put = (value: Json): void => {
    (into as Building)[key] = value;
  };
  skipSpace(reader);
  const next = reader.text[reader.at];
  if (next === undefined) throw new Cut();
  if (next === '{') {
    const object = emptyObject();
    put(object as JsonObject);
    readObject(reader, object, depth + 1);
  } else if (next === '[') {
    const list: Json[] = [];
    put(list);
    readList(reader, list, depth + 1);
  } else if (next === '"') {
    const text = readString(reader);
    put(text.length <= 9 && NOT_FINITE.test(text) ? notFinite(reader, text) : text);
  } else {
    put(readWord(reader));
  }
}

function readString(reader: Reader): string {
  const start = reader.at + 1;
  let end = start;
  let raw = false;
  for (; ; end += 1) {
    const code = reader.text.charCodeAt(end);
    if (Number.isNaN(code)) throw new Cut();
    if (code === 0x22) break;
    if (code === 0x5c) end += 1;
    else if (code < 0x20) raw = true;
  }
  reader.at = end + 1;
  const inner = reader.text.slice(start, end);
  if (raw) note(reader, 'a control character in a string');
  return unescaped(inner);
}

function unescaped(inner: string): string {
  if (!inner.includes('\\')) return inner;
  try {
    return String(JSON.parse(`"${inner.replaceAll(/[^ -\uffff]/g, ' ')}"`));
  } catch {
    return inner;
  }
}

function readWord(reader: Reader): Json {
  const start = reader.at;
  let end = start;
  while (end < reader.text.length && !ENDS_WORD.has(reader.text.charCodeAt(end))) end += 1;
  // A word that touches the end of a cut answer may lack its last digits.
  if (end >= reader.text.length) throw new Cut();
  const word = reader.text.slice(start, end);
  reader.at = end;
  // What begins with another digit than zero is a number to the engine only if it is one here.
  const first = word.charCodeAt(0);
  const plain = word === '0' || (first >= 0x31 && first <= 0x39) ? Number(word) : Number.NaN;
  if (Number.isFinite(plain)) return plain;
  if (word === 'true') return true;
  if (word === 'false') return false;
  if (word === 'null') return null;
  if (NUMBER.test(word)) {
    const value = Number(word);
    return Number.isFinite(value) ? value : notFinite(reader, word);
  }
  if (NOT_FINITE.test(word)) return notFinite(reader, word);
  throw new Noise(`the word ${excerpt(word)} means nothing`);
}

function notFinite(reader: Reader, word: string): null {
  note(reader, `${word.slice(0, 40)} is no number`);
  return null;
}

function uniqueKey(reader: Reader, into: Building, key: string): string {
  if (!Object.hasOwn(into, key)) return key;
  note(reader, `the key ${excerpt(key)} came twice`);
  let index = 2;
  while (Object.hasOwn(into, `${key}#${index}`)) index += 1;
  return `${key}#${index}`;
}

function skipSpace(reader: Reader): void {
  while (reader.at < reader.text.length && reader.text.charCodeAt(reader.at) <= 0x20) reader.at += 1;
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

/** Answers of miners, spoiled in every way, into everything that takes them apart, and a judge of what came out. */
import { nextStep, probeText, STREAM_MAX_BYTES, USUAL_PORTS } from '../agent/core/identify.ts';
import type { Answer, Probe } from '../agent/core/identify.ts';
import type { Random } from '../host/deps.ts';
import { seededRandom } from '../host/random.ts';
import { avalonNumbers, avalonWords, parseAvalon } from '../protocols/asic/avalon.ts';
import {
  ANSWER_MAX_BYTES,
  isList,
  isObject,
  makeIsWhole,
  parseCgminer,
  sectionOf,
  statusOf,
} from '../protocols/asic/cgminer.ts';
import type { Json } from '../protocols/asic/cgminer.ts';
import { parseAuthorization, parseChallenge } from '../protocols/asic/digest.ts';
import { parseJsonBody } from '../protocols/asic/json-body.ts';
import {
  decodeWhatsminerV3,
  frameWhatsminerV3,
  makeIsWholeWhatsminerV3,
  messageOfWhatsminerV3,
} from '../protocols/asic/whatsminer-v3.ts';
import {
  decodeWhatsminerReply,
  encodeWhatsminerReply,
  encryptedPart,
  tokenOf,
} from '../protocols/asic/whatsminer.ts';
import { Fault } from '../protocols/faults.ts';
import { ANSWERS, CHALLENGES, IDENTITIES } from './asic-answers.ts';

interface ParserFuzz {
  readonly inputs: number;
  /** Inputs that gave a value, and those that gave a Fault or nothing. */
  readonly taken: number;
  readonly refused: number;
  readonly thrown: number;
  /** Values that no JSON can hold. */
  readonly unsound: number;
  /** CPU of the slowest input, the least of three tries, ms. */
  readonly slowestMs: number;
  readonly overLimit: number;
  readonly examples: readonly string[];
}

/** Longer than this for one answer and a poll of thousands of machines stands still. */
const PARSE_LIMIT_MS = 50;
const EXAMPLES_MAX = 3;
const GROWN_ONE_IN = 50;
const MUTATIONS_MAX = 4;
const KEY = 'xExtdyPhXYbouyQHGhZxY.';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a parser makes of bytes: a value of JSON; a Fault or undefined where it refuses. */
type Parse = (bytes: Uint8Array) => Json | Fault | undefined;

export interface Parser {
  readonly parse: Parse;
  readonly seeds: readonly Uint8Array[];
}

const texts = (answers: readonly string[]): Uint8Array[] => answers.map((text) => encoder.encode(text));
const headerOf = (params: ReadonlyMap<string, string> | undefined): Json | undefined =>
  params && Object.fromEntries(params);

const WEB = ['/', '/api/system/info', '/api/v1/info', '/api/v1/version', '/api/v1/system', '/summary'];
const QUESTIONS: readonly Probe[] = [
  { kind: 'version', port: USUAL_PORTS.api },
  { kind: 'version-text', port: USUAL_PORTS.api },
  { kind: 'get_version', port: USUAL_PORTS.api },
  { kind: 'device-info', port: USUAL_PORTS.v3 },
  ...[USUAL_PORTS.http, USUAL_PORTS.alt, USUAL_PORTS.api].flatMap((port) =>
    WEB.map((path) => ({ kind: 'page', port, path }) as const),
  ),
];

/** What a device is told to be that answers every question with the same; undefined: nobody knows it. */
function identified(bytes: Uint8Array): Json | undefined {
  const fault = new Fault('NET_OVERSIZE');
  const said: Answer = bytes.length > STREAM_MAX_BYTES ? { kind: 'none', fault } : { kind: 'bytes', bytes };
  const page: Answer = { kind: 'page', status: 200, headers: {}, body: bytes };
  const seen = QUESTIONS.map((probe) => ({ probe, answer: probe.kind === 'page' ? page : said }));
  const step = nextStep(USUAL_PORTS, seen);
  if (step.kind === 'ask') throw new Error(`a question that is not in the list: ${probeText(step.probe)}`);
  return step.kind === 'found' ? { scheme: step.finding.scheme, why: step.finding.why } : undefined;
}

export const PARSERS: Readonly<Record<string, Parser>> = {
  cgminer: {
    seeds: texts(ANSWERS),
    parse: (bytes) => {
      makeIsWhole()(bytes);
      const answer = parseCgminer(bytes);
      if (answer instanceof Fault) return answer;
      statusOf(answer.value);
      for (const name of ['SUMMARY', 'STATS', 'POOLS']) sectionOf(answer.value, name);
      tokenOf(answer.value);
      encryptedPart(answer.value);
      return answer.value;
    },
  },
  avalon: {
    seeds: texts(ANSWERS),
    parse: (bytes) => {
      const answer = parseAvalon(bytes);
      if (answer instanceof Fault) return answer;
      const words = avalonWords(sectionOf(answer.value, 'STATS'));
      if (words) for (const name of ['GHSspd', 'PS', 'SoftOFF']) avalonNumbers(words, name);
      return answer.value;
    },
  },
  'whatsminer-reply': {
    seeds: ANSWERS.map((text) => encodeWhatsminerReply(KEY, text)),
    parse: (bytes) => {
      const answer = decodeWhatsminerReply(KEY, bytes);
      return answer instanceof Fault ? answer : answer.value;
    },
  },
  'whatsminer-v3': {
    seeds: ANSWERS.map((text) => frameWhatsminerV3(text)),
    parse: (bytes) => {
      makeIsWholeWhatsminerV3()(bytes);
      messageOfWhatsminerV3(bytes);
      const answer = decodeWhatsminerV3(bytes);
      return answer instanceof Fault ? answer : answer.value;
    },
  },
  'json-body': { seeds: texts(ANSWERS), parse: parseJsonBody },
  identify: { seeds: texts(IDENTITIES), parse: identified },
  'digest-challenge': {
    seeds: texts(CHALLENGES),
    parse: (bytes) => {
      const { realm, nonce } = parseChallenge(decoder.decode(bytes)) ?? {};
      return realm === undefined || nonce === undefined ? undefined : { realm, nonce };
    },
  },
  'digest-authorization': {
    seeds: texts(CHALLENGES),
    parse: (bytes) => headerOf(parseAuthorization(decoder.decode(bytes))),
  },
};

/**
 * `inputs` spoiled answers into one parser. `cpuMs`: CPU this thread has used; by a clock, other work on the machine
 * would count as the parser's.
 */
export function fuzzParser(
  { seeds, parse }: Parser,
  { inputs, seed, cpuMs }: { inputs: number; seed: number; cpuMs: () => number },
): ParserFuzz {
  const random = seededRandom(seed);
  const tally = { taken: 0, refused: 0, thrown: 0, unsound: 0, slowestMs: 0, overLimit: 0 };
  const examples: string[] = [];
  const show = (what: string, bytes: Uint8Array): void => {
    if (examples.length < EXAMPLES_MAX)
      examples.push(`${what}: ${JSON.stringify(decoder.decode(bytes.subarray(0, 300)))}`);
  };
  for (let n = 0; n < inputs; n += 1) {
    const bytes = spoiledAnswer(seeds, random);
    const beganMs = cpuMs();
    const outcome = tried(parse, bytes);
    let tookMs = cpuMs() - beganMs;
    // What is slow only once was the collector's doing, or the compiler's.
    const tries = tookMs > Math.min(PARSE_LIMIT_MS, tally.slowestMs) ? 2 : 0;
    for (let again = 0; again < tries; again += 1) {
      const sinceMs = cpuMs();
      tried(parse, bytes);
      tookMs = Math.min(tookMs, cpuMs() - sinceMs);
    }
    tally.slowestMs = Math.max(tally.slowestMs, tookMs);
    if (tookMs > PARSE_LIMIT_MS) {
      tally.overLimit += 1;
      show(`${Math.round(tookMs)} ms`, bytes);
    }
    tally[outcome] += 1;
    if (outcome === 'thrown' || outcome === 'unsound') show(outcome, bytes);
  }
  return { inputs, ...tally, examples };
}

function tried(parse: Parse, bytes: Uint8Array): 'taken' | 'refused' | 'thrown' | 'unsound' {
  try {
    const value = parse(bytes);
    if (value === undefined || value instanceof Fault) return 'refused';
    return isSound(value) ? 'taken' : 'unsound';
  } catch {
    return 'thrown';
  }
}

function isSound(value: Json): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (isList(value)) return value.every(isSound);
  if (isObject(value)) return Object.values(value).every(isSound);
  return value === null || typeof value === 'string' || typeof value === 'boolean';
}

const below = (random: Random, limit: number): number => Math.floor(random.next() * limit);
const one = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)] as T;

/** What parsers trip over: brackets, quotes, escapes, numbers that are none, long ones, bytes that are no text. */
const PIECES = texts([
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  '\\u00',
  '}{',
  ',}',
  '""',
  'inf',
  'nan',
  '-',
  '1e999',
  '0x10',
  '00',
  'null',
  '"__proto__":',
  '|',
  '=',
  '\u0000',
  '\n',
  '\ud800é',
  '9'.repeat(400),
  '[0 ',
  '|constructor=1|',
]);

function spoiledAnswer(seeds: readonly Uint8Array[], random: Random): Uint8Array {
  let bytes = one(random, seeds);
  const mutations = below(random, MUTATIONS_MAX + 1);
  for (let n = 0; n < mutations; n += 1) bytes = mutated(bytes, seeds, random);
  return below(random, GROWN_ONE_IN) === 0 ? grown(bytes, random) : bytes;
}

function mutated(bytes: Uint8Array, seeds: readonly Uint8Array[], random: Random): Uint8Array {
  const at = below(random, bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + below(random, 40));
  const head = bytes.subarray(0, at);
  switch (below(random, 6)) {
    case 0:
      return joined(head, one(random, PIECES), bytes.subarray(at));
    case 1:
      return joined(head, bytes.subarray(end));
    case 2:
      return joined(head, one(random, PIECES), bytes.subarray(end));
    case 3:
      return head;
    case 4: {
      const other = one(random, seeds);
      return joined(head, other.subarray(below(random, other.length + 1)));
    }
    default: {
      const copy = bytes.slice();
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << below(random, 8));
      return copy;
    }
  }
}

/** Headers have a limit of their own; what goes beyond it is not looked at. */
const GROWN_MAX_BYTES = [4_096, ANSWER_MAX_BYTES + 1_000];

/** A piece of it over and over, up to somewhat more than an answer may have. */
function grown(bytes: Uint8Array, random: Random): Uint8Array {
  const at = below(random, bytes.length + 1);
  const piece =
    below(random, 2) === 0
      ? one(random, PIECES)
      : bytes.subarray(at, Math.min(bytes.length, at + 1 + below(random, 200)));
  if (piece.length === 0) return bytes;
  const count = Math.floor(below(random, one(random, GROWN_MAX_BYTES)) / piece.length);
  const run = new Uint8Array(count * piece.length);
  for (let n = 0; n < count; n += 1) run.set(piece, n * piece.length);
  return joined(bytes.subarray(0, at), run, bytes.subarray(at));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/**
 * What stands at an address that nobody has named. Reads alone, one after the other: first the API that most miners tell
 * themselves apart by, then plain web pages, which any device endures; what is framed for one family comes last.
 * What tells which: the devices' own answers (docs/operate.md, "Miners, by firmware").
 */
import { parseAvalon } from '../../protocols/asic/avalon.ts';
import { field, isObject, parseCgminer, sectionOf, statusOf } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { parseChallenge } from '../../protocols/asic/digest.ts';
import { parseJsonBody } from '../../protocols/asic/json-body.ts';
import { decodeWhatsminerV3 } from '../../protocols/asic/whatsminer-v3.ts';
import { Fault } from '../../protocols/faults.ts';

/** `version` of the cgminer API, in JSON and as text; `get_version` of Whatsminers; `device-info` of their API v3; a web page. */
export type Probe =
  | { readonly kind: 'version' | 'version-text' | 'get_version' | 'device-info'; readonly port: number }
  | { readonly kind: 'page'; readonly port: number; readonly path: string };

/** What came of one: bytes of a stream, a page, or why there is nothing. */
export type Answer =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'page';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array;
    }
  | { readonly kind: 'none'; readonly fault: Fault };

export interface Seen {
  readonly probe: Probe;
  readonly answer: Answer;
}

/** Where to look. */
export interface Ports {
  readonly api: number;
  readonly http: number;
  readonly v3: number;
  /** Where some have their pages instead. */
  readonly alt: number;
}

/** `scheme` of the targets of its family; `options` beside address and password; `why`: by which answer. */
export interface Finding {
  readonly scheme: string;
  readonly options: Readonly<Record<string, string>>;
  /** Whether its targets name a password. */
  readonly hasPassword: boolean;
  readonly why: string;
}

export type Step =
  | { readonly kind: 'ask'; readonly probe: Probe }
  | { readonly kind: 'found'; readonly finding: Finding }
  | { readonly kind: 'unknown' };

export const USUAL_PORTS: Ports = { api: 4_028, http: 80, v3: 4_433, alt: 8_080 };
/** What devices say of what they are is short: more than this is something else. */
export const STREAM_MAX_BYTES = 16 * 1024;
const JSON_MAX_BYTES = 64 * 1024;
/** Looked for where a page says nothing: each belongs to one family. */
const PAGES: ReadonlyArray<readonly [path: string, scheme: string, tells: (value: JsonObject) => boolean]> = [
  ['/api/system/info', 'bitaxe', (value) => wordAt(value, 'ASICModel') !== ''],
  ['/api/v1/info', 'vnish', isVnish],
  ['/api/v1/version', 'braiins', (value) => typeof field(value, 'major') === 'number'],
  ['/api/v1/system', 'proto-rig', isProtoRig],
];
/** The same at the other port. */
const ALT_PAGES: typeof PAGES = [
  ['/summary', 'auradine', (value) => /fluxos/iu.test(descriptionOf(value))],
  ['/api/v1/system', 'proto-rig', isProtoRig],
];
/** Words in the page at `/`, and the family that shows them there. */
const TITLES: ReadonlyArray<readonly [RegExp, string]> = [
  [/Braiins OS/u, 'braiins'],
  [/AxeOS/u, 'bitaxe'],
  [/AnthillOS/u, 'vnish'],
  [/Miner Web Dashboard/u, 'epic'],
  [/ProtoOS|Proto Rig/u, 'proto-rig'],
];

/** What to do next, by all that has been asked and answered so far. */
export function nextStep(ports: Ports, seen: readonly Seen[]): Step {
  const look = new Look(ports, seen);
  const version = look.at({ kind: 'version', port: ports.api });
  if (version.kind === 'ask') return version;
  const { answer } = version;
  // A host that cannot be reached is not knocked at again.
  if (answer.kind === 'none' && answer.fault.code === 'NET_UNREACHABLE') return { kind: 'unknown' };
  if (answer.kind === 'bytes') {
    const found = byVersion(look, answer.bytes);
    if (found) return found;
  }
  // Closed without a word, or refused in text: the same question, as text.
  const isText =
    answer.kind === 'bytes'
      ? isPlain(answer.bytes)
      : answer.kind === 'none' && answer.fault.code === 'NET_RESET';
  const step = isText ? byText(look) : undefined;
  if (step) return step;
  // A web server closes so too.
  const web = isText && answer.kind === 'none' ? byEpic(look) : undefined;
  return web ?? byPages(look) ?? byAltPages(look) ?? byDeviceInfo(look) ?? { kind: 'unknown' };
}

/** What is known so far: a probe is asked for once, and answered from then on. */
class Look {
  readonly ports: Ports;
  readonly #seen: readonly Seen[];

  constructor(ports: Ports, seen: readonly Seen[]) {
    this.ports = ports;
    this.#seen = seen;
  }

  at(
    probe: Probe,
  ): { readonly kind: 'ask'; readonly probe: Probe } | { readonly kind: 'seen'; readonly answer: Answer } {
    const key = probeText(probe);
    const found = this.#seen.find((each) => probeText(each.probe) === key);
    return found ? { kind: 'seen', answer: found.answer } : { kind: 'ask', probe };
  }

  page(path: string, port = this.ports.http): ReturnType<Look['at']> {
    return this.at({ kind: 'page', port, path });
  }

  found(scheme: string, why: string, options: Readonly<Record<string, string>> = {}): Step {
    const { api, http, v3, alt } = this.ports;
    const speaks = SPEAKS[scheme] ?? [];
    const given: Record<string, string> = {};
    if (speaks.includes('http') && http !== USUAL_PORTS.http) given['http'] = String(http);
    if (speaks.includes('api') && api !== USUAL_PORTS.api) given['api'] = String(api);
    if (speaks.includes('v3') && v3 !== USUAL_PORTS.v3) given['api'] = String(v3);
    if (speaks.includes('alt') && alt !== USUAL_PORTS.alt) given['http'] = String(alt);
    const finding = {
      scheme,
      options: { ...given, ...options },
      hasPassword: speaks.includes('password'),
      why: printable(why).slice(0, 200),
    };
    return { kind: 'found', finding };
  }
}

/** What the targets of each family name: ports, and a password where it has one. */
const SPEAKS: Readonly<Record<string, readonly (keyof Ports | 'password')[]>> = {
  antminer: ['http', 'api', 'password'],
  auradine: ['api', 'alt', 'password'],
  avalon: ['api'],
  bitaxe: ['http'],
  braiins: ['http', 'password'],
  'braiins-graphql': ['http', 'password'],
  cgminer: ['api'],
  epic: ['api', 'password'],
  luxos: ['api'],
  'proto-rig': ['http', 'password'],
  vnish: ['http', 'password'],
  whatsminer: ['api', 'password'],
  'whatsminer-v3': ['v3', 'password'],
};

const isPlain = (bytes: Uint8Array): boolean =>
  new TextDecoder().decode(bytes.subarray(0, 20)).startsWith('STATUS=');

function byText(look: Look): Step | undefined {
  const asked = look.at({ kind: 'version-text', port: look.ports.api });
  if (asked.kind === 'ask') return asked;
  if (asked.answer.kind !== 'bytes') return undefined;
  const parsed = parseAvalon(asked.answer.bytes);
  const [version] = parsed instanceof Fault ? [] : sectionOf(parsed.value, 'VERSION');
  const product = version === undefined ? '' : `${wordAt(version, 'PROD')} ${wordAt(version, 'ID')}`;
  return /avalon/iu.test(product)
    ? look.found('avalon', `version as text: ${product}`, { dialect: 'text' })
    : undefined;
}

function byVersion(look: Look, bytes: Uint8Array): Step | undefined {
  const text = new TextDecoder().decode(bytes.subarray(0, 2_000));
  // A web server where the API is expected.
  if (text.startsWith('HTTP/')) return byEpic(look);
  const parsed = parseCgminer(bytes);
  if (parsed instanceof Fault) return undefined;
  const [version] = sectionOf(parsed.value, 'VERSION');
  if (!version) return byGetVersion(look, parsed.value);
  const words = Object.values(version).filter((value) => typeof value === 'string');
  const says = [...Object.keys(version), ...words, descriptionOf(parsed.value)].join(' ');
  const why = `version: ${descriptionOf(parsed.value) || says}`.slice(0, 100);
  if (/luxminer/iu.test(says)) return look.found('luxos', why);
  if (/bosminer|\bboser/iu.test(says)) return byBraiins(look, why);
  if (/gcminer|fluxos/iu.test(says)) return look.found('auradine', why);
  if (/avalon/iu.test(says)) return look.found('avalon', why);
  if (/btminer|bitmicro|whatsminer/iu.test(says)) return byGetVersion(look, parsed.value);
  if (/vnish/iu.test(says)) return look.found('vnish', why);
  // Stock firmware and others on the same hardware answer alike: their pages differ.
  const root = look.page('/');
  if (root.kind === 'ask') return root;
  const scheme = schemeOfRoot(root.answer);
  if (scheme === 'vnish' || scheme === 'antminer')
    return look.found(scheme, `${why}; ${rootText(root.answer)}`);
  return look.found(/antminer/iu.test(says) ? 'antminer' : 'cgminer', why);
}

/** Whatsminers answer `version` with a refusal, and their own word with what they are. */
function byGetVersion(look: Look, refused: JsonObject): Step | undefined {
  if (statusOf(refused) === undefined) return undefined;
  const asked = look.at({ kind: 'get_version', port: look.ports.api });
  if (asked.kind === 'ask') return asked;
  const parsed = asked.answer.kind === 'bytes' ? parseCgminer(asked.answer.bytes) : undefined;
  if (parsed === undefined || parsed instanceof Fault) return undefined;
  const message = field(parsed.value, 'Msg');
  if (!isObject(message)) return undefined;
  const firmware = wordAt(message, 'fw_ver');
  const api = wordAt(message, 'api_ver');
  if (firmware === '' && api === '') return undefined;
  const why = `get_version: API ${api}, firmware ${firmware}`;
  // The newer API tells and does more, where it answers.
  if (api.startsWith('3')) {
    const v3 = byDeviceInfo(look);
    if (v3) return v3;
  }
  return look.found('whatsminer', why);
}

/** Which of the two interfaces a Braiins OS has: the newer one tells its version to anybody, or asks for a token. */
function byBraiins(look: Look, why: string): Step {
  const asked = look.page('/api/v1/version');
  if (asked.kind === 'ask') return asked;
  const { answer } = asked;
  // Without its pages nobody can tell which it is, nor read it; while what stands behind them starts, neither.
  if (answer.kind !== 'page' || answer.status === 429 || answer.status >= 500) return { kind: 'unknown' };
  const value = jsonOf(answer);
  const isRest = answer.status === 401 || (value !== undefined && typeof field(value, 'major') === 'number');
  return isRest
    ? look.found('braiins', `${why}; /api/v1/version: HTTP ${answer.status}`)
    : look.found('braiins-graphql', `${why}; it has no /api/v1/version`);
}

function byEpic(look: Look): Step | undefined {
  const asked = look.page('/summary', look.ports.api);
  if (asked.kind === 'ask') return asked;
  const value = jsonOf(asked.answer);
  const software = value === undefined ? '' : wordAt(value, 'Software');
  return /powerplay|epic/iu.test(software) ? look.found('epic', `/summary: ${software}`) : undefined;
}

function byPages(look: Look): Step | undefined {
  const root = look.page('/');
  if (root.kind === 'ask') return root;
  if (root.answer.kind !== 'page') return undefined;
  const scheme = schemeOfRoot(root.answer);
  const why = rootText(root.answer);
  if (scheme === 'braiins') return byBraiins(look, why);
  if (scheme === 'epic') return byEpic(look);
  if (scheme !== undefined) return look.found(scheme, why);
  return byJson(look, PAGES, look.ports.http);
}

function byAltPages(look: Look): Step | undefined {
  const first = look.page('/summary', look.ports.alt);
  if (first.kind === 'ask') return first;
  // Where nothing answers one question is enough.
  if (first.answer.kind !== 'page') return undefined;
  return byJson(look, ALT_PAGES, look.ports.alt);
}

/** By pages that belong to one family each. */
function byJson(look: Look, pages: typeof PAGES, port: number): Step | undefined {
  for (const [path, scheme, tells] of pages) {
    const asked = look.page(path, port);
    if (asked.kind === 'ask') return asked;
    const value = jsonOf(asked.answer);
    if (value === undefined || !tells(value)) continue;
    const isElsewhere = port !== look.ports.http && SPEAKS[scheme]?.includes('alt') !== true;
    return look.found(scheme, `${path} is a page of it`, isElsewhere ? { http: String(port) } : {});
  }
  return undefined;
}

function byDeviceInfo(look: Look): Step | undefined {
  const asked = look.at({ kind: 'device-info', port: look.ports.v3 });
  if (asked.kind === 'ask') return asked;
  const parsed = asked.answer.kind === 'bytes' ? decodeWhatsminerV3(asked.answer.bytes) : undefined;
  if (parsed === undefined || parsed instanceof Fault) return undefined;
  const message = field(parsed.value, 'msg');
  const miner = isObject(message) ? field(message, 'miner') : undefined;
  const type = isObject(miner) ? wordAt(miner, 'type') : '';
  return type === '' ? undefined : look.found('whatsminer-v3', `get.device.info: ${type}`);
}

function schemeOfRoot(answer: Answer): string | undefined {
  if (answer.kind !== 'page') return undefined;
  if (/^antminer/iu.test(realmOf(answer.headers))) return 'antminer';
  const text = new TextDecoder().decode(answer.body.subarray(0, 20_000));
  return TITLES.find(([words]) => words.test(text))?.[1];
}

const realmOf = (headers: Readonly<Record<string, string>>): string =>
  parseChallenge(headers['www-authenticate'])?.realm ?? '';

function rootText(answer: Answer): string {
  return `/: ${answerText(answer)}`;
}

function jsonOf(answer: Answer): JsonObject | undefined {
  if (answer.kind !== 'page' || answer.status !== 200 || answer.body.length > JSON_MAX_BYTES)
    return undefined;
  const value = parseJsonBody(answer.body);
  return value instanceof Fault || !isObject(value) ? undefined : value;
}

function isVnish(value: JsonObject): boolean {
  return (
    /vnish|anthill/iu.test(wordAt(value, 'fw_name')) ||
    (wordAt(value, 'fw_version') !== '' && wordAt(value, 'miner') !== '')
  );
}

function isProtoRig(value: JsonObject): boolean {
  const info = field(value, 'system-info');
  return isObject(info) && /^proto/iu.test(wordAt(info, 'manufacturer'));
}

function wordAt(value: JsonObject, name: string): string {
  const word: Json | undefined = field(value, name);
  return typeof word === 'string' ? word.slice(0, 100) : '';
}

function descriptionOf(value: JsonObject): string {
  const [status] = sectionOf(value, 'STATUS');
  return status === undefined ? '' : wordAt(status, 'Description');
}

export function probeText(probe: Probe): string {
  return probe.kind === 'page' ? `GET :${probe.port}${probe.path}` : `${probe.kind} at port ${probe.port}`;
}

/** What an answer was, in a few words that hold nothing a terminal could stumble over. */
export function answerText(answer: Answer): string {
  if (answer.kind === 'none') return answer.fault.code;
  if (answer.kind === 'bytes')
    return answer.bytes.length === 0
      ? 'nothing'
      : `'${printable(new TextDecoder().decode(answer.bytes.subarray(0, 60)))}'`;
  const { status, headers } = answer;
  const beside = [headers['server'] ?? '', realmOf(headers) && `realm ${realmOf(headers)}`].filter(
    (word) => word !== '',
  );
  return printable([`HTTP ${status}`, ...beside].join(', ').slice(0, 120));
}

const printable = (text: string): string => text.replaceAll(/[^\u0020-\u007e]/gu, '.');

import { readdirSync, readFileSync } from 'node:fs';

import { LineCounter, parseDocument } from 'yaml';

import { Fault } from '../protocols/faults.ts';
import { explainIssue } from './explain.ts';
import type { Explained } from './explain.ts';
import type { ConfigProblem } from './load.ts';
import { locate } from './locate.ts';
import { isVirtual } from '../protocols/metering/virtual.ts';
import { profileSchema } from './schema/profile.ts';
import type { MeterPoint, MeterProfile, PduOutlets } from './schema/profile.ts';

const folder = new URL('./meters/', import.meta.url);
const loaded = new Map<string, MeterProfile>();
const PROBLEMS_SHOWN = 8;

/** Whichever of the SunSpec meter models a device has: a name for `?profile=` beside the ids of profiles. */
export const SUNSPEC = 'sunspec';

/** The ids of the built-in meter profiles, sorted. */
export function profileIds(): readonly string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
    .sort();
}

/** A site's own profile is named by its file: in a site file relative to that, else to the working directory. */
const isProfileFile = (name: string): boolean => name.endsWith('.json');

/** A meter's target in which a profile's file is named as seen from where `folder` (with a slash at its end) is. */
export function withProfileIn(folder: string, target: string): string {
  return target.replace(/([?&]profile=)([^&#]+\.json)(?=[&#]|$)/, (whole, before: string, name: string) => {
    const path = decodedName(name);
    if (path.startsWith('/')) return whole;
    return `${before}${encodeURIComponent(`${folder}${path}`).replaceAll('%2F', '/')}`;
  });
}

function decodedName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** A profile that cannot be used: CONFIG_INVALID, with every problem and its place in the profile's own file. */
export class ProfileInvalid extends Fault {
  readonly file: string;
  readonly problems: readonly ConfigProblem[];
  constructor(file: string, problems: readonly ConfigProblem[]) {
    const shown = problems
      .slice(0, PROBLEMS_SHOWN)
      .map(({ line, column, message }) => `line ${line}, column ${column}: ${message}`);
    const more = problems.length > shown.length ? `; and ${problems.length - shown.length} more` : '';
    super('CONFIG_INVALID', `meter profile ${file}: ${shown.join('; ')}${more}`);
    this.file = file;
    this.problems = problems;
  }
}

/**
 * The built-in meter profile of this id, or the profile in a file, read once. Throws TARGET_INVALID when there is none
 * (naming the ids there are), ProfileInvalid when it cannot be used.
 */
export function meterProfile(name: string): MeterProfile {
  const known = loaded.get(name);
  if (known) return known;
  const profile = isProfileFile(name) ? profileOfFile(name) : builtIn(name);
  loaded.set(name, profile);
  return profile;
}

function builtIn(id: string): MeterProfile {
  if (!profileIds().includes(id)) {
    throw new Fault(
      'TARGET_INVALID',
      `profile=${id}: there is ${profileIds().join(', ')}, or a file in .json`,
    );
  }
  return parseProfile(readFileSync(new URL(`${id}.json`, folder), 'utf8'), id);
}

function profileOfFile(path: string): MeterProfile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const from = 'named from the site file, on the command line from the working directory';
    const detail = said.startsWith('ENOENT') ? `there is no such file (${from})` : said;
    throw new Fault('TARGET_INVALID', `profile=${path}: ${detail}`, { cause: error });
  }
  return parseProfile(text, (path.split('/').at(-1) ?? path).slice(0, -'.json'.length), path);
}

/** The profiles that this `?profile=` may turn out to be: one, or every SunSpec model. */
export function profilesOf(name: string): readonly MeterProfile[] {
  if (name !== SUNSPEC) return [meterProfile(name)];
  return profileIds()
    .filter((id) => id.startsWith(`${SUNSPEC}-`))
    .map(meterProfile);
}

/** Outlet n of a PDU: where it is switched, and where it says how it stands. */
export function outletAt(
  { write, state, stride }: PduOutlets,
  channel: number,
): Pick<PduOutlets, 'write' | 'state'> {
  const further = stride * (channel - 1);
  return {
    write: { ...write, addr: write.addr + further },
    state: { ...state, addr: state.addr + further },
  };
}

/** Whether a point is a total power that may steer: it is read with what is fast, and its sources do not disagree. */
export const steersBy = (point: MeterPoint): boolean =>
  point.q === 'power.active.total' && point.class === 'fast' && point.agree !== 'no';

/**
 * Whether the meter of a target tells any voltage. True also where nothing can be said: of another kind of target, or
 * one that names no profile there is, which is said elsewhere.
 */
export function tellsVoltage(target: string): boolean {
  if (isVirtual(target)) return false;
  const name = /^modbus.*[?&]profile=([^&]+)/.exec(target)?.[1];
  if (name === undefined) return true;
  try {
    return profilesOf(decodeURIComponent(name)).some(({ points, channels }) =>
      [...points, ...(/[?&]channel=/.test(target) ? (channels?.points ?? []) : [])].some(({ q }) =>
        q.startsWith('voltage.'),
      ),
    );
  } catch {
    return true;
  }
}

/**
 * A profile from JSON text; `id` is what it must call itself, `file` where the text is from. Throws ProfileInvalid with
 * all that is wrong.
 */
export function parseProfile(text: string, id: string, file = id): MeterProfile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ProfileInvalid(file, [notJson(text, error)]);
  }
  const parsed = profileSchema.safeParse(json);
  const found = (parsed.error?.issues ?? []).flatMap((issue) => explainIssue(issue, profileSchema, json));
  if (parsed.success && parsed.data.id !== id)
    found.push({ path: ['id'], message: `calls itself ${parsed.data.id}, its file's name says ${id}` });
  // The product's own are right, and there are many: only others are looked through for what stands where.
  const problems = found.length > 0 || file !== id ? placed(text, json, found) : [];
  if (!parsed.success || problems.length > 0) throw new ProfileInvalid(file, problems);
  return parsed.data;
}

/** Problems with their places, and keys that stand twice, in order of line. */
function placed(text: string, json: unknown, found: readonly Explained[]): ConfigProblem[] {
  const lines = new LineCounter();
  // JSON is YAML too, and this reader knows where everything stands.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent' });
  const twice = document.errors.map(({ pos, message }): ConfigProblem => {
    const { line, col } = lines.linePos(pos[0]);
    return { line, column: col, path: '', message };
  });
  const explained = found.map(({ path, message, suggestion, key = false }): ConfigProblem => ({
    ...locate(document, lines, path, { key }),
    path: path.map(String).join('.'),
    message: `${placeIn(json, path)}${message}`,
    ...(suggestion !== undefined && { suggestion }),
  }));
  return [...twice, ...explained].sort((a, b) => a.line - b.line || a.column - b.column);
}

/** Says where, in the words of the parser: it stops at the first place that is no JSON. */
function notJson(text: string, error: unknown): ConfigProblem {
  const said = error instanceof Error ? error.message : String(error);
  const at = /at position (\d+)/.exec(said)?.[1];
  const before = at === undefined ? text : text.slice(0, Number(at));
  return {
    line: before.split('\n').length,
    column: before.length - before.lastIndexOf('\n'),
    path: '',
    message: `not JSON: ${said.replace(/ (in JSON )?at position.*$/, '')}`,
  };
}

/** `points.3 (power.active.total) scale: `: a number alone is hard to find in a long list. */
function placeIn(json: unknown, path: readonly PropertyKey[]): string {
  let at = json;
  const words: string[] = [];
  for (const step of path) {
    at = typeof at === 'object' && at !== null ? Reflect.get(at, step) : undefined;
    const q: unknown = typeof at === 'object' && at !== null && 'q' in at ? at.q : undefined;
    words.push(typeof q === 'string' ? `${String(step)} (${q})` : String(step));
  }
  return words.length === 0 ? '' : `${words.join('.')}: `;
}

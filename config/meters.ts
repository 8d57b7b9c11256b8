import { readdirSync, readFileSync } from 'node:fs';

import { Fault } from '../protocols/faults.ts';
import { profileSchema } from './schema/profile.ts';
import type { MeterPoint, MeterProfile } from './schema/profile.ts';

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

/** A site's own profile is named by its file, relative to the working directory. */
const isProfileFile = (name: string): boolean => name.endsWith('.json');

/**
 * The built-in meter profile of this id, or the profile in a file, read once. Throws TARGET_INVALID when there is none
 * (naming the ids there are), CONFIG_INVALID when it cannot be used.
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
    const detail = error instanceof Error ? error.message : String(error);
    throw new Fault('TARGET_INVALID', `profile=${path}: ${detail}`, { cause: error });
  }
  return parseProfile(text, (path.split('/').at(-1) ?? path).slice(0, -'.json'.length));
}

/** The profiles that this `?profile=` may turn out to be: one, or every SunSpec model. */
export function profilesOf(name: string): readonly MeterProfile[] {
  if (name !== SUNSPEC) return [meterProfile(name)];
  return profileIds()
    .filter((id) => id.startsWith(`${SUNSPEC}-`))
    .map(meterProfile);
}

/** Whether a point is a total power that may steer: it is read with what is fast, and its sources do not disagree. */
export const steersBy = (point: MeterPoint): boolean =>
  point.q === 'power.active.total' && point.class === 'fast' && point.agree !== 'no';

/**
 * Whether the meter of a target tells any voltage. True also where nothing can be said: of another kind of target, or
 * one that names no profile there is, which is said elsewhere.
 */
export function tellsVoltage(target: string): boolean {
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

/** A profile from JSON text; `id` is what it must call itself. Throws CONFIG_INVALID with what is wrong. */
export function parseProfile(text: string, id: string): MeterProfile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const detail = error instanceof Error ? error.message : '';
    throw new Fault('CONFIG_INVALID', `meter profile ${id}: not JSON: ${detail}`, { cause: error });
  }
  const parsed = profileSchema.safeParse(json);
  if (!parsed.success) {
    const { issues } = parsed.error;
    const shown = issues
      .slice(0, PROBLEMS_SHOWN)
      .map(({ path, message }) => `${placeIn(json, path)}${message}`);
    const more = issues.length > shown.length ? `; and ${issues.length - shown.length} more` : '';
    throw new Fault('CONFIG_INVALID', `meter profile ${id}: ${shown.join('; ')}${more}`);
  }
  if (parsed.data.id !== id)
    throw new Fault('CONFIG_INVALID', `meter profile ${id}: calls itself ${parsed.data.id}`);
  return parsed.data;
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

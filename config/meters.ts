import { readdirSync, readFileSync } from 'node:fs';

import { Fault } from '../protocols/faults.ts';
import { profileSchema } from './schema/profile.ts';
import type { MeterProfile } from './schema/profile.ts';

const folder = new URL('./meters/', import.meta.url);
const loaded = new Map<string, MeterProfile>();

/** The ids of the built-in meter profiles, sorted. */
export function profileIds(): readonly string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
    .sort();
}

/** The built-in meter profile of this id, read once. Throws TARGET_INVALID, naming the ids there are. */
export function meterProfile(id: string): MeterProfile {
  const known = loaded.get(id);
  if (known) return known;
  if (!profileIds().includes(id)) {
    throw new Fault('TARGET_INVALID', `profile=${id}: there is ${profileIds().join(', ')}`);
  }
  const profile = parseProfile(readFileSync(new URL(`${id}.json`, folder), 'utf8'), id);
  loaded.set(id, profile);
  return profile;
}

/** A profile from JSON text; `id` is what it must call itself. Throws CONFIG_INVALID. */
export function parseProfile(text: string, id: string): MeterProfile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Fault('CONFIG_INVALID', `meter profile ${id}: not JSON`, { cause: error });
  }
  const parsed = profileSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Fault('CONFIG_INVALID', `meter profile ${id}: ${issue?.path.join('.')} ${issue?.message}`);
  }
  if (parsed.data.id !== id)
    throw new Fault('CONFIG_INVALID', `meter profile ${id}: calls itself ${parsed.data.id}`);
  return parsed.data;
}

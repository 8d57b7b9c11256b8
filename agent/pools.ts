/** Pools of miners as settings of theirs: `pool.N.url`, `.user`, and where the device tells it `.pass` as a fingerprint. */
import { NO_PASSWORD } from '../config/pools.ts';
import type { Pool } from '../config/pools.ts';
import type { Settings } from './driver.ts';
import { fingerprint } from './readings.ts';

const MOST_POOLS = 8;
const MOST_LETTERS = 200;
/** Drivers read no more of a device's word, so that no more can be compared. */
const COMPARED_LETTERS = 100;

/** A pool as a device tells it, in its own words; an empty `url` is a place without one. */
export interface PoolSeen {
  readonly url: string;
  readonly user: string;
  /** Absent: the device does not tell it. */
  readonly pass?: string | undefined;
}

/** The settings that these pools are, in their order. Places without one are left out. */
export function poolSettings(pools: readonly PoolSeen[]): Settings {
  const settings: Record<string, string> = {};
  for (const [index, { url, user, pass }] of pools.slice(0, MOST_POOLS).entries()) {
    if (url.trim() === '') continue;
    settings[`pool.${index + 1}.url`] = poolUrl(url);
    settings[`pool.${index + 1}.user`] = user.slice(0, COMPARED_LETTERS);
    if (pass !== undefined) settings[`pool.${index + 1}.pass`] = fingerprint(pass);
  }
  return settings;
}

/** One way to write an address: firmwares leave out the usual scheme, or end it with a slash. */
function poolUrl(url: string): string {
  // Cut before it is searched: a device may send slashes without end.
  const text = url.trim().slice(0, MOST_LETTERS).replace(/\/+$/, '');
  const full = text.includes('://') ? text : `stratum+tcp://${text}`;
  return full.replace(/^[^/]*:\/\/[^/]*/, (front) => front.toLowerCase()).slice(0, COMPARED_LETTERS);
}

const poolsAmong = (settings: Settings): [string, string | number][] =>
  Object.entries(settings).filter(([name]) => name.startsWith('pool.'));
const tellsPasswords = (settings: Settings): boolean =>
  poolsAmong(settings).some(([name]) => name.endsWith('.pass'));

/** True when the settings show these pools and none beside them. */
export function showsPools(pools: readonly Pool[], settings: Settings): boolean {
  const wanted = poolsWritten(pools, settings);
  return Object.entries(wanted).every(([name, value]) => (settings[name] ?? '') === value);
}

/** True when nothing would change by setting them: also a password that the device does not tell may have changed. */
export function hasPools(pools: readonly Pool[], settings: Settings): boolean {
  const isSecret = pools.some(({ pass }) => pass !== NO_PASSWORD);
  return showsPools(pools, settings) && (!isSecret || tellsPasswords(settings));
}

/** What of a device's settings is to be so once these pools are set: those it has beyond them are to be empty. */
export function poolsWritten(pools: readonly Pool[], settings: Settings): Settings {
  const wanted = Object.entries(poolSettings(pools)).filter(
    ([name]) => !name.endsWith('.pass') || tellsPasswords(settings),
  );
  const beyond = poolsAmong(settings).map(([name]): [string, string] => [name, '']);
  return Object.fromEntries([...beyond, ...wanted]);
}

/** Everything but its pools: what setting them must leave as it is. */
export const besidePools = (settings: Settings): Settings =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => !name.startsWith('pool.')));

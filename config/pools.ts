import type { Explained } from './explain.ts';
import { thereIsNo } from './nearest.ts';
import type { PoolConfig } from './schema/pools.ts';
import type { Site } from './site.ts';
import { Fault } from '../protocols/faults.ts';

/** What a machine is told of one pool. */
export interface Pool {
  readonly url: string;
  readonly user: string;
  readonly pass: string;
}

/** What pools take that want no password. */
export const NO_PASSWORD = 'x';
/** What no firmware's command can hold within a word. */
const UNFIT = /[\s,|"'\\]|[^\x21-\x7e]/;

/**
 * The set of pools that a site file names so, for one machine: ids in place of their placeholders, passwords from
 * `env`. Throws a Fault: USAGE (no such set), TARGET_INVALID (a password that is not there, or cannot be sent).
 */
export function poolsOf(
  sets: Readonly<Record<string, readonly PoolConfig[]>>,
  name: string,
  machine: { readonly id: string; readonly rack: string },
  env: Readonly<Record<string, string | undefined>>,
): readonly Pool[] {
  const set = Object.hasOwn(sets, name) ? sets[name] : undefined;
  if (set === undefined) throw new Fault('USAGE', thereIsNo('set of pools', name, Object.keys(sets)));
  return set.map(({ url, user, passwordEnv }) => {
    const pass = passwordEnv === undefined ? NO_PASSWORD : env[passwordEnv];
    if (pass === undefined || pass === '')
      throw new Fault('SECRET_MISSING', `pools ${name}: ${passwordEnv} is not in the environment`);
    if (UNFIT.test(pass) || pass.length > 100)
      throw new Fault(
        'TARGET_INVALID',
        `pools ${name}: the password in ${passwordEnv} holds blanks, commas, quotes or bars, or more than 100 letters`,
      );
    return {
      url,
      user: user.replaceAll('{machine}', machine.id).replaceAll('{rack}', machine.rack),
      pass,
    };
  });
}

/** What is allowed of pools and probably not meant. */
export function poolWarnings({ config }: Pick<Site, 'config'>): Explained[] {
  return Object.entries(config.pools).flatMap(([name, set]) =>
    set.flatMap(({ url, user }, place): Explained[] => {
      const found: Explained[] = [];
      if (set.findIndex((other) => other.url === url && other.user === user) < place)
        found.push({
          path: ['pools', name, place, 'url'],
          message: `'${name}' has ${url} twice: a second place for the same pool stands by for nothing`,
        });
      if (!/\{(?:machine|rack)\}/.test(user))
        found.push({
          path: ['pools', name, place, 'user'],
          message: `all machines mine at ${url} by one name: without {machine} or {rack} the pool cannot tell them apart`,
        });
      return found;
    }),
  );
}

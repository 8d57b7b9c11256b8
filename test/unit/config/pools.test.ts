import { describe, expect, test } from 'vitest';
import { parseSite, SiteFileInvalid } from '../../../config/load.ts';
import type { LoadedSite } from '../../../config/load.ts';
import { poolsOf } from '../../../config/pools.ts';
import { GOOD, MODELS, PROFILES } from './good-site.ts';

const load = (pools: string): LoadedSite => parseSite(`${GOOD}pools:\n${pools}`, MODELS, PROFILES);
const problems = (pools: string): readonly string[] => {
  try {
    return load(pools).warnings.map(({ message }) => message);
  } catch (error) {
    if (error instanceof SiteFileInvalid)
      return error.problems.map(({ path, message }) => `${path}: ${message}`);
    throw error;
  }
};
const aboutPools = (text: string): readonly string[] =>
  problems(text).filter((message) => /pool/i.test(message));

const MAIN = `
  main:
    - { url: 'stratum+tcp://eu.pool.example:3333', user: 'acct.{machine}', passwordEnv: POOL }
    - { url: 'stratum+tcp://us.pool.example:3333', user: 'acct.{rack}' }
`;

describe('sets of pools', () => {
  test('name machine and rack, and find their passwords in the environment', () => {
    const { site } = load(MAIN);
    expect(aboutPools(MAIN)).toEqual([]);
    const [machine] = site.machines;
    expect(machine && poolsOf(site.config.pools, 'main', machine, { POOL: 'secret' })).toEqual([
      { url: 'stratum+tcp://eu.pool.example:3333', user: 'acct.r1-01', pass: 'secret' },
      { url: 'stratum+tcp://us.pool.example:3333', user: 'acct.r1', pass: 'x' },
    ]);
  });

  test('what cannot be told to a machine is said, and never what the password is', () => {
    const { pools } = load(MAIN).site.config;
    const tell = (name: string, env: Record<string, string>): unknown =>
      poolsOf(pools, name, { id: 'r1-01', rack: 'r1' }, env);
    expect(() => tell('mian', { POOL: 'a' })).toThrow(
      "there is no set of pools 'mian'; did you mean 'main'?",
    );
    expect(() => tell('constructor', { POOL: 'a' })).toThrow('there is no set of pools');
    expect(() => tell('main', {})).toThrow('POOL is not in the environment');
    expect(() => tell('main', { POOL: 'with,comma' })).toThrow(/^(?!.*with,comma).*commas/s);
  });

  test.each([
    ['[{ url: "http://pool.example:80", user: "a.{machine}" }]', 'a pool is stratum+tcp://host:port'],
    ['[{ url: "stratum+tcp://pool.example", user: "a.{machine}" }]', 'a pool is stratum+tcp://host:port'],
    ['[{ url: "stratum+tcp://p:1,2", user: "a.{machine}" }]', 'a pool is stratum+tcp://host:port'],
    ['[{ url: "stratum+tcp://p:1", user: "a,{machine}" }]', 'no blanks, commas, quotes or bars'],
    ['[{ url: "stratum+tcp://p:1", user: "a.{host}" }]', 'in braces stands {machine} or {rack}'],
    ['[{ url: "stratum+tcp://p:1", user: "a.{machine" }]', 'in braces stands {machine} or {rack}'],
    ['[]', 'at least 1'],
  ])('%s is refused', (set, message) => {
    expect(aboutPools(`  main: ${set}`).join(' ')).toContain(message);
  });

  test('the same pool twice, and one name for all machines, are warned of', () => {
    const found = aboutPools(`
  main:
    - { url: 'stratum+tcp://p:1', user: acct }
    - { url: 'stratum+tcp://p:1', user: acct }
`);
    expect(found.join(' ')).toContain("'main' has stratum+tcp://p:1 twice");
    expect(found.join(' ')).toContain('all machines mine at stratum+tcp://p:1 by one name');
  });
});

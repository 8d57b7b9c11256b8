import { expect, test } from 'vitest';
import { besidePools, hasPools, poolSettings, poolsWritten, showsPools } from '../../../agent/pools.ts';
import type { Pool } from '../../../config/pools.ts';

const POOLS: readonly Pool[] = [{ url: 'stratum+tcp://pool.example:3333', user: 'acct.r1-01', pass: 'x' }];
const SECRET: readonly Pool[] = [
  { url: 'stratum+tcp://pool.example:3333', user: 'acct.r1-01', pass: 'secret' },
];

test.each([
  ['as it was told', 'stratum+tcp://pool.example:3333'],
  ['with a slash behind it', 'stratum+tcp://pool.example:3333/'],
  ['without its scheme', 'pool.example:3333'],
  ['in capitals', 'STRATUM+TCP://Pool.Example:3333'],
])('an address %s is the same pool', (_, url) => {
  expect(
    showsPools(
      POOLS,
      poolSettings([
        { url, user: 'acct.r1-01' },
        { url: ' ', user: '' },
      ]),
    ),
  ).toBe(true);
});

test.each([
  ['another host', [{ url: 'stratum+tcp://thief.example:3333', user: 'acct.r1-01' }]],
  ['another port', [{ url: 'stratum+tcp://pool.example:3334', user: 'acct.r1-01' }]],
  ['another name there', [{ url: 'stratum+tcp://pool.example:3333', user: 'thief' }]],
  ['one more behind it', [...POOLS, { url: 'stratum+tcp://thief.example:1', user: 'thief' }]],
  ['none', []],
])('%s is not', (_, seen) => {
  expect(showsPools(POOLS, poolSettings(seen))).toBe(false);
});

test('a password that the device does not tell is set anew, one that it tells is compared', () => {
  const told = poolSettings(SECRET);
  expect(JSON.stringify(told)).not.toContain('secret');
  expect([hasPools(SECRET, told), hasPools(POOLS, told)]).toEqual([true, false]);
  const untold = poolSettings(SECRET.map(({ url, user }) => ({ url, user })));
  expect([hasPools(SECRET, untold), showsPools(SECRET, untold), hasPools(POOLS, untold)]).toEqual([
    false,
    true,
    true,
  ]);
});

test('an address of slashes without end is cut before it is searched', () => {
  const url = `pool.example:3333${'/'.repeat(200_000)}x`;
  expect(poolSettings([{ url, user: 'u' }])['pool.1.url']).toBe('stratum+tcp://pool.example:3333');
});

test('of long words what drivers read of a device is compared', () => {
  const path = 'a'.repeat(120);
  const pool = { url: `stratum+tcp://pool.example:3333/${path}`, user: `${'u'.repeat(110)}.m1`, pass: 'x' };
  for (const url of [pool.url, pool.url.replace('stratum+tcp://', '')])
    expect(hasPools([pool], poolSettings([{ url: url.slice(0, 100), user: pool.user.slice(0, 100) }]))).toBe(
      true,
    );
});

test('places beyond the set are to be empty, and everything else is beside it', () => {
  const before = { limit: 3_000, ...poolSettings([...POOLS, { url: 'old:1', user: 'old' }]) };
  expect(poolsWritten(POOLS, before)).toEqual({
    'pool.1.url': 'stratum+tcp://pool.example:3333',
    'pool.1.user': 'acct.r1-01',
    'pool.2.url': '',
    'pool.2.user': '',
    'pool.1.pass': expect.stringMatching(/^[0-9a-f]+$/) as string,
  });
  expect(besidePools(before)).toEqual({ limit: 3_000 });
});

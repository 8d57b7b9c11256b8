import { describe, expect, test } from 'vitest';

import {
  digestHeader,
  digestResponse,
  makeCnonce,
  parseAuthorization,
  parseChallenge,
} from '../../../../protocols/asic/digest.ts';

const mufasa = {
  user: 'Mufasa',
  password: 'Circle Of Life',
  realm: 'testrealm@host.com',
  method: 'GET',
  uri: '/dir/index.html',
  nonce: 'dcd98b7102dd2f0e8b11d0f600bfb0c093',
};

describe('digestResponse', () => {
  test('gives the value worked out in RFC 2617, section 3.5', () => {
    expect(digestResponse({ ...mufasa, qop: 'auth', nc: '00000001', cnonce: '0a4f113b' })).toBe(
      '6629fae49393a05397450978507c4ef1',
    );
  });

  test('without qop gives the older form of RFC 2069', () => {
    expect(digestResponse({ ...mufasa, qop: undefined, nc: '', cnonce: '' })).toBe(
      '670fd8c2df070c60b045671b8b24ff02',
    );
  });
});

describe('parseChallenge', () => {
  test('reads the form of a stock Antminer', () => {
    expect(
      parseChallenge('Digest realm="antMiner Configuration", nonce="1f:2=", qop="auth", stale=TRUE'),
    ).toEqual({
      realm: 'antMiner Configuration',
      nonce: '1f:2=',
      qop: 'auth',
      opaque: undefined,
      stale: true,
    });
  });

  test('finds it among other schemes and takes MD5 only', () => {
    expect(
      parseChallenge(
        'Basic realm="x", Digest algorithm=SHA-256, realm="r", nonce="a", qop="auth", Digest realm="r", nonce="b", qop="auth-int,auth"',
      )?.nonce,
    ).toBe('b');
    expect(parseChallenge('Basic realm="x"')).toBeUndefined();
    expect(parseChallenge('Digest realm="x"')).toBeUndefined();
    expect(parseChallenge('Digest realm="x", nonce="y", qop="auth-int"')).toBeUndefined();
    expect(parseChallenge(undefined)).toBeUndefined();
    expect(parseChallenge(`Digest ${'x'.repeat(10_000)}`)).toBeUndefined();
  });
});

test('a header says what was asked and reads back', () => {
  const challenge = parseChallenge('Digest realm="a\\"b", nonce="n", qop="auth", opaque="o"');
  if (!challenge) throw new Error('no challenge');
  expect(challenge.realm).toBe('a"b');
  const header = digestHeader(challenge, {
    user: 'root',
    password: 'root',
    method: 'POST',
    uri: '/x?y',
    count: 10,
    cnonce: 'c',
  });
  const params = parseAuthorization(header);
  expect(Object.fromEntries(params ?? [])).toMatchObject({
    username: 'root',
    realm: 'a"b',
    nonce: 'n',
    uri: '/x?y',
    qop: 'auth',
    nc: '0000000a',
    cnonce: 'c',
    opaque: 'o',
  });
  expect(params?.get('response')).toHaveLength(32);
});

test('a client nonce is 16 hexadecimal digits', () => {
  expect(makeCnonce({ next: () => 0.5 })).toBe('8000000080000000');
  expect(makeCnonce({ next: () => 0 })).toBe('0000000000000000');
});

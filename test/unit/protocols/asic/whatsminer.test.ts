import { createCipheriv, createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseCgminer } from '../../../../protocols/asic/cgminer.ts';
import { md5crypt } from '../../../../protocols/asic/md5crypt.ts';
import {
  decodeWhatsminerReply,
  decryptWhatsminer,
  encodeWhatsminerReply,
  encodeWhatsminerWrite,
  encryptedPart,
  encryptWhatsminer,
  tokenOf,
} from '../../../../protocols/asic/whatsminer.ts';
import { Fault } from '../../../../protocols/faults.ts';

describe('md5crypt', () => {
  // From `openssl passwd -1 -salt SALT PASSWORD`.
  test.each([
    ['admin', 'BQ5hoXV9', 'RxmaDUO33TS7O26yeMHZ81'],
    ['a-long-password-of-32-characters', 'abcd', 'NWMmjggLmU4ySCOjgwDUv0'],
    ['', 'x', 'fwjfZtMwarkdetsjiQreU1'],
  ])('%s with salt %s', (password, salt, hash) => {
    expect(md5crypt(password, salt)).toBe(hash);
  });

  test('refuses a password that is no password', () => {
    expect(() => md5crypt('x'.repeat(1_000), 'x')).toThrow(RangeError);
  });
});

describe('encryption', () => {
  test('is AES-256-ECB under SHA-256 of the key, filled with zero bytes', () => {
    const plain = '{"cmd":"power_on"}';
    const cipher = createCipheriv('aes-256-ecb', createHash('sha256').update('key').digest(), null);
    cipher.setAutoPadding(false);
    const padded = Buffer.concat([Buffer.from(plain), Buffer.alloc(32 - plain.length)]);
    expect(encryptWhatsminer('key', plain)).toBe(
      Buffer.concat([cipher.update(padded), cipher.final()]).toString('base64'),
    );
  });

  test('decodes what it encodes, for every text without NUL', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        fc.pre(Array.from(text).every((char) => char > String.fromCodePoint(16)));
        expect(decryptWhatsminer('k', encryptWhatsminer('k', text))).toBe(text);
      }),
    );
  });

  test('decodes PKCS#7 as other clients write it', () => {
    const cipher = createCipheriv('aes-256-ecb', createHash('sha256').update('k').digest(), null);
    const data = Buffer.concat([cipher.update('{"cmd":"reboot"}'), cipher.final()]).toString('base64');
    expect(decryptWhatsminer('k', data)).toBe('{"cmd":"reboot"}');
  });

  test('gives nothing for data that is no number of blocks', () => {
    expect(decryptWhatsminer('k', 'AAAA')).toBeUndefined();
    expect(decryptWhatsminer('k', '')).toBeUndefined();
    expect(decryptWhatsminer('k', '!!!')).toBeUndefined();
  });
});

describe('envelope', () => {
  test('a request carries command, sign and parameters', () => {
    const bytes = encodeWhatsminerWrite({ key: 'k', sign: 's' }, 'adjust_power_limit', {
      power_limit: '3000',
    });
    const request = parseCgminer(bytes);
    if (request instanceof Fault) throw request;
    expect(request.value['enc']).toBe(1);
    const plain = decryptWhatsminer('k', encryptedPart(request.value) ?? '') ?? '';
    expect(JSON.parse(plain)).toEqual({ cmd: 'adjust_power_limit', token: 's', power_limit: '3000' });
  });

  test('a reply is read encrypted and plain; under another key it is a fault', () => {
    const plain = '{"STATUS":"S","Code":131,"Msg":"API command OK"}';
    const reply = encodeWhatsminerReply('k', plain);
    expect(decodeWhatsminerReply('k', reply)).toMatchObject({ value: { Code: 131 } });
    expect(decodeWhatsminerReply('other', reply)).toMatchObject({ code: 'AUTH_FAILED' });
    expect(decodeWhatsminerReply('k', new TextEncoder().encode('{"STATUS":"E","Code":135}'))).toMatchObject({
      value: { Code: 135 },
    });
    expect(decodeWhatsminerReply('k', new TextEncoder().encode('{"enc":"AAAA"}'))).toMatchObject({
      code: 'ANSWER_GARBAGE',
    });
  });

  test('a token is complete or none', () => {
    expect(tokenOf({ Msg: { time: 4124, salt: 'a', newsalt: 'b' } })).toEqual({
      time: '4124',
      salt: 'a',
      newsalt: 'b',
    });
    expect(tokenOf({ Msg: { time: '1', salt: 'a' } })).toBeUndefined();
    expect(tokenOf({ Msg: 'over max connect' })).toBeUndefined();
  });
});

import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';

import { Fault } from '../faults.ts';
import { isObject, parseCgminer } from './cgminer.ts';
import type { CgminerAnswer, JsonObject } from './cgminer.ts';
import { md5crypt } from './md5crypt.ts';

/** What `get_token` answers. */
export interface WhatsminerToken {
  readonly time: string;
  readonly salt: string;
  readonly newsalt: string;
}

/** What a token and the password make: the key that encrypts and the sign that proves. */
export interface WhatsminerKeys {
  readonly key: string;
  readonly sign: string;
}

const BLOCK = 16;
const encoder = new TextEncoder();

/** One plain request of API v2: `{"cmd":…}`. */
export function encodeWhatsminer(cmd: string, params: JsonObject = {}): Uint8Array {
  return encoder.encode(JSON.stringify({ cmd, ...params }));
}

/** Key from the password and the token's salt: the same as long as the salt is. */
export function whatsminerKey(password: string, salt: string): string {
  return md5crypt(password, salt);
}

/** Sign from the key and the token's time. */
export function whatsminerSign(key: string, token: WhatsminerToken): string {
  return md5crypt(key + token.time, token.newsalt);
}

/** A privileged request: `{"enc":1,"data":…}` around the encrypted command with its token. */
export function encodeWhatsminerWrite(
  keys: WhatsminerKeys,
  cmd: string,
  params: JsonObject = {},
): Uint8Array {
  const plain = JSON.stringify({ cmd, token: keys.sign, ...params });
  return encoder.encode(JSON.stringify({ enc: 1, data: encryptWhatsminer(keys.key, plain) }));
}

/**
 * Parses an answer to a privileged request, encrypted (`{"enc":…}`) or plain as errors are.
 * Returns a Fault (ANSWER_GARBAGE, ANSWER_PARTIAL, AUTH_FAILED) when it cannot be understood.
 */
export function decodeWhatsminerReply(key: string, bytes: Uint8Array): CgminerAnswer | Fault {
  const answer = parseCgminer(bytes);
  if (answer instanceof Fault) return answer;
  const data = answer.value['enc'];
  if (typeof data !== 'string') return answer;
  if (answer.partial) return new Fault('ANSWER_PARTIAL', 'encrypted answer');
  const plain = decryptWhatsminer(key, data);
  if (plain === undefined) return new Fault('ANSWER_GARBAGE', 'encrypted answer of a length that cannot be');
  const inner = parseCgminer(encoder.encode(plain));
  if (inner instanceof Fault)
    return new Fault('AUTH_FAILED', 'the answer does not decrypt with this password');
  return inner;
}

/** The encrypted part of a privileged request; undefined when it is a plain one. */
export function encryptedPart(value: JsonObject): string | undefined {
  const data = value['data'];
  return value['enc'] === 1 && typeof data === 'string' ? data : undefined;
}

/** The encrypted form of a reply: `{"enc":…}`. */
export function encodeWhatsminerReply(key: string, plain: string): Uint8Array {
  return encoder.encode(JSON.stringify({ enc: encryptWhatsminer(key, plain) }));
}

/** AES-256-ECB under SHA-256 of the key, zero bytes up to the block, base64. */
export function encryptWhatsminer(key: string, plain: string): string {
  const bytes = encoder.encode(plain);
  const padded = new Uint8Array(Math.ceil(bytes.length / BLOCK) * BLOCK);
  padded.set(bytes);
  const cipher = createCipheriv('aes-256-ecb', aesKey(key), null).setAutoPadding(false);
  return Buffer.concat([cipher.update(padded), cipher.final()]).toString('base64');
}

/** The plain text, from zero padding or PKCS#7; undefined when the data is not a whole number of blocks. */
export function decryptWhatsminer(key: string, data: string): string | undefined {
  const bytes = Buffer.from(data, 'base64');
  if (bytes.length === 0 || bytes.length % BLOCK !== 0) return undefined;
  const decipher = createDecipheriv('aes-256-ecb', aesKey(key), null).setAutoPadding(false);
  const plain = Buffer.concat([decipher.update(bytes), decipher.final()]);
  return plain.subarray(0, unpaddedLength(plain)).toString('utf8');
}

function unpaddedLength(plain: Uint8Array): number {
  const last = plain[plain.length - 1] ?? 0;
  if (last >= 1 && last <= BLOCK && plain.subarray(plain.length - last).every((byte) => byte === last)) {
    return plain.length - last;
  }
  let end = plain.length;
  while (end > 0 && plain[end - 1] === 0) end -= 1;
  return end;
}

function aesKey(key: string): Buffer {
  return createHash('sha256').update(key, 'utf8').digest();
}

/** The token in a `get_token` answer; undefined when the device gave none. */
export function tokenOf(value: JsonObject): WhatsminerToken | undefined {
  const message = value['Msg'];
  if (!isObject(message)) return undefined;
  const text = (name: string): string | undefined => {
    const part = message[name];
    if (typeof part === 'number') return String(part);
    return typeof part === 'string' && part !== '' && part.length <= 64 ? part : undefined;
  };
  const time = text('time');
  const salt = text('salt');
  const newsalt = text('newsalt');
  return time === undefined || salt === undefined || newsalt === undefined
    ? undefined
    : { time, salt, newsalt };
}

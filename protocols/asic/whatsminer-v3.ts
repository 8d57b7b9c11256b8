import { createCipheriv, createHash } from 'node:crypto';

import { Fault } from '../faults.ts';
import { ANSWER_MAX_BYTES, parseCgminer } from './cgminer.ts';
import type { CgminerAnswer, JsonObject } from './cgminer.ts';

/** What a command is proven with: who says it, the device's salt, and the time in seconds. */
export interface WhatsminerV3Proof {
  readonly account: string;
  readonly password: string;
  readonly salt: string;
  readonly ts: number;
}

const LENGTH_BYTES = 4;
const TOKEN_LETTERS = 8;
const AES_BLOCK_BYTES = 16;
const encoder = new TextEncoder();

/** One message of API v3: its length in four bytes, little-endian, and its JSON. */
export function encodeWhatsminerV3(value: JsonObject): Uint8Array {
  return frameWhatsminerV3(JSON.stringify(value));
}

export function frameWhatsminerV3(text: string): Uint8Array {
  const body = encoder.encode(text);
  const frame = new Uint8Array(LENGTH_BYTES + body.length);
  new DataView(frame.buffer).setUint32(0, body.length, true);
  frame.set(body, LENGTH_BYTES);
  return frame;
}

/** A command that changes something, proven by its token; `param` is left out where the command takes none. */
export function encodeWhatsminerV3Write(
  cmd: string,
  param: JsonObject[string] | undefined,
  proof: WhatsminerV3Proof,
): Uint8Array {
  const { account, ts } = proof;
  return encodeWhatsminerV3({
    cmd,
    ts,
    token: whatsminerV3Token(cmd, proof),
    account,
    ...(param !== undefined && { param }),
  });
}

/** What only the device may read, as its `param`: its JSON, filled with zero bytes, in AES-256-ECB under the digest of the proof. */
export function sealedWhatsminerV3(cmd: string, param: JsonObject[string], proof: WhatsminerV3Proof): string {
  const text = encoder.encode(JSON.stringify(param));
  const filled = new Uint8Array(Math.ceil(text.length / AES_BLOCK_BYTES) * AES_BLOCK_BYTES);
  filled.set(text);
  const cipher = createCipheriv('aes-256-ecb', digestOf(cmd, proof), null).setAutoPadding(false);
  return Buffer.concat([cipher.update(filled), cipher.final()]).toString('base64');
}

/** The first 8 letters of base64(SHA-256(command, password, salt and time in a row)). */
export function whatsminerV3Token(cmd: string, proof: WhatsminerV3Proof): string {
  return digestOf(cmd, proof).toString('base64').slice(0, TOKEN_LETTERS);
}

const digestOf = (cmd: string, { password, salt, ts }: WhatsminerV3Proof): Buffer =>
  createHash('sha256')
    .update(cmd + password + salt + String(ts), 'utf8')
    .digest();

/** The first message of what was received: its bytes and where it ends; undefined while it is not whole. Heartbeats (length 0) are passed over. */
export function messageOfWhatsminerV3(
  bytes: Uint8Array,
): { readonly body: Uint8Array; readonly end: number } | undefined {
  const { at, length } = headOf(bytes);
  if (length === 0 || length > bytes.length - at) return undefined;
  return { body: bytes.subarray(at, at + length), end: at + length };
}

/**
 * Says of the bytes of one answer, each time more of them have come, whether it is whole, or can no longer become one:
 * its length is no answer's. Heartbeats before it are looked at once.
 */
export function makeIsWholeWhatsminerV3(): (bytes: Uint8Array) => boolean {
  let from = 0;
  return (bytes) => {
    const { at, length } = headOf(bytes, from);
    if (length === 0) from = at;
    return length > ANSWER_MAX_BYTES || (length > 0 && length <= bytes.length - at);
  };
}

/**
 * Parses an answer; one that broke off keeps what came whole and is marked partial.
 * Returns a Fault (ANSWER_GARBAGE, ANSWER_PARTIAL, NET_OVERSIZE), never throws.
 */
export function decodeWhatsminerV3(bytes: Uint8Array): CgminerAnswer | Fault {
  const { at, length } = headOf(bytes);
  if (length > ANSWER_MAX_BYTES) return new Fault('ANSWER_GARBAGE', `no length of an answer: ${length}`);
  if (length === 0) return new Fault('ANSWER_PARTIAL', 'no whole length');
  const answer = parseCgminer(bytes.subarray(at, at + length));
  if (answer instanceof Fault || length <= bytes.length - at) return answer;
  return { ...answer, partial: true };
}

/** Where the body begins and how long it says it is; 0: no length has come yet. `from`: where one may begin. */
function headOf(bytes: Uint8Array, from = 0): { readonly at: number; readonly length: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = from;
  while (at + LENGTH_BYTES <= bytes.length) {
    const length = view.getUint32(at, true);
    at += LENGTH_BYTES;
    if (length > 0) return { at, length };
  }
  return { at, length: 0 };
}

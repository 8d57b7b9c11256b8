import { expect, test } from 'vitest';

import {
  decodeWhatsminerV3,
  encodeWhatsminerV3,
  makeIsWholeWhatsminerV3,
  messageOfWhatsminerV3,
  whatsminerV3Token,
} from '../../../../protocols/asic/whatsminer-v3.ts';
import { Fault } from '../../../../protocols/faults.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
const codeOf = (value: unknown): string => (value instanceof Fault ? value.code : 'none');

test('a message is its length in four bytes, little-endian, and its JSON', () => {
  expect(Buffer.from(encodeWhatsminerV3({ cmd: 'get.device.info' })).toString('latin1')).toBe(
    '\x19\0\0\0{"cmd":"get.device.info"}',
  );
});

test('a token is what hashlib makes of command, password, salt and time', () => {
  const proof = { account: 'super', password: 'super', salt: 'uhCiDyVj', ts: 1_773_869_570 };
  expect(whatsminerV3Token('set.miner.service', proof)).toBe('wusyZCiM');
});

test('an answer is whole when its length has come; heartbeats before it are passed over', () => {
  const whole = bytes('\0\0\0\0\x0a\0\0\0{"code":0}');
  const trickled = makeIsWholeWhatsminerV3();
  for (let cut = 0; cut < whole.length; cut += 1) {
    expect(makeIsWholeWhatsminerV3()(whole.subarray(0, cut))).toBe(false);
    expect(trickled(whole.subarray(0, cut))).toBe(false);
    expect(messageOfWhatsminerV3(whole.subarray(0, cut))).toBeUndefined();
    const broken = decodeWhatsminerV3(whole.subarray(0, cut));
    if (!(broken instanceof Fault)) expect(broken.partial).toBe(true);
  }
  expect(makeIsWholeWhatsminerV3()(whole)).toBe(true);
  expect(trickled(whole)).toBe(true);
  expect(decodeWhatsminerV3(whole)).toMatchObject({ value: { code: 0 }, partial: false });
  expect(messageOfWhatsminerV3(bytes('\x02\0\0\0{}more'))).toEqual({ body: bytes('{}'), end: 6 });
});

test.each([
  ['nothing', '', 'ANSWER_PARTIAL'],
  ['half a length', '\x0a\0', 'ANSWER_PARTIAL'],
  ['heartbeats alone', '\0\0\0\0\0\0\0\0', 'ANSWER_PARTIAL'],
  ['a length no answer has', '\xff\xff\xff\xff{}', 'ANSWER_GARBAGE'],
  ['a web page', 'HTTP/1.1 200 OK\r\n\r\n', 'ANSWER_GARBAGE'],
  ['no JSON', '\x04\0\0\0abcd', 'ANSWER_GARBAGE'],
])('%s is no answer', (_, text, code) => {
  expect(codeOf(decodeWhatsminerV3(bytes(text)))).toBe(code);
});

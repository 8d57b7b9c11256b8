import { expect, test } from 'vitest';

import { parseJsonBody } from '../../../../protocols/asic/json-body.ts';
import { Fault } from '../../../../protocols/faults.ts';

const parse = (text: string): unknown => {
  const value = parseJsonBody(new TextEncoder().encode(text));
  return value instanceof Fault ? value.code : value;
};

test('a page is any JSON, or empty', () => {
  expect(parse(' [1, {"a": null}] ')).toEqual([1, { a: null }]);
  expect(parse('false')).toBe(false);
  expect(parse(' \n')).toBeUndefined();
});

test('what is none, too deep or too long is a fault', () => {
  expect(parse('<html>')).toBe('ANSWER_GARBAGE');
  expect(parse('{"a":')).toBe('ANSWER_GARBAGE');
  expect(parse('{"a":[1e999]}')).toBe('ANSWER_GARBAGE');
  expect(parse(`{"a":${'9'.repeat(400)}}`)).toBe('ANSWER_GARBAGE');
  expect(parse(`${'['.repeat(40)}1${']'.repeat(40)}`)).toBe('ANSWER_GARBAGE');
  expect(parse(`${'['.repeat(31)}1${']'.repeat(31)}`)).not.toBe('ANSWER_GARBAGE');
  expect(parse('['.repeat(200_000))).toBe('ANSWER_GARBAGE');
  expect(parse(`"${'x'.repeat(1_100_000)}"`)).toBe('NET_OVERSIZE');
});

test('depth of a million levels that do close is told without falling over', () => {
  expect(parse(`${'['.repeat(400_000)}${']'.repeat(400_000)}`)).toBe('ANSWER_GARBAGE');
});

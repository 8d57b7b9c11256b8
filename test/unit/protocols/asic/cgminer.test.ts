import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  ANSWER_MAX_BYTES,
  encodeCgminer,
  makeIsWhole,
  parseCgminer,
  sectionOf,
  statusOf,
} from '../../../../protocols/asic/cgminer.ts';
import type { CgminerAnswer } from '../../../../protocols/asic/cgminer.ts';
import { Fault } from '../../../../protocols/faults.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function parsed(text: string): CgminerAnswer {
  const answer = parseCgminer(bytesOf(text));
  if (answer instanceof Fault) throw answer;
  return answer;
}

function codeOf(text: string): string {
  const answer = parseCgminer(bytesOf(text));
  return answer instanceof Fault ? answer.code : 'parsed';
}

describe('encodeCgminer', () => {
  test('writes command and parameter', () => {
    expect(new TextDecoder().decode(encodeCgminer('summary'))).toBe('{"command":"summary"}');
    expect(new TextDecoder().decode(encodeCgminer('ascset', '0,led,1'))).toBe(
      '{"command":"ascset","parameter":"0,led,1"}',
    );
  });
});

describe('parseCgminer', () => {
  test('takes a clean answer with a NUL at its end as it is', () => {
    const answer = parsed('{"SUMMARY":[{"Power":3200}],"id":1}\u0000');
    expect(answer).toEqual({ value: { SUMMARY: [{ Power: 3200 }], id: 1 }, partial: false, notes: [] });
  });

  // Each line: what a firmware sent (written by hand from the known flaws), what it means, what was repaired.
  test.each<[string, unknown, string[]]>([
    ['{"a":1,}', { a: 1 }, ['a comma too many']],
    ['{,"a":1}', { a: 1 }, ['a comma too many']],
    ['{"a":[,{"b":1}]}', { a: [{ b: 1 }] }, ['a: a comma too many']],
    ['{"a":[{"b":1}{"c":2}]}', { a: [{ b: 1 }, { c: 2 }] }, ['a: a comma was missing']],
    ['{"a":"x""temp0":65}', { a: 'x', temp0: 65 }, ['a comma was missing']],
    [
      '{"a":inf,"b":-nan,"c":"nan"}',
      { a: null, b: null, c: null },
      ['a: inf is no number', 'b: -nan is no number', 'c: nan is no number'],
    ],
    ['{"a":1e999}', { a: null }, ['a: 1e999 is no number']],
    ['{"a":"one\ntwo"}', { a: 'one\ntwo' }, ['a control character in a string']],
    [
      '{"error_code":["329":"2024-06-15 10:30:00"]}',
      { error_code: [{ 329: '2024-06-15 10:30:00' }] },
      ['error_code.0: a pair in a list'],
    ],
    ['{"a":1,"a":2}', { a: 1, 'a#2': 2 }, ['the key "a" came twice']],
    ['{"a":007,"b":.5}', { a: 7, b: 0.5 }, []],
    ['{"a":1}{"b":2}', { a: 1 }, ['more text after the answer: "{\\"b\\":2}"']],
  ])('repairs %s', (text, value, notes) => {
    const answer = parsed(text);
    expect(answer.value).toEqual(value);
    expect(answer.notes.map((note) => note.replace(/^a: a control/, 'a control'))).toEqual(notes);
    expect(answer.partial).toBe(false);
  });

  test('keeps what came whole of a cut answer, never half a number', () => {
    expect(parsed('{"S":[{"A":1,"Power":32')).toMatchObject({ value: { S: [{ A: 1 }] }, partial: true });
    expect(parsed('{"S":[{"A":1,"User":"ab')).toMatchObject({ value: { S: [{ A: 1 }] }, partial: true });
    expect(parsed('{"S":[{"A":1},{"B":2}')).toMatchObject({
      value: { S: [{ A: 1 }, { B: 2 }] },
      partial: true,
    });
    expect(parsed('{"S":[{"A":1}],"P"')).toMatchObject({ value: { S: [{ A: 1 }] }, partial: true });
  });

  test('keeps no key for special', () => {
    const answer = parsed('{"__proto__":{"polluted":1},"constructor":2,"a":[1,]}');
    expect(Object.keys(answer.value)).toEqual(['__proto__', 'constructor', 'a']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('refuses what is no answer', () => {
    expect(codeOf('')).toBe('ANSWER_GARBAGE');
    expect(codeOf('<html>401</html>')).toBe('ANSWER_GARBAGE');
    expect(codeOf('Socket connect failed: Connection refused\n')).toBe('NET_REFUSED');
    expect(codeOf('[1,2]')).toBe('ANSWER_GARBAGE');
    expect(codeOf('{"a":hello}')).toBe('ANSWER_GARBAGE');
    expect(codeOf('{"a')).toBe('ANSWER_PARTIAL');
    expect(codeOf('{"a":'.repeat(5_000))).toBe('ANSWER_GARBAGE');
    expect(codeOf(`{"a":${'['.repeat(100)}${']'.repeat(100)}}`)).toBe('ANSWER_GARBAGE');
    expect(codeOf(`{"a":"${'x'.repeat(ANSWER_MAX_BYTES)}"}`)).toBe('NET_OVERSIZE');
  });

  test('agrees with JSON.parse on every object that is JSON', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!/"[+-]?(inf|nan|infinity)"/i.test(text));
        expect(JSON.stringify(parsed(text).value)).toBe(JSON.stringify(JSON.parse(text)));
        // The careful parser must agree too: a trailing comma sends the answer there.
        if (text !== '{}') {
          const repaired = parsed(`${text.slice(0, -1)},}`);
          expect(repaired.notes).toEqual(['a comma too many']);
          expect(JSON.stringify(repaired.value)).toBe(text);
        }
      }),
    );
  });

  test('never throws and never hangs, whatever comes', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '\\',
      '"a"',
      '1',
      '-',
      'inf',
      '\u0000',
      '\n',
      'é',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
        const answer = parseCgminer(bytesOf(`{${parts.join('')}`));
        expect(answer instanceof Fault || typeof answer.value === 'object').toBe(true);
      }),
      { numRuns: 2_000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => parseCgminer(bytes) !== undefined));
  });

  test.each(['9', '.', '-', ' ', ',', '[', '{', '"', '\\', ':', '1-', '1e', '[0,', 'nan'])(
    'a run of %j over the whole length that an answer may have is gone through once',
    (piece) => {
      const run = piece.repeat(Math.floor(200_000 / piece.length));
      // Gone through again from each of its letters, it would take minutes.
      for (const text of [`{"a":1,"b":${run}s","c":2}`, `{"a":1,"b":"${run}s","c":2}`, `{"a":1,${run}s`])
        expect(parseCgminer(Buffer.from(text))).toBeDefined();
    },
  );

  test('every cut of an answer keeps a prefix of its fields', () => {
    const whole =
      '{"STATUS":[{"STATUS":"S","Msg":"a \\"b\\""}],"SUMMARY":[{"MHS av":1.5,"Power":3200}],"id":1}';
    for (let end = 1; end < whole.length; end += 1) {
      const answer = parseCgminer(bytesOf(whole.slice(0, end)));
      if (answer instanceof Fault) {
        expect(answer.code, whole.slice(0, end)).toBe('ANSWER_PARTIAL');
        continue;
      }
      expect(answer.partial).toBe(true);
      const power = sectionOf(answer.value, 'SUMMARY')[0]?.['Power'];
      expect(power === undefined || power === 3200).toBe(true);
    }
  });
});

describe('makeIsWhole', () => {
  const isWhole = (bytes: Uint8Array): boolean => makeIsWhole()(bytes);

  test('waits for the closing brace, not one inside a string', () => {
    expect(isWhole(bytesOf('{"a":{"b":1}}\u0000'))).toBe(true);
    expect(isWhole(bytesOf('{"a":{"b":1}'))).toBe(false);
    expect(isWhole(bytesOf('{"a":"}'))).toBe(false);
    expect(isWhole(new Uint8Array())).toBe(false);
  });

  test.each([
    '{"a":{"b":1}}\u0000',
    '{"a":"}","b":"\\"}"}  \n',
    '{}x{"a":[1,"\\\\"]}',
    '{"a":1} {"b":2}\u0000',
  ])('says the same of %j at every byte as of all that has come at once', (text) => {
    const bytes = bytesOf(text);
    const trickled = makeIsWhole();
    for (let end = 0; end <= bytes.length; end += 1) {
      const part = bytes.subarray(0, end);
      expect(trickled(part), text.slice(0, end)).toBe(isWhole(part));
    }
  });

  test.each([
    ['braces', '{"a":[' + '{"b":"}"},'.repeat(100)],
    ['white space', '{"a":1' + ' '.repeat(1_000)],
    ['white space behind a brace', '{"a":{}' + '\n'.repeat(1_000)],
  ])('looks at each of many trickled %s a few times at most', (_, text) => {
    const bytes = bytesOf(text);
    let looks = 0;
    const isWholeNow = makeIsWhole();
    for (let end = 1; end <= bytes.length; end += 1)
      isWholeNow(
        new Proxy(bytes.subarray(0, end), {
          get: (target, key) => {
            if (typeof key === 'string' && /^\d+$/.test(key)) looks += 1;
            return Reflect.get(target, key, target) as unknown;
          },
        }),
      );
    expect(looks).toBeLessThanOrEqual(4 * bytes.length);
  });
});

describe('statusOf', () => {
  test('reads the list form and the flat form', () => {
    expect(statusOf(parsed('{"STATUS":[{"STATUS":"S","Code":11,"Msg":"Summary"}]}').value)).toEqual({
      level: 'S',
      code: 11,
      message: 'Summary',
    });
    expect(statusOf(parsed('{"STATUS":"E","Code":45,"Msg":"permission denied"}').value)).toEqual({
      level: 'E',
      code: 45,
      message: 'permission denied',
    });
    expect(statusOf(parsed('{"status":[{"status":"s","code":11,"msg":"x"}]}').value)).toEqual({
      level: 'S',
      code: 11,
      message: 'x',
    });
    expect(statusOf(parsed('{"SUMMARY":[]}').value)).toBeUndefined();
  });
});

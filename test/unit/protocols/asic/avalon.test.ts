import { describe, expect, test } from 'vitest';

import { avalonNumbers, avalonWords, encodeAvalon, parseAvalon } from '../../../../protocols/asic/avalon.ts';
import { Fault } from '../../../../protocols/faults.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (text: string): unknown => {
  const answer = parseAvalon(bytes(text));
  return answer instanceof Fault ? answer.code : answer;
};
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test('a request is said in either dialect', () => {
  const say = (...words: Parameters<typeof encodeAvalon>): string =>
    new TextDecoder().decode(encodeAvalon(...words));
  expect(say('json', 'version')).toBe('{"command":"version"}');
  expect(say('json', 'ascset', '0,led,1-1')).toBe('{"command":"ascset","parameter":"0,led,1-1"}');
  expect(say('text', 'version')).toBe('version');
  expect(say('text', 'ascset', '0,led,1-1')).toBe('ascset|0,led,1-1');
});

describe('an answer', () => {
  test('as text has the form of the one in JSON', () => {
    const text =
      'STATUS=S,When=1700000000,Code=7,Msg=2 Pool(s),Description=cgminer 4.11.1|' +
      'POOL=0,URL=stratum+tcp://a:1,Stratum Active=true|POOL=1,URL=b,Stratum Active=false|\0';
    expect(plain(parse(text))).toEqual({
      partial: false,
      notes: [],
      value: {
        STATUS: [
          { STATUS: 'S', When: 1_700_000_000, Code: 7, Msg: '2 Pool(s)', Description: 'cgminer 4.11.1' },
        ],
        POOLS: [
          { POOL: 0, URL: 'stratum+tcp://a:1', 'Stratum Active': true },
          { POOL: 1, URL: 'b', 'Stratum Active': false },
        ],
      },
    });
    expect(plain(parse('STATUS=S|VERSION,API=3.7,DNA=01234567890123456789|'))).toMatchObject({
      value: { VERSION: [{ API: 3.7, DNA: '01234567890123456789' }] },
    });
  });

  test('keeps commas and bars that stand in brackets', () => {
    const text = 'STATUS=S|STATS=0,MM ID0=SYSTEMSTATU[Work: In Work, Hash Board: 3 ] A[1|2],Elapsed=5|';
    expect(plain(parse(text))).toMatchObject({
      value: { STATS: [{ 'MM ID0': 'SYSTEMSTATU[Work: In Work, Hash Board: 3 ] A[1|2]', Elapsed: 5 }] },
    });
  });

  test('that breaks off keeps what came whole, at every place', () => {
    const text = 'STATUS=S,Code=70|STATS=0,MM ID0=PS[0 1 2],Elapsed=12345|';
    for (let cut = 1; cut < text.length; cut += 1) {
      const answer = parseAvalon(bytes(text.slice(0, cut)));
      if (answer instanceof Fault) continue;
      const said = JSON.stringify(answer.value);
      expect(said).not.toMatch(/"Elapsed":(?!12345[,}])/u);
      expect(said).not.toMatch(/PS\[(?!0 1 2\])/u);
    }
    expect(plain(parse(text.slice(0, -3)))).toMatchObject({
      partial: true,
      value: { STATS: [{ STATS: 0 }] },
    });
  });

  test.each([
    ['', 'ANSWER_GARBAGE'],
    ['HTTP/1.1 200 OK\r\n', 'ANSWER_GARBAGE'],
    ['<html>', 'ANSWER_GARBAGE'],
    ['STATUS=', 'ANSWER_PARTIAL'],
    ['Socket connect failed: Connection refused\n', 'NET_REFUSED'],
  ])('%j is none', (text, code) => {
    expect(parse(text)).toBe(code);
  });
});

describe('the bracket string', () => {
  const wordsOf = (value: string): ReadonlyMap<string, string> =>
    avalonWords([{ 'MM ID0:Summary': value }]) ?? new Map();

  test('gives words by name, through the wrapping that some firmwares put around it', () => {
    const words = wordsOf("'STATS':{Ver[Q-1] PS[0 1222 4 x 146] FanR[72%] SSID[] Nonce Mask[25] Ver[Q-2]}");
    expect(words.get('Ver')).toBe('Q-1');
    expect(words.get('Nonce Mask')).toBe('25');
    expect(avalonNumbers(words, 'PS')).toEqual([0, 1_222, 4, undefined, 146]);
    expect(avalonNumbers(words, 'FanR')).toEqual([72]);
    expect(avalonNumbers(words, 'SSID')).toEqual([]);
    expect(avalonNumbers(words, 'none')).toEqual([]);
  });

  test('is read from an object too, and is none where there is no module', () => {
    expect(avalonNumbers(avalonWords([{ 'MM ID0': { PS: [0, 7], GHSspd: 5 } }]) ?? new Map(), 'PS')).toEqual([
      0, 7,
    ]);
    expect(avalonWords([{ ID: 'POOL0' }])).toBeUndefined();
  });

  test('broken in any way costs no time', () => {
    expect(wordsOf('a'.repeat(200_000)).size).toBe(0);
    expect(wordsOf('['.repeat(200_000)).size).toBe(0);
    expect(wordsOf('a['.repeat(100_000)).size).toBe(0);
    expect(wordsOf(']a['.repeat(60_000)).size).toBeLessThan(4_097);
    expect(wordsOf(`a[${' '.repeat(200_000)}]`).size).toBe(1);
  });
});

test('names of JavaScript’s own are names like others', () => {
  const answer = parseAvalon(new TextEncoder().encode('STATUS=S,__proto__=1|constructor=1,toString=2|'));
  if (answer instanceof Fault) throw answer;
  expect(answer.value['constructor']).toEqual([{ constructor: 1, toString: 2 }]);
});

test('a long run of nothing before the end costs no more than reading it', () => {
  const bytes = new TextEncoder().encode(`STATUS=S|STATS=0${'\0'.repeat(260_000)}x`);
  expect(parseAvalon(bytes)).toMatchObject({ partial: true });
});

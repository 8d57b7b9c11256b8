/**
 * The bytes of each verb, whole: what goes out and what comes back. They were made by md5sum and the openssl command from
 * the vendor's documents, not by the product: the first half is stock Antminer firmware (CGI pages behind HTTP digest,
 * realm `antMiner Configuration`, qop=auth, MD5), the second Whatsminer API 2.0 (token, sign, AES-256-ECB).
 */
import { describe, expect, test } from 'vitest';
import type { Verb } from '../../../../agent/driver.ts';
import type { Pool } from '../../../../config/pools.ts';
import type { HttpAnswer, SimulatedEndpoint, StreamDevice } from '../../../../simulator/device.ts';
import { api, codeOf, makeBench } from './miner-bench.ts';
import type { Bench } from './miner-bench.ts';

/** Chance that always comes out in the middle: the client's nonce is 8000000080000000. */
const EVEN = { next: () => 0.5 };

async function act(bench: Bench, url: string, verb: Verb, argument: number | undefined): Promise<string> {
  const carryOut = bench.device(url).verbs[verb];
  if (!carryOut) throw new Error(`no ${verb}`);
  return codeOf(bench.run(carryOut(argument, 5_000)));
}

/** Two pools told to a machine that may hold three. */
const POOLS: readonly Pool[] = [
  { url: 'stratum+tcp://p:1', user: 'acct.r1-01', pass: 'x' },
  { url: 'stratum+tcp://q:2', user: 'acct.r1-01', pass: 'y' },
];
const setPools = (bench: Bench, url: string): Promise<string> =>
  codeOf(bench.run(bench.device(url).verbs.pools?.(POOLS, 5_000) ?? Promise.reject(new Error('no pools'))));

describe('antminer: as the vendor’s page in a browser', () => {
  const NONCE = '5f8f7e1d0a6b4c3e9d2a1b0c7e6f5d4c';
  /** `response` is md5(md5(root:antMiner Configuration:secret):nonce:nc:cnonce:auth:md5(METHOD:path)). */
  const authorization = (path: string, nc: number, response: string): string =>
    `Digest username="root", realm="antMiner Configuration", nonce="${NONCE}", uri="${path}", response="${response}", qop=auth, nc=0000000${nc}, cnonce="8000000080000000"`;
  const conf = (mode: string): string =>
    `{"pools":[{"url":"stratum+tcp://p:1","user":"u","pass":"x"},{"url":"stratum+tcp://q:2","user":"v","pass":""},{"url":"","user":"","pass":""}],"api-listen":true,"bitmain-fan-ctrl":false,"bitmain-fan-pwm":"70","bitmain-freq-level":"100","bitmain-work-mode":"${mode}"}`;
  const written = (mode: number): string =>
    `{"bitmain-fan-ctrl":false,"bitmain-fan-pwm":"70","miner-mode":${mode},"bitmain-work-mode":${mode},"freq-level":"100","pools":[{"url":"stratum+tcp://p:1","user":"u","pass":"x"},{"url":"stratum+tcp://q:2","user":"v","pass":""},{"url":"","user":"","pass":""}]}`;
  const CONF_PATH = '/cgi-bin/get_miner_conf.cgi';
  const SET_PATH = '/cgi-bin/set_miner_conf.cgi';
  const INFO_PATH = '/cgi-bin/get_system_info.cgi';
  const ANSWERS: Readonly<Record<string, string>> = {
    [INFO_PATH]: '{"minertype":"Antminer S19j Pro","nettype":"DHCP"}',
    [SET_PATH]: '{"stats":"success","code":"M000","msg":"OK!"}',
    '/cgi-bin/blink.cgi': '{"code":"B000"}',
    '/cgi-bin/reboot.cgi': '',
  };

  /** Asks for the digest first, as the firmware does, and takes whatever is given then: the test looks at it. */
  function recorded(mode: string, asked: string[]): SimulatedEndpoint {
    const respondHttp = ({
      method,
      path,
      headers,
      body,
    }: {
      method: string;
      path: string;
      headers: Readonly<Record<string, string>>;
      body: string;
    }): HttpAnswer => {
      const given = headers['authorization'];
      asked.push(
        [`${method} ${path}`, given, headers['content-type'], body]
          .filter((part) => part !== undefined && part !== '')
          .join('\n'),
      );
      const challenge = {
        'www-authenticate': `Digest realm="antMiner Configuration", nonce="${NONCE}", qop="auth"`,
      };
      return {
        kind: 'response',
        status: given === undefined ? 401 : 200,
        headers: given === undefined ? challenge : {},
        body:
          given === undefined
            ? '401 - Unauthorized'
            : path === CONF_PATH
              ? conf(mode)
              : (ANSWERS[path] ?? ''),
        afterMs: 0,
      };
    };
    return { kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } };
  }

  const readFirst = (path: string, response: string): string[] => [
    `GET ${path}`,
    `GET ${path}\n${authorization(path, 1, response)}`,
  ];
  const CONF_READ = readFirst(CONF_PATH, '96be2f2a71f43829ea2beb6664eb9519');
  const INFO_READ = readFirst(INFO_PATH, '5546e63f774f6c5f043aea429da98e9c');
  const posted = (path: string, response: string, body: string): string =>
    [`POST ${path}`, authorization(path, 2, response), 'application/json', body]
      .filter((part) => part !== '')
      .join('\n');
  const SET = '62ca7888a062d39df3e54b97f17cbded';
  const BLINK = '70421bfe7c39026feafe88d55d93d133';

  test.each<[Verb, number | undefined, string, readonly string[]]>([
    ['sleep', undefined, '3', [...CONF_READ, posted(SET_PATH, SET, written(1))]],
    ['wake', undefined, '1', [...CONF_READ, posted(SET_PATH, SET, written(0))]],
    ['wake', 2, '1', [...CONF_READ, posted(SET_PATH, SET, written(2))]],
    ['locate', 1, '0', [...INFO_READ, posted('/cgi-bin/blink.cgi', BLINK, '{"blink":true}')]],
    ['locate', 0, '0', [...INFO_READ, posted('/cgi-bin/blink.cgi', BLINK, '{"blink":false}')]],
    // By GET, as pyasic (web/antminer.py), MiningOS (workers/lib/miner.js and its mock, which has no other) and the
    // vendor's own page ask for it.
    [
      'reboot',
      undefined,
      '0',
      [
        ...INFO_READ,
        `GET /cgi-bin/reboot.cgi\n${authorization('/cgi-bin/reboot.cgi', 2, '81172d15ddc05a287bcbb2bdcf64f397')}`,
      ],
    ],
  ])('%s %s at work mode %s', async (verb, argument, mode, bytes) => {
    const asked: string[] = [];
    const bench = makeBench([recorded(mode, asked)], EVEN);
    expect(await act(bench, 'antminer://10.0.0.1?passwordEnv=P', verb, argument)).toBe('resolved');
    expect(asked).toEqual(bytes);
  });

  test.each(['0', '1', '3'])('pools at work mode %s, which stays', async (mode) => {
    const asked: string[] = [];
    const bench = makeBench([recorded(mode, asked)], EVEN);
    expect(await setPools(bench, 'antminer://10.0.0.1?passwordEnv=P')).toBe('resolved');
    const body = `{"bitmain-fan-ctrl":false,"bitmain-fan-pwm":"70","miner-mode":${mode},"bitmain-work-mode":${mode},"freq-level":"100","pools":[{"url":"stratum+tcp://p:1","user":"acct.r1-01","pass":"x"},{"url":"stratum+tcp://q:2","user":"acct.r1-01","pass":"y"},{"url":"","user":"","pass":""}]}`;
    expect(asked).toEqual([...CONF_READ, posted(SET_PATH, SET, body)]);
  });
});

describe('whatsminer v2: token, sign, AES-256-ECB filled with zero bytes', () => {
  /**
   * `key`: the fourth field of `openssl passwd -1 -salt BQ5hoXV9 secret`, xExtdyPhXYbouyQHGhZxY.; `sign`: that of
   * `openssl passwd -1 -salt jbzkfQls xExtdyPhXYbouyQHGhZxY.5626`. AES under SHA-256 of the key's text.
   */
  const TOKEN =
    '{"STATUS":"S","When":1618212903,"Code":134,"Msg":{"time":"5626","salt":"BQ5hoXV9","newsalt":"jbzkfQls"},"Description":""}';
  const SUMMARY =
    '{"STATUS":[{"STATUS":"S","When":1618212903,"Code":11,"Msg":"Summary"}],"SUMMARY":[{"Elapsed":100,"Power Limit":3400,"Power Mode":"Normal"}],"id":1}';
  const POOLS =
    '{"STATUS":[{"STATUS":"S","Code":7,"Msg":"1 Pool(s)"}],"POOLS":[{"URL":"stratum+tcp://p:1","User":"u"}],"id":1}';
  /** {"STATUS":"S","When":1618212903,"Code":131,"Msg":"API command OK","Description":""} */
  const DONE =
    '{"enc":"kHGze/7/BKJxsZtX022ulAn6rsuBU3IXjcTIYAw1TA0zhAbXe9myHK4+M16LN3K58VtIGbVvT+UpD6AVK1AG1XmOZloR8Mp51IJcUeOdAODNYLMiC9QRKG7rDW/jSWkz"}';
  /** {"STATUS":"E","When":1618212903,"Code":132,"Msg":"API command ERROR","Description":""} */
  const FAILED =
    '{"enc":"Vc6UqFe6k18aIS1liU41Ugn6rsuBU3IXjcTIYAw1TA2v1RgRkSxE+qM605e5lD4bYGRbWM7DQ5eRK1xu3TiVfv1JS/ugAaStxzWbXSSpxPSb7LkUd9jk27P0uIMoxUBH"}';

  function recorded(asked: string[], answer: string): StreamDevice {
    const plain: Readonly<Record<string, string>> = {
      '{"cmd":"get_token"}': TOKEN,
      '{"cmd":"summary"}': SUMMARY,
      '{"cmd":"pools"}': POOLS,
    };
    return {
      respond: (bytes) => {
        const text = new TextDecoder().decode(bytes);
        asked.push(text);
        return {
          kind: 'bytes',
          bytes: new TextEncoder().encode(plain[text] ?? answer),
          afterMs: 0,
          close: true,
        };
      },
    };
  }

  const LITERAL: ReadonlyArray<readonly [Verb, number | undefined, string]> = [
    // {"cmd":"power_off","token":"hUPd7N4GyaYyoHmoJ3lTv1","respbefore":"true"}
    [
      'sleep',
      undefined,
      '{"enc":1,"data":"0Il9NcEkUJe8Q3k2LUOadxoSYMs4iJ8yqHFVfBNOF1fUHSK29EA2YgrC129+TW1ri+CAXOiaRzyxB2P8EjgL9Cx/VFrqHfucnd/37KUi4uM="}',
    ],
    // {"cmd":"power_on","token":"hUPd7N4GyaYyoHmoJ3lTv1"}
    [
      'wake',
      undefined,
      '{"enc":1,"data":"pOxHEU/sO/norLOHxysI+L87BRSQk5v3Q6kHZrwH7+nDe/RLr9vsevEA1D1u8aCic/Ya4twrAWLRceH0V1WzXw=="}',
    ],
    // {"cmd":"adjust_power_limit","token":"hUPd7N4GyaYyoHmoJ3lTv1","power_limit":"3000"}
    [
      'power-limit',
      3000,
      '{"enc":1,"data":"R7+1n966BvFwqS+LZ6cDAvXLQ0wNmAoWtX5SSvGsCticdMahhXzbTxpmR/nSznQn6WQOjKQo36e0E4kQ7sFFZ98aICGh6AUKiyRXs1BU5VyJCqE+0By86AzYgZ6toY45"}',
    ],
    // {"cmd":"reboot","token":"hUPd7N4GyaYyoHmoJ3lTv1"}
    [
      'reboot',
      undefined,
      '{"enc":1,"data":"PGJI24IXS+0UVOiOil32b5G2lrdNUCRAXv620NCfEEM/mrf2vHXbP1HTgG9NrWrkgDwncSzof2nTPzXsnH9Lbg=="}',
    ],
    // {"cmd":"set_led","token":"hUPd7N4GyaYyoHmoJ3lTv1","color":"red","period":200,"duration":100,"start":0}
    [
      'locate',
      1,
      '{"enc":1,"data":"oxtO11gHGdvrDZkofu0b1UeJnc4w0jM9MjZDL7lnm4W9AzpjSiRFZACW3SiSWa2sdgbFLTh6oJ6qVlI2OnXaILzH/BC4/IoETFhTzKQF43DhqL+52zXk2sMs/0SejHwcqkMnNPt2ydknjnW4ozHNUA=="}',
    ],
    // {"cmd":"set_led","token":"hUPd7N4GyaYyoHmoJ3lTv1","param":"auto"}
    [
      'locate',
      0,
      '{"enc":1,"data":"oxtO11gHGdvrDZkofu0b1UeJnc4w0jM9MjZDL7lnm4W9AzpjSiRFZACW3SiSWa2slanBcJBKMlbPpSVX33u/4IA8J3Es6H9p0z817Jx/S24="}',
    ],
  ];

  test.each(LITERAL)('%s %s', async (verb, argument, bytes) => {
    const asked: string[] = [];
    const bench = makeBench([api(recorded(asked, DONE))]);
    expect(await act(bench, 'whatsminer://10.0.0.1?passwordEnv=P', verb, argument)).toBe('resolved');
    const settings = verb === 'power-limit' ? ['{"cmd":"summary"}', '{"cmd":"pools"}'] : [];
    expect(asked).toEqual([...settings, '{"cmd":"get_token"}', bytes]);
  });

  test('pools, all nine words of them', async () => {
    const asked: string[] = [];
    const bench = makeBench([api(recorded(asked, DONE))]);
    expect(await setPools(bench, 'whatsminer://10.0.0.1?passwordEnv=P')).toBe('resolved');
    // {"cmd":"update_pools","token":"hUPd7N4GyaYyoHmoJ3lTv1","pool1":"stratum+tcp://p:1","worker1":"acct.r1-01","passwd1":"x","pool2":"stratum+tcp://q:2","worker2":"acct.r1-01","passwd2":"y","pool3":"","worker3":"","passwd3":""}
    const data =
      'IVP44qTYg2cNBXfvusLSxNQnJEEy3GmwkBERBwhXDcOblXCzDi2hblvjBw/zme+tBUcjmKgWf2gKNRWe3sIFft806stuwxDcRhIz7nSR3Z3JkTAcDCyXRZ3bnlg6lljJKjJ5DwHrDHRA4iAUh3q+IceyuAaAH00pIPY2Ol89vkpXAPhhGVoWD4sYc03Cme/vq0Uepd8l5h43SUE1bMkKQIS07vac0HEi2IA4yeSEzabs2zSSwGutcQ5E+gLrdvt0oZ+xvG/fPuYS3EPto13sLqpvqmNJ3ChxyuZiTQJHcdk=';
    expect(asked).toEqual([
      '{"cmd":"summary"}',
      '{"cmd":"pools"}',
      '{"cmd":"get_token"}',
      `{"enc":1,"data":"${data}"}`,
    ]);
  });

  test('what it refuses in its own cipher is refused', async () => {
    const bench = makeBench([api(recorded([], FAILED))]);
    expect(await act(bench, 'whatsminer://10.0.0.1?passwordEnv=P', 'sleep', undefined)).toBe('VERB_REFUSED');
  });
});

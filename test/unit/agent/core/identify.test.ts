/**
 * By which words each family is told: the recorded answers named below, and what published clients look for
 * (UpstreamData/pyasic, pyasic/miners/factory.py: `_parse_socket_type`, `_parse_web_type`; 256foundation/asic-rs,
 * asic-rs-firmwares/braiins/src/firmware.rs: `identify_rpc`, `identify_web`).
 */
import { describe, expect, test } from 'vitest';

import { answerText } from '../../../../agent/core/identify.ts';
import type { Answer } from '../../../../agent/core/identify.ts';
import { frameWhatsminerV3 } from '../../../../protocols/asic/whatsminer-v3.ts';
import { seededRandom } from '../../../../host/random.ts';
import { bytes, DIGEST, follow, INVALID, none, page } from './identify-bench.ts';
import type { Answers } from './identify-bench.ts';

const version = (description: string, fields: string): Answer =>
  bytes(
    `{"STATUS":[{"STATUS":"S","When":1,"Code":22,"Msg":"x","Description":"${description}"}],"VERSION":[{"API":"3.7",${fields}}],"id":1}\u0000`,
  );
const ANTMINER = version('cgminer 1.0.0', '"BMMiner":"1.0.0","Miner":"49.0.1.3","Type":"Antminer S19 Pro"');
const V3 = {
  kind: 'bytes',
  bytes: frameWhatsminerV3(
    '{"code":0,"when":1,"msg":{"miner":{"type":"M60S_VK40"}},"desc":"get.device.info"}',
  ),
} as const;
const got = (api: string): Answer =>
  bytes(
    `{"STATUS":"S","When":1,"Code":131,"Msg":{"api_ver":"${api}","fw_ver":"20230803.11.REL","platform":"H616"},"Description":""}`,
  );

test.each<[string, Answers, string, string[], object?]>([
  [
    'LuxOS by its version alone',
    { version: version('LUXminer 2025.4', '"LUXminer":"2025.4","Type":"Antminer S19k Pro"') },
    'luxos',
    ['version'],
  ],
  [
    'Avalon by its product',
    { version: version('cgminer 4.11.1', '"PROD":"Avalon Q","MODEL":"Q"') },
    'avalon',
    ['version'],
  ],
  [
    'Avalon that refuses in text',
    {
      version: bytes('STATUS=E,When=1,Code=14,Msg=Invalid command,Description=cgminer 4.11.1|'),
      'version-text': bytes(
        'STATUS=S,When=1,Code=22,Msg=CGMiner versions,Description=cgminer 4.11.1|VERSION,CGMiner=4.11.1,PROD=AvalonMiner 1246|',
      ),
    },
    'avalon',
    ['version', 'version-text'],
    { dialect: 'text' },
  ],
  [
    'Avalon that closes at what is no text',
    {
      version: none('NET_RESET'),
      'version-text': bytes(
        'STATUS=S,When=1,Code=22,Msg=CGMiner versions,Description=cgminer 4.11.1|VERSION,CGMiner=4.11.1,PROD=AvalonMiner 1246|',
      ),
    },
    'avalon',
    ['version', 'version-text'],
    { dialect: 'text' },
  ],
  ['Auradine by its miner', { version: version('GCMiner 1.0', '"GCMiner":"1.0"') }, 'auradine', ['version']],
  [
    'stock Antminer by its version and the realm of its pages',
    { version: ANTMINER, '/': page(401, '', DIGEST) },
    'antminer',
    ['version', '/'],
  ],
  ['stock Antminer whose pages are closed', { version: ANTMINER }, 'antminer', ['version', '/']],
  [
    'VNish on the same hardware by its page',
    { version: ANTMINER, '/': page(200, '<title>AnthillOS</title>') },
    'vnish',
    ['version', '/'],
  ],
  ['an Antminer whose API is closed', { '/': page(401, '', DIGEST) }, 'antminer', ['version', '/']],
  [
    'Whatsminer by its own word',
    { version: INVALID, get_version: got('2.0.5') },
    'whatsminer',
    ['version', 'get_version'],
  ],
  [
    'Whatsminer with the newer API too',
    { version: INVALID, get_version: got('3.0.5'), 'device-info': V3 },
    'whatsminer-v3',
    ['version', 'get_version', 'device-info'],
  ],
  [
    'Whatsminer whose newer API is closed',
    { version: INVALID, get_version: got('3.0.5') },
    'whatsminer',
    ['version', 'get_version', 'device-info'],
  ],
  [
    'Whatsminer with the newer API alone',
    { 'device-info': V3 },
    'whatsminer-v3',
    ['version', '/', '8080/summary', 'device-info'],
  ],
  [
    'Braiins OS with REST',
    {
      version: version('BOSer boser-buildroot', '"BOSer":"x"'),
      '/api/v1/version': page(200, '{"major":1,"minor":0,"patch":0}'),
    },
    'braiins',
    ['version', '/api/v1/version'],
  ],
  [
    'Braiins OS with REST behind a token',
    { '/': page(200, '<title>Braiins OS</title>'), '/api/v1/version': page(401) },
    'braiins',
    ['version', '/', '/api/v1/version'],
  ],
  [
    'Braiins OS with GraphQL alone',
    { version: version('BOSer boser-buildroot', '"BOSer":"x"'), '/api/v1/version': page(404) },
    'braiins-graphql',
    ['version', '/api/v1/version'],
  ],
  [
    'Braiins OS whose every path is its page',
    {
      '/': page(200, '<title>Braiins OS</title>'),
      '/api/v1/version': page(200, '<title>Braiins OS</title>'),
    },
    'braiins-graphql',
    ['version', '/', '/api/v1/version'],
  ],
  ['Bitaxe by its title', { '/': page(200, '<title>AxeOS</title>') }, 'bitaxe', ['version', '/']],
  [
    'Bitaxe by its page',
    { '/': page(404), '/api/system/info': page(200, '{"ASICModel":"BM1368"}') },
    'bitaxe',
    ['version', '/', '/api/system/info'],
  ],
  [
    'VNish by its page',
    {
      '/': page(200),
      '/api/v1/info': page(200, '{"miner":"Antminer S19","fw_name":"Vnish","fw_version":"1.2.6"}'),
    },
    'vnish',
    ['version', '/', '/api/system/info', '/api/v1/info'],
  ],
  [
    'Proto Rig by its page',
    { '/': page(200), '/api/v1/system': page(200, '{"system-info":{"manufacturer":"Proto","model":"Rig"}}') },
    'proto-rig',
    ['version', '/', '/api/system/info', '/api/v1/info', '/api/v1/version', '/api/v1/system'],
  ],
  [
    'ePIC, a web server on the API’s port',
    {
      version: bytes('HTTP/1.1 400 Bad Request\r\n\r\n'),
      '4028/summary': page(200, '{"Software":"PowerPlay-BMS v1.5.13"}'),
    },
    'epic',
    ['version', '4028/summary'],
  ],
  [
    'Proto Rig at its other port',
    {
      '8080/summary': page(404),
      '8080/api/v1/system': page(200, '{"system-info":{"manufacturer":"Proto"}}'),
    },
    'proto-rig',
    ['version', '/', '8080/summary', '8080/api/v1/system'],
    { http: '8080' },
  ],
  [
    'Auradine whose API is closed',
    { '8080/summary': page(200, '{"STATUS":[{"STATUS":"E","Code":45,"Description":"FluxOS-1"}]}') },
    'auradine',
    ['version', '/', '8080/summary'],
  ],
  [
    'what speaks the API and no more is read only',
    { version: version('cgminer 4.12', '"CGMiner":"4.12"') },
    'cgminer',
    ['version', '/'],
  ],
])('%s', (_, answers, scheme, asked, options = {}) => {
  expect(follow(answers)).toEqual({ asked, end: scheme, options });
});

describe('nobody knows', () => {
  const every = [
    'version',
    '/',
    '/api/system/info',
    '/api/v1/info',
    '/api/v1/version',
    '/api/v1/system',
    '8080/summary',
    'device-info',
  ];
  test.each<[string, Answers, string[]]>([
    ['a host that is not there', { version: none('NET_UNREACHABLE') }, ['version']],
    ['a meter: all of it is closed', {}, ['version', '/', '8080/summary', 'device-info']],
    [
      'a silent one',
      { version: none('NET_TIMEOUT'), '/': none('NET_TIMEOUT') },
      ['version', '/', '8080/summary', 'device-info'],
    ],
    ['a printer', { '/': page(200, '<title>Printer</title>', { server: 'JetDirect' }) }, every],
    [
      'a router that asks for a password',
      { '/': page(401, '', { 'www-authenticate': 'Basic realm="router"' }) },
      every,
    ],
    [
      'another web server on the API’s port',
      { version: bytes('HTTP/1.1 200 OK\r\n\r\nx'), '4028/summary': page(200, '{"Software":"nginx"}') },
      ['version', '4028/summary', '/', '8080/summary', 'device-info'],
    ],
    [
      'one that closes without a word',
      { version: none('NET_RESET') },
      ['version', 'version-text', '4028/summary', '/', '8080/summary', 'device-info'],
    ],
    [
      'Braiins OS whose pages are closed',
      { version: version('BOSer boser-buildroot', '"BOSer":"x"') },
      ['version', '/api/v1/version'],
    ],
    ...[429, 500, 502, 503].map((status): [string, Answers, string[]] => [
      `Braiins OS whose pages say ${status}: they start`,
      { version: version('BOSer boser-buildroot', '"BOSer":"x"'), '/api/v1/version': page(status) },
      ['version', '/api/v1/version'],
    ]),
    [
      'noise',
      { version: bytes('\u0001\u0002\ufffd'), 'device-info': bytes('noise and more noise') },
      ['version', '/', '8080/summary', 'device-info'],
    ],
    ['an empty object', { version: bytes('{}') }, ['version', '/', '8080/summary', 'device-info']],
    [
      'a refusal by what is no Whatsminer',
      { version: INVALID, get_version: INVALID },
      ['version', 'get_version', '/', '8080/summary', 'device-info'],
    ],
  ])('%s', (_, answers, asked) => {
    expect(follow(answers)).toEqual({ asked, end: 'unknown', options: {} });
  });
});

test('ports that are not the usual ones stand in the target', () => {
  const ports = { api: 14_028, http: 8_081, v3: 14_433, alt: 8_081 };
  expect(follow({ version: ANTMINER }, ports).options).toEqual({ http: '8081', api: '14028' });
  expect(follow({ 'device-info': V3 }, ports).options).toEqual({ api: '14433' });
  expect(follow({ '/': page(200, 'AxeOS') }, ports).options).toEqual({ http: '8081' });
  expect(follow({ version: version('GCMiner 0.5', '"GCMiner":"0.5"') }, ports).options).toEqual({
    api: '14028',
    http: '8081',
  });
});

test('whatever is answered, it ends, asks nothing twice, and says nothing a terminal stumbles over', () => {
  const random = seededRandom(9);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)] as T;
  const texts = [
    '{',
    '{}',
    '[]',
    'null',
    '{"VERSION":7}',
    '{"VERSION":[{}]}',
    '{"STATUS":"E"}',
    '{"STATUS":[{"Description":7}],"VERSION":[{"Type":{"a":1}}]}',
    '{"Msg":{"api_ver":3}}',
    '{"Msg":{"api_ver":"3"}}',
    '{"VERSION":[{"Type":{"a":1},}]}',
    '{"STATUS":[{"Description":"\\u001b[2J"}],"VERSION":[{"Type":"Avalon"}]}',
    'STATUS=',
    'STATUS=S|VERSION,PROD=Avalon|',
    'HTTP/1.1',
    '{"system-info":[]}',
    '{"major":"1"}',
    '\u001b[2J',
    '<title>Braiins OS',
    '{"Software":{}}',
    '{"msg":{"miner":{"type":[]}}}',
    '',
  ];
  for (let n = 0; n < 200; n += 1) {
    const answers = new Proxy<Record<string, Answer>>(
      {},
      {
        get: () => {
          const text = pick(texts);
          return pick([
            bytes(text),
            page(pick([200, 401, 404, 500]), text, pick([{}, DIGEST, { server: '\u001b[1m' }])),
            none('NET_TIMEOUT'),
          ]);
        },
      },
    );
    expect(follow(answers).asked.length).toBeLessThanOrEqual(12);
    expect(answerText(answers['x'] ?? bytes(''))).toMatch(/^[\u0020-\u007e]*$/u);
  }
});

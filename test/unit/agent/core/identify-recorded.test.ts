import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import { frameWhatsminerV3 } from '../../../../protocols/asic/whatsminer-v3.ts';
import { bytes, DIGEST, follow, INVALID, page } from './identify-bench.ts';
import type { Answers } from './identify-bench.ts';

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const FOLDER = pathToFileURL(`${RECORDINGS}/`);

describe.skipIf(RECORDINGS === '' || !existsSync(FOLDER))('recorded answers', () => {
  const text = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8');
  test.each<[string, () => Answers, string]>([
    [
      'antminer-stock-2020',
      () => ({ version: bytes(text('antminer-stock-2020/version.json')), '/': page(401, '', DIGEST) }),
      'antminer',
    ],
    ['avalon', () => ({ version: bytes(text('avalon/version.json')) }), 'avalon'],
    [
      'braiins-24.09',
      () => ({ version: bytes(text('braiins-24.09/version.json')), '/api/v1/version': page(404) }),
      'braiins-graphql',
    ],
    [
      'braiins-25.07',
      () => ({
        '/': page(200, 'Braiins OS'),
        '/api/v1/version': page(200, text('braiins-25.07/version.json')),
      }),
      'braiins',
    ],
    [
      'bitaxe-2.0',
      () => ({ '/': page(200), '/api/system/info': page(200, text('bitaxe-2.0/system_info.json')) }),
      'bitaxe',
    ],
    [
      'epic',
      () => ({
        version: bytes('HTTP/1.1 400 Bad Request\r\n'),
        '4028/summary': page(200, text('epic/summary.json')),
      }),
      'epic',
    ],
    ['luxos', () => ({ version: bytes(text('luxos/version.json')) }), 'luxos'],
    [
      'proto-rig',
      () => ({ '/': page(200), '/api/v1/system': page(200, text('proto-rig/system.json')) }),
      'proto-rig',
    ],
    [
      'whatsminer-v2',
      () => ({ version: INVALID, get_version: bytes(text('whatsminer-v2/get_version.json')) }),
      'whatsminer',
    ],
    [
      'whatsminer-v3',
      () => ({
        'device-info': {
          kind: 'bytes',
          bytes: frameWhatsminerV3(text('whatsminer-v3/get_device_info.json')),
        },
      }),
      'whatsminer-v3',
    ],
  ])('%s', (_, answers, scheme) => {
    expect(follow(answers()).end).toBe(scheme);
  });
});

import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import type { DeviceIo } from '../../../../agent/driver.ts';
import { openDevice, parseTarget } from '../../../../agent/target.ts';
import { loadModel } from '../../../../config/models.ts';
import type { HttpRequest } from '../../../../host/deps.ts';
import { seededRandom } from '../../../../host/random.ts';
import { Fault } from '../../../../protocols/faults.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import { SimulatedBitaxe } from '../../../../simulator/devices/bitaxe.ts';
import { codeOf, makeBench, pages } from './miner-bench.ts';

const URL_PLAIN = 'bitaxe://10.0.0.1';
const info = (fields: string): string => `{"ASICModel":"BM1368","version":"v2.14.0",${fields}}`;

function read(page: string): Promise<Readings> {
  const bench = makeBench([pages({ '/api/system/info': page })]);
  return bench.run(bench.device(URL_PLAIN).read('fast', 1_000));
}

describe('reading', () => {
  test.each([
    ['"hashRate":1000', 'mine', 'good'],
    ['"hashRate":1000,"miningPaused":true', 'mine', 'uncertain'],
    ['"hashRate":0,"miningPaused":true', 'sleep', 'good'],
    ['"hashRate":0,"miningPaused":1', 'sleep', 'good'],
    ['"hashRate":0,"miningPaused":false', 'idle', 'good'],
    ['"hashRate":0', 'idle', 'good'],
  ])('%s is %s', async (fields, value, quality) => {
    expect((await read(info(fields)))['mode']).toMatchObject({ value, quality });
  });

  test('a rate of a thousand times what is expected is none, and no proof of a mode', async () => {
    const readings = await read(info('"hashRate":1000000,"expectedHashrate":1000'));
    expect(readings['hashrate']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
    expect(readings['mode']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
  });

  test('no hashrate is no sleep', async () => {
    expect((await read(info('"miningPaused":true')))['mode']).toMatchObject({ ok: false });
  });

  test('the fallback pool is named while it is used', async () => {
    const fields =
      '"isUsingFallbackStratum":1,"stratumURL":"a","fallbackStratumURL":"b","fallbackStratumPort":2';
    expect((await read(info(fields)))['pool.active']).toMatchObject({ value: 'b:2' });
  });
});

// `/api/system` and its `pause`, `resume` (from v2.14 on), `restart`, `identify`: AxeOS, openapi.yaml at 5c277131.
describe('verbs', () => {
  test.each([
    ['sleep', 'pause'],
    ['wake', 'resume'],
    ['reboot', 'restart'],
    ['locate', 'identify'],
  ] as const)('%s is POST /api/system/%s without a body', async (verb, word) => {
    const asked: string[] = [];
    for (const reply of ['', '{}', 'System will restart shortly.']) {
      asked.length = 0;
      const bench = makeBench([
        pages({ '/api/system/info': info('"hashRate":1'), [`/api/system/${word}`]: reply }, asked),
      ]);
      await bench.run(bench.device(URL_PLAIN).verbs[verb]?.(1, 1_000) ?? Promise.reject(new Error(verb)));
      expect(asked).toEqual(['GET /api/system/info', `POST /api/system/${word}`]);
    }
  });

  // ESP-Miner, main/http_server/http_server.c, POST_identify: asked while it blinks, it ends it.
  test('locate given twice goes on blinking', async () => {
    const model = loadModel('antminer-s21');
    if (model.kind !== 'asic') throw new Error(model.id);
    const random = seededRandom(1);
    const miner = new SimulatedBitaxe({ id: 'b', model, random, startMs: -1e6, password: '' });
    const bench = makeBench(miner.endpoints({ host: '10.0.0.1', api: 80, http: 80 }));
    const { verbs } = bench.device(URL_PLAIN);
    for (let time = 1; time <= 2; time += 1) {
      await bench.run(verbs.locate?.(1, 1_000) ?? Promise.reject(new Error('no locate')));
      expect(miner.blinks(bench.clock.monoMs())).toBe(true);
    }
    expect(miner.identified).toBe(3);
  });

  test('a version before v2.14 cannot pause, and is named', async () => {
    const bench = makeBench([pages({ '/api/system/info': '{"ASICModel":"BM1368","version":"v2.4.5"}' })]);
    const sleep = bench.device(URL_PLAIN).verbs.sleep?.(undefined, 1_000) ?? Promise.resolve();
    await expect(bench.run(sleep)).rejects.toThrow(/VERB_UNSUPPORTED.*v2\.4\.5/u);
  });

  test('what is no AxeOS is told nothing; blinking cannot be ended', async () => {
    const asked: string[] = [];
    const bench = makeBench([pages({ '/api/system/info': '{"model":"other"}' }, asked)]);
    const { verbs } = bench.device(URL_PLAIN);
    for (const verb of ['sleep', 'wake', 'reboot', 'locate'] as const)
      expect(await codeOf(bench.run(verbs[verb]?.(1, 1_000) ?? Promise.resolve()))).toBe('ANSWER_GARBAGE');
    expect(asked.filter((each) => each.startsWith('POST'))).toEqual([]);
    expect(await codeOf(bench.run(verbs.locate?.(0, 1_000) ?? Promise.resolve()))).toBe('VERB_UNSUPPORTED');
  });
});

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('bitaxe-2.0/system_info.json', pathToFileURL(`${RECORDINGS}/`));

test.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))(
  'a recorded answer, as a person reads it',
  async () => {
    const text = readFileSync(CAPTURE, 'utf8');
    const readings = await read(text);
    const values = Object.fromEntries(
      Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
    );
    expect(values).toEqual({
      hashrate: 1_000e9,
      power: 2.650_000_095_367_43,
      mode: 'mine',
      'chips.expected': 1,
      'temperature.chip.1': 59.875,
      'fan.1': 3_517,
      uptime: 4,
      'pool.active': 'btc.example.pool:3333',
      'shares.accepted': 0,
      'shares.rejected': 0,
    });
    const bench = makeBench([pages({ '/api/system/info': text })]);
    expect(await bench.run(bench.device(URL_PLAIN).identify(1_000))).toEqual({
      vendor: 'Bitaxe',
      model: 'BM1368',
      firmware: 'AxeOS v2.4.5-3-gb5d1e36-dirty',
    });
  },
);

test.each(['reboot', 'locate', 'sleep', 'wake'] as const)(
  'an answer to %s that is no HTTP is no OK, one in plain words is',
  async (verb) => {
    const bench = makeBench([
      pages({
        '/api/system/info': '{"ASICModel":"BM1368","version":"v2.14.0","frequency":490}',
        '/api/system/restart': 'System will restart shortly.',
        '/api/system/identify': 'Device says hi!',
        '/api/system/pause': 'paused',
        '/api/system/resume': 'resumed',
      }),
    ]);
    const act = (io: DeviceIo): Promise<string> =>
      codeOf(
        bench.run(
          openDevice(parseTarget(URL_PLAIN, { env: {} }), io).verbs[verb]?.(1, 5_000) ??
            Promise.reject(new Error('no verb')),
        ),
      );
    expect(await act(bench.io)).toBe('resolved');
    // What node:http says of bytes that are none.
    const broken: DeviceIo = Object.create(bench.io, {
      http: {
        value: {
          request: (request: HttpRequest) =>
            request.method === 'GET'
              ? bench.io.http.request(request)
              : Promise.reject(new Fault('ANSWER_GARBAGE', 'HPE_INVALID_CONSTANT')),
        },
      },
    }) as DeviceIo;
    expect(await act(broken)).toBe('ANSWER_GARBAGE');
  },
);

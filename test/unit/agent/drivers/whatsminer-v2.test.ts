import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import type { Readings } from '../../../../protocols/reading.ts';
import { api, codeOf, makeBench, scripted } from './miner-bench.ts';

const URL_PLAIN = 'whatsminer://10.0.0.1';
const URL_PASSWORD = 'whatsminer://10.0.0.1?passwordEnv=P';
/** Written by hand after the form of API 2.0. */
const summary = (fields: string): string =>
  `{"STATUS":[{"STATUS":"S","Code":11,"Msg":"Summary"}],"SUMMARY":[{"Elapsed":100,${fields}}],"id":1}`;
const status = (off: string): string =>
  `{"STATUS":"S","When":1,"Code":131,"Msg":{"mineroff":"${off}","power_limit_set":"3300"},"Description":""}`;

async function read(
  answers: Readonly<Record<string, string>>,
  scope: 'fast' | 'full' = 'fast',
): Promise<Readings> {
  const bench = makeBench([api(scripted(answers))]);
  return bench.run(bench.device(URL_PLAIN).read(scope, 1_000));
}

describe('reading', () => {
  test('a hashing machine costs one connection', async () => {
    const device = scripted({
      summary: summary(
        '"HS RT":100500000.0,"MHS av":99000000,"Power":3380,"Power Limit":3400,"Factory GHS":100000,"Env Temp":25.5,"Uptime":160',
      ),
    });
    const bench = makeBench([api(device)]);
    const readings = await bench.run(bench.device(URL_PLAIN).read('fast', 1_000));
    expect(readings['hashrate']).toMatchObject({ ok: true, value: 100.5e12, quality: 'good' });
    expect(readings['power']).toMatchObject({ value: 3_380, measured: true });
    expect(readings['power.limit']).toMatchObject({ value: 3_400, unit: 'W' });
    expect(readings['mode']).toMatchObject({ value: 'mine' });
    expect(readings['uptime']).toMatchObject({ value: 160 });
    expect(device.asked).toEqual(['summary']);
  });

  test('off is asleep, with the draw the machine reports', async () => {
    const readings = await read({ summary: summary('"HS RT":0,"Power":13'), status: status('true') });
    expect(readings['mode']).toMatchObject({ value: 'sleep', quality: 'good' });
    expect(readings['power']).toMatchObject({ value: 13 });
  });

  test('off with an empty summary is asleep, and its power unknown', async () => {
    const readings = await read({
      summary: '{"STATUS":[{"STATUS":"S"}],"SUMMARY":[]}',
      status: status('true'),
    });
    expect(readings['mode']).toMatchObject({ value: 'sleep' });
    expect(readings['power']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });

  test('not hashing and not off is idle; without a word of it, unknown', async () => {
    expect((await read({ summary: summary('"HS RT":0'), status: status('false') }))['mode']).toMatchObject({
      value: 'idle',
    });
    expect((await read({ summary: summary('"HS RT":0') }))['mode']).toMatchObject({
      ok: false,
      why: 'VERB_UNSUPPORTED',
    });
    expect(
      (await read({ summary: summary('"HS RT":0'), status: '{"STATUS":"S","Msg":{}}' }))['mode'],
    ).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });

  test('an average above zero does not hide that the machine is off', async () => {
    expect(
      (await read({ summary: summary('"MHS av":99000000'), status: status('true') }))['mode'],
    ).toMatchObject({ value: 'sleep' });
    expect(
      (await read({ summary: summary('"MHS av":99000000'), status: status('false') }))['mode'],
    ).toMatchObject({ value: 'mine', quality: 'uncertain' });
  });

  test.each([
    ['"HS RT":100500000000.0', 'VALUE_IMPLAUSIBLE'],
    ['"HS RT":450000000.0,"Factory GHS":100000', 'VALUE_IMPLAUSIBLE'],
    ['"HS RT":inf', 'VALUE_INVALID'],
  ])('%s is no hashrate and no mode', async (fields, why) => {
    const readings = await read({ summary: summary(fields), status: status('false') });
    expect(readings['hashrate']).toMatchObject({ ok: false, why });
    expect(readings['mode']).toMatchObject({ ok: false, why });
  });

  test('boards come by edevs, or by devs where there is none', async () => {
    const devs =
      '{"STATUS":[{"STATUS":"S"}],"DEVS":[{"Slot":0,"Temperature":65.5,"Chip Temp Max":80},{"Slot":2,"Temperature":500}]}';
    const readings = await read(
      {
        summary: summary('"HS RT":1'),
        devs,
        pools: '{"POOLS":[{"URL":"a","Stratum Active":false},{"URL":"b","Stratum Active":true}]}',
      },
      'full',
    );
    expect(readings['temperature.board.1']).toMatchObject({ value: 65.5 });
    expect(readings['temperature.board.3']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
    expect(readings['pool.active']).toMatchObject({ value: 'b' });
  });
});

describe('verbs', () => {
  const run = (
    answers: Readonly<Record<string, string>>,
    verb: 'sleep' | 'power-limit',
    argument?: number,
  ): Promise<string> => {
    const bench = makeBench([api(scripted(answers))]);
    return codeOf(bench.run(bench.device(URL_PASSWORD).verbs[verb]?.(argument, 2_000) ?? Promise.resolve()));
  };
  const token = '{"STATUS":"S","Code":134,"Msg":{"time":"4124","salt":"BQ5hoXV9","newsalt":"jbzkfQls"}}';

  test('without a password there are none', () => {
    expect(makeBench([]).device(URL_PLAIN).verbs).toEqual({});
  });

  test('a token refused again and again ends after three tries', async () => {
    let tokens = 0;
    let writes = 0;
    const bench = makeBench([
      api({
        respond: (bytes) => {
          const isToken = new TextDecoder().decode(bytes).includes('get_token');
          if (isToken) tokens += 1;
          else writes += 1;
          const text = isToken ? token : '{"STATUS":"E","Code":135,"Msg":"check token err"}';
          return { kind: 'bytes', bytes: new TextEncoder().encode(text), afterMs: 0, close: true };
        },
      }),
    ]);
    expect(
      await codeOf(
        bench.run(bench.device(URL_PASSWORD).verbs.sleep?.(undefined, 5_000) ?? Promise.resolve()),
      ),
    ).toBe('AUTH_FAILED');
    expect([tokens, writes]).toEqual([3, 3]);
  });

  test('a machine out of tokens is busy, not broken', async () => {
    expect(await run({ get_token: '{"STATUS":"E","Code":136,"Msg":"over max connect"}' }, 'sleep')).toBe(
      'QUEUE_FULL',
    );
  });

  test('a limit already in force is not set again; a senseless one never', async () => {
    expect(await run({ summary: summary('"Power Limit":3000') }, 'power-limit', 3_000)).toBe('resolved');
    expect(await run({}, 'power-limit', 0)).toBe('USAGE');
    expect(await run({}, 'power-limit', Number.NaN)).toBe('USAGE');
    expect(await run({}, 'power-limit')).toBe('USAGE');
  });
});

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('whatsminer-v2/', pathToFileURL(`${RECORDINGS}/`));

describe.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))('answers recorded from a Whatsminer', () => {
  const text = (name: string): string => readFileSync(new URL(`${name}.json`, CAPTURE), 'utf8');

  test.each([
    ['get_error_code', ''],
    ['get_error_code_with_errors', '218, 110'],
  ])('read as a person reads them: %s', async (codes, errors) => {
    const answers = {
      get_error_code: text(codes),
      summary: text('summary'),
      pools: text('pools'),
      devs: text('devs'),
      status: text('status'),
      get_version: text('get_version'),
    };
    const bench = makeBench([api(scripted(answers))]);
    const device = bench.device(URL_PLAIN);
    expect(await bench.run(device.identify(1_000))).toEqual({
      vendor: 'MicroBT',
      model: 'Whatsminer',
      firmware: '20230803.11.REL',
    });
    const readings = await bench.run(device.read('full', 1_000));
    const values = Object.fromEntries(
      Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
    );
    expect(values).toEqual({
      hashrate: 124.5e12,
      power: 3_200,
      'power.limit': 3_300,
      uptime: 25_500,
      mode: 'mine',
      'fan.1': 5_400,
      'fan.2': 5_280,
      'temperature.ambient': 28.5,
      'temperature.chip.max': 81,
      // 135 Effective Chips each; of rates there is MHS av alone.
      'boards.count': 3,
      'chips.count': 405,
      'hashrate.board.1': 41.5e12,
      'hashrate.board.2': 41.8e12,
      'hashrate.board.3': 41.7e12,
      'temperature.board.1': 65,
      'temperature.board.2': 66,
      'temperature.board.3': 67,
      'temperature.chip.1': 80,
      'temperature.chip.2': 81,
      'temperature.chip.3': 81,
      'pool.active': 'stratum+tcp://btc.example.pool:3333',
      'shares.accepted': 5_412,
      'shares.rejected': 0,
      errors,
    });
  });
});

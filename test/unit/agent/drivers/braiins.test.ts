import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import { asFault } from '../../../../protocols/faults.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import type { HttpAnswer, SimulatedEndpoint } from '../../../../simulator/device.ts';
import { codeOf, makeBench } from './miner-bench.ts';

const URL_PLAIN = 'braiins://10.0.0.1';
const URL_PASSWORD = `${URL_PLAIN}?passwordEnv=P`;
const LOGIN = '{"token":"T1","timeout_s":3600}';
const CONFIGURATION = '{"tuner":{"enabled":true,"tuner_mode":1,"power_target":{"watt":3031}}}';

interface Pages extends Readonly<Record<string, string | number>> {}

/** A device that answers by method and path as written down: a text, or the status of an empty page. */
function rest(pages: Pages): SimulatedEndpoint & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    kind: 'http',
    host: '10.0.0.1',
    port: 80,
    device: {
      respondHttp: ({ method, path, headers, body }): HttpAnswer => {
        const { authorization: token, 'content-type': type } = headers;
        const said = [`${method} ${path}`, token && `Authorization: ${token}`, type, body];
        asked.push(said.filter((part) => part !== undefined && part !== '').join(' | '));
        const page =
          pages[`${method} ${path.replace('/api/v1/', '')}`] ?? pages[path.replace('/api/v1/', '')] ?? 404;
        const isText = typeof page === 'string';
        return {
          kind: 'response',
          status: isText ? 200 : page,
          headers: {},
          body: isText ? page : '',
          afterMs: 0,
        };
      },
    },
  };
}

const stats = (ghs: string, watts: string): string =>
  `{"miner_stats":{"real_hashrate":{${ghs}}},"power_stats":{"approximated_consumption":{"watt":${watts}}}}`;
const rate = (window: string, ghs: string): string => `"${window}":{"gigahash_per_second":${ghs}}`;
const details = (fields: string): string =>
  `{"sticker_hashrate":{"gigahash_per_second":141000.0},"system_uptime_s":69725,${fields}}`;

async function read(pages: Pages, scope: 'fast' | 'full' = 'fast'): Promise<Readings> {
  const bench = makeBench([rest({ 'auth/login': LOGIN, ...pages })]);
  return bench.run(bench.device(URL_PASSWORD).read(scope, 1_000));
}

describe('reading', () => {
  test('a hashing machine costs one page, and a login once', async () => {
    const device = rest({ 'auth/login': LOGIN, 'miner/stats': stats(rate('last_5s', '141463.5'), '3137') });
    const bench = makeBench([device]);
    const miner = bench.device(URL_PASSWORD);
    const readings = await bench.run(miner.read('fast', 1_000));
    expect(readings['hashrate']).toMatchObject({ value: 141_463.5e9, quality: 'good', unit: 'H/s' });
    expect(readings['power']).toMatchObject({ value: 3_137, measured: false });
    expect(readings['mode']).toMatchObject({ value: 'mine' });
    await bench.run(miner.read('fast', 1_000));
    const page = 'GET /api/v1/miner/stats | Authorization: T1';
    expect(device.asked).toEqual([
      'POST /api/v1/auth/login | application/json | {"username":"root","password":"secret"}',
      page,
      page,
    ]);
  });

  test.each([
    ['3', 'sleep'],
    ['2', 'idle'],
    ['1', 'idle'],
    ['4', 'idle'],
  ])('not hashing with status %s is %s', async (status, mode) => {
    const zero = stats(rate('last_5s', '0'), '60');
    const readings = await read({ 'miner/stats': zero, 'miner/details': details(`"status":${status}`) });
    expect(readings['mode']).toMatchObject({ ok: true, value: mode });
  });

  test('statistics that are none are no sleep, unless the details say so', async () => {
    for (const none of [stats('', 'null'), stats(rate('last_5s', 'null'), 'null'), 500]) {
      const paused = await read({ 'miner/stats': none, 'miner/details': details('"status":3') });
      expect(paused['mode']).toMatchObject({ value: 'sleep' });
      expect(paused['hashrate']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
      expect(paused['power']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    }
    expect((await read({ 'miner/stats': stats('', '1') }))['mode']).toMatchObject({
      ok: false,
      why: 'VERB_UNSUPPORTED',
    });
    expect(await codeOf(read({ 'miner/stats': 500 }))).toBe('VERB_REFUSED');
    expect(
      (await read({ 'miner/stats': stats('', '1'), 'miner/details': details('"a":1') }))['mode'],
    ).toMatchObject({
      ok: false,
      why: 'VALUE_MISSING',
    });
  });

  test('a rate far above the sticker is none', async () => {
    const pages = {
      'miner/stats': stats(rate('last_5s', '141463565.4'), '3137'),
      'miner/details': details('"status":2'),
    };
    const bench = makeBench([rest({ 'auth/login': LOGIN, ...pages })]);
    const device = bench.device(URL_PASSWORD);
    await bench.run(device.read('full', 1_000));
    const readings = await bench.run(device.read('fast', 1_000));
    expect(readings['hashrate']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
    expect(readings['mode']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
  });

  test('parts of a full reading that fail are readings with their reason', async () => {
    const readings = await read(
      {
        'miner/stats': stats(rate('last_5s', '1'), '1'),
        'miner/details': 503,
        pools: '{',
        'cooling/state': '{"fans":7}',
      },
      'full',
    );
    expect(readings['uptime']).toMatchObject({ ok: false, why: 'QUEUE_FULL' });
    expect(readings['pool.active']).toMatchObject({ ok: false, why: 'ANSWER_GARBAGE' });
    expect(readings['temperature.board.1']).toMatchObject({ ok: false, why: 'VERB_UNSUPPORTED' });
    expect(readings['power.limit']).toMatchObject({ ok: false, why: 'VERB_UNSUPPORTED' });
    expect(readings['mode']).toMatchObject({ value: 'mine' });
  });
});

describe('logging in', () => {
  test('without a password nothing can be read', async () => {
    const bench = makeBench([rest({})]);
    const device = bench.device(URL_PLAIN);
    expect(device.verbs).toEqual({});
    expect(await codeOf(bench.run(device.read('fast', 1_000)))).toBe('AUTH_FAILED');
  });

  test('a token that has ended is renewed, once; a wrong password is said', async () => {
    let token = 0;
    const asked: string[] = [];
    const bench = makeBench([
      {
        ...rest({}),
        kind: 'http',
        device: {
          respondHttp: ({ path, headers }): HttpAnswer => {
            asked.push(`${path} ${headers['authorization'] ?? ''}`);
            const reply = (status: number, body: string): HttpAnswer => ({
              kind: 'response',
              status,
              headers: {},
              body,
              afterMs: 0,
            });
            if (path.endsWith('login')) return reply(200, `{"token":"T${(token += 1)}"}`);
            return headers['authorization'] === 'T2'
              ? reply(200, 'true')
              : reply(401, '{"message":"Unauthorized"}');
          },
        },
      },
    ]);
    const { verbs } = bench.device(URL_PASSWORD);
    // The first token is refused at once: that is no old token.
    expect(await codeOf(bench.run(verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()))).toBe('AUTH_FAILED');
    expect(asked).toEqual(['/api/v1/auth/login ', '/api/v1/actions/pause T1']);
    await bench.run(verbs.sleep?.(undefined, 1_000) ?? Promise.resolve());
    token = 1;
    expect(await codeOf(bench.run(verbs.wake?.(undefined, 1_000) ?? Promise.resolve()))).toBe('resolved');
    const refused = makeBench([rest({ 'auth/login': 401 })]);
    expect(await codeOf(refused.run(refused.device(URL_PASSWORD).read('fast', 1_000)))).toBe('AUTH_FAILED');
  });

  test.each([
    [200, 'hunter2'],
    [422, 'no such field: {"username":"root","password":"hunter2"}'],
  ])('what a login of status %s says is in no message', async (status, body) => {
    const respondHttp = (): HttpAnswer => ({ kind: 'response', status, headers: {}, body, afterMs: 0 });
    const bench = makeBench([{ kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } }]);
    const failed = bench.run(bench.device(URL_PASSWORD, 'hunter2').read('fast', 1_000));
    const message = await failed.then(() => 'resolved', String);
    expect(message).toContain('auth/login');
    expect(message).not.toContain('hunter2');
  });

  test('a token issued before is used as it is', async () => {
    const device = rest({ 'miner/stats': stats(rate('last_5s', '1'), '1') });
    const bench = makeBench([device]);
    await bench.run(bench.device(`${URL_PASSWORD}&auth=token`).read('fast', 1_000));
    expect(device.asked).toEqual(['GET /api/v1/miner/stats | Authorization: secret']);
    expect(() => bench.device(`${URL_PASSWORD}&auth=basic`)).toThrow(/TARGET_INVALID/u);
  });
});

describe('a login that is refused', () => {
  test('is tried once, and again after five minutes; what is read meanwhile says so', async () => {
    const device = rest({ 'auth/login': 401 });
    const bench = makeBench([device]);
    const miner = bench.device(URL_PASSWORD);
    const why = (): Promise<string> =>
      bench.run(
        miner.read('fast', 1_000).then(
          () => 'read',
          (error: unknown) => asFault(error).detail,
        ),
      );
    expect(await why()).toMatch(/HTTP 401$/u);
    for (let n = 0; n < 20; n += 1) expect(await why()).toMatch(/the same login is tried again in \d+ s$/u);
    expect(device.asked).toHaveLength(1);
    await bench.clock.advance(300_000);
    expect(await why()).toMatch(/HTTP 401$/u);
    expect(device.asked).toHaveLength(2);
  });

  test('a token issued before that is refused is asked with once per reading', async () => {
    const device = rest({ 'miner/stats': 401 });
    const bench = makeBench([device]);
    const miner = bench.device(`${URL_PASSWORD}&auth=token`);
    for (let n = 1; n <= 3; n += 1) {
      expect(await codeOf(bench.run(miner.read('fast', 1_000)))).toBe('AUTH_FAILED');
      expect(device.asked).toHaveLength(n);
    }
  });

  test('a device that was away when it was to log in is asked again at once', async () => {
    const device = rest({ 'auth/login': 503 });
    const bench = makeBench([device]);
    const miner = bench.device(URL_PASSWORD);
    for (let n = 1; n <= 3; n += 1) {
      expect(await codeOf(bench.run(miner.read('fast', 1_000)))).toBe('QUEUE_FULL');
      // For the statistics, and for the details that may say why there are none.
      expect(device.asked).toHaveLength(2 * n);
    }
  });
});

describe('verbs, as the REST API of 25.07 has them', () => {
  test.each([
    ['sleep', undefined, 'PUT /api/v1/actions/pause | Authorization: T1'],
    ['wake', undefined, 'PUT /api/v1/actions/resume | Authorization: T1'],
    ['reboot', undefined, 'PUT /api/v1/actions/reboot | Authorization: T1'],
    ['locate', 1, 'PUT /api/v1/actions/locate | Authorization: T1 | application/json | true'],
    ['locate', 0, 'PUT /api/v1/actions/locate | Authorization: T1 | application/json | false'],
    [
      'power-limit',
      2_500,
      'PUT /api/v1/performance/power-target | Authorization: T1 | application/json | {"watt":2500}',
    ],
  ] as const)('%s %s', async (verb, argument, literal) => {
    const device = rest({
      'auth/login': LOGIN,
      'configuration/miner': CONFIGURATION,
      'miner/details': details('"status":2'),
      [literal.split(' | ')[0]?.replace('/api/v1/', '') ?? '']: 'null',
    });
    const bench = makeBench([device]);
    await bench.run(
      bench.device(URL_PASSWORD).verbs[verb]?.(argument, 1_000) ?? Promise.reject(new Error(verb)),
    );
    expect(device.asked.at(-1)).toBe(literal);
    expect(device.asked.filter((asked) => asked.startsWith('PUT'))).toHaveLength(1);
  });

  test.each([
    [400, 'VERB_REFUSED'],
    [404, 'VERB_UNSUPPORTED'],
    [429, 'QUEUE_FULL'],
    [403, 'AUTH_FAILED'],
  ])('HTTP %s is %s', async (status, code) => {
    const bench = makeBench([rest({ 'auth/login': LOGIN, 'actions/pause': status })]);
    expect(
      await codeOf(
        bench.run(bench.device(URL_PASSWORD).verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()),
      ),
    ).toBe(code);
  });

  test('a target already in force is not set again; a senseless one never', async () => {
    const device = rest({ 'auth/login': LOGIN, 'configuration/miner': CONFIGURATION });
    const bench = makeBench([device]);
    const { verbs } = bench.device(URL_PASSWORD);
    await bench.run(verbs['power-limit']?.(3_031, 1_000) ?? Promise.resolve());
    for (const senseless of [0, -1, 1.5, Number.NaN, undefined, 1e6])
      expect(await codeOf(bench.run(verbs['power-limit']?.(senseless, 1_000) ?? Promise.resolve()))).toBe(
        'USAGE',
      );
    expect(device.asked.some((asked) => asked.startsWith('PUT'))).toBe(false);
  });

  // braiins.bos.v1, TunerMode: 1 is a power target, 2 a hashrate target.
  test.each([
    ['{"tuner":{"enabled":true,"tuner_mode":2,"power_target":{"watt":3031}}}', 'VERB_REFUSED'],
    ['{"tuner":{"enabled":false,"tuner_mode":1,"power_target":{"watt":3031}}}', 'VERB_REFUSED'],
    ['{"tuner":null}', 'ANSWER_GARBAGE'],
  ])('a limit that no other limit could take back is refused: %s', async (configuration, code) => {
    const device = rest({
      'auth/login': LOGIN,
      'configuration/miner': configuration,
      'PUT performance/power-target': 'null',
    });
    const bench = makeBench([device]);
    const limit = bench.device(URL_PASSWORD).verbs['power-limit']?.(2_500, 1_000);
    expect(await codeOf(bench.run(limit ?? Promise.resolve()))).toBe(code);
    expect(device.asked.some((asked) => asked.startsWith('PUT'))).toBe(false);
  });
});

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('braiins-25.07/', pathToFileURL(`${RECORDINGS}/`));

describe.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))(
  'answers recorded from an S19 XP with 25.07',
  () => {
    const text = (name: string): string => readFileSync(new URL(`${name}.json`, CAPTURE), 'utf8');

    test('read as a person reads them', async () => {
      const bench = makeBench([
        rest({
          'auth/login': LOGIN,
          'miner/stats': text('miner_stats'),
          'miner/details': text('miner_details'),
          'miner/hw/hashboards': text('miner_hw_hashboards'),
          'cooling/state': text('cooling_state'),
          pools: text('pools'),
          'performance/tuner-state': text('performance_tuner_state'),
          'configuration/miner': text('configuration_miner'),
        }),
      ]);
      const device = bench.device(URL_PASSWORD);
      expect(await bench.run(device.identify(1_000))).toEqual({
        vendor: 'Bitmain',
        model: 'Antminer S19 XP',
        firmware: 'Braiins OS 2025-08-06-0-3881c51d-25.07-plus',
      });
      const readings = await bench.run(device.read('full', 1_000));
      const values = Object.fromEntries(
        Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
      );
      expect(values).toEqual({
        hashrate: 141_463.56540072063 * 1e9,
        power: 3_137,
        'power.limit': 3_031,
        uptime: 69_725,
        mode: 'mine',
        // chips_count 110 on each of three; last_5s in GH/s.
        'boards.count': 3,
        'chips.count': 330,
        'hashrate.board.1': expect.closeTo(50_137.729e9, -8),
        'hashrate.board.2': expect.closeTo(47_859.278e9, -8),
        'hashrate.board.3': expect.closeTo(50_362.69e9, -8),
        'temperature.board.1': 55.5,
        'temperature.chip.1': 70.5,
        'temperature.board.2': 52,
        'temperature.chip.2': 67,
        'temperature.board.3': 54,
        'temperature.chip.3': 69,
        'fan.1': 5_904,
        'fan.2': 5_874,
        'fan.3': 5_874,
        'fan.4': 5_904,
        'pool.active': 'stratum+tcp://example.pool.com:3333',
        'shares.accepted': 10_464,
        'shares.rejected': 18,
      });
      expect(device.settings?.newest()?.settings).toEqual({
        powerLimit: 3_031,
        tunerMode: 1,
        'pool.1.url': 'stratum+tcp://example.pool.com:3333',
        'pool.1.user': 'asic_rs.test',
        'pool.2.url': 'stratum+tcp://example.pool2.com:3333',
        'pool.2.user': 'asic_rs.test',
      });
    });
  },
);

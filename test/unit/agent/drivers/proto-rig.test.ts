import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import { actAndVerify } from '../../../../agent/verify.ts';
import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import type { HttpAnswer, SimulatedEndpoint } from '../../../../simulator/device.ts';
import { SimulatedProtoRig } from '../../../../simulator/devices/proto-rig.ts';
import { boardRates, codeOf, makeBench } from './miner-bench.ts';
import type { Bench } from './miner-bench.ts';

const URL_PLAIN = 'proto-rig://10.0.0.1';
const URL_PASSWORD = `${URL_PLAIN}?passwordEnv=P`;
const LOGIN = '{"access_token":"A1","refresh_token":"R1"}';
const TARGET =
  '{"power_target_watts":3400,"power_target_min_watts":2000,"power_target_max_watts":4000,"default_power_target_watts":3400,"performance_mode":"Efficiency","balance_bays":true,"hash_on_disconnect":false}';
const mining = (fields: string): string => `{"mining-status":{${fields},"power_usage_watts":3447.5}}`;
const HASHING = mining('"status":"Mining","hashrate_ghs":141147.4,"ideal_hashrate_ghs":145000');

type Page = string | number;
interface Pages extends Readonly<Record<string, Page | (() => Page)>> {}
type Rig = SimulatedEndpoint & { readonly asked: string[] };

/** A rig that answers by method and path as written down: a text, or the status of an empty page. `tokens`: the ones it takes. */
function rig(pages: Pages, tokens: readonly string[] = ['A1']): Rig {
  const asked: string[] = [];
  const reply = (page: string | number): HttpAnswer => ({
    kind: 'response',
    status: typeof page === 'number' ? page : 200,
    headers: {},
    body: typeof page === 'number' ? '' : page,
    afterMs: 0,
  });
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
        const name = path.replace('/api/v1/', '');
        if (
          !name.startsWith('auth/') &&
          name !== 'system' &&
          !tokens.some((one) => token === `Bearer ${one}`)
        )
          return reply(401);
        const page = pages[`${method} ${name}`] ?? pages[name] ?? 404;
        return reply(typeof page === 'function' ? page() : page);
      },
    },
  };
}

async function read(pages: Pages, scope: 'fast' | 'full' = 'fast'): Promise<Readings> {
  const bench = makeBench([rig({ 'auth/login': LOGIN, ...pages })]);
  return bench.run(bench.device(URL_PASSWORD).read(scope, 1_000));
}

describe('reading', () => {
  test('a hashing rig costs one page, and a login once', async () => {
    const device = rig({ 'auth/login': LOGIN, mining: HASHING });
    const bench = makeBench([device]);
    const miner = bench.device(URL_PASSWORD);
    const readings = await bench.run(miner.read('fast', 1_000));
    expect(readings['hashrate']).toMatchObject({ value: 141_147.4e9, quality: 'good', unit: 'H/s' });
    expect(readings['power']).toMatchObject({ value: 3_447.5, measured: false });
    expect(readings['mode']).toMatchObject({ value: 'mine', quality: 'good' });
    await bench.run(miner.read('fast', 1_000));
    const page = 'GET /api/v1/mining | Authorization: Bearer A1';
    expect(device.asked).toEqual([
      'POST /api/v1/auth/login | application/json | {"password":"secret"}',
      page,
      page,
    ]);
  });

  // The words: block/proto-fleet, server/fake-proto-rig/models.go, MiningState.
  test.each([
    ['Mining', 1, 'mine', 'good'],
    ['DegradedMining', 1, 'mine', 'good'],
    ['PoweringOff', 1, 'mine', 'good'],
    ['Stopped', 1, 'mine', 'uncertain'],
    ['Curtailed', 1, 'mine', 'uncertain'],
    ['Stopped', 0, 'sleep', 'good'],
    ['Curtailed', 0, 'sleep', 'uncertain'],
    ['PoweringOff', 0, 'idle', 'good'],
    ['PoweringOn', 0, 'idle', 'good'],
    ['NoPools', 0, 'idle', 'good'],
    ['Error', 0, 'idle', 'good'],
    ['Mining', 0, 'idle', 'good'],
  ])('%s at %s GH/s is %s', async (status, rate, value, quality) => {
    const readings = await read({ mining: mining(`"status":"${status}","hashrate_ghs":${rate}`) });
    expect(readings['mode']).toMatchObject({ value, quality });
  });

  test('a rig that others hold at rest names them', async () => {
    const readings = await read({
      mining: mining('"status":"Curtailed","hashrate_ghs":0'),
      'curtailment/status': '{"active":true,"provider":"maestro"}',
    });
    expect(readings['mode']).toMatchObject({ why: expect.stringContaining('maestro') as string });
  });

  test('a rate a thousand times what it was made for is none; no rate is no sleep', async () => {
    const inflated = mining('"status":"Mining","hashrate_ghs":141147435,"ideal_hashrate_ghs":145000');
    expect((await read({ mining: inflated }))['hashrate']).toMatchObject({ why: 'VALUE_IMPLAUSIBLE' });
    expect((await read({ mining: mining('"status":"Stopped"') }))['mode']).toMatchObject({ ok: false });
    const average = mining('"status":"Mining","average_hashrate_ghs":5');
    expect((await read({ mining: average }))['hashrate']).toMatchObject({ quality: 'uncertain' });
  });

  test('parts of a full reading that fail are readings with their reason', async () => {
    const hot = '{"hashboards":[{"index":0,"temperature":{"unit":"°F","average":122}},{"index":1}]}';
    const readings = await read(
      { mining: HASHING, cooling: 503, pools: '{', 'telemetry?level=hashboard': hot },
      'full',
    );
    expect(readings['fan.1']).toMatchObject({ ok: false, why: 'QUEUE_FULL' });
    expect(readings['pool.active']).toMatchObject({ ok: false, why: 'ANSWER_GARBAGE' });
    expect(readings['temperature.board.1']).toMatchObject({ ok: false, why: 'VALUE_INVALID' });
    expect(readings['temperature.board.2']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect(readings['mode']).toMatchObject({ value: 'mine' });
  });
});

describe('logging in', () => {
  test('without a password it is named and nothing more', async () => {
    const system =
      '{"system-info":{"product_name":"Proto Rig","model":"Rig","os":{"name":"ProtoOS","version":"1.9"}}}';
    const bench = makeBench([rig({ system })]);
    const device = bench.device(URL_PLAIN);
    expect(device.verbs).toEqual({});
    expect(await bench.run(device.identify(1_000))).toEqual({
      vendor: 'Proto',
      model: 'Rig',
      firmware: 'ProtoOS 1.9',
    });
    expect(await codeOf(bench.run(device.read('fast', 1_000)))).toBe('AUTH_FAILED');
  });

  test.each([
    ['{"access_token":"A2"}', ['POST /api/v1/auth/refresh | application/json | {"refresh_token":"R1"}']],
    ...[401, '{}', ''].map((said): [Page, string[]] => [
      said,
      [
        'POST /api/v1/auth/refresh | application/json | {"refresh_token":"R1"}',
        'POST /api/v1/auth/login | application/json | {"password":"secret"}',
      ],
    ]),
  ])(
    'a token that has ended is renewed by the refresh token, then by one login (%s)',
    async (said, renewal) => {
      const tokens = ['A1'];
      const pages: Record<string, Page> = { 'auth/login': LOGIN, mining: HASHING };
      const device = rig(pages, tokens);
      const bench = makeBench([device]);
      const miner = bench.device(URL_PASSWORD);
      await bench.run(miner.read('fast', 1_000));
      tokens[0] = 'A2';
      pages['auth/refresh'] = said;
      pages['auth/login'] = '{"access_token":"A2","refresh_token":"R2"}';
      device.asked.length = 0;
      await bench.run(miner.read('fast', 1_000));
      expect(device.asked).toEqual([
        'GET /api/v1/mining | Authorization: Bearer A1',
        ...renewal,
        'GET /api/v1/mining | Authorization: Bearer A2',
      ]);
    },
  );

  test('a wrong password is tried once in five minutes, by readings and commands together', async () => {
    const device = rig({ 'auth/login': 401, mining: HASHING });
    const bench = makeBench([device]);
    const miner = bench.device(URL_PASSWORD);
    const failures = async (): Promise<void> => {
      expect(await codeOf(bench.run(miner.read('fast', 1_000)))).toBe('AUTH_FAILED');
      expect(await codeOf(bench.run(miner.verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()))).toBe(
        'AUTH_FAILED',
      );
    };
    for (let n = 0; n < 5; n += 1) await failures();
    expect(device.asked).toHaveLength(1);
    await bench.clock.advance(301_000);
    await failures();
    expect(device.asked).toHaveLength(2);
  });

  test.each([
    [200, '{"access_token":7,"echo":"hunter2"}'],
    [200, '{"access_token":"A\\nX-Other: hunter2"}'],
    [422, '{"password":"hunter2"}'],
  ])('what a login of status %s says is in no message', async (status, body) => {
    const respondHttp = (): HttpAnswer => ({ kind: 'response', status, headers: {}, body, afterMs: 0 });
    const bench = makeBench([{ kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } }]);
    const failed = bench.run(bench.device(URL_PASSWORD, 'hunter2').read('fast', 1_000));
    const message = await failed.then(() => 'resolved', String);
    expect(message).toContain('auth/login');
    expect(message).not.toContain('hunter2');
  });
});

/**
 * Paths, methods and parameters: block/proto-fleet, server/fake-proto-rig/rest_api_handler.go (RegisterRoutes,
 * handleMiningTarget, handleLocate) and its README: `enable=false` ends the blinking, `led_on_time` is 300 at most.
 */
describe('verbs, as the MDK-API has them', () => {
  const all: Pages = {
    'auth/login': LOGIN,
    mining: HASHING,
    'mining/target': TARGET,
    pools: '{"pools":[]}',
    'curtailment/status': '{"active":false,"known":false,"provider":null,"reason":"no_status_received"}',
  };
  const bearer = 'Authorization: Bearer A1';

  test.each([
    ['sleep', undefined, `POST /api/v1/mining/stop | ${bearer}`],
    ['wake', undefined, `POST /api/v1/mining/start | ${bearer}`],
    ['reboot', undefined, `POST /api/v1/system/reboot | ${bearer}`],
    ['locate', 1, `POST /api/v1/system/locate?led_on_time=300 | ${bearer}`],
    ['locate', 0, `POST /api/v1/system/locate?enable=false | ${bearer}`],
    [
      'power-limit',
      2_500,
      `PUT /api/v1/mining/target | ${bearer} | application/json | {"power_target_watts":2500,"performance_mode":"Efficiency","balance_bays":true,"hash_on_disconnect":false}`,
    ],
  ] as const)('%s %s', async (verb, argument, literal) => {
    const [asked = ''] = literal.replace('/api/v1/', '').split(' | ');
    let target = TARGET;
    const device = rig({
      ...all,
      'GET mining/target': () => target,
      // Read again, it shows what was set.
      [asked]: () => ((target = TARGET.replace('3400', '2500')), '{"message":"accepted"}'),
    });
    const bench = makeBench([device]);
    const carryOut = bench.device(URL_PASSWORD).verbs[verb];
    await bench.run(carryOut?.(argument, 1_000) ?? Promise.reject(new Error(verb)));
    expect(device.asked.filter((each) => !each.startsWith('GET') && !each.includes('/auth/'))).toEqual([
      literal,
    ]);
    if (verb === 'power-limit') expect(device.asked.at(-1)).not.toBe(literal);
  });

  test.each([
    [409, 'VERB_REFUSED'],
    [404, 'VERB_UNSUPPORTED'],
    [503, 'QUEUE_FULL'],
    [403, 'AUTH_FAILED'],
  ])('HTTP %s is %s', async (status, code) => {
    const bench = makeBench([rig({ ...all, 'mining/stop': status })]);
    const sleep = bench.device(URL_PASSWORD).verbs.sleep?.(undefined, 1_000) ?? Promise.resolve();
    expect(await codeOf(bench.run(sleep))).toBe(code);
  });

  test('a target in force is not set again; one outside the bounds of the rig never', async () => {
    const device = rig(all);
    const bench = makeBench([device]);
    const { verbs } = bench.device(URL_PASSWORD);
    await bench.run(verbs['power-limit']?.(3_400, 1_000) ?? Promise.resolve());
    const limit = (watts: number | undefined): Promise<string> =>
      codeOf(bench.run(verbs['power-limit']?.(watts, 1_000) ?? Promise.resolve()));
    for (const senseless of [0, -1, 1.5, Number.NaN, undefined, 1e6])
      expect(await limit(senseless)).toBe('USAGE');
    for (const outside of [1_999, 4_001]) expect(await limit(outside)).toBe('VERB_REFUSED');
    expect(device.asked.some((asked) => asked.startsWith('PUT'))).toBe(false);
  });

  test('a target that it takes and does not keep is said', async () => {
    const bench = makeBench([rig({ ...all, 'PUT mining/target': TARGET })]);
    const limit = bench.device(URL_PASSWORD).verbs['power-limit']?.(2_500, 1_000) ?? Promise.resolve();
    await expect(bench.run(limit)).rejects.toThrow(/VERB_NOT_OBSERVED.*3400 W/u);
  });
});

function stand(): { bench: Bench; miner: SimulatedProtoRig } {
  const model = loadModel('proto-rig');
  if (model.kind !== 'asic') throw new Error(model.id);
  const miner = new SimulatedProtoRig({
    id: 'm1',
    model,
    random: seededRandom(1),
    startMs: -1e8,
    password: 'secret',
  });
  return { bench: makeBench(miner.endpoints({ host: '10.0.0.1', api: 4028, http: 80 })), miner };
}

describe('a rig that another master curtails', () => {
  test('is not woken against it, and says whom it obeys; freed, it is', async () => {
    const { bench, miner } = stand();
    const device = bench.device(URL_PASSWORD);
    const wait = { clock: bench.clock, timeoutMs: 200_000, pollMs: 5_000 };
    miner.curtail('maestro', bench.clock.monoMs());
    await bench.clock.advance(60_000);
    const refused = await bench.run(actAndVerify(device, 'wake', undefined, wait));
    expect(refused).toMatchObject({
      stage: 'failed',
      fault: { code: 'FOREIGN_MASTER' },
      after: { mode: { value: 'sleep' } },
    });
    expect(refused.fault?.detail).toContain('maestro');
    expect(miner.changes).toBe(0);
    // A stop of ours is a word for the time after: it stays at rest when they let go.
    expect((await bench.run(actAndVerify(device, 'sleep', undefined, wait))).stage).toBe('observed');
    miner.curtail(undefined, bench.clock.monoMs());
    expect((await bench.run(actAndVerify(device, 'wake', undefined, wait))).stage).toBe('observed');
  });

  test('shows it among its settings, where a change is an alarm', async () => {
    const { bench, miner } = stand();
    const device = bench.device(URL_PASSWORD);
    const curtailment = async (): Promise<unknown> => {
      await bench.run(device.read('full', 1_000));
      return device.settings?.newest()?.settings['curtailment'];
    };
    expect(await curtailment()).toBe('none');
    miner.curtail('maestro', bench.clock.monoMs());
    expect(await curtailment()).toBe('by maestro');
  });
});

test('hours of polling cost one login: the refresh token carries it on', async () => {
  const { bench, miner } = stand();
  const device = bench.device(URL_PASSWORD);
  for (let n = 0; n < 6; n += 1) {
    await bench.run(device.read('fast', 1_000));
    await bench.clock.advance(1_000_000);
  }
  expect([miner.logins, miner.refreshes]).toEqual([1, 5]);
});

/** Recorded answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('proto-rig/', pathToFileURL(`${RECORDINGS}/`));

describe.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))('answers recorded at 1.8.0', () => {
  const text = (name: string): string => readFileSync(new URL(`${name}.json`, CAPTURE), 'utf8');

  test('read as a person reads them', async () => {
    const bench = makeBench([
      rig({
        'auth/login': LOGIN,
        mining: text('mining'),
        system: text('system'),
        cooling: text('cooling'),
        pools: text('pools'),
        'telemetry?level=hashboard': text('telemetry_full'),
        'mining/target': TARGET,
      }),
    ]);
    const device = bench.device(URL_PASSWORD);
    expect(await bench.run(device.identify(1_000))).toEqual({
      vendor: 'Proto',
      model: 'Rig',
      firmware: 'ProtoOS 1.8.0',
    });
    const readings = await bench.run(device.read('full', 1_000));
    const values = Object.fromEntries(
      Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
    );
    expect(values).toEqual({
      // 141147.4 GH/s: the four boards of the telemetry page make 142.0 TH/s.
      hashrate: 141_147.435_031_471_1 * 1e9,
      power: 3_447.008_523_267_969,
      'power.limit': 3_400,
      mode: 'mine',
      uptime: 28,
      ...boardRates(36.44848, 33.618811, 35.78954, 36.166744),
      'temperature.board.1': 48.434_899_378_316_55,
      'temperature.board.2': 45.580_851_804_909_02,
      'temperature.board.3': 46.458_926_981_777_83,
      'temperature.board.4': 47.795_184_450_368_396,
      'fan.1': 4_346,
      'fan.2': 4_691,
      'fan.3': 4_658,
      'fan.4': 4_443,
      'pool.active': 'stratum+tcp://pool-a.example.com:3333',
      'shares.accepted': 24_690,
      'shares.rejected': 20,
    });
    expect(device.settings?.newest()?.settings).toEqual({
      powerLimit: 3_400,
      performanceMode: 'Efficiency',
      balanceBays: 'true',
      hashOnDisconnect: 'false',
      'pool.1.url': 'stratum+tcp://pool-a.example.com:3333',
      'pool.1.user': 'worker-a',
      'pool.2.url': 'stratum+tcp://pool-b.example.com:4444',
      'pool.2.user': 'worker-b',
    });
  });
});

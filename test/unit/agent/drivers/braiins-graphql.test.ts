/**
 * The bytes of each verb, whole, as published clients of such machines send them: 256foundation/asic-rs,
 * asic-rs-firmwares/braiins/src/backends/v21_09/{graphql,mod}.rs (`POST /graphql`, login by variables, cookie `session_id`,
 * `bosminer.stop|start`, `bos.reboot`, `bos.setFaultLight(enable)`, `updateAutotuning(input:{powerTarget},apply:true)`,
 * mhs5S in MH/s), UpstreamData/pyasic, pyasic/web/braiins_os/graphql.py (`login{__typename}`). That a stopped service has no
 * `uptime` and answers UNAVAILABLE, and that an error is a type whose name ends so, is how other clients tell.
 */
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import { asFault } from '../../../../protocols/faults.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import type { HttpAnswer, SimulatedEndpoint } from '../../../../simulator/device.ts';
import { codeOf, makeBench } from './miner-bench.ts';

const URL_PLAIN = 'braiins-graphql://10.0.0.1';
const URL_PASSWORD = `${URL_PLAIN}?passwordEnv=P`;
const LOGIN =
  'POST /graphql | {"query":"mutation($username:String!,$password:String!){auth{login(username:$username,password:$password){__typename}}}","variables":{"username":"root","password":"secret"}}';
const LOGGED_IN = '{"data":{"auth":{"login":{"__typename":"VoidResult"}}}}';

interface Answers {
  /** By a word of the query, the first that fits; a number is a status without a body. */
  readonly [word: string]: string | number;
}

/** A device that answers by what the query asks for; a login opens the session S1. */
function device(answers: Answers): SimulatedEndpoint & { readonly asked: string[] } {
  const asked: string[] = [];
  const respondHttp = (request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  }): HttpAnswer => {
    const { method, path, headers, body } = request;
    const said = [`${method} ${path}`, headers['cookie'] && `Cookie: ${headers['cookie']}`, body];
    asked.push(said.filter((part) => part !== undefined && part !== '').join(' | '));
    const [word = '', answer] = Object.entries({ login: LOGGED_IN, ...answers }).find(([each]) =>
      body.includes(each),
    ) ?? ['', 404];
    return {
      kind: 'response',
      status: typeof answer === 'number' ? answer : 200,
      headers: word === 'login' ? { 'Set-Cookie': 'session_id=S1; HttpOnly; Path=/' } : {},
      body: typeof answer === 'string' ? answer : '',
      afterMs: 0,
    };
  };
  return { asked, kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } };
}

const UNAVAILABLE = '{"message":"Service unavailable","extensions":{"code":"UNAVAILABLE"}}';
const now = (mhs: string, watts = '3100', errors = ''): string =>
  `{"data":{"bos":{"uptime":{"durationS":7000}},"bosminer":{"info":{"workSolver":{"realHashrate":{"mhs5S":${mhs}},"nominalMhs":104000000},"fans":[],"summary":{"power":{"approxConsumptionW":${watts},"limitW":3068}}}}}${errors}}`;
const STOPPED = `{"data":{"bos":{"uptime":{"durationS":7000}},"bosminer":{"info":{"workSolver":null,"fans":null,"summary":null}}},"errors":[${UNAVAILABLE}]}`;
const service = (bosminer: string, upS = 7_000): string =>
  `{"data":{"bos":{"uptime":{"durationS":${upS}}},"bosminer":${bosminer}}}`;
const settings = (tuner: string): string =>
  `{"data":{"bosminer":{"config":{"autotuning":${tuner}},"info":{"poolGroups":[{"pools":[{"url":"stratum+tcp://p:1","user":"u","active":true}]}]}}}}`;
const TUNER = settings('{"enabled":true,"mode":"POWER_TARGET","powerTarget":3068}');

async function read(answers: Answers, scope: 'fast' | 'full' = 'fast'): Promise<Readings> {
  const bench = makeBench([device(answers)]);
  return bench.run(bench.device(URL_PLAIN).read(scope, 1_000));
}

describe('reading', () => {
  test('a hashing machine costs one query and no login', async () => {
    const asic = device({ workSolver: now('103912345.25') });
    const bench = makeBench([asic]);
    const readings = await bench.run(bench.device(URL_PASSWORD).read('fast', 1_000));
    expect(readings['hashrate']).toMatchObject({ value: 103_912_345.25e6, unit: 'H/s', quality: 'good' });
    expect(readings['power']).toMatchObject({ value: 3_100, measured: false });
    expect(readings['uptime']).toMatchObject({ value: 7_000 });
    expect(readings['mode']).toMatchObject({ value: 'mine' });
    expect(asic.asked).toEqual([
      'POST /graphql | {"query":"{bos{uptime{durationS}}bosminer{info{workSolver{realHashrate{mhs5S}nominalMhs}fans{name rpm}summary{power{approxConsumptionW limitW}}}}}"}',
    ]);
  });

  test.each([
    ['its service is stopped', STOPPED, service('{"uptime":null}'), 'sleep'],
    [
      'its service is stopped and says so with an error',
      STOPPED,
      `{"data":null,"errors":[${UNAVAILABLE}]}`,
      'sleep',
    ],
    ['stopped, with a rate of zero left', now('0'), service('{"uptime":null}'), 'sleep'],
    ['it runs and warms up', now('0'), service('{"uptime":{"durationS":30}}'), 'idle'],
    ['its board has just started', STOPPED, service('{"uptime":null}', 60), 'idle'],
    ['it does not say', STOPPED, service('{}'), 'VALUE_MISSING'],
    ['it says nothing of a service', STOPPED, service('null'), 'VALUE_MISSING'],
    ['it runs and tells no rate', now('null'), service('{"uptime":{"durationS":30}}'), 'VALUE_MISSING'],
    [
      'it does not know the question',
      STOPPED,
      '{"data":null,"errors":[{"message":"Unknown field \\"uptime\\""}]}',
      'VERB_UNSUPPORTED',
    ],
  ])('not hashing: %s', async (_, first, second, mode) => {
    const readings = await read({ workSolver: first, '}bosminer{uptime': second });
    const told = readings['mode'];
    expect(told?.ok === true ? told.value : told?.why).toBe(mode);
  });

  test('stopped by us a short while after its start, it sleeps; started anew, it does not', async () => {
    const stop = '{"data":{"bosminer":{"stop":{"__typename":"VoidResult"}}}}';
    const first = { stop, workSolver: STOPPED, '}bosminer{uptime': service('{"uptime":null}', 60) };
    const bench = makeBench([device(first)]);
    const miner = bench.device(URL_PASSWORD);
    const mode = async () => (await bench.run(miner.read('fast', 1_000)))['mode'];
    expect(await mode()).toMatchObject({ value: 'idle' });
    await bench.run(miner.verbs.sleep?.(undefined, 1_000) ?? Promise.resolve());
    expect(await mode()).toMatchObject({ value: 'sleep' });
    // It still says that it started a minute ago: it must have started since.
    await bench.clock.advance(70_000);
    expect(await mode()).toMatchObject({ value: 'idle' });
  });

  test('a rate far above what its tuner holds to be full is none', async () => {
    const readings = await read({ workSolver: now('103912345250') });
    expect(readings['hashrate']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
    expect(readings['mode']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
  });

  test('what needs a password has its reason where none is given, and is asked for with one', async () => {
    const closed = '{"data":null,"errors":[{"message":"Unauthorized"}]}';
    const readings = await read({ childSolvers: 503, workSolver: now('1'), autotuning: closed }, 'full');
    expect(readings['power.limit']).toMatchObject({ ok: false, why: 'AUTH_FAILED' });
    expect(readings['pool.active']).toMatchObject({ ok: false, why: 'AUTH_FAILED' });
    expect(readings['temperature.board.1']).toMatchObject({ ok: false, why: 'QUEUE_FULL' });
    const asic = device({ childSolvers: 503, workSolver: now('1'), autotuning: closed });
    const bench = makeBench([asic]);
    await bench.run(bench.device(URL_PASSWORD).read('full', 1_000));
    expect(asic.asked.slice(-2)).toEqual([
      LOGIN,
      expect.stringMatching(/^POST \/graphql \| Cookie: session_id=S1 \|/u),
    ]);
  });

  test('a refused login is tried once in five minutes', async () => {
    const refused = '{"data":{"auth":{"login":{"__typename":"AuthError"}}}}';
    const asic = device({
      login: refused,
      autotuning: '{"errors":[{"message":"Unauthorized"}]}',
      workSolver: now('1'),
    });
    const bench = makeBench([asic]);
    const miner = bench.device(URL_PASSWORD);
    const logins = (): number => asic.asked.filter((asked) => asked === LOGIN).length;
    for (let n = 0; n < 10; n += 1) await bench.run(miner.read('full', 1_000));
    expect(logins()).toBe(1);
    const why = await bench
      .run(miner.verbs.sleep?.(undefined, 1_000) ?? Promise.resolve())
      .catch((error: unknown) => asFault(error).detail);
    expect(why).toMatch(/the login of root is refused; the same login is tried again in \d+ s$/u);
    await bench.clock.advance(300_000);
    await bench.run(miner.read('full', 1_000));
    expect(logins()).toBe(2);
  });

  test('another device that answers there is none of these', async () => {
    for (const other of ['{"data":{}}', '{"data":{"user":{}}}', '[]', '{}'])
      expect(await codeOf(read({ workSolver: other })), other).toBe('ANSWER_GARBAGE');
  });
});

describe('verbs', () => {
  const STOP = 'mutation{bosminer{stop{__typename ... on BosminerError{message}}}}';
  const bytes: ReadonlyArray<
    readonly ['sleep' | 'wake' | 'reboot' | 'locate' | 'power-limit', number | undefined, string]
  > = [
    ['sleep', undefined, `{"query":"${STOP}"}`],
    ['wake', undefined, '{"query":"mutation{bosminer{start{__typename ... on BosminerError{message}}}}"}'],
    ['reboot', undefined, '{"query":"mutation{bos{reboot{__typename ... on BosError{message}}}}"}'],
    [
      'locate',
      1,
      '{"query":"mutation($enable:Boolean!){bos{setFaultLight(enable:$enable){__typename}}}","variables":{"enable":true}}',
    ],
    [
      'locate',
      0,
      '{"query":"mutation($enable:Boolean!){bos{setFaultLight(enable:$enable){__typename}}}","variables":{"enable":false}}',
    ],
    [
      'power-limit',
      2_500,
      '{"query":"mutation($input:AutotuningIn!){bosminer{config{updateAutotuning(input:$input,apply:true){__typename ... on AutotuningError{message}... on AttributeError{message}}}}}","variables":{"input":{"powerTarget":2500}}}',
    ],
  ];
  const OK: Answers = {
    modelName: '{"data":{"bosminer":{"info":{"modelName":"Antminer S9"}}}}',
    'autotuning{': TUNER,
    stop: '{"data":{"bosminer":{"__typename":"BosminerMutation","stop":{"__typename":"VoidResult","void":"void"}}}}',
    start: '{"data":{"bosminer":{"start":{"__typename":"VoidResult"}}}}',
    reboot: '{"data":{"bos":{"reboot":{"__typename":"VoidResult"}}}}',
    setFaultLight: '{"data":{"bos":{"setFaultLight":{"__typename":"FaultLight"}}}}',
    updateAutotuning: '{"data":{"bosminer":{"config":{"updateAutotuning":{"__typename":"AutotuningOut"}}}}}',
  };

  test.each(bytes)('%s %s', async (verb, argument, literal) => {
    const asic = device(OK);
    const bench = makeBench([asic]);
    await bench.run(
      bench.device(URL_PASSWORD).verbs[verb]?.(argument, 1_000) ?? Promise.reject(new Error(verb)),
    );
    expect(asic.asked.at(-1)).toBe(`POST /graphql | Cookie: session_id=S1 | ${literal}`);
    expect(asic.asked.filter((asked) => asked === LOGIN)).toHaveLength(1);
    expect(
      asic.asked.filter(
        (asked) => asked.includes('mutation{') || asked.includes('$input') || asked.includes('$enable'),
      ),
    ).toHaveLength(1);
  });

  test.each([
    ['{"data":{"bosminer":{"stop":{"__typename":"BosminerError","message":"no"}}}}', 'VERB_REFUSED'],
    ['{"data":{"bosminer":{"stop":{"__typename":"BosminerError"}}}}', 'VERB_REFUSED'],
    ['{"data":null,"errors":[{"message":"boom"}]}', 'VERB_REFUSED'],
    ['{"data":{"bosminer":{"stop":null}},"errors":[{"message":"Service unavailable"}]}', 'QUEUE_FULL'],
    ['{"data":{"bosminer":{"stop":null}}}', 'ANSWER_GARBAGE'],
    ['{"data":{}}', 'ANSWER_GARBAGE'],
    ['{"data":{"bosminer":{"stop":{}}}}', 'ANSWER_GARBAGE'],
  ])('without a word of success nothing is done: %s', async (answer, code) => {
    const bench = makeBench([device({ stop: answer })]);
    expect(
      await codeOf(
        bench.run(bench.device(URL_PASSWORD).verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()),
      ),
    ).toBe(code);
  });

  test('a target in force is not set again; a tuner that holds another kind of target is left alone', async () => {
    const asic = device({ ...OK });
    const bench = makeBench([asic]);
    const { verbs } = bench.device(URL_PASSWORD);
    await bench.run(verbs['power-limit']?.(3_068, 1_000) ?? Promise.resolve());
    for (const senseless of [0, -1, 1.5, Number.NaN, undefined, 1e6])
      expect(await codeOf(bench.run(verbs['power-limit']?.(senseless, 1_000) ?? Promise.resolve()))).toBe(
        'USAGE',
      );
    for (const tuner of [
      '{"enabled":true,"mode":"HASHRATE_TARGET","powerTarget":null}',
      '{"enabled":false,"powerTarget":3068}',
    ]) {
      const other = device({ ...OK, 'autotuning{': settings(tuner) });
      const otherBench = makeBench([other]);
      const limit = otherBench.device(URL_PASSWORD).verbs['power-limit']?.(2_500, 1_000);
      expect(await codeOf(otherBench.run(limit ?? Promise.resolve()))).toBe('VERB_REFUSED');
      expect(other.asked.some((asked) => asked.includes('updateAutotuning'))).toBe(false);
    }
    // It says nothing of its tuner: what would be overwritten is not known.
    const mute = device({ ...OK, 'autotuning{': '{"data":{"bosminer":{"config":null,"info":null}}}' });
    const muteBench = makeBench([mute]);
    const limit = muteBench.device(URL_PASSWORD).verbs['power-limit']?.(2_500, 1_000);
    expect(await codeOf(muteBench.run(limit ?? Promise.resolve()))).toBe('ANSWER_GARBAGE');
    for (const { asked } of [asic, mute])
      expect(asked.some((each) => each.includes('updateAutotuning'))).toBe(false);
  });
});

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('braiins-24.09/', pathToFileURL(`${RECORDINGS}/`));

describe.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))(
  'answers recorded from machines with 24.09',
  () => {
    const text = (name: string): string => readFileSync(new URL(`${name}.json`, CAPTURE), 'utf8');

    test('read as a person reads them', async () => {
      const pools = JSON.parse(text('gql_pools')) as { data: { bosminer: { info: object } } };
      const tuning = JSON.parse(text('gql_tuning')) as { data: { bosminer: { config: object } } };
      // The captures are of several machines, and of one query each: ours asks for pools and tuner at once.
      const both = {
        data: { bosminer: { config: tuning.data.bosminer.config, info: pools.data.bosminer.info } },
      };
      const bench = makeBench([
        device({
          childSolvers: text('gql_boards'),
          workSolver: text('gql_system'),
          version: text('gql_system'),
          autotuning: JSON.stringify(both),
        }),
      ]);
      const miner = bench.device(URL_PASSWORD);
      expect(await bench.run(miner.identify(1_000))).toEqual({
        vendor: '',
        model: '',
        firmware: 'Braiins OS 2024-10-17-0-75912fc7-24.09-plus',
      });
      const readings = await bench.run(miner.read('full', 1_000));
      const values = Object.fromEntries(
        Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
      );
      expect(values).toEqual({
        // 230.7 TH/s of nominal 239.3, its three boards 74.1, 82.5 and 74.5.
        hashrate: 230_700_949.2148378 * 1e6,
        power: 3_572,
        'power.limit': 3_500,
        uptime: 717_641,
        mode: 'mine',
        // 65 chips on each of three; mhs5S.
        'boards.count': 3,
        'chips.count': 195,
        'hashrate.board.1': expect.closeTo(74.099_684e12, -8),
        'hashrate.board.2': expect.closeTo(82.520_21e12, -8),
        'hashrate.board.3': expect.closeTo(74.457_706e12, -8),
        'temperature.board.1': 56.4375,
        'temperature.chip.1': 71.4375,
        'temperature.board.2': 53.375,
        'temperature.chip.2': 68.375,
        'temperature.board.3': 52.9375,
        'temperature.chip.3': 67.9375,
        'fan.1': 6_414,
        'fan.2': 6_414,
        'fan.3': 6_354,
        'fan.4': 6_324,
        'pool.active': 'stratum+tcp://example.pool.com:3333',
        'shares.accepted': 111_406,
        'shares.rejected': 239,
      });
      expect(miner.settings?.newest()?.settings).toEqual({
        powerLimit: 900,
        tunerMode: 'POWER_TARGET',
        'pool.1.url': 'stratum+tcp://example.pool.com:3333',
        'pool.1.user': 'asic_rs.test',
        'pool.2.url': 'stratum+tcp://example.pool2.com:3333',
        'pool.2.user': 'asic_rs.test',
      });
    });
  },
);

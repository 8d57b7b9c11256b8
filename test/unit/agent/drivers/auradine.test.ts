import { describe, expect, test } from 'vitest';

import { actAndVerify } from '../../../../agent/verify.ts';
import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import type { HttpAnswer, SimulatedEndpoint } from '../../../../simulator/device.ts';
import { SimulatedAuradine } from '../../../../simulator/devices/auradine.ts';
import { api, codeOf, makeBench, scripted } from './miner-bench.ts';
import type { Bench } from './miner-bench.ts';

const URL_PLAIN = 'auradine://10.0.0.1';
const URL_PASSWORD = `${URL_PLAIN}?passwordEnv=P`;

/**
 * The form of every answer: 256foundation/asic-rs, asic-rs-firmwares/auradine/src/test/json/v1/*.json (samples of the
 * vendor's interface), and UpstreamData/pyasic, pyasic/web/auradine.py and pyasic/miners/backends/auradine.py.
 */
const status = (level: string, message = ''): string =>
  `"STATUS":[{"STATUS":"${level}","When":1703715266,"Code":540,"Msg":"${message}","Description":"FluxOS-2023-12.27"}]`;
const section = (name: string, rows: string): string => `{${status('S')},"${name}":[${rows}],"id":1}`;
const summary = (fields: string): string => section('SUMMARY', `{"Elapsed":56696,${fields}}`);
const mode = (fields: string): string => section('Mode', `{${fields}}`);
const CUSTOM = mode('"Mode":"custom","Sleep":"off","Ths":160,"Power":2000');
const PSU = section('PSU', '{"VoutSet":"11.50V","PowerOut":"0.00W","PowerIn":"58.94W","PoutMax":"3452.00W"}');
const TOKEN = section('Token', '{"Token":"T1"}');
const POOLS = section('POOLS', '{"POOL":0,"URL":"stratum+tcp://p:1","User":"u","Stratum Active":true}');
const HASHING = { summary: summary('"MHS av":7970630.04,"MHS 5s":20599767.25'), pools: POOLS };

type Page = string | number;
interface Pages extends Readonly<Record<string, Page | (() => Page)>> {}
type Web = SimulatedEndpoint & { readonly asked: string[] };

/** Its pages by method and command as written down: a text, or the status of an empty page. */
function web(pages: Pages): Web {
  const asked: string[] = [];
  const respondHttp = ({ method, path, headers, body }: Parameters<HttpRespond>[0]): HttpAnswer => {
    const { token, 'content-type': type } = headers;
    const said = [`${method} ${path}`, token && `Token: ${token}`, type, body];
    asked.push(said.filter((part) => part !== undefined && part !== '').join(' | '));
    const found = pages[`${method} ${path}`] ?? pages[path] ?? 404;
    const page = typeof found === 'function' ? found() : found;
    const isText = typeof page === 'string';
    return {
      kind: 'response',
      status: isText ? 200 : page,
      headers: {},
      body: isText ? page : '',
      afterMs: 0,
    };
  };
  return { asked, kind: 'http', host: '10.0.0.1', port: 8080, device: { respondHttp } };
}
type HttpRespond = Extract<SimulatedEndpoint, { kind: 'http' }>['device']['respondHttp'];

async function read(
  answers: Readonly<Record<string, string>>,
  pages: Pages,
  scope: 'fast' | 'full' = 'fast',
): Promise<Readings> {
  const bench = makeBench([api(scripted(answers)), web({ '/token': TOKEN, ...pages })]);
  return bench.run(bench.device(URL_PASSWORD).read(scope, 1_000));
}

const short = (readings: Readings): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
  );

describe('reading', () => {
  test('sample answers, as a person reads them', async () => {
    const readings = await read(
      {
        ...HASHING,
        devs: section('DEVS', '{"ID":1,"Temperature":28.25,"MHS 5s":6800000.0},{"ID":2,"Temperature":29.06}'),
      },
      {
        '/psu': PSU,
        '/mode': CUSTOM,
        '/fan': section('Fan', '{"ID":1,"Speed":7080,"Target":7000},{"ID":2,"Speed":7020}'),
        '/temperature': section(
          'Temperature',
          '{"ID":0,"ChipTemp":null},{"ID":1,"ChipTemp":[{"ID":0,"Temperature":45.8},{"ID":1,"Temperature":46.2}]}',
        ),
      },
      'full',
    );
    expect(short(readings)).toEqual({
      // MH/s: 20.6 TH/s.
      hashrate: 20_599_767.25e6,
      power: 58.94,
      'power.limit': 2_000,
      mode: 'mine',
      uptime: 56_696,
      // MH/s; the second says no rate, and is there.
      'boards.count': 2,
      'hashrate.board.1': 6.8e12,
      'temperature.board.1': 28.25,
      'temperature.board.2': 29.06,
      'temperature.chip.1': 46.2,
      'fan.1': 7_080,
      'fan.2': 7_020,
      'pool.active': 'stratum+tcp://p:1',
    });
    expect(readings['power']).toMatchObject({ measured: true, unit: 'W' });
  });

  test.each([
    ['"3.45kW"', 'VALUE_INVALID'],
    ['"58.94 V"', 'VALUE_INVALID'],
    ['"58.94 W"', 58.94],
    ['58.94', 58.94],
    ['"W"', 'VALUE_INVALID'],
  ])('PowerIn %s is %s', async (raw, power) => {
    const readings = await read(HASHING, { '/psu': section('PSU', `{"PowerIn":${raw}}`) });
    expect(short(readings)['power']).toBe(power);
  });

  test.each([
    ['{"PowerIn":"1700.50W"},{"PowerIn":"1690.00W"}', 3_390.5],
    ['{"PowerIn":"1700.50W"},{"PowerIn":"?"}', 'VALUE_INVALID'],
    ['{"PowerIn":"1700.50W"},{}', 'VALUE_MISSING'],
    ['', 'VALUE_MISSING'],
  ])('supplies %s together draw %s', async (supplies, power) => {
    expect(short(await read(HASHING, { '/psu': section('PSU', supplies) }))['power']).toBe(power);
  });

  test.each([
    ['"MHS 5s":5', '"Sleep":"on"', 'mine'],
    ['"MHS 5s":0', '"Sleep":"on"', 'sleep'],
    ['"MHS 5s":0', '"Sleep":true', 'sleep'],
    ['"MHS 5s":0', '"Sleep":"off"', 'idle'],
    ['"MHS 5s":0', '"Mode":"eco"', 'VALUE_MISSING'],
    // An average outlives what it is of.
    ['"MHS av":5000000', '"Sleep":"on"', 'sleep'],
    ['"MHS av":5000000', '"Sleep":"off"', 'mine'],
    ['"Accepted":0', '"Sleep":"on"', 'sleep'],
    ['"Accepted":0', '"Sleep":"off"', 'VALUE_MISSING'],
  ])('%s and %s is %s', async (rate, sleep, value) => {
    const readings = await read({ summary: summary(rate) }, { '/mode': mode(sleep), '/psu': PSU });
    expect(short(readings)['mode']).toBe(value);
  });

  test('an average is marked as one; older firmware without a page of temperatures lacks no other', async () => {
    const readings = await read(
      { summary: summary('"MHS av":5000000') },
      { '/psu': PSU, '/mode': CUSTOM },
      'full',
    );
    expect(readings['hashrate']).toMatchObject({ value: 5e12, quality: 'uncertain' });
    expect(readings['temperature.chip.1']).toBeUndefined();
    expect(short(readings)).toMatchObject({
      'fan.1': 'VERB_UNSUPPORTED',
      'power.limit': 2_000,
      mode: 'mine',
    });
  });

  test('without a password the rate is read, and what needs one says so', async () => {
    const bench = makeBench([
      api(scripted({ ...HASHING, version: section('VERSION', '{"GCMiner":"0.5"}') })),
      web({}),
    ]);
    const device = bench.device(URL_PLAIN);
    expect(device.verbs).toEqual({});
    expect(short(await bench.run(device.read('fast', 1_000)))).toMatchObject({
      power: 'AUTH_FAILED',
      mode: 'mine',
    });
    expect(await bench.run(device.identify(1_000))).toEqual({
      vendor: 'Auradine',
      model: '',
      firmware: 'GCMiner 0.5',
    });
  });
});

describe('logging in', () => {
  test.each([
    ['HTTP 401', 401],
    ['words', `{${status('E', 'Invalid or expired token')}}`],
  ])('a token that has ended, said by %s, is fetched anew once', async (_, refusal) => {
    let fresh = false;
    const pages = web({
      '/token': () => TOKEN.replace('T1', fresh ? 'T2' : 'T1'),
      '/psu': () => (fresh && !pages.asked.at(-1)?.includes('T2') ? refusal : PSU),
    });
    const bench = makeBench([api(scripted(HASHING)), pages]);
    const device = bench.device(URL_PASSWORD);
    await bench.run(device.read('fast', 1_000));
    fresh = true;
    pages.asked.length = 0;
    expect(short(await bench.run(device.read('fast', 1_000)))['power']).toBe(58.94);
    expect(pages.asked).toEqual([
      'GET /psu | Token: T1',
      'POST /token | application/json | {"command":"token","user":"admin","password":"secret"}',
      'GET /psu | Token: T2',
    ]);
  });

  test('a wrong password is tried once in five minutes, and is in no message', async () => {
    const pages = web({ '/token': `{${status('E', 'wrong: hunter2')}}` });
    const bench = makeBench([api(scripted(HASHING)), pages]);
    const device = bench.device(URL_PASSWORD, 'hunter2');
    for (let n = 0; n < 3; n += 1) {
      const sleep = device.verbs.sleep?.(undefined, 1_000) ?? Promise.resolve();
      const said = await bench.run(sleep).then(() => 'resolved', String);
      expect(said).toContain('AUTH_FAILED');
      expect(said).not.toContain('hunter2');
      await bench.run(device.read('fast', 1_000));
    }
    expect(pages.asked).toHaveLength(1);
    await bench.clock.advance(301_000);
    await bench.run(device.read('fast', 1_000));
    expect(pages.asked).toHaveLength(2);
  });
});

/** Bodies: pyasic, backends/auradine.py (stop_mining, resume_mining, set_power_limit, reboot, the codes of the light); asic-rs the same. */
describe('verbs, as FluxOS has them', () => {
  const TAKEN = `{${status('S', 'done')}}`;
  test.each([
    ['sleep', undefined, 'POST /mode', '{"command":"mode","sleep":"on"}'],
    ['wake', undefined, 'POST /mode', '{"command":"mode","sleep":"off"}'],
    ['power-limit', 1_800, 'POST /mode', '{"command":"mode","mode":"custom","tune":"power","power":1800}'],
    ['reboot', undefined, 'POST /restart', '{"command":"restart"}'],
    ['locate', 1, 'POST /led', '{"command":"led","code":3}'],
    ['locate', 0, 'POST /led', '{"command":"led","code":2}'],
  ] as const)('%s %s', async (verb, argument, asked, body) => {
    let now = CUSTOM;
    const set = (): string => ((now = CUSTOM.replace('2000', '1800')), TAKEN);
    const pages = web({ '/token': TOKEN, 'GET /mode': () => now, [asked]: set });
    const bench = makeBench([api(scripted({ pools: POOLS })), pages]);
    const carryOut = bench.device(URL_PASSWORD).verbs[verb];
    await bench.run(carryOut?.(argument, 1_000) ?? Promise.reject(new Error(verb)));
    const posts = pages.asked.filter((each) => each.startsWith('POST') && !each.startsWith('POST /token'));
    expect(posts).toEqual([`${asked} | Token: T1 | application/json | ${body}`]);
    if (verb === 'power-limit') expect(pages.asked.at(-1)).toBe('GET /mode | Token: T1');
  });

  test.each([
    [`{${status('E', 'Invalid mode parameter')}}`, 'VERB_REFUSED'],
    ['{"id":1}', 'ANSWER_GARBAGE'],
    ['', 'ANSWER_GARBAGE'],
    [404, 'VERB_UNSUPPORTED'],
    [500, 'VERB_REFUSED'],
    [503, 'QUEUE_FULL'],
  ])('%s is %s', async (page, code) => {
    const bench = makeBench([web({ '/token': TOKEN, 'POST /mode': page })]);
    const sleep = bench.device(URL_PASSWORD).verbs.sleep?.(undefined, 1_000) ?? Promise.resolve();
    expect(await codeOf(bench.run(sleep))).toBe(code);
  });

  test.each(['eco', 'normal', 'turbo'])(
    'in mode %s a limit is refused: it could not be taken back',
    async (word) => {
      const pages = web({ '/token': TOKEN, '/mode': CUSTOM.replace('custom', word) });
      const bench = makeBench([api(scripted({ pools: POOLS })), pages]);
      const limit = bench.device(URL_PASSWORD).verbs['power-limit']?.(1_800, 1_000) ?? Promise.resolve();
      await expect(bench.run(limit)).rejects.toThrow(new RegExp(`VERB_REFUSED.*in mode ${word}`, 'u'));
      expect(pages.asked.filter((each) => each.startsWith('POST /mode'))).toEqual([]);
    },
  );

  test('a power in force is not set again, a senseless one never, one that is not kept is said', async () => {
    const pages = web({ '/token': TOKEN, 'GET /mode': CUSTOM, 'POST /mode': TAKEN });
    const bench = makeBench([api(scripted({ pools: POOLS })), pages]);
    const { verbs } = bench.device(URL_PASSWORD);
    const limit = (watts: number | undefined): Promise<string> =>
      codeOf(bench.run(verbs['power-limit']?.(watts, 1_000) ?? Promise.resolve()));
    expect(await limit(2_000)).toBe('resolved');
    for (const senseless of [0, -1, 1.5, Number.NaN, undefined, 1e6])
      expect(await limit(senseless)).toBe('USAGE');
    expect(pages.asked.filter((each) => each.startsWith('POST /mode'))).toEqual([]);
    expect(await limit(1_800)).toBe('VERB_NOT_OBSERVED');
  });
});

function stand(muteAsleep: boolean): { bench: Bench; miner: SimulatedAuradine } {
  const model = loadModel('auradine-at2880');
  if (model.kind !== 'asic') throw new Error(model.id);
  const options = { id: 'm1', model, random: seededRandom(1), startMs: -1e8, password: 'secret', muteAsleep };
  const miner = new SimulatedAuradine(options);
  return { bench: makeBench(miner.endpoints({ host: '10.0.0.1', api: 4028, http: 8080 })), miner };
}

test.each([false, true])('sleeps and wakes, its API on 4028 silent in sleep: %s', async (muteAsleep) => {
  const { bench, miner } = stand(muteAsleep);
  const device = bench.device(URL_PASSWORD);
  const wait = { clock: bench.clock, timeoutMs: 200_000, pollMs: 5_000 };
  const slept = await bench.run(actAndVerify(device, 'sleep', undefined, wait));
  expect(slept).toMatchObject({ stage: 'observed', after: { hashrate: { ok: !muteAsleep } } });
  expect(miner.power.mining).toBe(false);
  expect((await bench.run(actAndVerify(device, 'wake', undefined, wait))).stage).toBe('observed');
  // A day of readings, and no login that was not needed.
  for (let hour = 0; hour < 24; hour += 1) {
    await bench.run(device.read('fast', 1_000));
    await bench.clock.advance(3_600_000);
  }
  expect(miner.logins).toBeLessThanOrEqual(25);
});

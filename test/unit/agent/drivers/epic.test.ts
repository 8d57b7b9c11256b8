/**
 * The wire is that of 256foundation/asic-rs, asic-rs-firmwares/epic/src/backends/v1 (asic-rs), of UpstreamData/pyasic,
 * pyasic/web/epic.py and pyasic/miners/backends/epic.py (pyasic), and of the maker's own page for its tuner.
 */
import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Verb } from '../../../../agent/driver.ts';
import { actAndVerify } from '../../../../agent/verify.ts';
import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import type { DeviceHttpRequest, HttpAnswer, SimulatedEndpoint } from '../../../../simulator/device.ts';
import { SimulatedEpic } from '../../../../simulator/devices/epic.ts';
import type { EpicOptions } from '../../../../simulator/devices/epic.ts';
import { codeOf, makeBench } from './miner-bench.ts';
import type { Bench } from './miner-bench.ts';

const URL_PLAIN = 'epic://10.0.0.1';
const URL_PASSWORD = `${URL_PLAIN}?passwordEnv=P`;
const summary = (fields: string): string => `{"Software":"PowerPlay-BMS v1.5.13",${fields}}`;
const boards = (...rates: string[]): string =>
  `"HBs":[${rates.map((rate, n) => `{"Index":${n},"Hashrate":[${rate},103.1,0.8],"Temperature":67.0}`).join(',')}]`;
/** asic-rs, `parse_scaled_tuning_target_uses_lower_power_throttle_target`: PowerTune holds watts. */
const TUNER =
  '"PerpetualTune":{"Running":true,"Algorithm":{"PowerTune":{"Target":3000,"Min Throttle Target":1500,"Throttle Step":100,"Unit":"W"}}}';
const CAPABILITIES =
  '{"Model":"AntMiner S19 XP","Default Hashrate":143,"PerpetualTune":[{"algorithm":"ChipTune","min":60,"max":300},{"algorithm":"PowerTune","min":1000,"max":4000}]}';

/** A machine that answers by path as written down: a text, or the status of an empty page. */
function rest(
  pages: Readonly<Record<string, string | number>>,
): SimulatedEndpoint & { readonly asked: string[] } {
  const asked: string[] = [];
  const respondHttp = ({ method, path, body }: DeviceHttpRequest): HttpAnswer => {
    asked.push(`${method} ${path} ${body}`.trim());
    const page = pages[path.slice(1)] ?? 404;
    const isText = typeof page === 'string';
    return {
      kind: 'response',
      status: isText ? 200 : page,
      headers: {},
      body: isText ? page : '',
      afterMs: 0,
    };
  };
  return { asked, kind: 'http', host: '10.0.0.1', port: 4028, device: { respondHttp } };
}

async function read(fields: string, scope: 'fast' | 'full' = 'fast'): Promise<Readings> {
  const bench = makeBench([rest({ summary: summary(fields), capabilities: CAPABILITIES })]);
  return bench.run(bench.device(URL_PLAIN).read(scope, 1_000));
}

function act(bench: Bench, verb: Verb, argument?: number): Promise<string> {
  const carryOut = bench.device(URL_PASSWORD).verbs[verb];
  return codeOf(bench.run(carryOut?.(argument, 5_000) ?? Promise.reject(new Error(verb))));
}

describe('reading', () => {
  test('the rate is that of all boards together, MH/s; one that cannot be read spoils it', async () => {
    expect((await read(boards('49440724.0', '49925124.0')))['hashrate']).toMatchObject({
      value: 99_365_848e6,
      unit: 'H/s',
    });
    expect((await read(boards('1', '"n/a"')))['hashrate']).toMatchObject({ ok: false, why: 'VALUE_INVALID' });
    expect((await read('"HBs":null'))['hashrate']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    const inflated = await read(boards('1430000000', '1'), 'full');
    expect(inflated['hashrate']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
  });

  // pyasic, `_is_mining`, and asic-rs: everything but Idling; "Last Command": "autostart" in asic-rs' tests.
  test.each([
    ['"HBs":null,"Status":{"Operating State":"Idling","Last Command":"stop"}', 'sleep'],
    ['"HBs":null,"Status":{"Operating State":"Idling","Last Command":null}', 'sleep'],
    // As recorded: told nothing since it started, it idles by itself while its pools are away.
    [
      '"HBs":null,"IdleOnConnectionLost":true,"Status":{"Operating State":"Idling","Last Command":null}',
      'idle',
    ],
    [
      '"HBs":null,"IdleOnConnectionLost":true,"Status":{"Operating State":"Idling","Last Command":"stop"}',
      'sleep',
    ],
    ['"HBs":null,"Status":{"Operating State":"Idling","Last Command":"autostart"}', 'idle'],
    ['"HBs":null,"Status":{"Operating State":"AdjustingClockVoltage"}', 'idle'],
    [`${boards('0')},"Status":{"Operating State":"Mining"}`, 'idle'],
    [`${boards('1')},"Status":{"Operating State":"Initializing"}`, 'mine'],
    ['"HBs":null,"Status":{"Operating State":"Mining"}', 'VALUE_MISSING'],
    ['"HBs":null,"Status":{}', 'VALUE_MISSING'],
  ])('%s is %s', async (fields, mode) => {
    const reading = (await read(fields))['mode'];
    expect(reading?.ok === true ? reading.value : reading?.why).toBe(mode);
  });

  test.each([
    ['"Input Power":2166.6,"Input Voltage":0.0,"Input Current":0.0', false],
    ['"Input Power":2166.6,"Input Voltage":231.5,"Input Current":9.4', true],
  ])('power is measured where its supply measures: %s', async (supply, measured) => {
    expect((await read(`"Power Supply Stats":{${supply}}`))['power']).toMatchObject({
      value: 2_166.6,
      measured,
    });
  });

  test('a limit is one of watts; a place without a fan is none, a fan that stands still is', async () => {
    const fields = `${TUNER},"Fans Rpm":{"Fans Speed 1":5971,"Fans Speed 2":0,"Fans Speed 10":null}`;
    const readings = await read(fields, 'full');
    expect(readings['power.limit']).toMatchObject({ value: 3_000, unit: 'W' });
    expect([readings['fan.1'], readings['fan.2']]).toMatchObject([{ value: 5_971 }, { value: 0 }]);
    expect(readings['fan.10']).toBeUndefined();
    const byRate =
      '"PerpetualTune":{"Running":true,"Algorithm":{"VoltageOptimizer":{"Target":143,"Unit":"TH/s"}}}';
    expect((await read(byRate, 'full'))['power.limit']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });
});

describe('the bytes of every verb', () => {
  const LOOK = 'GET /summary';
  test.each<[Verb, number | undefined, readonly string[]]>([
    // asic-rs: pause and resume; the password stands in the body (asic-rs, pyasic).
    ['sleep', undefined, [LOOK, 'POST /miner {"param":"Stop","password":"secret"}']],
    ['wake', undefined, [LOOK, 'POST /miner {"param":"Autostart","password":"secret"}']],
    // asic-rs: set_tuning_config.
    [
      'power-limit',
      2_500,
      [
        LOOK,
        'GET /capabilities',
        'POST /perpetualtune/algo {"param":{"algo":"PowerTune","target":2500,"min_throttle":1500,"throttle_step":100},"password":"secret"}',
      ],
    ],
    ['power-limit', 3_000, [LOOK]],
    // asic-rs: restart is reboot with "0"; set_fault_light is identify.
    ['reboot', undefined, [LOOK, 'POST /reboot {"param":"0","password":"secret"}']],
    ['locate', 1, [LOOK, 'POST /identify {"param":true,"password":"secret"}']],
    ['locate', 0, [LOOK, 'POST /identify {"param":false,"password":"secret"}']],
  ])('%s %s', async (verb, argument, bytes) => {
    const done = '{"result":true}';
    const device = rest({
      summary: summary(TUNER),
      capabilities: CAPABILITIES,
      miner: done,
      'perpetualtune/algo': done,
      reboot: done,
      identify: done,
    });
    expect(await act(makeBench([device]), verb, argument)).toBe('resolved');
    expect(device.asked).toEqual(bytes);
  });

  test.each([
    ['a tuner of hashrate', TUNER.replace('PowerTune', 'ChipTune'), 2_500, /ChipTune.*could not give back/u],
    ['no tuner', '"PerpetualTune":null', 2_500, /none.*could not give back/u],
    ['its tuner stopped', TUNER.replace('true', 'false'), 2_500, /is stopped/u],
    ['at its least throttle', TUNER, 1_550, /1600 to 4000 W/u],
    ['above its range', TUNER, 4_001, /1600 to 4000 W/u],
  ])('a limit is refused: %s', async (_, fields, limitW, said) => {
    const device = rest({ summary: summary(fields), capabilities: CAPABILITIES });
    const bench = makeBench([device]);
    const limit = bench.device(URL_PASSWORD).verbs['power-limit']?.(limitW, 1_000) ?? Promise.resolve();
    await expect(bench.run(limit)).rejects.toThrow(said);
    expect(device.asked.some((asked) => asked.startsWith('POST'))).toBe(false);
  });

  test.each([
    ['{"result":false,"error":"Incorrect password"}', 'AUTH_FAILED'],
    ['{"result":false,"error":"Authentication failed"}', 'AUTH_FAILED'],
    ['{"result":false,"error":"Busy"}', 'VERB_REFUSED'],
    ['{"result":false}', 'VERB_REFUSED'],
    ['{"result":"true"}', 'ANSWER_GARBAGE'],
    ['', 'ANSWER_GARBAGE'],
    [401, 'AUTH_FAILED'],
    [503, 'QUEUE_FULL'],
  ])('%s is %s', async (answer, code) => {
    const bench = makeBench([rest({ summary: summary(TUNER), miner: answer })]);
    expect(await act(bench, 'sleep')).toBe(code);
  });
});

describe('the password', () => {
  test('refused, it is not tried with every command; right again, after five minutes', async () => {
    const device = rest({ summary: summary(TUNER), miner: '{"result":false,"error":"Incorrect password"}' });
    const bench = makeBench([device]);
    const { verbs } = bench.device(URL_PASSWORD);
    const tries = (): number => device.asked.filter((asked) => asked.startsWith('POST')).length;
    for (let n = 0; n < 5; n += 1)
      expect(await codeOf(bench.run(verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()))).toBe(
        'AUTH_FAILED',
      );
    expect(tries()).toBe(1);
    await bench.clock.advance(301_000);
    await codeOf(bench.run(verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()));
    expect(tries()).toBe(2);
  });

  test.each([
    '{"result":false,"error":"no: {\\"param\\":\\"Stop\\",\\"password\\":\\"hunter2\\"}"}',
    `{"result":false,"error":"${'no '.repeat(32)} hunter2"}`,
    'hunter2',
  ])('is in no message: %s', async (answer) => {
    const bench = makeBench([rest({ summary: summary(TUNER), miner: answer })]);
    const sleep = bench.device(URL_PASSWORD, 'hunter2').verbs.sleep?.(undefined, 1_000);
    const message = await bench.run(Promise.resolve(sleep)).then(() => 'resolved', String);
    expect(message).toContain('/miner');
    expect(message).not.toContain('hunt');
  });

  test('goes to nobody who does not name the firmware', async () => {
    const device = rest({ summary: '{"model":"other"}', miner: '{"result":true}' });
    expect(await act(makeBench([device]), 'sleep')).toBe('ANSWER_GARBAGE');
    expect(device.asked).toEqual(['GET /summary']);
  });
});

describe('what it really does', () => {
  const standing = (options: Partial<EpicOptions> = {}) => {
    const model = loadModel('antminer-s19-xp-epic');
    if (model.kind !== 'asic') throw new Error(model.id);
    const random = seededRandom(1);
    const miner = new SimulatedEpic({
      id: 'm1',
      model,
      random,
      startMs: -1e8,
      password: 'secret',
      ...options,
    });
    const bench = makeBench(miner.endpoints({ host: '10.0.0.1', api: 4028, http: 80 }));
    const wait = { clock: bench.clock, timeoutMs: 60_000, pollMs: 5_000 };
    return { bench, miner, device: bench.device(URL_PASSWORD), wait };
  };

  test('a target given while it tunes is taken and dropped: that shows, and later it is obeyed', async () => {
    const { bench, miner, device, wait } = standing();
    const patient = { ...wait, timeoutMs: 600_000 };
    await bench.run(device.verbs['power-limit']?.(2_500, 5_000) ?? Promise.resolve());
    const dropped = await bench.run(actAndVerify(device, 'power-limit', 2_000, wait));
    expect([dropped.stage, dropped.fault?.code]).toEqual(['failed', 'VERB_NOT_OBSERVED']);
    await bench.clock.advance(120_000);
    expect((await bench.run(actAndVerify(device, 'power-limit', 2_000, patient))).stage).toBe('observed');
    expect(miner.settings()).toMatchObject({ powerLimit: 2_000, throttle: '1200 150' });
  });

  test('a machine whose tuner holds a hashrate keeps it', async () => {
    const { bench, miner, device } = standing({ algorithm: 'VoltageOptimizer' });
    const before = miner.settings();
    expect(await codeOf(bench.run(device.verbs['power-limit']?.(2_000, 5_000) ?? Promise.resolve()))).toBe(
      'VERB_REFUSED',
    );
    expect([miner.settings(), miner.changes]).toEqual([before, 0]);
    await bench.run(device.read('full', 5_000));
    expect(device.settings?.newest()?.settings).toMatchObject({
      tuner: 'VoltageOptimizer',
      tunerTarget: 142,
    });
  });
});

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('epic/', pathToFileURL(`${RECORDINGS}/`));

test.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))(
  'answers recorded from an S19 XP, as a person reads them',
  async () => {
    const text = (name: string): string => readFileSync(new URL(`${name}.json`, CAPTURE), 'utf8');
    const bench = makeBench([rest({ summary: text('summary'), capabilities: text('capabilities') })]);
    const device = bench.device(URL_PASSWORD);
    expect(await bench.run(device.identify(1_000))).toEqual({
      vendor: 'Bitmain',
      model: 'AntMiner S19 XP',
      firmware: 'PowerPlay-BMS v1.5.13',
    });
    const readings = await bench.run(device.read('full', 1_000));
    const values = Object.fromEntries(
      Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
    );
    expect(values).toEqual({
      // 49,440,724 and 49,925,124 MH/s: two of three boards.
      hashrate: 99_365_848e6,
      power: 2_166.6174,
      mode: 'mine',
      uptime: 23_170,
      'pool.active': 'mine.ocean.xyz:3334',
      'shares.accepted': 1_862,
      'shares.rejected': 2,
      errors: '',
      'power.limit': 'VALUE_MISSING',
      // The first of three is off, and HBs lists the two others; Max HBs 3 with a Chip Count of 110; MH/s.
      'boards.count': 2,
      'boards.expected': 3,
      'chips.expected': 330,
      'hashrate.board.2': 49_440_724e6,
      'hashrate.board.3': 49_925_124e6,
      'temperature.board.2': 67,
      'temperature.board.3': 64.312,
      'fan.1': 5_971,
      'fan.2': 0,
      'fan.3': 5_942,
      'fan.4': 5_745,
    });
    // Its supply shows no voltage and no current at its input.
    expect(readings['power']).toMatchObject({ measured: false });
    expect(device.settings?.newest()?.settings).toEqual({
      tuner: 'VoltageOptimizer',
      tunerTarget: 143,
      coin: 'BTC',
      workerUniqueId: 'true',
      minThrottle: 50,
      throttleStep: 5,
      fans: '{"Auto":{"Idle Speed":20,"Target Temperature":60}}',
      shutdownTemp: 85,
      'pool.1.url': 'stratum+tcp://mine.ocean.xyz:3334',
      'pool.1.user': 'randomuser.randomworker',
      'pool.1.pass': expect.any(String) as string,
    });
  },
);

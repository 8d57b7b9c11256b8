/**
 * The wire is that of 256foundation/asic-rs, asic-rs-firmwares/vnish/src/backends/v1_{2,3}_0 (asic-rs), of
 * UpstreamData/pyasic, pyasic/web/vnish.py and pyasic/miners/backends/vnish.py (pyasic), and of an API document of 1.2.6
 * with the answers of an Antminer S19 (document).
 */
import { describe, expect, test } from 'vitest';
import type { Verb } from '../../../../agent/driver.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import type { DeviceHttpRequest, HttpAnswer, SimulatedEndpoint } from '../../../../simulator/device.ts';
import { codeOf, makeBench } from './miner-bench.ts';
import type { Bench } from './miner-bench.ts';

const URL_PLAIN = 'vnish://10.0.0.1';
const URL_PASSWORD = `${URL_PLAIN}?passwordEnv=P`;
/** Document, `GET /api/v1/info`, cut to what says something of the machine. */
const INFO =
  '{"miner":"Antminer S19","model":"s19","fw_name":"Vnish","fw_version":"1.2.6","platform":"xil","hr_measure":"GH/s","system":{"os":"GNU/Linux","uptime":"0:06"},"serial":"N/A"}';
/** asic-rs and pyasic: the object as it is, with another preset in it. */
const OVERCLOCK =
  '"modded_psu":false,"preset":"3200","globals":{"volt":1320,"freq":610},"preset_switcher":{"enabled":true},"chains":[{"freq":0,"chips":[0,0]}]';
const settings = (overclock = OVERCLOCK): string =>
  `{"miner":{"cooling":{"mode":{"name":"auto","param":60}},"overclock":{${overclock}},"pools":[{"url":"stratum+tcp://p:1","user":"u","pass":"x"}]}}`;
const PRESETS =
  '[{"name":"disabled","pretty":"Disabled","status":"untuned","modded_psu_required":false},{"name":"1100","pretty":"1100 watt ~ 53 TH","status":"tuned","modded_psu_required":false},{"name":"1300","pretty":"1300 watt ~ 58 TH","status":"untuned","modded_psu_required":false},{"name":"3200","pretty":"3200 watt ~ 102 TH","status":"tuned","modded_psu_required":false},{"name":"4690","pretty":"4690 watt ~ 124 TH","status":"tuned","modded_psu_required":true}]';
const STATUS =
  '{"miner_state":"mining","miner_state_time":1,"description":"","find_miner":false,"restart_required":false,"reboot_required":false,"unlocked":true}';
const summary = (miner: string): string => `{"miner":${miner}}`;
const mining = (fields: string): string =>
  summary(`{"miner_status":{"miner_state":"mining"},"power_consumption":3250,${fields}}`);

type Page = string | number | ((body: string) => string | number);

/** A machine that answers by method and path as written down: a text, or the status of an empty page. */
function rest(pages: Readonly<Record<string, Page>>): SimulatedEndpoint & { readonly asked: string[] } {
  const asked: string[] = [];
  const respondHttp = ({ method, path, headers, body }: DeviceHttpRequest): HttpAnswer => {
    const name = path.replace('/api/v1/', '');
    const said = [`${method} ${name}`, headers['authorization'], body];
    asked.push(said.filter((part) => part !== undefined && part !== '').join(' | '));
    const found = pages[`${method} ${name}`] ?? pages[name] ?? 404;
    const page = typeof found === 'function' ? found(body) : found;
    const isText = typeof page === 'string';
    return {
      kind: 'response',
      status: isText ? 200 : page,
      headers: {},
      body: isText ? page : '',
      afterMs: 0,
    };
  };
  return { asked, kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } };
}

async function read(
  pages: Readonly<Record<string, Page>>,
  scope: 'fast' | 'full' = 'fast',
): Promise<Readings> {
  const bench = makeBench([rest({ info: INFO, ...pages })]);
  return bench.run(bench.device(URL_PLAIN).read(scope, 1_000));
}

function act(bench: Bench, verb: Verb, argument?: number): Promise<string> {
  const carryOut = bench.device(URL_PASSWORD).verbs[verb];
  return codeOf(bench.run(carryOut?.(argument, 5_000) ?? Promise.reject(new Error(verb))));
}

describe('reading', () => {
  test('a hashing machine costs one page and no password', async () => {
    const device = rest({
      info: INFO,
      summary: mining('"hr_realtime":99123.5,"hr_stock":95000,"power_usage":31'),
    });
    const bench = makeBench([device]);
    const miner = bench.device(URL_PASSWORD);
    const readings = await bench.run(miner.read('fast', 1_000));
    expect(readings['hashrate']).toMatchObject({ value: 99_123.5e9, quality: 'good', unit: 'H/s' });
    expect(readings['power']).toMatchObject({ value: 3_250, measured: false });
    expect(readings['mode']).toMatchObject({ value: 'mine' });
    await bench.run(miner.read('fast', 1_000));
    expect(device.asked).toEqual(['GET info', 'GET summary', 'GET summary']);
    expect(await bench.run(miner.identify(1_000))).toEqual({
      vendor: 'Bitmain',
      model: 'Antminer S19',
      firmware: 'Vnish 1.2.6',
    });
  });

  // asic-rs: `hr_measure` is GH/s on SHA-256 models, MH/s on Scrypt ones, or "N/A".
  test.each([
    ['GH/s', 1e9],
    ['MH/s', 1e6],
    ['N/A', 1e9],
  ])('counts in %s', async (measure, scale) => {
    const pages = { info: INFO.replace('GH/s', measure), summary: mining('"hr_realtime":8') };
    expect((await read(pages))['hashrate']).toMatchObject({ value: 8 * scale });
  });

  // States: asic-rs, operating_state.rs; pyasic, `_is_mining`; document.
  test.each([
    ['stopped', 'sleep'],
    ['paused', 'sleep'],
    ['failure', 'idle'],
    ['initializing', 'idle'],
    ['shutting-down', 'idle'],
  ])('not hashing and %s is %s', async (state, mode) => {
    const still = `"miner_status":{"miner_state":"${state}"},"power_consumption":60`;
    expect((await read({ summary: summary(`{${still},"hr_realtime":0}`) }))['mode']).toMatchObject({
      value: mode,
    });
    // With nothing to sum up its status says it.
    const pages = { summary: summary('null'), status: `{"miner_state":"${state}"}` };
    expect((await read(pages))['mode']).toMatchObject(
      state === 'initializing' ? { ok: false, why: 'VALUE_MISSING' } : { value: mode },
    );
  });

  test('neither rate nor state is unknown, not asleep', async () => {
    expect((await read({ summary: summary('null') }))['mode']).toMatchObject({ why: 'VERB_UNSUPPORTED' });
    expect((await read({ summary: summary('{}'), status: '{}' }))['mode']).toMatchObject({
      why: 'VALUE_MISSING',
    });
  });

  // asic-rs: "10 days, 18:00", or "H:MM"; document: "0:06".
  test.each([
    ['0:06', 360],
    ['18:00', 64_800],
    ['1 day, 0:01', 86_460],
    ['10 days, 18:00', 928_800],
    ['10 days', 864_000],
    ['', undefined],
    ['soon', undefined],
  ])('up "%s" is %s s', async (uptime, seconds) => {
    const readings = await read(
      { info: INFO.replace('0:06', uptime), summary: mining('"hr_realtime":1') },
      'full',
    );
    expect(readings['uptime']).toMatchObject(
      seconds === undefined ? { ok: false, why: 'VALUE_MISSING' } : { value: seconds, unit: 's' },
    );
  });

  test('boards, fans, the pool in use and the preset in force', async () => {
    const board = (id: number, pcb: number): string =>
      `{"id":${id},"pcb_temp":{"min":50,"max":${pcb}},"chip_temp":{"min":60,"max":76}}`;
    const readings = await read(
      {
        summary: mining(
          `"hr_realtime":1,"chains":[${board(1, 65)},${board(2, 0)}],"cooling":{"fans":[{"id":0,"rpm":5400},{"id":1,"rpm":5390}]},"pools":[{"url":"DevFee","pool_type":"DevFee","status":"working"},{"url":"b:1","pool_type":"UserPool","status":"working"},{"url":"a:1","pool_type":"UserPool","status":"active"}]`,
        ),
        'perf-summary': '{"current_preset":{"name":"3200"}}',
      },
      'full',
    );
    expect(readings['temperature.board.1']).toMatchObject({ value: 65 });
    expect(readings['temperature.chip.2']).toMatchObject({ value: 76 });
    expect(readings['temperature.board.2']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect(readings['fan.2']).toMatchObject({ value: 5_390 });
    expect(readings['pool.active']).toMatchObject({ value: 'a:1' });
    expect(readings['power.limit']).toMatchObject({ value: 3_200, unit: 'W' });
    const disabled = {
      summary: mining('"hr_realtime":1'),
      'perf-summary': '{"current_preset":{"name":"disabled"}}',
    };
    expect((await read(disabled, 'full'))['power.limit']).toMatchObject({ why: 'VALUE_MISSING' });
  });
});

describe('unlocking', () => {
  // Document and asic-rs: POST unlock {"pw"}, then `Authorization: Bearer`; pyasic sends the prefix to system/* alone.
  test('a token that has ended is renewed, once', async () => {
    let token = 0;
    const device = rest({
      unlock: () => `{"token":"T${(token += 1)}"}`,
      'mining/stop': () => (token === 2 ? '' : 401),
    });
    const bench = makeBench([device]);
    const { verbs } = bench.device(URL_PASSWORD);
    // The first is refused at once: that is no old token.
    expect(await codeOf(bench.run(verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()))).toBe('AUTH_FAILED');
    expect(device.asked).toEqual(['POST unlock | {"pw":"secret"}', 'POST mining/stop | Bearer T1']);
    expect(await codeOf(bench.run(verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()))).toBe('resolved');
    device.asked.length = 0;
    token = 1;
    expect(await codeOf(bench.run(verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()))).toBe('resolved');
    expect(device.asked).toEqual([
      'POST mining/stop | Bearer T2',
      'POST unlock | {"pw":"secret"}',
      'POST mining/stop | Bearer T2',
    ]);
  });

  test.each([401, 403])('a password refused with %s is not tried with every reading', async (status) => {
    const device = rest({ info: INFO, summary: mining('"hr_realtime":1'), unlock: status });
    const bench = makeBench([device]);
    const miner = bench.device(URL_PASSWORD);
    for (let n = 0; n < 5; n += 1) {
      expect((await bench.run(miner.read('full', 1_000)))['mode']).toMatchObject({ value: 'mine' });
      expect(await codeOf(bench.run(miner.verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()))).toBe(
        'AUTH_FAILED',
      );
    }
    expect(device.asked.filter((asked) => asked.startsWith('POST unlock'))).toHaveLength(1);
    expect(device.asked.some((asked) => asked.startsWith('POST mining'))).toBe(false);
  });

  test.each([
    ['{"token":7,"pw":"hunter2"}', 200],
    ['hunter2', 200],
    ['bad password hunter2', 500],
  ])('what it says to a password is in no message: %s', async (body, status) => {
    const respondHttp = ({ path }: DeviceHttpRequest): HttpAnswer => {
      const isUnlock = path.endsWith('unlock');
      return {
        kind: 'response',
        status: isUnlock ? status : 200,
        headers: {},
        body: isUnlock ? body : STATUS,
        afterMs: 0,
      };
    };
    const bench = makeBench([{ kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } }]);
    const sleep = bench.device(URL_PASSWORD, 'hunter2').verbs.sleep?.(undefined, 1_000);
    const message = await bench.run(Promise.resolve(sleep)).then(() => 'resolved', String);
    expect(message).toContain('unlock');
    expect(message).not.toContain('hunter2');
  });
});

describe('the bytes of every verb', () => {
  const UNLOCK = 'POST unlock | {"pw":"secret"}';
  const T = 'Bearer T1';
  const written = (preset: string): string =>
    `POST settings | ${T} | {"miner":{"overclock":{${OVERCLOCK.replace('"3200"', `"${preset}"`)}}}}`;

  test.each<[Verb, number | undefined, readonly string[]]>([
    // asic-rs: pause is mining/stop, resume is mining/start, both without a body; document: `-d ''`.
    ['sleep', undefined, [UNLOCK, `POST mining/stop | ${T}`]],
    ['wake', undefined, [UNLOCK, `POST mining/start | ${T}`]],
    // asic-rs and pyasic: the whole overclock object, the preset's name is its watts, and it is read again.
    [
      'power-limit',
      1_400,
      [
        UNLOCK,
        `GET settings | ${T}`,
        `GET autotune/presets | ${T}`,
        written('1100'),
        `GET settings | ${T}`,
        'GET status',
      ],
    ],
    // asic-rs: {"on":bool}, after a look at `find_miner`; document: it answers {"on":bool}.
    ['locate', 1, ['GET status', UNLOCK, `POST find-miner | ${T} | {"on":true}`]],
    ['locate', 0, ['GET status']],
    // Document and pyasic: system/reboot without a body.
    ['reboot', undefined, [UNLOCK, `GET settings | ${T}`, `POST system/reboot | ${T}`]],
  ])('%s %s', async (verb, argument, bytes) => {
    let now = settings();
    const device = rest({
      unlock: '{"token":"T1"}',
      status: STATUS,
      'GET settings': () => now,
      'POST settings': (body) => {
        now = settings(/"overclock":\{(.*)\}\}\}$/.exec(body)?.[1]);
        return '{"restart_required":false,"reboot_required":false}';
      },
      'autotune/presets': PRESETS,
      'mining/stop': '',
      'mining/start': '',
      'find-miner': '{"on":true}',
      'system/reboot': '{"after":3}',
    });
    expect(await act(makeBench([device]), verb, argument)).toBe('resolved');
    expect(device.asked).toEqual(bytes);
  });

  test.each([
    [3_200, undefined],
    [9_999, undefined],
    [1_300, '1100'],
    [4_690, '4690'],
  ])('a limit of %s W writes %s', async (limitW, preset) => {
    let now = settings();
    const device = rest({
      unlock: '{"token":"T1"}',
      status: STATUS,
      'GET settings': () => now,
      'POST settings': (body) => {
        now = settings(/"overclock":\{(.*)\}\}\}$/.exec(body)?.[1]);
        return '{}';
      },
      'autotune/presets': `{"presets":${PRESETS}}`,
    });
    expect(await act(makeBench([device]), 'power-limit', limitW)).toBe('resolved');
    expect(device.asked.filter((asked) => asked.startsWith('POST settings'))).toEqual(
      preset === undefined ? [] : [written(preset)],
    );
  });

  // Documents of the interface: below `rise_temp` the switcher goes up, as far as `top_preset`.
  test.each([
    ['"enabled":true,"top_preset":"3200"', 'VERB_REFUSED'],
    ['"enabled":true,"top_preset":"1100"', 'VERB_NOT_OBSERVED'],
    ['"enabled":true,"top_preset":null', 'VERB_NOT_OBSERVED'],
    ['"enabled":false,"top_preset":"3200"', 'VERB_NOT_OBSERVED'],
  ])('a limit that its own switcher would raise again is refused: %s', async (switcher, code) => {
    const page = settings(OVERCLOCK.replace('"enabled":true', switcher));
    const device = rest({ unlock: '{"token":"T1"}', settings: page, 'autotune/presets': PRESETS });
    expect(await act(makeBench([device]), 'power-limit', 1_100)).toBe(code);
    // What is written shows nowhere on this one.
    expect(device.asked.some((asked) => asked.startsWith('POST settings'))).toBe(code !== 'VERB_REFUSED');
  });

  test.each([
    ['below every tuned preset', PRESETS, settings(), /lowest tuned preset is 1100 W/u],
    ['none tuned', PRESETS.replaceAll('"tuned"', '"untuned"'), settings(), /none of its presets is tuned/u],
    ['clocks set by hand', PRESETS, settings(OVERCLOCK.replace('3200', 'disabled')), /could not give back/u],
  ])('a limit is refused: %s', async (_, presets, page, said) => {
    const device = rest({ unlock: '{"token":"T1"}', settings: page, 'autotune/presets': presets });
    const bench = makeBench([device]);
    const limit = bench.device(URL_PASSWORD).verbs['power-limit']?.(900, 1_000) ?? Promise.resolve();
    await expect(bench.run(limit)).rejects.toThrow(said);
    expect(device.asked.some((asked) => asked.startsWith('POST settings'))).toBe(false);
  });

  // Document: {"err":"CGMiner err: Cgminer error failed-to-activate-pause-mode "}, the status is not told.
  test.each([200, 409, 500])('an error of its miner process with status %s is a refusal', async (status) => {
    const err = '{"err":"CGMiner err: Cgminer error failed-to-activate-pause-mode "}';
    const respondHttp = ({ path }: { path: string }): HttpAnswer => ({
      kind: 'response',
      status: path.endsWith('mining/stop') ? status : 200,
      headers: {},
      body: path.endsWith('unlock') ? '{"token":"T1"}' : path.endsWith('status') ? STATUS : err,
      afterMs: 0,
    });
    const bench = makeBench([{ kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } }]);
    expect(await act(bench, 'sleep')).toBe('VERB_REFUSED');
  });
});

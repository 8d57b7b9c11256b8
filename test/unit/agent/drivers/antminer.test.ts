import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import { confWith, workModeOf } from '../../../../agent/drivers/antminer-conf.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import type { HttpAnswer, StreamDevice } from '../../../../simulator/device.ts';
import { api, codeOf, makeBench, pages, scripted, START_MS } from './miner-bench.ts';

const URL_PLAIN = 'antminer://10.0.0.1';
const URL_PASSWORD = 'antminer://10.0.0.1?passwordEnv=P';
const STATUS =
  '"STATUS":[{"STATUS":"S","When":1,"Code":70,"Msg":"CGMiner stats","Description":"cgminer 1.0.0"}]';

/** Written by hand after the form of stock firmware. */
const stats = (fields: string): string =>
  `{${STATUS},"STATS":[{"BMMiner":"1.0.0","Type":"Antminer S19j Pro"},{"STATS":0,"Elapsed":3600,${fields}}],"id":1}`;
const MINING = stats(
  '"GHS 5s":104000.5,"GHS av":103000,"fan1":6000,"fan2":0,"chain_acn1":114,"chain_acn4":0,"temp_pcb1":"60-0-64-61","temp_chip1":"70-71-75-0","temp_pcb4":"0-0-0-0","chain_power":"3068 W","total_rateideal":104000.0',
);
const EMPTY = `{${STATUS},"STATS":[],"id":1}`;
const CONF = {
  pools: [{ url: 'stratum+tcp://p:1', user: 'u', pass: 'x' }],
  'bitmain-fan-ctrl': true,
  'bitmain-fan-pwm': '80',
  'bitmain-freq-level': '90',
  'bitmain-work-mode': '0',
};
const confAt = (mode: string): string => JSON.stringify({ ...CONF, 'bitmain-work-mode': mode });

async function read(
  answer: string,
  url = URL_PLAIN,
  conf = confAt('1'),
  scope: 'fast' | 'full' = 'fast',
): Promise<Readings> {
  const bench = makeBench([api(scripted({ stats: answer })), pages({ '/cgi-bin/get_miner_conf.cgi': conf })]);
  return bench.run(bench.device(url).read(scope, 1_000));
}

describe('reading', () => {
  test('a hashing machine costs one connection and says all of it', async () => {
    const device = scripted({ stats: MINING });
    const bench = makeBench([api(device)]);
    const readings = await bench.run(bench.device(URL_PASSWORD).read('fast', 1_000));
    const atMs = START_MS + 1;
    expect(readings['hashrate']).toEqual({
      ok: true,
      value: 104_000.5e9,
      unit: 'H/s',
      quality: 'good',
      atMs,
    });
    expect(readings['power']).toEqual({
      ok: true,
      value: 3_068,
      unit: 'W',
      quality: 'good',
      atMs,
      measured: true,
    });
    expect(readings['mode']).toEqual({ ok: true, value: 'mine', unit: 'text', quality: 'good', atMs });
    expect(readings['uptime']).toMatchObject({ value: 3_600, unit: 's' });
    expect(readings['fan.1']).toMatchObject({ value: 6_000, unit: 'rpm' });
    expect(readings['fan.2']).toMatchObject({ value: 0 });
    expect(readings['temperature.board.1']).toMatchObject({ value: 64, unit: '°C' });
    expect(readings['temperature.chip.1']).toMatchObject({ value: 75 });
    expect(readings).not.toHaveProperty('temperature.board.4');
    expect(device.asked).toEqual(['stats']);
  });

  test('empty, reachable and configured to sleep is asleep; its power is unknown', async () => {
    const readings = await read(EMPTY, URL_PASSWORD);
    expect(readings['mode']).toMatchObject({ ok: true, value: 'sleep', quality: 'good' });
    expect(readings['power']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect(readings['hashrate']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });

  test('empty and configured to mine is idle, not asleep', async () => {
    expect((await read(EMPTY, URL_PASSWORD, confAt('0')))['mode']).toMatchObject({ value: 'idle' });
  });

  test('empty without a password is unknown', async () => {
    expect((await read(EMPTY))['mode']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });

  test('empty with a configuration that cannot be read is unknown', async () => {
    expect((await read(EMPTY, URL_PASSWORD, '<html>'))['mode']).toMatchObject({
      ok: false,
      why: 'ANSWER_GARBAGE',
    });
    expect((await read(EMPTY, URL_PASSWORD, '{"pools":[]}'))['mode']).toMatchObject({
      ok: false,
      why: 'VALUE_MISSING',
    });
  });

  test('asleep, the proof is asked again after a minute and at every full reading', async () => {
    const requests: string[] = [];
    const bench = makeBench([
      api(scripted({ stats: EMPTY })),
      pages({ '/cgi-bin/get_miner_conf.cgi': confAt('1') }, requests),
    ]);
    const device = bench.device(URL_PASSWORD);
    await bench.run(device.read('fast', 1_000));
    await bench.run(device.read('fast', 1_000));
    expect(requests).toHaveLength(1);
    await bench.clock.advance(61_000);
    await bench.run(device.read('fast', 1_000));
    expect(requests).toHaveLength(2);
    await bench.run(device.read('full', 1_000));
    expect(requests.length).toBeGreaterThan(2);
  });

  test('a closed API with a page that says sleep is asleep, with a doubt', async () => {
    const bench = makeBench([pages({ '/cgi-bin/get_miner_conf.cgi': confAt('1') })]);
    expect((await bench.run(bench.device(URL_PASSWORD).read('fast', 1_000)))['mode']).toMatchObject({
      value: 'sleep',
      quality: 'uncertain',
    });
    expect(await codeOf(bench.run(bench.device(URL_PLAIN).read('fast', 1_000)))).toBe('NET_REFUSED');
    const nothing = makeBench([]);
    expect(await codeOf(nothing.run(nothing.device(URL_PASSWORD).read('fast', 1_000)))).toBe('NET_REFUSED');
  });

  // The web server of some firmwares passes the API on and says so when nothing mines behind it.
  test('what passes the API on to a mining process that does not run is a closed API too', async () => {
    const refused: StreamDevice = {
      respond: () => ({
        kind: 'bytes',
        bytes: new TextEncoder().encode('Socket connect failed: Connection refused\n'),
        afterMs: 0,
        close: true,
      }),
    };
    const bench = makeBench([api(refused), pages({ '/cgi-bin/get_miner_conf.cgi': confAt('1') })]);
    expect((await bench.run(bench.device(URL_PASSWORD).read('fast', 1_000)))['mode']).toMatchObject({
      value: 'sleep',
      quality: 'uncertain',
    });
    expect(await codeOf(bench.run(bench.device(URL_PLAIN).read('fast', 1_000)))).toBe('NET_REFUSED');
  });

  test('hashing though configured to sleep is mining', async () => {
    expect((await read(MINING, URL_PASSWORD))['mode']).toMatchObject({ value: 'mine' });
  });

  test.each([
    ['a thousand times too large', '"GHS 5s":295608324', 'VALUE_IMPLAUSIBLE'],
    ['ten times its own ideal', '"GHS 5s":1040000,"total_rateideal":104000', 'VALUE_IMPLAUSIBLE'],
    ['negative', '"GHS 5s":-5', 'VALUE_IMPLAUSIBLE'],
    ['not a number', '"GHS 5s":nan', 'VALUE_INVALID'],
    ['a word', '"GHS 5s":"many"', 'VALUE_INVALID'],
  ])('a hashrate %s is no hashrate and no mode', async (_name, fields, why) => {
    const readings = await read(stats(fields));
    expect(readings['hashrate']).toMatchObject({ ok: false, why });
    expect(readings['mode']).toMatchObject({ ok: false, why });
  });

  test('an average alone is uncertain, and so is the mode it proves', async () => {
    const readings = await read(stats('"GHS av":104000'));
    expect(readings['hashrate']).toMatchObject({ ok: true, quality: 'uncertain' });
    expect(readings['mode']).toMatchObject({ value: 'mine', quality: 'uncertain' });
  });

  test('power that is no number or counts the boards alone is marked', async () => {
    expect((await read(stats('"GHS 5s":1,"chain_power":"lots"')))['power']).toMatchObject({
      ok: false,
      why: 'VALUE_INVALID',
    });
    const endless = await read(
      stats(
        `"GHS 5s":1,"chain_acn1":114,"chain_power":"1${' '.repeat(200_000)}x","temp_chip1":"${'1-'.repeat(20_000)}1"`,
      ),
    );
    expect(endless['power']).toMatchObject({ why: 'VALUE_INVALID' });
    expect(endless['temperature.chip.1']).toMatchObject({ value: 1 });
    expect((await read(stats('"GHS 5s":1,"chain_power":"99999 W"')))['power']).toMatchObject({
      ok: false,
      why: 'VALUE_IMPLAUSIBLE',
    });
    expect((await read(stats('"GHS 5s":0,"chain_power":"0 W"'), URL_PASSWORD))['power']).toMatchObject({
      value: 0,
      quality: 'uncertain',
    });
    expect((await read(stats('"GHS 5s":1')))['power']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
  });

  test('power from a port of its own, where the model has one', async () => {
    const powered = { ...pages({ '/miner_power': 'miner power:3250' }), port: 6_060 };
    const bench = makeBench([api(scripted({ stats: stats('"GHS 5s":1') })), powered]);
    const readings = await bench.run(bench.device('antminer://10.0.0.1?powerPort=6060').read('fast', 1_000));
    expect(readings['power']).toMatchObject({ value: 3_250, measured: true });
  });

  test('another firmware on the same API is named, not read', async () => {
    const bench = makeBench([
      api(scripted({ version: '{"VERSION":[{"LUXminer":"2025.3","API":"3.7"}],"STATUS":[{"STATUS":"S"}]}' })),
    ]);
    expect(await codeOf(bench.run(bench.device(URL_PLAIN).identify(1_000)))).toBe('ANSWER_GARBAGE');
  });
});

describe('the configuration', () => {
  test('sends back every setting the browser sends', () => {
    expect(confWith(CONF, 1)).toEqual({
      'bitmain-fan-ctrl': true,
      'bitmain-fan-pwm': '80',
      'miner-mode': 1,
      'bitmain-work-mode': 1,
      'freq-level': '90',
      pools: [CONF.pools[0], { url: '', user: '', pass: '' }, { url: '', user: '', pass: '' }],
    });
  });

  test('is never written from a configuration without pools', () => {
    expect(() => confWith({}, 1)).toThrow(/no pools/);
    expect(() => confWith({ pools: [] }, 1)).toThrow(/no pools/);
    expect(() => confWith({ pools: [{ url: 'x', user: 'y' }] }, 1)).toThrow(/pass/);
  });

  test('names its mode by either key', () => {
    expect(workModeOf({ 'miner-mode': 1 })).toBe(1);
    expect(workModeOf({ 'miner-mode': 0, 'bitmain-work-mode': '3' })).toBe(3);
    expect(workModeOf({})).toBeUndefined();
  });
});

describe('verbs', () => {
  const webWith = (conf: string, answer: string, requests: string[]) =>
    pages(
      {
        '/cgi-bin/get_miner_conf.cgi': conf,
        '/cgi-bin/set_miner_conf.cgi': answer,
        '/cgi-bin/get_system_info.cgi': '{}',
      },
      requests,
    );
  const OK = '{"stats":"success","code":"M000","msg":"OK!"}';

  test('wake returns to the mode that was before, 3 here', async () => {
    const requests: string[] = [];
    const bench = makeBench([webWith(confAt('3'), OK, requests)]);
    const device = bench.device(URL_PASSWORD);
    await bench.run(device.verbs.sleep?.(undefined, 1_000) ?? Promise.resolve());
    const asleep = makeBench([webWith(confAt('1'), OK, requests)]);
    expect(requests.at(-1)).toContain('"bitmain-work-mode":1');
    await asleep.run(asleep.device(URL_PASSWORD).verbs.wake?.(2, 1_000) ?? Promise.resolve());
    expect(requests.at(-1)).toContain('"bitmain-work-mode":2');
    expect(await codeOf(device.verbs.wake?.(7, 1_000))).toBe('USAGE');
  });

  test('an answer without success is a refusal; an unreadable configuration is not written to', async () => {
    const requests: string[] = [];
    const refusing = makeBench([webWith(confAt('0'), '{"stats":"error","msg":"busy"}', requests)]);
    expect(
      await codeOf(
        refusing.run(refusing.device(URL_PASSWORD).verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()),
      ),
    ).toBe('VERB_REFUSED');
    requests.length = 0;
    const broken = makeBench([webWith('{"pools":[{"url":"a"', OK, requests)]);
    expect(
      await codeOf(
        broken.run(broken.device(URL_PASSWORD).verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()),
      ),
    ).toBe('ANSWER_PARTIAL');
    expect(requests.some((request) => request.startsWith('POST'))).toBe(false);
  });
});

describe('reboot', () => {
  test.each([
    [200, '', 'resolved'],
    [200, 'going down', 'resolved'],
    [302, '', 'ANSWER_GARBAGE'],
    [400, 'bad', 'ANSWER_GARBAGE'],
    [500, 'error', 'ANSWER_GARBAGE'],
  ])('answered with status %s and “%s”', async (status, body, code) => {
    const respondHttp = ({ path }: { path: string }): HttpAnswer => ({
      kind: 'response',
      afterMs: 0,
      headers: {},
      ...(path.includes('reboot') ? { status, body } : { status: 200, body: '{"minertype":"x"}' }),
    });
    const bench = makeBench([{ kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } }]);
    const { verbs } = bench.device(URL_PASSWORD);
    expect(await codeOf(bench.run(verbs.reboot?.(undefined, 1_000) ?? Promise.resolve()))).toBe(code);
  });

  // As asic-rs does (antminer/src/backends/v2020/web.rs).
  test('a page that takes no GET is told by POST', async () => {
    const asked: string[] = [];
    const respondHttp = ({
      method,
      path,
      body,
    }: {
      method: string;
      path: string;
      body: string;
    }): HttpAnswer => {
      if (path.includes('reboot')) asked.push(`${method} ${body}`);
      const status = path.includes('reboot') && method === 'GET' ? 405 : 200;
      return { kind: 'response', afterMs: 0, headers: {}, status, body: '{"minertype":"x"}' };
    };
    const bench = makeBench([{ kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } }]);
    await bench.run(
      bench.device(URL_PASSWORD).verbs.reboot?.(undefined, 1_000) ?? Promise.reject(new Error()),
    );
    expect(asked).toEqual(['GET ', 'POST {}']);
  });
});

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('antminer-stock-2020/', pathToFileURL(`${RECORDINGS}/`));

describe.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))('answers recorded from a real S19 Pro', () => {
  const text = (name: string): string => readFileSync(new URL(`${name}.json`, CAPTURE), 'utf8');

  test('read as a person reads them', async () => {
    const answers = { stats: text('stats'), pools: text('pools'), version: text('version') };
    const bench = makeBench([api(scripted(answers))]);
    const device = bench.device(URL_PLAIN);
    expect(await bench.run(device.identify(1_000))).toEqual({
      vendor: 'Bitmain',
      model: 'Antminer S19 Pro',
      firmware: '49.0.1.3 (Tue Dec  6 16:12:30 CST 2022)',
    });
    const readings = await bench.run(device.read('full', 1_000));
    const values = Object.fromEntries(
      Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
    );
    expect(values).toEqual({
      hashrate: 110_566.89e9,
      power: 'VALUE_MISSING',
      uptime: 50_474,
      mode: 'mine',
      'fan.1': 6_000,
      'fan.2': 5_880,
      'fan.3': 5_040,
      'fan.4': 5_040,
      // chain_acn1 to 3 are 114, all of them `o` in chain_acs; chain_rate in GH/s.
      'boards.count': 3,
      'chips.count': 342,
      'hashrate.board.1': 37_603.3e9,
      'hashrate.board.2': 35_536.22e9,
      'hashrate.board.3': 37_427.38e9,
      'temperature.board.1': 73,
      'temperature.board.2': 66,
      'temperature.board.3': 64,
      'temperature.chip.1': 78,
      'temperature.chip.2': 71,
      'temperature.chip.3': 69,
      'pool.active': 'stratum+tcp://btc.global.luxor.tech:700',
      'shares.accepted': 4_057,
      'shares.rejected': 11,
    });
  });
});

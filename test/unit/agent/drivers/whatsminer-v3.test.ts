import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import type { Readings } from '../../../../protocols/reading.ts';
import type { StreamDevice } from '../../../../simulator/device.ts';
import { api, codeOf, makeBench } from './miner-bench.ts';

const URL_PLAIN = 'whatsminer-v3://10.0.0.1:4028';
const URL_PASSWORD = `${URL_PLAIN}?passwordEnv=P`;
const OK = (cmd: string): string => `{"code":0,"when":1692685512,"msg":"ok","desc":"${cmd}"}`;
const SALT = '{"code":0,"when":1,"msg":{"salt":"uhCiDyVj"},"desc":"get.device.info"}';
const SETTING =
  '{"code":0,"when":1692858102,"msg":{"power-limit":3500,"upfreq-speed":0,"power-mode":"normal"},"desc":"get.miner.setting"}';

/** Four bytes of length, little-endian, then the JSON. */
function framed(text: string): Uint8Array {
  const frame = Buffer.alloc(4 + Buffer.byteLength(text));
  frame.writeUInt32LE(Buffer.byteLength(text));
  frame.write(text, 4);
  return frame;
}

/** A v3 device that answers by command, or by command and param, as written down. */
function framedDevice(
  answers: Readonly<Record<string, string>>,
): StreamDevice & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    respond: (bytes) => {
      asked.push(Buffer.from(bytes).toString('latin1'));
      const { cmd, param } = JSON.parse(new TextDecoder().decode(bytes.subarray(4))) as Record<
        string,
        unknown
      >;
      const answer = answers[`${String(cmd)} ${JSON.stringify(param)}`] ?? answers[String(cmd)];
      return {
        kind: 'bytes',
        bytes: framed(answer ?? `{"code":-2,"when":1,"msg":"invalid command","desc":"${String(cmd)}"}`),
        afterMs: 0,
        close: false,
      };
    },
  };
}

const status = (fields: string): string =>
  `{"code":0,"when":1,"msg":{"summary":{"elapsed":100,${fields}}},"desc":"get.miner.status"}`;
const working = (text: string): string =>
  `{"code":0,"when":1,"msg":{"miner":{"working":${text}}},"desc":"get.device.info"}`;

async function read(answers: Readonly<Record<string, string>>): Promise<Readings> {
  const bench = makeBench([api(framedDevice(answers))]);
  return bench.run(bench.device(URL_PLAIN).read('fast', 1_000));
}

describe('reading', () => {
  test('a hashing machine costs one exchange, in TH/s', async () => {
    const device = framedDevice({
      'get.miner.status': status(
        '"hash-realtime":101.847,"power-realtime":3268,"power-limit":3500,"factory-hash":101.366',
      ),
    });
    const bench = makeBench([api(device)]);
    const readings = await bench.run(bench.device(URL_PLAIN).read('fast', 1_000));
    expect(readings['hashrate']).toMatchObject({ value: 101.847e12, quality: 'good', unit: 'H/s' });
    expect(readings['power']).toMatchObject({ value: 3_268, measured: true });
    expect(readings['power.limit']).toMatchObject({ value: 3_500 });
    expect(readings['mode']).toMatchObject({ value: 'mine' });
    expect(device.asked).toEqual([',\0\0\0{"cmd":"get.miner.status","param":"summary"}']);
  });

  test.each([
    ['"false"', 'sleep'],
    ['"true"', 'idle'],
  ])('not hashing, working %s is %s', async (said, mode) => {
    const readings = await read({
      'get.miner.status': status('"hash-realtime":0,"power-realtime":13'),
      'get.device.info': working(said),
    });
    expect(readings['mode']).toMatchObject({ ok: true, value: mode });
    expect(readings['power']).toMatchObject({ value: 13 });
  });

  test('a stopped service that gives no status is asleep; nobody saying so, it is a fault', async () => {
    const refused = '{"code":-1,"when":1,"msg":"btminer is not running","desc":"get.miner.status"}';
    const readings = await read({ 'get.miner.status': refused, 'get.device.info': working('"false"') });
    expect(readings['mode']).toMatchObject({ value: 'sleep' });
    expect(readings['hashrate']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect(await codeOf(read({ 'get.miner.status': refused }))).toBe('VERB_REFUSED');
    expect(await codeOf(read({ 'get.miner.status': refused, 'get.device.info': working('1') }))).toBe(
      'VERB_REFUSED',
    );
  });

  test.each([
    ['"hash-realtime":101847,"factory-hash":101.366', 'VALUE_IMPLAUSIBLE'],
    ['"hash-realtime":101847000', 'VALUE_IMPLAUSIBLE'],
    ['"hash-realtime":"fast"', 'VALUE_INVALID'],
  ])('%s is no hashrate and no mode', async (fields, why) => {
    const readings = await read({ 'get.miner.status': status(fields), 'get.device.info': working('"true"') });
    expect(readings['hashrate']).toMatchObject({ ok: false, why });
    expect(readings['mode']).toMatchObject({ ok: false, why });
  });

  test('an average proves nothing by itself', async () => {
    const fields = '"hash-average":100,"power-5min":3200';
    const off = await read({ 'get.miner.status': status(fields), 'get.device.info': working('"false"') });
    expect(off['mode']).toMatchObject({ value: 'sleep' });
    const on = await read({ 'get.miner.status': status(fields), 'get.device.info': working('"true"') });
    expect(on['mode']).toMatchObject({ value: 'mine', quality: 'uncertain' });
    expect(on['power']).toMatchObject({ value: 3_200, quality: 'uncertain' });
  });
});

/** Tokens made with hashlib: base64(sha256(cmd + "secret" + "uhCiDyVj" + "1700000000"))[:8]. */
const LITERAL: ReadonlyArray<
  readonly ['sleep' | 'wake' | 'power-limit' | 'locate' | 'reboot', number | undefined, string]
> = [
  [
    'sleep',
    undefined,
    '\x5f\0\0\0{"cmd":"set.miner.service","ts":1700000000,"token":"n4M7FZoo","account":"super","param":"stop"}',
  ],
  [
    'wake',
    undefined,
    '\x60\0\0\0{"cmd":"set.miner.service","ts":1700000000,"token":"n4M7FZoo","account":"super","param":"start"}',
  ],
  [
    'power-limit',
    3000,
    '\x61\0\0\0{"cmd":"set.miner.power_limit","ts":1700000000,"token":"ZHIP3aJW","account":"super","param":3000}',
  ],
  [
    'locate',
    1,
    '\x8d\0\0\0{"cmd":"set.system.led","ts":1700000000,"token":"PcybG76y","account":"super","param":[{"color":"red","period":200,"duration":100,"start":0}]}',
  ],
  [
    'locate',
    0,
    '\x5c\0\0\0{"cmd":"set.system.led","ts":1700000000,"token":"PcybG76y","account":"super","param":"auto"}',
  ],
  [
    'reboot',
    undefined,
    '\x50\0\0\0{"cmd":"set.system.reboot","ts":1700000000,"token":"nbEoFdPR","account":"super"}',
  ],
];

describe('verbs, byte by byte (API v3: length, cmd, ts, token of 8 letters, account, param)', () => {
  test.each(LITERAL)('%s %s', async (verb, argument, bytes) => {
    const cmd = /"cmd":"([^"]+)"/.exec(bytes)?.[1] ?? '';
    const device = framedDevice({
      [cmd]: OK(cmd),
      'get.device.info "salt"': SALT,
      'get.miner.setting': SETTING,
    });
    const bench = makeBench([api(device)]);
    await bench.run(
      bench.device(URL_PASSWORD).verbs[verb]?.(argument, 1_000) ?? Promise.reject(new Error(verb)),
    );
    expect(device.asked.at(-1)).toBe(bytes);
    expect(device.asked.filter((asked) => asked.includes('"cmd":"set.'))).toHaveLength(1);
  });

  test('without a password there are none', () => {
    expect(makeBench([]).device(URL_PLAIN).verbs).toEqual({});
  });

  test.each([
    [-1, 'VERB_REFUSED'],
    [-2, 'VERB_UNSUPPORTED'],
    [-3, 'VERB_REFUSED'],
    [-4, 'AUTH_FAILED'],
    [7, 'ANSWER_GARBAGE'],
  ])('code %s is %s, and said once', async (code, fault) => {
    const device = framedDevice({
      'get.device.info': SALT,
      'set.miner.service': `{"code":${code},"when":1,"msg":"no","desc":"set.miner.service"}`,
    });
    const bench = makeBench([api(device)]);
    expect(
      await codeOf(
        bench.run(bench.device(URL_PASSWORD).verbs.sleep?.(undefined, 1_000) ?? Promise.resolve()),
      ),
    ).toBe(fault);
    expect(device.asked.filter((asked) => asked.includes('set.'))).toHaveLength(1);
  });

  test('a salt of before is asked for anew when the token is refused', async () => {
    let salt = 'AAAAAAAA';
    const device: StreamDevice & { writes: number } = {
      writes: 0,
      respond: (bytes) => {
        const asked = new TextDecoder().decode(bytes);
        const isWrite = asked.includes('"set.');
        if (isWrite) device.writes += 1;
        // Token of set.system.led with the salt BBBBBBBB, made with hashlib.
        const text = isWrite
          ? asked.includes('"token":"wazX8IdP"')
            ? OK('set.system.led')
            : '{"code":-4,"when":1,"msg":"no permission"}'
          : `{"code":0,"when":1,"msg":{"salt":"${salt}"}}`;
        return { kind: 'bytes', bytes: framed(text), afterMs: 0, close: false };
      },
    };
    const bench = makeBench([api(device)]);
    const miner = bench.device(URL_PASSWORD);
    expect(await codeOf(bench.run(miner.verbs.locate?.(0, 1_000) ?? Promise.resolve()))).toBe('AUTH_FAILED');
    await bench.run(miner.read('full', 1_000).catch(() => undefined));
    salt = 'BBBBBBBB';
    await bench.run(miner.verbs.locate?.(0, 1_000) ?? Promise.resolve());
    expect(device.writes).toBe(3);
  });

  test('a limit already in force is not set again; a senseless one never', async () => {
    const device = framedDevice({ 'get.device.info': SALT, 'get.miner.setting': SETTING });
    const bench = makeBench([api(device)]);
    const { verbs } = bench.device(URL_PASSWORD);
    await bench.run(verbs['power-limit']?.(3_500, 1_000) ?? Promise.resolve());
    for (const senseless of [0, -1, 1.5, Number.NaN, undefined, 1e6])
      expect(await codeOf(bench.run(verbs['power-limit']?.(senseless, 1_000) ?? Promise.resolve()))).toBe(
        'USAGE',
      );
    expect(device.asked.some((asked) => asked.includes('set.'))).toBe(false);
  });
});

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('whatsminer-v3/', pathToFileURL(`${RECORDINGS}/`));

describe.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))('answers recorded from a Whatsminer M60S', () => {
  const text = (name: string): string => readFileSync(new URL(`${name}.json`, CAPTURE), 'utf8');
  const part = (name: string): object =>
    (JSON.parse(text(`get_miner_status_${name}`)) as { msg: object }).msg;

  test.each([
    ['get_device_info', ''],
    ['get_device_info_with_errors', '264, 265, 266, 267, 270'],
  ])('read as a person reads them: %s', async (info, errors) => {
    const whole = {
      code: 0,
      when: 1,
      desc: 'get.miner.status',
      msg: { ...part('summary'), ...part('pools'), ...part('edevs') },
    };
    const answers = { 'get.device.info': text(info), 'get.miner.status': JSON.stringify(whole) };
    const bench = makeBench([api(framedDevice(answers))]);
    const device = bench.device(URL_PLAIN);
    expect(await bench.run(device.identify(1_000))).toEqual({
      vendor: 'MicroBT',
      model: 'Whatsminer M60S_VK40',
      firmware: '20251209.16.Rel2',
    });
    const readings = await bench.run(device.read('full', 1_000));
    const values = Object.fromEntries(
      Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
    );
    expect(values).toEqual({
      hashrate: 171.259e12,
      power: 3_156,
      'power.limit': 3_600,
      uptime: 50_000,
      mode: 'mine',
      'fan.1': 5_400,
      'fan.2': 5_280,
      'temperature.ambient': 28.5,
      'temperature.chip.max': 82,
      // 75 effective-chips each; hash-realtime in TH/s.
      'boards.count': 3,
      'chips.count': 225,
      'hashrate.board.1': 57.2e12,
      'hashrate.board.2': 57e12,
      'hashrate.board.3': 57.1e12,
      'temperature.board.1': 41.1,
      'temperature.board.2': 40.1,
      'temperature.board.3': 41.5,
      'temperature.chip.1': 80,
      'temperature.chip.2': 82,
      'temperature.chip.3': 81,
      'pool.active': 'stratum+tcp://btc.example.pool:3333',
      errors,
    });
  });
});

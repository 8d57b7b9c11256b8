import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import type { StreamDevice } from '../../../../simulator/device.ts';
import { SimulatedLuxos } from '../../../../simulator/devices/luxos.ts';
import { api, codeOf, makeBench } from './miner-bench.ts';

const URL_LUXOS = 'luxos://10.0.0.1';

const status = (level: string, code: number, message: string): string =>
  `"STATUS":[{"STATUS":"${level}","When":1760242394,"Code":${code},"Msg":"${message}","Description":"LUXminer 2025.4.8"}]`;
const ok = (code: number, message: string, more = ''): string =>
  `{${status('S', code, message)}${more},"id":1}`;
const no = (code: number, message: string): string => `{${status('E', code, message)},"id":1}`;
const summary = (ghs: string): string => ok(11, 'Summary', `,"SUMMARY":[{"Elapsed":3453,${ghs}}]`);
const power = (fields: string): string => ok(311, 'Power usage', `,"POWER":[{${fields}}]`);
const config = (fields: string): string =>
  ok(33, 'LUXminer config', `,"CONFIG":[{"NameplateTHS":121.8,"Profile":"290MHz",${fields}}]`);
const session = (id: string): string => ok(316, 'Session', `,"SESSION":[{"SessionID":"${id}"}]`);
const profile = (name: string, watts: number, step: number): string =>
  `{"Profile Name":"${name}","Watts":${watts},"Step":"${step}","IsTuned":false}`;
const PROFILES = ok(
  323,
  'List profiles',
  `,"PROFILES":[${[
    profile('190MHz', 784, -16),
    profile('290MHz', 1_188, -12),
    profile('390MHz', 1_657, -8),
    profile('default', 2_794, 0),
    profile('640MHz', 3_119, 2),
  ].join(',')}]`,
);
const READS = {
  config: config('"CurtailMode":"None","IsAtmEnabled":false'),
  profiles: PROFILES,
  pools: ok(7, '0 Pool(s)', ',"POOLS":[]'),
};
const SESSION = { logon: session('aB3dE6gH'), logoff: ok(317, 'Session terminated') };

/** A device that answers by command as written down, and remembers requests word for word. */
function answering(answers: Readonly<Record<string, string>>): StreamDevice & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    respond: (bytes) => {
      const text = new TextDecoder().decode(bytes);
      asked.push(text);
      const { command = '', parameter } = JSON.parse(text) as Record<string, string>;
      const answer =
        answers[`${command} ${parameter ?? ''}`] ?? answers[command] ?? no(14, 'Invalid command');
      return { kind: 'bytes', bytes: new TextEncoder().encode(`${answer}\0`), afterMs: 0, close: true };
    },
  };
}

async function read(answers: Readonly<Record<string, string>>): Promise<Readings> {
  const bench = makeBench([api(answering(answers))]);
  return bench.run(bench.device(URL_LUXOS).read('fast', 1_000));
}

describe('reading', () => {
  test('a hashing machine costs two connections: rate and power', async () => {
    const device = answering({
      summary: summary('"GHS 5s":59756.06'),
      power: power('"PSU":false,"Watts":1051'),
    });
    const bench = makeBench([api(device)]);
    const readings = await bench.run(bench.device(URL_LUXOS).read('fast', 1_000));
    expect(readings['hashrate']).toMatchObject({ value: 59_756.06e9, unit: 'H/s', quality: 'good' });
    expect(readings['power']).toMatchObject({ value: 1_051, measured: false });
    expect(readings['mode']).toMatchObject({ value: 'mine' });
    expect(device.asked).toEqual(['{"command":"summary"}', '{"command":"power"}']);
    expect(
      (await read({ summary: summary('"GHS 5s":1'), power: power('"PSU":true,"Watts":1051') }))['power'],
    ).toMatchObject({
      measured: true,
    });
  });

  test.each([
    ['"CurtailMode":"Sleep"', 'sleep'],
    ['"CurtailMode":"None"', 'idle'],
  ])('not hashing with %s is %s', async (fields, mode) => {
    const readings = await read({
      summary: summary('"GHS 5s":0'),
      power: power('"PSU":true,"Watts":28'),
      config: config(fields),
    });
    expect(readings['mode']).toMatchObject({ ok: true, value: mode });
    expect(readings['power']).toMatchObject({ value: 28 });
  });

  test('with nothing to sum up the configuration says what it does; nobody saying so, it is a fault', async () => {
    const none = no(305, 'Not ready');
    const asleep = await read({ summary: none, config: config('"CurtailMode":"Sleep"') });
    expect(asleep['mode']).toMatchObject({ value: 'sleep' });
    expect(asleep['hashrate']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect(asleep['power']).toMatchObject({ ok: false, why: 'VERB_UNSUPPORTED' });
    expect(await codeOf(read({ summary: none }))).toBe('VERB_REFUSED');
    expect((await read({ summary: summary('"GHS 5s":0'), config: config('"A":1') }))['mode']).toMatchObject({
      ok: false,
      why: 'VALUE_MISSING',
    });
  });

  test('a rate far above the nameplate is none', async () => {
    const device = answering({
      ...READS,
      summary: summary('"GHS 5s":597560.6'),
      power: power('"PSU":true,"Watts":1051'),
    });
    const bench = makeBench([api(device)]);
    const miner = bench.device(URL_LUXOS);
    await bench.run(miner.read('full', 1_000));
    expect((await bench.run(miner.read('fast', 1_000)))['hashrate']).toMatchObject({
      ok: false,
      why: 'VALUE_IMPLAUSIBLE',
    });
    expect((await read({ summary: summary('"GHS 5s":59756060') }))['mode']).toMatchObject({
      ok: false,
      why: 'VALUE_IMPLAUSIBLE',
    });
  });
});

describe('verbs, word for word', () => {
  const run = (
    device: StreamDevice,
    verb: 'sleep' | 'wake' | 'reboot' | 'locate' | 'power-limit',
    argument?: number,
  ): Promise<string> => {
    const bench = makeBench([api(device)]);
    return codeOf(
      bench.run(bench.device(URL_LUXOS).verbs[verb]?.(argument, 2_000) ?? Promise.reject(new Error(verb))),
    );
  };

  test.each([
    ['sleep', undefined, 'curtail', 'aB3dE6gH,sleep', ok(335, 'Curtailment command sent')],
    ['wake', undefined, 'curtail', 'aB3dE6gH,wakeup', ok(335, 'Curtailment command sent')],
    ['reboot', undefined, 'rebootdevice', 'aB3dE6gH', ok(323, 'Rebooting device')],
    ['locate', 1, 'ledset', 'aB3dE6gH,red,blink', ok(321, 'LED set')],
    ['locate', 0, 'ledset', 'aB3dE6gH,red,off', ok(321, 'LED set')],
  ] as const)(
    '%s %s in a session of its own, which it ends',
    async (verb, argument, command, parameter, answer) => {
      const device = answering({ ...SESSION, [command]: answer });
      expect(await run(device, verb, argument)).toBe('resolved');
      expect(device.asked).toEqual([
        '{"command":"logon"}',
        `{"command":"${command}","parameter":"${parameter}"}`,
        '{"command":"logoff","parameter":"aB3dE6gH"}',
      ]);
    },
  );

  test('a session that is there already is used, and left to whose it is', async () => {
    const device = answering({
      logon: no(402, 'Another session is active'),
      session: session('theirs00'),
      curtail: ok(335, 'Curtailment command sent'),
    });
    expect(await run(device, 'sleep')).toBe('resolved');
    expect(device.asked).toEqual([
      '{"command":"logon"}',
      '{"command":"session"}',
      '{"command":"curtail","parameter":"theirs00,sleep"}',
    ]);
    const busy = answering({ logon: no(402, 'Another session is active'), session: session('') });
    expect(await run(busy, 'sleep')).toBe('QUEUE_FULL');
  });

  test.each([
    [no(14, 'Invalid command'), 'VERB_UNSUPPORTED'],
    [no(305, 'Invalid parameter'), 'VERB_REFUSED'],
    [no(316, 'Invalid session id'), 'QUEUE_FULL'],
    // Nobody knows whether it was done.
    ['{}', 'ANSWER_GARBAGE'],
    ['{"STATUS":[],"id":1}', 'ANSWER_GARBAGE'],
    ['{"STATUS":[{"Code":335,"Msg":""}],"id":1}', 'ANSWER_GARBAGE'],
    [ok(335, 'Curtailment command sent').slice(0, -9), 'ANSWER_PARTIAL'],
  ])('refused with %s it says so, and ends its session', async (answer, code) => {
    const device = answering({ ...SESSION, curtail: answer });
    expect(await run(device, 'sleep')).toBe(code);
    expect(device.asked.at(-1)).toBe('{"command":"logoff","parameter":"aB3dE6gH"}');
  });

  test('a session that could not be ended in time is found again, and ended', async () => {
    const miner = answering({ ...SESSION, curtail: ok(335, 'Curtailment command sent') });
    const state = { slow: true, open: false };
    const asked: string[] = [];
    const bench = makeBench([
      api({
        respond: (bytes, nowMs) => {
          const { command = '' } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, string>;
          asked.push(command);
          const answer = (text: string, afterMs = 0): ReturnType<StreamDevice['respond']> => ({
            kind: 'bytes',
            bytes: new TextEncoder().encode(text),
            afterMs,
            close: true,
          });
          if (command === 'logon' && state.open) return answer(no(402, 'Another session is active'));
          if (command === 'session') return answer(SESSION.logon);
          if (command === 'logon' || command === 'logoff') state.open = command === 'logon';
          if (command === 'curtail' && state.slow) return answer(ok(335, 'Curtailment command sent'), 5_000);
          return miner.respond(bytes, nowMs);
        },
      }),
    ]);
    const { verbs } = bench.device(URL_LUXOS);
    expect(await codeOf(bench.run(verbs.sleep?.(undefined, 2_000) ?? Promise.resolve()))).toBe('NET_TIMEOUT');
    expect(state.open).toBe(true);
    state.slow = false;
    expect(await codeOf(bench.run(verbs.sleep?.(undefined, 2_000) ?? Promise.resolve()))).toBe('resolved');
    expect(asked).toEqual(['logon', 'curtail', 'logon', 'session', 'curtail', 'logoff']);
    expect(state.open).toBe(false);
  });

  test('a limit is the highest profile within it, never an overclock; its thermal control pauses for that moment', async () => {
    const device = answering({
      ...READS,
      ...SESSION,
      config: config('"CurtailMode":"None","IsAtmEnabled":true'),
      profileset: ok(325, 'Profile set'),
      atmset: ok(338, 'Updated'),
    });
    expect(await run(device, 'power-limit', 3_500)).toBe('resolved');
    expect(device.asked.slice(-5)).toEqual([
      '{"command":"logon"}',
      '{"command":"atmset","parameter":"aB3dE6gH,enabled=false"}',
      '{"command":"profileset","parameter":"aB3dE6gH,default"}',
      '{"command":"atmset","parameter":"aB3dE6gH,enabled=true"}',
      '{"command":"logoff","parameter":"aB3dE6gH"}',
    ]);
  });

  test('its thermal control is given back when the profile is refused', async () => {
    const device = answering({
      ...READS,
      ...SESSION,
      config: config('"CurtailMode":"None","IsAtmEnabled":true'),
      profileset: no(305, 'Profile is locked'),
      atmset: ok(338, 'Updated'),
    });
    expect(await run(device, 'power-limit', 1_700)).toBe('VERB_REFUSED');
    expect(device.asked.slice(-2)).toEqual([
      '{"command":"atmset","parameter":"aB3dE6gH,enabled=true"}',
      '{"command":"logoff","parameter":"aB3dE6gH"}',
    ]);
  });

  test.each([
    [1_188, undefined],
    [1_500, undefined],
    [1_657, '390MHz'],
    [800, '190MHz'],
    [3_119, '640MHz'],
  ])('a limit of %s W sets %s', async (limitW, name) => {
    const device = answering({ ...READS, ...SESSION, profileset: ok(325, 'Profile set') });
    expect(await run(device, 'power-limit', limitW)).toBe('resolved');
    const sets = device.asked.filter((asked) => asked.includes('profileset'));
    expect(sets).toEqual(
      name === undefined ? [] : [`{"command":"profileset","parameter":"aB3dE6gH,${name}"}`],
    );
  });

  test('below its lowest profile, or senseless, nothing is set', async () => {
    const device = answering({ ...READS, ...SESSION });
    expect(await run(device, 'power-limit', 500)).toBe('VERB_REFUSED');
    for (const senseless of [0, -1, 1.5, Number.NaN, undefined, 1e6])
      expect(await run(device, 'power-limit', senseless)).toBe('USAGE');
    expect(device.asked.some((asked) => asked.includes('logon'))).toBe(false);
  });
});

describe('the simulated machine', () => {
  const model = loadModel('antminer-s19k-pro-luxos');
  if (model.kind !== 'asic') throw new Error(model.id);
  const make = (): SimulatedLuxos =>
    new SimulatedLuxos({ id: 'm', model, random: seededRandom(1), startMs: -1e7, password: '' });

  test('a limit between two profiles reads as what was asked for, and comes back to the watt', async () => {
    const miner = make();
    const bench = makeBench([api(miner)]);
    const device = bench.device(URL_LUXOS);
    await bench.run(device.verbs['power-limit']?.(2_500, 2_000) ?? Promise.resolve());
    expect(miner.power.limitW).toBe(2_336);
    expect((await bench.run(device.read('full', 2_000)))['power.limit']).toMatchObject({ value: 2_500 });
    expect(device.settings?.newest()?.settings['powerLimit']).toBe(2_500);
    // Who looks at it anew sees the profile's own watts.
    expect((await bench.run(bench.device(URL_LUXOS).read('full', 2_000)))['power.limit']).toMatchObject({
      value: 2_336,
    });
    await bench.run(device.verbs['power-limit']?.(2_794, 2_000) ?? Promise.resolve());
    expect(miner.settings()).toMatchObject({ powerLimit: 2_794, atm: 'true' });
  });

  test('says that the command was sent and sleeps later; asleep it comes back asleep', async () => {
    const miner = make();
    const bench = makeBench([api(miner)]);
    const device = bench.device(URL_LUXOS);
    await bench.run(device.verbs.sleep?.(undefined, 2_000) ?? Promise.resolve());
    expect((await bench.run(device.read('fast', 2_000)))['mode']).toMatchObject({ value: 'mine' });
    await bench.clock.advance(20_000);
    expect((await bench.run(device.read('fast', 2_000)))['mode']).toMatchObject({ value: 'sleep' });
    miner.supply(false, bench.clock.monoMs());
    miner.supply(true, bench.clock.monoMs());
    await bench.clock.advance(60_000);
    expect((await bench.run(device.read('fast', 2_000)))['mode']).toMatchObject({ value: 'sleep' });
  });

  test('two commands at once use one session after the other', async () => {
    const miner = make();
    const bench = makeBench([api(miner)]);
    const { verbs } = bench.device(URL_LUXOS);
    await bench.run(Promise.all([verbs.locate?.(1, 2_000), verbs.sleep?.(undefined, 2_000)]));
    expect(miner.changes).toBe(2);
    expect(miner.led).toBe('blink');
  });

  test('while another is logged on its session serves, and stays', async () => {
    const miner = make();
    const bench = makeBench([api(miner)]);
    const id = miner.anotherLogsOn(bench.clock.monoMs());
    await bench.run(bench.device(URL_LUXOS).verbs.locate?.(1, 2_000) ?? Promise.resolve());
    const answer = miner.respond(new TextEncoder().encode('{"command":"session"}'), bench.clock.monoMs());
    expect(answer.kind === 'bytes' && new TextDecoder().decode(answer.bytes)).toContain(id);
  });
});

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('luxos/', pathToFileURL(`${RECORDINGS}/`));

describe.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))('answers recorded from an S19k Pro', () => {
  const text = (name: string): string => readFileSync(new URL(`${name}.json`, CAPTURE), 'utf8');

  test('read as a person reads them', async () => {
    const names = ['version', 'summary', 'power', 'config', 'temps', 'fans', 'pools', 'profiles'];
    const bench = makeBench([api(answering(Object.fromEntries(names.map((name) => [name, text(name)]))))]);
    const device = bench.device(URL_LUXOS);
    expect(await bench.run(device.identify(1_000))).toEqual({
      vendor: 'Bitmain',
      model: 'Antminer S19k Pro',
      firmware: 'LuxOS 2025.4.8.220305-57b389c7',
    });
    const readings = await bench.run(device.read('full', 1_000));
    const values = Object.fromEntries(
      Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
    );
    expect(values).toEqual({
      hashrate: 59_756.06 * 1e9,
      power: 1_051,
      'power.limit': 1_188,
      uptime: 3_453,
      mode: 'mine',
      // ASC Count
      'boards.count': 3,
      'temperature.board.1': 47,
      'temperature.board.2': 47,
      'temperature.board.3': 47,
      'fan.1': 1_920,
      'fan.2': 1_920,
      'fan.3': 2_340,
      'fan.4': 2_340,
      'pool.active': 'stratum+tcp://ca.stratum.braiins.com:3333',
      'shares.accepted': 1_483,
      'shares.rejected': 1,
    });
    expect(readings['power']).toMatchObject({ measured: false });
    expect(device.settings?.newest()?.settings).toMatchObject({ powerLimit: 1_188, atm: 'true' });
  });
});

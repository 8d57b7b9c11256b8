import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

import type { Readings } from '../../../../protocols/reading.ts';
import type { StreamDevice } from '../../../../simulator/device.ts';
import { SimulatedAvalon } from '../../../../simulator/devices/avalon.ts';
import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import { api, boardRates, codeOf, makeBench } from './miner-bench.ts';

const URL_JSON = 'avalon://10.0.0.1';
const URL_TEXT = 'avalon://10.0.0.1?dialect=text';
const WHEN = 1_753_434_816;

/** An Avalon that answers by command (and parameter) as written down. What is not there is an unknown command. */
function asked(answers: Readonly<Record<string, string>>): StreamDevice & { readonly asked: string[] } {
  const requests: string[] = [];
  return {
    asked: requests,
    respond: (bytes) => {
      const text = new TextDecoder().decode(bytes);
      requests.push(text);
      const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, string>) : undefined;
      const [command = '', parameter] = json ? [json['command'], json['parameter']] : text.split('|');
      const option = parameter?.split(',')[1];
      const answer =
        answers[option === undefined ? command : `${command} ${option}`] ??
        '{"STATUS":[{"STATUS":"E","When":1,"Code":14,"Msg":"Invalid command","Description":"cgminer 4.11.1"}],"id":1}';
      return {
        kind: 'bytes',
        bytes: new TextEncoder().encode(answer && `${answer}\0`),
        afterMs: 0,
        close: true,
      };
    },
  };
}

const status = (level: string, code: number, message: string): string =>
  `"STATUS":[{"STATUS":"${level}","When":${WHEN},"Code":${code},"Msg":"${message}","Description":"cgminer 4.11.1"}]`;
const stats = (words: string, key = 'MM ID0'): string =>
  `{${status('S', 70, 'CGMiner stats')},"STATS":[{"STATS":0,"ID":"AVA100","Elapsed":24684,"${key}":"${words}"}],"id":1}`;
const WORKS = 'SYSTEMSTATU[Work: In Work, Hash Board: 3 ] SoftOFF[0]';
const OFF = 'SYSTEMSTATU[Work: In Idle, Hash Board: 3 ] SoftOFF[4]';
const POOLS = `{${status('S', 7, '0 Pool(s)')},"POOLS":[],"id":1}`;

async function read(words: string): Promise<Readings> {
  const bench = makeBench([api(asked({ estats: stats(words) }))]);
  return bench.run(bench.device(URL_JSON).read('fast', 1_000));
}

describe('reading', () => {
  test('finds out once which command gives the bracket string, and then costs one connection', async () => {
    const device = asked({ estats: stats(`${WORKS} GHSspd[81072.68] PS[0 1214 1316 242 3189 1320 3504]`) });
    const bench = makeBench([api(device)]);
    const miner = bench.device(URL_JSON);
    const readings = await bench.run(miner.read('fast', 1_000));
    expect(readings['hashrate']).toMatchObject({ value: 81_072.68e9, unit: 'H/s', quality: 'good' });
    expect(readings['power']).toMatchObject({ value: 3_504, measured: true, quality: 'good' });
    expect(readings['mode']).toMatchObject({ value: 'mine' });
    await bench.run(miner.read('fast', 1_000));
    expect(device.asked).toEqual(['{"command":"litestats"}', '{"command":"estats"}', '{"command":"estats"}']);
  });

  // tetherto/miningos-wrk-miner-avalon, mock/server.js: a command that it does not know is closed without a word.
  test('a firmware that closes on a command it does not know is asked another', async () => {
    const device = asked({ litestats: '', estats: stats(`${WORKS} GHSspd[81072.68]`) });
    const bench = makeBench([api(device)]);
    const miner = bench.device(URL_JSON);
    for (let time = 0; time < 2; time += 1)
      expect((await bench.run(miner.read('fast', 1_000)))['mode']).toMatchObject({ value: 'mine' });
    expect(device.asked).toEqual(['{"command":"litestats"}', '{"command":"estats"}', '{"command":"estats"}']);
    const mute = makeBench([api(asked({ litestats: '', estats: '', stats: '' }))]);
    const muteMiner = mute.device(URL_JSON);
    expect(await codeOf(mute.run(muteMiner.read('fast', 1_000)))).toBe('NET_RESET');
  });

  test('told to mine and yet in idle, it is not sure that it hashes', async () => {
    expect((await read(`${OFF} GHSspd[81072.68]`))['mode']).toMatchObject({
      value: 'mine',
      quality: 'uncertain',
    });
  });

  test.each([
    [`${OFF} GHSspd[0.00]`, 'sleep'],
    ['SYSTEMSTATU[Work: In Idle, Hash Board: 3 ] SoftOFF[5] GHSspd[0.00]', 'sleep'],
    // 6 stands for a boot as well: no proof of a sleep.
    ['SYSTEMSTATU[Work: In Idle, Hash Board: 3 ] SoftOFF[6] GHSspd[0.00]', 'idle'],
    ['SYSTEMSTATU[Work: In Idle, Hash Board: 3 ] SoftOFF[0] GHSspd[0.00]', 'idle'],
    [`${WORKS} GHSspd[0.00]`, 'idle'],
    // Switched off and not down yet.
    ['SYSTEMSTATU[Work: In Work, Hash Board: 3 ] SoftOFF[4] GHSspd[0.00]', 'idle'],
  ])('%s is %s', async (words, mode) => {
    expect((await read(words))['mode']).toMatchObject({ ok: true, value: mode });
  });

  test('what it does not say is no mode; an average does not hide that it is off', async () => {
    expect((await read('GHSspd[0.00]'))['mode']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect((await read(`${OFF} GHSavg[44499.41]`))['mode']).toMatchObject({ value: 'sleep' });
    expect((await read(`${WORKS} GHSavg[44499.41]`))['mode']).toMatchObject({
      value: 'mine',
      quality: 'uncertain',
    });
    const nonsense = await read(`${WORKS} GHSspd[81072680.00]`);
    expect(nonsense['hashrate']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
    expect(nonsense['mode']).toMatchObject({ ok: false, why: 'VALUE_IMPLAUSIBLE' });
  });

  test.each([
    ['WALLPOWER[1700] PS[0 1221 2421 66 1598 2422 1670]', { value: 1_700, quality: 'good' }],
    ['PS[0 1221 2421 66 1598 2422 1670]', { value: 1_670, quality: 'good' }],
    ['PS[0 1221 2421 66 1598 2422]', { value: 1_598, quality: 'uncertain' }],
    // A last figure that cannot be what the wall gives for 1598 W.
    ['PS[0 1221 2421 66 1598 2422 9000]', { value: 1_598, quality: 'uncertain' }],
    ['PS[0 1222 4 0 0 2245 146]', { value: 146, quality: 'good' }],
    ['PS[]', { ok: false, why: 'VALUE_MISSING' }],
  ])('power of %s', async (words, power) => {
    expect((await read(`${WORKS} ${words}`))['power']).toMatchObject(power);
  });

  test('an answer without a module is none; one that broke off in it neither', async () => {
    const without = makeBench([
      api(asked({ litestats: `{${status('S', 70, '')},"STATS":[{"ID":"POOL0"}],"id":1}` })),
    ]);
    expect(await codeOf(without.run(without.device(URL_JSON).read('fast', 1_000)))).toBe('ANSWER_GARBAGE');
    const broken = makeBench([api(asked({ litestats: stats(WORKS).slice(0, 160) }))]);
    expect(await codeOf(broken.run(broken.device(URL_JSON).read('fast', 1_000)))).toBe('ANSWER_PARTIAL');
  });
});

describe('verbs, literally (asc 0; soft-off and soft-on 5 s ahead by the device’s own clock)', () => {
  const table = [
    [
      'sleep',
      undefined,
      '0,softoff,1:1753434821',
      `{${status('I', 118, 'ASC 0 set info: success softoff:1753434821')},"id":1}`,
    ],
    [
      'wake',
      undefined,
      '0,softon,1:1753434821',
      `{${status('I', 118, 'ASC 0 set info: success softon:1753434821')},"id":1}`,
    ],
    ['wake', undefined, '0,softon,1:1753434821', ''],
    ['sleep', undefined, '0,softoff,1:1753434821', `{${status('S', 119, 'ASC 0 set OK')},"id":1}`],
    ['reboot', undefined, '0,reboot,0', `{${status('S', 119, 'ASC 0 set OK')},"id":1}`],
    // tetherto/miningos-wrk-miner-avalon, mock/cmds/ascset_reboot.js: gone before it has said so.
    ['reboot', undefined, '0,reboot,0', ''],
    ['locate', 1, '0,led,1-1', `{${status('S', 119, 'ASC 0 set OK')},"id":1}`],
    ['locate', 0, '0,led,1-0', `{${status('S', 119, 'ASC 0 set OK')},"id":1}`],
  ] as const;

  test.each(table)('%s %s in JSON: %s', async (verb, argument, parameter, answer) => {
    const device = asked({
      litestats: stats(OFF),
      pools: POOLS,
      [`ascset ${parameter.split(',')[1] ?? ''}`]: answer,
    });
    const bench = makeBench([api(device)]);
    await bench.run(bench.device(URL_JSON).verbs[verb]?.(argument, 1_000) ?? Promise.reject(new Error(verb)));
    expect(device.asked.filter((request) => request.includes('ascset'))).toEqual([
      `{"command":"ascset","parameter":"${parameter}"}`,
    ]);
  });

  test.each([
    [
      'STATUS=I,When=1753434816,Code=118,Msg=ASC 0 set info: success softoff:1753434821,Description=cgminer 4.11.1|',
      'resolved',
    ],
    ['STATUS=S,When=1753434816,Code=119,Msg=ASC 0 set OK,Description=cgminer 4.11.1|', 'resolved'],
    [
      'STATUS=E,When=1,Code=120,Msg=ASC 0 set failed: softoff unknown argument,Description=cgminer 4.11.1|',
      'VERB_REFUSED',
    ],
    [
      'STATUS=E,When=1,Code=120,Msg=ASC 0 set failed: Unknown option: softoff,Description=cgminer 4.11.1|',
      'VERB_UNSUPPORTED',
    ],
    [
      'STATUS=I,When=1,Code=118,Msg=ASC 0 set info: softoff is locked,Description=cgminer 4.11.1|',
      'VERB_REFUSED',
    ],
  ])('sleep as text, answered %s', async (answer, outcome) => {
    const text = `STATUS=S,When=${WHEN},Code=70,Msg=CGMiner stats,Description=x|STATS=0,ID=AVA100,MM ID0=${OFF}|`;
    const device = asked({ litestats: text, 'ascset softoff': answer });
    const bench = makeBench([api(device)]);
    expect(
      await codeOf(bench.run(bench.device(URL_TEXT).verbs.sleep?.(undefined, 1_000) ?? Promise.resolve())),
    ).toBe(outcome);
    expect(device.asked).toEqual(['litestats', 'ascset|0,softoff,1:1753434821']);
  });

  // tetherto/miningos-wrk-miner-avalon, workers/lib/miner.js: the A1346 takes 0-1 and 0-0 for its light.
  test.each([
    [1, '0,led,0-1'],
    [0, '0,led,0-0'],
  ])('locate %d of a firmware that counts its lights from 0 is %s', async (argument, parameter) => {
    const device: StreamDevice & { readonly asked: string[] } = asked({});
    const respond = device.respond.bind(device);
    const text = (refused: boolean): string =>
      `{${refused ? status('E', 119, 'ASC 0 set failed: ') : status('I', 118, 'ASC 0 set info: LED[true]')},"id":1}`;
    device.respond = (bytes, nowMs) => {
      const said = text(!new TextDecoder().decode(bytes).includes('led,0-'));
      return {
        ...respond(bytes, nowMs),
        kind: 'bytes',
        bytes: new TextEncoder().encode(said),
        afterMs: 0,
        close: true,
      };
    };
    const bench = makeBench([api(device)]);
    await bench.run(
      bench.device(URL_JSON).verbs.locate?.(argument, 1_000) ?? Promise.reject(new Error('none')),
    );
    expect(device.asked.at(-1)).toBe(`{"command":"ascset","parameter":"${parameter}"}`);
  });

  test('one that closed on soft-on and sleeps on is woken by a reboot when it is told again', async () => {
    const device = asked({ litestats: stats(OFF), 'ascset softon': '', 'ascset reboot': '' });
    const bench = makeBench([api(device)]);
    const miner = bench.device(URL_JSON);
    const wake = (): Promise<void> => bench.run(miner.verbs.wake?.(undefined, 1_000) ?? Promise.resolve());
    const last = (): string | undefined => device.asked.at(-1);
    await wake();
    await wake();
    // Too soon to tell: it wakes some seconds after it was told.
    expect(last()).toContain('softon');
    await bench.clock.advance(30_000);
    await wake();
    expect(last()).toContain('reboot,0');
  });

  test('older firmware without soft-on is woken by a reboot', async () => {
    const device = asked({
      litestats: stats(OFF),
      'ascset softon': `{${status('E', 120, 'ASC 0 set failed: Unknown option: softon')},"id":1}`,
      'ascset reboot': `{${status('S', 119, 'ASC 0 set OK')},"id":1}`,
    });
    const bench = makeBench([api(device)]);
    await bench.run(bench.device(URL_JSON).verbs.wake?.(undefined, 1_000) ?? Promise.resolve());
    expect(device.asked.at(-1)).toBe('{"command":"ascset","parameter":"0,reboot,0"}');
  });

  test('hands over the settings before it writes; nothing is written when that fails', async () => {
    const pools = `{${status('S', 7, '1 Pool(s)')},"POOLS":[{"URL":"u","User":"w"}],"id":1}`;
    const device = asked({ litestats: stats(`${WORKS} WORKMODE[1] WORKLEVEL[2]`), pools });
    const bench = makeBench([api(device)]);
    const { sleep } = bench.device(URL_JSON).verbs;
    const seen: unknown[] = [];
    const failing = (settings: unknown): Promise<void> => {
      seen.push(settings);
      return Promise.reject(new Error('no disk'));
    };
    expect(await codeOf(bench.run(sleep?.(undefined, 1_000, failing) ?? Promise.resolve()))).toContain(
      'no disk',
    );
    expect(seen).toEqual([
      { workMode: 1, workLevel: 2, 'pool.1.url': 'stratum+tcp://u', 'pool.1.user': 'w' },
    ]);
    expect(device.asked.some((request) => request.includes('ascset'))).toBe(false);
  });
});

test('its API is asked one thing at a time, whoever asks', async () => {
  const model = loadModel('avalon-1246');
  if (model.kind !== 'asic') throw new Error(model.id);
  const miner = new SimulatedAvalon({
    id: 'm',
    model,
    random: seededRandom(1),
    startMs: -1e6,
    password: '',
    answerMs: 50,
  });
  const bench = makeBench([api(miner)]);
  const device = bench.device(URL_JSON);
  const all = Promise.all([
    device.read('full', 2_000),
    device.identify(2_000),
    device.verbs.locate?.(1, 2_000),
  ]);
  const [readings, identity] = await bench.run(all);
  expect(readings['mode']).toMatchObject({ value: 'mine' });
  expect(identity).toMatchObject({ vendor: 'Canaan' });
  expect(miner.led).toBe(1);
});

/** Real devices' answers are not ours to pass on: who has them names the folder they are in. */
const RECORDINGS = process.env['SWITCHYARD_RECORDINGS'] ?? '';
const CAPTURE = new URL('avalon/', pathToFileURL(`${RECORDINGS}/`));

describe.skipIf(RECORDINGS === '' || !existsSync(CAPTURE))('answers recorded from Avalons', () => {
  const text = (name: string): string => readFileSync(new URL(`${name}.json`, CAPTURE), 'utf8');
  const readRecorded = async (
    answers: Readonly<Record<string, string>>,
  ): Promise<Record<string, unknown>> => {
    const bench = makeBench([api(asked(answers))]);
    const readings = await bench.run(bench.device(URL_JSON).read('full', 1_000));
    return Object.fromEntries(
      Object.entries(readings).map(([name, reading]) => [name, reading.ok ? reading.value : reading.why]),
    );
  };
  const pool = 'stratum+tcp://pool.example.com:4444';

  test('a 1246 at work', async () => {
    expect(await readRecorded({ estats: text('avalon_a_stats'), pools: text('pools') })).toEqual({
      hashrate: 81_072.68 * 1e9,
      power: 3_504,
      uptime: 24_684,
      mode: 'mine',
      workMode: 1,
      'temperature.ambient': 30,
      // Hash Board: 3; 120 voltages of chips on each, none of them 0; MGHS, which add up to the average.
      'chips.count': 360,
      ...boardRates(26.90701, 26.02506, 26.72456),
      'temperature.chip.max': 77,
      'temperature.chip.1': 77,
      'temperature.chip.2': 77,
      'temperature.chip.3': 76,
      'fan.1': 5_344,
      'fan.2': 5_392,
      'fan.3': 5_349,
      'fan.4': 5_309,
      'pool.active': pool,
      'shares.accepted': 890,
      'shares.rejected': 2,
      errors: '',
    });
  });

  test.each([
    ['litestats', 37_977, 44_350.83e9],
    ['stats', 37_850, 44_499.41e9],
  ])('a Q switched off softly, by %s', async (command, uptime, boardHs) => {
    expect(await readRecorded({ [command]: text(command), pools: text('pools') })).toEqual({
      hashrate: 0,
      power: 146,
      uptime,
      mode: 'sleep',
      workMode: 0,
      'temperature.ambient': 26,
      'temperature.chip.max': 'VALUE_MISSING',
      'temperature.board.1': 27,
      // An average since the start, as it says of all boards together.
      'boards.count': 1,
      'hashrate.board.1': boardHs,
      'fan.1': 0,
      'fan.2': 0,
      'fan.3': 0,
      'fan.4': 0,
      'pool.active': pool,
      'shares.accepted': 890,
      'shares.rejected': 2,
      errors: '',
    });
  });

  test('the same as a gateway hands it on; a module without words gives none', async () => {
    const parsed = await readRecorded({ litestats: text('litestats_parsed'), pools: text('pools') });
    expect(parsed).toMatchObject({
      power: 1_670,
      uptime: 117_595,
      'fan.4': 2_679,
      'temperature.board.1': 77,
    });
    expect(await readRecorded({ stats: text('stats_empty_parsed'), pools: text('pools') })).toMatchObject({
      hashrate: 'VALUE_MISSING',
      power: 'VALUE_MISSING',
      mode: 'VALUE_MISSING',
      uptime: 117_245,
    });
  });

  test('names and the answers to commands', async () => {
    const answers = {
      version: text('version'),
      litestats: text('litestats'),
      'ascset softoff': text('ascset_softoff'),
      'ascset softon': text('ascset_softon'),
      'ascset reboot': text('ascset_workmode'),
    };
    const bench = makeBench([api(asked(answers))]);
    const device = bench.device(URL_JSON);
    expect(await bench.run(device.identify(1_000))).toEqual({
      vendor: 'Canaan',
      model: 'Avalon Q',
      firmware: '25052801_14a19a2',
    });
    for (const verb of ['sleep', 'wake', 'reboot'] as const)
      expect(
        await codeOf(bench.run(device.verbs[verb]?.(undefined, 1_000) ?? Promise.reject(new Error(verb)))),
      ).toBe('resolved');
  });
});

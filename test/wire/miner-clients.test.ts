/** Simulated devices of the newer families, asked by clients that share no code with them. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';

import { realClock } from '../../host/clock.ts';
import { SimulatedAuradine } from '../../simulator/devices/auradine.ts';
import { SimulatedAvalon } from '../../simulator/devices/avalon.ts';
import { SimulatedBraiinsGraphql } from '../../simulator/devices/braiins-graphql.ts';
import { SimulatedBraiins } from '../../simulator/devices/braiins.ts';
import { SimulatedEpic } from '../../simulator/devices/epic.ts';
import { SimulatedLuxos } from '../../simulator/devices/luxos.ts';
import type { SimulatedMiner } from '../../simulator/devices/miner.ts';
import type { MinerOptions } from '../../simulator/devices/miner-body.ts';
import { SimulatedProtoRig } from '../../simulator/devices/proto-rig.ts';
import { SimulatedVnish } from '../../simulator/devices/vnish.ts';
import { SimulatedWhatsminerV3 } from '../../simulator/devices/whatsminer-v3.ts';
import { serveMiner } from './miner-rigs.ts';
import { closeAll, hasPeer, startPeer } from './modbus-rigs.ts';

const run = promisify(execFile);
const PYTHON = '/usr/bin/python3';
const PASSWORD = 'correct horse';
const PORT = 14_328;
const withPython = describe.skipIf(!hasPeer(PYTHON, ['-V']));

afterAll(closeAll);

const serve = <Miner extends SimulatedMiner>(
  host: string,
  make: (options: MinerOptions) => Miner,
  id: string,
): Promise<Miner> => serveMiner({ host, port: PORT, password: PASSWORD }, id, make);

/** What curl shows of a page of the simulated machine there, and its status. */
const curlAt =
  (host: string, root = 'api/v1/') =>
  async (path: string, ...words: string[]): Promise<string> => {
    const url = `http://${host}:${PORT + 1}/${root}${path}`;
    const always = ['-s', '--noproxy', '*', '--max-time', '30'];
    const { stdout } = await run('curl', [...always, ...words, '-w', ' %{http_code}', url]);
    return stdout;
  };

withPython('a simulated device that others ask', () => {
  test('whatsminer-v3: a client with a token of its own making reads and commands it', async () => {
    const host = '127.9.61.1';
    const miner = await serve(host, (options) => new SimulatedWhatsminerV3(options), 'whatsminer-m66');
    const ask = async (password: string, ...words: string[]): Promise<unknown> =>
      JSON.parse(
        await startPeer(PYTHON, 'whatsminer_v3.py', ['ask', host, String(PORT), password, ...words]),
      ) as unknown;
    expect(await ask(PASSWORD, 'get.miner.status', '"summary+pools"')).toMatchObject({
      code: 0,
      desc: 'get.miner.status',
      msg: { summary: { 'factory-hash': 276, 'power-limit': 5_492 }, pools: [{ 'stratum-active': true }] },
    });
    expect(await ask(PASSWORD, 'get.miner.status')).toMatchObject({ code: -3 });
    expect(await ask('wrong', 'set.miner.service', '"stop"')).toMatchObject({ code: -4 });
    expect(miner.changes).toBe(0);
    expect(await ask(PASSWORD, 'set.miner.service', '"stop"')).toMatchObject({ code: 0, msg: 'ok' });
    expect(miner.power.mining).toBe(false);
    expect(await ask(PASSWORD, 'get.device.info', '"miner"')).toMatchObject({
      msg: { miner: { working: 'false' } },
    });
    expect(await ask(PASSWORD, 'set.miner.service', '"start"')).toMatchObject({ code: 0 });
    expect(miner.power.mining).toBe(true);
    expect(await ask(PASSWORD, 'set.miner.power_limit', '4009')).toMatchObject({ code: 0 });
    expect(miner.power.limitW).toBe(4_009);
  });

  test('braiins: curl logs in, reads and commands it', async (context) => {
    if (!hasPeer('curl', ['--version'])) context.skip('curl is not installed');
    const host = '127.9.61.2';
    const miner = await serve(host, (options) => new SimulatedBraiins(options), 'antminer-s19j-pro-braiins');
    const curl = curlAt(host);
    const login = await curl(
      'auth/login',
      '--json',
      JSON.stringify({ username: 'root', password: PASSWORD }),
    );
    const token = /"token":"(\w+)"/.exec(login)?.[1] ?? '';
    const header = ['-H', `Authorization: ${token}`];
    expect(await curl('miner/stats', ...header)).toMatch(
      /"approximated_consumption":\{"watt":\d{4}\}.* 200$/,
    );
    expect(await curl('miner/stats')).toMatch(/401$/);
    expect(await curl('miner/stats', '-H', `Authorization: Bearer ${token}`)).toMatch(/401$/);
    expect(await curl('actions/pause', '-X', 'PUT', ...header)).toMatch(/200$/);
    expect(miner.power.mining).toBe(false);
    expect(await curl('actions/resume', '-X', 'PUT', ...header)).toMatch(/200$/);
    expect(miner.power.mining).toBe(true);
    expect(await curl('performance/power-target', '-X', 'PUT', '--json', '{"watt":2500}', ...header)).toMatch(
      /200$/,
    );
    expect(miner.settings()).toMatchObject({ powerLimit: 2_500, tunerMode: 1 });
    expect(await curl('performance/power-target', '-X', 'PUT', '--json', '{"watt":9}', ...header)).toMatch(
      /400$/,
    );
  });

  test('epic: curl reads it, and commands it with the password in the body', async (context) => {
    if (!hasPeer('curl', ['--version'])) context.skip('curl is not installed');
    const host = '127.9.61.8';
    const miner = await serve(host, (options) => new SimulatedEpic(options), 'antminer-s19-xp-epic');
    const curl = async (path: string, ...words: string[]): Promise<string> => {
      const plain = ['-s', '--noproxy', '*', '--max-time', '30'];
      return (await run('curl', [...plain, ...words, `http://${host}:${PORT}/${path}`])).stdout;
    };
    const tell = (path: string, param: unknown, password = PASSWORD): Promise<string> =>
      curl(path, '--json', JSON.stringify({ param, password }));
    expect(JSON.parse(await curl('summary'))).toMatchObject({
      Software: 'PowerPlay-BMS v1.5.13',
      Status: { 'Operating State': 'Mining' },
      PerpetualTune: { Algorithm: { PowerTune: { Target: 3_350, Unit: 'W' } } },
    });
    expect(await tell('miner', 'Stop', 'wrong')).toBe('{"result":false,"error":"Incorrect password"}');
    expect([await tell('miner', 'Stop'), miner.power.mining]).toEqual(['{"result":true}', false]);
    expect(JSON.parse(await curl('summary'))).toMatchObject({
      HBs: null,
      Status: { 'Operating State': 'Idling' },
    });
    expect([await tell('miner', 'Autostart'), miner.power.mining]).toEqual(['{"result":true}', true]);
    const tune = { algo: 'PowerTune', target: 2_500, min_throttle: 1_200, throttle_step: 150 };
    expect(await tell('perpetualtune/algo', { ...tune, target: 9_999 })).toMatch(/"result":false/);
    expect(await tell('perpetualtune/algo', tune)).toBe('{"result":true}');
    expect(await tell('perpetualtune/algo', { ...tune, target: 2_000 })).toBe('{"result":true}');
    expect(miner.settings()['powerLimit']).toBe(2_500);
  });

  test('vnish: curl unlocks, reads and commands it', async (context) => {
    if (!hasPeer('curl', ['--version'])) context.skip('curl is not installed');
    const host = '127.9.61.7';
    const miner = await serve(host, (options) => new SimulatedVnish(options), 'antminer-s19-vnish');
    const curl = curlAt(host);
    expect(await curl('unlock', '--json', '{"pw":"wrong"}')).toMatch(/403$/);
    const answer = await curl('unlock', '--json', JSON.stringify({ pw: PASSWORD }));
    const [, token = ''] = /"token":"(\w{32})"/.exec(answer) ?? [];
    expect(await curl('summary')).toMatch(/"power_consumption":\d{4}.* 200$/);
    expect(await curl('settings')).toMatch(/401$/);
    // With the word before the token, as most clients send it, and without, as others do.
    for (const said of [`Bearer ${token}`, token]) {
      const header = ['-H', `Authorization: ${said}`];
      expect(await curl('settings', ...header)).toMatch(/"overclock":\{.*"preset":"3200".* 200$/);
      expect(await curl('mining/stop', '-d', '', ...header)).toBe(' 200');
      expect(miner.power.mining).toBe(false);
      expect(await curl('mining/stop', '-d', '', ...header)).toMatch(/failed-to-activate-pause-mode.* 500$/);
      expect(await curl('mining/start', '-d', '', ...header)).toBe(' 200');
      expect(miner.power.mining).toBe(true);
    }
    expect(await curl('find-miner', '-d', '')).toBe('{"on":true} 200');
    expect(await curl('find-miner', '-d', '')).toBe('{"on":false} 200');
    const preset = ['--json', '{"miner":{"overclock":{"preset":"9999"}}}', '-H', `Authorization: ${token}`];
    expect(await curl('settings', ...preset)).toBe('{"restart_required":false,"reboot_required":false} 200');
    expect(miner.settings()['powerLimit']).toBe(3_200);
  });

  test('braiins-graphql: curl logs in, asks in its own words and commands it', async (context) => {
    if (!hasPeer('curl', ['--version'])) context.skip('curl is not installed');
    const host = '127.9.61.5';
    const make = (options: MinerOptions): SimulatedMiner => new SimulatedBraiinsGraphql(options);
    const miner = await serve(host, make, 'antminer-s19j-pro-braiins-graphql');
    const ask = async (query: string, variables: object, ...words: string[]): Promise<string> => {
      const json = JSON.stringify({ query, variables });
      const url = `http://${host}:${PORT + 1}/graphql`;
      const plain = ['-s', '--noproxy', '*', '--max-time', '30', '--json', json];
      return (await run('curl', [...plain, ...words, url])).stdout;
    };
    const login = `mutation ($username: String!, $password: String!) {
      auth { login(username: $username, password: $password) { ... on VoidResult { void } ... on Error { message } } }
    }`;
    const wrong = await ask(login, { username: 'root', password: 'wrong' });
    expect(wrong).toBe('{"data":{"auth":{"login":{"message":"Incorrect username or password"}}}}');
    const right = await ask(login, { username: 'root', password: PASSWORD }, '-i');
    expect(right).toContain('{"data":{"auth":{"login":{"void":"void"}}}}');
    const session = ['-b', /session_id=\w+/.exec(right)?.[0] ?? ''];
    expect(await ask('{ bosminer { info { fans { name, speed } } } }', {})).toMatch(
      /^\{"data":\{"bosminer":\{"info":\{"fans":\[\{"name":"0","speed":100\},/,
    );
    const stop = 'mutation Stop { bosminer { stop { ... on VoidResult { void } } } }';
    expect(await ask(stop, {})).toMatch(/"data":\{"bosminer":\{"stop":null\}\},.*"Unauthorized"/);
    expect(miner.power.mining).toBe(true);
    expect(await ask(stop, {}, ...session)).toBe('{"data":{"bosminer":{"stop":{"void":"void"}}}}');
    expect(miner.power.mining).toBe(false);
    expect(
      await ask('{ bosminer { uptime { durationS } info { summary { power { limitW } } } } }', {}),
    ).toMatch(/"uptime":null,"info":\{"summary":null\}.*UNAVAILABLE/);
    const target = (watts: number): string =>
      `mutation{bosminer{config{updateAutotuning(input:{mode:POWER_TARGET,powerTarget:${watts}},apply:true){...on AutotuningOut{autotuning{powerTarget}}...on AutotuningError{message}}}}}`;
    expect(await ask(target(2_500), {}, ...session)).toContain('{"autotuning":{"powerTarget":2500}}');
    expect(await ask(target(9), {}, ...session)).toContain('"message":"power target is out of range"');
    expect(miner.settings()).toEqual({ powerLimit: 2_500, tunerMode: 'POWER_TARGET' });
  });

  test('proto-rig: curl logs in, reads, commands and renews its token', async (context) => {
    if (!hasPeer('curl', ['--version'])) context.skip('curl is not installed');
    const host = '127.9.61.6';
    const miner = await serve(host, (options) => new SimulatedProtoRig(options), 'proto-rig');
    const curl = curlAt(host);
    expect(await curl('system')).toMatch(/"product_name":"Proto Rig".* 200$/);
    expect(await curl('auth/login', '--json', '{"password":"wrong"}')).toMatch(
      /"code":"UNAUTHORIZED".* 401$/,
    );
    const login = await curl('auth/login', '--json', JSON.stringify({ password: PASSWORD }));
    const [, refresh] = /"refresh_token":"(\w+)"/.exec(login) ?? [];
    const renewed = await curl('auth/refresh', '--json', JSON.stringify({ refresh_token: refresh }));
    const old = /"access_token":"(\w+)"/.exec(login)?.[1] ?? '';
    const bearer = ['-H', `Authorization: Bearer ${/"access_token":"(\w+)"/.exec(renewed)?.[1] ?? ''}`];
    expect(await curl('mining', '-H', `Authorization: Bearer ${old}`)).toMatch(/401$/);
    expect(await curl('mining', ...bearer)).toMatch(/"status":"Mining".*"power_target_watts":4000.* 200$/);
    expect(await curl('mining/stop', '-X', 'POST', ...bearer)).toMatch(/202$/);
    expect(miner.power.mining).toBe(false);
    expect(await curl('mining/start', '-X', 'POST', ...bearer)).toMatch(/202$/);
    expect(miner.power.mining).toBe(true);
    const target = async (body: string): Promise<string> =>
      curl('mining/target', '-X', 'PUT', '--json', body, ...bearer);
    expect(await target('{"power_target_watts":900}')).toMatch(/"code":"OUT_OF_RANGE".* 422$/);
    expect(await target('{"power_target_watts":2856}')).toMatch(
      /"performance_mode":"MaximumHashrate".* 200$/,
    );
    expect(miner.power.limitW).toBe(2_856);
    expect(await curl('system/locate?led_on_time=30', '-X', 'POST', ...bearer)).toMatch(/202$/);
    expect(miner.locateUntilMs).toBeGreaterThan(realClock.monoMs());
  });

  test('auradine: curl gets a token and commands it; its API needs none', async (context) => {
    if (!hasPeer('curl', ['--version'])) context.skip('curl is not installed');
    const host = '127.9.61.9';
    const miner = await serve(host, (options) => new SimulatedAuradine(options), 'auradine-at2880');
    const curl = curlAt(host, '');
    const login = (password: string): Promise<string> =>
      curl('token', '--json', JSON.stringify({ command: 'token', user: 'admin', password }));
    expect(await login('wrong')).toMatch(/"STATUS":"E".* 200$/);
    const token = ['-H', `Token: ${/"Token":"(\w+)"/.exec(await login(PASSWORD))?.[1] ?? ''}`];
    expect(await curl('psu')).toMatch(/"STATUS":"E"/);
    expect(await curl('psu', ...token)).toMatch(/"PowerIn":"(4[789]|5[012])\d\d\.\d\dW".* 200$/);
    const mode = (words: object): Promise<string> =>
      curl('mode', '--json', JSON.stringify({ command: 'mode', ...words }), ...token);
    expect(await mode({ sleep: 'on' })).toMatch(/"STATUS":"S"/);
    expect([miner.power.mining, miner.changes]).toEqual([false, 1]);
    expect(await curl('mode', ...token)).toMatch(/"Mode":\[\{"Mode":"custom","Sleep":"on",.*"Power":5000\}/);
    expect(await mode({ sleep: 'off' })).toMatch(/"STATUS":"S"/);
    expect(await mode({ mode: 'custom', tune: 'power', power: 9 })).toMatch(/"STATUS":"E"/);
    expect(await mode({ mode: 'custom', tune: 'power', power: 3_650 })).toMatch(/"STATUS":"S"/);
    expect([miner.power.mining, miner.power.limitW]).toEqual([true, 3_650]);
    // The LuxOS client's way of asking without a session is that of every cgminer.
    const summary = await startPeer(PYTHON, 'luxos.py', ['ask', host, String(PORT), '{"command":"summary"}']);
    expect(JSON.parse(summary)).toMatchObject([{ STATUS: [{ STATUS: 'S' }], SUMMARY: [{ Accepted: 100 }] }]);
  });

  test('avalon: words as they are, in either dialect', async () => {
    const host = '127.9.61.3';
    const miner = await serve(host, (options) => new SimulatedAvalon(options), 'avalon-1246');
    const ask = (words: string): Promise<string> =>
      startPeer(PYTHON, 'avalon.py', ['ask', host, String(PORT), words]);
    expect(await ask('version')).toMatch(
      /^STATUS=S,When=\d+,Code=22,Msg=CGMiner versions,Description=[^|]+\|VERSION,.*\|$/,
    );
    expect(await ask('estats')).toMatch(
      /^STATUS=S.*\|STATS=0,ID=AVA100,.*MM ID0=.*GHSspd\[[78]\d{4}\.\d\d\].*\|$/,
    );
    expect(JSON.parse(await ask('{"command":"estats"}'))).toMatchObject({
      STATUS: [{ Code: 70 }],
      STATS: [{ ID: 'AVA100' }, {}],
    });
    expect(await ask('ascset|0,led,1-1')).toMatch(/^STATUS=S,When=\d+,Code=119,Msg=ASC 0 set OK,/);
    expect(await ask('ascset|0,softoff,1:1000')).toMatch(/^STATUS=E,.*Code=120,Msg=ASC 0 set failed/);
    expect(await ask('ascset|0,facopts')).toMatch(/Unknown option: facopts/);
    expect(miner.changes).toBe(1);
    const when = Number(/When=(\d+)/.exec(await ask('version'))?.[1]);
    expect(await ask(`{"command":"ascset","parameter":"0,softoff,1:${when + 300}"}`)).toContain(
      `ASC 0 set info: success softoff:${when + 300}`,
    );
    expect(miner.power.mining).toBe(true);
    miner.powerW(realClock.monoMs() + 301_000);
    expect(miner.power.mining).toBe(false);
  });

  test('luxos: a client logs on, curtails and logs off', async () => {
    const host = '127.9.61.4';
    const miner = await serve(host, (options) => new SimulatedLuxos(options), 'antminer-s19k-pro-luxos');
    const ask = async (...requests: object[]): Promise<unknown> => {
      const words = requests.map((request) => JSON.stringify(request));
      return JSON.parse(
        await startPeer(PYTHON, 'luxos.py', ['ask', host, String(PORT), ...words]),
      ) as unknown;
    };
    expect(await ask({ command: 'config' }, { command: 'curtail', parameter: 'none,sleep' })).toMatchObject([
      { STATUS: [{ STATUS: 'S', Code: 33 }], CONFIG: [{ CurtailMode: 'None', Profile: 'default' }] },
      { STATUS: [{ STATUS: 'E' }] },
    ]);
    expect(
      await ask(
        { command: 'logon' },
        { command: 'profileset', parameter: '{sid},390MHz' },
        { command: 'atmset', parameter: '{sid},enabled=false' },
        { command: 'profileset', parameter: '{sid},390MHz' },
        { command: 'curtail', parameter: '{sid},sleep' },
        { command: 'logon' },
        { command: 'logoff', parameter: '{sid}' },
        { command: 'session' },
      ),
    ).toMatchObject([
      { STATUS: [{ STATUS: 'S' }] },
      { STATUS: [{ STATUS: 'E' }] },
      { STATUS: [{ STATUS: 'S' }] },
      { STATUS: [{ STATUS: 'S' }] },
      { STATUS: [{ STATUS: 'S', Code: 335, Msg: 'Curtailment command sent' }] },
      { STATUS: [{ STATUS: 'E' }] },
      { STATUS: [{ STATUS: 'S' }] },
      { SESSION: [{ SessionID: '' }] },
    ]);
    expect(miner.power.limitW).toBe(1_657);
    miner.powerW(realClock.monoMs() + 6_000);
    expect(miner.power.mining).toBe(false);
  });
});

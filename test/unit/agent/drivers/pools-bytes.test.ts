/**
 * The bytes by which pools are set, whole, of the families that are not in `miner-bytes.test.ts`, against answers written
 * down from the vendors' documents and from clients that others wrote; what is enciphered was made by the openssl command.
 */
import { expect, test } from 'vitest';
import type { Pool } from '../../../../config/pools.ts';
import type { HttpAnswer, SimulatedEndpoint, StreamDevice } from '../../../../simulator/device.ts';
import { LENGTH_FIRST } from './disturbed.ts';
import { api, codeOf, makeBench } from './miner-bench.ts';

const POOLS: readonly Pool[] = [
  { url: 'stratum+tcp://p:1', user: 'acct.r1-01', pass: 'x' },
  { url: 'stratum+tcp://q:2', user: 'acct.r1-01', pass: 'y' },
];
const TIMEOUT_MS = 5_000;

async function setPools(endpoint: SimulatedEndpoint, url: string, pools = POOLS): Promise<string> {
  const bench = makeBench([endpoint]);
  const set = bench.device(url).verbs.pools;
  return codeOf(bench.run(set?.(pools, TIMEOUT_MS) ?? Promise.reject(new Error('no pools'))));
}

/** Answers each request from a list of its own, the last again and again. */
function recorded(answers: (request: string, nth: number) => string, asked: string[]): StreamDevice {
  return {
    respond: (bytes) => {
      const text = new TextDecoder().decode(bytes);
      asked.push(text);
      const nth = asked.filter((one) => one === text).length;
      const answer = new TextEncoder().encode(`${answers(text, nth)}\0`);
      return { kind: 'bytes', bytes: answer, afterMs: 0, close: true };
    },
  };
}

function web(answers: Readonly<Record<string, string>>, asked: string[]): SimulatedEndpoint {
  const respondHttp = ({
    method,
    path,
    body,
  }: {
    method: string;
    path: string;
    body: string;
  }): HttpAnswer => {
    asked.push(`${method} ${path} ${body}`.trim());
    const answer = answers[`${method} ${path}`];
    const status = answer === undefined ? 404 : 200;
    return { kind: 'response', status, headers: {}, body: answer ?? '', afterMs: 0 };
  };
  return { kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } };
}

const status = (code: number, message: string, level = 'S'): string =>
  `"STATUS":[{"STATUS":"${level}","When":1700000000,"Code":${code},"Msg":"${message}"}]`;

test('whatsminer v3: a list of pool, worker, passwd in AES-256-ECB under the digest of the token', async () => {
  const asked: string[] = [];
  const answers: Readonly<Record<string, string>> = {
    'get.miner.setting': '{"code":0,"when":1,"msg":{"power-limit":3600,"power-mode":"normal"}}',
    'get.miner.status':
      '{"code":0,"when":1,"msg":{"pools":[{"pool-priority":0,"url":"stratum+tcp://old:1","account":"o"}]}}',
    'get.device.info': '{"code":0,"when":1,"msg":{"salt":"uhCiDyVj"}}',
    'set.miner.pools': '{"code":0,"when":1,"msg":"ok","desc":"set.miner.pools"}',
  };
  const device: StreamDevice = {
    respond: (bytes) => {
      const text = LENGTH_FIRST.text(bytes);
      asked.push(text);
      const { cmd } = JSON.parse(text) as { cmd: string };
      return { kind: 'bytes', bytes: LENGTH_FIRST.bytes(answers[cmd] ?? ''), afterMs: 0, close: false };
    },
  };
  expect(await setPools(api(device), 'whatsminer-v3://10.0.0.1:4028?passwordEnv=P')).toBe('resolved');
  // [{"pool":"stratum+tcp://p:1","worker":"acct.r1-01","passwd":"x"},{"pool":"stratum+tcp://q:2","worker":"acct.r1-01","passwd":"y"}]
  const param =
    'v7kq4kkcTTIfM44SLSM62I1hsNOEprXkPl3XsFkdhiqh7gLeH86So6lnG/XkVc5Td9fhO/4T2TROJhqaNi1BemVTVpTWYB3h1/LPbcvjoXqaGba7LtoRr44ka/wApA2ooe4C3h/OkqOpZxv15FXOUyPnHeTZeqTrk9KgIvpwfQ9WuE4X8aihkbiPCtZP4OSk';
  expect(asked).toEqual([
    '{"cmd":"get.miner.setting"}',
    '{"cmd":"get.miner.status","param":"pools"}',
    '{"cmd":"get.device.info","param":"salt"}',
    `{"cmd":"set.miner.pools","ts":1700000000,"token":"FNAQsGct","account":"super","param":"${param}"}`,
  ]);
});

test('braiins: one group in place of all there are', async () => {
  const asked: string[] = [];
  const endpoint = web(
    {
      'POST /api/v1/auth/login': '{"token":"t0","timeout_s":3600}',
      'GET /api/v1/configuration/miner': '{"tuner":{"tuner_mode":1,"power_target":{"watt":3000}}}',
      'GET /api/v1/pools':
        '[{"name":"g","pools":[{"uid":"u","url":"stratum+tcp://old:1","user":"o","active":true}]}]',
      'PUT /api/v1/pools/batch': '[]',
    },
    asked,
  );
  expect(await setPools(endpoint, 'braiins://10.0.0.1?passwordEnv=P')).toBe('resolved');
  expect(asked).toEqual([
    'POST /api/v1/auth/login {"username":"root","password":"secret"}',
    'GET /api/v1/configuration/miner',
    'GET /api/v1/pools',
    'PUT /api/v1/pools/batch [{"name":"Default","pools":[{"url":"stratum+tcp://p:1","user":"acct.r1-01","password":"x"},{"url":"stratum+tcp://q:2","user":"acct.r1-01","password":"y"}],"load_balance_strategy":{"quota":{"value":1}}}]',
  ]);
});

test('bitaxe: host, port, user and password apart, and a restart', async () => {
  const asked: string[] = [];
  const endpoint = web(
    {
      'GET /api/system/info':
        '{"ASICModel":"BM1368","frequency":490,"stratumURL":"old","stratumPort":1,"stratumUser":"o"}',
      'PATCH /api/system': '',
      'POST /api/system/restart': 'System will restart shortly.',
    },
    asked,
  );
  const [first] = POOLS;
  expect(await setPools(endpoint, 'bitaxe://10.0.0.1')).toBe('resolved');
  expect(await setPools(endpoint, 'bitaxe://10.0.0.1', first ? [first] : [])).toBe('resolved');
  const INFO = 'GET /api/system/info';
  const RESTART = 'POST /api/system/restart';
  const FIRST =
    '"stratumURL":"p","stratumPort":1,"stratumUser":"acct.r1-01","stratumPassword":"x","fallbackStratumURL"';
  expect(asked).toEqual([
    INFO,
    `PATCH /api/system {${FIRST}:"q","fallbackStratumPort":2,"fallbackStratumUser":"acct.r1-01","fallbackStratumPassword":"y"}`,
    INFO,
    RESTART,
    INFO,
    `PATCH /api/system {${FIRST}:""}`,
    INFO,
    RESTART,
  ]);
  const tls: readonly Pool[] = [{ url: 'stratum+tls://p:1', user: 'u', pass: 'x' }];
  expect(await setPools(endpoint, 'bitaxe://10.0.0.1', tls)).toBe('VERB_REFUSED');
  expect(await setPools(endpoint, 'bitaxe://10.0.0.1', [...POOLS, ...tls])).toBe('VERB_REFUSED');
});

test('avalon: place by place with the login of its page, then a boot', async () => {
  const asked: string[] = [];
  const told = (count: number): string =>
    `{${status(7, 'Pools')},"POOLS":[${Array.from({ length: count }, (_, n) => `{"POOL":${n},"URL":"stratum+tcp://old:${n + 1}","User":"o"}`).join(',')}]}`;
  const device = (count: number): StreamDevice =>
    recorded((request) => {
      if (request.includes('"litestats"'))
        return `{${status(70, 'CGMiner stats')},"STATS":[{"MM ID0":"GHSspd[1.0] WORKMODE[1]"}]}`;
      return request.includes('"pools"') ? told(count) : `{${status(119, 'ASC 0 set OK')}}`;
    }, asked);
  const ascset = (words: string): string => `{"command":"ascset","parameter":"0,${words}"}`;
  expect(await setPools(api(device(2)), 'avalon://10.0.0.1?user=root&passwordEnv=P')).toBe('resolved');
  expect(asked).toEqual([
    '{"command":"litestats"}',
    '{"command":"pools"}',
    ascset('setpool,root,secret,0,stratum+tcp://p:1,acct.r1-01,x'),
    ascset('setpool,root,secret,1,stratum+tcp://q:2,acct.r1-01,y'),
    ascset('reboot,0'),
  ]);
  // It has no word to empty a place.
  expect(await setPools(api(device(3)), 'avalon://10.0.0.1')).toBe('VERB_REFUSED');
  expect(asked).toHaveLength(7);
});

/** Refuses to set pools, and repeats all that it was told. */
const REFUSING: ReadonlyArray<readonly [string, SimulatedEndpoint]> = [
  [
    'avalon://10.0.0.1?passwordEnv=P',
    api(
      recorded((request) => {
        if (request.includes('"litestats"'))
          return `{${status(70, 'CGMiner stats')},"STATS":[{"MM ID0":"GHSspd[1.0]"}]}`;
        if (request.includes('"pools"')) return `{${status(7, 'Pools')},"POOLS":[]}`;
        return `{${status(120, `ASC 0 set failed: ${request.replaceAll('"', '')}`, 'E')}}`;
      }, []),
    ),
  ],
  [
    'luxos://10.0.0.1',
    api(
      recorded((request) => {
        if (request.includes('"config"')) return `{${status(33, 'config')},"CONFIG":[{"Profile":"default"}]}`;
        if (request.includes('"profiles"'))
          return `{${status(323, 'profiles')},"PROFILES":[{"Profile Name":"default","Watts":3000}]}`;
        if (request.includes('"pools"')) return `{${status(7, 'Pools')},"POOLS":[]}`;
        return `{${status(53, `Invalid addpool details ${request.replaceAll('"', '')}`, 'E')}}`;
      }, []),
    ),
  ],
  ...(['braiins://10.0.0.1?passwordEnv=P', 'bitaxe://10.0.0.1'] as const).map(
    (url): readonly [string, SimulatedEndpoint] => [url, echoing()],
  ),
];

function echoing(): SimulatedEndpoint & { readonly kind: 'http' } {
  const answers: Readonly<Record<string, string>> = {
    'POST /api/v1/auth/login': '{"token":"t0","timeout_s":3600}',
    'GET /api/v1/configuration/miner': '{"tuner":{"tuner_mode":1}}',
    'GET /api/v1/pools': '[]',
    'GET /api/system/info': '{"ASICModel":"BM1368","frequency":490}',
  };
  const respondHttp = ({
    method,
    path,
    body,
  }: {
    method: string;
    path: string;
    body: string;
  }): HttpAnswer => {
    const answer = answers[`${method} ${path}`];
    const page = answer ?? `wrong: ${body}`;
    return {
      kind: 'response',
      status: answer === undefined ? 400 : 200,
      headers: {},
      body: page,
      afterMs: 0,
    };
  };
  return { kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } };
}

test.each(REFUSING)('%s: what is refused does not repeat the passwords', async (url, endpoint) => {
  const bench = makeBench([endpoint]);
  const set = bench.device(url).verbs.pools;
  const hush: readonly Pool[] = [{ url: 'stratum+tcp://p:1', user: 'u', pass: 'hush' }];
  const why = await bench.run(
    set?.(hush, TIMEOUT_MS).catch((error: unknown) => String(error)) ?? Promise.resolve(),
  );
  expect(why).toContain('VERB_REFUSED');
  expect(why).not.toMatch(/hush|secret/);
});

test('luxos: added, switched to, and the old one removed by the place it then has', async () => {
  const asked: string[] = [];
  const pools = (...urls: readonly string[]): string =>
    `{${status(7, 'Pools')},"POOLS":[${urls.map((url, n) => `{"POOL":${n},"Priority":${n},"URL":"stratum+tcp://${url}","User":"acct.r1-01"}`).join(',')}]}`;
  const held = [['old:1'], ['old:1'], ['old:1', 'p:1', 'q:2'], ['p:1', 'old:1', 'q:2'], ['p:1', 'q:2']];
  const device = recorded((request, nth) => {
    if (request.includes('"config"'))
      return `{${status(33, 'config')},"CONFIG":[{"Profile":"default","IsAtmEnabled":true}]}`;
    if (request.includes('"profiles"'))
      return `{${status(323, 'profiles')},"PROFILES":[{"Profile Name":"default","Watts":3000,"Step":"0"}]}`;
    if (request.includes('"pools"')) return pools(...(held[nth - 1] ?? []));
    return `{${status(55, 'done')}}`;
  }, asked);
  expect(await setPools(api(device), 'luxos://10.0.0.1')).toBe('resolved');
  expect(asked.slice(3)).toEqual([
    '{"command":"pools"}',
    '{"command":"addpool","parameter":"stratum+tcp://p:1,acct.r1-01,x"}',
    '{"command":"addpool","parameter":"stratum+tcp://q:2,acct.r1-01,y"}',
    '{"command":"pools"}',
    '{"command":"switchpool","parameter":"1"}',
    '{"command":"pools"}',
    '{"command":"removepool","parameter":"1"}',
    '{"command":"pools"}',
  ]);
});

test.each([
  ['carries on where it was broken off', ['old:1', 'p:1']],
  ['puts them in their order', ['q:2', 'p:1']],
  ['takes a pool away that stands twice', ['p:1', 'p:1', 'q:2']],
])('luxos: %s', async (_, start) => {
  let held = [...start];
  const device = recorded((request) => {
    const { command, parameter = '' } = JSON.parse(request) as { command: string; parameter?: string };
    const one = held[Number(parameter)] ?? '';
    if (command === 'config') return `{${status(33, 'config')},"CONFIG":[{"Profile":"default"}]}`;
    if (command === 'profiles')
      return `{${status(323, 'profiles')},"PROFILES":[{"Profile Name":"default","Watts":3000}]}`;
    if (command === 'addpool') held = [...held, parameter.replace(/^.*\/\/([^,]*),.*$/, '$1')];
    if (command === 'switchpool') held = [one, ...held.filter((__, at) => at !== Number(parameter))];
    if (command === 'removepool') held = held.filter((__, at) => at !== Number(parameter));
    const told = held.map((url, n) => `{"POOL":${n},"URL":"stratum+tcp://${url}","User":"acct.r1-01"}`);
    return `{${status(7, 'Pools')}${command === 'pools' ? `,"POOLS":[${told.join(',')}]` : ''}}`;
  }, []);
  expect(await setPools(api(device), 'luxos://10.0.0.1')).toBe('resolved');
  expect(held).toEqual(['p:1', 'q:2']);
});

// block/proto-fleet, server/fake-proto-rig/rest_api_handler.go: createPools takes a list, which replaces all there are.
test('proto rig: a list of url, username, password, priority; what it says to it is in no message', async () => {
  const answers = {
    'POST /api/v1/auth/login': '{"access_token":"A1","refresh_token":"R1"}',
    'GET /api/v1/mining/target': '{"power_target_watts":3400}',
    'GET /api/v1/pools':
      '{"pools":[{"priority":1,"url":"stratum+tcp://p:1","user":"acct.r1-01"},{"priority":0,"url":"stratum+tcp://old:1","user":"o"}]}',
  };
  const asked: string[] = [];
  const taking = web(
    { ...answers, 'POST /api/v1/pools': '{"message":"Pools configured successfully"}' },
    asked,
  );
  expect(await setPools(taking, 'proto-rig://10.0.0.1?passwordEnv=P')).toBe('resolved');
  expect(asked.at(-1)).toBe(
    'POST /api/v1/pools [{"url":"stratum+tcp://p:1","username":"acct.r1-01","password":"x","priority":0},{"url":"stratum+tcp://q:2","username":"acct.r1-01","password":"y","priority":1}]',
  );
  const garbled = web({ ...answers, 'POST /api/v1/pools': 'no pool with hunter2' }, []);
  const secret = [{ url: 'stratum+tcp://p:1', user: 'u', pass: 'hunter2' }];
  const bench = makeBench([garbled]);
  const set = bench.device('proto-rig://10.0.0.1?passwordEnv=P').verbs.pools?.(secret, TIMEOUT_MS);
  expect(await bench.run(set ?? Promise.resolve()).then(() => 'resolved', String)).toMatch(
    /^(?!.*hunter2).*GARBAGE/u,
  );
});

// 256foundation/asic-rs, asic-rs-firmwares/auradine/src/backends/v1/mod.rs: set_pools_config; pyasic, web/auradine.py: update_pools.
test('auradine: updatepools with url, user, pass', async () => {
  const asked: string[] = [];
  const done = `{${status(1, 'done')}}`;
  const pages = web(
    {
      'POST /token': `{${status(600, 'Token')},"Token":[{"Token":"T1"}]}`,
      'GET /mode': `{${status(540, 'x')},"Mode":[{"Mode":"eco","Sleep":"off"}]}`,
      'POST /updatepools': done,
    },
    asked,
  );
  expect(await setPools(pages, 'auradine://10.0.0.1?http=80&passwordEnv=P')).toBe('resolved');
  expect(asked.at(-1)).toBe(
    'POST /updatepools {"command":"updatepools","pools":[{"url":"stratum+tcp://p:1","user":"acct.r1-01","pass":"x"},{"url":"stratum+tcp://q:2","user":"acct.r1-01","pass":"y"}]}',
  );
  const refused = web(
    {
      'POST /token': `{${status(600, 'Token')},"Token":[{"Token":"T1"}]}`,
      'GET /mode': `{${status(540, 'x')},"Mode":[{"Mode":"eco","Sleep":"off"}]}`,
      'POST /updatepools': `{${status(14, 'pass hunter2 is too short', 'E')}}`,
    },
    [],
  );
  const bench = makeBench([refused]);
  const secret = [{ url: 'stratum+tcp://p:1', user: 'u', pass: 'hunter2' }];
  const set = bench.device('auradine://10.0.0.1?http=80&passwordEnv=P').verbs.pools?.(secret, TIMEOUT_MS);
  expect(await bench.run(set ?? Promise.resolve()).then(() => 'resolved', String)).toMatch(
    /^(?!.*hunter2).*REFUSED/u,
  );
});

// The maker's page of its API: coin, stratum_configs of pool, login, password, three at most, and unique_id, in one write.
test('epic: coin, its pools and whether workers get names of their own, all in one', async () => {
  const summary = (unique: string): string =>
    `{"Software":"PowerPlay-BMS v1.15.0","Mining":{"Coin":"BTC"},"Stratum":{"Worker Unique Id":${unique}},"StratumConfigs":[{"pool":"stratum+tcp://old:1","login":"o","password":"x"}]}`;
  const asked: string[] = [];
  const endpoint = web({ 'GET /summary': summary('true'), 'POST /coin': '{"result":true}' }, asked);
  const url = 'epic://10.0.0.1?api=80&passwordEnv=P';
  expect(await setPools(endpoint, url)).toBe('resolved');
  expect(asked).toEqual([
    'GET /summary',
    'POST /coin {"param":{"coin":"BTC","stratum_configs":[{"pool":"stratum+tcp://p:1","login":"acct.r1-01","password":"x"},{"pool":"stratum+tcp://q:2","login":"acct.r1-01","password":"y"}],"unique_id":true},"password":"secret"}',
  ]);
  const [first = { url: '', user: '', pass: '' }] = POOLS;
  expect(await setPools(endpoint, url, [first, first, first, first])).toBe('VERB_REFUSED');
  expect(await setPools(web({ 'GET /summary': summary('null') }, []), url)).toBe('ANSWER_GARBAGE');

  // A refusal of pools names their passwords, and is none of the login: the next command goes out.
  const answers = {
    'GET /summary': summary('true'),
    'POST /coin': '{"result":false,"error":"stratum_configs: password hunter2 is too short"}',
    'POST /miner': '{"result":true}',
  };
  const bench = makeBench([web(answers, [])]);
  const { verbs } = bench.device(url);
  const secret = [{ ...first, pass: 'hunter2' }];
  const said = (work: Promise<void> | undefined): Promise<string> =>
    bench.run(work?.then(() => 'resolved', String) ?? Promise.resolve(''));
  expect(await said(verbs.pools?.(secret, TIMEOUT_MS))).toMatch(/^(?!.*hunter2).*REFUSED/u);
  expect(await said(verbs.sleep?.(undefined, TIMEOUT_MS))).toBe('resolved');
});

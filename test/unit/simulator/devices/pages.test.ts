/** Words that clients by others say to miners' pages; whole clients say them in test/wire/others-web.test.ts. */
import { describe, expect, test } from 'vitest';

import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import type { HttpDevice } from '../../../../simulator/device.ts';
import { SimulatedAntminer } from '../../../../simulator/devices/antminer.ts';
import { SimulatedAuradine } from '../../../../simulator/devices/auradine.ts';
import { SimulatedBitaxe } from '../../../../simulator/devices/bitaxe.ts';
import { SimulatedBraiinsGraphql } from '../../../../simulator/devices/braiins-graphql.ts';
import { SimulatedEpic } from '../../../../simulator/devices/epic.ts';
import type { MinerOptions } from '../../../../simulator/devices/miner-body.ts';
import { digestHeader, parseChallenge } from '../../../../protocols/asic/digest.ts';

function options(id: string): MinerOptions {
  const model = loadModel(id);
  if (model.kind !== 'asic') throw new Error(id);
  return { id: 'm', model, random: seededRandom(1), startMs: -1e8, password: 'pw' };
}

type Headers = Readonly<Record<string, string>>;
function ask(device: HttpDevice, what: string, body?: object, headers: Headers = {}) {
  const [method = '', path = ''] = what.split(' ');
  const text = body === undefined ? '' : JSON.stringify(body);
  const answer = device.respondHttp({ method, path, headers, body: text }, 0);
  if (answer.kind !== 'response') throw new Error(answer.kind);
  return answer;
}
const said = (...asked: Parameters<typeof ask>): Record<string, unknown> =>
  JSON.parse(ask(...asked).body) as Record<string, unknown>;

// UpstreamData/pyasic, web/antminer.py; tetherto/miningos-wrk-miner-antminer, workers/lib/miner.js.
describe('Antminer', () => {
  function get(miner: SimulatedAntminer, name: string): Record<string, unknown> {
    const uri = `/cgi-bin/${name}.cgi`;
    const first = ask(miner, `GET ${uri}`);
    const challenge = parseChallenge(first.headers['www-authenticate']);
    if (first.status !== 401 || !challenge) throw new Error('no challenge');
    const who = { user: 'root', password: 'pw', method: 'GET', uri, count: 1, cnonce: 'c' };
    return said(miner, `GET ${uri}`, undefined, { authorization: digestHeader(challenge, who) });
  }

  test('its pages say what its API says; asleep they are empty', () => {
    const miner = new SimulatedAntminer(options('antminer-s19-pro'));
    const [stats] = get(miner, 'stats')['STATS'] as { rate_5s: number; chain: unknown[]; watt: number }[];
    expect(stats).toMatchObject({ rate_unit: 'GH/s', 'miner-mode': 0, fan_num: 4 });
    expect(stats?.rate_5s).toBeGreaterThan(90_000);
    expect(stats?.watt).toBeGreaterThan(2_000);
    expect(stats?.chain).toHaveLength(3);
    expect(stats?.chain[0]).toMatchObject({
      index: 0,
      temp_chip: [{}, {}, {}, {}].map(() => expect.any(Number)),
    });
    expect(get(miner, 'summary')['SUMMARY']).toMatchObject([{ rate_5s: stats?.rate_5s }]);
    expect(get(miner, 'pools')['POOLS']).toMatchObject([
      { index: 0, user: 'site.m', status: 'Alive' },
      {},
      {},
    ]);
    expect(get(miner, 'miner_type')).toMatchObject({ miner_type: 'Antminer S19 PRO' });
    const asleep = new SimulatedAntminer({ ...options('antminer-s19-pro'), mode: 'sleep' });
    expect(get(asleep, 'stats')['STATS']).toEqual([]);
    expect(get(asleep, 'summary')['SUMMARY']).toEqual([]);
  });

  test('opening the page reboots it', () => {
    const miner = new SimulatedAntminer(options('antminer-s19-pro'));
    get(miner, 'reboot');
    expect(miner.changes).toBe(1);
    expect(miner.respondHttp({ method: 'GET', path: '/', headers: {}, body: '' }, 1).kind).toBe('silence');
  });
});

// UpstreamData/pyasic, web/auradine.py: a reboot names nothing in its body; 256foundation/asic-rs, auradine/src/test/json.
test('Auradine restarts whole without a word, by name in part, and shows its chips', () => {
  const miner = new SimulatedAuradine(options('auradine-at2880'));
  const login = { command: 'token', user: 'admin', password: 'pw' };
  const [row] = said(miner, 'POST /token', login)['Token'] as { Token: string }[];
  const headers = { token: row?.Token ?? '' };
  expect(said(miner, 'GET /frequency', undefined, headers)).toMatchObject({ Frequency: [{ ID: 1 }, {}, {}] });
  expect(said(miner, 'GET /voltage', undefined, headers)).toMatchObject({ Voltage: [{ ID: 1 }, {}, {}] });
  const OK = { STATUS: [{ STATUS: 'S' }] };
  const part = { parameter: 'gcminer', command: 'restart' };
  expect(said(miner, 'POST /restart', part, headers)).toMatchObject(OK);
  expect(said(miner, 'POST /restart', {}, headers)).toMatchObject(OK);
  const gone = miner.respondHttp({ method: 'GET', path: '/mode', headers, body: '' }, 1);
  expect(gone.kind).toBe('reset');
});

// UpstreamData/pyasic, web/epic.py.
test('ePIC reboots without a delay too, and has limits of temperature and fans', () => {
  const miner = new SimulatedEpic(options('antminer-s19-xp-epic'));
  const tell = (path: string, param?: unknown) =>
    said(miner, `POST /${path}`, { ...(param !== undefined && { param }), password: 'pw' });
  expect(tell('shutdowntemp', 80)).toEqual({ result: true });
  expect(tell('criticaltemp', 'hot')).toMatchObject({ result: false });
  expect(tell('fanspeed', { Auto: { 'Target Temperature': 60, 'Idle Speed': 30 } })).toEqual({
    result: true,
  });
  expect(tell('fanspeed', { Auto: {} })).toMatchObject({ result: false });
  expect(tell('perpetualtune', false)).toEqual({ result: true });
  expect(said(miner, 'GET /summary')).toMatchObject({
    Misc: { 'Shutdown Temp': 80, 'Critical Temp': 100 },
    Fans: { 'Fan Mode': { Auto: { 'Idle Speed': 30 } } },
    PerpetualTune: { Running: false },
  });
  expect(tell('reboot', 'soon')).toMatchObject({ result: false });
  expect(tell('reboot')).toEqual({ result: true });
});

// UpstreamData/pyasic, web/espminer.py.
test('Bitaxe takes a change that names no pool', () => {
  const miner = new SimulatedBitaxe(options('antminer-s21'));
  const before = miner.settings();
  expect(ask(miner, 'PATCH /api/system', { frequency: 500 }).status).toBe(200);
  expect(miner.settings()).toEqual({ ...before, frequency: 500 });
  expect(ask(miner, 'PATCH /api/system', { stratumURL: 'stratum+tcp://a:1' }).status).toBe(400);
  expect(said(miner, 'GET /api/system/asic')).toMatchObject({ ASICModel: 'BM1368', asicCount: 1 });
});

// UpstreamData/pyasic, miners/backends/bosminer.py: what it asks of boards and draw.
test('Braiins OS tells draw and boards where pyasic asks for them', () => {
  const miner = new SimulatedBraiinsGraphql(options('antminer-s19j-pro-braiins-graphql'));
  const board = 'childSolvers{name,realHashrate{mhs1M},hwDetails{chips},tuner{statusMessages}}';
  const query = `{bosminer{info{workSolver{power{approxConsumptionW,limitW},${board}}}}}`;
  const one = { realHashrate: { mhs1M: expect.any(Number) }, tuner: { statusMessages: [] } };
  const power = { approxConsumptionW: expect.any(Number), limitW: expect.any(Number) };
  expect(said(miner, 'POST /graphql', { query })).toMatchObject({
    data: { bosminer: { info: { workSolver: { power, childSolvers: [one, one, one] } } } },
  });
});

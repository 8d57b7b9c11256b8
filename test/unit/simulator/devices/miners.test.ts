/** Simulated miners by their bytes, as the vendors' facts have them: no driver is used here. */
import { describe, expect, test } from 'vitest';

import { loadModel } from '../../../../config/models.ts';
import type { AsicModel } from '../../../../config/schema/model.ts';
import { seededRandom } from '../../../../host/random.ts';
import { digestHeader, parseChallenge } from '../../../../protocols/asic/digest.ts';
import {
  decodeWhatsminerReply,
  encodeWhatsminerWrite,
  tokenOf,
  whatsminerKey,
  whatsminerSign,
} from '../../../../protocols/asic/whatsminer.ts';
import type { JsonObject } from '../../../../protocols/asic/cgminer.ts';
import type { Answer, HttpAnswer } from '../../../../simulator/device.ts';
import { SimulatedAntminer } from '../../../../simulator/devices/antminer.ts';
import { BOOT_MS, WAKES_AFTER_MS } from '../../../../simulator/devices/miner.ts';
import { SimulatedWhatsminer } from '../../../../simulator/devices/whatsminer.ts';

function model(id: string): AsicModel {
  const found = loadModel(id);
  if (found.kind !== 'asic') throw new Error(id);
  return found;
}

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

function jsonOf(answer: Answer): Record<string, unknown> {
  if (answer.kind !== 'bytes') throw new Error(answer.kind);
  return JSON.parse(new TextDecoder().decode(answer.bytes).replace(/\0$/, '')) as Record<string, unknown>;
}

const antminer = (): SimulatedAntminer =>
  new SimulatedAntminer({
    id: 'a',
    model: model('antminer-s21'),
    random: seededRandom(1),
    startMs: 0,
    password: 'pw',
  });
const whatsminer = (): SimulatedWhatsminer =>
  new SimulatedWhatsminer({
    id: 'w',
    model: model('whatsminer-m30s-plus'),
    random: seededRandom(1),
    startMs: 0,
    password: 'pw',
  });

test('asleep when its power goes, an Antminer comes back asleep and a Whatsminer at work', () => {
  for (const make of [SimulatedAntminer, SimulatedWhatsminer]) {
    const own = model(make === SimulatedAntminer ? 'antminer-s21' : 'whatsminer-m30s-plus');
    const miner = new make({
      id: 'm',
      model: own,
      random: seededRandom(1),
      startMs: 0,
      password: 'pw',
      mode: 'sleep',
    });
    miner.supply(false, 1_000);
    miner.supply(true, 60_000);
    expect(miner.power.mining).toBe(own.keepsSleep !== true);
  }
});

describe('SimulatedAntminer', () => {
  const ask = (miner: SimulatedAntminer, command: string, nowMs: number) =>
    jsonOf(miner.respond(bytesOf({ command }), nowMs));

  /** A request with right credentials, as any client of the pages makes it. */
  function page(
    miner: SimulatedAntminer,
    method: 'GET' | 'POST',
    path: string,
    body: string,
    nowMs: number,
  ): HttpAnswer {
    const refused = miner.respondHttp({ method, path, headers: {}, body }, nowMs);
    if (refused.kind !== 'response' || refused.status !== 401) throw new Error('no challenge');
    const challenge = parseChallenge(refused.headers['www-authenticate']);
    if (!challenge) throw new Error('no digest');
    const authorization = digestHeader(challenge, {
      user: 'root',
      password: 'pw',
      method,
      uri: path,
      count: 1,
      cnonce: 'ab',
    });
    return miner.respondHttp({ method, path, headers: { authorization }, body }, nowMs);
  }

  test('answers every read of the API, refuses what it does not know, waits for the rest of a request', () => {
    const miner = antminer();
    const [header, values] = ask(miner, 'stats', 0)['STATS'] as Record<string, unknown>[];
    expect(header?.['Type']).toBe('Antminer S21');
    expect(values?.['GHS 5s']).toBeGreaterThan(190_000);
    expect(values?.['chain_power']).toMatch(/^3\d{3} W$/);
    expect(ask(miner, 'summary', 0)['SUMMARY']).toHaveLength(1);
    expect(ask(miner, 'version', 0)['VERSION']).toHaveLength(1);
    expect(ask(miner, 'pools', 0)['POOLS']).toHaveLength(3);
    expect(ask(miner, 'summary+pools', 0)['STATUS']).toMatchObject([{ STATUS: 'E', Code: 14 }]);
    expect(miner.respond(new TextEncoder().encode('{"command":'), 0)).toEqual({ kind: 'wait' });
  });

  test('pages need the right digest, each count once', () => {
    const miner = antminer();
    const path = '/cgi-bin/get_miner_conf.cgi';
    const refused = miner.respondHttp({ method: 'GET', path, headers: {}, body: '' }, 0);
    const challenge = parseChallenge(refused.kind === 'response' ? refused.headers['www-authenticate'] : '');
    if (!challenge) throw new Error('no digest');
    const get = (password: string, count: number, uri = path): number => {
      const authorization = digestHeader(challenge, {
        user: 'root',
        password,
        method: 'GET',
        uri,
        count,
        cnonce: 'ab',
      });
      const answer = miner.respondHttp({ method: 'GET', path, headers: { authorization }, body: '' }, 0);
      return answer.kind === 'response' ? answer.status : 0;
    };
    expect(get('wrong', 1)).toBe(401);
    expect(get('pw', 1)).toBe(200);
    expect(get('pw', 1)).toBe(401);
    expect(get('pw', 2)).toBe(200);
    expect(get('pw', 3, '/cgi-bin/other.cgi')).toBe(401);
  });

  test('sleeps by its page and then answers with empty lists', () => {
    const miner = antminer();
    const conf = { ...miner.conf(), 'miner-mode': 1, 'bitmain-work-mode': 1, 'freq-level': '100' };
    const answer = page(miner, 'POST', '/cgi-bin/set_miner_conf.cgi', JSON.stringify(conf), 0);
    expect(answer).toMatchObject({ status: 200, body: '{"stats":"success","code":"M000","msg":"OK!"}' });
    expect(ask(miner, 'stats', 20_000)['STATS']).toEqual([]);
    expect(miner.powerW(20_000)).toBe(60);
    expect(miner.changes).toBe(1);
  });

  test('a half-filled form is refused and changes nothing', () => {
    const miner = antminer();
    const before = miner.conf();
    for (const body of ['', '{}', '{"bitmain-work-mode":1}', '{"bitmain-work-mode":9,"pools":[]}']) {
      expect(page(miner, 'POST', '/cgi-bin/set_miner_conf.cgi', body, 0)).toMatchObject({
        body: expect.stringContaining('error') as string,
      });
    }
    expect(miner.conf()).toEqual(before);
    expect(miner.changes).toBe(0);
  });

  test('wakes by itself when it is one that does', () => {
    const miner = new SimulatedAntminer({
      id: 'a',
      model: model('antminer-s21'),
      random: seededRandom(1),
      startMs: 0,
      password: 'pw',
      mode: 'sleep',
    });
    miner.fault = 'wakes';
    expect(miner.powerW(WAKES_AFTER_MS - 1)).toBe(60);
    expect(miner.powerW(WAKES_AFTER_MS + 100_000)).toBeGreaterThan(3_000);
  });

  test('is gone while it boots and without supply', () => {
    const miner = antminer();
    page(miner, 'POST', '/cgi-bin/reboot.cgi', '', 0);
    expect(miner.respond(bytesOf({ command: 'stats' }), 1_000).kind).toBe('reset');
    expect(miner.respond(bytesOf({ command: 'stats' }), BOOT_MS).kind).toBe('bytes');
    miner.power.supply(BOOT_MS, false);
    expect(miner.respond(bytesOf({ command: 'stats' }), BOOT_MS + 1).kind).toBe('silence');
    expect(miner.powerW(BOOT_MS + 1)).toBe(0);
  });
});

describe('SimulatedWhatsminer', () => {
  const ask = (miner: SimulatedWhatsminer, cmd: string, nowMs: number) =>
    jsonOf(miner.respond(bytesOf({ cmd }), nowMs));

  function write(
    miner: SimulatedWhatsminer,
    cmd: string,
    params: JsonObject,
    nowMs: number,
    laterMs = 0,
  ): unknown {
    const token = tokenOf(ask(miner, 'get_token', nowMs) as unknown as JsonObject);
    if (!token) throw new Error('no token');
    const key = whatsminerKey('pw', token.salt);
    const request = encodeWhatsminerWrite({ key, sign: whatsminerSign(key, token) }, cmd, params);
    const answer = miner.respond(request, nowMs + laterMs);
    if (answer.kind !== 'bytes') return answer.kind;
    const reply = decodeWhatsminerReply(key, answer.bytes);
    return 'value' in reply ? reply.value['Code'] : reply.code;
  }

  test('goes off and on by encrypted command; status says which', () => {
    const miner = whatsminer();
    expect(write(miner, 'power_off', { respbefore: 'true' }, 0)).toBe(131);
    expect(ask(miner, 'status', 20_000)['Msg']).toMatchObject({ mineroff: 'true' });
    expect(ask(miner, 'summary', 20_000)['SUMMARY']).toMatchObject([{ 'HS RT': 0, Power: 15 }]);
    expect(write(miner, 'power_on', {}, 20_000)).toBe(131);
    expect(ask(miner, 'summary', 90_000)['SUMMARY']).toMatchObject([{ 'Factory GHS': 100_000 }]);
    expect(miner.powerW(90_000)).toBeGreaterThan(3_200);
    expect(miner.changes).toBe(2);
  });

  test('its answers are JSON to the last byte, of several questions at once too', () => {
    const miner = whatsminer();
    const ask = (cmd: string): unknown => {
      const answer = miner.respond(bytesOf({ cmd }), 0);
      return answer.kind === 'bytes' ? JSON.parse(new TextDecoder().decode(answer.bytes)) : answer.kind;
    };
    expect(ask('summary+pools')).toMatchObject({
      summary: [{ STATUS: [{ STATUS: 'S' }], SUMMARY: [{ 'Power Mode': 'Normal' }] }],
      pools: [{ STATUS: [{ STATUS: 'S' }], POOLS: [{ Status: 'Alive' }] }],
    });
    expect(ask('devs')).toMatchObject({ DEVS: [{ Slot: 0 }, { Slot: 1 }, { Slot: 2 }] });
    expect(ask('get_error_code')).toMatchObject({ STATUS: 'S', Code: 131, Msg: { error_code: [] } });
    for (const word of ['get_psu', 'get_miner_info']) expect(ask(word)).toMatchObject({ Code: 131 });
    // Words of its own stand alone.
    for (const word of ['summary+status', '', 'summary+']) expect(ask(word)).toMatchObject({ Code: 14 });
  });

  test('once it has stopped lying, a command is carried out whatever its books say', () => {
    const miner = whatsminer();
    miner.fault = 'lies';
    expect(write(miner, 'power_off', {}, 0)).toBe(131);
    expect(miner.powerW(60_000)).toBeGreaterThan(3_000);
    miner.fault = 'none';
    expect(write(miner, 'power_off', {}, 60_000)).toBe(131);
    expect(miner.powerW(120_000)).toBeLessThan(100);
  });

  test('refuses tokens that are old, plain commands and unknown ones', () => {
    const miner = whatsminer();
    expect(write(miner, 'power_off', {}, 0, 31 * 60_000)).toBe(135);
    expect(jsonOf(miner.respond(bytesOf({ cmd: 'power_off' }), 2_000_000))['Code']).toBe(14);
    expect(write(miner, 'dance', {}, 2_000_000)).toBe(14);
    expect(jsonOf(miner.respond(bytesOf({ enc: 1, data: 'AAAA' }), 2_000_000))['Code']).toBe(23);
    expect(miner.changes).toBe(0);
  });

  test('gives out so many tokens and no more', () => {
    const miner = whatsminer();
    const codes = Array.from({ length: 40 }, () => ask(miner, 'get_token', 0)['Code']);
    expect(codes.filter((code) => code === 134)).toHaveLength(32);
    expect(ask(miner, 'get_token', 31 * 60_000)['Code']).toBe(134);
  });
});

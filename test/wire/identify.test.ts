/** What stands at an address that nobody named, on real loopback sockets: every family that is simulated, and what is none. */
import { afterAll, describe, expect, test } from 'vitest';

import { foundTarget, identifyAddress } from '../../agent/identify.ts';
import { parseTarget } from '../../agent/target.ts';
import { readTarget } from '../../commands/read.ts';
import { loadModel } from '../../config/models.ts';
import { realClock } from '../../host/clock.ts';
import { makeHttp } from '../../host/http.ts';
import { makeNet } from '../../host/net.ts';
import { seededRandom } from '../../host/random.ts';
import { asFault } from '../../protocols/faults.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';
import { FAMILIES } from '../unit/agent/drivers/miner-families.ts';
import type { MinerFamily } from '../unit/agent/drivers/miner-families.ts';
import { closeAll, hasPeer, opened, startPeer } from './modbus-rigs.ts';

const PYTHON = '/usr/bin/python3';
const API = 14_428;
const HTTP = 18_480;
const io = { clock: realClock, net: makeNet(realClock), http: makeHttp(realClock) };
/** Read only, by the API that stock firmware has too: told for what it is. */
const TOLD: Readonly<Record<string, string>> = { cgminer: 'antminer' };

afterAll(closeAll);

let address = 0;

async function serve(family: MinerFamily) {
  const model = loadModel(family.model);
  if (model.kind !== 'asic') throw new Error(family.model);
  const host = `127.9.62.${(address += 1)}`;
  const startMs = realClock.monoMs() - 1e8;
  const miner = family.make({
    id: 'm1',
    model,
    random: seededRandom(7),
    startMs,
    password: 'secret',
    answerMs: 1,
  });
  const endpoints = miner.endpoints({ host, api: API, http: HTTP });
  const server = await serveEndpoints(endpoints, { clock: realClock });
  opened.push(() => server.close());
  return { miner, host };
}

describe('a simulated', () => {
  test.each(Object.entries(FAMILIES))(
    '%s is told for what it is, without a login or a change',
    async (name, family) => {
      const { miner, host } = await serve(family);
      const url = `auto://${host}?api=${API}&http=${HTTP}&v3=${API}&passwordEnv=IDENTIFY_P`;
      const asked = parseTarget(url, { env: { IDENTIFY_P: 'secret' } });
      const finding = await identifyAddress(asked, io, 4_000);
      expect(finding.scheme).toBe(TOLD[name] ?? name);
      expect(finding.why).not.toBe('');
      expect('logins' in miner ? miner.logins : 0).toBe(0);
      expect('unlocks' in miner ? miner.unlocks : 0).toBe(0);
      process.env['IDENTIFY_P'] = 'secret';
      const answer = await readTarget(url, 4_000);
      expect(answer).toMatchObject({
        target: foundTarget(asked, finding),
        driver: expect.any(String),
        found: finding.why,
      });
      expect(answer.readings['mode']).toMatchObject({ ok: true, value: 'mine' });
      expect(answer.target.includes('passwordEnv=')).toBe(
        FAMILIES[finding.scheme]?.url.includes('passwordEnv='),
      );
      expect(miner.changes).toBe(0);
      // What is said for the site file is what is read.
      expect((await readTarget(answer.target, 4_000)).model).toBe(answer.model);
    },
  );

  test('braiins without a password is told too, and why it is not read', async () => {
    const { host } = await serve(FAMILIES['braiins'] as MinerFamily);
    const fault = asFault(await readTarget(`auto://${host}:${HTTP}`, 2_000).catch((error: unknown) => error));
    expect(fault.code).toBe('AUTH_FAILED');
    expect(fault.detail).toContain(
      `found braiins://${host}?http=${HTTP} (/: HTTP 200; /api/v1/version: HTTP 401): it is not read without its password`,
    );
  });

  test('machine that is slow is not taken for another', async () => {
    const { miner, host } = await serve(FAMILIES['luxos'] as MinerFamily);
    miner.fault = 'slow';
    const url = `auto://${host}?api=${API}&http=${HTTP}&v3=${API}`;
    const fault = asFault(
      await identifyAddress(parseTarget(url, { env: {} }), io, 400).catch((error: unknown) => error),
    );
    expect(fault.code).toBe('DEVICE_UNKNOWN');
    expect(fault.detail).toContain(`version at port ${API}: NET_TIMEOUT`);
    expect(miner.changes).toBe(0);
  });
});

describe.skipIf(!hasPeer(PYTHON, ['-V']))('what is no miner', () => {
  test.each([
    ['printer', /version at port \d+: 'HTTP\/1.1 404 Not Found\.\.Server: JetDirect/u],
    ['keeper', /GET :\d+\/api\/v1\/system: HTTP 404, JetDirect; device-info at port \d+: '/u],
    ['rubbish', /version at port \d+: '/u],
    ['silent', /version at port \d+: NET_TIMEOUT; GET :\d+\/: NET_TIMEOUT/u],
    ['drip', /version at port \d+: '\{\{\{/u],
    ['endless', /version at port \d+: NET_OVERSIZE; GET :\d+\/: ANSWER_GARBAGE/u],
  ])('%s: read alone, one connection at a time, few of them', async (kind, said) => {
    const port = await startPeer(PYTHON, 'lodger.py', [kind]);
    const target = parseTarget(`auto://127.0.0.1:${port}`, { env: {} });
    const fault = asFault(await identifyAddress(target, io, 1_600).catch((error: unknown) => error));
    expect(fault.code).toBe('DEVICE_UNKNOWN');
    expect(fault.detail).toMatch(said);
    const { bytes } = await io.net.exchange(
      { host: '127.0.0.1', port: Number(port) },
      new TextEncoder().encode('count'),
      {
        timeoutMs: 5_000,
        maxBytes: 100,
      },
    );
    const [, count] = /^connections (\d+), at once 1, writes 0$/u.exec(new TextDecoder().decode(bytes)) ?? [];
    expect(Number(count), new TextDecoder().decode(bytes)).toBeLessThanOrEqual(8);
    expect(Number(count)).toBeGreaterThanOrEqual(2);
  });

  test('avalon that others wrote, which speaks text alone, is told and read', async () => {
    const port = await startPeer(PYTHON, 'avalon.py', ['serve', 'text']);
    const answer = await readTarget(`auto://127.0.0.1:${port}`, 4_000);
    expect(answer.target).toBe(`avalon://127.0.0.1?api=${port}&dialect=text`);
    expect(answer.model).toBe('AvalonMiner 1346-110');
  });

  test('nobody there: each port is knocked at once', async () => {
    const fault = asFault(
      await identifyAddress(parseTarget('auto://127.9.63.1', { env: {} }), io, 2_000).catch(
        (error: unknown) => error,
      ),
    );
    expect(fault.code).toBe('DEVICE_UNKNOWN');
    expect(fault.detail).toBe(
      '127.9.63.1: version at port 4028: NET_REFUSED; GET :80/: NET_REFUSED; GET :8080/summary: NET_REFUSED; device-info at port 4433: NET_REFUSED',
    );
  });
});

/** Drivers against simulated miners on real loopback sockets. */
import { execFile } from 'node:child_process';
import * as nodeNet from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';

import { withFacts } from '../../agent/driver.ts';
import type { Device, DeviceIo } from '../../agent/driver.ts';
import { openDevice, parseTarget } from '../../agent/target.ts';
import { actAndVerify } from '../../agent/verify.ts';
import { loadModel } from '../../config/models.ts';
import type { AsicModel } from '../../config/schema/model.ts';
import { realClock } from '../../host/clock.ts';
import type { Clock } from '../../host/deps.ts';
import { makeHttp } from '../../host/http.ts';
import { makeNet } from '../../host/net.ts';
import { seededRandom } from '../../host/random.ts';
import { Fault } from '../../protocols/faults.ts';
import { numberOf } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { SimulatedAntminer } from '../../simulator/devices/antminer.ts';
import type { SimulatedMiner } from '../../simulator/devices/miner.ts';
import { SimulatedWhatsminer } from '../../simulator/devices/whatsminer.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';

const HTTP = 18_180;
const API = 14_128;
/** Simulated miners live this much faster than the test, so that a wake takes a second. */
const HASTE = 100;
/** They have run for a day, so that a reboot shows however slowly the test gets to read. */
const RUNNING_MS = 86_400_000;
const fastClock: Clock = { ...realClock, monoMs: () => realClock.monoMs() * HASTE };
const io: DeviceIo = {
  clock: realClock,
  random: seededRandom(1),
  net: makeNet(realClock),
  http: makeHttp(realClock),
  get remote(): never {
    throw new Error('not used by miners');
  },
  get lines(): never {
    throw new Error('not used by miners');
  },
  get log(): never {
    throw new Error('not used by miners');
  },
};
const closers: Array<() => Promise<void>> = [];
const wait = { clock: realClock, timeoutMs: 8_000, pollMs: 20 };
const shortWait = { clock: realClock, timeoutMs: 400, pollMs: 20 };
/** In the machine's own time: an uptime is compared with the time since the reboot. */
const machineWait = { clock: fastClock, timeoutMs: 20_000 * HASTE, pollMs: 20 };

afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

function model(id: string): AsicModel {
  const found = loadModel(id);
  if (found.kind !== 'asic') throw new Error(`${id} is no ASIC`);
  return found;
}

async function serve(miner: SimulatedMiner, host: string): Promise<void> {
  const endpoints = miner.endpoints({ host, api: API, http: HTTP });
  // Devices answer in their own time but live in the fast one.
  const server = await serveEndpoints(
    endpoints.map((endpoint) => {
      if (endpoint.kind === 'stream') {
        return {
          ...endpoint,
          device: { respond: (bytes: Uint8Array) => endpoint.device.respond(bytes, fastClock.monoMs()) },
        };
      }
      if (endpoint.kind === 'http') {
        return {
          ...endpoint,
          device: { respondHttp: (request) => endpoint.device.respondHttp(request, fastClock.monoMs()) },
        };
      }
      return endpoint;
    }),
    { clock: realClock },
  );
  closers.push(() => server.close());
}

let address = 0;
const nextHost = (): string => `127.9.50.${(address += 1)}`;
const common = { random: seededRandom(7), password: 'secret', answerMs: 1 };

async function antminerDevice(
  options: { oldFirmware?: boolean } = {},
): Promise<{ miner: SimulatedAntminer; device: Device; host: string }> {
  const host = nextHost();
  const miner = new SimulatedAntminer({
    ...common,
    ...options,
    id: 'a1',
    model: model('antminer-s19j-pro'),
    startMs: fastClock.monoMs() - RUNNING_MS,
  });
  await serve(miner, host);
  return { miner, device: open(`antminer://${host}?http=${HTTP}&api=${API}&user=root&passwordEnv=P`), host };
}

async function whatsminerDevice(
  options: { mutePowerOff?: boolean; writable?: boolean } = {},
): Promise<{ miner: SimulatedWhatsminer; device: Device }> {
  const host = nextHost();
  const miner = new SimulatedWhatsminer({
    ...common,
    ...options,
    id: 'w1',
    model: model('whatsminer-m30s-plus'),
    startMs: fastClock.monoMs() - RUNNING_MS,
  });
  await serve(miner, host);
  return { miner, device: open(`whatsminer://${host}?api=${API}&passwordEnv=P`) };
}

function open(url: string, password = 'secret'): Device {
  return openDevice(parseTarget(url, { env: { P: password } }), io);
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => 'resolved',
    (reason: unknown) => reason,
  );
  return error instanceof Fault ? error.code : String(error);
}

/** A peer that is not a device: answers each connection with `act`. */
async function rawPeer(host: string, act: (socket: nodeNet.Socket) => void): Promise<void> {
  const sockets = new Set<nodeNet.Socket>();
  const server = nodeNet.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => act(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(API, host, resolve);
  });
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
}

describe.each(['new', 'old'])('antminer with %s firmware', (firmware) => {
  test('reads, sleeps, wakes, and keeps every other setting', async () => {
    const { miner, device } = await antminerDevice({ oldFirmware: firmware === 'old' });
    const settings = miner.conf();
    expect(await device.identify(1_000)).toMatchObject({ vendor: 'Bitmain', model: 'Antminer S19J PRO' });
    const readings = await device.read('full', 1_000);
    expect(readings['mode']).toMatchObject({ ok: true, value: 'mine', quality: 'good' });
    expect(numberOf(readings['power'])).toBeGreaterThan(2_800);
    expect(readings['power']).toMatchObject({ measured: true, unit: 'W' });
    expect(numberOf(readings['hashrate'])).toBeGreaterThan(95e12);
    expect(readings['pool.active']).toMatchObject({ value: 'stratum+tcp://pool1.example:3333' });
    expect(readings['workMode']).toMatchObject({ value: 0 });
    expect(Object.keys(readings).filter((name) => name.startsWith('temperature.board'))).toHaveLength(3);

    const slept = await actAndVerify(device, 'sleep', undefined, wait);
    expect(slept).toMatchObject({
      stage: 'observed',
      after: { mode: { value: 'sleep' }, power: { ok: false, why: 'VALUE_MISSING' } },
    });
    expect(miner.power.mining).toBe(false);

    const woken = await actAndVerify(device, 'wake', undefined, wait);
    expect(woken).toMatchObject({
      stage: 'observed',
      before: { mode: { value: 'sleep' } },
      after: { mode: { value: 'mine' } },
    });
    expect(miner.conf()).toEqual(settings);
    expect(miner.changes).toBe(2);
  });
});

describe('antminer', () => {
  test('a machine told to wake that mines is left alone', async () => {
    const { miner, device } = await antminerDevice();
    await device.verbs.wake?.(undefined, 1_000);
    expect(miner.changes).toBe(0);
  });

  test('locate and reboot reach the machine', async () => {
    const { miner, device } = await antminerDevice();
    expect((await actAndVerify(device, 'locate', undefined, wait)).stage).toBe('acknowledged');
    expect(miner.blinking).toBe(true);
    await device.verbs.locate?.(0, 1_000).catch(() => undefined);
    expect(miner.blinking).toBe(false);
    expect((await actAndVerify(device, 'reboot', undefined, machineWait)).stage).toBe('observed');
  });

  test('a wrong password fails and changes nothing; without one there are no verbs', async () => {
    const { miner, host } = await antminerDevice();
    const url = `antminer://${host}?http=${HTTP}&api=${API}&user=root&passwordEnv=P`;
    expect(await codeOf(open(url, 'wrong').verbs.sleep?.(undefined, 1_000) ?? Promise.resolve())).toBe(
      'AUTH_FAILED',
    );
    expect(open(`antminer://${host}?api=${API}`).verbs).toEqual({});
    expect(miner.changes).toBe(0);
    miner.power.sleep(fastClock.monoMs());
  });
});

describe('whatsminer', () => {
  test('reads, sleeps, wakes and takes a power limit', async () => {
    const { miner, device } = await whatsminerDevice();
    expect(await device.identify(1_000)).toEqual({
      vendor: 'MicroBT',
      model: 'Whatsminer M30S+',
      firmware: '20230803.11.REL',
    });
    const readings = await device.read('full', 1_000);
    expect(readings['mode']).toMatchObject({ value: 'mine' });
    expect(numberOf(readings['power'])).toBeGreaterThan(3_000);
    expect(readings['temperature.board.3']?.ok).toBe(true);

    const slept = await actAndVerify(device, 'sleep', undefined, wait);
    expect(slept).toMatchObject({ stage: 'observed', after: { mode: { value: 'sleep' } } });
    expect(numberOf(slept.after?.['power'])).toBeLessThan(3_000);
    expect((await actAndVerify(device, 'wake', undefined, wait)).stage).toBe('observed');
    expect(await actAndVerify(device, 'power-limit', 2_482, wait)).toMatchObject({
      stage: 'observed',
      after: { 'power.limit': { value: 2_482 } },
    });
    const { changes, tokens } = miner;
    await device.verbs['power-limit']?.(2_482, 1_000);
    expect(miner.changes).toBe(changes);
    expect(tokens).toBe(1);
  });

  test('renews a token the machine has forgotten', async () => {
    const { miner, device } = await whatsminerDevice();
    await device.verbs.locate?.(1, 1_000);
    miner.forgetTokens();
    await device.verbs.locate?.(0, 1_000);
    expect([miner.tokens, miner.changes, miner.led]).toEqual([2, 2, 'auto']);
  });

  test('a power-off without an answer counts when the machine says it is off', async () => {
    const { miner, device } = await whatsminerDevice({ mutePowerOff: true });
    await device.verbs.sleep?.(undefined, 300);
    expect(miner.power.mining).toBe(false);
  });

  test('says why a write is refused', async () => {
    const locked = await whatsminerDevice({ writable: false });
    const refused = await actAndVerify(locked.device, 'sleep', undefined, shortWait);
    expect(refused).toMatchObject({ stage: 'failed' });
    expect(refused.fault?.message).toContain('write API');
    const { miner } = await whatsminerDevice();
    const wrong = open(`whatsminer://127.9.50.${address}?api=${API}&passwordEnv=P`, 'wrong');
    expect(await codeOf(wrong.verbs.sleep?.(undefined, 1_000) ?? Promise.resolve())).toBe('AUTH_FAILED');
    expect(miner.changes).toBe(0);
  });
});

describe.each(['antminer', 'whatsminer'])('a misbehaving %s', (family) => {
  const make = (): Promise<{ miner: SimulatedMiner; device: Device }> =>
    family === 'antminer' ? antminerDevice() : whatsminerDevice();

  test('that ignores a command is failed, not done', async () => {
    const { miner, device } = await make();
    miner.fault = 'ignores';
    const outcome = await actAndVerify(device, 'sleep', undefined, shortWait);
    expect(outcome).toMatchObject({ stage: 'failed', after: { mode: { value: 'mine' } } });
    expect(outcome.fault?.message).toContain('VERB_NOT_OBSERVED');
    expect(miner.changes).toBe(1);
  });

  test('that lies about sleep is believed by the driver: only the meter knows', async () => {
    const { miner, device } = await make();
    miner.fault = 'lies';
    expect((await actAndVerify(device, 'sleep', undefined, wait)).stage).toBe('observed');
    expect(miner.powerW(fastClock.monoMs())).toBeGreaterThan(2_500);
  });

  test('that wakes by itself is seen to mine', async () => {
    const { miner, device } = await make();
    miner.fault = 'wakes';
    await actAndVerify(device, 'sleep', undefined, wait);
    const again = await actAndVerify(
      {
        ...device,
        read: device.read.bind(device),
        identify: device.identify.bind(device),
        close: () => undefined,
        verbs: withFacts({ wake: { ...PLAIN_VERB, source: '' } }, { wake: () => Promise.resolve() }),
      },
      'wake',
      undefined,
      wait,
    );
    expect(again.stage).toBe('observed');
    expect(miner.changes).toBe(1);
  });

  test('that is dead, slow or talks noise is a fault, never a value', async () => {
    const { miner, device } = await make();
    miner.fault = 'dead';
    expect(await codeOf(device.read('fast', 100))).toBe('NET_TIMEOUT');
    miner.fault = 'slow';
    expect(await codeOf(device.read('fast', 100))).toBe('NET_TIMEOUT');
    miner.fault = 'garbage';
    expect(await codeOf(device.read('fast', 500))).toBe('ANSWER_GARBAGE');
    expect(await codeOf(device.identify(500))).toBe('ANSWER_GARBAGE');
    const outcome = await actAndVerify(device, 'sleep', undefined, shortWait);
    expect(outcome).toMatchObject({ stage: 'failed', before: undefined, after: undefined });
  });
});

describe.each(['antminer', 'whatsminer', 'cgminer'])('%s against broken peers', (scheme) => {
  const read = (host: string, timeoutMs = 1_000): Promise<unknown> =>
    open(`${scheme}://${host}?api=${API}`).read('full', timeoutMs);

  test.each<[string, (socket: nodeNet.Socket) => void, RegExp]>([
    ['nothing and closes', (socket) => socket.end(), /NET_RESET/],
    ['a reset', (socket) => socket.resetAndDestroy(), /NET_RESET/],
    ['a web page', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), /ANSWER_GARBAGE/],
    [
      'the gateway’s text',
      (socket) => socket.end('Socket connect failed: Connection refused\n'),
      /NET_REFUSED/,
    ],
    ['an endless answer', (socket) => socket.end(`{"STATS":"${'x'.repeat(400_000)}"}`), /NET_OVERSIZE/],
    ['braces without end', (socket) => socket.end('{"a":['.repeat(10_000)), /ANSWER_GARBAGE/],
    ['an error', (socket) => socket.end('{"STATUS":"E","Code":14,"Msg":"invalid cmd"}'), /VERB_UNSUPPORTED/],
  ])('that send %s', async (_name, act, code) => {
    const host = nextHost();
    await rawPeer(host, act);
    expect(await codeOf(read(host))).toMatch(code);
  });

  test('that break off keep what came whole, and no mode is made of it', async () => {
    const host = nextHost();
    await rawPeer(host, (socket) =>
      socket.end('{"STATUS":[{"STATUS":"S"}],"SUMMARY":[{"Elapsed":77,"Power":32'),
    );
    const readings = await open(`${scheme}://${host}?api=${API}`).read('fast', 1_000);
    expect(readings['power']).toMatchObject({ ok: false });
    expect(readings['mode']).toMatchObject({ ok: false });
    expect(readings['hashrate']).toMatchObject({ ok: false });
  });

  test('that drip end at the deadline', async () => {
    const host = nextHost();
    await rawPeer(host, (socket) => {
      const timer = setInterval(() => socket.write(' '), 5);
      socket.on('close', () => clearInterval(timer));
    });
    // The peer never ends by itself.
    expect(await codeOf(read(host, 120))).toMatch(/ANSWER|NET_TIMEOUT/);
  });
});

describe('the digest front, with curl as an independent peer', () => {
  let curl = false;
  beforeAll(async () => {
    curl = await new Promise((resolve) => {
      execFile('curl', ['--version'], (error) => resolve(error === null));
    });
  });

  const ask = (host: string, password: string, more: readonly string[] = []): Promise<string> =>
    new Promise((resolve) => {
      const url = `http://${host}:${HTTP}/cgi-bin/get_miner_conf.cgi`;
      execFile(
        'curl',
        [
          ...'-s --noproxy * --max-time 30 --digest -u'.split(' '),
          `root:${password}`,
          '-w',
          '\n%{http_code}',
          ...more,
          url,
        ],
        (_error, stdout) => resolve(stdout),
      );
    });

  test('lets the right password in and no other', async (context) => {
    if (!curl) {
      if (process.env['CI'] === 'true') throw new Error('curl is not installed');
      context.skip('curl is not installed');
    }
    const { host, miner } = await antminerDevice();
    const [body = '', status] = (await ask(host, 'secret')).split('\n');
    expect(status).toBe('200');
    expect(JSON.parse(body)).toEqual(miner.conf());
    expect(await ask(host, 'wrong')).toMatch(/401$/);
  });
});

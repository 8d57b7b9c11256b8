/** Every family of miners that takes commands, against its simulated device on real loopback sockets, by one table. */
import { afterEach, describe, expect, test } from 'vitest';

import type { Device, DeviceIo } from '../../agent/driver.ts';
import { openDevice, parseTarget } from '../../agent/target.ts';
import { actAndVerify } from '../../agent/verify.ts';
import { loadModel } from '../../config/models.ts';
import { realClock } from '../../host/clock.ts';
import type { Clock } from '../../host/deps.ts';
import { makeHttp } from '../../host/http.ts';
import { makeNet } from '../../host/net.ts';
import { seededRandom } from '../../host/random.ts';
import { Fault } from '../../protocols/faults.ts';
import { numberOf } from '../../protocols/reading.ts';
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
import { serveEndpoints } from '../../simulator/fronts/socket.ts';

const HTTP = 18_280;
const API = 14_228;
/** Simulated miners live this much faster than the test, so that a wake takes a second. */
const HASTE = 100;
/** They have run for a day, so that a reboot shows however slowly the test gets to read. */
const RUNNING_MS = 86_400_000;
const hasty = (haste: number): Clock => ({ ...realClock, monoMs: () => realClock.monoMs() * haste });
const nothing = (): never => {
  throw new Error('not used by miners');
};
const io: DeviceIo = {
  clock: realClock,
  random: seededRandom(1),
  net: makeNet(realClock),
  http: makeHttp(realClock),
  get remote() {
    return nothing();
  },
  get lines() {
    return nothing();
  },
  get log() {
    return nothing();
  },
};
const wait = { clock: realClock, timeoutMs: 15_000, pollMs: 20 };
const shortWait = { clock: realClock, timeoutMs: 600, pollMs: 20 };
/** In the machine's own time: an uptime is compared with the time since the reboot. */
const machineWait = ({ haste = HASTE }: Family) => ({
  clock: hasty(haste),
  timeoutMs: 20_000 * haste,
  pollMs: 20,
});

interface Family {
  readonly model: string;
  readonly make: (options: MinerOptions) => SimulatedMiner;
  readonly target: (host: string) => string;
  readonly identity: object;
  readonly verbs: readonly string[];
  /** A limit to try, W, where there is one. */
  readonly limitW?: number;
  /** Its API asks for no password. */
  readonly open?: boolean;
  readonly haste?: number;
}

const avalon = (dialect: 'json' | 'text'): Family => ({
  model: 'avalon-1246',
  make: (options) => new SimulatedAvalon({ ...options, muteSoftOn: dialect === 'text' }),
  target: (host) => `avalon://${host}?api=${API}&dialect=${dialect}`,
  identity: { vendor: 'Canaan', model: 'AvalonMiner 1246-83', firmware: '21072802_4ec6bb0_211fc46' },
  verbs: ['locate', 'pools', 'reboot', 'sleep', 'wake'],
  open: true,
  // It is told a time 5 s ahead by its own clock: that must not be over before the words have reached it.
  haste: 15,
});

const FAMILIES: Readonly<Record<string, Family>> = {
  auradine: {
    model: 'auradine-at2880',
    make: (options) => new SimulatedAuradine(options),
    target: (host) => `auradine://${host}?http=${HTTP}&api=${API}&passwordEnv=P`,
    identity: { vendor: 'Auradine', model: 'AT2880', firmware: 'FluxOS 2023-12.27' },
    verbs: ['locate', 'pools', 'power-limit', 'reboot', 'sleep', 'wake'],
    limitW: 3_650,
  },
  'avalon in JSON': avalon('json'),
  'avalon as text': avalon('text'),
  braiins: {
    model: 'antminer-s19j-pro-braiins',
    make: (options) => new SimulatedBraiins(options),
    target: (host) => `braiins://${host}?http=${HTTP}&passwordEnv=P`,
    identity: {
      vendor: 'Bitmain',
      model: 'Antminer S19J PRO',
      firmware: 'Braiins OS 2025-08-06-0-3881c51d-25.07-plus',
    },
    verbs: ['locate', 'pools', 'power-limit', 'reboot', 'sleep', 'wake'],
    limitW: 2_577,
  },
  'braiins-graphql': {
    model: 'antminer-s19j-pro-braiins-graphql',
    make: (options) => new SimulatedBraiinsGraphql(options),
    target: (host) => `braiins-graphql://${host}?http=${HTTP}&passwordEnv=P`,
    identity: {
      vendor: 'Bitmain',
      model: 'Antminer S19J PRO',
      firmware: 'Braiins OS 2024-10-17-0-75912fc7-24.09-plus',
    },
    verbs: ['locate', 'power-limit', 'reboot', 'sleep', 'wake'],
    limitW: 2_577,
  },
  epic: {
    model: 'antminer-s19-xp-epic',
    make: (options) => new SimulatedEpic(options),
    target: (host) => `epic://${host}?api=${API}&passwordEnv=P`,
    identity: { vendor: 'Bitmain', model: 'AntMiner S19 XP', firmware: 'PowerPlay-BMS v1.5.13' },
    verbs: ['locate', 'pools', 'power-limit', 'reboot', 'sleep', 'wake'],
    limitW: 2_700,
  },
  luxos: {
    model: 'antminer-s19k-pro-luxos',
    make: (options) => new SimulatedLuxos(options),
    target: (host) => `luxos://${host}?api=${API}`,
    identity: { vendor: 'Bitmain', model: 'Antminer S19K PRO', firmware: 'LuxOS 2025.4.8.220305-57b389c7' },
    verbs: ['locate', 'pools', 'power-limit', 'reboot', 'sleep', 'wake'],
    limitW: 2_336,
    open: true,
  },
  'proto-rig': {
    model: 'proto-rig',
    make: (options) => new SimulatedProtoRig(options),
    target: (host) => `proto-rig://${host}?http=${HTTP}&passwordEnv=P`,
    identity: { vendor: 'Proto', model: 'Rig', firmware: 'ProtoOS 1.8.0' },
    verbs: ['locate', 'pools', 'power-limit', 'reboot', 'sleep', 'wake'],
    limitW: 2_856,
  },
  vnish: {
    model: 'antminer-s19-vnish',
    make: (options) => new SimulatedVnish(options),
    target: (host) => `vnish://${host}?http=${HTTP}&passwordEnv=P`,
    identity: { vendor: 'Bitmain', model: 'Antminer S19', firmware: 'Vnish 1.2.6' },
    verbs: ['locate', 'power-limit', 'reboot', 'sleep', 'wake'],
    limitW: 2_350,
  },
  'whatsminer-v3': {
    model: 'whatsminer-m66',
    make: (options) => new SimulatedWhatsminerV3(options),
    target: (host) => `whatsminer-v3://${host}?api=${API}&passwordEnv=P`,
    identity: { vendor: 'MicroBT', model: 'Whatsminer M66', firmware: '20251209.16.Rel2' },
    verbs: ['locate', 'pools', 'power-limit', 'reboot', 'sleep', 'wake'],
    limitW: 4_009,
  },
};

const closers: Array<() => Promise<void>> = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

let address = 0;

async function start(
  family: Family,
): Promise<{ miner: SimulatedMiner; device: Device; open: (password: string) => Device }> {
  const model = loadModel(family.model);
  if (model.kind !== 'asic') throw new Error(`${family.model} is no ASIC`);
  const host = `127.9.60.${(address += 1)}`;
  const fastClock = hasty(family.haste ?? HASTE);
  const startMs = fastClock.monoMs() - RUNNING_MS;
  const miner = family.make({
    id: 'm1',
    model,
    random: seededRandom(7),
    startMs,
    password: 'secret',
    answerMs: 1,
  });
  const server = await serveEndpoints(
    miner.endpoints({ host, api: API, http: HTTP }).map((endpoint) => {
      // Devices answer in their own time but live in the fast one.
      if (endpoint.kind === 'stream')
        return {
          ...endpoint,
          device: { respond: (bytes) => endpoint.device.respond(bytes, fastClock.monoMs()) },
        };
      if (endpoint.kind === 'http')
        return {
          ...endpoint,
          device: { respondHttp: (request) => endpoint.device.respondHttp(request, fastClock.monoMs()) },
        };
      return endpoint;
    }),
    { clock: realClock },
  );
  closers.push(() => server.close());
  const open = (password: string): Device =>
    openDevice(parseTarget(family.target(host), { env: { P: password } }), io);
  return { miner, device: open('secret'), open };
}

const codeOf = (work: Promise<unknown> | undefined): Promise<string> =>
  Promise.resolve(work).then(
    () => 'resolved',
    (error: unknown) => (error instanceof Fault ? error.code : String(error)),
  );

describe.each(Object.entries(FAMILIES))('%s', (_, family) => {
  test('reads, sleeps and wakes, and every setting is as it was', async () => {
    const { miner, device } = await start(family);
    const settings = miner.settings();
    expect(await device.identify(2_000)).toMatchObject(family.identity);
    expect(Object.keys(device.verbs).sort()).toEqual(family.verbs);
    const readings = await device.read('full', 2_000);
    const { rungs } = miner.power.model;
    const full = rungs.at(-1);
    expect(readings['mode']).toMatchObject({ ok: true, value: 'mine', quality: 'good' });
    expect(numberOf(readings['power'])).toBeGreaterThan((full?.powerW ?? 0) * 0.9);
    expect(numberOf(readings['power'])).toBeLessThan((full?.powerW ?? 0) * 1.1);
    expect(numberOf(readings['hashrate'])).toBeGreaterThan((full?.hashrateThs ?? 0) * 0.9e12);
    expect(numberOf(readings['uptime'])).toBeGreaterThan(RUNNING_MS / 1_000 - 1);
    expect(readings['pool.active']).toMatchObject({ value: 'stratum+tcp://pool1.example:3333' });
    expect(readings['temperature.chip.3'] ?? readings['temperature.board.3']).toMatchObject({ ok: true });
    expect(readings['fan.1']).toMatchObject({ ok: true });

    expect(await actAndVerify(device, 'sleep', undefined, wait)).toMatchObject({
      stage: 'observed',
      before: { mode: { value: 'mine' } },
      after: { mode: { value: 'sleep' } },
    });
    expect(miner.power.mining).toBe(false);
    expect(await actAndVerify(device, 'wake', undefined, wait)).toMatchObject({
      stage: 'observed',
      after: { mode: { value: 'mine' } },
    });
    expect(miner.power.mining).toBe(true);
    expect(miner.settings()).toEqual(settings);
  });

  test.skipIf(family.limitW === undefined)('takes a power limit, once', async () => {
    const { miner, device } = await start(family);
    expect(await actAndVerify(device, 'power-limit', family.limitW, wait)).toMatchObject({
      stage: 'observed',
      after: { 'power.limit': { value: family.limitW } },
    });
    expect(miner.settings()['powerLimit']).toBe(family.limitW);
    const { changes } = miner;
    await device.verbs['power-limit']?.(family.limitW, 2_000);
    expect(miner.changes).toBe(changes);
  });

  test('locate and reboot reach the machine', async () => {
    const { miner, device } = await start(family);
    if (device.verbs.locate) {
      expect((await actAndVerify(device, 'locate', 1, wait)).stage).toBe('acknowledged');
      expect(miner.changes).toBe(1);
    }
    expect((await actAndVerify(device, 'reboot', undefined, machineWait(family))).stage).toBe('observed');
  });

  test.skipIf(family.open)('a wrong password changes nothing', async () => {
    const { miner, open } = await start(family);
    expect(await codeOf(open('wrong').verbs.sleep?.(undefined, 1_000))).toBe('AUTH_FAILED');
    expect(miner.changes).toBe(0);
  });

  test('accepted and ignored is failed, not done', async () => {
    const { miner, device } = await start(family);
    miner.fault = 'ignores';
    const outcome = await actAndVerify(device, 'sleep', undefined, shortWait);
    expect(outcome).toMatchObject({ stage: 'failed', after: { mode: { value: 'mine' } } });
    expect(outcome.fault?.code).toBe('VERB_NOT_OBSERVED');
    expect(miner.changes).toBe(1);
  });

  test('dead, slow or noise is a fault, never a value', async () => {
    const { miner, device } = await start(family);
    miner.fault = 'dead';
    expect(await codeOf(device.read('fast', 100))).toBe('NET_TIMEOUT');
    miner.fault = 'slow';
    expect(await codeOf(device.read('fast', 100))).toBe('NET_TIMEOUT');
    miner.fault = 'garbage';
    expect(await codeOf(device.read('fast', 500))).toBe('ANSWER_GARBAGE');
    expect(await codeOf(device.identify(500))).toBe('ANSWER_GARBAGE');
    expect(await actAndVerify(device, 'sleep', undefined, shortWait)).toMatchObject({ stage: 'failed' });
    expect(miner.changes).toBe(0);
  });
});

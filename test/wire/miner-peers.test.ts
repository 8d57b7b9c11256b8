/** Drivers of the newer families against devices that share no code with them. */
import { afterAll, describe, expect, test } from 'vitest';

import type { Device } from '../../agent/driver.ts';
import { actAndVerify } from '../../agent/verify.ts';
import { realClock } from '../../host/clock.ts';
import { openMiner, readShortly } from './miner-rigs.ts';
import { closeAll, hasPeer, startPeer } from './modbus-rigs.ts';

const PYTHON = '/usr/bin/python3';
const PASSWORD = 'correct horse';
const withPython = describe.skipIf(!hasPeer(PYTHON, ['-V']));
const wait = { clock: realClock, timeoutMs: 15_000, pollMs: 50 };

afterAll(closeAll);

const open = (url: string): Device => openMiner(url, PASSWORD);

interface Peer {
  readonly script: string;
  /** What it is started with; the password when absent. */
  readonly argument?: string;
  readonly target: (port: string) => string;
  readonly identity: object;
  readonly reads: Readonly<Record<string, unknown>>;
  readonly limitW?: number;
  readonly takesPools?: boolean;
}

const avalon = (dialect: string): Peer => ({
  script: 'avalon.py',
  argument: dialect,
  target: (port) => `avalon://127.0.0.1?api=${port}&dialect=${dialect}`,
  identity: { vendor: 'Canaan', model: 'AvalonMiner 1346-110', firmware: '23031701' },
  reads: {
    hashrate: [110_250.75e9, 'H/s'],
    power: [3_440, 'W'],
    mode: ['mine', 'text'],
    'temperature.chip.2': [82, '°C'],
    'fan.2': [5_392, 'rpm'],
    'pool.active': ['stratum+tcp://pool.example:3333', 'text'],
  },
});

const PEERS: Readonly<Record<string, Peer>> = {
  auradine: {
    script: 'auradine.py',
    target: (ports) => {
      const [web = '', api = ''] = ports.split('/');
      return `auradine://127.0.0.1?http=${web}&api=${api}&passwordEnv=P`;
    },
    identity: { vendor: 'Auradine', model: 'AT1500', firmware: 'FluxOS 2023-12.27' },
    reads: {
      hashrate: [150_599_767.25e6, 'H/s'],
      power: [3_288.5, 'W'],
      'power.limit': [3_300, 'W'],
      uptime: [56_696, 's'],
      mode: ['mine', 'text'],
      'temperature.board.2': [29.5, '°C'],
      'temperature.chip.1': [45.5, '°C'],
      'fan.2': [7_020, 'rpm'],
      'pool.active': ['stratum+tcp://pool.example:3333', 'text'],
    },
    limitW: 2_500,
    takesPools: true,
  },
  'avalon in JSON': avalon('json'),
  'avalon as text': avalon('text'),
  bitaxe: {
    script: 'bitaxe.py',
    target: (port) => `bitaxe://127.0.0.1?http=${port}`,
    identity: { vendor: 'Bitaxe', model: 'BM1370', firmware: 'AxeOS v2.14.1' },
    reads: {
      hashrate: [1_075.25e9, 'H/s'],
      power: [17.5, 'W'],
      uptime: [90_000, 's'],
      mode: ['mine', 'text'],
      'temperature.chip.1': [58.5, '°C'],
      'fan.1': [4_211, 'rpm'],
      'pool.active': ['pool.example:3333', 'text'],
    },
  },
  braiins: {
    script: 'braiins.py',
    target: (port) => `braiins://127.0.0.1?http=${port}&passwordEnv=P`,
    identity: {
      vendor: 'Bitmain',
      model: 'Antminer S19 Pro',
      firmware: 'Braiins OS 2025-08-06-0-3881c51d-25.07-plus',
    },
    reads: {
      hashrate: [109_500.25e9, 'H/s'],
      power: [3_230, 'W'],
      'power.limit': [3_250, 'W'],
      uptime: [90_000, 's'],
      mode: ['mine', 'text'],
      'temperature.board.1': [61.5, '°C'],
      'temperature.chip.1': [77, '°C'],
      'temperature.board.2': 'VALUE_MISSING',
      'fan.2': [5_874, 'rpm'],
      'pool.active': ['stratum+tcp://pool.example:3333', 'text'],
    },
    limitW: 2_500,
  },
  'braiins-graphql': {
    script: 'braiins_graphql.py',
    target: (port) => `braiins-graphql://127.0.0.1?http=${port}&passwordEnv=P`,
    identity: {
      vendor: 'Bitmain',
      model: 'Antminer S19 Pro',
      firmware: 'Braiins OS 2024-10-17-0-75912fc7-24.09-plus',
    },
    reads: {
      hashrate: [109_500_250.0005e6, 'H/s'],
      power: [3_230, 'W'],
      'power.limit': [3_250, 'W'],
      uptime: [90_000, 's'],
      mode: ['mine', 'text'],
      'boards.count': [2, '1'],
      'chips.count': [226, '1'],
      'temperature.board.1': [61.5, '°C'],
      'temperature.chip.1': [77, '°C'],
      'fan.2': [5_874, 'rpm'],
      'pool.active': ['stratum+tcp://pool.example:3333', 'text'],
    },
    limitW: 2_500,
  },
  epic: {
    script: 'epic.py',
    target: (port) => `epic://127.0.0.1?api=${port}&passwordEnv=P`,
    identity: { vendor: 'Bitmain', model: 'AntMiner S19j Pro', firmware: 'PowerPlay-BMS v1.17.0' },
    reads: {
      hashrate: [92_000_001e6, 'H/s'],
      power: [3_089.5, 'W'],
      'power.limit': [3_100, 'W'],
      uptime: [90_000, 's'],
      mode: ['mine', 'text'],
      'temperature.board.1': [61.25, '°C'],
      'temperature.board.3': [63.25, '°C'],
      'fan.1': [5_971, 'rpm'],
      'fan.2': [0, 'rpm'],
      'pool.active': ['pool.example:3333', 'text'],
    },
    limitW: 2_500,
  },
  luxos: {
    script: 'luxos.py',
    target: (port) => `luxos://127.0.0.1?api=${port}`,
    identity: { vendor: 'Bitmain', model: 'Antminer S19j Pro', firmware: 'LuxOS 2025.9.8.152528-e04420b4b' },
    reads: {
      hashrate: [102_960e9, 'H/s'],
      power: [3_053, 'W'],
      'power.limit': [3_068, 'W'],
      mode: ['mine', 'text'],
      'temperature.board.1': [62.5, '°C'],
      'fan.2': [4_110, 'rpm'],
      'pool.active': ['stratum+tcp://pool.example:3333', 'text'],
    },
    limitW: 2_600,
  },
  'proto-rig': {
    script: 'proto_rig.py',
    target: (port) => `proto-rig://127.0.0.1?http=${port}&passwordEnv=P`,
    identity: { vendor: 'Proto', model: 'Rig', firmware: 'ProtoOS 1.8.0' },
    reads: {
      hashrate: [141_147.5e9, 'H/s'],
      power: [3_434, 'W'],
      'power.limit': [3_400, 'W'],
      uptime: [90_000, 's'],
      mode: ['mine', 'text'],
      'temperature.board.1': [48.375, '°C'],
      'fan.2': [4_691, 'rpm'],
      'pool.active': ['stratum+tcp://pool.example:3333', 'text'],
    },
    limitW: 2_500,
    takesPools: true,
  },
  vnish: {
    script: 'vnish.py',
    target: (port) => `vnish://127.0.0.1?http=${port}&passwordEnv=P`,
    identity: { vendor: 'Bitmain', model: 'Antminer S19j Pro', firmware: 'Vnish 1.3.3' },
    reads: {
      hashrate: [103_250.5e9, 'H/s'],
      power: [3_240, 'W'],
      'power.limit': [3_250, 'W'],
      uptime: [90_000, 's'],
      mode: ['mine', 'text'],
      'temperature.board.1': [61, '°C'],
      'temperature.chip.3': [77, '°C'],
      'fan.2': [5_390, 'rpm'],
      'pool.active': ['pool.example:3333', 'text'],
    },
    // 2,500 W was never tuned there.
    limitW: 2_700,
  },
  'whatsminer-v3': {
    script: 'whatsminer_v3.py',
    target: (port) => `whatsminer-v3://127.0.0.1?api=${port}&passwordEnv=P`,
    identity: { vendor: 'MicroBT', model: 'Whatsminer M66_VK20', firmware: '20251209.16.Rel2' },
    reads: {
      hashrate: [275.25e12, 'H/s'],
      power: [5_480, 'W'],
      'power.limit': [5_492, 'W'],
      mode: ['mine', 'text'],
      'temperature.board.2': [70.2, '°C'],
      'temperature.chip.3': [90.1, '°C'],
      errors: ['264', 'text'],
      'pool.active': ['stratum+tcp://pool.example:3333', 'text'],
    },
    limitW: 4_000,
  },
};

withPython('a device that others wrote', () => {
  test.each(Object.entries(PEERS))('%s is read and obeys', async (_, peer) => {
    const device = open(
      peer.target(await startPeer(PYTHON, peer.script, ['serve', peer.argument ?? PASSWORD])),
    );
    expect(await device.identify(5_000)).toEqual(peer.identity);
    expect(await readShortly(device)).toMatchObject(peer.reads);
    expect(await actAndVerify(device, 'sleep', undefined, wait)).toMatchObject({
      stage: 'observed',
      after: { mode: { value: 'sleep' } },
    });
    expect(await actAndVerify(device, 'wake', undefined, wait)).toMatchObject({
      stage: 'observed',
      after: { mode: { value: 'mine' } },
    });
    if (peer.limitW !== undefined)
      expect((await actAndVerify(device, 'power-limit', peer.limitW, wait)).stage).toBe('observed');
    if (peer.takesPools === true) {
      const pools = [{ url: 'stratum+tcp://new.example:3333', user: 'acct.r1-01', pass: 'x' }];
      expect((await actAndVerify(device, 'pools', pools, wait)).stage).toBe('observed');
    }
    expect((await actAndVerify(device, 'locate', 1, wait)).stage).toBe('acknowledged');
  });
});

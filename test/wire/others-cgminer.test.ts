/** The cgminer family asked by clients that others wrote, unchanged (others.test.ts). */
import { afterAll, expect, test } from 'vitest';

import { realClock } from '../../host/clock.ts';
import { SimulatedAntminer } from '../../simulator/devices/antminer.ts';
import { SimulatedAuradine } from '../../simulator/devices/auradine.ts';
import { SimulatedAvalon } from '../../simulator/devices/avalon.ts';
import { SimulatedLuxos } from '../../simulator/devices/luxos.ts';
import { EPOCH_S } from '../../simulator/devices/miner.ts';
import { SimulatedWhatsminer } from '../../simulator/devices/whatsminer.ts';
import { serveMiner } from './miner-rigs.ts';
import { closeAll } from './modbus-rigs.ts';
import { describeWith, expectSteps } from './others/rig.ts';
import type { Client, Step } from './others/rig.ts';

const PORT = 14_428;
const at = (place: number) => ({ host: `127.9.64.${place}`, port: PORT, password: 'correct-horse' });

afterAll(closeAll);

const POOL = { URL: 'stratum+tcp://pool1.example:3333', User: 'site.m1', Status: 'Alive' };
const UNKNOWN = { error: 'Invalid command' };
const number: unknown = expect.any(Number);
/** A time of the Avalon's own, s, this far ahead. */
const AHEAD_S = 300;

describeWith('hashware/node-cgminer-api')('hashware/node-cgminer-api', () => {
  const client = ({ host }: { host: string }): Client => ({
    script: 'cgminer-api.ts',
    repository: 'hashware/node-cgminer-api',
    words: [host, PORT],
  });
  /** `reply` is the section its answer is in, null for those that are a status alone; it knows seven sections. */
  const ask = (name: string, reply: string | null, words?: readonly string[]): Step => [
    'request',
    { name, reply },
    words,
  ];

  test('reads a simulated Antminer', async () => {
    const place = at(1);
    await serveMiner(place, 'antminer-s21', (options) => new SimulatedAntminer(options));
    await expectSteps(client(place), [
      [['version'], { Type: 'Antminer S21', API: '3.1' }],
      [ask('summary', 'SUMMARY'), { 'GHS 5s': number, Elapsed: number }],
      [ask('stats', 'STATS'), [{ Type: 'Antminer S21' }, { 'GHS 5s': number, miner_count: 3 }]],
      [ask('pools', 'POOLS'), [POOL, {}, {}]],
      [ask('nonsense', 'NONSENSE'), UNKNOWN],
    ]);
  });

  test('reads and commands a simulated LuxOS', async () => {
    const place = at(2);
    const miner = await serveMiner(
      place,
      'antminer-s19k-pro-luxos',
      (options) => new SimulatedLuxos(options),
    );
    const OTHER = { URL: 'stratum+tcp://new.example:3333', User: 'acct.w1' };
    await expectSteps(client(place), [
      [['version'], { Type: 'Antminer S19K PRO', API: '3.7' }],
      [ask('summary', 'SUMMARY'), { 'GHS 5s': number }],
      [ask('stats', 'STATS'), [{ Type: 'Antminer S19K PRO' }, { 'GHS 5s': number }]],
      [ask('devs', 'DEVS'), [{ 'MHS av': number }, {}, {}]],
      [ask('config', 'CONFIG'), [{ OS: 'LuxOS', CurtailMode: 'None' }]],
      [ask('pools', 'POOLS'), [POOL]],
      [ask('addpool', null, [OTHER.URL, OTHER.User, 'x']), { STATUS: 'S' }],
      [ask('switchpool', null, ['1']), { STATUS: 'S' }],
      [ask('pools', 'POOLS'), [OTHER, POOL]],
      [ask('removepool', null, ['1']), { STATUS: 'S' }],
      [ask('pools', 'POOLS'), [OTHER]],
      [ask('curtail', 'CURTAIL', ['none', 'sleep']), { error: 'Invalid session id' }],
    ]);
    expect(miner.power.mining).toBe(true);
  });

  test('reads a simulated Whatsminer of API v2, but for its own words', async () => {
    const place = at(3);
    await serveMiner(place, 'whatsminer-m60', (options) => new SimulatedWhatsminer(options));
    await expectSteps(client(place), [
      [ask('summary', 'SUMMARY'), { 'Power Limit': 3_540 }],
      [ask('devs', 'DEVS'), [{ Slot: 0 }, { Slot: 1 }, { Slot: 2 }]],
      [ask('pools', 'POOLS'), [POOL]],
    ]);
  });

  test('reads a simulated Auradine', async () => {
    const place = at(4);
    await serveMiner(place, 'auradine-at2880', (options) => new SimulatedAuradine(options));
    await expectSteps(client(place), [
      [['version'], { GCMiner: '0.5' }],
      [ask('summary', 'SUMMARY'), { 'MHS av': number }],
      [ask('devs', 'DEVS'), [{ 'MHS 5s': number }, {}, {}]],
      [ask('pools', 'POOLS'), [POOL, {}]],
    ]);
  });

  test('reads and commands a simulated Avalon in JSON', async () => {
    const place = at(5);
    const miner = await serveMiner(place, 'avalon-1246', (options) => new SimulatedAvalon(options));
    await expectSteps(client(place), [
      [['version'], { CGMiner: '4.11.1', MODEL: '1246-83' }],
      [ask('summary', 'SUMMARY'), { 'MHS av': number }],
      [ask('stats', 'STATS'), [{ 'MM ID0': expect.stringContaining('WORKMODE[1]') }, {}]],
      [ask('devs', 'DEVS'), [{ Name: 'AVALON', 'MHS av': number }]],
      [ask('config', 'CONFIG'), [{ 'Device Code': 'AVALON', 'Pool Count': 1 }]],
      [ask('pools', 'POOLS'), [POOL]],
      [ask('ascset', null, ['0', 'workmode', '0']), { STATUS: 'S', Msg: 'ASC 0 set OK' }],
      [ask('stats', 'STATS'), [{ 'MM ID0': expect.stringContaining('WORKMODE[0]') }, {}]],
      [ask('ascset', null, ['0', 'led', '1-1']), { STATUS: 'S' }],
      [ask('ascset', null, ['0', 'softoff', '1:1000']), { STATUS: 'E' }],
    ]);
    expect([miner.workMode, miner.led, miner.changes]).toEqual([0, 1, 2]);
  });
});

describeWith('UpstreamData/pyasic', 'pyasic/rpc/cgminer.py')('UpstreamData/pyasic, rpc/cgminer.py', () => {
  const client = ({ host }: { host: string }): Client => ({
    script: 'pyasic_client.py',
    repository: 'UpstreamData/pyasic',
    words: ['rpc.cgminer.CGMinerRPCAPI', host, PORT, ''],
  });

  test('reads a simulated Antminer, whose reads stand alone', async () => {
    const place = at(6);
    await serveMiner(place, 'antminer-s21', (options) => new SimulatedAntminer(options));
    const [summary, pools] = [{ SUMMARY: [{ 'GHS 5s': number }] }, { POOLS: [POOL, {}, {}] }];
    await expectSteps(client(place), [
      [['version'], { VERSION: [{ Type: 'Antminer S21' }] }],
      [['summary'], summary],
      [['stats'], { STATS: [{}, { miner_count: 3 }] }],
      [['pools'], pools],
      // Refused, it asks them one by one.
      [['multicommand', 'summary', 'pools'], { summary: [summary], pools: [pools] }],
      [['coin'], { error: 'APIError: coin: Invalid command' }],
    ]);
  });

  test('reads and commands a simulated Avalon in JSON', async () => {
    const place = at(7);
    const miner = await serveMiner(place, 'avalon-1246', (options) => new SimulatedAvalon(options));
    const [summary, pools] = [{ SUMMARY: [{ 'MHS av': number }] }, { POOLS: [POOL] }];
    await expectSteps(client(place), [
      [['version'], { VERSION: [{ MODEL: '1246-83' }] }],
      [['summary'], summary],
      [['pools'], pools],
      [['devs'], { DEVS: [{ Name: 'AVALON' }] }],
      [['devdetails'], { DEVDETAILS: [{ Driver: 'avalon' }] }],
      [['config'], { CONFIG: [{ OS: 'Linux' }] }],
      [['stats'], { STATS: [{ ID: 'AVA100' }, {}] }],
      [['estats'], { STATS: [{ 'MM ID0': expect.stringContaining('GHSspd[') }, {}] }],
      [['send_command', 'litestats'], { STATS: [{ 'MM ID0': expect.stringContaining('PS[') }, {}] }],
      [['multicommand', 'summary', 'pools'], { summary: [summary], pools: [pools] }],
      [['ascset', 0, 'led', '1-1'], { STATUS: [{ STATUS: 'S', Msg: 'ASC 0 set OK' }] }],
      [['ascset', 0, 'workmode', '2'], { STATUS: [{ STATUS: 'S' }] }],
      [['ascset', 0, 'workmode', 255], { STATUS: [{ Msg: 'ASC 0 set info: WORKMODE[2] success' }] }],
      [['ascset', 0, 'nonsense'], { error: expect.stringContaining('Unknown option: nonsense') }],
    ]);
    expect([miner.workMode, miner.led, miner.changes]).toEqual([2, 1, 2]);
    const offAt = `1:${EPOCH_S + Math.floor(realClock.monoMs() / 1_000) + AHEAD_S}`;
    await expectSteps(client(place), [
      [
        ['ascset', 0, 'softoff', offAt],
        { STATUS: [{ STATUS: 'I', Msg: expect.stringContaining('softoff:') }] },
      ],
    ]);
    miner.powerW(realClock.monoMs() + (AHEAD_S + 1) * 1_000);
    expect(miner.power.mining).toBe(false);
  });
});

describeWith('tetherto/miningos-wrk-miner-avalon', 'workers')(
  'tetherto/miningos-wrk-miner-avalon, workers/lib/miner.js',
  () => {
    test('reads and commands a simulated Avalon in text', async () => {
      const place = at(8);
      const miner = await serveMiner(place, 'avalon-1246', (options) => new SimulatedAvalon(options));
      const client: Client = {
        script: 'miningos-avalon.ts',
        repository: 'tetherto/miningos-wrk-miner-avalon',
        words: [place.host, PORT],
      };
      const done = { success: true };
      await expectSteps(client, [
        [['getVersion'], { model: '1246-83', software_version: 'MM314', cgminer: { version: '4.11.1' } }],
        [['getStats'], { mhs_av: expect.stringMatching(/^8\d{7}(\.\d\d)?$/), accepted: expect.any(String) }],
        [['getPools'], [{ url: POOL.URL, user: POOL.User, status: 'Alive', stratum_active: 'true' }]],
        [['getWorkingMode'], 1],
        // It is written for the 1346, whose modules say more.
        [['getEStats'], { error: expect.stringContaining('TypeError') }],
        [['setLED', true], done],
        [['setFanSpeed', 80], { success: false }],
        [['suspendMining'], done],
      ]);
      expect([miner.led, miner.power.mining, miner.changes]).toEqual([1, false, 2]);
      const pool = { url: 'stratum+tcp://new.example:3333', worker_name: 'acct.w1', worker_password: 'x' };
      // With the reboot that it gives behind them, which ends the rest too.
      await expectSteps(client, [[['setPools', [pool]], done]]);
      expect(miner.changes).toBe(6);
      miner.powerW(realClock.monoMs() + 600_000);
      expect(miner.settings()).toMatchObject({ 'pool.1': 'stratum+tcp://new.example:3333 acct.w1 x' });
      expect(miner.power.mining).toBe(true);
    });
  },
);

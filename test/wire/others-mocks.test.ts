/** Mock machines that others wrote, unchanged (others.test.ts): our drivers read and command them. */
import { afterAll, expect, test } from 'vitest';

import { actAndVerify } from '../../agent/verify.ts';
import { realClock } from '../../host/clock.ts';
import { openMiner, readShortly } from './miner-rigs.ts';
import { closeAll } from './modbus-rigs.ts';
import { describeWith, startMock } from './others/rig.ts';

const PORT = 14_528;
const PASSWORD = 'correct-horse';
const wait = { clock: realClock, timeoutMs: 10_000, pollMs: 100 };
/** For what never shows. */
const shortWait = { ...wait, timeoutMs: 2_000 };
const POOLS = [
  { url: 'stratum+tcp://new.example:3333', user: 'acct.r1-01', pass: 'x' },
  { url: 'stratum+tcp://spare.example:443', user: 'acct.r1-01', pass: 'y' },
];

afterAll(closeAll);

describeWith('tetherto/miningos-wrk-miner-whatsminer', 'mock/server.js')(
  'tetherto/miningos-wrk-miner-whatsminer, mock',
  () => {
    /** One machine with both APIs; its figures are of its own making. */
    const start = async (host: string): Promise<void> =>
      startMock('tetherto/miningos-wrk-miner-whatsminer', {
        host,
        port: PORT,
        v3Port: PORT + 1,
        type: 'm63spp',
        serial: 'HHM38S98302B24K40073',
        password: PASSWORD,
      });
    const READS = {
      power: [4_000, 'W'],
      'power.limit': [8_000, 'W'],
      'temperature.chip.max': [36.1, '°C'],
      mode: ['mine', 'text'],
      errors: ['', 'text'],
      'pool.active': ['stratum+tcp://btc.f2pool.com:1314', 'text'],
    };

    test('API v2 is read and obeys', async () => {
      const host = '127.9.65.1';
      await start(host);
      const device = openMiner(`whatsminer://${host}?api=${PORT}&passwordEnv=P`, PASSWORD);
      expect(await device.identify(5_000)).toEqual({
        vendor: 'MicroBT',
        model: 'Whatsminer M63S_VH30',
        firmware: '20230714.15.Rel',
      });
      const readings = await readShortly(device);
      expect(readings).toMatchObject({ ...READS, 'fan.1': [0, 'rpm'], 'temperature.chip.4': [36.1, '°C'] });
      // 3,050 to 3,150 MH/s for each of its watts.
      const [hashesPerS] = readings['hashrate'] as [number];
      expect(hashesPerS).toBeGreaterThan(12.2e12);
      expect(hashesPerS).toBeLessThan(12.6e12);
      expect((await actAndVerify(device, 'power-limit', 5_000, wait)).stage).toBe('observed');
      expect((await actAndVerify(device, 'pools', POOLS, wait)).stage).toBe('observed');
      expect((await actAndVerify(device, 'locate', 1, wait)).stage).toBe('acknowledged');
      // It takes the command, without an answer, and goes on saying that it hashes: that is no rest.
      expect(await actAndVerify(device, 'sleep', undefined, shortWait)).toMatchObject({
        stage: 'failed',
        after: { mode: { value: 'mine' } },
      });
      expect((await actAndVerify(device, 'wake', undefined, wait)).stage).toBe('observed');
    });

    test('API v3 is read, and obeys as far as it knows the words', async () => {
      const host = '127.9.65.2';
      await start(host);
      const device = openMiner(`whatsminer-v3://${host}?api=${PORT + 1}&user=super&passwordEnv=P`, PASSWORD);
      expect(await device.identify(5_000)).toMatchObject({ vendor: 'MicroBT', firmware: '20230714.15.Rel' });
      expect(await readShortly(device)).toMatchObject({ ...READS, 'fan.1': [4_980, 'rpm'] });
      expect((await actAndVerify(device, 'power-limit', 5_000, wait)).stage).toBe('observed');
      expect((await actAndVerify(device, 'locate', 0, wait)).stage).toBe('acknowledged');
      // Its lights know words alone, where the vendor's take a list; enciphered pools it takes and forgets.
      expect((await actAndVerify(device, 'locate', 1, shortWait)).fault?.code).toBe('VERB_REFUSED');
      expect((await actAndVerify(device, 'pools', POOLS, shortWait)).stage).toBe('failed');
      expect(await actAndVerify(device, 'sleep', undefined, shortWait)).toMatchObject({
        stage: 'failed',
        after: { mode: { value: 'mine' } },
      });
      expect((await actAndVerify(device, 'wake', undefined, wait)).stage).toBe('observed');
    });
  },
);

describeWith('tetherto/miningos-wrk-miner-avalon', 'mock/server.js')(
  'tetherto/miningos-wrk-miner-avalon, mock',
  () => {
    test('an Avalon that speaks text is read, and obeys as far as it knows the words', async () => {
      const host = '127.9.65.3';
      await startMock('tetherto/miningos-wrk-miner-avalon', {
        host,
        port: PORT,
        type: 'a1346',
        serial: '0000000000000000',
      });
      const device = openMiner(`avalon://${host}?api=${PORT}&dialect=text&user=root&passwordEnv=P`, 'root');
      expect(await device.identify(5_000)).toEqual({
        vendor: 'Canaan',
        model: 'AvalonMiner 1346-116',
        firmware: '23042501_6d4cd98_d3a493a',
      });
      const readings = await readShortly(device);
      expect(readings).toMatchObject({
        mode: ['mine', 'text'],
        'temperature.chip.1': [36.1, '°C'],
        'fan.1': [0, 'rpm'],
        errors: ['', 'text'],
        workMode: [0, '1'],
        // Of its three pools it says that none is at work.
        'pool.active': ['', 'text'],
      });
      // GHSspd of 118,800 to 118,900, and 3,320 to 3,325 W at the wall.
      const [[hashesPerS], [powerW]] = [readings['hashrate'], readings['power']] as [[number], [number]];
      expect(Math.floor(hashesPerS / 1e12)).toBe(118);
      expect(Math.floor(powerW / 5)).toBe(664);
      expect((await actAndVerify(device, 'locate', 1, wait)).stage).toBe('acknowledged');
      // It takes the command, says so, and goes on saying that it hashes: that is no rest.
      expect(await actAndVerify(device, 'sleep', undefined, shortWait)).toMatchObject({
        stage: 'failed',
        after: { mode: { value: 'mine', quality: 'uncertain' } },
      });
      expect((await actAndVerify(device, 'reboot', undefined, wait)).stage).toBe('observed');
      expect(await readShortly(device)).toMatchObject({ mode: ['mine', 'text'] });
      // It takes a pool without an answer, and is told no other after that.
      const three = [...POOLS, { url: 'stratum+tcp://third.example:443', user: 'acct.r1-01', pass: 'z' }];
      expect((await actAndVerify(device, 'pools', three, shortWait)).fault?.code).toBe('NET_RESET');
    });
  },
);

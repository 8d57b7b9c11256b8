/** A mock of a stock Antminer that others wrote, unchanged, read and commanded by our driver (others.test.ts says more). */
import { afterAll, expect, test } from 'vitest';

import { asFault } from '../../protocols/faults.ts';
import type { Pool } from '../../config/pools.ts';
import { openMiner, readShortly } from './miner-rigs.ts';
import { closeAll, startPeer } from './modbus-rigs.ts';
import { checkoutOf, describeWith } from './others/rig.ts';

const MININGOS = 'tetherto/miningos-wrk-miner-antminer';
const HOST = '127.9.64.1';
const PORT = 14_628;
const PASSWORD = 'correct-horse';
const POOLS: readonly Pool[] = [
  { url: 'stratum+tcp://new.example:3333', user: 'acct.w1', pass: 'x' },
  { url: 'stratum+tcp://other.example:3333', user: 'acct.w1', pass: 'y' },
];

afterAll(closeAll);

describeWith(MININGOS, 'mock/server.js')(`${MININGOS}, its mock of an S19 XP`, () => {
  test('is read and commanded by its pages, its API being closed', async () => {
    const words = [checkoutOf(MININGOS), HOST, String(PORT), PASSWORD];
    await startPeer(process.execPath, '../others/antminer_mock.cjs', words);
    const url = `antminer://${HOST}?http=${PORT}&api=${PORT + 1}&passwordEnv=P`;
    const device = openMiner(url, PASSWORD);
    expect(await device.identify(5_000)).toEqual({
      vendor: 'Bitmain',
      model: 'Antminer S19 XP',
      firmware: 'Wed Jul 20 19:14:27 CST 2022',
    });
    const first = await readShortly(device);
    expect(first).toMatchObject({
      hashrate: [expect.closeTo(295e12, -13), 'H/s'],
      mode: ['mine', 'text'],
      workMode: [0, '1'],
      uptime: [0, 's'],
      'fan.4': [0, 'rpm'],
      'temperature.board.3': [expect.any(Number), '°C'],
    });
    const wrong = openMiner(url, 'wrong');
    expect((await wrong.verbs.sleep?.(undefined, 5_000).catch(asFault))?.code).toBe('AUTH_FAILED');

    // It takes a configuration and never says so: what was done shows when it is read.
    const written = async (work: Promise<void> | undefined): Promise<void> =>
      expect((await work?.catch(asFault))?.code).toBe('NET_TIMEOUT');
    await written(device.verbs.sleep?.(undefined, 1_000));
    expect(await readShortly(device)).toMatchObject({ mode: ['sleep', 'text'], workMode: [1, '1'] });
    await written(device.verbs.wake?.(undefined, 1_000));
    expect(await readShortly(device)).toMatchObject({ mode: ['mine', 'text'], workMode: [0, '1'] });
    const plain = { workMode: 0, level: '"100"', fanControl: 'false', fanPwm: '"100"' };
    expect(device.settings?.newest()?.settings).toMatchObject({
      ...plain,
      'pool.3.url': 'stratum+tcp://btc-euro.f2pool.com:1314',
    });
    await written(device.verbs.pools?.(POOLS, 1_000));
    await readShortly(device);
    const after = device.settings?.newest()?.settings;
    expect(after).toMatchObject({
      ...plain,
      'pool.1.url': POOLS[0]?.url,
      'pool.1.user': 'acct.w1',
      'pool.2.url': POOLS[1]?.url,
    });
    expect(after).not.toHaveProperty('pool.3.url');
    await device.verbs.locate?.(1, 5_000);
    await device.verbs.reboot?.(undefined, 5_000);
  });
});

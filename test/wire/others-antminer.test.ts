/** A mock of a stock Antminer that others wrote, unchanged (others.test.ts): our driver reads and commands it. */
import { afterAll, expect, test } from 'vitest';

import { actAndVerify } from '../../agent/verify.ts';
import type { Pool } from '../../config/pools.ts';
import { realClock } from '../../host/clock.ts';
import { openMiner, readShortly } from './miner-rigs.ts';
import { closeAll } from './modbus-rigs.ts';
import { describeWith, startMock } from './others/rig.ts';

const MININGOS = 'tetherto/miningos-wrk-miner-antminer';
const HOST = '127.9.64.1';
const PORT = 14_628;
const PASSWORD = 'correct-horse';
const POOLS: readonly Pool[] = [
  { url: 'stratum+tcp://new.example:3333', user: 'acct.w1', pass: 'x' },
  { url: 'stratum+tcp://other.example:3333', user: 'acct.w1', pass: 'y' },
];
/** It takes a configuration and never answers: what was done shows when it is read. */
const wait = { clock: realClock, timeoutMs: 1_500, pollMs: 100 };

afterAll(closeAll);

describeWith(MININGOS, 'mock/server.js')(`${MININGOS}, mock of an S19 XP`, () => {
  test('is read and commanded by its pages, its API being closed', async () => {
    await startMock(MININGOS, { type: 'S19xp', host: HOST, port: PORT, password: PASSWORD });
    const url = `antminer://${HOST}?http=${PORT}&api=${PORT + 1}&passwordEnv=P`;
    const device = openMiner(url, PASSWORD);
    expect(await device.identify(5_000)).toEqual({
      vendor: 'Bitmain',
      model: 'Antminer S19 XP',
      firmware: 'Wed Jul 20 19:14:27 CST 2022',
    });
    // It says a thousand times the rate of such a machine, of which nothing can be believed.
    const works = { hashrate: 'VALUE_IMPLAUSIBLE', mode: 'VALUE_IMPLAUSIBLE', workMode: [0, '1'] };
    expect(await readShortly(device)).toMatchObject({
      ...works,
      uptime: [0, 's'],
      'fan.4': [0, 'rpm'],
      'temperature.board.3': [expect.any(Number), '°C'],
    });
    const wrong = await actAndVerify(openMiner(url, 'wrong'), 'sleep', undefined, wait);
    expect(wrong.fault?.code).toBe('AUTH_FAILED');

    expect((await actAndVerify(device, 'sleep', undefined, wait)).stage).toBe('observed');
    expect(await readShortly(device)).toMatchObject({ mode: ['sleep', 'text'], workMode: [1, '1'] });
    expect((await actAndVerify(device, 'wake', undefined, wait)).stage).toBe('failed');
    expect(await readShortly(device)).toMatchObject(works);
    expect((await actAndVerify(device, 'pools', POOLS, wait)).stage).toBe('observed');
    expect((await actAndVerify(device, 'locate', 1, wait)).stage).toBe('acknowledged');
    // It says that it blinks, and does not go down: nothing shows.
    expect((await actAndVerify(device, 'reboot', undefined, wait)).fault?.code).toBe('VERB_NOT_OBSERVED');
  });
});

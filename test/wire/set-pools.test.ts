/** Pools are set on devices that share no code with ours: by the drivers, and as a person does it from the command line. */
import { execFile } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { openDevice, parseTarget } from '../../agent/target.ts';
import { actAndVerify } from '../../agent/verify.ts';
import type { Pool } from '../../config/pools.ts';
import { realClock } from '../../host/clock.ts';
import { makeHttp } from '../../host/http.ts';
import { closeAll, hasPeer, startPeer, wireIo } from './modbus-rigs.ts';

const PROGRAM = fileURLToPath(new URL('../../switchyard', import.meta.url));
const PYTHON = '/usr/bin/python3';
const PASSWORD = 'correct horse';
const withPython = describe.skipIf(!hasPeer(PYTHON, ['-V']));
const POOLS: readonly Pool[] = [
  { url: 'stratum+tcp://eu.pool.example:3333', user: 'acct.r1-01', pass: 'x' },
  { url: 'stratum+tcp://us.pool.example:3333', user: 'acct.r1-01', pass: 'x' },
];
const wait = { clock: realClock, timeoutMs: 15_000, pollMs: 50 };

afterAll(closeAll);

withPython('devices that others wrote', () => {
  test.each([
    ['whatsminer.py', (port: string) => `whatsminer://127.0.0.1:${port}?passwordEnv=P`],
    ['braiins.py', (port: string) => `braiins://127.0.0.1:${port}?passwordEnv=P`],
    ['epic.py', (port: string) => `epic://127.0.0.1:${port}?passwordEnv=P`],
    ['bitaxe.py', (port: string) => `bitaxe://127.0.0.1:${port}`],
  ])('%s shows the pools it was set to, and nothing else changed', async (script, target) => {
    const port = await startPeer(
      PYTHON,
      script,
      script === 'whatsminer.py' ? [PASSWORD] : ['serve', PASSWORD],
    );
    const device = openDevice(parseTarget(target(port), { env: { P: PASSWORD } }), {
      ...wireIo(),
      http: makeHttp(realClock),
    });
    expect((await actAndVerify(device, 'pools', POOLS, wait)).stage).toBe('observed');
    expect(device.settings?.newest()?.settings).toMatchObject({
      'pool.1.url': 'stratum+tcp://eu.pool.example:3333',
      'pool.1.user': 'acct.r1-01',
      'pool.2.url': 'stratum+tcp://us.pool.example:3333',
    });
    const [first] = POOLS;
    expect((await actAndVerify(device, 'pools', first ? [first] : [], wait)).stage).toBe('observed');
    expect(device.settings?.newest()?.settings).not.toHaveProperty(['pool.2.url']);
  });

  test('act pools NAME takes the set from the site file, the password from the environment, and prints neither', async () => {
    const [http = '', api = ''] = (await startPeer(PYTHON, 'antminer.py', [PASSWORD])).split(' ');
    const target = `antminer://127.0.0.1?http=${http}&api=${api}&user=root&passwordEnv=MINER_PASSWORD`;
    const file = `${await mkdtemp(`${tmpdir()}/pools-`)}/site.yaml`;
    await writeFile(
      file,
      JSON.stringify({
        schema: 1,
        site: 's',
        nodes: [
          { id: 'main', kind: 'site', capKw: 100 },
          { id: 'r1', kind: 'rack', parent: 'main', capKw: 50 },
        ],
        machines: [{ rack: 'r1', model: 'antminer-s19j-pro', target, count: 1 }],
        pools: {
          main: [{ url: 'stratum+tcp://eu.pool.example:3333', user: 'acct.{machine}', passwordEnv: 'POOL' }],
        },
        prices: {
          hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
        },
      }),
    );
    const act = (name: string): Promise<{ readonly failed: boolean; readonly said: string }> =>
      new Promise((resolve) => {
        execFile(
          PROGRAM,
          ['act', target, 'pools', name, '--site', file, '--json', '--timeout', '30'],
          { env: { ...process.env, MINER_PASSWORD: PASSWORD, POOL: 'pool-secret' }, timeout: 60_000 },
          (error, stdout, stderr) => resolve({ failed: error !== null, said: stdout + stderr }),
        );
      });
    const done = await act('main');
    expect(done.said).toContain('"stage":"observed"');
    expect([done.failed, done.said.includes('pool-secret')]).toEqual([false, false]);
    const device = openDevice(parseTarget(target, { env: { MINER_PASSWORD: PASSWORD } }), {
      ...wireIo(),
      http: makeHttp(realClock),
    });
    await device.read('full', 5_000);
    expect(device.settings?.newest()?.settings).toMatchObject({
      'pool.1.url': 'stratum+tcp://eu.pool.example:3333',
      'pool.1.user': 'acct.r1-01',
    });
    expect(await act('mian')).toMatchObject({
      failed: true,
      said: expect.stringContaining("did you mean 'main'") as string,
    });
  });
});

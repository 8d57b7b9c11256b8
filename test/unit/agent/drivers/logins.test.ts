/** What each family that logs in does when its login comes to nothing, in whatever way the device says so. */
import { describe, expect, test } from 'vitest';

import type { Device } from '../../../../agent/driver.ts';
import type { DeviceHttpRequest, HttpAnswer, SimulatedEndpoint } from '../../../../simulator/device.ts';
import { codeOf, makeBench } from './miner-bench.ts';

/** A device that answers every login so, and lets nobody in. */
function closed(port: number, isLogin: RegExp, login: readonly [status: number, body: string]) {
  const counted = { logins: 0 };
  const respondHttp = ({ path, body }: DeviceHttpRequest): HttpAnswer => {
    const asksToLogIn = isLogin.test(`${path} ${body}`);
    if (asksToLogIn) counted.logins += 1;
    const [status, answer] = asksToLogIn ? login : [401, ''];
    return { kind: 'response', status, headers: {}, body: answer, afterMs: 0 };
  };
  const endpoint: SimulatedEndpoint = { kind: 'http', host: '10.0.0.1', port, device: { respondHttp } };
  return { counted, endpoint };
}

const SAID: ReadonlyArray<readonly [status: number, body: string]> = [
  [401, ''],
  [403, '{"err":"wrong password"}'],
  [400, '{"err":"wrong password"}'],
  [422, '{"error":{"message":"invalid"}}'],
  [200, '{"err":"wrong password"}'],
  [200, '{"success":false}'],
  [200, '{"data":{"auth":{"login":{"__typename":"LoginRefused"}}}}'],
  [500, ''],
];

describe.each([
  ['vnish', 80, /unlock/u],
  ['auradine', 8080, /\/token/u],
  ['proto-rig', 80, /auth\/login/u],
  ['braiins', 80, /auth\/login/u],
  ['braiins-graphql', 80, /password/u],
] as const)('%s', (scheme, port, isLogin) => {
  test.each(SAID)('HTTP %s %s to a login is not tried with every reading', async (status, body) => {
    const { counted, endpoint } = closed(port, isLogin, [status, body]);
    const bench = makeBench([endpoint]);
    const device = bench.device(`${scheme}://10.0.0.1?passwordEnv=P`);
    for (let n = 0; n < 20; n += 1) {
      await bench.run(device.read('full', 5_000)).catch(() => undefined);
      await bench.clock.advance(10_000);
    }
    // In 200 s; at 0, 10, 30, 70 and 150 s where it is not clear that the password was refused.
    expect(counted.logins).toBe(status === 401 || status === 403 ? 1 : 5);
  });
});

test.each([
  ['vnish', 80, /unlock/u],
  ['auradine', 8080, /\/token/u],
  ['proto-rig', 80, /auth\/login/u],
  ['braiins', 80, /auth\/login/u],
] as const)(
  '%s: let in and then refused its pages, after three logins it tries one a minute',
  async (scheme, port, isLogin) => {
    let logins = 0;
    const body = '{"token":"T","access_token":"T","STATUS":[{"STATUS":"S"}],"Token":[{"Token":"T"}]}';
    const respondHttp = ({ path }: DeviceHttpRequest): HttpAnswer => {
      const asksToLogIn = isLogin.test(path);
      if (asksToLogIn) logins += 1;
      return { kind: 'response', status: asksToLogIn ? 200 : 401, headers: {}, body, afterMs: 0 };
    };
    const bench = makeBench([{ kind: 'http', host: '10.0.0.1', port, device: { respondHttp } }]);
    const device = bench.device(`${scheme}://10.0.0.1?passwordEnv=P`);
    for (let n = 0; n < 20; n += 1) {
      await bench.run(device.read('full', 5_000)).catch(() => undefined);
      await bench.clock.advance(10_000);
    }
    // At 0, 10 and 20 s, and then at 80 and 140 s.
    expect(logins).toBe(5);
  },
);

describe('antminer, whose every request bears the password', () => {
  /** Refuses every password, with this at the end of its challenge; as many times as it was given one. */
  async function refusals(stale: string, poll: (device: Device) => Promise<unknown>): Promise<number> {
    let refused = 0;
    const respondHttp = ({ headers }: DeviceHttpRequest): HttpAnswer => {
      if (headers['authorization'] !== undefined) refused += 1;
      const challenge = { 'www-authenticate': `Digest realm="r", nonce="n", qop="auth"${stale}` };
      return { kind: 'response', status: 401, headers: challenge, body: '', afterMs: 0 };
    };
    const bench = makeBench([{ kind: 'http', host: '10.0.0.1', port: 80, device: { respondHttp } }]);
    const device = bench.device('antminer://10.0.0.1?passwordEnv=P');
    for (let n = 0; n < 20; n += 1) {
      await bench.run(poll(device)).catch(() => undefined);
      await bench.clock.advance(10_000);
    }
    return refused;
  }
  const read = (device: Device): Promise<unknown> => device.read('full', 5_000);

  test('refused, it is not tried with every reading', async () => {
    expect(await refusals('', read)).toBe(1);
  });

  test('a nonce that is used up refuses no password: a command is tried again', async () => {
    const sleep = async (device: Device): Promise<unknown> => device.verbs.sleep?.(undefined, 5_000);
    expect(await refusals(', stale=true', sleep)).toBe(20);
  });
});

test.each([
  ['vnish', 80, /unlock/u],
  ['auradine', 8080, /\/token/u],
  ['proto-rig', 80, /auth\/login/u],
  ['braiins', 80, /auth\/login/u],
] as const)('%s: commands at once share one login', async (scheme, port, isLogin) => {
  const counted = { logins: 0 };
  const STATUS = '"STATUS":[{"STATUS":"S","Msg":"","Description":""}]';
  // The next login ends the token of the one before.
  const respondHttp = ({ path, headers }: DeviceHttpRequest): HttpAnswer => {
    const isIn = [headers['token'], headers['authorization']?.replace('Bearer ', '')].includes(
      `T${counted.logins}`,
    );
    if (isLogin.test(path)) counted.logins += 1;
    const token = `T${counted.logins}`;
    const body = isLogin.test(path)
      ? `{"token":"${token}","access_token":"${token}",${STATUS},"Token":[{"Token":"${token}"}]}`
      : `{${STATUS},"mining-status":{"status":"Mining"},"fw_name":"x","on":true}`;
    return {
      kind: 'response',
      status: isIn || isLogin.test(path) ? 200 : 401,
      headers: {},
      body,
      afterMs: 0,
    };
  };
  const bench = makeBench([{ kind: 'http', host: '10.0.0.1', port, device: { respondHttp } }]);
  const { verbs } = bench.device(`${scheme}://10.0.0.1?passwordEnv=P`);
  const work = [verbs.sleep?.(undefined, 5_000), verbs.locate?.(1, 5_000), verbs.wake?.(undefined, 5_000)];
  expect(await bench.run(Promise.all(work.map((each) => codeOf(each))))).toEqual(work.map(() => 'resolved'));
  expect(counted.logins).toBe(1);
});

test('a VNish that was unlocked too often is not busy, and is let alone for a while', async () => {
  const { counted, endpoint } = closed(80, /unlock/u, [429, '']);
  const bench = makeBench([endpoint]);
  const device = bench.device('vnish://10.0.0.1?passwordEnv=P');
  const wake = (): Promise<string> =>
    codeOf(bench.run(device.verbs.wake?.(undefined, 1_000) ?? Promise.reject()));
  expect([await wake(), await wake(), counted.logins]).toEqual(['VERB_REFUSED', 'VERB_REFUSED', 1]);
  await bench.clock.advance(20_000);
  expect([await wake(), counted.logins]).toEqual(['VERB_REFUSED', 2]);
});

import { afterEach, describe, expect, test } from 'vitest';

import { realClock } from '../../host/clock.ts';
import type { Clock } from '../../host/deps.ts';
import { VirtualClock } from '../../proof/virtual-clock.ts';
import { RawClient, ask, refusedUpgrade, rig } from './operator-rig.ts';
import type { Rig } from './operator-rig.ts';

const rigs: Rig[] = [];
const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.terminate();
  await Promise.all(rigs.splice(0).map(({ server }) => server.close()));
});

async function up(clock: Clock = realClock, options: Parameters<typeof rig>[1] = {}): Promise<Rig> {
  const made = await rig(clock, options);
  rigs.push(made);
  return made;
}

function dial(port: number, headers: Record<string, string> = {}, path = '/ws'): RawClient {
  const client = new RawClient(port, headers, path);
  clients.push(client);
  return client;
}

const virtual = (): VirtualClock => new VirtualClock({ startWallMs: Date.UTC(2026, 10, 22) });
const sleepR1 = { scope: ['r1'], action: 'sleep', minutes: 30, reason: 'belt change' };

describe('who may connect', () => {
  test.each([
    ['a page of another site', { origin: 'http://evil.example' }, 403],
    ['a sandboxed page', { origin: 'null' }, 403],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }, 403],
    ['a name that was rebound', { host: 'evil.example' }, 421],
    ['another port in the name', { host: '127.0.0.1:1' }, 421],
  ])('%s is refused', async (_name, headers, status) => {
    const { server } = await up();
    expect(await refusedUpgrade(dial(server.port, headers))).toBe(status);
  });

  test('a secret in the address is refused, not read', async () => {
    const { server } = await up();
    expect(await refusedUpgrade(dial(server.port, {}, `/ws?code=${server.code}`))).toBe(404);
  });

  test('our own page may', async () => {
    const { server } = await up();
    const hello = await dial(server.port, { origin: `http://127.0.0.1:${server.port}` }).hello();
    expect(hello.params).toMatchObject({ schema: { min: 1, max: 1 }, site: 'delta' });
  });

  test('HTTP under a foreign name gets nothing', async () => {
    const { server } = await up();
    for (const path of ['/', '/health']) {
      expect((await ask(server.port, path, { headers: { host: 'evil.example' } })).status).toBe(421);
    }
  });
});

describe('login', () => {
  test('who does not log in within 5 s is closed', async () => {
    const clock = virtual();
    const { server } = await up(clock);
    const client = dial(server.port);
    await client.hello();
    await clock.advance(5_000);
    expect((await client.closed).code).toBe(4401);
  });

  test('a request before login is refused and closed', async () => {
    const { server, operator } = await up();
    const client = dial(server.port);
    expect((await client.call('cmd.preview', sleepR1)).error?.data.reason).toBe('LOGIN_REFUSED');
    expect((await client.closed).code).toBe(4401);
    expect(operator.asked).toEqual([]);
  });

  test('other pools are ordered by nobody who is not logged in, nor any more after logging out', async () => {
    const { server, operator } = await up();
    const pools = { scope: ['r1'], action: 'pools', pools: 'main', reason: 'new contract' };
    const stranger = dial(server.port);
    expect((await stranger.call('cmd.preview', pools)).error?.data.reason).toBe('LOGIN_REFUSED');
    expect((await stranger.closed).code).toBe(4401);
    const ann = dial(server.port);
    const token = (await ann.login(server.code)).result?.['token'];
    const { previewId, hash } = (await ann.call('cmd.preview', pools)).result ?? {};
    const seen = { previewId, hash, key: 'key-00000003' };
    const thief = dial(server.port);
    expect((await thief.call('cmd.execute', seen)).error?.data.reason).toBe('LOGIN_REFUSED');
    await ann.call('logout', {});
    const late = dial(server.port);
    expect((await late.call('auth', { schema: 1, token })).error?.data.reason).toBe('LOGIN_REFUSED');
    expect(await late.closed).toMatchObject({ code: 4403 });
    expect(operator.asked).toHaveLength(1);
    expect(operator.asked[0]).toMatchObject({ actor: 'test#1', input: pools });
    expect(operator.executed).toBe(0);
  });

  test('wrong codes are throttled, and then the right one too, until the time named', async () => {
    const clock = virtual();
    const { server } = await up(clock);
    for (let at = 0; at < 5; at += 1) {
      const client = dial(server.port);
      expect((await client.login('AAAAA-AAAAA')).error?.data.reason).toBe('LOGIN_REFUSED');
      expect((await client.closed).code).toBe(4403);
    }
    const refused = await dial(server.port).login(server.code);
    expect(refused.error?.data).toMatchObject({ reason: 'LOGIN_THROTTLED', until: clock.wallMs() + 60_000 });
    const body = JSON.stringify({ code: server.code });
    expect((await ask(server.port, '/login', { method: 'POST', body })).status).toBe(429);
    await clock.advance(60_000);
    expect((await dial(server.port).login(server.code)).result).toMatchObject({ actor: 'test#1' });
  });

  test('a code is exchanged once; the session token reconnects; logout closes every socket of it', async () => {
    const { server } = await up(realClock, { login: 'prompt' });
    expect(server.url).not.toContain(server.code);
    const first = dial(server.port);
    const token = (await first.login(server.code)).result?.['token'];
    expect((await dial(server.port).login(server.code)).error?.data.reason).toBe('LOGIN_REFUSED');
    const second = dial(server.port);
    await second.hello();
    expect((await second.call('auth', { schema: 1, token })).result).toBeDefined();
    expect((await second.call('logout', {})).result).toBeDefined();
    expect((await first.closed).code).toBe(4401);
    const third = dial(server.port);
    expect((await third.call('auth', { schema: 1, token })).error?.data.reason).toBe('LOGIN_REFUSED');
  });

  test('a page logs in by cookie and single-use ticket', async () => {
    const { server } = await up();
    const origin = `http://127.0.0.1:${server.port}`;
    const post = (path: string, headers: Record<string, string>, body?: string) =>
      ask(server.port, path, { method: 'POST', headers, ...(body !== undefined && { body }) });
    const body = JSON.stringify({ code: server.code });
    expect((await post('/login', { origin: 'http://evil.example' }, body)).status).toBe(403);
    expect((await post('/ticket', { origin })).status).toBe(401);
    const login = await post('/login', { origin }, body);
    const set = login.headers['set-cookie']?.[0] ?? '';
    expect(set).toMatch(/; HttpOnly; SameSite=Strict/);
    const cookie = set.split(';')[0] ?? '';
    const { ticket } = JSON.parse((await post('/ticket', { origin, cookie })).body) as { ticket: string };
    const page = dial(server.port, { origin });
    expect((await page.call('auth', { schema: 1, ticket })).result).toMatchObject({ token: null });
    const again = dial(server.port, { origin });
    expect((await again.call('auth', { schema: 1, ticket })).error?.data.reason).toBe('LOGIN_REFUSED');
    const thief = dial(server.port, { origin });
    const stolen = cookie.split('=')[1];
    expect((await thief.call('auth', { schema: 1, token: stolen })).error?.data.reason).toBe('LOGIN_REFUSED');
  });

  test('another schema is refused with a word', async () => {
    const { server } = await up();
    const client = dial(server.port);
    const refused = await client.call('auth', { schema: 9, code: server.code });
    expect(refused.error?.message).toContain('speaks 1 to 1');
    expect((await client.closed).code).toBe(4010);
  });
});

describe('hostile input', () => {
  test('a huge frame ends the connection', async () => {
    const { server } = await up();
    const client = dial(server.port);
    await client.login(server.code);
    client.send(`"${'x'.repeat(70_000)}"`);
    expect((await client.closed).code).toBe(1009);
  });

  test('a compressed bomb is no frame at all', async () => {
    const { server } = await up();
    const client = dial(server.port);
    await client.hello();
    expect(client.socket.extensions).toBe('');
  });

  test('deep JSON, no JSON and binary', async () => {
    const { server } = await up();
    const client = dial(server.port);
    await client.login(server.code);
    client.send('['.repeat(60_000));
    expect((await client.until((message) => message.id === null)).error?.code).toBe(-32_700);
    expect((await client.call('why', { machine: 1 })).error?.code).toBe(-32_602);
    expect((await client.call('ping', {})).result).toBeDefined();
    client.send(Buffer.from([1, 2, 3]));
    expect((await client.closed).code).toBe(1003);
  });

  test('a flood is answered with errors, then closed', async () => {
    const clock = virtual();
    const { server } = await up(clock);
    const client = dial(server.port);
    await client.login(server.code);
    const flood = (count: number): void => {
      for (let at = 0; at < count; at += 1)
        client.send(JSON.stringify({ jsonrpc: '2.0', id: `f${at}`, method: 'ping' }));
    };
    // 50 in the second, the login among them.
    flood(49);
    await client.until((message) => message.id === 'f48');
    expect(client.heard.filter((message) => message.result?.['time'] !== undefined)).toHaveLength(49);
    flood(1);
    expect((await client.until((message) => message.id === null)).error?.data.reason).toBe('QUEUE_FULL');
    flood(200);
    expect((await client.closed).code).toBe(4029);
  });

  test('a body without end and an odd path', async () => {
    const { server } = await up();
    const big = await ask(server.port, '/login', { method: 'POST', body: 'x'.repeat(5_000) });
    expect([big.status, JSON.parse(big.body)]).toMatchObject([400, { code: 'CONSOLE_REQUEST' }]);
    expect((await ask(server.port, '/../../etc/passwd')).status).toBe(404);
    expect((await ask(server.port, '/', { method: 'DELETE' })).status).toBe(405);
  });
});

describe('commands', () => {
  test('preview, execute twice with one key: one command', async () => {
    const { server, operator } = await up();
    const client = dial(server.port);
    await client.login(server.code);
    const { previewId, hash } = (await client.call('cmd.preview', sleepR1)).result ?? {};
    const first = await client.call('cmd.execute', { previewId, hash, key: 'key-00000001' });
    const second = await client.call('cmd.execute', { previewId, hash, key: 'key-00000001' });
    expect([first.result, second.result, operator.executed]).toEqual([
      { commandId: 'c1' },
      { commandId: 'c1' },
      1,
    ]);
    expect(operator.asked[0]).toMatchObject({ actor: 'test#1', input: sleepR1 });
    const other = (await client.call('cmd.preview', { ...sleepR1, scope: ['r2'] })).result ?? {};
    const clash = await client.call('cmd.execute', {
      previewId: other['previewId'],
      hash: other['hash'],
      key: 'key-00000001',
    });
    expect(clash.error?.data.reason).toBe('OPERATOR_REFUSED');
    expect(operator.executed).toBe(1);
  });

  test('a refused command says why and may be tried again', async () => {
    const { server } = await up();
    const client = dial(server.port);
    await client.login(server.code);
    const attempt = { previewId: 'p1', hash: 'hash-of-p1', key: 'key-00000002' };
    expect((await client.call('cmd.execute', attempt)).error?.data.howToFix).toContain('owner');
    await client.call('cmd.preview', sleepR1);
    expect((await client.call('cmd.execute', attempt)).result).toEqual({ commandId: 'c1' });
  });

  test('why, history, acknowledge, one more code', async () => {
    const { server, operator } = await up();
    operator.points = [
      { atMs: realClock.wallMs() - 500, powerKw: 5, limitKw: 9, planKw: null, priceUsdPerMwh: 3 },
    ];
    const client = dial(server.port);
    await client.login(server.code);
    expect((await client.call('why', { machine: 'r1-01' })).result).toMatchObject({
      rule: 'price above breakeven',
    });
    expect((await client.call('why', { machine: 'nobody' })).error?.message).toContain('nobody');
    expect((await client.call('history', { spanMs: 60_000, points: 10 })).result).toMatchObject({
      powerKw: [5],
      planKw: [null],
    });
    expect((await client.call('alarm.ack', { alarmId: 'a1' })).result).toEqual({});
    expect((await client.call('input.agree', { input: 'price', value: 900 })).result).toEqual({});
    expect(operator.asked.at(-1)).toMatchObject({ what: 'agree', input: { input: 'price', value: 900 } });
    expect((await client.call('input.agree', { input: 'ai', value: 1 })).error).toBeDefined();
    const word = { meter: 'nobody', kind: 'ratio', seen: 'x', reason: 'looked' };
    expect((await client.call('meter.agree', word)).error).toMatchObject({
      data: { reason: 'AGREE_REFUSED' },
    });
    expect((await client.call('meter.agree', { ...word, reason: ' ' })).error).toBeDefined();
    operator.meterViews = [
      {
        id: 'm1',
        node: 'r1',
        role: 'node',
        powerW: -5,
        atMs: 7,
        trusted: false,
        why: 'backwards',
        agreed: null,
      },
    ];
    expect((await client.call('meters', {})).result).toEqual({ meters: operator.meterViews });
    const note = { phase: 'ended', racks: [{ rack: 'r1', verdict: 'confirmed', text: 'm1' }] };
    expect((await client.call('commission.note', note)).result).toEqual({});
    expect(operator.asked.at(-1)).toEqual({ what: 'commissioning', actor: 'test#1', input: note });
    expect((await client.call('commission.note', { ...note, phase: 'x' })).error).toBeDefined();
    const { code } = (await client.call('code.new', {})).result ?? {};
    expect((await dial(server.port).login(String(code))).result).toMatchObject({ actor: 'test#2' });
  });
});

describe('plain HTTP', () => {
  test('the page comes with a strict policy', async () => {
    const { server } = await up();
    const page = await ask(server.port, '/');
    expect(page.status).toBe(200);
    expect(page.headers['content-security-policy']).toMatch(
      /default-src 'none'; script-src 'self'.*frame-ancestors 'none'/,
    );
    expect(page.headers['content-security-policy']).not.toContain('unsafe');
    expect(page.headers['x-content-type-options']).toBe('nosniff');
  });

  test('/health says starting, ok, degraded', async () => {
    const { server, operator } = await up();
    const health = async (status: typeof operator.status): Promise<number> => {
      operator.status = status;
      return (await ask(server.port, '/health')).status;
    };
    expect([await health('starting'), await health('ok'), await health('degraded')]).toEqual([503, 200, 200]);
    expect(JSON.parse((await ask(server.port, '/health')).body)).toMatchObject({
      status: 'degraded',
      site: 'delta',
    });
  });

  test('an address in use is said so', async () => {
    const { server } = await up();
    const { startOperatorServer } = await import('../../controller/operator/server.ts');
    const made = rigs[0];
    if (made === undefined) throw new Error('no rig');
    const { silentLog } = await import('../../host/log.ts');
    const { seededRandom } = await import('../../host/random.ts');
    await expect(
      startOperatorServer({
        operator: made.operator,
        host: '127.0.0.1',
        port: server.port,
        login: 'prompt',
        clock: realClock,
        random: seededRandom(1),
        log: silentLog,
        assets: new Map(),
      }),
    ).rejects.toMatchObject({ code: 'LISTEN_FAILED' });
  });
});

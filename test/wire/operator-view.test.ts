import { afterEach, expect, test } from 'vitest';

import { realClock } from '../../host/clock.ts';
import type { Clock } from '../../host/deps.ts';
import { VirtualClock } from '../../proof/virtual-clock.ts';
import { applyDelta } from '../../protocols/console/delta.ts';
import type { ViewDelta } from '../../protocols/console/delta.ts';
import { siteView } from './fake-operator.ts';
import { RawClient, rig } from './operator-rig.ts';
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

test('snapshot, then deltas that lead to the same view', async () => {
  const { server, operator } = await up();
  const client = dial(server.port);
  let view = await client.subscribed(server.code);
  expect(view).toEqual(operator.view());
  operator.changeMachines((machine, at) => (at === 1 ? { ...machine, mode: 'sleep', powerW: 15 } : machine));
  const event = await client.until((message) => message.method === 'ev');
  view = applyDelta(view, event.params?.d as ViewDelta);
  expect(view).toEqual(operator.view());
});

test('nothing is computed while nobody watches', async () => {
  const { server, operator } = await up();
  expect(operator.watched).toBe(0);
  const client = dial(server.port);
  await client.subscribed(server.code);
  expect(operator.watched).toBe(1);
});

test('a console that lost its connection gets what it missed', async () => {
  const { server, operator } = await up();
  const stays = dial(server.port);
  await stays.subscribed(server.code);
  const leaves = dial(server.port);
  await leaves.subscribed(server.code);
  const { params } = await leaves.until((message) => message.method === 'snapshot');
  leaves.socket.terminate();
  operator.tick(5_000);
  await stays.until((message) => message.method === 'ev');
  const back = dial(server.port);
  await back.login(server.code);
  const resume = { bootId: params?.bootId, seq: params?.seq };
  expect((await back.call('subscribe', { resume })).result).toMatchObject({ resumed: true });
  expect((await back.until((message) => message.method === 'ev')).params).toMatchObject({
    from: params?.seq,
    d: { site: { atMs: 5_000 } },
  });
  expect((await back.call('subscribe', { resume: { bootId: 'other', seq: 0 } })).result).toMatchObject({
    resumed: false,
  });
});

test('a slow reader gets one delta for all it missed, and others do not wait for it', async () => {
  const { server, operator } = await up(realClock, {
    view: siteView({ racks: 5, perRack: 100, atMs: 1_000 }),
  });
  const quick = dial(server.port);
  await quick.subscribed(server.code);
  const slow = dial(server.port);
  let view = await slow.subscribed(server.code);
  slow.socket.pause();
  const seqOf = (client: RawClient): number =>
    client.heard.findLast((message) => message.method === 'ev')?.params?.seq ?? 0;
  let rounds = 0;
  for (; rounds < 8; rounds += 1) {
    const before = seqOf(quick);
    operator.changeMachines((machine) => ({
      ...machine,
      powerW: rounds,
      owner: `${'o'.repeat(6_000)}${rounds}`,
    }));
    await quick.until((message) => message.method === 'ev' && (message.params?.seq ?? 0) > before);
  }
  slow.socket.resume();
  await slow.until((message) => message.method === 'ev' && message.params?.seq === seqOf(quick));
  const events = slow.heard.filter((message) => message.method === 'ev');
  for (const { params } of events) view = applyDelta(view, params?.d as ViewDelta);
  expect(view).toEqual(operator.view());
  expect(events.length).toBeLessThan(rounds);
  expect(events.some(({ params }) => (params?.seq ?? 0) - (params?.from ?? 0) > 1)).toBe(true);
});

test('a reader that stands still for 10 s is closed', async () => {
  const clock = virtual();
  const small = siteView({ racks: 10, perRack: 100, atMs: 1_000 });
  const view = {
    ...small,
    machines: small.machines.map((machine) => ({ ...machine, model: 'm'.repeat(12_000) })),
  };
  const { server, operator } = await up(clock, { view });
  const client = dial(server.port);
  await client.login(server.code);
  client.socket.pause();
  client.send(JSON.stringify({ jsonrpc: '2.0', id: 'sub', method: 'subscribe' }));
  while (operator.watched === 0) await new Promise((resolve) => setImmediate(resolve));
  client.socket.removeAllListeners('message');
  for (let at = 0; at < 14; at += 1) await clock.advance(1_000);
  expect(operator.watched).toBe(0);
});

test('who does not answer the heartbeat is closed', async () => {
  const clock = virtual();
  const { server } = await up(clock);
  const client = new RawClient(server.port);
  clients.push(client);
  client.socket.pong = () => undefined;
  await client.login(server.code);
  for (let at = 0; at < 4; at += 1) await clock.advance(10_000);
  expect((await client.closed).code).toBe(4008);
});

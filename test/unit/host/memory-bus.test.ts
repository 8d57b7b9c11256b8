import { expect, test } from 'vitest';
import { MemoryBroker } from '../../../host/memory-bus.ts';
import type { MemoryClient } from '../../../host/memory-bus.ts';
import { seededRandom } from '../../../host/random.ts';
import { topicMatches } from '../../../host/topic-match.ts';
import { VirtualClock } from './virtual-clock.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function collected(client: MemoryClient, filter: string): string[] {
  const got: string[] = [];
  void client.subscribe(filter, (message) => got.push(new TextDecoder().decode(message.payload)));
  return got;
}

test('filters match as MQTT says', () => {
  for (const [filter, topic, wanted] of [
    ['a/b', 'a/b', true],
    ['a/+', 'a/b', true],
    ['a/+', 'a/b/c', false],
    ['a/#', 'a', true],
    ['a/#', 'a/b/c', true],
    ['+/b', 'a/b', true],
    ['#', 'a/b', true],
    ['#', '$SYS/x', false],
    ['+/x', '$SYS/x', false],
    ['$SYS/#', '$SYS/x', true],
    ['a/+/c', 'a//c', true],
    ['a/b/', 'a/b', false],
    ['a', 'a/b', false],
    ['a/#/b', 'a/x/b', false],
  ] as const) {
    expect([filter, topic, topicMatches(filter, topic)]).toEqual([filter, topic, wanted]);
  }
});

test('packets of one link never overtake each other, and a seed replays', async () => {
  const run = async (): Promise<string[]> => {
    const random = seededRandom(4);
    const clock = new VirtualClock();
    const broker = new MemoryBroker({ clock, latencyMs: () => random.next() * 50 });
    const [one, two] = [broker.client('one'), broker.client('two')];
    const got = collected(two, 't/#');
    await clock.pass(1_000);
    for (let index = 0; index < 30; index += 1) void one.publish('t/x', bytes(String(index)));
    await clock.pass(1_000);
    return [...got, String(clock.monoMs())];
  };
  const got = await run();
  expect(got.slice(0, -1)).toEqual(Array.from({ length: 30 }, (_, index) => String(index)));
  expect(await run()).toEqual(got);
});

test('a short partition delivers late, a long one ends the connection on both sides', async () => {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock, latencyMs: () => 5, silenceMs: 1_000 });
  const will = { topic: 'will', payload: bytes('gone'), retain: false };
  const [one, two] = [broker.client('one'), broker.client('two', { will })];
  const wills = collected(one, 'will');
  const got = collected(two, 't');
  await clock.pass(100);
  broker.partition('two', true);
  void one.publish('t', bytes('late'));
  await clock.pass(500);
  expect([two.connected, got]).toEqual([true, []]);
  broker.partition('two', false);
  await clock.pass(0);
  expect(got).toEqual(['late']);
  broker.partition('two', true);
  void one.publish('t', bytes('lost'));
  const stuck = two.publish('x', bytes('x'));
  const outcome = stuck.catch((error: unknown) => error);
  await clock.pass(1_100);
  expect([two.connected, wills]).toEqual([false, ['gone']]);
  expect(await outcome).toMatchObject({ code: 'BUS_OFFLINE' });
  broker.partition('two', false);
  await clock.pass(6_000);
  void one.publish('t', bytes('back'));
  await clock.pass(100);
  expect(got).toEqual(['late', 'back']);
});

test('a second client of the same id takes over, and a dead one leaves its will', async () => {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock });
  const watcher = broker.client('watcher');
  const wills = collected(watcher, 'will');
  const will = { topic: 'will', payload: bytes('gone'), retain: false };
  const first = broker.client('a', { will });
  await clock.pass(10);
  first.kill();
  await clock.pass(10);
  expect(wills).toEqual(['gone']);
  const second = broker.client('a', { will });
  await clock.pass(10);
  await second.close();
  await clock.pass(10);
  expect([first.connected, second.connected, wills]).toEqual([false, false, ['gone']]);
});

test('a broker that is down refuses until it is back, and remembers nothing', async () => {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock });
  const client = broker.client('a');
  const states: boolean[] = [];
  client.onState((connected) => states.push(connected));
  await clock.pass(10);
  const published = client.publish('t', bytes('x'), { retain: true });
  await clock.pass(1);
  await published;
  expect(broker.retainedTopics).toEqual(['t']);
  broker.restart(3_000);
  await clock.pass(2_900);
  expect(states).toEqual([false, true, false]);
  await expect(client.publish('t', bytes('x'))).rejects.toMatchObject({ code: 'BUS_OFFLINE' });
  await clock.pass(5_000);
  expect([states, broker.retainedTopics]).toEqual([[false, true, false, true], []]);
});

test('a one-way cut ends the connection too, and lets the other way through until then', async () => {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock, latencyMs: () => 5, silenceMs: 1_000 });
  const [one, two] = [broker.client('one'), broker.client('two')];
  const got = [collected(one, 't'), collected(two, 't')];
  await clock.pass(100);
  broker.partition('two', true, 'to');
  void two.publish('t', bytes('out'), { qos: 0 });
  await clock.pass(500);
  expect(got).toEqual([['out'], []]);
  await clock.pass(600);
  expect(two.connected).toBe(false);
  broker.partition('two', false);
  await clock.pass(10_000);
  expect(two.connected).toBe(true);
});

test('messages are lost, come again and come late as the trouble of a link says, by its filter', async () => {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock, latencyMs: () => 5, random: seededRandom(3) });
  const [one, two] = [broker.client('one'), broker.client('two')];
  const got = collected(two, 't/#');
  await clock.pass(100);
  const publish = async (topic: string, count: number): Promise<string[]> => {
    got.length = 0;
    for (let index = 0; index < count; index += 1) void one.publish(topic, bytes(String(index)));
    await clock.pass(5_000);
    return [...got];
  };
  const inOrder = Array.from({ length: 20 }, (_, index) => String(index));
  broker.trouble('two', { lost: 1, filter: 't/a' });
  expect(await publish('t/a', 20)).toEqual([]);
  expect(await publish('t/b', 20)).toEqual(inOrder);
  broker.trouble('two', { again: 1, laterMs: 1_000 });
  const again = await publish('t/a', 20);
  expect([...new Set(again)]).toEqual(inOrder);
  expect(again).toHaveLength(40);
  broker.trouble('two', { late: 0.5, laterMs: 1_000 });
  const late = await publish('t/a', 20);
  expect(late).not.toEqual(inOrder);
  expect([...late].sort((a, b) => Number(a) - Number(b))).toEqual(inOrder);
  broker.trouble('two', undefined);
  expect(await publish('t/a', 20)).toEqual(inOrder);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startBroker } from '../../host/broker.ts';
import { makeBus } from '../../host/bus.ts';
import { realClock } from '../../host/clock.ts';
import type { Bus, BusMessage } from '../../host/deps.ts';
import { silentLog } from '../../host/log.ts';
import { aedesRig, hasMosquitto, memoryRig, mosquittoRig } from './bus-rigs.ts';
import type { Rig } from './bus-rigs.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (message: BusMessage | undefined): string => new TextDecoder().decode(message?.payload);

/** Collects messages; `until` waits for a condition over all that came. */
function inbox() {
  const all: BusMessage[] = [];
  let check: () => void = () => undefined;
  return {
    all,
    take: (message: BusMessage): void => {
      all.push(message);
      check();
    },
    until: (done: (all: readonly BusMessage[]) => boolean): Promise<void> =>
      new Promise((resolve) => {
        check = () => {
          if (done(all)) resolve();
        };
        check();
      }),
  };
}

const state = (bus: Bus, wanted: boolean): Promise<void> =>
  new Promise((resolve) => bus.onState((connected) => connected === wanted && resolve()));

const kinds: [string, () => Rig | Promise<Rig>, boolean][] = [
  ['memory', memoryRig, true],
  ['aedes', aedesRig, true],
  ['mosquitto with TLS and credentials', mosquittoRig, hasMosquitto()],
];

for (const [name, start, present] of kinds) {
  if (!present && process.env['CI'] !== 'true') {
    console.log(`skipped: the bus against ${name}, which is not installed`);
    continue;
  }
  describe(`the bus over ${name}`, () => {
    let rig: Rig;
    const opened: Bus[] = [];
    const open = async (id: string, options?: Parameters<Rig['open']>[1]): Promise<Bus> => {
      const bus = rig.open(id, options);
      opened.push(bus);
      await state(bus, true);
      return bus;
    };
    beforeAll(async () => {
      rig = await start();
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((bus) => bus.close()));
    });
    afterAll(() => rig.stop());

    test('messages reach matching subscriptions, at both qualities of service', async () => {
      const [one, two] = [await open('a'), await open('b')];
      const box = inbox();
      await two.subscribe('t1/+/x', box.take);
      await two.subscribe('t1/deep/#', box.take);
      await one.publish('t1/no/y', bytes('no'));
      await one.publish('t1/m/x', bytes('plus'), { qos: 0 });
      await one.publish('t1/deep/a/b', bytes('hash'), { qos: 1 });
      await box.until((all) => all.length === 2);
      expect(box.all.map((message) => [message.topic, text(message), message.retained])).toEqual([
        ['t1/m/x', 'plus', false],
        ['t1/deep/a/b', 'hash', false],
      ]);
    });

    test('a retained message reaches who comes later, until it is cleared', async () => {
      const one = await open('a');
      await one.publish('t2/desired', bytes('old'), { retain: true });
      await one.publish('t2/desired', bytes('new'), { retain: true });
      const two = await open('b');
      const box = inbox();
      await two.subscribe('t2/+', box.take);
      await box.until((all) => all.length === 1);
      expect([text(box.all[0]), box.all[0]?.retained]).toEqual(['new', true]);
      await one.publish('t2/desired', bytes(''), { retain: true });
      const three = await open('c');
      const late = inbox();
      await three.subscribe('t2/#', late.take);
      await one.publish('t2/end', bytes('end'));
      await late.until((all) => all.length > 0);
      expect(late.all.map((message) => message.topic)).toEqual(['t2/end']);
    });

    test('many at once keep their order, and too many are refused instead of kept', async () => {
      const [one, two] = [await open('a'), await open('b')];
      const box = inbox();
      await two.subscribe('t3', box.take);
      const results = await Promise.allSettled(
        Array.from({ length: 1_200 }, (_, index) => one.publish('t3', bytes(String(index)))),
      );
      const refused = results.filter((result) => result.status === 'rejected');
      // 1,024 wait; 32 are under way, or fewer when the broker says so (mosquitto: 20).
      const accepted = results.length - refused.length;
      expect(accepted >= 1_024 + 16 && accepted <= 1_024 + 32).toBe(true);
      expect(refused[0]?.reason).toMatchObject({ code: 'QUEUE_FULL' });
      await box.until((all) => all.length === accepted);
      expect(box.all.map(text)).toEqual(Array.from({ length: accepted }, (_, index) => String(index)));
    });

    test('a broken connection publishes the will; the client returns and hears again', async () => {
      const watcher = await open('a');
      const wills = inbox();
      await watcher.subscribe('t4/will', wills.take);
      const bus = await open('b', { will: { topic: 't4/will', payload: bytes('gone'), retain: false } });
      const box = inbox();
      await bus.subscribe('t4/x', box.take);
      const lost = state(bus, false);
      rig.sever('b');
      await lost;
      await expect(bus.publish('t4/y', bytes('y'))).rejects.toMatchObject({ code: 'BUS_OFFLINE' });
      await wills.until((all) => all.length === 1);
      await state(bus, true);
      await bus.publish('t4/x', bytes('again'));
      await box.until((all) => all.length === 1);
      await bus.close();
      expect(bus.connected).toBe(false);
      await expect(bus.publish('t4/y', bytes('y'))).rejects.toMatchObject({ code: 'BUS_OFFLINE' });
      await watcher.publish('t4/will', bytes('last'));
      await wills.until((all) => all.some((message) => text(message) === 'last'));
      expect(wills.all.map(text)).toEqual(['gone', 'last']);
    });

    test.runIf(name.startsWith('mosquitto'))(
      'neither a stranger nor a broker that nobody vouches for is let in',
      async () => {
        expect(rig.strangers?.length).toBe(3);
        for (const stranger of rig.strangers ?? []) {
          const refusal = Promise.withResolvers<void>();
          const log = { ...silentLog, warn: () => refusal.resolve() };
          const bus = makeBus({
            url: '',
            clientId: 'e',
            protocolVersion: 5,
            clock: realClock,
            ...stranger,
            log,
          });
          await refusal.promise;
          expect(bus.connected).toBe(false);
          await bus.close();
        }
      },
    );

    test('after a broker restart clients subscribe again and what is published again is retained', async () => {
      const [one, two] = [await open('a'), await open('b')];
      const box = inbox();
      await two.subscribe('t5/desired', box.take);
      await one.publish('t5/desired', bytes('before'), { retain: true });
      await box.until((all) => all.length === 1);
      const back = Promise.all([one, two].map((bus) => state(bus, false).then(() => state(bus, true))));
      const flying = one.publish('t5/flying', new Uint8Array(100_000)).catch((error: unknown) => error);
      await rig.restart();
      await back;
      expect([undefined, 'BUS_OFFLINE']).toContain(((await flying) as { code?: string } | undefined)?.code);
      const three = await open('c');
      const late = inbox();
      await three.subscribe('t5/desired', late.take);
      await one.publish('t5/desired', bytes('after'), { retain: true });
      await box.until((all) => all.some((message) => text(message) === 'after'));
      await late.until((all) => all.length === 1);
      expect(late.all.map(text)).toEqual(['after']);
      const four = await open('d');
      const later = inbox();
      await four.subscribe('t5/desired', later.take);
      await later.until((all) => all.length === 1);
      expect(later.all[0]?.retained).toBe(true);
    });
  });
}

test('the embedded broker refuses strangers when it has credentials', async () => {
  const broker = await startBroker({ port: 0, username: 'u', password: 'p' });
  const common = { url: `mqtt://127.0.0.1:${broker.port}`, protocolVersion: 4 as const, clock: realClock };
  const refusals: Promise<void>[] = [];
  const buses: Bus[] = [];
  for (const login of [{}, { username: 'u', password: 'wrong' }, { username: 'u' }]) {
    refusals.push(
      new Promise((resolve) => {
        const log = { ...silentLog, warn: () => resolve() };
        buses.push(makeBus({ ...common, ...login, clientId: `x${buses.length}`, log }));
      }),
    );
  }
  await Promise.all(refusals);
  expect(buses.map((bus) => bus.connected)).toEqual([false, false, false]);
  await Promise.all(buses.map((bus) => bus.close()));
  await broker.close();
});

test('the broker process says its port, serves, and ends when its parent is gone', async () => {
  const entry = new URL('../../host/broker-child.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [entry, '0'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const said = JSON.parse(line) as { listening: boolean; port: number };
  expect(said.listening).toBe(true);
  const url = `mqtt://127.0.0.1:${said.port}`;
  const bus = makeBus({ url, clientId: 'x', protocolVersion: 4, clock: realClock, log: silentLog });
  await state(bus, true);
  const exited = once(child, 'exit');
  child.stdin.end();
  expect(await exited).toEqual([0, null]);
  await bus.close();
});

test('what was published leaves no memory behind, of however many lengths it was', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heldMb = (): number => {
    collect();
    return process.memoryUsage().arrayBuffers / 1e6;
  };
  const broker = await startBroker({ host: '127.0.0.1', port: 0 });
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const bus = makeBus({ url, clientId: 'lengths', protocolVersion: 4, clock: realClock, log: silentLog });
  try {
    await state(bus, true);
    const before = heldMb();
    for (let length = 1_000; length < 2_500; length += 1) {
      // So much is read and written by others between two of our packets.
      for (let others = 0; others < 100; others += 1) Buffer.allocUnsafe(700);
      await bus.publish('lengths', new Uint8Array(length), { qos: 0 });
    }
    expect(heldMb() - before).toBeLessThan(30);
  } finally {
    await bus.close();
    await broker.close();
  }
});

/** What the controller does with the energy of intervals: each revision once in the ledger, acknowledged behind it. */
import { expect, test } from 'vitest';
import { MODELS } from '../../../config/models.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import type { LedgerRecord } from '../../../controller/core/events.ts';
import { startController } from '../../../controller/main.ts';
import type { BusMessage } from '../../../host/deps.ts';
import { readLog } from '../../../host/disklog-format.ts';
import { silentLog } from '../../../host/log.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import type { AgentEnergy, IntervalEnergy } from '../../../protocols/mqtt/energy.ts';
import { decodeJson, encodeJson } from '../../../protocols/mqtt/json.ts';
import { ackSchema } from '../../../protocols/mqtt/status.ts';
import type { Status } from '../../../protocols/mqtt/status.ts';
import { agentTopic } from '../../../protocols/mqtt/topics.ts';
import { VirtualClock } from '../host/virtual-clock.ts';

const site = resolveSite(
  siteSchema.parse({
    schema: 1,
    site: 's',
    nodes: [{ id: 'r1', kind: 'site', capKw: 100 }],
    prices: { hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 } },
  }),
  MODELS,
);

const interval = (place: number, revision = 1): IntervalEnergy => ({
  meter: 'm',
  revision,
  startMs: place * 300_000,
  endMs: (place + 1) * 300_000,
  intervalMin: 5,
  timeZone: 'UTC',
  quality: 'good',
  method: 'counter',
  importWh: 1_000,
  estimatedWh: 0,
  boundWh: 1,
});

const status: Status = {
  v: 1,
  site: 's',
  agent: 'a1',
  boot: 1,
  seq: 0,
  atMs: 0,
  online: true,
  nonce: 'n',
  phase: 'live',
  epoch: 0,
  racks: {},
  guarding: [],
  spooled: 0,
  thinned: 0,
  dropped: 0,
  damaged: 0,
  keptFrom: { messages: 0, meters: 0, machines: 0 },
};

/** A controller on a disk, an agent's voice to it, and how far it says that messages are stored. */
async function controllerOn(disk: MemoryDisk, clock: VirtualClock) {
  const handlers = new Map<string, (message: BusMessage) => void>();
  let stored = -1;
  const starting = startController({
    site,
    dataDir: 'd',
    onStepDown: () => undefined,
    deps: {
      clock,
      disk,
      log: silentLog,
      http: { request: () => Promise.reject(new Error('no feed')) },
      report: () => undefined,
      bus: {
        connected: true,
        publish: (topic, payload) => {
          if (topic.endsWith('/ack')) stored = decodeJson(ackSchema, payload).stored[0]?.messages ?? stored;
          return Promise.resolve();
        },
        subscribe: (filter, handler) => {
          handlers.set(filter.split('/').at(-1) ?? '', handler);
          return Promise.resolve();
        },
        onState: (handler) => handler(true),
        close: () => Promise.resolve(),
      },
    },
  });
  await clock.pass(100);
  const controller = await starting;
  const say = (kind: 'status' | 'energy', payload: Uint8Array): void =>
    handlers.get(kind)?.({ topic: agentTopic('s', 'a1', kind), payload, retained: false });
  say('status', encodeJson(status));
  return {
    controller,
    stored: () => stored,
    energy: (seq: number, ...intervals: IntervalEnergy[]) =>
      say(
        'energy',
        encodeJson({ v: 1, site: 's', agent: 'a1', boot: 1, seq, atMs: 0, intervals } satisfies AgentEnergy),
      ),
  };
}

const told = (disk: MemoryDisk): string[] =>
  readLog(disk.durable('d/ledger.log')).records.flatMap((payload) => {
    const record = JSON.parse(new TextDecoder().decode(payload)) as LedgerRecord;
    return record.t === 'energy' ? [`${record.interval.startMs / 300_000}.${record.interval.revision}`] : [];
  });

test('an interval is acknowledged behind its line, however often it is said while the disk takes none', async () => {
  const clock = new VirtualClock();
  const disk = new MemoryDisk({ clock, syncMs: () => 1 });
  const { energy, stored, controller } = await controllerOn(disk, clock);
  disk.fail('append', 'DISK_FAILED', Infinity);
  for (let again = 0; again < 40; again += 1) {
    energy(0, interval(0));
    await clock.pass(170);
    expect(stored()).toBe(-1);
  }
  disk.heal();
  await clock.pass(3_000);
  energy(0, interval(0));
  await clock.pass(2_000);
  expect(stored()).toBe(0);
  expect(told(disk)).toEqual(['0.1']);
  await controller.stop();
});

test('each revision stands once, over a restart of the controller too', async () => {
  const clock = new VirtualClock();
  const disk = new MemoryDisk({ clock, syncMs: () => 1 });
  const first = await controllerOn(disk, clock);
  first.energy(0, interval(0), interval(1));
  first.energy(1, interval(1), interval(2));
  await clock.pass(2_000);
  await first.controller.stop();
  const second = await controllerOn(disk, clock);
  second.energy(0, interval(0), interval(1));
  second.energy(1, interval(1, 2), interval(3));
  // An older word does not come back behind a newer one.
  second.energy(2, interval(1, 1));
  await clock.pass(2_000);
  expect(second.stored()).toBe(2);
  expect(told(disk)).toEqual(['0.1', '1.1', '2.1', '1.2', '3.1']);
  await second.controller.stop();
});

import { expect, test } from 'vitest';
import type { LedgerRecord } from '../../../controller/core/events.ts';
import { startController } from '../../../controller/main.ts';
import type { ControllerDeps } from '../../../controller/main.ts';
import { readLog } from '../../../host/disklog-format.ts';
import type { BusMessage } from '../../../host/deps.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { decodeJson, encodeJson } from '../../../protocols/mqtt/json.ts';
import { desiredSchema } from '../../../protocols/mqtt/desired.ts';
import type { Desired } from '../../../protocols/mqtt/desired.ts';
import { agentTopic } from '../../../protocols/mqtt/topics.ts';
import type { AgentEvent } from '../../../protocols/mqtt/status.ts';
import type { Lock } from '../../../protocols/mqtt/lockouts.ts';
import { VirtualClock } from '../host/virtual-clock.ts';
import { Plant } from './core/plant.ts';
import { smallSite } from './core/small-site.ts';

const START_MS = 1_000_000;
const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

/** The bus as the controller sees it: what it says, by what the disk's lines had said before, and who listens. */
function busOver(lines: () => readonly LedgerRecord[]) {
  const published: Desired[] = [];
  /** Modes in what was published that no durable line had said. */
  const unsaid: string[] = [];
  /** By the last part of their topics, who takes what agents say. */
  const takers = new Map<string, (message: BusMessage) => void>();
  const bus: ControllerDeps['bus'] = {
    connected: true,
    publish: (topic, payload) => {
      if (!topic.includes('desired')) return Promise.resolve();
      const desired = decodeJson<Desired>(desiredSchema, payload);
      published.push(desired);
      const said = new Map<string, string>();
      for (const line of lines())
        if (line.t === 'command') for (const change of line.changes) said.set(change.machine, change.to);
      for (const [machine, { mode }] of Object.entries(desired.machines))
        if (said.get(machine) !== mode) unsaid.push(`${machine}:${mode}`);
      return Promise.resolve();
    },
    subscribe: (filter, take) => {
      takers.set(filter.split('/').at(-1) ?? '', take);
      return Promise.resolve();
    },
    onState: (handler) => handler(true),
    close: () => Promise.resolve(),
  };
  return { published, unsaid, takers, bus };
}

/** A controller with its ledger on a simulated disk, and the plant of the unit tests as its site. */
async function onDisk(site: typeof smallSite) {
  const plant = new Plant(site);
  const clock = new VirtualClock();
  let syncMs = 0;
  const disk = new MemoryDisk({ clock, syncMs: () => syncMs });
  const lines = (): readonly LedgerRecord[] =>
    readLog(disk.durable('d/ledger.log')).records.map(
      (payload) => JSON.parse(new TextDecoder().decode(payload)) as LedgerRecord,
    );
  const { published, unsaid, takers, bus } = busOver(lines);
  const http = { request: () => Promise.reject(new Error('no feed')) };
  const deps: ControllerDeps = {
    clock: Object.assign(clock, { wallMs: () => START_MS + clock.monoMs() }),
    disk,
    bus,
    log: silent,
    http,
    report: () => undefined,
  };
  const controller = await startController({
    site: plant.state.site,
    deps,
    dataDir: 'd',
    onStepDown: () => undefined,
  });
  plant.state = controller.state;
  // The controller has ticks of its own; what it says reaches nobody here.
  plant.take = (event) => {
    if (event.kind !== 'tick') controller.submit(event);
  };
  return {
    plant,
    controller,
    disk,
    /** An agent's alarm, as it comes from the bus, the `seq`-th of its messages. */
    alarm: (subject: string, seq: number) => {
      const what = { code: 'SELF_WOKEN', subject, text: 'woke by itself', state: 'raised' } as const;
      const said: AgentEvent = { v: 1, site: 'small', agent: 'a1', boot: 1, seq, atMs: START_MS, ...what };
      const topic = agentTopic('small', 'a1', 'event');
      takers.get('event')?.({ topic, payload: encodeJson(said), retained: false });
    },
    /** Of the agent's messages, the last that was acknowledged; -1: none. */
    acknowledged: (): number => controller.state.agents.get('a1')?.stored.get(1)?.messages ?? -1,
    lines,
    published,
    unsaid,
    setSyncMs: (ms: number) => {
      syncMs = ms;
    },
    run: async (seconds: number) => {
      for (let second = 0; second < seconds; second += 1) {
        await clock.pass(1_000);
        plant.run(1);
      }
    },
  };
}

type OnDisk = Awaited<ReturnType<typeof onDisk>>;

const generationsOf = (lines: readonly LedgerRecord[]): readonly number[] =>
  lines.flatMap((line) => (line.t === 'command' ? [line.generation] : []));

test('on a slow disk commands are written one after the other, each behind its notice, before they are said', async () => {
  const site = structuredClone(smallSite);
  const [root] = site.nodes;
  if (root) root.rampDownKwPerMin = 600;
  const { plant, lines, unsaid, published, setSyncMs, run } = await onDisk(site);
  await run(40);
  setSyncMs(3_000);
  plant.utility = { limitKw: 20, deadlineS: 60, sequence: 1, kind: 'contracted' };
  await run(30);
  setSyncMs(0);
  await run(5);
  expect(unsaid).toEqual([]);
  const order = generationsOf(lines());
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  const first = lines().findIndex((line) => line.t === 'command' && line.expectedKw < 0);
  expect(lines().findIndex(({ t }) => t === 'notice')).toBeLessThan(first);
  // Renewed for ever after: no rack is left with a document that nobody renews.
  await run(120);
  for (const rack of new Set(published.map((desired) => desired.rack))) {
    const last = published.findLast((desired) => desired.rack === rack);
    expect(last?.expiresAtMs).toBeGreaterThan(START_MS + plant.nowMs);
  }
});

test('while the ledger fails decisions do not pile up: afterwards the share of a window still holds', async () => {
  const site = structuredClone(smallSite);
  if (site.prices.energy) site.prices.energy.sharePct = 20;
  const { plant, disk, lines, unsaid, published, run } = await onDisk(site);
  await run(40);
  const works = (): number =>
    [...new Map(published.map((desired) => [desired.rack, desired])).values()]
      .flatMap(({ machines }) => Object.values(machines))
      .filter(({ mode }) => mode === 'mine').length;
  const before = works();
  disk.fail('sync', 'DISK_FAILED', 1e9);
  plant.priceUsdPerMwh = 500;
  const written = lines().length;
  await run(240);
  expect([works(), lines().length]).toEqual([before, written]);
  disk.heal();
  await run(20);
  const moved = before - works();
  expect(moved).toBeGreaterThan(0);
  expect(moved / before).toBeLessThan(0.3);
  expect(unsaid).toEqual([]);
  // Its line says what it is expected to bring, from what state, and why.
  const after = lines();
  const place = after.findIndex((line) => line.t === 'command' && line.expectedKw < 0);
  expect(after[place]).toMatchObject({
    signalId: expect.any(String),
    changes: expect.arrayContaining([expect.objectContaining({ from: 'mine', to: 'sleep' })]),
  });
  expect(after.findIndex(({ t }) => t === 'notice')).toBeLessThan(place);
});

/** Fails the disk, lets something happen, and heals it: the lines that were written then, in order. */
async function afterGap(site: OnDisk, happen: () => void, seconds = 20): Promise<readonly LedgerRecord[]> {
  const { disk, lines, run } = site;
  const before = lines().length;
  disk.fail('sync', 'DISK_FAILED', 1e9);
  happen();
  await run(seconds);
  expect(lines().length).toBe(before);
  disk.heal();
  await run(5);
  const written = lines().slice(before);
  // Tried again and again, and each is there once.
  expect(new Set(written.map((line) => JSON.stringify(line))).size).toBe(written.length);
  return written;
}

test('an alarm is acknowledged to its agent behind its line, however often that could not be written', async () => {
  const site = await onDisk(smallSite);
  await site.run(30);
  const written = await afterGap(site, () => {
    site.alarm('r1-01', 0);
    site.alarm('r1-02', 1);
    expect(site.acknowledged()).toBe(-1);
  });
  const alarms = written.flatMap((line) =>
    line.t === 'alarm' ? [`${line.code} ${line.subject} ${line.state}`] : [],
  );
  expect(alarms).toEqual([
    'SELF_WOKEN r1-01 raised',
    'SELF_WOKEN r1-02 raised',
    // And the ledger tells of its own gap.
    'DISK_FAILED ledger raised',
    'DISK_FAILED ledger cleared',
  ]);
  for (const [seq, subject] of ['r1-01', 'r1-02'].entries()) site.alarm(subject, seq);
  await site.run(1);
  expect(site.acknowledged()).toBe(1);
});

test('while an alarm waits for the disk its agent is not told that it is kept, said again or not', async () => {
  const { disk, run, alarm, acknowledged } = await onDisk(smallSite);
  await run(30);
  disk.fail('sync', 'DISK_FAILED', 1e9);
  alarm('r1-01', 0);
  for (let second = 0; second < 5; second += 1) {
    await run(1);
    alarm('r1-01', 0);
  }
  expect(acknowledged()).toBe(-1);
});

test('signals and limits stand in the ledger before what they led to, also when it failed meanwhile', async () => {
  const site = await onDisk(smallSite);
  await site.run(30);
  const written = await afterGap(site, () => {
    site.plant.priceUsdPerMwh = 41;
    site.plant.utility = { limitKw: 20, deadlineS: 60, sequence: 1, kind: 'contracted' };
  });
  const signal = (source: string) =>
    written.findIndex((line) => line.t === 'signal' && line.source === source);
  const command = written.findLastIndex(({ t }) => t === 'command');
  expect(signal('energy')).toBe(0);
  expect(signal('utility')).toBeGreaterThan(0);
  expect(signal('utility')).toBeLessThan(command);
});

test('a proof, a lockout found at an agent and a start above its epoch are written when the disk is back', async () => {
  const site = await onDisk(smallSite);
  site.plant.obeyedEpoch = 7;
  const started = await afterGap(site, () => undefined, 10);
  expect(started).toEqual(expect.arrayContaining([expect.objectContaining({ t: 'start', epoch: 8 })]));
  await site.run(30);
  site.plant.priceUsdPerMwh = 500;
  // What is commanded reaches nobody here: at its deadline that is known.
  await site.run(2);
  const lock: Lock = {
    id: 'l1',
    by: 'anna',
    sinceMs: 1,
    reason: 'hands',
    machines: ['r2-01'],
    freed: [],
    kind: 'lockout',
  };
  const written = await afterGap(
    site,
    () => {
      site.plant.held = [lock];
    },
    40,
  );
  expect(written).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ t: 'lockout', lock: expect.objectContaining({ id: 'l1' }) }),
      expect.objectContaining({ t: 'verified', ok: false }),
    ]),
  );
});

test("a person's word is refused while lines before it wait, and stands behind them afterwards", async () => {
  const { plant, disk, controller, lines, run } = await onDisk(smallSite);
  await run(30);
  const word = (actor: string) =>
    controller.record([{ t: 'agree', atMs: START_MS, actor, input: 'limit', value: 20 }]);
  disk.fail('sync', 'DISK_FAILED', 1e9);
  plant.utility = { limitKw: 20, deadlineS: 60, sequence: 1, kind: 'contracted' };
  await run(2);
  await expect(word('early')).rejects.toThrow(/DISK_FAILED/);
  disk.heal();
  await run(2);
  await word('late');
  const kinds = lines().flatMap((line) =>
    line.t === 'agree' ? [line.actor] : line.t === 'signal' ? [line.source] : [],
  );
  expect(kinds.slice(-2)).toEqual(['utility', 'late']);
});

test('an agent in its fail-safe is not commanded anew again and again while what was decided waits for the disk', async () => {
  const site = await onDisk(smallSite);
  await site.run(40);
  const { racks } = site.plant.state.site;
  const written = await afterGap(
    site,
    () => {
      site.plant.phase = 'lost';
    },
    120,
  );
  const commands = written.filter(({ t }) => t === 'command');
  expect(commands.length).toBeGreaterThan(0);
  expect(commands.length).toBeLessThanOrEqual(2 * racks.length);
});

test('alarms that wait are bounded, and how many found no room is told; nothing else is let go', async () => {
  const site = await onDisk(smallSite);
  await site.run(30);
  const written = await afterGap(
    site,
    () => {
      for (let seq = 0; seq < 4_100; seq += 1) site.alarm(`m${seq}`, seq);
      site.plant.priceUsdPerMwh = 500;
      site.plant.utility = { limitKw: 20, deadlineS: 60, sequence: 1, kind: 'contracted' };
    },
    3,
  );
  const told = written.findLast((line) => line.t === 'alarm' && line.code === 'QUEUE_FULL');
  expect(told).toMatchObject({ subject: 'ledger', text: expect.stringMatching(/^\d+ lines found no room/) });
  // Of the agent's not one is lost: what was not taken is not acknowledged.
  expect(site.acknowledged()).toBeLessThan(4_100);
  expect(written.some(({ t }) => t === 'command')).toBe(true);
  expect(written.some((line) => line.t === 'signal' && line.limitKw === 20)).toBe(true);
  expect(written.length).toBeLessThan(4_100);
});

test('on a disk as good as full alarms that are not of high priority wait for room; commands and all else go on', async () => {
  const { plant, controller, disk, lines, alarm, acknowledged, run } = await onDisk(smallSite);
  await run(30);
  const alarms = (code: string) => lines().filter((line) => line.t === 'alarm' && line.code === code);
  disk.capacityBytes = Math.ceil(disk.usedBytes() / 0.995);
  await run(12);
  expect(controller.state.alarms.get('DISK_LOW:controller')?.text).toMatch(
    /^99 % of the disk below d are used: /,
  );
  alarm('r1-01', 0);
  plant.priceUsdPerMwh = 500;
  plant.metersRead = false;
  const before = lines().length;
  await run(30);
  const since = lines().slice(before);
  expect(since.map(({ t }) => t)).toEqual(expect.arrayContaining(['signal', 'command']));
  // Its agent is answered: this may last, and who is not answered for long can tell nothing more.
  expect([alarms('SELF_WOKEN').length, acknowledged()]).toEqual([0, 0]);
  // The console knows them all the same, and a person's word is not refused for them.
  expect(controller.state.alarms.has('SELF_WOKEN:r1-01')).toBe(true);
  await controller.record([{ t: 'agree', atMs: START_MS, actor: 'anna', input: 'price', value: 1 }]);
  disk.capacityBytes = Infinity;
  await run(15);
  alarm('r1-01', 0);
  await run(1);
  expect([alarms('SELF_WOKEN').length, acknowledged()]).toEqual([1, 0]);
  expect(alarms('DISK_LOW').at(-1)).toMatchObject({ state: 'cleared' });
});

test('alarms that wait for room are written when the controller is stopped, unless only the reserve is left', async () => {
  for (const isReserveOnly of [false, true]) {
    const { plant, controller, disk, lines, alarm, run } = await onDisk(smallSite);
    await run(30);
    disk.capacityBytes = Math.ceil(disk.usedBytes() / (isReserveOnly ? 1 : 0.995));
    if (isReserveOnly) plant.priceUsdPerMwh = 500;
    await run(12);
    alarm('r1-01', 0);
    await run(20);
    const written = () => lines().filter((line) => line.t === 'alarm' && line.code === 'SELF_WOKEN').length;
    expect(written()).toBe(0);
    const stopped = controller.stop();
    await run(2);
    await stopped;
    expect(written()).toBe(isReserveOnly ? 0 : 1);
  }
});

test('a full disk leaves the reserve to what commands: alarms of lower priority are not written into it', async () => {
  const { disk, lines, alarm, run } = await onDisk(smallSite);
  await run(30);
  disk.capacityBytes = disk.usedBytes();
  const before = lines().length;
  await run(2);
  // The first line takes from the reserve, and finds that it cannot be filled up again.
  for (let seq = 0; seq < 200; seq += 1) {
    alarm(`m${seq}`, seq);
    if (seq % 20 === 0) await run(1);
  }
  await run(5);
  expect(lines().length - before).toBeLessThan(60);
  disk.capacityBytes = Infinity;
  await run(15);
  expect(lines().filter((line) => line.t === 'alarm' && line.code === 'SELF_WOKEN').length).toBe(200);
});

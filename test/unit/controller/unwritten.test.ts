import { expect, test } from 'vitest';
import type { LedgerRecord } from '../../../controller/core/events.ts';
import { startController } from '../../../controller/main.ts';
import type { ControllerDeps } from '../../../controller/main.ts';
import { readLog } from '../../../host/disklog-format.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { decodeJson } from '../../../protocols/mqtt/json.ts';
import { desiredSchema } from '../../../protocols/mqtt/desired.ts';
import type { Desired } from '../../../protocols/mqtt/desired.ts';
import { VirtualClock } from '../host/virtual-clock.ts';
import { Plant } from './core/plant.ts';
import { smallSite } from './core/small-site.ts';

const START_MS = 1_000_000;
const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

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
  const published: Desired[] = [];
  /** Modes in what was published that no durable line had said. */
  const unsaid: string[] = [];
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
    subscribe: () => Promise.resolve(),
    onState: (handler) => handler(true),
    close: () => Promise.resolve(),
  };
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
    disk,
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

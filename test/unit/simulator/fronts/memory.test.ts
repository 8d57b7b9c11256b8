import { describe, expect, test } from 'vitest';

import type { Device } from '../../../../agent/driver.ts';
import { openUtilityTerminal } from '../../../../agent/drivers/utility-terminal.ts';
import { openDevice, parseTarget } from '../../../../agent/target.ts';
import { MODELS } from '../../../../config/models.ts';
import { siteSchema } from '../../../../config/schema/site.ts';
import { resolveSite } from '../../../../config/site.ts';
import type { Site } from '../../../../config/site.ts';
import { makeLines } from '../../../../host/line.ts';
import type { Lines } from '../../../../host/line.ts';
import { makeLog } from '../../../../host/log.ts';
import { seededRandom } from '../../../../host/random.ts';
import { Fault } from '../../../../protocols/faults.ts';
import { numberOf } from '../../../../protocols/reading.ts';
import { VirtualClock } from '../../../../proof/virtual-clock.ts';
import type { StreamDevice } from '../../../../simulator/device.ts';
import { makeMemoryFront } from '../../../../simulator/fronts/memory.ts';
import type { HostFault, MemoryFront } from '../../../../simulator/fronts/memory.ts';
import { SIMULATED_ENV, simulatedSite } from '../../../../simulator/site.ts';
import { makeWorld } from '../../../../simulator/world.ts';
import type { World } from '../../../../simulator/world.ts';

const START = Date.parse('2026-11-22T18:00:00Z');

interface Bench {
  readonly clock: VirtualClock;
  readonly site: Site;
  readonly world: World;
  readonly front: MemoryFront;
  readonly lines: Lines;
  readonly faults: Map<string, HostFault>;
  readonly open: (target: string) => Device;
  /** The promise's outcome after as much virtual time as it needs, up to `limitMs`. */
  readonly settle: <T>(promise: Promise<T>, limitMs?: number) => Promise<T | string>;
}

function bench(): Bench {
  const clock = new VirtualClock({ startWallMs: START });
  const random = seededRandom(11);
  const input = simulatedSite({ hostKey: `SHA256:${'A'.repeat(43)}`, keyFile: 'keys/agent' });
  const site = resolveSite(siteSchema.parse(input), MODELS);
  const world = makeWorld({ site, random, startMs: START, misbehaving: [] });
  const faults = new Map<string, HostFault>();
  const fault = (host: string): HostFault | undefined =>
    world.linkUp(host) ? faults.get(host) : { down: true };
  const front = makeMemoryFront({ endpoints: world.endpoints, clock, random, fault });
  const lines = makeLines({ net: front.net, clock, random });
  const io = { clock, random, ...front, lines, log: makeLog({ name: 'test', level: 'silent' }) };
  return {
    clock,
    site,
    world,
    front,
    lines,
    faults,
    open: (target) => openDevice(parseTarget(target, { env: SIMULATED_ENV }), io),
    settle: async <T>(promise: Promise<T>, limitMs = 60_000) => {
      const outcome: (T | string)[] = [];
      promise.then(
        (value) => outcome.push(value),
        (error: unknown) => outcome.push(error instanceof Fault ? error.code : String(error)),
      );
      for (let passedMs = 0; outcome.length === 0 && passedMs < limitMs; passedMs += 50)
        await clock.advance(50);
      for (const value of outcome) return value;
      return 'never';
    },
  };
}

describe('the product’s drivers read the simulated site through the memory front', () => {
  test.each(['m-main', 'm-feeder-1', 'm-feeder-2', 'm-feeder-3', 'm-gpu-row', 'm-solar'])(
    'meter %s',
    async (id) => {
      const { open, settle, site, world, clock } = bench();
      const meter = site.meters.find((one) => one.id === id);
      if (meter === undefined) throw new Error('no meter');
      const readings = await settle(open(meter.target).read('fast', 5_000));
      if (typeof readings === 'string') throw new Error(readings);
      const truth = world.truth(clock.monoMs());
      const trueW = meter.role === 'generation' ? truth.generationW : (truth.nodeW[meter.nodeIndex] ?? 0);
      const shownW = numberOf(readings['power.active.total']);
      expect(Math.abs((shownW ?? 0) / trueW - 1)).toBeLessThan(0.02);
    },
  );

  test.each(['r1-01', 'r3-01', 'r4-01', 'g1-01', 'g1-02'])('machine %s', async (id) => {
    const { open, settle, site, world, clock } = bench();
    const machine = site.machines.find((one) => one.id === id);
    if (machine === undefined) throw new Error('no machine');
    const device = open(machine.target);
    // The stream of a GPU host gives its first frame a moment after it was opened.
    await settle(device.read('fast', 10_000));
    await clock.advance(3_000);
    const readings = await settle(device.read('fast', 10_000));
    if (typeof readings === 'string') throw new Error(readings);
    const truth = world.truth(clock.monoMs());
    expect(readings['mode']).toMatchObject({ ok: true, value: truth.modes[machine.index] });
    expect(
      Math.abs((numberOf(readings['power']) ?? 0) / (truth.machineW[machine.index] ?? 0) - 1),
    ).toBeLessThan(0.08);
    device.close();
  });

  test('an Antminer put to sleep by its driver draws what it draws asleep', async () => {
    const { open, settle, site, world, clock } = bench();
    const machine = site.machines[0];
    if (machine === undefined) throw new Error('no machine');
    const asleep = await settle(
      open(machine.target).verbs.sleep?.(undefined, 10_000) ?? Promise.reject(new Error('no verb')),
    );
    expect(asleep).toBeUndefined();
    await clock.advance(60_000);
    const truth = world.truth(clock.monoMs());
    expect([truth.modes[0], truth.stateCalls[0]]).toEqual(['sleep', 1]);
    expect(truth.machineW[0]).toBeLessThan(100);
  });

  test('the utility’s terminal', async () => {
    const { settle, site, world, lines, clock } = bench();
    world.apply({ kind: 'utility-limit', limitKw: 700, deadlineS: 30, event: 'contracted' }, 0);
    const terminal = openUtilityTerminal(parseTarget(site.config.utility?.target ?? '', { env: {} }), {
      clock,
      lines,
    });
    expect(await settle(terminal.read(2_000))).toMatchObject({ limitKw: 700, deadlineS: 30, sequence: 1 });
  });

  test('the feeds', async () => {
    const { front, settle } = bench();
    const answer = await settle(
      front.http.request({
        method: 'GET',
        url: 'http://127.20.0.20:8190/price',
        timeoutMs: 1_000,
        maxBytes: 10_000,
      }),
    );
    if (typeof answer === 'string') throw new Error(answer);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
    const tight = {
      method: 'GET',
      url: 'http://127.20.0.20:8190/price',
      timeoutMs: 1_000,
      maxBytes: 10,
    } as const;
    expect(await settle(front.http.request(tight))).toBe('NET_OVERSIZE');
  });
});

describe('what can be wrong with the way to a host', () => {
  const request = new TextEncoder().encode('{"command":"summary"}');
  const options = { timeoutMs: 1_000, maxBytes: 100_000 };
  const miner = { host: '127.20.1.1', port: 4_028 };

  test.each<[string, HostFault, string]>([
    ['down', { down: true }, 'NET_TIMEOUT'],
    ['refused', { refused: true }, 'NET_REFUSED'],
    ['reset', { reset: true }, 'NET_RESET'],
    ['everything lost', { loss: 1 }, 'NET_TIMEOUT'],
    ['slower than the deadline', { delayMs: 2_000 }, 'NET_TIMEOUT'],
  ])('%s', async (_name, fault, code) => {
    const { front, faults, settle } = bench();
    faults.set(miner.host, fault);
    expect(await settle(front.net.exchange(miner, request, options))).toBe(code);
    expect(
      await settle(
        front.http.request({
          method: 'GET',
          url: 'http://127.20.1.1:8180/',
          timeoutMs: 1_000,
          maxBytes: 1_000,
        }),
      ),
    ).toBe(code);
    if (fault.loss === undefined && fault.delayMs === undefined)
      expect(await settle(front.net.open(miner, { timeoutMs: 1_000 }))).toBe(code);
    faults.clear();
    expect(await settle(front.net.exchange(miner, request, options))).toMatchObject({ ended: 'fin' });
  });

  test('nothing listens there', async () => {
    const { front, settle } = bench();
    expect(await settle(front.net.exchange({ host: '127.20.99.1', port: 1 }, request, options))).toBe(
      'NET_REFUSED',
    );
    expect(
      await settle(
        front.http.request({ method: 'GET', url: 'http://127.0.0.1:1/', timeoutMs: 1_000, maxBytes: 1 }),
      ),
    ).toBe('NET_REFUSED');
    const target = { host: '127.20.99.1', port: 1, user: 'a', keyFile: 'k', hostKey: 'h' };
    expect(await settle(front.remote.open(target, { timeoutMs: 1_000 }))).toBe('NET_REFUSED');
  });

  test('a rack whose switch is down, and up again', async () => {
    const { front, world, settle, clock } = bench();
    world.apply({ kind: 'rack-switch', rack: 'r1', up: false }, clock.monoMs());
    expect(await settle(front.net.exchange(miner, request, options))).toBe('NET_TIMEOUT');
    world.apply({ kind: 'rack-switch', rack: 'r1', up: true }, clock.monoMs());
    expect(await settle(front.net.exchange(miner, request, options))).toMatchObject({ ended: 'fin' });
  });

  test('an answer that never stops growing is cut', async () => {
    const clock = new VirtualClock({ startWallMs: START });
    const endless: StreamDevice = {
      respond: () => ({ kind: 'bytes', bytes: new Uint8Array(1_000), afterMs: 0, close: false, consumed: 1 }),
    };
    const front = makeMemoryFront({
      endpoints: [{ ...miner, kind: 'stream', device: endless }],
      clock,
      random: seededRandom(1),
    });
    let code = '';
    front.net
      .exchange(miner, new Uint8Array(5_000), { timeoutMs: 100, maxBytes: 50_000 })
      .catch((error: unknown) => {
        code = error instanceof Fault ? error.code : String(error);
      });
    await clock.advance(200);
    expect(code).toBe('NET_OVERSIZE');
  });
});

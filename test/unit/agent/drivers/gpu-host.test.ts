import { describe, expect, it } from 'vitest';
import { handoverProfile, unknownState } from '../../../../agent/core/handover-state.ts';
import type { GpuWanted } from '../../../../agent/core/handover-state.ts';
import { advance } from '../../../../agent/core/handover.ts';
import type { DeviceIo, Target } from '../../../../agent/driver.ts';
import { gpuHost, isGpuHost } from '../../../../agent/drivers/gpu-host.ts';
import type { GpuHostDevice } from '../../../../agent/drivers/gpu-host.ts';
import model from '../../../../config/models/gpu-8x-h100.json' with { type: 'json' };
import { gpuModelSchema } from '../../../../config/schema/model.ts';
import type { Http } from '../../../../host/deps.ts';
import { silentLog } from '../../../../host/log.ts';
import { seededRandom } from '../../../../host/random.ts';
import { VirtualClock } from '../../../../proof/virtual-clock.ts';
import { asFault, Fault } from '../../../../protocols/faults.ts';
import { numberOf } from '../../../../protocols/reading.ts';
import { GpuHost } from '../../../../simulator/devices/gpu-host.ts';
import { makeMemoryRemote } from '../../../../simulator/fronts/remote-memory.ts';
import type { ExecDevice } from '../../../../simulator/device.ts';

const gpuModel = gpuModelSchema.parse(model);
const PIN = `SHA256:${'A'.repeat(43)}`;

function targetOf(options: Readonly<Record<string, string>>): Target {
  const all = { key: '/k', hostKey: PIN, ...options };
  return {
    url: 'gpu://op@h1',
    scheme: 'gpu',
    host: 'h1',
    port: undefined,
    user: 'op',
    password: undefined,
    path: '',
    options: all,
  };
}

interface Bench {
  readonly clock: VirtualClock;
  readonly host: GpuHost;
  readonly device: GpuHostDevice;
  /** Runs a promise to its end in virtual time. */
  readonly settle: <T>(promise: Promise<T>) => Promise<T>;
}

function bench(
  options: Readonly<Record<string, string>> = {},
  wrap: (host: GpuHost) => ExecDevice = (host) => host,
): Bench {
  const clock = new VirtualClock({ startWallMs: 1_790_000_000_000 });
  const random = seededRandom(7);
  const host = new GpuHost({ id: 'g1', model: gpuModel, random, startMs: 0 });
  const http: Http = {
    async request(request) {
      const answer = host.respondHttp(
        { method: request.method, path: new URL(request.url).pathname, headers: {}, body: '' },
        clock.monoMs(),
      );
      if (answer.kind !== 'response') throw new Fault('NET_REFUSED');
      return { status: answer.status, headers: {}, body: new Uint8Array() };
    },
  };
  const io = {
    clock,
    random,
    http,
    log: silentLog,
    remote: makeMemoryRemote({ clock, find: () => wrap(host) }),
  } as Partial<DeviceIo> as DeviceIo;
  const units = { mine: 'miner.service', ai: 'ai.service', ...options };
  const device = gpuHost.open(targetOf(units), io);
  if (!isGpuHost(device)) throw new Error('not a GPU host');
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    const run = { open: true };
    const end = (): void => {
      run.open = false;
    };
    promise.then(end, end);
    for (let at = 0; run.open && at < 2_000; at += 1) await clock.advance(50);
    return promise;
  };
  return { clock, host, device, settle };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: unknown) => asFault(error).code,
  );
}

describe('reading a GPU host', () => {
  it('gives power, every GPU and the mode of an idle host', async () => {
    const { device, settle, host, clock } = bench({ hostW: '1102', hostFactor: '1.61' });
    const readings = await settle(device.read('full', 5_000));
    expect(readings['mode']).toMatchObject({ ok: true, value: 'idle' });
    expect(readings['power']).toMatchObject({ ok: true, unit: 'W', measured: false, quality: 'good' });
    expect(Math.abs((numberOf(readings['power']) ?? 0) - host.powerW(clock.monoMs()))).toBeLessThan(60);
    expect(readings['gpu.7.power']).toMatchObject({ ok: true, unit: 'W' });
    expect(numberOf(readings['gpu.0.powerLimit'])).toBe(700);
    expect(numberOf(readings['gpu.3.memoryUsed'])).toBe(0);
    expect(readings['gpu.0.utilization']).toMatchObject({ value: 0, unit: '%' });
    expect(Object.keys(readings)).toHaveLength(2 + 8 * 5);
    expect(await settle(device.identify(5_000))).toEqual({
      vendor: 'NVIDIA',
      model: '8x NVIDIA H100 80GB HBM3',
      firmware: '590.48.01',
    });
    device.close();
  });

  it('without declared host draw the sum of GPUs is uncertain', async () => {
    const { device, settle } = bench();
    const readings = await settle(device.read('fast', 5_000));
    expect(Object.keys(readings).sort()).toEqual(['mode', 'power']);
    expect(readings['power']).toMatchObject({ quality: 'uncertain', measured: false });
    expect(Math.abs((numberOf(readings['power']) ?? 0) - 560)).toBeLessThan(20);
  });

  it('tells mining from AI, and neither while units and processes contradict each other', async () => {
    const { device, settle, host, clock } = bench();
    host.mine.start(clock.monoMs());
    await clock.advance(1_000);
    expect((await settle(device.read('fast', 5_000)))['mode']).toMatchObject({ ok: false });
    await clock.advance(20_000);
    expect((await settle(device.read('fast', 5_000)))['mode']).toMatchObject({ value: 'mine' });
    host.ai.start(clock.monoMs());
    await clock.advance(20_000);
    expect((await settle(device.read('fast', 5_000)))['mode']).toMatchObject({ ok: false });
    host.mine.stop(clock.monoMs());
    await clock.advance(20_000);
    expect((await settle(device.read('fast', 5_000)))['mode']).toMatchObject({ value: 'ai' });
    expect(host.doubleOwnership).toBe(1);
  });

  it('calls telemetry stale after 5 s of silence and recovers when it comes back', async () => {
    const { device, settle, host, clock } = bench();
    await settle(device.read('full', 5_000));
    host.misbehaviour = 'wedged';
    await clock.advance(6_000);
    const stale = await settle(device.read('full', 2_000)).catch((error: unknown) => asFault(error).code);
    expect(stale).toBe('GPU_TELEMETRY_LOST');
    const seen = await settle(device.observe(2_000));
    expect(seen).toMatchObject({
      units: { mine: 'inactive', ai: 'inactive' },
      processes: undefined,
      powerW: undefined,
      memoryUsedMib: undefined,
    });
    await clock.advance(60_000);
    host.misbehaviour = 'none';
    await clock.advance(70_000);
    expect((await settle(device.read('full', 5_000)))['gpu.0.power']).toMatchObject({ ok: true });
  });

  it('a dead host rejects, and observing it says unknown', async () => {
    const { device, settle, host } = bench();
    host.misbehaviour = 'dead';
    expect(await settle(codeOf(device.read('fast', 2_000)))).toBe('NET_TIMEOUT');
    expect((await settle(device.observe(2_000))).units).toEqual({ mine: 'unknown', ai: 'unknown' });
  });

  it('a GPU lost from the list is missing, and so is the sum; the others stay', async () => {
    const lost = { on: false };
    const { device, settle, clock } = bench({}, (host) => ({
      exec(command, nowMs) {
        const answer = host.exec(command, nowMs);
        if (answer.kind !== 'stream') return answer;
        const broken = 'Unable to determine the device handle for GPU0000:3B:00.0: GPU is lost.';
        return {
          ...answer,
          lines: (at) => answer.lines(at).map((line) => (lost.on && line.startsWith('3,') ? broken : line)),
        };
      },
    }));
    await settle(device.read('full', 5_000));
    lost.on = true;
    await clock.advance(40_000);
    const readings = await settle(device.read('full', 5_000));
    expect(readings['gpu.3.power']).toMatchObject({ ok: false, why: 'VALUE_MISSING' });
    expect(readings['gpu.4.power']).toMatchObject({ ok: true });
    expect(readings['power']).toMatchObject({ ok: false });
  });

  it('names a process of neither unit as foreign', async () => {
    const { device, settle, host } = bench();
    host.tenant = true;
    expect((await settle(device.observe(5_000))).processes).toEqual({ mine: 0, ai: 0, other: 1 });
  });

  it('asks only fields the driver knows, and the plain ones when it tells none', async () => {
    const asked: string[] = [];
    const { device, settle } = bench({}, (host) => ({
      exec(command, nowMs) {
        asked.push(command);
        if (command.includes('--help-query-gpu'))
          return { kind: 'result', code: 1, stdout: 'what?', stderr: '', afterMs: 5 };
        return host.exec(command, nowMs);
      },
    }));
    expect((await settle(device.read('full', 5_000)))['gpu.0.power']).toMatchObject({ ok: true });
    expect(asked.find((command) => command.includes('--loop-ms'))).not.toContain('instant');
  });
});

describe('commanding a GPU host', () => {
  it('caps every GPU and believes only the enforced limit', async () => {
    const { device, settle, host } = bench();
    await settle(device.verbs.cap?.(400, 5_000) ?? Promise.reject(new Error('no cap')));
    expect([0, 7].map((gpu) => host.power.capW(gpu))).toEqual([400, 400]);
    expect(await settle(codeOf(device.verbs.cap?.(900, 5_000) ?? Promise.resolve()))).toBe('VERB_REFUSED');
    expect(await settle(codeOf(device.verbs.cap?.(undefined, 5_000) ?? Promise.resolve()))).toBe(
      'VERB_REFUSED',
    );
    host.misbehaviour = 'ignores';
    expect(await settle(codeOf(device.verbs.cap?.(300, 5_000) ?? Promise.resolve()))).toBe(
      'VERB_NOT_OBSERVED',
    );
  });

  it('starts, stops and sleeps by units; has no verbs for units it has not', async () => {
    const { device, settle, host, clock } = bench();
    await settle(device.verbs['mine-start']?.(undefined, 5_000) ?? Promise.resolve());
    await clock.advance(15_000);
    expect(host.workload(clock.monoMs())).toBe('mine');
    await settle(device.verbs.sleep?.(undefined, 5_000) ?? Promise.resolve());
    await clock.advance(30_000);
    expect(host.workload(clock.monoMs())).toBe('idle');
    expect(device.verbs.wake).toBeUndefined();
    const bare = bench({ mine: 'miner.service', ai: 'other.service' });
    expect(
      await bare.settle(codeOf(bare.device.verbs['ai-start']?.(undefined, 5_000) ?? Promise.resolve())),
    ).toBe('REMOTE_FAILED');
  });

  it('refuses a start while the other owner shows or cannot be seen', async () => {
    const { device, settle, host, clock } = bench();
    host.mine.start(clock.monoMs());
    await clock.advance(15_000);
    expect(await settle(codeOf(device.verbs['ai-start']?.(undefined, 5_000) ?? Promise.resolve()))).toBe(
      'GPU_NOT_RELEASED',
    );
    host.misbehaviour = 'wedged';
    expect(await settle(codeOf(device.verbs['ai-start']?.(undefined, 5_000) ?? Promise.resolve()))).toBe(
      'GPU_NOT_RELEASED',
    );
  });

  it.each([
    ['no key', { key: '' }],
    ['no pin', { hostKey: 'SHA256:short' }],
    ['an option nobody knows', { colour: 'red' }],
    ['a unit name with a space', { mine: 'a b' }],
    ['a unit name that is an option', { mine: '--now' }],
    ['one unit for both', { mine: 'x.service', ai: 'x.service' }],
    ['a health page that is none', { aiHealth: 'file:///etc/passwd' }],
    ['a host draw that is none', { hostW: '-1' }],
  ])('refuses a target with %s', (_name, options) => {
    const { key, ...rest } = { key: '/k', hostKey: PIN, ...options };
    const target = { ...targetOf({}), options: key === '' ? rest : { key, ...rest } };
    expect(() => gpuHost.open(target, {} as DeviceIo)).toThrow(
      expect.objectContaining({ code: 'TARGET_INVALID' }),
    );
  });
});

/** The hand-over, the driver and a simulated host together, every 2 s of virtual time. */
async function drive(at: Bench, wanted: (nowMs: number) => GpuWanted, forMs: number): Promise<string[]> {
  const profile = handoverProfile(gpuModel, { drainMs: 4_000, stopMineMs: 60_000 });
  const names: string[] = [];
  let state = unknownState(at.clock.monoMs());
  const untilMs = at.clock.monoMs() + forMs;
  while (at.clock.monoMs() < untilMs) {
    const seen = await at.settle(at.device.observe(4_000));
    const result = advance(state, seen, wanted(at.clock.monoMs()), at.clock.monoMs(), profile);
    state = result.state;
    if (names.at(-1) !== state.name) names.push(state.name);
    for (const step of result.steps) {
      if (step.kind !== 'start' && step.kind !== 'stop') continue;
      const verb = at.device.verbs[`${step.unit}-${step.kind}`];
      await at.settle(codeOf(verb?.(undefined, 4_000) ?? Promise.resolve()));
    }
    await at.clock.advance(2_000);
  }
  return names;
}

describe('hand-over on a simulated host', () => {
  it('mines, hands over to AI once it serves, and back, with never two owners', async () => {
    const at = bench({ aiHealth: 'http://h1:8000/health' });
    const names = await drive(
      at,
      (nowMs) => (nowMs < 60_000 ? 'mine' : nowMs < 200_000 ? 'ai' : 'mine'),
      300_000,
    );
    expect(names).toEqual([
      'UNKNOWN',
      'IDLE',
      'STARTING_MINING',
      'MINING',
      'STOPPING_MINING',
      'STARTING_AI',
      'AI_RUNNING',
      'AI_DRAINING',
      'AI_STOPPING',
      'STARTING_MINING',
      'MINING',
    ]);
    expect(at.host.doubleOwnership).toBe(0);
  });

  it('stops at a fault when memory stays taken', async () => {
    const at = bench();
    const names = await drive(
      at,
      (nowMs) => {
        if (nowMs > 60_000) at.host.misbehaviour = 'holds-memory';
        return nowMs < 70_000 ? 'mine' : 'ai';
      },
      200_000,
    );
    expect(names.at(-1)).toBe('FAULT');
    expect(at.host.workload(at.clock.monoMs())).toBe('idle');
    expect(at.host.doubleOwnership).toBe(0);
  });

  it('starts nothing on a host whose GPU driver hangs', async () => {
    const at = bench();
    at.host.misbehaviour = 'wedged';
    expect(await drive(at, () => 'mine', 60_000)).toEqual(['UNKNOWN']);
  });
});

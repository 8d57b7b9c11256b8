import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DeviceIo, Target } from '../../agent/driver.ts';
import { gpuHost, isGpuHost } from '../../agent/drivers/gpu-host.ts';
import type { GpuHostDevice } from '../../agent/drivers/gpu-host.ts';
import model from '../../config/models/gpu-8x-a100.json' with { type: 'json' };
import { gpuModelSchema } from '../../config/schema/model.ts';
import { realClock } from '../../host/clock.ts';
import type { RemoteTarget } from '../../host/deps.ts';
import { silentLog } from '../../host/log.ts';
import { seededRandom } from '../../host/random.ts';
import { makeRemote } from '../../host/remote.ts';
import { asFault } from '../../protocols/faults.ts';
import { numberOf } from '../../protocols/reading.ts';
import { GpuHost } from '../../simulator/devices/gpu-host.ts';
import { serveSsh } from '../../simulator/fronts/ssh.ts';
import { hasSshd, makeFolder, makeStandIns, readText, startSshd } from './gpu-rigs.ts';
import type { Folder, RealSshd } from './gpu-rigs.ts';

let folder: Folder;
const opened: GpuHostDevice[] = [];

function open(remoteTarget: RemoteTarget, changes: Readonly<Record<string, string>> = {}): GpuHostDevice {
  const io = {
    clock: realClock,
    random: seededRandom(1),
    remote: makeRemote({ clock: realClock, readFile: readText }),
    log: silentLog,
  } as Partial<DeviceIo> as DeviceIo;
  const target: Target = {
    url: `gpu://${remoteTarget.user}@${remoteTarget.host}:${remoteTarget.port}`,
    scheme: 'gpu',
    host: remoteTarget.host,
    port: remoteTarget.port,
    user: remoteTarget.user,
    password: undefined,
    path: '',
    options: {
      key: remoteTarget.keyFile,
      hostKey: remoteTarget.hostKey,
      mine: 'miner.service',
      ai: 'ai.service',
      ...changes,
    },
  };
  const device = gpuHost.open(target, io);
  if (!isGpuHost(device)) throw new Error('not a GPU host');
  opened.push(device);
  return device;
}

const BUDGET_MS = 20_000;

async function codeOf(promise: Promise<unknown> | undefined): Promise<string> {
  if (promise === undefined) return 'no such verb';
  return promise.then(
    () => 'none',
    (error: unknown) => asFault(error).code,
  );
}

beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(async () => {
  for (const device of opened) device.close();
  await folder.remove();
});

describe('driver against the simulated host over SSH', () => {
  it('reads, caps, starts, refuses the other start, stops, and survives the loss of the link', async () => {
    const fast = {
      activateMs: 10,
      processMs: 20,
      loadMs: 40,
      drainMs: 40,
      lingerProcessMs: 10,
      lingerMemoryMs: 20,
    };
    const gpuModel = gpuModelSchema.parse(model);
    const random = seededRandom(3);
    const startMs = realClock.monoMs();
    const host = new GpuHost({ id: 'g', model: gpuModel, random, startMs, mineTimes: fast, aiTimes: fast });
    const options = {
      clock: realClock,
      hostKey: folder.hostKeys.privateKey,
      authorizedKey: folder.keys.publicKey,
    };
    const front = await serveSsh([{ host: '127.0.0.1', port: 0, kind: 'ssh', device: host }], options);
    const port = front.ports[0] ?? 0;
    const pin = folder.hostKeys.fingerprint;
    const device = open({ host: '127.0.0.1', port, user: 'op', keyFile: folder.keyFile, hostKey: pin });
    const before = await device.read('full', BUDGET_MS);
    expect(before['mode']).toMatchObject({ ok: true, value: 'idle' });
    expect(numberOf(before['gpu.7.powerLimit'])).toBe(400);
    expect(await codeOf(device.verbs.cap?.(250, BUDGET_MS))).toBe('none');
    expect(host.power.capW(7)).toBe(250);
    expect(await codeOf(device.verbs['mine-start']?.(undefined, BUDGET_MS))).toBe('none');
    await expect
      .poll(async () => (await device.read('fast', BUDGET_MS))['mode'], { timeout: 10_000 })
      .toMatchObject({ value: 'mine' });
    expect(await codeOf(device.verbs['ai-start']?.(undefined, BUDGET_MS))).toBe('GPU_NOT_RELEASED');
    expect(await codeOf(device.verbs.sleep?.(undefined, BUDGET_MS))).toBe('none');
    await expect
      .poll(async () => (await device.read('fast', BUDGET_MS))['mode'], { timeout: 10_000 })
      .toMatchObject({ value: 'idle' });
    await front.close();
    expect(['NET_REFUSED', 'NET_RESET']).toContain(await codeOf(device.read('fast', 3_000)));
    const again = await serveSsh([{ host: '127.0.0.1', port, kind: 'ssh', device: host }], options);
    await expect
      .poll(() => codeOf(device.read('fast', BUDGET_MS)), { timeout: 10_000, interval: 200 })
      .toBe('none');
    device.close();
    await again.close();
    expect(host.doubleOwnership).toBe(0);
  });
});

describe('driver against a real OpenSSH server with stand-in tools', () => {
  const must = process.env['CI'] === 'true';
  if (!hasSshd && !must) console.log('skipped: /usr/sbin/sshd is not installed');
  let sshd: RealSshd | undefined;
  afterAll(() => sshd?.close());

  it.skipIf(!hasSshd && !must)('reads, caps, starts and stops; leaves no loop behind', async () => {
    sshd = await startSshd(folder);
    const device = open(sshd.target, { hostW: '800', hostFactor: '1.5' });
    const idle = await device.read('full', BUDGET_MS);
    expect(idle['mode']).toMatchObject({ ok: true, value: 'idle' });
    // Instant power is [N/A] on this host: the plain figure stands in for it.
    expect(numberOf(idle['power'])).toBeCloseTo(800 + 1.5 * 2 * 69.62, 3);
    expect(await device.identify(BUDGET_MS)).toEqual({
      vendor: 'NVIDIA',
      model: '2x NVIDIA H100 80GB HBM3',
      firmware: '590.48.01',
    });
    expect(await codeOf(device.verbs.cap?.(350, BUDGET_MS))).toBe('none');
    expect((await readFile(join(sshd.state, 'limit.1'), 'utf8')).trim()).toBe('350.00');
    expect(await codeOf(device.verbs['ai-start']?.(undefined, BUDGET_MS))).toBe('none');
    expect((await device.observe(BUDGET_MS)).processes).toEqual({ mine: 0, ai: 1, other: 0 });
    const ai = await device.read('fast', BUDGET_MS);
    expect(ai['mode']).toMatchObject({ ok: true, value: 'ai' });
    expect(await codeOf(device.verbs['mine-start']?.(undefined, BUDGET_MS))).toBe('GPU_NOT_RELEASED');
    expect(await codeOf(device.verbs['ai-stop']?.(undefined, BUDGET_MS))).toBe('none');
    expect((await device.read('fast', BUDGET_MS))['mode']).toMatchObject({ ok: true, value: 'idle' });
    const loop = (await readFile(join(sshd.state, 'loop.pid'), 'utf8')).trim();
    expect(existsSync(`/proc/${loop}`)).toBe(true);
    device.close();
    await expect.poll(() => existsSync(`/proc/${loop}`), { timeout: 10_000 }).toBe(false);
  });
});

describe('driver on this very machine', () => {
  const path = process.env['PATH'];
  afterAll(() => {
    process.env['PATH'] = path;
    delete process.env['GPU_STATE'];
  });

  it('reads, starts and stops through local commands, and ends its loop', async () => {
    const own = await makeFolder();
    const { bin, state } = await makeStandIns(own);
    process.env['PATH'] = `${bin}:${path ?? ''}`;
    process.env['GPU_STATE'] = state;
    const device = open({ host: 'local', port: 22, user: '', keyFile: '', hostKey: '' });
    expect((await device.read('full', BUDGET_MS))['gpu.1.power']).toMatchObject({ ok: true, value: 69.62 });
    expect(await codeOf(device.verbs['ai-start']?.(undefined, BUDGET_MS))).toBe('none');
    expect((await device.read('fast', BUDGET_MS))['mode']).toMatchObject({ value: 'ai' });
    expect(await codeOf(device.verbs.sleep?.(undefined, BUDGET_MS))).toBe('none');
    expect((await device.read('fast', BUDGET_MS))['mode']).toMatchObject({ value: 'idle' });
    const loop = (await readFile(join(state, 'loop.pid'), 'utf8')).trim();
    device.close();
    await expect.poll(() => existsSync(`/proc/${loop}`), { timeout: 10_000 }).toBe(false);
    await own.remove();
  });
});

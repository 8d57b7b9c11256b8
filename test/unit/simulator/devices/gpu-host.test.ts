import { describe, expect, it } from 'vitest';
import a100 from '../../../../config/models/gpu-8x-a100.json' with { type: 'json' };
import h100 from '../../../../config/models/gpu-8x-h100.json' with { type: 'json' };
import { gpuModelSchema } from '../../../../config/schema/model.ts';
import { seededRandom } from '../../../../host/random.ts';
import type { ExecAnswer } from '../../../../simulator/device.ts';
import { GpuHost } from '../../../../simulator/devices/gpu-host.ts';

const models = [gpuModelSchema.parse(h100), gpuModelSchema.parse(a100)] as const;

function hostOf(model = models[0]): GpuHost {
  return new GpuHost({ id: 'g', model, random: seededRandom(1), startMs: 0 });
}

function output(answer: ExecAnswer): string {
  return answer.kind === 'result' ? answer.stdout : answer.kind;
}

describe.each(models)('power of $id', (model) => {
  it('settles where the model says for idle, mining and AI', () => {
    const host = hostOf(model);
    expect(host.powerW(1_000) / model.idleW).toBeCloseTo(1, 1);
    host.mine.start(2_000);
    expect(host.powerW(90_000) / model.mineW).toBeCloseTo(1, 1);
    host.mine.stop(90_000);
    host.ai.start(110_000);
    expect(host.powerW(260_000) / model.aiW).toBeCloseTo(1, 1);
    expect(host.powerW(270_000)).toBeLessThan(model.ratedW);
  });

  it('ramps over seconds, and a cap binds within one', () => {
    const host = hostOf(model);
    host.ai.start(0);
    const soon = host.powerW(36_000);
    expect(soon).toBeLessThan(model.aiW * 0.7);
    const full = host.powerW(120_000);
    for (let gpu = 0; gpu < model.gpus; gpu += 1) host.power.setCap(gpu, model.capMinW, 120_000);
    expect(host.power.gpuPowerW(0, 121_500)).toBeLessThanOrEqual(model.capMinW * 1.02);
    expect(host.powerW(150_000)).toBeLessThan(full * 0.75);
  });

  it('is the same for the same seed, however often it is asked', () => {
    const [often, seldom] = [hostOf(model), hostOf(model)];
    for (const host of [often, seldom]) host.mine.start(500);
    for (let at = 0; at < 60_000; at += 250) often.powerW(at);
    expect(often.powerW(60_000)).toBe(seldom.powerW(60_000));
  });
});

describe('what its shell shows', () => {
  it('answers queries as nvidia-smi prints them', () => {
    const host = hostOf();
    const query = 'nvidia-smi --query-gpu=index,power.limit,fan.speed --format=csv';
    expect(output(host.exec(`${query},noheader,nounits -i 2`, 0))).toBe('2, 700.00, [N/A]\n');
    expect(output(host.exec(`${query} -i 2`, 0))).toBe(
      'index, power.limit [W], fan.speed [%]\n2, 700.00 W, [N/A]\n',
    );
    expect(host.exec('nvidia-smi --query-gpu=index,nonsense --format=csv', 0)).toMatchObject({ code: 2 });
    expect(host.exec('nvidia-smi --query-gpu=constructor --format=csv', 0)).toMatchObject({ code: 2 });
    expect(output(host.exec('nvidia-smi --help-query-gpu', 0))).toContain('"uuid" or "gpu_uuid"');
    expect(host.exec('rm -rf /', 0)).toMatchObject({ code: 127 });
  });

  it('prints a round of all GPUs in the loop', () => {
    const answer = hostOf().exec(
      'nvidia-smi --query-gpu=index --format=csv,noheader,nounits --loop-ms=1000',
      0,
    );
    expect(answer).toMatchObject({ kind: 'stream', everyMs: 1_000 });
    if (answer.kind === 'stream')
      expect(answer.lines(5_000)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
  });

  it('refuses a limit out of range and sets the others', () => {
    const host = hostOf();
    expect(host.exec('nvidia-smi -i 1 -pl 100', 0)).toMatchObject({ code: 1 });
    expect(output(host.exec('sudo -n nvidia-smi -i 1 -pl 300', 0))).toContain(
      'was set to 300.00 W from 700.00 W',
    );
    expect(host.power.capW(1)).toBe(300);
    expect(host.power.capW(0)).toBe(700);
  });
});

describe('its units', () => {
  const state = (host: GpuHost, unit: string, nowMs: number): string =>
    output(host.exec(`systemctl is-active ${unit}`, nowMs)).trim();
  const apps = (host: GpuHost, nowMs: number): number =>
    output(host.exec('nvidia-smi --query-compute-apps=pid --format=csv,noheader', nowMs))
      .split('\n')
      .filter(Boolean).length;

  it('take time to start, drain and let go', () => {
    const host = hostOf();
    host.exec('systemctl start ai.service --no-block', 0);
    expect(state(host, 'ai.service', 1_000)).toBe('activating');
    expect([state(host, 'ai', 2_000), apps(host, 2_000)]).toEqual(['active', 0]);
    expect(apps(host, 5_000)).toBe(8);
    const stop = host.exec('systemctl stop ai.service', 60_000);
    expect(stop).toMatchObject({ code: 0, afterMs: 8_015 });
    expect(state(host, 'ai.service', 63_000)).toBe('deactivating');
    expect([state(host, 'ai.service', 69_000), apps(host, 69_000)]).toEqual(['inactive', 8]);
    expect([apps(host, 71_000), host.memoryMib(0) > 0]).toEqual([0, true]);
    host.advance(73_000);
    expect(host.memoryMib(0)).toBe(0);
  });

  it('count two owners at once, and belong to control groups', () => {
    const host = hostOf();
    host.exec('systemctl start ai.service', 0);
    host.exec('systemctl start miner.service', 0);
    host.advance(30_000);
    expect(host.doubleOwnership).toBe(1);
    expect(apps(host, 30_000)).toBe(16);
    const groups = host.exec(`grep -H -s . /proc/${host.mine.pid}/cgroup /proc/1/cgroup`, 30_000);
    expect(groups).toMatchObject({
      code: 2,
      stdout: `/proc/${host.mine.pid}/cgroup:0::/system.slice/miner.service\n`,
    });
    expect(host.exec('systemctl start nothing.service', 30_000)).toMatchObject({ code: 5 });
  });

  it('misbehave as told', () => {
    const host = hostOf();
    host.misbehaviour = 'ignores';
    expect(host.exec('systemctl start ai.service', 0)).toMatchObject({ code: 0 });
    expect(state(host, 'ai.service', 10_000)).toBe('inactive');
    host.misbehaviour = 'wedged';
    expect(host.exec('nvidia-smi -L', 10_000).kind).toBe('silence');
    expect(state(host, 'ai.service', 10_000)).toBe('inactive');
    host.misbehaviour = 'dead';
    expect(host.exec('systemctl is-active ai.service', 10_000).kind).toBe('silence');
    expect(host.respondHttp({ method: 'GET', path: '/health', headers: {}, body: '' }, 10_000).kind).toBe(
      'silence',
    );
  });

  it('hold memory for good when told so', () => {
    const host = hostOf();
    host.mine.start(0);
    host.advance(20_000);
    host.misbehaviour = 'holds-memory';
    host.mine.stop(20_000);
    host.advance(200_000);
    expect([host.memoryMib(0), host.processes().length]).toEqual([9_400, 0]);
  });

  it('serve a health page once loaded', () => {
    const host = hostOf();
    const ask = (nowMs: number): unknown =>
      host.respondHttp({ method: 'GET', path: '/health', headers: {}, body: '' }, nowMs);
    expect(ask(0)).toMatchObject({ kind: 'reset' });
    host.ai.start(0);
    expect(ask(10_000)).toMatchObject({ status: 503 });
    expect(ask(40_000)).toMatchObject({ status: 200 });
  });
});

/** The driver and the simulated device of VNish together: what the firmware's words really do. */
import { describe, expect, test } from 'vitest';
import type { Verb } from '../../../../agent/driver.ts';
import { actAndVerify } from '../../../../agent/verify.ts';
import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import { SimulatedVnish } from '../../../../simulator/devices/vnish.ts';
import type { VnishOptions } from '../../../../simulator/devices/vnish.ts';
import { codeOf, makeBench } from './miner-bench.ts';

const URL_PLAIN = 'vnish://10.0.0.1';
const URL_PASSWORD = `${URL_PLAIN}?passwordEnv=P`;

function standing(options: Partial<VnishOptions> = {}) {
  const model = loadModel('antminer-s19-vnish');
  if (model.kind !== 'asic') throw new Error(model.id);
  const random = seededRandom(1);
  const miner = new SimulatedVnish({
    id: 'm1',
    model,
    random,
    startMs: -1e8,
    password: 'secret',
    ...options,
  });
  const bench = makeBench(miner.endpoints({ host: '10.0.0.1', api: 4028, http: 80 }));
  const device = bench.device(URL_PASSWORD);
  const tell = (verb: Verb, argument?: number): Promise<string> =>
    codeOf(bench.run(device.verbs[verb]?.(argument, 5_000) ?? Promise.reject(new Error(verb))));
  const post = (path: string, body: string): void => {
    const ask = (to: string, text: string, headers: Readonly<Record<string, string>>): string => {
      const answer = miner.respondHttp(
        { method: 'POST', path: `/api/v1/${to}`, headers, body: text },
        bench.clock.monoMs(),
      );
      return answer.kind === 'response' ? answer.body : '';
    };
    const token = /"token":"(\w+)"/.exec(ask('unlock', '{"pw":"secret"}', {}))?.[1] ?? '';
    ask(path, body, { authorization: token });
  };
  return { bench, miner, device, tell, post };
}

describe('what it really does', () => {
  test('a build that shows nothing to strangers is read with the password', async () => {
    const bench = standing({ guarded: true });
    expect((await bench.bench.run(bench.device.read('full', 1_000)))['mode']).toMatchObject({
      value: 'mine',
    });
    expect(bench.miner.unlocks).toBe(1);
    const stranger = bench.bench.device(URL_PLAIN);
    expect(stranger.verbs).toEqual({});
    expect(await codeOf(bench.bench.run(stranger.read('fast', 1_000)))).toBe('AUTH_FAILED');
  });

  test('told twice, or paused by somebody else: done all the same', async () => {
    const { miner, tell, post } = standing();
    expect([await tell('sleep'), await tell('sleep'), miner.power.mining]).toEqual([
      'resolved',
      'resolved',
      false,
    ]);
    expect([await tell('wake'), await tell('wake'), miner.power.mining]).toEqual([
      'resolved',
      'resolved',
      true,
    ]);
    post('mining/pause', '');
    expect(miner.power.mining).toBe(false);
    expect([await tell('wake'), miner.power.mining]).toEqual(['resolved', true]);
  });

  test('a preset that waits for a new start gets one, once; a machine at rest is not woken by it', async () => {
    const { bench, miner, device, tell } = standing({ restarts: true });
    const wait = { clock: bench.clock, timeoutMs: 900_000, pollMs: 5_000 };
    const limited = await bench.run(actAndVerify(device, 'power-limit', 2_400, wait));
    expect([limited.stage, miner.settings()['powerLimit'], miner.changes]).toEqual(['observed', 2_350, 2]);
    expect([await tell('power-limit', 2_400), miner.changes]).toEqual(['resolved', 2]);
    await tell('sleep');
    expect([await tell('power-limit', 1_500), miner.power.mining]).toEqual(['resolved', false]);
    expect((await bench.run(device.read('full', 5_000)))['power.limit']).toMatchObject({ value: 2_350 });
    await tell('wake');
    await bench.clock.advance(600_000);
    const readings = await bench.run(device.read('full', 5_000));
    expect(readings['power.limit']).toMatchObject({ value: 1_500 });
    expect(readings['power']?.ok === true && Number(readings['power'].value)).toBeLessThan(1_600);
  });

  test('the answer to a change that came to nothing is the same: it is found out', async () => {
    const { bench, miner, device } = standing();
    miner.fault = 'ignores';
    const limit = device.verbs['power-limit']?.(1_500, 5_000) ?? Promise.resolve();
    await expect(bench.run(limit)).rejects.toThrow(/VERB_NOT_OBSERVED.*1500.*3200/u);
  });

  test('a preset that was never tuned is tuned by its machine first; we never choose one', async () => {
    const { bench, miner, device, tell, post } = standing();
    expect(await tell('power-limit', 1_300)).toBe('resolved');
    expect(miner.settings()['powerLimit']).toBe(1_100);
    post('settings', '{"miner":{"overclock":{"preset":"1300"}}}');
    await bench.clock.advance(100_000);
    expect((await bench.run(device.read('fast', 5_000)))['mode']).toMatchObject({ value: 'mine' });
    // What somebody sent of the object alone has thrown the rest of it back.
    expect(miner.settings()['overclock']).toContain('"freq":675');
    await bench.clock.advance(1_800_000);
    await bench.run(device.read('fast', 5_000));
    expect(miner.presets.find(({ name }) => name === '1300')?.status).toBe('tuned');
  });

  test('from 1.3 on it can be throttled by others, and shows it', async () => {
    const { bench, miner, post } = standing();
    post('mining/throttle', '{"percent":50}');
    expect(miner.settings()['percent']).toBe(100);
    const newer = standing({ version: '1.3.3' });
    newer.post('mining/throttle', '{"percent":50}');
    await newer.bench.clock.advance(100_000);
    expect(newer.miner.powerW(newer.bench.clock.monoMs())).toBeLessThan(1_700);
    expect(miner.powerW(bench.clock.monoMs())).toBeGreaterThan(3_000);
  });
});

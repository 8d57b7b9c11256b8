import { expect, test } from 'vitest';
import type { DeviceIo } from '../../../../agent/driver.ts';
import { openDevice, parseTarget } from '../../../../agent/target.ts';
import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import { SimulatedLuxos } from '../../../../simulator/devices/luxos.ts';
import { api, makeBench } from './miner-bench.ts';

test('LuxOS is asked one thing at a time, whoever asks', async () => {
  const model = loadModel('antminer-s19k-pro-luxos');
  if (model.kind !== 'asic') throw new Error(model.id);
  const random = seededRandom(1);
  const miner = new SimulatedLuxos({ id: 'm', model, random, startMs: -1e6, password: '', answerMs: 50 });
  let open = 0;
  const bench = makeBench([api(miner)]);
  let most = 0;
  const net: DeviceIo['net'] = {
    ...bench.io.net,
    exchange: async (...asked) => {
      open += 1;
      most = Math.max(most, open);
      return bench.io.net.exchange(...asked).finally(() => (open -= 1));
    },
  };
  const io = Object.create(bench.io, { net: { value: net } }) as DeviceIo;
  const device = openDevice(parseTarget('luxos://10.0.0.1', { env: {} }), io);
  const [full, fast] = [device.read('full', 5_000), device.read('fast', 5_000)];
  const all = [
    full,
    fast,
    device.identify(5_000),
    device.verbs.locate?.(1, 5_000) ?? Promise.resolve(),
  ] as const;
  const [readings] = await bench.run(Promise.all(all));
  expect([readings['mode'], most]).toMatchObject([{ value: 'mine' }, 1]);
});

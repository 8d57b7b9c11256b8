import { MODELS } from '../../config/models.ts';
import { realClock } from '../../host/clock.ts';
import { seededRandom } from '../../host/random.ts';
import { decodeRequest, encodeRead } from '../../protocols/modbus/serve.ts';
import type { StreamDevice } from '../../simulator/device.ts';
import { SimulatedAntminer } from '../../simulator/devices/antminer.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';

/** The other side of the device benches, in a process of its own so that its CPU time is not counted. */
const [minerPort = 0, modbusPort = 0] = process.argv.slice(2).map(Number);
const model = [...MODELS.values()].find((one) => one.id === 'antminer-s21');
if (model?.kind !== 'asic') throw new Error('the model of the bench is gone');
const host = '127.0.0.1';
const miner = new SimulatedAntminer({
  id: 'bench',
  model,
  random: seededRandom(1),
  startMs: 0,
  password: 'root',
  answerMs: 0,
});
const words = Uint16Array.from({ length: 128 }, (_, index) => index * 257);
const registers: StreamDevice = {
  respond: (bytes) => {
    const asked = decodeRequest('tcp', bytes);
    if (asked.kind === 'wait') return { kind: 'wait' };
    if (asked.kind !== 'request' || asked.request.kind !== 'read') return { kind: 'reset' };
    const answer = encodeRead('tcp', asked.transaction, asked.request, words);
    return { kind: 'bytes', bytes: answer, afterMs: 0, close: false, consumed: asked.consumed };
  },
};
await serveEndpoints(
  [
    { kind: 'stream', host, port: minerPort, device: miner },
    { kind: 'stream', host, port: modbusPort, device: registers },
  ],
  { clock: realClock },
);
process.send?.('ready');

/** Simulated miners on loopback sockets, in real time, and drivers for what others serve. */
import type { Device } from '../../agent/driver.ts';
import { openDevice, parseTarget } from '../../agent/target.ts';
import { loadModel } from '../../config/models.ts';
import { realClock } from '../../host/clock.ts';
import { makeHttp } from '../../host/http.ts';
import { seededRandom } from '../../host/random.ts';
import type { SimulatedMiner } from '../../simulator/devices/miner.ts';
import type { MinerOptions } from '../../simulator/devices/miner-body.ts';
import { serveEndpoints } from '../../simulator/fronts/socket.ts';
import { opened, wireIo } from './modbus-rigs.ts';

/** Where one listens: its API, and its page on the port behind it. */
export interface MinerHost {
  readonly host: string;
  readonly port: number;
  readonly password: string;
}

/** Serves a simulated miner of that model until `closeAll`. */
export async function serveMiner<Miner extends SimulatedMiner>(
  { host, port, password }: MinerHost,
  id: string,
  make: (options: MinerOptions) => Miner,
): Promise<Miner> {
  const model = loadModel(id);
  if (model.kind !== 'asic') throw new Error(id);
  const startMs = realClock.monoMs() - 1e8;
  const miner = make({ id: 'm1', model, random: seededRandom(7), startMs, password });
  const server = await serveEndpoints(miner.endpoints({ host, api: port, http: port + 1 }), {
    clock: realClock,
  });
  opened.push(() => server.close());
  return miner;
}

/** The driver for that target, whose password stands in `P`. */
export function openMiner(url: string, password: string): Device {
  return openDevice(parseTarget(url, { env: { P: password } }), { ...wireIo(), http: makeHttp(realClock) });
}

/** The readings in full, as `[value, unit]`, or why there is none. */
export async function readShortly(device: Device): Promise<Record<string, unknown>> {
  const readings = await device.read('full', 5_000);
  return Object.fromEntries(
    Object.entries(readings).map(([name, reading]) => [
      name,
      reading.ok ? [reading.value, reading.unit] : reading.why,
    ]),
  );
}

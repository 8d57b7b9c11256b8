/**
 * Any miner with the cgminer API on TCP 4028, read only: what the API has in common.
 * Verified on recorded answers of other families; from documents otherwise.
 */
import type { Endpoint } from '../../host/deps.ts';
import { field, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { askCgminer, Deadline, poolReadings } from '../ask-cgminer.ts';
import type { Device, DeviceIo, Driver, Target } from '../driver.ts';
import { checkOptions, portOption } from '../options.ts';
import { MINER_BOUNDS, missing, numberReading, uncertain, unreadable } from '../readings.ts';

/** Rates by key, with what brings them to H/s; the averages since start come last. */
const RATES: ReadonlyArray<readonly [key: string, scale: number, average: boolean]> = [
  ['GHS 5s', 1e9, false],
  ['MHS 5s', 1e6, false],
  ['KHS 5s', 1e3, false],
  ['MHS 1m', 1e6, false],
  ['GHS av', 1e9, true],
  ['MHS av', 1e6, true],
  ['KHS av', 1e3, true],
];

export const cgminer: Driver = {
  name: 'cgminer',
  schemes: ['cgminer'],
  open: (target, io) => {
    checkOptions(target, ['api']);
    return new Cgminer(target, io);
  },
};

class Cgminer implements Device {
  readonly driver = 'cgminer';
  readonly verbs = {};
  readonly #io: DeviceIo;
  readonly door: Endpoint;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    this.door = { host: target.host, port: portOption(target, 'api') ?? target.port ?? 4028 };
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { value } = await askCgminer(
      this.#io,
      this.door,
      'version',
      new Deadline(this.#io.clock, timeoutMs),
    );
    const [version] = sectionOf(value, 'VERSION');
    if (!version) throw new Fault('ANSWER_GARBAGE', 'no VERSION section');
    const text = (name: string): string => {
      const found = field(version, name);
      return typeof found === 'string' ? found.slice(0, 100) : '';
    };
    return {
      vendor: text('PROD'),
      model: text('Type') || text('MODEL'),
      firmware: text('Miner') || text('CGMiner'),
    };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const { value, atMs, partial } = await askCgminer(this.#io, this.door, 'summary', deadline);
    const [summary] = sectionOf(value, 'SUMMARY');
    const rate = hashrateOf(summary ?? {}, atMs);
    const hashrate =
      partial && !rate.ok && rate.why === 'VALUE_MISSING' ? unreadable('ANSWER_PARTIAL', atMs) : rate;
    const readings: Record<string, Reading> = {
      hashrate,
      power: missing(atMs, 'this API has no common power value'),
      uptime: numberReading(summary && field(summary, 'Elapsed'), MINER_BOUNDS.uptime, atMs),
      mode: modeOf(hashrate, atMs),
    };
    if (scope === 'full') await this.#addPools(readings, deadline);
    return readings;
  }

  close(): void {}

  async #addPools(readings: Record<string, Reading>, deadline: Deadline): Promise<void> {
    try {
      const pools = await askCgminer(this.#io, this.door, 'pools', deadline);
      Object.assign(readings, poolReadings(pools));
    } catch (error) {
      readings['pool.active'] = unreadable(asFault(error).code, this.#io.clock.wallMs());
    }
  }
}

function hashrateOf(summary: JsonObject, atMs: number): Reading {
  for (const [key, scale, average] of RATES) {
    const raw = field(summary, key);
    if (raw === undefined) continue;
    const reading = numberReading(raw, MINER_BOUNDS.hashrate, atMs, scale);
    return average ? uncertain(reading, 'average since start') : reading;
  }
  return missing(atMs);
}

/** Hashing is proof of mining; not hashing may be sleep, a start or a fault, and this API does not say which. */
function modeOf(hashrate: Reading, atMs: number): Reading {
  if (!hashrate.ok) return hashrate;
  if (Number(hashrate.value) <= 0) return missing(atMs, 'not hashing; the API does not say why');
  const mine: Reading = { ok: true, value: 'mine', unit: 'text', quality: 'good', atMs };
  return hashrate.quality === 'good' ? mine : uncertain(mine, 'average only');
}

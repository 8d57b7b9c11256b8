/**
 * One switched outlet of a PDU over Modbus, beside its readings: the last rung, for what nothing else stops. Verified
 * against the simulated PLC on the wire; no map here names a vendor's registers for it, a site's own profile does.
 */
import type { PduOutlets } from '../../config/schema/profile.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import { numberOf } from '../../protocols/reading.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { withFacts } from '../driver.ts';
import type { Device } from '../driver.ts';
import { FUNCTIONS } from './modbus-io.ts';
import type { MeterPlace } from './modbus-mapped.ts';

/** More than any machine draws asleep, and less than any that works or serves, W. */
const ASLEEP_MOST_W = 150;
/** Argument of `outlet-off` that cuts whatever is behind it. */
const FORCED = 1;

const SWITCH = {
  ...PLAIN_VERB,
  effectS: { typical: 1, atMost: 10 },
  source: 'the state register follows the write; what a cut of the PDU leaves is a setting of the PDU',
} as const;
/** What its verbs truly do. */
const VERBS = { 'outlet-on': SWITCH, 'outlet-off': SWITCH } as const;

/** A meter of a PDU with the outlet of its channel: reads `outlet` (on, off), switches by `outlet-on`, `outlet-off`. */
export class PduOutlet implements Device {
  readonly driver: string;
  readonly verbs: Device['verbs'];
  readonly #meter: Device;
  readonly #place: MeterPlace;
  readonly #outlet: Pick<PduOutlets, 'write' | 'state'>;

  constructor(meter: Device, place: MeterPlace, outlet: Pick<PduOutlets, 'write' | 'state'>) {
    this.#meter = meter;
    this.#place = place;
    this.#outlet = outlet;
    this.driver = meter.driver;
    this.verbs = withFacts(VERBS, {
      'outlet-on': (_argument, timeoutMs) => this.#write(outlet.write.on, timeoutMs),
      'outlet-off': async (argument, timeoutMs) => {
        if (argument !== FORCED) await this.#mustRest(timeoutMs);
        await this.#write(outlet.write.off, timeoutMs);
      },
    });
  }

  identify(timeoutMs: number): Promise<Identity> {
    return this.#meter.identify(timeoutMs);
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const endMs = this.#place.io.clock.monoMs() + timeoutMs;
    const readings = await this.#meter.read(scope, timeoutMs);
    return scope === 'fast' ? readings : { ...readings, outlet: await this.#state(endMs) };
  }

  close(): void {
    this.#meter.close();
  }

  async #state(deadlineMs: number): Promise<Reading> {
    const { line, unit, io } = this.#place;
    const { kind, addr, on, off } = this.#outlet.state;
    try {
      const question = { unit, fc: FUNCTIONS[kind], address: addr, count: 1, deadlineMs };
      const { registers, atMs } = await line.read(question);
      const [is] = registers;
      if (is !== on && is !== off)
        return {
          ok: false,
          why: 'VALUE_INVALID',
          detail: `${is} is neither on (${on}) nor off (${off})`,
          atMs,
        };
      return { ok: true, value: is === on ? 'on' : 'off', unit: 'text', quality: 'good', atMs };
    } catch (error) {
      const { code, detail } = asFault(error);
      return { ok: false, why: code, detail, atMs: io.clock.wallMs() };
    }
  }

  /** Rejects with OUTLET_LOADED unless its own meter shows that nothing behind it works. */
  async #mustRest(timeoutMs: number): Promise<void> {
    const { url } = this.#place.target;
    const reading = (await this.#meter.read('fast', timeoutMs))['power.active.total'];
    const powerW = numberOf(reading);
    if (powerW === undefined || reading?.ok !== true || reading.quality !== 'good')
      throw new Fault('OUTLET_LOADED', `${url}: no meter shows what is drawn behind it`);
    if (Math.abs(powerW) > ASLEEP_MOST_W)
      throw new Fault('OUTLET_LOADED', `${url}: ${Math.round(powerW)} W are drawn behind it`);
  }

  /** Written once: who does not know whether it was done reads, and does not write again. */
  #write(value: number, timeoutMs: number): Promise<void> {
    const { line, unit, io } = this.#place;
    const { kind, addr } = this.#outlet.write;
    const deadlineMs = io.clock.monoMs() + timeoutMs;
    return line.write({ unit, fc: kind === 'coil' ? 5 : 6, address: addr, values: [value], deadlineMs });
  }
}

import type { MeterProfile } from '../../config/schema/profile.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Readings } from '../../protocols/reading.ts';
import type { Device } from '../driver.ts';
import type { Line } from '../../host/line.ts';
import { isRefusal } from '../../host/line-fault.ts';
import type { MappedMeter, MeterPlace } from './modbus-mapped.ts';

/** Where the chain of models may begin, by the standard. */
const BEGINNINGS = [40_000, 50_000, 0];
/** "SunS" */
const MARK = [0x5375, 0x6e53];
const CHAIN_END = 0xffff;
const MODELS_MOST = 64;
/** Single lost answers are no reason to walk the chain again. */
const FAILURES_MOST = 3;

/** A device whose map is found by walking its chain of SunSpec models: the first that one of the profiles is for. */
export class SunspecMeter implements Device {
  readonly driver = 'modbus-meter';
  readonly verbs = {};
  readonly line: Line;
  readonly #place: MeterPlace;
  readonly #profiles: readonly MeterProfile[];
  readonly #make: (profile: MeterProfile, furtherBy: number) => MappedMeter;
  #found: MappedMeter | undefined;
  #failures = 0;

  constructor(
    place: MeterPlace,
    profiles: readonly MeterProfile[],
    make: (profile: MeterProfile, furtherBy: number) => MappedMeter,
  ) {
    this.#place = place;
    this.line = place.line;
    this.#profiles = profiles;
    this.#make = make;
  }

  async identify(timeoutMs: number): Promise<Identity> {
    return this.#with(timeoutMs, (meter, leftMs) => meter.identify(leftMs));
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    return this.#with(timeoutMs, (meter, leftMs) => meter.read(scope, leftMs));
  }

  doubtSetup(): void {
    this.#found?.doubtSetup();
  }

  close(): void {
    this.#found?.close();
  }

  async #with<T>(timeoutMs: number, use: (meter: MappedMeter, leftMs: number) => Promise<T>): Promise<T> {
    const { clock } = this.#place.io;
    const deadlineMs = clock.monoMs() + timeoutMs;
    this.#found ??= await this.#find(deadlineMs);
    try {
      const value = await use(this.#found, deadlineMs - clock.monoMs());
      this.#failures = 0;
      return value;
    } catch (error) {
      this.#failures += 1;
      // Out of sight for so long it may come back as another device, or with another chain.
      if (this.#failures >= FAILURES_MOST) this.#found = undefined;
      throw error;
    }
  }

  async #find(deadlineMs: number): Promise<MappedMeter> {
    const seen: number[] = [];
    for (const beginning of BEGINNINGS) {
      const mark = await this.#words(beginning, deadlineMs);
      if (!mark || mark.some((word, index) => word !== MARK[index])) continue;
      for (let address = beginning + 2; address < 0xffff && seen.length < MODELS_MOST;) {
        const head = await this.#words(address, deadlineMs);
        if (!head) break;
        const [model = CHAIN_END, length = 0] = head;
        if (model === CHAIN_END) break;
        const profile = this.#profiles.find(({ sunspecModel }) => sunspecModel === model);
        if (profile) return this.#make(profile, address);
        seen.push(model);
        address += 2 + length;
      }
    }
    const wanted = this.#profiles.map(({ sunspecModel }) => sunspecModel).join(', ');
    const there = seen.length === 0 ? 'no chain of SunSpec models' : `models ${seen.join(', ')}`;
    throw new Fault('DEVICE_OTHER', `${this.#place.target.url}: ${there}, none of ${wanted}`);
  }

  /** Two registers, undefined where there are none. */
  async #words(address: number, deadlineMs: number): Promise<readonly number[] | undefined> {
    const { line, unit } = this.#place;
    try {
      const { registers } = await line.read({ unit, fc: 3, address, count: 2, deadlineMs });
      return [...registers];
    } catch (error) {
      if (isRefusal(asFault(error))) return undefined;
      throw error;
    }
  }
}

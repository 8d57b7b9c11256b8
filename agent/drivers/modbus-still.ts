import type { MeterProfile } from '../../config/schema/profile.ts';
import { makeFrozen, noteLook } from '../../protocols/metering/frozen.ts';
import type { Point } from './modbus-points.ts';

/** A step of 1 in so many shows the noise of a load. */
const FINE_RAW = 2_000;
const DEFAULT_REFRESH_MS = 1_000;
const NOISY_UNITS: readonly Point['unit'][] = ['W', 'var', 'VA', 'V', 'A', 'Hz', '1'];

/** The values of one meter that move by themselves under load, and whether they still do (`protocols/metering/frozen.ts`). */
export class MeterStillness {
  readonly #state = makeFrozen();
  readonly #places: ReadonlyMap<string, number>;
  readonly #fastCount: number;
  readonly #values: Float64Array;
  /** What one count of an integer register is worth; 0: fine, or not known. */
  readonly #steps: Float64Array;
  readonly #isFine: Uint8Array;
  /** Those whose registers hold whole numbers. */
  readonly #isWhole: readonly boolean[];
  readonly #loads: readonly number[];
  readonly #refreshMs: number;
  /** Undefined: by the rule; 0: values may stand still; else for how long under load, ms. */
  readonly #fixedMs: number | undefined;

  constructor(profile: MeterProfile, points: readonly Point[], fixedMs: number | undefined) {
    const noisy = points.filter(({ q, unit }) => NOISY_UNITS.includes(unit) && !q.includes('demand.'));
    const fast = noisy.filter((point) => point.class === 'fast');
    const all = [...fast, ...noisy.filter((point) => point.class !== 'fast')];
    const currents = all.filter(({ unit }) => unit === 'A');
    const loads = currents.length > 0 ? currents : all.filter(({ unit }) => unit === 'W');
    this.#places = new Map(all.map(({ q }, place) => [q, place]));
    this.#fastCount = fast.length;
    this.#values = new Float64Array(all.length).fill(Number.NaN);
    this.#steps = new Float64Array(all.length);
    this.#isFine = new Uint8Array(all.length);
    this.#isWhole = all.map(({ type }) => /^u?int/.test(type));
    this.#loads = loads.map((point) => all.indexOf(point));
    this.#refreshMs = profile.refresh?.ms ?? DEFAULT_REFRESH_MS;
    this.#fixedMs = fixedMs;
  }

  /** Notes one value of the reading under way. `raw`: as it stands in the register. */
  take({ q }: Point, value: number, raw: number): void {
    const place = this.#places.get(q);
    if (place === undefined) return;
    this.#values[place] = value;
    const isWhole = this.#isWhole[place] === true;
    if (isWhole && raw !== 0) this.#steps[place] = Math.abs(value / raw);
    this.#isFine[place] = Number(value !== 0 && !(isWhole && Math.abs(raw) < FINE_RAW));
  }

  /** How fine the register of a quantity is, in its unit; 0: fine, or not known. */
  stepOf(q: string): number {
    return this.#steps[this.#places.get(q) ?? -1] ?? 0;
  }

  /** The reading is whole: for how long its values have stood still, ms, when they are frozen. */
  frozenMs(atMs: number): number | undefined {
    if (this.#fixedMs === 0) return undefined;
    let fineCount = 0;
    for (let place = 0; place < this.#fastCount; place += 1) {
      if (Number.isFinite(this.#values[place])) fineCount += this.#isFine[place] ?? 0;
    }
    const byRule = noteLook(this.#state, {
      values: this.#values,
      fastCount: this.#fastCount,
      fineCount,
      steps: this.#steps,
      load: this.#loads.reduce((sum, place) => sum + Math.abs(this.#known(place)), 0),
      atMs,
      refreshMs: this.#refreshMs,
    });
    this.#values.fill(Number.NaN);
    if (this.#fixedMs === undefined) return byRule;
    const stillMs = atMs - this.#state.sinceMs;
    return stillMs >= this.#fixedMs ? stillMs : undefined;
  }

  /** As read now, else as read last. */
  #known(place: number): number {
    const value = this.#values[place] ?? Number.NaN;
    return Number.isNaN(value) ? (this.#state.values[place] ?? 0) : value;
  }
}

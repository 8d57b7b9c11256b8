/** A systemd service that takes time: to start, to load GPUs, to drain, and to let go of them. */

export interface UnitTimes {
  /** From `start` to active. */
  readonly activateMs: number;
  /** From `start` to the first GPU process. */
  readonly processMs: number;
  /** From `start` to computing at full load. */
  readonly loadMs: number;
  /** From `stop` to inactive. */
  readonly drainMs: number;
  /** From inactive to the last process gone from the GPU's list. */
  readonly lingerProcessMs: number;
  /** From inactive to the memory free. */
  readonly lingerMemoryMs: number;
}

export const MINER_TIMES: UnitTimes = {
  activateMs: 400,
  processMs: 3_000,
  loadMs: 9_000,
  drainMs: 2_500,
  lingerProcessMs: 1_500,
  lingerMemoryMs: 2_500,
};

export const AI_TIMES: UnitTimes = {
  activateMs: 1_500,
  processMs: 4_000,
  loadMs: 35_000,
  drainMs: 8_000,
  lingerProcessMs: 2_000,
  lingerMemoryMs: 4_000,
};

const NONE: readonly number[] = [];

type UnitState = 'inactive' | 'activating' | 'active' | 'deactivating';

/** State by two times, the last start and the last stop, so that it can be told for any later time. */
export class ServiceUnit {
  readonly name: string;
  readonly #times: UnitTimes;
  readonly #pidBase: number;
  #startedMs: number | undefined;
  #stoppedMs: number | undefined;
  #starts = 0;

  constructor(name: string, times: UnitTimes, pidBase: number) {
    this.name = name;
    this.#times = times;
    this.#pidBase = pidBase;
  }

  /** Main process of the present run. */
  get pid(): number {
    return this.#pidBase + this.#starts * 20;
  }

  /** Starts when inactive; after a stop still under way, when that is done. Gives when it will be active. */
  start(nowMs: number): number {
    if (this.#startedMs !== undefined && this.#stoppedMs === undefined)
      return this.#startedMs + this.#times.activateMs;
    const freeMs = this.#stoppedMs === undefined ? nowMs : this.#stoppedMs + this.#times.drainMs;
    this.#startedMs = Math.max(nowMs, freeMs);
    this.#stoppedMs = undefined;
    this.#starts += 1;
    return this.#startedMs + this.#times.activateMs;
  }

  /** Stops when running. Gives when it will be inactive. */
  stop(nowMs: number): number {
    if (this.#startedMs === undefined) return nowMs;
    this.#stoppedMs ??= Math.max(nowMs, this.#startedMs);
    return Math.max(nowMs, this.#stoppedMs + this.#times.drainMs);
  }

  state(nowMs: number): UnitState {
    if (this.#startedMs === undefined) return 'inactive';
    if (this.#stoppedMs !== undefined)
      return nowMs < this.#stoppedMs + this.#times.drainMs ? 'deactivating' : 'inactive';
    if (nowMs < this.#startedMs) return 'deactivating';
    return nowMs < this.#startedMs + this.#times.activateMs ? 'activating' : 'active';
  }

  /** True while a process of it is on the GPUs. */
  holds(nowMs: number): boolean {
    return this.#had(nowMs, this.#times.processMs, this.#times.lingerProcessMs);
  }

  /** True while its memory is taken; `forever` keeps what it had. */
  holdsMemory(nowMs: number, forever: boolean): boolean {
    return this.#had(nowMs, this.#times.processMs, forever ? Infinity : this.#times.lingerMemoryMs);
  }

  /** True while it loads the GPUs. */
  computes(nowMs: number): boolean {
    return this.#had(nowMs, this.#times.loadMs, -this.#times.drainMs * 0.2);
  }

  /** Times after `fromMs` and up to `toMs` at which any of the above changes; most of the time there are none. */
  turns(fromMs: number, toMs: number): readonly number[] {
    const { activateMs, processMs, loadMs, drainMs, lingerProcessMs, lingerMemoryMs } = this.#times;
    const started = this.#startedMs ?? -Infinity;
    const stopped = this.#stoppedMs ?? -Infinity;
    const lastMs = Math.max(
      started + Math.max(activateMs, processMs, loadMs),
      stopped + drainMs + Math.max(0, lingerProcessMs, lingerMemoryMs),
    );
    if (lastMs <= fromMs) return NONE;
    return [
      ...[0, activateMs, processMs, loadMs].map((ms) => started + ms),
      ...[0, drainMs * 0.8, drainMs, drainMs + lingerProcessMs, drainMs + lingerMemoryMs].map(
        (ms) => stopped + ms,
      ),
    ].filter((atMs) => atMs > fromMs && atMs <= toMs);
  }

  #had(nowMs: number, afterStartMs: number, afterInactiveMs: number): boolean {
    if (this.#startedMs === undefined) return false;
    const fromMs = this.#startedMs + afterStartMs;
    if (this.#stoppedMs === undefined) return nowMs >= fromMs;
    return (
      this.#stoppedMs >= fromMs &&
      nowMs >= fromMs &&
      nowMs < this.#stoppedMs + this.#times.drainMs + afterInactiveMs
    );
  }
}

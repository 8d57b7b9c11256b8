import type { ProcessName } from './faults.ts';

interface Segment {
  readonly fromMs: number;
  readonly skewMs: number;
  readonly driftMsPerS: number;
}

const skewAt = (segment: Segment, atMs: number): number =>
  segment.skewMs + ((atMs - segment.fromMs) * segment.driftMsPerS) / 1_000;

/**
 * The wall clocks of the processes, each with its own error, and what every one of them showed when: a judge that is
 * told wall times must know what they meant.
 */
export class WallClocks {
  readonly #startWallMs: number;
  readonly #monoMs: () => number;
  readonly #segments = new Map<ProcessName, Segment[]>();

  constructor(startWallMs: number, monoMs: () => number) {
    this.#startWallMs = startWallMs;
    this.#monoMs = monoMs;
  }

  /** How far a clock is from the truth now. */
  skewMs(process: ProcessName): number {
    return skewAt(this.#last(process), this.#monoMs());
  }

  step(process: ProcessName, byMs: number): void {
    const last = this.#last(process);
    const fromMs = this.#monoMs();
    this.#of(process).push({ ...last, fromMs, skewMs: skewAt(last, fromMs) + byMs });
  }

  drift(process: ProcessName, driftMsPerS: number): void {
    const fromMs = this.#monoMs();
    this.#of(process).push({ fromMs, skewMs: this.skewMs(process), driftMsPerS });
  }

  /** The moments, ms from the start, at which a clock showed this; several when it was set back in between. */
  moments(process: ProcessName, wallMs: number): number[] {
    const nowMs = this.#monoMs();
    return this.#of(process).flatMap((segment, place, all) => {
      const untilMs = all[place + 1]?.fromMs ?? nowMs;
      const sinceStartMs = wallMs - this.#startWallMs - segment.skewMs;
      const rate = segment.driftMsPerS / 1_000;
      const atMs = (sinceStartMs + segment.fromMs * rate) / (1 + rate);
      return atMs >= segment.fromMs - 1 && atMs <= untilMs + 1 ? [atMs] : [];
    });
  }

  /** What a clock would have shown at `atMs` by any of the errors it had since `sinceMs`. */
  shown(process: ProcessName, atMs: number, sinceMs: number): number[] {
    return this.#of(process).flatMap((segment, place, all) => {
      const untilMs = Math.min(atMs, all[place + 1]?.fromMs ?? atMs);
      if (segment.fromMs > atMs || untilMs < sinceMs) return [];
      return [Math.max(sinceMs, segment.fromMs), untilMs].map(
        (oneMs) => this.#startWallMs + atMs + skewAt(segment, oneMs),
      );
    });
  }

  /** A clock is right before anything is done to it. */
  #of(process: ProcessName): Segment[] {
    const segments = this.#segments.get(process) ?? [{ fromMs: 0, skewMs: 0, driftMsPerS: 0 }];
    this.#segments.set(process, segments);
    return segments;
  }

  #last(process: ProcessName): Segment {
    const last = this.#of(process).at(-1);
    if (last === undefined) throw new RangeError('a clock without a beginning');
    return last;
  }
}

/**
 * How a ramp is spent: a bucket of watts that fills at the ramp's rate and holds a few seconds of it. Who finds it
 * above nothing may take a whole machine's step out of it, also below nothing, so that a ramp smaller than one
 * machine still moves one in its time. Controller and agents keep buckets of their own after the same rule.
 */
export interface Bucket {
  availableW: number;
  /** Monotonic ms of the last refill. */
  atMonoMs: number;
}

export const makeBucket = (nowMs: number): Bucket => ({ availableW: 0, atMonoMs: nowMs });

/** Fills up to `nowMs` with `ratePerMs` W per ms, to `burstMs` of it at most; an infinite rate is no ramp at all. */
export function refill(bucket: Bucket, ratePerMs: number, burstMs: number, nowMs: number): void {
  const before = Number.isFinite(bucket.availableW) ? bucket.availableW : 0;
  bucket.availableW =
    ratePerMs === Infinity
      ? Infinity
      : Math.min(ratePerMs * burstMs, before + ratePerMs * (nowMs - bucket.atMonoMs));
  bucket.atMonoMs = nowMs;
}

/** A ramp as it stands in the site file, in W per ms; Infinity where there is none. */
export const rampWPerMs = (kwPerMin: number | undefined): number =>
  kwPerMin === undefined ? Infinity : kwPerMin / 60;

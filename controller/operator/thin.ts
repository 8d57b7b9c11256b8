import type { HistoryColumns } from '../../protocols/console/rpc.ts';
import type { HistoryPoint } from '../../protocols/console/view.ts';

/**
 * At most `points` moments of the last `spanMs` for the chart. A bucket keeps the mean power and plan, the lowest
 * limit and the last price; what no point of a bucket knows stays null.
 */
export function thinHistory(
  history: readonly HistoryPoint[],
  { nowMs, spanMs, points }: { readonly nowMs: number; readonly spanMs: number; readonly points: number },
): HistoryColumns {
  const fromMs = nowMs - spanMs;
  const bucketMs = Math.max(1, Math.ceil(spanMs / points));
  const columns = {
    atMs: [] as number[],
    powerKw: [] as (number | null)[],
    limitKw: [] as number[],
    planKw: [] as (number | null)[],
    priceUsdPerMwh: [] as (number | null)[],
  };
  let at = firstAfter(history, fromMs);
  while (at < history.length && columns.atMs.length < points) {
    const first = history[at];
    if (first === undefined) break;
    const endMs = (Math.floor(first.atMs / bucketMs) + 1) * bucketMs;
    const start = at;
    while (at < history.length && (history[at]?.atMs ?? endMs) < endMs) at += 1;
    const bucket = history.slice(start, Math.max(at, start + 1));
    at = Math.max(at, start + 1);
    columns.atMs.push(bucket.at(-1)?.atMs ?? first.atMs);
    columns.powerKw.push(round(mean(bucket.map((point) => point.powerKw))));
    columns.limitKw.push(bucket.reduce((low, point) => Math.min(low, point.limitKw), first.limitKw));
    columns.planKw.push(round(mean(bucket.map((point) => point.planKw))));
    columns.priceUsdPerMwh.push(
      bucket.findLast((point) => point.priceUsdPerMwh !== null)?.priceUsdPerMwh ?? null,
    );
  }
  return columns;
}

function firstAfter(history: readonly HistoryPoint[], fromMs: number): number {
  let low = 0;
  let high = history.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((history[middle]?.atMs ?? 0) <= fromMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

const round = (value: number | null): number | null =>
  value === null ? null : Math.round(value * 100) / 100;

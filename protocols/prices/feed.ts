import * as z from 'zod';
import { Fault } from '../faults.ts';
import type { FaultCode } from '../faults.ts';

/** A feed longer than this is none of ours. */
const MAX_CHARS = 1_000_000;
const MAX_INTERVALS = 2_000;
const MAX_JOBS = 1_000;
const DAY_MS = 86_400_000;
/** Clocks of a feed and of the site may differ by this much. */
const AHEAD_MS = 5 * 60_000;
const FAR_MS = 8 * DAY_MS;

const DECIMAL = /^[+-]?\d{1,12}(\.\d{1,12})?$/;
/** Some feeds write numbers as text: taken when the text is a plain decimal and nothing else. */
const decimal = z.union([
  z.number(),
  z.string().regex(DECIMAL, 'is text that is no number').transform(Number),
]);
const utc = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?Z$/, 'is no UTC time (…Z)')
  .transform((text) => Date.parse(text))
  .refine(Number.isFinite, 'is no UTC time (…Z)');

/** What a price stands for: settled, indicative for now, day-ahead, or somebody's forecast. */
const PRICE_KINDS = ['actual', 'indicative', 'dayahead', 'forecast'] as const;
type PriceKind = (typeof PRICE_KINDS)[number];

/** `GET /price`: energy prices by interval, interval start and end in UTC. */
const priceFeedSchema = z.object({
  market: z.string().max(64),
  location: z.string().max(64),
  unit: z.literal('USD/MWh'),
  intervals: z
    .array(z.object({ start: utc, end: utc, value: decimal, kind: z.enum(PRICE_KINDS) }))
    .min(1)
    .max(MAX_INTERVALS),
  publishedAt: utc,
});

/** `GET /hashprice`: what one PH/s earns in a day, USD. */
const hashpriceFeedSchema = z.object({ data: z.object({ priceUSD: decimal, timestamp: utc }) });

/** `GET /ai/demand`: AI work wanted now and announced. */
const aiDemandSchema = z.object({
  jobs: z
    .array(
      z.object({
        id: z.string().min(1).max(128),
        contract: z.string().min(1).max(64),
        hosts: z.int().positive().max(100_000),
        from: utc,
        until: utc,
      }),
    )
    .max(MAX_JOBS),
});

/** One price and when it holds: `startMs` inclusive, `endMs` exclusive, UTC. */
export interface PriceInterval {
  readonly startMs: number;
  readonly endMs: number;
  readonly usdPerMwh: number;
  readonly kind: PriceKind;
}

/** A price feed as read: intervals in order of time, the one that holds at `nowMs` and the one that follows it. */
export interface PriceFeed {
  readonly market: string;
  readonly location: string;
  readonly publishedAtMs: number;
  readonly intervals: readonly PriceInterval[];
  readonly current?: PriceInterval;
  readonly next?: PriceInterval;
}

/** The value of hash, USD per PH/s and day, and when it was struck (UTC ms). */
export interface HashpriceFeed {
  readonly usdPerPhDay: number;
  readonly atMs: number;
}

/** AI work: how many whole hosts a contract wants, and when (UTC ms, `untilMs` exclusive). */
export interface AiJob {
  readonly id: string;
  readonly contract: string;
  readonly hosts: number;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Reads a price feed at `nowMs` (UTC). Throws PRICE_INVALID; whether a value is plausible is the site file's to say. */
export function parsePriceFeed(text: string, nowMs: number): PriceFeed {
  const feed = parse(text, priceFeedSchema, 'PRICE_INVALID');
  checkPublished(feed.publishedAt, nowMs, 'PRICE_INVALID');
  const intervals = feed.intervals
    .map(({ start, end, value, kind }) => ({ startMs: start, endMs: end, usdPerMwh: value, kind }))
    .sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs);
  let reachedMs = Number.NEGATIVE_INFINITY;
  for (const [index, { startMs, endMs }] of intervals.entries()) {
    if (endMs <= startMs) throw new Fault('PRICE_INVALID', `interval ${index} ends before it starts`);
    if (endMs - startMs > DAY_MS) throw new Fault('PRICE_INVALID', `interval ${index} is longer than a day`);
    if (Math.abs(startMs - nowMs) > FAR_MS)
      throw new Fault('PRICE_INVALID', `interval ${index} is days away`);
    if (startMs < reachedMs) throw new Fault('PRICE_INVALID', `interval ${index} overlaps the one before it`);
    reachedMs = endMs;
  }
  const current = intervals.find(({ startMs, endMs }) => startMs <= nowMs && nowMs < endMs);
  const next = intervals.find(({ startMs }) => startMs > nowMs);
  return {
    market: feed.market,
    location: feed.location,
    publishedAtMs: feed.publishedAt,
    intervals,
    ...(current && { current }),
    ...(next && { next }),
  };
}

/** Reads a hashprice feed at `nowMs` (UTC). Throws PRICE_INVALID, also for a value that is not positive. */
export function parseHashpriceFeed(text: string, nowMs: number): HashpriceFeed {
  const { data } = parse(text, hashpriceFeedSchema, 'PRICE_INVALID');
  checkPublished(data.timestamp, nowMs, 'PRICE_INVALID');
  if (data.priceUSD <= 0) throw new Fault('PRICE_INVALID', `priceUSD: ${data.priceUSD} is not positive`);
  return { usdPerPhDay: data.priceUSD, atMs: data.timestamp };
}

/** Reads the demand for AI work at `nowMs` (UTC): jobs not over yet, in order of start. Throws SIGNAL_INVALID. */
export function parseAiDemand(text: string, nowMs: number): readonly AiJob[] {
  const { jobs } = parse(text, aiDemandSchema, 'SIGNAL_INVALID');
  const seen = new Set<string>();
  for (const job of jobs) {
    if (seen.has(job.id)) throw new Fault('SIGNAL_INVALID', `job '${job.id}' stands twice`);
    seen.add(job.id);
    if (job.until <= job.from) throw new Fault('SIGNAL_INVALID', `job '${job.id}' ends before it starts`);
    if (job.from - nowMs > 400 * DAY_MS) throw new Fault('SIGNAL_INVALID', `job '${job.id}' is too far away`);
  }
  return jobs
    .filter((job) => job.until > nowMs)
    .map((job) => ({
      id: job.id,
      contract: job.contract,
      hosts: job.hosts,
      fromMs: job.from,
      untilMs: job.until,
    }))
    .sort((a, b) => a.fromMs - b.fromMs || (a.id < b.id ? -1 : 1));
}

function checkPublished(publishedMs: number, nowMs: number, code: FaultCode): void {
  if (publishedMs - nowMs > AHEAD_MS) throw new Fault(code, 'published in the future');
  if (nowMs - publishedMs > 400 * DAY_MS) throw new Fault(code, 'published more than a year ago');
}

function parse<T>(text: string, schema: z.ZodType<T>, code: FaultCode): T {
  if (text.length > MAX_CHARS) throw new Fault(code, `${text.length} characters`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Fault(code, 'not JSON', { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new Fault(code, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

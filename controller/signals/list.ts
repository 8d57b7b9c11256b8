import type { Site } from '../../config/site.ts';
import { Fault } from '../../protocols/faults.ts';
import { parseAiDemand, parseHashpriceFeed, parsePriceFeed } from '../../protocols/prices/feed.ts';
import type { FeedSource } from './feed.ts';

/** The HTTP sources a site declares. The utility's terminal is read by an agent, which owns every Modbus line. */
export function feedsOf(site: Site): FeedSource[] {
  const { prices, ai } = site.config;
  const feeds: FeedSource[] = [
    {
      feed: 'hashprice',
      ...prices.hash,
      read: (text, nowMs) => ({ kind: 'hashprice', ...parseHashpriceFeed(text, nowMs) }),
    },
  ];
  const { witness: second } = prices.hash;
  if (second !== undefined)
    feeds.push({
      feed: 'hashprice-witness',
      ...second,
      read: (text, nowMs) => {
        const { usdPerPhDay, atMs } = parseHashpriceFeed(text, nowMs);
        checkAge(atMs, second.maxAgeS, nowMs);
        return { kind: 'witness', input: 'hashprice', value: usdPerPhDay };
      },
    });
  const energy = prices.energy;
  if (energy !== undefined)
    feeds.push({
      feed: 'price',
      ...energy,
      read: (text, nowMs) => {
        const { publishedAtMs, current, intervals } = readPrice(text, energy.maxAgeS, nowMs);
        const { usdPerMwh, startMs, endMs } = current;
        const later = intervals.filter((interval) => interval.startMs >= endMs);
        return { kind: 'price', usdPerMwh, startMs, endMs, publishedAtMs, later };
      },
    });
  const witness = energy?.witness;
  if (witness !== undefined)
    feeds.push({
      feed: 'price-witness',
      ...witness,
      read: (text, nowMs) => {
        const { current } = readPrice(text, witness.maxAgeS, nowMs);
        return { kind: 'witness', input: 'price', value: current.usdPerMwh };
      },
    });
  const demand = ai?.demand;
  if (demand !== undefined)
    feeds.push({
      feed: 'ai-demand',
      ...demand,
      read: (text, nowMs) => ({ kind: 'ai-demand', jobs: parseAiDemand(text, nowMs) }),
    });
  return feeds;
}

function checkAge(atMs: number, maxAgeS: number, nowMs: number): void {
  if (nowMs - atMs > maxAgeS * 1_000)
    throw new Fault('PRICE_STALE', `published ${Math.round((nowMs - atMs) / 1_000)} s ago`);
}

/** A price feed that is young enough and has an interval for now. */
function readPrice(text: string, maxAgeS: number, nowMs: number) {
  const feed = parsePriceFeed(text, nowMs);
  checkAge(feed.publishedAtMs, maxAgeS, nowMs);
  const { current } = feed;
  if (current === undefined) throw new Fault('PRICE_STALE', 'no interval holds now');
  return { ...feed, current };
}

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
      url: prices.hash.url,
      periodMs: prices.hash.periodMs,
      read: (text, nowMs) => ({ kind: 'hashprice', ...parseHashpriceFeed(text, nowMs) }),
    },
  ];
  const energy = prices.energy;
  if (energy !== undefined)
    feeds.push({
      feed: 'price',
      url: energy.url,
      periodMs: energy.periodMs,
      read: (text, nowMs) => {
        const feed = parsePriceFeed(text, nowMs);
        if (nowMs - feed.publishedAtMs > energy.maxAgeS * 1_000)
          throw new Fault(
            'PRICE_STALE',
            `published ${Math.round((nowMs - feed.publishedAtMs) / 1_000)} s ago`,
          );
        if (feed.current === undefined) throw new Fault('PRICE_STALE', 'no interval holds now');
        const { usdPerMwh, startMs, endMs } = feed.current;
        return { kind: 'price', usdPerMwh, startMs, endMs };
      },
    });
  const demand = ai?.demand;
  if (demand !== undefined)
    feeds.push({
      feed: 'ai-demand',
      url: demand.url,
      periodMs: demand.periodMs,
      read: (text, nowMs) => ({ kind: 'ai-demand', jobs: parseAiDemand(text, nowMs) }),
    });
  return feeds;
}

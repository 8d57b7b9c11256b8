import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseTimeline, replay } from '../../proof/replay.ts';

const FOUND = new URL('found/', import.meta.url);

// Timelines in which something was found once, in the product or in its judge, cut after that moment. Kept for ever: a
// file that `sim` wrote goes in here, without its lines of events and truth, together with what mends it.
test.for(readdirSync(FOUND))('%s is violated no more', { timeout: 240_000 }, async (name) => {
  const timeline = parseTimeline(readFileSync(new URL(name, FOUND), 'utf8'));
  expect(timeline.found, 'what was found').toBeDefined();
  const { violations } = await replay(timeline, () => undefined);
  expect(violations).toEqual([]);
});

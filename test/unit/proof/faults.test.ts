import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { seededRandom } from '../../../host/random.ts';
import { CLASSES, FEED_CLASSES, OUTLET_CLASSES } from '../../../proof/fault-classes.ts';
import { drawTimeline } from '../../../proof/faults.ts';
import { harnessSite } from '../../../proof/site.ts';

const site = harnessSite(30, { feeds: 2, outlets: true });
const names = [
  ...new Set(
    [...CLASSES, ...FEED_CLASSES, ...OUTLET_CLASSES]
      .flatMap((draw) => draw(site, seededRandom(1), 0))
      .flatMap(({ fault }) => fault ?? []),
  ),
];

test('there are at least forty classes of fault, and docs/reliability.md names each', () => {
  expect(names.length).toBeGreaterThanOrEqual(40);
  const doc = readFileSync(new URL('../../../docs/reliability.md', import.meta.url), 'utf8');
  expect(names.filter((name) => !doc.includes(`\`${name}\``))).toEqual([]);
});

test('a seed has most classes and never the same ones, and every fault ends before the calm', () => {
  const drawn = [1, 2].map((seed) =>
    drawTimeline(
      site,
      seededRandom(seed),
      { ofFeeds: seededRandom(-seed), ofOutlets: seededRandom(-seed - 0.5) },
      24 * 3_600_000,
      900_000,
    ),
  );
  const classes = drawn.map((planned) => [...new Set(planned.flatMap(({ fault }) => fault ?? []))].sort());
  for (const one of classes) {
    expect(one.length).toBeGreaterThan(names.length * 0.4);
    expect(one.length).toBeLessThan(names.length);
  }
  expect(classes[0]).not.toEqual(classes[1]);
  for (const { atMs } of drawn.flat()) expect(atMs).toBeLessThanOrEqual(23.75 * 3_600_000);
});

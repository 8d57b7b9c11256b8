import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { parseSite } from '../../../config/load.ts';
import { profileIds } from '../../../config/meters.ts';
import { MODELS } from '../../../config/models.ts';

const FOLDER = new URL('../../../config/sites/', import.meta.url);

test.each(readdirSync(FOLDER))('%s is a valid site without warnings', (name) => {
  const { site, warnings } = parseSite(readFileSync(new URL(name, FOLDER), 'utf8'), MODELS, profileIds());
  expect(warnings).toEqual([]);
  expect(site.machines.length).toBeGreaterThan(0);
});

test('the example is a 20 MW site whose machines each have an address of their own', () => {
  const text = readFileSync(new URL('example-20mw.yaml', FOLDER), 'utf8');
  const { site } = parseSite(text, MODELS, profileIds());
  const ratedMw = site.machines.reduce((sum, { model }) => sum + model.ratedW, 0) / 1e6;
  expect(ratedMw).toBeGreaterThan(15);
  expect(ratedMw).toBeLessThan(20);
  expect(new Set(site.machines.map(({ target }) => URL.parse(target)?.hostname)).size).toBe(
    site.machines.length,
  );
  expect(site.agents).toEqual(['a1', 'a2']);
  expect(site.machines.filter(({ agent }) => agent === 'a2').length).toBeGreaterThan(2_000);
  // Addresses of an example must never be somebody's.
  for (const { target } of [...site.machines, ...site.meters])
    expect(target).toMatch(/10\.20\.\d+\.\d+|\/dev\/tty/);
});

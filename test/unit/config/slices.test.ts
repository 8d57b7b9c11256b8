import { expect, test } from 'vitest';
import { parseSite, SiteFileInvalid } from '../../../config/load.ts';
import { MODELS } from '../../../config/models.ts';
import { plateShares, slicesOf } from '../../../config/slices.ts';
import type { Site } from '../../../config/site.ts';

const site = (main: string): Site =>
  parseSite(
    `schema: 1
site: demo
agents:
  - { id: a1, nodes: [main] }
  - { id: a2, nodes: [row-2] }
  - { id: a3, nodes: [row-3] }
nodes:
  - { id: main, kind: site, capKw: 90${main} }
  - { id: row-2, parent: main, kind: pdu, capKw: 100 }
  - { id: row-3, parent: main, kind: pdu, capKw: 100 }
  - { id: r1, parent: main, kind: rack, capKw: 75 }
  - { id: r2, parent: row-2, kind: rack, capKw: 36 }
machines:
  - { rack: r1, model: antminer-s21, target: 'antminer://10.0.1.{n}', count: 20 }
  - { rack: r2, model: antminer-s21, target: 'antminer://10.0.2.{n}', count: 10 }
prices:
  hash: { url: 'http://10.0.0.9/h', periodMs: 60000, maxAgeS: 600, fallbackUsdPerPhDay: 50 }
`,
    MODELS,
  ).site;
const problems = (slices: string, limit = ''): string[] => {
  try {
    site(`${limit}, slices: { ${slices} }`);
    return [];
  } catch (error) {
    if (!(error instanceof SiteFileInvalid)) throw error;
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
};

test('a slice is the part of the cap by ratings, or what is declared; only of nodes that others guard', () => {
  const byPlates = site('');
  expect(plateShares(byPlates, 'a2')).toEqual([1 / 3, 1, 1, 1, 1]);
  expect(slicesOf(byPlates, 'a1')).toEqual([]);
  expect(slicesOf(byPlates, 'a2')).toEqual([{ nodeIndex: 0, owner: 'a1', capW: 30_000 }]);
  expect(slicesOf(byPlates, 'a3')).toEqual([]);
  expect(slicesOf(site(', slices: { a1: 65, a2: 25 }'), 'a2')[0]?.capW).toBe(25_000);
});

test('declared slices are for all with machines below, for nobody else, and fit the cap', () => {
  expect(problems('a1: 60, a2: 30')).toEqual([]);
  expect(problems('a1: 60, a2: 31')).toEqual([
    "nodes.0.slices: the slices are 91 kW together, more than the 90 kW of 'main'",
  ]);
  expect(problems('a1: 60, a2: 30', ', capKva: 80')[0]).toContain('the slices are 90 kW together, more than');
  expect(problems('a1: 60')).toEqual(["nodes.0.slices: 'a2' has machines below 'main' and no slice"]);
  expect(problems('a1: 50, a2: 20, a3: 10, a9: 1')).toEqual([
    "nodes.0.slices.a3: 'a3' has no machines below 'main'",
    "nodes.0.slices.a9: there is no agent 'a9'",
  ]);
});

import { expect } from 'vitest';
import type { Model } from '../../../config/schema/model.ts';

const asic = (id: string): Model => ({
  kind: 'asic',
  id,
  vendor: 'Bitmain',
  driver: 'antminer',
  ratedW: 3_000,
  sleepW: 60,
  sleepS: 20,
  wakeS: 120,
  minOnS: 300,
  minOffS: 300,
  sources: ['made up for this test'],
  rungs: [{ powerW: 3_000, hashrateThs: 100 }],
});
export const MODELS = new Map(
  [asic('antminer-s19j-pro'), asic('antminer-s21')].map((model) => [model.id, model]),
);
export const PROFILES = ['schneider-pm5xxx', 'eastron-sdm630'];

/** A small site file in which nothing is wrong; the tests' line numbers count in it. */
export const GOOD = `schema: 1
site: demo
authority: observe
lease:
  t1S: 5
  t2S: 30
nodes:
  - id: main
    kind: transformer
    capKw: 1000
  - id: feeder-1
    parent: main
    kind: feeder
    capKw: 500
  - id: r1
    parent: feeder-1
    kind: rack
    capKw: 100
meters:
  - id: m-main
    node: main
    target: modbus://10.0.0.5:502/1?profile=schneider-pm5xxx
    periodMs: 1000
machines:
  - rack: r1
    model: antminer-s19j-pro
    target: antminer://10.1.1.{n}?http=80&api=4028
    first: 1
    count: 24
    periodMs: 5000
prices:
  energy:
    url: http://10.0.0.9/price
    periodMs: 5000
    maxAgeS: 600
  hash:
    url: http://10.0.0.9/hashprice
    periodMs: 60000
    maxAgeS: 7200
    fallbackUsdPerPhDay: 40
`;

/** The same with one text replaced. */
export const change = (from: string, to: string): string => {
  expect(GOOD).toContain(from);
  return GOOD.replace(from, to);
};

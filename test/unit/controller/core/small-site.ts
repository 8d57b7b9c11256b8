import type { Model } from '../../../../config/schema/model.ts';
import type { SiteConfigInput } from '../../../../config/schema/site.ts';

const common = { sleepW: 50, sleepS: 10, wakeS: 60, minOnS: 0, minOffS: 0, sources: ['made for tests'] };
/** Machines whose worth is easy to follow: two ages of miner and a GPU host. */
export const models: readonly Model[] = [
  // At 50 USD/PH/day: breakeven of `old` about 59, of `new` about 115 USD/MWh.
  {
    kind: 'asic',
    id: 'old',
    vendor: 'T',
    driver: 'antminer',
    ratedW: 3_500,
    rungs: [{ powerW: 3_450, hashrateThs: 96 }],
    ...common,
  },
  {
    kind: 'asic',
    id: 'new',
    vendor: 'T',
    driver: 'antminer',
    ratedW: 3_600,
    rungs: [{ powerW: 3_500, hashrateThs: 190 }],
    ...common,
  },
  {
    kind: 'gpu-host',
    id: 'gpu',
    vendor: 'T',
    driver: 'gpu-host',
    ratedW: 10_000,
    gpus: 8,
    idleW: 2_000,
    aiW: 9_800,
    mineW: 6_500,
    capMinW: 200,
    capMaxW: 700,
    memoryBaselineMib: 0,
    ...common,
    sleepW: 2_000,
  },
];

/** Two feeders, 18 miners, 4 GPU hosts. */
export const smallSite: SiteConfigInput = {
  schema: 1,
  site: 'small',
  authority: 'automatic',
  nodes: [
    { id: 'site', kind: 'site', capKw: 100 },
    { id: 'f1', kind: 'feeder', parent: 'site', capKw: 40 },
    { id: 'f2', kind: 'feeder', parent: 'site', capKw: 60 },
    { id: 'r1', kind: 'rack', parent: 'f1', capKw: 40 },
    { id: 'r2', kind: 'rack', parent: 'f2', capKw: 60 },
    { id: 'g1', kind: 'rack', parent: 'f2', capKw: 45 },
  ],
  meters: [
    { id: 'main', node: 'site', target: 'modbus://127.0.0.1:1502/1?profile=x' },
    { id: 'm1', node: 'f1', target: 'modbus://127.0.0.1:1502/2?profile=x' },
    { id: 'm2', node: 'f2', target: 'modbus://127.0.0.1:1502/3?profile=x' },
  ],
  machines: [
    { rack: 'r1', model: 'old', target: 'antminer://127.0.1.{n}', count: 10, periodMs: 5_000 },
    { rack: 'r2', model: 'new', target: 'antminer://127.0.2.{n}', count: 8, periodMs: 5_000 },
    { rack: 'g1', model: 'gpu', target: 'gpu://u@127.0.3.{n}', count: 4, periodMs: 5_000 },
  ],
  prices: {
    energy: { url: 'http://127.0.0.1/p', periodMs: 1_000, maxAgeS: 60, sharePct: 100 },
    hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
  },
  utility: { target: 'modbus://127.0.0.1:1503/1', envelope: { minLimitKw: 10 } },
  ai: { contracts: [{ id: 'acme', usdPerGpuHour: 2, penaltyUsdPerGpuHour: 4 }] },
};

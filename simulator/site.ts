/** The simulated site `demo`: what `up` runs without a site file, and what the proof harness scales. */
import type { SiteConfigInput } from '../config/schema/site.ts';

/** Ports of the simulated devices, all above 1023 so that no privilege is needed. */
export interface SimulatedPorts {
  readonly http: number;
  readonly api: number;
  readonly modbus: number;
  readonly ssh: number;
  readonly feeds: number;
}

export interface SimulatedSiteOptions {
  /** Devices listen on 127.OCTET.rack.n. */
  readonly loopbackOctet?: number;
  readonly ports?: Partial<SimulatedPorts>;
  /** How many machines, two in seventeen of them GPU hosts; absent: 240 ASICs and 32 hosts. Caps follow. */
  readonly machines?: number;
  /** Every family of miners that is simulated, rack by rack, instead of the usual three models. */
  readonly allFamilies?: boolean;
  /** Host key of every simulated GPU host, `SHA256:…`. */
  readonly hostKey: string;
  /** Private key the agent logs in with. */
  readonly keyFile: string;
}

export const SIMULATED_PORTS: SimulatedPorts = {
  http: 8_180,
  api: 4_028,
  modbus: 1_502,
  ssh: 2_222,
  feeds: 8_190,
};

/** Environment that the site's `passwordEnv` names refer to: the simulated devices' passwords are no secret. */
export const SIMULATED_ENV: Readonly<Record<string, string>> = { SWITCHYARD_SIM_PASSWORD: 'root' };

const MINE_UNIT = 'miner.service';
const AI_UNIT = 'ai.service';

type UsualId = 'antminer-s19j-pro' | 'antminer-s21' | 'whatsminer-m30s-plus';
type AsicId =
  | UsualId
  | 'antminer-s19j-pro-braiins'
  | 'antminer-s19j-pro-braiins-graphql'
  | 'antminer-s19-vnish'
  | 'antminer-s19-xp-epic'
  | 'antminer-s19k-pro-luxos'
  | 'auradine-at2880'
  | 'avalon-1246'
  | 'proto-rig'
  | 'whatsminer-m66';

/** What each draws when it works, kW: nameplates, for sizing the caps; and how it is reached. */
interface Asic {
  readonly kw: number;
  readonly scheme: string;
  /** By its web pages, with a name, or by its API. */
  readonly by: readonly ('http' | 'api' | 'user' | 'password')[];
}
const ASICS: Readonly<Record<AsicId, Asic>> = {
  'antminer-s19j-pro': { kw: 3.068, scheme: 'antminer', by: ['http', 'api', 'user', 'password'] },
  'antminer-s19j-pro-braiins': { kw: 3.068, scheme: 'braiins', by: ['http', 'user', 'password'] },
  'antminer-s19j-pro-braiins-graphql': {
    kw: 3.068,
    scheme: 'braiins-graphql',
    by: ['http', 'user', 'password'],
  },
  'antminer-s19-xp-epic': { kw: 3.35, scheme: 'epic', by: ['api', 'password'] },
  'antminer-s19-vnish': { kw: 3.2, scheme: 'vnish', by: ['http', 'password'] },
  'antminer-s19k-pro-luxos': { kw: 2.794, scheme: 'luxos', by: ['api'] },
  'antminer-s21': { kw: 3.5, scheme: 'antminer', by: ['http', 'api', 'user', 'password'] },
  'auradine-at2880': { kw: 5, scheme: 'auradine', by: ['http', 'api', 'password'] },
  'avalon-1246': { kw: 3.504, scheme: 'avalon', by: ['api'] },
  'proto-rig': { kw: 4, scheme: 'proto-rig', by: ['http', 'password'] },
  'whatsminer-m30s-plus': { kw: 3.4, scheme: 'whatsminer', by: ['api', 'password'] },
  'whatsminer-m66': { kw: 5.492, scheme: 'whatsminer-v3', by: ['api', 'password'] },
};
/** In a site of all families the racks take them in this order; the usual site has the first two makers' stock firmware. */
const ALL_FAMILIES: readonly AsicId[] = [
  'antminer-s19j-pro',
  'whatsminer-m30s-plus',
  'whatsminer-m66',
  'antminer-s19j-pro-braiins',
  'avalon-1246',
  'antminer-s19k-pro-luxos',
  'antminer-s19j-pro-braiins-graphql',
  'proto-rig',
  'auradine-at2880',
  'antminer-s19-vnish',
  'antminer-s19-xp-epic',
];
const GPU_MODEL = 'gpu-8x-h100';
const GPU_AI_KW = 9.7;
/** What a host draws beside its GPUs, as commissioning would have measured it at the simulated plug. */
const GPU_HOST_W = 1_084;
const GPU_HOST_FACTOR = 1.635;

const ROOM = 1.08;
/** Losses from a rack up to its feeder and on to the meter of the site, fans of the cooling included. */
const FEEDER_LOSS = 1.011;
const SITE_LOSS = 1.045;
/** Share of feeder-3's ASICs that it can carry while every GPU host runs AI. */
const BESIDE_AI = 0.66;

/** Racks of one feeder, by PDU, with the model in each rack: the racks take the feeder's ASICs in equal parts. */
const FEEDERS: readonly {
  readonly id: string;
  readonly share: number;
  readonly pdus: readonly (readonly UsualId[])[];
}[] = [
  {
    id: 'feeder-1',
    share: 0.4,
    pdus: [
      ['antminer-s19j-pro', 'antminer-s19j-pro'],
      ['antminer-s21', 'whatsminer-m30s-plus'],
    ],
  },
  {
    id: 'feeder-2',
    share: 0.4,
    pdus: [
      ['antminer-s19j-pro', 'antminer-s21'],
      ['antminer-s21', 'whatsminer-m30s-plus'],
    ],
  },
  { id: 'feeder-3', share: 0.2, pdus: [['antminer-s19j-pro', 'antminer-s21']] },
];
const GPU_RACKS = 4;
const MACHINES_DEFAULT = 272;
/** One ASIC per rack and one host per GPU rack. */
const MACHINES_LEAST = 14;
const GPU_SHARE = 2 / 17;
/** A loopback rack has 250 addresses; a larger one is split into more racks of its model. */
const RACK_MAX = 200;

type Node = SiteConfigInput['nodes'][number];
type Group = NonNullable<SiteConfigInput['machines']>[number];

interface Draft {
  readonly nodes: Node[];
  readonly machines: Group[];
  rack: number;
  /** Of the site's ASICs, placed so far. */
  share: number;
}

const kw = (powerKw: number): number => Math.round(powerKw * 10) / 10;

/** The site file of the simulated site, as data: 3 feeders, 10 ASIC racks, 4 GPU racks, 6 meters, a utility, three feeds. */
export function simulatedSite(options: SimulatedSiteOptions): SiteConfigInput {
  const { loopbackOctet = 20, machines, allFamilies = false, hostKey, keyFile } = options;
  const ports = { ...SIMULATED_PORTS, ...options.ports };
  const all = Math.max(MACHINES_LEAST, Math.floor(machines ?? MACHINES_DEFAULT));
  const gpuHosts = Math.max(GPU_RACKS, Math.round(all * GPU_SHARE));
  const asics = all - gpuHosts;
  const draft: Draft = { nodes: [], machines: [], rack: 0, share: 0 };
  let siteKw = 0;
  const plan = { asics, gpuHosts, allFamilies, loopbackOctet, ports, hostKey, keyFile };
  for (const feeder of FEEDERS) siteKw += addFeeder(draft, { feeder, ...plan });
  const capKw = kw(siteKw * SITE_LOSS);
  const root: Node = {
    id: 'main',
    kind: 'site',
    capKw,
    rampUpKwPerMin: kw(capKw * 0.8),
    rampDownKwPerMin: kw(capKw * 2),
  };
  const own = (n: number): string => `127.${loopbackOctet}.0.${n}`;
  const feeds = `http://${own(20)}:${ports.feeds}`;
  return {
    schema: 1,
    site: 'demo',
    name: 'Simulated site',
    authority: 'automatic',
    console: { login: 'fragment' },
    lease: { t1S: 5, t2S: 30, failSafe: 'hold' },
    control: controlOf(asics),
    nodes: [root, ...draft.nodes],
    meters: metersOf(own, ports),
    machines: draft.machines,
    prices: {
      energy: { url: `${feeds}/price`, periodMs: 1_000, maxAgeS: 60, addersUsdPerMwh: 4 },
      hash: { url: `${feeds}/hashprice`, periodMs: 5_000, maxAgeS: 3_600, fallbackUsdPerPhDay: 42 },
    },
    plant: plantOf(`modbus://${own(30)}:${ports.modbus}/1`),
    utility: {
      target: `modbus://${own(10)}:${ports.modbus}/1`,
      periodMs: 1_000,
      heartbeatMaxAgeS: 30,
      onLoss: 'hold',
    },
    ai: {
      demand: { url: `${feeds}/ai/demand`, periodMs: 1_000, maxAgeS: 120 },
      contracts: [
        { id: 'train', usdPerGpuHour: 2.1, penaltyUsdPerGpuHour: 1.5, firm: true },
        { id: 'batch', usdPerGpuHour: 1.2, penaltyUsdPerGpuHour: 0, firm: false },
      ],
      mineUsdPerGpuDay: 1.2,
    },
  };
}

/** One at the site, one per feeder, one at the GPU row, and one of its own generation. */
function metersOf(own: (n: number) => string, ports: SimulatedPorts): NonNullable<SiteConfigInput['meters']> {
  const meter = (
    n: number,
    id: string,
    node: string,
    profile: string,
  ): NonNullable<SiteConfigInput['meters']>[number] => ({
    id,
    node,
    target: `modbus://${own(n)}:${ports.modbus}/1?profile=${profile}`,
    periodMs: 1_000,
  });
  return [
    meter(1, 'm-main', 'main', 'schneider-pm5xxx'),
    meter(2, 'm-feeder-1', 'feeder-1', 'siemens-pac2200'),
    meter(3, 'm-feeder-2', 'feeder-2', 'abb-b2x'),
    meter(4, 'm-feeder-3', 'feeder-3', 'schneider-pm5xxx'),
    meter(5, 'm-gpu-row', 'gpu-row', 'eastron-sdm630'),
    { ...meter(6, 'm-solar', 'main', 'eastron-sdm630'), role: 'generation' },
  ];
}

/** One PLC: the breaker and cooling of the first feeder with its pump, the relay of the second, the water of the GPU row, a watchdog. */
const plantOf = (target: string): SiteConfigInput['plant'] => ({
  points: [
    { id: 'i-q1-open', target, kind: 'discrete', address: 0 },
    { id: 'i-ufr', target, kind: 'discrete', address: 1 },
    { id: 'i-pump', target, kind: 'discrete', address: 2 },
    { id: 'i-leak', target, kind: 'discrete', address: 3 },
    { id: 'i-water', target, kind: 'input', address: 10, type: 'int16', scale: 0.1, least: -40, most: 120 },
  ],
  permissives: [
    {
      id: 'pump',
      node: 'feeder-1-pdu-a',
      input: 'i-pump',
      about: 'pump',
      is: true,
      onLoss: 'shed',
      loop: 'hydro',
    },
    { id: 'water', node: 'feeder-1-pdu-a', input: 'i-water', about: 'temperature', max: 50, hysteresis: 5 },
    { id: 'leak', node: 'gpu-row', input: 'i-leak', about: 'leak', is: false },
  ],
  protections: [
    { id: 'q1', node: 'feeder-1', input: 'i-q1-open', kind: 'breaker' },
    {
      id: 'ufr',
      node: 'feeder-2',
      input: 'i-ufr',
      kind: 'under-frequency',
      autoRelease: true,
      releaseS: 30,
    },
  ],
  loops: [
    {
      id: 'hydro',
      node: 'feeder-1-pdu-a',
      target,
      address: 21,
      runOnS: 120,
      temperature: 'i-water',
      freezeBelowC: 5,
    },
  ],
  watchdogs: [{ target, kind: 'coil', address: 20 }],
});

/** A tour of minutes shows what real machines, for their own sake, do in half an hour. */
const controlOf = (asics: number): SiteConfigInput['control'] => ({
  minOnS: 15,
  minOffS: 15,
  maxCyclesPerDay: 1_000,
  startsPer10S: Math.max(20, Math.round(asics / 5)),
});

interface FeederPlan {
  readonly feeder: (typeof FEEDERS)[number];
  readonly asics: number;
  readonly gpuHosts: number;
  readonly allFamilies: boolean;
  readonly loopbackOctet: number;
  readonly ports: SimulatedPorts;
  readonly hostKey: string;
  readonly keyFile: string;
}

/** Adds a feeder with everything below it and returns what it may draw, kW. */
/** Racks by PDU. In a site of all families the last feeder has as many more as it takes for each to have one. */
function pdusOf({ id, pdus }: FeederPlan['feeder'], allFamilies: boolean): readonly (readonly UsualId[])[] {
  const usual = FEEDERS.flatMap((feeder) => feeder.pdus.flat()).length;
  if (!allFamilies || id !== FEEDERS.at(-1)?.id || usual >= ALL_FAMILIES.length) return pdus;
  return [
    ...pdus.slice(0, -1),
    [...(pdus.at(-1) ?? []), ...Array<UsualId>(ALL_FAMILIES.length - usual).fill('antminer-s21')],
  ];
}

function addFeeder(draft: Draft, plan: FeederPlan): number {
  const { feeder, asics } = plan;
  const pdus = pdusOf(feeder, plan.allFamilies);
  const racks = pdus.flat().length;
  const below: Node[] = [];
  let asicKw = 0;
  for (const [place, models] of pdus.entries()) {
    const pdu = pdus.length === 1 ? `${feeder.id}-pdu` : `${feeder.id}-pdu-${'ab'[place]}`;
    const beforeKw = asicKw;
    const rackNodes: Node[] = [];
    for (const usual of models) {
      const model = plan.allFamilies ? (ALL_FAMILIES[draft.rack % ALL_FAMILIES.length] ?? usual) : usual;
      // Rounded at the running total of the site, so that the racks hold the machines exactly.
      const before = Math.round(asics * draft.share);
      draft.share += feeder.share / racks;
      const count = Math.round(asics * draft.share) - before;
      for (const part of parts(count)) rackNodes.push(addAsicRack(draft, plan, { pdu, model, count: part }));
      asicKw += count * ASICS[model].kw;
    }
    below.push(
      { id: pdu, parent: feeder.id, kind: 'pdu', capKw: kw((asicKw - beforeKw) * 1.09) },
      ...rackNodes,
    );
  }
  const gpuKw = feeder.id === 'feeder-3' ? plan.gpuHosts * GPU_AI_KW : 0;
  if (gpuKw > 0) below.push(...addGpuRow(draft, plan));
  const capKw = gpuKw > 0 ? (gpuKw + asicKw * BESIDE_AI) * FEEDER_LOSS * 1.03 : asicKw * FEEDER_LOSS * ROOM;
  draft.nodes.push({ id: feeder.id, parent: 'main', kind: 'feeder', capKw: kw(capKw) }, ...below);
  return capKw;
}

function parts(count: number): number[] {
  const racks = Math.max(1, Math.ceil(count / RACK_MAX));
  return Array.from(
    { length: racks },
    (_, n) => Math.round((count * (n + 1)) / racks) - Math.round((count * n) / racks),
  ).filter((size) => size > 0);
}

/** 127.OCTET.rack, going on in the next octet after 250 racks. */
const network = (octet: number, rack: number): string =>
  `127.${octet + Math.floor(rack / 250)}.${(rack % 250) + 1}`;

function addAsicRack(
  draft: Draft,
  { loopbackOctet, ports }: FeederPlan,
  { pdu, model, count }: { readonly pdu: string; readonly model: AsicId; readonly count: number },
): Node {
  const address = `${network(loopbackOctet, draft.rack)}.{n}`;
  draft.rack += 1;
  const id = `r${draft.rack}`;
  const [passwordEnv = ''] = Object.keys(SIMULATED_ENV);
  const words = {
    http: `http=${ports.http}`,
    api: `api=${ports.api}`,
    user: 'user=root',
    password: `passwordEnv=${passwordEnv}`,
  };
  const { scheme, by } = ASICS[model];
  const target = `${scheme}://${address}?${by.map((word) => words[word]).join('&')}`;
  draft.machines.push({ rack: id, model, target, first: 1, count, periodMs: 5_000 });
  return { id, parent: pdu, kind: 'rack', capKw: kw(count * ASICS[model].kw * 1.1) };
}

function addGpuRow(draft: Draft, plan: FeederPlan): Node[] {
  const { gpuHosts, ports, loopbackOctet, hostKey, keyFile } = plan;
  const row: Node = {
    id: 'gpu-row',
    parent: 'feeder-3',
    kind: 'pdu',
    capKw: kw(gpuHosts * GPU_AI_KW * 1.09),
  };
  const racks: Node[] = [];
  let number = 0;
  for (let rack = 1; rack <= GPU_RACKS; rack += 1) {
    const inRack =
      Math.round((gpuHosts * rack) / GPU_RACKS) - Math.round((gpuHosts * (rack - 1)) / GPU_RACKS);
    for (const count of parts(inRack)) {
      number += 1;
      const id = `g${number}`;
      const options = `key=${encodeURIComponent(keyFile)}&hostKey=${encodeURIComponent(hostKey)}&mine=${MINE_UNIT}&ai=${AI_UNIT}&hostW=${GPU_HOST_W}&hostFactor=${GPU_HOST_FACTOR}`;
      const target = `gpu://switchyard@${network(loopbackOctet, draft.rack)}.{n}:${ports.ssh}?${options}`;
      draft.rack += 1;
      draft.machines.push({ rack: id, model: GPU_MODEL, target, first: 1, count, periodMs: 5_000 });
      racks.push({ id, parent: 'gpu-row', kind: 'rack', capKw: kw(count * GPU_AI_KW * 1.1) });
    }
  }
  return [row, ...racks];
}

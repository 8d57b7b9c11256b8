import type { Site } from '../config/site.ts';
import type { Random } from '../host/deps.ts';
import type { Misbehaviour, SimulatedMeterFault, WorldChange } from '../simulator/scenarios.ts';

/** Something that happens to a run besides what the world itself can do. */
export type Happening =
  | { readonly kind: 'world'; readonly change: WorldChange }
  | {
      readonly kind: 'kill';
      readonly process: 'controller' | 'agent';
      readonly disk: 'power' | 'process';
      readonly downMs: number;
    }
  | { readonly kind: 'broker'; readonly downMs: number }
  | { readonly kind: 'partition'; readonly client: 'controller' | 'agent'; readonly forMs: number }
  | { readonly kind: 'network'; readonly lossPct: number; readonly delayMs: number; readonly forMs: number };

/** One thing of a timeline, `atMs` from the start of the run. `fault`: its class, when it is one. */
export interface Planned {
  readonly atMs: number;
  readonly happening: Happening;
  readonly fault: string | undefined;
}

const MINUTE = 60_000;

/** Each draws one fault of its class with its own end; a seed has most classes and never all. */
type Draw = (site: Site, random: Random, atMs: number) => Planned[];

const pick = <T>(random: Random, list: readonly T[]): T => {
  const one = list[Math.floor(random.next() * list.length)];
  if (one === undefined) throw new RangeError('nothing to pick from');
  return one;
};
const between = (random: Random, least: number, most: number): number =>
  least + random.next() * (most - least);
const world = (atMs: number, change: WorldChange, fault?: string): Planned => ({
  atMs,
  happening: { kind: 'world', change },
  fault,
});

const machineFault =
  (behaviour: Misbehaviour, kind: 'asic' | 'gpu-host'): Draw =>
  (site, random, atMs) => {
    const candidates = site.machines.filter((machine) => machine.model.kind === kind);
    if (candidates.length === 0) return [];
    const machine = pick(random, candidates).id;
    return [
      world(atMs, { kind: 'machine', machine, behaviour }, `machine-${kind}-${behaviour}`),
      world(atMs + between(random, 4, 20) * MINUTE, { kind: 'machine', machine, behaviour: 'none' }),
    ];
  };

const meterFault =
  (fault: SimulatedMeterFault): Draw =>
  (site, random, atMs) => {
    const meter = pick(
      random,
      site.meters.filter((one) => one.role === 'node'),
    ).id;
    return [
      world(atMs, { kind: 'meter', meter, fault }, `meter-${fault}`),
      world(atMs + between(random, 1, 10) * MINUTE, { kind: 'meter', meter, fault: 'none' }),
    ];
  };

const feedFault =
  (feed: 'price' | 'hashprice' | 'ai', fault: 'nan' | 'stale' | 'html' | 'down' | 'x1000'): Draw =>
  (_site, random, atMs) => [
    world(atMs, { kind: 'feed', feed, fault }, `feed-${feed}-${fault}`),
    world(atMs + between(random, 1, 15) * MINUTE, { kind: 'feed', feed, fault: 'none' }),
  ];

const kill =
  (process: 'controller' | 'agent', disk: 'power' | 'process'): Draw =>
  (_site, random, atMs) => [
    {
      atMs,
      happening: { kind: 'kill', process, disk, downMs: between(random, 500, 90_000) },
      fault: `${process}-${disk === 'power' ? 'power-cut' : 'killed'}`,
    },
  ];

/** Every class of fault that can be drawn. */
const CLASSES: readonly Draw[] = [
  machineFault('dead', 'asic'),
  machineFault('ignores', 'asic'),
  machineFault('wakes', 'asic'),
  machineFault('lies', 'asic'),
  machineFault('garbage', 'asic'),
  machineFault('slow', 'asic'),
  machineFault('dead', 'gpu-host'),
  machineFault('ignores', 'gpu-host'),
  machineFault('holds-memory', 'gpu-host'),
  machineFault('wedged', 'gpu-host'),
  meterFault('silent'),
  meterFault('garbage'),
  meterFault('nan'),
  feedFault('price', 'nan'),
  feedFault('price', 'x1000'),
  feedFault('price', 'html'),
  feedFault('price', 'stale'),
  feedFault('price', 'down'),
  feedFault('hashprice', 'x1000'),
  feedFault('ai', 'html'),
  kill('controller', 'process'),
  kill('controller', 'power'),
  kill('agent', 'process'),
  kill('agent', 'power'),
  (_site, random, atMs) => [
    { atMs, happening: { kind: 'broker', downMs: between(random, 100, 60_000) }, fault: 'broker-restart' },
  ],
  (_site, random, atMs) => [
    {
      atMs,
      happening: { kind: 'partition', client: 'controller', forMs: between(random, 2_000, 120_000) },
      fault: 'partition-controller',
    },
  ],
  (_site, random, atMs) => [
    {
      atMs,
      happening: { kind: 'partition', client: 'agent', forMs: between(random, 2_000, 120_000) },
      fault: 'partition-agent',
    },
  ],
  (_site, random, atMs) => [
    {
      atMs,
      happening: {
        kind: 'network',
        lossPct: between(random, 2, 30),
        delayMs: between(random, 0, 800),
        forMs: between(random, 1, 10) * MINUTE,
      },
      fault: 'device-network',
    },
  ],
  (site, random, atMs) => {
    const rack = pick(random, site.racks).id;
    return [
      world(atMs, { kind: 'rack-switch', rack, up: false }, 'rack-switch'),
      world(atMs + between(random, 1, 8) * MINUTE, { kind: 'rack-switch', rack, up: true }),
    ];
  },
  (_site, random, atMs) => [
    world(atMs, { kind: 'utility-heartbeat', alive: false }, 'utility-silent'),
    world(atMs + between(random, 1, 5) * MINUTE, { kind: 'utility-heartbeat', alive: true }),
  ],
];

/**
 * The timeline of one seed: prices, limits and AI work that move all the time, and faults drawn from the classes,
 * ending `calmMs` before the end so that convergence can be judged. Sorted by time.
 */
export function drawTimeline(site: Site, random: Random, durationMs: number, calmMs: number): Planned[] {
  const planned: Planned[] = [...market(site, random, durationMs, calmMs)];
  const classes = CLASSES.filter(() => random.next() < 0.6);
  const untilMs = Math.max(0, durationMs - calmMs);
  for (let atMs = 3 * MINUTE; atMs < untilMs && classes.length > 0; atMs += between(random, 2, 12) * MINUTE)
    planned.push(
      ...pick(random, classes)(site, random, atMs).map((one) => ({
        ...one,
        atMs: Math.min(one.atMs, untilMs),
      })),
    );
  return planned.sort((a, b) => a.atMs - b.atMs);
}

/** Prices with spikes, utility limits and AI jobs: what the product is for. */
function market(site: Site, random: Random, durationMs: number, calmMs: number): Planned[] {
  const planned: Planned[] = [];
  const capKw = site.nodes[0]?.capKw ?? 1_000;
  const untilMs = durationMs - calmMs;
  for (let atMs = 0; atMs < untilMs; atMs += between(random, 5, 15) * MINUTE)
    planned.push(
      world(atMs, {
        kind: 'price',
        usdPerMwh: random.next() < 0.2 ? between(random, 60, 400) : between(random, -20, 58),
      }),
    );
  for (
    let atMs = between(random, 4, 30) * MINUTE;
    atMs < untilMs - 10 * MINUTE;
    atMs += between(random, 15, 60) * MINUTE
  ) {
    const emergency = random.next() < 0.2;
    const limitKw = Math.round(capKw * between(random, 0.45, 0.9));
    planned.push(
      world(atMs, {
        kind: 'utility-limit',
        limitKw,
        deadlineS: emergency ? 30 : between(random, 45, 300),
        event: emergency ? 'emergency' : 'contracted',
      }),
      world(atMs + between(random, 3, 10) * MINUTE, {
        kind: 'utility-limit',
        limitKw: undefined,
        deadlineS: 0,
        event: 'none',
      }),
    );
  }
  planned.push(...aiWork(site, random, untilMs));
  planned.push(
    world(untilMs, { kind: 'utility-limit', limitKw: undefined, deadlineS: 0, event: 'none' }),
    world(untilMs, { kind: 'price', usdPerMwh: 40 }),
  );
  return planned;
}

/** AI jobs of any size, one after another or over each other. */
function aiWork(site: Site, random: Random, untilMs: number): Planned[] {
  const planned: Planned[] = [];
  const hosts = site.machines.filter((machine) => machine.model.kind === 'gpu-host').length;
  const contracts = site.config.ai?.contracts ?? [];
  if (hosts === 0 || contracts.length === 0) return planned;
  for (
    let atMs = between(random, 2, 20) * MINUTE;
    atMs < untilMs - 15 * MINUTE;
    atMs += between(random, 15, 50) * MINUTE
  )
    planned.push(
      world(atMs, {
        kind: 'ai-job',
        id: `job-${planned.length + 1}`,
        contract: pick(random, contracts).id,
        hosts: Math.max(1, Math.floor(random.next() * hosts)),
        durationS: between(random, 4, 14) * 60,
      }),
    );
  return planned;
}

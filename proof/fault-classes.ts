import type { Site } from '../config/site.ts';
import type { LinkTrouble, Way } from '../host/memory-link.ts';
import type { Random } from '../host/deps.ts';
import type { OperatorRequest } from '../protocols/console/view.ts';
import type { MeterFault } from '../simulator/devices/meter.ts';
import type { Misbehaviour, WorldChange } from '../simulator/scenarios.ts';
import type { Happening, Planned, ProcessName } from './faults.ts';

export const MINUTE = 60_000;

export const pick = <T>(random: Random, list: readonly T[]): T => {
  const one = list[Math.floor(random.next() * list.length)];
  if (one === undefined) throw new RangeError('nothing to pick from');
  return one;
};
export const between = (random: Random, least: number, most: number): number =>
  least + random.next() * (most - least);
export const world = (atMs: number, change: WorldChange, fault?: string): Planned => ({
  atMs,
  happening: { kind: 'world', change },
  fault,
});

/** Each draws one fault of its class with its own end; a seed has most classes and never all. */
type Draw = (site: Site, random: Random, atMs: number) => Planned[];

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
  (fault: MeterFault): Draw =>
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

/** Equipment of the plant fails and is whole again; long enough to be seen also by an agent that was away meanwhile. */
const plantFault =
  (part: string): Draw =>
  (site, random, atMs) => {
    const { permissives, protections } = site.config.plant;
    if (part !== 'plc' && ![...permissives, ...protections].some(({ id }) => id === part)) return [];
    return [
      world(atMs, { kind: 'plant', part, failed: true }, `plant-${part}`),
      world(atMs + between(random, 3, 9) * MINUTE, { kind: 'plant', part, failed: false }),
    ];
  };

type Role = 'controller' | 'agent';
/** Of several agents one is struck at a time. */
const struck = (role: Role, { agents }: Site, random: Random): ProcessName => {
  if (role === 'controller') return role;
  return agents.length === 1 ? (agents[0] ?? role) : pick(random, agents);
};

/** One thing that happens, and ends by itself where it has an end. */
const one =
  (fault: string, happens: (random: Random, site: Site) => Happening): Draw =>
  (site, random, atMs) => [{ atMs, happening: happens(random, site), fault }];

const kill = (role: Role, disk: 'power' | 'process'): Draw =>
  one(`${role}-${disk === 'power' ? 'power-cut' : 'killed'}`, (random, site) => ({
    kind: 'kill',
    process: struck(role, site, random),
    disk,
    downMs: between(random, 500, 90_000),
  }));

/** Killed in the middle of what it does: between two timers, between two turns of promises. */
const killAnywhere = (role: Role): Draw =>
  one(`${role}-killed-anywhere`, (random, site) => ({
    kind: 'kill',
    process: struck(role, site, random),
    disk: random.next() < 0.5 ? 'power' : 'process',
    downMs: between(random, 500, 60_000),
    after: { timers: Math.floor(between(random, 1, 400)), turns: Math.floor(between(random, 0, 12)) },
  }));

/** A bit flips on the disk while its process is down. */
const flipped = (role: Role, flip: 'kept' | 'spool' | 'ledger'): Draw =>
  one(`${role}-${flip}-flipped`, (random, site) => ({
    kind: 'kill',
    process: struck(role, site, random),
    disk: 'process',
    downMs: between(random, 500, 30_000),
    flip,
  }));

const cut = (role: Role, way: Way): Draw =>
  one(way === 'both' ? `partition-${role}` : `partition-${role}-${way}`, (random, site) => ({
    kind: 'partition',
    client: struck(role, site, random),
    ...(way !== 'both' && { way }),
    forMs: between(random, 2_000, 120_000),
  }));

const troubled = (
  role: Role,
  what: 'again' | 'late' | 'lost',
  trouble: (random: Random) => LinkTrouble,
): Draw =>
  one(`messages-${what}-${role}`, (random, site) => ({
    kind: 'trouble',
    client: struck(role, site, random),
    trouble: trouble(random),
    forMs: between(random, 1, 8) * MINUTE,
  }));
const again = (random: Random): LinkTrouble => ({
  again: between(random, 0.05, 0.4),
  laterMs: between(random, 100, 60_000),
});
const late = (random: Random): LinkTrouble => ({
  late: between(random, 0.05, 0.4),
  laterMs: between(random, 50, 5_000),
});

const clockStep = (role: Role): Draw =>
  one(`${role}-clock-step`, (random, site) => ({
    kind: 'clock',
    process: struck(role, site, random),
    // Seconds, hours or days, both ways.
    stepMs: between(random, -1, 1) * pick(random, [5_000, 3_600_000, 86_400_000]),
  }));
const clockDrift = (role: Role): Draw =>
  one(`${role}-clock-drift`, (random, site) => ({
    kind: 'clock',
    process: struck(role, site, random),
    driftMsPerS: between(random, -20, 20),
  }));

const diskFault = (role: Role, fault: 'full' | 'failing' | 'slow'): Draw =>
  one(`${role}-disk-${fault}`, (random, site) => ({
    kind: 'disk',
    process: struck(role, site, random),
    fault,
    forMs: between(random, 2_000, 90_000),
  }));

/** A person acts, and takes it back some minutes later. */
const person =
  (action: 'sleep' | 'mine' | 'lockout', of: 'machine' | 'rack'): Draw =>
  (site, random, atMs) => {
    const asics = site.machines.filter((machine) => machine.model.kind === 'asic');
    const machine = pick(random, asics);
    const scope = [of === 'machine' ? machine.id : machine.rack];
    const act = (at: number, request: OperatorRequest, fault?: string): Planned => ({
      atMs: at,
      happening: { kind: 'operator', actor: 'admin@1', request },
      fault,
    });
    const untilMs = atMs + between(random, 2, 12) * MINUTE;
    const reason = 'by the seed';
    const back = action === 'lockout' ? 'unlock' : 'release';
    return [
      act(
        atMs,
        { scope, action, reason, ...(action !== 'lockout' && { minutes: 60 }) },
        `operator-${action}-${of}`,
      ),
      act(untilMs, { scope, action: back, reason }),
    ];
  };

/** A feed of racks that have two: its breaker opens, or nobody knows any more what flows through it, or both. */
const feedLost =
  (fault: string, isCut: boolean, isBlind: boolean): Draw =>
  (site, random, atMs) => {
    const feeds = site.nodes.flatMap((node) => (node.feeds.length > 1 ? node.feeds : []));
    if (feeds.length === 0) return [];
    const { node: index } = pick(random, feeds);
    const node = site.nodes[index]?.id ?? '';
    const meter = site.meters.find((one) => one.nodeIndex === index)?.id ?? '';
    const endMs = atMs + between(random, 1, 6) * MINUTE;
    const both = (at: number, lost: boolean, name?: string): Planned[] => [
      ...(isBlind ? [world(at, { kind: 'meter', meter, fault: lost ? 'silent' : 'none' }, name)] : []),
      ...(isCut ? [world(at, { kind: 'electric-feed', node, up: !lost }, name)] : []),
    ];
    return [...both(atMs, true, fault), ...both(endMs, false)];
  };

/** What can happen to racks with two feeds, in sites that have some: drawn apart from the others. */
export const FEED_CLASSES: readonly Draw[] = [
  feedLost('feed-lost', true, false),
  feedLost('feed-meter-lost', false, true),
  feedLost('feed-lost-unmetered', true, true),
];

/** A rack behind a contactor: its breaker opens, or the contactor does not move any more, or one during the other. */
const rackDark =
  (fault: string, isCut: boolean, isStuck: boolean): Draw =>
  (site, random, atMs) => {
    if (site.outlets.length === 0) return [];
    const { id, node } = pick(random, site.outlets);
    const breaker = site.config.plant.protections.find((one) => one.node === node)?.id ?? '';
    const longMs = between(random, 0.3, 5) * MINUTE;
    const plant = (at: number, part: string, failed: boolean, name?: string): Planned =>
      world(at, { kind: 'plant', part, failed }, name);
    return [
      ...(isStuck ? [plant(atMs, id, true, fault)] : []),
      ...(isCut ? [plant(atMs + 1_000, breaker, true, isStuck ? undefined : fault)] : []),
      ...(isCut ? [plant(atMs + longMs, breaker, false)] : []),
      ...(isStuck ? [plant(atMs + longMs + between(random, 0.5, 4) * MINUTE, id, false)] : []),
    ];
  };

/** What can happen to racks behind contactors, in sites that have some: drawn apart from the others. */
export const OUTLET_CLASSES: readonly Draw[] = [
  rackDark('rack-dark', true, false),
  rackDark('contactor-stuck', false, true),
  rackDark('rack-dark-contactor-stuck', true, true),
];

/** Every class of fault that can be drawn in any site. */
export const CLASSES: readonly Draw[] = [
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
  cut('controller', 'both'),
  cut('agent', 'both'),
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
  cut('controller', 'to'),
  cut('controller', 'from'),
  cut('agent', 'to'),
  cut('agent', 'from'),
  killAnywhere('controller'),
  killAnywhere('agent'),
  troubled('controller', 'again', again),
  troubled('agent', 'again', again),
  troubled('controller', 'late', late),
  troubled('agent', 'late', late),
  troubled('agent', 'lost', (random) => ({ lost: between(random, 0.05, 0.5) })),
  clockStep('controller'),
  clockStep('agent'),
  clockDrift('controller'),
  clockDrift('agent'),
  diskFault('controller', 'full'),
  diskFault('controller', 'failing'),
  diskFault('controller', 'slow'),
  diskFault('agent', 'failing'),
  diskFault('agent', 'full'),
  flipped('agent', 'kept'),
  flipped('agent', 'spool'),
  flipped('controller', 'ledger'),
  one('device-resets', (random) => ({
    kind: 'network',
    lossPct: 0,
    delayMs: 0,
    resetPct: between(random, 2, 30),
    forMs: between(random, 1, 10) * MINUTE,
  })),
  one('device-half-answers', (random) => ({
    kind: 'network',
    lossPct: 0,
    delayMs: 0,
    halfPct: between(random, 2, 30),
    forMs: between(random, 1, 10) * MINUTE,
  })),
  person('sleep', 'machine'),
  person('mine', 'rack'),
  person('lockout', 'machine'),
  person('lockout', 'rack'),
  meterFault('frozen'),
  meterFault('sign'),
  meterFault('x1000'),
  meterFault('swapped'),
  plantFault('pump'),
  plantFault('leak'),
  plantFault('q1'),
  plantFault('ufr'),
  plantFault('plc'),
];

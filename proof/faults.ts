import type { Site } from '../config/site.ts';
import type { Random } from '../host/deps.ts';
import type { LinkTrouble, Way } from '../host/memory-link.ts';
import type { OperatorRequest } from '../protocols/console/view.ts';
import type { WorldChange } from '../simulator/scenarios.ts';
import { between, CLASSES, FEED_CLASSES, MINUTE, OUTLET_CLASSES, pick, world } from './fault-classes.ts';

/** A process of the product that a run kills, cuts off and deceives: `controller`, or the id of an agent. */
export type ProcessName = string;

/** Something that happens to a run besides what the world itself can do. */
export type Happening =
  | { readonly kind: 'world'; readonly change: WorldChange }
  | {
      readonly kind: 'kill';
      readonly process: ProcessName;
      readonly disk: 'power' | 'process';
      readonly downMs: number;
      /** Not at once, but after so many timers and then so many turns of promises: in the middle of whatever runs. */
      readonly after?: { readonly timers: number; readonly turns: number };
      /** A bit of such a file has flipped when it starts again; of the ledger, until a person restores it. */
      readonly flip?: 'kept' | 'spool' | 'ledger';
    }
  | { readonly kind: 'broker'; readonly downMs: number }
  /** `way` absent: both. */
  | {
      readonly kind: 'partition';
      readonly client: ProcessName;
      readonly way?: Way;
      readonly forMs: number;
    }
  | {
      readonly kind: 'trouble';
      readonly client: ProcessName;
      readonly trouble: LinkTrouble;
      readonly forMs: number;
    }
  /** The way to all devices. `resetPct`, `halfPct`: exchanges that are reset, or break off in the answer. */
  | {
      readonly kind: 'network';
      readonly lossPct: number;
      readonly delayMs: number;
      readonly resetPct?: number;
      readonly halfPct?: number;
      readonly forMs: number;
    }
  /** The wall clock of a process is stepped, or runs fast or slow from now on, ms per s. */
  | {
      readonly kind: 'clock';
      readonly process: ProcessName;
      readonly stepMs?: number;
      readonly driftMsPerS?: number;
    }
  | {
      readonly kind: 'disk';
      readonly process: ProcessName;
      readonly fault: 'full' | 'failing' | 'slow';
      readonly forMs: number;
    }
  | { readonly kind: 'operator'; readonly actor: string; readonly request: OperatorRequest };

/** One thing of a timeline, `atMs` from the start of the run. `fault`: its class, when it is one. */
export interface Planned {
  readonly atMs: number;
  readonly happening: Happening;
  readonly fault: string | undefined;
}

/**
 * The timeline of one seed: prices, limits and AI work that move all the time, and faults drawn from the classes,
 * ending `calmMs` before the end so that convergence can be judged. Sorted by time. What happens to racks with two
 * feeds, and to those behind contactors, has a stream of chance of its own.
 */
export function drawTimeline(
  site: Site,
  random: Random,
  apart: { readonly ofFeeds: Random; readonly ofOutlets: Random },
  durationMs: number,
  calmMs: number,
): Planned[] {
  const planned: Planned[] = [...market(site, random, durationMs, calmMs)];
  const classes = CLASSES.filter(() => random.next() < 0.6);
  const untilMs = Math.max(0, durationMs - calmMs);
  const strike = (from: typeof CLASSES, chance: Random, atMs: number): void => {
    for (const one of pick(chance, from)(site, chance, atMs))
      planned.push({ ...one, atMs: Math.min(one.atMs, untilMs) });
  };
  for (let atMs = 3 * MINUTE; atMs < untilMs && classes.length > 0; atMs += between(random, 2, 12) * MINUTE)
    strike(classes, random, atMs);
  const strikeApart = (from: typeof CLASSES, chance: Random, canStrike: boolean): void => {
    if (!canStrike) return;
    for (let atMs = between(chance, 3, 20) * MINUTE; atMs < untilMs; atMs += between(chance, 8, 30) * MINUTE)
      strike(from, chance, atMs);
  };
  strikeApart(
    FEED_CLASSES,
    apart.ofFeeds,
    site.nodes.some(({ feeds }) => feeds.length > 1),
  );
  strikeApart(OUTLET_CLASSES, apart.ofOutlets, site.outlets.length > 0);
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

import type { Site } from '../config/site.ts';
import type { Random } from '../host/deps.ts';
import { seededRandom } from '../host/random.ts';
import { desiredTopic } from '../protocols/mqtt/topics.ts';
import { between, MINUTE, pick, world } from './fault-classes.ts';
import type { Planned } from './faults.ts';
import type { RunOptions } from './harness.ts';
import { harnessSite } from './site.ts';
import type { SiteShape } from './site.ts';

/** What happens in a run in which a mutant's fault is at stake; drawn from the seed like any other. */
interface Stake {
  readonly hours: number;
  readonly shape?: SiteShape;
  readonly draw: (site: Site, random: Random) => Planned[];
}

const MACHINES = 30;
const LOW = 20;
const HIGH = 200;
/** Machines that nobody hears for so long are lost for certain, ms. */
const LOST_MS = 170_000;

const price = (atMs: number, usdPerMwh: number): Planned => world(atMs, { kind: 'price', usdPerMwh });
const happens = (atMs: number, happening: Planned['happening'], fault: string): Planned => ({
  atMs,
  happening,
  fault,
});

/** All ASICs that rest wake by themselves at this moment, as they do when their power comes back. */
const wakeAll = (site: Site, fromMs: number, untilMs: number, share: number, random: Random): Planned[] =>
  site.machines
    .filter((machine) => machine.model.kind === 'asic' && random.next() < share)
    .flatMap(({ id: machine }) => [
      world(fromMs, { kind: 'machine', machine, behaviour: 'wakes' }, 'machine-asic-wakes'),
      world(untilMs, { kind: 'machine', machine, behaviour: 'none' }),
    ]);

/** Down for money, and up again as fast as the product lets it: ramps, starts, caps. */
function blackStart(random: Random): Planned[] {
  const downMs = between(random, 60_000, 120_000);
  return [price(0, LOW), price(downMs, HIGH), price(downMs + between(random, 150_000, 240_000), LOW)];
}

/** By name of mutant. */
const STAKES: Readonly<Record<string, Stake>> = {
  'expiry ignored': {
    hours: 0.16,
    // Beats arrive and documents do not: what is known grows old. Then machines leave what they were told.
    draw: (site, random) => {
      const cutMs = between(random, 200_000, 240_000);
      const wokenMs = cutMs + between(random, 80_000, 110_000);
      const trouble = { lost: 1, filter: desiredTopic(site.id, '+') };
      return [
        price(0, LOW),
        price(60_000, HIGH),
        happens(cutMs, { kind: 'trouble', client: 'a1', trouble, forMs: 200_000 }, 'messages-lost-agent'),
        ...wakeAll(site, wokenMs, wokenMs + 20_000, 0.6, random),
      ];
    },
  },
  'generation check removed': {
    hours: 0.25,
    draw: (_site, random) => {
      const prices = Array.from({ length: 9 }, (_, turn) =>
        price(turn * 90_000 + between(random, 0, 20_000), turn % 2 === 0 ? LOW : HIGH),
      );
      const trouble = { again: 0.6, laterMs: 150_000 };
      return [
        ...prices,
        happens(
          30_000,
          { kind: 'trouble', client: 'a1', trouble, forMs: 14 * MINUTE },
          'messages-again-agent',
        ),
      ];
    },
  },
  'ack before fsync': { hours: 0.06, draw: (_site, random) => blackStart(random) },
  'unknown counted as zero': {
    hours: 0.14,
    shape: { capShare: 0.72 },
    // A part of the site goes dark while it rests, and the rest is started.
    draw: (site, random) => {
      const darkMs = between(random, 150_000, 180_000);
      const racks = site.racks.filter((rack) => rack.id.startsWith('r'));
      const first = Math.floor(random.next() * (racks.length - 3));
      return [
        price(0, LOW),
        price(60_000, HIGH),
        ...racks
          .slice(first, first + 3)
          .map(({ id: rack }) => world(darkMs, { kind: 'rack-switch', rack, up: false }, 'rack-switch')),
        price(darkMs + LOST_MS + between(random, 0, 30_000), LOW),
      ];
    },
  },
  'unknown counted as rated when shedding': {
    hours: 0.16,
    // Some rest for money, go dark, and the utility limits the rest.
    draw: (site, random) => {
      const darkMs = between(random, 150_000, 180_000);
      const limitMs = darkMs + LOST_MS + between(random, 70_000, 100_000);
      const weak = site.racks.filter((rack) =>
        rack.machines.some((index) => site.machines[index]?.model.id === 'antminer-s19j-pro'),
      );
      const limitKw = (site.nodes[0]?.capKw ?? 0) * between(random, 0.34, 0.42);
      return [
        price(0, LOW),
        price(60_000, 55),
        ...weak.map(({ id: rack }) => world(darkMs, { kind: 'rack-switch', rack, up: false }, 'rack-switch')),
        world(limitMs, { kind: 'utility-limit', limitKw, deadlineS: 60, event: 'contracted' }),
      ];
    },
  },
  'ramp ignored': { hours: 0.13, shape: { rampShare: 0.15 }, draw: (_site, random) => blackStart(random) },
  'committed draw ignored': {
    hours: 0.16,
    shape: { capShare: 0.75 },
    draw: (_site, random) => blackStart(random),
  },
  'restore forgets the previous settings': {
    hours: 0.12,
    // The agent that restores is not the one that put to rest.
    draw: (_site, random) => {
      const rested = { kind: 'kill', process: 'a1', disk: 'power', downMs: 2_000 } as const;
      return [...blackStart(random), happens(between(random, 150_000, 200_000), rested, 'agent-power-cut')];
    },
  },
  'spool trimmed on PUBACK': {
    hours: 0.09,
    // The broker has everything, and nobody is there to store it.
    draw: (_site, random) => [
      price(0, LOW),
      happens(
        between(random, 60_000, 110_000),
        { kind: 'kill', process: 'controller', disk: 'process', downMs: between(random, 20_000, 60_000) },
        'controller-killed',
      ),
    ],
  },
  'guard removed': {
    hours: 0.16,
    shape: { capShare: 0.75 },
    // At the cap, nobody in charge, and what rests wakes by itself.
    draw: (site, random) => {
      const deadMs = between(random, 200_000, 240_000);
      const wokenMs = deadMs + between(random, 5_000, 60_000);
      return [
        price(0, LOW),
        happens(
          deadMs,
          { kind: 'kill', process: 'controller', disk: 'process', downMs: 240_000 },
          'controller-killed',
        ),
        ...wakeAll(site, wokenMs, wokenMs + 2_000, 1, random),
      ];
    },
  },
  'lockout ignored': {
    hours: 0.12,
    draw: (site, random) => {
      const asics = site.machines.filter((machine) => machine.model.kind === 'asic');
      const scope = [pick(random, asics).rack];
      const request = { scope, action: 'lockout', reason: 'hands in the rack' } as const;
      const lockMs = between(random, 40_000, 200_000);
      return [
        price(0, LOW),
        happens(lockMs, { kind: 'operator', actor: 'admin@1', request }, 'operator-lockout-rack'),
      ];
    },
  },
  'protection ignored': {
    hours: 0.1,
    // A breaker trips and is closed again; nobody has permitted anything yet.
    draw: (_site, random) => {
      const openMs = between(random, 40_000, 90_000);
      const closedMs = openMs + between(random, 80_000, 120_000);
      return [
        price(0, LOW),
        world(openMs, { kind: 'plant', part: 'q1', failed: true }, 'plant-q1'),
        world(closedMs, { kind: 'plant', part: 'q1', failed: false }),
      ];
    },
  },
};

/** A run in which the fault of this mutant is at stake. Throws for a mutant without one. */
export function stakeOf(mutant: string, seed: number): RunOptions {
  const stake = STAKES[mutant];
  if (stake === undefined) throw new Error(`nothing puts the mutant '${mutant}' at stake`);
  const { hours, shape, draw } = stake;
  const site = harnessSite(MACHINES, shape);
  const timeline = draw(site, seededRandom(seed * 1_000 + 5)).sort((a, b) => a.atMs - b.atMs);
  return {
    seed,
    hours,
    machines: MACHINES,
    ...(shape !== undefined && { shape }),
    timeline,
    stopAtViolation: true,
    unsettled: true,
  };
}

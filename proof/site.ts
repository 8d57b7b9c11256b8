import { MODELS } from '../config/models.ts';
import { plantSchema } from '../config/schema/plant.ts';
import { siteSchema } from '../config/schema/site.ts';
import type { SiteConfig } from '../config/schema/site.ts';
import { resolveSite } from '../config/site.ts';
import type { Site } from '../config/site.ts';
import { simulatedSite } from '../simulator/site.ts';

/** Where a site is narrower than it needs to be. */
export interface SiteShape {
  /** What the whole site may draw, as a share of what it would need: below 1 its cap decides who works. */
  readonly capShare?: number;
  /** How fast it may rise and fall, as a share of the usual ramps. */
  readonly rampShare?: number;
  /** 2: another agent has the second feeder, with everything below it. */
  readonly agents?: 1 | 2;
  /** 2: the GPU racks hang on two feeds, the second one below the first feeder, which is short of room for both loads. */
  readonly feeds?: 1 | 2;
  /** Racks whose machines start by themselves hang behind a contactor each, and a breaker of their own. */
  readonly outlets?: boolean;
}

/** What a seed's site is besides its size: of four in a row two have two agents and two dual-fed racks; each sixth one has contactors. */
export const shapeOf = (seed: number): SiteShape => ({
  ...(seed % 2 === 0 && { agents: 2 }),
  ...(seed % 4 >= 2 && { feeds: 2 }),
  ...(seed % 6 === 0 && { outlets: true }),
});

const POLL_MS = 30_000;
const METER_MS = 2_000;
const PLC_MS = 4_000;
/** So little that some full disks use it up. */
const RESERVE_MIB = 1 / 16;
/** A host key and key file for the in-memory SSH, which checks neither. */
export const NO_KEY = 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

/** What the harness has beside the machines: pumps of the hydro racks, without a meter, and coolers of the GPU row. */
const COOLED = ['feeder-1-pdu-a', 'gpu-row'];
const COOLERS = { fixedShare: 0.01, perItKw: 0.05, lagS: 60 };

/** Nodes with their coolers; their caps and all above have room for them. */
function withCoolers(nodes: SiteConfig['nodes']): SiteConfig['nodes'] {
  const { fixedShare, perItKw, lagS } = COOLERS;
  const moreKw = new Map<string, number>();
  for (const { id, capKw } of nodes.filter((node) => COOLED.includes(node.id)))
    for (let above: string | undefined = id; above !== undefined; above = parentOf(nodes, above))
      moreKw.set(above, (moreKw.get(above) ?? 0) + capKw * (fixedShare + perItKw));
  return nodes.map((node) => ({
    ...node,
    capKw: node.capKw + (moreKw.get(node.id) ?? 0),
    ...(COOLED.includes(node.id) && { auxiliary: { fixedKw: node.capKw * fixedShare, perItKw, lagS } }),
  }));
}

const parentOf = (nodes: SiteConfig['nodes'], id: string): string | undefined =>
  nodes.find((node) => node.id === id)?.parent;

/** Of what a feeder's own machines need, so much it has room for beside all that the GPU hosts may draw. */
const BESIDE_GPUS = 0.55;

/** `feeder-1` has room for its miners and half of what the GPU hosts draw, or for all of that and some of the miners. */
function withTwoFeeds(
  nodes: SiteConfig['nodes'],
  meters: SiteConfig['meters'],
): Pick<SiteConfig, 'nodes' | 'meters'> {
  const row = nodes.find(({ id }) => id === 'gpu-row');
  const meter = meters.find(({ node }) => node === 'gpu-row');
  if (row === undefined || meter === undefined) throw new Error('the site has no metered gpu-row');
  const other = { ...row, id: 'gpu-row-b', parent: 'feeder-1' };
  return {
    nodes: [
      ...nodes.map((node) => {
        if (node.id === 'feeder-1') return { ...node, capKw: node.capKw * BESIDE_GPUS + row.capKw };
        if (node.parent !== 'gpu-row') return node;
        const { parent: _, ...rest } = node;
        return { ...rest, feeds: ['gpu-row', 'gpu-row-b'] as [string, string] };
      }),
      other,
    ],
    meters: [
      ...meters,
      { ...meter, id: 'm-gpu-row-b', node: other.id, target: meter.target.replace('.0.5:', '.0.7:') },
    ],
  };
}

/** Of these neither firmware nor model keeps a machine asleep when its power returns. */
const STARTS_BY_ITSELF = 'whatsminer-m30s-plus';
/** Where the contactors' coils, their contacts and those of the breakers begin on the PLC. */
const FIRST_ADDRESS = 100;

/** Each rack that starts by itself with a contactor that drops out when the breaker in front of it opens. */
function withOutlets(plant: SiteConfig['plant'], groups: SiteConfig['machines']): SiteConfig['plant'] {
  const [target = ''] = plant.points.map((point) => point.target);
  const racks = groups
    .filter(({ model }) => model === STARTS_BY_ITSELF)
    .map(({ rack }, at) => ({ rack, at }));
  const point = (id: string, at: number) => ({ id, target, kind: 'discrete', address: FIRST_ADDRESS + at });
  const more = plantSchema.parse({
    points: racks.flatMap(({ rack, at }) => [point(`i-q-${rack}`, 2 * at), point(`i-k-${rack}`, 2 * at + 1)]),
    protections: racks.map(({ rack }) => ({
      id: `q-${rack}`,
      node: rack,
      input: `i-q-${rack}`,
      kind: 'breaker',
      autoRelease: true,
      releaseS: 10,
    })),
    outlets: racks.map(({ rack, at }) => ({
      id: `k-${rack}`,
      node: rack,
      target,
      kind: 'coil',
      address: FIRST_ADDRESS + at,
      input: `i-k-${rack}`,
      bootS: 30,
    })),
  });
  return {
    ...plant,
    points: [...plant.points, ...more.points],
    protections: [...plant.protections, ...more.protections],
    outlets: more.outlets,
  };
}

/**
 * The simulated site at a size, as the harness runs it: machines polled every 30 s (and, as everywhere, each second
 * while one is commanded); meters, feeds and GPU telemetry at rates that a day of virtual time can afford. The
 * scenarios run at the simulated site's own rates.
 */
export function harnessSite(
  machines: number,
  { capShare = 1, rampShare = 1, agents = 1, feeds = 1, outlets = false }: SiteShape = {},
): Site {
  const config = siteSchema.parse(simulatedSite({ machines, hostKey: NO_KEY, keyFile: '/sim/key' }));
  const groups = config.machines.map((group) => ({
    ...group,
    periodMs: POLL_MS,
    target: group.target.startsWith('gpu:') ? `${group.target}&sampleMs=4000` : group.target,
  }));
  const { energy, hash } = config.prices;
  const prices = { hash, ...(energy === undefined ? {} : { energy: { ...energy, periodMs: 5_000 } }) };
  const ai =
    config.ai === undefined
      ? {}
      : {
          ai: {
            ...config.ai,
            ...(config.ai.demand === undefined ? {} : { demand: { ...config.ai.demand, periodMs: 5_000 } }),
          },
        };
  const meters = config.meters.map((meter) => ({ ...meter, periodMs: METER_MS }));
  const equipped = outlets ? withOutlets(config.plant, config.machines) : config.plant;
  const plant = {
    ...equipped,
    points: equipped.points.map((point) => ({ ...point, periodMs: PLC_MS })),
    // A pump shows at the next reading but one.
    permissives: config.plant.permissives.map((one) =>
      one.loop === undefined ? one : { ...one, delayS: 2 * (PLC_MS / 1_000) },
    ),
    loops: config.plant.loops.map((one) => ({ ...one, periodMs: PLC_MS })),
    watchdogs: config.plant.watchdogs.map((one) => ({ ...one, periodMs: PLC_MS })),
  };
  const nodes = withCoolers(config.nodes).map((node) =>
    node.parent === undefined
      ? {
          ...node,
          capKw: node.capKw * capShare,
          ...(node.rampUpKwPerMin !== undefined && { rampUpKwPerMin: node.rampUpKwPerMin * rampShare }),
          ...(node.rampDownKwPerMin !== undefined && { rampDownKwPerMin: node.rampDownKwPerMin * rampShare }),
        }
      : node,
  );
  const split =
    agents === 1
      ? {}
      : {
          agents: [
            { id: 'a1', nodes: ['main'] },
            { id: 'a2', nodes: ['feeder-2'] },
          ],
        };
  const fed = feeds === 1 ? { nodes, meters } : withTwoFeeds(nodes, meters);
  const ledger = { reserveMiB: RESERVE_MIB };
  return resolveSite({ ...config, ...split, ...fed, machines: groups, plant, prices, ledger, ...ai }, MODELS);
}

/**
 * Meters against each other, in the whole product: a small site whose root, feeders and racks all have meters, with a
 * feeder that idles for a day, solar, pumps, a rack on two feeds, prices that go up and down; and wrong meters, one
 * after the other.
 */
import { MODELS } from '../config/models.ts';
import { siteSchema } from '../config/schema/site.ts';
import type { SiteConfigInput } from '../config/schema/site.ts';
import { resolveSite } from '../config/site.ts';
import type { Site } from '../config/site.ts';
import { seededRandom } from '../host/random.ts';
import type { FaultCode } from '../protocols/faults.ts';
import type { MeterFault } from '../simulator/devices/meter.ts';
import { runSeed } from './harness.ts';
import type { Planned } from './faults.ts';

const MINUTE_MS = 60_000;
/** Alarms by which a wrong meter is named, and those that must not come otherwise. */
const NAMES: readonly FaultCode[] = ['METER_WIRING', 'METER_RATIO', 'METER_DRIFT'];
export const isSaid = (code: FaultCode): boolean => NAMES.includes(code);
const FEEDS = 'http://127.20.0.20:8080';

const meter = (place: number, node: string, profile: string, periodMs: number): SiteMeterInput => ({
  id: `m-${node}`,
  node,
  target: `modbus://127.20.0.${place}:1502/1?profile=${profile}`,
  periodMs,
});
type SiteMeterInput = NonNullable<SiteConfigInput['meters']>[number];

const PROFILES = ['schneider-pm5xxx', 'siemens-pac2200', 'abb-b2x', 'eastron-sdm630'] as const;
const METERED = ['main', 'f1', 'f2', 'f3', 'r1', 'r2', 'r3', 'r4'] as const;
const RACKS = {
  r1: 'antminer-s19j-pro',
  r2: 'antminer-s21',
  r3: 'whatsminer-m30s-plus',
  r4: 'antminer-s19-pro',
};

/** In place of three meters, by id: what is worked out from the others. */
const VIRTUAL: Readonly<Record<string, string>> = {
  'm-f1': 'virtual:sum?of=m-r1',
  'm-f3': 'virtual:difference?of=m-main,m-solar&minus=m-r1,m-f2',
  'm-r4': 'virtual:machines',
};

/**
 * Four racks of `perRack` machines on three feeders: `r3` hangs on two of them, `f3` has pumps, the root has solar.
 * `isVirtual`: three nodes without meters of their own.
 */
export function meteringSite(
  perRack: number,
  { periodMs = 2_000, capShare = 1, isVirtual = false } = {},
): Site {
  const rackKw = perRack * 3.7;
  const config = siteSchema.parse({
    schema: 1,
    site: 'metering',
    name: 'Site with sub-meters',
    authority: 'automatic',
    control: { minOnS: 60, minOffS: 60, maxCyclesPerDay: 1_000 },
    nodes: [
      { id: 'main', kind: 'site', capKw: rackKw * 4.6 * capShare },
      { id: 'f1', parent: 'main', kind: 'feeder', capKw: rackKw * 1.2 },
      { id: 'f2', parent: 'main', kind: 'feeder', capKw: rackKw * 2.2 },
      {
        id: 'f3',
        parent: 'main',
        kind: 'feeder',
        capKw: rackKw * 2.4,
        auxiliary: { fixedKw: rackKw * 0.03, perItKw: 0.05, lagS: 60 },
      },
      { id: 'r1', parent: 'f1', kind: 'rack', capKw: rackKw },
      { id: 'r2', parent: 'f2', kind: 'rack', capKw: rackKw },
      { id: 'r3', feeds: ['f2', 'f3'], kind: 'rack', capKw: rackKw },
      { id: 'r4', parent: 'f3', kind: 'rack', capKw: rackKw },
    ],
    meters: [
      ...METERED.map((node, place) => {
        const read = meter(place + 1, node, PROFILES[place % 4] ?? '', periodMs);
        return isVirtual ? { ...read, target: VIRTUAL[read.id] ?? read.target } : read;
      }),
      { ...meter(20, 'main', 'eastron-sdm630', periodMs), id: 'm-solar', role: 'generation' },
    ],
    machines: Object.entries(RACKS).map(([rack, model], place) => ({
      rack,
      model,
      target:
        model === 'whatsminer-m30s-plus'
          ? `whatsminer://127.20.${place + 1}.{n}?api=4028&passwordEnv=SWITCHYARD_SIM_PASSWORD`
          : `antminer://127.20.${place + 1}.{n}?http=8081&api=4028&user=root&passwordEnv=SWITCHYARD_SIM_PASSWORD`,
      first: 1,
      count: perRack,
      periodMs: 10_000,
    })),
    utility: { target: 'modbus://127.20.0.30:1502/1', periodMs: 5_000, heartbeatMaxAgeS: 60, onLoss: 'hold' },
    prices: {
      energy: { url: `${FEEDS}/price`, periodMs: 30_000, maxAgeS: 300 },
      hash: { url: `${FEEDS}/hashprice`, periodMs: 300_000, maxAgeS: 3_600, fallbackUsdPerPhDay: 42 },
    },
  });
  return resolveSite(config, MODELS);
}

/** A meter that is wrong for a while, minutes from the start. */
export interface WrongMeter {
  readonly meter: string;
  readonly fault: MeterFault;
  readonly fromMin: number;
  readonly untilMin: number;
}

export interface MeteringOptions {
  readonly seed: number;
  readonly hours: number;
  /** Absent: 3. */
  readonly perRack?: number;
  readonly periodMs?: number;
  /** What the site may draw, as a share of the usual: below 0.9 its cap decides who works. */
  readonly capShare?: number;
  readonly wrong?: readonly WrongMeter[];
  /** Prices stay low: every feeder is loaded. */
  readonly isCalm?: boolean;
  /** Three of the meters are virtual. */
  readonly isVirtual?: boolean;
  /** A limit of the utility, a share of the root's cap; with two minutes to reach it. */
  readonly limit?: { readonly fromMin: number; readonly untilMin: number; readonly share: number };
  /** Nights in which everybody rests, and the utility's limits by day. */
  readonly isWeek?: boolean;
}

/** What was said of a meter, with its minute. */
export interface Said {
  readonly atMin: number;
  readonly code: FaultCode;
  readonly meter: string;
  readonly state: 'raised' | 'cleared';
  readonly text: string;
}

export interface MeteringResult {
  readonly said: readonly Said[];
  /** Per wrong meter in the order of `wrong`: how long after it began to be wrong a sample of it was last used, s. */
  readonly believedS: readonly number[];
  readonly violations: readonly string[];
  /** Commands that machines acknowledged. */
  readonly commands: number;
  /** How often a limit of the utility began that asked for load. */
  readonly curtailed: number;
  /** The most that really flowed into the site while a limit was in force and due, as a share of it. */
  readonly mostOfLimit: number;
  /** What was said of guards that worked without their meter. */
  readonly standIns: readonly Said[];
}

/** The whole product over such a site: all that it said of its meters, and what it did that it must not. */
export async function playMetering(options: MeteringOptions): Promise<MeteringResult> {
  const { seed, hours, perRack = 3, periodMs, capShare, isVirtual, wrong = [] } = options;
  const site = meteringSite(perRack, {
    ...(periodMs !== undefined && { periodMs }),
    ...(capShare !== undefined && { capShare }),
    ...(isVirtual !== undefined && { isVirtual }),
  });
  const said: Said[] = [];
  const standIns: Said[] = [];
  const believedS = wrong.map(() => 0);
  let curtailed = 0;
  const limits = limitsOf(options);
  let mostOfLimit = 0;
  const run = await runSeed({
    seed,
    site,
    hours,
    machines: site.machines.length,
    unsettled: true,
    wakeMaxS: 60,
    timeline: [...timesOf(options, site), ...wrong.flatMap(turns)].sort((a, b) => a.atMs - b.atMs),
    react: ({ nodeW }, atMs) => {
      const atMin = atMs / MINUTE_MS;
      const limit = limits.find(
        ({ fromMin, untilMin }) => atMin > fromMin + DEADLINE_MIN && atMin < untilMin,
      );
      if (limit !== undefined)
        mostOfLimit = Math.max(mostOfLimit, (nodeW[0] ?? 0) / (1_000 * limitKw(site, limit)));
      return [];
    },
    onEvent: (atMs, event) => {
      if (event.event === 'meter' && event.quality === 'good')
        for (const [place, { meter: id, fromMin, untilMin }] of wrong.entries())
          if (event.meter === id && atMs > fromMin * MINUTE_MS && atMs < untilMin * MINUTE_MS)
            believedS[place] = atMs / 1_000 - fromMin * 60;
      if (event.event === 'plan' && event.signalId?.startsWith('limit') === true) curtailed++;
      if (event.event !== 'alarm') return;
      const { code, subject, state, text } = event;
      const list = isSaid(code) ? said : code === 'METER_STANDIN' ? standIns : undefined;
      list?.push({ atMin: atMs / MINUTE_MS, code, meter: subject, state, text });
    },
  });
  return {
    said,
    believedS,
    violations: run.violations.map(({ invariant, text }) => `${invariant}: ${text}`),
    commands: run.commands,
    curtailed,
    mostOfLimit,
    standIns,
  };
}

const turns = ({ meter: id, fault, fromMin, untilMin }: WrongMeter): Planned[] => [
  happens(fromMin, { kind: 'meter', meter: id, fault }),
  happens(untilMin, { kind: 'meter', meter: id, fault: 'none' }),
];

const happens = (
  atMin: number,
  change: Extract<Planned['happening'], { kind: 'world' }>['change'],
): Planned => ({
  atMs: atMin * MINUTE_MS,
  happening: { kind: 'world', change },
  fault: undefined,
});

/** At the lowest everybody earns, then one kind after the other rests; at the highest but one a whole feeder idles. */
const PRICES = [28, 55, 75, 150] as const;
const IDLE_USD = 75;

interface PriceStep {
  readonly atMin: number;
  readonly usdPerMwh: number;
}

/** Prices that turn every few minutes to hours; one day in three a feeder rests for all of it. */
export function priceSteps(seed: number, hours: number): readonly PriceStep[] {
  const random = seededRandom(seed * 77 + 5);
  const steps: PriceStep[] = [];
  for (let atMin = 0; atMin < hours * 60;) {
    const day = Math.floor(atMin / 1_440);
    const isIdle = day % 3 === 1;
    const usdPerMwh = isIdle ? IDLE_USD : (PRICES[Math.floor(random.next() * PRICES.length)] ?? PRICES[0]);
    steps.push({ atMin, usdPerMwh });
    atMin = isIdle ? (day + 1) * 1_440 : atMin + 6 + random.next() * 150;
  }
  return steps;
}

function timesOf(options: MeteringOptions, site: Site): readonly Planned[] {
  const { seed, hours, isCalm = false, isWeek = false } = options;
  const steps = isCalm ? [{ atMin: 0, usdPerMwh: PRICES[0] }] : priceSteps(seed, hours);
  const limits = limitsOf(options);
  // Limits of the utility come while everybody works: otherwise they would ask for nothing.
  const busy = limits.map((limit) => ({ ...limit, fromMin: limit.fromMin - 20, usdPerMwh: PRICES[0] }));
  const spells = isWeek ? [...busy, ...nightsOf(hours)] : [];
  return [
    ...withSpells(steps, spells).map(({ atMin, usdPerMwh }) => happens(atMin, { kind: 'price', usdPerMwh })),
    ...limits.flatMap((limit): Planned[] => [
      happens(limit.fromMin, {
        kind: 'utility-limit',
        limitKw: limitKw(site, limit),
        deadlineS: DEADLINE_MIN * 60,
        event: 'contracted',
      }),
      happens(limit.untilMin, { kind: 'utility-limit', limitKw: undefined, deadlineS: 0, event: 'none' }),
    ]),
  ];
}

/** What the utility gives to reach a limit, min. */
const DEADLINE_MIN = 2;

const limitKw = (site: Site, { share }: { readonly share: number }): number =>
  Math.round((site.nodes[0]?.capKw ?? 0) * share);

interface Spell {
  readonly fromMin: number;
  readonly untilMin: number;
}

/** The same prices, but for spells with one of their own, which must not overlap. */
function withSpells(
  steps: readonly PriceStep[],
  spells: readonly (Spell & { readonly usdPerMwh: number })[],
): readonly PriceStep[] {
  const isWithin = (atMin: number): boolean =>
    spells.some(({ fromMin, untilMin }) => atMin >= fromMin && atMin <= untilMin);
  const own = spells.flatMap(({ fromMin, untilMin, usdPerMwh }) => {
    const after = steps.findLast(({ atMin }) => atMin <= untilMin)?.usdPerMwh ?? PRICES[0];
    return [
      { atMin: fromMin, usdPerMwh },
      { atMin: untilMin, usdPerMwh: after },
    ];
  });
  return [...steps.filter(({ atMin }) => !isWithin(atMin)), ...own];
}

const DAY_MIN = 1_440;
const daysIn = (hours: number): readonly number[] =>
  Array.from({ length: Math.ceil(hours / 24) }, (_, day) => day * DAY_MIN);

/** From ten in the evening, as a run begins at six in the morning, prices at which nobody earns anything. */
const nightsOf = (hours: number) =>
  daysIn(hours).map((dayMin) => ({
    fromMin: dayMin + 16 * 60,
    untilMin: dayMin + 22 * 60,
    usdPerMwh: Math.max(...PRICES),
  }));

/** The one asked for; in a week one each morning, and each second day one in the afternoon, for half an hour to two. */
function limitsOf({
  seed,
  hours,
  limit,
  isWeek = false,
}: MeteringOptions): readonly (Spell & { readonly share: number })[] {
  if (!isWeek) return limit === undefined ? [] : [limit];
  const random = seededRandom(seed * 113 + 9);
  return daysIn(hours).flatMap((dayMin, day) =>
    (day % 2 === 0 ? [60, 9 * 60] : [60]).map((atMin) => {
      const fromMin = dayMin + atMin + random.next() * 240;
      return { fromMin, untilMin: fromMin + 30 + random.next() * 90, share: 0.25 + random.next() * 0.4 };
    }),
  );
}

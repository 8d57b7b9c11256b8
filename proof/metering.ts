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

/** Four racks of `perRack` machines on three feeders: `r3` hangs on two of them, `f3` has pumps, the root has solar. */
export function meteringSite(perRack: number, { periodMs = 2_000, capShare = 1 } = {}): Site {
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
      ...METERED.map((node, place) => meter(place + 1, node, PROFILES[place % 4] ?? '', periodMs)),
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
}

/** The whole product over such a site: all that it said of its meters, and what it did that it must not. */
export async function playMetering(options: MeteringOptions): Promise<MeteringResult> {
  const { seed, hours, perRack = 3, periodMs, capShare, wrong = [] } = options;
  const site = meteringSite(perRack, {
    ...(periodMs !== undefined && { periodMs }),
    ...(capShare !== undefined && { capShare }),
  });
  const said: Said[] = [];
  const believedS = wrong.map(() => 0);
  const run = await runSeed({
    seed,
    site,
    hours,
    machines: site.machines.length,
    unsettled: true,
    wakeMaxS: 60,
    timeline: [...pricesOf(options), ...wrong.flatMap(turns)].sort((a, b) => a.atMs - b.atMs),
    onEvent: (atMs, event) => {
      if (event.event === 'meter' && event.quality === 'good')
        for (const [place, { meter: id, fromMin, untilMin }] of wrong.entries())
          if (event.meter === id && atMs > fromMin * MINUTE_MS && atMs < untilMin * MINUTE_MS)
            believedS[place] = atMs / 1_000 - fromMin * 60;
      if (event.event !== 'alarm' || !isSaid(event.code)) return;
      const { code, subject, state, text } = event;
      said.push({ atMin: atMs / MINUTE_MS, code, meter: subject, state, text });
    },
  });
  return {
    said,
    believedS,
    violations: run.violations.map(({ invariant, text }) => `${invariant}: ${text}`),
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

const pricesOf = ({ seed, hours, isCalm = false }: MeteringOptions): Planned[] =>
  (isCalm ? [{ atMin: 0, usdPerMwh: PRICES[0] }] : priceSteps(seed, hours)).map(({ atMin, usdPerMwh }) =>
    happens(atMin, { kind: 'price', usdPerMwh }),
  );

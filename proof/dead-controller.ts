import { MODELS } from '../config/models.ts';
import { resolveSite } from '../config/site.ts';
import type { Site } from '../config/site.ts';
import { seededRandom } from '../host/random.ts';
import type { Happening, Planned } from './faults.ts';
import { runSeed } from './harness.ts';
import { harnessSite } from './site.ts';

/**
 * One controller that dies, is cut off or freezes while its site is at its cap and more is waking: what the meter of
 * the site shows above the cap from that moment on, sample by sample. That meter is of class 0.5: what it does not
 * see, no guard can; how far the truth of the simulated world went is said beside it.
 */
export interface Death {
  readonly seed: number;
  readonly how: (typeof WAYS)[number];
  /** True load at that moment, % of the cap. */
  readonly loadPct: number;
  /** The most true load after it, % of the cap. */
  readonly peakPct: number;
  readonly excessKwS: number;
  /** The longest stretch above the cap by the meter, s; 0: never above it. */
  readonly longestS: number;
}

const WAYS = ['dies', 'cut off', 'freezes'] as const;

/** What the miners of the site would draw beyond what it may carry: the cap binds, and some always rest for it. */
const BEYOND_CAP = 1.1;
/** Losses and cooling on top of what machines draw, as a share: measured on this site. */
const ON_TOP = 1.05;
const SETTLED_MS = 300_000;
const WATCHED_MS = 180_000;
/** A frozen controller comes back after this and still believes that it is in charge. */
const FROZEN_MS = 100_000;
/**
 * Of the machines at rest this share wakes by itself, each at some time from just before that moment until past T2:
 * then nobody but the guard sends them back.
 */
const WAKING_SHARE = 0.7;
const WAKING_FROM_MS = -15_000;
const WAKING_UNTIL_MS = 60_000;
/** A machine is asked at least once in this, and wakes then. */
const ASKED_MS = 15_000;
const POLL_MS = 10_000;

/** The simulated site without GPU hosts and sun, its meters read each second, with a cap that binds. No meters, no guards. */
function deathSite(machines: number, guarded: boolean): Site {
  const { config, machines: all } = harnessSite(machines);
  const groups = config.machines.filter((group) => !group.target.startsWith('gpu:'));
  const minersW = all.reduce(
    (sum, { model }) => sum + (model.kind === 'asic' ? (model.rungs.at(-1)?.powerW ?? 0) : 0),
    0,
  );
  const capKw = Math.round((minersW * ON_TOP) / BEYOND_CAP / 1_000);
  return resolveSite(
    {
      ...config,
      control: { ...config.control, marginPct: 0.2 },
      nodes: config.nodes.map((node) =>
        node.parent === undefined
          ? { ...node, capKw, rampUpKwPerMin: capKw * 0.8, rampDownKwPerMin: capKw * 2 }
          : node,
      ),
      machines: groups.map((group) => ({ ...group, periodMs: POLL_MS })),
      meters: config.meters
        .filter((meter) => guarded && meter.role === 'node')
        .map((meter) => ({ ...meter, periodMs: 1_000 })),
    },
    MODELS,
  );
}

/** Plays one seed. `guarded` false: the same without any meter, so that nothing is left to the agent but its own sums. */
export async function playDeath(seed: number, machines: number, guarded = true): Promise<Death> {
  const site = deathSite(machines, guarded);
  const random = seededRandom(seed * 7_919);
  const capKw = site.nodes[0]?.capKw ?? 0;
  const how = WAYS[seed % WAYS.length] ?? 'dies';
  const deathMs = Math.round((SETTLED_MS + random.next() * 30_000) / 1_000) * 1_000;
  const selfWakes = site.machines.flatMap((machine): Planned[] => {
    const atMs = deathMs + WAKING_FROM_MS + random.next() * (WAKING_UNTIL_MS - WAKING_FROM_MS);
    // Who mines goes on mining; who rests wakes.
    if (random.next() > WAKING_SHARE) return [];
    const turn = (when: number, behaviour: 'wakes' | 'none'): Planned => ({
      atMs: when,
      fault: undefined,
      happening: { kind: 'world', change: { kind: 'machine', machine: machine.id, behaviour } },
    });
    return [turn(atMs, 'wakes'), turn(atMs + ASKED_MS, 'none')];
  });
  const timeline = [{ atMs: deathMs, fault: undefined, happening: endOf(how) }, ...selfWakes].sort(
    (a, b) => a.atMs - b.atMs,
  );
  const truthKw: number[] = [];
  const meterKw: number[] = [];
  await runSeed({
    seed,
    machines,
    site,
    timeline,
    hours: (deathMs + WATCHED_MS) / 3_600_000,
    onLine: (line) => {
      if (line.t === 'truth' && line.atMs >= deathMs) truthKw.push(line.nodeKw[0] ?? 0);
    },
    onEvent: (atMs, event) => {
      if (event.event === 'meter' && event.node === site.nodes[0]?.id && atMs >= deathMs)
        meterKw.push(event.powerW / 1_000);
    },
  });
  const pct = (kw: number): number => Math.round((kw / capKw) * 1_000) / 10;
  const loads = { loadPct: pct(truthKw[0] ?? 0), peakPct: pct(Math.max(...truthKw)) };
  // Without a meter the truth has to do.
  return { seed, how, ...loads, ...excessOf(guarded ? meterKw : truthKw, capKw) };
}

function endOf(how: Death['how']): Happening {
  if (how === 'dies')
    return { kind: 'kill', process: 'controller', disk: 'process', downMs: 10 * WATCHED_MS };
  const forMs = how === 'freezes' ? FROZEN_MS : 10 * WATCHED_MS;
  return { kind: 'partition', client: 'controller', forMs };
}

/** `powerKw`: one value a second. */
function excessOf(powerKw: readonly number[], capKw: number): Pick<Death, 'excessKwS' | 'longestS'> {
  let excessKwS = 0;
  let longestS = 0;
  let stretchS = 0;
  for (const kw of powerKw) {
    excessKwS += Math.max(0, kw - capKw);
    stretchS = kw > capKw ? stretchS + 1 : 0;
    longestS = Math.max(longestS, stretchS);
  }
  return { excessKwS: Math.round(excessKwS * 10) / 10, longestS };
}

/** What half of the values, 99 % of them and all of them do not exceed. */
export function quantiles(values: readonly number[]): {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
} {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}

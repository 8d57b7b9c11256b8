/**
 * What one meter's own phases say of how it is wired. With current k against the voltage of phase p(k), and its
 * transformer mounted backwards or not, its power factor shows as ± cos(φ + 120° (k − p(k))): of a load whose own φ is
 * moderate, no two ways of wiring look alike, but for those that only turn with φ. Idle supplies draw with any φ, so
 * nothing is said without load; nothing is said after one sample either.
 */
import { numberOf } from '../reading.ts';
import type { Readings } from '../reading.ts';

/** What a meter shows in one phase: W, and V times A, which has no sign. */
export interface Phase {
  readonly powerW: number;
  readonly apparentVa: number;
}

/** How the currents of a meter meet its voltages. */
export interface Wiring {
  /** Per phase, the phase whose voltage its current is taken with. */
  readonly voltageOf: readonly [number, number, number];
  /** Phases whose current is taken backwards. */
  readonly reversed: readonly number[];
}

/** What is known of one meter's wiring so far. */
export interface WiringState {
  /** The wiring by which its newest loaded samples are explained, for so long, ms. */
  now: Wiring | undefined;
  forMs: number;
  atMs: number;
  /** The wrong one that was found; undefined: none. */
  found: Wiring | undefined;
}

/** What a meter is mounted on. */
export interface Mounting {
  /** Each phase carries at least this when its word counts, VA. */
  readonly leastVa: number;
  /** Something behind it may feed back: then what flows out is no fault of the wiring. */
  readonly mayExport: boolean;
}

/** So long under load, without a contrary sample, before anything is called by its name or taken back, ms. */
const EVIDENCE_MS = 60_000;
/** One sample stands for no longer, ms. */
const SAMPLE_MOST_MS = 15_000;
/** A load's own angle is no larger, degrees: power factor 0.77. */
const ANGLE_MOST = 40;
const ANGLE_STEP = 4;
/** Root of the mean square between what is shown and what a wiring would show. */
const FIT = 0.12;
/** What is wrong in one place is likelier than in two. */
const PER_MISTAKE = 0.002;
const PHASES = ['L1', 'L2', 'L3'] as const;
const PERMUTATIONS = [
  [0, 1, 2],
  [1, 0, 2],
  [2, 1, 0],
  [0, 2, 1],
  [1, 2, 0],
  [2, 0, 1],
] as const;
const REVERSALS = [[], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]] as const;

/** Every wrong way of wiring. */
const WIRINGS: readonly Wiring[] = PERMUTATIONS.flatMap((voltageOf) =>
  REVERSALS.map((reversed) => ({ voltageOf, reversed })),
).filter((wiring) => !isRight(wiring));

function isRight({ voltageOf, reversed }: Wiring): boolean {
  return reversed.length === 0 && voltageOf.every((phase, place) => phase === place);
}

function mistakes({ voltageOf, reversed }: Wiring): number {
  const moved = voltageOf.filter((phase, place) => phase !== place).length;
  return reversed.length + (moved === 0 ? 0 : moved - 1);
}

/** What is known before the first sample. */
export const makeWiring = (): WiringState => ({
  now: undefined,
  forMs: 0,
  atMs: -Infinity,
  found: undefined,
});

/** The three phases in a meter's readings; undefined where it does not tell all of them. */
export function phasesOf(readings: Readings): readonly Phase[] | undefined {
  const phases = PHASES.flatMap((phase): Phase[] => {
    const powerW = numberOf(readings[`power.active.${phase}`]);
    const volts = numberOf(readings[`voltage.${phase}N`]);
    const amperes = numberOf(readings[`current.${phase}`]);
    if (powerW === undefined || volts === undefined || amperes === undefined) return [];
    return [{ powerW, apparentVa: Math.abs(volts * amperes) }];
  });
  return phases.length === PHASES.length ? phases : undefined;
}

/**
 * The wrong wiring that one sample of a loaded meter shows; 'right' when none is needed; undefined when it says
 * nothing: too little load, or something that no wiring explains.
 */
export function wiringOf(
  phases: readonly Phase[],
  { leastVa, mayExport }: Mounting,
): Wiring | 'right' | undefined {
  if (phases.some(({ apparentVa }) => !(apparentVa >= leastVa) || apparentVa === 0)) return undefined;
  const factors = phases.map(({ powerW, apparentVa }) => powerW / apparentVa);
  if (factors.every((factor) => factor > 0)) return 'right';
  // What feeds back does so in all phases alike, and with any angle where it nearly balances the load.
  const isAlike = factors.every((factor) => factor < 0);
  if (mayExport && isAlike) return undefined;
  let best: Wiring | undefined;
  let least = FIT;
  for (const wiring of WIRINGS) {
    const isTurned = wiring.voltageOf.every((phase, place) => phase !== place);
    if (mayExport && isTurned) continue;
    const score = misfit(factors, wiring) + PER_MISTAKE * mistakes(wiring);
    if (score >= least) continue;
    least = score;
    best = wiring;
  }
  return best;
}

function misfit(factors: readonly number[], { voltageOf, reversed }: Wiring): number {
  let least = Infinity;
  for (let angle = -ANGLE_MOST; angle <= ANGLE_MOST; angle += ANGLE_STEP) {
    let squares = 0;
    for (const [phase, factor] of factors.entries()) {
      const turned = angle + 120 * (phase - (voltageOf[phase] ?? phase));
      const sign = reversed.includes(phase) ? -1 : 1;
      squares += (factor - sign * Math.cos((turned * Math.PI) / 180)) ** 2;
    }
    least = Math.min(least, squares);
  }
  return Math.sqrt(least / factors.length);
}

/**
 * Takes one sample in. True when it may not steer anything: it shows a wrong wiring, or one was found and its end is
 * not shown yet. `nowMs`: monotonic.
 */
export function noteWiring(
  state: WiringState,
  phases: readonly Phase[] | undefined,
  mounting: Mounting,
  nowMs: number,
): boolean {
  const shown = phases === undefined ? undefined : wiringOf(phases, mounting);
  const passedMs = Math.min(SAMPLE_MOST_MS, nowMs - state.atMs);
  state.atMs = nowMs;
  if (shown === undefined) return state.found !== undefined;
  const wiring = shown === 'right' ? undefined : shown;
  if (wiring !== state.now) {
    state.now = wiring;
    state.forMs = 0;
  } else state.forMs += passedMs;
  if (state.forMs >= EVIDENCE_MS) state.found = wiring;
  return wiring !== undefined || state.found !== undefined;
}

/** A wrong wiring in words, with what to look at. */
export function wiringText({ voltageOf, reversed }: Wiring): string {
  const name = (phase: number): string => PHASES[phase] ?? '';
  const moved = voltageOf.flatMap((phase, place) => (phase === place ? [] : [place]));
  const parts: string[] = [];
  if (moved.length === 2)
    parts.push(`${moved.map(name).join(' and ')} are swapped between its voltages and its currents`);
  if (moved.length === 3) {
    const pairs = voltageOf.map((phase, place) => `current ${name(place)} with voltage ${name(phase)}`);
    parts.push(`its phases are turned: ${pairs.join(', ')}`);
  }
  if (reversed.length > 0)
    parts.push(
      `the current of ${reversed.map(name).join(', ')} is inverted: a transformer is mounted or connected the wrong way round`,
    );
  return parts.join('; ');
}

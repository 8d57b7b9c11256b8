/**
 * Meters against each other. Each equation (`equationsOf`) is looked at over aligned windows; what lies outside its band
 * adds up until chance is excluded, then the one meter whose error explains all equations it stands in is named.
 */
import { equationsOf, excessOf } from './balance.ts';
import type { Balance, BalanceMeter, BalanceNode, Equation, Shown } from './balance.ts';
import { isDistrusted as distrusts, keepFinding } from './finding.ts';
import type { MeterFinding } from './finding.ts';
import { makeDrift, noteDrift, TELLING } from './drift.ts';
import type { DriftState } from './drift.ts';
import { coversFinding } from './kept-meter.ts';
import type { Pardon } from './kept-meter.ts';
import { isOutside, Look, metersIn, standsIn } from './look.ts';
import type { Explained } from './look.ts';
import { endWindow, joinShown, makeCourse, makeOwnCourse, noteSample, noteWords } from './windows.ts';
import type { MeterCourse, OwnCourse, Words } from './windows.ts';

interface Case {
  /** Excess added up, as a share of the size times windows; by sign. */
  over: number;
  under: number;
  /** Candidates of the last windows, with the strain they left. */
  readonly strains: Map<number, { windows: number; strain: number; gain: number }>;
  votes: number;
  /** Short windows in a row in which one meter explains a gross contradiction. */
  gross: { readonly meter: number; windows: number } | undefined;
  readonly drift: DriftState;
}

/** All that is known of the meters of a site, or of an agent's part of it. */
export interface Reconciler {
  readonly nodes: readonly BalanceNode[];
  readonly meters: readonly BalanceMeter[];
  readonly equations: readonly Equation[];
  readonly cases: readonly Case[];
  readonly courses: readonly MeterCourse[];
  owns: OwnCourse[];
  readonly shortMs: number;
  /** Of the last short windows, the newest last. */
  shorts: { readonly shown: readonly (Shown | undefined)[] }[];
  endsMs: number;
  /** Machines' words are as old as this at most, ms. */
  readonly ownLagMs: number;
  /** By meter. */
  readonly found: Map<number, MeterFinding>;
  /** By meter: a person's word that what is found of it is wrong. */
  readonly pardons: Map<number, Pardon>;
  /** By meter that was named before: windows without contradiction that end it the next time. */
  readonly fineWindows: Map<number, number>;
  /** A feed has no voltage: what hangs on two flows otherwise than declared. */
  isTransferred: boolean;
}

const SHORT_MS = 10_000;
/** Short windows are joined to about this. */
const LONG_MS = 60_000;
/** Excess of one window counts no more than this, what is below the band takes away so much. */
const MOST_PER_WINDOW = 0.08;
const FORGOTTEN_PER_WINDOW = 0.03;
/** Excess that has added up to this is no chance. */
const ENOUGH = 0.2;
/** Windows in which the same meter alone explains it; and after which several are named together. */
const VOTES = 2;
const VOTES_MOST = 6;
/** Of two that explain it, the one that leaves so much less strain is the one. */
const CLEARLY = 1;
/** At once: outside the band by this share of the size, in so many short windows in a row. */
const GROSS = 0.4;
const GROSS_WINDOWS = 2;
const USUAL = 2.5;
/** A load that nobody declared draws no more than this share of its node's cap. */
const UNDECLARED = 0.3;
/** So many windows without contradiction end a finding; each time that it has come back so many times more. */
const FINE_WINDOWS = 5;
const FINE_AGAIN = 4;
const FINE_MOST = 80;
/** Of what may be lost, and of its class, this much may come and go with weather, load and season. */
const DRIFT_OF_LOSS = 0.4;
const DRIFT_OF_CLASS = 0.25;

/** `judged`: which equations are this one's to judge; absent: all. `ownLagMs`: how old machines' words are at most. */
export function makeReconciler(
  nodes: readonly BalanceNode[],
  meters: readonly BalanceMeter[],
  { ownLagMs, judged = () => true }: { ownLagMs: number; judged?: (equation: Equation) => boolean },
): Reconciler {
  const equations = equationsOf(nodes, meters).filter(judged);
  return {
    nodes,
    meters,
    equations,
    cases: equations.map(() => ({
      over: 0,
      under: 0,
      strains: new Map(),
      votes: 0,
      gross: undefined,
      drift: makeDrift(),
    })),
    courses: meters.map(({ periodMs }) => makeCourse(periodMs + 2_000)),
    owns: nodes.map(makeOwnCourse),
    shortMs: Math.max(SHORT_MS, ...meters.map(({ periodMs }) => 2 * periodMs)),
    shorts: [],
    endsMs: Number.NaN,
    ownLagMs,
    found: new Map(),
    pardons: new Map(),
    fineWindows: new Map(),
    isTransferred: false,
  };
}

/** A sample of a meter; undefined when it cannot be used. Taken also of a meter that is distrusted. */
export function noteMeter(state: Reconciler, meter: number, powerW: number | undefined, atMs: number): void {
  const course = state.courses[meter];
  if (course !== undefined) noteSample(course, powerW, atMs);
}

/** What machines and auxiliaries say, per node. Asked often enough that windows are covered. */
export function noteOwn(state: Reconciler, words: readonly Words[]): void {
  for (const [node, one] of words.entries()) {
    const course = state.owns[node];
    if (course !== undefined) noteWords(course, one);
  }
}

/**
 * Time has passed: true when what is found of the meters has changed. `isTransferred`: a feed has no voltage, and what
 * hangs on two draws from the other one, which is no fault of their meters.
 */
export function judgeMeters(state: Reconciler, nowMs: number, isTransferred = false): boolean {
  state.isTransferred = isTransferred;
  if (Number.isNaN(state.endsMs)) state.endsMs = nowMs + state.shortMs;
  if (nowMs < state.endsMs) return false;
  const windowMs = state.shortMs;
  // Whoever stood still itself begins anew.
  const isLate = nowMs - state.endsMs > windowMs;
  state.endsMs = isLate ? nowMs + windowMs : state.endsMs + windowMs;
  state.shorts.push({ shown: state.courses.map((course) => endWindow(course, windowMs)) });
  const before = [...state.found.values()];
  if (isLate) {
    state.shorts = [];
    state.owns = state.nodes.map(makeOwnCourse);
  } else judgeShort(state);
  if (state.shorts.length * state.shortMs >= LONG_MS) {
    const shown = state.meters.map((_, meter) => joinShown(state.shorts.map((short) => short.shown[meter])));
    judgeLong(state, shown);
    state.shorts = [];
    state.owns = state.nodes.map(makeOwnCourse);
  }
  const after = [...state.found.values()];
  return before.length !== after.length || before.some((one, place) => one !== after[place]);
}

/** Who explains what an equation shows, each with its gain. */
function explainers(state: Reconciler, equation: Equation, look: Look): ReadonlyMap<number, Explained> {
  const candidates = metersIn(equation).filter((meter) => !isNamed(state.found.get(meter)));
  const around = state.equations.filter((one) => candidates.some((meter) => standsIn(one, meter)));
  const found = new Map<number, Explained>();
  for (const meter of candidates) {
    const own = around.filter((one) => standsIn(one, meter));
    const explained = look.explain(meter, own, around);
    if (explained !== undefined) found.set(meter, explained);
  }
  // A wrong ratio is likelier than one that is wrong by a multiple, whatever else that would explain.
  const usual = [...found].filter(([, { gain }]) => Math.abs(Math.log(Math.abs(gain))) < Math.log(USUAL));
  return usual.length > 0 ? new Map(usual) : found;
}

/** What is so wrong that no minute is needed: a sign, a factor of ten. Machines' words are too old to be asked here. */
function judgeShort(state: Reconciler): void {
  const shown = state.shorts.at(-1)?.shown;
  if (shown === undefined) return;
  const look = new Look(state, shown, state.shortMs);
  for (const [place, equation] of state.equations.entries()) {
    const one = state.cases[place];
    if (one === undefined || equation.against === 'machines') continue;
    const balance = look.balance(equation);
    const isGross =
      balance !== undefined && Math.abs(excessOf(balance)) > GROSS && !isMended(state, look, equation);
    const [first, ...others] = isGross ? explainers(state, equation, look) : [];
    if (first === undefined || others.length > 0) {
      one.gross = undefined;
      continue;
    }
    const [meter, { gain }] = first;
    const windows = one.gross?.meter === meter ? one.gross.windows + 1 : 1;
    one.gross = { meter, windows };
    if (windows < GROSS_WINDOWS) continue;
    const isDistrusted = !mayBeRight(state, look, equation, meter, gain);
    name(state, { kind: 'ratio', meter, gain, or: [], isDistrusted, fine: 0 });
  }
}

function judgeLong(state: Reconciler, shown: readonly (Shown | undefined)[]): void {
  const look = new Look(state, shown, state.shortMs * state.shorts.length);
  endFindings(state, look);
  for (const [place, equation] of state.equations.entries()) {
    const one = state.cases[place];
    const balance = look.balance(equation);
    if (one === undefined || balance === undefined) continue;
    if (equation.against === 'meters') judgeDrift(state, equation, one, balance);
    const excess = isMended(state, look, equation) ? 0 : excessOf(balance);
    one.over = added(one.over, excess);
    one.under = added(one.under, -excess);
    if (excess === 0 || Math.max(one.over, one.under) < ENOUGH) {
      if (excess === 0) forget(one);
      continue;
    }
    vote(state, equation, one, look, excess);
  }
}

/** It holds with a named meter as it shows itself: mended meanwhile, it is not corrected any more. */
const isMended = (state: Reconciler, look: Look, equation: Equation): boolean =>
  metersIn(equation).some(
    (meter) => isNamed(state.found.get(meter)) && !isOutside(look.balance(equation, meter, 1)),
  );

const added = (sum: number, excess: number): number =>
  Math.max(0, excess > 0 ? sum + Math.min(MOST_PER_WINDOW, excess) : sum - FORGOTTEN_PER_WINDOW);

function forget(one: Case): void {
  one.strains.clear();
  one.votes = 0;
}

/** One more window in which an equation does not hold: who explains it? */
function vote(state: Reconciler, equation: Equation, one: Case, look: Look, excess: number): void {
  one.votes++;
  for (const [meter, { gain, strain }] of explainers(state, equation, look)) {
    const before = one.strains.get(meter);
    one.strains.set(meter, {
      windows: (before?.windows ?? 0) + 1,
      strain: (before?.strain ?? 0) + strain,
      gain,
    });
  }
  if (one.votes < VOTES) return;
  const ranked = [...one.strains]
    .filter(([, { windows }]) => windows > one.votes / 2)
    .sort(([, a], [, b]) => a.strain / a.windows - b.strain / b.windows);
  const [best, second] = ranked;
  if (best !== undefined && (second === undefined || second[1].strain - best[1].strain > CLEARLY)) {
    const [meter, { gain }] = best;
    const isDistrusted = !mayBeRight(state, look, equation, meter, gain);
    name(state, { kind: 'ratio', meter, gain, or: [], isDistrusted, fine: 0 });
    return;
  }
  // Machines that say too little are another fault's business.
  if (one.votes < VOTES_MOST || equation.against === 'machines') return;
  const or = metersIn(equation).filter(
    (meter) => meter !== equation.meter && (ranked.length === 0 || ranked.some(([each]) => each === meter)),
  );
  // Of two that contradict each other the one that shows less must not be believed.
  name(state, { kind: 'contradicts', meter: equation.meter, gain: 1, or, isDistrusted: excess < 0, fine: 0 });
}

/**
 * True when a meter may show more than all others because it alone sees it: a load that nobody declared, or machines
 * that say too little. A meter above it would see that too, and so much is not forgotten in a declaration.
 */
function mayBeRight(state: Reconciler, look: Look, { capW }: Equation, meter: number, gain: number): boolean {
  const beyondW = look.shownW(meter) * (1 - 1 / gain);
  if (gain < 1 || beyondW > UNDECLARED * capW) return false;
  return !state.equations.some(
    (each) =>
      each.against === 'meters' &&
      each.meter !== meter &&
      standsIn(each, meter) &&
      isOutside(look.balance(each)),
  );
}

/** Its error is known, and it is not used. */
const isNamed = (finding: MeterFinding | undefined): boolean =>
  finding?.kind === 'ratio' && distrusts(finding);

/** The finding with the person's word that covers it, if there is one. */
export function pardoned(state: Reconciler, finding: MeterFinding): MeterFinding {
  const pardon = state.pardons.get(finding.meter);
  const isCovered = pardon !== undefined && coversFinding(pardon, keepFinding(finding, state.meters));
  return { ...finding, pardon: isCovered ? pardon : undefined };
}

/** What is known less exactly gives way to a name. */
function name(state: Reconciler, named: MeterFinding): void {
  const finding = pardoned(state, named);
  const present = state.found.get(finding.meter);
  if (isNamed(present) || (present !== undefined && finding.kind !== 'ratio')) return;
  // What is used as it is stays so, until it shows less than the others or more than may be.
  if (present?.kind === 'ratio' && !distrusts(finding)) return;
  state.found.set(finding.meter, finding);
  for (const [place, equation] of state.equations.entries()) {
    const one = state.cases[place];
    if (one === undefined || !standsIn(equation, finding.meter)) continue;
    one.over = one.under = 0;
    one.gross = undefined;
    forget(one);
  }
}

/**
 * A finding is over when for some windows all equations hold with the meter as it shows itself, and would not hold
 * with the error that was found: a plant at rest agrees with both.
 */
function endFindings(state: Reconciler, look: Look): void {
  for (const [meter, finding] of state.found) {
    if (finding.kind === 'drift') continue;
    const { gain } = finding;
    const own = state.equations.filter((one) =>
      finding.kind === 'ratio' ? standsIn(one, meter) : one.meter === meter,
    );
    const asShown = own.flatMap((one) => look.balance(one, meter, 1) ?? []);
    if (asShown.some((balance) => excessOf(balance) !== 0)) finding.fine = 0;
    else if (
      finding.kind === 'ratio'
        ? own.some((one) => isOutside(look.balance(one, meter, gain)))
        : asShown.some(
            ({ sizeW }) => sizeW > TELLING * (state.nodes[state.meters[meter]?.node ?? -1]?.capW ?? 0),
          )
    )
      finding.fine++;
    const enough = state.fineWindows.get(meter) ?? FINE_WINDOWS;
    if (finding.fine < enough) continue;
    state.found.delete(meter);
    state.fineWindows.set(meter, Math.min(FINE_MOST, enough * FINE_AGAIN));
  }
}

function judgeDrift(state: Reconciler, equation: Equation, one: Case, balance: Balance): void {
  const { meter, lossShare } = equation;
  const errorShare = Math.hypot(...metersIn(equation).map((each) => state.meters[each]?.errorShare ?? 0));
  const drifted = noteDrift(
    one.drift,
    balance,
    equation.capW,
    DRIFT_OF_LOSS * lossShare + DRIFT_OF_CLASS * errorShare,
  );
  const present = state.found.get(meter);
  if (drifted === 0) {
    if (present?.kind === 'drift') state.found.delete(meter);
  } else if (present === undefined)
    name(state, {
      kind: 'drift',
      meter,
      gain: 1,
      or: equation.parts.map((part) => part.meter),
      isDistrusted: false,
      fine: 0,
    });
}

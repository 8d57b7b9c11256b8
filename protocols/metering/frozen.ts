/**
 * Whether the registers of a meter stand still though they should not: a gateway that repeats its cache, a meter whose
 * measuring part has died. Currents, voltages and powers are never twice the same while current flows, as far as their
 * registers can show it. The rule: a look is a refresh period of the meter, or the time between two readings where that
 * is longer; when `k` looks in a row saw nothing at all change, the values are frozen. Where at least three of the
 * values that are read each time are fine enough to show the noise of a load (1 in 2,000 or better), only they count,
 * byte for byte, and `k` is 3. It grows, up to 20, for a meter whose values are seen to stand still and then move on by
 * themselves, so that a healthy one is suspected less than once in ten million runs. Where the registers are too coarse
 * (steps of 0.1 kW under a steady load) or too few, everything noisy that is read counts, frequency included, and `k`
 * begins at some minutes and comes down, to a minute at the least, only as far as this meter shows that its values move
 * by themselves at a load of that size. Without current (or power, where no current is told) nothing is suspected.
 */
export interface FrozenState {
  /** What was read last of each. */
  readonly values: number[];
  /** When it last differed from what was read before, and how often it was read since. */
  sinceMs: number;
  polls: number;
  looks: number;
  isFine: boolean;
  /** Size of the load, as a power of two: how coarse values move depends on it. */
  level: number;
  readonly fine: Habit;
  readonly coarse: Map<number, Habit>;
}

/** How long values stood still by themselves, in looks. */
interface Habit {
  /** Runs, and those of them with a look that saw nothing new. */
  runs: number;
  stilled: number;
  /** Looks that came after such a look, and those of them that saw nothing new again. */
  after: number;
  again: number;
}

export interface Look {
  /** Values that are never twice the same under load; NaN: not read now. */
  readonly values: ArrayLike<number>;
  /** How many of them, the first ones, are read each time. */
  readonly fastCount: number;
  /** How many of those are fine enough to show the noise of a load. */
  readonly fineCount: number;
  /** The step of each, as its register has it; 0: fine. */
  readonly steps: ArrayLike<number>;
  /** Amperes, or watts; 0: nothing flows. */
  readonly load: number;
  readonly atMs: number;
  readonly refreshMs: number;
}

const LEAST_LOOKS = 3;
const MOST_FINE_LOOKS = 20;
const LEAST_COARSE_LOOKS = 60;
/** What moves by more has another load: that says nothing of how it moves under a steady one. */
const NOISE_STEPS = 3;
const NOISE_SHARE = 0.005;
const FINE_NEEDED = 3;
/** A poll may come a little early, as a share of the refresh. */
const EARLY = 0.1;
/** How rarely a healthy meter may be suspected, per run. */
const RARELY = 1e-7;
/** What is believed of a meter before it has shown its habits, as if it had shown these. */
const FINE_PRIOR: Habit = { runs: 100, stilled: 0.1, after: 100, again: 0.1 };
const COARSE_PRIOR: Habit = { runs: 1, stilled: 0.5, after: 30, again: 29 };
/** Coarse values that hardly ever stood still in so many runs will not go on standing still either. */
const TELLING_RUNS = 100;
/** What was long ago counts less. */
const REMEMBERED = 2_000;

const newHabit = (): Habit => ({ runs: 0, stilled: 0, after: 0, again: 0 });

export function makeFrozen(): FrozenState {
  return {
    values: [],
    sinceMs: 0,
    polls: 0,
    looks: 0,
    isFine: true,
    level: 0,
    fine: newHabit(),
    coarse: new Map(),
  };
}

/** Takes a reading in; for how long the values have stood still, ms, when they are frozen, else undefined. */
export function noteLook(state: FrozenState, look: Look): number | undefined {
  const { atMs, values } = look;
  const isFine = look.fineCount >= FINE_NEEDED;
  const { moved, isNoise } = takeValues(state.values, look, isFine ? look.fastCount : values.length);
  const isLoaded = look.load > 0;
  if (moved || !isLoaded || isFine !== state.isFine) {
    if (moved && isLoaded && isFine === state.isFine && (isFine || isNoise))
      learn(habitOf(state), state.looks);
    state.level = isLoaded ? Math.floor(Math.log2(look.load)) : 0;
    state.sinceMs = atMs;
    state.polls = 0;
    state.looks = 0;
    state.isFine = isFine;
    return undefined;
  }
  state.polls += 1;
  const stillMs = atMs - state.sinceMs;
  const looks = Math.min(state.polls, stillMs / look.refreshMs);
  state.looks = Math.floor(looks);
  return looks + EARLY >= looksNeeded(state) ? stillMs : undefined;
}

/** How many looks without any change make this meter's values frozen. */
export function looksNeeded(state: FrozenState): number {
  const { isFine } = state;
  const prior = isFine ? FINE_PRIOR : COARSE_PRIOR;
  const habit = habitOf(state);
  const first = (habit.stilled + prior.stilled) / (habit.runs + prior.runs);
  const weight = isFine ? 1 : TELLING_RUNS / (TELLING_RUNS + habit.runs);
  const toldRuns = TELLING_RUNS * (1 - weight);
  const again =
    (habit.again + prior.again * weight + first * toldRuns) / (habit.after + prior.after * weight + toldRuns);
  const needed = 1 + Math.ceil(Math.log(RARELY / first) / Math.log(again));
  return isFine
    ? Math.min(Math.max(LEAST_LOOKS, needed), MOST_FINE_LOOKS)
    : Math.max(LEAST_COARSE_LOOKS, needed);
}

function habitOf({ isFine, level, fine, coarse }: FrozenState): Habit {
  if (isFine) return fine;
  const known = coarse.get(level) ?? newHabit();
  coarse.set(level, known);
  return known;
}

/** Takes new values over; whether one of the first `count` has moved, and none by more than its noise. */
function takeValues(
  known: number[],
  { values, steps }: Look,
  count: number,
): { readonly moved: boolean; readonly isNoise: boolean } {
  let moved = false;
  let isNoise = true;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] ?? Number.NaN;
    const before = known[index] ?? Number.NaN;
    // What was not read now has not moved.
    if (Number.isNaN(value) || value === before) continue;
    known[index] = value;
    if (index >= count) continue;
    moved = true;
    const noise = Math.max(NOISE_STEPS * (steps[index] ?? 0), NOISE_SHARE * Math.abs(value));
    isNoise &&= Math.abs(value - before) <= noise;
  }
  return { moved, isNoise };
}

/** A run has ended by itself, after so many looks without a change. */
function learn(habit: Habit, looks: number): void {
  habit.runs += 1;
  if (looks > 0) {
    habit.stilled += 1;
    habit.after += looks;
    habit.again += looks - 1;
  }
  if (habit.runs > REMEMBERED) {
    habit.runs /= 2;
    habit.stilled /= 2;
  }
  if (habit.after > REMEMBERED) {
    habit.after /= 2;
    habit.again /= 2;
  }
}

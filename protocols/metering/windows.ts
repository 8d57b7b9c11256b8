/**
 * Energy of meters and machines over windows that are the same for all of them: power integrated between samples, so
 * that meters read at other moments and other rates can be compared. Times are monotonic ms.
 */
import type { Own, Shown } from './balance.ts';

/** What is gathered of one meter for one window. */
interface Sum {
  wattMs: number;
  coveredMs: number;
  leastW: number;
  mostW: number;
}

/** One meter's samples. */
export interface MeterCourse {
  lastW: number;
  /** NaN: the sample before was none. */
  lastMs: number;
  readonly periodMs: number;
  sum: Sum;
}

const noSum = (): Sum => ({ wattMs: 0, coveredMs: 0, leastW: Infinity, mostW: -Infinity });

export const makeCourse = (periodMs: number): MeterCourse => ({
  lastW: 0,
  lastMs: Number.NaN,
  periodMs,
  sum: noSum(),
});

/** Between samples further apart than so many periods nobody knows what flowed. */
const GAP_PERIODS = 3;
/** A window counts when so much of it is covered. */
const COVERED = 0.6;

/** One sample; undefined: it cannot be used. */
export function noteSample(course: MeterCourse, powerW: number | undefined, atMs: number): void {
  if (powerW === undefined) {
    course.lastMs = Number.NaN;
    return;
  }
  const passedMs = atMs - course.lastMs;
  if (passedMs > 0 && passedMs <= course.periodMs * GAP_PERIODS) {
    course.sum.wattMs += ((course.lastW + powerW) / 2) * passedMs;
    course.sum.coveredMs += passedMs;
    course.sum.leastW = Math.min(course.sum.leastW, course.lastW, powerW);
    course.sum.mostW = Math.max(course.sum.mostW, course.lastW, powerW);
  }
  course.lastW = powerW;
  course.lastMs = atMs;
}

/** What the meter showed in the window that ends now, and a new one begins. */
export function endWindow(course: MeterCourse, windowMs: number): Shown | undefined {
  const { wattMs, coveredMs, leastW, mostW } = course.sum;
  course.sum = noSum();
  if (coveredMs < COVERED * windowMs) return undefined;
  return { meanW: wattMs / coveredMs, swingW: mostW - leastW };
}

/** Means of several windows in a row as one; undefined where one is missing. */
export function joinShown(windows: readonly (Shown | undefined)[]): Shown | undefined {
  const known = windows.flatMap((window) => window ?? []);
  if (known.length < windows.length || known.length === 0) return undefined;
  const means = known.map(({ meanW }) => meanW);
  const meanW = means.reduce((sum, mean) => sum + mean, 0) / means.length;
  const swingW = Math.max(
    ...known.map(({ swingW: swing }) => swing),
    Math.max(...means) - Math.min(...means),
  );
  return { meanW, swingW };
}

/** What the machines of a node say at one moment, W. */
export interface Words {
  readonly machinesW: number;
  readonly unknownW: number;
  readonly doubtW: number;
  readonly auxiliaryW: number;
}

/** The words of one node over a window. */
export interface OwnCourse {
  count: number;
  machinesW: number;
  auxiliaryW: number;
  unknownW: number;
  doubtW: number;
  leastW: number;
  mostW: number;
}

export const makeOwnCourse = (): OwnCourse => ({
  count: 0,
  machinesW: 0,
  auxiliaryW: 0,
  unknownW: 0,
  doubtW: 0,
  leastW: Infinity,
  mostW: -Infinity,
});

export function noteWords(course: OwnCourse, words: Words): void {
  course.count++;
  course.machinesW += words.machinesW;
  course.auxiliaryW += words.auxiliaryW;
  course.unknownW = Math.max(course.unknownW, words.unknownW);
  course.doubtW = Math.max(course.doubtW, words.doubtW);
  course.leastW = Math.min(course.leastW, words.machinesW);
  course.mostW = Math.max(course.mostW, words.machinesW);
}

/** What the machines of a node said in the window that ends now; undefined: nothing was asked. */
export function ownOf(course: OwnCourse): Own | undefined {
  if (course.count === 0) return undefined;
  const { count, machinesW, auxiliaryW, unknownW, doubtW, leastW, mostW } = course;
  return {
    machinesW: machinesW / count,
    auxiliaryW: auxiliaryW / count,
    unknownW,
    doubtW,
    swingW: mostW - leastW,
  };
}

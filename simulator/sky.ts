/** Weather over the simulated site: the sun for its panels, the air for its cooling. */
import type { Random } from '../host/deps.ts';

const DAY_MS = 86_400_000;
/** The site lies where the sun is highest at this hour of UTC. */
const NOON_UTC_H = 18;
const MEAN_C = 22;
const SWING_C = 8;

export interface Sky {
  /** 0 at night to 1 under a clear noon. */
  sun(nowMs: number): number;
  /** Outside air, °C. */
  ambientC(nowMs: number): number;
  /** What cooling draws, as a share of the machines' own draw. */
  coolingShare(nowMs: number): number;
}

/** Weather that depends on nothing but the seed and the time, however often it is asked. */
export function makeSky({ random, startMs }: { readonly random: Random; readonly startMs: number }): Sky {
  const phases = [random.next(), random.next(), random.next()];
  const cloudMs = [47, 311, 1_870];
  const dayShare = (nowMs: number): number => ((startMs + nowMs - NOON_UTC_H * 3_600_000) % DAY_MS) / DAY_MS;
  /** Fair-weather clouds that pass in minutes. */
  const clouds = (nowMs: number): number =>
    cloudMs.reduce(
      (sum, periodS, index) =>
        sum + Math.sin(2 * Math.PI * (nowMs / (periodS * 1_000) + (phases[index] ?? 0))),
      0,
    ) / 3;
  const sky: Sky = {
    sun: (nowMs) => {
      const height = Math.cos(2 * Math.PI * dayShare(nowMs));
      return height <= 0 ? 0 : height * (0.85 + 0.15 * clouds(nowMs));
    },
    // The air is warmest three hours after the highest sun.
    ambientC: (nowMs) => MEAN_C + SWING_C * Math.cos(2 * Math.PI * (dayShare(nowMs) - 3 / 24)),
    coolingShare: (nowMs) => 0.01 + 0.001 * Math.max(0, sky.ambientC(nowMs) - 12),
  };
  return sky;
}

/** Pumps, fans and coolers on a node: a part that always runs, and one that turns up and down after the machines' heat. */
export interface Follower {
  /** W at the last look. */
  readonly powerW: number;
  /** `itW`: what the machines draw now. Times do not go back; at the first look it has settled. Not `live`: all stands. */
  follow(itW: number, nowMs: number, live: boolean): number;
}

/** Drives turn at a bounded rate: from nothing to what the node's whole load needs in `lagS`. */
export function makeFollower(
  { fixedKw, perItKw, lagS }: { readonly fixedKw: number; readonly perItKw: number; readonly lagS: number },
  nodeCapW: number,
): Follower {
  const wPerMs = lagS > 0 ? (perItKw * nodeCapW) / (lagS * 1_000) : Infinity;
  let variableW: number | undefined;
  let atMs = 0;
  const follower = {
    powerW: fixedKw * 1_000,
    follow: (itW: number, nowMs: number, live: boolean): number => {
      const wantedW = perItKw * itW;
      const mostW = nowMs > atMs ? wPerMs * (nowMs - atMs) : 0;
      const beforeW = variableW ?? wantedW;
      variableW = beforeW + Math.min(mostW, Math.max(-mostW, wantedW - beforeW));
      atMs = nowMs;
      if (!live) variableW = 0;
      follower.powerW = live ? fixedKw * 1_000 + variableW : 0;
      return follower.powerW;
    },
  };
  return follower;
}

/** One figure of the bench. `goal`: at most this, in `unit`; `baseline`: the same work done plainly in the same run. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly goal: number | null;
  readonly baseline: number | null;
  /** `value` / `baseline`. */
  readonly ratio: number | null;
}

/** A figure with what it is measured against. */
export function figure(
  name: string,
  unit: string,
  value: number,
  against: { readonly goal?: number; readonly baseline?: number } = {},
): Figure {
  const { goal, baseline } = against;
  return {
    name,
    value: rounded(value),
    unit,
    goal: goal ?? null,
    baseline: baseline === undefined ? null : rounded(baseline),
    ratio: baseline === undefined ? null : rounded(value / baseline),
  };
}

const rounded = (value: number): number => Number(value.toPrecision(3));

/** Median over runs of the CPU time of one operation, us, user and system, all threads of this process. */
export async function cpuUs(options: {
  /** Operations that one call of `run` does. */
  readonly operations: number;
  readonly run: () => unknown;
  readonly runs?: number;
  /** Calls before the first that counts. */
  readonly warm?: number;
}): Promise<number> {
  const { operations, run, runs = 7, warm = 2 } = options;
  const figures: number[] = [];
  for (let round = 0; round < warm + runs; round += 1) {
    const before = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(before);
    if (round >= warm) figures.push((user + system) / operations);
  }
  figures.sort((a, b) => a - b);
  return figures[Math.floor(figures.length / 2)] ?? Number.NaN;
}

import * as z from 'zod';
import type { HoleBook, KeptHoles } from './driver.ts';
import type { Keeper, Kept } from './kept.ts';

/** Of one meter. What is beyond is found again after a restart: a file with more would be none. */
const BARRIERS_MAX = 1_000;
const ABSENT_MAX = 2_000;

const holesSchema = z.strictObject({
  device: z.string().max(400),
  barriers: z.array(z.int().min(0).max(0xffff)).max(BARRIERS_MAX).readonly(),
  absent: z.array(z.string().max(128)).max(ABSENT_MAX).readonly(),
});
const fileSchema = z.record(z.string().max(2_000), holesSchema);

/** Meters at most; the ones found first go. */
const METERS_MAX = 2_000;

/** What meters were found to refuse, on the agent's disk, so that a restart need not find it again. */
export interface Holes extends HoleBook {
  /** Begins to read and to write its file; before that it remembers what it is told. Gives the keeper back. */
  start(keeper: Keeper): Keeper;
  stop(): void;
}

export function makeHoles(): Holes {
  const known = new Map<string, KeptHoles>();
  let file: Kept<z.infer<typeof fileSchema>> | undefined;
  let isRead = false;
  const write = (): void => {
    if (!isRead) return;
    // That it cannot be kept is an alarm of the keeper's; it is found again after the next start.
    file?.keep(Object.fromEntries(known)).catch(() => undefined);
  };
  return {
    of: (meter) => known.get(meter),
    keep: (meter, { device, barriers, absent }) => {
      known.delete(meter);
      known.set(meter, {
        device,
        barriers: barriers.slice(0, BARRIERS_MAX),
        absent: absent.slice(0, ABSENT_MAX),
      });
      const [oldest] = known.keys();
      if (known.size > METERS_MAX && oldest !== undefined) known.delete(oldest);
      write();
    },
    start: (keeper) => {
      file = keeper.open('holes', fileSchema, (found) => {
        const sooner = new Set(known.keys());
        for (const [meter, holes] of Object.entries(found ?? {}))
          if (!sooner.has(meter)) known.set(meter, holes);
        isRead = true;
        if (sooner.size > 0) write();
      });
      return keeper;
    },
    stop: () => file?.stop(),
  };
}

import * as z from 'zod';
import type { Clock } from '../host/deps.ts';
import { isLearnt, takeUp } from '../protocols/metering/calibration.ts';
import type { Calibration } from '../protocols/metering/calibration.ts';
import type { Keeper } from './kept.ts';
import type { Plant } from './plant.ts';

const SOURCES = ['byMachines', 'byMeters'] as const;

const learntSchema = z.strictObject({
  ratio: z.number().min(0.1).max(10),
  spread: z.number().min(0).max(10),
  /** When it was learnt, UTC ms. */
  atMs: z.number(),
});

/** Per node what its guard has learnt of its meter. */
const fileSchema = z.record(
  z.string().max(128),
  z.strictObject({ byMachines: learntSchema.optional(), byMeters: learntSchema.optional() }),
);

/** Written when something was learnt since, so often at most; at once when it has changed by so much. */
const KEEP_MS = 10 * 60_000;
const CHANGED_SHARE = 0.01;
/** Older than this it says nothing of the plant of today. */
const OLD_MS = 30 * 86_400_000;

/** Keeps what guards have learnt over restarts: the meter may be silent from the start on. */
export interface Ratios {
  /** Called once a second. */
  tick(): void;
  stop(): void;
}

export function keepRatios({
  plant,
  clock,
  keeper,
}: {
  readonly plant: Plant;
  readonly clock: Clock;
  readonly keeper: Keeper;
}): Ratios {
  let known = false;
  let keptMs = clock.monoMs();
  const kept = new Map<Calibration, number>();
  const all = plant.nodes.flatMap(({ id, guard }) =>
    guard === undefined ? [] : SOURCES.map((source) => ({ id, source, calibration: guard[source] })),
  );
  const file = keeper.open('ratios', fileSchema, (found) => {
    known = true;
    for (const { id, source, calibration } of all) {
      const one = found !== undefined && Object.hasOwn(found, id) ? found[id]?.[source] : undefined;
      const ageMs = clock.wallMs() - (one?.atMs ?? 0);
      if (one === undefined || ageMs > OLD_MS) continue;
      takeUp(calibration, one, clock.monoMs() - Math.max(0, ageMs));
      kept.set(calibration, calibration.ratio);
    }
  });
  const write = (): void => {
    keptMs = clock.monoMs();
    const toWallMs = clock.wallMs() - keptMs;
    const entries: Record<
      string,
      Partial<Record<(typeof SOURCES)[number], z.infer<typeof learntSchema>>>
    > = {};
    for (const { id, source, calibration } of all) {
      kept.set(calibration, calibration.ratio);
      if (!isLearnt(calibration) || calibration.learntMs === -Infinity) continue;
      const { ratio, spread, learntMs } = calibration;
      entries[id] = { ...entries[id], [source]: { ratio, spread, atMs: learntMs + toWallMs } };
    }
    // It is in the alarm, and tried again.
    file.keep(entries).catch(() => undefined);
  };
  return {
    tick: () => {
      if (!known) return;
      const isDue = clock.monoMs() - keptMs >= KEEP_MS;
      const isNew = all.some(({ calibration }) => {
        if (isDue && calibration.learntMs > keptMs) return true;
        const before = kept.get(calibration) ?? 1;
        return isLearnt(calibration) && Math.abs(calibration.ratio - before) > CHANGED_SHARE * before;
      });
      if (isNew) write();
    },
    stop: () => file.stop(),
  };
}

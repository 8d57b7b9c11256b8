import * as z from 'zod';
import type { Clock } from '../host/deps.ts';
import { isLearnt, takeUp } from '../protocols/metering/calibration.ts';
import type { Calibration } from '../protocols/metering/calibration.ts';
import { meterPrint } from '../protocols/metering/kept-meter.ts';
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
  z.strictObject({
    /** `meterPrint` of the meter it was learnt of. */
    as: z.string().max(16),
    byMachines: learntSchema.optional(),
    byMeters: learntSchema.optional(),
  }),
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
  const kept = new Map<Calibration, number | undefined>();
  const all = learners(plant);
  const file = keeper.open('ratios', fileSchema, (found) => {
    known = true;
    for (const { id, as, source, calibration } of all) {
      const node = found !== undefined && Object.hasOwn(found, id) ? found[id] : undefined;
      const one = node?.as === as ? node[source] : undefined;
      const ageMs = clock.wallMs() - (one?.atMs ?? 0);
      if (one === undefined || ageMs > OLD_MS) continue;
      takeUp(calibration, one, clock.monoMs() - Math.max(0, ageMs));
      kept.set(calibration, calibration.ratio);
    }
  });
  const write = (): void => {
    keptMs = clock.monoMs();
    const toWallMs = clock.wallMs() - keptMs;
    const entries: z.infer<typeof fileSchema> = {};
    for (const { id, as, source, calibration } of all) {
      kept.set(calibration, isKnown(calibration) ? calibration.ratio : undefined);
      if (!isKnown(calibration)) continue;
      const { ratio, spread, learntMs } = calibration;
      entries[id] = { ...entries[id], as, [source]: { ratio, spread, atMs: learntMs + toWallMs } };
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
        const before = kept.get(calibration);
        // What was taken back is not to be found again.
        if (!isKnown(calibration)) return before !== undefined;
        return Math.abs(calibration.ratio - (before ?? 1)) > CHANGED_SHARE * (before ?? 1);
      });
      if (isNew) write();
    },
    stop: () => file.stop(),
  };
}

const isKnown = (calibration: Calibration): boolean =>
  isLearnt(calibration) && calibration.learntMs !== -Infinity;

interface Learner {
  readonly id: string;
  readonly as: string;
  readonly source: (typeof SOURCES)[number];
  readonly calibration: Calibration;
}

/** Each calibration once, at the node whose meter it is learnt of: others borrow it. Nodes: parents first. */
function learners({ nodes }: Plant): readonly Learner[] {
  const all = new Map<Calibration, Learner>();
  for (const { id, guard, meter } of nodes)
    if (guard !== undefined && meter !== undefined)
      for (const source of SOURCES) {
        const calibration = guard[source];
        if (!all.has(calibration))
          all.set(calibration, { id, as: meterPrint(meter.config), source, calibration });
      }
  return [...all.values()];
}

import type { Model } from '../config/schema/model.ts';

/** How long a machine of the simulated site must stay in a state before money changes it, s. */
const MIN_STATE_S = 15;
const WAKE_MAX_S = 30;

/**
 * The same models with short times in a state and to wake, for the simulated site only: a tour of minutes shows what
 * takes real machines half an hour. Draw and hashrate stay as they are.
 */
export function hurriedModels(models: ReadonlyMap<string, Model>): ReadonlyMap<string, Model> {
  return new Map(
    [...models].map(([id, model]): [string, Model] => [
      id,
      {
        ...model,
        minOnS: Math.min(model.minOnS, MIN_STATE_S),
        minOffS: Math.min(model.minOffS, MIN_STATE_S),
        ...(model.kind === 'asic' && { wakeS: Math.min(model.wakeS, WAKE_MAX_S) }),
      },
    ]),
  );
}

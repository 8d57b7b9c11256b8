import { numberOf } from '../protocols/reading.ts';
import type { Readings } from '../protocols/reading.ts';

/** What the box the agent runs on says of itself, as last read, for the heartbeat; asked again at every look that finds no question open. */
export function makeHostWatch(
  read: (() => Promise<Readings>) | undefined,
): () => { readonly host?: Record<string, number> } {
  let asking = false;
  let last: Record<string, number> | undefined;
  return () => {
    if (read !== undefined && !asking) {
      asking = true;
      void read().then((readings) => {
        asking = false;
        last = Object.fromEntries(
          Object.entries(readings).flatMap(([name, reading]) => {
            const value = numberOf(reading);
            return value === undefined ? [] : [[name, value]];
          }),
        );
      });
    }
    return last === undefined ? {} : { host: last };
  };
}

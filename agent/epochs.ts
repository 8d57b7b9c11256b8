import * as z from 'zod';
import type { LeaseState } from './core/lease.ts';
import type { Keeper } from './kept.ts';

const epochSchema = z.strictObject({ epoch: z.int().nonnegative() });

/** The highest epoch seen, on the agent's disk: an older controller stays refused after a restart. */
export interface Epochs {
  /** False until the disk has been read. */
  readonly known: boolean;
  /** Resolves when it is durable, and the lease knows it. */
  keep(epoch: number): Promise<void>;
  stop(): void;
}

export function keepEpochs({
  keeper,
  lease,
}: {
  readonly keeper: Keeper;
  readonly lease: LeaseState;
}): Epochs {
  let known = false;
  const raise = (epoch: number): void => {
    lease.durableEpoch = Math.max(lease.durableEpoch, epoch);
  };
  const file = keeper.open('epoch', epochSchema, (found) => {
    raise(found?.epoch ?? 0);
    known = true;
  });
  return {
    get known() {
      return known;
    },
    keep: async (epoch) => {
      await file.keep({ epoch });
      raise(epoch);
    },
    stop: () => file.stop(),
  };
}

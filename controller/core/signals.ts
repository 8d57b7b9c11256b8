import type { Observed } from '../../protocols/mqtt/status.ts';
import type { PriceInterval } from '../../protocols/prices/feed.ts';
import { makeGate } from './witness.ts';
import type { Gate } from './witness.ts';

/** The utility's limit as last heard. `issued` is our clock when this sequence was first seen. */
export interface LimitState {
  sequence: number;
  /** As the utility says it, and what of it is obeyed. */
  limitKw: number | undefined;
  obeyedKw: number | undefined;
  /** When it, and those of the last day, began (UTC ms). */
  beganMs: number;
  events: readonly number[];
  /** The person who agreed that it may be more than the contract covers, and with which limit. */
  agreed: { readonly by: string; readonly limitKw: number } | undefined;
  kind: 'none' | 'contracted' | 'emergency';
  deadlineMonoMs: number;
  deadlineWallMs: number;
  heardMonoMs: number;
  heartbeatAgeMs: number;
  lost: boolean;
  signalId: string;
  /** True from the first moment the main meter is below the limit. */
  met: boolean;
  last: Observed['utility'] | undefined;
}

export interface PriceState {
  usdPerMwh: number | undefined;
  endMs: number;
  /** What the newest good word said of later, in order of time, and when that was published. */
  later: readonly PriceInterval[];
  publishedAtMs: number;
  readonly gate: Gate;
  heardMonoMs: number;
  quality: 'good' | 'held' | 'fallback' | 'none';
  signalId: string;
  count: number;
}

/** Before anything was heard. */
export const noPrice = (): PriceState => ({
  usdPerMwh: undefined,
  endMs: 0,
  later: [],
  publishedAtMs: 0,
  gate: makeGate(),
  heardMonoMs: -Infinity,
  quality: 'none',
  signalId: 'price-0',
  count: 0,
});

export const noLimit = (): LimitState => ({
  sequence: -1,
  limitKw: undefined,
  obeyedKw: undefined,
  beganMs: 0,
  events: [],
  agreed: undefined,
  kind: 'none',
  deadlineMonoMs: 0,
  deadlineWallMs: 0,
  heardMonoMs: -Infinity,
  heartbeatAgeMs: 0,
  lost: false,
  signalId: 'limit-none',
  met: true,
  last: undefined,
});

import * as z from 'zod';
import { recordOf } from '../records.ts';

/** A generation, a sequence number, a boot: whole and not negative. */
export const counter = z.int().nonnegative();
const MOST_ID = 128;
export const id = z.string().min(1).max(MOST_ID);

export const counters = recordOf(
  MOST_ID,
  (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0,
  'whole numbers',
);

const MOST_NONCE = 64;
export const nonce = z.string().max(MOST_NONCE);
export const nonces = recordOf(
  MOST_ID,
  (value): value is string => typeof value === 'string' && value.length <= MOST_NONCE,
  'nonces',
);

/** What every message of an agent begins with: who says it in which start, which one of its kind it is, and when, UTC ms. */
export const agentHead = {
  v: z.literal(1),
  site: id,
  agent: id,
  boot: counter,
  seq: counter,
  atMs: z.number(),
};

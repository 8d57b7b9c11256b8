import * as z from 'zod';

/** A generation, a sequence number, a boot: whole and not negative. */
export const counter = z.int().nonnegative();
export const id = z.string().min(1).max(128);

/** What every message of an agent begins with: who says it in which start, which one of its kind it is, and when, UTC ms. */
export const agentHead = {
  v: z.literal(1),
  site: id,
  agent: id,
  boot: counter,
  seq: counter,
  atMs: z.number(),
};

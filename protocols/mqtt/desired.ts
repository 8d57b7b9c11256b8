import * as z from 'zod';
import { MODES } from '../reading.ts';
import { counter, counters, id, nonces } from './head.ts';

/** Who decides, highest first (design, rule 10). */
const OWNERS = ['lockout', 'protection', 'emergency', 'cap', 'ramp', 'dr', 'manual', 'ai', 'price'] as const;
export type Owner = (typeof OWNERS)[number];

/** True for who stands above the ramp in that order: what it takes away falls as fast as machines can. */
export const outranksRamp = (owner: Owner): boolean => OWNERS.indexOf(owner) < OWNERS.indexOf('ramp');

/** Why a machine is asked to be in a state: owner, rule, inputs in words, and until when. */
export const becauseSchema = z.strictObject({
  owner: z.enum(OWNERS),
  rule: z.string().max(64),
  text: z.string().max(400),
  signalId: id.optional(),
  untilMs: z.number().optional(),
});
export type Because = z.infer<typeof becauseSchema>;

export const wantedSchema = z.strictObject({
  mode: z.enum(MODES),
  /** Power level or cap, W; absent: the model's default. */
  powerW: z.number().positive().optional(),
  because: becauseSchema,
});
export type Wanted = z.infer<typeof wantedSchema>;

/**
 * What the machines of one rack shall do: absolute, so applying it twice changes nothing. Retained. Armed only by
 * a live lease beat of the same epoch that names this generation. After `expiresAtMs` (the controller's clock, as
 * the beat carries it) no new action starts; what was reached stays.
 */
export const desiredSchema = z.strictObject({
  v: z.literal(1),
  site: id,
  rack: id,
  epoch: counter,
  generation: counter,
  commandId: id,
  issuedAtMs: z.number(),
  expiresAtMs: z.number(),
  /** True when load must fall by a deadline: the agent uses its emergency parallelism. */
  urgent: z.boolean(),
  machines: z.record(id, wantedSchema),
});
export type Desired = z.infer<typeof desiredSchema>;

/**
 * The live beat. `racks`: the generation in force per rack. `nonces`: per agent, the newest nonce the controller
 * has heard from it: an agent takes the beat only if it issued that nonce within its T1, so that a beat delayed on
 * the way is old when it arrives.
 */
export const leaseSchema = z.strictObject({
  v: z.literal(1),
  site: id,
  epoch: counter,
  seq: counter,
  atMs: z.number(),
  racks: counters,
  nonces,
});
export type Lease = z.infer<typeof leaseSchema>;

import * as z from 'zod';
import type { ToldFacts } from '../verb-facts.ts';
import { agentHead, id } from './head.ts';

const seconds = z.number().nonnegative();
const watts = z.number().nonnegative();

const factsSchema = z.strictObject({
  restartsMining: z.boolean(),
  isAsynchronous: z.boolean(),
  survivesReboot: z.boolean().optional(),
  startsTuning: z.boolean(),
  effectS: z.strictObject({ typical: seconds, atMost: seconds }).exactOptional(),
  readBackS: seconds.exactOptional(),
  dwellS: seconds,
  grain: z
    .discriminatedUnion('by', [
      z.strictObject({
        by: z.literal('watts'),
        stepW: watts,
        leastW: watts.exactOptional(),
        mostW: watts.exactOptional(),
      }),
      z.strictObject({ by: z.literal('list') }),
      z.strictObject({ by: z.literal('percent'), least: z.number(), most: z.number() }),
    ])
    .exactOptional(),
});

/** What machines of one kind can be told: a verb that is absent they cannot be. */
export type VerbTable = Readonly<Record<string, ToldFacts>>;

/** From an agent, retained: what each of its machines can be told, as it reaches it, like ones together. */
export const verbsSchema = z.strictObject({
  ...agentHead,
  kinds: z
    .array(
      z.strictObject({
        verbs: z.record(z.string().min(1).max(32), factsSchema),
        machines: z.array(id).max(100_000),
      }),
    )
    .max(1_000),
});
export type AgentVerbs = z.infer<typeof verbsSchema>;

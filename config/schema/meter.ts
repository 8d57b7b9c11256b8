import * as z from 'zod';
import { idSchema } from './node.ts';
import { revenueSchema } from './revenue.ts';

/** A power meter and what it measures. Import is positive. */
export const meterSchema = z.strictObject({
  id: idSchema,
  node: idSchema,
  /** `node`: everything that flows into the node; `generation`: a source behind it (solar), positive when it produces. */
  role: z.enum(['node', 'generation']).default('node'),
  /** `modbus://host:port/unit?profile=ID` and its kin; or `virtual:` and what it is worked out from (config/virtual.ts). */
  target: z.string(),
  /** What a person read off the meter: one that says otherwise does not steer, and one that changes to this does. */
  declared: z
    .strictObject({
      /** Rated primary current of its current transformers, A. */
      ctPrimaryA: z.number().positive().optional(),
      /** Of its voltage transformers; 1 without. */
      ptRatio: z.number().positive().optional(),
      serial: z.string().min(1).max(64).optional(),
    })
    .optional(),
  periodMs: z.number().min(200).max(60_000).default(1_000),
  /** Accuracy classes of the meter and of its current transformers, % of what it shows. */
  accuracyClassPct: z.number().positive().max(10).default(0.5),
  ctClassPct: z.number().nonnegative().max(10).default(0.5),
  /** Energy is settled by it: published per interval of the market. */
  revenue: revenueSchema.optional(),
});
export type MeterConfig = z.infer<typeof meterSchema>;

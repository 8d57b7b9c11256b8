import * as z from 'zod';
import { idSchema } from './node.ts';

/** A group of like machines in one rack. */
export const machineGroupSchema = z
  .strictObject({
    rack: idSchema,
    /** Id in `config/models/`. */
    model: idSchema,
    /** The URL of each machine, with `{n}` where it counts or `{host}` where it takes an entry of `hosts`. */
    target: z.string(),
    /** `{n}` runs from `first` for `count` machines. */
    first: z.int().nonnegative().optional(),
    count: z.int().positive().max(10_000).optional(),
    hosts: z.array(z.string().min(1)).max(10_000).optional(),
    /** How often each is polled, ms. */
    periodMs: z.number().min(500).max(600_000).default(10_000),
    /** How often each may be started in 24 h; absent: the site's `control.maxCyclesPerDay`. */
    maxCyclesPerDay: z.int().positive().max(10_000).optional(),
    authority: z.enum(['observe', 'advise', 'automatic']).optional(),
  })
  .refine((group) => (group.hosts === undefined) !== (group.count === undefined), {
    message: 'give either `count` (with `first`) or `hosts`',
  });

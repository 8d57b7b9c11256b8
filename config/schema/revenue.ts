import * as z from 'zod';
import { timeZoneSchema } from './signal.ts';

/** One register of a remote I/O that counts the pulses of a meter's output. */
const pulseCounterSchema = z
  .strictObject({
    kind: z.enum(['holding', 'input']).default('input'),
    /** As on the wire, 0-based. */
    address: z.int().min(0).max(0xffff),
    /** It begins again at 0 behind the largest number of this type. */
    type: z.enum(['uint16', 'uint32', 'uint64']).default('uint32'),
    wordOrder: z.enum(['msw', 'lsw']).default('msw'),
    /**
     * The meter's own constant, transformer ratios included. `A`: energy of one closing of the contact. `KYZ`: energy
     * of one change-over, in either direction; two of them make a cycle of the output.
     */
    whPerPulse: z.number().positive(),
    form: z.enum(['A', 'KYZ']),
    /** Of KYZ: whether the remote I/O counts both edges of a cycle, every pulse, or one, every second pulse. */
    edges: z.union([z.literal(1), z.literal(2)]).optional(),
  })
  .refine(({ form, edges }) => (form === 'KYZ') === (edges !== undefined), {
    message:
      'KYZ needs `edges`: 2 when the counter counts both changes of a cycle, 1 when it counts one; form A has none',
    path: ['edges'],
  });

/** A meter by which energy is settled: its energy is published per interval of the market. */
export const revenueSchema = z.strictObject({
  intervalMin: z.union([z.literal(5), z.literal(15), z.literal(30), z.literal(60)]),
  /** By whose clocks intervals begin. */
  timeZone: timeZoneSchema.default('UTC'),
  /** Losses between the meter and where the market settles: import is multiplied by it, export divided. */
  lossFactor: z.number().min(0.5).max(2).default(1),
  /** A transformer between them, metered on its other side: no-load losses, and load losses at its rating. */
  transformer: z
    .strictObject({
      ratedKva: z.number().positive(),
      noLoadKw: z.number().nonnegative(),
      loadLossPct: z.number().min(0).max(10),
    })
    .optional(),
  /** An interval whose end could not be read so long after it is published as it is known then, and corrected later. */
  graceS: z.number().min(10).max(3_600).default(120),
  /** Pulse counters on a remote I/O, in place of the meter's own energy registers. */
  pulses: z
    .strictObject({
      /** `modbus://host:port/unit` and its kin, without a profile. */
      target: z.string(),
      periodMs: z.number().min(200).max(60_000).default(1_000),
      import: pulseCounterSchema,
      export: pulseCounterSchema.optional(),
    })
    .optional(),
});
export type Revenue = z.infer<typeof revenueSchema>;

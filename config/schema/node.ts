import * as z from 'zod';

const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'use letters, digits, - _ . (at most 64)');
export { id as idSchema };

/**
 * How long more than the cap is borne, see protocols/trip.ts: `load` as a multiple of the cap, `s` until the breaker
 * may open. More load is never borne for longer.
 */
const tripSchema = z
  .array(z.strictObject({ load: z.number().gt(1).max(100), s: z.number().positive().max(86_400) }))
  .min(1)
  .max(30)
  .superRefine((points, context) => {
    for (const [place, { load, s }] of points.entries()) {
      const before = points[place - 1];
      if (before === undefined) continue;
      if (load <= before.load)
        context.addIssue({
          code: 'custom',
          path: [place, 'load'],
          message: `points stand in the order of their load: ${load} comes after ${before.load}`,
        });
      if (s > before.s)
        context.addIssue({
          code: 'custom',
          path: [place, 's'],
          message: `no breaker bears ${load} times its cap for longer (${s} s) than ${before.load} times (${before.s} s)`,
        });
    }
  });

/** What hangs on a node beside its machines, see protocols/auxiliary.ts: pumps, fans, dry coolers, chillers. */
const auxiliarySchema = z
  .strictObject({
    /** Drawn all the time, kW. */
    fixedKw: z.number().nonnegative().default(0),
    /** Drawn beside it per kW of the machines below. */
    perItKw: z
      .number()
      .nonnegative()
      .refine((perItKw) => perItKw <= 1, 'kW per kW of machines, not percent: 6 % of their draw is 0.06')
      .default(0),
    /** It has followed a change of the machines within this time, s. */
    lagS: z.number().nonnegative().max(3_600).default(60),
  })
  .refine(({ fixedKw, perItKw }) => fixedKw + perItKw > 0, {
    message: 'an auxiliary load draws something: give fixedKw, perItKw or both',
  });

/** One node of the electrical tree: site, transformer, feeder, PDU or rack. */
export const nodeSchema = z
  .strictObject({
    id,
    /** Absent for the one root, and for what hangs on two feeds. */
    parent: id.optional(),
    /** The two nodes it hangs on: it must fit either of them when the other one is lost. */
    feeds: z.tuple([id, id]).optional(),
    /** The part of its draw that the first of them carries while both are there; absent: half. */
    feedShare: z.number().min(0).max(1).optional(),
    kind: z.enum(['site', 'transformer', 'feeder', 'pdu', 'rack']),
    /** What may flow through it continuously, kW. */
    capKw: z.number().positive(),
    /** The same as equipment counts it that heats by current: kVA, and A in each phase. The first that is full counts. */
    capKva: z.number().positive().optional(),
    capA: z.number().positive().optional(),
    /** Nominal voltage between phase and neutral, V: what `capA` comes to in kW before a meter has told. */
    phaseV: z.number().min(50).max(40_000).optional(),
    /** 3 when absent. */
    phases: z.union([z.literal(1), z.literal(3)]).optional(),
    /** How fast its load may rise and fall, kW per minute; absent: not bounded here. */
    rampUpKwPerMin: z.number().positive().optional(),
    rampDownKwPerMin: z.number().positive().optional(),
    auxiliary: auxiliarySchema.optional(),
    /** Of what flows in, lost or drawn undeclared before it reaches what hangs on it, at most, %; absent: by kind. */
    lossPct: z.number().nonnegative().max(50).optional(),
    /** How long its breaker bears more than the cap; absent: `TYPICAL_TRIP`. */
    trip: tripSchema.optional(),
    /**
     * Of a node below which several agents have machines: what each of them may draw while the node's own agent is not
     * heard, kW by the agents' names; absent: by the ratings of their machines.
     */
    slices: z.record(id, z.number().positive()).optional(),
  })
  .refine((node) => node.feeds === undefined || node.parent === undefined, {
    message: 'a node has one parent or two feeds, not both',
    path: ['feeds'],
  })
  .refine((node) => node.feeds === undefined || node.feeds[0] !== node.feeds[1], {
    message: 'its two feeds are the same node',
    path: ['feeds', 1],
  })
  .refine((node) => node.capA === undefined || node.phaseV !== undefined, {
    message: 'capA needs phaseV, the nominal voltage between phase and neutral',
    path: ['capA'],
  })
  .refine(({ auxiliary, capKw }) => auxiliary === undefined || auxiliary.fixedKw < capKw, {
    message: 'fixedKw takes all that the node may carry (capKw): nothing is left for machines',
    path: ['auxiliary', 'fixedKw'],
  });
export type NodeConfig = z.infer<typeof nodeSchema>;

import * as z from 'zod';

const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'use letters, digits, - _ . (at most 64)');
export { id as idSchema };

/** One node of the electrical tree: site, transformer, feeder, PDU or rack. */
export const nodeSchema = z.strictObject({
  id,
  /** Absent for the one root. */
  parent: id.optional(),
  kind: z.enum(['site', 'transformer', 'feeder', 'pdu', 'rack']),
  /** What may flow through it continuously, kW. */
  capKw: z.number().positive(),
  /** How fast its load may rise and fall, kW per minute; absent: not bounded here. */
  rampUpKwPerMin: z.number().positive().optional(),
  rampDownKwPerMin: z.number().positive().optional(),
});
export type NodeConfig = z.infer<typeof nodeSchema>;

import * as z from 'zod';

import { REGISTER_TYPES, wordsOf } from '../../protocols/modbus/registers.ts';

/**
 * The register map of one family of meters, as data: `config/meters/*.json`. Addresses are the wire's, 0-based.
 * Quantities are those of `read --json`; import is positive.
 */
const pointSchema = z.strictObject({
  q: z.string().regex(/^[a-z][A-Za-z]*(\.[A-Za-z0-9]+)*$/),
  addr: z.int().min(0).max(0xffff),
  type: z.enum(REGISTER_TYPES),
  /** When it differs from the profile's. */
  wordOrder: z.enum(['msw', 'lsw']).optional(),
  /** Register value times this is the value in `unit`. */
  scale: z.number().refine((scale) => scale !== 0, 'a scale of 0 makes every value 0'),
  unit: z.enum(['W', 'var', 'VA', 'V', 'A', 'Hz', 'Wh', '1']),
  /** `fast`: what control needs, read every period; `slow`: the rest. */
  class: z.enum(['fast', 'slow']),
  /** How many independent sources say so: several, one, or they contradict each other. */
  agree: z.enum(['yes', 'single', 'no']),
});

const markers = z.array(z.string().regex(/^0x[0-9A-F]+$/));

export const profileSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9-]+$/),
    vendor: z.string(),
    models: z.array(z.string()).min(1),
    /** 3 holding registers, 4 input registers. */
    fc: z.union([z.literal(3), z.literal(4)]),
    wordOrder: z.enum(['msw', 'lsw']),
    limits: z.strictObject({
      /** The most registers in one read. */
      maxRegisters: z.int().min(4).max(125),
      /** True when the meter refuses odd counts. */
      evenCount: z.boolean(),
      /** Registers without a point that may be read along to save a request. */
      maxGap: z.int().min(0).max(125),
    }),
    /** Bit patterns by type that mean: no value. NaN and infinities never are values. */
    invalid: z.partialRecord(z.enum(REGISTER_TYPES), markers),
    points: z.array(pointSchema).min(1),
    /** Quantities that are the sum of points, all of which must be there (tariffs). */
    sums: z.array(z.strictObject({ q: z.string(), of: z.array(z.string()).min(2) })),
    sources: z.array(z.string()).min(1),
    notes: z.array(z.string()),
  })
  .superRefine((profile, context) => {
    const fail = (message: string): void => context.addIssue({ code: 'custom', message });
    const names = [...profile.points.map((point) => point.q), ...profile.sums.map((sum) => sum.q)];
    for (const name of names) {
      if (names.indexOf(name) !== names.lastIndexOf(name)) fail(`${name} stands twice`);
    }
    for (const point of profile.points) {
      if (point.agree === 'no' && point.class === 'fast')
        fail(`${point.q}: control must not use a disputed point`);
      if (point.addr + wordsOf(point.type) > 0x1_0000) fail(`${point.q}: beyond register 65535`);
    }
    for (const sum of profile.sums) {
      const units = sum.of.map((name) => profile.points.find((point) => point.q === name)?.unit);
      if (units.includes(undefined)) fail(`${sum.q}: a part is no point`);
      if (new Set(units).size > 1) fail(`${sum.q}: parts have different units`);
    }
  });
export type MeterProfile = z.infer<typeof profileSchema>;
export type MeterPoint = z.infer<typeof pointSchema>;

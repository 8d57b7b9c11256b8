import * as z from 'zod';
import { makeCounter } from '../protocols/metering/counter.ts';
import type { CounterState } from '../protocols/metering/counter.ts';
import { intervalSchema } from '../protocols/mqtt/energy.ts';
import type { Book } from './core/interval-book.ts';
import { makeBook } from './core/interval-book.ts';

const cellSchema = z.strictObject({
  startMs: z.number(),
  endMs: z.number(),
  published: z.int().nonnegative(),
  importWh: z.number(),
  exportWh: z.number(),
  estimatedWh: z.number(),
  boundWh: z.number(),
  setMs: z.number(),
  unknown: z.boolean(),
  seenMs: z.number(),
  importWms: z.number(),
  exportWms: z.number(),
  squareSeenMs: z.number(),
  squares: z.number(),
  startW: z.number().nullable(),
  endW: z.number().nullable(),
  why: z.string(),
});

const bookSchema: z.ZodType<Book> = z.strictObject({
  countMs: z.number().nullable(),
  countHalfMs: z.number(),
  cells: z.array(cellSchema),
  power: z.strictObject({ atMs: z.number(), activeW: z.number(), apparentVa: z.number() }).nullable(),
  base: z.int().nonnegative(),
  highest: z.int().nonnegative(),
});

const sampleSchema = z.strictObject({
  valueWh: z.number(),
  atMs: z.number(),
  powerW: z.number().optional(),
  serial: z.string().optional(),
});

const counterSchema: z.ZodType<CounterState> = z
  .strictObject({
    last: sampleSchema.optional(),
    held: sampleSchema.optional(),
    serial: z.string().optional(),
  })
  .transform(({ last, held, serial }) => ({ last, held, serial }));

const meterSchema = z.strictObject({
  /** What was counted: another counter has nothing to do with it. */
  source: z.enum(['counter', 'pulses']),
  book: bookSchema,
  import: counterSchema,
  export: counterSchema,
  /** Counted, but not in the book yet: the other direction was held back. */
  openImportWh: z.number(),
  openExportWh: z.number(),
});

/** What the agent keeps of its revenue meters, so that it goes on behind a restart where it was. */
export const energySchema = z.strictObject({
  meters: z.record(z.string(), meterSchema),
  /** Published, and not known to be stored by the controller. */
  outbox: z.array(intervalSchema),
});
export type KeptEnergy = z.infer<typeof energySchema>;
export type KeptMeter = KeptEnergy['meters'][string];

/** Of a meter that nothing is known of; its revisions go on behind `highest`. */
export const makeKeptMeter = (source: KeptMeter['source'], highest = 0): KeptMeter => ({
  source,
  book: { ...makeBook(), base: highest, highest },
  import: makeCounter(),
  export: makeCounter(),
  openImportWh: 0,
  openExportWh: 0,
});

import * as z from 'zod';
import { agentHead, id } from './head.ts';

const whole = z.int();
const wattHours = z.number().nonnegative();

/** One interval of a revenue meter, published once; a correction has the next number. */
export const intervalSchema = z.strictObject({
  meter: id,
  revision: z.int().positive(),
  /** Up to and without `endMs`; UTC ms by the agent's clock. */
  startMs: whole,
  endMs: whole,
  /** How the market divides time: length, and the IANA zone by whose clocks intervals begin. */
  intervalMin: z.int().positive(),
  timeZone: z.string().max(64),
  /** `estimated`: part of the energy stands here by estimate; `missing`: it is not known, and no number is given. */
  quality: z.enum(['good', 'estimated', 'missing']),
  /** What was counted: the meter's register, its pulses, or, while neither is read, its power. */
  method: z.enum(['counter', 'pulses', 'power']),
  importWh: wattHours.optional(),
  /** Absent where the meter counts none. */
  exportWh: wattHours.optional(),
  /** How much of both is by estimate. */
  estimatedWh: wattHours,
  /** The true energy between these boundaries is no further off: readings do not fall on boundaries, registers have steps. The class of the meter is not in it. */
  boundWh: wattHours,
  /** Lost in the transformer between the meter and where the market settles. */
  lossWh: wattHours.optional(),
  /** As the market settles: with the transformer's loss and the loss factor. Absent where neither is declared. */
  settledImportWh: wattHours.optional(),
  settledExportWh: wattHours.optional(),
  /** The agent's clock against the controller's, as far as known: the controller's is ahead by `offsetMs`, give or take `boundMs`. */
  clock: z
    .strictObject({
      offsetMs: z.number(),
      boundMs: z.number().nonnegative(),
      /** What both come to at the ends of the interval. */
      errorWh: wattHours,
    })
    .optional(),
  why: z.string().max(300).optional(),
});
export type IntervalEnergy = z.infer<typeof intervalSchema>;

/** The interval that is under way, as far as it is known: for who watches it, not for settlement. */
export const runningSchema = z.strictObject({
  meter: id,
  startMs: whole,
  endMs: whole,
  intervalMin: z.int().positive(),
  /** As it would be published if nothing else happened. Of a `missing` one no number is given. */
  quality: z.enum(['good', 'estimated', 'missing']),
  /** So far: by the counters, and by power since they were read. */
  importWh: wattHours.optional(),
  exportWh: wattHours.optional(),
  /** At its end, if what flows now goes on; absent while power is not read. */
  endImportWh: wattHours.optional(),
  endExportWh: wattHours.optional(),
});
export type RunningInterval = z.infer<typeof runningSchema>;

/** Intervals that an agent publishes. It keeps them until the controller has them in its ledger. */
export const agentEnergySchema = z.strictObject({
  ...agentHead,
  intervals: z.array(intervalSchema).min(1).max(1_000),
});
export type AgentEnergy = z.infer<typeof agentEnergySchema>;

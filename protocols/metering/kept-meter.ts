/** What stands against one meter, and what a person has said to it, as it is kept over a restart. */
import * as z from 'zod';
import { crc32 } from '../mqtt/crc32.ts';
import { id } from '../mqtt/head.ts';
import type { Wiring } from './wiring.ts';

/** A finding that a person has declared wrong is not raised again for so long, unless it becomes another one. */
export const PARDON_MS = 7 * 86_400_000;
/** A gain further than this from the one that was declared wrong is another finding. */
const SAME_GAIN = 0.1;

/** As much of an alarm's words as goes over the bus, and comes back with a person's word on them. */
export const SEEN_CHARS = 400;
/** So many samples that moved without a doubt end what was doubted before a restart. */
const FINE_SAMPLES = 5;

const text = z.string().max(SEEN_CHARS);
const wallMs = z.number();
const phase = z.int().min(0).max(2);
const wiringSchema = z.strictObject({
  voltageOf: z.tuple([phase, phase, phase]).readonly(),
  reversed: z.array(phase).max(3).readonly(),
});
/** As `MeterFinding`, with the other meters by name. */
const findingSchema = z.strictObject({
  kind: z.enum(['ratio', 'contradicts', 'drift']),
  gain: z.number(),
  or: z.array(id).max(1_000),
  isDistrusted: z.boolean(),
});
export type KeptFinding = z.infer<typeof findingSchema>;

const pardonSchema = z.strictObject({
  by: id,
  reason: text,
  sinceMs: wallMs,
  untilMs: wallMs,
  /** What was declared wrong. */
  of: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('wiring'), wiring: wiringSchema }),
    z.strictObject({ kind: z.literal('finding'), finding: findingSchema }),
  ]),
});
/** A person's word that a finding is wrong. */
export type Pardon = z.infer<typeof pardonSchema>;

const setupValue = z.union([z.string().max(200), z.number()]);
export const keptMeterSchema = z.strictObject({
  /** `meterPrint` of the meter it is about. */
  as: z.string().max(16),
  finding: findingSchema.optional(),
  wiring: wiringSchema.optional(),
  /** What made its power doubtful by itself. */
  doubt: text.optional(),
  advance: z.strictObject({ kind: z.enum(['stuck', 'rate', 'sign']), text }).optional(),
  /** Its setup as it said it last, where that is doubted. */
  said: z
    .strictObject({
      serial: z.string().max(200).optional(),
      model: z.string().max(200).optional(),
      firmware: z.string().max(200).optional(),
      parameters: z.record(z.string(), z.number()),
    })
    .optional(),
  /** One per kind at most. */
  pardons: z.array(pardonSchema).max(2).optional(),
  /** Parts of its setup that a person has agreed with, by name. */
  agreed: z
    .record(z.string().max(64), z.strictObject({ value: setupValue, by: id, reason: text, atMs: wallMs }))
    .optional(),
});
export type KeptMeter = z.infer<typeof keptMeterSchema>;

/** What is to be known of a meter's entry in the site file: another print is another meter, and nothing stands against that. */
export const meterPrint = (meter: {
  readonly target: string;
  readonly node: string;
  readonly role: string;
  readonly declared?: object | undefined;
}): string => {
  const { target, node, role, declared } = meter;
  return crc32(new TextEncoder().encode(JSON.stringify([target, node, role, declared ?? {}]))).toString(16);
};

/** A meter that was doubted by itself when the agent ended. */
export interface DoubtBefore {
  readonly why: string;
  /** Its power as it was read last since. */
  lastW: number | undefined;
  fine: number;
}

/** Takes a sample in; true when its values have moved so often without a doubt that the old one is over, or nothing flows. */
export function outlivesDoubt(before: DoubtBefore, powerW: number | undefined, isDoubted: boolean): boolean {
  if (isDoubted) before.fine = 0;
  if (isDoubted || powerW === undefined) return false;
  const hasMoved = powerW === 0 || (before.lastW !== undefined && powerW !== before.lastW);
  before.lastW = powerW;
  return hasMoved && ++before.fine >= FINE_SAMPLES;
}

/**
 * True when a pardon is for this finding too: of the same kind, against the same meters, of the same sign and with a
 * gain that is hardly another. What has become worse, or is now known by name, is another finding.
 */
export function coversFinding({ of }: Pardon, finding: KeptFinding): boolean {
  if (of.kind !== 'finding' || of.finding.kind !== finding.kind) return false;
  const { gain, or } = of.finding;
  const isSameGain = Math.abs(finding.gain / gain - 1) <= SAME_GAIN;
  const isWorse = finding.isDistrusted && !of.finding.isDistrusted;
  return (
    isSameGain &&
    !isWorse &&
    or.length === finding.or.length &&
    or.every((meter) => finding.or.includes(meter))
  );
}

/** True when a pardon is for this wiring: any other is another finding. */
export const coversWiring = ({ of }: Pardon, { voltageOf, reversed }: Wiring): boolean =>
  of.kind === 'wiring' &&
  of.wiring.voltageOf.every((one, place) => one === voltageOf[place]) &&
  of.wiring.reversed.length === reversed.length &&
  of.wiring.reversed.every((one) => reversed.includes(one));

/** A clock may be so wrong without a person's word being called of another time, ms. */
const CLOCK_MS = 3_600_000;

/** Its time is over; or it was said at a time that is yet to come: by a clock that was ahead then it would hold for years. */
export const isOver = (
  { sinceMs, untilMs }: Pick<Pardon, 'sinceMs' | 'untilMs'>,
  nowWallMs: number,
): boolean => nowWallMs >= untilMs || nowWallMs < sinceMs - CLOCK_MS;

/** Whose word it is and how long it holds, behind what it is about. */
export const pardonText = (what: string, { by, reason, untilMs }: Pardon): string =>
  `declared wrong by ${by} until ${new Date(untilMs).toISOString().slice(0, 16)}Z (${reason.slice(0, 100)}): ${what}`;

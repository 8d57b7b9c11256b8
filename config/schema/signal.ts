import * as z from 'zod';

const feed = {
  url: z.url({ protocol: /^https?$/ }),
  periodMs: z.number().min(500).max(3_600_000),
  /** Older than this, the value is no longer used. */
  maxAgeS: z.number().positive(),
};

/** A second source of the same price: where both agree, it is believed. */
const witnessSchema = z.strictObject(feed);

/** The energy price at the site, USD/MWh. */
export const energyPriceSchema = z.strictObject({
  ...feed,
  minUsdPerMwh: z.number().default(-500),
  maxUsdPerMwh: z.number().default(5_000),
  /** Delivery, taxes and fees per MWh on top of the market price. */
  addersUsdPerMwh: z.number().default(0),
  /** The last good price, or what was announced for now, holds this long; absent: as long as `maxAgeS`. */
  keepS: z.number().positive().optional(),
  /** When no good price is left: assume this one; absent: keep everything as it is. */
  fallbackUsdPerMwh: z.number().optional(),
  witness: witnessSchema.optional(),
  /** Prices this near agree. */
  agreeUsdPerMwh: z.number().nonnegative().default(5),
  /** A price further than this from the last good one is not used before a witness agrees; absent: any step is. */
  stepUsdPerMwh: z.number().positive().optional(),
  /** A price alone moves at most this share of the site's load per window until a witness agrees. */
  sharePct: z.number().min(1).max(100).default(40),
  windowS: z.number().positive().default(60),
  /** A machine wakes again when the price is this far below its breakeven. */
  hysteresisUsdPerMwh: z.number().nonnegative().default(2),
});

/** What hash is worth, USD per PH/s and day. */
export const hashpriceSchema = z.strictObject({
  ...feed,
  minUsdPerPhDay: z.number().default(5),
  maxUsdPerPhDay: z.number().default(500),
  witness: witnessSchema.optional(),
  /** As of the energy price. */
  agreeUsdPerPhDay: z.number().nonnegative().default(1),
  stepUsdPerPhDay: z.number().positive().optional(),
  poolFeePct: z.number().min(0).max(20).default(1),
  /** Used until the first good value and after the last has aged out. */
  fallbackUsdPerPhDay: z.number().positive(),
});

function isTimeZone(timeZone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

export const timeZoneSchema = z.string().refine(isTimeZone, 'is no IANA time zone, such as America/Chicago');

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'is no time of day (HH:MM)');

/**
 * What a contract covers. A limit inside is obeyed at once, ramped; one outside moves no more than a share of the site
 * until a person agrees. Emergencies stand above it.
 */
const envelopeSchema = z.strictObject({
  /** The least limit that may be asked for. */
  minLimitKw: z.number().nonnegative().default(0),
  maxMinutes: z.number().positive().optional(),
  eventsPerDay: z.int().positive().max(1_000).optional(),
  /** By whose clocks `hours` are meant, summer time included: an IANA name such as `America/Chicago`. */
  timeZone: timeZoneSchema.default('UTC'),
  /** Hours of the contract; absent: at any time. */
  hours: z
    .array(
      z.strictObject({
        days: z
          .array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']))
          .min(1)
          .optional(),
        from: timeOfDay,
        until: timeOfDay,
      }),
    )
    .min(1)
    .max(100)
    .optional(),
  /** Outside of it, at most this share of what flows is taken away. */
  sharePct: z.number().min(1).max(100).default(40),
});

/** The utility's remote terminal: it serves Modbus, an agent reads and writes it (register map in docs/protocols.md). */
export const utilitySchema = z.strictObject({
  target: z.string(),
  agent: z.string().optional(),
  periodMs: z.number().min(200).max(60_000).default(1_000),
  /** No heartbeat for this long: the terminal counts as lost. */
  heartbeatMaxAgeS: z.number().positive().default(30),
  /** When it is lost: keep the limit in force, or fall to the firm cap. */
  onLoss: z.enum(['hold', 'firm-cap']).default('hold'),
  firmCapKw: z.number().positive().optional(),
  envelope: envelopeSchema.prefault({}),
});

/** AI work under contract and where its demand is announced. */
export const aiSchema = z.strictObject({
  demand: z.strictObject(feed).optional(),
  contracts: z.array(
    z.strictObject({
      id: z.string().min(1).max(64),
      usdPerGpuHour: z.number().positive(),
      /** What an hour not delivered costs beyond its price. */
      penaltyUsdPerGpuHour: z.number().nonnegative(),
      /** Firm work is interrupted only when nothing else is left. */
      firm: z.boolean().default(true),
    }),
  ),
  /** What mining on a GPU earns, USD per GPU and day; 0: GPUs without AI work idle. */
  mineUsdPerGpuDay: z.number().nonnegative().default(0),
});

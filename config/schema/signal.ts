import * as z from 'zod';

const feed = {
  url: z.url({ protocol: /^https?$/ }),
  periodMs: z.number().min(500).max(3_600_000),
  /** Older than this, the value is no longer used. */
  maxAgeS: z.number().positive(),
};

/** The energy price at the site, USD/MWh. */
export const energyPriceSchema = z.strictObject({
  ...feed,
  minUsdPerMwh: z.number().default(-500),
  maxUsdPerMwh: z.number().default(5_000),
  /** Delivery, taxes and fees per MWh on top of the market price. */
  addersUsdPerMwh: z.number().default(0),
  /** When no good price is left: assume this one; absent: keep everything as it is. */
  fallbackUsdPerMwh: z.number().optional(),
  /** A price alone moves at most this share of the site's load per window until a second witness. */
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
  poolFeePct: z.number().min(0).max(20).default(1),
  /** Used until the first good value and after the last has aged out. */
  fallbackUsdPerPhDay: z.number().positive(),
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
  /** The least limit a contract allows; a lower one is refused unless it is an emergency. */
  minLimitKw: z.number().nonnegative().default(0),
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

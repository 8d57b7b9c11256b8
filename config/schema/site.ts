import * as z from 'zod';
import { credentialSchema } from './credential.ts';
import { machineGroupSchema } from './machine.ts';
import { meterSchema } from './meter.ts';
import { idSchema, nodeSchema } from './node.ts';
import { plantSchema } from './plant.ts';
import { poolSetSchema } from './pools.ts';
import { aiSchema, energyPriceSchema, hashpriceSchema, utilitySchema } from './signal.ts';

export const AUTHORITIES = ['observe', 'advise', 'automatic'] as const;
export type Authority = (typeof AUTHORITIES)[number];

export const FAIL_SAFES = ['hold', 'shed-to-firm-cap', 'sleep', 'keep-ai'] as const;
export type FailSafe = (typeof FAIL_SAFES)[number];

/** How long desired states stay valid without the controller (design, rule 3). */
const leaseSchema = z
  .strictObject({
    beatMs: z.number().min(200).max(10_000).default(1_000),
    /** Silent this long: nothing is raised. */
    t1S: z.number().min(2).max(60).default(5),
    /** Silent this long: the fail-safe. */
    t2S: z.number().min(10).max(600).default(60),
    failSafe: z.enum(FAIL_SAFES).default('hold'),
    /** What the site falls to under `shed-to-firm-cap`. */
    firmCapKw: z.number().positive().optional(),
    /** A desired state starts no new action after this. */
    expiryS: z.number().min(10).max(3_600).default(60),
  })
  .refine((lease) => lease.t1S < lease.t2S, { message: 't1S must be less than t2S' });

/** How the controller moves load and how it proves that load moved. */
const controlSchema = z.strictObject({
  /** Kept free below every cap, % of the cap. */
  marginPct: z.number().min(0).max(20).default(2),
  /** A change of the site's load beyond this is announced before its first command; absent: a tenth of the site's cap. */
  noticeKw: z.number().positive().optional(),
  /** The meter must show a shed within this time after the machines' own settling time. */
  verifyS: z.number().min(2).max(300).default(15),
  /** A shed counts as verified when the meter shows this share of it. */
  verifyPct: z.number().min(50).max(100).default(80),
  /** Least times at work and at rest before money may change them, s; absent: the model's own. */
  minOnS: z.number().nonnegative().optional(),
  minOffS: z.number().nonnegative().optional(),
  /** A machine is started at most this often in 24 h, by whoever asks; a group of machines may have its own. */
  maxCyclesPerDay: z.int().positive().max(10_000).default(48),
  /** At most this many machines are started per 10 s by one agent. */
  startsPer10S: z.int().positive().default(20),
  /** How many machines one agent commands at a time, and when urgent. */
  parallel: z.int().positive().max(1_000).default(32),
  parallelUrgent: z.int().positive().max(1_000).default(100),
  /** A machine unanswered for this many polls is lost. */
  lostAfterPolls: z.int().min(1).max(20).default(3),
});

/** What each agent keeps for the controller while it cannot be reached, and how fast it says it afterwards. */
const spoolSchema = z.strictObject({
  /** On the agent's disk at most. Above four fifths of it readings are thinned, before any is let go. */
  diskMiB: z.number().min(1).max(1_000_000).default(512),
  /** In its memory at most, when the disk takes nothing. */
  memoryMiB: z.number().min(1).max(4_096).default(32),
  /** What is older is let go, days. */
  days: z.number().positive().max(365).default(7),
  /** The backlog takes at most this much of the wire beside what is new, KiB/s. */
  backlogKiBPerS: z.number().min(16).max(100_000).default(512),
});

/** The audit chain of all that is decided and commanded. */
const ledgerSchema = z.strictObject({
  /** Held on the controller's disk for it, so that commands go on when the disk is full; absent: by the machines. */
  reserveMiB: z.number().min(0).max(4_096).optional(),
});

const brokerSchema = z.strictObject({
  /** `mqtt://` or `mqtts://`; absent: the embedded broker. */
  url: z.url({ protocol: /^mqtts?$/ }),
  protocol: z.union([z.literal(4), z.literal(5)]).default(5),
  username: z.string().optional(),
  passwordEnv: z.string().optional(),
  caFile: z.string().optional(),
  certFile: z.string().optional(),
  keyFile: z.string().optional(),
});

const consoleSchema = z.strictObject({
  host: z.string().default('127.0.0.1'),
  port: z.int().min(0).max(65_535).default(8_080),
  /** `prompt`: the one-time code is typed. `fragment`: it stands in the printed URL (simulated site). */
  login: z.enum(['prompt', 'fragment']).default('prompt'),
});

/** A site file. Its nouns have a file each beside this one. */
export const siteSchema = z.strictObject({
  schema: z.literal(1),
  site: idSchema,
  name: z.string().max(200).default(''),
  authority: z.enum(AUTHORITIES).default('observe'),
  broker: brokerSchema.optional(),
  console: consoleSchema.prefault({}),
  lease: leaseSchema.prefault({}),
  control: controlSchema.prefault({}),
  spool: spoolSchema.prefault({}),
  ledger: ledgerSchema.prefault({}),
  /** Agents and the nodes they own, each with everything below; absent: one agent for the whole site. */
  agents: z.array(z.strictObject({ id: idSchema, nodes: z.array(idSchema).min(1) })).optional(),
  nodes: z.array(nodeSchema).min(1).max(20_000),
  meters: z.array(meterSchema).max(5_000).default([]),
  machines: z.array(machineGroupSchema).max(10_000).default([]),
  /** For machines whose target names none; the nearest to a machine counts. */
  credentials: z.array(credentialSchema).max(10_000).default([]),
  /** Sets of pools, by the name by which machines are told them: `act … pools NAME`. */
  pools: z.record(idSchema, poolSetSchema).default({}),
  prices: z.strictObject({ energy: energyPriceSchema.optional(), hash: hashpriceSchema }),
  utility: utilitySchema.optional(),
  plant: plantSchema.prefault({}),
  ai: aiSchema.optional(),
});
export type SiteConfig = z.infer<typeof siteSchema>;
export type SiteConfigInput = z.input<typeof siteSchema>;

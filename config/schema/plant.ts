import * as z from 'zod';
import { REGISTER_TYPES } from '../../protocols/modbus/registers.ts';
import { idSchema } from './node.ts';

/**
 * The plant's own inputs and outputs, on a PLC or a remote I/O: what cooling and protection say, and what hangs on the
 * agent being alive. Everything here is done by the agent that owns the node, without the controller.
 */

/** One input. Bits (`coil`, `discrete`) are 0 or 1; registers are numbers in the unit their sensor has. */
const pointSchema = z.strictObject({
  id: idSchema,
  /** `modbus://host:port/unit` and its kin, without a profile. */
  target: z.string(),
  kind: z.enum(['coil', 'discrete', 'holding', 'input']),
  /** As on the wire, 0-based. */
  address: z.int().min(0).max(0xffff),
  type: z.enum(REGISTER_TYPES).default('uint16'),
  wordOrder: z.enum(['msw', 'lsw']).default('msw'),
  /** Register value times `scale` plus `offset` is the value. */
  scale: z
    .number()
    .refine((scale) => scale !== 0, 'a scale of 0 makes every value 0')
    .default(1),
  offset: z.number().default(0),
  /** What a sensor can say: anything outside is a broken wire, and the value is unknown. */
  least: z.number().optional(),
  most: z.number().optional(),
  periodMs: z.number().min(200).max(60_000).default(1_000),
});

/** What must be so before anything below a node is started. Exactly one of `is`, `min`, `max`. */
const permissiveSchema = z
  .strictObject({
    id: idSchema,
    node: idSchema,
    input: idSchema,
    /** What the input tells of, for people and for the simulated plant. */
    about: z.enum(['pump', 'flow', 'temperature', 'leak', 'other']).default('other'),
    /** It is looked at only while the pump of this loop is demanded: what rests by order is not lost. */
    loop: idSchema.optional(),
    is: z.boolean().optional(),
    min: z.number().optional(),
    max: z.number().optional(),
    /** Once lost it must be this much better than its bound. */
    hysteresis: z.number().nonnegative().default(0),
    /** It must be wrong this long before it counts, and right this long afterwards. */
    delayS: z.number().nonnegative().max(3_600).default(5),
    returnS: z.number().nonnegative().max(3_600).default(10),
    /** `inhibit`: nothing is started; `shed`: what works is put to rest too. */
    onLoss: z.enum(['inhibit', 'shed']).default('inhibit'),
    /** Without a good value for so long it is unknown, and this happens. */
    unknownS: z.number().min(1).max(3_600).default(15),
    onUnknown: z.enum(['inhibit', 'shed', 'ignore']).default('inhibit'),
  })
  .refine((one) => [one.is, one.min, one.max].filter((bound) => bound !== undefined).length === 1, {
    message: 'give exactly one of `is`, `min`, `max`',
  });

/** A switch or relay that took load away: what is below stays at rest until it is back and a restart is permitted. */
const protectionSchema = z.strictObject({
  id: idSchema,
  node: idSchema,
  input: idSchema,
  kind: z.enum(['breaker', 'under-frequency', 'lockout-relay']),
  /** The value of the input that means: tripped (for a breaker: open). */
  trippedWhen: z.boolean().default(true),
  delayS: z.number().nonnegative().max(60).default(0),
  /** Restart is permitted by itself when the input has been back for `releaseS`; else a person permits it. */
  autoRelease: z.boolean().default(false),
  releaseS: z.number().nonnegative().max(86_400).default(60),
  /** Without a good value for so long it is unknown, and nothing below is started. */
  unknownS: z.number().min(1).max(3_600).default(15),
});

/** What an agent writes only while it really controls: a PLC drops the load when it stands still. */
const watchdogSchema = z.strictObject({
  /** Absent: the first agent. */
  agent: idSchema.optional(),
  target: z.string(),
  /** A coil is toggled, a holding register counted up. */
  kind: z.enum(['coil', 'holding']),
  address: z.int().min(0).max(0xffff),
  periodMs: z.number().min(200).max(10_000).default(1_000),
  /** So long it goes on while neither meter nor machines tell what a guarded node draws. */
  graceS: z.number().nonnegative().max(600).default(10),
});

/**
 * A contactor or switched outlet that gives a node its power. What is behind it and would start by itself when power
 * returns starts when the agent closes it: after an outage one after the other, each admitted like any other start.
 */
const outletSchema = z
  .strictObject({
    id: idSchema,
    node: idSchema,
    /** Of a PLC with `kind` and `address`; or of a PDU with `?profile=…&channel=N`, whose profile says the rest. */
    target: z.string(),
    kind: z.enum(['coil', 'holding']).optional(),
    address: z.int().min(0).max(0xffff).optional(),
    /** What is written to close it, and to open it; 1 and 0 when absent. */
    on: z.int().min(0).max(0xffff).optional(),
    off: z.int().min(0).max(0xffff).optional(),
    /** The point of its auxiliary contact; absent: its own output is read back, or the state the PDU tells. */
    input: idSchema.optional(),
    /** The value of that point that means: closed. */
    closedWhen: z.boolean().default(true),
    /** Without a good value for so long nobody knows whether it is closed. */
    unknownS: z.number().min(1).max(3_600).default(15),
    /** From power to the first answer of what is behind it. */
    bootS: z.number().nonnegative().max(600).default(60),
    /**
     * The last rung: opened when everything behind it is on the quarantine list and ignores a command to rest. `at-rest`:
     * only while none of it works; `under-load`: also then, which cuts power from machines at work.
     */
    cutsIgnored: z.enum(['never', 'at-rest', 'under-load']).default('never'),
  })
  .refine(({ kind, address, target }) => isPdu(target) || (kind !== undefined && address !== undefined), {
    message: 'a PLC’s outlet needs `kind` and `address`; a PDU’s has ?profile= in its target',
    path: ['kind'],
  })
  .refine(
    ({ kind, address, on, off, target }) =>
      !isPdu(target) || [kind, address, on, off].every((one) => one === undefined),
    { message: 'the profile of the PDU says where and how it is switched', path: ['target'] },
  )
  .refine(({ kind, on = 1, off = 0 }) => kind !== 'coil' || on + off === 1, {
    message: 'a coil takes 0 and 1: one of them is `on`, the other one `off`',
    path: ['on'],
  })
  .refine(({ on = 1, off = 0 }) => on !== off, { message: 'on and off must differ', path: ['off'] });

/** Whether a target names a map of registers. */
const isPdu = (target: string): boolean => /[?&]profile=/.test(target);

/** A water loop whose pump the agent demands: before and while anything below works, after that, and in frost. */
const loopSchema = z
  .strictObject({
    id: idSchema,
    /** The loop cools what is below it. */
    node: idSchema,
    /** The coil that demands its pump, 0-based; 1: it shall run. */
    target: z.string(),
    address: z.int().min(0).max(0xffff),
    /** It is written this often, changed or not. */
    periodMs: z.number().min(200).max(60_000).default(1_000),
    /** The pump runs so long after the last machine has gone to rest. */
    runOnS: z.number().nonnegative().max(86_400).default(600),
    /** Point that tells how cold the loop or the air around it is, °C; and below what its water must not stand. */
    temperature: idSchema.optional(),
    freezeBelowC: z.number().min(-60).max(60).optional(),
    hysteresisC: z.number().nonnegative().max(30).default(2),
    /** Without a good value for so long it may be freezing. */
    unknownS: z.number().min(1).max(3_600).default(15),
  })
  .refine((loop) => (loop.temperature === undefined) === (loop.freezeBelowC === undefined), {
    message: 'frost needs both: `temperature`, the point that tells it, and `freezeBelowC`',
  });
export type Loop = z.infer<typeof loopSchema>;

export const plantSchema = z.strictObject({
  points: z.array(pointSchema).max(5_000).default([]),
  permissives: z.array(permissiveSchema).max(5_000).default([]),
  protections: z.array(protectionSchema).max(5_000).default([]),
  loops: z.array(loopSchema).max(1_000).default([]),
  watchdogs: z.array(watchdogSchema).max(100).default([]),
  outlets: z.array(outletSchema).max(5_000).default([]),
});
export type PlantConfig = z.infer<typeof plantSchema>;
export type PlantPoint = PlantConfig['points'][number];
export type Permissive = PlantConfig['permissives'][number];
export type Outlet = PlantConfig['outlets'][number];
export type Protection = PlantConfig['protections'][number];

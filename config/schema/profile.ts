import * as z from 'zod';

import { REGISTER_TYPES, wordsOf } from '../../protocols/modbus/registers.ts';

/**
 * The register map of one family of meters, as data: `config/meters/*.json`. Addresses are the wire's, 0-based.
 * Quantities are those of `read --json`; import is positive.
 */
const address = z.int().min(0).max(0xffff);
const factor = z.number().refine((value) => value !== 0, 'a factor of 0 makes every value 0');
const markers = z.array(z.string().regex(/^0x[0-9A-F]+$/));
const name = z.string().regex(/^[a-z][A-Za-z0-9]*$/);

/** A number in registers that is no quantity itself. */
const registerSchema = z.strictObject({
  addr: address,
  type: z.enum(REGISTER_TYPES),
  wordOrder: z.enum(['msw', 'lsw']).optional(),
});

/**
 * The value in `unit` is register × `times` × 10^`exponent` × each of `ratios` × the first of `choose` whose `when` is
 * true, + `offset`. `exponent` names one of `exponents`, `ratios` and `when` name `parameters`. No case of `choose` true: no value.
 */
const scaleSchema = z.union([
  factor,
  z.strictObject({
    times: factor.optional(),
    offset: z.number().optional(),
    exponent: name.optional(),
    ratios: z.array(name).optional(),
    choose: z
      .array(z.strictObject({ when: z.record(name, z.number()), times: factor }))
      .min(1)
      .optional(),
  }),
]);

const pointSchema = registerSchema.extend({
  q: z.string().regex(/^[a-z][A-Za-z]*(\.[A-Za-z0-9]+)*$/),
  scale: scaleSchema,
  unit: z.enum(['W', 'var', 'VA', 'V', 'A', 'Hz', 'Wh', '1']),
  /** `four-quadrant`: a power factor from -2 to 2, beyond ±1 it leads. */
  coding: z.enum(['four-quadrant']).optional(),
  /** Where a counter begins again at 0, in `unit`: its display's limit, where its type would hold more. */
  modulus: z.number().positive().optional(),
  /** Bit patterns that mean no value, when they differ from the profile's. */
  invalid: markers.optional(),
  /** `fast`: what control needs, each period; `normal`: with every full read; `slow`: every half minute; `constant`: every ten minutes. */
  class: z.enum(['fast', 'normal', 'slow', 'constant']),
  /** How many independent sources say so: several, one, or they contradict each other. */
  agree: z.enum(['yes', 'single', 'no']),
  /** Keys of `sources`. */
  src: z.array(z.string()).min(1),
});

/** A text (`ascii`, two characters per register) or a whole number that says which device this is. */
const identitySchema = z.union([
  z.strictObject({ addr: address, ascii: z.int().min(1).max(32) }),
  registerSchema,
]);

const word = z.int().min(0).max(0xffff);

/** Where outlet 1 of a PDU is switched and where it says how it stands; outlet n stands `stride` × (n - 1) further. */
const outletsSchema = z
  .strictObject({
    count: z.int().min(1).max(255),
    stride: z.int().min(1).max(0x7fff),
    /** What is written there to switch it on, and off. */
    write: z.strictObject({ kind: z.enum(['coil', 'holding']), addr: address, on: word, off: word }),
    /** What stands there while it is on, and off; anything else is neither. */
    state: z.strictObject({
      kind: z.enum(['coil', 'discrete', 'holding', 'input']),
      addr: address,
      on: word,
      off: word,
    }),
    agree: z.enum(['yes', 'single', 'no']),
    src: z.array(z.string()).min(1),
  })
  .refine(({ write, state }) => write.on !== write.off && state.on !== state.off, {
    message: 'on and off must differ',
  });

export const profileSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9-]+$/),
    vendor: z.string(),
    models: z.array(z.string()).min(1),
    /** The customer can change this map in the device: it serves only as the beginning of a site's own profile. */
    template: z.literal(true).optional(),
    /** Addresses count from the first register of this SunSpec model, which is found by walking the chain. */
    sunspecModel: z.int().min(1).max(65_534).optional(),
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
      /** The pause that the meter needs between two requests, ms. */
      minIntervalMs: z.int().min(0).max(2_000).optional(),
      /** Addresses before which every read ends. */
      barriers: z.array(address).optional(),
    }),
    /** How often the meter renews its fast registers, and who says so (keys of `sources`); once a second when absent. */
    refresh: z.strictObject({ ms: z.int().min(20).max(60_000), src: z.array(z.string()).min(1) }).optional(),
    /** Bit patterns by type that mean: no value. NaN and infinities never are values. */
    invalid: z.partialRecord(z.enum(REGISTER_TYPES), markers),
    /** Settings of the meter that decide what its numbers mean, read at the start and every ten minutes. */
    parameters: z.record(name, registerSchema.extend({ times: factor.optional() })).optional(),
    /** Powers of ten in registers, which can change at any time: read in one request with the points they scale. */
    exponents: z.record(name, registerSchema).optional(),
    /** What tells the device apart: `expect` must be there, `serial` and `firmware` are shown and watched. */
    identity: z
      .strictObject({
        expect: z
          .strictObject({ at: identitySchema, oneOf: z.array(z.union([z.string(), z.number()])).min(1) })
          .optional(),
        model: identitySchema.optional(),
        serial: identitySchema.optional(),
        firmware: identitySchema.optional(),
      })
      .optional(),
    points: z.array(pointSchema),
    /** Points of equal channels: `q` and `addr` are those of channel 1, channel n stands `stride` × (n - 1) further. */
    channels: z
      .strictObject({
        count: z.int().min(2).max(255),
        stride: z.int().min(1).max(0xffff),
        points: z.array(pointSchema).min(1),
      })
      .optional(),
    /** Outlets that can be switched: only where the vendor's map says how. */
    outlets: outletsSchema.optional(),
    /** Quantities that come from one moment: they are read in one request. */
    atomic: z.array(z.array(z.string()).min(2)).optional(),
    /** Quantities that are the sum of points, all of which must be there (tariffs). */
    sums: z.array(z.strictObject({ q: z.string(), of: z.array(z.string()).min(2) })).default([]),
    sources: z.record(z.string(), z.string()),
    notes: z.array(z.string()).default([]),
  })
  .superRefine((profile, context) => {
    for (const { path, message } of mistakesOf(profile))
      context.addIssue({ code: 'custom', path: [...path], message });
  });

interface Unchecked {
  readonly template?: true | undefined;
  readonly points: readonly MeterPoint[];
  readonly channels?:
    | { readonly count: number; readonly stride: number; readonly points: readonly MeterPoint[] }
    | undefined;
  readonly parameters?: Readonly<Record<string, unknown>> | undefined;
  readonly exponents?: Readonly<Record<string, unknown>> | undefined;
  readonly atomic?: readonly (readonly string[])[] | undefined;
  readonly sums: readonly { readonly q: string; readonly of: readonly string[] }[];
  readonly refresh?: { readonly src: readonly string[] } | undefined;
  readonly outlets?: PduOutlets | undefined;
  readonly sources: Readonly<Record<string, string>>;
}

interface Mistake {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** What a profile says that cannot be, beyond the shape of its fields. */
function* mistakesOf(profile: Unchecked): Generator<Mistake> {
  const { points, channels, sums } = profile;
  if (points.length === 0 && channels === undefined && profile.template !== true)
    yield { path: ['points'], message: 'no points' };
  const names = [...points, ...sums].map(({ q }) => q);
  for (const [index, q] of names.entries()) {
    const path = index < points.length ? ['points', index, 'q'] : ['sums', index - points.length, 'q'];
    if (names.indexOf(q) < index) yield { path, message: `${q} stands twice` };
  }
  const ofChannel = (channels?.points ?? []).map(({ q }) => q);
  for (const [index, q] of ofChannel.entries())
    if (ofChannel.indexOf(q) < index)
      yield { path: ['channels', 'points', index, 'q'], message: `${q} stands twice` };
  const last = channels ? channels.stride * (channels.count - 1) : 0;
  for (const [index, key] of (profile.refresh?.src ?? []).entries())
    if (!Object.hasOwn(profile.sources, key)) yield noSource(['refresh', 'src', index], key);
  if (profile.outlets !== undefined) yield* below(['outlets'], mistakesOfOutlets(profile.outlets, profile));
  for (const [index, point] of points.entries())
    yield* below(['points', index], mistakesOfPoint(point, profile, 0));
  for (const [index, point] of (channels?.points ?? []).entries())
    yield* below(['channels', 'points', index], mistakesOfPoint(point, profile, last));
  for (const [index, { of }] of sums.entries()) {
    const units = of.map((q) => points.find((point) => point.q === q)?.unit);
    const path = ['sums', index, 'of'];
    const missing = units.indexOf(undefined);
    if (missing >= 0) yield { path: [...path, missing], message: `a part is no point: ${of[missing]}` };
    if (new Set(units).size > 1) yield { path, message: 'parts have different units' };
  }
  for (const [index, group] of (profile.atomic ?? []).entries())
    for (const [place, q] of group.entries())
      if (!points.some((point) => point.q === q))
        yield { path: ['atomic', index, place], message: `${q} is no point` };
}

function* below(path: readonly PropertyKey[], mistakes: Iterable<Mistake>): Generator<Mistake> {
  for (const mistake of mistakes) yield { ...mistake, path: [...path, ...mistake.path] };
}

const noSource = (path: readonly PropertyKey[], key: string): Mistake => ({
  path,
  message: `no source '${key}' under sources`,
});

function* mistakesOfOutlets(outlets: PduOutlets, { sources }: Unchecked): Generator<Mistake> {
  const { write, state, count, stride, agree, src } = outlets;
  if (agree === 'no') yield { path: ['agree'], message: 'nothing is switched by a disputed register' };
  if (Math.max(write.addr, state.addr) + stride * (count - 1) > 0xffff)
    yield { path: ['stride'], message: 'beyond register 65535' };
  if (write.kind === 'coil' && write.on + write.off !== 1)
    yield { path: ['write'], message: 'a coil takes 0 and 1' };
  for (const [index, key] of src.entries())
    if (!Object.hasOwn(sources, key)) yield noSource(['src', index], key);
}

function* mistakesOfPoint(point: MeterPoint, profile: Unchecked, furtherBy: number): Generator<Mistake> {
  const { q, unit, scale } = point;
  const [, si] = UNIT_OF.find(([kind]) => q === kind || q.startsWith(`${kind}.`)) ?? [];
  if (si === undefined) {
    const kinds = UNIT_OF.map(([kind]) => kind).join(', ');
    yield { path: ['q'], message: `${q} is no quantity known here: they begin with ${kinds}` };
  } else if (si !== unit) yield { path: ['unit'], message: `${q} is given in ${si}, not ${unit}` };
  if (point.agree === 'no' && point.class === 'fast')
    yield { path: ['agree'], message: 'control must not use a disputed point' };
  if (point.addr + furtherBy + wordsOf(point.type) > 0x1_0000)
    yield { path: ['addr'], message: 'beyond register 65535' };
  for (const [index, key] of point.src.entries())
    if (!Object.hasOwn(profile.sources, key)) yield noSource(['src', index], key);
  if (typeof scale === 'number') return;
  const { exponent, ratios = [], choose = [] } = scale;
  if (exponent !== undefined && !Object.hasOwn(profile.exponents ?? {}, exponent))
    yield { path: ['scale', 'exponent'], message: `no '${exponent}' under exponents` };
  for (const used of [...ratios, ...choose.flatMap(({ when }) => Object.keys(when))])
    if (!Object.hasOwn(profile.parameters ?? {}, used))
      yield { path: ['scale'], message: `no '${used}' under parameters` };
}

/** How quantities begin, and the unit each is given in. */
const UNIT_OF: readonly (readonly [kind: string, unit: MeterPoint['unit']])[] = [
  ['power.active', 'W'],
  ['power.reactive', 'var'],
  ['power.apparent', 'VA'],
  ['powerFactor', '1'],
  ['voltage', 'V'],
  ['current', 'A'],
  ['frequency', 'Hz'],
  ['energy.active', 'Wh'],
  ['demand.active', 'W'],
];

export type MeterProfile = z.infer<typeof profileSchema>;
export type PduOutlets = z.infer<typeof outletsSchema>;
export type MeterPoint = z.infer<typeof pointSchema>;
export type RegisterPlace = z.infer<typeof registerSchema>;
export type IdentityPlace = z.infer<typeof identitySchema>;

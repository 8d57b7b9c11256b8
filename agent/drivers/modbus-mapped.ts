import type { MeterProfile } from '../../config/schema/profile.ts';
import { isRefusal } from '../../host/line-fault.ts';
import type { Line, LineAnswer } from '../../host/line.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import type { Device, DeviceIo, Target } from '../driver.ts';
import { crossCheck, makeCheckMemory, outOfRange } from './modbus-checks.ts';
import { MeterConstants } from './modbus-constants.ts';
import { cutOf, planBlocks } from './modbus-plan.ts';
import type { Block } from './modbus-plan.ts';
import { pointsOf, spansOf, valueOf } from './modbus-points.ts';
import type { Point } from './modbus-points.ts';
import { MeterStillness } from './modbus-still.ts';

/** A meter that is starting refuses what it has: a refused point is asked for again after this time. */
const ABSENT_FOR_MS = 30_000;
/** The same for refused joints between points, which only cost requests. */
const BARRIERS_FOR_MS = 600_000;
/** How often what changes slowly is read anew, in reads of everything. */
const EVERY_MS = { fast: 0, normal: 0, slow: 30_000, constant: 600_000 } as const;

/** A meter on its line. */
export interface MeterPlace {
  readonly target: Target;
  readonly unit: number;
  readonly line: Line;
  readonly io: DeviceIo;
}

export interface MappedOptions extends MeterPlace {
  readonly profile: MeterProfile;
  /** Added to every address of the profile. */
  readonly furtherBy: number;
  /** Undefined: all there are. */
  readonly channel: number | undefined;
  readonly inverted: boolean;
  /** How long values may stand still under load; 0: always. Undefined: as this meter's habits say. */
  readonly frozenMs: number | undefined;
}

/** A meter read by its register map. */
export class MappedMeter implements Device {
  readonly driver = 'modbus-meter';
  readonly verbs = {};
  readonly #options: MappedOptions;
  readonly #points: readonly Point[];
  readonly #constants: MeterConstants;
  /** Addresses over which this meter refuses to read; learnt. */
  readonly #barriers = new Set<number>();
  #barriersUntilMs = 0;
  /** Points this meter lacks, with the monotonic time until which that is believed. */
  readonly #absent = new Map<string, number>();
  readonly #stillness: MeterStillness;
  readonly #checks = makeCheckMemory();
  /** When the points of a class were all read last, monotonic, and what they were. */
  readonly #classes = new Map<Point['class'], { readonly atMs: number; readonly readings: Readings }>();
  readonly #plans = new Map<string, readonly Block[]>();
  #askedMs = -Infinity;

  constructor(options: MappedOptions) {
    this.#options = options;
    this.#points = pointsOf(options.profile, options.channel, options.furtherBy);
    this.#stillness = new MeterStillness(options.profile, this.#points, options.frozenMs);
    this.#constants = new MeterConstants(options.profile, options.io, (address, count, deadlineMs) =>
      this.#ask(address, count, deadlineMs),
    );
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { target, profile } = this.#options;
    // Few maps have identity registers: that its power registers answer is what can be known of the others.
    const readings = await this.read('fast', timeoutMs);
    if (!Object.values(readings).some((reading) => reading.ok)) {
      throw new Fault('VALUE_MISSING', `${target.url}: no value of profile ${profile.id}`);
    }
    const { model = profile.models.join('/'), firmware = '' } = this.#constants.identity;
    return { vendor: profile.vendor, model, firmware };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const { io, profile, inverted, target } = this.#options;
    const deadlineMs = io.clock.monoMs() + timeoutMs;
    await this.#constants.renew(scope, deadlineMs, target.url);
    const { due, kept } = this.#dueOf(scope);
    const points = this.#points.filter((point) => due.includes(point.class));
    const readings: Record<string, Reading> = {};
    const faults = await this.#readPoints(points, due.join(), deadlineMs, readings);
    for (const point of points) readings[point.q] ??= this.#missing();
    if (faults.length === 0) this.#keep(due, points, readings);
    Object.assign(readings, kept, scope === 'full' ? this.#constants.readings : {});
    if (scope === 'full') addSums(profile, readings);
    if (inverted) invert(readings);
    crossCheck(readings, this.#checks, (q) => this.#stillness.stepOf(q));
    this.#doubtFrozen(readings);
    return readings;
  }

  close(): void {
    this.#plans.clear();
  }

  /** Reads the blocks of these points; resolves with what went wrong. Rejects when the meter answered nothing at all. */
  async #readPoints(
    points: readonly Point[],
    key: string,
    deadlineMs: number,
    readings: Record<string, Reading>,
  ): Promise<readonly Fault[]> {
    const faults: Fault[] = [];
    const blocks = [...this.#plan(points, key)];
    let answered = false;
    for (let block = blocks.shift(); block; block = blocks.shift()) {
      try {
        this.#take(block, await this.#ask(block.address, block.count, deadlineMs), readings);
        answered = true;
      } catch (error) {
        const fault = asFault(error);
        if (isRefusal(fault)) {
          answered = true;
          blocks.unshift(...this.#learn(block, readings));
          continue;
        }
        if (!answered && fault.code.startsWith('NET_')) throw fault;
        faults.push(fault);
        this.#fail(block, fault, readings);
      }
    }
    const [first] = faults;
    if (!answered && first) throw first;
    return faults;
  }

  /** The classes to read now, and what is known of the others that belong to this scope. */
  #dueOf(scope: 'fast' | 'full'): { readonly due: readonly Point['class'][]; readonly kept: Readings } {
    if (scope === 'fast') return { due: ['fast'], kept: {} };
    const nowMs = this.#options.io.clock.monoMs();
    const due: Point['class'][] = [];
    let kept: Readings = {};
    for (const name of ['fast', 'normal', 'slow', 'constant'] as const) {
      const known = this.#classes.get(name);
      if (!known || nowMs - known.atMs >= EVERY_MS[name]) due.push(name);
      else kept = { ...kept, ...known.readings };
    }
    return { due, kept };
  }

  #keep(due: readonly Point['class'][], points: readonly Point[], readings: Readings): void {
    const atMs = this.#options.io.clock.monoMs();
    for (const name of due) {
      if (EVERY_MS[name] === 0) continue;
      const own = points.filter((point) => point.class === name).map(({ q }) => q);
      const entries = Object.entries(readings).filter(([q]) => own.includes(q));
      this.#classes.set(name, { atMs, readings: Object.fromEntries(entries) });
    }
  }

  #doubtFrozen(readings: Record<string, Reading>): void {
    const stillMs = this.#stillness.frozenMs(this.#options.io.clock.monoMs());
    if (stillMs === undefined) return;
    const why = `frozen: no value has changed for ${Math.round(stillMs / 1_000)} s`;
    for (const point of this.#points) {
      const reading = readings[point.q];
      if (point.class === 'fast' && reading?.ok)
        readings[point.q] = { ...reading, quality: 'uncertain', why };
    }
  }

  async #ask(address: number, count: number, deadlineMs: number): Promise<LineAnswer> {
    const { line, unit, profile, io } = this.#options;
    const waitMs = this.#askedMs + (profile.limits.minIntervalMs ?? 0) - io.clock.monoMs();
    if (waitMs > 0) await new Promise<void>((resolve) => io.clock.after(waitMs, resolve));
    try {
      return await line.read({ unit, fc: profile.fc, address, count, deadlineMs });
    } finally {
      this.#askedMs = io.clock.monoMs();
    }
  }

  #plan(points: readonly Point[], key: string): readonly Block[] {
    const { io, profile } = this.#options;
    const nowMs = io.clock.monoMs();
    for (const [q, untilMs] of this.#absent) {
      if (untilMs > nowMs) continue;
      this.#absent.delete(q);
      this.#plans.clear();
    }
    if (this.#barriers.size > 0 && this.#barriersUntilMs <= nowMs) {
      this.#barriers.clear();
      this.#plans.clear();
    }
    const known = this.#plans.get(key);
    if (known) return known;
    const there = points.filter((point) => !this.#absent.has(point.q));
    const plan = planBlocks(spansOf(there, profile.atomic), profile.limits, this.#barriers);
    this.#plans.set(key, plan);
    return plan;
  }

  /** The parts of a refused block, to be read one by one from now on; what is refused alone this meter lacks. */
  #learn(block: Block, readings: Record<string, Reading>): readonly Block[] {
    this.#plans.clear();
    const { io, profile } = this.#options;
    const cut = cutOf(block);
    if (cut === undefined) {
      for (const point of block.points) {
        this.#absent.set(point.q, io.clock.monoMs() + ABSENT_FOR_MS);
        readings[point.q] = this.#missing();
      }
      return [];
    }
    this.#barriers.add(cut);
    this.#barriersUntilMs = io.clock.monoMs() + BARRIERS_FOR_MS;
    return planBlocks(block.spans, profile.limits, this.#barriers);
  }

  #missing(): Reading {
    const atMs = this.#options.io.clock.wallMs();
    return { ok: false, why: 'VALUE_MISSING', detail: 'no such register', atMs };
  }

  #take(block: Block, { registers, atMs }: LineAnswer, readings: Record<string, Reading>): void {
    for (const point of block.points) {
      const decoded = valueOf(point, registers, block.address, this.#constants.parameters);
      if (decoded.ok) this.#stillness.take(point, decoded.value, decoded.raw);
      readings[point.q] = decoded.ok
        ? readingOf(point, decoded.value, atMs)
        : { ok: false, why: 'VALUE_INVALID', detail: decoded.why, atMs };
    }
  }

  #fail(block: Block, fault: Fault, readings: Record<string, Reading>): void {
    const atMs = this.#options.io.clock.wallMs();
    for (const point of block.points) {
      readings[point.q] = { ok: false, why: fault.code, detail: fault.detail, atMs };
    }
  }
}

function readingOf({ unit, agree }: Point, decoded: number, atMs: number): Reading {
  const value = decoded === 0 ? 0 : decoded;
  const wrong = outOfRange(value, unit);
  if (wrong !== undefined) return { ok: false, why: 'VALUE_IMPLAUSIBLE', detail: wrong, atMs };
  const reading = { ok: true, value, unit, atMs } as const;
  return agree === 'no'
    ? { ...reading, quality: 'uncertain', why: 'sources disagree about this register' }
    : { ...reading, quality: 'good' };
}

/** A sum is known only when all its parts are. */
function addSums(profile: MeterProfile, readings: Record<string, Reading>): void {
  for (const sum of profile.sums) {
    const parts = sum.of.map((q) => readings[q]);
    const failed = parts.find((part) => part?.ok !== true);
    const [first] = parts;
    if (failed || !first?.ok) {
      readings[sum.q] = failed ?? { ok: false, why: 'VALUE_MISSING', atMs: 0 };
      continue;
    }
    const value = parts.reduce((total, part) => total + (part?.ok ? Number(part.value) : 0), 0);
    readings[sum.q] = { ...first, value };
  }
}

/** A meter wired the other way around: power changes its sign, import and export change places. */
function invert(readings: Record<string, Reading>): void {
  for (const [q, reading] of Object.entries(readings)) {
    const signed = /(^|\.)(power\.(active|reactive)|powerFactor)\./.test(q);
    if (signed && reading.ok && typeof reading.value === 'number' && reading.value !== 0) {
      readings[q] = { ...reading, value: -reading.value };
    }
  }
  for (const [q, reading] of Object.entries(readings)) {
    if (!/(^|\.)energy\.active\.import/.test(q)) continue;
    const other = q.replace('import', 'export');
    const exported = readings[other];
    readings[other] = reading;
    if (exported) readings[q] = exported;
    else delete readings[q];
  }
}

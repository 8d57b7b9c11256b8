/**
 * Power meters over Modbus, by register map (`config/meters`). Verified against independent Modbus servers and masters
 * on the wire; the maps come from documents and published sources, not from hardware here.
 */
import { meterProfile } from '../../config/meters.ts';
import type { MeterPoint, MeterProfile } from '../../config/schema/profile.ts';
import { ModbusException } from '../../host/line.ts';
import type { Line, LineAnswer } from '../../host/line.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import { decodeNumber } from '../../protocols/modbus/registers.ts';
import type { RegisterFormat } from '../../protocols/modbus/registers.ts';
import { numberOf } from '../../protocols/reading.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import type { Device, DeviceIo, Driver, Target } from '../driver.ts';
import { crossCheck, outOfRange } from './modbus-checks.ts';
import { cutOf, planBlocks } from './modbus-plan.ts';
import type { Block } from './modbus-plan.ts';
import { modbusTarget } from './modbus-target.ts';

/** A meter that is starting refuses what it has: a refused point is asked for again after this time. */
const ABSENT_FOR_MS = 30_000;
/** The same for refused joints between points, which only cost requests. */
const BARRIERS_FOR_MS = 600_000;
const OPTIONS = ['profile', 'invert', 'frozenS', 'baud', 'parity', 'stopBits'];

/**
 * Meters of the profile named in the target: `modbus://host:port/unit?profile=ID[&invert=1][&frozenS=10]`. With
 * `frozenS`, fast values that all stand still for so long while current flows are uncertain: a gateway may repeat its cache.
 */
export const modbusMeter: Driver = {
  name: 'modbus-meter',
  schemes: ['modbus', 'modbus+rtu', 'modbus+serial'],
  open: (target, io) => {
    const { line, unit } = modbusTarget(target);
    const { profile: id, invert = '0', frozenS = '0' } = target.options;
    if (id === undefined)
      throw new Fault('TARGET_INVALID', `${target.url}: ?profile= names the register map`);
    if (invert !== '0' && invert !== '1')
      throw new Fault('TARGET_INVALID', `${target.url}: invert is 0 or 1`);
    const frozenMs = Number(frozenS) * 1_000;
    if (!(frozenMs >= 0 && frozenMs <= 86_400_000)) {
      throw new Fault('TARGET_INVALID', `${target.url}: frozenS is 0 to 86400`);
    }
    const unknown = Object.keys(target.options).find((name) => !OPTIONS.includes(name));
    if (unknown !== undefined)
      throw new Fault('TARGET_INVALID', `${target.url}: option ${unknown} is unknown`);
    return new ModbusMeter({
      target,
      unit,
      profile: meterProfile(id),
      inverted: invert === '1',
      frozenMs,
      line: io.lines.line(line),
      io,
    });
  },
};

interface Opened {
  readonly target: Target;
  readonly unit: number;
  readonly profile: MeterProfile;
  readonly inverted: boolean;
  /** 0: values may stand still. */
  readonly frozenMs: number;
  readonly line: Line;
  readonly io: DeviceIo;
}

class ModbusMeter implements Device {
  readonly driver = 'modbus-meter';
  readonly verbs = {};
  readonly #opened: Opened;
  readonly #formats: ReadonlyMap<string, RegisterFormat>;
  /** Addresses over which this meter refuses to read; learnt. */
  readonly #barriers = new Set<number>();
  #barriersUntilMs = 0;
  /** Points this meter lacks, with the monotonic time until which that is believed. */
  readonly #absent = new Map<string, number>();
  /** Since when the fast values are what they are, monotonic. */
  #still = { values: '', sinceMs: 0 };
  #plans: { fast?: readonly Block[]; full?: readonly Block[] } = {};

  constructor(opened: Opened) {
    this.#opened = opened;
    const { profile } = opened;
    this.#formats = new Map(
      profile.points.map((point) => [
        point.q,
        {
          type: point.type,
          wordOrder: point.wordOrder ?? profile.wordOrder,
          scale: point.scale,
          invalid: (profile.invalid[point.type] ?? []).map(BigInt),
        },
      ]),
    );
  }

  async identify(timeoutMs: number): Promise<Identity> {
    // The map has no identity registers in common: that its power registers answer is what can be known.
    const readings = await this.read('fast', timeoutMs);
    if (!Object.values(readings).some((reading) => reading.ok)) {
      throw new Fault(
        'VALUE_MISSING',
        `${this.#opened.target.url}: no value of profile ${this.#opened.profile.id}`,
      );
    }
    const { vendor, models } = this.#opened.profile;
    return { vendor, model: models.join('/'), firmware: '' };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const { io, profile } = this.#opened;
    const deadlineMs = io.clock.monoMs() + timeoutMs;
    const readings: Record<string, Reading> = {};
    const faults: Fault[] = [];
    const blocks = [...this.#plan(scope)];
    let answered = false;
    for (let block = blocks.shift(); block; block = blocks.shift()) {
      try {
        this.#take(block, await this.#ask(block, deadlineMs), readings);
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
    this.#markAbsent(scope, readings);
    addSums(profile, scope, readings);
    if (this.#opened.inverted) invert(readings);
    crossCheck(readings);
    if (this.#opened.frozenMs > 0) this.#doubtFrozen(readings);
    return readings;
  }

  #doubtFrozen(readings: Record<string, Reading>): void {
    const nowMs = this.#opened.io.clock.monoMs();
    const fast = this.#points('fast').map((point) => point.q);
    const values = fast.map((q) => numberOf(readings[q])).join();
    if (values !== this.#still.values) this.#still = { values, sinceMs: nowMs };
    const stillMs = nowMs - this.#still.sinceMs;
    const flows = fast.some((q) => q.startsWith('current.') && numberOf(readings[q]));
    if (stillMs < this.#opened.frozenMs || !flows) return;
    for (const q of fast) {
      const reading = readings[q];
      const why = `no value changed for ${Math.round(stillMs / 1_000)} s`;
      if (reading?.ok) readings[q] = { ...reading, quality: 'uncertain', why };
    }
  }

  close(): void {
    this.#plans = {};
  }

  #ask(block: Block, deadlineMs: number): Promise<LineAnswer> {
    const { line, unit, profile } = this.#opened;
    return line.read({ unit, fc: profile.fc, address: block.address, count: block.count, deadlineMs });
  }

  #points(scope: 'fast' | 'full'): readonly MeterPoint[] {
    const { points } = this.#opened.profile;
    return scope === 'full' ? points : points.filter((point) => point.class === 'fast');
  }

  #plan(scope: 'fast' | 'full'): readonly Block[] {
    const nowMs = this.#opened.io.clock.monoMs();
    for (const [q, untilMs] of this.#absent) {
      if (untilMs > nowMs) continue;
      this.#absent.delete(q);
      this.#plans = {};
    }
    if (this.#barriers.size > 0 && this.#barriersUntilMs <= nowMs) {
      this.#barriers.clear();
      this.#plans = {};
    }
    return (this.#plans[scope] ??= planBlocks(
      this.#points(scope).filter((point) => !this.#absent.has(point.q)),
      this.#opened.profile.limits,
      this.#barriers,
    ));
  }

  /** The parts of a refused block, to be read one by one from now on; a point refused alone is one that the meter lacks. */
  #learn(block: Block, readings: Record<string, Reading>): readonly Block[] {
    this.#plans = {};
    const { io, profile } = this.#opened;
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
    return planBlocks(block.points, profile.limits, this.#barriers);
  }

  #missing(): Reading {
    return {
      ok: false,
      why: 'VALUE_MISSING',
      detail: 'no such register',
      atMs: this.#opened.io.clock.wallMs(),
    };
  }

  #markAbsent(scope: 'fast' | 'full', readings: Record<string, Reading>): void {
    for (const point of this.#points(scope)) readings[point.q] ??= this.#missing();
  }

  #take(block: Block, answer: LineAnswer, readings: Record<string, Reading>): void {
    for (const point of block.points) {
      const format = this.#formats.get(point.q);
      if (format) readings[point.q] = readingOf(point, format, answer, block.address);
    }
  }

  #fail(block: Block, fault: Fault, readings: Record<string, Reading>): void {
    const atMs = this.#opened.io.clock.wallMs();
    for (const point of block.points) {
      readings[point.q] = { ok: false, why: fault.code, detail: fault.detail, atMs };
    }
  }
}

/** Exceptions 2 and 3 speak of the registers asked for, the others of the moment. */
function isRefusal(fault: Fault): boolean {
  return fault instanceof ModbusException && (fault.exception === 2 || fault.exception === 3);
}

function readingOf(point: MeterPoint, format: RegisterFormat, answer: LineAnswer, from: number): Reading {
  const { atMs } = answer;
  const decoded = decodeNumber(answer.registers, point.addr - from, format);
  if (!decoded.ok) return { ok: false, why: 'VALUE_INVALID', detail: decoded.why, atMs };
  const value = decoded.value === 0 ? 0 : decoded.value;
  const wrong = outOfRange(value, point.unit);
  if (wrong !== undefined) return { ok: false, why: 'VALUE_IMPLAUSIBLE', detail: wrong, atMs };
  const reading = { ok: true, value, unit: point.unit, atMs } as const;
  return point.agree === 'no'
    ? { ...reading, quality: 'uncertain', why: 'sources disagree about this register' }
    : { ...reading, quality: 'good' };
}

/** A sum is known only when all its parts are. */
function addSums(profile: MeterProfile, scope: 'fast' | 'full', readings: Record<string, Reading>): void {
  if (scope === 'fast') return;
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
    const signed = /^(power\.(active|reactive)|powerFactor)\./.test(q);
    if (signed && reading.ok && typeof reading.value === 'number' && reading.value !== 0) {
      readings[q] = { ...reading, value: -reading.value };
    }
  }
  for (const [q, reading] of Object.entries(readings)) {
    if (!q.startsWith('energy.active.import')) continue;
    const other = q.replace('import', 'export');
    const exported = readings[other];
    readings[other] = reading;
    if (exported) readings[q] = exported;
    else delete readings[q];
  }
}

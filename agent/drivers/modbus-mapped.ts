import type { MeterProfile } from '../../config/schema/profile.ts';
import { isRefusal, LineBusy } from '../../host/line-fault.ts';
import type { Line, LineAnswer, LineRead } from '../../host/line.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import type { Device, DeviceIo, Target } from '../driver.ts';
import { crossCheck, makeCheckMemory, outOfRange } from './modbus-checks.ts';
import { MeterConstants } from './modbus-constants.ts';
import type { Block } from './modbus-plan.ts';
import { pointsOf, valueOf } from './modbus-points.ts';
import type { Point } from './modbus-points.ts';
import { MeterReads } from './modbus-reads.ts';
import { MeterStillness } from './modbus-still.ts';

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
  readonly line: Line;
  readonly #options: MappedOptions;
  readonly #points: readonly Point[];
  readonly #constants: MeterConstants;
  readonly #reads: MeterReads;
  readonly #stillness: MeterStillness;
  readonly #checks = makeCheckMemory();
  /** When the points of a class were all read last, monotonic, and what they were. */
  readonly #classes = new Map<Point['class'], { readonly atMs: number; readonly readings: Readings }>();
  /** The points of these classes. */
  readonly #ofClasses = new Map<string, readonly Point[]>();
  #askedMs = -Infinity;
  /** What was learnt of holes holds for this device and map. */
  #device: string | undefined;
  #isRecalled = false;

  constructor(options: MappedOptions) {
    this.#options = options;
    this.line = options.line;
    this.#points = pointsOf(options.profile, options.channel, options.furtherBy);
    this.#reads = new MeterReads(options.profile, () => options.line.costOf(options.unit));
    this.#stillness = new MeterStillness(options.profile, this.#points, options.frozenMs);
    this.#constants = new MeterConstants(options.profile, options.io, (address, count, deadlineMs) =>
      this.#ask({ address, count, urgency: 'normal' }, deadlineMs),
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
    if (this.#constants.isDue(scope)) await this.#constants.renew(deadlineMs, target.url);
    this.#recall();
    const { due, kept } = this.#dueOf(scope);
    const key = due.join();
    const points = this.#pointsOf(key, due);
    const readings: Record<string, Reading> = {};
    const faults = await this.#readPoints(points, key, deadlineMs, readings);
    const nowMs = io.clock.monoMs();
    for (const { q } of points) if (this.#reads.lacks(q, nowMs)) readings[q] ??= this.#missing();
    if (faults.length === 0) this.#keep(due, points, readings);
    Object.assign(readings, kept, scope === 'full' ? this.#constants.readings : {});
    if (scope === 'full') addSums(profile, readings);
    if (inverted) invert(readings);
    crossCheck(readings, this.#checks, (q) => this.#stillness.stepOf(q));
    this.#doubtFrozen(readings);
    return readings;
  }

  doubtSetup(): void {
    this.#constants.doubt();
  }

  close(): void {
    this.#reads.forget();
  }

  /** Reads the blocks of these points; resolves with what went wrong. Rejects when the meter answered nothing at all. */
  async #readPoints(
    points: readonly Point[],
    key: string,
    deadlineMs: number,
    readings: Record<string, Reading>,
  ): Promise<readonly Fault[]> {
    const faults: Fault[] = [];
    const { clock } = this.#options.io;
    const blocks = [...this.#reads.blocksOf(points, key, clock.monoMs())];
    let answered = false;
    let refused = false;
    for (let block = blocks.shift(); block; block = blocks.shift()) {
      try {
        this.#take(block, await this.#ask(block, deadlineMs), readings);
        this.#reads.answered(block);
        answered = true;
      } catch (error) {
        const fault = asFault(error);
        if (isRefusal(fault)) {
          answered = true;
          const parts = this.#reads.refused(block, clock.monoMs());
          for (const { q } of parts ? [] : block.points) readings[q] = this.#missing();
          blocks.unshift(...(parts ?? []));
          refused = true;
          continue;
        }
        if (!answered && fault.code.startsWith('NET_')) throw fault;
        faults.push(fault);
        // What is less urgent and was not asked for is as it was: no fault of the meter's.
        if (answered && fault instanceof LineBusy && block.urgency !== 'fast') continue;
        this.#fail(block, fault, readings);
      }
    }
    const [first] = faults;
    if (!answered && first) throw first;
    if (refused) this.#remember();
    return faults;
  }

  /** What was found before a restart serves again, unless it was found at another device. */
  #recall(): void {
    const { io, target, profile, furtherBy } = this.#options;
    const { serial = '', firmware = '' } = this.#constants.identity;
    const device = `${profile.id} ${furtherBy} ${serial} ${firmware}`;
    if (this.#device !== undefined && this.#device !== device) this.#reads.forget();
    this.#device = device;
    if (this.#isRecalled) return;
    const kept = io.holes?.of(target.url);
    if (!kept) return;
    this.#isRecalled = true;
    if (kept.device === device) this.#reads.recall(kept, io.clock.monoMs());
  }

  #remember(): void {
    const { io, target } = this.#options;
    this.#isRecalled = true;
    io.holes?.keep(target.url, { device: this.#device ?? '', ...this.#reads.holes });
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

  #ask(what: Pick<Block, 'address' | 'count' | 'urgency'>, deadlineMs: number): Promise<LineAnswer> {
    const { line, unit, profile } = this.#options;
    const { address, count, urgency } = what;
    const read: LineRead = { unit, fc: profile.fc, address, count, deadlineMs, urgency };
    const { minIntervalMs } = profile.limits;
    return minIntervalMs === undefined ? line.read(read) : this.#askInTurn(read, minIntervalMs);
  }

  async #askInTurn(read: LineRead, minIntervalMs: number): Promise<LineAnswer> {
    const { line, io } = this.#options;
    const waitMs = this.#askedMs + minIntervalMs - io.clock.monoMs();
    if (waitMs > 0) await new Promise<void>((resolve) => io.clock.after(waitMs, resolve));
    try {
      return await line.read(read);
    } finally {
      this.#askedMs = io.clock.monoMs();
    }
  }

  #pointsOf(key: string, classes: readonly Point['class'][]): readonly Point[] {
    const known = this.#ofClasses.get(key);
    if (known) return known;
    const points = this.#points.filter((point) => classes.includes(point.class));
    this.#ofClasses.set(key, points);
    return points;
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
  return agree === 'no'
    ? { ok: true, value, unit, quality: 'uncertain', atMs, why: 'sources disagree about this register' }
    : { ok: true, value, unit, quality: 'good', atMs };
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
    readings[sum.q] = { ...first, value, atMs: Math.min(...parts.map((part) => part?.atMs ?? first.atMs)) };
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

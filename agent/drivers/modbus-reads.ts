import type { MeterProfile } from '../../config/schema/profile.ts';
import type { ReadCost } from '../../host/line-cost.ts';
import type { MeterHoles } from '../driver.ts';
import { cutOf, planBlocks, planMs } from './modbus-plan.ts';
import type { Block } from './modbus-plan.ts';
import { spansOf } from './modbus-points.ts';
import type { Point } from './modbus-points.ts';

/**
 * How long a refusal is believed, by how often it came: a meter that is starting refuses what it has. A joint only costs
 * a request, so it is tried again later than a point.
 */
const ABSENT_MS = [30_000, 600_000, 86_400_000];
const BARRIER_MS = [600_000, 86_400_000];
/** A point is kept as absent from its second refusal on, of a meter that gives others and never gave this one. */
const KEPT_FROM = 2;
/** How often it is seen whether other reads would be faster, and by how much they must be. */
const REPLAN_MS = 60_000;
const GAIN = 0.95;

interface Refused {
  readonly times: number;
  readonly untilMs: number;
}

interface Plan {
  readonly blocks: readonly Block[];
  readonly madeMs: number;
}

/** The reads of one meter: which blocks, by what they cost and what it refuses. Times are monotonic ms. */
export class MeterReads {
  readonly #profile: MeterProfile;
  readonly #cost: () => ReadCost;
  readonly #barriers = new Map<number, Refused>();
  readonly #absent = new Map<string, Refused>();
  readonly #plans = new Map<string, Plan>();
  /** What it has given: when it refuses that, it is busy with itself, and will give it again. */
  readonly #given = new Set<string>();
  /** The blocks whose points are all in there. */
  #givers = new WeakSet<Block>();
  /** The first time at which one of the refusals is no longer believed. */
  #doubtMs = Infinity;

  /** `cost`: what reads of this meter take, as known now. */
  constructor(profile: MeterProfile, cost: () => ReadCost) {
    this.#profile = profile;
    this.#cost = cost;
  }

  /** What is worth keeping of it over a restart. */
  get holes(): MeterHoles {
    const absent = [...this.#absent].flatMap(([q, { times }]) => (times >= KEPT_FROM ? [q] : []));
    return { barriers: [...this.#barriers.keys()], absent };
  }

  /** Believes what was found before. */
  recall({ barriers, absent }: MeterHoles, nowMs: number): void {
    for (const address of barriers)
      if (!this.#barriers.has(address)) this.#refuse(this.#barriers, address, 1, BARRIER_MS, nowMs);
    for (const q of absent)
      if (!this.#absent.has(q)) this.#refuse(this.#absent, q, KEPT_FROM, ABSENT_MS, nowMs);
  }

  /** Another device answers now. */
  forget(): void {
    this.#barriers.clear();
    this.#absent.clear();
    this.#given.clear();
    this.#givers = new WeakSet();
    this.#plans.clear();
  }

  /** The blocks that fetch these points; `key` names them. */
  blocksOf(points: readonly Point[], key: string, nowMs: number): readonly Block[] {
    if (nowMs >= this.#doubtMs) {
      this.#plans.clear();
      this.#doubtMs = Math.min(
        ...[...this.#barriers.values(), ...this.#absent.values()]
          .map(({ untilMs }) => untilMs)
          .filter((untilMs) => untilMs > nowMs),
        Infinity,
      );
    }
    const known = this.#plans.get(key);
    if (known && nowMs - known.madeMs < REPLAN_MS) return known.blocks;
    const there = points.filter(({ q }) => !this.lacks(q, nowMs));
    const planned = this.#planOf(spansOf(there, this.#profile.atomic), nowMs);
    const cost = this.#costNow();
    const isBetter = !known || planMs(planned, cost) < GAIN * planMs(known.blocks, cost);
    const blocks = isBetter ? planned : known.blocks;
    this.#plans.set(key, { blocks, madeMs: nowMs });
    return blocks;
  }

  /** Whether the meter is believed not to have this point. */
  lacks(q: string, nowMs: number): boolean {
    return this.#absent.size > 0 && (this.#absent.get(q)?.untilMs ?? -Infinity) > nowMs;
  }

  /** The parts of a refused block, to be read one by one from now on; undefined: it is refused alone, and lacking. */
  refused(block: Block, nowMs: number): readonly Block[] | undefined {
    this.#plans.clear();
    const cut = cutOf(block);
    if (cut === undefined) {
      for (const { q } of block.points) {
        const isLacking = this.#given.size > 0 && !this.#given.has(q);
        this.#refuse(
          this.#absent,
          q,
          isLacking ? 1 + (this.#absent.get(q)?.times ?? 0) : 1,
          ABSENT_MS,
          nowMs,
        );
      }
      return undefined;
    }
    this.#refuse(this.#barriers, cut, 1 + (this.#barriers.get(cut)?.times ?? 0), BARRIER_MS, nowMs);
    return this.#planOf(block.spans, nowMs);
  }

  /** These points were answered: what was believed of them is not true. */
  answered(block: Block): void {
    if (this.#absent.size === 0 && this.#givers.has(block)) return;
    this.#givers.add(block);
    for (const { q } of block.points) {
      this.#given.add(q);
      this.#absent.delete(q);
    }
  }

  #refuse<K>(known: Map<K, Refused>, key: K, times: number, trustMs: readonly number[], nowMs: number): void {
    const untilMs = nowMs + (trustMs[Math.min(times, trustMs.length) - 1] ?? 0);
    known.set(key, { times, untilMs });
    this.#doubtMs = Math.min(this.#doubtMs, untilMs);
    this.#plans.clear();
  }

  #planOf(spans: Block['spans'], nowMs: number): readonly Block[] {
    const walls = [...this.#barriers].flatMap(([address, { untilMs }]) => (untilMs > nowMs ? [address] : []));
    return planBlocks(spans, this.#profile.limits, new Set(walls), this.#costNow());
  }

  #costNow(): ReadCost {
    const { requestMs, registerMs } = this.#cost();
    return { requestMs: requestMs + (this.#profile.limits.minIntervalMs ?? 0), registerMs };
  }
}

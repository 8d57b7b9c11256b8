/** Draw and hashrate of one simulated ASIC: ramps to sleep and back, spread between units, noise, heat. */
import type { AsicModel } from '../../config/schema/model.ts';
import type { Random } from '../../host/deps.ts';
import type { Load } from '../device.ts';

export interface AsicPowerOptions {
  readonly id: string;
  readonly model: AsicModel;
  readonly random: Random;
  readonly startMs: number;
  /** Inlet air, °C; 25 when absent. */
  readonly ambientC?: (nowMs: number) => number;
  /** At the start; mining when absent. */
  readonly mode?: 'mine' | 'sleep';
}

/** A value on a straight line from one time to another, level before and after. */
interface Ramp {
  readonly from: number;
  readonly to: number;
  readonly startMs: number;
  readonly endMs: number;
}

const UNIT_SPREAD = 0.03;
const RATE_SPREAD = 0.015;
const POWER_NOISE = 0.006;
const RATE_NOISE = 0.02;
/** Noise is drawn anew this often. */
const NOISE_MS = 1_000;
/** Share of the wake time before the first hash: boot, voltage, frequency. */
const WAKE_DARK = 0.4;
/** Hashing stops well before the supply has let go. */
const SLEEP_STOP = 0.3;
const HEAT_TAU_MS = 90_000;
/** Boards above inlet air at full draw, K. */
const HEAT_RISE = 45;

/** The electrical side of one ASIC. Times asked for never go back; an earlier one reads as the latest. */
export class AsicPower implements Load {
  readonly id: string;
  readonly model: AsicModel;
  readonly #random: Random;
  readonly #ambientC: (nowMs: number) => number;
  readonly #unit: number;
  readonly #unitRate: number;
  /** Shares of the full span, 0 asleep to 1 at the target. */
  #power: Ramp;
  #rate: Ramp;
  #mining: boolean;
  #supplied = true;
  #limitW: number;
  #nowMs: number;
  #noiseAtMs = Number.NEGATIVE_INFINITY;
  #noiseW = 0;
  #noiseRate = 0;
  #riseK: number;
  /** Hash boards that have gone, and of how many. */
  #gone = { lost: 0, of: 1 };

  constructor({ id, model, random, startMs, ambientC, mode = 'mine' }: AsicPowerOptions) {
    this.id = id;
    this.model = model;
    this.#random = random;
    this.#ambientC = ambientC ?? (() => 25);
    this.#unit = 1 + (random.next() * 2 - 1) * UNIT_SPREAD;
    this.#unitRate = 1 + (random.next() * 2 - 1) * RATE_SPREAD;
    this.#mining = mode === 'mine';
    this.#power = this.#rate = level(this.#mining ? 1 : 0);
    this.#limitW = model.rungs.at(-1)?.powerW ?? model.ratedW;
    this.#nowMs = startMs;
    this.#riseK = this.#mining ? HEAT_RISE : 0;
  }

  /** W at the plug. */
  powerW(nowMs: number): number {
    this.#advance(nowMs);
    return this.#drawW();
  }

  /** H/s. */
  hashrate(nowMs: number): number {
    this.#advance(nowMs);
    if (!this.#supplied) return 0;
    const share = at(this.#rate, this.#nowMs);
    return share <= 0
      ? 0
      : Math.max(0, this.#fullThs() * this.#unitRate * this.#left() * share * (1 + this.#noiseRate)) * 1e12;
  }

  /** °C at the boards. */
  boardC(nowMs: number): number {
    this.#advance(nowMs);
    return this.#ambientC(this.#nowMs) + this.#riseK;
  }

  ambientC(nowMs: number): number {
    return this.#ambientC(nowMs);
  }

  /** True from the command to mine on, ramp included. */
  get mining(): boolean {
    return this.#mining;
  }

  get supplied(): boolean {
    return this.#supplied;
  }

  /** Power limit in force, W; never above the model's highest level. */
  get limitW(): number {
    return this.#limitW;
  }

  wake(nowMs: number): void {
    this.#advance(nowMs);
    if (this.#mining) return;
    this.#mining = true;
    this.#rampUp(this.#nowMs);
  }

  sleep(nowMs: number): void {
    this.#advance(nowMs);
    if (!this.#mining) return;
    this.#mining = false;
    this.#rampDown();
  }

  /** Down and, when it mines, up again, as after a reboot or a new setting. */
  restart(nowMs: number): void {
    this.#advance(nowMs);
    if (!this.#mining || !this.#supplied) return;
    this.#power = level(0);
    this.#rate = level(0);
    this.#rampUp(this.#nowMs);
  }

  /** So many of its hash boards have died: the others draw and hash on. */
  loseBoards(nowMs: number, lost: number, of: number): void {
    this.#advance(nowMs);
    this.#gone = { lost, of };
  }

  /** How many of this many boards are left. */
  boardsLeft(of: number): number {
    return Math.max(0, of - this.#gone.lost);
  }

  /** Chips on one board of this many, by its model; undefined: it does not say. */
  chipsPerBoard(of: number): number | undefined {
    return this.model.chips === undefined ? undefined : Math.round(this.model.chips / of);
  }

  /** Sets the power limit, W, kept between the model's levels. */
  limit(nowMs: number, limitW: number): void {
    this.#advance(nowMs);
    const { rungs } = this.model;
    this.#limitW = Math.min(Math.max(limitW, rungs[0]?.powerW ?? limitW), rungs.at(-1)?.powerW ?? limitW);
  }

  /** Takes the supply away or gives it back: a machine that mined starts again by itself. */
  supply(nowMs: number, supplied: boolean): void {
    this.#advance(nowMs);
    if (supplied === this.#supplied) return;
    this.#supplied = supplied;
    this.#power = this.#rate = level(0);
    if (supplied && this.#mining) this.#rampUp(this.#nowMs);
  }

  #rampUp(nowMs: number): void {
    const wakeMs = this.model.wakeS * 1_000;
    const dark = nowMs + wakeMs * WAKE_DARK;
    // The draw rises with voltage and frequency; hashing follows a little later.
    this.#power = {
      from: at(this.#power, nowMs),
      to: 1,
      startMs: nowMs + wakeMs * 0.2,
      endMs: nowMs + wakeMs,
    };
    this.#rate = { from: 0, to: 1, startMs: dark, endMs: nowMs + wakeMs };
  }

  #rampDown(): void {
    const now = this.#nowMs;
    const sleepMs = this.model.sleepS * 1_000;
    this.#power = { from: at(this.#power, now), to: 0, startMs: now, endMs: now + sleepMs };
    this.#rate = { from: at(this.#rate, now), to: 0, startMs: now, endMs: now + sleepMs * SLEEP_STOP };
  }

  #advance(nowMs: number): void {
    const passedMs = nowMs - this.#nowMs;
    if (passedMs < 0) return;
    if (passedMs > 0) {
      const share = this.#drawW() / this.#fullW();
      this.#riseK += (HEAT_RISE * share - this.#riseK) * (1 - Math.exp(-passedMs / HEAT_TAU_MS));
      this.#nowMs = nowMs;
    }
    if (nowMs - this.#noiseAtMs >= NOISE_MS) {
      this.#noiseAtMs = nowMs;
      this.#noiseW = (this.#random.next() * 2 - 1) * POWER_NOISE;
      this.#noiseRate = (this.#random.next() * 2 - 1) * RATE_NOISE;
    }
  }

  #drawW(): number {
    if (!this.#supplied) return 0;
    const share = at(this.#power, this.#nowMs);
    const asleep = this.model.sleepW;
    const span = Math.max(0, this.#limitW * this.#unit - asleep) * this.#left();
    return asleep + span * share * (1 + this.#noiseW);
  }

  #left(): number {
    return Math.max(0, 1 - this.#gone.lost / this.#gone.of);
  }

  #fullW(): number {
    return this.model.rungs.at(-1)?.powerW ?? this.model.ratedW;
  }

  /** Hashrate at the limit in force, on the line between the model's levels. */
  #fullThs(): number {
    const { rungs } = this.model;
    const upper = rungs.findIndex((rung) => rung.powerW >= this.#limitW);
    const high = rungs[upper] ?? rungs.at(-1);
    const low = rungs[upper - 1] ?? high;
    if (!high || !low) return 0;
    if (high === low) return high.hashrateThs;
    const share = (this.#limitW - low.powerW) / (high.powerW - low.powerW);
    return low.hashrateThs + (high.hashrateThs - low.hashrateThs) * share;
  }
}

function level(value: number): Ramp {
  return { from: value, to: value, startMs: 0, endMs: 0 };
}

function at(ramp: Ramp, nowMs: number): number {
  if (nowMs >= ramp.endMs) return ramp.to;
  if (nowMs <= ramp.startMs) return ramp.from;
  return ramp.from + ((ramp.to - ramp.from) * (nowMs - ramp.startMs)) / (ramp.endMs - ramp.startMs);
}

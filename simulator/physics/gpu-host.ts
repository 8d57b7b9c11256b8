/** Draw of a simulated GPU host: each GPU follows its workload under its cap, fans and supplies follow the GPUs. */
import type { GpuModel } from '../../config/schema/model.ts';
import type { Random } from '../../host/deps.ts';
import type { Load } from '../device.ts';

export type GpuWorkload = 'idle' | 'mine' | 'ai';

export interface GpuHostPowerOptions {
  readonly id: string;
  readonly model: GpuModel;
  readonly random: Random;
  readonly startMs: number;
}

/** A value on its way to a target, first order. */
interface Lag {
  value: number;
  atMs: number;
  target: number;
  tauMs: number;
}

// Loading fills pipelines over tens of seconds; stopping drops within seconds; a cap binds within hundreds of ms.
const RISE_MS: Readonly<Record<GpuWorkload, number>> = { idle: 1_500, mine: 3_000, ai: 8_000 };
const CAP_MS = 300;
const FANS_MS = 6_000;
const NOISE: Readonly<Record<GpuWorkload, number>> = { idle: 0.004, mine: 0.012, ai: 0.03 };
/** After so many time constants a value is at its target to the last digit. */
const SETTLED_TAUS = 40;
/** Periods of the noise, s. */
const WAVES_S = [3.1, 7.7, 31] as const;
/** A GPU under training runs close below its limit. */
const AI_SHARE = 0.93;

/** The electrical side of one GPU host. `powerW` is the plug; `gpuPowerW` what a GPU's own sensor would see. */
export class GpuHostPower implements Load {
  readonly id: string;
  readonly #model: GpuModel;
  readonly #gpus: Lag[];
  readonly #fans: Lag;
  readonly #caps: number[];
  /** Sine and cosine of the phase of each wave of each GPU. */
  readonly #phases: Float64Array;
  readonly #turns = new Float64Array(WAVES_S.length * 2);
  #turnsMs = Number.NaN;
  readonly #idleGpuW: number;
  readonly #hostIdleW: number;
  /** W the host adds for every W of GPU above idle. */
  readonly #follow: number;
  readonly #loadW: Readonly<Record<GpuWorkload, number>>;
  #workload: GpuWorkload = 'idle';
  #nowMs: number;

  constructor({ id, model, random, startMs }: GpuHostPowerOptions) {
    this.id = id;
    this.#model = model;
    this.#nowMs = startMs;
    this.#idleGpuW = Math.min(model.gpuIdleW ?? model.capMaxW * 0.12, (model.idleW / model.gpus) * 0.8);
    this.#hostIdleW = model.idleW - this.#idleGpuW * model.gpus;
    const aiGpuW = Math.min(model.capMaxW * AI_SHARE, (model.aiW - this.#hostIdleW) / model.gpus);
    const aiRiseW = Math.max(1, (aiGpuW - this.#idleGpuW) * model.gpus);
    this.#follow = Math.max(0, (model.aiW - model.idleW) / aiRiseW - 1);
    const mineGpuW = this.#idleGpuW + (model.mineW - model.idleW) / (1 + this.#follow) / model.gpus;
    this.#loadW = { idle: this.#idleGpuW, mine: mineGpuW, ai: aiGpuW };
    const lag = (value: number): Lag => ({ value, atMs: startMs, target: value, tauMs: RISE_MS.idle });
    this.#gpus = Array.from({ length: model.gpus }, () => lag(this.#idleGpuW));
    this.#fans = lag(this.#hostIdleW);
    this.#caps = Array.from({ length: model.gpus }, () => model.capMaxW);
    this.#phases = Float64Array.from(
      Array.from({ length: model.gpus * WAVES_S.length }, () => random.next() * 2 * Math.PI).flatMap(
        (phase) => [Math.sin(phase), Math.cos(phase)],
      ),
    );
  }

  /** What the GPUs compute from `nowMs` on. */
  setWorkload(workload: GpuWorkload, nowMs: number): void {
    if (workload === this.#workload) return;
    this.#advance(nowMs);
    this.#workload = workload;
    for (const index of this.#gpus.keys()) this.#aim(index, RISE_MS[workload]);
  }

  /** Power limit of one GPU from `nowMs` on, W. */
  setCap(index: number, capW: number, nowMs: number): void {
    if (index < 0 || index >= this.#gpus.length) return;
    this.#advance(nowMs);
    this.#caps[index] = Math.min(Math.max(capW, this.#model.capMinW), this.#model.capMaxW);
    this.#aim(index, CAP_MS);
  }

  capW(index: number): number {
    return this.#caps[index] ?? this.#model.capMaxW;
  }

  /** Draw of one GPU with its noise, W. */
  gpuPowerW(index: number, nowMs: number): number {
    const lag = this.#gpus[index];
    if (lag === undefined) return 0;
    const value = valueOf(lag, nowMs);
    return Math.max(0, Math.min(value * (1 + this.#noise(index, nowMs)), this.capW(index) * 1.02));
  }

  powerW(nowMs: number): number {
    this.#advance(nowMs);
    let sumW = 0;
    for (let index = 0; index < this.#gpus.length; index += 1) sumW += this.gpuPowerW(index, this.#nowMs);
    return sumW + valueOf(this.#fans, this.#nowMs);
  }

  #aim(index: number, tauMs: number): void {
    const lag = this.#gpus[index];
    if (lag !== undefined)
      retarget(lag, Math.min(this.#loadW[this.#workload], this.capW(index)), tauMs, this.#nowMs);
    let targetW = 0;
    for (const gpu of this.#gpus) targetW += gpu.target;
    const riseW = targetW - this.#idleGpuW * this.#gpus.length;
    retarget(this.#fans, this.#hostIdleW + this.#follow * riseW, FANS_MS, this.#nowMs);
  }

  #advance(nowMs: number): void {
    if (nowMs > this.#nowMs) this.#nowMs = nowMs;
  }

  /** Smooth in time and the same however often it is asked, so that a seed replays. */
  #noise(index: number, nowMs: number): number {
    this.#turn(nowMs);
    let sum = 0;
    for (let wave = 0; wave < WAVES_S.length; wave += 1) {
      // sin(time + phase), from the sine and cosine of each: every GPU of every host asks at every moment.
      const at = (index * WAVES_S.length + wave) * 2;
      sum +=
        (this.#turns[wave * 2] ?? 0) * (this.#phases[at + 1] ?? 0) +
        (this.#turns[wave * 2 + 1] ?? 0) * (this.#phases[at] ?? 0);
    }
    return (sum / WAVES_S.length) * NOISE[this.#workload];
  }

  /** Where each wave stands at this moment, as sine and cosine. */
  #turn(nowMs: number): void {
    if (nowMs === this.#turnsMs) return;
    this.#turnsMs = nowMs;
    for (let wave = 0; wave < WAVES_S.length; wave += 1) {
      const angle = (nowMs / 1_000 / (WAVES_S[wave] ?? 1)) * 2 * Math.PI;
      this.#turns[wave * 2] = Math.sin(angle);
      this.#turns[wave * 2 + 1] = Math.cos(angle);
    }
  }
}

function valueOf(lag: Lag, nowMs: number): number {
  const dtMs = Math.max(0, nowMs - lag.atMs);
  if (dtMs > SETTLED_TAUS * lag.tauMs) return lag.target;
  return lag.target + (lag.value - lag.target) * Math.exp(-dtMs / lag.tauMs);
}

function retarget(lag: Lag, target: number, tauMs: number, nowMs: number): void {
  lag.value = valueOf(lag, nowMs);
  lag.atMs = nowMs;
  lag.target = target;
  lag.tauMs = tauMs;
}

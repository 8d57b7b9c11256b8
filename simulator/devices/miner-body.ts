/** What a simulated miner is, whatever it speaks: its draw, its sleep, its faults, and what it does at its own time. */
import type { AsicModel } from '../../config/schema/model.ts';
import type { Random } from '../../host/deps.ts';
import type { Answer, HttpAnswer, SimulatedEndpoint } from '../device.ts';
import { AsicPower } from '../physics/asic.ts';
import { BOOT_MS, EPOCH_S, firstPools, noise, SLOW_MS, WAKES_AFTER_MS } from './miner.ts';
import type { MinerAddress, MinerFault, SimulatedMiner, SimulatedPool } from './miner.ts';

export interface MinerOptions {
  readonly id: string;
  readonly model: AsicModel;
  readonly random: Random;
  readonly startMs: number;
  readonly ambientC?: (nowMs: number) => number;
  readonly mode?: 'mine' | 'sleep';
  readonly password: string;
  readonly user?: string;
  /** From question to answer, ms; 5 when absent. */
  readonly answerMs?: number;
}

export abstract class MinerBody implements SimulatedMiner {
  readonly id: string;
  readonly power: AsicPower;
  fault: MinerFault = 'none';
  changes = 0;
  protected readonly random: Random;
  protected readonly password: string;
  /** Where it mines, the first in front. */
  protected mined: readonly SimulatedPool[];
  /** By its own books; a liar draws full power all the same. */
  protected asleep: boolean;
  readonly #answerMs: number;
  #sleptMs: number;
  #startedMs: number;
  #bootedMs: number;
  #bootUntilMs = Number.NEGATIVE_INFINITY;
  #settles = 0;
  #planned: { readonly atMs: number; readonly act: (atMs: number) => void }[] = [];

  constructor(options: MinerOptions) {
    this.id = options.id;
    this.power = new AsicPower(options);
    this.random = options.random;
    this.mined = firstPools(this.id, 1);
    this.password = options.password;
    this.#answerMs = options.answerMs ?? 5;
    this.asleep = options.mode === 'sleep';
    this.#sleptMs = this.#startedMs = this.#bootedMs = options.startMs;
  }

  abstract settings(): Readonly<Record<string, string | number>>;
  abstract endpoints(address: MinerAddress): readonly SimulatedEndpoint[];
  /** Its control board has started anew, at the end of a boot: what it held in memory is gone. */
  protected forget(_nowMs: number): void {}

  powerW(nowMs: number): number {
    this.advance(nowMs);
    return this.power.powerW(nowMs);
  }

  supply(on: boolean, nowMs: number): void {
    this.advance(nowMs);
    this.power.supply(nowMs, on);
    if (!on) return;
    // Where sleep is a state of the running miner alone, it starts as it was shipped to.
    if (this.asleep && this.power.model.keepsSleep !== true) this.wakeUp(nowMs);
    this.#boot(nowMs);
  }

  /** What comes instead of an answer, if anything does; at the same time what was due until now is done. */
  protected streamGate(nowMs: number): Answer | undefined {
    this.advance(nowMs);
    if (this.fault === 'dead' || !this.power.supplied) return { kind: 'silence' };
    if (nowMs < this.#bootUntilMs) return { kind: 'reset' };
    if (this.fault !== 'garbage') return undefined;
    return { kind: 'bytes', bytes: noise(Math.floor(nowMs)), afterMs: this.#answerMs, close: true };
  }

  protected httpGate(nowMs: number): HttpAnswer | undefined {
    const gate = this.streamGate(nowMs);
    if (gate?.kind === 'bytes') return this.page(200, String.fromCodePoint(...gate.bytes));
    return gate && { kind: gate.kind === 'reset' ? 'reset' : 'silence' };
  }

  protected page(status: number, body: string, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
    return {
      kind: 'response',
      status,
      headers: { 'content-type': 'application/json', ...headers },
      body,
      afterMs: this.afterMs,
    };
  }

  protected get afterMs(): number {
    return this.fault === 'slow' ? SLOW_MS : this.#answerMs;
  }

  /** Whether it believes, or says, that it hashes. */
  protected ratesHs(nowMs: number): number {
    return this.asleep && this.fault === 'lies' ? 0 : this.power.hashrate(nowMs);
  }

  /** The draw it reports. */
  protected saysW(nowMs: number): number {
    return this.asleep && this.fault === 'lies'
      ? this.power.model.sleepW
      : Math.round(this.power.powerW(nowMs));
  }

  protected factoryThs(): number {
    return this.power.model.rungs.at(-1)?.hashrateThs ?? 0;
  }

  /** Since its control board has started. */
  protected upS(nowMs: number): number {
    return Math.max(0, Math.floor((nowMs - this.#bootedMs) / 1_000));
  }

  /** Since its miner process has started. */
  protected elapsedS(nowMs: number): number {
    return Math.max(0, Math.floor((nowMs - this.#startedMs) / 1_000));
  }

  protected fallAsleep(nowMs: number): void {
    if (this.fault === 'ignores' || (this.asleep && !this.power.mining)) return;
    this.asleep = true;
    this.#sleptMs = nowMs;
    if (this.fault !== 'lies') this.power.sleep(nowMs);
  }

  protected wakeUp(nowMs: number): void {
    if (this.fault === 'ignores' || !this.asleep) return;
    this.asleep = false;
    this.#startedMs = nowMs;
    this.power.wake(nowMs);
  }

  protected reboot(nowMs: number): void {
    if (this.fault === 'ignores') return;
    this.power.restart(nowMs);
    this.#boot(nowMs);
  }

  protected limit(limitW: number, nowMs: number, { restarts }: { restarts: boolean }): void {
    if (this.fault === 'ignores') return;
    this.power.limit(nowMs, limitW);
    if (restarts) this.power.restart(nowMs);
  }

  /** Comes to a new limit step by step in this time, by itself; a newer one takes its place. */
  protected settle(limitW: number, nowMs: number, { ms, steps }: { ms: number; steps: number }): void {
    const mine = (this.#settles += 1);
    const fromW = this.power.limitW;
    for (let step = 1; step <= steps; step += 1)
      this.plan(nowMs + (ms * step) / steps, (atMs) => {
        if (mine === this.#settles) this.power.limit(atMs, fromW + ((limitW - fromW) * step) / steps);
      });
  }

  /** Does something at a later time, by itself; a power cut makes it forget. */
  protected plan(atMs: number, act: (atMs: number) => void): void {
    this.#planned.push({ atMs, act });
    this.#planned.sort((a, b) => a.atMs - b.atMs);
  }

  /** What was due until now, each at its own time, however late anybody asks. */
  protected advance(nowMs: number): void {
    for (let next = this.#planned[0]; next && next.atMs <= nowMs; next = this.#planned[0]) {
      this.#planned.shift();
      next.act(next.atMs);
    }
    const dueMs = this.#sleptMs + WAKES_AFTER_MS;
    if (this.fault === 'wakes' && this.asleep && nowMs >= dueMs) this.wakeUp(dueMs);
  }

  #boot(nowMs: number): void {
    this.#planned = [];
    this.#startedMs = this.#bootedMs = this.#bootUntilMs = nowMs + BOOT_MS;
    this.forget(nowMs);
  }
}

/** Wall time as devices tell it, s. */
export const whenS = (nowMs: number): number => EPOCH_S + Math.floor(nowMs / 1_000);

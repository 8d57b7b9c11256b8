/**
 * GPU telemetry of one host out of one long-lived `nvidia-smi --loop-ms` channel: the last frame, its age, and a
 * watchdog that reopens a channel which went quiet.
 */
import type { Clock, Random, RemoteHost } from '../../host/deps.ts';
import { asFault } from '../../protocols/faults.ts';
import type { Fault } from '../../protocols/faults.ts';
import { FrameAssembler, loopGpu } from '../../protocols/gpu/nvidia-smi.ts';
import type { Frame } from '../../protocols/gpu/nvidia-smi.ts';

/** Without a finished round for so long, readings are stale. */
export const STALE_MS = 5_000;
/** Without one for so long, the channel is opened anew. */
const REOPEN_MS = 15_000;
const BACKOFF_MIN_MS = 1_000;
const BACKOFF_MAX_MS = 60_000;

export interface StampedFrame {
  readonly frame: Frame;
  readonly monoMs: number;
  readonly wallMs: number;
}

export interface TelemetryParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly host: RemoteHost;
  readonly fields: readonly string[];
  readonly sampleMs: number;
  /** GPUs the host's inventory lists. */
  readonly expected: number | undefined;
}

/** Runs until `close`. `latest` is the newest finished round; one that lacks a lost GPU counts, or the others would be lost with it. */
export class GpuTelemetry {
  readonly #parts: TelemetryParts;
  #assembler: FrameAssembler;
  #channel: { close(): void } | undefined;
  #cancel: () => void = () => {};
  #closed = false;
  #tries = 0;
  #waiting: (() => void)[] = [];
  latest: StampedFrame | undefined;
  /** Why the channel ended last. */
  fault: Fault | undefined;
  reopened = 0;

  constructor(parts: TelemetryParts) {
    this.#parts = parts;
    this.#assembler = new FrameAssembler(parts.fields, parts.expected);
    this.#open();
  }

  /** Resolves when there is a frame, or after `timeoutMs`. */
  async first(timeoutMs: number): Promise<void> {
    if (this.latest !== undefined || this.#closed) return;
    let cancel = (): void => {};
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      cancel = this.#parts.clock.after(timeoutMs, resolve);
    });
    cancel();
  }

  /** Age of the newest frame, ms; Infinity when there was none. */
  ageMs(): number {
    return this.latest === undefined ? Infinity : this.#parts.clock.monoMs() - this.latest.monoMs;
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
    this.#drop();
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #open(): void {
    if (this.#closed) return;
    this.#assembler = new FrameAssembler(this.#parts.fields, this.#parts.expected);
    this.#watch();
    try {
      const channel = this.#parts.host.stream(loopGpu(this.#parts.fields, this.#parts.sampleMs), {
        onLine: (line) => this.#line(line),
        onClose: (fault) => {
          if (channel !== this.#channel) return;
          this.fault = asFault(fault, 'REMOTE_FAILED');
          this.#reopenLater();
        },
      });
      this.#channel = channel;
    } catch (error) {
      this.fault = asFault(error, 'SSH_FAILED');
      this.#reopenLater();
    }
  }

  #line(line: string): void {
    const frame = this.#assembler.push(line);
    if (frame === undefined) return;
    const { clock } = this.#parts;
    this.latest = { frame, monoMs: clock.monoMs(), wallMs: clock.wallMs() };
    for (const wake of this.#waiting.splice(0)) wake();
    this.#tries = 0;
    this.#watch();
  }

  #watch(): void {
    this.#cancel();
    this.#cancel = this.#parts.clock.after(REOPEN_MS, () => this.#reopenLater());
  }

  #reopenLater(): void {
    if (this.#closed) return;
    this.#drop();
    this.#cancel();
    const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#tries);
    this.#tries = Math.min(this.#tries + 1, 10);
    this.reopened += 1;
    this.#cancel = this.#parts.clock.after(backoffMs * (0.5 + this.#parts.random.next()), () => this.#open());
  }

  #drop(): void {
    const channel = this.#channel;
    this.#channel = undefined;
    channel?.close();
  }
}

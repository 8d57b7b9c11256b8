import type { Clock } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';

/** Some firmwares lock an account out after a few wrong passwords, and every login costs a small processor its while. */
const PAUSE_MS = 300_000;

/** Keeps a login that was refused from being tried with every reading: once, and again after a while. */
export class LoginPause {
  readonly #clock: Clock;
  #refused: { readonly said: string; readonly untilMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Logs in unless that was refused a short while ago. Rejects as `login`, and with AUTH_FAILED that says when it is tried again. */
  async login<T>(login: () => Promise<T>): Promise<T> {
    const leftMs = (this.#refused?.untilMs ?? 0) - this.#clock.monoMs();
    if (this.#refused && leftMs > 0)
      throw new Fault(
        'AUTH_FAILED',
        `${this.#refused.said}; the same login is tried again in ${Math.ceil(leftMs / 1_000)} s`,
      );
    this.#refused = undefined;
    try {
      return await login();
    } catch (error) {
      const fault = asFault(error);
      if (fault.code === 'AUTH_FAILED')
        this.#refused = { said: fault.detail, untilMs: this.#clock.monoMs() + PAUSE_MS };
      throw error;
    }
  }
}

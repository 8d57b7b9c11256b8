import type { Clock } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';

/** Some firmwares lock an account out after a few wrong passwords, and every login costs a small processor its while. */
const PAUSE_MS = 300_000;
/** Answered, and neither let in nor clearly refused: a device that starts does so, and one that words a refusal in its own way. */
const UNCLEAR: readonly FaultCode[] = ['ANSWER_GARBAGE', 'VERB_REFUSED', 'VERB_UNSUPPORTED'];
/** The pause after the first such answer; with each further one twice as long. */
const UNCLEAR_MS = 10_000;

/** Keeps a login that came to nothing from being tried with every reading: once, and again after a while. */
export class LoginPause {
  readonly #clock: Clock;
  readonly #unclear: readonly FaultCode[];
  #failed: { readonly fault: Fault; readonly untilMs: number } | undefined;
  #unclearMs = UNCLEAR_MS;

  /** `isCommand`: what is sent is a command with the password in it, and may be refused for itself. */
  constructor(clock: Clock, { isCommand = false }: { readonly isCommand?: boolean } = {}) {
    this.#clock = clock;
    this.#unclear = isCommand ? [] : UNCLEAR;
  }

  /** Logs in unless that failed a short while ago. Rejects as `login`; with a Fault of before that says when it is tried again. */
  async login<T>(login: () => Promise<T>): Promise<T> {
    const leftMs = (this.#failed?.untilMs ?? 0) - this.#clock.monoMs();
    if (this.#failed && leftMs > 0) {
      const { code, detail } = this.#failed.fault;
      throw new Fault(code, `${detail}; the same login is tried again in ${Math.ceil(leftMs / 1_000)} s`);
    }
    this.#failed = undefined;
    try {
      const token = await login();
      this.#unclearMs = UNCLEAR_MS;
      return token;
    } catch (error) {
      const fault = asFault(error);
      const pauseMs = this.#pauseMs(fault.code);
      if (pauseMs > 0) this.#failed = { fault, untilMs: this.#clock.monoMs() + pauseMs };
      throw error;
    }
  }

  #pauseMs(code: FaultCode): number {
    if (code === 'AUTH_FAILED') return PAUSE_MS;
    if (!this.#unclear.includes(code)) return 0;
    const pauseMs = this.#unclearMs;
    this.#unclearMs = Math.min(2 * pauseMs, PAUSE_MS);
    return pauseMs;
  }
}

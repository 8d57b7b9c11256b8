import type { Clock } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { Deadline } from './ask-cgminer.ts';
import { LoginPause } from './login-pause.ts';

/** After so many logins in a row whose tokens were refused at once it is the page that lets nobody in: one more a minute. */
const MOST_IN_VAIN = 3;
const IN_VAIN_MS = 60_000;

/** The token of one device: fetched when it is first needed, and once more when the device refuses the one it gave before. */
export class TokenLogin {
  readonly #clock: Clock;
  readonly #pause: LoginPause;
  readonly #logIn: (deadline: Deadline) => Promise<string>;
  #token: string | undefined;
  /** Shared by all who wait for it: on many devices the next login ends the token of the one before. */
  #underWay: Promise<string> | undefined;
  #inVain = 0;
  #inVainMs = 0;

  /** `logIn` rejects with AUTH_FAILED when the device refuses the password. */
  constructor(clock: Clock, logIn: (deadline: Deadline) => Promise<string>) {
    this.#clock = clock;
    this.#pause = new LoginPause(clock);
    this.#logIn = logIn;
  }

  /** There is a token to send with. */
  get isIn(): boolean {
    return this.#token !== undefined;
  }

  /** Sends with a token; again only when one of before was refused (AUTH_FAILED). Rejects as `send` and the login do. */
  async use<T>(deadline: Deadline, send: (token: string) => Promise<T>): Promise<T> {
    const kept = this.#token;
    if (kept !== undefined)
      try {
        return await send(kept);
      } catch (error) {
        const inVain = this.#inVain >= MOST_IN_VAIN && this.#clock.monoMs() - this.#inVainMs < IN_VAIN_MS;
        // Another exchange may have logged in meanwhile: its token stays.
        const isNewest = this.#token === kept;
        if (asFault(error).code !== 'AUTH_FAILED' || (isNewest && inVain)) throw error;
        if (isNewest) this.#token = undefined;
      }
    const token = this.#token ?? (await this.#fresh(deadline));
    try {
      const answer = await send(token);
      this.#inVain = 0;
      return answer;
    } catch (error) {
      if (asFault(error).code === 'AUTH_FAILED') {
        this.#inVain += 1;
        this.#inVainMs = this.#clock.monoMs();
      }
      throw error;
    }
  }

  #fresh(deadline: Deadline): Promise<string> {
    this.#underWay ??= this.#pause
      .login(() => this.#logIn(deadline))
      .then((token) => (this.#token = token))
      .finally(() => {
        this.#underWay = undefined;
      });
    return this.#underWay;
  }
}

/** A token as a device gives it; undefined when it is none that a header can carry. */
export const tokenIn = (value: unknown): string | undefined =>
  typeof value === 'string' && /^[\x21-\x7e]{1,4096}$/.test(value) ? value : undefined;

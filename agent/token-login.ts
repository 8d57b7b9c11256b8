import type { Clock } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { Deadline } from './ask-cgminer.ts';
import { LoginPause } from './login-pause.ts';

/** The token of one device: fetched when it is first needed, and once more when the device refuses the one it gave before. */
export class TokenLogin {
  readonly #pause: LoginPause;
  readonly #logIn: (deadline: Deadline) => Promise<string>;
  #token: string | undefined;
  /** Shared by all who wait for it: on many devices the next login ends the token of the one before. */
  #underWay: Promise<string> | undefined;

  /** `logIn` rejects with AUTH_FAILED when the device refuses the password. */
  constructor(clock: Clock, logIn: (deadline: Deadline) => Promise<string>) {
    this.#pause = new LoginPause(clock);
    this.#logIn = logIn;
  }

  /** Sends with a token; again only when one of before was refused (AUTH_FAILED). Rejects as `send` and the login do. */
  async use<T>(deadline: Deadline, send: (token: string) => Promise<T>): Promise<T> {
    const kept = this.#token;
    const token = kept ?? (await this.#fresh(deadline));
    try {
      return await send(token);
    } catch (error) {
      if (asFault(error).code !== 'AUTH_FAILED') throw error;
      // Another exchange may have logged in meanwhile: its token stays.
      if (this.#token === token) this.#token = undefined;
      if (kept === undefined) throw error;
      return send(this.#token ?? (await this.#fresh(deadline)));
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

import type { Json } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Deadline } from '../ask-cgminer.ts';
import { askJson } from '../ask-json.ts';
import type { JsonPage } from '../ask-json.ts';
import type { DeviceIo } from '../driver.ts';
import { partOf, wordOf } from '../miner-readings.ts';
import { tokenIn, TokenLogin } from '../token-login.ts';

/** The REST API of one machine: pages that are open to everybody, and what only a password unlocks. */
export class VnishSession {
  readonly #io: DeviceIo;
  readonly #base: string;
  readonly #password: string | undefined;
  readonly #login: TokenLogin;
  /** It refused an open page without a token: some builds show none to strangers. */
  #isGuarded = false;

  constructor(io: DeviceIo, origin: string, password: string | undefined) {
    this.#io = io;
    this.#base = `${origin}/api/v1`;
    this.#password = password;
    this.#login = new TokenLogin(io.clock, (deadline) => this.#unlock(deadline));
  }

  /** A page that most builds show to everybody. Rejects as `askJson`. */
  async getOpen(path: string, deadline: Deadline): Promise<JsonPage> {
    if (!this.#isGuarded)
      try {
        return await this.#send('GET', path, deadline, { token: undefined });
      } catch (error) {
        if (asFault(error).code !== 'AUTH_FAILED' || this.#password === undefined) throw error;
        this.#isGuarded = true;
      }
    return this.get(path, deadline);
  }

  /** A page behind the password. Rejects as `askJson`. */
  get(path: string, deadline: Deadline): Promise<JsonPage> {
    return this.#login.use(deadline, (token) => this.#send('GET', path, deadline, { token }));
  }

  /** A command; its answer may be empty. Goes out again only when it was refused for an old token. Rejects as `askJson`. */
  async post(path: string, deadline: Deadline, body?: Json): Promise<Json | undefined> {
    const { value } = await this.#login.use(deadline, (token) =>
      this.#send('POST', path, deadline, { token, body }),
    );
    // What went wrong inside may come with a status of success.
    const said = wordOf(partOf(value, 'err'));
    if (said !== '') throw new Fault('VERB_REFUSED', `${path}: ${said}`);
    return value;
  }

  #send(
    method: 'GET' | 'POST',
    path: string,
    deadline: Deadline,
    { token, body }: { readonly token: string | undefined; readonly body?: Json | undefined },
  ): Promise<JsonPage> {
    return askJson(
      this.#io,
      {
        method,
        url: `${this.#base}/${path}`,
        ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
        ...(body !== undefined && { body }),
      },
      deadline,
    );
  }

  async #unlock(deadline: Deadline): Promise<string> {
    if (this.#password === undefined)
      throw new Fault('AUTH_FAILED', `${this.#base}: no password is given, and this needs one`);
    const url = `${this.#base}/unlock`;
    const body = { pw: this.#password };
    const asked = { method: 'POST', url, body, secret: true } as const;
    const { value } = await askJson(this.#io, asked, deadline).catch((error: unknown) => {
      const fault = asFault(error);
      // It is not busy: it counts unlocks, and asked again at once it goes on refusing.
      const isTooMany = fault.code === 'QUEUE_FULL' && fault.detail.includes('HTTP 429');
      throw isTooMany ? new Fault('VERB_REFUSED', `${url}: too many unlocks (HTTP 429)`) : error;
    });
    const token = tokenIn(partOf(value, 'token'));
    if (token === undefined) throw new Fault('ANSWER_GARBAGE', `${url}: no token in the answer`);
    return token;
  }
}

import type { Json } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Deadline } from '../ask-cgminer.ts';
import { askJson } from '../ask-json.ts';
import type { JsonPage } from '../ask-json.ts';
import type { DeviceIo } from '../driver.ts';
import { LoginPause } from '../login-pause.ts';
import { partOf } from '../miner-readings.ts';

/** What is given for logging in: a name and a password, or a token that the device has issued before. */
export type BraiinsAccess =
  | { readonly kind: 'login'; readonly username: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string };

/** The REST API of one machine. Every page needs a token, also to read; it is renewed when it is refused. */
export class BraiinsSession {
  readonly #io: DeviceIo;
  readonly #base: string;
  readonly #access: BraiinsAccess | undefined;
  readonly #pause: LoginPause;
  #token: string | undefined;

  constructor(io: DeviceIo, base: string, access: BraiinsAccess | undefined) {
    this.#io = io;
    this.#base = base;
    this.#access = access;
    this.#pause = new LoginPause(io.clock);
  }

  /** A page. Rejects as `askJson`. */
  get(path: string, deadline: Deadline): Promise<JsonPage> {
    return this.#ask('GET', path, undefined, deadline);
  }

  /** A change, which goes out again only when it was refused for an old token. Rejects as `askJson`. */
  async put(path: string, body: Json | undefined, deadline: Deadline): Promise<void> {
    await this.#ask('PUT', path, body, deadline);
  }

  async #ask(
    method: 'GET' | 'PUT',
    path: string,
    body: Json | undefined,
    deadline: Deadline,
  ): Promise<JsonPage> {
    const kept = this.#token;
    const token = kept ?? (await this.#login(deadline));
    try {
      return await this.#send(method, path, body, token, deadline);
    } catch (error) {
      if (asFault(error).code !== 'AUTH_FAILED') throw error;
      // Another exchange may have logged in meanwhile: its token stays.
      if (this.#token === token) this.#token = undefined;
      // One that was issued before stays what it is, asked for again.
      if (kept === undefined || this.#access?.kind === 'token') throw error;
      return this.#send(method, path, body, this.#token ?? (await this.#login(deadline)), deadline);
    }
  }

  #send(
    method: 'GET' | 'PUT',
    path: string,
    body: Json | undefined,
    token: string,
    deadline: Deadline,
  ): Promise<JsonPage> {
    // The token alone, without a word before it.
    const headers = { authorization: token };
    return askJson(
      this.#io,
      {
        method,
        url: `${this.#base}/api/v1/${path}`,
        headers,
        ...(body !== undefined && { body }),
        // A refusal may repeat what it refuses, and pools come with passwords.
        secret: path === 'pools/batch',
      },
      deadline,
    );
  }

  async #login(deadline: Deadline): Promise<string> {
    const access = this.#access;
    if (!access)
      throw new Fault('AUTH_FAILED', `${this.#base}: no password is given, and reading needs one too`);
    if (access.kind === 'token') return (this.#token = access.token);
    return this.#pause.login(() => this.#loginBy(access, deadline));
  }

  async #loginBy(
    { username, password }: Extract<BraiinsAccess, { kind: 'login' }>,
    deadline: Deadline,
  ): Promise<string> {
    const { value } = await askJson(
      this.#io,
      {
        method: 'POST',
        url: `${this.#base}/api/v1/auth/login`,
        body: { username, password },
        secret: true,
      },
      deadline,
    );
    const token = partOf(value, 'token');
    if (typeof token !== 'string' || token === '' || token.length > 4_096)
      throw new Fault('ANSWER_GARBAGE', `${this.#base}: a login without a token`);
    return (this.#token = token);
  }
}

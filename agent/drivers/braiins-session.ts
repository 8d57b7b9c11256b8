import type { Json } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Deadline } from '../ask-cgminer.ts';
import { askJson } from '../ask-json.ts';
import type { JsonPage } from '../ask-json.ts';
import type { DeviceIo } from '../driver.ts';
import { partOf } from '../miner-readings.ts';
import { tokenIn, TokenLogin } from '../token-login.ts';

/** What is given for logging in: a name and a password, or a token that the device has issued before. */
export type BraiinsAccess =
  | { readonly kind: 'login'; readonly username: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string };

/** The REST API of one machine. Every page needs a token, also to read; it is renewed when it is refused. */
export class BraiinsSession {
  readonly #io: DeviceIo;
  readonly #base: string;
  readonly #access: BraiinsAccess | undefined;
  readonly #login: TokenLogin;

  constructor(io: DeviceIo, base: string, access: BraiinsAccess | undefined) {
    this.#io = io;
    this.#base = base;
    this.#access = access;
    this.#login = new TokenLogin(io.clock, (deadline) => this.#token(deadline));
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
    const send = (token: string): Promise<JsonPage> => this.#send(method, path, body, token, deadline);
    switch (this.#access?.kind) {
      case 'login':
        return this.#login.use(deadline, send);
      case 'token':
        // Issued before, it stays what it is, asked for again.
        return send(this.#access.token);
      case undefined:
        throw new Fault('AUTH_FAILED', `${this.#base}: no password is given, and reading needs one too`);
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

  async #token(deadline: Deadline): Promise<string> {
    if (this.#access?.kind !== 'login') throw new Fault('AUTH_FAILED', `${this.#base}: no password is given`);
    const { username, password } = this.#access;
    const url = `${this.#base}/api/v1/auth/login`;
    const body = { username, password };
    const { value } = await askJson(this.#io, { method: 'POST', url, body, secret: true }, deadline);
    const token = tokenIn(partOf(value, 'token'));
    if (token === undefined) throw new Fault('ANSWER_GARBAGE', `${this.#base}: a login without a token`);
    return token;
  }
}

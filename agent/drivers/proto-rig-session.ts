import type { Json } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import type { Deadline } from '../ask-cgminer.ts';
import { askJson } from '../ask-json.ts';
import type { JsonPage } from '../ask-json.ts';
import type { DeviceIo } from '../driver.ts';
import { partOf } from '../miner-readings.ts';
import { tokenIn, TokenLogin } from '../token-login.ts';

type Method = 'GET' | 'POST' | 'PUT';

/** The rig answered, with no new token. */
const ANSWERED: readonly FaultCode[] = ['AUTH_FAILED', 'VERB_REFUSED', 'VERB_UNSUPPORTED', 'ANSWER_GARBAGE'];

/** The MDK-API of one rig. Its access token ends soon; the refresh token it came with gets a new one without the password. */
export class ProtoRigSession {
  readonly #io: DeviceIo;
  readonly #base: string;
  readonly #password: string | undefined;
  readonly #login: TokenLogin;
  #refreshToken: string | undefined;

  constructor(io: DeviceIo, origin: string, password: string | undefined) {
    this.#io = io;
    this.#base = `${origin}/api/v1`;
    this.#password = password;
    this.#login = new TokenLogin(io.clock, (deadline) => this.#token(deadline));
  }

  /** A page that is shown to everybody. Rejects as `askJson`. */
  getOpen(path: string, deadline: Deadline): Promise<JsonPage> {
    return askJson(this.#io, { method: 'GET', url: `${this.#base}/${path}` }, deadline);
  }

  /** Rejects as `askJson`; goes out again only when it was refused for an old token. `secret`: as there. */
  ask(
    method: Method,
    path: string,
    deadline: Deadline,
    { body, secret = false }: { readonly body?: Json; readonly secret?: boolean } = {},
  ): Promise<JsonPage> {
    return this.#login.use(deadline, (token) =>
      askJson(
        this.#io,
        {
          method,
          url: `${this.#base}/${path}`,
          headers: { authorization: `Bearer ${token}` },
          ...(body !== undefined && { body }),
          secret,
        },
        deadline,
      ),
    );
  }

  async #token(deadline: Deadline): Promise<string> {
    const refreshToken = this.#refreshToken;
    if (refreshToken !== undefined)
      try {
        return await this.#post('refresh', { refresh_token: refreshToken }, deadline);
      } catch (error) {
        // Whoever logs in after us ends our tokens, and so does a restart. Whatever it answers, there is the password.
        if (!ANSWERED.includes(asFault(error).code)) throw error;
        this.#refreshToken = undefined;
      }
    if (this.#password === undefined)
      throw new Fault('AUTH_FAILED', `${this.#base}: no password is given, and reading needs one too`);
    return this.#post('login', { password: this.#password }, deadline);
  }

  async #post(word: 'login' | 'refresh', body: Json, deadline: Deadline): Promise<string> {
    const url = `${this.#base}/auth/${word}`;
    const { value } = await askJson(this.#io, { method: 'POST', url, body, secret: true }, deadline);
    const token = tokenIn(partOf(value, 'access_token'));
    if (token === undefined) throw new Fault('ANSWER_GARBAGE', `${url}: no token in the answer`);
    this.#refreshToken = tokenIn(partOf(value, 'refresh_token')) ?? this.#refreshToken;
    return token;
  }
}

import { statusOf, isObject } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Deadline } from '../ask-cgminer.ts';
import { askJson } from '../ask-json.ts';
import type { DeviceIo } from '../driver.ts';
import { sectionValue } from '../miner-readings.ts';
import { tokenIn, TokenLogin } from '../token-login.ts';

/** A page whose own status is one of success. */
interface Told {
  readonly value: JsonObject;
  readonly atMs: number;
}

/** The pages of one machine with FluxOS: each wants a token, and says in words of cgminer what became of the request. */
export class AuradineSession {
  readonly #io: DeviceIo;
  readonly #origin: string;
  readonly #user: string;
  readonly #password: string | undefined;
  readonly #login: TokenLogin;

  constructor(io: DeviceIo, origin: string, access: { user: string; password: string | undefined }) {
    this.#io = io;
    this.#origin = origin;
    this.#user = access.user;
    this.#password = access.password;
    this.#login = new TokenLogin(io.clock, (deadline) => this.#token(deadline));
  }

  /** What a command shows. Rejects as `askJson`; VERB_UNSUPPORTED when its own status is an error. */
  get(command: string, deadline: Deadline): Promise<Told> {
    return this.#login.use(deadline, async (token) => {
      const url = `${this.#origin}/${command}`;
      return toldBy(await askJson(this.#io, { method: 'GET', url, headers: { token } }, deadline), {
        url,
        refusal: 'VERB_UNSUPPORTED',
      });
    });
  }

  /** A change, which goes out again only when it was refused for an old token. `secret`: no message quotes the answer. VERB_REFUSED when its own status is an error. */
  async post(
    command: string,
    words: JsonObject,
    deadline: Deadline,
    { secret = false }: { readonly secret?: boolean } = {},
  ): Promise<void> {
    await this.#login.use(deadline, async (token) => {
      const url = `${this.#origin}/${command}`;
      const body: Json = { command, ...words };
      const request = { method: 'POST', url, headers: { token }, body, secret } as const;
      return toldBy(await askJson(this.#io, request, deadline), { url, refusal: 'VERB_REFUSED', secret });
    });
  }

  async #token(deadline: Deadline): Promise<string> {
    if (this.#password === undefined)
      throw new Fault('AUTH_FAILED', `${this.#origin}: no password is given, and these pages need one`);
    const url = `${this.#origin}/token`;
    const body = { command: 'token', user: this.#user, password: this.#password };
    const { value } = await askJson(this.#io, { method: 'POST', url, body, secret: true }, deadline);
    const token = tokenIn(sectionValue(value, 'Token', 'Token'));
    if (token !== undefined) return token;
    const status = isObject(value) ? statusOf(value) : undefined;
    if (status?.level === 'E') throw new Fault('AUTH_FAILED', `${url}: the login is refused`);
    throw new Fault('ANSWER_GARBAGE', `${url}: a login without a token`);
  }
}

/** A page without a word of success is not taken as one. */
function toldBy(
  { value, atMs }: { readonly value: Json | undefined; readonly atMs: number },
  { url, refusal, secret }: { url: string; refusal: 'VERB_REFUSED' | 'VERB_UNSUPPORTED'; secret?: boolean },
): Told {
  const status = isObject(value) ? statusOf(value) : undefined;
  if (!isObject(value) || status === undefined) throw new Fault('ANSWER_GARBAGE', `${url}: says no status`);
  const { level, message } = status;
  if (level === 'S' || level === 'I') return { value, atMs };
  const said = secret === true ? url : `${url}: ${message.slice(0, 100)}`;
  // An old token comes as HTTP 401, or as such words.
  if (/token|session|expired|unauthori[sz]ed/i.test(message)) throw new Fault('AUTH_FAILED', said);
  throw new Fault(refusal, said);
}

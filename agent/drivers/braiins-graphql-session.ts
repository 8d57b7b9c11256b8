import { field, isList, isObject } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Deadline } from '../ask-cgminer.ts';
import { askJson } from '../ask-json.ts';
import type { JsonPage } from '../ask-json.ts';
import type { DeviceIo } from '../driver.ts';
import { partOf, wordOf } from '../miner-readings.ts';
import { tokenIn, TokenLogin } from '../token-login.ts';

const LOGIN =
  'mutation($username:String!,$password:String!){auth{login(username:$username,password:$password){__typename}}}';

export interface GraphqlAccess {
  readonly username: string;
  readonly password: string;
}

interface GraphqlRequest {
  readonly query: string;
  readonly variables?: JsonObject;
  /** The device may go away instead of answering: that is an answer too. */
  readonly goes?: boolean;
}

/** What a query came to. `stopped`: it says that the mining service, which must tell the rest, does not run. */
export interface GraphqlAnswer {
  readonly data: JsonObject;
  readonly stopped: boolean;
  /** It went away instead. */
  readonly gone?: boolean;
  readonly atMs: number;
}

/** GraphQL of one machine: queries as anybody, until they are refused; what changes something in a session. */
export class GraphqlSession {
  readonly #io: DeviceIo;
  readonly #url: string;
  readonly #access: GraphqlAccess | undefined;
  readonly #login: TokenLogin;

  constructor(io: DeviceIo, origin: string, access: GraphqlAccess | undefined) {
    this.#io = io;
    this.#url = `${origin}/graphql`;
    this.#access = access;
    this.#login = new TokenLogin(io.clock, (deadline) => this.#cookie(deadline));
  }

  /** Rejects as `askJson`; VERB_UNSUPPORTED when the firmware does not know what is asked for. */
  async query(query: string, deadline: Deadline): Promise<GraphqlAnswer> {
    if (!this.#login.isIn)
      try {
        return await this.#send({ query }, undefined, deadline);
      } catch (error) {
        if (asFault(error).code !== 'AUTH_FAILED') throw error;
      }
    return this.#login.use(deadline, (cookie) => this.#send({ query }, cookie, deadline));
  }

  /**
   * What the change at `path` came to, as the device tells it. Rejects as `query`; VERB_REFUSED with the device's own
   * words, ANSWER_GARBAGE without a word of success, QUEUE_FULL while its
   * mining service is not there for it. It goes out again only when it was refused for an old session.
   */
  async change(path: readonly string[], request: GraphqlRequest, deadline: Deadline): Promise<void> {
    const { data, stopped, gone } = await this.#login.use(deadline, (cookie) =>
      this.#send(request, cookie, deadline),
    );
    if (gone === true) return;
    const outcome = partOf(data, ...path);
    const kind = wordOf(partOf(outcome, '__typename'));
    const said = wordOf(partOf(outcome, 'message'));
    const name = path.at(-1) ?? '';
    if (said !== '' || kind.endsWith('Error')) throw new Fault('VERB_REFUSED', `${name}: ${kind} ${said}`);
    if (stopped) throw new Fault('QUEUE_FULL', `${name}: its mining service is unavailable`);
    if (!isObject(outcome) || kind === '')
      throw new Fault('ANSWER_GARBAGE', `${name}: the answer says nothing of it`);
  }

  async #send(
    { query, variables, goes }: GraphqlRequest,
    cookie: string | undefined,
    deadline: Deadline,
  ): Promise<GraphqlAnswer> {
    const body = { query, ...(variables && { variables }) };
    try {
      return answerOf(await this.#post(body, cookie, deadline, false), this.#url);
    } catch (error) {
      if (goes !== true || asFault(error).code !== 'NET_RESET') throw error;
      return { data: {}, stopped: false, gone: true, atMs: this.#io.clock.wallMs() };
    }
  }

  #post(body: Json, cookie: string | undefined, deadline: Deadline, secret: boolean): Promise<JsonPage> {
    const headers = cookie === undefined ? {} : { cookie: `session_id=${cookie}` };
    return askJson(this.#io, { method: 'POST', url: this.#url, headers, body, secret }, deadline);
  }

  async #cookie(deadline: Deadline): Promise<string> {
    const access = this.#access;
    if (!access) throw new Fault('AUTH_FAILED', `${this.#url}: no password is given`);
    const { username, password } = access;
    const body = { query: LOGIN, variables: { username, password } };
    const { value, headers } = await this.#post(body, undefined, deadline, true);
    const cookie = /(?:^|[;,]\s*)session_id=([^;,\s]{1,4096})/.exec(headers['set-cookie'] ?? '')?.[1];
    const kind = wordOf(partOf(value, 'data', 'auth', 'login', '__typename'));
    // Only a login that was understood and refused is one: what else went wrong may pass by itself.
    if (kind.endsWith('Error') || isRefusal(errorsOf(value)))
      throw new Fault('AUTH_FAILED', `${this.#url}: the login of ${username} is refused`);
    const session = tokenIn(cookie);
    if (session === undefined || kind === '')
      throw new Fault('ANSWER_GARBAGE', `${this.#url}: a login without a session`);
    return session;
  }
}

const errorsOf = (value: Json | undefined): readonly JsonObject[] => {
  const errors = partOf(value, 'errors');
  return (isList(errors) ? errors : []).filter(isObject).slice(0, 16);
};
/** The words of an error, and the code that may stand beside them. */
const wordsOf = (error: JsonObject): string =>
  `${wordOf(field(error, 'message'))} ${wordOf(partOf(error, 'extensions', 'code'))}`.trim();
const isRefusal = (errors: readonly JsonObject[]): boolean =>
  errors.some((error) => /unauthori[sz]ed|unauthenticated|forbidden/iu.test(wordsOf(error)));

function answerOf({ value, atMs }: JsonPage, url: string): GraphqlAnswer {
  const errors = errorsOf(value);
  const said = errors.map(wordsOf).join('; ').slice(0, 100);
  if (isRefusal(errors)) throw new Fault('AUTH_FAILED', `${url}: ${said}`);
  const stopped = errors.some((error) => /unavailable/iu.test(wordsOf(error)));
  const data = partOf(value, 'data');
  if (isObject(data)) return { data, stopped, atMs };
  if (stopped) return { data: {}, stopped, atMs };
  if (errors.length > 0)
    throw new Fault(/unknown|cannot query/iu.test(said) ? 'VERB_UNSUPPORTED' : 'VERB_REFUSED', said);
  throw new Fault('ANSWER_GARBAGE', `${url}: neither data nor errors`);
}

import { digestHeader, makeCnonce, parseChallenge } from '../../protocols/asic/digest.ts';
import type { DigestChallenge } from '../../protocols/asic/digest.ts';
import { parseCgminer } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import type { HttpResponse } from '../../host/deps.ts';
import type { Deadline } from '../ask-cgminer.ts';
import type { DeviceIo } from '../driver.ts';
import { LoginPause } from '../login-pause.ts';

const BODY_MAX_BYTES = 256 * 1024;

interface Asking {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  readonly isAlone?: boolean;
}

/** The CGI pages of a stock Antminer behind HTTP digest. The nonce is kept, so that a request costs one round trip. */
export class AntminerWeb {
  readonly #io: DeviceIo;
  readonly #base: string;
  readonly #user: string;
  readonly #password: string;
  /** Every request bears the password. */
  readonly #login: LoginPause;
  #challenge: DigestChallenge | undefined;
  #count = 0;

  constructor(io: DeviceIo, options: { base: string; user: string; password: string }) {
    this.#io = io;
    this.#base = options.base;
    this.#user = options.user;
    this.#password = options.password;
    this.#login = new LoginPause(io.clock, { isCommand: true });
  }

  /** A page as a JSON object. Rejects with a Fault: NET_*, AUTH_FAILED, VERB_UNSUPPORTED, QUEUE_FULL, ANSWER_*. */
  async json(path: string, deadline: Deadline): Promise<JsonObject> {
    return parsed(path, await this.#request({ method: 'GET', path }, deadline));
  }

  /**
   * A change, sent once that can take effect. Rejects as `json`: an answer that cannot be read does not say whether the
   * change was made.
   */
  async post(path: string, body: string, deadline: Deadline): Promise<JsonObject> {
    return parsed(path, await this.#post(path, body, deadline));
  }

  /**
   * Opens a page that is a deed, as the vendor's own page does: by GET, or by POST on firmware that takes nothing else
   * (HTTP 405). Only the status counts: what it says is not read. Rejects as `json`.
   */
  async tell(path: string, deadline: Deadline): Promise<void> {
    const { status } = await this.#request({ method: 'GET', path, isAlone: true }, deadline, [200, 405]);
    if (status === 405) await this.#request({ method: 'POST', path, body: '{}' }, deadline);
  }

  async #post(path: string, body: string, deadline: Deadline): Promise<HttpResponse> {
    // The challenge is fetched by a harmless page: a change must not go out before it can be authorised.
    if (!this.#challenge)
      await this.#request({ method: 'GET', path: '/cgi-bin/get_system_info.cgi' }, deadline);
    return this.#request({ method: 'POST', path, body }, deadline);
  }

  async #request(asking: Asking, deadline: Deadline, fine: readonly number[] = [200]): Promise<HttpResponse> {
    const { path } = asking;
    const response = await this.#login.login(() => this.#letIn(asking, deadline));
    if (response.status === 401)
      throw new Fault('AUTH_FAILED', `${this.#base}: no digest authentication is offered`);
    if (response.status === 403) throw new Fault('AUTH_FAILED', `${this.#base}${path}: forbidden`);
    if (response.status === 404) throw new Fault('VERB_UNSUPPORTED', `${this.#base}${path}: no such page`);
    if (response.status === 429 || response.status === 503)
      throw new Fault('QUEUE_FULL', `${this.#base}${path}: HTTP ${response.status}`);
    if (!fine.includes(response.status))
      throw new Fault('ANSWER_GARBAGE', `${this.#base}${path}: HTTP ${response.status}`);
    return response;
  }

  /** Rejects with AUTH_FAILED when the password is refused; a 401 without a challenge is an answer, as all others. */
  async #letIn(asking: Asking, deadline: Deadline): Promise<HttpResponse> {
    const first = await this.#send(asking, deadline);
    if (first.status !== 401) return first;
    this.#challenge = parseChallenge(first.headers['www-authenticate']);
    this.#count = 0;
    if (!this.#challenge) return first;
    const response = await this.#send(asking, deadline);
    if (response.status !== 401) return response;
    this.#challenge = undefined;
    if (parseChallenge(response.headers['www-authenticate'])?.stale === true)
      throw new Fault('QUEUE_FULL', `${this.#base}${asking.path}: its nonce was used up by another request`);
    throw new Fault('AUTH_FAILED', `${this.#base} as ${this.#user}`);
  }

  #send({ method, path, body, isAlone }: Asking, deadline: Deadline): Promise<HttpResponse> {
    const headers: Record<string, string> = {};
    if (this.#challenge) {
      this.#count += 1;
      headers['authorization'] = digestHeader(this.#challenge, {
        user: this.#user,
        password: this.#password,
        method,
        uri: path,
        count: this.#count,
        cnonce: makeCnonce(this.#io.random),
      });
    }
    if (body !== undefined) headers['content-type'] = 'application/json';
    return this.#io.http.request({
      method,
      url: this.#base + path,
      headers,
      ...(body === undefined ? {} : { body }),
      ...(isAlone !== undefined && { isAlone }),
      timeoutMs: deadline.leftMs(),
      maxBytes: BODY_MAX_BYTES,
    });
  }
}

function parsed(path: string, response: HttpResponse): JsonObject {
  const answer = parseCgminer(response.body);
  if (answer instanceof Fault) throw new Fault(answer.code, `${path}: ${answer.detail}`);
  if (answer.partial) throw new Fault('ANSWER_PARTIAL', path);
  return answer.value;
}

import type { Random } from '../../host/deps.ts';
import { digestResponse, makeCnonce, parseAuthorization } from '../../protocols/asic/digest.ts';
import type { DeviceHttpRequest } from '../device.ts';

/** Nonces remembered; the oldest is forgotten first, as small web servers do. */
const NONCES_MAX = 16;

/** Checks HTTP digest credentials: right response, a nonce of ours, a count that rises. */
export class DigestGate {
  readonly #realm: string;
  readonly #user: string;
  readonly #password: string;
  readonly #random: Random;
  readonly #counts = new Map<string, number>();

  constructor(options: { realm: string; user: string; password: string; random: Random }) {
    this.#realm = options.realm;
    this.#user = options.user;
    this.#password = options.password;
    this.#random = options.random;
  }

  /** Undefined when the request may pass, else the challenge to send with 401. */
  check({ method, path, headers }: DeviceHttpRequest): string | undefined {
    const params = parseAuthorization(headers['authorization']);
    if (!params) return this.#challenge(false);
    const nonce = params.get('nonce') ?? '';
    const nc = params.get('nc') ?? '';
    const count = Number.parseInt(nc, 16);
    const right = digestResponse({
      user: this.#user,
      password: this.#password,
      realm: this.#realm,
      method,
      uri: path,
      nonce,
      qop: params.get('qop'),
      nc,
      cnonce: params.get('cnonce') ?? '',
    });
    const named =
      params.get('username') === this.#user && params.get('uri') === path && params.get('qop') === 'auth';
    if (!named || params.get('response') !== right) return this.#challenge(false);
    const last = this.#counts.get(nonce);
    if (last === undefined || !(count > last)) return this.#challenge(true);
    this.#counts.set(nonce, count);
    return undefined;
  }

  #challenge(stale: boolean): string {
    const nonce = makeCnonce(this.#random);
    this.#counts.set(nonce, 0);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > NONCES_MAX && oldest !== undefined) this.#counts.delete(oldest);
    return `Digest realm="${this.#realm}", nonce="${nonce}", qop="auth"${stale ? ', stale=true' : ''}`;
  }
}

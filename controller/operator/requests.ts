import type { Clock } from '../../host/deps.ts';
import type { Method, ParsedParams, ParsedRequest, Results } from '../../protocols/console/rpc.ts';
import type { OperatorPort } from '../../protocols/console/view.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Logins } from './logins.ts';
import { thinHistory } from './thin.ts';

const KEY_LIFE_MS = 24 * 3_600_000;
const KEYS_MAX = 10_000;

interface Executed {
  readonly previewId: string;
  readonly hash: string;
  readonly atMs: number;
  readonly result: Promise<Results['cmd.execute']>;
}

export type Served = Exclude<ParsedRequest, { readonly method: 'auth' | 'subscribe' | 'logout' }>;

/** Answers what a logged-in console asks of the controller. */
export class Requests {
  readonly #operator: OperatorPort;
  readonly #clock: Clock;
  readonly #logins: Logins;
  /** Executed commands by idempotency key: a console that lost the answer asks again and gets the same command. */
  readonly #executed = new Map<string, Executed>();

  constructor(options: { readonly operator: OperatorPort; readonly clock: Clock; readonly logins: Logins }) {
    this.#operator = options.operator;
    this.#clock = options.clock;
    this.#logins = options.logins;
  }

  /** Rejects with a Fault. `actor`: who asks, for the ledger. */
  async answer(request: Served, actor: string): Promise<Results[Method]> {
    switch (request.method) {
      case 'why':
        return this.#operator.why(request.params.machine);
      case 'cmd.preview':
        return this.#operator.preview(request.params, actor);
      case 'cmd.execute':
        return this.#execute(request.params, actor);
      case 'alarm.ack':
        this.#operator.acknowledge(request.params.alarmId, actor);
        return {};
      case 'input.agree':
        await this.#operator.agree(request.params.input, request.params.value, actor);
        return {};
      case 'meter.agree':
        return this.#operator.agreeMeter(request.params, actor);
      case 'history':
        return thinHistory(this.#operator.history(), { nowMs: this.#clock.wallMs(), ...request.params });
      case 'meters':
        return { meters: this.#operator.meters() };
      case 'commission.note':
        await this.#operator.commissioning(request.params, actor);
        return {};
      case 'ping':
        return { time: this.#clock.wallMs() };
    }
    request satisfies { readonly method: 'code.new' };
    return this.#logins.issueCode();
  }

  #execute(params: ParsedParams<'cmd.execute'>, actor: string): Promise<Results['cmd.execute']> {
    const { key, previewId, hash } = params;
    const known = this.#executed.get(key);
    if (known !== undefined) {
      if (known.previewId !== previewId || known.hash !== hash) {
        return Promise.reject(new Fault('OPERATOR_REFUSED', 'this key already stands for another command'));
      }
      return known.result;
    }
    const result = this.#operator.execute({ previewId, hash, key }, actor);
    this.#forgetOld();
    this.#executed.set(key, { previewId, hash, atMs: this.#clock.monoMs(), result });
    // A command that did not become durable may be tried again with the same key.
    result.catch(() => this.#executed.delete(key));
    return result;
  }

  #forgetOld(): void {
    const nowMs = this.#clock.monoMs();
    for (const [key, { atMs }] of this.#executed) {
      if (this.#executed.size < KEYS_MAX && nowMs - atMs < KEY_LIFE_MS) return;
      this.#executed.delete(key);
    }
  }
}

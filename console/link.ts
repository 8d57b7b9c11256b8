import { applyDelta } from '../protocols/console/delta.ts';
import type {
  Hello,
  Method,
  Notification,
  Params,
  Reply,
  Results,
  RpcError,
} from '../protocols/console/rpc.ts';
import type { ConsoleView } from '../protocols/console/view.ts';
import { FAULTS, Fault } from '../protocols/faults.ts';

const REQUEST_MS = 15_000;
const PENDING_MAX = 64;

/** What a console hears from its link. */
export interface LinkHandlers {
  onHello(hello: Hello): void;
  /** A new view; the same objects stand for what did not change. */
  onView(view: ConsoleView): void;
  /** What came is not the protocol: the owner closes the socket. */
  onBroken(why: string): void;
}

export interface LinkOptions {
  readonly send: (text: string) => void;
  readonly after: (delayMs: number, fn: () => void) => () => void;
  readonly handlers: LinkHandlers;
}

interface Pending {
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
  readonly cancel: () => void;
}

/** A refusal by the server: its fault, and until when it stands (UTC ms) if it says so. */
export class Refusal extends Error {
  readonly error: RpcError;

  constructor(error: RpcError) {
    super(`${error.data.reason}: ${error.message} — ${error.data.howToFix}`);
    this.error = error;
  }
}

/** The client's half of the operator protocol over any socket: requests with answers, and the view kept up to date. */
export class ConsoleLink {
  readonly #options: LinkOptions;
  readonly #pending = new Map<number, Pending>();
  #count = 0;
  #bootId = '';
  #seq = -1;
  #view: ConsoleView | undefined;
  #resubscribing = false;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Rejects with a Refusal, or with a Fault NET_TIMEOUT or NET_RESET. */
  request<M extends Method>(method: M, params: Params<M>): Promise<Results[M]> {
    return new Promise((resolve, reject) => {
      if (this.#pending.size >= PENDING_MAX) {
        reject(new Fault('QUEUE_FULL', 'too many requests unanswered'));
        return;
      }
      this.#count += 1;
      const id = this.#count;
      const cancel = this.#options.after(REQUEST_MS, () => {
        this.#pending.delete(id);
        reject(new Fault('NET_TIMEOUT', `no answer to ${method}`));
      });
      this.#pending.set(id, { resolve: resolve as (result: never) => void, reject, cancel });
      this.#options.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  }

  /** Starts or resumes the stream; `resume`: what an earlier link of this console held. */
  subscribe(resume?: {
    readonly bootId: string;
    readonly seq: number;
    readonly view: ConsoleView;
  }): Promise<Results['subscribe']> {
    if (resume !== undefined) {
      this.#bootId = resume.bootId;
      this.#seq = resume.seq;
      this.#view = resume.view;
    }
    return this.request(
      'subscribe',
      resume === undefined ? {} : { resume: { bootId: resume.bootId, seq: resume.seq } },
    );
  }

  /** What this link holds, to resume with after a broken connection. */
  held(): { bootId: string; seq: number; view: ConsoleView } | undefined {
    return this.#view === undefined ? undefined : { bootId: this.#bootId, seq: this.#seq, view: this.#view };
  }

  receive(text: string): void {
    try {
      this.#take(JSON.parse(text) as Notification | Reply);
    } catch (error) {
      this.#options.handlers.onBroken(error instanceof Error ? error.message : String(error));
    }
  }

  /** Rejects everything unanswered: the socket is gone. */
  closed(why: string): void {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { cancel, reject } of waiting) {
      cancel();
      reject(new Fault('NET_RESET', why));
    }
  }

  #take(message: Notification | Reply): void {
    if ('method' in message) this.#notified(message);
    else this.#replied(message);
  }

  #replied(reply: Reply): void {
    const pending = typeof reply.id === 'number' ? this.#pending.get(reply.id) : undefined;
    if (pending === undefined || typeof reply.id !== 'number') return;
    this.#pending.delete(reply.id);
    pending.cancel();
    if ('error' in reply) pending.reject(new Refusal(wholeError(reply.error)));
    else pending.resolve(reply.result as never);
  }

  #notified(message: Notification): void {
    const { handlers } = this.#options;
    if (message.method === 'hello') handlers.onHello(message.params);
    else if (message.method === 'snapshot') {
      this.#bootId = message.params.bootId;
      this.#seq = message.params.seq;
      this.#view = message.params.view;
      handlers.onView(message.params.view);
    } else if (message.method === 'ev') {
      const { from, seq, d } = message.params;
      if (this.#view === undefined || from !== this.#seq) {
        this.#again();
        return;
      }
      this.#seq = seq;
      this.#view = applyDelta(this.#view, d);
      handlers.onView(this.#view);
    }
  }

  /** A delta is missing: ask for a snapshot, once. */
  #again(): void {
    if (this.#resubscribing) return;
    this.#resubscribing = true;
    this.request('subscribe', {})
      .catch(() => undefined)
      .finally(() => {
        this.#resubscribing = false;
      });
  }
}

/** An error as the protocol promises it, whatever came. */
function wholeError(error: Partial<RpcError>): RpcError {
  return {
    code: error.code ?? 0,
    message: error.message ?? 'refused',
    data: error.data ?? { reason: 'INTERNAL', owner: null, until: null, howToFix: FAULTS.INTERNAL.next },
  };
}

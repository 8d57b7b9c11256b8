import type { WebSocket } from 'ws';

import type { Clock, Log } from '../../host/deps.ts';
import { CLOSE, SCHEMA } from '../../protocols/console/protocol.ts';
import { RPC_CODE, parseRequest, rpcError } from '../../protocols/console/rpc.ts';
import type {
  Method,
  Notification,
  ParsedParams,
  ParsedRequest,
  Reply,
  RequestId,
  Results,
} from '../../protocols/console/rpc.ts';
import type { ConsoleView } from '../../protocols/console/view.ts';
import { Fault, asFault } from '../../protocols/faults.ts';
import type { Encoded, Feed, Follower } from './feed.ts';
import type { Logins, Session } from './logins.ts';
import { Throttled } from './logins.ts';
import { Outbox } from './outbox.ts';
import type { Requests } from './requests.ts';

const AUTH_MS = 5_000;
const BEAT_MS = 10_000;
const SWEEP_MS = 1_000;
const REQUESTS_PER_S = 50;
/** Requests over the rate in one second that are still answered with an error before the socket is closed. */
const EXCESS_MAX = 100;
const IN_FLIGHT_MAX = 64;

interface Shared {
  readonly clock: Clock;
  readonly log: Log;
  readonly feed: Feed;
  readonly logins: Logins;
  readonly requests: Requests;
  readonly site: string;
  readonly bootId: string;
  readonly version: string;
}

/** One console's socket: greets, authenticates, answers, follows the view, and ends whoever floods or does not read. */
export class Connection implements Follower {
  readonly #socket: WebSocket;
  readonly #shared: Shared;
  readonly #from: string;
  readonly #fromBrowser: boolean;
  readonly #outbox: Outbox;
  readonly #timers: (() => void)[] = [];
  #session: Session | undefined;
  #actor = '';
  #view: ConsoleView | undefined;
  #seq = -1;
  #behind = false;
  #heardMs: number;
  #windowMs: number;
  #inWindow = 0;
  #inFlight = 0;
  #ended = false;
  readonly #onSessionEnd = (): void => this.end(CLOSE.notAuthenticated, 'the session ended');

  constructor(
    socket: WebSocket,
    shared: Shared,
    peer: { readonly from: string; readonly fromBrowser: boolean },
  ) {
    this.#socket = socket;
    this.#shared = shared;
    this.#from = peer.from;
    this.#fromBrowser = peer.fromBrowser;
    this.#outbox = new Outbox(socket, shared.clock, () => this.#caughtUp());
    this.#heardMs = shared.clock.monoMs();
    this.#windowMs = this.#heardMs;
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#message(data, isBinary));
    socket.on('pong', () => this.#heard());
    socket.on('error', () => undefined);
    socket.on('close', () => this.#gone());
    this.#timers[0] = shared.clock.after(AUTH_MS, () =>
      this.end(CLOSE.notAuthenticated, 'no login within 5 s'),
    );
    this.#notify({
      jsonrpc: '2.0',
      method: 'hello',
      params: {
        schema: SCHEMA,
        server: `switchyard ${shared.version}`,
        site: shared.site,
        time: shared.clock.wallMs(),
        bootId: shared.bootId,
      },
    });
  }

  offer(delta: Encoded): void {
    if (this.#view === undefined) return;
    if (this.#outbox.congested || this.#behind) {
      this.#behind = true;
      return;
    }
    this.#follow(delta);
  }

  /** Ends the connection with a code of CLOSE; the socket is cut if the peer does not answer. */
  end(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stop();
    this.#shared.log.info({ from: this.#from, actor: this.#actor, code, reason }, 'console closed');
    this.#socket.close(code, reason);
    const cut = this.#shared.clock.after(2_000, () => this.#socket.terminate());
    this.#socket.once('close', cut);
  }

  #stop(): void {
    for (const cancel of this.#timers.splice(0)) cancel();
    this.#outbox.stop();
    this.#shared.feed.leave(this);
    this.#session?.onEnd.delete(this.#onSessionEnd);
  }

  #gone(): void {
    if (!this.#ended) this.#shared.log.info({ from: this.#from, actor: this.#actor }, 'console left');
    this.#ended = true;
    this.#stop();
  }

  #heard(): void {
    this.#heardMs = this.#shared.clock.monoMs();
  }

  #message(data: Buffer, isBinary: boolean): void {
    if (this.#ended) return;
    this.#heard();
    if (!this.#withinRate()) return;
    if (isBinary) {
      this.end(1003, 'text only');
      return;
    }
    const parsed = parseRequest(data.toString('utf8'));
    if (!parsed.ok) {
      this.#refuse(parsed.id, new Fault('CONSOLE_REQUEST', parsed.detail), parsed.code);
      if (this.#session === undefined) this.end(CLOSE.notAuthenticated, 'the first message is auth');
      return;
    }
    if (parsed.request.method === 'auth') this.#login(parsed.id, parsed.request.params);
    else if (this.#session === undefined) {
      this.#refuse(parsed.id, new Fault('LOGIN_REFUSED', 'the first message is auth'));
      this.end(CLOSE.notAuthenticated, 'the first message is auth');
    } else this.#serve(parsed.id, parsed.request, this.#session);
  }

  #withinRate(): boolean {
    const nowMs = this.#shared.clock.monoMs();
    if (nowMs - this.#windowMs >= 1_000) {
      this.#windowMs = nowMs;
      this.#inWindow = 0;
    }
    this.#inWindow += 1;
    if (this.#inWindow <= REQUESTS_PER_S) return true;
    if (this.#inWindow > REQUESTS_PER_S + EXCESS_MAX) this.end(CLOSE.tooMany, 'too many requests');
    else this.#refuse(null, new Fault('QUEUE_FULL', `more than ${REQUESTS_PER_S} requests a second`));
    return false;
  }

  #login(id: RequestId, auth: ParsedParams<'auth'>): void {
    if (auth.schema < SCHEMA.min || auth.schema > SCHEMA.max) {
      this.#refuse(
        id,
        new Fault(
          'CONSOLE_REQUEST',
          `schema ${auth.schema}; this server speaks ${SCHEMA.min} to ${SCHEMA.max}`,
        ),
      );
      this.end(CLOSE.schema, 'schema not spoken');
      return;
    }
    try {
      const { session, token } = this.#sessionFor(auth);
      if (this.#session !== undefined) throw new Fault('LOGIN_REFUSED', 'already logged in');
      this.#session = session;
      session.onEnd.add(this.#onSessionEnd);
      this.#actor = `${(auth.name ?? '').replaceAll(/[^\p{L}\p{N} ._@-]/gu, '').trim() || 'operator'}#${session.number}`;
      this.#timers[0]?.();
      this.#beat();
      this.#sweep();
      this.#shared.log.info({ from: this.#from, actor: this.#actor }, 'console logged in');
      this.#answer(id, { actor: this.#actor, token });
    } catch (error) {
      const fault = asFault(error);
      this.#refuse(id, fault, RPC_CODE.fault, fault instanceof Throttled ? fault.untilMs : null);
      this.#shared.log.warn({ from: this.#from, fault: fault.message }, 'console login refused');
      this.end(CLOSE.loginRefused, fault.code);
    }
  }

  #sessionFor(auth: ParsedParams<'auth'>): { session: Session; token: string | null } {
    const { logins } = this.#shared;
    // Script in a page never holds a session token: it has the cookie, and from it a ticket.
    if (auth.code !== undefined) {
      const opened = logins.exchange(auth.code, this.#from);
      return this.#fromBrowser ? { session: opened.session, token: null } : opened;
    }
    if (auth.token !== undefined && this.#fromBrowser)
      throw new Fault('LOGIN_REFUSED', 'a page logs in with a ticket');
    const session =
      auth.ticket === undefined ? logins.sessionOf(auth.token ?? '') : logins.redeem(auth.ticket);
    if (session === undefined) throw new Fault('LOGIN_REFUSED', 'the session has ended');
    return { session, token: null };
  }

  #serve(id: RequestId, request: Exclude<ParsedRequest, { method: 'auth' }>, session: Session): void {
    if (!this.#shared.logins.alive(session)) {
      this.end(CLOSE.notAuthenticated, 'the session ended');
      return;
    }
    if (request.method === 'subscribe') {
      this.#subscribe(id, request.params);
      return;
    }
    if (request.method === 'logout') {
      this.#answer(id, {});
      this.#shared.logins.end(session);
      return;
    }
    if (this.#inFlight >= IN_FLIGHT_MAX) {
      this.#refuse(id, new Fault('QUEUE_FULL', `more than ${IN_FLIGHT_MAX} requests unanswered`));
      return;
    }
    this.#inFlight += 1;
    this.#shared.requests
      .answer(request, this.#actor)
      .then((result) => this.#answer(id, result))
      .catch((error: unknown) => {
        const fault = asFault(error);
        if (fault.code === 'INTERNAL')
          this.#shared.log.error({ method: request.method, fault: fault.message }, 'console request failed');
        this.#refuse(id, fault);
      })
      .finally(() => {
        this.#inFlight -= 1;
      });
  }

  #subscribe(id: RequestId, { resume }: ParsedParams<'subscribe'>): void {
    const { feed, bootId } = this.#shared;
    try {
      const view = feed.current();
      const missed = resume?.bootId === bootId ? feed.missed(resume.seq) : undefined;
      this.#answer(id, {
        bootId,
        seq: missed === undefined ? feed.seq : (resume?.seq ?? feed.seq),
        resumed: missed !== undefined,
      });
      for (const delta of missed ?? []) this.#outbox.push(delta.bytes);
      if (missed === undefined) this.#outbox.pushFree(feed.snapshot().bytes);
      this.#view = view;
      this.#seq = feed.seq;
      this.#behind = false;
      feed.follow(this);
    } catch (error) {
      this.#refuse(id, asFault(error));
    }
  }

  #follow(delta: Encoded): void {
    this.#outbox.push(delta.bytes);
    this.#seq = delta.seq;
    this.#view = this.#shared.feed.current();
  }

  #caughtUp(): void {
    if (this.#ended || !this.#behind || this.#view === undefined) return;
    this.#behind = false;
    if (this.#seq === this.#shared.feed.seq) return;
    const delta = this.#shared.feed.since(this.#view, this.#seq);
    if (delta !== undefined) this.#follow(delta);
  }

  #answer(id: RequestId, result: Results[Method]): void {
    this.#reply({ jsonrpc: '2.0', id, result });
  }

  #refuse(
    id: RequestId | null,
    fault: Fault,
    code: number = RPC_CODE.fault,
    until: number | null = null,
  ): void {
    this.#reply({ jsonrpc: '2.0', id, error: rpcError(fault, code, until) });
  }

  #reply(reply: Reply): void {
    if (!this.#ended) this.#outbox.push(Buffer.from(JSON.stringify(reply)));
  }

  #notify(message: Notification): void {
    if (!this.#ended) this.#outbox.push(Buffer.from(JSON.stringify(message)));
  }

  #beat(): void {
    this.#timers[1] = this.#shared.clock.after(BEAT_MS, () => {
      if (this.#shared.clock.monoMs() - this.#heardMs > 2.5 * BEAT_MS) {
        this.end(CLOSE.tooSlow, 'no answer to the heartbeat');
        return;
      }
      this.#socket.ping();
      this.#notify({
        jsonrpc: '2.0',
        method: 'beat',
        params: { time: this.#shared.clock.wallMs(), seq: this.#shared.feed.seq },
      });
      this.#beat();
    });
  }

  #sweep(): void {
    this.#timers[2] = this.#shared.clock.after(SWEEP_MS, () => {
      const slow = this.#outbox.tooSlow();
      if (slow === undefined) this.#sweep();
      else this.end(CLOSE.tooSlow, slow);
    });
  }
}

import { WebSocket } from 'ws';

import { SOCKET_PATH, SUBPROTOCOL } from '../../protocols/console/protocol.ts';
import type { ConsoleView } from '../../protocols/console/view.ts';
import { Fault } from '../../protocols/faults.ts';
import { ConsoleLink, Refusal } from '../link.ts';

const RETRY_MS = 1_000;
const RETRY_MAX_MS = 15_000;
const HANDSHAKE_MS = 10_000;
/** Silence after which the connection counts as lost: the server beats every 10 s. */
const SILENT_MS = 30_000;
/** Refusals that trying again does not mend. */
const FINAL: ReadonlySet<string> = new Set(['LOGIN_REFUSED', 'LOGIN_THROTTLED', 'CONSOLE_REQUEST']);
const VIEW_MAX_BYTES = 256 * 1024 * 1024;

/** Time as the terminal needs it. */
export interface ConsoleClock {
  wallMs(): number;
  monoMs(): number;
  after(delayMs: number, fn: () => void): () => void;
}

export interface ClientHandlers {
  readonly onView: (view: ConsoleView) => void;
  readonly onReady: (link: ConsoleLink) => void;
  /** The connection broke and will be tried again. */
  readonly onLost: (why: string) => void;
  /** The server will not have us: a new code is needed. */
  readonly onRefused: (why: string) => void;
}

export interface ClientOptions {
  /** The console's address; a code behind `#code=` is taken from it. */
  readonly url: string;
  readonly code?: string | undefined;
  /** Who sits there, for the record. */
  readonly name?: string | undefined;
  readonly clock: ConsoleClock;
  readonly handlers: ClientHandlers;
}

/** Where the socket is and which code the address holds. Throws TARGET_INVALID. */
function socketAddress(url: string): { readonly address: string; readonly code: string | undefined } {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new Fault('TARGET_INVALID', `${url.slice(0, 80)} is no address like http://127.0.0.1:8080`);
  }
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')
    throw new Fault('TARGET_INVALID', 'the address begins with http:// or https://');
  const scheme = parsed.protocol === 'https:' ? 'wss' : 'ws';
  return {
    address: `${scheme}://${parsed.host}${SOCKET_PATH}`,
    code: /^#code=([\w-]{1,64})$/.exec(parsed.hash)?.[1],
  };
}

/** Keeps a terminal's socket open: code first, then the session token it was given. */
export class TerminalClient {
  readonly #name: string;
  readonly #clock: ConsoleClock;
  readonly #handlers: ClientHandlers;
  readonly #address: string;
  #code: string | undefined;
  #token: string | undefined;
  #held: ReturnType<ConsoleLink['held']>;
  #pauseMs = RETRY_MS;
  #closed = false;
  #socket: WebSocket | undefined;
  #cancel: (() => void) | undefined;

  /** Throws TARGET_INVALID. Connects at `start`. */
  constructor({ url, code, clock, handlers, name }: ClientOptions) {
    const target = socketAddress(url);
    this.#address = target.address;
    this.#code = code ?? target.code;
    this.#clock = clock;
    this.#name = name ?? 'operator';
    this.#handlers = handlers;
  }

  start(): void {
    this.#closed = false;
    this.#cancel?.();
    const opened = new WebSocket(this.#address, [SUBPROTOCOL], {
      perMessageDeflate: false,
      maxPayload: VIEW_MAX_BYTES,
      handshakeTimeout: HANDSHAKE_MS,
    });
    this.#socket = opened;
    this.#serve(opened);
  }

  /** Tries again with another code, after a refusal. */
  retryWith(code: string): void {
    this.#code = code;
    this.#token = undefined;
    this.start();
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#socket?.terminate();
  }

  #serve(opened: WebSocket): void {
    let why = 'the connection was lost';
    let silence: (() => void) | undefined;
    const heard = (): void => {
      silence?.();
      silence = this.#clock.after(SILENT_MS, () => opened.terminate());
    };
    const link: ConsoleLink = new ConsoleLink({
      send: (text) => {
        if (opened.readyState === WebSocket.OPEN) opened.send(text);
      },
      after: (delayMs, fn) => this.#clock.after(delayMs, fn),
      handlers: {
        onHello: () => this.#greet(link, opened),
        onView: (view) => {
          this.#held = link.held();
          this.#handlers.onView(view);
        },
        onBroken: () => {
          this.#held = undefined;
          opened.terminate();
        },
      },
    });
    opened.on('message', (data: Buffer) => {
      heard();
      link.receive(data.toString('utf8'));
    });
    opened.on('ping', heard);
    opened.on('error', (error) => {
      why = error.message;
    });
    opened.on('close', () => {
      silence?.();
      link.closed(why);
      if (!this.#closed && this.#socket === opened) this.#again(why);
    });
  }

  #again(why: string): void {
    this.#handlers.onLost(why);
    this.#cancel = this.#clock.after(this.#pauseMs, () => this.start());
    this.#pauseMs = Math.min(this.#pauseMs * 2, RETRY_MAX_MS);
  }

  #greet(link: ConsoleLink, opened: WebSocket): void {
    if (this.#token === undefined && this.#code === undefined) {
      // A login without a code would count as a wrong one.
      this.#closed = true;
      this.#handlers.onRefused('a one-time code is needed: --code CODE, or SWITCHYARD_CODE');
      opened.terminate();
      return;
    }
    const secret = this.#token === undefined ? { code: this.#code ?? '' } : { token: this.#token };
    link
      .request('auth', { schema: 1, ...secret, name: this.#name })
      .then((session) => {
        this.#token = session.token ?? this.#token;
        return link.subscribe(this.#held);
      })
      .then(() => {
        this.#pauseMs = RETRY_MS;
        this.#handlers.onReady(link);
      })
      .catch((error: unknown) => {
        const refused = error instanceof Refusal && FINAL.has(error.error.data.reason);
        if (refused) {
          this.#closed = true;
          this.#handlers.onRefused(error.message);
        }
        opened.terminate();
      });
  }
}

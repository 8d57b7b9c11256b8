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
  readonly clock: ConsoleClock;
  readonly handlers: ClientHandlers;
}

/** Where the socket is and which code the address holds. Throws TARGET_INVALID. */
export function socketAddress(url: string): { readonly address: string; readonly code: string | undefined } {
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

/** Keeps a terminal's socket open: code first, then the session token it was given. Throws TARGET_INVALID. */
export function connectTerminal(options: ClientOptions): { close(): void } {
  const { clock, handlers } = options;
  const { address, code: inAddress } = socketAddress(options.url);
  const code = options.code ?? inAddress;
  let token: string | undefined;
  let held: ReturnType<ConsoleLink['held']>;
  let pauseMs = RETRY_MS;
  let closed = false;
  let socket: WebSocket | undefined;
  let cancel: (() => void) | undefined;

  const greet = (link: ConsoleLink, opened: WebSocket): void => {
    const secret = token === undefined ? { code: code ?? 'none' } : { token };
    link
      .request('auth', { schema: 1, ...secret, name: 'terminal' })
      .then((session) => {
        token = session.token ?? token;
        return link.subscribe(held);
      })
      .then(() => {
        pauseMs = RETRY_MS;
        handlers.onReady(link);
      })
      .catch((error: unknown) => {
        const final =
          error instanceof Refusal &&
          ['LOGIN_REFUSED', 'LOGIN_THROTTLED', 'CONSOLE_REQUEST'].includes(error.error.data.reason);
        if (final) {
          closed = true;
          handlers.onRefused(error.message);
        }
        opened.terminate();
      });
  };
  const open = (): void => {
    if (closed) return;
    const opened = new WebSocket(address, [SUBPROTOCOL], {
      perMessageDeflate: false,
      maxPayload: VIEW_MAX_BYTES,
      handshakeTimeout: HANDSHAKE_MS,
    });
    socket = opened;
    let why = 'the connection was lost';
    let silence: (() => void) | undefined;
    const heard = (): void => {
      silence?.();
      silence = clock.after(SILENT_MS, () => opened.terminate());
    };
    const link = new ConsoleLink({
      send: (text) => {
        if (opened.readyState === WebSocket.OPEN) opened.send(text);
      },
      after: (delayMs, fn) => clock.after(delayMs, fn),
      handlers: {
        onHello: () => greet(link, opened),
        onView: (view) => {
          held = link.held();
          handlers.onView(view);
        },
        onBroken: () => {
          held = undefined;
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
      if (closed) return;
      handlers.onLost(why);
      cancel = clock.after(pauseMs, open);
      pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
    });
  };
  open();
  return {
    close: () => {
      closed = true;
      cancel?.();
      socket?.terminate();
    },
  };
}

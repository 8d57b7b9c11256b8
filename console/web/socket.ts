import { operatorName } from './name.ts';
import { SOCKET_PATH, SUBPROTOCOL } from '../../protocols/console/protocol.ts';
import type { ConsoleView } from '../../protocols/console/view.ts';
import { ConsoleLink } from '../link.ts';
import { after } from './clock.ts';

const RETRY_MS = 1_000;
const RETRY_MAX_MS = 15_000;

export interface SocketHandlers {
  readonly onView: (view: ConsoleView) => void;
  /** A link that is logged in and subscribed. */
  readonly onReady: (link: ConsoleLink) => void;
  readonly onLost: (why: string) => void;
  /** No session: somebody has to type a code. */
  readonly onLogin: () => void;
}

/** Logs in with a code; the session comes as a cookie that scripts cannot read. The text says why not. */
export async function login(code: string): Promise<string | undefined> {
  try {
    const response = await fetch('/login', { method: 'POST', body: JSON.stringify({ code }) });
    if (response.ok) return undefined;
    const fault = (await response.json()) as {
      readonly cause?: string;
      readonly detail?: string;
      readonly next?: string;
    };
    return `${fault.cause ?? 'refused'}${fault.detail === '' ? '' : `: ${fault.detail ?? ''}`} — ${fault.next ?? ''}`;
  } catch {
    return 'the controller does not answer';
  }
}

/** Keeps one socket open: ticket, login, subscribe; again with growing pauses when it breaks. */
export function keepConnected(handlers: SocketHandlers): { retryNow(): void } {
  let held: ReturnType<ConsoleLink['held']>;
  let pauseMs = RETRY_MS;
  let cancel: (() => void) | undefined;
  const again = (why: string): void => {
    handlers.onLost(why);
    cancel?.();
    cancel = after(pauseMs, () => void start());
    pauseMs = Math.min(pauseMs * 2, RETRY_MAX_MS);
  };
  const start = async (): Promise<void> => {
    cancel?.();
    cancel = undefined;
    const { ticket, refused } = await askTicket();
    if (ticket !== undefined) open(ticket);
    else if (refused) {
      handlers.onLost('not logged in');
      handlers.onLogin();
    } else again('the controller does not answer');
  };
  const open = (ticket: string): void => {
    const socket = new WebSocket(
      `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${SOCKET_PATH}`,
      SUBPROTOCOL,
    );
    const link = new ConsoleLink({
      send: (text) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(text);
      },
      after,
      handlers: {
        onHello: () => {
          link
            .request('auth', { schema: 1, ticket, name: operatorName() })
            .then(() => link.subscribe(held))
            .then(() => {
              pauseMs = RETRY_MS;
              handlers.onReady(link);
            })
            .catch(() => socket.close());
        },
        onView: (view) => {
          held = link.held();
          handlers.onView(view);
        },
        onBroken: () => {
          held = undefined;
          socket.close();
        },
      },
    });
    socket.addEventListener('message', (event) => {
      if (typeof event.data === 'string') link.receive(event.data);
    });
    socket.addEventListener('close', (event) => {
      link.closed('the connection was lost');
      again(event.reason === '' ? 'the connection was lost' : event.reason);
    });
  };
  void start();
  return { retryNow: () => void start() };
}

/** A ticket, or none because there is no session (`refused`) or no answer. */
async function askTicket(): Promise<{ readonly ticket?: string; readonly refused: boolean }> {
  try {
    const response = await fetch('/ticket', { method: 'POST' });
    if (!response.ok) return { refused: response.status === 401 };
    return { ...((await response.json()) as { readonly ticket?: string }), refused: false };
  } catch {
    return { refused: false };
  }
}

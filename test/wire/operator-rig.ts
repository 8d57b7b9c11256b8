import * as http from 'node:http';
import { WebSocket } from 'ws';

import type { Assets } from '../../controller/operator/assets.ts';
import { startOperatorServer } from '../../controller/operator/server.ts';
import type { OperatorServer } from '../../controller/operator/server.ts';
import type { Clock } from '../../host/deps.ts';
import { silentLog } from '../../host/log.ts';
import { seededRandom } from '../../host/random.ts';
import type { ConsoleView } from '../../protocols/console/view.ts';
import { FakeOperator, siteView } from './fake-operator.ts';

const NO_PAGE: Assets = new Map([
  ['/index.html', { bytes: Buffer.from('<!doctype html>'), type: 'text/html' }],
]);

export interface Rig {
  readonly operator: FakeOperator;
  readonly server: OperatorServer;
}

/** A console server over a scripted controller, on a port of the system's choice unless given. */
export async function rig(
  clock: Clock,
  options: {
    readonly view?: ConsoleView;
    readonly login?: 'prompt' | 'fragment';
    readonly assets?: Assets;
    readonly port?: number;
  } = {},
): Promise<Rig> {
  const operator = new FakeOperator(options.view ?? siteView({ racks: 2, perRack: 3, atMs: clock.wallMs() }));
  const server = await startOperatorServer({
    operator,
    host: '127.0.0.1',
    port: options.port ?? 0,
    login: options.login ?? 'fragment',
    clock,
    random: seededRandom(11),
    log: silentLog,
    assets: options.assets ?? NO_PAGE,
  });
  return { operator, server };
}

/** What the tests look at of any message of the server. */
export interface Heard {
  readonly id?: number | string | null;
  readonly method?: string;
  readonly params?: {
    readonly seq?: number;
    readonly from?: number;
    readonly bootId?: string;
    readonly d?: unknown;
    readonly view?: ConsoleView;
    readonly [name: string]: unknown;
  };
  readonly result?: Record<string, unknown>;
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly data: { readonly reason: string; readonly until: number | null; readonly howToFix: string };
  };
}

/** A raw protocol client: keeps what it heard, waits for what it wants. */
export class RawClient {
  readonly socket: WebSocket;
  readonly heard: Heard[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  #id = 0;
  #wake: (() => void)[] = [];

  constructor(port: number, headers: Record<string, string> = {}, path = '/ws') {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, ['switchyard.v1'], {
      headers,
      perMessageDeflate: true,
    });
    this.socket.on('message', (data: Buffer) => {
      this.heard.push(JSON.parse(data.toString()) as Heard);
      for (const wake of this.#wake.splice(0)) wake();
    });
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code: number, reason: Buffer) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** The first message, heard already or to come, that fits. */
  async until(fits: (message: Heard) => boolean): Promise<Heard> {
    for (;;) {
      const found = this.heard.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  send(text: string | Buffer): void {
    this.socket.send(text);
  }

  /** Waits for the greeting, asks, and waits for the answer. */
  async call(method: string, params: unknown): Promise<Heard> {
    await this.hello();
    this.#id += 1;
    const id = this.#id;
    this.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    return this.until((message) => message.id === id && message.method === undefined);
  }

  hello(): Promise<Heard> {
    return this.until((message) => message.method === 'hello');
  }

  async login(code: string): Promise<Heard> {
    await this.hello();
    return this.call('auth', { schema: 1, code, name: 'test' });
  }

  async subscribed(code: string): Promise<ConsoleView> {
    await this.login(code);
    await this.call('subscribe', {});
    const { params } = await this.until((message) => message.method === 'snapshot');
    if (params?.view === undefined) throw new Error('no snapshot');
    return params.view;
  }
}

export interface Got {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** One HTTP request with exactly these headers. */
export function ask(
  port: number,
  path: string,
  options: http.RequestOptions & { readonly body?: string } = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = http.request({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        body += piece;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    sent.on('error', reject);
    sent.end(options.body);
  });
}

/** The HTTP status an upgrade was refused with. */
export function refusedUpgrade(client: RawClient): Promise<number> {
  return new Promise((resolve) => {
    client.socket.on('unexpected-response', (_request: unknown, response: http.IncomingMessage) => {
      resolve(response.statusCode ?? 0);
      response.resume();
      client.socket.terminate();
    });
  });
}

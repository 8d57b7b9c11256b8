import type { Clock, Connection, Deps, Http, Net, Remote, RemoteHost } from '../host/deps.ts';

/**
 * The life of one simulated process: its timers, connections and answers end with it, all at once, as after a
 * `kill -9`. What it awaits then never settles.
 */
export class Life {
  readonly clock: Clock;
  readonly net: Net;
  readonly http: Http;
  readonly remote: Remote;
  readonly report: Deps['report'];
  #alive = true;
  readonly #connections = new Set<Connection>();
  readonly #hosts = new Set<RemoteHost>();

  /** `skewMs`: how far the wall clock of the process is from the truth at this moment. */
  constructor(
    world: Pick<Deps, 'clock' | 'net' | 'http' | 'remote' | 'report'>,
    skewMs: () => number = () => 0,
  ) {
    const { clock } = world;
    this.clock = {
      wallMs: () => clock.wallMs() + skewMs(),
      monoMs: () => clock.monoMs(),
      after: (delayMs, fn) =>
        clock.after(delayMs, () => {
          if (this.#alive) fn();
        }),
    };
    this.net = {
      open: (endpoint, options) =>
        this.#guard(world.net.open(endpoint, options), (connection) => this.#connections.add(connection)),
      exchange: (endpoint, request, options) => this.#guard(world.net.exchange(endpoint, request, options)),
    };
    this.http = { request: (request) => this.#guard(world.http.request(request)) };
    this.remote = {
      open: (target, options) =>
        this.#guard(world.remote.open(target, options), (host) => this.#hosts.add(host)),
    };
    this.report = (event) => {
      if (this.#alive) world.report(event);
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  end(): void {
    this.#alive = false;
    for (const connection of this.#connections) {
      connection.onData = () => undefined;
      connection.onClose = () => undefined;
      connection.destroy();
    }
    for (const host of this.#hosts) {
      host.onClose = () => undefined;
      host.close();
    }
  }

  #guard<T>(promise: Promise<T>, opened?: (value: T) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => {
          if (!this.#alive) return;
          opened?.(value);
          resolve(value);
        },
        (error: unknown) => {
          if (this.#alive) reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }
}

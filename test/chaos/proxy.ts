/** A TCP proxy that does to connections what networks do. Between two ends that know nothing of it. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Random } from '../../host/deps.ts';

/**
 * What happens on the way. On a stream the order of bytes is TCP's own promise, so nothing is ever reordered or doubled
 * inside one connection: `jitter` lets messages of different connections overtake each other, and what a broken
 * connection makes its ends say again is what doubles messages in the real world.
 */
export type Weather =
  | { readonly kind: 'calm' }
  /** Everything is this much later, both ways. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Every piece by a time of its own, in the order of its connection. */
  | { readonly kind: 'jitter'; readonly mostMs: number }
  /** So many bytes at a time, with a pause between: no message comes whole. */
  | { readonly kind: 'trickle'; readonly bytes: number; readonly everyMs: number }
  /** Taken from the sender and never given on; `both` is a half-open connection: who waits for an answer waits for ever. */
  | { readonly kind: 'swallow'; readonly direction: 'to' | 'from' | 'both' }
  /** The next so many bytes go through, then the connection is reset in the middle of what is being said. */
  | { readonly kind: 'cut'; readonly afterBytes: number; readonly direction: 'to' | 'from' }
  /** Every connection is reset, and every new one. */
  | { readonly kind: 'reset' };

export interface Proxy {
  readonly port: number;
  /** Connections that were opened or cut, bytes given on or swallowed, since the start. */
  readonly counts: { connections: number; bytes: number; swallowed: number; cuts: number };
  set(weather: Weather): void;
  close(): Promise<void>;
}

export interface ProxyOptions {
  readonly host?: string;
  readonly port?: number;
  readonly target: { readonly host: string; readonly port: number };
  readonly random: Random;
  /** Hears every byte that is really given on to the target: what a device was truly told. */
  readonly onGiven?: (connection: number, bytes: Buffer) => void;
}

/** Bytes of one direction that may wait on the way; more, and the sender is held back as by a full window. */
const MOST_WAITING_BYTES = 1_000_000;

/** One direction of one connection: pieces leave in their order, each when its time has come. */
class Way {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #direction: 'to' | 'from';
  readonly #random: Random;
  readonly #onGiven: (bytes: Buffer) => void;
  readonly #onSwallowed: (bytes: number) => void;
  readonly #cut: () => void;
  #weather: Weather;
  #waiting: { bytes: Buffer; dueMs: number }[] = [];
  #waitingBytes = 0;
  #lastDueMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #left = 0;
  #ended = false;

  constructor(options: {
    from: Socket;
    to: Socket;
    direction: 'to' | 'from';
    random: Random;
    weather: Weather;
    onGiven: (bytes: Buffer) => void;
    onSwallowed: (bytes: number) => void;
    cut: () => void;
  }) {
    this.#from = options.from;
    this.#to = options.to;
    this.#direction = options.direction;
    this.#random = options.random;
    this.#onGiven = options.onGiven;
    this.#onSwallowed = options.onSwallowed;
    this.#cut = options.cut;
    this.#weather = options.weather;
    this.set(options.weather);
    this.#from.on('data', (bytes: Buffer) => this.#take(bytes));
    this.#from.on('end', () => {
      this.#ended = true;
      this.#pump();
    });
  }

  set(weather: Weather): void {
    this.#weather = weather;
    if (weather.kind === 'cut' && weather.direction === this.#direction) this.#left = weather.afterBytes;
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #take(bytes: Buffer): void {
    const weather = this.#weather;
    const swallows =
      weather.kind === 'swallow' && (weather.direction === 'both' || weather.direction === this.#direction);
    if (swallows) {
      this.#onSwallowed(bytes.length);
      return;
    }
    const laterMs =
      weather.kind === 'delay'
        ? weather.ms
        : weather.kind === 'jitter'
          ? this.#random.next() * weather.mostMs
          : 0;
    const dueMs = Math.max(this.#lastDueMs, performance.now() + laterMs);
    this.#lastDueMs = dueMs;
    this.#waiting.push({ bytes, dueMs });
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > MOST_WAITING_BYTES) this.#from.pause();
    this.#pump();
  }

  #pump(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (next.dueMs > performance.now()) break;
      const { kind } = this.#weather;
      if (kind === 'trickle') {
        this.#trickle(next, this.#weather.kind === 'trickle' ? this.#weather : undefined);
        break;
      }
      this.#waiting.shift();
      this.#give(next.bytes);
    }
    if (this.#ended && this.#waiting.length === 0) this.#to.end();
    this.#arm();
  }

  #trickle(
    next: { bytes: Buffer; dueMs: number },
    weather: Extract<Weather, { kind: 'trickle' }> | undefined,
  ): void {
    if (weather === undefined) return;
    this.#give(next.bytes.subarray(0, weather.bytes));
    next.bytes = next.bytes.subarray(weather.bytes);
    if (next.bytes.length === 0) this.#waiting.shift();
    const following = this.#waiting[0];
    if (following !== undefined)
      following.dueMs = Math.max(following.dueMs, performance.now() + weather.everyMs);
  }

  #give(bytes: Buffer): void {
    this.#waitingBytes -= bytes.length;
    if (this.#from.isPaused() && this.#waitingBytes < MOST_WAITING_BYTES) this.#from.resume();
    const cuts = this.#weather.kind === 'cut' && this.#weather.direction === this.#direction;
    const given = cuts ? bytes.subarray(0, this.#left) : bytes;
    if (given.length > 0 && !this.#to.destroyed) {
      this.#to.write(given);
      this.#onGiven(given);
    }
    if (!cuts) return;
    this.#left -= given.length;
    // What was given on leaves before the reset.
    if (this.#left === 0) this.#to.write('', () => this.#cut());
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const next = this.#waiting[0];
    if (next !== undefined)
      this.#timer = setTimeout(() => this.#pump(), Math.max(0, next.dueMs - performance.now()));
  }
}

export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { host = '127.0.0.1', target, random, onGiven } = options;
  const counts = { connections: 0, bytes: 0, swallowed: 0, cuts: 0 };
  let weather: Weather = { kind: 'calm' };
  const open = new Map<number, { near: Socket; far: Socket; ways: Way[] }>();
  const cut = (id: number): void => {
    const connection = open.get(id);
    if (connection === undefined) return;
    counts.cuts += 1;
    connection.near.resetAndDestroy();
    connection.far.resetAndDestroy();
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const id = (counts.connections += 1);
    near.on('error', () => undefined);
    if (weather.kind === 'reset') {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ ...target, allowHalfOpen: true, noDelay: true });
    far.on('error', () => near.resetAndDestroy());
    const way = (from: Socket, to: Socket, direction: 'to' | 'from'): Way =>
      new Way({
        from,
        to,
        direction,
        random,
        weather,
        onGiven: (bytes) => {
          counts.bytes += bytes.length;
          if (direction === 'to') onGiven?.(id, bytes);
        },
        onSwallowed: (bytes) => {
          counts.swallowed += bytes;
        },
        cut: () => cut(id),
      });
    const ways = [way(near, far, 'to'), way(far, near, 'from')];
    open.set(id, { near, far, ways });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const)
      socket.on('close', () => {
        open.delete(id);
        for (const one of ways) one.stop();
        other.destroy();
      });
  });
  server.listen(options.port ?? 0, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    counts,
    set: (next) => {
      weather = next;
      for (const [id, { ways }] of open) {
        for (const one of ways) one.set(next);
        if (next.kind === 'reset') cut(id);
      }
    },
    close: async () => {
      for (const id of open.keys()) cut(id);
      server.close();
      await once(server, 'close');
    },
  };
}

import type { WebSocket } from 'ws';

import type { Clock } from '../../host/deps.ts';

const CONGESTED_BYTES = 256 * 1024;
const OVERFLOW_BYTES = 4 * 1024 * 1024;
const STALLED_MS = 10_000;
const PIECE_BYTES = 64 * 1024;

interface Waiting {
  readonly bytes: Buffer;
  sent: number;
  /** Shared with every console and sent once per login: does not count against this reader's bound. */
  readonly free: boolean;
}

/**
 * What waits for one reader. Messages go to the socket in pieces as it takes them, so that progress can be told from
 * standstill on a slow line, and a snapshot shared by many consoles is never copied.
 */
export class Outbox {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #onRoom: () => void;
  #waiting: Waiting[] = [];
  #owedBytes = 0;
  #flying = 0;
  #progressMs: number;
  #stopped = false;

  /** `onRoom`: called when the reader is no longer congested. */
  constructor(socket: WebSocket, clock: Clock, onRoom: () => void) {
    this.#socket = socket;
    this.#clock = clock;
    this.#onRoom = onRoom;
    this.#progressMs = clock.monoMs();
  }

  /** True while state should be conflated instead of queued. */
  get congested(): boolean {
    return (
      this.#owedBytes > CONGESTED_BYTES ||
      this.#socket.bufferedAmount > CONGESTED_BYTES ||
      this.#waiting.some((message) => message.free)
    );
  }

  push(bytes: Buffer): void {
    this.#add({ bytes, sent: 0, free: false });
  }

  /** A message that many readers share, outside the bound. */
  pushFree(bytes: Buffer): void {
    this.#add({ bytes, sent: 0, free: true });
  }

  /** Why this reader must go: too much waits for it or nothing has moved; undefined when it keeps up. */
  tooSlow(): string | undefined {
    if (this.#owedBytes > OVERFLOW_BYTES) return 'more than 4 MB unread';
    const idle = this.#flying === 0 && this.#waiting.length === 0;
    if (!idle && this.#clock.monoMs() - this.#progressMs > STALLED_MS) return 'nothing read for 10 s';
    return undefined;
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting = [];
  }

  #add(message: Waiting): void {
    if (this.#stopped || this.#owedBytes > OVERFLOW_BYTES) return;
    if (this.#flying === 0 && this.#waiting.length === 0) this.#progressMs = this.#clock.monoMs();
    if (!message.free) this.#owedBytes += message.bytes.length;
    this.#waiting.push(message);
    this.#pump();
  }

  #pump(): void {
    while (
      !this.#stopped &&
      this.#socket.readyState === this.#socket.OPEN &&
      this.#flying < CONGESTED_BYTES
    ) {
      const message = this.#waiting[0];
      if (message === undefined) return;
      const piece = message.bytes.subarray(message.sent, message.sent + PIECE_BYTES);
      message.sent += piece.length;
      const fin = message.sent >= message.bytes.length;
      if (fin) this.#waiting.shift();
      this.#flying += piece.length;
      this.#socket.send(piece, { binary: false, fin }, () => this.#sent(piece.length, message.free));
    }
  }

  #sent(bytes: number, free: boolean): void {
    this.#flying -= bytes;
    if (!free) this.#owedBytes -= bytes;
    this.#progressMs = this.#clock.monoMs();
    if (this.#stopped) return;
    this.#pump();
    if (!this.congested) this.#onRoom();
  }
}

import type { Clock } from '../host/deps.ts';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  fn: (() => void) | undefined;
}

/** Timers fired in one turn of the event loop; promises settle between any two of them all the same. */
const TURNS = 8;

/**
 * A clock that moves only when told. Timers fire in order of time, then of making; after each one every promise
 * that can settle has settled, so that a run depends on nothing but its inputs.
 */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #wallOffsetMs: number;
  #order = 0;
  readonly #heap: Timer[] = [];
  #afterTimers: { left: number; fn: () => void }[] = [];
  #advancing = false;

  constructor({ startWallMs }: { startWallMs: number }) {
    this.#wallOffsetMs = startWallMs;
  }

  wallMs(): number {
    return this.#wallOffsetMs + this.#nowMs;
  }

  monoMs(): number {
    return this.#nowMs;
  }

  /** Steps the wall clock as NTP or an operator would; monotonic time goes on. */
  stepWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Time goes by and nobody notices, as for a process that is stopped: what was due meanwhile fires late. */
  freeze(ms: number): void {
    this.#nowMs += ms;
  }

  after(delayMs: number, fn: () => void): () => void {
    const atMs = this.#nowMs + (Number.isFinite(delayMs) ? Math.max(0, delayMs) : 0);
    const timer: Timer = { atMs, order: this.#order++, fn };
    push(this.#heap, timer);
    return () => {
      timer.fn = undefined;
    };
  }

  /** Calls `fn` in the turn of the event loop in which the so manieth timer from now has fired. */
  afterTimers(count: number, fn: () => void): void {
    this.#afterTimers.push({ left: Math.max(1, count), fn });
  }

  /** How many timers wait, cancelled ones included. */
  get pending(): number {
    return this.#heap.length;
  }

  /** Moves time on by `ms`, firing everything due on the way. Called from within itself it only lets promises settle. */
  advance(ms: number): Promise<void> {
    if (this.#advancing) return new Promise((resolve) => setImmediate(resolve));
    this.#advancing = true;
    const untilMs = this.#nowMs + ms;
    return new Promise((resolve, reject) => {
      let ended = false;
      const turn = (): void => {
        if (ended) return;
        try {
          if (this.#fireNext(untilMs)) return;
          this.#nowMs = untilMs;
          resolve();
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
        ended = true;
        this.#advancing = false;
      };
      // Before each of them, in one turn of the event loop or in several, every promise that can settle has settled.
      const turns = (): void => {
        for (let count = 0; count < TURNS; count += 1) setImmediate(turn);
        setImmediate(() => {
          if (!ended) turns();
        });
      };
      turns();
    });
  }

  #countTimer(): void {
    for (const one of this.#afterTimers) one.left -= 1;
    const due = this.#afterTimers.filter((one) => one.left <= 0);
    this.#afterTimers = this.#afterTimers.filter((one) => one.left > 0);
    for (const one of due) one.fn();
  }

  /** Fires the next timer due until then; false when there is none. */
  #fireNext(untilMs: number): boolean {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= untilMs; next = this.#heap[0]) {
      pop(this.#heap);
      if (next.fn === undefined) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.fn();
      if (this.#afterTimers.length > 0) this.#countTimer();
      return true;
    }
    return false;
  }
}

const before = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

function push(heap: Timer[], timer: Timer): void {
  let at = heap.length;
  heap.push(timer);
  while (at > 0) {
    const up = (at - 1) >> 1;
    const parent = heap[up];
    if (parent === undefined || !before(timer, parent)) break;
    heap[at] = parent;
    at = up;
  }
  heap[at] = timer;
}

function pop(heap: Timer[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    const right = heap[child + 1];
    const left = heap[child];
    if (left === undefined) break;
    if (right !== undefined && before(right, left)) child++;
    const least = heap[child];
    if (least === undefined || !before(least, last)) break;
    heap[at] = least;
    at = child;
  }
  heap[at] = last;
}

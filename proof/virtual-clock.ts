import type { Clock } from '../host/deps.ts';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  fn: (() => void) | undefined;
}

/**
 * A clock that moves only when told. Timers fire in order of time, then of making; after each one every promise
 * that can settle has settled, so that a run depends on nothing but its inputs.
 */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #wallOffsetMs: number;
  #order = 0;
  readonly #heap: Timer[] = [];

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

  after(delayMs: number, fn: () => void): () => void {
    const atMs = this.#nowMs + (Number.isFinite(delayMs) ? Math.max(0, delayMs) : 0);
    const timer: Timer = { atMs, order: this.#order++, fn };
    push(this.#heap, timer);
    return () => {
      timer.fn = undefined;
    };
  }

  /** How many timers wait, cancelled ones included. */
  get pending(): number {
    return this.#heap.length;
  }

  /** Moves time on by `ms`, firing everything due on the way. */
  async advance(ms: number): Promise<void> {
    const until = this.#nowMs + ms;
    await settle();
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= until; next = this.#heap[0]) {
      pop(this.#heap);
      if (next.fn === undefined) continue;
      this.#nowMs = next.atMs;
      next.fn();
      await settle();
    }
    this.#nowMs = until;
  }
}

/** Every promise that can settle without time passing has settled when this resolves. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
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

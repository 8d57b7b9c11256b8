import type { Clock, Log } from '../../host/deps.ts';
import { diffView } from '../../protocols/console/delta.ts';
import type { Notification } from '../../protocols/console/rpc.ts';
import type { ConsoleView, OperatorPort } from '../../protocols/console/view.ts';
import { asFault } from '../../protocols/faults.ts';

/** Least time between two deltas, ms; the first change after a pause goes out at once. */
const GAP_MS = 200;
const RING_MAX = 600;
const RING_MAX_BYTES = 8 * 1024 * 1024;

/** A delta as it goes to every console that holds the view numbered `from`. */
export interface Encoded {
  readonly from: number;
  readonly seq: number;
  readonly bytes: Buffer;
}

/** One console that follows the view. */
export interface Follower {
  /** A new delta; a follower that is behind may leave it and ask for `since` later. */
  offer(delta: Encoded): void;
}

/**
 * Follows the controller's view for all consoles: each change is compared once and encoded once.
 * Nothing is computed while nobody watches.
 */
export class Feed {
  readonly #operator: OperatorPort;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #bootId: string;
  readonly #followers = new Set<Follower>();
  #view: ConsoleView | undefined;
  #seq = 0;
  #snapshot: Encoded | undefined;
  #ring: Encoded[] = [];
  #ringBytes = 0;
  #catchUps: { seq: number; byView: Map<ConsoleView, Encoded> } = { seq: -1, byView: new Map() };
  #lastMs = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #stop: (() => void) | undefined;
  #failed = false;

  constructor(options: {
    readonly operator: OperatorPort;
    readonly clock: Clock;
    readonly log: Log;
    readonly bootId: string;
  }) {
    this.#operator = options.operator;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#bootId = options.bootId;
  }

  get seq(): number {
    return this.#seq;
  }

  /** The view as of `seq`. Throws what the controller throws when it has none. */
  current(): ConsoleView {
    this.#view ??= this.#operator.view();
    return this.#view;
  }

  follow(follower: Follower): void {
    this.#followers.add(follower);
    this.#stop ??= this.#operator.onChange(() => this.#changed());
  }

  leave(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size === 0) this.close();
  }

  close(): void {
    this.#stop?.();
    this.#cancel?.();
    this.#stop = undefined;
    this.#cancel = undefined;
    // What changes unseen would be missing from the ring: the next console starts a new series.
    this.#view = undefined;
    this.#snapshot = undefined;
    this.#ring = [];
    this.#ringBytes = 0;
    this.#seq += 1;
  }

  snapshot(): Encoded {
    const view = this.current();
    const seq = this.#seq;
    this.#snapshot ??= {
      from: seq,
      seq,
      bytes: encode({ jsonrpc: '2.0', method: 'snapshot', params: { bootId: this.#bootId, seq, view } }),
    };
    return this.#snapshot;
  }

  /** The deltas from `seq` on, or undefined when they are no longer kept. */
  missed(seq: number): readonly Encoded[] | undefined {
    if (seq === this.#seq && this.#view !== undefined) return [];
    const at = this.#ring.findIndex((delta) => delta.from === seq);
    return at < 0 ? undefined : this.#ring.slice(at);
  }

  /** One delta from an older view to the present one: what a slow console gets instead of all it missed. */
  since(view: ConsoleView, from: number): Encoded | undefined {
    const now = this.current();
    if (this.#catchUps.seq !== this.#seq) this.#catchUps = { seq: this.#seq, byView: new Map() };
    const known = this.#catchUps.byView.get(view);
    if (known !== undefined) return known;
    const d = diffView(view, now) ?? {};
    if (from === this.#seq) return undefined;
    const delta = {
      from,
      seq: this.#seq,
      bytes: encode({ jsonrpc: '2.0', method: 'ev', params: { from, seq: this.#seq, d } }),
    };
    this.#catchUps.byView.set(view, delta);
    return delta;
  }

  #changed(): void {
    if (this.#cancel !== undefined) return;
    const waitMs = Math.max(0, this.#lastMs + GAP_MS - this.#clock.monoMs());
    this.#cancel = this.#clock.after(waitMs, () => {
      this.#cancel = undefined;
      this.#lastMs = this.#clock.monoMs();
      this.#publish();
    });
  }

  #publish(): void {
    let next: ConsoleView;
    try {
      next = this.#operator.view();
      this.#failed = false;
    } catch (error) {
      // Said once: the page greys by itself when nothing comes.
      if (!this.#failed) this.#log.error({ fault: asFault(error).message }, 'console view failed');
      this.#failed = true;
      return;
    }
    const d = diffView(this.current(), next);
    if (d === undefined) return;
    const from = this.#seq;
    this.#seq = from + 1;
    this.#view = next;
    this.#snapshot = undefined;
    const delta = {
      from,
      seq: this.#seq,
      bytes: encode({ jsonrpc: '2.0', method: 'ev', params: { from, seq: this.#seq, d } }),
    };
    this.#keep(delta);
    for (const follower of this.#followers) follower.offer(delta);
  }

  #keep(delta: Encoded): void {
    this.#ring.push(delta);
    this.#ringBytes += delta.bytes.length;
    while (this.#ring.length > RING_MAX || (this.#ringBytes > RING_MAX_BYTES && this.#ring.length > 0)) {
      this.#ringBytes -= this.#ring.shift()?.bytes.length ?? 0;
    }
  }
}

function encode(message: Notification): Buffer {
  return Buffer.from(JSON.stringify(message));
}

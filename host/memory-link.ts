import type { Clock, Random } from './deps.ts';
import { topicMatches } from './topic-match.ts';

/**
 * What is wrong on a client's link, as shares of its messages: queues that overflow, QoS 1 said again after a broker
 * was restored, bridges with several ways. TCP itself does none of it.
 */
export interface LinkTrouble {
  /** Never delivered to the client, though the sender has the broker's word. */
  readonly lost?: number;
  /** Delivered once more, up to `laterMs` later. */
  readonly again?: number;
  /** Delivered up to `laterMs` late and overtaken by others. */
  readonly late?: number;
  readonly laterMs?: number;
  /** Only topics in this filter; absent: all. */
  readonly filter?: string;
}

/** Which way of a link a partition cuts. `to`: what the broker sends to the client. */
export type Way = 'both' | 'to' | 'from';

/** One connection between a client and the broker: two ordered directions, 0 from the client, that a partition holds up. */
export class Link {
  open = true;
  readonly #clock: Clock;
  readonly #latencyMs: () => number;
  readonly #random: Random | undefined;
  readonly #trouble: () => LinkTrouble | undefined;
  readonly #held: [(() => void)[] | undefined, (() => void)[] | undefined] = [undefined, undefined];
  #lastMs = [0, 0];

  constructor(options: {
    readonly clock: Clock;
    readonly latencyMs: () => number;
    readonly random: Random | undefined;
    readonly trouble: () => LinkTrouble | undefined;
  }) {
    this.#clock = options.clock;
    this.#latencyMs = options.latencyMs;
    this.#random = options.random;
    this.#trouble = options.trouble;
  }

  /** Carries a message with what is wrong on the link at this moment. */
  message(direction: 0 | 1, topic: string, arrive: () => void): void {
    const trouble = this.#trouble();
    const random = this.#random;
    const applies = trouble?.filter === undefined || topicMatches(trouble.filter, topic);
    if (trouble === undefined || random === undefined || !applies) {
      this.carry(direction, arrive);
      return;
    }
    const { lost = 0, again = 0, late = 0, laterMs = 0 } = trouble;
    // What the client publishes is not lost without its knowing: there the link breaks instead.
    if (direction === 1 && random.next() < lost) return;
    if (random.next() < again) this.#carryLate(direction, random.next() * laterMs, arrive);
    if (random.next() < late) this.#carryLate(direction, random.next() * laterMs, arrive);
    else this.carry(direction, arrive);
  }

  /** Carries a packet; it is lost when the connection is gone before it arrives. */
  carry(direction: 0 | 1, arrive: () => void): void {
    const nowMs = this.#clock.monoMs();
    const atMs = Math.max(nowMs + Math.max(0, this.#latencyMs()), this.#lastMs[direction] ?? 0);
    this.#lastMs[direction] = atMs;
    this.#arriveIn(direction, atMs - nowMs, arrive);
  }

  /** Others may overtake it. */
  #carryLate(direction: 0 | 1, laterMs: number, arrive: () => void): void {
    this.#arriveIn(direction, Math.max(0, this.#latencyMs()) + laterMs, arrive);
  }

  #arriveIn(direction: 0 | 1, inMs: number, arrive: () => void): void {
    this.#clock.after(inMs, () => {
      if (!this.open) return;
      // As TCP does: what is under way in a cut arrives late when the cut ends in time.
      const held = this.#held[direction];
      if (held) held.push(arrive);
      else arrive();
    });
  }

  hold(cut: boolean, way: Way): void {
    for (const direction of [0, 1] as const) {
      if (cut && way === (direction === 0 ? 'to' : 'from')) continue;
      const held = this.#held[direction];
      this.#held[direction] = cut ? (held ?? []) : undefined;
      if (!cut) for (const arrive of held ?? []) if (this.open) arrive();
    }
  }
}

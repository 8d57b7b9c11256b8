import { Fault } from '../protocols/faults.ts';

interface Job {
  readonly send: () => Promise<void>;
  readonly resolve: () => void;
  readonly reject: (fault: Error) => void;
}

/**
 * Lets few publishes be under way at once and keeps the rest in order. MQTT.js does not honour the broker's Receive
 * Maximum and keeps what it cannot send; this holds both back.
 */
export class PublishWindow {
  readonly #waiting: Job[] = [];
  readonly #flying = new Set<Job>();
  readonly #mostWaiting: number;
  #size: number;

  constructor(size: number, mostWaiting: number) {
    this.#size = size;
    this.#mostWaiting = mostWaiting;
  }

  set size(size: number) {
    this.#size = Math.max(1, size);
  }

  /** Runs `send` when there is room; rejects with QUEUE_FULL when too many wait, or with what `failAll` was given. */
  run(send: () => Promise<void>): Promise<void> {
    if (this.#waiting.length >= this.#mostWaiting) {
      return Promise.reject(new Fault('QUEUE_FULL', `${this.#mostWaiting} messages wait for the broker`));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ send, resolve, reject });
      this.#pump();
    });
  }

  /** Gives up everything waiting and under way. Whether the broker has what was under way is unknown. */
  failAll(fault: Fault): void {
    const jobs = [...this.#flying, ...this.#waiting];
    this.#flying.clear();
    this.#waiting.length = 0;
    for (const job of jobs) job.reject(fault);
  }

  #pump(): void {
    while (this.#flying.size < this.#size) {
      const job = this.#waiting.shift();
      if (!job) return;
      this.#flying.add(job);
      job.send().then(
        () => this.#end(job, job.resolve),
        (error: Error) => this.#end(job, () => job.reject(error)),
      );
    }
  }

  #end(job: Job, settle: () => void): void {
    if (!this.#flying.delete(job)) return;
    settle();
    this.#pump();
  }
}

/** For subscriptions: a lost connection is no failure, since they are made again after the next connect. */
export function afterReconnect(error: unknown): void {
  if (!(error instanceof Fault) || error.code !== 'BUS_OFFLINE') throw error;
}

/** Who the machines say they are: make, model, firmware. Asked when it matters, a few at a time, and kept while they answer. */
import type { Clock } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import type { Identity } from '../protocols/reading.ts';
import type { Machine } from './machine.ts';

/** A machine is asked for its name this long at most. */
const IDENTIFY_MS = 5_000;
/** So many are asked at the same time: five hundred silent ones are through in minutes, and the readings have room. */
const MOST_AT_ONCE = 16;
/** Machines that wait to be asked; who comes later is asked the next time. */
const MOST_WAITING = 10_000;

export interface Identities {
  /**
   * As it said since a question to it last went without an answer: a new firmware starts it anew, and that is short.
   * Undefined: not asked since.
   */
  of(machine: Machine): Identity | undefined;
  /** Calls back when the machine was asked, whatever came of it; at once where it is known. */
  ask(machine: Machine, onAsked: () => void): void;
  stop(): void;
}

interface Waiting {
  readonly machine: Machine;
  readonly onAsked: () => void;
}

class Directory implements Identities {
  readonly #clock: Clock;
  readonly #known = new Map<Machine, { readonly identity: Identity; readonly askedMs: number }>();
  readonly #waiting: Waiting[] = [];
  #asking = 0;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(machine: Machine): Identity | undefined {
    const known = this.#known.get(machine);
    return known !== undefined && known.askedMs > machine.missedMs ? known.identity : undefined;
  }

  ask(machine: Machine, onAsked: () => void): void {
    if (this.of(machine) !== undefined || this.#waiting.length >= MOST_WAITING) return onAsked();
    this.#waiting.push({ machine, onAsked });
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.length = 0;
  }

  #next(): void {
    while (this.#asking < MOST_AT_ONCE && !this.#stopped) {
      const first = this.#waiting.shift();
      if (first === undefined) return;
      this.#asking += 1;
      void this.#one(first);
    }
  }

  async #one({ machine, onAsked }: Waiting): Promise<void> {
    await this.#identify(machine);
    this.#asking -= 1;
    if (this.#stopped) return;
    onAsked();
    this.#next();
  }

  async #identify(machine: Machine): Promise<void> {
    if (!machine.reachable || this.of(machine) !== undefined) return;
    const askedMs = this.#clock.monoMs();
    try {
      const identity = await atMost(this.#clock, machine.device.identify(IDENTIFY_MS));
      this.#known.set(machine, { identity, askedMs });
    } catch {
      // Who it is stays unknown: nothing is learned of it, and the alarm says so.
    }
  }
}

/** A device that does not end in its own time ends here. */
function atMost<T>(clock: Clock, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(2 * IDENTIFY_MS, () => reject(new Fault('NET_TIMEOUT', 'who it is')));
    work.finally(cancel).then(resolve, reject);
  });
}

export const makeIdentities = (clock: Clock): Identities => new Directory(clock);

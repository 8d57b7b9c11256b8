import { createHash } from 'node:crypto';
import type { PublicEvent } from '../protocols/events.ts';

/** Characters that are hashed at once: a call per event costs more than the hashing. */
const CHARS = 32_768;

/** The ordered log of what a run's processes reported, as a hash: the same seed gives the same. */
export class EventLog {
  readonly #hash = createHash('sha256');
  #text = '';

  add(atMs: number, event: PublicEvent): void {
    this.#text += `${atMs.toFixed(3)} ${JSON.stringify(event)}\n`;
    if (this.#text.length > CHARS) this.#flush();
  }

  /** In hexadecimal; nothing may be added afterwards. */
  digest(): string {
    this.#flush();
    return this.#hash.digest('hex');
  }

  #flush(): void {
    this.#hash.update(this.#text);
    this.#text = '';
  }
}

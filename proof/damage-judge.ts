import type { Invariant } from './invariants.ts';

/**
 * Watches bits that flip on disks. A file of the agent's own is named in an alarm, whichever of its copies it is; with a
 * damaged ledger nobody takes charge.
 */
export class DamageJudge {
  readonly #violate: (invariant: Invariant, atMs: number, text: string) => void;
  readonly #stake: (invariant: Invariant) => void;
  /** Names of files that nobody has named yet, and since when they are damaged. */
  readonly #unnamed = new Map<string, number>();
  #ledgerSinceMs: number | undefined;

  constructor(
    violate: (invariant: Invariant, atMs: number, text: string) => void,
    stake: (invariant: Invariant) => void,
  ) {
    this.#violate = violate;
    this.#stake = stake;
  }

  /** A bit of a file that the agent keeps has flipped while it was down. */
  kept(path: string, atMs: number): void {
    this.#stake('damage');
    this.#unnamed.set(path.slice(path.lastIndexOf('/') + 1), atMs);
  }

  /** A bit in the middle of the ledger has flipped while the controller was down. */
  ledger(atMs: number): void {
    this.#stake('damage');
    this.#ledgerSinceMs = atMs;
  }

  ledgerRestored(): void {
    this.#ledgerSinceMs = undefined;
  }

  /** An alarm of an agent has reached the controller. */
  heard(code: string, text: string): void {
    if (code !== 'KEPT_DAMAGED') return;
    for (const name of this.#unnamed.keys()) if (text.startsWith(`${name} `)) this.#unnamed.delete(name);
  }

  /** A controller is in charge at this moment. */
  inCharge(atMs: number): void {
    if (this.#ledgerSinceMs === undefined) return;
    this.#violate('damage', atMs, 'a controller is in charge with a damaged ledger');
    this.#ledgerSinceMs = undefined;
  }

  /** The end of a run, in calm. */
  end(atMs: number): void {
    for (const [name, sinceMs] of this.#unnamed)
      this.#violate(
        'damage',
        atMs,
        `${name} is damaged since ${Math.round(sinceMs / 1_000)} s and nobody says so`,
      );
  }
}

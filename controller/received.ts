/** Which frames of which agent have come: what may be acknowledged, what came twice, what is missing. */
export class Received {
  readonly #agents = new Map<
    string,
    { boot: number; first: number; highest: number; stored: number; ahead: Set<number> }
  >();
  #missingBefore = 0;

  /** False for one that came before. */
  take(agent: string, boot: number, seq: number): boolean {
    let known = this.#agents.get(agent);
    if (known === undefined || known.boot !== boot) {
      if (known !== undefined) this.#missingBefore += missingOf(known);
      known = { boot, first: seq, highest: seq, stored: seq, ahead: new Set() };
      this.#agents.set(agent, known);
      return true;
    }
    if (seq < known.first) {
      // Kept by the agent from before this controller: its numbers come in order up to what is known.
      const gap = known.first - seq - 1;
      if (gap > 0) {
        for (let stored = known.first; stored <= known.stored; stored++) known.ahead.add(stored);
        known.stored = seq;
      }
      known.first = seq;
      this.#close(known);
      return true;
    }
    if (seq <= known.stored || known.ahead.has(seq)) return false;
    known.ahead.add(seq);
    known.highest = Math.max(known.highest, seq);
    this.#close(known);
    return true;
  }

  /** The agent keeps nothing below `keptFrom` any more: what is missing there is lost and no longer waited for. */
  passOver(agent: string, boot: number, keptFrom: number): void {
    const known = this.#agents.get(agent);
    if (known === undefined || known.boot !== boot || keptFrom - 1 <= known.stored) return;
    for (let seq = known.stored + 1; seq < keptFrom && seq <= known.highest; seq++)
      if (!known.ahead.delete(seq)) this.#missingBefore++;
    known.stored = Math.min(keptFrom - 1, known.highest);
    this.#close(known);
  }

  /** Everything up to `seq` has come; -1: nothing yet. */
  storedOf(agent: string): { readonly boot: number; readonly seq: number } {
    const known = this.#agents.get(agent);
    return { boot: known?.boot ?? 0, seq: known?.stored ?? -1 };
  }

  /** Numbers passed over that have not come since. */
  get missing(): number {
    return [...this.#agents.values()].reduce((sum, known) => sum + missingOf(known), this.#missingBefore);
  }

  #close(known: { stored: number; ahead: Set<number> }): void {
    while (known.ahead.delete(known.stored + 1)) known.stored++;
  }
}

const missingOf = (known: {
  readonly stored: number;
  readonly highest: number;
  readonly ahead: ReadonlySet<number>;
}): number => known.highest - known.stored - known.ahead.size;

/** Until when nobody can be held to something: all agents, or one of them. Times are ms from the start of the run. */
export class Excuse {
  #allUntilMs = 0;
  readonly #untilMs = new Map<string, number>();

  /** `agent` absent: all of them. */
  add(untilMs: number, agent?: string): void {
    if (agent === undefined) this.#allUntilMs = Math.max(this.#allUntilMs, untilMs);
    else this.#untilMs.set(agent, Math.max(this.#untilMs.get(agent) ?? 0, untilMs));
  }

  until(agent: string): number {
    return Math.max(this.#allUntilMs, this.#untilMs.get(agent) ?? 0);
  }
}

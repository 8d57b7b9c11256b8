import type { Site } from '../config/site.ts';
import type { Invariant } from './invariants.ts';

type Values = Readonly<Record<string, string | number>>;

/**
 * Watches what owners have set on their machines, in the machines themselves: after everything that changed the state of
 * one, what it shows is what it was at the start. Nothing in these runs wants another value, so a curtailment that is
 * not restored exactly, and a write that takes a bystander with it, both show.
 */
export class SettingsJudge {
  readonly #site: Site;
  readonly #settings: (machine: number) => Values;
  readonly #violate: (invariant: Invariant, atMs: number, text: string) => void;
  readonly #stake: (invariant: Invariant) => void;
  readonly #own: readonly Values[];
  /** State-changing calls of each machine up to the last look. */
  readonly #calls: Float64Array;
  /** Machines with something hidden at the last look: what they rest from is still to be restored. */
  readonly #rests = new Set<number>();

  constructor(
    site: Site,
    settings: (machine: number) => Values,
    violate: (invariant: Invariant, atMs: number, text: string) => void,
    stake: (invariant: Invariant) => void,
  ) {
    this.#site = site;
    this.#settings = settings;
    this.#violate = violate;
    this.#stake = stake;
    this.#own = site.machines.map((machine) => settings(machine.index));
    this.#calls = new Float64Array(site.machines.length);
  }

  /** `stateCalls`: as in `Truth`. Nothing but such a call changes a setting. */
  look(stateCalls: readonly number[], atMs: number): void {
    for (const [machine, calls] of stateCalls.entries()) {
      if (calls === this.#calls[machine]) continue;
      this.#calls[machine] = calls;
      this.#check(machine, atMs);
    }
  }

  #check(machine: number, atMs: number): void {
    const shown = this.#settings(machine);
    const own = Object.entries(this.#own[machine] ?? {});
    const hides = own.some(([name]) => shown[name] === undefined);
    if (hides) this.#rests.add(machine);
    else if (this.#rests.delete(machine)) this.#stake('settings');
    for (const [name, value] of own) {
      if (shown[name] === undefined || shown[name] === value) continue;
      const id = this.#site.machines[machine]?.id;
      this.#violate('settings', atMs, `${id}: ${name} was ${value} and is ${shown[name]}`);
    }
  }
}

import type { Site } from '../config/site.ts';
import type { Mode } from '../protocols/reading.ts';
import { Excuse } from './excuse.ts';
import type { Invariant } from './invariants.ts';

/** What an agent may take to see an input beyond its declared delays, ms: two questions and a turn of its loop. */
const SEE_MS = 15_000;
/** And what a machine below may take to be found at work and put to rest, beyond its own time, ms. */
const REST_MS = 75_000;

type Violate = (invariant: Invariant, atMs: number, text: string) => void;
type Stake = (invariant: Invariant) => void;

/** One permissive or protection whose equipment has failed, and until when it holds. */
interface Held {
  readonly node: string;
  /** From here on the agent knows, and nothing may be started. */
  readonly fromMs: number;
  /** Machines at work below are put to rest. */
  readonly rests: boolean;
  readonly failedMs: number;
  /** From here on a PLC that answers shows it; Infinity while none answers and none has shown it yet. */
  seenMs: number;
  /** When the equipment was whole again. */
  returnedMs: number | undefined;
}

/**
 * Nothing is started below what has lost its cooling or has tripped, and what a trip or a declared loss rests does rest.
 * Knows what really failed, and when a person permitted a restart; never what the agent thinks.
 */
export class TripJudge {
  readonly #site: Site;
  readonly #violate: Violate;
  readonly #stake: Stake;
  readonly #held = new Map<string, Held>();
  readonly #away = new Excuse();
  /** No PLC answers: a trip cannot be known, and the unknown starts nothing but rests nobody either. */
  #blind = false;

  constructor(site: Site, violate: Violate, stake: Stake) {
    this.#site = site;
    this.#violate = violate;
    this.#stake = stake;
  }

  failed(part: string, atMs: number): void {
    if (part === 'plc') this.#goBlind(atMs);
    const { permissives, protections } = this.#site.config.plant;
    const one = permissives.find(({ id }) => id === part) ?? protections.find(({ id }) => id === part);
    if (one === undefined) return;
    const before = this.#held.get(part);
    if (before !== undefined && before.returnedMs === undefined) return;
    const known = (one.delayS + one.unknownS) * 1_000 + SEE_MS;
    const seenMs = this.#blind ? Infinity : atMs + one.delayS * 1_000 + SEE_MS;
    const rests = 'kind' in one || one.onLoss === 'shed';
    this.#held.set(part, {
      node: one.node,
      fromMs: atMs + known,
      rests,
      failedMs: atMs,
      seenMs,
      returnedMs: undefined,
    });
  }

  /** The equipment is whole again: a permissive ends by that, a protection with its release. */
  returned(part: string, atMs: number): void {
    if (part === 'plc') this.#see(atMs);
    const held = this.#held.get(part);
    const protection = this.#site.config.plant.protections.find(({ id }) => id === part);
    // Too short, or never shown, to be held to it; or nothing but good again.
    if (held === undefined || protection === undefined || Math.max(held.fromMs, held.seenMs) > atMs)
      this.#held.delete(part);
    // Two faults of the same part that overlap: whole with the end of the first.
    else held.returnedMs ??= atMs;
  }

  #goBlind(atMs: number): void {
    this.#blind = true;
    for (const held of this.#held.values()) if (held.seenMs > atMs) held.seenMs = Infinity;
  }

  #see(atMs: number): void {
    this.#blind = false;
    this.excuse(atMs + SEE_MS);
    for (const held of this.#held.values())
      if (held.seenMs === Infinity) held.seenMs = atMs + (held.fromMs - held.failedMs);
  }

  /** A person permitted the restart below some nodes. */
  permitted(nodes: readonly string[]): void {
    for (const [part, { node, returnedMs }] of this.#held)
      if (nodes.includes(node) && returnedMs !== undefined) this.#held.delete(part);
  }

  /** True where nobody may start this machine at that moment, known to the agent by then. */
  holds(machine: number, atMs: number): boolean {
    return this.#on(machine).some(([part, held]) => atMs >= held.fromMs && !this.#isOver(part, held, atMs));
  }

  /** True below anything that has failed or waits for its permission: what moves there moves by itself. */
  touches(machine: number): boolean {
    return this.#on(machine).length > 0;
  }

  /** An agent, or all of them, cannot be held to what it must see and do before then. */
  excuse(untilMs: number, agent?: string): void {
    this.#away.add(untilMs, agent);
  }

  started(machine: number, startedMs: number, nowMs: number): void {
    if (!this.holds(machine, startedMs)) return;
    const parts = this.#on(machine).map(([part]) => part);
    const id = this.#site.machines[machine]?.id ?? '';
    this.#violate('tripped', nowMs, `${id} was started while ${parts.join(', ')} held it`);
  }

  look(modes: readonly Mode[], excused: (machine: number) => boolean, atMs: number): void {
    for (const [part, held] of this.#held) {
      if (this.#isOver(part, held, atMs)) {
        this.#held.delete(part);
        continue;
      }
      if (atMs >= held.fromMs) this.#stake('tripped');
      const sinceMs = Math.max(held.fromMs, held.returnedMs ?? 0);
      if (!held.rests || this.#blind || atMs - sinceMs < REST_MS) continue;
      for (const { index, id, agent } of this.#site.machines) {
        if (!this.#isBelow(index, held.node) || excused(index)) continue;
        if (atMs - this.#away.until(agent) < REST_MS) continue;
        const mode = modes[index];
        if (mode !== 'mine' && mode !== 'ai') continue;
        this.#violate('tripped', atMs, `${id} is in ${mode} while ${part} holds it at rest`);
        this.#held.delete(part);
        break;
      }
    }
  }

  #on(machine: number): [string, Held][] {
    if (this.#held.size === 0) return [];
    return [...this.#held].filter(([, held]) => this.#isBelow(machine, held.node));
  }

  /** Below a switch is what has no other way to the site; below anything else, all that hangs there. */
  #isBelow(machine: number, id: string): boolean {
    const { nodes, machines, config } = this.#site;
    const place = machines[machine]?.nodeIndex ?? -1;
    const protection = config.plant.protections.find(({ node }) => node === id);
    if (protection === undefined || protection.kind === 'under-frequency')
      return (nodes[place]?.path ?? []).some((index) => nodes[index]?.id === id);
    const hangsOn = (index: number): boolean => {
      const feeds = nodes[index]?.feeds ?? [];
      return nodes[index]?.id === id || (feeds.length > 0 && feeds.every(({ node }) => hangsOn(node)));
    };
    return hangsOn(place);
  }

  #isOver(part: string, { returnedMs }: Held, atMs: number): boolean {
    const protection = this.#site.config.plant.protections.find(({ id }) => id === part);
    if (returnedMs === undefined || protection?.autoRelease !== true) return false;
    return atMs >= returnedMs + protection.releaseS * 1_000;
  }
}

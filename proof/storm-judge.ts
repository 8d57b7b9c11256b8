import type { Desired, Lease } from '../protocols/mqtt/desired.ts';
import type { Mode } from '../protocols/reading.ts';
import type { StormMiner } from './storm-miner.ts';

/** Commands that took effect and must not have, and how many were looked at. */
export interface StormCounts {
  /** Given to a machine that was there, rested in it and had said so. */
  twice: number;
  /** After the expiry of what it carries out, by the clock of who said it. */
  late: number;
  /** What an older epoch or generation wanted, after a newer one was in force. */
  stale: number;
  /** Nothing that reached the agent ever wanted it, or nobody led it any more. */
  unasked: number;
  /** Given again on its way, because no reading had shown anything: not wrong, what is set is absolute. */
  again: number;
  commands: number;
}

interface Document {
  readonly epoch: number;
  readonly generation: number;
  readonly modes: Readonly<Record<string, Mode>>;
  expiresMs: number;
  /** A beat that may have been taken has named it. */
  named: boolean;
}

interface Named {
  readonly epoch: number;
  readonly generation: number;
  /** Whether the beat that named it must have been taken. */
  readonly sure: boolean;
}

interface Rack {
  documents: Document[];
  /** By the beats of this life; a late one may name again what an earlier one has superseded. */
  named: Named[];
  /** From `fromMs` on, nothing older than this may be carried out. */
  floors: { readonly epoch: number; readonly generation: number; readonly fromMs: number }[];
}

/** Between a beat that must count and the last moment at which the agent may still not have taken it, ms: a sync of its disk. */
const TAKEN_MS = 300;
/** Around the limits of time within which the judge does not know what the agent knows, ms. */
const UNSURE_MS = 50;
/** Documents of one rack that are remembered: what is older is in force no more. */
const MOST_DOCUMENTS = 64;
const OLDEST = { epoch: -1, generation: -1 };

const compare = (
  a: { readonly epoch: number; readonly generation: number },
  b: { readonly epoch: number; readonly generation: number },
): number => a.epoch - b.epoch || a.generation - b.generation;

/**
 * Says of every command to a machine whether it may be: from what has reached the agent and nothing else. What it
 * cannot know to the millisecond, whether a beat at the edge of its time was taken, it takes both ways.
 */
export class StormJudge {
  readonly counts: StormCounts = { twice: 0, late: 0, stale: 0, unasked: 0, again: 0, commands: 0 };
  readonly wrong: string[] = [];
  readonly #t1Ms: number;
  readonly #machines: readonly { readonly id: string; readonly rack: string }[];
  readonly #racks: ReadonlyMap<string, Rack>;
  /** When each nonce of the running agent went out. */
  #nonces = new Map<string, number>();
  #ledMs = -Infinity;
  /** From `fromMs` on, no beat of an older epoch counts. */
  #epochs: { readonly epoch: number; readonly fromMs: number }[] = [];

  constructor(machines: readonly { readonly id: string; readonly rack: string }[], t1Ms: number) {
    this.#machines = machines;
    this.#t1Ms = t1Ms;
    this.#racks = new Map(machines.map(({ rack }) => [rack, { documents: [], named: [], floors: [] }]));
  }

  /** A new life of the agent: it knows what is on its disk, which is the epoch, and nothing of what it was told. */
  reborn(diedMs: number): void {
    this.#nonces = new Map();
    this.#ledMs = -Infinity;
    // What it had no time to write down it need not know.
    const kept = ({ fromMs }: { readonly fromMs: number }): boolean => fromMs <= diedMs;
    this.#epochs = this.#epochs.filter(kept);
    for (const rack of this.#racks.values()) {
      rack.documents = [];
      rack.named = [];
      rack.floors = rack.floors.filter(kept);
    }
  }

  nonce(nonce: string, nowMs: number): void {
    this.#nonces.set(nonce, nowMs);
    if (this.#nonces.size > 256)
      for (const old of this.#nonces.keys()) {
        this.#nonces.delete(old);
        break;
      }
  }

  /** A document has reached the agent; `originMs`: what the clock of who said it showed when the run began. */
  desired(doc: Desired, originMs: number, nowMs: number): void {
    const rack = this.#racks.get(doc.rack);
    if (rack === undefined) return;
    const { documents } = rack;
    const expiresMs = doc.expiresAtMs - originMs;
    const known = documents.find((one) => compare(one, doc) === 0);
    if (known !== undefined) {
      known.expiresMs = Math.max(known.expiresMs, expiresMs);
      return;
    }
    const modes = Object.fromEntries(Object.entries(doc.machines).map(([id, { mode }]) => [id, mode]));
    documents.push({ epoch: doc.epoch, generation: doc.generation, modes, expiresMs, named: false });
    if (documents.length > MOST_DOCUMENTS) documents.shift();
    this.#arm(rack, rack.named, nowMs);
  }

  /** A beat has reached the agent. */
  beat(beat: Lease, agent: string, nowMs: number): void {
    const issuedMs = this.#nonces.get(beat.nonces[agent] ?? '');
    if (issuedMs === undefined) return;
    const ageMs = nowMs - issuedMs;
    const least = this.#epochs.findLast(({ fromMs }) => fromMs <= nowMs)?.epoch ?? -1;
    if (ageMs > this.#t1Ms + UNSURE_MS || beat.epoch < least) return;
    const sure = ageMs < this.#t1Ms - UNSURE_MS;
    if (sure && beat.epoch > (this.#epochs.at(-1)?.epoch ?? -1))
      this.#epochs.push({ epoch: beat.epoch, fromMs: nowMs + TAKEN_MS });
    this.#ledMs = nowMs;
    for (const [id, generation] of Object.entries(beat.racks)) {
      const rack = this.#racks.get(id);
      if (rack === undefined) continue;
      const named = { epoch: beat.epoch, generation, sure };
      rack.named = [...rack.named.slice(1 - MOST_DOCUMENTS), named];
      this.#arm(rack, [named], nowMs);
    }
  }

  /** Puts in force what beats have named and what has come. */
  #arm(rack: Rack, all: readonly Named[], nowMs: number): void {
    for (const named of all) {
      const doc = rack.documents.find((one) => compare(one, named) === 0);
      if (doc === undefined) continue;
      doc.named = true;
      if (!named.sure || compare(named, rack.floors.at(-1) ?? OLDEST) <= 0) continue;
      rack.floors.push({ epoch: named.epoch, generation: named.generation, fromMs: nowMs + TAKEN_MS });
      if (rack.floors.length > MOST_DOCUMENTS) rack.floors.shift();
    }
  }

  /** A command reaches a machine. */
  call(miner: StormMiner, mode: Mode, nowMs: number): void {
    const { counts } = this;
    counts.commands += 1;
    const machine = this.#machines[miner.place];
    const rack = machine === undefined ? undefined : this.#racks.get(machine.rack);
    if (machine === undefined || rack === undefined) return;
    if (miner.mode === mode && miner.goal === mode && miner.seen)
      this.#wrong('twice', `${machine.id} was in ${mode}`, nowMs);
    else if (miner.mode !== mode && miner.goal === mode) counts.again += 1;
    const floor = rack.floors.findLast(({ fromMs }) => fromMs <= nowMs) ?? OLDEST;
    const wanting = rack.documents.filter((doc) => doc.named && doc.modes[machine.id] === mode);
    const open = wanting.filter((doc) => compare(doc, floor) >= 0);
    if (wanting.length === 0) this.#wrong('unasked', `${machine.id} ${mode}`, nowMs);
    else if (open.length === 0) this.#wrong('stale', `${machine.id} ${mode}`, nowMs);
    else if (open.every(({ expiresMs }) => expiresMs < nowMs))
      this.#wrong('late', `${machine.id} ${mode}`, nowMs);
    else if (mode === 'mine' && nowMs - this.#ledMs > this.#t1Ms + UNSURE_MS)
      this.#wrong('unasked', `${machine.id} started ${nowMs - this.#ledMs} ms after the last beat`, nowMs);
  }

  #wrong(how: 'twice' | 'late' | 'stale' | 'unasked', text: string, nowMs: number): void {
    this.counts[how] += 1;
    if (this.wrong.length < 20) this.wrong.push(`${Math.round(nowMs)} ms: ${how}: ${text}`);
  }
}

import type { Stream } from '../protocols/mqtt/backlog.ts';
import type { Stored } from '../protocols/mqtt/status.ts';

/** Starts of one agent that are remembered; the longest untouched one makes room. */
const MOST_BOOTS = 64;
/** Gaps that are remembered of one stream; what comes behind more of them is not taken until some are closed. */
const MOST_GAPS = 4_096;

/** Whole numbers from 0 as ranges. */
class Numbers {
  /** Ends inclusive, ascending, never touching. */
  readonly #ranges: { from: number; to: number }[] = [];

  has(number: number): boolean {
    const range = this.#ranges[this.#at(number)];
    return range !== undefined && range.from <= number;
  }

  /** Everything from 0 to here is in it; -1: not even 0. */
  get upTo(): number {
    const [first] = this.#ranges;
    return first?.from === 0 ? first.to : -1;
  }

  get gaps(): number {
    return this.#ranges.length;
  }

  /** The parts of a range that are not in it. */
  missingIn(from: number, to: number): { readonly from: number; readonly to: number }[] {
    const missing: { from: number; to: number }[] = [];
    let next = from;
    for (let at = this.#at(from); at < this.#ranges.length && next <= to; at += 1) {
      const range = this.#ranges[at];
      if (range === undefined || range.from > to) break;
      if (range.from > next) missing.push({ from: next, to: range.from - 1 });
      next = range.to + 1;
    }
    if (next <= to) missing.push({ from: next, to });
    return missing;
  }

  add(from: number, to: number): void {
    if (to < from) return;
    const first = this.#at(from - 1);
    let end = first;
    let [low, high] = [from, to];
    for (
      let range = this.#ranges[end];
      range !== undefined && range.from <= to + 1;
      range = this.#ranges[++end]
    ) {
      low = Math.min(low, range.from);
      high = Math.max(high, range.to);
    }
    this.#ranges.splice(first, end - first, { from: low, to: high });
  }

  /** Place of the first range that ends at or behind this number. */
  #at(number: number): number {
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.to ?? Infinity) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** One stream of one start of an agent. */
class Lane {
  /** Taken in, so that it is not taken twice. */
  readonly taken = new Numbers();
  /** Kept, or known never to come: what may be acknowledged. */
  readonly stored = new Numbers();
  /** Whether the agent has said what it still keeps: only then a number that is passed over is one lost. */
  known = false;
}

/** Which numbers of which agents have come: what may be acknowledged, what came twice, what never will. */
export class Received {
  /** Numbers that were passed over and never come: thinned out, let go, damaged. */
  missing = 0;
  readonly #boots = new Map<string, Record<Stream, Lane>>();

  /** False for one that came before. */
  take(agent: string, boot: number, stream: Stream, seq: number): boolean {
    const { taken } = this.#lane(agent, boot, stream);
    if (taken.has(seq) || taken.gaps > MOST_GAPS) return false;
    taken.add(seq, seq);
    return true;
  }

  /** Whether everything below this number has come, or never will. */
  follows(agent: string, boot: number, stream: Stream, seq: number): boolean {
    return seq <= this.#lane(agent, boot, stream).taken.upTo + 1;
  }

  /** One that was taken is durable, as far as this controller makes it so. */
  store(agent: string, boot: number, stream: Stream, seq: number): void {
    this.#lane(agent, boot, stream).stored.add(seq, seq);
  }

  isStored(agent: string, boot: number, stream: Stream, seq: number): boolean {
    return this.#lane(agent, boot, stream).stored.has(seq);
  }

  /** What of this range has not come never will. */
  cover(
    agent: string,
    boot: number,
    stream: Stream,
    { from, to }: { readonly from: number; readonly to: number },
  ): void {
    this.missing += pass(this.#lane(agent, boot, stream), from, to);
  }

  /** The agent keeps nothing below `keptFrom` any more: what is missing there is no longer waited for. */
  passOver(agent: string, boot: number, stream: Stream, keptFrom: number): void {
    const lane = this.#lane(agent, boot, stream);
    const passed = pass(lane, 0, keptFrom - 1);
    // To one that was told nothing before, it is what an earlier controller stored.
    if (lane.known) this.missing += passed;
    lane.known = true;
  }

  /** How far each stream of this start is stored. */
  storedOf(agent: string, boot: number): Stored {
    const upTo = (stream: Stream): number => this.#lane(agent, boot, stream).stored.upTo;
    return { boot, messages: upTo('messages'), meters: upTo('meters'), machines: upTo('machines') };
  }

  #lane(agent: string, boot: number, stream: Stream): Lane {
    const name = `${boot} ${agent}`;
    let lanes = this.#boots.get(name);
    if (lanes === undefined) {
      lanes = { messages: new Lane(), meters: new Lane(), machines: new Lane() };
      const known = [...this.#boots.keys()].filter((other) => other.endsWith(` ${agent}`));
      if (known.length >= MOST_BOOTS && known[0] !== undefined) this.#boots.delete(known[0]);
    } else this.#boots.delete(name);
    this.#boots.set(name, lanes);
    return lanes[stream];
  }
}

/** Marks what is not taken of a range as neither to be waited for nor to be taken; how many numbers that is. */
function pass(lane: Lane, from: number, to: number): number {
  const missing = lane.taken.missingIn(from, to);
  for (const part of missing) lane.stored.add(part.from, part.to);
  lane.taken.add(from, to);
  return missing.reduce((sum, part) => sum + part.to - part.from + 1, 0);
}

import type { Bus } from '../../host/deps.ts';
import { decodeSegment, streamOf } from '../../protocols/mqtt/backlog.ts';
import { fieldOf } from '../../protocols/mqtt/fields.ts';
import { FrameDecoder } from '../../protocols/mqtt/frame.ts';
import { agentTopic } from '../../protocols/mqtt/topics.ts';
import type { Table } from '../../protocols/mqtt/columns.ts';
import { readingsOf } from '../../protocols/mqtt/rows.ts';
import type { Ack } from '../../protocols/mqtt/status.ts';
import type { Reading } from '../../protocols/reading.ts';
import { familyOf, rackOf, WATCHED } from './floor-layout.ts';
import type { Spoken } from './floor-peer.ts';

/** What a sample was read from was said at most this long before or after the time it tells, ms: half a period. */
const NEAR_MS = 5_000;
/** A value is rounded to its field's scale on the way. */
const ROUNDED = 0.500_001;
const ACK_MS = 500;
const SITE = 'floor';

export interface Verdict {
  /** Watched machines of which samples were compared, and how many samples. */
  readonly machines: number;
  readonly samples: number;
  readonly different: number;
  /** Readings of theirs without a value. */
  readonly failed: number;
  /** Figures that a watched machine said and that are in no frame. */
  readonly missing: number;
  readonly frames: number;
  readonly firstDifferent: string | undefined;
  readonly firstMissing: string | undefined;
}

interface Sample {
  readonly quantity: string;
  readonly reading: Reading;
}

/** Takes the frames in the place of a controller, and compares the watched machines' samples with what they said. */
export class FloorJudge {
  readonly #bus: Bus;
  readonly #decoder = new FrameDecoder();
  /** Per machine: samples by quantity and time, each once. */
  readonly #samples = new Map<string, Map<string, Sample>>();
  readonly #spoken = new Map<string, Spoken[]>();
  readonly #highest = { messages: -1, meters: -1, machines: -1 };
  #agent = '';
  #boot = 0;
  #frames = 0;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  async start(): Promise<void> {
    while (!this.#bus.connected) await new Promise((resolve) => setTimeout(resolve, 20));
    await this.#bus.subscribe(agentTopic(SITE, '+', 'frame'), ({ payload }) => this.#frame(payload));
    await this.#bus.subscribe(agentTopic(SITE, '+', 'backlog'), ({ payload }) => {
      const { items, stream, to } = decodeSegment(payload);
      for (const { kind, bytes } of items) if (kind === 'frame') this.#frame(bytes);
      this.#highest[stream] = Math.max(this.#highest[stream], to);
    });
    await this.#bus.subscribe(agentTopic(SITE, '+', 'event'), ({ payload }) => {
      const { seq } = JSON.parse(Buffer.from(payload).toString()) as { seq: number };
      this.#highest.messages = Math.max(this.#highest.messages, seq);
    });
    const acks = setInterval(() => this.#ack(), ACK_MS);
    this.#bus.onState((connected) => {
      if (!connected) clearInterval(acks);
    });
  }

  /** What the watched machines said since it was asked last. */
  hear(spoken: readonly Spoken[]): void {
    for (const one of spoken) {
      const of = this.#spoken.get(one.machine);
      if (of === undefined) this.#spoken.set(one.machine, [one]);
      else of.push(one);
    }
  }

  verdict(): Verdict {
    let [machines, samples, different, failed, missing] = [0, 0, 0, 0, 0];
    let firstDifferent: string | undefined;
    let firstMissing: string | undefined;
    for (const [machine, taken] of this.#samples) {
      const spoken = this.#spoken.get(machine) ?? [];
      const used = new Set<string>();
      const samplesBefore = samples;
      for (const { quantity, reading } of taken.values()) {
        if (!reading.ok) failed += 1;
        const from = reading.ok ? nearest(spoken, quantity, reading.atMs) : undefined;
        // Nobody says the mode, nor which of the temperatures is the highest.
        if (!reading.ok || (from === undefined && !this.#isSaid(quantity, spoken))) continue;
        samples += 1;
        const truth = from?.said[quantity] ?? Number.NaN;
        const scale = fieldOf(quantity)?.scale ?? 0;
        if (from !== undefined) used.add(`${quantity} ${from.atMs}`);
        if (Math.abs(Number(reading.value) - truth) <= scale * ROUNDED) continue;
        different += 1;
        firstDifferent ??= `${machine} ${quantity}: ${JSON.stringify(reading)} where ${truth} was said`;
      }
      if (samples > samplesBefore) machines += 1;
      const unheard = this.#unheard(machine, taken, spoken, used);
      missing += unheard.length;
      firstMissing ??= unheard[0];
    }
    return {
      machines,
      samples,
      different,
      failed,
      missing,
      frames: this.#frames,
      firstDifferent,
      firstMissing,
    };
  }

  #isSaid(quantity: string, spoken: readonly Spoken[]): boolean {
    return spoken.some(({ said }) => said[quantity] !== undefined);
  }

  /** Figures said while frames came, and in none of them. */
  #unheard(
    machine: string,
    taken: ReadonlyMap<string, Sample>,
    spoken: readonly Spoken[],
    used: ReadonlySet<string>,
  ): readonly string[] {
    const { name, seldom } = familyOf(rackOf(machine));
    const heard = new Set([...used].map((one) => one.slice(0, one.indexOf(' '))));
    const times = [...taken.values()].map(({ reading }) => reading.atMs);
    const [firstMs, lastMs] = [Math.min(...times), Math.max(...times)];
    return spoken
      .filter(({ atMs }) => atMs >= firstMs + NEAR_MS && atMs <= lastMs - NEAR_MS)
      .flatMap(({ atMs, said }) =>
        Object.keys(said)
          .filter((quantity) => !used.has(`${quantity} ${atMs}`))
          .filter((quantity) => seldom?.test(quantity) !== true || !heard.has(quantity))
          .map((quantity) => `${name} ${machine} ${quantity} at ${atMs}`),
      );
  }

  #frame(payload: Uint8Array): void {
    const decoded = this.#decoder.decodeTable(payload);
    if (decoded.kind !== 'frame') return;
    const { boot, seq, agent, group, rows, table } = decoded.frame;
    this.#agent = agent;
    this.#boot = boot;
    this.#frames += 1;
    const stream = streamOf(group);
    this.#highest[stream] = Math.max(this.#highest[stream], seq);
    for (let row = 0; row < WATCHED; row += 1) this.#sample(rows[row] ?? '', table, row);
  }

  #sample(machine: string, table: Table, row: number): void {
    const columns = table.columns.map((column) => ({
      ...column,
      states: column.states.slice(row, row + 1),
      values: column.values.slice(row, row + 1),
    }));
    const ages = table.ages.map((one) => one.slice(row, row + 1));
    const [readings = {}] = readingsOf({ ...table, rowCount: 1, columns, ages });
    let taken = this.#samples.get(machine);
    if (taken === undefined) this.#samples.set(machine, (taken = new Map<string, Sample>()));
    for (const [quantity, reading] of Object.entries(readings))
      taken.set(`${quantity} ${reading.atMs}`, { quantity, reading });
  }

  #ack(): void {
    if (this.#agent === '' || !this.#bus.connected) return;
    const ack: Ack = {
      v: 1,
      site: SITE,
      agent: this.#agent,
      boot: this.#boot,
      stored: [{ boot: this.#boot, ...this.#highest }],
      resend: false,
    };
    const payload = new TextEncoder().encode(JSON.stringify(ack));
    this.#bus.publish(agentTopic(SITE, this.#agent, 'ack'), payload, { qos: 0 }).catch(() => undefined);
  }
}

/** What said this quantity nearest to a time, near enough to have been it. */
function nearest(spoken: readonly Spoken[], quantity: string, atMs: number): Spoken | undefined {
  let found: Spoken | undefined;
  for (const one of spoken) {
    if (one.said[quantity] === undefined || Math.abs(one.atMs - atMs) > NEAR_MS) continue;
    if (found === undefined || Math.abs(one.atMs - atMs) < Math.abs(found.atMs - atMs)) found = one;
  }
  return found;
}

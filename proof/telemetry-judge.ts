import type { TelemetryStore } from '../controller/main.ts';
import type { Clock } from '../host/deps.ts';
import { decodeSegment, streamOf } from '../protocols/mqtt/backlog.ts';
import type { Stream } from '../protocols/mqtt/backlog.ts';
import type { Frame } from '../protocols/mqtt/frame.ts';
import type { Status } from '../protocols/mqtt/status.ts';
import type { Invariant } from './invariants.ts';
import type { WallClocks } from './wall-clocks.ts';

/** From being given a frame to having it, ms: a controller that dies meanwhile has not stored it. */
const PUT_MS = 3;
/** What an agent that dies at once may take along: what was not yet on its disk, and the reading it was taking, ms. */
const UNSYNCED_MS = 5_000;
/** An agent says something at least this often, also when none of its devices answers, ms. */
const SPEAKS_MS = 15_000;
/** A disk that is well again has taken what waited for it by then, ms. */
const CAUGHT_UP_MS = 10_000;
/** In calm, what is said has come by then, ms. */
const COMES_MS = 30_000;

/** One start of one agent: agents number their starts by themselves. */
const startOf = (agent: string, boot: number): string => `${agent} ${boot}`;
const nameOf = ({ agent, boot, group, seq }: Frame): string =>
  `${startOf(agent, boot)} ${streamOf(group)} ${seq}`;

/** One stream of one start of an agent, by its numbers. */
interface Lane {
  /** When, by the agent's clock, it says each number was taken; undefined: it never came. */
  readonly tickMs: (number | undefined)[];
}

/** What an agent's event says. */
interface Told {
  readonly code: string;
  readonly text: string;
}

interface Boot {
  readonly agent: string;
  readonly fromMs: number;
  readonly lanes: Map<Stream, Lane>;
  /** When it was killed; undefined: it runs. */
  killedMs?: number;
  /** From here on nothing is known to have reached its disk; undefined: all did. */
  unsyncedFromMs?: number;
  /** What it announced as thinned out, let go and damaged: of itself and of earlier starts. */
  announced: number;
}

/**
 * Stands where a store would, outliving every controller, and judges by the numbers that agents give to what they say:
 * each comes once, unchanged and in its order, and none is missing but what a dying agent had not yet on its disk.
 */
export class TelemetryJudge {
  readonly #clock: Clock;
  readonly #clocks: WallClocks;
  readonly #violate: (invariant: Invariant, atMs: number, text: string) => void;
  readonly #stake: (invariant: Invariant) => void;
  readonly #boots = new Map<string, Boot>();
  /** Per agent. */
  readonly #diskFailsUntilMs = new Map<string, number>();
  /** Per agent, when a frame of it last came. */
  readonly #arrivedMs = new Map<string, number>();
  #calmFromMs = 0;

  constructor(
    clock: Clock,
    clocks: WallClocks,
    violate: (invariant: Invariant, atMs: number, text: string) => void,
    stake: (invariant: Invariant) => void,
  ) {
    this.#clock = clock;
    this.#clocks = clocks;
    this.#violate = violate;
    this.#stake = stake;
  }

  /** The store as one controller has it. `alive`: whether that controller still is. */
  store(alive: () => boolean): TelemetryStore {
    const stored = new Set<string>();
    const last = new Map<string, number>();
    return {
      put: (frames, late) => {
        for (const frame of frames)
          // What it was told is stored it need not give again.
          if (stored.has(nameOf(frame)))
            this.#violate('telemetry', this.#clock.monoMs(), `${nameOf(frame)} was stored twice`);
        return new Promise((resolve) =>
          this.#clock.after(PUT_MS, () => {
            if (!alive()) return;
            for (const frame of frames) {
              this.#take(frame, late, last);
              stored.add(nameOf(frame));
            }
            resolve();
          }),
        );
      },
    };
  }

  /**
   * Something has reached the controller: results and events count when they came, since its ledger is judged apart.
   * Gives the alarms in it.
   */
  arrives(topic: string, payload: Uint8Array): readonly Told[] {
    const [agent = '', kind] = topic.split('/').slice(-2);
    if (kind === 'result' || kind === 'event' || kind === 'energy') return this.#message(agent, payload);
    if (kind !== 'backlog') return [];
    const segment = decodeSegment(payload);
    return segment.stream === 'messages'
      ? segment.items.flatMap(({ bytes }) => this.#message(agent, bytes))
      : [];
  }

  started(agent: string, boot: number): void {
    const fromMs = this.#clock.monoMs();
    const failing = fromMs < this.#failsUntilMs(agent);
    this.#boots.set(startOf(agent, boot), {
      agent,
      fromMs,
      lanes: new Map(),
      announced: 0,
      ...(failing && { unsyncedFromMs: fromMs }),
    });
  }

  killed(agent: string, boot: number): void {
    const one = this.#boot(agent, boot);
    const nowMs = this.#clock.monoMs();
    one.killedMs = nowMs;
    if (nowMs >= this.#failsUntilMs(agent)) one.unsyncedFromMs = nowMs - UNSYNCED_MS;
    else one.unsyncedFromMs = Math.min(one.unsyncedFromMs ?? nowMs, nowMs - UNSYNCED_MS);
  }

  /** The disk of the agent takes nothing for a while. */
  diskFails(agent: string, boot: number, forMs: number): void {
    const nowMs = this.#clock.monoMs();
    const untilMs = this.#failsUntilMs(agent);
    if (nowMs >= untilMs) this.#boot(agent, boot).unsyncedFromMs = nowMs - UNSYNCED_MS;
    this.#diskFailsUntilMs.set(agent, Math.max(untilMs, nowMs + forMs + CAUGHT_UP_MS));
  }

  #failsUntilMs(agent: string): number {
    return this.#diskFailsUntilMs.get(agent) ?? Number.NEGATIVE_INFINITY;
  }

  /** What an agent announces as lost is lost with a word. */
  status({ agent, boot, online, thinned, dropped, damaged }: Status): void {
    const one = this.#boots.get(startOf(agent, boot));
    if (one !== undefined && online) one.announced = Math.max(one.announced, thinned + dropped + damaged);
  }

  /** What is under way may be under way until then. */
  disturbed(untilMs: number): void {
    this.#calmFromMs = Math.max(this.#calmFromMs, untilMs);
  }

  /** Whether nothing is under way any more for what was disturbed. */
  calm(atMs: number): boolean {
    return atMs >= this.#calmFromMs;
  }

  /** The end of a run: in calm, everything has come. */
  end(atMs: number): void {
    if (!this.calm(atMs)) return;
    for (const agent of new Set([...this.#boots.values()].map((boot) => boot.agent))) {
      const silentMs = atMs - (this.#arrivedMs.get(agent) ?? 0);
      if (silentMs > COMES_MS)
        this.#violate('telemetry', atMs, `nothing came of ${agent} for ${Math.round(silentMs / 1_000)} s`);
    }
    let announced = 0;
    for (const { announced: count } of this.#boots.values()) announced += count;
    const lost = [...this.#boots].flatMap(([start, one]) => this.#lost(start, one));
    for (const text of lost.slice(announced)) this.#violate('telemetry', atMs, text);
  }

  #lost(start: string, { agent, fromMs, lanes, killedMs, unsyncedFromMs }: Boot): string[] {
    const lost: string[] = [];
    let newestMs = fromMs;
    const keptToMs = killedMs === undefined ? Infinity : (unsyncedFromMs ?? Infinity);
    for (const [stream, { tickMs }] of lanes) {
      let nextMs = killedMs ?? Infinity;
      for (let seq = tickMs.length - 1; seq >= 0; seq -= 1) {
        const tick = tickMs[seq];
        if (tick !== undefined) nextMs = Math.min(nextMs, this.#momentOf(agent, tick));
        else if (nextMs < keptToMs) lost.push(`${stream} ${seq} of start ${start} never came`);
      }
      newestMs = Math.max(newestMs, ...tickMs.slice(-1).map((tick) => this.#momentOf(agent, tick ?? 0)));
    }
    if (killedMs !== undefined && Math.min(killedMs, keptToMs) - newestMs > SPEAKS_MS)
      lost.push(`of start ${start} nothing came of its last ${Math.round((killedMs - newestMs) / 1_000)} s`);
    return lost;
  }

  /** When the agent's clock last showed this. */
  #momentOf(agent: string, wallMs: number): number {
    return Math.max(0, ...this.#clocks.moments(agent, wallMs));
  }

  #take(frame: Frame, late: boolean, last: Map<string, number>): void {
    const { agent, boot, seq, group, tickMs } = frame;
    const nowMs = this.#clock.monoMs();
    this.#arrivedMs.set(agent, nowMs);
    const lane = this.#lane(agent, boot, streamOf(group));
    const before = lane.tickMs[seq];
    if (before !== undefined) {
      // Nobody knew yet that it is stored: the controller before died too soon, or it was said again meanwhile.
      if (before !== tickMs) this.#violate('telemetry', nowMs, `${nameOf(frame)} came again and is another`);
      return;
    }
    if (late) this.#stake('telemetry');
    lane.tickMs[seq] = tickMs;
    const place = `${late ? 'late' : 'live'} ${startOf(agent, boot)} ${group}`;
    if (seq < (last.get(place) ?? -1))
      this.#violate('telemetry', nowMs, `${nameOf(frame)} came out of its order`);
    last.set(place, seq);
  }

  #message(agent: string, payload: Uint8Array): Told[] {
    const { boot, seq, atMs, results, code, text } = JSON.parse(new TextDecoder().decode(payload)) as {
      readonly boot: number;
      readonly seq: number;
      readonly atMs?: number;
      readonly results?: readonly { readonly atMs: number }[];
      readonly code?: string;
      readonly text?: string;
    };
    this.#lane(agent, boot, 'messages').tickMs[seq] = atMs ?? results?.[0]?.atMs ?? 0;
    return code === undefined || text === undefined ? [] : [{ code, text }];
  }

  #lane(agent: string, boot: number, stream: Stream): Lane {
    const { lanes } = this.#boot(agent, boot);
    const lane = lanes.get(stream) ?? { tickMs: [] };
    lanes.set(stream, lane);
    return lane;
  }

  #boot(agent: string, boot: number): Boot {
    const one = this.#boots.get(startOf(agent, boot));
    if (one === undefined) throw new RangeError(`a start ${startOf(agent, boot)} that nobody made`);
    return one;
  }
}

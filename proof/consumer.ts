import type { Site } from '../config/site.ts';
import type { TelemetryStore } from '../controller/main.ts';
import type { BusMessage, Clock } from '../host/deps.ts';
import { decodeSegment, streamOf } from '../protocols/mqtt/backlog.ts';
import type { Stream } from '../protocols/mqtt/backlog.ts';
import type { Frame } from '../protocols/mqtt/frame.ts';
import { numberOf } from '../protocols/reading.ts';

/** How often a rack and the meters of the outage's site speak, ms. */
export const RACK_TICK_MS = 5_000;
export const METER_PERIOD_MS = 1_000;
/** What a power cut may take of frames not yet synced, ms. */
const UNSYNCED_MS = 3_000;
const PUT_MS = 3;

/** What a machine (−1: the meter) draws in the outage's world: it tells who was asked, and when. */
export const powerOf = (place: number, atMs: number): number =>
  1_000 + ((place * 97 + Math.floor(atMs / 1_000)) % 2_003);

export interface Verdict {
  /** Frames, and results and events, that were stored or taken. */
  readonly frames: number;
  readonly messages: number;
  /** Of the frames, how many came as backlog. */
  readonly late: number;
  /** Numbers missing in a stream of a boot, below the last that came. */
  readonly lost: number;
  /** As the controller counts them. */
  readonly lostByController: number;
  /** Stored twice. */
  readonly duplicated: number;
  /** Not in the order of their numbers: among the new ones, among the backlog, or by the time they tell. */
  readonly disordered: number;
  /** Readings that are not what the machine said at that time. */
  readonly wrong: number;
  /** Frames that a killed agent had for longer than a disk takes, and that never came, by the gap in time, s. */
  readonly worstKillGapS: number;
}

interface Lane {
  /** Per number: how often it was stored. */
  readonly times: number[];
  readonly tickMs: number[];
  /** The last number that came new, and as backlog, per group. */
  readonly last: Map<string, number>;
}

/** Stands where a store would: takes what the controller gives for good, and judges it by itself. */
export class Consumer implements TelemetryStore {
  readonly #clock: Clock;
  readonly #site: Site;
  readonly #lanes = new Map<string, Lane>();
  readonly #liveAtMs: number[] = [];
  readonly #kills: { readonly boot: number; readonly wallMs: number }[] = [];
  #late = 0;
  #disordered = 0;
  #wrong = 0;

  constructor(clock: Clock, site: Site) {
    this.#clock = clock;
    this.#site = site;
  }

  put(frames: readonly Frame[], late: boolean): Promise<void> {
    for (const frame of frames) this.#take(frame, late);
    if (!late) this.#liveAtMs.push(this.#clock.monoMs());
    return new Promise((resolve) => this.#clock.after(PUT_MS, resolve));
  }

  /** Results and events, as they reach the controller: said again is no fault here, missing is. */
  arrives({ topic, payload }: BusMessage): void {
    const kind = topic.split('/').at(-1);
    if (kind === 'result' || kind === 'event') this.#message(payload);
    if (kind !== 'backlog') return;
    const segment = decodeSegment(payload);
    if (segment.stream === 'messages') for (const { bytes } of segment.items) this.#message(bytes);
  }

  killed(boot: number, wallMs: number): void {
    this.#kills.push({ boot, wallMs });
  }

  /** Monotonic ms of the first new frame that came after this. */
  firstLiveAfter(monoMs: number): number | undefined {
    return this.#liveAtMs.find((atMs) => atMs >= monoMs);
  }

  verdict(lostByController: number): Verdict {
    let [frames, messages, lost, duplicated, disordered] = [0, 0, 0, 0, this.#disordered];
    for (const [name, { times, tickMs }] of this.#lanes) {
      for (let seq = 0; seq < times.length; seq += 1) {
        const count = times[seq] ?? 0;
        if (count === 0) lost += 1;
        else if (name.endsWith('messages')) messages += 1;
        else {
          frames += 1;
          duplicated += count - 1;
          if ((tickMs[seq] ?? 0) < (tickMs[seq - 1] ?? 0)) disordered += 1;
        }
      }
    }
    const gaps = this.#kills.map(({ boot, wallMs }) => {
      const last = this.#lane(boot, 'meters').tickMs.at(-1) ?? 0;
      return Math.max(0, wallMs - last - UNSYNCED_MS) / 1_000;
    });
    return {
      frames,
      messages,
      late: this.#late,
      lost,
      lostByController,
      duplicated,
      disordered,
      wrong: this.#wrong,
      worstKillGapS: Math.max(0, ...gaps),
    };
  }

  #take(frame: Frame, late: boolean): void {
    const { boot, seq, group, tickMs, rows, cells } = frame;
    const lane = this.#lane(boot, streamOf(group));
    lane.times[seq] = (lane.times[seq] ?? 0) + 1;
    lane.tickMs[seq] = tickMs;
    if (late) this.#late += 1;
    const place = `${late ? 'late' : 'live'} ${group}`;
    if (seq <= (lane.last.get(place) ?? -1)) this.#disordered += 1;
    lane.last.set(place, seq);
    for (const [row, id] of rows.entries()) {
      const readings = cells[row] ?? {};
      const index = group === 'meters' ? -1 : this.#site.machines.findIndex((machine) => machine.id === id);
      const reading = readings[index < 0 ? 'power.active.total' : 'power'];
      if (reading?.ok === true && numberOf(reading) !== powerOf(index, reading.atMs)) this.#wrong += 1;
    }
  }

  #message(payload: Uint8Array): void {
    const { boot, seq } = JSON.parse(new TextDecoder().decode(payload)) as { boot: number; seq: number };
    const lane = this.#lane(boot, 'messages');
    lane.times[seq] = (lane.times[seq] ?? 0) + 1;
  }

  #lane(boot: number, stream: Stream): Lane {
    const name = `${boot} ${stream}`;
    const lane = this.#lanes.get(name) ?? { times: [], tickMs: [], last: new Map<string, number>() };
    this.#lanes.set(name, lane);
    return lane;
  }
}

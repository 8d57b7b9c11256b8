import type { Site } from '../config/site.ts';
import type { Deps } from '../host/deps.ts';
import { watchDisk } from '../host/disk-room.ts';
import type { DiskRoom } from '../host/disk-room.ts';
import { leaseSchema } from '../protocols/mqtt/desired.ts';
import type { Lease } from '../protocols/mqtt/desired.ts';
import { decodeJson, encodeJson } from '../protocols/mqtt/json.ts';
import type { Frame } from '../protocols/mqtt/frame.ts';
import { agentTopic, desiredTopic, leaseTopic, lockoutsTopic } from '../protocols/mqtt/topics.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Effect } from './core/effects.ts';
import type { ControllerEvent, LedgerRecord, Now } from './core/events.ts';
import { clearAlarm, raiseAlarm } from './core/alarms.ts';
import { lastEpoch, recover } from './core/recover.ts';
import { emptyState } from './core/state.ts';
import type { SiteState } from './core/state.ts';
import { step } from './core/step.ts';
import { openIntake } from './intake.ts';
import { ledgerPath, openLedger, reserveBytesOf } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { Writing } from './writing.ts';
import { pollFeed } from './signals/feed.ts';
import { feedsOf } from './signals/list.ts';

/** What the controller needs of the world. */
export type ControllerDeps = Pick<Deps, 'clock' | 'http' | 'disk' | 'bus' | 'log' | 'report'>;

export interface Controller {
  /** The present state: read it, never change it. */
  readonly state: SiteState;
  /** Queues an event; it is taken before this returns unless another is being taken. */
  submit(event: ControllerEvent): void;
  /** Resolves once the lines are durable. */
  record(records: readonly LedgerRecord[]): Promise<void>;
  /** Called after every event that was taken. */
  onStep(handler: () => void): void;
  /** Frames, statuses and results taken and refused since start. */
  readonly counts: Counts;
  stop(): Promise<void>;
}

/**
 * Frames and messages since start. `late`: frames that came as backlog. `duplicates`: came again and were not taken
 * again. `lost`: numbers of agents that never came, because they were thinned out or let go.
 */
export interface Counts {
  frames: number;
  late: number;
  duplicates: number;
  refused: number;
  lost: number;
}

/**
 * Where frames are kept for good: they are acknowledged to their agent only when it has them. What is put a second
 * time under the same agent, boot, stream and number changes nothing. `late`: it is of the past.
 */
export interface TelemetryStore {
  put(frames: readonly Frame[], late: boolean): Promise<void>;
}

const TICK_MS = 1_000;

const MEANS: Readonly<Record<DiskRoom, string>> = {
  ample: 'there is room again',
  low: 'debug lines are left out',
  short: 'debug lines are left out',
  full: 'debug lines are left out, and in the ledger alarms that are not of high priority wait for room',
};
/** Starts the controller of one site: one queue, one step, one table of executors. */
export async function startController(options: {
  site: Site;
  deps: ControllerDeps;
  dataDir: string;
  /** Absent: frames live in this process's memory alone, and are acknowledged once they are there. */
  store?: TelemetryStore;
  /** Another controller is in charge: nothing is said any more, and the process is to end. */
  onStepDown: (fault: Fault) => void;
}): Promise<Controller> {
  const { site, deps, dataDir } = options;
  const { ledger, records } = await openLedger(deps.disk, ledgerPath(dataDir), reserveBytesOf(site));
  const epoch = lastEpoch(records) + 1;
  const state = emptyState(site, epoch, deps.clock.monoMs());
  recover(state, records, deps.clock.wallMs());
  await ledger.append([{ t: 'start', schema: 1, atMs: deps.clock.wallMs(), site: site.id, epoch }]);
  deps.log.info({ site: site.id, epoch, recovered: records.length }, 'controller-started');
  const loop = new Loop(state, ledger, deps, options.onStepDown);
  deps.bus.onState((connected) => loop.submit({ kind: 'bus', connected }));
  const intake = await openIntake({ site, deps, taker: loop, store: options.store });
  const watch = watchDisk({
    disk: deps.disk,
    clock: deps.clock,
    path: ledgerPath(dataDir),
    onRoom: (room, used) =>
      loop.room(room, `${Math.floor(used * 100)} % of the disk below ${dataDir} are used: ${MEANS[room]}`),
  });
  loop.onDeciding = () => intake.forget();
  await listenToBeats(site, deps, (beat) => loop.submit({ kind: 'beat', beat }));
  const stops = feedsOf(site).map((source) => pollFeed(source, deps, (event) => loop.submit(event)));
  const stopTicks = repeat(deps, TICK_MS, () => {
    if (ledger.reserve.short) void ledger.refill();
    loop.writing.look();
    loop.submit({ kind: 'tick', reserve: ledger.reserve, ...loop.writing.unwritten() });
  });
  return {
    state,
    submit: (event) => loop.submit(event),
    record: (lines) => loop.writing.record(lines),
    onStep: (handler) => {
      loop.onStep = handler;
    },
    counts: loop.counts,
    stop: async () => {
      stopTicks();
      watch.stop();
      for (const stop of stops) stop();
      loop.stop();
      await ledger.close();
    },
  };
}

/** Beats on the bus are also how one controller hears of another. */
function listenToBeats(
  site: Site,
  { bus, log }: Pick<ControllerDeps, 'bus' | 'log'>,
  take: (beat: Lease) => void,
): Promise<void> {
  return bus.subscribe(leaseTopic(site.id), ({ payload, retained }) => {
    if (retained || payload.length === 0) return;
    try {
      take(decodeJson<Lease>(leaseSchema, payload));
    } catch (error) {
      log.warn({ code: asFault(error).code, detail: asFault(error).detail }, 'beat-refused');
    }
  });
}

/** Fixed-rate ticks on the monotonic clock; a late one does not shift the next. */
function repeat(deps: Pick<ControllerDeps, 'clock'>, periodMs: number, fn: () => void): () => void {
  let dueMs = deps.clock.monoMs() + periodMs;
  let cancel = (): void => {};
  const arm = (): void => {
    cancel = deps.clock.after(Math.max(0, dueMs - deps.clock.monoMs()), () => {
      dueMs = Math.max(dueMs + periodMs, deps.clock.monoMs());
      arm();
      fn();
    });
  };
  arm();
  return () => cancel();
}

/** Takes events one by one, in order, and carries out what `step` returns. */
class Loop {
  readonly counts: Counts = { frames: 0, late: 0, duplicates: 0, refused: 0, lost: 0 };
  onStep: () => void = () => {};
  /** Called once, when the first picture is complete. */
  onDeciding: () => void = () => {};
  readonly #state: SiteState;
  readonly #deps: ControllerDeps;
  readonly #queue: ControllerEvent[] = [];
  readonly #writing: Writing;
  #taking = false;
  #stopped = false;

  readonly #onStepDown: (fault: Fault) => void;

  constructor(state: SiteState, ledger: Ledger, deps: ControllerDeps, onStepDown: (fault: Fault) => void) {
    this.#onStepDown = onStepDown;
    this.#state = state;
    this.#deps = deps;
    this.#writing = new Writing({
      ledger,
      clock: deps.clock,
      log: deps.log,
      carryOut: (effects) => this.#carryOut(effects),
      raise: (code, text) => raiseAlarm(state, this.#now(), code, 'ledger', text),
      clear: (code) => clearAlarm(state, this.#now(), code, 'ledger'),
    });
  }

  submit(event: ControllerEvent): void {
    this.#queue.push(event);
    if (this.#taking) return;
    this.#taking = true;
    for (let next = this.#queue.shift(); next !== undefined && !this.#stopped; next = this.#queue.shift()) {
      const before = this.#state.deciding;
      const effects = step(this.#state, next, this.#now());
      if (!before && this.#state.deciding) this.onDeciding();
      this.#carryOut(effects);
      this.onStep();
    }
    this.#taking = false;
  }

  durable(): Promise<boolean> {
    return this.#writing.durable();
  }

  isFull(): boolean {
    return this.#writing.isFull();
  }

  get writing(): Writing {
    return this.#writing;
  }

  /** The disk has another room. */
  room(room: DiskRoom, text: string): void {
    const { log } = this.#deps;
    log.dropDebug?.(room !== 'ample');
    log.info({ room }, 'disk');
    this.#writing.room = room;
    // Ended and begun again: its words say what has given way so far.
    this.#carryOut(clearAlarm(this.#state, this.#now(), 'DISK_LOW', 'controller'));
    if (room !== 'ample')
      this.#carryOut(raiseAlarm(this.#state, this.#now(), 'DISK_LOW', 'controller', text));
  }

  stop(): void {
    this.#stopped = true;
    this.#writing.stop();
  }

  #now(): Now {
    return { wallMs: this.#deps.clock.wallMs(), monoMs: this.#deps.clock.monoMs() };
  }

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) this.#execute(effect);
  }

  #execute(effect: Effect): void {
    const { site } = this.#state;
    switch (effect.kind) {
      case 'report':
        this.#deps.report(effect.event);
        break;
      case 'ledger':
        this.#writing.write(effect);
        break;
      case 'desired':
        // A newer generation may have been decided while this one was being written down; and one not yet written
        // down (said again after a reconnect) waits for its own ledger line.
        if (
          (this.#state.rackGeneration.get(effect.desired.rack) ?? 0) <= effect.desired.generation &&
          effect.desired.generation <= this.#writing.generation(effect.desired.rack)
        )
          this.#publish(desiredTopic(site.id, effect.desired.rack), effect.desired, true, 1);
        break;
      case 'lockouts':
        this.#publish(lockoutsTopic(site.id, effect.lockouts.rack), effect.lockouts, true, 1);
        break;
      case 'lease':
        this.#publish(leaseTopic(site.id), effect.lease, false, 0);
        break;
      case 'ack':
        this.#publish(agentTopic(site.id, effect.ack.agent, 'ack'), effect.ack, false, 0);
        break;
      case 'action':
        this.#publish(agentTopic(site.id, effect.agent, 'action'), effect.action, false, 1);
        break;
      case 'step-down':
        this.#stopped = true;
        this.#onStepDown(new Fault('CONTROLLER_SUPERSEDED', effect.detail));
        break;
    }
  }

  #publish(topic: string, message: unknown, retain: boolean, qos: 0 | 1): void {
    if (this.#stopped || !this.#deps.bus.connected) return;
    this.#deps.bus.publish(topic, encodeJson(message), { retain, qos }).catch((error: unknown) => {
      // What is retained is said again after the reconnect; a beat or an ack is replaced by the next.
      this.#deps.log.debug({ topic, detail: asFault(error, 'BUS_OFFLINE').detail }, 'publish-failed');
    });
  }
}

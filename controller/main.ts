import type { Site } from '../config/site.ts';
import type { Deps } from '../host/deps.ts';
import { leaseSchema } from '../protocols/mqtt/desired.ts';
import type { Lease } from '../protocols/mqtt/desired.ts';
import { decodeJson, encodeJson } from '../protocols/mqtt/json.ts';
import type { Frame } from '../protocols/mqtt/frame.ts';
import { agentTopic, desiredTopic, leaseTopic, lockoutsTopic } from '../protocols/mqtt/topics.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
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

/** Lines that commands are, or that stand before them. */
const COMMANDS: ReadonlySet<LedgerRecord['t']> = new Set(['before', 'notice', 'command']);
const isCommand = ({ records }: Pick<LedgerEffect, 'records'>): boolean =>
  records.some(({ t }) => COMMANDS.has(t));

type LedgerEffect = Extract<Effect, { kind: 'ledger' }>;

/** What is to be written down, and done once it is. */
interface Line extends Pick<LedgerEffect, 'records' | 'after'> {
  readonly sinceMonoMs: number;
}

const TICK_MS = 1_000;
/** What could not be written down is tried again after this. */
const AGAIN_MS = 1_000;
/** Lines that may wait for the disk; commands do not pile up and are never let go. */
const MOST_UNWRITTEN = 4_000;
/** Lines that are written together at most: a log takes no more at once. */
const MOST_TOGETHER = 1_000;

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
  loop.onDeciding = () => intake.forget();
  await listenToBeats(site, deps, (beat) => loop.submit({ kind: 'beat', beat }));
  const stops = feedsOf(site).map((source) => pollFeed(source, deps, (event) => loop.submit(event)));
  const stopTicks = repeat(deps, TICK_MS, () => {
    if (ledger.reserve.short) void ledger.refill();
    loop.submit({ kind: 'tick', reserve: ledger.reserve, ...loop.unwritten() });
  });
  return {
    state,
    submit: (event) => loop.submit(event),
    record: (lines) => loop.record(lines),
    onStep: (handler) => {
      loop.onStep = handler;
    },
    counts: loop.counts,
    stop: async () => {
      stopTicks();
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
  readonly #ledger: Ledger;
  readonly #deps: ControllerDeps;
  readonly #queue: ControllerEvent[] = [];
  /** Per rack, the newest generation whose ledger line is durable. */
  readonly #written = new Map<string, number>();
  /** Whether every ledger line so far became durable. */
  #durable: Promise<boolean> = Promise.resolve(true);
  /** Why lines could not be written; each is an alarm until one is. */
  readonly #ledgerTroubles = new Set<FaultCode>();
  /** What is not written down yet: written in this order, each until it stands; commands are said after that. */
  readonly #unwritten: Line[] = [];
  #writing = false;
  /** Takes back the next attempt, while the last one has failed. */
  #again: (() => void) | undefined;
  /** Lines that found no room among those that wait. */
  #dropped = 0;
  /** Settles with the next attempt to write them. */
  #attempt: PromiseWithResolvers<void> | undefined;
  #taking = false;
  #stopped = false;

  readonly #onStepDown: (fault: Fault) => void;

  constructor(state: SiteState, ledger: Ledger, deps: ControllerDeps, onStepDown: (fault: Fault) => void) {
    this.#onStepDown = onStepDown;
    this.#state = state;
    this.#ledger = ledger;
    this.#deps = deps;
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

  /** Whether every ledger line that waited when this was asked became durable. */
  durable(): Promise<boolean> {
    // Between two attempts nothing is being written, and yet something is not.
    const waits = this.#unwritten.length > 0 && this.#attempt === undefined && !this.#writing;
    return waits ? Promise.resolve(false) : this.#durable;
  }

  /** So much waits for the disk that no message is taken whose lines would have to wait too. */
  isFull(): boolean {
    return this.#unwritten.length >= MOST_UNWRITTEN;
  }

  /** What a person says stands behind what was there before it, or is refused. */
  async record(records: readonly LedgerRecord[]): Promise<void> {
    if (!(await this.durable()))
      throw new Fault('DISK_FAILED', 'the ledger cannot be written; what was decided before waits for it');
    await this.#ledger.append(records);
  }

  stop(): void {
    this.#stopped = true;
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
        this.#write(effect);
        break;
      case 'desired':
        // A newer generation may have been decided while this one was being written down; and one not yet written
        // down (said again after a reconnect) waits for its own ledger line.
        if (
          (this.#state.rackGeneration.get(effect.desired.rack) ?? 0) <= effect.desired.generation &&
          effect.desired.generation <= (this.#written.get(effect.desired.rack) ?? 0)
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

  /** Since when commands wait to be written down, when that is longer than a disk takes. */
  unwritten(): { unwrittenSinceMonoMs?: number } {
    const sinceMonoMs = this.#unwritten.find(isCommand)?.sinceMonoMs;
    const waits = sinceMonoMs !== undefined && this.#deps.clock.monoMs() - sinceMonoMs >= AGAIN_MS;
    return waits ? { unwrittenSinceMonoMs: sinceMonoMs } : {};
  }

  /**
   * Not durable means not done: a command goes out behind its own line and all that were decided before it, and a
   * message is acknowledged behind the lines it led to.
   */
  #write(line: LedgerEffect): void {
    if (this.isFull() && !isCommand(line)) return this.#drop(line.records.length);
    this.#unwritten.push({ ...line, sinceMonoMs: this.#deps.clock.monoMs() });
    // Between two attempts only a command is worth one of its own.
    if (this.#attempt !== undefined || (this.#again !== undefined && !isCommand(line))) return;
    this.#begin();
    // What is decided in one step is written together.
    void Promise.resolve().then(() => this.#writeLines());
  }

  #begin(): PromiseWithResolvers<void> {
    this.#attempt = Promise.withResolvers();
    this.#wait(this.#attempt.promise);
    return this.#attempt;
  }

  #drop(lines: number): void {
    this.#dropped += lines;
    this.#ledgerTroubles.add('QUEUE_FULL');
    const text = `${this.#dropped} lines found no room among ${this.#unwritten.length} that wait for the ledger and are not written`;
    const told = raiseAlarm(this.#state, this.#now(), 'QUEUE_FULL', 'ledger', text);
    this.#carryOut(told.filter((effect) => effect.kind === 'report'));
  }

  async #writeLines(): Promise<void> {
    if (this.#writing || this.#unwritten.length === 0) return;
    this.#again?.();
    this.#again = undefined;
    const attempt = this.#attempt ?? this.#begin();
    this.#attempt = undefined;
    // Who waits for it is told that nothing was written, rather than nothing at all.
    if (this.#stopped) return attempt.reject(new Fault('DISK_FAILED', 'the controller has stopped'));
    this.#writing = true;
    const isWritten = await this.#writeAll(this.#unwritten.length);
    this.#writing = false;
    if (!isWritten) {
      attempt.reject(new Fault('DISK_FAILED', 'lines wait for the ledger'));
      this.#again = this.#deps.clock.after(AGAIN_MS, () => {
        this.#again = undefined;
        void this.#writeLines();
      });
      return;
    }
    attempt.resolve();
    this.#endTroubles();
    await this.#writeLines();
  }

  /** Writes the first `left` of what waits; false when one could not be written: it and all behind it wait on. */
  async #writeAll(left: number): Promise<boolean> {
    if (left === 0) return true;
    const lines = this.#unwritten.slice(0, Math.min(left, MOST_TOGETHER));
    const records = lines.flatMap((line) => line.records);
    if (!(await this.#isWritten(records))) return false;
    this.#unwritten.splice(0, lines.length);
    for (const record of records)
      if (record.t === 'command') this.#written.set(record.rack, record.generation);
    for (const { after } of lines) this.#carryOut(after);
    return this.#writeAll(left - lines.length);
  }

  /** All that waited stands. */
  #endTroubles(): void {
    const troubles = [...this.#ledgerTroubles];
    this.#ledgerTroubles.clear();
    this.#dropped = 0;
    for (const code of troubles) this.#carryOut(clearAlarm(this.#state, this.#now(), code, 'ledger'));
  }

  /** True once these lines are durable; false when they could not be written, which is an alarm until some can. */
  async #isWritten(records: readonly LedgerRecord[]): Promise<boolean> {
    const writing = this.#ledger.append(records);
    this.#wait(writing);
    try {
      await writing;
    } catch (error) {
      const fault = asFault(error, 'DISK_FAILED');
      this.#deps.log.error({ code: fault.code, detail: fault.detail }, 'ledger-write-failed');
      this.#ledgerTroubles.add(fault.code);
      this.#carryOut(raiseAlarm(this.#state, this.#now(), fault.code, 'ledger', fault.detail));
      return false;
    }
    return !this.#stopped;
  }

  /** Counts what is being written among what `durable` waits for. */
  #wait(writing: Promise<void>): void {
    const durable = Promise.all([this.#durable, writing]).then(
      ([before]) => before,
      () => false,
    );
    this.#durable = durable;
    // What failed once must not be held against what comes after it.
    void durable.then(() => {
      if (this.#durable === durable) this.#durable = Promise.resolve(true);
    });
  }

  #publish(topic: string, message: unknown, retain: boolean, qos: 0 | 1): void {
    if (this.#stopped || !this.#deps.bus.connected) return;
    this.#deps.bus.publish(topic, encodeJson(message), { retain, qos }).catch((error: unknown) => {
      // What is retained is said again after the reconnect; a beat or an ack is replaced by the next.
      this.#deps.log.debug({ topic, detail: asFault(error, 'BUS_OFFLINE').detail }, 'publish-failed');
    });
  }
}

import type { Clock, Random } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Readings } from '../protocols/reading.ts';
import { callBack, hurry, makeSchedule, nextDueMs, pollDone, relax, takeDue } from './core/schedule.ts';
import type { Poll, ScheduleOptions } from './core/schedule.ts';

/** What comes out of polling. Times are monotonic ms. */
export interface PollHandlers {
  onReadings(index: number, readings: Readings, scope: 'fast' | 'full', beganMs: number): void;
  /** `failures`: how many in a row. */
  onFailure(index: number, fault: Fault, failures: number, change: 'lost' | 'returned' | undefined): void;
  onReturned(index: number): void;
  /** A read neither answered nor failed in its time: its device is to be opened anew. */
  onHung(index: number): void;
}

export interface PollerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly periodsMs: readonly number[];
  /** When each is asked first, monotonic ms; absent: spread over its period. */
  readonly phasesMs?: readonly number[];
  readonly schedule: ScheduleOptions;
  readonly timeoutMs: (index: number) => number;
  readonly read: (index: number, scope: 'fast' | 'full', timeoutMs: number) => Promise<Readings>;
  readonly handlers: PollHandlers;
}

export interface Poller {
  hurry(index: number, everyMs: number, untilMs: number): void;
  relax(index: number): void;
  /** Asks a silent device now: something answers where it is. */
  callBack(index: number): void;
  isSilent(index: number): boolean;
  /** Gives up reads that never end. Called once a second. */
  sweep(): void;
  stop(): void;
}

/** Added to a read's own limit before it counts as hung. */
const GRACE_MS = 2_000;

/** Reads devices by the schedule, one timer for all of them. */
export function startPoller(options: PollerOptions): Poller {
  const { clock, random, handlers, timeoutMs } = options;
  const schedule = makeSchedule(options.periodsMs, options.schedule, clock.monoMs(), options.phasesMs);
  let cancel: (() => void) | undefined;
  let armedMs = Number.POSITIVE_INFINITY;
  let stopped = false;

  const arm = (): void => {
    const dueMs = nextDueMs(schedule);
    if (stopped || dueMs === undefined || dueMs >= armedMs) return;
    cancel?.();
    armedMs = dueMs;
    cancel = clock.after(Math.max(0, dueMs - clock.monoMs()), fire);
  };
  const fire = (): void => {
    armedMs = Number.POSITIVE_INFINITY;
    cancel = undefined;
    for (const poll of takeDue(schedule, clock.monoMs())) ask(poll);
    arm();
  };
  const ask = ({ index, scope }: Poll): void => {
    const beganMs = clock.monoMs();
    const version = schedule.slots[index]?.version;
    const mine = (): boolean => !stopped && schedule.slots[index]?.version === version;
    start(options, index, scope).then(
      (readings) => {
        if (mine()) end(index, readings, scope, beganMs);
      },
      (error: unknown) => {
        if (mine()) fail(index, asFault(error, 'INTERNAL'));
      },
    );
  };
  const end = (index: number, readings: Readings, scope: 'fast' | 'full', beganMs: number): void => {
    const change = pollDone(schedule, index, true, clock.monoMs(), random.next());
    if (change === 'returned') handlers.onReturned(index);
    handlers.onReadings(index, readings, scope, beganMs);
    arm();
  };
  const fail = (index: number, fault: Fault): void => {
    const change = pollDone(schedule, index, false, clock.monoMs(), random.next());
    handlers.onFailure(index, fault, schedule.slots[index]?.failures ?? 0, change);
    arm();
  };
  arm();
  return {
    hurry: (index, everyMs, untilMs) => {
      hurry(schedule, index, everyMs, untilMs, clock.monoMs());
      arm();
    },
    relax: (index) => relax(schedule, index),
    callBack: (index) => {
      callBack(schedule, index, clock.monoMs());
      arm();
    },
    isSilent: (index) => schedule.slots[index]?.silent === true,
    sweep: () => {
      const nowMs = clock.monoMs();
      for (const slot of schedule.slots) {
        if (!slot.inFlight || nowMs - slot.startedMs <= timeoutMs(slot.index) + GRACE_MS) continue;
        handlers.onHung(slot.index);
        fail(slot.index, new Fault('NET_TIMEOUT', 'the read did not end'));
      }
    },
    stop: () => {
      stopped = true;
      cancel?.();
    },
  };
}

/** A driver that throws at once fails like one that rejects. */
function start(options: PollerOptions, index: number, scope: 'fast' | 'full'): Promise<Readings> {
  try {
    return options.read(index, scope, options.timeoutMs(index));
  } catch (error) {
    return Promise.reject(asFault(error, 'INTERNAL'));
  }
}

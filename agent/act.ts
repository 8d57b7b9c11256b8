import type { Clock } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Machine } from './machine.ts';
import type { SettingsBook } from './settings-book.ts';
import type { Step } from './core/reconcile.ts';

/** Longest wait for a device's answer to a verb. */
const VERB_TIMEOUT_MS = 15_000;
const GRACE_MS = 2_000;
/** Commands under way at once, over all racks. */
const MOST_RUNNING = 1_000;

export interface ActOptions {
  readonly clock: Clock;
  /** The settings of before, read and kept before a verb writes. */
  readonly settings: SettingsBook;
  readonly rackCount: number;
  readonly parallel: number;
  readonly parallelUrgent: number;
  /** What a machine needs at this moment, consent of the envelope included; undefined: nothing any more. */
  readonly next: (machine: Machine) => Step | undefined;
  readonly began: (machine: Machine, step: Step) => void;
  readonly ended: (machine: Machine, step: Step, fault: Fault | undefined) => void;
  /** Carries out a hand-over's next steps on a GPU host. */
  readonly handover: (machine: Machine, to: 'ai' | 'mine' | 'idle') => Promise<void>;
}

export type Lane = 'safety' | 'shed' | 'raise';
const LANES = ['safety', 'shed', 'raise'] as const satisfies readonly Lane[];

export interface Actor {
  /** Puts a machine in line; what it needs is asked again when its turn comes. */
  queue(machine: Machine, lane: Lane, urgent: boolean): void;
  /** Starts what may start. */
  pump(): void;
  stop(): void;
}

interface RackLine {
  readonly lanes: Readonly<Record<Lane, Machine[]>>;
  running: number;
  urgent: boolean;
}

/** One way to carry out each kind of step; the compiler keeps it complete. */
type Executors = {
  readonly [Kind in Step['kind']]: (machine: Machine, step: Extract<Step, { kind: Kind }>) => Promise<void>;
};

/** Carries out steps: safety first, then sheds, then raises; so many per rack at once, one per machine. */
export function makeActor(options: ActOptions): Actor {
  const racks = Array.from({ length: options.rackCount }, (): RackLine => ({
    lanes: { safety: [], shed: [], raise: [] },
    running: 0,
    urgent: false,
  }));
  const waiting: Record<Lane, number> = { safety: 0, shed: 0, raise: 0 };
  let running = 0;
  let stopped = false;
  const execute = makeExecute(options);
  const start = async (line: RackLine, machine: Machine, step: Step): Promise<void> => {
    machine.inFlight = true;
    line.running += 1;
    running += 1;
    options.began(machine, step);
    const fault = await outcome(execute(machine, step));
    machine.inFlight = false;
    line.running -= 1;
    running -= 1;
    if (stopped) return;
    options.ended(machine, step, fault);
    pump();
  };
  const pumpLane = (line: RackLine, lane: Lane): void => {
    const limit = lane === 'safety' || line.urgent ? options.parallelUrgent : options.parallel;
    const queue = line.lanes[lane];
    let taken = 0;
    const mayStart = (): boolean => line.running < limit && running < MOST_RUNNING;
    for (const machine of queue) {
      if (!mayStart()) break;
      taken += 1;
      // Moved to a lane before this one meanwhile.
      if (machine?.queued !== lane) continue;
      machine.queued = undefined;
      const step = machine.inFlight ? undefined : options.next(machine);
      if (step !== undefined) void start(line, machine, step);
    }
    if (taken === 0) return;
    waiting[lane] -= taken;
    queue.splice(0, taken);
  };
  const pump = (): void => {
    if (stopped) return;
    for (const lane of LANES) {
      // Load is added only when nothing that lowers it waits anywhere.
      if (lane === 'raise' && waiting.safety + waiting.shed > 0) return;
      if (waiting[lane] > 0) for (const line of racks) if (line.lanes[lane].length > 0) pumpLane(line, lane);
    }
    for (const line of racks) if (line.urgent && line.lanes.shed.length === 0) line.urgent = false;
  };
  return {
    queue: (machine, lane, urgent) => {
      const line = racks[machine.rack];
      if (line === undefined || stopped) return;
      line.urgent ||= urgent;
      if (machine.queued !== undefined && LANES.indexOf(machine.queued) <= LANES.indexOf(lane)) return;
      machine.queued = lane;
      line.lanes[lane].push(machine);
      waiting[lane] += 1;
    },
    pump,
    stop: () => {
      stopped = true;
    },
  };
}

/** Carries out one step; rejects with a Fault, also when a driver throws at once. */
function makeExecute({ clock, handover, settings }: Pick<ActOptions, 'clock' | 'handover' | 'settings'>) {
  const executors: Executors = {
    verb: (machine, step) => {
      const verb = machine.device.verbs[step.verb];
      if (verb === undefined) return Promise.reject(new Fault('VERB_UNSUPPORTED', step.verb));
      const argument = settings.argument(machine, step);
      const work = verb(argument, VERB_TIMEOUT_MS, settings.before(machine, step));
      return limited(
        clock,
        work.finally(() => settings.ended(machine)),
      );
    },
    handover: (machine, step) => handover(machine, step.to),
  };
  return <Kind extends Step['kind']>(
    machine: Machine,
    step: Extract<Step, { kind: Kind }> & { kind: Kind },
  ): Promise<void> => {
    try {
      return (executors[step.kind] as Executors[Kind])(machine, step);
    } catch (error) {
      return Promise.reject(asFault(error));
    }
  };
}

async function outcome(work: Promise<void>): Promise<Fault | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return asFault(error);
  }
}

/** A verb that neither ends nor fails is given up: what it did is unknown, and readings will tell. */
function limited(clock: Clock, work: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(VERB_TIMEOUT_MS + GRACE_MS, () =>
      reject(new Fault('NET_TIMEOUT', 'the command did not end')),
    );
    work.then(
      () => {
        cancel();
        resolve();
      },
      (error: unknown) => {
        cancel();
        reject(asFault(error));
      },
    );
  });
}

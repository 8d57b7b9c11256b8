import type { Site } from '../config/site.ts';
import type { Clock, Log } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { Ack, Observed } from '../protocols/mqtt/status.ts';
import type { Alarms } from './alarms.ts';
import type { DeviceIo, Target } from './driver.ts';
import { openUtilityTerminal } from './drivers/utility-terminal.ts';
import type { UtilityObservation, UtilityTerminal } from './drivers/utility-terminal.ts';

export interface UtilityOptions {
  readonly terminal: UtilityTerminal;
  readonly clock: Clock;
  readonly log: Log;
  readonly periodMs: number;
  readonly onObserved: (utility: Observed['utility']) => void;
}

/** The agent's side of the utility's remote terminal: says what it shows, writes what the controller has it say. */
export interface Utility {
  /** What the controller wants shown. */
  show(report: NonNullable<Ack['utility']>): void;
  stop(): void;
}

const TIMEOUT_MS = 2_000;
const WRITE_MS = 1_000;
/** Without news from the controller our heartbeat stands still, so that the utility sees that nobody decides. */
const STALE_MS = 10_000;
const SAY_MS = 1_000;

/**
 * The utility's terminal, polled by the agent that the site file names for it; undefined for the others, and with an
 * alarm when its target cannot be used.
 */
export function openUtility(
  options: Omit<UtilityOptions, 'terminal' | 'periodMs'> & {
    readonly site: Site;
    readonly agent: string;
    readonly io: DeviceIo;
    readonly target: (url: string) => Target;
    readonly alarms: Alarms;
  },
): Utility | undefined {
  const { site, agent } = options;
  const { utility } = site.config;
  if (utility === undefined || (utility.agent ?? site.agents[0]) !== agent) return undefined;
  try {
    const terminal = openUtilityTerminal(options.target(utility.target), options.io);
    return startUtility({ ...options, terminal, periodMs: utility.periodMs });
  } catch (error) {
    options.log.error({ why: String(error) }, 'the utility terminal cannot be used');
    options.alarms.raise('TARGET_INVALID', 'utility', String(error).slice(0, 300));
    return undefined;
  }
}

/** Polls the terminal; publishes every second and at once on change; writes the report every second. */
function startUtility(options: UtilityOptions): Utility {
  const { terminal, clock, log } = options;
  let stopped = false;
  let beat: { readonly value: number; readonly changedMs: number } | undefined;
  let last: UtilityObservation | undefined;
  let trouble: Extract<Observed['utility'], { ok: false }> | undefined;
  let saidMs = Number.NEGATIVE_INFINITY;
  let lost = false;

  const say = (): void => {
    saidMs = clock.monoMs();
    if (trouble !== undefined) options.onObserved(trouble);
    else if (last !== undefined)
      options.onObserved(observedOf(last, clock.monoMs() - (beat?.changedMs ?? clock.monoMs())));
  };
  const take = (seen: UtilityObservation): void => {
    const isNew =
      last === undefined ||
      trouble !== undefined ||
      seen.sequence !== last.sequence ||
      seen.limitKw !== last.limitKw ||
      seen.kind !== last.kind;
    if (beat?.value !== seen.heartbeat) beat = { value: seen.heartbeat, changedMs: clock.monoMs() };
    last = seen;
    trouble = undefined;
    if (lost) log.info({}, 'utility terminal is back');
    lost = false;
    if (isNew) say();
  };
  const miss = (error: unknown): void => {
    const fault = asFault(error);
    const isNew = trouble?.why !== fault.code;
    trouble = { ok: false, why: fault.code, detail: fault.detail.slice(0, 300) };
    if (!lost) log.warn({ why: fault.message }, 'utility terminal is lost');
    lost = true;
    if (isNew) say();
  };
  /** One question at a time: a slow terminal is asked less often, never twice at once. */
  const readLoop = async (): Promise<void> => {
    const beganMs = clock.monoMs();
    try {
      take(await terminal.read(TIMEOUT_MS));
    } catch (error) {
      miss(error);
    }
    if (!stopped)
      clock.after(Math.max(50, options.periodMs - (clock.monoMs() - beganMs)), () => void readLoop());
  };
  const sayLoop = (): void => {
    if (stopped) return;
    if (clock.monoMs() - saidMs >= SAY_MS) say();
    clock.after(SAY_MS / 4, sayLoop);
  };
  void readLoop();
  const writer = startWriter(options);
  sayLoop();
  return {
    show: (report) => writer.show(report),
    stop: () => {
      stopped = true;
      writer.stop();
    },
  };
}

/** Writes what is to be shown, every second, while it is fresh. */
function startWriter({ terminal, clock }: Pick<UtilityOptions, 'terminal' | 'clock'>): Utility {
  let stopped = false;
  let heartbeat = 0;
  let shown: { readonly report: NonNullable<Ack['utility']>; readonly atMs: number } | undefined;
  const writeLoop = async (): Promise<void> => {
    const beganMs = clock.monoMs();
    if (shown !== undefined && beganMs - shown.atMs <= STALE_MS) {
      heartbeat = (heartbeat + 1) % 0x1_0000;
      // Its loss shows in reading; the next second says it again.
      await terminal.report({ ...shown.report, heartbeat }, WRITE_MS).catch(() => undefined);
    }
    if (!stopped) clock.after(Math.max(50, SAY_MS - (clock.monoMs() - beganMs)), () => void writeLoop());
  };
  void writeLoop();
  return {
    show: (report) => {
      shown = { report, atMs: clock.monoMs() };
    },
    stop: () => {
      stopped = true;
    },
  };
}

function observedOf(seen: UtilityObservation, heartbeatAgeMs: number): Observed['utility'] {
  const { limitKw, deadlineS, sequence, kind, heartbeat } = seen;
  const always = { ok: true, deadlineS, sequence, kind, heartbeat, heartbeatAgeMs } as const;
  return limitKw === undefined ? always : { ...always, limitKw };
}

import type { Clock } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import { modeOf, numberOf } from '../protocols/reading.ts';
import type { Readings } from '../protocols/reading.ts';
import type { Pool } from '../config/pools.ts';
import type { Device, Settings, Verb } from './driver.ts';
import { besidePools, showsPools } from './pools.ts';

/** Outcome of one command: the vendor's OK alone, its effect seen in readings, or neither. */
export interface Verified {
  readonly stage: 'acknowledged' | 'observed' | 'failed';
  /** From dispatch to the outcome. */
  readonly ms: number;
  readonly before: Readings | undefined;
  readonly after: Readings | undefined;
  /** Why it failed. */
  readonly fault?: Fault;
}

interface Wait {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly pollMs: number;
}

/** Nothing a device reports shows these. */
const UNSEEN: readonly Told[0][] = ['locate'];
/** A limit is kept within this share of itself. */
const LIMIT_TOLERANCE = 1.05;
/** What may have gone out before it was said: only a reading tells whether it was carried out. */
export const AMBIGUOUS: readonly FaultCode[] = ['NET_TIMEOUT', 'NET_RESET', 'ANSWER_PARTIAL'];

/** What a device can be told, with what goes with it. */
export type Told =
  | readonly [verb: Verb, argument: number | undefined]
  | readonly [verb: 'pools', argument: readonly Pool[]];

/**
 * Carries a verb out and watches for its effect in readings that began after the dispatch, until it shows or
 * `timeoutMs` is over. Never rejects: what went wrong is in `fault`.
 */
export async function actAndVerify(
  device: Device,
  ...[verb, argument, wait]: readonly [...Told, Wait]
): Promise<Verified> {
  const { clock, timeoutMs } = wait;
  const act = verb === 'pools' ? poolsVerb(device, argument) : plainVerb(device, verb, argument);
  if (!act)
    return {
      stage: 'failed',
      ms: 0,
      before: undefined,
      after: undefined,
      fault: new Fault('VERB_UNSUPPORTED', `${verb}: ${verbsOf(device)}`),
    };
  const before = await tryRead(device, timeoutMs);
  const settings = device.settings?.newest()?.settings ?? {};
  const startMs = clock.monoMs();
  const elapsedMs = (): number => clock.monoMs() - startMs;
  const unanswered = await act(timeoutMs).then(() => undefined, asFault);
  const isOpen =
    unanswered !== undefined && before.readings !== undefined && AMBIGUOUS.includes(unanswered.code);
  if (unanswered !== undefined && (!isOpen || UNSEEN.includes(verb))) {
    const after = await tryRead(device, timeoutMs);
    return {
      stage: 'failed',
      ms: elapsedMs(),
      before: before.readings,
      after: after.readings,
      fault: unanswered,
    };
  }
  if (UNSEEN.includes(verb)) {
    const after = await tryRead(device, timeoutMs);
    return { stage: 'acknowledged', ms: elapsedMs(), before: before.readings, after: after.readings };
  }
  const sinceMs = clock.monoMs();
  const isDone = (after: Readings): boolean =>
    verb === 'pools'
      ? poolsShow(device, argument, sinceMs)
      : shows(verb, argument, before.readings, after, elapsedMs());
  // A silence may have taken all the time there was.
  const mostMs = unanswered === undefined ? timeoutMs : elapsedMs() + timeoutMs;
  const watched = await watch(
    device,
    { ...wait, timeoutMs: mostMs, startMs, shows: isDone },
    before.readings,
  );
  // Nothing shows it: what broke off is the better reason.
  const outcome =
    watched.stage === 'failed' && unanswered !== undefined ? { ...watched, fault: unanswered } : watched;
  const disturbed =
    verb === 'pools' && outcome.stage === 'observed' ? changesBeside(device, settings) : undefined;
  return disturbed === undefined
    ? outcome
    : { ...outcome, stage: 'failed', fault: new Fault('SETTING_DISTURBED', disturbed) };
}

type Act = (timeoutMs: number) => Promise<void>;

function poolsVerb({ verbs }: Device, pools: readonly Pool[]): Act | undefined {
  const set = verbs.pools;
  return set && ((timeoutMs) => set(pools, timeoutMs));
}

function plainVerb({ verbs }: Device, verb: Verb, argument: number | undefined): Act | undefined {
  const act = verbs[verb];
  return act && ((timeoutMs) => act(argument, timeoutMs));
}

/** Its settings, as read from `sinceMs` on, have these pools. */
export function poolsShow(device: Device, pools: readonly Pool[], sinceMs: number): boolean {
  const newest = device.settings?.newest();
  return newest !== undefined && newest.beganMs >= sinceMs && showsPools(pools, newest.settings);
}

/** Settings beside the pools that are not what they were, in words; undefined: none. */
function changesBeside(device: Device, before: Settings): string | undefined {
  const now = besidePools(device.settings?.newest()?.settings ?? {});
  const changed = Object.entries(now).filter(
    ([name, value]) => before[name] !== undefined && before[name] !== value,
  );
  return changed.length === 0
    ? undefined
    : changed.map(([name, value]) => `${name} was ${before[name]}, is ${value}`).join(', ');
}

async function watch(
  device: Device,
  wait: Wait & { readonly startMs: number; readonly shows: (after: Readings) => boolean },
  before: Readings | undefined,
): Promise<Verified> {
  const { clock, startMs, timeoutMs } = wait;
  let last: Tried = { readings: undefined };
  for (;;) {
    const leftMs = startMs + timeoutMs - clock.monoMs();
    if (leftMs <= 0) break;
    // Every reading here begins after the dispatch: an older one proves nothing.
    const tried = await tryRead(device, leftMs);
    last = tried.readings ? tried : { ...last, ...(tried.why !== undefined && { why: tried.why }) };
    const ms = clock.monoMs() - startMs;
    if (tried.readings && wait.shows(tried.readings))
      return { stage: 'observed', ms, before, after: tried.readings };
    if (ms + wait.pollMs >= timeoutMs) break;
    await new Promise<void>((resolve) => {
      clock.after(wait.pollMs, resolve);
    });
  }
  const detail = [last.readings && describe(last.readings), last.why].filter((part) => part !== undefined);
  const fault = new Fault('VERB_NOT_OBSERVED', detail.join('; last read: '));
  return { stage: 'failed', ms: clock.monoMs() - startMs, before, after: last.readings, fault };
}

function verbsOf(device: Device): string {
  const has = Object.keys(device.verbs);
  return has.length === 0 ? 'this device takes no commands' : `this device has ${has.join(', ')}`;
}

interface Tried {
  readonly readings: Readings | undefined;
  readonly why?: string;
}

async function tryRead(device: Device, timeoutMs: number): Promise<Tried> {
  try {
    return { readings: await device.read('full', timeoutMs) };
  } catch (error) {
    return { readings: undefined, why: asFault(error).message };
  }
}

function shows(
  verb: Verb,
  argument: number | undefined,
  before: Readings | undefined,
  after: Readings,
  sinceMs: number,
): boolean {
  const mode = modeOf(after);
  switch (verb) {
    case 'sleep':
      return mode === 'sleep';
    case 'wake':
    case 'mine-start':
      return mode === 'mine';
    case 'mine-stop':
      return mode === 'idle' || mode === 'sleep';
    case 'ai-start':
      return mode === 'ai';
    case 'ai-stop':
      return mode !== undefined && mode !== 'ai';
    case 'power-limit':
      return limitShows(argument, after);
    case 'cap':
      return capShows(argument, after);
    case 'outlet-on':
    case 'outlet-off': {
      const outlet = after['outlet'];
      return outlet?.ok === true && `outlet-${outlet.value}` === verb;
    }
    case 'reboot': {
      const uptimeS = numberOf(after['uptime']);
      const beforeS = numberOf(before?.['uptime']) ?? Number.POSITIVE_INFINITY;
      return uptimeS !== undefined && uptimeS < beforeS && uptimeS <= sinceMs / 1_000 + 1;
    }
    default:
      return false;
  }
}

/** The limit is set and the draw keeps it. */
function limitShows(limitW: number | undefined, after: Readings): boolean {
  const powerW = numberOf(after['power']);
  return (
    limitW !== undefined &&
    numberOf(after['power.limit']) === limitW &&
    powerW !== undefined &&
    powerW <= limitW * LIMIT_TOLERANCE
  );
}

/** Every GPU whose limit can be read has the one asked for, and at least one can be read. */
function capShows(capW: number | undefined, after: Readings): boolean {
  const limits = Object.entries(after).filter(([name]) => /^gpu\.\d+\.powerLimit$/.test(name));
  return (
    limits.length > 0 &&
    capW !== undefined &&
    limits.every(([, reading]) => Math.abs((numberOf(reading) ?? Number.NaN) - capW) <= 1)
  );
}

function describe(readings: Readings): string {
  const mode = readings['mode'];
  const powerW = numberOf(readings['power']);
  const says = mode?.ok ? `mode ${mode.value}` : `mode unknown: ${mode?.why ?? 'not reported'}`;
  return powerW === undefined ? says : `${says}, ${Math.round(powerW)} W`;
}

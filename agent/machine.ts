import type { SiteMachine } from '../config/site.ts';
import type { Fault } from '../protocols/faults.ts';
import type { Inhibition } from '../protocols/mqtt/status.ts';
import { modeOf, numberOf } from '../protocols/reading.ts';
import type { Rows } from '../protocols/mqtt/rows.ts';
import type { Mode, Reading, Readings } from '../protocols/reading.ts';
import type { Device } from './driver.ts';
import { drawW, isAtRest, settleMs } from './core/draw.ts';
import type { Held } from './core/guard.ts';
import { handoverProfile, unknownState } from './core/handover-state.ts';
import type { GpuObservation, GpuWanted, HandoverProfile, HandoverState } from './core/handover-state.ts';
import type { Attempt } from './core/reconcile.ts';

/** How often a machine under command is read, ms. */
export const COMMAND_POLL_MS = 2_000;

/** A device that can also tell who owns its GPUs. */
export interface ObservingDevice extends Device {
  observe(timeoutMs: number): Promise<GpuObservation>;
}

export const canObserve = (device: Device): device is ObservingDevice =>
  'observe' in device && typeof device.observe === 'function';

/** Everything the agent knows of one machine and does to it. Times are monotonic ms. Owned by the agent's main loop. */
export interface Machine {
  readonly at: number;
  readonly config: SiteMachine;
  /** Place of its rack and of its own nodes (rack first) in the agent's lists. */
  readonly rack: number;
  readonly path: readonly number[];
  /** As `path`: the share of its draw that flows there; changes when one of two feeds is lost. */
  shares: readonly number[];
  device: Device;
  /** Its row has the newest of every quantity; failures with their reason when it stopped answering. */
  readonly rows: Rows;
  readonly row: number;
  mode: Mode | undefined;
  modeSinceMs: number;
  /** Draw by the newest reading; undefined when unknown. */
  powerW: number | undefined;
  lastPowerW: number | undefined;
  powerLimitW: number | undefined;
  /** When the newest reading began; -Infinity before the first. */
  beganMs: number;
  reachable: boolean;
  /** Since when it has been answering without a gap. */
  answersSinceMs: number;
  /** When a question to it last went without an answer; -Infinity: none has. It may have started anew since. */
  missedMs: number;
  attempt: Attempt | undefined;
  /** The mode it was last told to be in before the agent started; until it is told anew, or found without power. */
  toldBefore: Mode | undefined;
  inFlight: boolean;
  queued: 'safety' | 'shed' | 'raise' | undefined;
  /** The goal whose results were reported, and which stages. */
  reportedFor: string;
  readonly reported: Set<string>;
  /** The power limit that one of ours has overwritten, W: it comes back when none is wanted. */
  restoreLimitW: number | undefined;
  /** Nothing is raised, nothing is shed for those below the ramp, before this: the agent's own limits said so. */
  raiseAfterMs: number;
  shedAfterMs: number;
  held: Held | undefined;
  /** The fail-safe rests it. */
  resting: boolean;
  /** A person has taken it out of automation's hands: what a controller wants of it is not carried out. */
  manual: boolean;
  /** Locked out, in words; `owed`: it is still to be put to rest for that, once. */
  lockout: { readonly words: string; owed: boolean } | undefined;
  /** Why it is on the quarantine list, in words: it takes commands and does not obey. */
  quarantine: string | undefined;
  /** What the plant's inputs say of its part of the tree: nothing is started, or it is to rest. */
  inhibition: Inhibition | undefined;
  selfWoken: boolean;
  /** Why what gives it its power is open, in words; undefined: nothing of the kind is open. */
  outlet: string | undefined;
  /** What speaks for a loss of its power: its outlet is read as open, or it is dark above. */
  powerDoubt: 'open' | 'dark' | undefined;
  /** The mode its power left it in, as far as it told: undefined also when it may have left it since. */
  lastMode: Mode | undefined;
  /** Something of it is not as it shall be yet: time alone may call for a step. */
  pending: boolean;
  gpu: GpuSide | undefined;
}

export interface GpuSide {
  state: HandoverState;
  readonly profile: HandoverProfile;
  /** What the last admitted command asked for; undefined: leave everything as it is. */
  target: GpuWanted | undefined;
  busy: boolean;
}

/** A machine of which nothing is known yet. */
export function newMachine(
  place: Pick<Machine, 'at' | 'config' | 'rack' | 'rows' | 'row' | 'path' | 'shares'>,
  device: Device,
  nowMs: number,
): Machine {
  const { model } = place.config;
  const observes = model.kind === 'gpu-host' && canObserve(device);
  return {
    ...place,
    device,
    mode: undefined,
    modeSinceMs: nowMs,
    powerW: undefined,
    lastPowerW: undefined,
    powerLimitW: undefined,
    beganMs: Number.NEGATIVE_INFINITY,
    reachable: false,
    answersSinceMs: Number.NEGATIVE_INFINITY,
    missedMs: Number.NEGATIVE_INFINITY,
    attempt: undefined,
    toldBefore: undefined,
    inFlight: false,
    queued: undefined,
    reportedFor: '',
    reported: new Set(),
    restoreLimitW: undefined,
    raiseAfterMs: 0,
    shedAfterMs: 0,
    held: undefined,
    resting: false,
    manual: false,
    lockout: undefined,
    quarantine: undefined,
    inhibition: undefined,
    selfWoken: false,
    outlet: undefined,
    powerDoubt: undefined,
    lastMode: undefined,
    pending: false,
    gpu: observes
      ? { state: unknownState(nowMs), profile: handoverProfile(model), target: undefined, busy: false }
      : undefined,
  };
}

/** Behind an open switch or outlet, and silent: it draws nothing. */
export const isOff = (machine: Machine): boolean =>
  isUnpowered(machine) || (machine.inhibition?.off === true && !machine.reachable);

/** Behind an open outlet, and silent: the outlet's read-back says so in its place, and nobody asks it. */
export const isUnpowered = (machine: Machine): boolean => machine.outlet !== undefined && !machine.reachable;

/** Its outlet is seen open at `atMs` (wall clock). What it was told before is over. */
export function seeOff(machine: Machine, words: string, atMs: number): void {
  machine.outlet = words;
  machine.reachable = false;
  machine.mode = 'off';
  machine.powerW = 0;
  machine.powerLimitW = undefined;
  machine.attempt = undefined;
  machine.toldBefore = undefined;
  machine.rows.clear(machine.row);
  machine.rows.put(machine.row, {
    mode: { ok: true, value: 'off', unit: 'text', quality: 'good', atMs },
    power: { ok: true, value: 0, unit: 'W', quality: 'uncertain', measured: false, why: words, atMs },
  });
}

/** When it last told a quantity, or why there is none, UTC ms; undefined: never. */
export const saidAtMs = ({ rows, row }: Machine, quantity: string): number | undefined =>
  rows.atMs(row, quantity);

/** Takes a reading in: true when the mode changed by it. */
export function takeReadings(
  machine: Machine,
  readings: Readings,
  scope: 'fast' | 'full',
  beganMs: number,
): boolean {
  // Of what it said before it was lost nothing is left to complete a short reading with.
  const isWhole = scope === 'full' || !machine.reachable;
  if (isWhole) machine.rows.clear(machine.row);
  machine.rows.put(machine.row, readings);
  if (scope === 'full') machine.rows.put(machine.row, aggregatesOf(readings));
  const before = machine.mode;
  machine.mode = modeOf(readings);
  if (machine.mode !== undefined && !(isAtRest(machine.mode) && isOnItsWay(machine.attempt)))
    machine.lastMode = machine.mode;
  machine.powerW = numberOf(readings['power']);
  if (machine.powerW !== undefined) machine.lastPowerW = machine.powerW;
  const limit = readings['power.limit'];
  if (machine.config.model.kind === 'asic' && (isWhole || limit !== undefined))
    machine.powerLimitW = numberOf(limit);
  machine.beganMs = beganMs;
  if (!machine.reachable) machine.answersSinceMs = beganMs;
  machine.reachable = true;
  if (machine.mode === before) return false;
  machine.modeSinceMs = beganMs;
  return true;
}

/** Told to work, it may have taken that in long before it shows it. */
const isOnItsWay = (attempt: Attempt | undefined): boolean =>
  attempt !== undefined && attempt.stage !== 'observed' && !isAtRest(attempt.mode);

/** It stopped answering: every quantity says why instead of its last value. */
export function loseReadings(machine: Machine, fault: Fault, atMs: number): boolean {
  machine.rows.put(machine.row, lostReadings({}, ['power', 'mode', 'hashrate'], fault, atMs));
  machine.rows.lose(machine.row, fault.code, atMs);
  const changed = machine.mode !== undefined;
  machine.mode = undefined;
  machine.powerW = undefined;
  machine.powerLimitW = undefined;
  machine.reachable = false;
  return changed;
}

/** The same quantities (at least `least`), each with the reason why there is no value. */
export function lostReadings(
  known: Readings,
  least: readonly string[],
  fault: Fault,
  atMs: number,
): Readings {
  const reading: Reading = { ok: false, why: fault.code, detail: fault.detail, atMs };
  const lost: Record<string, Reading> = {};
  for (const quantity of least) lost[quantity] = reading;
  for (const quantity of Object.keys(known)) lost[quantity] = reading;
  return lost;
}

/** The hottest part, the fastest fan and the sums over GPUs, as the frame's summary quantities have them. */
function aggregatesOf(readings: Readings): Readings {
  let hottest: Reading | undefined;
  let fastest: Reading | undefined;
  const gpu = { power: new Sum(), utilization: new Sum(), memoryUsed: new Sum() };
  for (const quantity of Object.keys(readings)) {
    const reading = readings[quantity];
    const value = numberOf(reading);
    if (quantity.startsWith('temperature.') || /^gpu\.\d+\.temperature$/.test(quantity)) {
      if (value !== undefined && value > (numberOf(hottest) ?? Number.NEGATIVE_INFINITY)) hottest = reading;
    } else if (quantity.startsWith('fan.')) {
      if (value !== undefined && value > (numberOf(fastest) ?? Number.NEGATIVE_INFINITY)) fastest = reading;
    } else if (/^gpu\.\d/.test(quantity)) {
      const kind = quantity.slice(quantity.lastIndexOf('.') + 1);
      if (reading !== undefined && (kind === 'power' || kind === 'utilization' || kind === 'memoryUsed'))
        gpu[kind].add(reading);
    }
  }
  const more: Record<string, Reading> = {};
  if (hottest !== undefined) more['temperature.max'] = hottest;
  if (fastest !== undefined) more['fan.max'] = fastest;
  for (const kind of ['power', 'utilization', 'memoryUsed'] as const) {
    const total = gpu[kind].reading(kind === 'utilization');
    const own = readings[`gpu.${kind}`] !== undefined;
    if (total !== undefined && !own) more[`gpu.${kind}`] = total;
  }
  return more;
}

/** A sum is known only when every part is. */
class Sum {
  #total = 0;
  #count = 0;
  #first: Reading | undefined;
  #failed: Reading | undefined;

  add(reading: Reading): void {
    const value = numberOf(reading);
    if (value === undefined) this.#failed ??= reading;
    else this.#total += value;
    this.#count += 1;
    this.#first ??= reading;
  }

  reading(mean: boolean): Reading | undefined {
    if (this.#failed !== undefined || this.#first?.ok !== true) return this.#failed ?? this.#first;
    return { ...this.#first, value: mean ? this.#total / this.#count : this.#total };
  }
}

/** The draw a machine is on its way to by a command or by having just changed; undefined when it has settled. */
export function reachingW(machine: Machine, nowMs: number): number | undefined {
  const { attempt, mode } = machine;
  const { model } = machine.config;
  let watts: number | undefined;
  if (attempt !== undefined && attempt.stage !== 'failed' && attempt.verb !== 'none') {
    // One that answers late, or boots first, acts late.
    const fromMs = attempt.endedMs ?? attempt.dispatchedMs;
    const untilMs = fromMs + settleMs(model, attempt.mode, COMMAND_POLL_MS);
    if (nowMs < untilMs) watts = drawW(model, attempt.mode, attempt.powerW);
  }
  if (
    machine.gpu?.target !== undefined &&
    watts === undefined &&
    mode !== machine.gpu.target &&
    machine.gpu.target !== 'idle'
  )
    watts = drawW(model, machine.gpu.target);
  // Just back, and not saying what it does: it may be starting by itself.
  const isBack = machine.reachable && nowMs - machine.answersSinceMs < model.wakeS * 1_500;
  if (isBack && mode === undefined) watts ??= drawW(model, 'mine');
  // Hashing shows at once, its draw only after the ramp.
  const isNew = mode !== undefined && nowMs - machine.modeSinceMs < model.wakeS * 1_500;
  if (isNew && (watts === undefined || machine.modeSinceMs > (attempt?.dispatchedMs ?? 0)))
    watts = Math.max(watts ?? 0, drawW(model, mode, attempt?.powerW));
  return watts;
}

/**
 * What it draws, W, as far as that is known: by its word, or at rest what its model draws there, which some firmware
 * does not tell, when a meter above it has told since it came to rest (`toldMs`). Undefined: nobody knows.
 */
export function knownDrawW(machine: Machine, toldMs: number): number | undefined {
  if (isOff(machine)) return 0;
  const { powerW, mode, modeSinceMs, config } = machine;
  if (powerW !== undefined || mode === undefined || !isAtRest(mode)) return powerW;
  const isSeen = machine.reachable && modeSinceMs + settleMs(config.model, mode, COMMAND_POLL_MS) < toldMs;
  return isSeen ? drawW(config.model, mode) : undefined;
}

/** A miner whose firmware, as it is reached, has a word for rest. What a GPU host can do is found out by asking. */
export const canRest = ({ config, device }: Pick<Machine, 'config' | 'device'>): boolean =>
  config.model.kind !== 'asic' || device.verbs.sleep !== undefined;

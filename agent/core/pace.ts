/**
 * How fast and how often: the ramps of nodes both ways, least times at work and at rest, starts per day. What these
 * do not allow yet waits here in the agent, whoever asks for it. Only taking load away is ever exempt.
 */
import type { FaultCode } from '../../protocols/faults.ts';
import { makeBucket, refill } from '../../protocols/ramp.ts';
import type { Bucket } from '../../protocols/ramp.ts';
import type { Mode } from '../../protocols/reading.ts';

/**
 * A little more than the controller's own burst, so that what it paced and the wire delayed a little is not paced
 * twice. Over any minute a ramp is kept to 5 % and one machine.
 */
const BURST_MS = 3_000;
const DAY_MS = 24 * 3_600_000;
/** A bucket this much below nothing after rounding is empty, W. */
const EMPTY_W = 1e-6;

/** A node's ramps, W per ms; Infinity where it has none. */
export interface Ramp {
  readonly node: string;
  readonly upWPerMs: number;
  readonly downWPerMs: number;
}

export interface PaceMachine {
  /** From its own node up to the root, as places in the list of ramps. */
  readonly path: readonly number[];
  readonly minOnMs: number;
  readonly minOffMs: number;
  readonly maxCyclesPerDay: number;
}

/** What was last commanded of a machine, and since when. What a machine does by itself starts no least time. */
interface Spell {
  mode: Mode | undefined;
  sinceMs: number;
  starts: number[];
}

export interface Pace {
  readonly ramps: readonly Ramp[];
  readonly machines: readonly PaceMachine[];
  readonly up: readonly Bucket[];
  readonly down: readonly Bucket[];
  readonly spells: readonly Spell[];
}

/** One command that would go out now. */
export interface Move {
  /** Place in the list of machines. */
  readonly machine: number;
  /** What it is to do. */
  readonly mode: Mode;
  /** What it shows; undefined: it does not say. */
  readonly seen: Mode | undefined;
  /** How much load the command adds (positive) or takes away, W, against what is drawn now. */
  readonly deltaW: number;
  /** Above the ramp in the order of who decides, or what protects; lets sheds pass and nothing else. */
  readonly exempt: boolean;
  /** Asked for by money alone: then a machine works its least time. */
  readonly forMoney: boolean;
  /** Said again because the first time did nothing: no start of its own. */
  readonly again: boolean;
}

/** Why a move waits, and until when it does at least (monotonic ms). */
export interface Wait {
  readonly why: Extract<FaultCode, 'RAMP_WAIT' | 'DWELL_WAIT' | 'CYCLES_SPENT'>;
  readonly detail: string;
  readonly untilMs: number;
}

export const makePace = (ramps: readonly Ramp[], machines: readonly PaceMachine[], nowMs: number): Pace => ({
  ramps,
  machines,
  up: ramps.map(() => makeBucket(nowMs)),
  down: ramps.map(() => makeBucket(nowMs)),
  spells: machines.map(() => ({ mode: undefined, sinceMs: Number.NEGATIVE_INFINITY, starts: [] })),
});

/** A spell as it is kept over the agent's own end: on the wall clock (UTC ms), which goes on meanwhile. */
export interface KeptSpell {
  readonly mode: Mode;
  readonly sinceMs: number;
  readonly starts: number[];
}

/** What is to be kept, as `machines`; undefined: nothing was commanded of it. */
export function spellsAt(pace: Pace, nowMs: number, wallMs: number): (KeptSpell | undefined)[] {
  const wallOf = (atMs: number): number => Math.round(wallMs - (nowMs - atMs));
  return pace.spells.map(({ mode, sinceMs, starts }) =>
    mode === undefined || !Number.isFinite(sinceMs)
      ? undefined
      : {
          mode,
          sinceMs: wallOf(sinceMs),
          starts: starts.filter((atMs) => nowMs - atMs < DAY_MS).map(wallOf),
        },
  );
}

/**
 * Takes up what was kept of one machine. A moment that has not come yet by the wall clock (it was set back) counts as
 * now: a least time is then waited for once more, never forgotten. What was commanded since stands.
 */
export function takeSpell(pace: Pace, machine: number, kept: KeptSpell, nowMs: number, wallMs: number): void {
  const spell = pace.spells[machine];
  if (spell === undefined) return;
  const monoOf = (atMs: number): number => nowMs - Math.max(0, wallMs - atMs);
  spell.starts = [...kept.starts.map(monoOf), ...spell.starts].sort((a, b) => a - b);
  if (spell.mode !== undefined) return;
  spell.mode = kept.mode;
  spell.sinceMs = monoOf(kept.sinceMs);
}

const works = (mode: Mode | undefined): boolean => mode === 'mine' || mode === 'ai';

/** True for a command that takes a machine from rest to work. */
const isStart = (spell: Spell, move: Move): boolean =>
  works(move.mode) && (!works(move.seen) || (spell.mode !== undefined && !works(spell.mode)));

/** What still holds a move back; undefined: it may go. Changes nothing but the time up to which ramps are filled. */
export function waitOf(pace: Pace, move: Move, nowMs: number): Wait | undefined {
  const machine = pace.machines[move.machine];
  const spell = pace.spells[move.machine];
  if (machine === undefined || spell === undefined) return undefined;
  if (isStart(spell, move)) {
    const wait = startWait(machine, spell, move, nowMs);
    if (wait !== undefined) return wait;
  }
  if (move.exempt && move.deltaW <= 0) return undefined;
  const stops = spell.mode === 'mine' && !works(move.mode) && move.forMoney;
  const leftMs = stops ? spell.sinceMs + machine.minOnMs - nowMs : 0;
  if (leftMs > 0)
    return {
      why: 'DWELL_WAIT',
      detail: `at work for ${seconds(nowMs - spell.sinceMs)}, least time ${seconds(machine.minOnMs)}`,
      untilMs: nowMs + leftMs,
    };
  return rampWait(pace, machine, move, nowMs);
}

const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;

function startWait(machine: PaceMachine, spell: Spell, move: Move, nowMs: number): Wait | undefined {
  const leftMs = works(spell.mode) ? 0 : spell.sinceMs + machine.minOffMs - nowMs;
  if (leftMs > 0)
    return {
      why: 'DWELL_WAIT',
      detail: `at rest for ${seconds(nowMs - spell.sinceMs)}, least time ${seconds(machine.minOffMs)}`,
      untilMs: nowMs + leftMs,
    };
  spell.starts = spell.starts.filter((atMs) => nowMs - atMs < DAY_MS);
  const first = spell.starts.at(-machine.maxCyclesPerDay);
  if (move.again || first === undefined) return undefined;
  return {
    why: 'CYCLES_SPENT',
    detail: `started ${machine.maxCyclesPerDay} times in 24 h; again in ${Math.ceil((first + DAY_MS - nowMs) / 60_000)} min`,
    untilMs: first + DAY_MS,
  };
}

/** The ramp that has least room for it. */
function rampWait(pace: Pace, machine: PaceMachine, move: Move, nowMs: number): Wait | undefined {
  if (move.deltaW === 0) return undefined;
  const up = move.deltaW > 0;
  let wait: Wait | undefined;
  for (const node of machine.path) {
    const bucket = (up ? pace.up : pace.down)[node];
    const ramp = pace.ramps[node];
    if (bucket === undefined || ramp === undefined) continue;
    const rate = up ? ramp.upWPerMs : ramp.downWPerMs;
    refill(bucket, rate, BURST_MS, nowMs);
    if (bucket.availableW > -EMPTY_W && rate > 0) continue;
    const untilMs = nowMs + Math.max(1, -bucket.availableW / rate);
    if (wait !== undefined && untilMs <= wait.untilMs) continue;
    const detail = `${ramp.node}: load may ${up ? 'rise' : 'fall'} by ${Math.round(rate * 60)} kW a minute`;
    wait = { why: 'RAMP_WAIT', detail, untilMs };
  }
  return wait;
}

/** A move goes out: it is counted against the ramps and starts the machine's time in its new state. */
export function noteMove(pace: Pace, move: Move, nowMs: number): void {
  const machine = pace.machines[move.machine];
  const spell = pace.spells[move.machine];
  if (machine === undefined || spell === undefined) return;
  if (!move.again && isStart(spell, move)) spell.starts.push(nowMs);
  if (works(spell.mode) !== works(move.mode) || spell.mode === undefined) spell.sinceMs = nowMs;
  spell.mode = move.mode;
  if (move.exempt && move.deltaW <= 0) return;
  const buckets = move.deltaW > 0 ? pace.up : pace.down;
  for (const node of machine.path) {
    const bucket = buckets[node];
    if (bucket !== undefined) bucket.availableW -= Math.abs(move.deltaW);
  }
}

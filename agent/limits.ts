import * as z from 'zod';
import type { Site } from '../config/site.ts';
import { plateShares } from '../config/slices.ts';
import type { Clock } from '../host/deps.ts';
import type { FaultCode } from '../protocols/faults.ts';
import { outranksRamp } from '../protocols/mqtt/desired.ts';
import { rampWPerMs } from '../protocols/ramp.ts';
import { MODES } from '../protocols/reading.ts';
import type { Mode } from '../protocols/reading.ts';
import { drawW, restMode } from './core/draw.ts';
import { admitAll, makeEnvelope, recount } from './core/envelope.ts';
import type { EnvelopeMachine, EnvelopeNode } from './core/envelope.ts';
import { makePace, noteMove, spellsAt, takeSpell, waitOf } from './core/pace.ts';
import type { Move, Pace, Ramp } from './core/pace.ts';
import type { Goal, Step } from './core/reconcile.ts';
import type { Keeper } from './kept.ts';
import { isOff, reachingW } from './machine.ts';
import type { Machine } from './machine.ts';
import { meterW, nodeCapW } from './plant.ts';
import type { StandIns } from './stand-in.ts';
import type { Plant, PlantNode } from './plant.ts';

/** The committed sums are added up anew at most this often. */
const RECOUNT_MS = 250;
/** A raise without room is asked for again after this long, and nothing waits longer without being asked again. */
const RAISE_AGAIN_MS = 2_000;
const LONGEST_WAIT_MS = 60_000;
/** Who waits no longer than this does not say so: it follows within seconds. */
const UNSAID_MS = 3_000;

/** What was commanded goes to the disk together, at most this often. */
const KEEP_MS = 1_000;

/** Per machine: what was last commanded, since when, and its starts of the last day, UTC ms. */
const fileSchema = z.record(
  z.string().max(128),
  z.strictObject({ mode: z.enum(MODES), sinceMs: z.number(), starts: z.array(z.number()).max(10_000) }),
);

/** A step that may not go out yet: asked again from `untilMs` on. With `why` it is worth saying. */
export interface Refusal {
  readonly untilMs: number;
  readonly why?: FaultCode;
  readonly detail?: string;
}

/** A machine that gets its power, and what it does then. */
export interface Powered {
  readonly machine: Machine;
  readonly mode: Mode;
}

/** The agent's own limits over everything it commands: caps, starts, ramps, least times, cycles. */
export interface Limits {
  /** True when a refusal given earlier still stands. */
  waits(machine: Machine, step: Step): boolean;
  /** Consent, counted at once; or why not yet. `woke`: it left the state it was commanded into by itself. */
  consent(machine: Machine, step: Step, woke: boolean): Refusal | undefined;
  /** The same for machines that get their power together and come to these modes by themselves: all or none. */
  consentAll(powered: readonly Powered[]): Refusal | undefined;
  stop(): void;
}

export interface LimitsOptions {
  readonly site: Site;
  readonly agent: string;
  readonly plant: Plant;
  readonly standIns: StandIns;
  readonly clock: Clock;
  readonly keeper: Keeper;
}

/** What protects, and who stands above the ramp, takes load away without waiting. */
const isExempt = (goal: Goal): boolean =>
  goal.owner !== 'desired' || (goal.because !== undefined && outranksRamp(goal.because));

/** Least times, starts per day and what was last told outlive the agent: a restart is no new day. */
function keepSpells({ plant, clock, keeper }: LimitsOptions, pace: Pace) {
  let known = false;
  let waiting: (() => void) | undefined;
  const file = keeper.open('pace', fileSchema, (found) => {
    known = true;
    for (const machine of plant.machines) {
      const { at, config, attempt } = machine;
      const kept = found !== undefined && Object.hasOwn(found, config.id) ? found[config.id] : undefined;
      if (kept === undefined) continue;
      takeSpell(pace, at, kept, clock.monoMs(), clock.wallMs());
      if (attempt === undefined) machine.toldBefore = kept.mode;
    }
  });
  const note = (): void => {
    waiting ??= clock.after(KEEP_MS, () => {
      waiting = undefined;
      // Written before it was read, the file would lose what it holds.
      if (!known) return note();
      const spells = spellsAt(pace, clock.monoMs(), clock.wallMs());
      const entries = plant.machines.flatMap(({ at, config }) => {
        const spell = spells[at];
        return spell === undefined ? [] : [[config.id, spell] as const];
      });
      // It is in the alarm, and tried again.
      file.keep(Object.fromEntries(entries)).catch(() => undefined);
    });
  };
  return {
    known: () => known,
    note,
    stop: () => {
      waiting?.();
      file.stop();
    },
  };
}

const nameOf = ({ id, slice }: PlantNode): string =>
  slice === undefined ? id : `${id} (slice of it while '${slice.owner}' is not heard)`;

/** Room under the caps, and turns among the starts: what is granted is counted at once. */
function makeAdmission({ site, plant, standIns }: LimitsOptions) {
  const envelope = makeEnvelope(plant.nodes.length, site.config.control, plant.auxiliaries);
  let countedMs = Number.NEGATIVE_INFINITY;
  let nodes: EnvelopeNode[] = [];
  return (
    raises: readonly { readonly machine: Machine; readonly targetW: number; readonly starts: boolean }[],
    nowMs: number,
  ): Refusal | undefined => {
    if (nowMs - countedMs >= RECOUNT_MS) {
      countedMs = nowMs;
      nodes = plant.nodes.map((node, place) => ({
        id: nameOf(node),
        capW: nodeCapW(node),
        meterW: meterW(node, nowMs) ?? standIns.belowW(place, nowMs),
      }));
      const machines = plant.machines.map((each) => envelopeOf(each, nodes, nowMs));
      recount(envelope, nodes, machines, nowMs);
    }
    const asked = raises.map((raise) => ({ ...raise, machine: envelopeOf(raise.machine, nodes, nowMs) }));
    const admission = admitAll(envelope, nodes, asked, nowMs);
    if (admission.ok) return undefined;
    const untilMs = nowMs + RAISE_AGAIN_MS;
    // Waiting for its turn among the starts is no refusal: it follows within seconds.
    if (admission.limit !== 'cap') return { untilMs };
    const detail = `${admission.node}: needs ${Math.round(admission.needW)} W, room ${Math.round(admission.roomW)} W`;
    return { untilMs, why: 'ENVELOPE_REFUSED', detail };
  };
}

export function makeLimits(options: LimitsOptions): Limits {
  const { site, agent, plant, clock } = options;
  const admits = makeAdmission(options);
  const pace = makePace(
    rampSlicesOf(site, agent),
    plant.machines.map(({ config }) => ({
      path: site.nodes[config.nodeIndex]?.path ?? [],
      minOnMs: config.minOnS * 1_000,
      minOffMs: config.minOffS * 1_000,
      maxCyclesPerDay: config.maxCyclesPerDay,
    })),
    clock.monoMs(),
  );
  const spells = keepSpells(options, pace);
  /** Per machine, since when it has been waiting. */
  const since = new Map<Machine, { readonly commandId: string; readonly sinceMs: number }>();

  const refuse = (machine: Machine, step: Step, refusal: Refusal, nowMs: number): Refusal => {
    const untilMs = Math.min(refusal.untilMs, nowMs + LONGEST_WAIT_MS);
    if (step.raise) machine.raiseAfterMs = untilMs;
    else machine.shedAfterMs = untilMs;
    const { commandId } = step.goal;
    let waiting = since.get(machine);
    if (waiting?.commandId !== commandId) waiting = { commandId, sinceMs: nowMs };
    since.set(machine, waiting);
    const isLong = refusal.untilMs - waiting.sinceMs > UNSAID_MS || refusal.why === 'ENVELOPE_REFUSED';
    return isLong ? refusal : { untilMs };
  };
  return {
    waits: (machine, step) => {
      const nowMs = clock.monoMs();
      return step.raise ? nowMs < machine.raiseAfterMs : !isExempt(step.goal) && nowMs < machine.shedAfterMs;
    },
    consent: (machine, step, woke) => {
      const nowMs = clock.monoMs();
      // Nobody knows yet how long it has rested, or how often it was started today.
      if (step.raise && !spells.known())
        return refuse(machine, step, { untilMs: nowMs + RAISE_AGAIN_MS }, nowMs);
      const move = moveOf(machine, step, woke, nowMs);
      const { mode, powerW } = step.goal;
      const raise = { machine, targetW: drawW(machine.config.model, mode, powerW), starts: true };
      const refusal = waitOf(pace, move, nowMs) ?? (step.raise ? admits([raise], nowMs) : undefined);
      if (refusal !== undefined) return refuse(machine, step, refusal, nowMs);
      noteMove(pace, move, nowMs);
      spells.note();
      since.delete(machine);
      return undefined;
    },
    consentAll: (powered) => {
      const nowMs = clock.monoMs();
      if (!spells.known()) return { untilMs: nowMs + RAISE_AGAIN_MS };
      const moves = powered.map(moveByPower);
      for (const move of moves) {
        const wait = waitOf(pace, move, nowMs);
        if (wait !== undefined) return wait;
      }
      const refusal = admits(powered.map(raiseByPower), nowMs);
      if (refusal !== undefined) return refusal;
      for (const move of moves) noteMove(pace, move, nowMs);
      spells.note();
      return undefined;
    },
    stop: () => spells.stop(),
  };
}

/** Who is at work soon counts at its rating: nobody has set a limit on what has no power. */
function raiseByPower({ machine, mode }: Powered) {
  const { model } = machine.config;
  const starts = mode === 'mine';
  return { machine, targetW: starts ? model.ratedW : drawW(model, mode), starts };
}

const moveByPower = ({ machine, mode }: Powered): Move => ({
  machine: machine.at,
  mode,
  seen: 'off',
  deltaW: drawW(machine.config.model, mode),
  exempt: false,
  forMoney: false,
  again: false,
});

/**
 * The agent's slice of every ramp, as `Site.nodes`: of a node below which other agents have machines too, the part
 * that its own machines are of the ratings there.
 */
function rampSlicesOf(site: Site, agent: string): Ramp[] {
  const shares = plateShares(site, agent);
  return site.nodes.map(({ id, index, rampUpKwPerMin, rampDownKwPerMin }) => {
    const share = shares[index] ?? 1;
    return {
      node: id,
      upWPerMs: rampWPerMs(rampUpKwPerMin) * share,
      downWPerMs: rampWPerMs(rampDownKwPerMin) * share,
    };
  });
}

function envelopeOf(machine: Machine, nodes: readonly EnvelopeNode[], nowMs: number): EnvelopeMachine {
  return {
    path: machine.path,
    shares: machine.shares,
    ratedW: machine.config.model.ratedW,
    presentW: isOff(machine) ? 0 : (machine.powerW ?? restingW(machine, nodes)),
    reachingW: isOff(machine) ? undefined : reachingW(machine, nowMs),
  };
}

/**
 * Some firmware tells no power at rest. Seen at rest, it draws what its model does there, as long as a meter above it
 * would show if it did not.
 */
function restingW({ mode, config, path }: Machine, nodes: readonly EnvelopeNode[]): number | undefined {
  if (mode !== restMode(config.model)) return undefined;
  const isMetered = path.some((index) => nodes[index]?.meterW !== undefined);
  return isMetered ? drawW(config.model, mode) : undefined;
}

/** A step as a ramp sees it: from what is drawn now, or promised already, to what will be drawn. */
function moveOf(machine: Machine, { goal, raise, tries }: Step, woke: boolean, nowMs: number): Move {
  const { model } = machine.config;
  const targetW = drawW(model, goal.mode, goal.powerW);
  // What cannot be seen is counted as it costs most: nothing drawn when it rises, its rating when it falls.
  const fromW = raise
    ? Math.max(machine.powerW ?? 0, reachingW(machine, nowMs) ?? 0)
    : (machine.powerW ?? machine.lastPowerW ?? model.ratedW);
  const deltaW = raise ? Math.max(0, targetW - fromW) : Math.min(0, targetW - fromW);
  return {
    machine: machine.at,
    mode: goal.mode,
    seen: machine.mode,
    deltaW,
    // Back to where it was commanded: nobody asked for the load it takes.
    exempt: isExempt(goal) || (woke && !raise),
    forMoney: goal.because === 'price',
    again: tries > 1,
  };
}

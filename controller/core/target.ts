import type { Because } from '../../protocols/mqtt/desired.ts';
import { lockWords } from '../../protocols/mqtt/lockouts.ts';
import type { Mode } from '../../protocols/reading.ts';
import { allocate } from './allocate.ts';
import type { Increment } from './allocate.ts';
import {
  aiUsdPerHour,
  believedW,
  breakevenUsdPerMwh,
  drawW,
  energyUsdPerMwh,
  miningUsdPerHour,
  restMode,
} from './economics.ts';
import type { Now } from './events.ts';
import { inhibitedTarget, inhibitionOf } from './inhibit.ts';
import { groupByOutlet } from './outlets.ts';
import {
  capsW,
  followingW,
  inTransition,
  limitInForceKw,
  newW,
  ownCapW,
  shedResidualW,
  sumByNode,
} from './room.ts';
import { isKnown, isOurs, isUnpowered, modeAt, rootOf } from './state.ts';
import type { Hold, SiteState } from './state.ts';

/** What a machine should come to. */
export interface Target {
  readonly mode: Mode;
  readonly because: Because;
}

export interface Targets {
  /** As `site.machines`; undefined: leave alone (unknown, not ours to command). */
  readonly of: readonly (Target | undefined)[];
  readonly planKw: number;
  /** Nodes whose base alone is above their cap: nothing left to shed there. */
  readonly infeasible: readonly number[];
  /** GPU hosts whose AI work finds no room. */
  readonly aiCut: readonly number[];
}

/** What is started must leave this share of the cap free beyond the margin, so that noise does not stop it again. */
const SPARE_SHARE = 0.01;

interface Choice extends Increment {
  readonly mode: Mode;
  readonly job: string | undefined;
  readonly hold: Hold | undefined;
}

/** What every machine should come to, by value per watt under every cap and limit. Pure; changes nothing. */
export function decideTargets(state: SiteState, now: Now): Targets {
  const of: (Target | undefined)[] = Array.from({ length: state.site.machines.length }, () => undefined);
  const base = new Float64Array(state.site.machines.length);
  const choices: Choice[] = [];
  const jobOf = assignJobs(state, now);
  for (const machine of state.site.machines) {
    const index = machine.index;
    if (!isKnown(state, index)) continue;
    // Who does not obey, or is not ours to command, draws what it draws, whatever is wanted of it.
    const ours = isOurs(state, index);
    const free = ours && !refuses(state, index, now);
    const fixed = ours ? fixedTarget(state, index, now) : undefined;
    if (!free || fixed !== undefined) {
      of[index] = fixed ?? (ours ? (state.wish[index] ?? goesOn(state, index, now)) : undefined);
      base[index] = free && fixed !== undefined ? drawW(state, index, fixed.mode) : believedW(state, index);
      continue;
    }
    base[index] = drawW(state, index, restMode(machine.model));
    const choice = choiceOf(state, index, jobOf.get(index), now);
    if (choice !== undefined) choices.push(choice);
  }
  const caps = capsW(state);
  const residual = shedResidualW(state);
  const bases = sumByNode(state, (machine) => base[machine] ?? 0);
  // What runs may use half the margin; what is started must leave all of it and some more.
  const marginShare = state.site.config.control.marginPct / 100;
  const margin = 1 - marginShare / 2;
  const following = followingW(state);
  const room = caps.map(
    (cap, node) => cap * margin - (residual[node] ?? 0) - (following[node] ?? 0) - (bases[node] ?? 0),
  );
  const grouped = groupByOutlet(state, choices);
  const allocation = allocate(
    grouped.increments,
    room,
    caps.map((cap) => cap * (marginShare / 2 + SPARE_SHARE)),
  );
  const choiceAt = new Int32Array(state.site.machines.length).fill(-1);
  for (let at = 0; at < choices.length; at += 1) choiceAt[choices[at]?.machine ?? -1] = at;
  for (const machine of state.site.machines) {
    const index = machine.index;
    if (of[index] !== undefined || !isKnown(state, index) || !isOurs(state, index)) continue;
    const at = choiceAt[index] ?? -1;
    const choice = at < 0 ? undefined : choices[at];
    const place = at < 0 ? -1 : (grouped.places[at] ?? -1);
    const blockedBy = place < 0 ? -1 : (allocation.blockedBy[place] ?? -1);
    const because = grouped.waits.get(index);
    if (because !== undefined) of[index] = { mode: restMode(machine.model), because };
    else if (choice !== undefined && allocation.taken[place] === 1) of[index] = working(state, index, choice);
    else of[index] = resting(state, index, blockedBy, jobOf);
  }
  return {
    of,
    planKw: ((caps[0] ?? 0) * margin - (allocation.roomW[0] ?? 0)) / 1_000,
    aiCut: [...jobOf.keys()].filter((machine) => of[machine] !== undefined && of[machine]?.mode !== 'ai'),
    infeasible: state.site.nodes.filter((node) => (room[node.index] ?? 0) < 0).map((node) => node.index),
  };
}

/** By its agent's word it does not rest: it ignored what it was told, also by another controller, or has no word for it. */
function isUnmovable(state: SiteState, index: number): boolean {
  const { id, agent } = state.site.machines[index] ?? {};
  return id !== undefined && state.agents.get(agent ?? '')?.unmovable.has(id) === true;
}

/** Takes commands and does not follow them: known as such, or at work though it should long be at rest. */
function refuses(state: SiteState, index: number, now: Now): boolean {
  if (state.disobeys[index] === 1 || isUnmovable(state, index)) return true;
  const wish = state.wish[index]?.mode;
  const model = state.site.machines[index]?.model;
  if (model === undefined || wish !== restMode(model)) return false;
  const mode = modeAt(state.mode[index] ?? -1);
  return (mode === 'mine' || mode === 'ai') && !inTransition(state, index, now.monoMs);
}

/** Of whom nothing is wanted yet, as of one that a person gives back: it goes on with work that pays, and is not told to rest for being listed. */
function goesOn(state: SiteState, index: number, now: Now): Target | undefined {
  const choice = choiceOf(state, index, undefined, now);
  const pays = choice !== undefined && choice.usdPerHour > 0;
  return pays && modeAt(state.mode[index] ?? -1) === choice.mode ? working(state, index, choice) : undefined;
}

/**
 * A lockout, the plant's inputs, or a hold at rest: they fix a machine whatever it is worth. A hold at work must find
 * room like any other.
 */
function fixedTarget(state: SiteState, index: number, now: Now): Target | undefined {
  const model = state.site.machines[index]?.model;
  if (model === undefined) return undefined;
  const locks = state.lockouts.get(index);
  if (locks !== undefined)
    return {
      mode: restMode(model),
      because: {
        owner: 'lockout',
        rule: 'lockout',
        text: lockWords(state.site.machines[index]?.id ?? '', locks).slice(0, 400),
      },
    };
  // Who was started before it shows it later: what is under way goes on.
  const started = worksIn(state.wish[index]?.mode ?? 'off') && inTransition(state, index, now.monoMs);
  const works = started || worksIn(modeAt(state.mode[index] ?? -1) ?? 'off');
  const inhibited = inhibitedTarget(state, index, works);
  if (inhibited !== undefined) return inhibited;
  const hold = holdOf(state, index, now);
  return hold === undefined || worksIn(hold.mode) ? undefined : held(hold);
}

const worksIn = (mode: Mode): boolean => mode === 'mine' || mode === 'ai';

function holdOf(state: SiteState, index: number, now: Now): Hold | undefined {
  const hold = state.holds.get(index);
  return hold === undefined || hold.untilMs <= now.wallMs ? undefined : hold;
}

const held = (hold: Hold): Target => ({
  mode: hold.mode,
  because: {
    owner: 'manual',
    rule: 'hold',
    text: `held by ${hold.actor}: ${hold.reason}`.slice(0, 400),
    untilMs: hold.untilMs,
  },
});

/** What a person wants at work comes before all that is wanted for money. */
const HOLD_USD_PER_WATT_HOUR = 1e3;

/** The one increment a free machine offers: AI where it has a job, else mining. */
function choiceOf(state: SiteState, index: number, job: string | undefined, now: Now): Choice | undefined {
  const machine = state.site.machines[index];
  if (machine === undefined) return undefined;
  const path = state.site.nodes[machine.nodeIndex]?.path ?? [];
  const growth = state.auxiliaries.growth[machine.nodeIndex] ?? [];
  const rest = restMode(machine.model);
  const wish = state.wish[index]?.mode;
  const hold = holdOf(state, index, now);
  const place = { machine: index, rung: 0, path, growth };
  if (hold !== undefined) {
    const addW = drawW(state, index, hold.mode) - drawW(state, index, rest);
    const usdPerHour = addW * HOLD_USD_PER_WATT_HOUR;
    return {
      ...place,
      addW,
      newW: newW(state, index, hold.mode),
      usdPerHour,
      held: wish === hold.mode,
      mode: hold.mode,
      job: undefined,
      hold,
    };
  }
  const price = energyUsdPerMwh(state);
  const contract = state.jobs.find((one) => one.id === job)?.contract;
  const mode: Mode = contract === undefined ? 'mine' : 'ai';
  const addW = drawW(state, index, mode) - drawW(state, index, rest);
  const earnings =
    contract === undefined ? miningUsdPerHour(state, index) : aiUsdPerHour(state, index, contract);
  if (earnings <= 0) return undefined;
  const held = wish === mode;
  const cost = (addW / 1e6) * (price ?? 0);
  let usdPerHour = earnings - cost;
  if (mode === 'mine') {
    // Without a usable price nothing changes for money: who mines stays worth mining, who rests stays at rest.
    if (price === undefined) usdPerHour = held ? earnings : 0;
    else if (!held && state.wish[index]?.because.owner === 'price')
      usdPerHour -= (addW / 1e6) * (state.site.config.prices.energy?.hysteresisUsdPerMwh ?? 0);
  }
  const grossUsdPerHour = earnings;
  return {
    ...place,
    addW,
    newW: newW(state, index, mode),
    usdPerHour,
    grossUsdPerHour,
    held,
    mode,
    job,
    hold: undefined,
  };
}

function working(state: SiteState, index: number, choice: Choice): Target {
  if (choice.hold !== undefined) return held(choice.hold);
  if (choice.mode === 'ai')
    return {
      mode: 'ai',
      because: {
        owner: 'ai',
        rule: 'contract',
        text: `serves AI job ${choice.job}`,
        signalId: `ai-${choice.job}`,
      },
    };
  const price = energyUsdPerMwh(state);
  const breakeven = breakevenUsdPerMwh(state, index).toFixed(1);
  return {
    mode: 'mine',
    because: {
      owner: 'price',
      rule: 'breakeven',
      text:
        price === undefined
          ? 'mines on; no usable price'
          : `mining pays up to ${breakeven} USD/MWh; energy costs ${price.toFixed(1)}`,
      signalId: state.price.signalId,
    },
  };
}

function resting(
  state: SiteState,
  index: number,
  blockedBy: number,
  jobOf: ReadonlyMap<number, string>,
): Target {
  const model = state.site.machines[index]?.model;
  const mode = model === undefined ? 'sleep' : restMode(model);
  if (blockedBy < 0) {
    const price = energyUsdPerMwh(state);
    const breakeven = breakevenUsdPerMwh(state, index).toFixed(1);
    const text =
      price === undefined
        ? 'rests on; no usable price'
        : `mining pays up to ${breakeven} USD/MWh; energy costs ${price.toFixed(1)}`;
    return { mode, because: { owner: 'price', rule: 'breakeven', text, signalId: state.price.signalId } };
  }
  const node = state.site.nodes[blockedBy];
  const limitKw = limitInForceKw(state);
  if (
    blockedBy === rootOf(state.site).index &&
    limitKw !== undefined &&
    limitKw * 1_000 < ownCapW(state, rootOf(state.site))
  )
    return {
      mode,
      because: {
        owner: state.limit.kind === 'emergency' ? 'emergency' : 'dr',
        rule: 'utility-limit',
        text: `the utility allows ${limitKw} kW; others earn more per kW`,
        signalId: state.limit.signalId,
      },
    };
  const job = [...jobOf].find(([machine]) => {
    const place = state.site.machines[machine]?.nodeIndex ?? -1;
    return (state.site.nodes[place]?.path ?? []).includes(blockedBy);
  })?.[1];
  const capKw = node === undefined ? 0 : ownCapW(state, node) / 1_000;
  const text = `${node?.id} may carry ${capKw.toFixed(capKw % 1 === 0 ? 0 : 1)} kW; others below it earn more per kW`;
  return job === undefined
    ? { mode, because: { owner: 'cap', rule: 'node-cap', text } }
    : { mode, because: { owner: 'ai', rule: 'room-for-ai', text, signalId: `ai-${job}` } };
}

/** A host that stops answering keeps its job this long: it may only have lost its network. */
const JOB_PATIENCE_MS = 120_000;

/**
 * Which GPU host serves which job. A host keeps its job while it lasts; new hosts are taken idle first, then mining,
 * and only such as answer and nobody holds.
 */
function assignJobs(state: SiteState, now: Now): Map<number, string> {
  const assigned = new Map<number, string>();
  const wanted = state.jobs.filter((job) => job.fromMs <= now.wallMs && now.wallMs < job.untilMs);
  const free = (index: number): boolean =>
    state.site.machines[index]?.model.kind === 'gpu-host' &&
    isOurs(state, index) &&
    !state.lockouts.has(index) &&
    !assigned.has(index) &&
    fixedTarget(state, index, now) === undefined &&
    // A hand-over to AI is a start: who mines on while nothing may be started is none.
    (inhibitionOf(state, index) === undefined || state.wish[index]?.mode === 'ai') &&
    holdOf(state, index, now) === undefined;
  const serves = (index: number): boolean =>
    state.disobeys[index] === 0 &&
    !isUnpowered(state, index) &&
    (isKnown(state, index) || now.monoMs - (state.heardMonoMs[index] ?? -Infinity) < JOB_PATIENCE_MS);
  for (const job of wanted) {
    let missing = job.hosts;
    for (const [machine, id] of state.jobOf)
      if (id === job.id && missing > 0 && free(machine) && serves(machine)) {
        assigned.set(machine, job.id);
        missing--;
      }
  }
  for (const job of wanted) {
    const have = [...assigned.values()].filter((id) => id === job.id).length;
    const candidates = state.site.machines
      .filter(
        (machine) =>
          free(machine.index) &&
          isKnown(state, machine.index) &&
          !isUnpowered(state, machine.index) &&
          state.disobeys[machine.index] === 0,
      )
      .map((machine) => machine.index)
      .sort((a, b) => rankHost(state, a) - rankHost(state, b) || a - b);
    for (const machine of candidates.slice(0, Math.max(0, job.hosts - have))) assigned.set(machine, job.id);
  }
  return assigned;
}

/** Who served AI before a restart goes on; then idle hosts; then such as mine. */
const rankHost = (state: SiteState, machine: number): number => {
  const mode = state.wish[machine]?.mode;
  return mode === 'ai' ? -1 : mode === 'mine' ? 1 : 0;
};

import type { Owner } from '../../protocols/mqtt/desired.ts';
import { rampWPerMs, refill } from '../../protocols/ramp.ts';
import type { Bucket } from '../../protocols/ramp.ts';
import { breakevenUsdPerMwh, believedW, drawW } from './economics.ts';
import type { Now } from './events.ts';
import { capsW, committedW, newW, ownCapW, sumByNode } from './room.ts';
import { isKnown, isOurs, meterOf } from './state.ts';
import type { SiteState } from './state.ts';
import type { Target, Targets } from './target.ts';
import { dwellS } from './verbs.ts';
import { isWitnessed } from './witness.ts';

/** One machine's change of desired state that may go out now. `deltaW` at the plug, negative for a shed. */
export interface Change {
  readonly machine: number;
  readonly target: Target;
  readonly deltaW: number;
}

export interface Release {
  readonly changes: readonly Change[];
  /** Sheds forced by a limit or a cap rather than by money. */
  readonly urgent: boolean;
  /** All that is to move in the end, of which `changes` go out now. */
  readonly wanted: { readonly sheds: readonly Change[]; readonly raises: readonly Change[] };
}

/** What a ramp allows in this long may be spent at once, ms: two ticks of the controller. */
const RAMP_BURST_MS = 2_000;

/**
 * Of all changes between what is wanted and what should be, those that may go out now: sheds before raises; sheds
 * within the ramp unless a deadline or a cap needs more; raises only into room that is measured, with no shed above
 * them still unproven; for money no more than the configured share of the site per window.
 */
export function release(state: SiteState, targets: Targets, now: Now): Release {
  const sheds: Change[] = [];
  const raises: Change[] = [];
  const neutral: Change[] = [];
  for (const [machine, target] of targets.of.entries()) {
    if (target === undefined || !isKnown(state, machine)) continue;
    if (!isOurs(state, machine)) continue;
    const wish = state.wish[machine];
    if (wish?.mode === target.mode) continue;
    const fromW = wish === undefined ? believedW(state, machine) : drawW(state, machine, wish.mode);
    const deltaW = drawW(state, machine, target.mode) - fromW;
    if (tooSoon(state, machine, target, now)) continue;
    if (wish === undefined && modeAlready(state, machine, target))
      neutral.push({ machine, target, deltaW: 0 });
    else (deltaW < 0 ? sheds : raises).push({ machine, target, deltaW });
  }
  const shed = releaseSheds(state, sheds, now);
  const changes = [...neutral, ...shed.changes];
  if (shed.changes.length === 0) changes.push(...releaseRaises(state, raises, now));
  return { changes, urgent: shed.urgent, wanted: { sheds, raises } };
}

/** True when the machine already does what is wanted: taking it over moves no load. */
function modeAlready(state: SiteState, machine: number, target: Target): boolean {
  return (
    Math.abs(drawW(state, machine, target.mode) - believedW(state, machine)) <
    0.25 * (state.site.machines[machine]?.model.ratedW ?? 0)
  );
}

/** For money alone a machine stays at work for its least time; at rest it stays for its own, whoever asks. */
function tooSoon(state: SiteState, index: number, target: Target, now: Now): boolean {
  const machine = state.site.machines[index];
  const wish = state.wish[index];
  if (machine === undefined || wish === undefined || wish.mode === 'ai') return false;
  if (
    wish.mode === 'mine' ? target.because.owner !== 'price' : target.mode !== 'mine' && target.mode !== 'ai'
  )
    return false;
  const leastS =
    wish.mode === 'mine'
      ? Math.max(machine.minOnS, dwellS(state, index, 'sleep'))
      : Math.max(machine.minOffS, dwellS(state, index, 'wake'));
  return now.monoMs - (state.wishMonoMs[index] ?? -Infinity) < leastS * 1_000;
}

const forced = (change: Change): boolean => !['price', 'ai'].includes(change.target.because.owner);

function releaseSheds(
  state: SiteState,
  sheds: readonly Change[],
  now: Now,
): { changes: Change[]; urgent: boolean } {
  // AI goes last; among the others whoever earns least goes first.
  const worstFirst = [...sheds].sort(
    (a, b) =>
      Number(state.wish[a.machine]?.mode === 'ai') - Number(state.wish[b.machine]?.mode === 'ai') ||
      breakevenUsdPerMwh(state, a.machine) - breakevenUsdPerMwh(state, b.machine) ||
      a.machine - b.machine,
  );
  const excessW = excessOverCapsW(state, now);
  const dueWPerMs = dueRateWPerMs(state, worstFirst, now);
  for (const { index, rampDownKwPerMin } of state.site.nodes) {
    const bucket = state.rampDown[index];
    if (bucket === undefined) continue;
    refill(bucket, Math.max(rampWPerMs(rampDownKwPerMin), dueWPerMs), RAMP_BURST_MS, now.monoMs);
    if (excessW > 0) bucket.availableW = Math.max(bucket.availableW, excessW);
  }
  const changes: Change[] = [];
  let urgent = excessW > 0;
  for (const change of worstFirst) {
    if (!rampHasRoom(state, state.rampDown, change) || !takeShare(state, change, now)) continue;
    takeRamp(state, state.rampDown, change);
    changes.push(change);
    urgent ||= forced(change);
  }
  return { changes, urgent };
}

/** How far the meters are above the caps in force, W: the largest of all nodes. */
function excessOverCapsW(state: SiteState, now: Now): number {
  const caps = capsW(state);
  const root = state.site.nodes[0];
  return state.site.nodes.reduce((most, node) => {
    // The utility's limit has a deadline and a ramp of its own; a physical cap has neither.
    const cap = node === root ? ownCapW(state, node) : (caps[node.index] ?? Infinity);
    const meter = meterOf(state, node.index, now.monoMs);
    return meter === undefined ? most : Math.max(most, meter - cap);
  }, 0);
}

/** Who stands above the ramp and has no measured excess that says how much must go. */
const HURRIES: readonly Owner[] = ['lockout', 'protection', 'emergency'];

/**
 * How fast load must fall for those above the ramp, W per ms; 0 without any. An emergency has the utility's deadline,
 * the others have no time at all. What is contracted stands below the ramp.
 */
function dueRateWPerMs(state: SiteState, sheds: readonly Change[], now: Now): number {
  const due = sheds.filter((change) => HURRIES.includes(change.target.because.owner));
  if (due.length === 0) return 0;
  const dueW = due.reduce((sum, change) => sum - change.deltaW, 0);
  const settleMs = Math.max(
    ...due.map((change) => (state.site.machines[change.machine]?.model.sleepS ?? 0) * 1_000),
  );
  const timed = due.every((change) => change.target.because.owner === 'emergency');
  const leftMs = timed ? Math.max(1_000, state.limit.deadlineMonoMs - now.monoMs - settleMs - 5_000) : 1_000;
  return dueW / leftMs;
}

/** True when every ramp above a machine lets another step begin. */
const rampHasRoom = (state: SiteState, buckets: readonly Bucket[], { machine }: Change): boolean =>
  pathOf(state, machine).every((node) => (buckets[node]?.availableW ?? 0) > 0);

function takeRamp(state: SiteState, buckets: readonly Bucket[], { machine, deltaW }: Change): void {
  for (const node of pathOf(state, machine)) {
    const bucket = buckets[node];
    if (bucket !== undefined) bucket.availableW -= Math.abs(deltaW);
  }
}

const pathOf = (state: SiteState, machine: number): readonly number[] =>
  state.site.nodes[state.site.machines[machine]?.nodeIndex ?? -1]?.path ?? [];

/** Of what a price may move in one window, forgets what is older than it. Called once per decision. */
export function turnShare(state: SiteState, now: Now): void {
  const energy = state.site.config.prices.energy;
  if (energy === undefined) return;
  // Of the site at work, so that the share does not shrink while the site is being shed.
  const siteW =
    sumByNode(state, (machine) =>
      isKnown(state, machine) ? Math.max(believedW(state, machine), drawW(state, machine, 'mine')) : 0,
    )[0] ?? 0;
  const share = state.priceShare;
  share.isFull = false;
  share.mostW = (siteW * energy.sharePct) / 100;
  share.moved = share.moved.filter(({ atMonoMs }) => now.monoMs - atMonoMs < energy.windowS * 1_000);
}

/** True, and counted, when a change for money fits into what is left of the share in the window, or is witnessed. */
function takeShare(state: SiteState, change: Change, now: Now): boolean {
  if (change.target.because.owner !== 'price' || state.site.config.prices.energy === undefined) return true;
  const { moved, mostW } = state.priceShare;
  const movedW = moved.reduce((sum, { watts }) => sum + watts, 0);
  const watts = Math.abs(change.deltaW);
  // A share smaller than one machine still moves one per window.
  if (movedW > 0 && movedW + watts > mostW && !isWitnessed(state)) {
    state.priceShare.isFull = true;
    return false;
  }
  const last = moved.at(-1);
  if (last?.atMonoMs === now.monoMs) last.watts += watts;
  else moved.push({ atMonoMs: now.monoMs, watts });
  return true;
}

function releaseRaises(state: SiteState, raises: readonly Change[], now: Now): Change[] {
  if (raises.length === 0) return [];
  const control = state.site.config.control;
  const blocked = new Set(
    state.commands
      .filter(
        (command) => command.expectedW < 0 && (command.state === 'sent' || command.state === 'verifying'),
      )
      .flatMap((command) => command.nodes.filter((node) => !node.done).map((node) => node.node)),
  );
  const caps = capsW(state);
  const committed = committedW(state);
  const margin = 1 - control.marginPct / 100;
  for (const { index, rampUpKwPerMin } of state.site.nodes) {
    const bucket = state.rampUp[index];
    if (bucket !== undefined) refill(bucket, rampWPerMs(rampUpKwPerMin), RAMP_BURST_MS, now.monoMs);
  }
  const starts = new Map(
    state.site.agents.map((agent) => [agent, control.startsPer10S - recentStarts(state, agent, now)]),
  );
  const best = [...raises].sort(
    (a, b) =>
      Number(b.target.mode === 'ai') - Number(a.target.mode === 'ai') ||
      breakevenUsdPerMwh(state, b.machine) - breakevenUsdPerMwh(state, a.machine) ||
      a.machine - b.machine,
  );
  const changes: Change[] = [];
  for (const change of best) {
    const machine = state.site.machines[change.machine];
    const agent = machine?.agent ?? '';
    if (machine === undefined || state.agents.get(agent)?.phase !== 'live' || (starts.get(agent) ?? 0) <= 0)
      continue;
    if (!rampHasRoom(state, state.rampUp, change)) continue;
    const { path = [] } = state.site.nodes[machine.nodeIndex] ?? {};
    // Committed already holds what it draws now: what is added is up to the draw it is asked to reach.
    const addW = newW(state, change.machine, change.target.mode);
    const growth = state.auxiliaries.growth[machine.nodeIndex] ?? [];
    const reached = path.map((node, at) => (committed[node] ?? 0) + addW * (growth[at] ?? 1));
    const fits = path.every(
      (node, at) => !blocked.has(node) && (reached[at] ?? 0) <= (caps[node] ?? 0) * margin,
    );
    if (!fits || !takeShare(state, change, now)) continue;
    for (const [at, node] of path.entries()) committed[node] = reached[at] ?? 0;
    starts.set(agent, (starts.get(agent) ?? 0) - 1);
    takeRamp(state, state.rampUp, change);
    changes.push(change);
  }
  return changes;
}

function recentStarts(state: SiteState, agent: string, now: Now): number {
  return state.site.machines.filter((machine) => {
    const mode = state.wish[machine.index]?.mode;
    return (
      machine.agent === agent &&
      (mode === 'mine' || mode === 'ai') &&
      now.monoMs - (state.wishMonoMs[machine.index] ?? -Infinity) < 10_000
    );
  }).length;
}

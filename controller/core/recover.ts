import { lockSchema } from '../../protocols/mqtt/lockouts.ts';
import { MODES } from '../../protocols/reading.ts';
import type { LedgerRecord, NodeBefore } from './events.ts';
import { isNewer } from './energy.ts';
import { COMMANDS_KEPT, keep, provenAtRoot, timesOf } from './follow.ts';
import { indexesOf } from './indexes.ts';
import { WORK_READS } from './ingest.ts';
import { lastDay } from './contract.ts';
import { recoverMeters } from './metering.ts';
import { placeLock } from './lockouts.ts';
import { applyOperator, personOf } from './operator.ts';
import { recoverPools } from './pools.ts';
import { shareAt } from './room.ts';
import type { LimitState } from './signals.ts';
import type { Command, SiteState } from './state.ts';

/** What the ledger says of the time before this start: it holds until the present is known better. */
export interface FromLedger {
  /**
   * Per node, when a command below it was last decided: what it drew beyond the words of its machines, how many
   * went on working and what those were counted at, W.
   */
  readonly nodes: Map<
    number,
    { readonly unexplainedW: number; readonly working: number; readonly workingW: number }
  >;
  /** The utility's limit that was in force. */
  limit:
    | (Pick<LimitState, 'signalId' | 'beganMs' | 'agreed' | 'deadlineWallMs'> & {
        readonly limitKw: number;
        readonly obeyedKw: number;
        readonly kind: 'contracted' | 'emergency';
      })
    | undefined;
  /** When its limits of the last day began, UTC ms. */
  events: readonly number[];
}

/** The highest epoch the ledger knows; 0 when it is empty. */
export const lastEpoch = (records: readonly LedgerRecord[]): number =>
  records.reduce((highest, record) => (record.t === 'start' ? Math.max(highest, record.epoch) : highest), 0);

type Told = Extract<LedgerRecord, { t: 'command' }>;
type Proof = Extract<LedgerRecord, { t: 'verified' }>;

/** All that the ledger says of one command. */
interface Story {
  readonly before: readonly NodeBefore[];
  /** One per rack. */
  readonly told: Told[];
  readonly proofs: Map<string, Proof>;
}

/**
 * Brings back what must survive a restart: what is wanted of every machine and since when, what they draw, holds,
 * lockouts, the limit with its deadline, and commands whose proof is still to come. Machines on their way to rest
 * when the controller died are then on their way, and not load that nobody explains.
 */
export function recover(state: SiteState, records: readonly LedgerRecord[], wallMs: number): void {
  const { machines } = indexesOf(state);
  const stories = new Map<string, Story>();
  recoverMeters(
    state,
    records.filter((record) => record.t === 'meter'),
  );
  for (const record of records) {
    if (record.t === 'operator') {
      const places = record.machines.flatMap((id) => machines.get(id) ?? []);
      applyOperator(state, record, places, record.atMs);
    } else if (record.t === 'signal') takeSignal(state, record, wallMs);
    else if (record.t === 'agree') takeAgreed(state, record);
    else if (record.t === 'before') {
      stories.set(record.commandId, { before: record.nodes, told: [], proofs: new Map() });
      const oldest = stories.size > COMMANDS_KEPT ? stories.keys().next().value : undefined;
      if (oldest !== undefined) stories.delete(oldest);
      takeNodes(state, record.nodes);
    } else if (record.t === 'command') {
      stories.get(record.commandId)?.told.push(record);
      takeChanges(state, record, wallMs);
      takeShare(state, record, wallMs);
    } // In lines of before there were two kinds, the kind is missing.
    else if (record.t === 'lockout') placeLock(state, lockSchema.parse(record.lock));
    else if (record.t === 'energy') isNewer(state, record.interval);
    else if (record.t === 'verified') stories.get(record.commandId)?.proofs.set(record.node, record);
  }
  recoverPools(state, records);
  for (const [machine, hold] of state.holds) if (hold.untilMs <= wallMs) state.holds.delete(machine);
  for (const story of stories.values()) takeUp(state, story, wallMs);
}

/** The moment of a line on this controller's monotonic clock. A wall clock that was set back makes it now. */
const monoOf = (state: SiteState, atMs: number, wallMs: number): number =>
  state.startedMonoMs - Math.max(0, wallMs - atMs);

/** What prices moved shortly before the restart still counts: a restart gives no new share. */
function takeShare(state: SiteState, record: Told, wallMs: number): void {
  const windowMs = (state.site.config.prices.energy?.windowS ?? 0) * 1_000;
  if (wallMs - record.atMs >= windowMs || !record.changes.some(({ owner }) => owner === 'price')) return;
  const watts = Math.abs(record.expectedKw) * 1_000;
  state.priceShare.moved.push({ atMonoMs: monoOf(state, record.atMs, wallMs), watts });
}

function takeSignal(state: SiteState, record: Extract<LedgerRecord, { t: 'signal' }>, wallMs: number): void {
  if (record.source === 'energy') return takeLastPrice(state, record, wallMs);
  if (record.source !== 'utility') return;
  const { fromLedger } = state;
  const { signalId, limitKw, limitKind: kind = 'contracted', atMs, deadlineMs = 0 } = record;
  if (limitKw === undefined) {
    fromLedger.limit = undefined;
    return;
  }
  const before = fromLedger.limit;
  if (before === undefined) fromLedger.events = lastDay([...fromLedger.events, atMs], atMs);
  const { obeyedKw = limitKw } = record;
  const { beganMs = atMs, agreed } = before ?? {};
  const deadlineWallMs = atMs + deadlineMs;
  fromLedger.limit = { signalId, limitKw, obeyedKw, beganMs, agreed, kind, deadlineWallMs };
}

function takeAgreed(
  { fromLedger }: SiteState,
  { input, actor, value }: Extract<LedgerRecord, { t: 'agree' }>,
): void {
  const { limit } = fromLedger;
  if (input !== 'limit' || limit?.limitKw !== value) return;
  fromLedger.limit = { ...limit, obeyedKw: value, agreed: { by: personOf(actor), limitKw: value } };
}

/** The last good price goes on holding for what is left of its time, so that a restart alone changes nothing for money. */
function takeLastPrice(
  state: SiteState,
  record: Extract<LedgerRecord, { t: 'signal' }>,
  wallMs: number,
): void {
  const energy = state.site.config.prices.energy;
  const { value, quality = 'good', atMs } = record;
  if (energy === undefined) return;
  const { price } = state;
  const isOver = quality === 'good' && wallMs - atMs > (energy.keepS ?? energy.maxAgeS) * 1_000;
  // What was held already goes on for the time of the last good one.
  if (quality === 'good' && !isOver) price.heardMonoMs = monoOf(state, atMs, wallMs);
  const holds = !isOver && (quality === 'good' || (quality === 'held' && price.quality === 'held'));
  price.usdPerMwh = holds ? value : undefined;
  price.quality = holds ? 'held' : 'none';
  if (holds) price.signalId = record.signalId;
}

function takeNodes(state: SiteState, nodes: readonly NodeBefore[]): void {
  for (const { node, unexplainedKw, working, workingKw } of nodes) {
    const place = indexesOf(state).nodes.get(node);
    if (place !== undefined)
      state.fromLedger.nodes.set(place, {
        unexplainedW: unexplainedKw * 1_000,
        working,
        workingW: workingKw * 1_000,
      });
  }
}

/** A machine of which nothing was wanted and nothing was to change was taken over as it was found. */
const moved = (record: Told, change: Told['changes'][number]): boolean =>
  change.from !== change.to && (change.from !== null || record.expectedKw !== 0);

function takeChanges(state: SiteState, record: Told, wallMs: number): void {
  for (const change of record.changes) {
    const index = indexesOf(state).machines.get(change.machine);
    if (index === undefined || !MODES.includes(change.to)) continue;
    if (moved(record, change)) state.wishMonoMs[index] = monoOf(state, record.atMs, wallMs);
    if (change.workKw !== undefined) {
      state.workW[index] = change.workKw * 1_000;
      state.workReads[index] = WORK_READS;
    }
    state.wish[index] = {
      mode: change.to,
      because: {
        owner: 'price',
        rule: 'recovered',
        text: `as commanded before the restart: ${record.text}`.slice(0, 400),
      },
    };
  }
}

/**
 * A command whose time is not over is followed on: it is said again now, and its proof counts from where it began. One
 * that was proven is kept, so that the end of its signal is known to give back what it took; one that failed is past.
 */
function takeUp(state: SiteState, story: Story, wallMs: number): void {
  const { told, proofs } = story;
  const first = told[0];
  const moving = told.flatMap((record) =>
    record.changes
      .filter((change) => moved(record, change))
      .flatMap((change) => {
        const machine = indexesOf(state).machines.get(change.machine);
        return machine === undefined ? [] : [{ machine, rises: record.expectedKw >= 0 }];
      }),
  );
  if (first === undefined || moving.length === 0) return;
  const nodes = nodesOf(state, story);
  if ([...proofs.values()].some((proof) => !proof.ok)) return;
  const proven = nodes.length > 0 && nodes.every((node) => node.done);
  if (!proven && wallMs - first.atMs > timesOf(state, moving, 0).deadlineMonoMs) return;
  const machines = moving.map(({ machine }) => machine);
  keep(state, {
    id: first.commandId,
    signalId: first.signalId,
    owner: first.changes[0]?.owner ?? 'price',
    text: first.text,
    atMs: first.atMs,
    sentMonoMs: monoOf(state, first.atMs, wallMs),
    machines,
    nodes,
    expectedW: told.reduce((sum, record) => sum + record.expectedKw, 0) * 1_000,
    ...timesOf(state, moving, state.startedMonoMs),
    compared: proven,
    overtaken: false,
    state: proven ? 'verified' : 'sent',
  });
  for (const machine of machines) {
    state.commandOf[machine] = first.commandId;
    state.stage[machine] = proven ? 'steady' : 'sent';
  }
}

/** What each meter is to show of those racks whose line was written. */
function nodesOf(state: SiteState, { before, told, proofs }: Story): Command['nodes'] {
  const asked = new Map(
    before.flatMap((node) => {
      const place = indexesOf(state).nodes.get(node.node);
      return place === undefined || node.meterKw === undefined ? [] : [[place, node] as const];
    }),
  );
  const expected = new Map<number, number>();
  for (const { rack, shownKw = 0, changes } of told) {
    const own = indexesOf(state).nodes.get(rack) ?? -1;
    const path = state.site.nodes[own]?.path ?? [];
    const metered = path.find((node) => asked.has(node));
    const places = new Set(metered === undefined ? [] : [metered]);
    if (provenAtRoot(changes[0]?.owner ?? '') && asked.has(0)) places.add(0);
    for (const place of places)
      expected.set(place, (expected.get(place) ?? 0) + shownKw * 1_000 * shareAt(state, own, place));
  }
  return [...expected].map(([node, expectedW]) => {
    const found = asked.get(node);
    const proof = proofs.get(state.site.nodes[node]?.id ?? '');
    return {
      node,
      expectedW,
      beforeW: (found?.meterKw ?? Number.NaN) * 1_000,
      alsoDueW: (found?.dueKw ?? 0) * 1_000,
      unexplainedW: (found?.unexplainedKw ?? 0) * 1_000,
      othersW: (found?.othersKw ?? 0) * 1_000,
      measuredW: proof === undefined ? undefined : proof.measuredKw * 1_000,
      done: proof !== undefined,
    };
  });
}

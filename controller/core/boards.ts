/** Hash boards of miners: how many take part, of how many; what is lost with them is not earned, and is said aloud. */
import { modeOf, numberOf } from '../../protocols/reading.ts';
import type { Readings } from '../../protocols/reading.ts';
import { clearAlarm, setAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import type { SiteState } from './state.ts';

/** Machines bring up one board after the other: fewer than all for so long beside its time to wake are gone. */
export const BOARDS_SETTLE_MS = 300_000;

/** Columns per machine. */
export interface Boards {
  /** As last told while it mined; NaN: not told. */
  readonly count: Float64Array;
  readonly chips: Float64Array;
  /** Since when fewer than its model has take part, monotonic; NaN: not so. */
  readonly shortMonoMs: Float64Array;
  /** What is left of its hashrate, 0 to 1. */
  readonly share: Float64Array;
}

export const emptyBoards = (machines: number): Boards => ({
  count: new Float64Array(machines).fill(Number.NaN),
  chips: new Float64Array(machines).fill(Number.NaN),
  shortMonoMs: new Float64Array(machines).fill(Number.NaN),
  share: new Float64Array(machines).fill(1),
});

/** Takes what a machine says of its boards. Asleep it says nothing that counts: what was known of it stands. */
export function noteBoards(state: SiteState, index: number, readings: Readings, now: Now): Effect[] {
  const machine = state.site.machines[index];
  const count = numberOf(readings['boards.count']);
  const { boards } = state;
  const isMining = modeOf(readings) === 'mine';
  // The next start has its whole time again.
  if (!isMining) boards.shortMonoMs[index] = Number.NaN;
  // None at all and mining is not true.
  if (machine?.model.kind !== 'asic' || !isMining || count === undefined || count <= 0) return [];
  boards.count[index] = count;
  boards.chips[index] = numberOf(readings['chips.count']) ?? Number.NaN;
  const made = machine.model.boards ?? count;
  if (count >= made) {
    boards.shortMonoMs[index] = Number.NaN;
    boards.share[index] = 1;
    return clearAlarm(state, now, 'BOARDS_LOST', machine.id);
  }
  const sinceMs = boards.shortMonoMs[index] ?? Number.NaN;
  if (Number.isNaN(sinceMs)) boards.shortMonoMs[index] = now.monoMs;
  const isLost = now.monoMs - sinceMs >= BOARDS_SETTLE_MS + machine.model.wakeS * 1_000;
  if (!isLost) return [];
  // The boards that are left may be driven harder, and a machine may count them wrong: what it hashes is believed as well.
  const fullHs = (machine.model.rungs.at(-1)?.hashrateThs ?? 0) * 1e12;
  const hashes = fullHs > 0 ? (state.hashrateHs[index] || 0) / fullHs : 0;
  boards.share[index] = Math.min(1, Math.max(count / made, hashes));
  const text = `${machine.id}: ${boardsText(state, index) ?? ''} take part`;
  return setAlarm(state, now, true, 'BOARDS_LOST', machine.id, text);
}

/** `2 of 3 boards, 252 of 378 chips`; null: not told. */
export function boardsText(state: SiteState, index: number): string | null {
  const model = state.site.machines[index]?.model;
  const count = state.boards.count[index] ?? Number.NaN;
  if (model?.kind !== 'asic' || Number.isNaN(count)) return null;
  const of = (made: number | undefined): string => (made === undefined ? '' : ` of ${made}`);
  const chips = state.boards.chips[index] ?? Number.NaN;
  return `${count}${of(model.boards)} boards${Number.isNaN(chips) ? '' : `, ${chips}${of(model.chips)} chips`}`;
}

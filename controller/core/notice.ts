/**
 * Announcements: before the first command of a change of the site's load beyond `control.noticeKw`, a line in the
 * ledger says from what to what, by when and why. It is synced before any of the commands is written down.
 */
import { rampWPerMs } from '../../protocols/ramp.ts';
import type { Course, NoticeRecord } from './courses.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import type { Change, Release } from './release.ts';
import type { SignalView } from '../../protocols/console/view.ts';
import { estimatedW } from './room.ts';
import { meterOf, rootOf } from './state.ts';
import type { SiteState } from './state.ts';

/** Steps within this time are one change, ms. */
const WINDOW_MS = 60_000;
/** Without a figure in the site file: this share of the site's cap. */
const DEFAULT_SHARE = 0.1;

/** Changes beyond this are announced, kW. */
export const noticeKwOf = ({ site }: Pick<SiteState, 'site'>): number =>
  site.config.control.noticeKw ?? DEFAULT_SHARE * rootOf(site).capKw;

/** The commands of a release, behind the notice they need; changes what is known to be announced. */
export function announced(state: SiteState, released: Release, commands: Effect[], now: Now): Effect[] {
  const { courses } = state;
  const down = follow(state, courses.down, released, released.wanted.sheds, now);
  const up = follow(state, courses.up, released, released.wanted.raises, now);
  // One that goes the other way takes the place of the one before.
  if (down.length > 0) courses.up.notice = undefined;
  else if (up.length > 0) courses.down.notice = undefined;
  return behind([...down, ...up], commands);
}

/** Commands that could not be written down are said again behind the notices that stand: perhaps these could not either. */
export const announcedAgain = (state: SiteState, commands: Effect[], { wallMs }: Now): Effect[] =>
  behind(underWay(state, wallMs), commands);

/** The notices whose time is not over. */
const underWay = ({ courses }: SiteState, wallMs: number): NoticeRecord[] =>
  [courses.down, courses.up].flatMap(({ notice }) =>
    notice === undefined || notice.byMs < wallMs ? [] : [notice],
  );

/** What goes out only once the notices are durable: the shell gives the inner lines to the ledger no sooner. */
function behind(notices: readonly NoticeRecord[], commands: Effect[]): Effect[] {
  if (notices.length === 0) return commands;
  const reports = notices.map((notice): Effect => {
    const { noticeId, fromKw, toKw, byMs, owner, text, signalId } = notice;
    const signal = signalId === undefined ? {} : { signalId };
    return {
      kind: 'report',
      event: { event: 'notice', noticeId, fromKw, toKw, byMs, owner, text, ...signal },
    };
  });
  return [{ kind: 'ledger', records: notices, after: [...reports, ...commands] }];
}

/** The changes under way that were announced, for an operator's eyes: until the time they are to be over. */
export const noticeSignals = (state: SiteState, wallMs: number): SignalView[] =>
  underWay(state, wallMs).map((notice) => ({
    id: notice.noticeId,
    kind: 'notice',
    source: notice.owner,
    text: `from ${Math.round(notice.fromKw)} kW to ${Math.round(notice.toKw)} kW: ${notice.text}`,
    quality: 'good',
    sinceMs: notice.atMs,
    untilMs: notice.byMs,
    waits: null,
  }));

/** Takes what is wanted and what goes out now in one direction; the notice that must be given first, if any. */
function follow(
  state: SiteState,
  course: Course,
  { changes, urgent }: Release,
  wanted: readonly Change[],
  now: Now,
): NoticeRecord[] {
  const pendingW = sumW(wanted);
  const goes = new Set(changes);
  const first = wanted.find((change) => goes.has(change));
  const goesW = sumW(wanted.filter((change) => goes.has(change)));
  course.leftW = Math.min(course.leftW, pendingW);
  course.unannounced = course.unannounced.filter(({ atMonoMs }) => now.monoMs - atMonoMs < WINDOW_MS);
  if (first === undefined) return [];
  const wentW = course.unannounced.reduce((sum, { watts }) => sum + watts, 0);
  if (pendingW + wentW - course.leftW > noticeKwOf(state) * 1_000) {
    course.notice = noticeOf(state, first, pendingW, urgent, now);
    course.leftW = pendingW - goesW;
    course.unannounced = [];
    return [course.notice];
  }
  course.unannounced.push({ atMonoMs: now.monoMs, watts: Math.max(0, goesW - course.leftW) });
  course.leftW = Math.max(0, course.leftW - goesW);
  return [];
}

const sumW = (changes: readonly Change[]): number =>
  changes.reduce((sum, { deltaW }) => sum + Math.abs(deltaW), 0);

function noticeOf(
  state: SiteState,
  first: Change,
  pendingW: number,
  urgent: boolean,
  now: Now,
): NoticeRecord {
  const { owner, text, signalId } = first.target.because;
  const root = rootOf(state.site);
  const rises = first.deltaW > 0;
  const model = state.site.machines[first.machine]?.model;
  const settleMs = ((rises ? model?.wakeS : model?.sleepS) ?? 0) * 1_000;
  const rampMs = pendingW / rampWPerMs(rises ? root.rampUpKwPerMin : root.rampDownKwPerMin);
  const fromW = meterOf(state, root.index, now.monoMs) ?? estimatedW(state)[root.index] ?? 0;
  const hasDeadline =
    !rises && (owner === 'dr' || owner === 'emergency') && state.limit.deadlineWallMs > now.wallMs;
  state.courses.count++;
  return {
    t: 'notice',
    atMs: now.wallMs,
    noticeId: `n-${state.epoch}-${state.courses.count}`,
    fromKw: kw(fromW),
    toKw: kw(rises ? fromW + pendingW : Math.max(0, fromW - pendingW)),
    byMs: hasDeadline ? state.limit.deadlineWallMs : Math.round(now.wallMs + rampMs + settleMs),
    urgent,
    owner,
    text,
    ...(signalId !== undefined && { signalId }),
  };
}

const kw = (watts: number): number => Math.round(watts) / 1_000;

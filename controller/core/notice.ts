/**
 * Announcements: before the first command of a change of the site's load beyond `control.noticeKw`, a line in the
 * ledger says from what to what, by when and why. The shell writes lines in order and says nothing of any before all of
 * them are durable, so that the notice is never behind what it announces.
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

/** The notices that a release needs before its commands; changes what is known to be announced. */
export function announce(state: SiteState, released: Release, now: Now): Effect[] {
  const { courses } = state;
  const down = follow(state, courses.down, released, released.wanted.sheds, now);
  const up = follow(state, courses.up, released, released.wanted.raises, now);
  // One that goes the other way takes the place of the one before.
  if (down.length > 0) courses.up.notice = undefined;
  else if (up.length > 0) courses.down.notice = undefined;
  return [...down, ...up].map(given);
}

/** The notices whose time is not over, or of which something is still to come. */
const underWay = ({ courses }: SiteState, wallMs: number): NoticeRecord[] =>
  [courses.down, courses.up].flatMap(({ notice, leftW }) =>
    notice === undefined || (notice.byMs < wallMs && leftW === 0) ? [] : [notice],
  );

function given(notice: NoticeRecord): Effect {
  const { noticeId, fromKw, toKw, byMs, owner, text, signalId } = notice;
  const signal = signalId === undefined ? {} : { signalId };
  const event = { event: 'notice', noticeId, fromKw, toKw, byMs, owner, text, ...signal } as const;
  return { kind: 'ledger', records: [notice], after: [{ kind: 'report', event }] };
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
  const pendingW = sumW(state, wanted);
  const goes = new Set(changes);
  const first = wanted.find((change) => goes.has(change));
  const goesW = sumW(
    state,
    wanted.filter((change) => goes.has(change)),
  );
  course.leftW = Math.min(course.leftW, pendingW);
  course.unannounced = course.unannounced.filter(({ atMonoMs }) => now.monoMs - atMonoMs < WINDOW_MS);
  if (first === undefined) return [];
  const wentW = course.unannounced.reduce((sum, { watts }) => sum + watts, 0);
  if (pendingW + wentW - course.leftW > noticeKwOf(state) * 1_000) {
    course.notice = noticeOf(state, first, wanted, urgent, now);
    course.leftW = pendingW - goesW;
    course.unannounced = [];
    return [course.notice];
  }
  course.unannounced.push({ atMonoMs: now.monoMs, watts: Math.max(0, goesW - course.leftW) });
  course.leftW = Math.max(0, course.leftW - goesW);
  return [];
}

/** What changes come to at the site's meter, with what follows the machines, W. */
const sumW = ({ site, auxiliaries }: SiteState, changes: readonly Change[]): number =>
  changes.reduce((sum, { machine, deltaW }) => {
    const growth = auxiliaries.growth[site.machines[machine]?.nodeIndex ?? -1]?.at(-1) ?? 1;
    return sum + Math.abs(deltaW) * growth;
  }, 0);

function noticeOf(
  state: SiteState,
  first: Change,
  wanted: readonly Change[],
  urgent: boolean,
  now: Now,
): NoticeRecord {
  const { owner, text, signalId } = first.target.because;
  const root = rootOf(state.site);
  const rises = first.deltaW > 0;
  const pendingW = sumW(state, wanted);
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
    byMs: hasDeadline ? state.limit.deadlineWallMs : Math.round(now.wallMs + lastsMs(state, wanted, now)),
    urgent,
    owner,
    text,
    ...(signalId !== undefined && { signalId }),
  };
}

/** How long these changes take at least: the slowest of what holds them, and their own settling. */
function lastsMs(state: SiteState, wanted: readonly Change[], now: Now): number {
  const { site, priceShare } = state;
  const { config, nodes, machines } = site;
  const rises = (wanted[0]?.deltaW ?? 0) > 0;
  const below = new Float64Array(nodes.length);
  const starts = new Map<string, number>();
  let settleS = 0;
  let forMoneyW = 0;
  for (const { machine, deltaW, target } of wanted) {
    const one = machines[machine];
    if (one === undefined) continue;
    settleS = Math.max(settleS, rises ? one.model.wakeS : one.model.sleepS);
    for (const node of nodes[one.nodeIndex]?.path ?? []) below[node] = (below[node] ?? 0) + Math.abs(deltaW);
    starts.set(one.agent, (starts.get(one.agent) ?? 0) + 1);
    if (target.because.owner === 'price') forMoneyW += Math.abs(deltaW);
  }
  const rampsMs = nodes.map(
    ({ index, rampUpKwPerMin, rampDownKwPerMin }) =>
      (below[index] ?? 0) / rampWPerMs(rises ? rampUpKwPerMin : rampDownKwPerMin),
  );
  const startsMs = rises
    ? [...starts.values()].map((count) => (10_000 * (count - 1)) / config.control.startsPer10S)
    : [];
  const windowMs = (config.prices.energy?.windowS ?? 0) * 1_000;
  const movedW = priceShare.moved.reduce(
    (sum, { atMonoMs, watts }) => (now.monoMs - atMonoMs < windowMs ? sum + watts : sum),
    0,
  );
  const isShared = forMoneyW + movedW > priceShare.mostW && priceShare.mostW > 0;
  const shareMs = isShared && forMoneyW > 0 ? windowMs * Math.floor(forMoneyW / priceShare.mostW) : 0;
  return Math.max(shareMs, ...rampsMs, ...startsMs) + settleS * 1_000;
}

const kw = (watts: number): number => Math.round(watts) / 1_000;

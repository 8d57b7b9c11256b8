/**
 * Contactors and switched outlets after an outage: what starts by itself when power returns is held back by an outlet
 * that the return finds open, and starts when the outlet is closed. Closing is a start of everything behind it. None is
 * opened to take load away, only where nothing is drawn already, but for one case that the site file must allow: all
 * behind it ignore every command to rest. Times are monotonic ms.
 */
import type { Model } from '../../config/schema/model.ts';
import type { Mode } from '../../protocols/reading.ts';

/** What an outlet's read-back says; without a good value it is unknown, and what is behind it too. */
export type Standing = 'open' | 'closed' | 'unknown';

/** Voltage above an outlet; `unmeasured`: no meter stands there that could tell. */
export type Supply = 'live' | 'dead' | 'unknown' | 'unmeasured';

/** Whether it may be opened for machines that ignore every command to rest. */
type CutsIgnored = 'never' | 'at-rest' | 'under-load';

/** One machine behind an outlet. */
export interface Behind {
  readonly id: string;
  /** Why nothing may move here, in words: hands in the rack, or not ours; undefined: nothing. */
  readonly hands: string | undefined;
  /** Why nothing may be started here, in words: the plant's own inputs; undefined: nothing. */
  readonly inhibited: string | undefined;
  /** With power it comes back at rest. */
  readonly rests: boolean;
  /** It is wanted at work, by a word in force. */
  readonly wanted: boolean;
  /** It is on the quarantine list, wanted at rest by a word in force, and was told so in vain. */
  readonly ignores: boolean;
  /** It works, or nobody knows. */
  readonly works: boolean;
}

/** `endedMs`: when the write ended; undefined: it is under way. */
export interface Told {
  readonly closed: boolean;
  readonly atMs: number;
  readonly endedMs: number | undefined;
}

export interface OutletSight {
  readonly standing: Standing;
  /** What was written last, and when; undefined: nothing since the agent's start. */
  readonly told: Told | undefined;
  /** When the newest sample began that shows `standing`; -Infinity: the newest one shows the opposite. */
  readonly shownMs: number;
  /** A closing that failed is tried again from then on. */
  readonly againMs: number;
  readonly supply: Supply;
  /** Since when all behind it have been asked in vain; undefined: something answers, or was not asked yet. */
  readonly silentSinceMs: number | undefined;
  /** The meter above shows less than what is behind it would draw at rest, or a switch above is open. */
  readonly isDark: boolean;
  /** The controller's word is in force for everything behind it. */
  readonly live: boolean;
  readonly behind: readonly Behind[];
  readonly cutsIgnored: CutsIgnored;
}

export type OutletAct =
  | { readonly kind: 'open' }
  | { readonly kind: 'close' }
  /** `why`: what an open one waits for. */
  | { readonly kind: 'wait'; readonly why: string };

/** The read-back shows a command by then. */
const FOLLOW_MS = 10_000;
/** Nothing has answered for so long: a short dip, a slow answer, or a read-back that is wrong, opens nothing. */
const SILENT_MS = 10_000;
/** Who was told to open and did not is told again. */
const AGAIN_MS = 60_000;

const wait = (why: string): OutletAct => ({ kind: 'wait', why });

/** What it shows now tells whether it has followed: read when it should have, however seldom it is read. */
export const isJudged = ({ endedMs }: Told, shownMs: number): boolean =>
  endedMs !== undefined && shownMs - endedMs >= FOLLOW_MS;

/** What to do with one outlet now; a `close` still needs the consent of the agent's limits. */
export function outletAct(sight: OutletSight, nowMs: number): OutletAct {
  const { standing, told, shownMs, behind, silentSinceMs, isDark } = sight;
  const hands = behind.find((one) => one.hands !== undefined);
  if (hands !== undefined) return wait(`${hands.id}: ${hands.hands}`);
  if (standing === 'unknown') return wait('nobody knows whether it is closed');
  if (told !== undefined && told.closed !== (standing === 'closed')) {
    const isDue = told.closed ? isJudged(told, shownMs) : nowMs - told.atMs >= AGAIN_MS;
    if (!isDue) return wait('it is being switched');
  }
  const isSilent = silentSinceMs !== undefined && nowMs - silentSinceMs >= SILENT_MS;
  if (standing === 'closed' && cutsNow(sight)) return { kind: 'open' };
  if (standing === 'closed') return isSilent && isDark ? { kind: 'open' } : wait('it is closed');
  // It dropped out by itself, or did not follow: with its output on, the return of power would close it.
  if (told?.closed !== false) return isSilent ? { kind: 'open' } : wait('it has just been seen open');
  return closing(sight, nowMs);
}

/** Everything behind it was told in every way there is: what may be cut by the site's own word. */
const cutsNow = ({ cutsIgnored, behind }: OutletSight): boolean =>
  cutsIgnored !== 'never' &&
  behind.length > 0 &&
  behind.every(({ ignores, works }) => ignores && (cutsIgnored === 'under-load' || !works));

function closing({ supply, againMs, live, behind }: OutletSight, nowMs: number): OutletAct {
  if (supply === 'dead') return wait('there is no voltage above it');
  if (supply === 'unknown') return wait('the meter above it does not tell whether there is voltage');
  if (nowMs < againMs) return wait('it did not close; it is tried again');
  const inhibited = behind.find((one) => one.inhibited !== undefined);
  if (inhibited !== undefined) return wait(`${inhibited.id}: ${inhibited.inhibited}`);
  if (!live) return wait('no controller is in charge');
  const idle = behind.find(({ rests, wanted }) => !rests && !wanted);
  if (idle !== undefined) return wait(`${idle.id} would start by itself and is not wanted at work`);
  return { kind: 'close' };
}

/** True for who comes back at rest with its power: GPU hosts always, ASICs that slept and keep it. */
export const comesBackAtRest = ({ kind, keepsSleep }: Model, lastMode: Mode | undefined): boolean =>
  kind === 'gpu-host' || (keepsSleep === true && lastMode === 'sleep');

/** What a node's meter shows, and what is known to flow there beside what is behind outlets that are read as open, W. */
export interface Flowing {
  readonly meterW: number;
  /** The others' machines at most, and the auxiliaries. */
  readonly knownW: number;
  /** What the meter showed beyond them while all of them were known; undefined: they never were. */
  readonly besideW: number | undefined;
  /** What is behind those outlets may draw. */
  readonly behindW: number;
}

/** Machines tell their draw, and meters measure, to about this share. */
const INEXACT = 0.03;
/** Half of what would flow is no error any more. */
const SHOWS_SHARE = 0.5;

/**
 * What flows behind outlets that are read as open and answer nothing, W; 0 when the meter shows nothing of the kind.
 * `leastW`: the smallest draw of one machine at work there. Where nobody has learnt what else flows, other load is
 * taken for theirs only when it is as much as half of what they may draw.
 */
export function drawnBehindW({ meterW, knownW, besideW, behindW }: Flowing, leastW: number): number {
  const drawnW = meterW - knownW * (1 + INEXACT) - (besideW ?? 0);
  const showsW = SHOWS_SHARE * (besideW === undefined ? Math.max(leastW, behindW) : leastW);
  return drawnW >= showsW ? drawnW : 0;
}

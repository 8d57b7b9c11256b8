/** The intervals a market settles by: aligned to the clocks of its time zone, on the days they are changed too. */

const MINUTE_MS = 60_000;
/** Clocks are changed by an hour at most: an interval begins no further back than its length and this. */
const CHANGE_MS = 60 * MINUTE_MS;

export interface Calendar {
  readonly intervalMin: number;
  /** IANA name. */
  readonly timeZone: string;
}

/** From `startMs` up to, and without, `endMs`; UTC ms. */
export interface Interval {
  readonly startMs: number;
  readonly endMs: number;
}

/** Making one costs more than a thousand uses of it. */
const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone,
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
    hourCycle: 'h23',
  });
  formats.set(timeZone, made);
  return made;
}

/** What the clocks of a zone show is ahead of UTC by this, ms. */
export function offsetAt(atMs: number, timeZone: string): number {
  if (timeZone === 'UTC') return 0;
  const fields = new Map(
    formatOf(timeZone)
      .formatToParts(atMs)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const of = (type: Intl.DateTimeFormatPartTypes): number => fields.get(type) ?? 0;
  const shownMs = Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'));
  return shownMs - Math.floor(atMs / 1_000) * 1_000;
}

/**
 * The first boundary behind a moment. Where the clocks are not changed by whole intervals, one is shorter or longer:
 * the boundaries behind it are those of the new time.
 */
export function nextBoundary(atMs: number, calendar: Calendar): number {
  const { intervalMin, timeZone } = calendar;
  const stepMs = intervalMin * MINUTE_MS;
  const offsetMs = offsetAt(atMs, timeZone);
  const nextMs = (Math.floor((atMs + offsetMs) / stepMs) + 1) * stepMs - offsetMs;
  if (offsetAt(nextMs - 1, timeZone) === offsetMs) return nextMs;
  let [before, changedMs] = [atMs, nextMs - 1];
  while (changedMs - before > 1) {
    const middle = Math.floor((before + changedMs) / 2);
    if (offsetAt(middle, timeZone) === offsetMs) before = middle;
    else changedMs = middle;
  }
  const isAligned = (changedMs + offsetAt(changedMs, timeZone)) % stepMs === 0;
  return isAligned ? changedMs : nextBoundary(changedMs, calendar);
}

/** The interval a moment lies in; a boundary belongs to the one it begins. */
export function intervalAt(atMs: number, calendar: Calendar): Interval {
  let startMs = nextBoundary(atMs - calendar.intervalMin * MINUTE_MS - CHANGE_MS, calendar);
  for (;;) {
    const endMs = nextBoundary(startMs, calendar);
    if (endMs > atMs) return { startMs, endMs };
    startMs = endMs;
  }
}

/** The beginning of a day by the clocks of a zone: `2026-03-08`, UTC ms. Undefined when it is no day. */
export function dayStart(day: string, timeZone: string): number | undefined {
  const shownMs = /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN;
  if (Number.isNaN(shownMs)) return undefined;
  const aboutMs = shownMs - offsetAt(shownMs, timeZone);
  const startMs = shownMs - offsetAt(aboutMs, timeZone);
  // A day without a midnight, as its clocks skip that hour, begins with the hour behind it.
  return shownMs - offsetAt(startMs, timeZone) === startMs ? startMs : Math.max(aboutMs, startMs);
}

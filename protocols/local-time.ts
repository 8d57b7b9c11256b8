export const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/** Weekday (0: Sunday) and minutes since midnight at a moment (UTC ms) by the clocks of a time zone (IANA name). */
export function localTime(wallMs: number, timeZone: string): { weekday: number; minute: number } {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(wallMs);
  const part = (type: Intl.DateTimeFormatPartTypes): string =>
    parts.find((one) => one.type === type)?.value ?? '';
  const weekday = WEEKDAYS.findIndex((day) => day === part('weekday').toLowerCase());
  return { weekday, minute: Number(part('hour')) * 60 + Number(part('minute')) };
}

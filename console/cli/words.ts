import { withNext } from '../../protocols/faults.ts';
import type { AlarmView, ConsoleView, OperatorRequest, Preview } from '../../protocols/console/view.ts';
import { deltaKwText, kwText, powerText, usdText } from '../format.ts';
import type { ScreenLine } from './screen.ts';

const NAMES_SHOWN = 20;
const SGR = {
  normal: '',
  dim: '\u001B[2m',
  head: '\u001B[1m',
  warn: '\u001B[33m',
  bad: '\u001B[1;31m',
} as const;

/** One line with its attention as ANSI attributes, clearing what stood there before. */
export function styled({ text, style }: ScreenLine): string {
  return SGR[style] === '' ? `${text}\u001B[K` : `${SGR[style]}${text}\u001B[0m\u001B[K`;
}

/** The site in one line. */
export function summary({ site, alarms }: ConsoleView): string {
  return `${site.name}: ${powerText(site.powerW)} of ${kwText(site.limitKw)} (${site.limitFrom}), plan ${kwText(site.planKw)}, price ${usdText(site.priceUsdPerMwh)}/MWh (${site.priceQuality}), ${usdText(site.usdPerHour)}/h, ${site.reporting}/${site.expected} reporting, ${alarms.length} alarms${site.underControl ? '' : ', NOT UNDER CONTROL'}`;
}

/** Of the alarms, so many are named. */
const ALARMS_NAMED = 5;
const URGENCY = { high: 0, medium: 1, low: 2 } as const;

/** An alarm in one line, with what to do. */
export const alarmText = (alarm: AlarmView): string =>
  `ALARM ${alarm.id} ${alarm.code} ${withNext(`${alarm.subject}: ${alarm.text}`, alarm.next)}`;

/** Those nobody has acknowledged first, of those the worst, of those the newest. */
export const byUrgency = (alarms: readonly AlarmView[]): AlarmView[] =>
  alarms.toSorted(
    (a, b) =>
      Number(a.acknowledgedBy !== null) - Number(b.acknowledgedBy !== null) ||
      URGENCY[a.priority] - URGENCY[b.priority] ||
      b.sinceMs - a.sinceMs,
  );

/** The site in one line, then its worst alarms, and how many more there are. */
export function statusLines(view: ConsoleView): string[] {
  const named = byUrgency(view.alarms).slice(0, ALARMS_NAMED);
  const more = view.alarms.length - named.length;
  return [summary(view), ...named.map(alarmText), ...(more > 0 ? [`and ${more} more alarms`] : [])];
}

/** What a command would do, in one line. */
export function previewText(request: OperatorRequest, preview: Preview): string {
  const names = preview.machines.slice(0, NAMES_SHOWN).join(' ');
  const more =
    preview.machines.length > NAMES_SHOWN ? ` … and ${preview.machines.length - NAMES_SHOWN} more` : '';
  const hold = request.minutes === undefined ? '' : ` for ${request.minutes} min`;
  const set = request.pools === undefined ? '' : ` ${request.pools}`;
  return `${request.action}${set} ${request.scope.join(',')}${hold}: ${preview.machines.length} machines, ${deltaKwText(preview.deltaKw)}, ${usdText(preview.usdPerHour)}/h: ${names}${more}`;
}

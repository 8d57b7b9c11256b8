import type { ConsoleView, OperatorRequest, Preview } from '../../protocols/console/view.ts';
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

/** What a command would do, in one line. */
export function previewText(request: OperatorRequest, preview: Preview): string {
  const names = preview.machines.slice(0, NAMES_SHOWN).join(' ');
  const more =
    preview.machines.length > NAMES_SHOWN ? ` … and ${preview.machines.length - NAMES_SHOWN} more` : '';
  const hold = request.minutes === undefined ? '' : ` for ${request.minutes} min`;
  const set = request.pools === undefined ? '' : ` ${request.pools}`;
  return `${request.action}${set} ${request.scope.join(',')}${hold}: ${preview.machines.length} machines, ${deltaKwText(preview.deltaKw)}, ${usdText(preview.usdPerHour)}/h: ${names}${more}`;
}

import type { SignalView } from '../../protocols/console/view.ts';
import type { RunningInterval } from '../../protocols/mqtt/energy.ts';
import type { SiteState } from './state.ts';

const MINUTE_MS = 60_000;

/** The market's intervals that are under way, one per revenue meter, as their agents say it now. */
export const intervalSignals = (state: SiteState): SignalView[] =>
  [...state.agents.values()].flatMap(({ intervals, online }) =>
    intervals.map((one): SignalView => ({
      id: `energy-${one.meter}`,
      kind: 'energy',
      source: one.meter,
      text: online ? wordsOf(one) : `${wordsOf(one)}, when its agent was heard last`,
      quality: online && one.quality === 'good' ? 'good' : 'held',
      sinceMs: one.startMs,
      untilMs: one.endMs,
      waits: null,
    })),
  );

function wordsOf(one: RunningInterval): string {
  const { startMs, endMs, importWh, exportWh, endImportWh, endExportWh, quality } = one;
  const name = `interval of ${Math.round((endMs - startMs) / MINUTE_MS)} min`;
  if (importWh === undefined) return `${name}: energy not known (${quality})`;
  const both = (into: number, out: number | undefined): string =>
    `${kWh(into)} kWh${out === undefined ? '' : ` in, ${kWh(out)} kWh out`}`;
  const end =
    endImportWh === undefined
      ? 'what it comes to is not known'
      : `${both(endImportWh, endExportWh)} at its end if nothing changes (mean ${kWh((endImportWh * 60 * MINUTE_MS) / (endMs - startMs))} kW in)`;
  return `${name}: ${both(importWh, exportWh)} so far, ${end}${quality === 'good' ? '' : `; ${quality}`}`;
}

const kWh = (wh: number): string => (wh / 1_000).toFixed(1);

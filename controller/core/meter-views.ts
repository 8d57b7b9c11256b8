import { METER_MAX_AGE_MS } from '../../protocols/metering/age.ts';
import type { MeterView } from '../../protocols/console/view.ts';
import { numberOf } from '../../protocols/reading.ts';
import type { Now } from './events.ts';
import type { SiteState } from './state.ts';

/** Every meter with its newest value, as it came: also one that the controller does not decide with. */
export function metersOf(state: SiteState, now: Now): MeterView[] {
  return state.site.meters.map(({ id, node, role, index, periodMs }): MeterView => {
    const said = state.meterSaid[index];
    const silentMs = now.monoMs - (state.meterHeard[index] ?? -Infinity);
    const alarm = state.alarms.get(`METER_IMPLAUSIBLE:${id}`);
    const stands = alarm === undefined && silentMs <= METER_MAX_AGE_MS + periodMs;
    const why = said === undefined ? 'never read' : (alarm?.text ?? said.why);
    return {
      id,
      node,
      role,
      powerW: numberOf(said) ?? null,
      atMs: said?.atMs ?? null,
      trusted: stands,
      agreed: state.alarms.get(`METER_AGREED:${id}`)?.text ?? null,
      why:
        stands && said?.ok === true && said.quality === 'good'
          ? null
          : (why ?? 'nothing usable for too long'),
    };
  });
}

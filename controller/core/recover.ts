import { MODES } from '../../protocols/reading.ts';
import type { LedgerRecord } from './events.ts';
import { indexesOf } from './ingest.ts';
import { applyOperator } from './operator.ts';
import type { SiteState } from './state.ts';

/** The highest epoch the ledger knows; 0 when it is empty. */
export const lastEpoch = (records: readonly LedgerRecord[]): number =>
  records.reduce((highest, record) => (record.t === 'start' ? Math.max(highest, record.epoch) : highest), 0);

/** Brings back what must survive a restart: what is wanted of every machine, holds, lockouts. */
export function recover(state: SiteState, records: readonly LedgerRecord[], wallMs: number): void {
  const { machines } = indexesOf(state);
  for (const record of records) {
    if (record.t === 'operator') {
      const places = record.machines.flatMap((id) => machines.get(id) ?? []);
      applyOperator(state, record.request, places, record.actor, record.atMs);
    }
    if (record.t !== 'command') continue;
    for (const change of record.changes) {
      const index = machines.get(change.machine);
      if (index === undefined || !MODES.includes(change.to)) continue;
      state.wish[index] = {
        mode: change.to,
        because: {
          owner: 'price',
          rule: 'recovered',
          text: `as commanded before the restart: ${record.text}`.slice(0, 400),
        },
      };
    }
  }
  for (const [machine, hold] of state.holds) if (hold.untilMs <= wallMs) state.holds.delete(machine);
}

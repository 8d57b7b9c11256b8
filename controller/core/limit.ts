import type { Observed } from '../../protocols/mqtt/status.ts';
import { clearAlarm, raiseAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import { endSignal } from './state.ts';
import type { SiteState } from './state.ts';

/** The limit that was in force before the start holds until the utility is heard: silence lifts nothing. */
export function holdLimit(state: SiteState, now: Now): void {
  const { limit, fromLedger, site } = state;
  if (fromLedger.limit === undefined || site.config.utility === undefined) return;
  const { limitKw, kind, signalId, deadlineWallMs } = fromLedger.limit;
  limit.limitKw = limitKw;
  limit.kind = kind;
  limit.signalId = signalId;
  limit.deadlineWallMs = deadlineWallMs;
  limit.deadlineMonoMs = now.monoMs + Math.max(0, deadlineWallMs - now.wallMs);
  limit.met = false;
}

/** A limit found at start is due when the ledger says; one it does not know may be in force for long: it is due now. */
function deadlineAtStart(
  state: SiteState,
  said: { readonly limitKw?: number | undefined; readonly sequence: number; readonly deadlineS: number },
  now: Now,
): number {
  const known = state.fromLedger.limit;
  if (known?.signalId !== `limit-${said.sequence}` || known.limitKw !== said.limitKw) return 0;
  return Math.min(Math.max(0, known.deadlineWallMs - now.wallMs), said.deadlineS * 1_000);
}

/** The utility's terminal, as the agent reads it. */
export function takeObserved(state: SiteState, observed: Observed, now: Now): Effect[] {
  const utility = state.site.config.utility;
  const limit = state.limit;
  limit.last = observed.utility;
  if (utility === undefined || !observed.utility.ok) return [];
  const said = observed.utility;
  limit.heardMonoMs = now.monoMs;
  limit.heartbeatAgeMs = said.heartbeatAgeMs;
  if (said.sequence === limit.sequence && said.limitKw === limit.limitKw && said.kind === limit.kind)
    return clearAlarm(state, now, 'SIGNAL_INVALID', 'utility');
  if (said.limitKw !== undefined && said.limitKw < utility.minLimitKw && said.kind !== 'emergency')
    return raiseAlarm(
      state,
      now,
      'SIGNAL_INVALID',
      'utility',
      `a limit of ${said.limitKw} kW is below the contract's ${utility.minLimitKw} kW; it is not obeyed`,
    );
  if (limit.sequence < 0) holdLimit(state, now);
  const before = limit.limitKw;
  if (said.limitKw === undefined && before !== undefined) endSignal(state, limit.signalId);
  const deadlineMs = limit.sequence < 0 ? deadlineAtStart(state, said, now) : said.deadlineS * 1_000;
  limit.sequence = said.sequence;
  limit.limitKw = said.limitKw;
  limit.kind = said.kind;
  limit.signalId = `limit-${said.sequence}`;
  limit.deadlineMonoMs = now.monoMs + deadlineMs;
  limit.deadlineWallMs = now.wallMs + deadlineMs;
  limit.met = said.limitKw === undefined;
  if (said.limitKw === undefined && before === undefined)
    return clearAlarm(state, now, 'SIGNAL_INVALID', 'utility');
  const figures = said.limitKw === undefined ? {} : { limitKw: said.limitKw, deadlineMs };
  const kind = said.limitKw === undefined ? 'limit-end' : 'limit';
  const byRight = said.limitKw === undefined || said.kind === 'none' ? {} : { limitKind: said.kind };
  return [
    ...clearAlarm(state, now, 'SIGNAL_INVALID', 'utility'),
    {
      kind: 'ledger',
      records: [
        {
          t: 'signal',
          atMs: now.wallMs,
          signalId: limit.signalId,
          kind,
          source: 'utility',
          ...figures,
          ...byRight,
        },
      ],
      after: [],
    },
    {
      kind: 'report',
      event: { event: 'signal', signalId: limit.signalId, kind, source: 'utility', ...figures },
    },
  ];
}

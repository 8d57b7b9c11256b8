import type { Observed } from '../../protocols/mqtt/status.ts';
import { setAlarm } from './alarms.ts';
import { breaks, lastDay, obeyedKw } from './contract.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import { estimatedW } from './room.ts';
import { endSignal } from './restoring.ts';
import { meterOf } from './state.ts';
import type { SiteState } from './state.ts';

/** The limit that was in force before the start holds until the utility is heard: silence lifts nothing. */
export function holdLimit(state: SiteState, now: Now): void {
  const { limit, fromLedger, site } = state;
  limit.events = fromLedger.events;
  if (fromLedger.limit === undefined || site.config.utility === undefined) return;
  Object.assign(limit, fromLedger.limit);
  limit.deadlineMonoMs = now.monoMs + Math.max(0, limit.deadlineWallMs - now.wallMs);
  limit.met = false;
}

/** Which bounds of the contract the limit in force breaks, in words. */
function broken(state: SiteState, now: Now): readonly string[] {
  const { utility } = state.site.config;
  const { limitKw, kind, beganMs, events } = state.limit;
  return utility === undefined || limitKw === undefined
    ? []
    : breaks(utility.envelope, { limitKw, kind, beganMs, events }, now.wallMs);
}

/** Says when the limit in force is more than its contract covers: as it comes, and when it lasts too long. */
export function watchContract(state: SiteState, now: Now): Effect[] {
  const { limitKw = 0, obeyedKw = limitKw, agreed } = state.limit;
  const words = agreed?.limitKw === limitKw ? [] : broken(state, now);
  const text = `limit of ${limitKw} kW: ${words.join('; ')}; ${obeyedKw.toFixed(0)} kW are kept and no more is shed for it`;
  return setAlarm(state, now, words.length > 0, 'LIMIT_OUTSIDE', 'utility', text);
}

/** A person agrees that the limit in force may be more than the contract covers. */
export function agreeLimit(state: SiteState, limitKw: number, by: string, now: Now): Effect[] {
  const { limit } = state;
  if (limit.limitKw !== limitKw) return [];
  limit.agreed = { by, limitKw };
  limit.obeyedKw = limitKw;
  // Before the utility was heard, what the ledger says is taken up again.
  if (state.fromLedger.limit?.limitKw === limitKw)
    state.fromLedger.limit = { ...state.fromLedger.limit, agreed: limit.agreed, obeyedKw: limitKw };
  return watchContract(state, now);
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
    return [];
  if (limit.sequence < 0) holdLimit(state, now);
  const before = limit.limitKw;
  if (said.limitKw === undefined && before !== undefined) endSignal(state, limit.signalId);
  const deadlineMs = limit.sequence < 0 ? deadlineAtStart(state, said, now) : said.deadlineS * 1_000;
  limit.sequence = said.sequence;
  judgeLimit(state, said, now);
  limit.signalId = `limit-${said.sequence}`;
  limit.deadlineMonoMs = now.monoMs + deadlineMs;
  limit.deadlineWallMs = now.wallMs + deadlineMs;
  limit.met = said.limitKw === undefined;
  const told = watchContract(state, now);
  if (said.limitKw === undefined && before === undefined) return told;
  const figures = said.limitKw === undefined ? {} : { limitKw: said.limitKw, deadlineMs };
  const { obeyedKw: part } = limit;
  const obeyed = part === undefined || part === said.limitKw ? {} : { obeyedKw: part };
  const kind = said.limitKw === undefined ? 'limit-end' : 'limit';
  const byRight = said.limitKw === undefined || said.kind === 'none' ? {} : { limitKind: said.kind };
  return [
    ...told,
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
          ...obeyed,
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

/** How much of what is said is obeyed. The same limit said again, also over a restart, is judged as it was. */
function judgeLimit(
  state: SiteState,
  said: { readonly limitKw?: number | undefined; readonly kind: SiteState['limit']['kind'] },
  now: Now,
): void {
  const { limit, site } = state;
  const { envelope } = site.config.utility ?? {};
  const { limitKw, kind } = said;
  const isSame = limitKw === limit.limitKw && kind === limit.kind;
  if (limitKw !== undefined && limit.limitKw === undefined) {
    limit.beganMs = now.wallMs;
    limit.events = lastDay([...limit.events, now.wallMs], now.wallMs);
  }
  limit.limitKw = limitKw;
  limit.kind = kind;
  if (isSame || envelope === undefined) return;
  if (limitKw === undefined) {
    limit.obeyedKw = undefined;
    limit.agreed = undefined;
    return;
  }
  const { beganMs, events } = limit;
  const meterKw = (meterOf(state, 0, now.monoMs) ?? estimatedW(state)[0] ?? 0) / 1_000;
  limit.obeyedKw =
    limit.agreed?.limitKw === limitKw
      ? limitKw
      : obeyedKw(envelope, { limitKw, kind, beganMs, events }, meterKw, now.wallMs);
}

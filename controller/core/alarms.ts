import { FAULTS } from '../../protocols/faults.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import type { Alarm, SiteState } from './state.ts';

const HIGH: readonly FaultCode[] = [
  'CAP_EXCEEDED',
  'AGENT_LOST',
  'LEASE_LOST',
  'LIMIT_INFEASIBLE',
  'AI_INTERRUPTED',
  'SHED_SHORTFALL',
  'BUS_OFFLINE',
  'LEDGER_BROKEN',
  'LEDGER_RESERVE',
  'KEPT_DAMAGED',
  'LOCKOUT_AWAKE',
  'LOCKOUT_UNHELD',
  'DISK_FULL',
  'DISK_FAILED',
];
const LOW: readonly FaultCode[] = ['DEVICE_LOST', 'BOARDS_LOST', 'SELF_WOKEN', 'VALUE_STALE', 'METER_AGREED'];

/** Of something that happened, not of something that is: nothing ends them but a person who has seen them. */
const HAPPENED: readonly FaultCode[] = [
  'FOREIGN_WRITER',
  'SETTING_DISTURBED',
  'BUS_MESSAGE',
  'DESIRED_STALE',
  'SPOOL_DAMAGED',
  'METER_COUNTER',
  'METER_CHANGED',
  'AGREE_REFUSED',
];

export const priorityOf = (code: FaultCode): 'high' | 'medium' | 'low' =>
  HIGH.includes(code) ? 'high' : LOW.includes(code) ? 'low' : 'medium';

/** Raises an alarm once; a raised one only gets its newer text. */
export function raiseAlarm(
  state: SiteState,
  now: Now,
  code: FaultCode,
  subject: string,
  text: string,
  commandId?: string,
): Effect[] {
  const id = `${code}:${subject}`;
  const present = state.alarms.get(id);
  if (present !== undefined) {
    present.text = text;
    return [];
  }
  state.alarms.set(id, { id, code, subject, text, sinceMs: now.wallMs, acknowledgedBy: null, toldBy: null });
  return announce(now, code, subject, text, 'raised', commandId);
}

/** Clears an alarm that stands; nothing happens when it does not. */
export function clearAlarm(state: SiteState, now: Now, code: FaultCode, subject: string): Effect[] {
  const id = `${code}:${subject}`;
  const present = state.alarms.get(id);
  if (present === undefined) return [];
  state.alarms.delete(id);
  return announce(now, code, subject, present.text, 'cleared');
}

/** A person has seen it. What happened is thereby over; what is, stays until it is not any more. */
export function acknowledge(state: SiteState, now: Now, alarmId: string, actor: string): Effect[] {
  const alarm = state.alarms.get(alarmId);
  if (alarm === undefined) return [];
  alarm.acknowledgedBy = actor;
  if (!HAPPENED.includes(alarm.code)) return [];
  state.alarms.delete(alarmId);
  return announce(now, alarm.code, alarm.subject, `${alarm.text}; seen by ${actor}`, 'cleared');
}

/** What an agent told in an earlier start than `boot` and has not told again since: nobody else would end it. */
export const toldBefore = (state: SiteState, agent: string, boot: number): Alarm[] =>
  [...state.alarms.values()].filter(
    ({ code, toldBy }) => toldBy?.agent === agent && toldBy.boot !== boot && !HAPPENED.includes(code),
  );

/** Raised while `on`, cleared when not. A text that costs to make is given as what makes it. */
export function setAlarm(
  state: SiteState,
  now: Now,
  on: boolean,
  code: FaultCode,
  subject: string,
  text: string | (() => string),
): Effect[] {
  if (!on) return clearAlarm(state, now, code, subject);
  return raiseAlarm(state, now, code, subject, typeof text === 'string' ? text : text());
}

/** Whose alarm of this kind stands. */
export function subjectsOf(state: SiteState, code: FaultCode): ReadonlySet<string> {
  const subjects = new Set<string>();
  for (const alarm of state.alarms.values()) if (alarm.code === code) subjects.add(alarm.subject);
  return subjects;
}

function announce(
  now: Now,
  code: FaultCode,
  subject: string,
  text: string,
  change: 'raised' | 'cleared',
  commandId?: string,
): Effect[] {
  return [
    {
      kind: 'ledger',
      records: [{ t: 'alarm', atMs: now.wallMs, code, subject, state: change, text }],
      after: [],
    },
    {
      kind: 'report',
      event: {
        event: 'alarm',
        code,
        subject,
        text: text === '' ? FAULTS[code].cause : text,
        next: FAULTS[code].next,
        state: change,
        ...(commandId === undefined ? {} : { commandId }),
      },
    },
  ];
}

import type { FaultCode } from '../protocols/faults.ts';
import { JUDGED_BY_CONTROLLER } from '../protocols/mqtt/status.ts';
import type { Link } from './link.ts';
import type { SpoolAlarms } from './spool.ts';

const MOST_ACTIVE = 10_000;
const MOST_SAID = 2_000;

/** What the agent tells operators: each trouble once when it begins and once when it is over. */
export interface Alarms {
  raise(code: FaultCode, subject: string, text: string): void;
  clear(code: FaultCode, subject: string, text: string): void;
  /** Something that happened once; the same words are not said twice in a row. */
  tell(code: FaultCode, subject: string, text: string): void;
}

/** All of one agent. */
export interface AgentAlarms extends Alarms {
  /** Raises it, or says what one that stands has become: the newer text takes the place of the one before. */
  restate(code: FaultCode, subject: string, text: string): void;
  /** Says all that still is once more: a controller that has just taken over knows nothing of it. */
  again(): void;
}

/** Alarms that go out as the agent's events. */
export function makeAlarms(link: () => Link | undefined): AgentAlarms {
  const active = new Map<
    string,
    { readonly code: FaultCode; readonly subject: string; readonly text: string }
  >();
  const said = new Map<string, string>();
  return {
    raise: (code, subject, text) => {
      const key = `${code} ${subject}`;
      if (active.has(key) || active.size >= MOST_ACTIVE) return;
      active.set(key, { code, subject, text });
      link()?.event(code, subject, text, 'raised');
    },
    restate: (code, subject, text) => {
      const key = `${code} ${subject}`;
      if (active.get(key)?.text === text || (!active.has(key) && active.size >= MOST_ACTIVE)) return;
      active.set(key, { code, subject, text });
      link()?.event(code, subject, text, 'raised');
    },
    clear: (code, subject, text) => {
      if (active.delete(`${code} ${subject}`)) link()?.event(code, subject, text, 'cleared');
    },
    tell: (code, subject, text) => {
      const key = `${code} ${subject}`;
      if (said.get(key) === text) return;
      if (said.size >= MOST_SAID) said.clear();
      said.set(key, text);
      link()?.event(code, subject, text, 'raised');
    },
    again: () => {
      for (const { code, subject, text } of active.values())
        if (!JUDGED_BY_CONTROLLER.includes(code)) link()?.event(code, subject, text, 'raised');
    },
  };
}

/** What the spool tells operators, in the name of its agent. */
export function spoolAlarms(alarms: Alarms, agent: string): SpoolAlarms {
  const subject = `${agent} spool`;
  return {
    onDisk: (fault) => {
      if (fault !== undefined) {
        const text = `what the controller does not have yet is kept in memory: ${fault.detail}`;
        alarms.raise(fault.code, subject, text);
      } else
        for (const code of ['DISK_FULL', 'DISK_FAILED'] as const)
          alarms.clear(code, subject, 'what waits is on the disk');
    },
    onLoss: (text, over) => {
      alarms.raise('SPOOL_THINNED', subject, text);
      if (!over) return;
      // Said once more with its sum, so that the record of its end has it.
      alarms.tell('SPOOL_THINNED', subject, text);
      alarms.clear('SPOOL_THINNED', subject, text);
    },
    onDamage: (text) => alarms.tell('SPOOL_DAMAGED', subject, text),
  };
}

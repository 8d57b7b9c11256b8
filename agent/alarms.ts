import type { FaultCode } from '../protocols/faults.ts';
import type { Link } from './link.ts';

const MOST_ACTIVE = 10_000;
const MOST_SAID = 2_000;

/** What the agent tells operators: each trouble once when it begins and once when it is over. */
export interface Alarms {
  raise(code: FaultCode, subject: string, text: string): void;
  clear(code: FaultCode, subject: string, text: string): void;
  /** Something that happened once; the same words are not said twice in a row. */
  tell(code: FaultCode, subject: string, text: string): void;
}

/** Alarms that go out as the agent's events. */
export function makeAlarms(link: () => Link | undefined): Alarms {
  const active = new Set<string>();
  const said = new Set<string>();
  return {
    raise: (code, subject, text) => {
      const key = `${code} ${subject}`;
      if (active.has(key) || active.size >= MOST_ACTIVE) return;
      active.add(key);
      link()?.event(code, subject, text, 'raised');
    },
    clear: (code, subject, text) => {
      if (active.delete(`${code} ${subject}`)) link()?.event(code, subject, text, 'cleared');
    },
    tell: (code, subject, text) => {
      const key = `${code} ${subject} ${text}`;
      if (said.has(key)) return;
      if (said.size >= MOST_SAID) said.clear();
      said.add(key);
      link()?.event(code, subject, text, 'raised');
    },
  };
}

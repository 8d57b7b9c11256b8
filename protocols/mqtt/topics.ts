/** Every topic of the bus, made and taken apart in this one place (design, section 5). */
const ROOT = 'switchyard/v1';

/** What an agent says. */
export type AgentTopic =
  | 'frame'
  | 'backlog'
  | 'status'
  | 'observed'
  | 'result'
  | 'event'
  | 'energy'
  | 'lockouts'
  | 'verbs';
/** What is said to an agent: one-shot actions, and how far its frames are stored. */
export type ToAgentTopic = 'action' | 'ack';

export const agentTopic = (site: string, agent: string, kind: AgentTopic | ToAgentTopic): string =>
  `${ROOT}/${site}/agent/${agent}/${kind}`;
export const agentFilter = (site: string, kind: AgentTopic): string => `${ROOT}/${site}/agent/+/${kind}`;
/** Whose topic it is, of those that agentTopic makes. */
export const agentOfTopic = (topic: string): string => topic.split('/')[4] ?? '';
/** Retained: what the machines of one rack shall do. */
export const desiredTopic = (site: string, rack: string): string => `${ROOT}/${site}/rack/${rack}/desired`;
/** Retained: which machines of one rack are locked out, and by whom. */
export const lockoutsTopic = (site: string, rack: string): string => `${ROOT}/${site}/rack/${rack}/lockouts`;
/** Not retained: the beat that arms desired states. */
export const leaseTopic = (site: string): string => `${ROOT}/${site}/lease`;

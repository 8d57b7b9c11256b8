/** What the machines of an agent can be told, for the controller: like ones together. */
import type { AgentVerbs } from '../protocols/mqtt/verbs.ts';
import { factsOf } from './driver.ts';
import type { Machine } from './machine.ts';

export function verbKinds(machines: readonly Machine[]): AgentVerbs['kinds'] {
  const kinds = new Map<string, AgentVerbs['kinds'][number]>();
  for (const { config, device } of machines) {
    const verbs = Object.fromEntries(
      Object.entries(factsOf(device)).map(([verb, { source: _, ...facts }]): [string, typeof facts] => [
        verb,
        facts,
      ]),
    );
    const key = JSON.stringify(verbs);
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, { verbs, machines: [config.id] });
    else kind.machines.push(config.id);
  }
  return [...kinds.values()];
}

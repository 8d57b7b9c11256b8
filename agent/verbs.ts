/** What the machines of an agent can be told, for the controller: like ones together. */
import type { AgentVerbs } from '../protocols/mqtt/verbs.ts';
import type { ToldFacts, VerbFacts } from '../protocols/verb-facts.ts';
import { factsOf } from './driver.ts';
import type { Machine } from './machine.ts';

export function verbKinds(machines: readonly Machine[]): AgentVerbs['kinds'] {
  const kinds = new Map<string, AgentVerbs['kinds'][number]>();
  for (const { config, device } of machines) {
    const verbs: Record<string, ToldFacts> = {};
    for (const [verb, facts] of Object.entries(factsOf(device))) verbs[verb] = told(facts);
    const key = JSON.stringify(verbs);
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, { verbs, machines: [config.id] });
    else kind.machines.push(config.id);
  }
  return [...kinds.values()];
}

function told(facts: VerbFacts): ToldFacts {
  const { restartsMining, isAsynchronous, survivesReboot, startsTuning, dwellS } = facts;
  const { effectS, readBackS, grain } = facts;
  return {
    restartsMining,
    isAsynchronous,
    survivesReboot,
    startsTuning,
    dwellS,
    ...(effectS && { effectS }),
    ...(readBackS !== undefined && { readBackS }),
    ...(grain && { grain }),
  };
}

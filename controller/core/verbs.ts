/** What machines can be told, by their agents' tables: nobody is asked for what its firmware has no word for. */
import type { OperatorAction } from '../../protocols/console/protocol.ts';
import type { VerbTable } from '../../protocols/mqtt/verbs.ts';
import { verbWords } from '../../protocols/verb-facts.ts';
import type { Effect } from './effects.ts';
import type { ControllerEvent } from './events.ts';
import { indexesOf } from './indexes.ts';
import type { SiteState } from './state.ts';

/** Takes an agent's table of its own machines; of those it does not name any more nothing is known. */
export function takeVerbs(
  state: SiteState,
  { agent, kinds }: Extract<ControllerEvent, { kind: 'verbs' }>,
): Effect[] {
  const tables = new Map<number, VerbTable>();
  const { machines } = indexesOf(state);
  for (const { verbs, machines: ids } of kinds)
    for (const id of ids) {
      const index = machines.get(id);
      if (index !== undefined) tables.set(index, verbs);
    }
  for (const machine of state.site.machines) {
    if (machine.agent !== agent) continue;
    const table = tables.get(machine.index);
    if (table === undefined) state.verbs.delete(machine.index);
    else state.verbs.set(machine.index, table);
  }
  return [];
}

/** The verb of a miner behind an operator's word; undefined: every machine can have it, or it is no verb. */
function verbOf(action: OperatorAction): string | undefined {
  if (action === 'mine') return 'wake';
  if (action === 'sleep') return 'sleep';
  return action === 'pools' ? 'pools' : undefined;
}

/** Why a miner cannot have an order, by what its agent says it can be told; undefined: it can, or nobody has said. */
export function lacksWord(state: SiteState, index: number, action: OperatorAction): string | undefined {
  const machine = state.site.machines[index];
  const table = state.verbs.get(index);
  const verb = verbOf(action);
  if (machine?.model.kind !== 'asic' || table === undefined || verb === undefined) return undefined;
  if (Object.hasOwn(table, verb)) return undefined;
  const words = Object.keys(table);
  const can =
    words.length === 0 ? 'nothing: it is read only, or its credential is missing' : words.join(', ');
  return `${machine.id} has no word for ${verb} as its agent reaches it; it can be told ${can}`;
}

/** Between two of these at least, where money alone asks: what its firmware makes of it (a start, a tuning) is not free. */
export const dwellS = (state: SiteState, index: number, verb: 'sleep' | 'wake'): number =>
  state.verbs.get(index)?.[verb]?.dwellS ?? 0;

/** What a machine can be told, verb by verb, as label and value. */
export function verbLines(state: SiteState, index: number): { label: string; value: string }[] {
  const table = state.verbs.get(index);
  if (table === undefined) return [];
  const verbs = Object.entries(table);
  if (verbs.length === 0) return [{ label: 'can be told', value: 'nothing' }];
  return verbs.map(([verb, facts]) => ({ label: `can be told ${verb}`, value: verbWords(facts).join(', ') }));
}

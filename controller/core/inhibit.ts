/** What the plant's own inputs hold back, as the agents say it: the agent enforces it, the controller does not fight it. */
import { holdingBack } from '../../protocols/inhibition.ts';
import type { Inhibition } from '../../protocols/mqtt/status.ts';
import type { Effect } from './effects.ts';
import { isKnown } from './state.ts';
import type { SiteState } from './state.ts';
import type { Target } from './target.ts';
import { restMode } from './economics.ts';
import type { ControllerEvent, Now } from './events.ts';

const PERMIT_MS = 60_000;
/** One that an agent has not shown to have taken is said again after this, ms. */
const AGAIN_MS = 2_000;

/** The word that holds a machine back; what rests it comes before what only keeps it from starting. */
export function inhibitionOf(state: SiteState, machine: number): Inhibition | undefined {
  const site = state.site.machines[machine];
  const held = state.agents.get(site?.agent ?? '')?.inhibitions ?? [];
  if (site === undefined || held.length === 0) return undefined;
  const above = holdingBack(state.site, site.nodeIndex, held);
  return above.find(({ effect }) => effect === 'shed') ?? above[0];
}

/** Behind an open switch, and silent: it counts as off and not as unknown. */
export const isOff = (state: SiteState, machine: number): boolean =>
  !isKnown(state, machine) && inhibitionOf(state, machine)?.off === true;

/** Rest for what may not start or must not work; undefined for what may go on. `works`: it is at work now. */
export function inhibitedTarget(state: SiteState, machine: number, works: boolean): Target | undefined {
  const held = inhibitionOf(state, machine);
  const model = state.site.machines[machine]?.model;
  if (held === undefined || model === undefined || (works && held.effect === 'inhibit')) return undefined;
  const rule = held.why.toLowerCase().replaceAll('_', '-');
  return { mode: restMode(model), because: { owner: 'protection', rule, text: held.text } };
}

/** A person permits restarts: one word to each agent for every protection in the scope. */
export function sayPermits(
  state: SiteState,
  { commandId, request }: Pick<Extract<ControllerEvent, { kind: 'operator' }>, 'commandId' | 'request'>,
  now: Now,
): Effect[] {
  const { site, epoch } = state;
  const scope = new Set(request.scope);
  return site.config.plant.protections.flatMap(({ id, node }): Effect[] => {
    const own = site.nodes.find((one) => one.id === node);
    const named = scope.has(id) || own?.path.some((index) => scope.has(site.nodes[index]?.id ?? '')) === true;
    if (own === undefined || !named) return [];
    const head = { v: 1 as const, site: site.id, id: `${commandId}-${id}`, epoch };
    const action = {
      ...head,
      machine: id,
      verb: 'permit' as const,
      expiresAtMs: now.wallMs + PERMIT_MS,
    };
    const boot = state.agents.get(own.agent)?.boot;
    state.permits.set(action.id, { agent: own.agent, boot, node, action, saidMonoMs: now.monoMs });
    return [{ kind: 'action', agent: own.agent, action }];
  });
}

/**
 * A permission may be lost on the way: it is said again, with the same id, until its trip is gone from what the agent
 * says, or it expires. An agent that has started anew does not know what it took before: to it none is repeated.
 */
export function repeatPermits(state: SiteState, now: Now): Effect[] {
  return [...state.permits].flatMap(([id, permit]): Effect[] => {
    const agent = state.agents.get(permit.agent);
    const stands = agent?.inhibitions.some(
      ({ node, why }) => node === permit.node && why === 'PROTECTION_TRIPPED',
    );
    if (stands !== true || agent?.boot !== permit.boot || now.wallMs >= permit.action.expiresAtMs) {
      state.permits.delete(id);
      return [];
    }
    if (now.monoMs - permit.saidMonoMs < AGAIN_MS) return [];
    permit.saidMonoMs = now.monoMs;
    return [{ kind: 'action', agent: permit.agent, action: permit.action }];
  });
}

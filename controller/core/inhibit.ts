/** What the plant's own inputs hold back, as the agents say it: the agent enforces it, the controller does not fight it. */
import { holdingBack, isSameReturn } from '../../protocols/inhibition.ts';
import type { Action, Inhibition, Trip } from '../../protocols/mqtt/status.ts';
import { raiseAlarm } from './alarms.ts';
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

/** The protections in a scope, each with its trip as its agent last said it; undefined: it has not tripped. */
function tripsIn(state: SiteState, scope: readonly string[]) {
  const { nodes, config } = state.site;
  return config.plant.protections.flatMap(({ id, node }) => {
    const own = nodes.find((one) => one.id === node);
    const named =
      scope.includes(id) || own?.path.some((index) => scope.includes(nodes[index]?.id ?? '')) === true;
    return own === undefined || !named ? [] : [{ id, agent: own.agent, trip: tripOf(state, own.agent, id) }];
  });
}

const tripOf = (state: SiteState, agent: string, protection: string): Trip | undefined =>
  state.agents.get(agent)?.inhibitions.find(({ trip }) => trip?.protection === protection)?.trip;

/** What a person who permits the restart in a scope is told; `some`: there is something to permit. */
export function permitWords(
  state: SiteState,
  scope: readonly string[],
): { readonly some: boolean; readonly conflicts: readonly string[] } {
  const trips = tripsIn(state, scope).filter(({ trip }) => trip !== undefined);
  const early = trips.filter(({ trip }) => trip?.returnedMs === undefined);
  const conflicts = early.map(
    ({ id }) => `'${id}' is still tripped, or cannot be read: it is permitted when it is back`,
  );
  if (trips.length === 0) conflicts.push('nothing there waits for a permission to restart');
  return { some: early.length < trips.length, conflicts };
}

/** A person permits restarts: one word to its agent for each protection in the scope that is back from a trip. */
export function sayPermits(
  state: SiteState,
  { commandId, request }: Pick<Extract<ControllerEvent, { kind: 'operator' }>, 'commandId' | 'request'>,
  now: Now,
): Effect[] {
  const { site, epoch } = state;
  return tripsIn(state, request.scope).flatMap(({ id, agent, trip }): Effect[] => {
    if (trip?.returnedMs === undefined) return [];
    const head = { v: 1 as const, site: site.id, id: `${commandId}-${id}`, epoch };
    const action: Action = {
      ...head,
      machine: id,
      verb: 'permit',
      trip,
      expiresAtMs: now.wallMs + PERMIT_MS,
    };
    const boot = state.agents.get(agent)?.boot;
    state.permits.set(action.id, { agent, boot, action, saidMonoMs: now.monoMs });
    return [{ kind: 'action', agent, action }];
  });
}

/**
 * A permission may be lost on the way: it is said again, with the same id, until its trip is gone from what the agent
 * says, or it expires. It is for that trip alone: when its input has been lost since, a person looks again. An agent
 * that has started anew does not know what it took before: to it none is repeated.
 */
export function repeatPermits(state: SiteState, now: Now): Effect[] {
  return [...state.permits].flatMap(([id, permit]): Effect[] => {
    const { agent, boot, action } = permit;
    const trip = tripOf(state, agent, action.machine);
    const stands = isSameReturn(trip, action.trip);
    if (!stands || state.agents.get(agent)?.boot !== boot || now.wallMs >= action.expiresAtMs) {
      state.permits.delete(id);
      if (stands || trip === undefined) return [];
      const text = 'tripped or lost again after the restart was permitted: look again, then permit anew';
      return raiseAlarm(state, now, 'PROTECTION_TRIPPED', action.machine, text);
    }
    if (now.monoMs - permit.saidMonoMs < AGAIN_MS) return [];
    permit.saidMonoMs = now.monoMs;
    return [{ kind: 'action', agent, action }];
  });
}

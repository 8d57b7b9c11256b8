import { isHold } from '../../protocols/console/protocol.ts';
import type { OperatorRequest } from '../../protocols/console/view.ts';
import { lockWords } from '../../protocols/mqtt/lockouts.ts';
import type { Mode } from '../../protocols/reading.ts';
import type { Effect } from './effects.ts';
import type { ControllerEvent, Now } from './events.ts';
import { sayAgain } from './commands.ts';
import { sayPermits } from './inhibit.ts';
import { freeLocks, freeManual, placeLock, sayLockouts } from './lockouts.ts';
import { isKnown, isOurs } from './state.ts';
import type { Manual, SiteState } from './state.ts';
import { restMode } from './economics.ts';
import { lacksWord } from './verbs.ts';

/** The machines a scope names: machine, rack or node ids. Undefined names are left out by the caller's check. */
export function machinesOf(state: SiteState, scope: readonly string[]): number[] {
  const nodes = new Set(state.site.nodes.filter((node) => scope.includes(node.id)).map((node) => node.index));
  return state.site.machines
    .filter((machine) => {
      if (scope.includes(machine.id)) return true;
      return (state.site.nodes[machine.nodeIndex]?.path ?? []).some((node) => nodes.has(node));
    })
    .map((machine) => machine.index);
}

/** The mode a request means for one machine; undefined: it cannot do that. */
export function requestedMode(
  state: SiteState,
  machine: number,
  action: OperatorRequest['action'],
): Mode | undefined {
  const model = state.site.machines[machine]?.model;
  if (model === undefined) return undefined;
  const rest = restMode(model);
  if (action === 'mine') return 'mine';
  if (action === 'sleep' || action === 'lockout') return rest;
  if (action === 'idle') return model.kind === 'gpu-host' ? 'idle' : undefined;
  if (action === 'ai') return model.kind === 'gpu-host' ? 'ai' : undefined;
  return undefined;
}

/** The person behind an actor: the same on every console and after every login. */
export const personOf = (actor: string): string => actor.replace(/#\d+$/, '');

/** What agents keep on their own disks too. */
const SAID: readonly OperatorRequest['action'][] = ['lockout', 'unlock', 'manual', 'automatic'];

/** An operator's command, already durable: holds with an end, lockouts without one, and their release. */
export function takeOperator(
  state: SiteState,
  event: Extract<ControllerEvent, { kind: 'operator' }>,
  now: Now,
): Effect[] {
  applyOperator(state, event, event.machines, now.wallMs);
  const { action } = event.request;
  if (action === 'permit') return sayPermits(state, event, now);
  const racksOf = (machines: readonly number[]): Set<string> =>
    new Set(machines.map((machine) => state.site.machines[machine]?.rack ?? ''));
  // Their agent is told that nothing is wanted of them any more.
  if (!SAID.includes(action)) return [];
  const said = sayLockouts(state, racksOf(event.machines));
  const racks = racksOf(event.machines);
  if (action === 'manual' && state.deciding)
    return [...said, ...sayAgain(state, racks, `released to manual by ${personOf(event.actor)}`, now)];
  if (action !== 'lockout' || !state.deciding) return said;
  // Hands in the rack: also who cannot be seen now must find this when it can be.
  const unseen = event.machines.filter((machine) => !isKnown(state, machine) && isOurs(state, machine));
  for (const machine of unseen) {
    const model = state.site.machines[machine]?.model;
    const because = {
      owner: 'lockout',
      rule: 'lockout',
      text: `locked out by ${personOf(event.actor)}`,
    } as const;
    if (model !== undefined) state.wish[machine] = { mode: restMode(model), because };
  }
  if (unseen.length === 0) return said;
  return [...said, ...sayAgain(state, racksOf(unseen), `lockout by ${personOf(event.actor)}`, now)];
}

/** Who released a machine to manual, why, and how it comes back. */
export function manualWords(id: string, { by, reason, sinceMs }: Manual): string {
  const since = new Date(sinceMs).toISOString().slice(0, 16);
  return `released to manual by ${by} since ${since}Z (${reason.slice(0, 100)}); a person returns it: automatic ${id}`;
}

/**
 * Why an order cannot have this machine: who owns it, and how it is released. Undefined: it can. Lockouts and
 * releases to manual are always possible, and so is giving back.
 */
export function blockedBy(
  state: SiteState,
  machine: number,
  action: OperatorRequest['action'],
  actor: string,
): string | undefined {
  const id = state.site.machines[machine]?.id ?? '';
  const locks = state.lockouts.get(machine) ?? [];
  if (action === 'unlock')
    return locks.length === 0 || locks.some((lock) => lock.by === personOf(actor))
      ? undefined
      : `${id} is ${lockWords(id, locks)}`;
  if (!isHold(action) && action !== 'pools') return undefined;
  if (action === 'pools' && state.site.machines[machine]?.model.kind !== 'asic')
    return `${id} is no miner: it has no pools of its own`;
  if (locks.length > 0) return `${id} is ${lockWords(id, locks)}`;
  const lacks = lacksWord(state, machine, action);
  if (lacks !== undefined) return lacks;
  const manual = state.manual.get(machine);
  if (manual !== undefined) return `${id} is ${manualWords(id, manual)}`;
  const authority = state.site.machines[machine]?.authority;
  return authority === 'automatic'
    ? undefined
    : `${id} is under authority '${authority}' by the site file: it is not commanded; set it to automatic there`;
}

/** Also used when the ledger is read back at start. */
export function applyOperator(
  state: SiteState,
  order: Pick<Extract<ControllerEvent, { kind: 'operator' }>, 'commandId' | 'actor' | 'request'>,
  machines: readonly number[],
  atMs: number,
): void {
  const { commandId, actor, request } = order;
  const ids = machines.map((machine) => state.site.machines[machine]?.id ?? '');
  const by = personOf(actor);
  // With the time in its name: a ledger that was lost and begins anew must not use the name of an ended one.
  const id = `${commandId}@${Math.round(atMs)}`;
  const { action, reason } = request;
  if (action === 'lockout' || action === 'manual')
    placeLock(state, { id, kind: action, by, sinceMs: atMs, reason, machines: ids, freed: [] });
  if (action === 'unlock') freeLocks(state, by, ids);
  if (action === 'automatic') freeManual(state, ids);
  for (const machine of machines) {
    if (request.action === 'release') state.holds.delete(machine);
    else if (isHold(request.action)) {
      const mode = requestedMode(state, machine, request.action);
      if (mode !== undefined)
        state.holds.set(machine, {
          mode,
          untilMs: atMs + (request.minutes ?? 60) * 60_000,
          actor,
          reason: request.reason,
        });
    }
  }
}

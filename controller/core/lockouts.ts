import { locksByMachine, locksOf, mergeLocks } from '../../protocols/mqtt/lockouts.ts';
import type { Lock } from '../../protocols/mqtt/lockouts.ts';
import { setAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { ControllerEvent, Now } from './events.ts';
import { indexesOf } from './indexes.ts';
import type { SiteState } from './state.ts';

/** An agent gets this long to confirm a lockout before nobody may rely on it; then it is said again this often, ms. */
const UNHELD_MS = 10_000;

/** Puts a lockout on, beside those of others on the same machines. */
export function placeLock(state: SiteState, lock: Lock): void {
  setLocks(state, mergeLocks(state.locks, [lock]));
}

/** Ends one person's lockouts of some machines. Those of others stay. */
export const freeLocks = (state: SiteState, by: string, machines: readonly string[]): void =>
  free(state, machines, (lock) => lock.kind === 'lockout' && lock.by === by);

/** Gives machines back to automation, whoever took them. */
export const freeManual = (state: SiteState, machines: readonly string[]): void =>
  free(state, machines, (lock) => lock.kind === 'manual');

function free(state: SiteState, machines: readonly string[], isMeant: (lock: Lock) => boolean): void {
  const freed = state.locks.flatMap((lock) => {
    const mine = isMeant(lock) ? lock.machines.filter((machine) => machines.includes(machine)) : [];
    return mine.length === 0 ? [] : [{ ...lock, machines: [], freed: mine }];
  });
  setLocks(state, mergeLocks(state.locks, freed));
}

function setLocks(state: SiteState, locks: readonly Lock[]): void {
  if (locks === state.locks) return;
  state.locks = locks;
  const { machines } = indexesOf(state);
  state.lockouts.clear();
  for (const [id, list] of locksByMachine(locks)) {
    const index = machines.get(id);
    if (index !== undefined) state.lockouts.set(index, list);
  }
  const before = new Set(state.manual.keys());
  state.manual.clear();
  for (const [id, [first]] of locksByMachine(locks, 'manual')) {
    const index = machines.get(id);
    if (index === undefined || first === undefined) continue;
    state.manual.set(index, first);
    if (!before.has(index)) letGo(state, index);
  }
}

/** Nothing is wanted of it any more. */
function letGo(state: SiteState, machine: number): void {
  state.holds.delete(machine);
  state.jobOf.delete(machine);
  state.wish[machine] = undefined;
  state.commandOf[machine] = undefined;
  state.stage[machine] = 'steady';
  state.disobeys[machine] = 0;
}

/** What is known of lockouts, said to the agents of some racks; without racks, to all that were ever locked. */
export function sayLockouts(state: SiteState, racks?: ReadonlySet<string>): Effect[] {
  if (state.locks.length === 0) return [];
  const { machines } = indexesOf(state);
  const rackOf = (machine: string): string | undefined =>
    state.site.machines[machines.get(machine) ?? -1]?.rack;
  return state.site.racks.flatMap(({ id: rack }): Effect[] => {
    if (racks !== undefined && !racks.has(rack)) return [];
    const locks = locksOf(state.locks, (machine) => rackOf(machine) === rack);
    if (locks.length === 0) return [];
    return [{ kind: 'lockouts', lockouts: { v: 1, site: state.site.id, rack, locks } }];
  });
}

const heldKey = (lock: Lock, machine: string): string => `${lock.id} ${machine}`;

/** True when the agent has every lockout of this machine on its disk. */
export function isHeld(state: SiteState, machine: number): boolean {
  const { id, agent } = state.site.machines[machine] ?? { id: '', agent: '' };
  const held = state.held.get(agent);
  return (state.lockouts.get(machine) ?? []).every((lock) => held?.has(heldKey(lock, id)) === true);
}

/**
 * What an agent holds on its disk. A lockout that this controller does not know (its ledger was lost, or it is
 * another one) counts like its own from here on, and is written down so that its release can be too.
 */
export function takeHeld(
  state: SiteState,
  { agent, locks }: Extract<ControllerEvent, { kind: 'held-lockouts' }>,
  now: Now,
): Effect[] {
  state.held.set(
    agent,
    new Set(locks.flatMap((lock) => lock.machines.map((machine) => heldKey(lock, machine)))),
  );
  const before = state.locks;
  setLocks(state, mergeLocks(before, locks));
  const found = state.locks === before ? [] : locks.filter((lock) => isNews(before, lock));
  const told: Effect[] =
    found.length === 0
      ? []
      : [
          {
            kind: 'ledger',
            records: found.map((lock) => ({ t: 'lockout', atMs: now.wallMs, agent, lock })),
            after: [],
          },
        ];
  return [...told, ...watchLockouts(state, now)];
}

const isNews = (known: readonly Lock[], lock: Lock): boolean => mergeLocks(known, [lock]) !== known;

/** Per agent, the machines whose lockouts it does not hold as they are known here: one it lacks, one it has and should not. */
function unconfirmed(state: SiteState): Map<string, string[]> {
  const missing = new Map<string, string[]>();
  const { machines } = indexesOf(state);
  const look = (lock: Lock, id: string, isLocked: boolean): void => {
    const agent = state.site.machines[machines.get(id) ?? -1]?.agent;
    const isSaid = state.held.get(agent ?? '')?.has(heldKey(lock, id)) === true;
    if (agent === undefined || isSaid === isLocked) return;
    const list = missing.get(agent);
    if (list === undefined) missing.set(agent, [id]);
    else list.push(id);
  };
  for (const lock of state.locks) {
    for (const id of lock.machines) look(lock, id, true);
    for (const id of lock.freed) look(lock, id, false);
  }
  return missing;
}

/** An alarm for every agent that does not confirm a lockout in its time; meanwhile it is said again. */
export function watchLockouts(state: SiteState, now: Now): Effect[] {
  const missing = unconfirmed(state);
  const effects: Effect[] = [];
  for (const agent of state.site.agents) {
    const machines = missing.get(agent);
    if (machines === undefined) state.unheldMonoMs.delete(agent);
    const sinceMs = state.unheldMonoMs.get(agent) ?? now.monoMs;
    if (machines !== undefined) state.unheldMonoMs.set(agent, sinceMs);
    const isLate = machines !== undefined && now.monoMs - sinceMs >= UNHELD_MS;
    const names = (machines ?? []).slice(0, 10).join(', ');
    const text = `agent ${agent} does not confirm the lockout, the release to manual, or the end of one, of ${machines?.length ?? 0} machines: ${names}`;
    effects.push(...setAlarm(state, now, isLate, 'LOCKOUT_UNHELD', agent, text));
  }
  if (missing.size > 0 && now.monoMs - state.lockoutsSaidMonoMs >= UNHELD_MS) {
    state.lockoutsSaidMonoMs = now.monoMs;
    effects.push(...sayLockouts(state));
  }
  return effects;
}

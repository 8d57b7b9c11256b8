import * as z from 'zod';
import { agentHead, id } from './head.ts';

const MOST_LOCKS = 1_000;
const MOST_MACHINES = 20_000;

/**
 * One person's lockout, or their release of machines to manual: then automation leaves those as they are, while what
 * protects goes on, and anyone gives them back. `machines` are locked by it; `freed` were, until that person released them. A machine moves
 * from the one list to the other and never back: a lockout put on again is a new one.
 */
export const lockSchema = z.strictObject({
  id,
  kind: z.enum(['lockout', 'manual']).default('lockout'),
  /** Who placed it: nobody else releases a lockout. */
  by: z.string().min(1).max(128),
  sinceMs: z.number(),
  reason: z.string().max(500),
  machines: z.array(id).max(MOST_MACHINES),
  freed: z.array(id).max(MOST_MACHINES),
});
export type Lock = z.infer<typeof lockSchema>;

export const locksSchema = z.array(lockSchema).max(MOST_LOCKS);

/**
 * From the controller, per rack, retained: the lockouts it knows. It adds lockouts and releases machines from them by
 * name; what it leaves out stays as it is. Obeyed without lease, epoch or expiry.
 */
export const lockoutsSchema = z.strictObject({
  v: z.literal(1),
  site: id,
  rack: id,
  locks: locksSchema,
});
export type Lockouts = z.infer<typeof lockoutsSchema>;

/** From an agent, retained: the lockouts that are on its disk. */
export const heldLockoutsSchema = z.strictObject({
  ...agentHead,
  locks: locksSchema,
});
export type HeldLockouts = z.infer<typeof heldLockoutsSchema>;

/** Lockouts that lock nothing any more are remembered, so that an old document does not bring them back; so many. */
const ENDED_KEPT = 200;

/**
 * What is known and what was said, as one. The order of saying does not matter: a machine released from a lockout by
 * name stays released from it, and nothing else releases one. The same lockout in another person's name is no word
 * on it. Returns `known` itself when nothing new was said.
 */
export function mergeLocks(known: readonly Lock[], said: readonly Lock[]): readonly Lock[] {
  const merged = new Map(known.map((lock) => [lock.id, lock]));
  let changed = false;
  for (const lock of said) {
    const before = merged.get(lock.id);
    if (before === undefined) {
      const machines = lock.machines.filter((machine) => !lock.freed.includes(machine));
      merged.set(lock.id, { ...lock, machines });
      changed = true;
      continue;
    }
    const after = joined(before, lock);
    if (after === before) continue;
    merged.set(lock.id, after);
    changed = true;
  }
  if (!changed) return known;
  const ended = [...merged.values()].filter((lock) => lock.machines.length === 0);
  for (const lock of ended.slice(0, Math.max(0, ended.length - ENDED_KEPT))) merged.delete(lock.id);
  return [...merged.values()];
}

function joined(known: Lock, said: Lock): Lock {
  if (known.by !== said.by || known.kind !== said.kind) return known;
  const freed = new Set([...known.freed, ...said.freed]);
  const machines = new Set([...known.machines, ...said.machines].filter((machine) => !freed.has(machine)));
  if (freed.size === known.freed.length && machines.size === known.machines.length) return known;
  return { ...known, machines: [...machines], freed: [...freed] };
}

/** The part of lockouts that is about some machines; lockouts about none of them are left out. */
export function locksOf(locks: readonly Lock[], isOne: (machine: string) => boolean): Lock[] {
  return locks.flatMap((lock) => {
    const machines = lock.machines.filter(isOne);
    const freed = lock.freed.filter(isOne);
    return machines.length + freed.length === 0 ? [] : [{ ...lock, machines, freed }];
  });
}

/** Per machine, what of one kind is on it: it is free only when nobody's is any more. */
export function locksByMachine(
  locks: readonly Lock[],
  kind: Lock['kind'] = 'lockout',
): Map<string, readonly Lock[]> {
  const byMachine = new Map<string, Lock[]>();
  for (const lock of locks.filter((one) => one.kind === kind))
    for (const machine of lock.machines) {
      const list = byMachine.get(machine);
      if (list === undefined) byMachine.set(machine, [lock]);
      else list.push(lock);
    }
  return byMachine;
}

/** Who locks a machine, since when, why, and how it is released. */
export function lockWords(machine: string, locks: readonly Lock[]): string {
  const [first] = locks;
  if (first === undefined) return '';
  const names = [...new Set(locks.map((lock) => lock.by))];
  const since = new Date(first.sinceMs).toISOString().slice(0, 16);
  const reason = first.reason === '' ? '' : ` (${first.reason.slice(0, 100)})`;
  const who = names.slice(0, 5).join(', ');
  const how = names.length === 1 ? `only ${who} releases it` : 'each of them releases their own';
  return `locked out by ${who} since ${since}Z${reason}; ${how}: unlock ${machine}`;
}

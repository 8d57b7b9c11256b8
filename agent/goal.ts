import type { RackOrders } from './core/desired.ts';
import { restMode } from './core/draw.ts';
import { controllerMs, isArmed } from './core/lease.ts';
import type { LeaseState } from './core/lease.ts';
import type { Goal } from './core/reconcile.ts';
import type { Machine } from './machine.ts';

interface Sources {
  readonly boot: number;
  readonly lease: LeaseState;
  /** One per rack of the plant. */
  readonly orders: readonly RackOrders[];
}

/**
 * What a machine shall do at `nowMs`: the rest a lockout owes it first, then protection, the guard, the fail-safe, the document in
 * force; undefined: nobody says. A locked machine that has had its rest is nobody's but its lockout's: what the document
 * wants of it is only there to be refused by name.
 */
export function goalOf(machine: Machine, { boot, lease, orders }: Sources, nowMs: number): Goal | undefined {
  const doc = orders[machine.rack]?.current;
  const safety = safetyOf(machine);
  const { id, rack, model } = machine.config;
  const isFree = !machine.manual && doc !== undefined && Object.hasOwn(doc.machines, id);
  const wanted = isFree ? doc.machines[id] : undefined;
  const epoch = doc?.epoch ?? 0;
  const generation = doc?.generation ?? 0;
  const rests = wanted !== undefined && (wanted.mode === 'sleep' || wanted.mode === 'idle');
  if (
    safety === 'lockout' ||
    (safety !== undefined && !(rests && doc !== undefined && isArmed(lease, rack, epoch, generation, nowMs)))
  )
    return {
      mode: restMode(model),
      commandId: `${safety}-${boot}-${id}`,
      epoch,
      generation,
      owner: safety,
      urgent: true,
      armed: true,
      expired: false,
    };
  if (wanted === undefined || doc === undefined) return undefined;
  const controller = controllerMs(lease, nowMs);
  const restoredW = wanted.powerW === undefined && wanted.mode === 'mine' ? machine.restoreLimitW : undefined;
  return {
    mode: wanted.mode,
    powerW: wanted.powerW ?? restoredW,
    restores: restoredW !== undefined,
    commandId: doc.commandId,
    epoch,
    generation,
    // What the guard or the fail-safe asks for too has their right of way.
    owner: safety ?? 'desired',
    because: wanted.because.owner,
    urgent: doc.urgent,
    armed: isArmed(lease, rack, epoch, generation, nowMs),
    expired: controller === undefined || controller >= doc.expiresAtMs,
  };
}

function safetyOf({
  lockout,
  inhibition,
  held,
  resting,
}: Machine): Exclude<Goal['owner'], 'desired'> | undefined {
  if (lockout !== undefined) return lockout.owed ? 'lockout' : undefined;
  if (inhibition?.effect === 'shed') return 'protection';
  if (held !== undefined) return 'guard';
  return resting ? 'fail-safe' : undefined;
}

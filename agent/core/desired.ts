import type { FaultCode } from '../../protocols/faults.ts';
import type { Desired } from '../../protocols/mqtt/desired.ts';

/** The documents known for one rack: the one in force, and a newer one that no beat has named yet. */
export interface RackOrders {
  current: Desired | undefined;
  candidate: { readonly doc: Desired; readonly receivedMs: number } | undefined;
}

export const makeOrders = (): RackOrders => ({ current: undefined, candidate: undefined });

export type Offer =
  | { readonly kind: 'kept' }
  | { readonly kind: 'renewed' }
  /** Delivered twice. */
  | { readonly kind: 'same' }
  | { readonly kind: 'refused'; readonly why: FaultCode; readonly detail: string };

const refused = (detail: string): Offer => ({ kind: 'refused', why: 'DESIRED_STALE', detail });

/**
 * Judges a document. Refused: an epoch below the highest seen, a generation below the one in force, the same
 * generation with other content. The same content with a later expiry renews it. A newer one waits until a beat
 * names it; a waiting one that no beat named for `patienceMs` gives way, so that a stray document blocks nothing.
 */
export function offerDesired(
  orders: RackOrders,
  doc: Desired,
  at: { readonly highestEpoch: number; readonly nowMs: number; readonly patienceMs: number },
): Offer {
  if (doc.epoch < at.highestEpoch) return refused(`epoch ${doc.epoch}, seen ${at.highestEpoch}`);
  const { current, candidate } = orders;
  if (current !== undefined) {
    const order = compare(doc, current);
    if (order < 0) return refused(`${name(doc)}, in force ${name(current)}`);
    if (order === 0) return renew(current, doc, (renewed) => (orders.current = renewed));
  }
  if (candidate !== undefined) {
    const order = compare(doc, candidate.doc);
    if (order === 0) {
      const { receivedMs } = candidate;
      return renew(candidate.doc, doc, (renewed) => (orders.candidate = { doc: renewed, receivedMs }));
    }
    if (order < 0 && at.nowMs - candidate.receivedMs < at.patienceMs)
      return refused(`${name(doc)}, newest ${name(candidate.doc)}`);
  }
  orders.candidate = { doc, receivedMs: at.nowMs };
  return { kind: 'kept' };
}

/** Puts the waiting document in force when a taken beat names it; true when that happened. */
export function promote(orders: RackOrders, epoch: number, generation: number): boolean {
  const doc = orders.candidate?.doc;
  if (doc === undefined || doc.epoch !== epoch || doc.generation !== generation) return false;
  orders.current = doc;
  orders.candidate = undefined;
  return true;
}

const name = (doc: Desired): string => `generation ${doc.epoch}.${doc.generation}`;
const compare = (a: Desired, b: Desired): number => a.epoch - b.epoch || a.generation - b.generation;

function renew(known: Desired, doc: Desired, set: (renewed: Desired) => void): Offer {
  if (!sameContent(known, doc)) return refused(`${name(doc)} came again with other content`);
  if (doc.expiresAtMs <= known.expiresAtMs) return { kind: 'same' };
  set({ ...known, expiresAtMs: doc.expiresAtMs });
  return { kind: 'renewed' };
}

/** Same settings for the same machines; the words of `because` may differ. */
function sameContent(a: Desired, b: Desired): boolean {
  const ids = Object.keys(a.machines);
  if (ids.length !== Object.keys(b.machines).length || a.urgent !== b.urgent) return false;
  return ids.every((id) => {
    const other = Object.hasOwn(b.machines, id) ? b.machines[id] : undefined;
    const own = a.machines[id];
    return other !== undefined && own !== undefined && own.mode === other.mode && own.powerW === other.powerW;
  });
}

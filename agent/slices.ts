import { drawW } from './core/draw.ts';
import { sliceBounds } from './core/envelope.ts';
import { agentPhase, unheardMs } from './core/lease.ts';
import type { LeaseState } from './core/lease.ts';
import { isOff, reachingW } from './machine.ts';
import type { Machine } from './machine.ts';
import { auxiliaryOf } from './plant.ts';
import type { Plant } from './plant.ts';

/** Machines' own figures wander, and the guard counts a little more than they tell where no meter does. */
const WANDERS = 1.05;

/** Time has passed: what binds the agent below nodes that others guard, by who is still heard. */
export function noteSlices(plant: Plant, lease: LeaseState, nowMs: number): void {
  const live = agentPhase(lease, nowMs) === 'live';
  for (const [place, { slice, machines }] of plant.nodes.entries()) {
    if (slice === undefined) continue;
    const silentMs = unheardMs(lease, slice.owner, nowMs);
    if (lease.heard.has(slice.owner) && silentMs <= lease.t1Ms)
      slice.heldW =
        (machines.reduce((sum, machine) => sum + setW(machine, nowMs) * shareAt(machine, place), 0) +
          auxiliaryOf(plant, place, false)) *
        WANDERS;
    Object.assign(slice, sliceBounds({ ...slice, unheardMs: silentMs, live }, lease));
  }
}

const shareAt = ({ path, shares }: Machine, place: number): number => shares[path.indexOf(place)] ?? 1;

/** What it may draw as it is set, W: a job that rests for a moment is no room for others. */
function setW(machine: Machine, nowMs: number): number {
  if (isOff(machine)) return 0;
  const { mode, powerW, powerLimitW } = machine;
  const { model } = machine.config;
  if (mode === undefined) return model.ratedW;
  return Math.max(drawW(model, mode, powerLimitW), powerW ?? 0, reachingW(machine, nowMs) ?? 0);
}

import { auxiliaryW, dueW, growthAlong, makeHeat, presentW } from '../../protocols/auxiliary.ts';
import type { Drawer, DrawerShares, Heat } from '../../protocols/auxiliary.ts';

/**
 * The agent's own limits: a raise is admitted against the draw it will reach, on every node of the machine's path
 * that this agent owns, and at most so many starts per 10 s. What cannot be seen counts in full. So does, on both of its
 * feeds, what hangs on two: either must carry it alone when the other one is lost.
 */
export interface EnvelopeNode {
  readonly id: string;
  readonly capW: number;
  /** Good measurement of the node's own meter, at most 3 s old; undefined when there is none. */
  readonly meterW: number | undefined;
}

export interface EnvelopeMachine {
  /** Own nodes from its rack up, and those of others above it, as indexes into the node list. */
  readonly path: readonly number[];
  /** As `path`: the share of its draw that the meter there shows; absent: all of it. */
  readonly shares?: readonly number[];
  readonly ratedW: number;
  /** Draw by the last reading; undefined when unknown. */
  readonly presentW: number | undefined;
  /** Draw that its last command will reach; undefined when none is under way. */
  readonly reachingW: number | undefined;
}

/** A slice of a node that another agent guards. */
export interface SliceSight {
  readonly capW: number;
  /** What its machines were set to draw when the other agent was last heard, W; undefined: it never was. */
  readonly heldW: number | undefined;
  /** For how long that one has not been heard. */
  readonly unheardMs: number;
  /** The controller's word is in force. */
  readonly live: boolean;
}

/**
 * What binds below a node while nobody tells that its guard is there, W: raises past T1, what is drawn past T2. With a
 * controller that counts the others' machines at their ratings it is the slice; without one also no more than was
 * drawn when all fitted together: the others may have had more than their slices.
 */
export function sliceBounds(
  { capW, heldW, unheardMs, live }: SliceSight,
  { t1Ms, t2Ms }: { readonly t1Ms: number; readonly t2Ms: number },
): { readonly raiseW: number; readonly holdW: number } {
  const boundW = live ? capW : Math.min(capW, heldW ?? Infinity);
  return { raiseW: unheardMs > t1Ms ? boundW : Infinity, holdW: unheardMs > t2Ms ? boundW : Infinity };
}

/** What draws beside the machines: places as in the node list; its heat is followed by others. */
interface EnvelopeAuxiliaries {
  readonly drawers: readonly Drawer[];
  readonly heat: Heat;
  /** Changed by others too, as feeds are lost and come back; absent: nothing hangs on two. */
  readonly shares?: DrawerShares;
}

/** Committed watts per node, kept from pass to pass. */
export interface Envelope {
  readonly marginShare: number;
  readonly startsPer10S: number;
  readonly auxiliaries: EnvelopeAuxiliaries;
  committedW: number[];
  /** What the meter shows above the machines, held while machines below are changing. */
  residualW: number[];
  residualAtMs: number[];
  /** What of it was auxiliaries, by declaration. */
  residualAuxW: number[];
  /** What a node loses on the way per watt below it, by the last quiet measurement: more load loses more. */
  lossShare: number[];
  starts: number[];
}

const WINDOW_MS = 10_000;
/** A residual measured before a change is believed this long. */
const HOLD_MS = 120_000;
/** What the meter shows above the machines counts as loss up to this share, beyond it as other load. */
const MOST_LOSS = 0.04;

export function makeEnvelope(
  nodeCount: number,
  options: { readonly marginPct: number; readonly startsPer10S: number },
  auxiliaries: EnvelopeAuxiliaries = { drawers: [], heat: makeHeat([]) },
): Envelope {
  const zeros = (): number[] => Array.from({ length: nodeCount }, () => 0);
  return {
    // Half of the margin stays free even in the agent's own reckoning; the controller plans with all of it.
    marginShare: 1 - options.marginPct / 200,
    startsPer10S: options.startsPer10S,
    auxiliaries,
    committedW: zeros(),
    residualW: zeros(),
    residualAtMs: Array.from({ length: nodeCount }, () => Number.NEGATIVE_INFINITY),
    residualAuxW: zeros(),
    lossShare: zeros(),
    starts: [],
  };
}

/** What one machine counts: the larger of its draw and the draw its command will reach; rated when unknown. */
export function committedW(machine: EnvelopeMachine): number {
  if (machine.presentW === undefined) return Math.max(machine.ratedW, machine.reachingW ?? 0);
  return Math.max(machine.presentW, machine.reachingW ?? 0);
}

/**
 * Adds everything up anew: machines, what follows them and, where a node's meter shows more than they explain, the
 * rest.
 */
export function recount(
  envelope: Envelope,
  nodes: readonly EnvelopeNode[],
  machines: readonly EnvelopeMachine[],
  nowMs: number,
): void {
  const committed = nodes.map(() => 0);
  const known = nodes.map(() => 0);
  const rising = nodes.map(() => 0);
  const changing = nodes.map(() => false);
  for (const machine of machines) {
    const watts = committedW(machine);
    for (const [place, node] of machine.path.entries()) {
      committed[node] = (committed[node] ?? 0) + watts;
      rising[node] = (rising[node] ?? 0) + watts - (machine.presentW ?? 0);
      if (machine.presentW !== undefined)
        known[node] = (known[node] ?? 0) + watts * (machine.shares?.[place] ?? 1);
      if (machine.reachingW !== undefined) changing[node] = true;
    }
  }
  const { drawers, heat, shares } = envelope.auxiliaries;
  const auxNowW = presentW(drawers, nodes.length, heat);
  const auxFlowW = presentW(drawers, nodes.length, heat, shares);
  const reachedW = auxiliaryW(drawers, nodes.length, (node) => committed[node] ?? 0);
  for (const [index, node] of nodes.entries()) {
    const metersAuxW = auxFlowW[index] ?? 0;
    const followingW = (shownW: number | undefined): number =>
      dueW(reachedW[index] ?? 0, auxNowW[index] ?? 0, shownW);
    const isHeld = nowMs - (envelope.residualAtMs[index] ?? 0) <= HOLD_MS;
    let besideW = isHeld
      ? (envelope.residualW[index] ?? 0) + followingW(envelope.residualAuxW[index] ?? 0)
      : followingW(undefined);
    if (node.meterW !== undefined) {
      const seenW = Math.max(0, node.meterW - (known[index] ?? 0));
      // While machines change, their promised draw hides what else there is: the last quiet measurement holds.
      besideW = Math.max(changing[index] ? besideW : 0, seenW + followingW(metersAuxW));
      if (!changing[index]) {
        envelope.residualW[index] = seenW;
        envelope.residualAuxW[index] = metersAuxW;
        envelope.residualAtMs[index] = nowMs;
        const below = known[index] ?? 0;
        if (below > node.capW * 0.1)
          envelope.lossShare[index] = Math.min(MOST_LOSS, Math.max(0, seenW - metersAuxW) / below);
      }
    }
    committed[index] =
      (committed[index] ?? 0) + besideW + (rising[index] ?? 0) * (envelope.lossShare[index] ?? 0);
  }
  envelope.committedW = committed;
}

export type Admission =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly limit: 'cap';
      readonly node: string;
      readonly needW: number;
      readonly roomW: number;
    }
  | { readonly ok: false; readonly limit: 'starts' };

/** Asks for a raise of one machine to `targetW`, and counts it at once when it is granted. */
export const admit = (
  envelope: Envelope,
  nodes: readonly EnvelopeNode[],
  machine: EnvelopeMachine,
  targetW: number,
  nowMs: number,
): Admission => admitAll(envelope, nodes, [{ machine, targetW, starts: true }], nowMs);

/** One machine that is to come to `targetW`; `starts`: from rest to work. */
export interface Raise {
  readonly machine: EnvelopeMachine;
  readonly targetW: number;
  readonly starts: boolean;
}

/**
 * Asks for raises that happen together, and counts them at once when all are granted. More starts than go in 10 s need
 * the window for themselves, and hold it for as long as they would have taken one after the other.
 */
export function admitAll(
  envelope: Envelope,
  nodes: readonly EnvelopeNode[],
  raises: readonly Raise[],
  nowMs: number,
): Admission {
  const { startsPer10S, lossShare, auxiliaries } = envelope;
  const starts = raises.filter((raise) => raise.starts).length;
  envelope.starts = envelope.starts.filter((atMs) => nowMs - atMs < WINDOW_MS);
  const begun = envelope.starts.length;
  if (starts > 0 && begun > 0 && begun + starts > startsPer10S) return { ok: false, limit: 'starts' };
  const addsW = new Map<number, number>();
  for (const { machine, targetW } of raises) {
    const addW = Math.max(0, targetW - committedW(machine));
    const growth = growthAlong(auxiliaries.drawers, machine.path);
    for (const [place, index] of machine.path.entries()) {
      const withAllW = addW * ((growth[place] ?? 1) + (lossShare[index] ?? 0));
      addsW.set(index, (addsW.get(index) ?? 0) + withAllW);
    }
  }
  for (const [index, needW] of addsW) {
    const node = nodes[index];
    if (node === undefined) continue;
    const roomW = node.capW * envelope.marginShare - (envelope.committedW[index] ?? 0);
    // A raise that was already counted in full asks for nothing more, but must not go out above the cap either.
    if (needW > roomW) return { ok: false, limit: 'cap', node: node.id, needW, roomW };
  }
  for (const [index, watts] of addsW) envelope.committedW[index] = (envelope.committedW[index] ?? 0) + watts;
  for (let place = 0; place < starts; place++)
    envelope.starts.push(nowMs + Math.floor(place / startsPer10S) * WINDOW_MS);
  return { ok: true };
}

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
  /** Own nodes from its rack up, as indexes into the node list. */
  readonly path: readonly number[];
  /** As `path`: the share of its draw that the meter there shows; absent: all of it. */
  readonly shares?: readonly number[];
  readonly ratedW: number;
  /** Draw by the last reading; undefined when unknown. */
  readonly presentW: number | undefined;
  /** Draw that its last command will reach; undefined when none is under way. */
  readonly reachingW: number | undefined;
}

/** Committed watts per node, kept from pass to pass. */
export interface Envelope {
  readonly marginShare: number;
  readonly startsPer10S: number;
  committedW: number[];
  /** What the meter shows above the machines, held while machines below are changing. */
  residualW: number[];
  residualAtMs: number[];
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
): Envelope {
  const zeros = (): number[] => Array.from({ length: nodeCount }, () => 0);
  return {
    // Half of the margin stays free even in the agent's own reckoning; the controller plans with all of it.
    marginShare: 1 - options.marginPct / 200,
    startsPer10S: options.startsPer10S,
    committedW: zeros(),
    residualW: zeros(),
    residualAtMs: Array.from({ length: nodeCount }, () => Number.NEGATIVE_INFINITY),
    lossShare: zeros(),
    starts: [],
  };
}

/** What one machine counts: the larger of its draw and the draw its command will reach; rated when unknown. */
export function committedW(machine: EnvelopeMachine): number {
  if (machine.presentW === undefined) return Math.max(machine.ratedW, machine.reachingW ?? 0);
  return Math.max(machine.presentW, machine.reachingW ?? 0);
}

/** Adds everything up anew: machines and, where a node's meter shows more than they explain, the rest. */
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
  for (const [index, node] of nodes.entries()) {
    const heldW = envelope.residualW[index] ?? 0;
    const age = nowMs - (envelope.residualAtMs[index] ?? 0);
    let residualW = age <= HOLD_MS ? heldW : 0;
    if (node.meterW !== undefined) {
      const seenW = Math.max(0, node.meterW - (known[index] ?? 0));
      // While machines change, their promised draw hides what else there is: the last quiet measurement holds.
      residualW = changing[index] ? Math.max(residualW, seenW) : seenW;
      if (!changing[index]) {
        envelope.residualW[index] = seenW;
        envelope.residualAtMs[index] = nowMs;
        const below = known[index] ?? 0;
        if (below > node.capW * 0.1) envelope.lossShare[index] = Math.min(MOST_LOSS, seenW / below);
      }
    }
    committed[index] =
      (committed[index] ?? 0) + residualW + (rising[index] ?? 0) * (envelope.lossShare[index] ?? 0);
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
export function admit(
  envelope: Envelope,
  nodes: readonly EnvelopeNode[],
  machine: EnvelopeMachine,
  targetW: number,
  nowMs: number,
): Admission {
  envelope.starts = envelope.starts.filter((atMs) => nowMs - atMs < WINDOW_MS);
  if (envelope.starts.length >= envelope.startsPer10S) return { ok: false, limit: 'starts' };
  const addW = Math.max(0, targetW - committedW(machine));
  for (const index of machine.path) {
    const node = nodes[index];
    if (node === undefined) continue;
    const roomW = node.capW * envelope.marginShare - (envelope.committedW[index] ?? 0);
    // A raise that was already counted in full asks for nothing more, but must not go out above the cap either.
    if (addW * (1 + (envelope.lossShare[index] ?? 0)) > roomW)
      return { ok: false, limit: 'cap', node: node.id, needW: addW, roomW };
  }
  for (const index of machine.path) {
    const withLossW = addW * (1 + (envelope.lossShare[index] ?? 0));
    envelope.committedW[index] = (envelope.committedW[index] ?? 0) + withLossW;
  }
  envelope.starts.push(nowMs);
  return { ok: true };
}

import { isCutOff } from './feeds.ts';
import type { FedNode } from './feeds.ts';
import type { Inhibition, Trip } from './mqtt/status.ts';

/** Of a site, what says who hangs on what and which relays there are. */
interface Electrical {
  readonly nodes: readonly (FedNode & { readonly id: string })[];
  readonly config: {
    readonly plant: {
      readonly protections: readonly { readonly node: string; readonly kind: string }[];
    };
  };
}

/** True for the same trip whose input has been back without a break since. */
export const isSameReturn = (one: Trip | undefined, other: Trip | undefined): boolean =>
  one?.returnedMs !== undefined &&
  one.returnedMs === other?.returnedMs &&
  one.sinceMs === other.sinceMs &&
  one.protection === other.protection;

/**
 * Of what holds nodes back, what concerns a machine on this node: all on its path. Only a switch that opened on one of
 * two feeds takes nothing from what the other one carries.
 */
export function holdingBack(
  { nodes, config }: Electrical,
  nodeIndex: number,
  held: readonly Inhibition[],
): readonly Inhibition[] {
  const above = new Map(nodes[nodeIndex]?.path.map((index) => [nodes[index]?.id, index]));
  const own = held.filter(({ node }) => above.has(node));
  if (own.length === 0) return own;
  const relays = config.plant.protections.filter(({ kind }) => kind === 'under-frequency');
  const isSwitch = ({ why, node }: Inhibition): boolean =>
    why === 'PROTECTION_TRIPPED' && !relays.some((relay) => relay.node === node);
  const open = new Set(own.filter(isSwitch).map(({ node }) => above.get(node) ?? -1));
  return isCutOff(nodes, nodeIndex, open) ? own : own.filter((one) => !isSwitch(one));
}

import type { Site, SiteMachine, SiteNode } from './site.ts';

/** As much of a site as is known while the rest of it is resolved. */
export type Tree = Pick<Site, 'config' | 'nodes' | 'machines'>;

export const machinesBelow = ({ nodes, machines }: Omit<Tree, 'config'>, node: SiteNode): SiteMachine[] =>
  machines.filter(({ nodeIndex }) => nodes[nodeIndex]?.path.includes(node.index));

/** Which of the machines below a node another agent commands, in words; undefined: none. */
export function strangerText(node: SiteNode, below: readonly SiteMachine[]): string | undefined {
  const stranger = below.find(({ agent }) => agent !== node.agent);
  return stranger === undefined
    ? undefined
    : `'${stranger.id}' below '${node.id}' belongs to the agent '${stranger.agent}', not to '${node.agent}'`;
}

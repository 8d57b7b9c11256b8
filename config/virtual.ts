import { isVirtual } from '../protocols/metering/virtual.ts';
import type { SiteMeter, SiteNode, SiteProblem } from './site.ts';

/** What a virtual meter is made of: ids of meters, or the machines below its node. */
export interface VirtualMeter {
  readonly of: 'meters' | 'machines';
  readonly plus: readonly string[];
  readonly minus: readonly string[];
}

/**
 * What stands behind `virtual:sum?of=m1,m2`, `virtual:difference?of=m1&minus=m2,m3` or `virtual:machines`; undefined for
 * any other target, a text when it cannot be understood.
 */
export function virtualMeter(target: string): VirtualMeter | string | undefined {
  if (!isVirtual(target)) return undefined;
  const url = URL.parse(target);
  const ids = (name: string): string[] =>
    (url?.searchParams.get(name) ?? '').split(',').filter((id) => id !== '');
  const [plus, minus] = [ids('of'), ids('minus')];
  const kind = url?.pathname;
  if (kind === 'machines' && plus.length + minus.length === 0) return { of: 'machines', plus, minus };
  if (kind === 'sum' && plus.length > 0 && minus.length === 0) return { of: 'meters', plus, minus };
  if (kind === 'difference' && plus.length > 0 && minus.length > 0) return { of: 'meters', plus, minus };
  return 'a virtual meter is virtual:sum?of=A,B, virtual:difference?of=A&minus=B,C or virtual:machines';
}

/** What is wrong with the virtual meters of a site: parts that are not there, or not its agent's, or virtual themselves. */
export function virtualProblems(meters: readonly SiteMeter[], nodes: readonly SiteNode[]): SiteProblem[] {
  return meters.flatMap(({ index, target, agent, nodeIndex, role }): SiteProblem[] => {
    const virtual = virtualMeter(target);
    if (virtual === undefined) return [];
    const refuse = (message: string): SiteProblem => ({ path: ['meters', index, 'target'], message });
    if (typeof virtual === 'string') return [refuse(virtual)];
    if (role !== 'node') return [refuse('a virtual meter stands for a node, not for generation')];
    const other = meters.find(
      (one) => one.index !== index && one.role === 'node' && one.nodeIndex === nodeIndex,
    );
    if (other !== undefined)
      return [
        refuse(
          `'${nodes[nodeIndex]?.id}' has a meter of its own, '${other.id}': a virtual one is for a node without`,
        ),
      ];
    const ids = [...virtual.plus, ...virtual.minus];
    return ids.flatMap((id, place): SiteProblem[] => {
      if (ids.indexOf(id) < place) return [refuse(`'${id}' is named twice`)];
      const part = meters.find((one) => one.id === id);
      if (part === undefined) return [refuse(`there is no meter '${id}'`)];
      if (isVirtual(part.target)) return [refuse(`'${id}' is virtual itself`)];
      return part.agent === agent ? [] : [refuse(`'${id}' is read by another agent: '${part.agent}'`)];
    });
  });
}

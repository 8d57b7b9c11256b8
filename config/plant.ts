import type { Permissive, Protection } from './schema/plant.ts';
import { machinesBelow, strangerText } from './below.ts';
import type { Tree } from './below.ts';
import type { SiteNode, SiteProblem } from './site.ts';

/** Sections whose entries have ids, all different. */
const NAMED = ['points', 'permissives', 'protections', 'outlets', 'loops'] as const;

const isBit = (kind: string): boolean => kind === 'coil' || kind === 'discrete';

/** A protection is a contact; a permissive is one where it says what the bit must be. */
const asksBit = (one: Permissive | Protection): boolean => 'kind' in one || one.is !== undefined;

/** What is wrong with the plant section: names that lead nowhere, bits with bounds, numbers without. */
export function plantProblems(
  tree: Tree,
  nodes: ReadonlyMap<string, SiteNode>,
  agents: readonly string[],
): SiteProblem[] {
  const { plant } = tree.config;
  const problems: SiteProblem[] = [];
  const points = new Map(plant.points.map((point) => [point.id, point]));
  const seen = new Set<string>();
  const once = (list: (typeof NAMED)[number]): void => {
    for (const [index, { id }] of plant[list].entries()) {
      if (seen.has(id))
        problems.push({ path: ['plant', list, index, 'id'], message: `'${id}' stands twice` });
      seen.add(id);
    }
  };
  for (const list of NAMED) once(list);
  for (const [index, { least = -Infinity, most = Infinity }] of plant.points.entries())
    if (least >= most)
      problems.push({ path: ['plant', 'points', index, 'least'], message: 'least must be below most' });
  for (const list of ['permissives', 'protections'] as const)
    for (const [index, one] of plant[list].entries()) {
      const at = (key: string, message: string): unknown =>
        problems.push({ path: ['plant', list, index, key], message });
      if (!nodes.has(one.node)) at('node', `there is no node '${one.node}'`);
      const point = points.get(one.input);
      if (point === undefined) at('input', `there is no point '${one.input}'`);
      else if (isBit(point.kind) !== asksBit(one))
        at(
          'input',
          `'${one.input}' is a ${isBit(point.kind) ? 'bit: use `is`' : 'number: use `min` or `max`'}`,
        );
    }
  problems.push(...loopProblems(tree, nodes));
  for (const [index, { agent }] of plant.watchdogs.entries())
    if (agent !== undefined && !agents.includes(agent))
      problems.push({
        path: ['plant', 'watchdogs', index, 'agent'],
        message: `there is no agent '${agent}'`,
      });
  return problems;
}

function loopProblems(tree: Tree, nodes: ReadonlyMap<string, SiteNode>): SiteProblem[] {
  const { plant } = tree.config;
  const problems: SiteProblem[] = [];
  const written = new Map<string, string>();
  for (const { target, kind, address } of plant.watchdogs)
    written.set(`${kind} ${target} ${address}`, 'a watchdog');
  for (const { id, target, kind, address } of plant.outlets)
    written.set(`${kind} ${target} ${address}`, `the outlet '${id}'`);
  for (const [index, { id, node, target, address, temperature }] of plant.loops.entries()) {
    const at = (key: string, message: string): unknown =>
      problems.push({ path: ['plant', 'loops', index, key], message });
    const cooled = nodes.get(node);
    if (cooled === undefined) at('node', `there is no node '${node}'`);
    else {
      // Whoever demands the pump must see all that it cools.
      const words = strangerText(cooled, machinesBelow(tree, cooled));
      if (words !== undefined) at('node', `${words}: give each agent a loop of its own`);
    }
    const point = plant.points.find((one) => one.id === temperature);
    if (temperature !== undefined && point === undefined)
      at('temperature', `there is no point '${temperature}'`);
    if (point !== undefined && isBit(point.kind)) at('temperature', `'${point.id}' is a bit, no temperature`);
    const output = `coil ${target} ${address}`;
    const other = written.get(output);
    if (other !== undefined) at('address', `${other} writes this coil too`);
    written.set(output, `the loop '${id}'`);
  }
  const loops = new Set(plant.loops.map(({ id }) => id));
  for (const [index, { loop }] of plant.permissives.entries())
    if (loop !== undefined && !loops.has(loop))
      problems.push({ path: ['plant', 'permissives', index, 'loop'], message: `there is no loop '${loop}'` });
  return problems;
}

import type { Permissive, PlantConfig, Protection } from './schema/plant.ts';
import type { SiteNode, SiteProblem } from './site.ts';

/** Sections whose entries have ids, all different. */
const NAMED = ['points', 'permissives', 'protections', 'outlets'] as const;

const isBit = (kind: string): boolean => kind === 'coil' || kind === 'discrete';

/** A protection is a contact; a permissive is one where it says what the bit must be. */
const asksBit = (one: Permissive | Protection): boolean => 'kind' in one || one.is !== undefined;

/** What is wrong with the plant section: names that lead nowhere, bits with bounds, numbers without. */
export function plantProblems(
  plant: PlantConfig,
  nodes: ReadonlyMap<string, SiteNode>,
  agents: readonly string[],
): SiteProblem[] {
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
  for (const [index, { agent }] of plant.watchdogs.entries())
    if (agent !== undefined && !agents.includes(agent))
      problems.push({
        path: ['plant', 'watchdogs', index, 'agent'],
        message: `there is no agent '${agent}'`,
      });
  return problems;
}

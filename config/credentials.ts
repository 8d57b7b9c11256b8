import { thereIsNo } from './nearest.ts';
import type { Credential } from './schema/credential.ts';
import type { Site, SiteMachine, SiteNode, SiteProblem } from './site.ts';

/** Options of a target by which it brings its own: then no other is looked for. */
const SECRETS = ['passwordEnv', 'passwordFile', 'key'];

type Machine = Pick<SiteMachine, 'id' | 'rack' | 'nodeIndex' | 'target'>;
type Nodes = readonly Pick<SiteNode, 'id' | 'parentIndex'>[];

const schemeOf = ({ target }: Pick<Machine, 'target'>): string => target.slice(0, target.indexOf('://'));

/**
 * Machines with the credentials nearest to each in their targets, as references: its own, then those of its rack, of
 * what is above that, of the site. Names that lead nowhere and two for one place are added to `problems`.
 */
export function giveCredentials<T extends Machine>(
  credentials: readonly Credential[],
  machines: readonly T[],
  nodes: Nodes,
  problems: SiteProblem[],
): readonly T[] {
  if (credentials.length === 0) return machines;
  const places = placesOf(credentials, machines, nodes, problems);
  return machines.map((machine) => {
    const credential = credentialFor(places, machine, nodes);
    return credential === undefined
      ? machine
      : { ...machine, target: targetWith(machine.target, credential, machine) };
  });
}

/** Those that no machine has: another scheme was meant, or every target brings its own. */
export function idleCredentials({ config, machines }: Pick<Site, 'config' | 'machines'>): number[] {
  const schemes = new Set(machines.map(schemeOf));
  return config.credentials.flatMap(({ scheme }, index) => (schemes.has(scheme) ? [] : [index]));
}

/** What credentials there are, by scheme and place: `machine ID`, `node ID` or `site`. */
function placesOf(
  credentials: readonly Credential[],
  machines: readonly Machine[],
  nodes: Nodes,
  problems: SiteProblem[],
): ReadonlyMap<string, Credential> {
  const places = new Map<string, Credential>();
  const machineIds = new Set(machines.map(({ id }) => id));
  const nodeIds = new Set(nodes.map(({ id }) => id));
  for (const [index, credential] of credentials.entries()) {
    const put = (place: string, path: readonly (string | number)[]): void => {
      const key = `${credential.scheme} ${place}`;
      if (places.has(key))
        problems.push({
          path,
          message: `credentials of ${credential.scheme}:// for the ${place} stand twice`,
        });
      places.set(key, credential);
    };
    for (const what of ['nodes', 'machines'] as const) {
      const known = what === 'nodes' ? nodeIds : machineIds;
      const noun = what === 'nodes' ? 'node' : 'machine';
      for (const [at, id] of (credential[what] ?? []).entries()) {
        const path = ['credentials', index, what, at];
        if (known.has(id)) put(`${noun} ${id}`, path);
        else problems.push({ path, message: thereIsNo(noun, id, known) });
      }
    }
    if (credential.nodes === undefined && credential.machines === undefined)
      put('site', ['credentials', index]);
  }
  return places;
}

function credentialFor(
  places: ReadonlyMap<string, Credential>,
  machine: Machine,
  nodes: Nodes,
): Credential | undefined {
  const scheme = schemeOf(machine);
  const own = places.get(`${scheme} machine ${machine.id}`);
  if (own !== undefined) return own;
  let node = nodes[machine.nodeIndex];
  while (node !== undefined) {
    const found = places.get(`${scheme} node ${node.id}`);
    if (found !== undefined) return found;
    node = nodes[node.parentIndex];
  }
  return places.get(`${scheme} site`);
}

/** A target that names its user takes a secret for that one only, and one with a secret of its own takes nothing. */
function targetWith(target: string, credential: Credential, { id, rack }: Machine): string {
  const url = URL.parse(target);
  if (url === null || SECRETS.some((name) => url.searchParams.has(name))) return target;
  const filled = (text: string): string => text.replaceAll('{machine}', id).replaceAll('{rack}', rack);
  const { user, passwordEnv, passwordFile, keyFile } = credential;
  const ownUser = url.username === '' ? url.searchParams.get('user') : decodeURIComponent(url.username);
  if (ownUser !== null && user !== undefined && ownUser !== user) return target;
  const given = { user: ownUser === null ? user : undefined, passwordEnv, passwordFile, key: keyFile };
  const options = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(filled(value)).replaceAll('%2F', '/')}`],
  );
  return `${target}${target.includes('?') ? '&' : '?'}${options.join('&')}`;
}

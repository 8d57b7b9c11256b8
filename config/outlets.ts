import { auxiliaryW, drawersOf, growthAlong } from '../protocols/auxiliary.ts';
import { asFault } from '../protocols/faults.ts';
import { isCutOff } from '../protocols/feeds.ts';
import { machinesBelow, strangerText } from './below.ts';
import type { Tree } from './below.ts';
import type { Explained } from './explain.ts';
import { meterProfile, outletAt, tellsVoltage } from './meters.ts';
import type { Outlet } from './schema/plant.ts';
import type { Site, SiteMachine, SiteNode, SiteProblem } from './site.ts';

/** One place of a Modbus device, and what stands there for on and off. */
interface Place<Kind extends string> {
  readonly kind: Kind;
  readonly address: number;
  readonly on: number;
  readonly off: number;
}

/** Where an outlet is switched, and where it says itself how it stands. */
interface Wired extends Place<'coil' | 'holding'> {
  /** Of the device, without any profile. */
  readonly target: string;
  readonly state: Place<'coil' | 'discrete' | 'holding' | 'input'>;
}

/** An outlet and what gets its power through it. */
export interface SiteOutlet extends Omit<Outlet, keyof Wired>, Wired {
  readonly index: number;
  readonly nodeIndex: number;
  readonly agent: string;
  /** As `Site.machines`. */
  readonly machines: readonly number[];
}

/** Every outlet with what is behind it; what is wrong with them goes to `problems`. */
export function resolveOutlets({ config, nodes, machines }: Tree, problems: SiteProblem[]): SiteOutlet[] {
  const resolved: SiteOutlet[] = [];
  for (const [index, outlet] of config.plant.outlets.entries()) {
    const at = (key: string, message: string): unknown =>
      problems.push({ path: ['plant', 'outlets', index, key], message });
    const node = nodes.find(({ id }) => id === outlet.node);
    const wired = wiredOf(outlet, at);
    if (outlet.input !== undefined) checkInput(config.plant.points, outlet.input, at);
    if (node === undefined) {
      at('node', `there is no node '${outlet.node}'`);
      continue;
    }
    const behind = machinesBelow({ nodes, machines }, node);
    for (const other of resolved) checkApart(outlet, node, other, nodes, at);
    checkBehind(outlet, node, { nodes, behind }, at);
    checkRoom(outlet, config.control.marginPct, { nodes, behind }, at);
    const { agent } = node;
    if (wired === undefined) continue;
    resolved.push({
      ...outlet,
      ...wired,
      index,
      nodeIndex: node.index,
      agent,
      machines: behind.map((machine) => machine.index),
    });
  }
  return resolved;
}

type At = (key: string, message: string) => unknown;

/** By the site file itself, or by the profile of its PDU; what is wrong with that goes to `at`. */
function wiredOf({ target, kind = 'coil', address = 0, on = 1, off = 0 }: Outlet, at: At): Wired | undefined {
  const [device = '', query = ''] = target.split('?');
  const options = new URLSearchParams(query);
  const name = options.get('profile');
  if (name === null) {
    const place = { kind, address, on, off };
    return { ...place, target, state: place };
  }
  const channel = Number(options.get('channel') ?? Number.NaN);
  for (const used of ['profile', 'channel']) options.delete(used);
  const rest = options.toString();
  try {
    const { outlets } = meterProfile(name);
    if (outlets === undefined) at('target', `profile ${name} does not say how an outlet is switched`);
    else if (!Number.isInteger(channel) || channel < 1 || channel > outlets.count)
      at('target', `?channel= names the outlet, 1 to ${outlets.count}`);
    else {
      const { write, state } = outletAt(outlets, channel);
      return {
        target: rest === '' ? device : `${device}?${rest}`,
        kind: write.kind,
        address: write.addr,
        on: write.on,
        off: write.off,
        state: { kind: state.kind, address: state.addr, on: state.on, off: state.off },
      };
    }
  } catch (error) {
    at('target', asFault(error).detail);
  }
  return undefined;
}

function checkInput(points: Site['config']['plant']['points'], input: string, at: At): void {
  const point = points.find(({ id }) => id === input);
  if (point === undefined) at('input', `there is no point '${input}'`);
  else if (point.kind !== 'coil' && point.kind !== 'discrete')
    at('input', `'${input}' is a number: an auxiliary contact is a coil or a discrete input`);
}

/** What is behind one outlet is behind no other one: who closes it must know what starts. */
function checkApart(
  outlet: Outlet,
  node: SiteNode,
  other: SiteOutlet,
  nodes: readonly SiteNode[],
  at: At,
): void {
  if (node.index === other.nodeIndex)
    at('node', `'${other.id}' gives '${node.id}' its power already: a node has one outlet`);
  else if (node.path.includes(other.nodeIndex))
    at('node', `'${node.id}' hangs below the outlet '${other.id}': put outlets on one level only`);
  else if (nodes[other.nodeIndex]?.path.includes(node.index))
    at('node', `'${node.id}' lies above the outlet '${other.id}': put outlets on one level only`);
}

interface Behind {
  readonly nodes: readonly SiteNode[];
  readonly behind: readonly SiteMachine[];
}

function checkBehind(outlet: Outlet, node: SiteNode, { nodes, behind }: Behind, at: At): void {
  if (behind.length === 0) at('node', `no machine hangs below '${node.id}'`);
  const words = strangerText(node, behind);
  if (words !== undefined) at('node', `${words}: give each agent outlets of its own`);
  const other = behind.find(({ nodeIndex }) => !isCutOff(nodes, nodeIndex, new Set([node.index])));
  if (other !== undefined)
    at(
      'node',
      `'${other.rack}' gets power by another way than '${node.id}' too: put the outlet on '${other.rack}' itself`,
    );
}

/** Closed at once, or never: what may start together must fit everywhere, below the margin. */
function checkRoom(outlet: Outlet, marginPct: number, { nodes, behind }: Behind, at: At): void {
  const drawers = drawersOf(nodes);
  const fixedW = auxiliaryW(drawers, nodes.length, () => 0);
  const startsW = new Map<number, number>();
  for (const { nodeIndex, model } of behind) {
    const path = startsByItself(model) ? (nodes[nodeIndex]?.path ?? []) : [];
    const growth = growthAlong(drawers, path);
    for (const [place, above] of path.entries())
      startsW.set(above, (startsW.get(above) ?? 0) + model.ratedW * (growth[place] ?? 1));
  }
  for (const [above, machinesW] of startsW) {
    const { id = '', capKw = Infinity } = nodes[above] ?? {};
    const mayKw = capKw * (1 - marginPct / 100);
    const watts = machinesW + (fixedW[above] ?? 0);
    if (watts <= mayKw * 1_000) continue;
    at(
      'node',
      `what may start by itself behind '${outlet.id}' is rated ${(watts / 1_000).toFixed(1)} kW together, with what cools it; '${id}' may carry ${mayKw.toFixed(1)} kW of its ${capKw} kW: it could never be closed; use smaller outlets`,
    );
    return;
  }
}

/** GPU hosts come back idle. Of the others also those that keep their sleep start, when they were at work. */
const startsByItself = ({ kind }: SiteMachine['model']): boolean => kind === 'asic';

/** What is allowed of outlets, but probably not meant. */
export function outletWarnings(site: Site): Explained[] {
  const { startsPer10S } = site.config.control;
  return site.outlets.flatMap(({ id, index, nodeIndex, machines }): Explained[] => {
    const behind = machines.flatMap((machine) => site.machines[machine] ?? []);
    const starts = behind.filter(({ model }) => startsByItself(model)).length;
    const idle = behind.find(({ authority }) => authority !== 'automatic');
    const above = site.nodes[nodeIndex]?.path.filter((node) => node !== nodeIndex) ?? [];
    const meters = above.map((node) =>
      site.meters.find(({ role, nodeIndex: at }) => role === 'node' && at === node),
    );
    const meter = meters.find((one) => one !== undefined);
    const path = ['plant', 'outlets', index, 'node'];
    const warnings: Explained[] = [];
    if (starts > startsPer10S)
      warnings.push({
        path,
        message: `'${id}' starts ${starts} machines at once, more than the ${startsPer10S} in 10 s of control.startsPer10S`,
      });
    if (idle !== undefined)
      warnings.push({
        path,
        message: `'${idle.id}' behind '${id}' has the authority '${idle.authority}': this outlet is never switched`,
      });
    if (meter === undefined)
      warnings.push({
        path,
        message: `no meter above '${id}' shows whether there is voltage: in an outage it is opened only below a breaker that says it is open, and it is closed without knowing`,
      });
    else if (!tellsVoltage(meter.target))
      warnings.push({
        path,
        message: `'${meter.id}', the nearest meter above '${id}', tells no voltage: '${id}' is closed without knowing whether there is any`,
      });
    return warnings;
  });
}

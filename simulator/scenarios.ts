/**
 * What happens to the simulated site, told as data. Figures are those of the default `demo` site (240 ASICs, 32 GPU
 * hosts, about 1 MW); `fitScenario` carries them over to a scaled one.
 *
 * Three machines misbehave in every simulated site from its start (`defaultMisbehaviour`). In `demo` they are:
 * r5-05 never answers, r1-07 answers OK and keeps hashing, r4-11 wakes by itself.
 */
import type { Site } from '../config/site.ts';
import type { MeterFault } from './devices/meter.ts';

/** How a simulated machine may misbehave; a kind that the device does not know is treated as the nearest it knows. */
export type Misbehaviour =
  | 'none'
  | 'dead'
  | 'ignores'
  | 'wakes'
  | 'lies'
  | 'garbage'
  | 'slow'
  | 'holds-memory'
  | 'wedged';

export type FeedName = 'price' | 'hashprice' | 'ai';
export type FeedFault = 'none' | 'nan' | 'stale' | 'html' | 'down' | 'x1000';

/** One thing that happens to the simulated site. `process` is carried out by whoever runs the processes, not by the world. */
export type WorldChange =
  /** `nextUsdPerMwh`: the indicative price of the interval after; absent: the same. */
  | { readonly kind: 'price'; readonly usdPerMwh: number; readonly nextUsdPerMwh?: number }
  | { readonly kind: 'hashprice'; readonly usdPerPhDay: number }
  | {
      readonly kind: 'utility-limit';
      /** Undefined: no limit any more. */
      readonly limitKw: number | undefined;
      readonly deadlineS: number;
      readonly event: 'none' | 'contracted' | 'emergency';
    }
  | { readonly kind: 'utility-heartbeat'; readonly alive: boolean }
  | {
      readonly kind: 'ai-job';
      readonly id: string;
      readonly contract: string;
      readonly hosts: number;
      readonly durationS: number;
    }
  | { readonly kind: 'ai-end'; readonly id: string }
  | { readonly kind: 'machine'; readonly machine: string; readonly behaviour: Misbehaviour }
  | { readonly kind: 'rack-switch'; readonly rack: string; readonly up: boolean }
  /** What a permissive or a protection of the site file watches breaks or is whole again; `plc`: all PLCs fall silent. */
  | { readonly kind: 'plant'; readonly part: string; readonly failed: boolean }
  /** The breaker of a node beside which what hangs on it has another feed. */
  | { readonly kind: 'electric-feed'; readonly node: string; readonly up: boolean }
  | { readonly kind: 'meter'; readonly meter: string; readonly fault: MeterFault }
  | { readonly kind: 'feed'; readonly feed: FeedName; readonly fault: FeedFault }
  | {
      readonly kind: 'process';
      readonly process: 'controller' | 'broker' | 'agent';
      readonly action: 'kill' | 'freeze' | 'thaw';
    };

export interface ScenarioStep {
  readonly atS: number;
  readonly change: WorldChange;
}

/** A named course of events; `repeats`: it starts again after `durationS`, for ever. Steps are in order of time. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly durationS: number;
  readonly repeats?: boolean;
  readonly steps: readonly ScenarioStep[];
}

export const CALM_USD_PER_MWH = 28;
export const CALM_USD_PER_PH_DAY = 42;
/** Of the default site; `fitScenario` needs them to scale. */
const DEMO_CAP_KW = 1_176.8;
const DEMO_GPU_HOSTS = 32;

const at = (atS: number, change: WorldChange): ScenarioStep => ({ atS, change });
const price = (usdPerMwh: number, nextUsdPerMwh?: number): WorldChange => ({
  kind: 'price',
  usdPerMwh,
  ...(nextUsdPerMwh !== undefined && { nextUsdPerMwh }),
});
const limit = (
  limitKw: number,
  deadlineS: number,
  event: 'contracted' | 'emergency' = 'contracted',
): WorldChange => ({
  kind: 'utility-limit',
  limitKw,
  deadlineS,
  event,
});
const noLimit: WorldChange = { kind: 'utility-limit', limitKw: undefined, deadlineS: 0, event: 'none' };
const job = (id: string, contract: string, hosts: number, durationS: number): WorldChange => ({
  kind: 'ai-job',
  id,
  contract,
  hosts,
  durationS,
});
const feed = (name: FeedName, fault: FeedFault): WorldChange => ({ kind: 'feed', feed: name, fault });
const calm = price(CALM_USD_PER_MWH);
/** Above the breakeven of every machine but the S21, at the calm hashprice. */
const spike = price(76);

/** On one feeder, of the model that is shed first: they say that they sleep and draw what they drew. */
const LIARS = ['r4-02', 'r4-03', 'r4-04', 'r4-06', 'r4-07'] as const;

/** Every scenario, `demo` first. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'demo',
    title:
      'A tour: price spike, utility limit, ramped return, AI work; then the same with more that goes wrong',
    durationS: 900,
    repeats: true,
    steps: [
      at(0, calm),
      at(20, spike),
      at(70, calm),
      at(95, limit(600, 30)),
      at(150, noLimit),
      at(175, job('train-1', 'train', 24, 330)),
      at(300, { kind: 'machine', machine: 'r2-03', behaviour: 'lies' }),
      at(330, price(64)),
      at(400, calm),
      at(420, { kind: 'machine', machine: 'r2-03', behaviour: 'none' }),
      at(440, limit(640, 10, 'emergency')),
      at(490, noLimit),
      at(530, job('batch-1', 'batch', 12, 200)),
      at(580, { kind: 'hashprice', usdPerPhDay: 31 }),
      at(640, { kind: 'hashprice', usdPerPhDay: CALM_USD_PER_PH_DAY }),
      at(670, price(-15)),
      at(700, calm),
      at(720, { kind: 'rack-switch', rack: 'r7', up: false }),
      at(760, { kind: 'rack-switch', rack: 'r7', up: true }),
      at(780, { kind: 'meter', meter: 'm-feeder-2', fault: 'frozen' }),
      at(815, { kind: 'meter', meter: 'm-feeder-2', fault: 'none' }),
      at(825, feed('price', 'html')),
      at(860, feed('price', 'none')),
    ],
  },
  {
    name: 'price-spike',
    title: 'The price rises above the breakeven of most machines for a minute and falls again',
    durationS: 170,
    steps: [at(0, calm), at(20, spike), at(80, calm)],
  },
  {
    name: 'utility-limit',
    title: 'The utility limits the site under contract, then lifts the limit',
    durationS: 180,
    steps: [at(0, calm), at(20, limit(720, 30)), at(90, noLimit)],
  },
  {
    name: 'ai-start-at-full-feeder',
    title: 'AI work for every GPU host arrives at once: a third of the ASICs on feeder-3 make room first',
    durationS: 180,
    steps: [at(0, calm), at(20, job('train-1', 'train', 32, 120))],
  },
  {
    name: 'gpu-to-ai',
    title: 'GPU hosts that mine are handed to AI work and back',
    durationS: 180,
    steps: [at(0, calm), at(20, job('train-1', 'train', 8, 300)), at(110, { kind: 'ai-end', id: 'train-1' })],
  },
  {
    name: 'controller-killed',
    title: 'The controller dies in the middle of a curtailment',
    durationS: 170,
    steps: [
      at(0, calm),
      at(20, limit(720, 40)),
      at(26, { kind: 'process', process: 'controller', action: 'kill' }),
      at(110, noLimit),
    ],
  },
  {
    name: 'broker-killed',
    title: 'The broker dies just after a price spike was seen',
    durationS: 130,
    steps: [
      at(0, calm),
      at(20, spike),
      at(22, { kind: 'process', process: 'broker', action: 'kill' }),
      at(80, calm),
    ],
  },
  {
    name: 'lying-machine',
    title: 'Machines report sleep and go on drawing: the meter tells, the rest is taken elsewhere',
    durationS: 150,
    steps: [
      at(0, calm),
      ...LIARS.map((machine) => at(5, { kind: 'machine', machine, behaviour: 'lies' })),
      at(5, { kind: 'machine', machine: 'r4-08', behaviour: 'ignores' }),
      at(20, limit(720, 30)),
      at(100, noLimit),
      ...LIARS.map((machine) => at(100, { kind: 'machine', machine, behaviour: 'none' })),
      at(100, { kind: 'machine', machine: 'r4-08', behaviour: 'none' }),
    ],
  },
  {
    name: 'dead-switch',
    title:
      'A rack asleep by price loses its switch, then the utility limits the site: nobody else is shed for the rack',
    durationS: 180,
    steps: [
      at(0, calm),
      at(15, price(52)),
      at(70, { kind: 'rack-switch', rack: 'r8', up: false }),
      at(90, limit(640, 30)),
      at(140, noLimit),
      at(150, { kind: 'rack-switch', rack: 'r8', up: true }),
    ],
  },
  {
    name: 'bad-feeds',
    title: 'Price feeds give NaN, a thousandfold, a web page, old news and nothing: no load moves for it',
    durationS: 175,
    steps: [
      at(0, calm),
      at(15, feed('price', 'nan')),
      at(30, feed('price', 'x1000')),
      at(45, feed('price', 'html')),
      at(60, feed('price', 'none')),
      at(65, feed('hashprice', 'x1000')),
      at(75, feed('hashprice', 'nan')),
      at(85, feed('hashprice', 'none')),
      at(90, feed('ai', 'html')),
      at(95, feed('price', 'stale')),
      at(160, feed('price', 'none')),
      at(160, feed('ai', 'none')),
    ],
  },
];

/** The scenario of this name with its figures carried over to `site`; undefined when there is none. */
export function fitScenario(name: string, site: Site): Scenario | undefined {
  const scenario = SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined) return undefined;
  const size = (site.nodes[0]?.capKw ?? DEMO_CAP_KW) / DEMO_CAP_KW;
  const gpuHosts = site.machines.filter(({ model }) => model.kind === 'gpu-host').length;
  return {
    ...scenario,
    steps: scenario.steps.map(({ atS, change }) => ({ atS, change: fitChange(change, size, gpuHosts) })),
  };
}

function fitChange(change: WorldChange, size: number, gpuHosts: number): WorldChange {
  if (change.kind === 'utility-limit' && change.limitKw !== undefined)
    return { ...change, limitKw: Math.round(change.limitKw * size) };
  if (change.kind === 'ai-job')
    return {
      ...change,
      hosts: Math.max(1, Math.min(gpuHosts, Math.round((change.hosts * gpuHosts) / DEMO_GPU_HOSTS))),
    };
  return change;
}

/** The three machines that misbehave in a simulated site from its start; none where there are fewer than five ASIC racks. */
export function defaultMisbehaviour(
  site: Site,
): readonly { readonly machine: string; readonly behaviour: Misbehaviour }[] {
  const racks = site.racks.filter(({ machines }) => site.machines[machines[0] ?? -1]?.model.kind === 'asic');
  if (racks.length < 5) return [];
  const pick = (rack: number, place: number, behaviour: Misbehaviour) => {
    const machines = racks[rack]?.machines ?? [];
    const machine = site.machines[machines[place % Math.max(1, machines.length)] ?? -1];
    return machine === undefined ? [] : [{ machine: machine.id, behaviour }];
  };
  return [...pick(4, 4, 'dead'), ...pick(0, 6, 'ignores'), ...pick(3, 10, 'wakes')];
}

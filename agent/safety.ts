import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import { growthAlong } from '../protocols/auxiliary.ts';
import type { Alarms } from './alarms.ts';
import type { Control } from './control.ts';
import { drawW, restMode, satisfies, settleMs } from './core/draw.ts';
import { isInPlaceOfRest } from './core/escalate.ts';
import { failSafeRests } from './core/failsafe.ts';
import { calibrationOf, guardStep, noteLoad, released } from './core/guard.ts';
import type { GuardMachine, GuardState, GuardVerdict } from './core/guard.ts';
import { readsAgain } from './core/stall.ts';
import type { Stall } from './core/stall.ts';
import { rackPhase } from './core/lease.ts';
import type { LeaseState } from './core/lease.ts';
import type { RackOrders } from './core/desired.ts';
import { standInText } from '../protocols/metering/stand-in.ts';
import { flowCapW, learnCapW, loadingText } from '../protocols/loading.ts';
import { canRest, COMMAND_POLL_MS, knownDrawW } from './machine.ts';
import type { Machine } from './machine.ts';
import { auxiliaryBeside, auxiliaryOf, drawnW, meterW, nodeCapW, noteFeeds, noteHeat } from './plant.ts';
import type { Meter, Plant, PlantNode } from './plant.ts';
import { noteSlices } from './slices.ts';
import type { StandIns } from './stand-in.ts';
import { isWords } from './virtual.ts';

export interface SafetyOptions {
  readonly site: Site;
  readonly standIns: StandIns;
  readonly plant: Plant;
  readonly clock: Clock;
  readonly stall: Stall;
  readonly lease: LeaseState;
  readonly orders: readonly RackOrders[];
  readonly alarms: Alarms;
  readonly control: Pick<Control, 'look' | 'pump'>;
}

/** The agent's own protection: guards of nodes and the fail-safe. It needs no controller. */
export interface Safety {
  /** A good sample of a node's own meter came. */
  onSample(node: number): void;
  /** Nodes without a fresh sample, releases, and the fail-safe; called once a second. */
  tick(): void;
  /** Nodes whose guard sheds at this moment. */
  guarding(): string[];
}

/** While nothing is near the cap, the whole reckoning is made at every so many samples only. */
const CALM_EVERY = 10;
const CALM_SHARE = 0.97;

const isCalm = (guard: GuardState, sampleW: number | undefined): sampleW is number =>
  sampleW !== undefined && sampleW < guard.capW * CALM_SHARE && !guard.active && guard.overs === 0;

export function makeSafety(options: SafetyOptions): Safety {
  const { plant, clock, stall, control, alarms, standIns } = options;
  const calm = plant.nodes.map(() => 0);
  const spokesman = makeSpokesman(alarms);

  const step = (place: number, node: PlantNode, sampleW: number | undefined): void => {
    const { guard } = node;
    if (guard === undefined) return;
    guard.capW = node.slice?.holdW ?? capInForceW(node, sampleW);
    const nowMs = clock.monoMs();
    if (sampleW !== undefined) spokesman.tells(node);
    if (isCalm(guard, sampleW) && (calm[place] = ((calm[place] ?? 0) + 1) % CALM_EVERY) !== 0)
      return noteLoad(guard, sampleW, nowMs);
    guard.auxiliaryW = auxiliaryOf(plant, place, sampleW !== undefined);
    guard.fedW = standIns.fedW(place, nowMs);
    const verdict = guardStep(
      guard,
      sampleW,
      node.machines.map((machine) => guardView(machine, place, node.meter, nowMs)),
      nowMs,
      standIns.below(place, nowMs),
    );
    spokesman.lacks(node, verdict, nowMs);
    const text = textOf(node, verdict, guard);
    if (verdict.began) alarms.raise('CAP_EXCEEDED', node.id, text);
    if (verdict.ended) alarms.clear('CAP_EXCEEDED', node.id, text);
    if (verdict.short && !node.short)
      alarms.raise('SHED_SHORTFALL', node.id, `nothing is left to shed at ${text}`);
    if (!verdict.short && node.short) alarms.clear('SHED_SHORTFALL', node.id, text);
    node.short = verdict.short;
    for (const at of verdict.shed) {
      const machine = plant.machines[at];
      if (machine === undefined) continue;
      const doc = options.orders[machine.rack]?.current;
      machine.held = { node: place, epoch: doc?.epoch ?? -1, generation: doc?.generation ?? -1 };
      control.look(machine);
    }
    if (verdict.shed.length > 0) control.pump();
  };
  return {
    onSample: (place) => {
      const node = plant.nodes[place];
      if (node === undefined) return;
      const nowMs = clock.monoMs();
      const sampleW = meterW(node, nowMs);
      if (sampleW !== undefined || !readsAgain(stall, nowMs)) step(place, node, sampleW);
    },
    tick: () => {
      const nowMs = clock.monoMs();
      const reads = readsAgain(stall, nowMs);
      noteFeeds(options.site, plant, nowMs);
      noteHeat(plant, nowMs);
      noteSlices(plant, options.lease, nowMs);
      for (const [place, node] of plant.nodes.entries()) {
        // Before the first machine was read a sum would say nothing but names on plates.
        const read = node.machines.some((machine) => machine.lastPowerW !== undefined);
        if (node.guard === undefined || meterW(node, nowMs) !== undefined) continue;
        // What is not in force asks nobody to have read anything: it ends what it was about.
        if (node.slice?.holdW === Infinity ? node.guard.active : read && !reads) step(place, node, undefined);
      }
      releaseHeld(options, nowMs);
      failSafe(options, nowMs);
    },
    guarding: () => plant.nodes.filter((node) => node.guard?.active === true).map((node) => node.id),
  };
}

/** What the node may carry at this moment, W; by its meter's own word on kVA and A where there is one. */
function capInForceW(node: PlantNode, sampleW: number | undefined): number {
  const flow = node.meter?.flow;
  if (sampleW === undefined || flow === undefined) return nodeCapW(node);
  node.learntW = learnCapW(node.learntW, node.rating, flow);
  return flowCapW(node.rating, flow, node.learntW);
}

/** A guard without its meter for longer than a gap between two reads is said to be so, ms. */
const WITHOUT_MS = 10_000;

/** Says by what a guard goes on while its node's own meter does not tell, each time that this is something else. */
function makeSpokesman(alarms: Alarms) {
  const without = new Map<PlantNode, { readonly sinceMs: number; source: GuardVerdict['source'] }>();
  return {
    tells: (node: PlantNode): void => {
      if (without.delete(node)) alarms.clear('METER_STANDIN', node.id, 'its own meter tells again');
    },
    lacks: (node: PlantNode, { source, standIn }: GuardVerdict, nowMs: number): void => {
      // A node whose meter is nothing but machines' words has none to miss.
      const { guard, meter } = node;
      if (standIn === undefined || guard === undefined || meter === undefined) return;
      if (isWords(meter.config)) return;
      const before = without.get(node) ?? { sinceMs: nowMs, source: 'meter' };
      without.set(node, before);
      if (before.source === source || nowMs - before.sinceMs < WITHOUT_MS) return;
      before.source = source;
      const text = `${node.id} is guarded by ${standInText(standIn, calibrationOf(guard, standIn))}`;
      alarms.clear('METER_STANDIN', node.id, text);
      alarms.raise('METER_STANDIN', node.id, text);
    },
  };
}

function textOf(node: PlantNode, { loadW, source }: GuardVerdict, { capW, used }: GuardState): string {
  const flow = source === 'meter' ? node.meter?.flow : undefined;
  if (node.slice !== undefined && capW === Infinity) return `'${node.slice.owner}' is heard again`;
  if (node.slice !== undefined)
    return `${Math.round(loadW / 1_000)} kW by machines, ${Math.round(capW / 1_000)} kW as long as '${node.slice.owner}', who guards it, is not heard`;
  const usedPct = Math.round(used * 100);
  const trip = usedPct > 0 ? `, ${usedPct} % of its trip curve used` : '';
  if (flow !== undefined) return `${loadingText(node.rating, flow)} by meter${trip}`;
  const by = source === 'meters' ? 'the meters below it' : 'machines';
  return `${Math.round(loadW / 1_000)} kW by ${by}, cap ${Math.round(capW / 1_000)} kW${trip}`;
}

/** Lets machines go that a guard has put to rest, when their node has room and something newer asks for them. */
function releaseHeld({ plant, orders }: SafetyOptions, nowMs: number): void {
  for (const machine of plant.machines) {
    if (machine.held === undefined) continue;
    const node = plant.nodes[machine.held.node];
    const doc = orders[machine.rack]?.current;
    const wanted = doc?.machines[machine.config.id];
    if (node === undefined || doc === undefined) continue;
    if (wanted === undefined) {
      // In nobody's hands but a person's: shed once for the cap, then theirs again.
      const rests =
        machine.mode !== undefined &&
        satisfies(machine.config.model, restMode(machine.config.model), machine.mode);
      if (rests && node.guard?.active !== true) machine.held = undefined;
      continue;
    }
    const growth = growthAlong(plant.auxiliaries.drawers, machine.path);
    const targetW =
      drawW(machine.config.model, wanted.mode, wanted.powerW) *
      (growth[machine.path.indexOf(machine.held.node)] ?? 1);
    const load = !satisfies(machine.config.model, restMode(machine.config.model), wanted.mode);
    const asked = { epoch: doc.epoch, generation: doc.generation, load, targetW };
    const loadW = node.slice === undefined ? meterW(node, nowMs) : drawnW(plant, machine.held.node);
    if (released(machine.held, asked, { loadW, capW: nodeCapW(node) })) machine.held = undefined;
  }
}

function guardView(machine: Machine, node: number, meter: Meter | undefined, nowMs: number): GuardMachine {
  const { attempt, config } = machine;
  const { model } = config;
  const resting =
    attempt !== undefined && attempt.verb !== 'none' && satisfies(model, restMode(model), attempt.mode);
  // A limit given because it does not rest brings it down, not to rest.
  const inTime =
    resting &&
    !isInPlaceOfRest(attempt) &&
    nowMs < attempt.dispatchedMs + settleMs(model, restMode(model), COMMAND_POLL_MS);
  const failed = attempt?.stage === 'failed';
  const knownW = knownDrawW(machine, meter?.goodMs ?? -Infinity);
  return {
    index: machine.at,
    share: machine.shares[machine.path.indexOf(node)] ?? 1,
    model,
    mode: machine.mode,
    presentW: knownW ?? machine.lastPowerW,
    isPast: knownW === undefined,
    reachable: machine.reachable,
    controllable: config.authority === 'automatic' && machine.lockout === undefined && canRest(machine),
    ignores: machine.quarantine !== undefined,
    falling:
      machine.reachable &&
      ((resting && inTime && !failed) || (machine.held !== undefined && machine.queued === 'safety')),
    stuck: resting && (failed || !inTime) && attempt.stage !== 'observed',
  };
}

/** Past T2 the declared fail-safe holds in every rack that lost its controller, until something fresh comes. */
function failSafe(options: SafetyOptions, nowMs: number): void {
  const { plant, lease, site, control, standIns } = options;
  const lost: Machine[] = [];
  let released = false;
  for (const rack of plant.racks) {
    const isLost = rackPhase(lease, rack.id, nowMs) === 'lost';
    for (const machine of rack.machines)
      if (isLost) lost.push(machine);
      else if (machine.resting) {
        machine.resting = false;
        control.look(machine);
        released = true;
      }
  }
  if (released) control.pump();
  const { failSafe: rule, firmCapKw } = site.config.lease;
  if (lost.length === 0 || rule === 'hold') return;
  // Without its own meter at the root, or with other agents beside it, an agent answers for its share of the plates.
  const ownW = sum(lost.map((machine) => machine.config.model.ratedW));
  const siteW = sum(site.machines.map((machine) => machine.model.ratedW));
  const alone = plant.machines.length === site.machines.length && lost.length === plant.machines.length;
  const root = plant.nodes[0];
  const share = siteW > 0 ? ownW / siteW : 1;
  const views = lost.map((machine) => ({
    model: machine.config.model,
    // Whatever it does, a locked machine has nothing to give.
    mode: machine.lockout === undefined ? machine.mode : restMode(machine.config.model),
    presentW: machine.powerW,
    resting: machine.resting || machine.held !== undefined,
    ignores: machine.quarantine !== undefined,
  }));
  const rests = failSafeRests({
    rule,
    firmCapW: firmCapKw === undefined ? undefined : firmCapKw * 1_000 * share,
    meterW:
      alone && root !== undefined && site.nodes[0]?.id === root.id
        ? (meterW(root, nowMs) ?? standIns.belowW(0, nowMs))
        : undefined,
    machines: views,
    auxiliaryW: auxiliaryBeside(plant, lost),
  });
  for (const index of rests) {
    const machine = lost[index];
    if (machine === undefined) continue;
    machine.resting = true;
    control.look(machine);
  }
  if (rests.length > 0) control.pump();
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

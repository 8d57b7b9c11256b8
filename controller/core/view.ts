import type {
  AgentView,
  AlarmView,
  CommandView,
  ConsoleView,
  HistoryPoint,
  MachineView,
  NodeView,
  SignalView,
  SiteView,
  WhyView,
} from '../../protocols/console/view.ts';
import { lockWords } from '../../protocols/mqtt/lockouts.ts';
import { FAULTS } from '../../protocols/faults.ts';
import type { AgreeInput } from '../../protocols/console/protocol.ts';
import { waiting } from './agree.ts';
import { poolOrderView } from './pool-order.ts';
import { priorityOf } from './alarms.ts';
import { boardsText } from './boards.ts';
import {
  believedW,
  breakevenUsdPerMwh,
  drawW,
  energyUsdPerMwh,
  miningUsdPerHour,
  aiUsdPerHour,
} from './economics.ts';
import type { Now } from './events.ts';
import { isHeld } from './lockouts.ts';
import { manualWords } from './operator.ts';
import { priceWords } from './price.ts';
import { estimatedW, limitInForceKw, ownCapW, sumByNode } from './room.ts';
import { intervalSignals } from './interval-signals.ts';
import { noticeSignals } from './notice.ts';
import { verbLines } from './verbs.ts';
import { isKnown, meterOf, modeAt, rootOf } from './state.ts';
import type { SiteState } from './state.ts';

const orNull = (value: number | undefined): number | null =>
  value === undefined || Number.isNaN(value) ? null : value;
const COMMANDS_SHOWN = 40;

/** The whole site as an operator sees it. */
export function viewOf(state: SiteState, now: Now): ConsoleView {
  return {
    site: siteView(state, now),
    nodes: nodeViews(state, now),
    machines: state.site.machines.map((machine) => machineView(state, machine.index)),
    signals: signalViews(state, now),
    commands: [
      ...state.poolOrders.map(poolOrderView),
      ...state.commands.slice(-COMMANDS_SHOWN).map((command) => commandView(state, command)),
    ]
      .sort((a, b) => b.atMs - a.atMs)
      .slice(0, COMMANDS_SHOWN),
    alarms: [...state.alarms.values()].map((alarm): AlarmView => ({
      ...alarm,
      next: FAULTS[alarm.code].next,
      priority: priorityOf(alarm.code),
    })),
    agents: [...state.agents].map(([id, agent]): AgentView => ({
      id,
      phase: agent.online ? agent.phase : 'offline',
      atMs: Number.isFinite(agent.heardMonoMs) ? now.wallMs - (now.monoMs - agent.heardMonoMs) : null,
      spooled: agent.spooled,
      host: agent.host,
    })),
  };
}

/** Under control: every agent live, and the site's own meter read. */
export function underControl(state: SiteState, now: Now): boolean {
  const agents = state.site.agents.every((agent) => state.agents.get(agent)?.phase === 'live');
  return (
    state.deciding &&
    agents &&
    (state.site.meters.length === 0 || meterOf(state, 0, now.monoMs) !== undefined)
  );
}

/** Power of a node and how it is known. */
function powerOf(
  state: SiteState,
  node: number,
  sums: Float64Array,
  known: Float64Array,
  now: Now,
): Pick<NodeView, 'powerW' | 'powerFrom'> {
  const metered = meterOf(state, node, now.monoMs);
  if (metered !== undefined) return { powerW: metered, powerFrom: 'meter' };
  return (known[node] ?? 0) > 0
    ? { powerW: sums[node] ?? 0, powerFrom: 'sum' }
    : { powerW: null, powerFrom: 'unknown' };
}

function nodeViews(state: SiteState, now: Now): NodeView[] {
  const sums = estimatedW(state);
  const known = sumByNode(state, (machine) => Number(isKnown(state, machine)));
  const expected = sumByNode(state, () => 1);
  return state.site.nodes.map((node) => ({
    id: node.id,
    kind: node.kind,
    parent: state.site.nodes[node.parentIndex]?.id ?? null,
    capKw: ownCapW(state, node) / 1_000,
    ...powerOf(state, node.index, sums, known, now),
    reporting: known[node.index] ?? 0,
    expected: expected[node.index] ?? 0,
  }));
}

function machineView(state: SiteState, index: number): MachineView {
  const machine = state.site.machines[index];
  if (machine === undefined) throw new RangeError(`machine ${index}`);
  const mode = modeAt(state.mode[index] ?? -1);
  return {
    id: machine.id,
    rack: machine.rack,
    model: machine.model.id,
    kind: machine.model.kind,
    mode: mode ?? null,
    wanted: state.wish[index]?.mode ?? null,
    stage: mode === undefined ? 'unknown' : (state.stage[index] ?? 'steady'),
    owner: ownerOf(state, index) ?? state.wish[index]?.because.owner ?? '',
    powerW: orNull(state.powerW[index]),
    ratedW: machine.model.ratedW,
    hashrateHs: orNull(state.hashrateHs[index]),
    temperatureC: orNull(state.temperatureC[index]),
    boards: boardsText(state, index),
    atMs: orNull(state.modeAtMs[index]),
  };
}

/** Whose hands a machine is in when it is not automation's. */
function ownerOf(state: SiteState, index: number): 'lockout' | 'manual' | undefined {
  if (state.lockouts.has(index)) return 'lockout';
  return state.manual.has(index) ? 'manual' : undefined;
}

function siteView(state: SiteState, now: Now): SiteView {
  const root = rootOf(state.site);
  const sums = estimatedW(state);
  const known = state.site.machines.filter((machine) => isKnown(state, machine.index));
  const counts = sumByNode(state, (machine) => Number(isKnown(state, machine)));
  const { powerW, powerFrom } = powerOf(state, root.index, sums, counts, now);
  const limitKw = limitInForceKw(state);
  const capKw = ownCapW(state, root) / 1_000;
  const limited = limitKw !== undefined && limitKw < capKw;
  const sumOf = (kind: string): number | null =>
    known.length === 0
      ? null
      : known.reduce(
          (sum, machine) => sum + (machine.model.kind === kind ? believedW(state, machine.index) : 0),
          0,
        ) / 1_000;
  const hashing = known
    .map((machine) => state.hashrateHs[machine.index] ?? Number.NaN)
    .filter((value) => !Number.isNaN(value));
  return {
    id: state.site.id,
    name: state.site.config.name,
    atMs: now.wallMs,
    authority: state.site.config.authority,
    underControl: underControl(state, now),
    powerW,
    powerFrom,
    capKw,
    limitKw: limited ? limitKw : capKw,
    limitFrom: limited ? 'utility' : 'cap',
    planKw: state.planKw ?? null,
    priceUsdPerMwh: state.price.usdPerMwh ?? null,
    priceQuality: state.price.quality,
    hashpriceUsdPerPhDay: state.hashpriceUsdPerPhDay,
    hashrateHs: hashing.length === 0 ? null : hashing.reduce((sum, value) => sum + value, 0),
    asicKw: sumOf('asic'),
    gpuKw: sumOf('gpu-host'),
    solarKw: orNull(state.solarW / 1_000),
    usdPerHour: usdPerHour(state, powerW),
    reporting: known.length,
    expected: state.site.machines.length,
  };
}

/** Earnings of what works now minus the energy it takes. */
function usdPerHour(state: SiteState, powerW: number | null): number | null {
  const price = energyUsdPerMwh(state);
  if (price === undefined || powerW === null) return null;
  let earned = 0;
  for (const machine of state.site.machines) {
    const mode = modeAt(state.mode[machine.index] ?? -1);
    if (mode === 'mine') earned += miningUsdPerHour(state, machine.index);
    const contract = state.jobs.find((job) => job.id === state.jobOf.get(machine.index))?.contract;
    if (mode === 'ai' && contract !== undefined) earned += aiUsdPerHour(state, machine.index, contract);
  }
  return earned - (Math.max(0, powerW) / 1e6) * price;
}

function signalViews(state: SiteState, now: Now): SignalView[] {
  const wall = (monoMs: number): number =>
    Number.isFinite(monoMs) ? now.wallMs - (now.monoMs - monoMs) : now.wallMs;
  const signals: SignalView[] = [];
  const price = state.price;
  if (state.site.config.prices.energy !== undefined)
    signals.push({
      id: price.signalId,
      kind: 'price',
      source: 'energy',
      text: priceWords(state, now),
      waits: waitsOf(state, 'price'),
      quality: price.quality === 'good' ? 'good' : price.quality === 'held' ? 'held' : 'lost',
      sinceMs: wall(price.heardMonoMs),
      untilMs: price.endMs > 0 ? price.endMs : null,
    });
  signals.push({
    id: 'hashprice',
    kind: 'hashprice',
    source: 'hashprice',
    text: `${state.hashpriceUsdPerPhDay.toFixed(2)} USD per PH/s and day`,
    quality: Number.isFinite(state.hashpriceMonoMs) ? 'good' : 'held',
    waits: waitsOf(state, 'hashprice'),
    sinceMs: wall(state.hashpriceMonoMs),
    untilMs: null,
  });
  const limitKw = limitInForceKw(state);
  if (state.site.config.utility !== undefined && (limitKw !== undefined || state.limit.lost))
    signals.push({
      id: state.limit.signalId,
      kind: 'limit',
      source: 'utility',
      text:
        limitKw === undefined
          ? 'the utility is silent'
          : `limit ${limitKw} kW (${state.limit.kind})${state.limit.met ? ', met' : ''}`,
      quality: state.limit.lost ? 'lost' : 'good',
      waits: waitsOf(state, 'limit'),
      sinceMs: wall(state.limit.heardMonoMs),
      untilMs: state.limit.met ? null : state.limit.deadlineWallMs,
    });
  for (const job of state.jobs)
    if (job.fromMs <= now.wallMs && now.wallMs < job.untilMs)
      signals.push({
        id: `ai-${job.id}`,
        kind: 'ai',
        source: job.contract,
        text: `AI job ${job.id}: ${job.hosts} hosts`,
        waits: null,
        quality: 'good',
        sinceMs: job.fromMs,
        untilMs: job.untilMs,
      });
  return [...signals, ...noticeSignals(state, now.wallMs), ...takenSignals(state), ...intervalSignals(state)];
}

/** What waits for a witness, and how to be one. */
function waitsOf(state: SiteState, input: AgreeInput): SignalView['waits'] {
  const found = waiting(state, input);
  return found === undefined
    ? null
    : { value: found.value, text: `${found.why}; a person can agree: agree ${input}` };
}

const TAKEN_SHOWN = 20;

/** What people have taken out of automation's hands: one entry per act. */
function takenSignals(state: SiteState): SignalView[] {
  const acts = new Map<string, { readonly signal: SignalView; readonly machines: number }>();
  const count = (
    kind: 'manual' | 'lockout',
    act: { readonly by: string; readonly sinceMs: number; readonly reason: string },
  ): void => {
    const id = `${kind}-${act.by}-${act.sinceMs}`;
    const machines = (acts.get(id)?.machines ?? 0) + 1;
    const what = kind === 'manual' ? 'released to manual' : 'locked out';
    const text = `${machines} ${machines === 1 ? 'machine' : 'machines'} ${what} by ${act.by}: ${act.reason}`;
    const { by: source, sinceMs } = act;
    acts.set(id, {
      signal: { id, kind, source, text, quality: 'good', sinceMs, untilMs: null, waits: null },
      machines,
    });
  };
  for (const locks of state.lockouts.values()) for (const lock of locks) count('lockout', lock);
  for (const manual of state.manual.values()) count('manual', manual);
  return [...acts.values()].slice(0, TAKEN_SHOWN).map(({ signal }) => signal);
}

function commandView(state: SiteState, command: SiteState['commands'][number]): CommandView {
  const mine = command.machines.filter((machine) => state.commandOf[machine] === command.id);
  const count = (...stages: readonly string[]): number =>
    mine.filter((machine) => stages.includes(state.stage[machine] ?? '')).length;
  // Machines of a newer command have passed this one, unless that took back what this one gave.
  const passed = command.state === 'superseded' ? 0 : command.machines.length - mine.length;
  const measured = command.nodes.filter((node) => node.node !== 0 || command.nodes.length === 1);
  return {
    id: command.id,
    owner: command.owner,
    text: command.text,
    atMs: command.atMs,
    state: command.state,
    machines: command.machines.length,
    acknowledged: passed + count('acknowledged', 'observed', 'steady'),
    observed: passed + count('observed', 'steady'),
    failed: count('failed'),
    expectedKw: command.expectedW / 1_000,
    measuredKw: measured.some((node) => node.measuredW === undefined)
      ? null
      : measured.reduce((sum, node) => sum + (node.measuredW ?? 0), 0) / 1_000,
  };
}

export function historyPoint(state: SiteState, now: Now): HistoryPoint {
  const site = siteView(state, now);
  return {
    atMs: now.wallMs,
    powerKw: site.powerW === null ? null : site.powerW / 1_000,
    limitKw: site.limitKw,
    planKw: site.planKw,
    priceUsdPerMwh: site.priceUsdPerMwh,
  };
}

/** Who has taken a machine out of automation's hands, and how it comes back; undefined: nobody. */
function takenWords(state: SiteState, index: number): string | undefined {
  const id = state.site.machines[index]?.id ?? '';
  const locks = state.lockouts.get(index);
  if (locks !== undefined) return lockWords(id, locks);
  const manual = state.manual.get(index);
  return manual === undefined ? undefined : manualWords(id, manual);
}

/** Why a machine is in its state, with the figures that decided it. */
export function whyOf(state: SiteState, index: number, now: Now): WhyView {
  const machine = machineView(state, index);
  const wish = state.wish[index];
  const price = energyUsdPerMwh(state);
  const alarm = [...state.alarms.values()].find(
    (one) => one.subject === machine.id || one.subject === machine.rack,
  );
  const waits = state.waits.get(index);
  const taken = takenWords(state, index);
  const owner = ownerOf(state, index) ?? wish?.because.owner ?? 'none';
  const text = taken ?? wish?.because.text ?? 'not under control yet';
  const release: Readonly<Record<string, string>> = {
    lockout: taken ?? '',
    manual: taken ?? 'it ends by itself, or release the scope',
    price: 'it changes when the price crosses its breakeven',
    ai: 'it changes when the AI job ends',
    dr: 'it changes when the utility lifts its limit',
    emergency: 'it changes when the utility lifts its limit',
    cap: 'it changes when the node above has room',
  };
  return {
    machine: machine.id,
    mode: machine.mode,
    wanted: machine.wanted,
    owner,
    rule: taken === undefined ? (wish?.because.rule ?? 'none') : owner,
    text: machine.mode === null ? `it does not answer; ${text}` : text,
    untilMs: taken === undefined ? (wish?.because.untilMs ?? null) : null,
    inputs: [
      { label: 'breakeven', value: `${breakevenUsdPerMwh(state, index).toFixed(1)} USD/MWh` },
      { label: 'energy with adders', value: price === undefined ? 'unknown' : `${price.toFixed(1)} USD/MWh` },
      {
        label: 'draw at work',
        value: `${(drawW(state, index, state.jobOf.has(index) ? 'ai' : 'mine') / 1_000).toFixed(2)} kW`,
      },
      { label: 'stage', value: machine.stage },
      { label: 'command', value: state.commandOf[index] ?? 'none' },
      ...(waits === undefined ? [] : [{ label: 'its agent waits', value: waits }]),
      {
        label: 'last heard',
        value:
          machine.atMs === null
            ? 'never'
            : `${Math.max(0, Math.round((now.wallMs - machine.atMs) / 1_000))} s ago`,
      },
      ...(state.lockouts.has(index)
        ? [
            {
              label: 'lockout',
              value: isHeld(state, index) ? 'on its agent’s disk' : 'NOT confirmed by its agent',
            },
          ]
        : []),
      ...(alarm === undefined ? [] : [{ label: `alarm ${alarm.code}`, value: alarm.text }]),
      ...verbLines(state, index),
    ],
    release: release[owner] ?? 'nothing holds it',
  };
}

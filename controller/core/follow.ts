import type { Mode } from '../../protocols/reading.ts';
import { believedW, drawW } from './economics.ts';
import type { LedgerRecord, NodeBefore, Now } from './events.ts';
import type { Change } from './release.ts';
import { flowByNode, shareAt, sumByNode } from './room.ts';
import { isKnown, meterOf } from './state.ts';
import type { Command, SiteState } from './state.ts';

/** So many commands are remembered, the newest. */
export const COMMANDS_KEPT = 200;
/** After settling, readings and the learned residual get this long before they are compared with the meter, ms. */
const COMPARE_AFTER_MS = 20_000;

/** Still to be proven. */
export const isOpen = (command: Command): boolean =>
  command.state === 'sent' || command.state === 'verifying';

/** Whether the main meter is asked too: the utility's eyes are there. */
export const provenAtRoot = (owner: string): boolean => owner === 'dr' || owner === 'emergency';

/** What a meter can show of a change: from the draw of now, not from the draw that was wished, W. */
export const shownW = (state: SiteState, change: Change): number =>
  drawW(state, change.machine, change.target.mode) - believedW(state, change.machine);

/** When a command sent at `fromMonoMs` must have settled, is compared with the machines' words, and is given up. */
export function timesOf(
  state: SiteState,
  moving: readonly { readonly machine: number; readonly rises: boolean }[],
  fromMonoMs: number,
): Pick<Command, 'deadlineMonoMs' | 'settledMonoMs'> {
  const settleS = Math.max(
    ...moving.map(({ machine, rises }) => {
      const model = state.site.machines[machine]?.model;
      return rises ? (model?.wakeS ?? 120) : (model?.sleepS ?? 60);
    }),
  );
  return {
    deadlineMonoMs: fromMonoMs + (settleS * 1.5 + state.site.config.control.verifyS) * 1_000,
    settledMonoMs: fromMonoMs + settleS * 1_000 + COMPARE_AFTER_MS,
  };
}

/** Follows a command at the deepest metered node above each machine, and at the root when a limit forced it. */
export function follow(state: SiteState, id: string, moving: readonly Change[], now: Now): Command {
  const because = moving[0]?.target.because;
  const owner = because?.owner ?? 'price';
  const machines = moving.map((change) => change.machine);
  const expected = new Map<number, number>();
  for (const change of moving) {
    const own = state.site.machines[change.machine]?.nodeIndex ?? -1;
    const path = state.site.nodes[own]?.path ?? [];
    const metered = path.find((node) => meterOf(state, node, now.monoMs) !== undefined);
    const deltaW = shownW(state, change);
    if (metered !== undefined)
      expected.set(metered, (expected.get(metered) ?? 0) + deltaW * shareAt(state, own, metered));
    if (metered !== 0 && provenAtRoot(owner)) expected.set(0, (expected.get(0) ?? 0) + deltaW);
  }
  const command: Command = {
    id,
    signalId: because?.signalId,
    owner,
    text: because?.text ?? '',
    atMs: now.wallMs,
    sentMonoMs: now.monoMs,
    machines,
    nodes: [...expected].map(([node, expectedW]) => ({
      node,
      expectedW,
      beforeW: meterOf(state, node, now.monoMs) ?? Number.NaN,
      alsoDueW: alsoDueW(state, node, expectedW, now),
      unexplainedW: state.residualW[node] ?? 0,
      othersW: othersW(state, node, machines),
      measuredW: undefined,
      done: false,
    })),
    expectedW: moving.reduce((sum, change) => sum + change.deltaW, 0),
    ...timesOf(
      state,
      moving.map((change) => ({ machine: change.machine, rises: change.deltaW >= 0 })),
      now.monoMs,
    ),
    compared: false,
    overtaken: false,
    state: 'sent',
  };
  keep(state, command);
  return command;
}

/** Puts a command behind those before it; what it takes back of theirs cannot be proven any more. */
export function keep(state: SiteState, command: Command): void {
  for (const earlier of state.commands) overtake(state, earlier, command);
  state.commands.push(command);
  while (state.commands.length > COMMANDS_KEPT) state.commands.shift();
}

function overtake(state: SiteState, earlier: Command, newer: Command): void {
  if (!isOpen(earlier) || earlier.expectedW <= 0 || newer.expectedW >= 0) return;
  takeBack(state, earlier, new Set(newer.machines));
  for (const node of earlier.nodes) {
    if (node.done || (newer.nodes.find((one) => one.node === node.node)?.expectedW ?? 0) >= 0) continue;
    node.done = true;
    earlier.overtaken = true;
  }
}

/** What an open raise gave to some of its machines is taken back: no meter above them can show it any more. */
export function takeBack(state: SiteState, command: Command, machines: ReadonlySet<number>): void {
  if (!isOpen(command) || command.expectedW <= 0) return;
  const taken = command.machines.filter((machine) => machines.has(machine));
  if (taken.length === 0) return;
  command.overtaken = true;
  const above = nodesAbove(state, taken);
  for (const node of command.nodes) if (above.has(node.node)) node.done = true;
  if (taken.length === command.machines.length) command.state = 'superseded';
}

/** What a command found, for the ledger: who comes after it counts its proof from there, and the rest of each node. */
export function beforeOf(state: SiteState, command: Command, now: Now): LedgerRecord {
  const working = workingBelow(state);
  const nodes = [...nodesAbove(state, command.machines)]
    .filter((node) => state.residualKnown[node] === 1)
    .map((node): NodeBefore => {
      const asked = command.nodes.find((one) => one.node === node);
      const proof =
        asked === undefined || Number.isNaN(asked.beforeW)
          ? {}
          : { meterKw: kw(asked.beforeW), othersKw: kw(asked.othersW), dueKw: kw(asked.alsoDueW) };
      const unexplainedKw = kw(state.residualW[node] ?? 0);
      return {
        node: state.site.nodes[node]?.id ?? '',
        unexplainedKw,
        working: working.machines[node] ?? 0,
        workingKw: kw(working.watts[node] ?? 0),
        ...proof,
      };
    });
  return { t: 'before', atMs: now.wallMs, commandId: command.id, nodes };
}

/** Machines that shall work, by the nodes above them: how many, and what they are counted at, W. */
export interface Working {
  readonly machines: Float64Array;
  readonly watts: Float64Array;
}

export function workingBelow(state: SiteState): Working {
  const mode = (machine: number): Mode | undefined => {
    const wanted = state.wish[machine]?.mode;
    return wanted === 'mine' || wanted === 'ai' ? wanted : undefined;
  };
  return {
    machines: sumByNode(state, (machine) => (mode(machine) === undefined ? 0 : 1)),
    watts: flowByNode(state, (machine) => {
      const wanted = mode(machine);
      return wanted === undefined ? 0 : drawW(state, machine, wanted);
    }),
  };
}

function nodesAbove(state: SiteState, machines: readonly number[]): Set<number> {
  const places = new Set(machines.map((machine) => state.site.machines[machine]?.nodeIndex ?? -1));
  return new Set([...places].flatMap((place) => state.site.nodes[place]?.path ?? []));
}

const kw = (watts: number): number => Math.round(watts) / 1_000;

/** What open commands of the same direction have not shown yet at a node, W. */
function alsoDueW(state: SiteState, node: number, expectedW: number, now: Now): number {
  const meterW = meterOf(state, node, now.monoMs);
  if (meterW === undefined) return 0;
  // The newest open command's own due holds that of all before it: adding theirs would count it twice.
  let dueW = 0;
  for (const command of state.commands) {
    if (!isOpen(command)) continue;
    for (const open of command.nodes) {
      if (open.node !== node || open.done || Math.sign(open.expectedW) !== Math.sign(expectedW)) continue;
      const leftW = open.expectedW + open.alsoDueW - (meterW - open.beforeW);
      dueW = Math.sign(leftW) === Math.sign(expectedW) ? leftW : 0;
    }
  }
  return dueW;
}

/** What the known machines below a node draw by their own word, those of the command left out, W. */
export function othersW(state: SiteState, node: number, without: readonly number[]): number {
  const left = new Set(without);
  return (
    flowByNode(state, (machine) =>
      left.has(machine) || !isKnown(state, machine) ? 0 : believedW(state, machine),
    )[node] ?? 0
  );
}

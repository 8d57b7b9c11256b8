import { auxiliaryFlowW } from './auxiliaries.ts';
import { issue, restWhereFound } from './commands.ts';
import { believedW, drawW, restMode } from './economics.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import { isOpen, workingBelow } from './follow.ts';
import type { Working } from './follow.ts';
import { holdLimit } from './limit.ts';
import { leaveAgain, onItsWay, sumByNode } from './room.ts';
import { doesAsWanted, isOurs, modeAt } from './state.ts';
import type { SiteState } from './state.ts';

/**
 * At start every machine is taken over as it is, or as the ledger says it shall be; whoever rests and should work is
 * first wanted at rest: nothing moves by starting.
 */
export function adoptAll(state: SiteState, now: Now): Effect[] {
  const working = workingBelow(state);
  const underWay = new Set(
    [...state.site.machines.keys()].filter((machine) => onItsWay(state, machine, now.monoMs)),
  );
  const turned = restWhereFound(
    state,
    state.site.machines.keys(),
    'found at rest at the start of the controller',
  );
  const changes = state.site.machines.flatMap((machine) => {
    if (!isOurs(state, machine.index)) return [];
    const present = modeAt(state.mode[machine.index] ?? -1);
    const found = { owner: 'price' as const, rule: 'adopted', text: 'taken over as it was found' };
    const wish =
      state.wish[machine.index] ??
      (present === undefined || present === 'off' ? undefined : { mode: present, because: found });
    return wish === undefined ? [] : [{ machine: machine.index, deltaW: 0, target: wish }];
  });
  const effects = issue(state, { changes, urgent: false }, now);
  // A start that was under way is turned back by this word; and who still draws may only hear of its rest by it.
  for (const machine of turned) if (underWay.has(machine)) state.wishMonoMs[machine] = now.monoMs;
  for (const { machine } of changes) {
    const rest = state.site.machines[machine]?.model;
    const resting = rest !== undefined && state.wish[machine]?.mode === restMode(rest);
    if (resting && believedW(state, machine) > 2 * drawW(state, machine, restMode(rest)))
      state.wishMonoMs[machine] = now.monoMs;
  }
  followOn(state);
  if (state.limit.sequence < 0) holdLimit(state, now);
  holdUnexplained(state, underWay, working);
  return effects;
}

/** What is said again is the command of before: its results and its proof are counted to that one. */
function followOn(state: SiteState): void {
  for (const command of state.commands)
    if (isOpen(command))
      for (const machine of command.machines) {
        state.commandOf[machine] = command.id;
        state.stage[machine] = doesAsWanted(state, machine) ? 'observed' : 'sent';
      }
}

/**
 * Above machines that are still on their way, meters and words belong to different moments: there what was
 * unexplained when they were commanded stands until they have settled, as it would have without a restart. Those
 * that go on working are counted at one reading each by now, where it was the mean of many: the difference is none
 * of the site's, and must not tip a plan that fits by little.
 */
function holdUnexplained(state: SiteState, underWay: ReadonlySet<number>, working: Working): void {
  const moving = sumByNode(state, (machine) => (underWay.has(machine) ? 1 : 0));
  const auxW = auxiliaryFlowW(state);
  for (const [node, before] of state.fromLedger.nodes) {
    // Of a node where nobody was sent lately, the ledger's word is old.
    if ((moving[node] ?? 0) === 0) continue;
    const same = before.working === working.machines[node];
    state.residualW[node] = before.unexplainedW + (same ? before.workingW - (working.watts[node] ?? 0) : 0);
    leaveAgain(state, node);
    // Taken for settled: what the machines below draw at this moment has been followed.
    state.auxiliaries.inResidualW[node] = auxW[node] ?? 0;
    state.residualKnown[node] = 1;
    state.residualFound[node] = 1;
  }
}

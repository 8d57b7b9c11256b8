import { clearAlarm, raiseAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import { isOpen, othersW } from './follow.ts';
import { doesAsWanted, isKnown, meterOf } from './state.ts';
import type { Command, SiteState } from './state.ts';

/** What reported power is off by at most, as a share of what was commanded; and the least that counts, W. */
const WORD_SHARE = 0.06;
const WORD_LEAST_W = 4_000;
/** A node must move by this share of its cap before its meter can be asked to prove it. */
const PROVABLE_SHARE = 0.004;

/** Asks the meters what became of every open command. */
export function verify(state: SiteState, now: Now): Effect[] {
  const effects = endShortfalls(state, now);
  for (const command of state.commands) {
    if (!command.compared && now.monoMs >= command.settledMonoMs)
      effects.push(...compareWords(state, command, now));
    if (!isOpen(command)) continue;
    for (const node of command.nodes) if (!node.done) effects.push(...verifyNode(state, command, node, now));
    const allDone = command.nodes.every((node) => node.done);
    const settled = command.machines.every((machine) =>
      ['observed', 'steady', 'failed'].includes(state.stage[machine] ?? ''),
    );
    const proven = command.nodes.some((node) => node.measuredW !== undefined);
    if (allDone && command.overtaken) command.state = 'superseded';
    else if (allDone && proven) command.state = 'verified';
    else if (allDone && settled) command.state = 'observed';
    else if (now.monoMs >= command.deadlineMonoMs) effects.push(...giveUp(state, command, now));
    else if (settled) command.state = 'verifying';
  }
  return effects;
}

/**
 * Once after a shed has settled: does a node draw more beyond its machines' words than before it? Then some of the
 * machines that say they rest do not. The meter's word is what counts; the rest is taken elsewhere.
 */
function compareWords(state: SiteState, command: Command, now: Now): Effect[] {
  command.compared = true;
  return command.nodes.flatMap((node): Effect[] => {
    if (node.expectedW >= 0 || meterOf(state, node.node, now.monoMs) === undefined) return [];
    const missingW = (state.residualW[node.node] ?? 0) - node.unexplainedW;
    if (missingW < Math.max(WORD_LEAST_W, -node.expectedW * WORD_SHARE)) return [];
    const id = state.site.nodes[node.node]?.id ?? '';
    const suspects = command.machines.filter(
      (machine) =>
        (state.site.nodes[state.site.machines[machine]?.nodeIndex ?? -1]?.path ?? []).includes(node.node) &&
        doesAsWanted(state, machine),
    );
    const names = suspects.map((machine) => state.site.machines[machine]?.id ?? '');
    const text = `${id} draws ${(missingW / 1_000).toFixed(1)} kW more than its machines say since ${command.id}: some of these report rest and draw power: ${names.slice(0, 12).join(', ')}${names.length > 12 ? ` and ${names.length - 12} more` : ''}. The rest was taken elsewhere.`;
    state.shortfalls.set(node.node, { beforeW: node.unexplainedW, missingW });
    return raiseAlarm(state, now, 'SHED_SHORTFALL', id, text.slice(0, 400), command.id);
  });
}

/** A shortfall is over when most of what was unexplained has gone. */
function endShortfalls(state: SiteState, now: Now): Effect[] {
  return [...state.shortfalls].flatMap(([node, shortfall]): Effect[] => {
    if (meterOf(state, node, now.monoMs) === undefined) return [];
    if ((state.residualW[node] ?? 0) - shortfall.beforeW > shortfall.missingW / 2) return [];
    state.shortfalls.delete(node);
    return clearAlarm(state, now, 'SHED_SHORTFALL', state.site.nodes[node]?.id ?? '');
  });
}

function verifyNode(state: SiteState, command: Command, node: Command['nodes'][number], now: Now): Effect[] {
  const meterW = meterOf(state, node.node, now.monoMs);
  const capW = (state.site.nodes[node.node]?.capKw ?? 0) * 1_000;
  if (meterW === undefined || Number.isNaN(node.beforeW)) return [];
  // What other machines below the node did meanwhile, by their own word, is not this command's doing.
  const alsoW = meterW - node.beforeW - (othersW(state, node.node, command.machines) - node.othersW);
  const rawW = meterW - node.beforeW;
  const measuredW = (node.expectedW < 0 ? Math.min(rawW, alsoW) : Math.max(rawW, alsoW)) - node.alsoDueW;
  node.measuredW = measuredW;
  const share = state.site.config.control.verifyPct / 100;
  const provable = Math.abs(node.expectedW) >= capW * PROVABLE_SHARE;
  const shown =
    node.expectedW < 0 ? measuredW <= node.expectedW * share : measuredW >= node.expectedW * share;
  const said = command.machines.every((machine) =>
    ['observed', 'steady'].includes(state.stage[machine] ?? ''),
  );
  if (!(provable ? shown : said)) return [];
  node.done = true;
  if (!provable) {
    // Too little for this meter to show: the machines' word stands, and is not called proof.
    node.measuredW = undefined;
    return [];
  }
  const id = state.site.nodes[node.node]?.id ?? '';
  const figures = { expectedKw: node.expectedW / 1_000, measuredKw: measuredW / 1_000 };
  const signal = command.signalId === undefined ? {} : { signalId: command.signalId };
  return [
    {
      kind: 'ledger',
      records: [{ t: 'verified', atMs: now.wallMs, commandId: command.id, node: id, ...figures, ok: true }],
      after: [],
    },
    { kind: 'report', event: { event: 'verified', commandId: command.id, ...signal, node: id, ...figures } },
  ];
}

/** Time is over: names who did not obey; a shed that fell short is said aloud and taken elsewhere. */
function giveUp(state: SiteState, command: Command, now: Now): Effect[] {
  command.state = 'failed';
  const effects: Effect[] = [];
  for (const node of command.nodes) {
    if (node.done) continue;
    node.done = true;
    // A meter that was lost on the way proves nothing, neither way; METER_LOST says so already.
    if (node.measuredW === undefined || meterOf(state, node.node, now.monoMs) === undefined) continue;
    const id = state.site.nodes[node.node]?.id ?? '';
    const figures = { expectedKw: node.expectedW / 1_000, measuredKw: node.measuredW / 1_000 };
    effects.push({
      kind: 'ledger',
      records: [{ t: 'verified', atMs: now.wallMs, commandId: command.id, node: id, ...figures, ok: false }],
      after: [],
    });
    if (node.expectedW >= 0) continue;
    const guilty = command.machines.filter(
      (machine) => state.disobeys[machine] === 1 || !isKnown(state, machine),
    );
    const names = guilty.slice(0, 5).map((machine) => state.site.machines[machine]?.id ?? '');
    const who =
      names.length === 0
        ? 'no machine admits it: look for one that reports sleep and draws power'
        : `not obeying: ${names.join(', ')}`;
    const text = `${id}: ${(-figures.expectedKw).toFixed(1)} kW of reduction commanded, the meter shows ${(-figures.measuredKw).toFixed(1)} kW; ${who}`;
    state.shortfalls.set(node.node, {
      beforeW: node.unexplainedW,
      missingW: node.measuredW - node.expectedW,
    });
    effects.push(...raiseAlarm(state, now, 'SHED_SHORTFALL', id, text, command.id));
  }
  return effects;
}

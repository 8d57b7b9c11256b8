import { withNext } from '../../protocols/faults.ts';
import type { ConsoleView, MachineView } from '../../protocols/console/view.ts';
import type { Mode } from '../../protocols/reading.ts';
import {
  MODE_NAMES,
  aimText,
  byRack,
  durationText,
  excessOf,
  hashrateText,
  isOnTheWay,
  kwText,
  powerText,
  progressText,
  shownMode,
  usdText,
} from '../format.ts';
import { fit } from './text.ts';
import { byUrgency } from './words.ts';

/** One line of the screen; `style` says how much attention it asks. */
export interface ScreenLine {
  readonly text: string;
  readonly style: 'normal' | 'dim' | 'head' | 'warn' | 'bad';
}

interface Screen {
  readonly columns: number;
  readonly rows: number;
  readonly nowMs: number;
  /** How old the data is, or why there is none. */
  readonly state: string;
  readonly stale: boolean;
  /** Last answers to commands, oldest first. */
  readonly messages: readonly string[];
  readonly prompt: string;
}

const MODES_SHOWN: readonly (Mode | 'unknown')[] = ['mine', 'ai', 'idle', 'sleep', 'off', 'unknown'];
const line = (text: string, style: ScreenLine['style'] = 'normal'): ScreenLine => ({ text, style });

/** The whole screen: exactly `rows` lines of `columns` safe characters; the last is the prompt. */
export function screenLines(view: ConsoleView | undefined, screen: Screen): ScreenLine[] {
  const messages = screen.messages.slice(-4).map((text) => line(text));
  const foot = [
    ...messages,
    line(
      screen.prompt === '' ? ':command   q quit   (:help)' : screen.prompt,
      screen.prompt === '' ? 'dim' : 'normal',
    ),
  ];
  const room = Math.max(0, screen.rows - foot.length);
  const body =
    view === undefined ? [line(`Switchyard: ${screen.state}`, 'warn')] : bodyLines(view, screen, room);
  const shown = body.slice(0, room);
  while (shown.length < room) shown.push(line(''));
  return [...shown, ...foot]
    .slice(-screen.rows)
    .map(({ text, style }) => ({ text: fit(text, screen.columns), style }));
}

function bodyLines(view: ConsoleView, screen: Screen, room: number): ScreenLine[] {
  const top = [...siteLines(view, screen), ...signalLines(view, screen.nowMs)];
  const alarms = alarmLines(view, screen.nowMs, Math.max(1, Math.floor(room * 0.25)));
  const commands = commandLines(view, Math.max(1, Math.floor(room * 0.2)));
  const left = Math.max(2, room - top.length - alarms.length - commands.length);
  const nodes = nodeLines(view, Math.max(1, Math.floor(left * 0.3)));
  return [
    ...top,
    ...nodes,
    ...rackLines(view.machines, Math.max(1, left - nodes.length)),
    ...alarms,
    ...commands,
  ];
}

function siteLines(view: ConsoleView, screen: Screen): ScreenLine[] {
  const { site } = view;
  const excess = excessOf(view, screen.nowMs);
  const over = excess?.leftMs === 0;
  const verdict =
    excess === undefined
      ? ''
      : over
        ? '  !! OVER LIMIT'
        : `  ${kwText(excess.excessKw)} to shed in ${durationText(excess.leftMs)}`;
  const price = `${usdText(site.priceUsdPerMwh)}/MWh${site.priceQuality === 'good' ? '' : ` (${site.priceQuality})`}`;
  return [
    line(
      `${site.name}  ${site.authority}  ${site.underControl ? 'under control' : 'NOT UNDER CONTROL'}  ${screen.state}`,
      screen.stale || !site.underControl ? 'warn' : 'head',
    ),
    line(
      `${powerText(site.powerW)} (${site.powerFrom}) of ${kwText(site.limitKw)} [${site.limitFrom}]  plan ${kwText(site.planKw)}  cap ${kwText(site.capKw)}${verdict}`,
      over ? 'bad' : excess === undefined ? 'normal' : 'warn',
    ),
    line(
      `price ${price}  ${usdText(site.usdPerHour)}/h  ASIC ${kwText(site.asicKw)}  GPU ${kwText(site.gpuKw)}  solar ${kwText(site.solarKw)}  ${hashrateText(site.hashrateHs)}  ${site.reporting}/${site.expected} reporting`,
      site.reporting < site.expected || site.priceQuality !== 'good' ? 'warn' : 'normal',
    ),
  ];
}

/** Shown even when all is well. */
const STANDING: readonly string[] = ['limit', 'notice', 'manual', 'lockout', 'energy'];

function signalLines(view: ConsoleView, nowMs: number): ScreenLine[] {
  return view.signals
    .filter((signal) => STANDING.includes(signal.kind) || signal.quality !== 'good' || signal.waits !== null)
    .slice(0, 4)
    .map((signal) => {
      const isCalm = signal.kind === 'energy' && signal.quality === 'good';
      return line(
        `${isCalm ? '' : '!! '}${signal.text} (${signal.source}, ${signal.quality})${signal.untilMs === null ? '' : `, ${durationText(signal.untilMs - nowMs)} left`}${signal.waits === null ? '' : `. WAITS: ${signal.waits.text}`}`,
        isCalm ? 'normal' : 'warn',
      );
    });
}

function nodeLines(view: ConsoleView, most: number): ScreenLine[] {
  const racks = new Set(view.machines.map((machine) => machine.rack));
  const nodes = view.nodes.filter((node) => !racks.has(node.id));
  const rows = nodes.map((node) => {
    const over = node.powerW !== null && node.powerW / 1_000 > node.capKw;
    return line(
      `  ${node.id.padEnd(12)} ${node.kind.padEnd(12)} ${powerText(node.powerW).padStart(10)} / ${kwText(node.capKw).padEnd(10)} ${node.reporting}/${node.expected} ${node.powerFrom}${over ? ' !! OVER CAP' : ''}`,
      over ? 'bad' : 'normal',
    );
  });
  return [line('NODES', 'dim'), ...shorten(rows, most - 1)];
}

function rackLines(machines: readonly MachineView[], most: number): ScreenLine[] {
  const head = `RACKS${' '.repeat(9)}${MODES_SHOWN.map((mode) => MODE_NAMES[mode].name.padStart(8)).join('')}      power  reporting`;
  const rows = [...byRack(machines)].map(([id, members]) => rackLine(id, members));
  return [line(head, 'dim'), ...shorten(rows, most - 1)];
}

function rackLine(id: string, members: readonly MachineView[]): ScreenLine {
  const counts = MODES_SHOWN.map((mode) => members.filter((machine) => shownMode(machine) === mode).length);
  const known = members.filter((machine) => machine.powerW !== null);
  const powerW = known.length === 0 ? null : known.reduce((sum, machine) => sum + (machine.powerW ?? 0), 0);
  const heard = members.filter((machine) => shownMode(machine) !== 'unknown').length;
  // What is asleep often tells no power: then the sum is a least value.
  const atLeast = powerW !== null && known.length < members.length ? '≥' : '';
  const moving = members.filter(({ stage }) => isOnTheWay(stage)).length;
  const failed = members.filter((machine) => machine.stage === 'failed').length;
  const notes = `${moving > 0 ? `  ${moving} on the way` : ''}${failed > 0 ? `  !! ${failed} failed` : ''}`;
  const text = `  ${id.padEnd(12)}${counts.map((count) => String(count === 0 ? '-' : count).padStart(8)).join('')} ${(atLeast + powerText(powerW)).padStart(10)}  ${heard}/${members.length}${notes}`;
  return line(text, failed > 0 ? 'bad' : heard < members.length ? 'warn' : 'normal');
}

function alarmLines(view: ConsoleView, nowMs: number, most: number): ScreenLine[] {
  const rows = byUrgency(view.alarms).map((alarm) =>
    line(
      `  ${alarm.acknowledgedBy === null ? '!' : ' '} ${alarm.id}  ${alarm.code} ${withNext(`${alarm.subject}: ${alarm.text}`, alarm.next)} (${durationText(nowMs - alarm.sinceMs)})`,
      alarm.acknowledgedBy !== null ? 'dim' : alarm.priority === 'high' ? 'bad' : 'warn',
    ),
  );
  return [line(`ALARMS ${view.alarms.length}`, 'dim'), ...shorten(rows, most)];
}

function commandLines(view: ConsoleView, most: number): ScreenLine[] {
  const rows = view.commands
    .toSorted((a, b) => b.atMs - a.atMs)
    .map((command) =>
      line(
        `  ${command.id}  ${command.state}  ${aimText(command)}${command.state === 'sent' ? '' : ` (measured ${kwText(command.measuredKw)})`}  ${command.text}  ${progressText(command)}`,
        command.state === 'failed' ? 'bad' : 'normal',
      ),
    );
  return [line('COMMANDS', 'dim'), ...shorten(rows, most)];
}

/** What fits, and how many more there are: never silently fewer. */
function shorten(rows: readonly ScreenLine[], most: number): ScreenLine[] {
  if (rows.length <= most) return [...rows];
  const shown = rows.slice(0, Math.max(0, most - 1));
  const hidden = rows.slice(shown.length);
  const worst = hidden.some((row) => row.style === 'bad')
    ? 'bad'
    : hidden.some((row) => row.style === 'warn')
      ? 'warn'
      : 'dim';
  return [...shown, line(`  … and ${hidden.length} more`, worst)];
}

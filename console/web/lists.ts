import type {
  AgentView,
  AlarmView,
  CommandView,
  NodeView,
  SignalView,
} from '../../protocols/console/view.ts';
import { aimText, durationText, kwText, powerText, progressText } from '../format.ts';
import { METER_ALARMS, METER_KINDS } from '../../protocols/console/protocol.ts';
import type { MeterKind } from '../../protocols/console/protocol.ts';
import { button, make, part, say } from './dom.ts';

const ROWS_MAX = 50;
const SIGNS = { high: '▲', medium: '◆', low: '●' } as const;
const RANK = { high: 0, medium: 1, low: 2 } as const;
const STATE_WORDS = {
  sent: 'sent',
  verifying: 'verifying at the meter',
  verified: '✓ verified',
  failed: '✕ failed',
  observed: 'observed, no meter to prove it',
  superseded: 'overtaken by a newer one',
} as const;

/** Fills a list anew, keeping the keyboard's place in it. `none`: what an empty one says. */
function fill(id: string, rows: readonly HTMLElement[], none: string): void {
  const list = part(id, HTMLElement);
  const focused =
    document.activeElement instanceof HTMLElement && list.contains(document.activeElement)
      ? document.activeElement.dataset['key']
      : undefined;
  list.className = 'rows';
  list.replaceChildren(...(rows.length === 0 ? [make('p', { class: 'none' }, none)] : rows));
  if (focused === undefined) return;
  const again = [...list.querySelectorAll('button')].find(
    (candidate) => candidate.dataset['key'] === focused,
  );
  again?.focus();
}

/** Alarms, unacknowledged and urgent ones first. */
export function drawAlarms(
  alarms: readonly AlarmView[],
  nowMs: number,
  acknowledge: (id: string) => void,
  agree: (alarm: AlarmView, kind: MeterKind) => void,
): void {
  const open = alarms.filter((alarm) => alarm.acknowledgedBy === null).length;
  const count = part('alarms-count', HTMLElement);
  say(count, alarms.length === 0 ? '' : `${open} new, ${alarms.length} in all`);
  count.classList.toggle('warn', open > 0);
  const sorted = alarms.toSorted(
    (a, b) =>
      Number(a.acknowledgedBy !== null) - Number(b.acknowledgedBy !== null) ||
      RANK[a.priority] - RANK[b.priority] ||
      b.sinceMs - a.sinceMs,
  );
  const rows = sorted.slice(0, ROWS_MAX).map((alarm) => alarmRow(alarm, nowMs, acknowledge, agree));
  if (sorted.length > ROWS_MAX)
    rows.push(make('p', { class: 'none' }, `and ${sorted.length - ROWS_MAX} more`));
  fill('alarm-rows', rows, 'No alarms.');
}

function alarmRow(
  alarm: AlarmView,
  nowMs: number,
  acknowledge: (id: string) => void,
  agree: (alarm: AlarmView, kind: MeterKind) => void,
): HTMLElement {
  const acked = alarm.acknowledgedBy !== null;
  const ack = button('Acknowledge', () => acknowledge(alarm.id));
  ack.dataset['key'] = alarm.id;
  ack.setAttribute('aria-label', `Acknowledge ${alarm.code} ${alarm.subject}`);
  const kind = METER_KINDS.find((one) => METER_ALARMS[one] === alarm.code);
  const words = kind === 'setup' ? 'Agree' : 'Declare wrong';
  const has = kind === undefined ? [] : [button(words, () => agree(alarm, kind))];
  for (const press of has) {
    press.dataset['key'] = `agree ${alarm.id}`;
    press.setAttribute('aria-label', `${words}: ${alarm.code} ${alarm.subject}`);
  }
  return make(
    'div',
    { class: `alarm ${alarm.priority}${acked ? ' acked' : ''}` },
    make('span', { class: 'sign', title: `${alarm.priority} priority` }, SIGNS[alarm.priority]),
    make('div', {}, make('code', {}, alarm.code), ` ${alarm.subject}`),
    acked ? make('span', { class: 'fine' }, `seen by ${alarm.acknowledgedBy ?? ''}`) : ack,
    make('div', { class: 'fine' }, alarm.text),
    ...has,
    make('div', { class: 'fine' }, `Next: ${alarm.next} · since ${durationText(nowMs - alarm.sinceMs)}`),
  );
}

/** One command's progress: bar, counts, kW and state. */
export function commandRow(command: CommandView, nowMs: number): HTMLElement {
  const share = (count: number): string =>
    `${command.machines === 0 ? 0 : Math.min(100, (100 * count) / command.machines)}%`;
  const bar = (width: string, kind = ''): HTMLElement => {
    const part = make('i', { class: kind });
    part.style.width = width;
    return part;
  };
  const meter = make(
    'div',
    { class: 'meter', attrs: { role: 'img', 'aria-label': progressText(command) } },
    bar(share(command.acknowledged)),
    bar(share(command.observed)),
  );
  return make(
    'div',
    { attrs: { 'data-command': command.id } },
    make(
      'div',
      { class: 'row-top' },
      make('b', {}, aimText(command)),
      make('span', { class: `fine${command.state === 'failed' ? ' bad' : ''}` }, STATE_WORDS[command.state]),
    ),
    make('div', {}, command.text),
    meter,
    make(
      'div',
      { class: 'fine' },
      // While machines still change, a difference at the meter says nothing of this command yet.
      `${progressText(command)}${command.state === 'sent' ? '' : ` · measured ${kwText(command.measuredKw)}`}`,
    ),
    make(
      'div',
      { class: 'fine' },
      `${command.owner} · ${durationText(nowMs - command.atMs)} ago · ${command.id}`,
    ),
  );
}

export function drawCommands(commands: readonly CommandView[], nowMs: number): void {
  const rows = commands
    .toSorted((a, b) => b.atMs - a.atMs)
    .slice(0, 12)
    .map((command) => commandRow(command, nowMs));
  fill('command-rows', rows, 'Nothing commanded yet.');
}

/** What waits for a witness, and the button of a person who is one. */
function waitsRow(signal: SignalView, agree: (signal: SignalView) => void): readonly HTMLElement[] {
  if (signal.waits === null) return [];
  const press = button('Agree', () => agree(signal));
  press.dataset['key'] = `agree ${signal.kind}`;
  press.setAttribute('aria-label', `Agree with ${signal.kind} ${signal.waits.value}`);
  return [make('div', { class: 'fine warn' }, `▲ waits: ${signal.waits.text}`), press];
}

export function drawSignals(
  signals: readonly SignalView[],
  nowMs: number,
  agree: (signal: SignalView) => void,
): void {
  fill(
    'signal-rows',
    signals
      .slice(0, ROWS_MAX)
      .map((signal) =>
        make(
          'div',
          {},
          make(
            'div',
            { class: 'row-top' },
            make('b', {}, signal.text),
            make(
              'span',
              { class: `fine${signal.quality === 'good' ? '' : ' warn'}` },
              signal.quality === 'good' ? signal.kind : `▲ ${signal.kind} ${signal.quality}`,
            ),
          ),
          make(
            'div',
            { class: 'fine' },
            `${signal.source} · since ${durationText(nowMs - signal.sinceMs)}${signal.untilMs === null ? '' : ` · ${durationText(signal.untilMs - nowMs)} left`}`,
          ),
          ...waitsRow(signal, agree),
        ),
      ),
    'No signals.',
  );
}

/** The electrical tree with each node's power against its cap. */
export function drawNodes(nodes: readonly NodeView[], order: (scope: string) => void): void {
  const rows = treeOf(nodes)
    .slice(0, 2 * ROWS_MAX)
    .map(({ node, depth }) => {
      const share = node.powerW === null || node.capKw <= 0 ? 0 : node.powerW / 1_000 / node.capKw;
      const fillBar = make('i');
      fillBar.style.width = `${Math.min(100, 100 * share)}%`;
      const silent = node.expected - node.reporting;
      const command = button('Command', () => order(node.id));
      command.dataset['key'] = node.id;
      command.setAttribute('aria-label', `Command ${node.id}`);
      const row = make(
        'div',
        {},
        make(
          'div',
          { class: 'row-top' },
          make('span', {}, make('b', {}, node.id), ` ${node.kind}`),
          make(
            'span',
            { class: share > 1 ? 'bad' : '' },
            `${share > 1 ? '▲ ' : ''}${powerText(node.powerW)} / ${kwText(node.capKw)}`,
          ),
        ),
        make('div', { class: `meter${share > 1 ? ' over' : share > 0.95 ? ' near' : ''}` }, fillBar),
        make(
          'div',
          { class: 'row-top fine' },
          make(
            'span',
            { class: silent > 0 ? 'warn' : '' },
            `${node.reporting}/${node.expected} reporting · ${node.powerFrom}`,
          ),
          command,
        ),
      );
      row.style.paddingLeft = `${depth * 0.8}rem`;
      return row;
    });
  fill('node-rows', rows, 'No nodes.');
}

function treeOf(nodes: readonly NodeView[]): { node: NodeView; depth: number }[] {
  const known = new Set(nodes.map((node) => node.id));
  const rows: { node: NodeView; depth: number }[] = [];
  const seen = new Set<string>();
  const visit = (node: NodeView, depth: number): void => {
    // A loop in the tree would be a fault of the site file; it must not hang the page.
    if (seen.has(node.id)) return;
    seen.add(node.id);
    rows.push({ node, depth });
    for (const child of nodes) if (child.parent === node.id) visit(child, depth + 1);
  };
  for (const node of nodes) if (node.parent === null || !known.has(node.parent)) visit(node, 0);
  return rows;
}

export function drawAgents(agents: readonly AgentView[], nowMs: number): void {
  fill(
    'agent-rows',
    agents.slice(0, ROWS_MAX).map((agent) => {
      const silent = agent.atMs === null || nowMs - agent.atMs > 15_000;
      return make(
        'div',
        { class: 'row-top' },
        make('span', {}, make('b', {}, agent.id), ` ${agent.phase}`),
        make(
          'span',
          { class: `fine${silent ? ' warn' : ''}` },
          `${agent.atMs === null ? 'never heard' : `${silent ? '▲ ' : ''}heard ${durationText(nowMs - agent.atMs)} ago`}${agent.spooled > 0 ? ` · ${agent.spooled} waiting` : ''}${hostText(agent.host)}`,
        ),
      );
    }),
    'No agents.',
  );
}

/** The load of the box an agent runs on, as far as it says. */
function hostText(host: Readonly<Record<string, number>> | null): string {
  const cpu = host?.['host.cpu'];
  const disk = host?.['host.diskUsed'];
  return `${cpu === undefined ? '' : ` · CPU ${Math.round(cpu)} %`}${disk === undefined ? '' : ` · disk ${Math.round(disk)} %`}`;
}

import type { ConsoleView, MachineView, OperatorRequest, WhyView } from '../../protocols/console/view.ts';
import { MODE_NAMES, UNKNOWN, durationText, hashrateText, powerText, shownMode } from '../format.ts';
import { button, make, part, say } from './dom.ts';

/** The panel of the selected machine: readings, why it is in its state, and what can be asked of it. */
export interface MachinePanel {
  show(id: string): void;
  draw(view: ConsoleView, nowMs: number): void;
}

interface Options {
  readonly why: (machine: string) => Promise<WhyView>;
  readonly order: (scope: string, action: OperatorRequest['action']) => void;
  readonly onClose: () => void;
}

export function makeMachinePanel(options: Options): MachinePanel {
  const panel = part('machine', HTMLElement);
  let shown: string | undefined;
  let askedFor = '';
  let readings: HTMLElement | undefined;
  let why: HTMLElement | undefined;
  const close = (): void => {
    shown = undefined;
    panel.replaceChildren();
    options.onClose();
  };
  const ask = (machine: string): void => {
    options
      .why(machine)
      .then((answer) => {
        if (machine === shown) why?.replaceChildren(...whyRows(answer));
      })
      .catch((error: unknown) => {
        if (machine === shown) why?.replaceChildren(error instanceof Error ? error.message : String(error));
      });
  };
  const build = (machine: MachineView): void => {
    readings = make('dl', { class: 'pairs rows-live' });
    why = make('div', { class: 'why', attrs: { role: 'status' } }, 'asking why …');
    const head = make('h2', { id: 'machine-h' }, `Machine ${machine.id}`);
    panel.replaceChildren(
      make('div', { class: 'head' }, head, button('Close', close)),
      readings,
      why,
      ...commandButtons(machine, options.order),
    );
  };
  return {
    show: (id) => {
      if (id !== shown) panel.replaceChildren();
      shown = id;
      askedFor = '';
    },
    draw: (view, nowMs) => {
      const machine = view.machines.find((entry) => entry.id === shown);
      if (machine === undefined) {
        if (shown !== undefined) close();
        return;
      }
      if (panel.childElementCount === 0) build(machine);
      // The reason is asked again when something it depends on changed.
      const state = [machine.id, machine.mode, machine.wanted, machine.stage, machine.owner].join('|');
      if (state !== askedFor) {
        askedFor = state;
        ask(machine.id);
      }
      if (readings !== undefined) drawReadings(readings, machine, nowMs);
    },
  };
}

const ANY: readonly OperatorRequest['action'][] = ['release', 'manual', 'automatic', 'lockout', 'unlock'];

function commandButtons(machine: MachineView, order: Options['order']): HTMLElement[] {
  const actions: readonly OperatorRequest['action'][] =
    machine.kind === 'asic' ? ['sleep', 'mine', ...ANY] : ['idle', 'ai', 'mine', 'sleep', ...ANY];
  return [
    make(
      'div',
      { class: 'acts', attrs: { role: 'group', 'aria-label': `Commands for ${machine.id}` } },
      ...actions.map((action) => button(action, () => order(machine.id, action))),
    ),
    make(
      'div',
      { class: 'acts' },
      button(`Command rack ${machine.rack}`, () => order(machine.rack, 'sleep')),
    ),
  ];
}

function drawReadings(list: HTMLElement, machine: MachineView, nowMs: number): void {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['Mode', MODE_NAMES[shownMode(machine)].name, shownMode(machine) === 'unknown'],
    [
      'Wanted',
      machine.wanted === null ? UNKNOWN : `${MODE_NAMES[machine.wanted].name} (${machine.stage})`,
      machine.stage === 'failed',
    ],
    ['Power', `${powerText(machine.powerW)} of ${powerText(machine.ratedW)} rated`, false],
    ['Hashrate', hashrateText(machine.hashrateHs), false],
    ['Temperature', machine.temperatureC === null ? UNKNOWN : `${machine.temperatureC.toFixed(0)} °C`, false],
    ['Boards', machine.boards ?? UNKNOWN, false],
    ['Owner', machine.owner, false],
    ['Model', `${machine.model}, rack ${machine.rack}`, false],
    [
      'Last reading',
      machine.atMs === null ? 'never' : `${durationText(nowMs - machine.atMs)} ago`,
      machine.atMs === null || nowMs - machine.atMs > 60_000,
    ],
  ];
  rows.forEach(([label, value, attention], at) => {
    let cell = list.children[2 * at + 1];
    if (cell === undefined) {
      cell = make('dd');
      list.append(make('dt', {}, label), cell);
    }
    cell.classList.toggle('warn', attention);
    if (cell instanceof HTMLElement) say(cell, value);
  });
}

function whyRows(why: WhyView): HTMLElement[] {
  const until =
    why.untilMs === null
      ? ''
      : ` until ${new Date(why.untilMs).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })}`;
  return [
    make('p', {}, make('b', {}, 'Why: '), why.text),
    make('p', { class: 'fine' }, `Decided by ${why.owner}, rule “${why.rule}”${until}.`),
    make(
      'dl',
      { class: 'pairs' },
      ...why.inputs.flatMap(({ label, value }) => [make('dt', {}, label), make('dd', {}, value)]),
    ),
    make('p', { class: 'fine' }, `Would change with: ${why.release}`),
  ];
}

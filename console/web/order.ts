import { isHold } from '../../protocols/console/protocol.ts';
import type { ConsoleView, OperatorRequest, Preview } from '../../protocols/console/view.ts';
import { deltaKwText, usdText } from '../format.ts';
import { button, make, part } from './dom.ts';
import { commandRow } from './lists.ts';

/** Share of the site from which the scope's name must be typed. */
const LARGE = 0.2;
const NAMES_MAX = 400;
const ACTIONS: readonly (readonly [OperatorRequest['action'], string])[] = [
  ['sleep', 'Sleep'],
  ['mine', 'Mine'],
  ['ai', 'AI'],
  ['idle', 'Idle'],
  ['release', 'End a hold'],
  ['manual', 'Release to manual'],
  ['automatic', 'Return to automatic'],
  ['lockout', 'Lockout (hands in the rack)'],
  ['unlock', 'End the lockout'],
  ['permit', 'Permit the restart after a trip'],
  ['pools', 'Mine at other pools'],
];

interface Server {
  readonly preview: (request: OperatorRequest) => Promise<Preview>;
  readonly execute: (input: {
    readonly previewId: string;
    readonly hash: string;
    readonly key: string;
  }) => Promise<{ readonly commandId: string }>;
}

/** The way of a command: form, preview, confirmation, live progress. */
export interface OrderDialog {
  open(scope: string, action: OperatorRequest['action']): void;
  draw(view: ConsoleView, nowMs: number): void;
}

export function makeOrderDialog(server: Server): OrderDialog {
  const dialog = part('order', HTMLDialogElement);
  let view: ConsoleView | undefined;
  let following: { readonly id: string; readonly slot: HTMLElement } | undefined;
  const close = (): void => {
    following = undefined;
    dialog.close();
  };
  const showForm = (given: Given): void => {
    following = undefined;
    dialog.replaceChildren(
      ...formStep(view, given, close, async (request) => {
        const preview = await server.preview(request);
        dialog.replaceChildren(
          ...confirmStep(view, request, preview, {
            back: () => showForm({ ...request, scope: request.scope.join(' ') }),
            execute: (key) => run(preview, key),
          }),
        );
        dialog.querySelector('input')?.focus();
      }),
    );
  };
  const run = async (preview: Preview, key: string): Promise<void> => {
    const { commandId } = await server.execute({ previewId: preview.previewId, hash: preview.hash, key });
    const slot = make('div', { class: 'rows', attrs: { role: 'status' } }, 'sent …');
    following = { id: commandId, slot };
    dialog.replaceChildren(
      make(
        'div',
        { class: 'step' },
        make('h2', { id: 'order-h' }, `Command ${commandId}`),
        slot,
        make('div', { class: 'acts' }, button('Close', close, 'primary')),
      ),
    );
    dialog.querySelector('button')?.focus();
  };
  dialog.addEventListener('close', () => {
    following = undefined;
  });
  return {
    open: (scope, action) => {
      showForm({ scope, action });
      if (!dialog.open) dialog.showModal();
    },
    draw: (next, nowMs) => {
      view = next;
      const command = next.commands.find((entry) => entry.id === following?.id);
      if (command !== undefined) following?.slot.replaceChildren(commandRow(command, nowMs));
    },
  };
}

interface Given {
  readonly scope: string;
  readonly action: OperatorRequest['action'];
  readonly reason?: string;
  readonly minutes?: number;
  readonly pools?: string;
}

const textField = (name: string, attrs: Readonly<Record<string, string>> = {}): HTMLInputElement =>
  make('input', { attrs: { type: 'text', autocomplete: 'off', spellcheck: 'false', name, ...attrs } });

/** The names a scope can have, for the browser to complete. */
function scopeNames(view: ConsoleView | undefined): HTMLElement {
  const racks = view?.machines.map((machine) => machine.rack) ?? [];
  const names = new Set([...(view?.nodes.map((node) => node.id) ?? []), ...racks]);
  const options = [...names].slice(0, 1_000).map((name) => make('option', { attrs: { value: name } }));
  return make('datalist', { id: 'scopes' }, ...options);
}

function formStep(
  view: ConsoleView | undefined,
  given: Given,
  close: () => void,
  onPreview: (request: OperatorRequest) => Promise<void>,
): HTMLElement[] {
  const scope = textField('scope', { list: 'scopes', required: '' });
  scope.value = given.scope;
  const options = ACTIONS.map(([value, text]) => make('option', { attrs: { value } }, text));
  const action = make('select', { attrs: { name: 'action' } }, ...options);
  action.value = given.action;
  const minutes = textField('minutes', { type: 'number', min: '1', max: '10080', step: '1' });
  minutes.value = String(given.minutes ?? 60);
  const reason = textField('reason', { required: '', maxlength: '500' });
  reason.value = given.reason ?? '';
  const problem = make('div', { class: 'problem', attrs: { role: 'alert' } });
  const pools = textField('pools', { required: '', maxlength: '64' });
  pools.value = given.pools ?? '';
  const poolsLabel = make('label', {}, 'Set of pools, by its name in the site file', pools);
  const endless = (): boolean => !isHold(action.value);
  const sync = (): void => {
    minutes.disabled = endless();
    pools.disabled = poolsLabel.hidden = action.value !== 'pools';
  };
  action.addEventListener('change', sync);
  sync();
  const form = make(
    'form',
    {},
    make('h2', { id: 'order-h' }, 'New command'),
    make('label', {}, 'Scope: machine, rack or node; several with spaces', scope),
    scopeNames(view),
    make(
      'div',
      { class: 'two' },
      make('label', {}, 'Action', action),
      make('label', {}, 'For how many minutes', minutes),
    ),
    poolsLabel,
    make('label', {}, 'Reason (goes into the ledger)', reason),
    problem,
    make(
      'div',
      { class: 'acts' },
      button('Cancel', close),
      make('button', { class: 'primary', attrs: { type: 'submit' } }, 'Preview'),
    ),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const request: OperatorRequest = {
      scope: scope.value.split(/[\s,]+/).filter((name) => name !== ''),
      action: action.value as OperatorRequest['action'],
      ...(!endless() && { minutes: Number(minutes.value) }),
      ...(!pools.disabled && { pools: pools.value.trim() }),
      reason: reason.value.trim(),
    };
    onPreview(request).catch((error: unknown) => {
      problem.textContent = error instanceof Error ? error.message : String(error);
    });
  });
  return [form];
}

/** What the command would do: how many, how much, which, and what stands against it. */
function consequences(request: OperatorRequest, preview: Preview, total: number): HTMLElement[] {
  const count = preview.machines.length;
  const rows: readonly (readonly [string, string])[] = [
    ['Machines', `${count} of ${total}`],
    ['Power', deltaKwText(preview.deltaKw)],
    ['Money', `${preview.usdPerHour > 0 ? '+' : ''}${usdText(preview.usdPerHour)}/h`],
    ['Reason', request.reason],
  ];
  return [
    make(
      'dl',
      { class: 'pairs' },
      ...rows.flatMap(([label, value]) => [make('dt', {}, label), make('dd', {}, value)]),
    ),
    make(
      'div',
      { class: 'names', attrs: { tabindex: '0', 'aria-label': 'Machines concerned' } },
      preview.machines.slice(0, NAMES_MAX).join(' '),
      count > NAMES_MAX ? ` … and ${count - NAMES_MAX} more` : '',
    ),
    ...preview.conflicts.map((conflict) => make('div', { class: 'conflict' }, `▲ ${conflict}`)),
  ];
}

function confirmStep(
  view: ConsoleView | undefined,
  request: OperatorRequest,
  preview: Preview,
  act: { readonly back: () => void; readonly execute: (key: string) => Promise<void> },
): HTMLElement[] {
  const count = preview.machines.length;
  const total = view?.machines.length ?? count;
  const word = request.scope.join(' ');
  const large = count > LARGE * total;
  const typed = textField('typed');
  const problem = make('div', { class: 'problem', attrs: { role: 'alert' } });
  const confirm = make(
    'button',
    { class: 'primary', attrs: { type: 'submit' } },
    `${ACTIONS.find(([action]) => action === request.action)?.[1] ?? request.action}: ${count} machine${count === 1 ? '' : 's'}`,
  );
  const check = (): void => {
    confirm.disabled = count === 0 || (large && typed.value.trim() !== word);
  };
  typed.addEventListener('input', check);
  check();
  // One key for this confirmation: pressing twice, or again after a lost answer, is still one command.
  const key = [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
  const hold = request.minutes === undefined ? '' : ` for ${request.minutes} min`;
  const set = request.pools === undefined ? '' : ` ${request.pools}`;
  const form = make(
    'form',
    {},
    make('h2', { id: 'order-h' }, `${request.action}${set} ${word}${hold}`),
    ...consequences(request, preview, total),
    large &&
      make(
        'label',
        {},
        `This is ${Math.round((100 * count) / Math.max(1, total))} % of the site. Type “${word}” to confirm`,
        typed,
      ),
    problem,
    make('div', { class: 'acts' }, button('Back', act.back), confirm),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    confirm.disabled = true;
    act.execute(key).catch((error: unknown) => {
      problem.textContent = error instanceof Error ? error.message : String(error);
      check();
    });
  });
  return [form];
}

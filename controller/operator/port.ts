import { createHash } from 'node:crypto';
import { thereIsNo } from '../../config/nearest.ts';
import type { Clock, Random } from '../../host/deps.ts';
import { isHold } from '../../protocols/console/protocol.ts';
import type { AgreeInput } from '../../protocols/console/protocol.ts';
import type { HistoryPoint, OperatorPort, OperatorRequest, Preview } from '../../protocols/console/view.ts';
import { Fault } from '../../protocols/faults.ts';
import { waiting } from '../core/agree.ts';
import { believedW, drawW, energyUsdPerMwh, miningUsdPerHour } from '../core/economics.ts';
import type { MeterWord, Now } from '../core/events.ts';
import { refusedWord } from '../core/meter-agree.ts';
import { indexesOf } from '../core/indexes.ts';
import { permitWords } from '../core/inhibit.ts';
import { metersOf } from '../core/meter-views.ts';
import { blockedBy, machinesOf, requestedMode } from '../core/operator.ts';
import { committedW, capsW } from '../core/room.ts';
import { isKnown } from '../core/state.ts';
import type { SiteState } from '../core/state.ts';
import { historyPoint, underControl, viewOf, whyOf } from '../core/view.ts';
import type { Controller } from '../main.ts';

const PREVIEW_MS = 60_000;
const KEYS_KEPT = 1_000;
/** A point a second for six hours. */
const HISTORY_POINTS = 6 * 3_600;
const CHANGE_MS = 500;

/** What the console asks of a running controller. Commands are journalled before they count. */
export function makeOperatorPort(
  controller: Controller,
  deps: { clock: Clock; random: Random },
): OperatorPort & { close(): void } {
  const { state } = controller;
  const { clock } = deps;
  const now = (): Now => ({ wallMs: clock.wallMs(), monoMs: clock.monoMs() });
  const previews = new Map<string, { preview: Preview; request: OperatorRequest; machines: number[] }>();
  const executed = new Map<string, { hash: string; result: Promise<{ commandId: string }> }>();
  const history: HistoryPoint[] = [];
  const handlers = new Set<() => void>();
  let cancel: (() => void) | undefined;
  let lastPointMs = -Infinity;
  const round = (): void => {
    cancel = clock.after(CHANGE_MS, round);
    if (clock.monoMs() - lastPointMs >= 1_000) {
      lastPointMs = clock.monoMs();
      const point = historyPoint(state, now());
      // Before the first picture is complete, the sum of the few machines heard is not the site.
      history.push(state.deciding ? point : { ...point, powerKw: null });
      if (history.length > HISTORY_POINTS) history.shift();
    }
    for (const handler of handlers) handler();
  };
  round();
  let count = 0;
  return {
    view: () => viewOf(state, now()),
    history: () => history,
    onChange: (handler) => {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    why: (machine) => {
      const index = indexesOf(state).machines.get(machine);
      if (index !== undefined) return whyOf(state, index, now());
      throw new Fault('OPERATOR_REFUSED', `there is no machine '${machine}'`);
    },
    preview: (request, actor) => {
      const machines = machinesOf(state, request.scope);
      const id = `p-${++count}-${Math.floor(deps.random.next() * 1e9)}`;
      const preview = previewOf(state, request, machines, actor, now(), id);
      for (const [old, kept] of previews)
        if (kept.preview.expiresAtMs <= clock.wallMs()) previews.delete(old);
      previews.set(preview.previewId, { preview, request, machines });
      return preview;
    },
    execute: ({ previewId, hash, key }, actor) => {
      const before = executed.get(`${actor}/${key}`);
      if (before !== undefined) {
        if (before.hash !== hash)
          throw new Fault('OPERATOR_REFUSED', 'this key was used for another command');
        return before.result;
      }
      const found = previews.get(previewId);
      if (found === undefined || found.preview.hash !== hash || found.preview.expiresAtMs <= clock.wallMs())
        throw new Fault('OPERATOR_REFUSED', 'the preview is unknown or has expired: ask for a new one');
      const commandId = `op-${state.epoch}-${++count}`;
      const result = execute(controller, found, commandId, actor, clock);
      executed.set(`${actor}/${key}`, { hash, result });
      for (const [old] of executed) if (executed.size > KEYS_KEPT) executed.delete(old);
      return result;
    },
    acknowledge: (alarmId, actor) => acknowledge(controller, alarmId, actor),
    ...wordsPort(controller, clock, () => `op-${state.epoch}-${++count}`),
    ...provingPort(controller, now),
    health: () => healthOf(state, now()),
    close: () => cancel?.(),
  };
}

function acknowledge(controller: Controller, alarmId: string, actor: string): void {
  if (!controller.state.alarms.has(alarmId))
    throw new Fault('OPERATOR_REFUSED', `there is no alarm '${alarmId}' (any more)`);
  controller.submit({ kind: 'alarm-ack', alarmId, actor });
}

/** What proves the topology asks for beside the view and orders. */
const provingPort = (
  controller: Controller,
  now: () => Now,
): Pick<OperatorPort, 'meters' | 'commissioning'> => ({
  meters: () => metersOf(controller.state, now()),
  commissioning: (note, actor) =>
    controller.record([{ t: 'commission', atMs: now().wallMs, actor, ...note }]),
});

/** A person's word, on inputs and on meters. */
const wordsPort = (
  controller: Controller,
  clock: Clock,
  nextId: () => string,
): Pick<OperatorPort, 'agree' | 'agreeMeter'> => ({
  agree: (input, value, actor) => agree(controller, { input, value, actor }, clock),
  agreeMeter: (word, actor) => agreeMeter(controller, { commandId: nextId(), actor, word }, clock),
});

function healthOf(state: SiteState, now: Now): ReturnType<OperatorPort['health']> {
  return {
    status: !state.deciding ? 'starting' : underControl(state, now) ? 'ok' : 'degraded',
    site: state.site.id,
    controller: { epoch: state.epoch, generation: state.generation, deciding: state.deciding },
    agents: Object.fromEntries(
      [...state.agents].map(([id, agent]) => [id, agent.online ? agent.phase : 'offline']),
    ),
    broker: { connected: state.busConnected },
  };
}

async function agree(
  controller: Controller,
  said: { readonly input: AgreeInput; readonly value: number; readonly actor: string },
  clock: Clock,
): Promise<void> {
  const { input, value } = said;
  if (waiting(controller.state, input)?.value !== value)
    throw new Fault('OPERATOR_REFUSED', `${input} ${value} does not wait for anybody's word (any more)`);
  await controller.record([{ t: 'agree', atMs: clock.wallMs(), ...said }]);
  controller.submit({ kind: 'agree', ...said });
}

async function agreeMeter(
  controller: Controller,
  said: { readonly commandId: string; readonly actor: string; readonly word: MeterWord },
  clock: Clock,
): Promise<{ commandId: string }> {
  const { commandId, actor, word } = said;
  const why = refusedWord(controller.state, word);
  if (why !== undefined) throw new Fault('AGREE_REFUSED', why);
  await controller.record([{ t: 'meter-word', atMs: clock.wallMs(), commandId, actor, ...word }]);
  const { kind: of, ...rest } = word;
  controller.submit({ kind: 'meter-word', commandId, actor, of, ...rest });
  return { commandId };
}

async function execute(
  controller: Controller,
  { request, machines: all }: { request: OperatorRequest; machines: number[] },
  commandId: string,
  actor: string,
  clock: Clock,
): Promise<{ commandId: string }> {
  const { state } = controller;
  // Asked again at this moment: since the preview a lockout may have come.
  const blocks = all.map((machine) => blockedBy(state, machine, request.action, actor));
  const machines = all.filter((_, at) => blocks[at] === undefined);
  const [first] = blocks.filter((block) => block !== undefined);
  if (machines.length === 0) throw new Fault('OPERATOR_REFUSED', first ?? 'there is no machine');
  const permits = request.action === 'permit' ? permitWords(state, request.scope) : undefined;
  if (permits?.some === false) throw new Fault('OPERATOR_REFUSED', permits.conflicts[0] ?? '');
  const names = machines.map((machine) => state.site.machines[machine]?.id ?? '');
  await controller.record([
    { t: 'operator', atMs: clock.wallMs(), commandId, actor, request, machines: names },
  ]);
  controller.submit({ kind: 'operator', commandId, actor, request, machines });
  return { commandId };
}

/** What a person who sets pools is told. Throws where there is no such set. */
function poolWords({ site: { config } }: SiteState, { action, pools = '' }: OperatorRequest): string[] {
  if (action !== 'pools') return [];
  const set = Object.hasOwn(config.pools, pools) ? config.pools[pools] : undefined;
  if (set === undefined)
    throw new Fault('OPERATOR_REFUSED', thereIsNo('set of pools', pools, Object.keys(config.pools)));
  return [
    `mining starts anew on each, ${config.control.startsPer10S} per 10 s, at ${set.map(({ url }) => url).join(', then ')}`,
  ];
}

function previewOf(
  state: SiteState,
  request: OperatorRequest,
  machines: readonly number[],
  actor: string,
  now: Now,
  previewId: string,
): Preview {
  if (machines.length === 0)
    throw new Fault('OPERATOR_REFUSED', `the scope '${request.scope.join(', ')}' holds no machine`);
  const conflicts = [...poolWords(state, request)];
  const taken: string[] = [];
  let deltaW = 0;
  let usdPerHour = 0;
  const price = energyUsdPerMwh(state) ?? 0;
  const unable = new Set<string>();
  for (const machine of machines) {
    const id = state.site.machines[machine]?.id ?? '';
    const blocked = blockedBy(state, machine, request.action, actor);
    if (blocked !== undefined) {
      conflicts.push(`left out: ${blocked}`);
      continue;
    }
    taken.push(id);
    if (!isKnown(state, machine)) conflicts.push(`${id} does not answer`);
    const mode = requestedMode(state, machine, request.action);
    if (mode === undefined) {
      if (isHold(request.action)) unable.add(state.site.machines[machine]?.model.id ?? '');
      continue;
    }
    const changeW = drawW(state, machine, mode) - believedW(state, machine);
    deltaW += changeW;
    const before = state.wish[machine]?.mode === 'mine' ? miningUsdPerHour(state, machine) : 0;
    const after = mode === 'mine' ? miningUsdPerHour(state, machine) : 0;
    usdPerHour += after - before - (changeW / 1e6) * price;
  }
  for (const model of unable)
    conflicts.push(`${model} cannot '${request.action}'; those machines are left out`);
  if (request.action === 'permit') conflicts.push(...permitWords(state, request.scope).conflicts);
  const committed = committedW(state);
  const caps = capsW(state);
  if (deltaW > 0 && (committed[0] ?? 0) + deltaW > (caps[0] ?? Infinity))
    conflicts.push('there is no room for it under the site’s limit: it starts only as far as there is');
  const body = JSON.stringify({
    request,
    machines,
    actor,
    wishes: machines.map((machine) => state.wish[machine]?.mode),
  });
  return {
    previewId,
    hash: createHash('sha256').update(body).digest('hex').slice(0, 32),
    machines: taken,
    deltaKw: deltaW / 1_000,
    usdPerHour,
    conflicts: conflicts.slice(0, 20),
    expiresAtMs: now.wallMs + PREVIEW_MS,
  };
}

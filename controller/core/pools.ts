/** A person's order that machines take another set of pools: said to each once, so many at a time, and followed until each shows it. */
import type { Action, MachineResult, Result } from '../../protocols/mqtt/status.ts';
import { clearAlarm, raiseAlarm, setAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { ControllerEvent, LedgerRecord, Now } from './events.ts';
import { indexesOf } from './indexes.ts';
import { blockedBy, personOf } from './operator.ts';
import type { PoolOrder, PoolPart } from './pool-order.ts';
import type { SiteState } from './state.ts';

const ORDERS_KEPT = 20;
/** Of the machines of an interrupted order, so many are named. */
const MOST_NAMED = 8;
const WINDOW_MS = 10_000;
/** How long an agent may take to say what came of it, and how long until the machine shows it. */
const WORD_MS = 60_000;
const SHOWN_MS = 15 * 60_000;

/** Already durable: what was still to be said of an older order to the same machines is not said any more. */
export function takePools(
  state: SiteState,
  event: Extract<ControllerEvent, { kind: 'operator' }>,
  now: Now,
): Effect[] {
  const { machines } = event;
  for (const { parts, interrupted } of state.poolOrders)
    for (const machine of machines) {
      if (parts.get(machine)?.stage === 'waiting') parts.delete(machine);
      interrupted.delete(machine);
    }
  const waiting: PoolPart = { stage: 'waiting', sinceMonoMs: now.monoMs };
  state.poolOrders.push(newOrder(event, waiting, { atMs: now.wallMs, interrupted: [] }));
  // Before the oldest goes: the alarm of one that nobody waits for any more ends here.
  const effects = sayPools(state, now);
  // One under way is kept however many come after it: whom it names is told, or named in an alarm.
  const over = state.poolOrders.length > ORDERS_KEPT;
  const oldest = over ? state.poolOrders.findIndex((order) => !isOpen(order)) : -1;
  if (oldest >= 0) state.poolOrders.splice(oldest, 1);
  return effects;
}

const newOrder = (
  event: Pick<Extract<ControllerEvent, { kind: 'operator' }>, 'commandId' | 'actor' | 'request' | 'machines'>,
  part: PoolPart,
  { atMs, interrupted }: { readonly atMs: number; readonly interrupted: readonly number[] },
): PoolOrder => ({
  id: event.commandId,
  name: event.request.pools ?? '',
  actor: event.actor,
  text: `pools ${event.request.pools ?? ''} by ${personOf(event.actor)}: ${event.request.reason}`,
  atMs,
  parts: new Map(event.machines.map((machine) => [machine, part])),
  interrupted: new Set(interrupted),
});

const isOpen = ({ parts, interrupted }: PoolOrder): boolean =>
  interrupted.size > 0 ||
  [...parts.values()].some(
    ({ stage }) => stage === 'waiting' || stage === 'sent' || stage === 'acknowledged',
  );

/** Once a second: the next ones are told, since each begins mining anew; of whom nothing is heard is an alarm. */
export function sayPools(state: SiteState, now: Now): Effect[] {
  const parts = state.poolOrders.flatMap((order) => [...order.parts.values()]);
  const young = parts.filter(
    ({ stage, sinceMonoMs }) => stage !== 'waiting' && now.monoMs - sinceMonoMs < WINDOW_MS,
  );
  let room = state.site.config.control.startsPer10S - young.length;
  const effects: Effect[] = [];
  for (const order of state.poolOrders) {
    effects.push(...sayInterrupted(state, order, now));
    for (const [machine, part] of order.parts) {
      if (part.stage === 'waiting' && room > 0) {
        room -= 1;
        effects.push(...sayOne(state, order, machine, now));
      } else effects.push(...missed(state, order, { machine, part }, now));
    }
  }
  return effects;
}

/** An order that a restart of the controller interrupted stands as an alarm until each of its machines has confirmed. */
const sayInterrupted = (state: SiteState, { id, text, interrupted }: PoolOrder, now: Now): Effect[] =>
  setAlarm(state, now, interrupted.size > 0, 'POOLS_NOT_SET', id, () => {
    const ids = [...interrupted].map((machine) => state.site.machines[machine]?.id ?? '');
    const more = ids.length > MOST_NAMED ? ` and ${ids.length - MOST_NAMED} more` : '';
    const names = `${ids.slice(0, MOST_NAMED).join(', ')}${more}`;
    return `the controller started anew during '${text.slice(0, 120)}'; not confirmed by ${ids.length} machines: ${names}; given again, it leaves alone whoever shows these pools`;
  });

function sayOne(state: SiteState, order: PoolOrder, machine: number, now: Now): Effect[] {
  const site = state.site.machines[machine];
  if (site === undefined) return [];
  // Since it was ordered a lockout may have come.
  const block = blockedBy(state, machine, 'pools', order.actor);
  if (block !== undefined) return fail(state, order, { machine, why: block }, now);
  order.parts.set(machine, { stage: 'sent', sinceMonoMs: now.monoMs });
  const action: Action = {
    v: 1,
    site: state.site.id,
    id: actionId(order, site.id),
    epoch: state.epoch,
    machine: site.id,
    verb: 'pools',
    pools: order.name,
    expiresAtMs: now.wallMs + WORD_MS,
  };
  return [{ kind: 'action', agent: site.agent, action }];
}

const actionId = (order: PoolOrder, machine: string): string => `${order.id}-${machine}`;

/** It is said once: whether it arrived is not guessed at, and a person says it again. */
function missed(
  state: SiteState,
  order: PoolOrder,
  { machine, part }: { readonly machine: number; readonly part: PoolPart },
  now: Now,
): Effect[] {
  const ageMs = now.monoMs - part.sinceMonoMs;
  if (part.stage === 'sent' && ageMs > WORD_MS)
    return fail(state, order, { machine, why: 'its agent has not said what came of it' }, now);
  if (part.stage === 'acknowledged' && ageMs > SHOWN_MS)
    return fail(state, order, { machine, why: 'its agent has not said that it shows them' }, now);
  return [];
}

function fail(
  state: SiteState,
  order: PoolOrder,
  { machine, why }: { readonly machine: number; readonly why: string },
  now: Now,
): Effect[] {
  const id = state.site.machines[machine]?.id ?? '';
  const sinceMonoMs = order.parts.get(machine)?.sinceMonoMs ?? now.monoMs;
  order.parts.set(machine, { stage: 'failed', sinceMonoMs });
  order.interrupted.delete(machine);
  const text = `${id} is not known to mine at the pools '${order.name}': ${why}`;
  return [note(order, 'failed', [id], now), ...raiseAlarm(state, now, 'POOLS_NOT_SET', id, text, order.id)];
}

/** Written down, so that after a restart it is known of whom nothing is. */
const note = (
  { id: commandId }: PoolOrder,
  stage: 'observed' | 'failed',
  machines: readonly string[],
  now: Now,
): Effect => ({
  kind: 'ledger',
  records: [{ t: 'pools', atMs: now.wallMs, commandId, stage, machines }],
  after: [],
});

/** What an agent says of machines that were told. */
export function takePoolResults(state: SiteState, { results }: Result, now: Now): Effect[] {
  return results.flatMap((one) => (one.verb === 'pools' ? takeOne(state, one, now) : []));
}

function takeOne(state: SiteState, one: MachineResult, now: Now): Effect[] {
  const order = state.poolOrders.find((each) => actionId(each, one.machine) === one.commandId);
  const machine = indexesOf(state).machines.get(one.machine) ?? -1;
  const part = order?.parts.get(machine);
  if (order === undefined || part === undefined) return [];
  if (one.stage === 'failed' || one.stage === 'refused')
    return fail(state, order, { machine, why: `${one.why ?? ''} ${one.detail ?? ''}`.trim() }, now);
  if (one.stage === 'acknowledged' && part.stage !== 'sent') return [];
  order.parts.set(machine, { ...part, stage: one.stage });
  if (one.stage !== 'observed') return [];
  order.interrupted.delete(machine);
  return [
    ...(part.stage === 'observed' ? [] : [note(order, 'observed', [one.machine], now)]),
    ...clearAlarm(state, now, 'POOLS_NOT_SET', one.machine),
  ];
}

/**
 * Brings back from the ledger the orders that were under way: nobody is told again, since who was told is not known,
 * and what an agent still says of them is taken.
 */
export function recoverPools(state: SiteState, records: readonly LedgerRecord[]): void {
  const { machines } = indexesOf(state);
  const orders = new Map<string, PoolOrder>();
  // As if they had been told at the start: the first seconds after it bring no second portion.
  const { startedMonoMs: sinceMonoMs } = state;
  for (const record of records) {
    if (record.t === 'pools') {
      const order = orders.get(record.commandId);
      for (const id of record.machines) {
        const machine = machines.get(id) ?? -1;
        order?.parts.set(machine, { stage: record.stage, sinceMonoMs });
        order?.interrupted.delete(machine);
      }
    } else if (record.t === 'operator' && record.request.action === 'pools') {
      const { atMs } = record;
      const named = record.machines.flatMap((id) => machines.get(id) ?? []);
      for (const { interrupted } of orders.values()) for (const machine of named) interrupted.delete(machine);
      const told = { stage: 'failed', sinceMonoMs } as const;
      const order = newOrder({ ...record, machines: named }, told, { atMs, interrupted: named });
      orders.set(record.commandId, order);
    }
  }
  // Each names machines that no newer one does: there are no more of them than machines.
  state.poolOrders.push(...[...orders.values()].filter(({ interrupted }) => interrupted.size > 0));
}

import type {
  AgentView,
  AlarmView,
  CommandView,
  ConsoleView,
  MachineView,
  NodeView,
  SignalView,
  SiteView,
} from './view.ts';

/**
 * What changed in one list whose entries have unique ids. `set`: changed fields of an entry, or all of a new one.
 * `order` is present only when removing and appending does not give the new order by itself.
 */
export interface ListDelta<T> {
  readonly set?: readonly (readonly [id: string, fields: Partial<T>])[];
  readonly gone?: readonly string[];
  readonly order?: readonly string[];
}

/** What changed between two views; an absent part did not change. */
export interface ViewDelta {
  readonly site?: Partial<SiteView>;
  readonly nodes?: ListDelta<NodeView>;
  readonly machines?: ListDelta<MachineView>;
  readonly signals?: ListDelta<SignalView>;
  readonly commands?: ListDelta<CommandView>;
  readonly alarms?: ListDelta<AlarmView>;
  readonly agents?: ListDelta<AgentView>;
}

interface Entry {
  readonly id: string;
}

/** What turns `previous` into `next`; undefined when nothing changed. */
export function diffView(previous: ConsoleView, next: ConsoleView): ViewDelta | undefined {
  if (previous === next) return undefined;
  const site = changedFields(previous.site, next.site);
  const nodes = diffList(previous.nodes, next.nodes);
  const machines = diffList(previous.machines, next.machines);
  const signals = diffList(previous.signals, next.signals);
  const commands = diffList(previous.commands, next.commands);
  const alarms = diffList(previous.alarms, next.alarms);
  const agents = diffList(previous.agents, next.agents);
  const delta: ViewDelta = {
    ...(site && { site }),
    ...(nodes && { nodes }),
    ...(machines && { machines }),
    ...(signals && { signals }),
    ...(commands && { commands }),
    ...(alarms && { alarms }),
    ...(agents && { agents }),
  };
  return Object.keys(delta).length === 0 ? undefined : delta;
}

/** The view after a delta; parts that did not change stay the same objects. */
export function applyDelta(view: ConsoleView, delta: ViewDelta): ConsoleView {
  return {
    site: delta.site === undefined ? view.site : { ...view.site, ...delta.site },
    nodes: applyList(view.nodes, delta.nodes),
    machines: applyList(view.machines, delta.machines),
    signals: applyList(view.signals, delta.signals),
    commands: applyList(view.commands, delta.commands),
    alarms: applyList(view.alarms, delta.alarms),
    agents: applyList(view.agents, delta.agents),
  };
}

function changedFields<T extends object>(before: T, after: T): Partial<T> | undefined {
  if (before === after) return undefined;
  let changed: Partial<T> | undefined;
  for (const name of Object.keys(after) as (keyof T)[]) {
    if (Object.is(before[name], after[name])) continue;
    changed ??= {};
    changed[name] = after[name];
  }
  return changed;
}

function diffList<T extends Entry>(before: readonly T[], after: readonly T[]): ListDelta<T> | undefined {
  if (before === after) return undefined;
  const sameIds = before.length === after.length && before.every((entry, at) => entry.id === after[at]?.id);
  const set: (readonly [string, Partial<T>])[] = [];
  if (sameIds) {
    after.forEach((entry, at) => {
      const old = before[at];
      const fields = old && changedFields(old, entry);
      if (fields) set.push([entry.id, fields]);
    });
    return set.length === 0 ? undefined : { set };
  }
  const old = new Map(before.map((entry) => [entry.id, entry]));
  for (const entry of after) {
    const was = old.get(entry.id);
    const fields = was === undefined ? entry : changedFields(was, entry);
    if (fields) set.push([entry.id, fields]);
  }
  const kept = new Set(after.map((entry) => entry.id));
  const gone = before.filter((entry) => !kept.has(entry.id)).map((entry) => entry.id);
  const natural = [
    ...before.filter((entry) => kept.has(entry.id)),
    ...after.filter((entry) => !old.has(entry.id)),
  ];
  const inOrder = natural.every((entry, at) => entry.id === after[at]?.id);
  return {
    ...(set.length > 0 && { set }),
    ...(gone.length > 0 && { gone }),
    ...(!inOrder && { order: after.map((entry) => entry.id) }),
  };
}

function applyList<T extends Entry>(list: readonly T[], delta: ListDelta<T> | undefined): readonly T[] {
  if (delta === undefined) return list;
  const entries = new Map(list.map((entry) => [entry.id, entry]));
  for (const id of delta.gone ?? []) entries.delete(id);
  for (const [id, fields] of delta.set ?? []) {
    // A new entry comes whole, so that what is merged is always a whole entry.
    entries.set(id, { ...entries.get(id), ...fields } as T);
  }
  if (delta.order === undefined) return [...entries.values()];
  return delta.order.flatMap((id) => {
    const entry = entries.get(id);
    return entry === undefined ? [] : [entry];
  });
}

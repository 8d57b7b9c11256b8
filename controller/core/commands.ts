import { restMode } from './economics.ts';
import type { Effect } from './effects.ts';
import type { MachineChange, Now } from './events.ts';
import { beforeOf, follow, shownW, takeBack } from './follow.ts';
import type { Change, Release } from './release.ts';
import { modeAt } from './state.ts';
import type { SiteState } from './state.ts';
import type { Desired, Wanted } from '../../protocols/mqtt/desired.ts';
import type { Mode } from '../../protocols/reading.ts';

/** Turns released changes into a command: wishes, ledger lines, and desired states that go out once those are durable. */
export function issue(state: SiteState, released: Pick<Release, 'changes' | 'urgent'>, now: Now): Effect[] {
  const { changes, urgent } = released;
  if (changes.length === 0) return [];
  const moving = changes.filter((change) => change.deltaW !== 0);
  const first = moving[0] ?? changes[0];
  const because = first?.target.because;
  if (because === undefined) return [];
  state.commandCount++;
  const id = `c-${state.epoch}-${state.commandCount}`;
  const followed = moving.length === 0 ? undefined : follow(state, id, moving, now);
  const before = new Map(changes.map((change) => [change.machine, state.wish[change.machine]?.mode ?? null]));
  for (const change of changes) {
    state.wish[change.machine] = { mode: change.target.mode, because: change.target.because };
    // Taken over as it is, a machine goes on with what it began, and when.
    if (change.deltaW !== 0) state.wishMonoMs[change.machine] = now.monoMs;
    state.stage[change.machine] = change.deltaW === 0 ? 'steady' : 'sent';
    state.commandOf[change.machine] = id;
    const job = change.target.because.signalId;
    if (change.target.mode === 'ai' && job !== undefined)
      state.jobOf.set(change.machine, job.slice('ai-'.length));
    else state.jobOf.delete(change.machine);
  }
  const racks = [...new Set(changes.map((change) => state.site.machines[change.machine]?.rack ?? ''))];
  const effects: Effect[] = [];
  if (followed !== undefined)
    effects.push({ kind: 'ledger', records: [beforeOf(state, followed, now)], after: [] });
  effects.push(...racks.flatMap((rack) => publishRack(state, rack, id, changes, before, urgent, now)));
  for (const { machine } of changes)
    state.issuedGeneration[machine] = state.rackGeneration.get(state.site.machines[machine]?.rack ?? '') ?? 0;
  return effects;
}

/**
 * Wants at rest whoever is found there and should work, so that its start is decided and admitted like any other; and
 * nothing of whoever cannot be seen. Said to nobody yet.
 */
export function restWhereFound(state: SiteState, machines: Iterable<number>, text: string): number[] {
  const changed: number[] = [];
  for (const machine of machines) {
    const model = state.site.machines[machine]?.model;
    const wish = state.wish[machine];
    if (model === undefined || wish === undefined || wish.mode === restMode(model)) continue;
    const mode = modeAt(state.mode[machine] ?? -1);
    if (mode !== undefined && mode !== restMode(model) && mode !== 'sleep') continue;
    changed.push(machine);
    // What cannot be seen is left as it is, and taken over as it is found when it can be.
    if (mode === undefined) state.wish[machine] = undefined;
    if (mode === undefined) continue;
    state.wish[machine] = {
      mode: restMode(model),
      because: { owner: 'protection', rule: 'found-at-rest', text },
    };
    state.stage[machine] = 'steady';
  }
  if (changed.length === 0) return changed;
  const back = new Set(changed);
  for (const command of state.commands) takeBack(state, command, back);
  return changed;
}

/** Says again, as new generations, what is wanted of racks. */
export function sayAgain(state: SiteState, racks: Iterable<string>, text: string, now: Now): Effect[] {
  state.commandCount++;
  const id = `c-${state.epoch}-${state.commandCount}`;
  return [...racks].flatMap((rack): Effect[] => {
    const desired = desiredOf(state, rack, id, false, now);
    for (const machine of state.site.machines)
      if (machine.rack === rack) state.issuedGeneration[machine.index] = desired.generation;
    const { epoch, generation } = desired;
    const changes = state.site.machines.flatMap((machine): MachineChange[] => {
      const wish = state.wish[machine.index];
      if (machine.rack !== rack || wish === undefined) return [];
      return [
        {
          machine: machine.id,
          from: null,
          to: wish.mode,
          owner: wish.because.owner,
          rule: wish.because.rule,
        },
      ];
    });
    return [
      {
        kind: 'ledger',
        records: [
          {
            t: 'command',
            atMs: now.wallMs,
            commandId: id,
            epoch,
            generation,
            rack,
            expectedKw: 0,
            urgent: false,
            text,
            changes,
          },
        ],
        after: [{ kind: 'desired', desired }],
      },
    ];
  });
}

/** After a fail-safe nothing less than a fresh generation brings an agent's racks back; whoever rests is started anew. */
export function reissue(state: SiteState, agent: string, now: Now): Effect[] {
  const text = `agent ${agent} is back from its fail-safe`;
  const racks = state.site.racks.filter((rack) => rack.agent === agent && state.desired.has(rack.id));
  restWhereFound(
    state,
    racks.flatMap((rack) => rack.machines),
    text,
  );
  return sayAgain(
    state,
    racks.map((rack) => rack.id),
    text,
    now,
  );
}

/** One rack's part of a command: the ledger line first, the desired state once it is durable. */
function publishRack(
  state: SiteState,
  rack: string,
  commandId: string,
  changes: readonly Change[],
  before: ReadonlyMap<number, Mode | null>,
  urgent: boolean,
  now: Now,
): Effect[] {
  const mine = changes.filter((change) => state.site.machines[change.machine]?.rack === rack);
  const because = mine[0]?.target.because;
  if (because === undefined) return [];
  const desired = desiredOf(state, rack, commandId, urgent, now);
  const lines: MachineChange[] = mine.map((change) => ({
    machine: state.site.machines[change.machine]?.id ?? '',
    from: before.get(change.machine) ?? null,
    to: change.target.mode,
    owner: change.target.because.owner,
    rule: change.target.because.rule,
    ...learned(state, change),
  }));
  const moving = mine.filter((change) => change.deltaW !== 0);
  const shown = moving.reduce((sum, change) => sum + shownW(state, change), 0);
  const signal = because.signalId === undefined ? {} : { signalId: because.signalId };
  const machines = Object.fromEntries(lines.map((line) => [line.machine, line.to]));
  return [
    {
      kind: 'ledger',
      records: [
        {
          t: 'command',
          atMs: now.wallMs,
          commandId,
          epoch: desired.epoch,
          generation: desired.generation,
          ...signal,
          rack,
          expectedKw: mine.reduce((sum, change) => sum + change.deltaW, 0) / 1_000,
          ...(moving.length === 0 ? {} : { shownKw: Math.round(shown) / 1_000 }),
          urgent,
          text: because.text,
          changes: lines,
        },
      ],
      after: [
        { kind: 'desired', desired },
        {
          kind: 'report',
          event: {
            event: 'desired',
            commandId,
            ...signal,
            rack,
            epoch: desired.epoch,
            generation: desired.generation,
            machines,
            because: because.text,
          },
        },
      ],
    },
  ];
}

/** At work and at rest alike, what is known of a machine's draw goes into the ledger when it is moved. */
function learned(state: SiteState, change: Change): { workKw?: number } {
  const workW = state.workW[change.machine] ?? Number.NaN;
  return change.deltaW === 0 || Number.isNaN(workW) ? {} : { workKw: Math.round(workW) / 1_000 };
}

/** The rack's desired state as of now, as a new generation. */
function desiredOf(state: SiteState, rack: string, commandId: string, urgent: boolean, now: Now): Desired {
  state.generation++;
  const machines: Record<string, Wanted> = {};
  for (const machine of state.site.machines) {
    const wish = state.wish[machine.index];
    if (machine.rack === rack && wish !== undefined)
      machines[machine.id] = { mode: wish.mode, because: wish.because };
  }
  const desired: Desired = {
    v: 1,
    site: state.site.id,
    rack,
    epoch: state.epoch,
    generation: state.generation,
    commandId,
    issuedAtMs: now.wallMs,
    expiresAtMs: now.wallMs + state.site.config.lease.expiryS * 1_000,
    urgent,
    machines,
  };
  state.desired.set(rack, desired);
  state.rackGeneration.set(rack, desired.generation);
  return desired;
}

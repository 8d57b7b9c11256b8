/**
 * Faults put into the product itself, to see that the invariants notice them. A mutant is a change of the text of a
 * few modules while a thread of the harness imports them; it exists nowhere else.
 */
export interface Mutant {
  readonly name: string;
  readonly edits: readonly Edit[];
}

/** In `file`, `from` (which stands there exactly once) becomes `to`. */
interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'expiry ignored',
    edits: [
      {
        file: 'agent/goal.ts',
        from: 'expired: controller === undefined || controller >= doc.expiresAtMs,',
        to: 'expired: false,',
      },
    ],
  },
  {
    name: 'generation check removed',
    edits: [
      {
        file: 'agent/core/desired.ts',
        from: 'if (doc.epoch < at.highestEpoch) return',
        to: 'if (doc.epoch < 0) return',
      },
      {
        file: 'agent/core/desired.ts',
        from: 'if (order < 0) return',
        to: 'if (order === -Infinity) return',
      },
      {
        file: 'agent/core/desired.ts',
        from: 'if (order < 0 && at.nowMs',
        to: 'if (order === -Infinity && at.nowMs',
      },
      {
        file: 'agent/core/desired.ts',
        from: 'if (doc === undefined || doc.epoch !== epoch || doc.generation !== generation) return false;',
        to: 'if (doc === undefined) return false;',
      },
      {
        file: 'agent/core/lease.ts',
        from: 'return state.taken?.epoch === epoch && generationOf(state, rack) === generation && !state.lost.has(rack);',
        to: 'return state.taken !== undefined && !state.lost.has(rack);',
      },
    ],
  },
  {
    name: 'ack before fsync',
    edits: [
      {
        file: 'controller/writing.ts',
        from: 'const writing = this.#options.ledger.append(records);',
        to: 'const writing = (void this.#options.ledger.append(records).catch(() => undefined), Promise.resolve());',
      },
    ],
  },
  {
    name: 'unknown counted as zero',
    edits: [
      {
        file: 'controller/core/room.ts',
        from: 'isKnown(state, machine) || isOff(state, machine) ? 0 : (state.site.machines[machine]?.model.ratedW ?? 0),',
        to: 'isKnown(state, machine) || isOff(state, machine) ? 0 : 0,',
      },
      {
        file: 'controller/core/room.ts',
        from: 'const hidden = sumByNode(state, (machine) => {',
        to: 'const hidden = sumByNode(state, (machine) => {\n    if (machine >= 0) return 0;',
      },
      {
        file: 'agent/core/envelope.ts',
        from: 'if (machine.presentW === undefined) return Math.max(machine.ratedW, machine.reachingW ?? 0);',
        to: 'if (machine.presentW === undefined) return 0;',
      },
    ],
  },
  {
    name: 'unknown counted as rated when shedding',
    edits: [
      {
        file: 'controller/core/room.ts',
        from: 'export function shedResidualW(state: SiteState): Float64Array {',
        to: `export function shedResidualW(state: SiteState): Float64Array {
  const unknown = unknownRatedW(state);
  return shedResidualBefore(state).map((watts, node) => watts + (unknown[node] ?? 0));
}
function shedResidualBefore(state: SiteState): Float64Array {`,
      },
    ],
  },
  {
    name: 'ramp ignored',
    edits: [
      {
        file: 'protocols/ramp.ts',
        from: 'kwPerMin === undefined ? Infinity : kwPerMin / 60;',
        to: 'kwPerMin === undefined || kwPerMin > 0 ? Infinity : 0;',
      },
    ],
  },
  {
    name: 'committed draw ignored',
    edits: [
      {
        file: 'controller/core/room.ts',
        from: 'return wish === undefined ? now : Math.max(now, drawW(state, machine, wish.mode));',
        to: 'return wish === undefined ? now : now;',
      },
      {
        file: 'controller/core/target.ts',
        from: 'const addW = drawW(state, index, mode) - drawW(state, index, rest);',
        to: 'const addW = (wish === mode ? believedW(state, index) : drawW(state, index, mode)) - drawW(state, index, rest);',
      },
      {
        file: 'agent/core/envelope.ts',
        from: 'return Math.max(machine.presentW, machine.reachingW ?? 0);',
        to: 'return machine.presentW;',
      },
    ],
  },
  {
    name: 'restore forgets the previous settings',
    edits: [
      {
        file: 'agent/settings-book.ts',
        from: "return argument ?? (typeof kept === 'number' ? kept : undefined);",
        to: "return typeof kept === 'string' ? undefined : argument;",
      },
      {
        file: 'agent/settings-book.ts',
        from: "machine.restoreLimitW = typeof before === 'number' ? before : undefined;",
        to: "machine.restoreLimitW = typeof before === 'string' ? 0 : undefined;",
      },
      {
        file: 'agent/drivers/antminer.ts',
        from: 'wakeMode ?? this.#mineMode',
        to: 'wakeMode ?? WORK_MODE.normal',
      },
    ],
  },
  {
    name: 'spool trimmed on PUBACK',
    edits: [
      {
        file: 'agent/spool.ts',
        from: "this.#publish('frame', this.#live.next(table).payload);",
        to: "this.#publish('frame', this.#live.next(table).payload, undefined, lane, table.seq);",
      },
      {
        file: 'agent/spool.ts',
        from: 'this.#publish(kind, payload);',
        to: 'this.#publish(kind, payload, undefined, lane, seq);',
      },
      {
        file: 'agent/spool.ts',
        from: "this.#publish('backlog', this.#segmentOf(lane, chunk, records), lane);",
        to: "this.#publish('backlog', this.#segmentOf(lane, chunk, records), lane, lane, chunk.to);",
      },
      {
        file: 'agent/spool.ts',
        from: 'payload: Uint8Array, lane?: Lane): void {',
        to: 'payload: Uint8Array, lane?: Lane, of?: Lane, seq = -1): void {',
      },
      {
        file: 'agent/spool.ts',
        from: 'if (lane !== undefined) lane.movedMs = clock.monoMs();',
        // Nothing that still waits to go out is taken for said.
        to: `if (lane !== undefined) lane.movedMs = clock.monoMs();
        if (of !== undefined && (of === lane || of.chunks.every((one) => one.state !== 'waiting')))
          for (const chunk of this.#lanes.store(of, seq, clock.monoMs())) this.#files.remove(chunk);`,
      },
    ],
  },
  {
    name: 'guard removed',
    edits: [
      {
        file: 'agent/safety.ts',
        from: 'if (guard === undefined) return;',
        to: 'if (guard === undefined || guard.capW > 0) return;',
      },
    ],
  },
  {
    name: 'lockout ignored',
    edits: [
      {
        file: 'controller/core/target.ts',
        from: 'const locks = state.lockouts.get(index);',
        to: 'const locks = undefined as ReturnType<typeof state.lockouts.get>;',
      },
      {
        file: 'agent/lockouts.ts',
        from: 'machine.lockout = { words: lockWords(id, locks), owed };',
        to: 'machine.lockout = undefined;',
      },
    ],
  },
  {
    name: 'protection ignored',
    edits: [
      {
        file: 'agent/core/permissive.ts',
        from: 'if (!permitted && !(rule.autoRelease &&',
        to: 'if (!permitted && rule.releaseMs < 0 && !(rule.autoRelease &&',
      },
    ],
  },
];

/** The text of a module as a mutant has it. Throws when the mutant does not fit the module any more. */
export function mutate(mutant: Mutant, file: string, text: string): string {
  let changed = text;
  for (const edit of mutant.edits) {
    if (edit.file !== file) continue;
    if (text.split(edit.from).length !== 2)
      throw new Error(`mutant '${mutant.name}': ${file} does not hold once: ${edit.from}`);
    changed = changed.replace(edit.from, () => edit.to);
  }
  return changed;
}

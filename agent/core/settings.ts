/** What is known of one device's settings, and what a curtailment of ours has overwritten. Pure data, kept on disk. */
export interface KeptSettings {
  /** The newest value of every setting, also of those that cannot be read in the present mode. */
  readonly known: Values;
  /** Settings that we have overwritten, as they were before: what is restored. */
  readonly before: Values;
  /** Our newest write, until a reading has shown what became of it. */
  readonly wrote?: Wrote | undefined;
  /** What a verb has taken away for its own time, as it was: until a reading shows it so again. */
  readonly lent?: Values | undefined;
}

type Values = Readonly<Record<string, string | number>>;

interface Wrote {
  readonly verb: string;
  /** What it was to set; empty: no setting. Of pools '' stands for a place without one. */
  readonly sets: Values;
}

interface Lent {
  readonly name: string;
  readonly value: string | number;
}

/** A setting that changed and not by our wish. `foreign`: nobody here was writing; `disturbed`: it came with our write. */
export interface SettingChange {
  readonly kind: 'foreign' | 'disturbed';
  readonly name: string;
  readonly from: string | number;
  readonly to: string | number;
}

/** Firmware rounds a limit it is given. */
const ROUNDING = 0.03;

export const NOTHING_KEPT: KeptSettings = { known: {}, before: {} };

/**
 * A reading that began after our newest write. A foreign value is adopted: it is the one to restore from now on. What
 * a write disturbed is adopted too, since putting it right is a person's work; only the setting that a write was to
 * set keeps the value it shall have until it shows it.
 */
export function seeSettings(
  kept: KeptSettings,
  seen: Values,
): { readonly kept: KeptSettings; readonly changes: readonly SettingChange[] } {
  const { wrote } = kept;
  const sets = wrote?.sets ?? {};
  const shown = withEmptyPools(seen, { ...kept.known, ...sets });
  const knewPools = Object.keys(kept.known).some(isPool);
  const changes: SettingChange[] = [];
  const known: Record<string, string | number> = { ...kept.known };
  const before: Record<string, string | number> = { ...kept.before };
  let isOpen = Object.keys(sets).some((name) => shown[name] === undefined);
  const lent = owedStill(kept.lent, shown);
  for (const [name, to] of Object.entries(shown)) {
    // It comes back, and is no news while it is away.
    if (lent?.[name] !== undefined) continue;
    const from = known[name] ?? (knewPools && isPool(name) ? '' : undefined);
    const value = sets[name];
    if (value !== undefined) {
      if (isWritten(to, value)) {
        known[name] = to;
        // The value of before is back.
        if (to === before[name]) delete before[name];
        continue;
      }
      isOpen = true;
      // Not carried out yet, or never.
      if (to === from && to !== value) continue;
      changes.push({ kind: 'disturbed', name, from: value, to });
      continue;
    }
    known[name] = to;
    if (from === undefined || from === to) continue;
    const kind = wrote === undefined ? 'foreign' : 'disturbed';
    changes.push({ kind, name, from, to });
    if (kind === 'foreign' && before[name] !== undefined) before[name] = to;
  }
  return { kept: { known, before, ...(isOpen && { wrote }), ...(lent && { lent }) }, changes };
}

function owedStill(lent: Values = {}, seen: Values): Values | undefined {
  const owed = Object.entries(lent).filter(([name, value]) => seen[name] !== value);
  return owed.length === 0 ? undefined : Object.fromEntries(owed);
}

const isPool = (name: string): boolean => name.startsWith('pool.');

/** Where pools are told at all, a place that is known and not among them is empty. */
function withEmptyPools(seen: Values, expected: Values): Values {
  if (!Object.keys(seen).some(isPool)) return seen;
  const gone = Object.keys(expected).filter((name) => isPool(name) && seen[name] === undefined);
  return { ...seen, ...Object.fromEntries(gone.map((name) => [name, ''])) };
}

const isWritten = (seen: string | number, value: string | number): boolean =>
  seen === value ||
  (typeof seen === 'number' &&
    typeof value === 'number' &&
    value > 100 &&
    Math.abs(seen - value) <= value * ROUNDING);

/**
 * As it must be on disk before a write goes out that sets `sets`. What is set only until something is over is restored
 * then: of a write that `stays` nothing is. `lends`: what the verb takes away meanwhile, where it has this value.
 */
export function beforeWrite(
  kept: KeptSettings,
  verb: string,
  sets: Values,
  { stays = false, lends }: { readonly stays?: boolean; readonly lends?: Lent | undefined } = {},
): KeptSettings {
  const { known, before, wrote } = kept;
  const names = Object.keys(sets);
  const isLent = lends !== undefined && known[lends.name] === lends.value;
  const lent = isLent ? { ...kept.lent, [lends.name]: lends.value } : kept.lent;
  // One that sets nothing comes on top of one that does and has not shown its effect yet.
  if (names.length === 0)
    return {
      known,
      before,
      wrote: wrote && Object.keys(wrote.sets).length > 0 ? wrote : { verb, sets },
      ...(lent && { lent }),
    };
  const overwritten = names.flatMap((name): [string, string | number][] => {
    const present = known[name];
    return stays || before[name] !== undefined || present === undefined || present === sets[name]
      ? []
      : [[name, present]];
  });
  return {
    known,
    before: { ...before, ...Object.fromEntries(overwritten) },
    wrote: { verb, sets },
    ...(lent && { lent }),
  };
}

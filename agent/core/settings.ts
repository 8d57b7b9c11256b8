/** What is known of one device's settings, and what a curtailment of ours has overwritten. Pure data, kept on disk. */
export interface KeptSettings {
  /** The newest value of every setting, also of those that cannot be read in the present mode. */
  readonly known: Values;
  /** Settings that we have overwritten, as they were before: what is restored. */
  readonly before: Values;
  /** Our newest write, until a reading has shown what became of it; without `name` it was to change no setting. */
  readonly wrote?: Wrote | undefined;
}

type Values = Readonly<Record<string, string | number>>;

interface Wrote {
  readonly verb: string;
  readonly name?: string | undefined;
  readonly value?: number | undefined;
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
  const changes: SettingChange[] = [];
  const known: Record<string, string | number> = { ...kept.known };
  const before: Record<string, string | number> = { ...kept.before };
  let isOpen = wrote?.name !== undefined && seen[wrote.name] === undefined;
  for (const [name, to] of Object.entries(seen)) {
    const from = known[name];
    if (wrote?.name === name && wrote.value !== undefined) {
      if (isWritten(to, wrote.value)) {
        known[name] = to;
        // The value of before is back.
        if (to === before[name]) delete before[name];
        continue;
      }
      isOpen = true;
      // Not carried out yet, or never.
      if (to === from && to !== wrote.value) continue;
      changes.push({ kind: 'disturbed', name, from: wrote.value, to });
      continue;
    }
    known[name] = to;
    if (from === undefined || from === to) continue;
    const kind = wrote === undefined ? 'foreign' : 'disturbed';
    changes.push({ kind, name, from, to });
    if (kind === 'foreign' && before[name] !== undefined) before[name] = to;
  }
  return { kept: isOpen ? { known, before, wrote } : { known, before }, changes };
}

const isWritten = (seen: string | number, value: number): boolean =>
  seen === value || (typeof seen === 'number' && value > 100 && Math.abs(seen - value) <= value * ROUNDING);

/** As it must be on disk before a write goes out that sets `name` to `value`. Without a name it sets nothing. */
export function beforeWrite(
  kept: KeptSettings,
  verb: string,
  name: string | undefined,
  value: number | undefined,
): KeptSettings {
  const { known, before, wrote } = kept;
  // One that sets nothing comes on top of one that does and has not shown its effect yet.
  if (name === undefined || value === undefined)
    return { known, before, wrote: wrote?.name === undefined ? { verb } : wrote };
  const present = known[name];
  const isFirst = before[name] === undefined && present !== undefined && present !== value;
  return { known, before: isFirst ? { ...before, [name]: present } : before, wrote: { verb, name, value } };
}

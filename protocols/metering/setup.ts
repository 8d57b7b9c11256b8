import { numberOf } from '../reading.ts';
import type { Readings } from '../reading.ts';

/** What a meter is and how it is set, as it says itself; what it does not say is absent. Plain data, kept on disk. */
export interface MeterSetup {
  readonly serial?: string | undefined;
  readonly model?: string | undefined;
  readonly firmware?: string | undefined;
  readonly parameters: Readonly<Record<string, number>>;
}

/** What the site file states of it. */
export interface DeclaredSetup {
  readonly serial?: string | undefined;
  readonly ctPrimaryA?: number | undefined;
  readonly ptRatio?: number | undefined;
}

/** One thing that is another than it was (`was`), or than the site file says (`declared`). */
export interface SetupChange {
  readonly name: string;
  readonly against: 'was' | 'declared';
  readonly expected: string | number;
  readonly now: string | number;
}

/** How a meter's setup is judged: what has to be told once, and what makes its power doubtful. */
export interface SetupVerdict {
  /** What to keep as known from now on. */
  readonly known: MeterSetup;
  readonly told: readonly SetupChange[];
  readonly doubts: readonly SetupChange[];
}

const TEXTS = ['serial', 'model', 'firmware'] as const;
/** Of the ratios of its transformers every watt is a multiple. */
const isRatio = (name: string): boolean => /^(ct|pt|vt)[A-Z]/.test(name);

/** What is in the readings of everything; undefined where they hold nothing of it. */
export function setupIn(readings: Readings): MeterSetup | undefined {
  const texts: Partial<Record<(typeof TEXTS)[number], string>> = {};
  for (const name of TEXTS) {
    const reading = readings[`meter.${name}`];
    if (reading?.ok) texts[name] = String(reading.value);
  }
  const parameters: Record<string, number> = {};
  for (const [q, reading] of Object.entries(readings)) {
    const value = q.startsWith('parameter.') ? numberOf(reading) : undefined;
    if (value !== undefined) parameters[q.slice('parameter.'.length)] = value;
  }
  const isEmpty = Object.keys(texts).length + Object.keys(parameters).length === 0;
  return isEmpty ? undefined : { ...texts, parameters };
}

/**
 * The rule: a serial number or a ratio that is another than before makes the power doubtful until it is again what it
 * was, or the site file states the new one; against what the site file states it always is. What is known stays as it
 * was until then. Another model, firmware or resolution is told: the driver follows those by itself.
 */
export function judgeSetup(
  before: MeterSetup | undefined,
  now: MeterSetup,
  declared: DeclaredSetup = {},
): SetupVerdict {
  const told: SetupChange[] = [];
  const doubts: SetupChange[] = [];
  const judge = <T extends string | number>(
    name: string,
    was: T | undefined,
    is: T | undefined,
    stated: T | undefined,
  ): T | undefined => {
    if (is === undefined) return was;
    const weighs = name === 'serial' || isRatio(name);
    if (stated !== undefined && stated !== is)
      doubts.push({ name, against: 'declared', expected: stated, now: is });
    if (was === undefined || was === is) return is;
    const change: SetupChange = { name, against: 'was', expected: was, now: is };
    if (stated === undefined && weighs) {
      doubts.push(change);
      return was;
    }
    told.push(change);
    return is;
  };
  const texts: Partial<Record<(typeof TEXTS)[number], string | undefined>> = {};
  for (const name of TEXTS)
    texts[name] = judge(name, before?.[name], now[name], name === 'serial' ? declared.serial : undefined);
  const parameters: Record<string, number> = {};
  const stated = new Map<string, number | undefined>([
    ['ctPrimaryA', declared.ctPrimaryA],
    ['ptRatio', declared.ptRatio],
  ]);
  for (const name of new Set([...Object.keys(before?.parameters ?? {}), ...Object.keys(now.parameters)])) {
    const value = judge(name, before?.parameters[name], now.parameters[name], stated.get(name));
    if (value !== undefined) parameters[name] = value;
  }
  return { known: { ...texts, parameters }, told, doubts };
}

/**
 * A person agrees with what a setup has become: what is known from then on, and the values by name. Undefined when the
 * site file states another one: it stands.
 */
export function agreeSetup(
  known: MeterSetup,
  doubts: readonly SetupChange[],
): { readonly known: MeterSetup; readonly values: Readonly<Record<string, string | number>> } | undefined {
  if (doubts.some(({ against }) => against === 'declared')) return undefined;
  const values = Object.fromEntries(doubts.map(({ name, now }) => [name, now]));
  const { serial, ...ratios } = values;
  const numbers = Object.entries(ratios).filter(
    (entry): entry is [string, number] => typeof entry[1] === 'number',
  );
  return {
    known: {
      ...known,
      serial: serial === undefined ? known.serial : String(serial),
      parameters: { ...known.parameters, ...Object.fromEntries(numbers) },
    },
    values,
  };
}

/** One change in words. */
export const changeText = ({ name, against, expected, now }: SetupChange): string =>
  against === 'was'
    ? `${name} is now ${now}, it was ${expected}`
    : `${name} is ${now} in the meter, ${expected} in the site file`;

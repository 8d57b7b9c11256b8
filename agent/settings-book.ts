import * as z from 'zod';
import type { Pool } from '../config/pools.ts';
import type { Clock } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import { recordOf } from '../protocols/records.ts';
import type { Alarms } from './alarms.ts';
import { beforeWrite, NOTHING_KEPT, seeSettings } from './core/settings.ts';
import type { KeptSettings } from './core/settings.ts';
import type { Step } from './core/reconcile.ts';
import type { BeforeWrite, Settings } from './driver.ts';
import type { Keeper } from './kept.ts';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';
import { poolsWritten } from './pools.ts';

const values = recordOf(
  64,
  (value): value is string | number =>
    typeof value === 'string' ? value.length <= 400 : Number.isFinite(value),
  'settings',
);
const fileSchema = z.record(
  z.string().max(128),
  z.strictObject({
    known: values,
    before: values,
    wrote: z.strictObject({ verb: z.string(), sets: values }).optional(),
    lent: values.optional(),
  }),
);

/** Changes that no command waits for go to the disk together, at most this often. */
const LAZY_MS = 5_000;
/** What protects does not wait longer than this for a disk. */
const URGENT_MS = 500;

export interface SettingsBookOptions {
  readonly plant: Plant;
  readonly clock: Clock;
  readonly keeper: Keeper;
  readonly alarms: Alarms;
}

/** The settings of all machines as they were before we touched them, on disk before a write goes out. */
export interface SettingsBook {
  /** What a verb's argument shall be: at a wake the setting of before the sleep. */
  argument(machine: Machine, step: Extract<Step, { kind: 'verb' }>): number | undefined;
  /** What a verb calls before it writes. */
  before(machine: Machine, step: Extract<Step, { kind: 'verb' }>): BeforeWrite;
  /** As `before`, for setting its pools, which stay. */
  beforePools(machine: Machine, pools: readonly Pool[]): BeforeWrite;
  /** A verb has ended, well or not: readings that begin from now on show what became of it. */
  ended(machine: Machine): void;
  /** After a reading. */
  notice(machine: Machine): void;
  stop(): void;
}

class Book implements SettingsBook {
  readonly #options: SettingsBookOptions;
  readonly #file;
  readonly #kept = new Map<string, KeptSettings>();
  /** Monotonic ms: only what was read after it counts. */
  readonly #sinceMs = new Map<string, number>();
  #known = false;
  #dirty = false;
  #lazy: (() => void) | undefined;

  constructor(options: SettingsBookOptions) {
    this.#options = options;
    this.#file = options.keeper.open('settings', fileSchema, (found) => {
      this.#known = true;
      for (const machine of options.plant.machines) {
        const { id } = machine.config;
        const kept = found?.[id];
        if (kept !== undefined) this.#set(machine, kept);
        if (kept?.lent !== undefined) machine.device.settings?.lends?.owe();
      }
      this.#dirty = false;
    });
  }

  argument(machine: Machine, { verb, argument }: Extract<Step, { kind: 'verb' }>): number | undefined {
    const name = machine.device.settings?.setBy[verb];
    const kept = name === undefined ? undefined : this.#kept.get(machine.config.id)?.known[name];
    return argument ?? (typeof kept === 'number' ? kept : undefined);
  }

  before(machine: Machine, step: Extract<Step, { kind: 'verb' }>): BeforeWrite {
    const isUrgent = step.goal.owner !== 'desired' || step.goal.urgent;
    const { verb } = step;
    const name = machine.device.settings?.setBy[verb];
    const argument = this.argument(machine, step);
    const sets = name === undefined || argument === undefined ? {} : { [name]: argument };
    const lends = machine.device.settings?.lends;
    return this.#noted(machine, isUrgent, (kept) =>
      beforeWrite(kept, verb, sets, { lends: lends?.verb === verb ? lends : undefined }),
    );
  }

  beforePools(machine: Machine, pools: readonly Pool[]): BeforeWrite {
    return this.#noted(machine, false, (kept, settings) =>
      beforeWrite(kept, 'pools', poolsWritten(pools, settings), { stays: true }),
    );
  }

  /** What is found before a write, and then `after` of it, is on the disk when it resolves. */
  #noted(
    machine: Machine,
    isUrgent: boolean,
    after: (kept: KeptSettings, settings: Settings) => KeptSettings,
  ): BeforeWrite {
    return async (settings) => {
      if (!this.#known && !isUrgent)
        throw new Fault('DISK_FAILED', 'the settings of before cannot be read from the disk');
      this.#see(machine, settings);
      this.#set(machine, after(this.#kept.get(machine.config.id) ?? NOTHING_KEPT, settings));
      // A write that sets nothing loses nothing when all that is known is on the disk.
      if (!this.#dirty) return;
      await (isUrgent ? this.#atMost(this.#keep()) : this.#keep());
    };
  }

  ended(machine: Machine): void {
    this.#sinceMs.set(machine.config.id, this.#options.clock.monoMs());
  }

  notice(machine: Machine): void {
    const { id } = machine.config;
    const newest = machine.device.settings?.newest();
    if (newest === undefined || machine.inFlight || !this.#known) return;
    if (newest.beganMs < (this.#sinceMs.get(id) ?? Number.NEGATIVE_INFINITY)) return;
    // Each reading once.
    this.#sinceMs.set(id, newest.beganMs + 1);
    this.#see(machine, newest.settings);
    if (this.#dirty)
      this.#lazy ??= this.#options.clock.after(LAZY_MS, () => {
        this.#lazy = undefined;
        // It is in the alarm, and tried again.
        if (this.#dirty) this.#keep().catch(() => undefined);
      });
  }

  stop(): void {
    this.#lazy?.();
    this.#file.stop();
  }

  #see(machine: Machine, settings: Settings): void {
    const { id } = machine.config;
    const present = this.#kept.get(id) ?? NOTHING_KEPT;
    const { kept, changes } = seeSettings(present, settings);
    if (JSON.stringify(kept) !== JSON.stringify(present)) this.#set(machine, kept);
    for (const { kind, name, from, to } of changes) {
      const isSecret = name.endsWith('.pass');
      const what = isSecret
        ? `${name} has changed`
        : `${name} was ${from === '' ? 'empty' : from}, is ${to === '' ? 'empty' : to}`;
      if (kind === 'foreign') this.#options.alarms.tell('FOREIGN_WRITER', id, what);
      else
        this.#options.alarms.tell(
          'SETTING_DISTURBED',
          id,
          `${what}, after ${present.wrote?.verb ?? 'a write'}`,
        );
    }
  }

  #set(machine: Machine, kept: KeptSettings): void {
    this.#kept.set(machine.config.id, kept);
    const limit = machine.device.settings?.setBy['power-limit'];
    const before = limit === undefined ? undefined : kept.before[limit];
    machine.restoreLimitW = typeof before === 'number' ? before : undefined;
    this.#dirty = true;
  }

  #keep(): Promise<void> {
    this.#dirty = false;
    return this.#file.keep(Object.fromEntries(this.#kept)).catch((error: unknown) => {
      this.#dirty = true;
      throw error;
    });
  }

  /** Protection goes on when the disk does not: what was read is in memory, and kept when the disk is well again. */
  #atMost(kept: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(URGENT_MS, resolve);
      kept
        .catch(() => undefined)
        .then(() => {
          cancel();
          resolve();
        })
        .catch(() => undefined);
    });
  }
}

export const makeSettingsBook = (options: SettingsBookOptions): SettingsBook => new Book(options);

import * as z from 'zod';
import { locksByMachine, locksOf, locksSchema, lockWords, mergeLocks } from '../protocols/mqtt/lockouts.ts';
import type { Lock } from '../protocols/mqtt/lockouts.ts';
import type { Alarms } from './alarms.ts';
import type { Control } from './control.ts';
import { restMode, satisfies } from './core/draw.ts';
import type { Keeper } from './kept.ts';
import type { Machine } from './machine.ts';
import type { Obedience } from './obedience.ts';
import type { Plant } from './plant.ts';

/** Lockouts, and the machines that have not been put to rest for theirs yet. */
const fileSchema = z.strictObject({ locks: locksSchema, owed: z.array(z.string()) });

export interface LockoutsOptions {
  readonly plant: Plant;
  readonly keeper: Keeper;
  readonly alarms: Alarms;
  readonly control: Pick<Control, 'look' | 'pump'>;
  readonly obedience: Pick<Obedience, 'trust'>;
  /** Says which lockouts are on the disk. */
  readonly say: (locks: readonly Lock[]) => void;
}

/**
 * What people have taken out of automation's hands, released to manual or locked out. Hands in the rack: which machines nobody may touch, by whose word. Obeyed from the moment they are heard, on disk as
 * soon as it takes them, and from there on without the controller. They end by their own release alone.
 */
export interface Lockouts {
  /** False until the disk has been read: nothing may be started before that. */
  readonly known: boolean;
  take(locks: readonly Lock[]): void;
  /** Says again what is held; after every reconnect. */
  say(): void;
  /** Once a second: rests that were owed and are done, machines at work under a lockout. */
  tick(): void;
  stop(): void;
}

class Holder implements Lockouts {
  known = false;
  readonly #options: LockoutsOptions;
  readonly #kept;
  readonly #locked = new Set<Machine>();
  readonly #awake = new Set<Machine>();
  #locks: readonly Lock[] = [];
  /** What the disk has. */
  #durable: readonly Lock[] = [];
  /** Machines still to be put to rest for their lockout, once. */
  readonly #owed = new Set<string>();
  #dirty = false;

  constructor(options: LockoutsOptions) {
    this.#options = options;
    this.#kept = options.keeper.open('lockouts', fileSchema, (found) => this.#found(found));
  }

  take(locks: readonly Lock[]): void {
    const { plant } = this.#options;
    const merged = mergeLocks(
      this.#locks,
      locksOf(locks, (machine) => plant.byId.has(machine)),
    );
    if (merged === this.#locks) return;
    this.#locks = merged;
    // Before the disk is read nobody knows who was put to rest for it already.
    this.#apply(() => this.known);
    this.#store();
  }

  say(): void {
    // Also when there is none: a lockout that the disk has lost must be given again.
    if (this.known) this.#options.say(this.#durable);
  }

  tick(): void {
    for (const machine of this.#locked) {
      if (machine.lockout?.owed === false && this.#owed.delete(machine.config.id)) this.#dirty = true;
      this.#watch(machine);
    }
    if (this.#dirty) this.#store();
  }

  stop(): void {
    this.#kept.stop();
  }

  #found(found: z.infer<typeof fileSchema> | undefined): void {
    const { plant } = this.#options;
    this.known = true;
    const kept = locksOf(found?.locks ?? [], (machine) => plant.byId.has(machine));
    const before = locksByMachine(kept);
    const owed = new Set(found?.owed);
    this.#durable = kept;
    this.#locks = mergeLocks(kept, this.#locks);
    this.#apply((machine) => owed.has(machine) || !before.has(machine), true);
    this.say();
    if (this.#locks !== kept) this.#store();
  }

  /**
   * Makes the machines what the lockouts say. `owes`: whether one that was not locked before is to be put to rest;
   * at the `first` time, with the disk just read, all are asked about.
   */
  #apply(owes: (machine: string) => boolean, first = false): void {
    const { plant, control, obedience } = this.#options;
    const byMachine = locksByMachine(this.#locks);
    for (const machine of this.#locked) {
      if (byMachine.has(machine.config.id)) continue;
      machine.lockout = undefined;
      obedience.trust(machine, 'its lockout is released: a person has looked after it');
      this.#locked.delete(machine);
      this.#owed.delete(machine.config.id);
      this.#watch(machine);
      control.look(machine);
    }
    const released = locksByMachine(this.#locks, 'manual');
    for (const machine of plant.machines) {
      const isManual = released.has(machine.config.id);
      if (isManual === machine.manual) continue;
      machine.manual = isManual;
      if (!isManual) obedience.trust(machine, 'a person has given it back to automation');
      control.look(machine);
    }
    for (const [id, locks] of byMachine) {
      const machine = plant.byId.get(id);
      if (machine === undefined) continue;
      const isNew = !this.#locked.has(machine);
      const owed = machine.lockout?.owed === true || ((first || isNew) && owes(id));
      // A rest that was refused before, under another lockout too, is not the one that this one owes.
      if (owed && isNew && machine.attempt?.stage === 'failed') machine.attempt = undefined;
      machine.lockout = { words: lockWords(id, locks), owed };
      if (owed) this.#owed.add(id);
      this.#locked.add(machine);
      control.look(machine);
    }
    control.pump();
  }

  #store(): void {
    // Written before it was read, the file would lose what it holds.
    if (!this.known) return;
    const locks = this.#locks;
    this.#dirty = false;
    this.#kept.keep({ locks: [...locks], owed: [...this.#owed] }).then(
      () => {
        if (this.#durable === locks) return;
        this.#durable = locks;
        this.#options.say(locks);
      },
      // The alarm is raised; the next tick asks anew, and so hears when it is durable.
      () => (this.#dirty = true),
    );
  }

  #watch(machine: Machine): void {
    const { alarms } = this.#options;
    const { id, model } = machine.config;
    const { attempt, lockout, mode } = machine;
    if (lockout !== undefined && mode === undefined) return;
    const isSaid = this.#awake.has(machine);
    // Said from the first rest given in vain on, also while it is tried again.
    const hadItsChance = lockout?.owed === false || attempt?.stage === 'failed' || isSaid;
    const isAwake =
      lockout !== undefined && hadItsChance && mode !== undefined && !satisfies(model, restMode(model), mode);
    if (isAwake === isSaid) return;
    if (isAwake) {
      this.#awake.add(machine);
      alarms.raise('LOCKOUT_AWAKE', id, `shows ${mode}; ${lockout.words}`);
    } else {
      this.#awake.delete(machine);
      alarms.clear('LOCKOUT_AWAKE', id, lockout === undefined ? 'the lockout is released' : 'it rests');
    }
  }
}

export const makeLockouts = (options: LockoutsOptions): Lockouts => new Holder(options);

import * as z from 'zod';
import type { Clock } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import type { Status } from '../protocols/mqtt/status.ts';
import type { Identity } from '../protocols/reading.ts';
import type { VerbFacts } from '../protocols/verb-facts.ts';
import type { Alarms } from './alarms.ts';
import { settleMs } from './core/draw.ts';
import { isInPlaceOfRest } from './core/escalate.ts';
import { noteTime, patienceMs } from './core/patience.ts';
import type { KindOfVerb, LearnedTimes } from './core/patience.ts';
import type { Attempt } from './core/reconcile.ts';
import type { Keeper } from './kept.ts';
import { canRest, COMMAND_POLL_MS } from './machine.ts';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';

/** A machine is asked for its name this long at most. */
const IDENTIFY_MS = 5_000;
/** Machines that wait to be asked, one after the other; who comes later is asked at its next command. */
const MOST_ASKED = 10_000;
/** What was learned goes to the disk together, at most this often. */
const KEEP_MS = 60_000;

const timesSchema = z.record(z.string().max(600), z.array(z.number().nonnegative()).max(100));
/** By machine, why it is on the list. */
const quarantineSchema = z.record(z.string().max(128), z.string().max(300));

/** Whether machines do what they are told: how long they take as a rule, and who does not. */
export interface Obedience {
  /** How long the machine's last command may take to show, ms. */
  patienceMs(machine: Machine): number;
  /** A reading has shown what it was told. */
  observed(machine: Machine, attempt: Attempt): void;
  /** It was told in every way there is, and does not: it goes on the quarantine list. */
  ignored(machine: Machine, attempt: Attempt): void;
  /** A person has looked after it, or a command to it was observed: it leaves the list. */
  trust(machine: Machine, why: string): void;
  status(): Pick<Status, 'quarantined' | 'unable'>;
  stop(): void;
}

export interface ObedienceOptions {
  readonly plant: Plant;
  readonly clock: Clock;
  readonly keeper: Keeper;
  readonly alarms: Alarms;
}

/** The facts of the verb of an attempt; undefined for what is no verb of its device. */
function factsOf({ device }: Machine, verb: string): VerbFacts | undefined {
  const entry = Object.entries(device.verbs).find(([name]) => name === verb);
  return entry?.[1].facts;
}

/** What its model's file says, or for a limit its driver: after this a command counts as ignored, ms. */
function declaredMs(machine: Machine, { verb, mode }: Attempt, facts: VerbFacts | undefined): number {
  const { model } = machine.config;
  const own = settleMs(model, mode, COMMAND_POLL_MS);
  if (verb !== 'power-limit' && verb !== 'cap') return own;
  const limitS = model.limitS ?? facts?.readBackS ?? facts?.effectS?.atMost;
  return limitS === undefined ? own : limitS * 1_000 + 2 * COMMAND_POLL_MS;
}

class Watch implements Obedience {
  readonly #options: ObedienceOptions;
  readonly #times: LearnedTimes = new Map();
  readonly #timesFile;
  readonly #listFile;
  #listKnown = false;
  #timesKnown = false;
  #keeping: (() => void) | undefined;
  /** Who each machine said it is, and since when it had answered then: after a loss it may be another. */
  readonly #identities = new Map<Machine, { readonly identity: Identity; readonly sinceMs: number }>();
  #queue: Promise<void> = Promise.resolve();
  #queued = 0;
  #stopped = false;

  constructor(options: ObedienceOptions) {
    this.#options = options;
    const { keeper, plant } = options;
    this.#timesFile = keeper.openSpare('times', timesSchema, (found) => {
      this.#timesKnown = true;
      const sooner = [...this.#times];
      this.#times.clear();
      for (const [kind, samples] of [...Object.entries(found ?? {}), ...sooner])
        this.#times.set(kind, samples);
    });
    this.#listFile = keeper.openSpare('quarantine', quarantineSchema, (found) => {
      this.#listKnown = true;
      for (const [id, words] of Object.entries(found ?? {})) {
        const machine = plant.byId.get(id);
        if (machine !== undefined && machine.quarantine === undefined) this.#enter(machine, words);
      }
    });
  }

  patienceMs(machine: Machine): number {
    const { attempt } = machine;
    if (attempt === undefined) return 0;
    const facts = factsOf(machine, attempt.verb);
    return patienceMs(this.#times, this.#kindOf(machine, attempt.verb), declaredMs(machine, attempt, facts), {
      pollMs: COMMAND_POLL_MS,
      restartsMining: facts?.restartsMining ?? false,
    });
  }

  observed(machine: Machine, attempt: Attempt): void {
    const { verb, firstMs } = attempt;
    this.trust(machine, `${verb} was observed`);
    // How long a rest takes is not learned of what was given in its place.
    if (firstMs === undefined || isInPlaceOfRest(attempt) || factsOf(machine, verb) === undefined) return;
    const ms = Math.max(0, machine.beganMs - firstMs);
    this.#asked(machine, () => {
      const kind = this.#kindOf(machine, verb);
      if (kind === undefined) return;
      noteTime(this.#times, kind, ms);
      this.#keepSoon();
    });
  }

  ignored(machine: Machine, attempt: Attempt): void {
    if (machine.config.model.kind !== 'asic' || machine.quarantine !== undefined) return;
    // A limit given in its place is named with what it stands for.
    const verb = isInPlaceOfRest(attempt) ? `${attempt.mode} and ${attempt.verb}` : attempt.verb;
    machine.quarantine = verb;
    this.#asked(machine, () => {
      if (machine.quarantine !== verb) return;
      const { vendor, model, firmware } = this.#identityOf(machine) ?? {
        vendor: machine.config.model.vendor,
        model: machine.config.model.id,
        firmware: '',
      };
      const version = firmware === '' ? 'firmware unknown' : `firmware ${firmware}`;
      const words = `${vendor} ${model}, ${version}, ignores ${verb}: it counts as not controllable`;
      this.#enter(machine, words.slice(0, 300));
      this.#keepList();
    });
  }

  trust(machine: Machine, why: string): void {
    if (machine.quarantine === undefined) return;
    machine.quarantine = undefined;
    this.#options.alarms.clear('QUARANTINED', machine.config.id, why);
    this.#keepList();
  }

  status(): Pick<Status, 'quarantined' | 'unable'> {
    const { machines } = this.#options.plant;
    const list = (which: (machine: Machine) => boolean): string[] =>
      machines.filter(which).map(({ config }) => config.id);
    const quarantined = list(({ quarantine }) => quarantine !== undefined);
    const unable = list((machine) => !canRest(machine));
    return { ...(quarantined.length > 0 && { quarantined }), ...(unable.length > 0 && { unable }) };
  }

  stop(): void {
    this.#stopped = true;
    this.#keeping?.();
    this.#timesFile.stop();
    this.#listFile.stop();
  }

  #enter(machine: Machine, words: string): void {
    machine.quarantine = words;
    this.#options.alarms.raise('QUARANTINED', machine.config.id, words);
  }

  #identityOf(machine: Machine): Identity | undefined {
    const known = this.#identities.get(machine);
    return known?.sinceMs === machine.answersSinceMs ? known.identity : undefined;
  }

  #kindOf(machine: Machine, verb: string): KindOfVerb | undefined {
    const firmware = this.#identityOf(machine)?.firmware;
    return firmware === undefined ? undefined : { model: machine.config.model.id, firmware, verb };
  }

  /** Calls back when the machine was asked who it is, whatever came of it: one machine after the other. */
  #asked(machine: Machine, then: () => void): void {
    if (this.#identityOf(machine) !== undefined || this.#queued >= MOST_ASKED) return then();
    this.#queued += 1;
    this.#queue = this.#queue.then(async () => {
      await this.#ask(machine);
      this.#queued -= 1;
      if (!this.#stopped) then();
    });
  }

  async #ask(machine: Machine): Promise<void> {
    if (this.#stopped || !machine.reachable || this.#identityOf(machine) !== undefined) return;
    const sinceMs = machine.answersSinceMs;
    try {
      const identity = await atMost(this.#options.clock, machine.device.identify(IDENTIFY_MS));
      this.#identities.set(machine, { identity, sinceMs });
    } catch {
      // Who it is stays unknown: nothing is learned of it, and the alarm says so.
    }
  }

  #keepSoon(): void {
    this.#keeping ??= this.#options.clock.after(KEEP_MS, () => {
      this.#keeping = undefined;
      // Written before it was read, the file would lose what it holds.
      if (!this.#timesKnown) return this.#keepSoon();
      // It is in the alarm, and tried again with the next one learned.
      this.#timesFile.keep(Object.fromEntries(this.#times)).catch(() => undefined);
    });
  }

  #keepList(): void {
    if (!this.#listKnown) return;
    const list = this.#options.plant.machines.flatMap(({ config, quarantine }) =>
      quarantine === undefined ? [] : [[config.id, quarantine] as const],
    );
    this.#listFile.keep(Object.fromEntries(list)).catch(() => undefined);
  }
}

/** A device that does not end in its own time ends here. */
function atMost<T>(clock: Clock, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(2 * IDENTIFY_MS, () => reject(new Fault('NET_TIMEOUT', 'who it is')));
    work.finally(cancel).then(resolve, reject);
  });
}

export const makeObedience = (options: ObedienceOptions): Obedience => new Watch(options);

import * as z from 'zod';
import type { Clock } from '../host/deps.ts';
import type { Status } from '../protocols/mqtt/status.ts';
import type { VerbFacts } from '../protocols/verb-facts.ts';
import type { AgentAlarms } from './alarms.ts';
import { settleMs } from './core/draw.ts';
import { isInPlaceOfRest } from './core/escalate.ts';
import { noteTime, patienceMs } from './core/patience.ts';
import type { KindOfVerb, LearnedTimes } from './core/patience.ts';
import { quarantineAlarms, quarantineWords } from './core/quarantine.ts';
import type { Attempt } from './core/reconcile.ts';
import { makeIdentities } from './identities.ts';
import type { Identities } from './identities.ts';
import type { Keeper } from './kept.ts';
import { canRest, COMMAND_POLL_MS } from './machine.ts';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';

/** What was learned goes to the disk together, at most this often. */
const KEEP_MS = 60_000;
/** Who comes to the list within this is told together. */
const GATHER_MS = 3_000;

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
  readonly alarms: AgentAlarms;
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
  #telling: (() => void) | undefined;
  /** Subjects of the alarms that stand. */
  #told: ReadonlySet<string> = new Set();
  /** Of each machine on the list, once it was asked who it is, why: in the order in which they came. */
  readonly #words = new Map<string, string>();
  readonly #identities: Identities;
  /** Since when a machine was not to be asked again who it is: its command, or what it left unanswered. */
  readonly #askedFor = new Map<Machine, number>();

  constructor(options: ObedienceOptions) {
    this.#options = options;
    const { keeper, plant } = options;
    this.#identities = makeIdentities(options.clock);
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
    this.#askOnce(machine, attempt);
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
    this.#identities.ask(machine, () => {
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
    this.#identities.ask(machine, () => {
      if (machine.quarantine !== verb) return;
      const { vendor, model, firmware } = this.#identities.of(machine) ?? {
        vendor: machine.config.model.vendor,
        model: machine.config.model.id,
        firmware: '',
      };
      const version = firmware === '' ? 'firmware unknown' : `firmware ${firmware}`;
      this.#enter(machine, quarantineWords(`${vendor} ${model}`, version, verb));
      this.#keepList();
    });
  }

  trust(machine: Machine, why: string): void {
    if (machine.quarantine === undefined) return;
    machine.quarantine = undefined;
    // What it ignored then is no answer to what is wanted of it now: it is told anew.
    if (machine.attempt?.stage !== 'observed') machine.attempt = undefined;
    this.#words.delete(machine.config.id);
    this.#options.alarms.clear('QUARANTINED', machine.config.id, why);
    this.#tellSoon();
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
    this.#identities.stop();
    this.#keeping?.();
    this.#telling?.();
    this.#timesFile.stop();
    this.#listFile.stop();
  }

  #enter(machine: Machine, words: string): void {
    machine.quarantine = words;
    this.#words.set(machine.config.id, words);
    this.#tellSoon();
  }

  #tellSoon(): void {
    this.#telling ??= this.#options.clock.after(GATHER_MS, () => {
      this.#telling = undefined;
      this.#tell();
    });
  }

  #tell(): void {
    const { alarms } = this.#options;
    const wanted = quarantineAlarms(this.#words, this.#told);
    const subjects = new Set(wanted.map(({ subject }) => subject));
    for (const subject of this.#told)
      if (!subjects.has(subject))
        alarms.clear(
          'QUARANTINED',
          subject,
          this.#words.has(subject)
            ? 'told together with others of its kind'
            : 'none of them is left on the list',
        );
    for (const { subject, text } of wanted) alarms.restate('QUARANTINED', subject, text);
    this.#told = subjects;
  }

  /** How long its firmware takes goes by its name: asked once for each command, in time for the answer to serve it. */
  #askOnce(machine: Machine, { dispatchedMs }: Attempt): void {
    const sinceMs = Math.max(dispatchedMs, machine.missedMs);
    if (this.#askedFor.get(machine) === sinceMs) return;
    this.#askedFor.set(machine, sinceMs);
    this.#identities.ask(machine, () => undefined);
  }

  #kindOf(machine: Machine, verb: string): KindOfVerb | undefined {
    const firmware = this.#identities.of(machine)?.firmware;
    return firmware === undefined ? undefined : { model: machine.config.model.id, firmware, verb };
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

export const makeObedience = (options: ObedienceOptions): Obedience => new Watch(options);

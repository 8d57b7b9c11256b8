import type { Clock, Log } from '../host/deps.ts';
import type { DiskRoom } from '../host/disk-room.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import { priorityOf } from './core/alarms.ts';
import type { Effect } from './core/effects.ts';
import type { LedgerRecord } from './core/events.ts';
import type { Ledger } from './ledger.ts';

type LedgerEffect = Pick<Extract<Effect, { kind: 'ledger' }>, 'records' | 'after'>;

/** What is to be written down, and done once it is. */
interface Line extends LedgerEffect {
  readonly sinceMonoMs: number;
}

/** Lines that commands are, or that stand before them. */
const COMMANDS: ReadonlySet<LedgerRecord['t']> = new Set(['before', 'notice', 'command']);
const isCommand = ({ records }: LedgerEffect): boolean => records.some(({ t }) => COMMANDS.has(t));

/** Of all lines, alarms alone can come in any number: the console shows them all the same. */
const isAlarm = ({ records }: LedgerEffect): boolean => records.every(({ t }) => t === 'alarm');
/** What waits when the disk has hardly any room. */
const yields = ({ records }: LedgerEffect): boolean =>
  records.every((record) => record.t === 'alarm' && priorityOf(record.code) !== 'high');

/** What could not be written down is tried again after this. */
const AGAIN_MS = 1_000;
/** Records that may wait for the disk, and as many for room on it; then alarms are let go, and nothing else ever is. */
const MOST_UNWRITTEN = 4_000;
/** Records that are written together at most: a log that is given more than it holds takes some and refuses the rest. */
const MOST_TOGETHER = 1_000;

export interface WritingOptions {
  readonly ledger: Pick<Ledger, 'append' | 'reserve'>;
  readonly clock: Pick<Clock, 'monoMs' | 'after'>;
  readonly log: Pick<Log, 'error'>;
  readonly carryOut: (effects: readonly Effect[]) => void;
  /** Alarms of the ledger itself. */
  readonly raise: (code: FaultCode, text: string) => readonly Effect[];
  readonly clear: (code: FaultCode) => readonly Effect[];
}

/** Writes down what is decided, in order, each line until it stands; what follows from a line is carried out after that. */
export class Writing {
  /** How much room the disk has. */
  room: DiskRoom = 'ample';
  readonly #options: WritingOptions;
  /** Per rack, the newest generation whose ledger line is durable. */
  readonly #written = new Map<string, number>();
  /** Whether every ledger line so far became durable. */
  #durable: Promise<boolean> = Promise.resolve(true);
  /** Why lines could not be written; each is an alarm until all are. */
  readonly #troubles = new Set<FaultCode>();
  /** What is not written down yet, in the order it is written in. */
  readonly #unwritten: Line[] = [];
  /** How many records those are: energy comes in lines of many. */
  #waiting = 0;
  /** What gives way to all others until there is room. */
  readonly #yielding: LedgerEffect[] = [];
  #writing = false;
  /** Takes back the next attempt, while the last one has failed. */
  #again: (() => void) | undefined;
  /** Lines that found no room among those that wait. */
  #dropped = 0;
  /** Settles with the next attempt to write them. */
  #attempt: PromiseWithResolvers<void> | undefined;
  #stopped = false;

  constructor(options: WritingOptions) {
    this.#options = options;
  }

  /** Nothing goes out any more. Of what has waited for room some is written now, unless that room is the reserve. */
  stop(): void {
    this.#stopped = true;
    if (this.#options.ledger.reserve.short) return;
    const records = this.#yielding.slice(0, MOST_TOGETHER).flatMap((line) => line.records);
    // Nobody is left to be told that these could not be written.
    this.#options.ledger.append(records).catch(() => undefined);
  }

  /** Of a rack, the newest generation whose line is durable; 0: none. */
  generation(rack: string): number {
    return this.#written.get(rack) ?? 0;
  }

  /**
   * Whether every line that waited for the disk when this was asked became durable. Those that wait for room are not
   * waited for: that may last for weeks, and an agent that is not answered for so long has no room left to tell more.
   */
  durable(): Promise<boolean> {
    // Between two attempts nothing is being written, and yet something is not.
    const waits = this.#unwritten.length > 0 && this.#attempt === undefined && !this.#writing;
    return waits ? Promise.resolve(false) : this.#durable;
  }

  /** So much waits for the disk that no message is taken whose lines would have to wait too. */
  isFull(): boolean {
    return this.#waiting >= MOST_UNWRITTEN;
  }

  /** What a person says stands behind what was there before it, or is refused. */
  async record(records: readonly LedgerRecord[]): Promise<void> {
    if (!(await this.durable()))
      throw new Fault('DISK_FAILED', 'the ledger cannot be written; what was decided before waits for it');
    await this.#options.ledger.append(records);
  }

  /** Looks whether there is room for what has given way; called once a second. */
  look(): void {
    if (this.#yielding.length === 0 || this.#isTight()) return;
    for (const line of this.#yielding.splice(0)) this.#queue(line);
  }

  /** The disk is as good as full, or the ledger lives on the room it holds for commands. */
  #isTight(): boolean {
    return this.room === 'full' || this.#options.ledger.reserve.short;
  }

  /** Since when commands wait to be written down, when that is longer than a disk takes. */
  unwritten(): { unwrittenSinceMonoMs?: number } {
    const sinceMonoMs = this.#unwritten.find(isCommand)?.sinceMonoMs;
    const waits = sinceMonoMs !== undefined && this.#options.clock.monoMs() - sinceMonoMs >= AGAIN_MS;
    return waits ? { unwrittenSinceMonoMs: sinceMonoMs } : {};
  }

  /**
   * Not durable means not done: a command goes out behind its own line and all that were decided before it, and a
   * message is acknowledged behind the lines it led to.
   */
  write(line: LedgerEffect): void {
    // One behind another: no alarm ends before it began.
    const gives = yields(line) && (this.#isTight() || this.#yielding.length > 0);
    const hasRoom = gives ? this.#yielding.length < MOST_UNWRITTEN : !this.isFull() || !isAlarm(line);
    if (!hasRoom) this.#drop(line.records.length);
    else if (gives) this.#yielding.push(line);
    else this.#queue(line);
  }

  #queue(line: LedgerEffect): void {
    this.#unwritten.push({ ...line, sinceMonoMs: this.#options.clock.monoMs() });
    this.#waiting += line.records.length;
    // Between two attempts only a command is worth one of its own.
    if (this.#attempt !== undefined || (this.#again !== undefined && !isCommand(line))) return;
    this.#begin();
    // What is decided in one step is written together.
    void Promise.resolve().then(() => this.#writeLines());
  }

  #begin(): PromiseWithResolvers<void> {
    this.#attempt = Promise.withResolvers();
    this.#wait(this.#attempt.promise);
    return this.#attempt;
  }

  #drop(lines: number): void {
    this.#dropped += lines;
    this.#troubles.add('QUEUE_FULL');
    const text = `${this.#dropped} lines found no room among ${this.#waiting + this.#yielding.length} that wait for the ledger and are not written`;
    const told = this.#options.raise('QUEUE_FULL', text);
    this.#options.carryOut(told.filter((effect) => effect.kind === 'report'));
  }

  async #writeLines(): Promise<void> {
    if (this.#writing || this.#unwritten.length === 0) return;
    this.#again?.();
    this.#again = undefined;
    const attempt = this.#attempt ?? this.#begin();
    this.#attempt = undefined;
    // Who waits for it is told that nothing was written, rather than nothing at all.
    if (this.#stopped) return attempt.reject(new Fault('DISK_FAILED', 'the controller has stopped'));
    this.#writing = true;
    const isWritten = await this.#writeAll(this.#unwritten.length);
    this.#writing = false;
    if (!isWritten) {
      attempt.reject(new Fault('DISK_FAILED', 'lines wait for the ledger'));
      this.#again = this.#options.clock.after(AGAIN_MS, () => {
        this.#again = undefined;
        void this.#writeLines();
      });
      return;
    }
    attempt.resolve();
    this.#endTroubles();
    await this.#writeLines();
  }

  /** Writes the first `left` of what waits; false when one could not be written: it and all behind it wait on. */
  async #writeAll(left: number): Promise<boolean> {
    if (left === 0) return true;
    const lines = this.#together(left);
    const records = lines.flatMap((line) => line.records);
    if (!(await this.#isWritten(records))) return false;
    this.#unwritten.splice(0, lines.length);
    this.#waiting -= records.length;
    for (const record of records)
      if (record.t === 'command') this.#written.set(record.rack, record.generation);
    for (const { after } of lines) this.#options.carryOut(after);
    return this.#writeAll(left - lines.length);
  }

  /** The first of what waits, `most` lines at most, as far as they are written together; one at least. */
  #together(most: number): readonly Line[] {
    let records = 0;
    const end = this.#unwritten.findIndex((line, place) => {
      records += line.records.length;
      return place >= most || (place > 0 && records > MOST_TOGETHER);
    });
    return this.#unwritten.slice(0, end < 0 ? most : end);
  }

  /** All that waited for the disk stands. */
  #endTroubles(): void {
    // Those that have given way wait on, and there is still no room for more of them.
    const isOver = this.#yielding.length === 0;
    const troubles = [...this.#troubles].filter((code) => isOver || code !== 'QUEUE_FULL');
    if (isOver) this.#dropped = 0;
    for (const code of troubles) {
      this.#troubles.delete(code);
      this.#options.carryOut(this.#options.clear(code));
    }
  }

  /** True once these lines are durable; false when they could not be written, which is an alarm until some can. */
  async #isWritten(records: readonly LedgerRecord[]): Promise<boolean> {
    const writing = this.#options.ledger.append(records);
    this.#wait(writing);
    try {
      await writing;
    } catch (error) {
      const fault = asFault(error, 'DISK_FAILED');
      this.#options.log.error({ code: fault.code, detail: fault.detail }, 'ledger-write-failed');
      this.#troubles.add(fault.code);
      this.#options.carryOut(this.#options.raise(fault.code, fault.detail));
      return false;
    }
    return !this.#stopped;
  }

  /** Counts what is being written among what `durable` waits for. */
  #wait(writing: Promise<void>): void {
    const durable = Promise.all([this.#durable, writing]).then(
      ([before]) => before,
      () => false,
    );
    this.#durable = durable;
    // What failed once must not be held against what comes after it.
    void durable.then(() => {
      if (this.#durable === durable) this.#durable = Promise.resolve(true);
    });
  }
}

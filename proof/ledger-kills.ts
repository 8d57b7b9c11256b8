import type { Site } from '../config/site.ts';
import type { LedgerRecord } from '../controller/core/events.ts';
import { lastEpoch, recover } from '../controller/core/recover.ts';
import { emptyState } from '../controller/core/state.ts';
import { openLedger } from '../controller/ledger.ts';
import type { Disk, Random } from '../host/deps.ts';
import { MemoryDisk } from '../host/memory-disk.ts';
import { seededRandom } from '../host/random.ts';
import { VirtualClock } from './virtual-clock.ts';

/** What so many kills came to. */
export interface KillSummary {
  readonly kills: number;
  /** DR events, lockouts and commands whose writing had been acknowledged before a kill. */
  readonly acknowledged: number;
  /** Of those, how many the ledger did not hold afterwards, in their order. */
  readonly lost: number;
  /** Restarts after which the limit in force, a lockout or the epoch was not the one that had been acknowledged. */
  readonly forgotten: number;
  /** Kills that struck while something was being written. */
  readonly midWrite: number;
}

const PATH = '/ledger.log';
/** Kills on one disk before it is replaced: every restart goes on in the file that the crash before it left. */
/** Used up and taken anew within a life. */
const RESERVE_BYTES = 2_000;
const KILLS_PER_DISK = 10;
const MOST_RECORDS = 12;

/**
 * Kills the writer of a ledger again and again, at random places of its work: between any two steps of the simulated
 * disk, by loss of power or of the process alone. After each kill the ledger is opened as at every start, and what
 * was acknowledged must be there and in force. `through`: what stands between the writer and the disk.
 */
export async function killLedger(
  site: Site,
  kills: number,
  seed: number,
  through: (disk: Disk) => Disk = (disk) => disk,
): Promise<KillSummary> {
  const sum = { kills: 0, acknowledged: 0, lost: 0, forgotten: 0, midWrite: 0 };
  for (let disk = 0; sum.kills < kills; disk += 1) {
    const random = seededRandom(seed * 1_000_000 + disk);
    const trial = new Trial(site, random, through);
    for (let kill = 0; kill < KILLS_PER_DISK && sum.kills < kills; kill += 1) {
      const came = await trial.life();
      sum.kills += 1;
      sum.acknowledged += came.acknowledged;
      sum.lost += came.lost;
      sum.forgotten += came.forgotten ? 1 : 0;
      sum.midWrite += came.midWrite ? 1 : 0;
      if (came.unreadable) break;
    }
  }
  return sum;
}

/** What one life and the start after it came to. */
interface Came {
  readonly acknowledged: number;
  readonly lost: number;
  readonly forgotten: boolean;
  readonly midWrite: boolean;
  readonly unreadable: boolean;
}

/** One disk and all that was ever acknowledged on it. */
class Trial {
  readonly #site: Site;
  readonly #random: Random;
  readonly #clock = new VirtualClock({ startWallMs: 0 });
  readonly #disk: MemoryDisk;
  readonly #through: Disk;
  /** Acknowledged and not known to be lost, in order of writing. */
  #kept: string[] = [];
  #count = 0;

  constructor(site: Site, random: Random, through: (disk: Disk) => Disk) {
    this.#site = site;
    this.#random = random;
    this.#disk = new MemoryDisk({ clock: this.#clock, syncMs: () => 0.5 + 5 * random.next() });
    this.#through = through(this.#disk);
  }

  /** From a start to a kill, and what the next start finds. */
  async life(): Promise<Came> {
    const opening = openLedger(this.#through, PATH, RESERVE_BYTES);
    await this.#clock.advance(50);
    const { ledger, records } = await opening;
    let asked = 0;
    const written: { readonly place: number; readonly text: string }[] = [];
    const write = (record: LedgerRecord): void => {
      const place = asked++;
      void ledger.append([record]).then(
        () => written.push({ place, text: JSON.stringify(record) }),
        () => undefined,
      );
    };
    write({
      t: 'start',
      schema: 1,
      atMs: this.#clock.wallMs(),
      site: this.#site.id,
      epoch: lastEpoch(records) + 1,
    });
    const most = 1 + Math.floor(this.#random.next() * MOST_RECORDS);
    const next = (): void => {
      if (asked > most) return;
      write(this.#record());
      this.#clock.after(this.#random.next() * 4, next);
    };
    next();
    let dead = false;
    const timers = 1 + Math.floor(this.#random.next() * 3 * most);
    const turns = Math.floor(this.#random.next() * 20);
    const died = new Promise<void>((resolve) => {
      this.#clock.afterTimers(timers, () => void settle(turns).then(resolve));
      // When there is nothing left to be in the middle of.
      this.#clock.after(200, resolve);
    }).then(() => {
      if (dead) return;
      dead = true;
      this.#disk.crash(this.#random.next() < 0.7 ? 'power' : 'process', this.#random);
    });
    await this.#clock.advance(200);
    await died;
    written.sort((a, b) => a.place - b.place);
    this.#kept.push(...written.map(({ text }) => text));
    return { acknowledged: written.length, midWrite: written.length < asked, ...(await this.#check()) };
  }

  async #check(): Promise<Pick<Came, 'lost' | 'forgotten' | 'unreadable'>> {
    const opening = openLedger(this.#disk, PATH, RESERVE_BYTES).catch(() => undefined);
    await this.#clock.advance(50);
    const opened = await opening;
    // Then nothing is left of it, and no controller starts.
    if (opened === undefined) return { lost: this.#kept.length, forgotten: true, unreadable: true };
    const { ledger, records } = opened;
    const texts = records.map((record) => JSON.stringify(record));
    let from = 0;
    const found = this.#kept.filter((text) => {
      const at = texts.indexOf(text, from);
      if (at >= 0) from = at + 1;
      return at >= 0;
    });
    const lost = this.#kept.length - found.length;
    const forgotten = !this.#inForce(records);
    // What came through unacknowledged is in the ledger for good, and binds from now on.
    this.#kept = texts;
    await Promise.all([ledger.close(), this.#clock.advance(50)]);
    return { lost, forgotten, unreadable: false };
  }

  /** What the controller would go on with is what the last acknowledged lines say. */
  #inForce(records: readonly LedgerRecord[]): boolean {
    const state = emptyState(this.#site, lastEpoch(records) + 1, 0);
    recover(state, records, this.#clock.wallMs());
    const kept = this.#kept.map((text) => JSON.parse(text) as LedgerRecord);
    const places = new Map(this.#site.machines.map(({ id, index }) => [id, index]));
    const locked = kept.flatMap((record) => (record.t === 'operator' ? record.machines : []));
    const epoch = Math.max(0, ...kept.flatMap((record) => (record.t === 'start' ? [record.epoch] : [])));
    const signals = records.flatMap((record) => (record.t === 'signal' ? [record] : []));
    const last = kept.findLast((record) => record.t === 'signal');
    return (
      lastEpoch(records) >= epoch &&
      locked.every((id) => state.lockouts.has(places.get(id) ?? -1)) &&
      // A later one that was written and not yet acknowledged may stand already.
      state.fromLedger.limit?.signalId === signals.at(-1)?.signalId &&
      (last === undefined || signals.some((one) => one.t === 'signal' && one.signalId === last.signalId))
    );
  }

  #record(): LedgerRecord {
    const atMs = this.#clock.wallMs();
    const id = `${++this.#count}`;
    const draw = this.#random.next();
    if (draw < 0.6)
      return {
        t: 'signal',
        atMs,
        signalId: `dr-${id}`,
        kind: 'contracted',
        source: 'utility',
        limitKw: 100 + Math.floor(900 * this.#random.next()),
        deadlineMs: 30_000,
      };
    const machine = this.#site.machines[Math.floor(this.#random.next() * this.#site.machines.length)];
    if (draw < 0.7)
      return {
        t: 'operator',
        atMs,
        commandId: `op-${id}`,
        actor: 'admin@1',
        request: { scope: [machine?.id ?? ''], action: 'lockout', reason: 'hands in the rack' },
        machines: [machine?.id ?? ''],
      };
    return {
      t: 'command',
      atMs,
      commandId: `c-${id}`,
      epoch: 1,
      generation: this.#count,
      rack: machine?.rack ?? '',
      expectedKw: -3,
      urgent: false,
      text: 'x'.repeat(Math.floor(200 * this.#random.next())),
      changes: [],
    };
  }
}

async function settle(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
}

import * as z from 'zod';
import type { Site, SiteMeter } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import { pardonWhat } from '../protocols/metering/finding.ts';
import { keptMeterSchema, meterPrint, pardonText } from '../protocols/metering/kept-meter.ts';
import type { KeptMeter } from '../protocols/metering/kept-meter.ts';
import type { Alarms } from './alarms.ts';
import type { Keeper, Kept } from './kept.ts';
import type { Plant } from './plant.ts';

const METERS_MAX = 10_000;
const fileSchema = z
  .record(z.string().max(128), keptMeterSchema)
  .refine((meters) => Object.keys(meters).length <= METERS_MAX);
/** A disk that does not answer for so long does not keep meters from being used. */
const PATIENCE_MS = 10_000;

type Noted = Omit<KeptMeter, 'as'>;

/** What stands against the agent's meters, and what people have said to it, on its disk: a restart forgets none of it. */
export interface MeterMemory {
  /** False until the disk has been read: whatever is said till then may be of a meter that must not be believed. */
  readonly isReady: boolean;
  /** Called once for each meter of which something was kept (its place in `Plant.meters`); the reason why some of it cannot stand. */
  onRead(take: (index: number, kept: Noted) => string | undefined): void;
  /** What is known of a meter from now on; what is undefined is nothing any more. */
  note(index: number, parts: Noted): void;
  /** Writes what has changed; resolves when that is durable. Rejects (DISK_FAILED) also while the disk has not been read. */
  flush(): Promise<void>;
  stop(): void;
}

interface MeterMemoryOptions {
  readonly site: Site;
  readonly plant: Plant;
  readonly clock: Pick<Clock, 'monoMs'>;
  readonly alarms: Pick<Alarms, 'raise' | 'clear' | 'tell'>;
  readonly keeper: Keeper;
}

export function makeMeterMemory(options: MeterMemoryOptions): MeterMemory {
  return new Memory(options);
}

class Memory implements MeterMemory {
  readonly #options: MeterMemoryOptions;
  readonly #file: Kept<z.infer<typeof fileSchema>>;
  readonly #sinceMs: number;
  readonly #takers: ((index: number, kept: Noted) => string | undefined)[] = [];
  /** By place, of meters of which there is something. */
  readonly #noted = new Map<number, Noted>();
  /** What is said of agreements, by place. */
  readonly #said = new Map<number, string>();
  #isRead = false;
  #written = '{}';

  constructor(options: MeterMemoryOptions) {
    this.#options = options;
    this.#sinceMs = options.clock.monoMs();
    this.#file = options.keeper.openSpare('findings', fileSchema, (found) => this.#found(found ?? {}));
  }

  get isReady(): boolean {
    return this.#isRead || this.#options.clock.monoMs() - this.#sinceMs > PATIENCE_MS;
  }

  onRead(take: (index: number, kept: Noted) => string | undefined): void {
    this.#takers.push(take);
  }

  note(index: number, parts: Noted): void {
    const before = this.#noted.get(index);
    if (before === undefined && Object.values(parts).every(isEmpty)) return;
    this.#noted.set(index, { ...before, ...parts });
  }

  flush(): Promise<void> {
    this.#sayAgreed();
    // Written before it was read, the file would lose what it holds.
    if (!this.#isRead)
      return Promise.reject(new Fault('DISK_FAILED', 'what is kept of meters is not read yet'));
    const all = this.#all();
    const text = JSON.stringify(all);
    if (text === this.#written) return Promise.resolve();
    this.#written = text;
    return this.#file.keep(all).catch((error: unknown) => {
      // The keeper tries again by itself, and says so; whoever asks meanwhile is not told that it is durable.
      this.#written = '';
      throw error;
    });
  }

  stop(): void {
    this.#file.stop();
  }

  #all(): z.infer<typeof fileSchema> {
    return Object.fromEntries(
      [...this.#noted].flatMap(([index, noted]) => {
        const config = this.#options.plant.meters[index]?.config;
        const parts = Object.entries(noted).filter(([, part]) => !isEmpty(part));
        return config === undefined || parts.length === 0
          ? []
          : [[config.id, { as: meterPrint(config), ...Object.fromEntries(parts) } as KeptMeter]];
      }),
    );
  }

  #found(found: z.infer<typeof fileSchema>): void {
    const { plant } = this.#options;
    this.#isRead = true;
    this.#written = JSON.stringify(found);
    for (const [index, { config }] of plant.meters.entries()) {
      const known = found[config.id];
      if (known === undefined) continue;
      const { as, ...kept } = known;
      if (as !== meterPrint(config)) {
        this.#drop(config, 'the site file says something else of it than before');
        continue;
      }
      this.#noted.set(index, { ...kept, ...this.#noted.get(index) });
      for (const take of this.#takers) {
        const why = take(index, kept);
        if (why !== undefined) this.#drop(config, why);
      }
    }
    this.#sayAgreed();
  }

  #drop({ id }: SiteMeter, why: string): void {
    const text = `what stood against it before the restart, or was agreed of it, is dropped: ${why}`;
    this.#options.alarms.tell('METER_CHANGED', id, text);
  }

  /** What a person has agreed with stands as an alarm of its own, so that it is never silently gone. */
  #sayAgreed(): void {
    const { alarms, plant, site } = this.#options;
    for (const [index, { pardons = [], agreed = {} }] of this.#noted) {
      const config = plant.meters[index]?.config;
      if (config === undefined) continue;
      const text = [
        ...pardons.map((pardon) => pardonText(pardonWhat(pardon, config.index, site.meters), pardon)),
        ...Object.entries(agreed).map(([name, { value, by }]) => `${name} ${value} agreed by ${by}`),
      ].join('; ');
      const before = this.#said.get(index) ?? '';
      if (text === before) continue;
      if (before !== '') alarms.clear('METER_AGREED', config.id, 'it holds no longer, or another word does');
      if (text !== '') alarms.raise('METER_AGREED', config.id, text);
      this.#said.set(index, text);
    }
  }
}

const isEmpty = (part: unknown): boolean =>
  part === undefined || (typeof part === 'object' && part !== null && Object.keys(part).length === 0);

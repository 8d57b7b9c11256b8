import type { IdentityPlace, MeterProfile } from '../../config/schema/profile.ts';
import type { LineAnswer } from '../../host/line.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import { decodeNumber, wordsOf } from '../../protocols/modbus/registers.ts';
import type { Reading, Readings } from '../../protocols/reading.ts';
import type { DeviceIo } from '../driver.ts';
import { isRefusal } from '../../host/line-fault.ts';
import { formatOf, identityIn, identityWords } from './modbus-points.ts';

const EVERY_MS = 600_000;
/** Settings that every watt is a multiple of. */
const SETTINGS_EVERY_MS = 120_000;
/** A meter that is starting refuses what it has: what was refused is asked for again after this time. */
const AGAIN_MS = 30_000;
/** What was not answered at all costs its line most. */
const SILENT_AGAIN_MS = 5_000;

type Ask = (address: number, count: number, deadlineMs: number) => Promise<LineAnswer>;

/** What a meter is and how it is set: read at the start, and from time to time, since both can change under us. */
export class MeterConstants {
  readonly #profile: MeterProfile;
  readonly #io: DeviceIo;
  readonly #ask: Ask;
  #dueMs = -Infinity;
  /** Whether every parameter was read last time. */
  #isWhole = true;
  /** The settings that its numbers depend on, by name; what could not be read is absent. */
  parameters: ReadonlyMap<string, number> = new Map();
  identity: { readonly model?: string; readonly serial?: string; readonly firmware?: string } = {};
  /** All of it, as values to show. */
  readings: Readings = {};

  constructor(profile: MeterProfile, io: DeviceIo, ask: Ask) {
    this.#profile = profile;
    this.#io = io;
    this.#ask = ask;
  }

  /** Whether to read them with this reading: before the first values, then in reads of everything. */
  isDue(scope: 'fast' | 'full'): boolean {
    if (scope === 'fast' && this.#isWhole && this.#dueMs !== -Infinity) return false;
    return this.#io.clock.monoMs() >= this.#dueMs;
  }

  /** Reads them. Rejects when the device is another than its profile says (DEVICE_OTHER), or cannot be asked at the start. */
  async renew(deadlineMs: number, where: string): Promise<void> {
    const { parameters = {}, identity = {} } = this.#profile;
    const first = this.#dueMs === -Infinity;
    const nowMs = this.#io.clock.monoMs();
    try {
      await this.#expectDevice(deadlineMs, where);
      // What cannot be read now is believed to be what it was.
      const found = new Map(this.parameters);
      let isWhole = true;
      const readings: Record<string, Reading> = {};
      for (const [name, place] of Object.entries(parameters)) {
        const answer = await this.#tryAsk(place.addr, wordsOf(place.type), deadlineMs);
        const number = answer && decodeNumber(answer.registers, 0, formatOf(this.#profile, place));
        if (!answer || !number?.ok) {
          isWhole = false;
          continue;
        }
        // Tenths and hundredths are compared with whole numbers: what the division leaves over must not matter.
        const value = Number((number.value * (place.times ?? 1)).toPrecision(12));
        found.set(name, value);
        readings[`parameter.${name}`] = { ok: true, value, unit: '1', quality: 'good', atMs: answer.atMs };
      }
      const texts: Record<string, string> = {};
      for (const name of ['model', 'serial', 'firmware'] as const) {
        const [text, atMs] = await this.#text(identity[name], deadlineMs);
        if (text === undefined) continue;
        texts[name] = text;
        readings[`meter.${name}`] = { ok: true, value: text, unit: 'text', quality: 'good', atMs };
      }
      this.#tellChanges(readings, where);
      this.parameters = found;
      this.identity = texts;
      this.readings = readings;
      this.#isWhole = isWhole;
      const everyMs = Object.keys(parameters).length > 0 ? SETTINGS_EVERY_MS : EVERY_MS;
      this.#dueMs = nowMs + (isWhole ? everyMs : AGAIN_MS);
    } catch (error) {
      const fault = asFault(error);
      if (first) throw fault;
      if (fault.code !== 'DEVICE_OTHER') {
        // What it measures must not wait for what it does not say.
        this.#dueMs = nowMs + SILENT_AGAIN_MS;
        return;
      }
      // Nor may a read of less say anything until it is the right one again.
      this.#isWhole = false;
      throw fault;
    }
  }

  /** Another device may stand in its place, or another setting in it: they are read with the next reading. */
  doubt(): void {
    if (this.#dueMs === -Infinity) return;
    this.#dueMs = 0;
    this.#isWhole = false;
  }

  async #expectDevice(deadlineMs: number, where: string): Promise<void> {
    const expect = this.#profile.identity?.expect;
    if (!expect) return;
    const [text] = await this.#text(expect.at, deadlineMs);
    if (text === undefined || expect.oneOf.map(String).includes(text)) return;
    throw new Fault(
      'DEVICE_OTHER',
      `${where}: says '${text}', profile ${this.#profile.id} expects ${expect.oneOf.join(' or ')}`,
    );
  }

  #tellChanges(readings: Readings, where: string): void {
    for (const [name, before] of Object.entries(this.readings)) {
      const now = readings[name];
      if (!before.ok || !now?.ok || before.value === now.value) continue;
      this.#io.log.warn(
        { meter: where, name, before: before.value, now: now.value },
        'meter setting changed',
      );
    }
  }

  async #text(
    place: IdentityPlace | undefined,
    deadlineMs: number,
  ): Promise<readonly [text: string | undefined, atMs: number]> {
    const answer = place && (await this.#tryAsk(place.addr, identityWords(place), deadlineMs));
    if (!place || !answer) return [undefined, 0];
    return [identityIn(this.#profile, place, answer.registers), answer.atMs];
  }

  /** Undefined when this meter has no such register. */
  async #tryAsk(address: number, count: number, deadlineMs: number): Promise<LineAnswer | undefined> {
    const { evenCount } = this.#profile.limits;
    try {
      return await this.#ask(address, evenCount ? count + (count % 2) : count, deadlineMs);
    } catch (error) {
      if (isRefusal(asFault(error))) return undefined;
      throw error;
    }
  }
}

/**
 * MicroBT Whatsminer, API v2 on TCP 4028 (M20 to M60 families before API v3).
 * Verified on recorded answers (summary, pools, devs, status, versions); privileged commands from documents only.
 */
import type { Pool } from '../../config/pools.ts';
import type { Endpoint } from '../../host/deps.ts';
import { field, isObject, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { gigahash, megahash } from '../../protocols/units.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline, poolReadings, poolsTold } from '../ask-cgminer.ts';
import type { Asked } from '../ask-cgminer.ts';
import { boardReadings, devBoard } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import { errorsReading, listOf, partOf, tried } from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { hasPools, poolSettings } from '../pools.ts';
import { MINER_BOUNDS, missing, numberReading, toNumber, uncertain, unreadable } from '../readings.ts';
import { WhatsminerSession } from './whatsminer-session.ts';

/** A miner that does not hash and was seen switched off this recently is still off: one connection less. */
const OFF_PROOF_MS = 60_000;
const FACTORY_FACTOR = 3;
/** It takes three, whole; an empty one is none. */
const PLACES = [1, 2, 3];
const MOST_ERRORS = 32;
/** What stands for no limit, as machines are shipped and restored. */
const NO_LIMIT_W = 99_999;
const POWER_LIMIT = { unit: 'W', min: 0, max: NO_LIMIT_W } as const;
/** Share of the time a `power_off` may wait for its answer, which may never come. */
const REPLY_SHARE = 0.6;

/** What its verbs truly do. Times are estimates from documents. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    effectS: { typical: 10, atMost: 60 },
    source: 'power_off: the reply may never come',
  },
  wake: { ...PLAIN_VERB, restartsMining: true, effectS: { typical: 60, atMost: 240 }, source: 'power_on' },
  'power-limit': {
    ...PLAIN_VERB,
    restartsMining: true,
    survivesReboot: true,
    effectS: { typical: 60, atMost: 240 },
    dwellS: 300,
    grain: { by: 'watts', stepW: 1, leastW: 1, mostW: 99_998 },
    source: 'adjust_power_limit restarts mining; 99999 is no limit',
  },
  pools: {
    ...PLAIN_VERB,
    restartsMining: true,
    survivesReboot: true,
    effectS: { typical: 10, atMost: 120 },
    source: 'update_pools: all three at once, mining starts anew',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'reboot',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'set_led: the lights alone' },
} as const;

export const whatsminerV2: Driver = {
  name: 'whatsminer-v2',
  schemes: ['whatsminer'],
  open: (target, io) => {
    checkOptions(target, ['api']);
    return new Whatsminer(target, io);
  },
};

class Whatsminer implements Device {
  readonly driver = 'whatsminer-v2';
  readonly verbs: Device['verbs'];
  readonly #io: DeviceIo;
  readonly #session: WhatsminerSession;
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: { 'power-limit': 'powerLimit' } };
  readonly door: Endpoint;
  #newest: ReturnType<SettingsView['newest']>;
  #offProvenMs = Number.NEGATIVE_INFINITY;
  /** Counts our commands: a status read before one proves nothing after it. */
  #writes = 0;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    this.door = { host: target.host, port: portOption(target, 'api') ?? target.port ?? 4028 };
    this.#session = new WhatsminerSession(io, this.door, target.password);
    this.verbs = target.password === undefined ? {} : this.#makeVerbs();
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const version = await this.#session.ask('get_version', deadline);
    const message = field(version.value, 'Msg');
    if (!isObject(message)) throw new Fault('ANSWER_GARBAGE', 'get_version without Msg');
    const firmware = text(field(message, 'fw_ver'));
    const details = await this.#session.ask('devdetails', deadline).catch(() => undefined);
    const [first] = details ? sectionOf(details.value, 'DEVDETAILS') : [];
    const model = text(first && field(first, 'Model'));
    return { vendor: 'MicroBT', model: model === '' ? 'Whatsminer' : `Whatsminer ${model}`, firmware };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const beganMs = this.#io.clock.monoMs();
    const answer = await this.#session.ask('summary', deadline);
    const [summary] = sectionOf(answer.value, 'SUMMARY');
    const readings = summaryReadings(summary ?? {}, answer.atMs);
    if (answer.partial && readings['hashrate']?.ok !== true)
      readings['hashrate'] = unreadable('ANSWER_PARTIAL', answer.atMs);
    readings['mode'] = await this.#mode(readings['hashrate'] ?? missing(answer.atMs), answer, {
      scope,
      deadline,
    });
    if (scope === 'full') {
      const pools = await this.#addFull(readings, deadline);
      // Of pools that broke off the missing ones are not gone.
      if (pools?.partial === false)
        this.#newest = { settings: settingsOf(summary ?? {}, pools.value), beganMs };
      // Only once everything is read: a token at hand saves a curtailment the making of one.
      await this.#session.keepToken(deadline);
    }
    return readings;
  }

  close(): void {}

  async #mode(
    hashrate: Reading,
    { atMs, partial }: Asked,
    { scope, deadline }: { scope: 'fast' | 'full'; deadline: Deadline },
  ): Promise<Reading> {
    const mode = (value: string): Reading => ({ ok: true, value, unit: 'text', quality: 'good', atMs });
    if (hashrate.ok && Number(hashrate.value) > 0 && hashrate.quality === 'good') {
      this.#offProvenMs = Number.NEGATIVE_INFINITY;
      return mode('mine');
    }
    if (!hashrate.ok && (partial || hashrate.why !== 'VALUE_MISSING')) return hashrate;
    const askedMs = this.#io.clock.monoMs();
    if (scope === 'fast' && askedMs - this.#offProvenMs <= OFF_PROOF_MS) return mode('sleep');
    const writes = this.#writes;
    this.#offProvenMs = Number.NEGATIVE_INFINITY;
    try {
      const off = await this.#isOff(deadline);
      if (off === true && writes === this.#writes) this.#offProvenMs = askedMs;
      if (off === undefined) return missing(atMs, 'status does not say whether the miner is off');
      if (off) return mode('sleep');
      // An average above zero of a machine that is not off: it was hashing, and probably still is.
      return hashrate.ok && Number(hashrate.value) > 0
        ? uncertain(mode('mine'), 'average only')
        : mode('idle');
    } catch (error) {
      return unreadable(asFault(error).code, atMs, asFault(error).detail);
    }
  }

  async #isOff(deadline: Deadline): Promise<boolean | undefined> {
    const status = await this.#session.ask('status', deadline);
    const message = field(status.value, 'Msg');
    const off = isObject(message) ? field(message, 'mineroff') : undefined;
    if (off === 'true' || off === true) return true;
    return off === 'false' || off === false ? false : undefined;
  }

  async #addFull(readings: Record<string, Reading>, deadline: Deadline): Promise<Asked | undefined> {
    let pools: Asked | undefined;
    try {
      pools = await this.#session.ask('pools', deadline);
      Object.assign(readings, poolReadings(pools));
    } catch (error) {
      readings['pool.active'] = unreadable(asFault(error).code, this.#io.clock.wallMs());
    }
    try {
      const devices = await this.#session
        .ask('edevs', deadline)
        .catch((error: unknown) =>
          asFault(error).code === 'VERB_UNSUPPORTED'
            ? this.#session.ask('devs', deadline)
            : Promise.reject(asFault(error)),
        );
      const boards: BoardTold[] = [];
      sectionOf(devices.value, 'DEVS')
        .slice(0, 16)
        .forEach((board, index) => {
          const slot = (toNumber(field(board, 'Slot')) ?? index) + 1;
          boards.push(devBoard(board, slot, devices.atMs));
          readings[`temperature.board.${slot}`] = numberReading(
            field(board, 'Temperature'),
            MINER_BOUNDS.temperature,
            devices.atMs,
          );
          readings[`temperature.chip.${slot}`] = numberReading(
            field(board, 'Chip Temp Max'),
            MINER_BOUNDS.temperature,
            devices.atMs,
          );
        });
      Object.assign(readings, boardReadings(boards, devices.atMs, devices.partial));
    } catch (error) {
      readings['temperature.board.1'] = unreadable(asFault(error).code, this.#io.clock.wallMs());
    }
    const errors = await tried(this.#session.ask('get_error_code', deadline));
    if (!(errors instanceof Fault))
      readings['errors'] = errorsReading(
        listOf(partOf(errors.value, 'Msg'), 'error_code', MOST_ERRORS).flatMap(Object.keys),
        errors.atMs,
      );
    // Older firmware knows no such word.
    else if (errors.code !== 'VERB_UNSUPPORTED')
      readings['errors'] = unreadable(errors.code, this.#io.clock.wallMs());
    return pools;
  }

  #makeVerbs(): Device['verbs'] {
    const deadline = (timeoutMs: number): Deadline => new Deadline(this.#io.clock, timeoutMs);
    return withFacts(VERBS, {
      sleep: (_argument, timeoutMs, before) => this.#powerOff(timeoutMs, before),
      wake: async (_argument, timeoutMs, before) => {
        await before?.({});
        this.#forgetProof();
        await this.#session.command('power_on', {}, deadline(timeoutMs)).finally(() => this.#forgetProof());
      },
      'power-limit': (argument, timeoutMs, before) => this.#limit(argument, deadline(timeoutMs), before),
      pools: (pools, timeoutMs, before) => this.#setPools(pools, deadline(timeoutMs), before),
      reboot: async (_argument, timeoutMs) => {
        await this.#session.command('reboot', {}, deadline(timeoutMs));
      },
      /** Argument 0 gives the lights back to the firmware. */
      locate: async (argument, timeoutMs) => {
        const blink = { color: 'red', period: 200, duration: 100, start: 0 };
        await this.#session.command(
          'set_led',
          argument === 0 ? { param: 'auto' } : blink,
          deadline(timeoutMs),
        );
      },
    });
  }

  #forgetProof(): void {
    this.#writes += 1;
    this.#offProvenMs = Number.NEGATIVE_INFINITY;
  }

  async #powerOff(timeoutMs: number, before: BeforeWrite | undefined): Promise<void> {
    const whole = new Deadline(this.#io.clock, timeoutMs);
    // It overwrites none of them: one that cannot be read now is no reason to go on hashing.
    if (before) await before(await this.#readSettings(whole).catch(() => ({})));
    this.#forgetProof();
    try {
      await this.#session.command(
        'power_off',
        { respbefore: 'true' },
        new Deadline(this.#io.clock, timeoutMs * REPLY_SHARE),
      );
    } catch (error) {
      const fault = asFault(error);
      if (fault.code !== 'NET_TIMEOUT' && fault.code !== 'NET_RESET') throw fault;
      // Some firmwares carry it out without an answer: the machine's state says whether this one did.
      const off = await this.#isOff(whole).catch(() => undefined);
      if (off !== true) throw fault;
    }
  }

  async #readSettings(deadline: Deadline): Promise<Settings> {
    const beganMs = this.#io.clock.monoMs();
    const [summary] = sectionOf((await this.#session.ask('summary', deadline)).value, 'SUMMARY');
    const pools = await this.#session.ask('pools', deadline).catch(() => undefined);
    const settings = settingsOf(summary ?? {}, pools?.partial === false ? pools.value : {});
    this.#newest = { settings, beganMs };
    return settings;
  }

  /** All three at once; mining starts anew with them. */
  async #setPools(
    pools: readonly Pool[],
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const settings = await this.#readSettings(deadline);
    if (hasPools(pools, settings)) return;
    await before?.(settings);
    const words = PLACES.flatMap((place): [string, string][] => {
      const { url = '', user = '', pass = '' } = pools[place - 1] ?? {};
      return [
        [`pool${place}`, url],
        [`worker${place}`, user],
        [`passwd${place}`, pass],
      ];
    });
    await this.#session.command('update_pools', Object.fromEntries(words), deadline);
  }

  async #limit(
    limitW: number | undefined,
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const isLimit = limitW === NO_LIMIT_W || (limitW !== undefined && limitW <= MINER_BOUNDS.power.max);
    if (!isLimit || !Number.isInteger(limitW) || limitW <= 0)
      throw new Fault(
        'USAGE',
        `power-limit ${limitW ?? ''}: whole watts, 1 to ${MINER_BOUNDS.power.max}, or ${NO_LIMIT_W} for none`,
      );
    const settings = await this.#readSettings(deadline);
    // Setting a limit restarts mining, so one that is in force already is left alone.
    if (settings['powerLimit'] === limitW) return;
    await before?.(settings);
    await this.#session.command('adjust_power_limit', { power_limit: String(limitW) }, deadline);
  }
}

/** What a curtailment must leave as it is, as far as `summary` and `pools` say. */
function settingsOf(summary: JsonObject, pools: JsonObject): Settings {
  const settings: Record<string, string | number> = {};
  const limitW = toNumber(field(summary, 'Power Limit'));
  if (limitW !== undefined) settings['powerLimit'] = limitW;
  const powerMode = text(field(summary, 'Power Mode'));
  if (powerMode !== '') settings['powerMode'] = powerMode;
  return { ...settings, ...poolSettings(poolsTold(pools)) };
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value.slice(0, 100) : '';
}

function summaryReadings(summary: JsonObject, atMs: number): Record<string, Reading> {
  const power = numberReading(field(summary, 'Power'), MINER_BOUNDS.power, atMs);
  const readings: Record<string, Reading> = {
    hashrate: hashrateOf(summary, atMs),
    power: power.ok ? { ...power, measured: true } : power,
    uptime: numberReading(field(summary, 'Uptime') ?? field(summary, 'Elapsed'), MINER_BOUNDS.uptime, atMs),
  };
  const optional = (
    name: string,
    key: string,
    bounds: { unit: 'W' | '°C' | 'rpm'; min: number; max: number },
  ): void => {
    const raw = field(summary, key);
    if (raw !== undefined) readings[name] = numberReading(raw, bounds, atMs);
  };
  optional('power.limit', 'Power Limit', POWER_LIMIT);
  optional('temperature.ambient', 'Env Temp', MINER_BOUNDS.temperature);
  optional('temperature.chip.max', 'Chip Temp Max', MINER_BOUNDS.temperature);
  optional('fan.1', 'Fan Speed In', MINER_BOUNDS.fan);
  optional('fan.2', 'Fan Speed Out', MINER_BOUNDS.fan);
  return readings;
}

/** The most recent rate this firmware gives, in MH/s. */
function hashrateOf(summary: JsonObject, atMs: number): Reading {
  const recent = ['HS RT', 'MHS 5s', 'MHS 1m'].find((key) => field(summary, key) !== undefined);
  const reading = numberReading(field(summary, recent ?? 'MHS av'), MINER_BOUNDS.hashrate, atMs, megahash(1));
  const factory = gigahash(toNumber(field(summary, 'Factory GHS')) ?? 0);
  if (reading.ok && factory > 0 && Number(reading.value) > factory * FACTORY_FACTOR) {
    return unreadable(
      'VALUE_IMPLAUSIBLE',
      atMs,
      `${String(reading.value)} H/s where ${factory} is the factory rate`,
    );
  }
  return recent === undefined ? uncertain(reading, 'average since start') : reading;
}

/**
 * MicroBT Whatsminer, API v3 on TCP 4433 (firmware of May 2024 and later).
 * Verified on recorded answers (device info, status); commands from documents only.
 */
import type { Pool } from '../../config/pools.ts';
import type { Endpoint } from '../../host/deps.ts';
import { field, isList, isObject } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline } from '../ask-cgminer.ts';
import type { Asked } from '../ask-cgminer.ts';
import { boardReadings } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import {
  errorsReading,
  listOf,
  modeReading,
  namedReadings,
  partOf,
  powerReading,
  rateReading,
  tried,
  wordOf,
} from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { hasPools, poolSettings } from '../pools.ts';
import {
  MINER_BOUNDS,
  missing,
  numberReading,
  textReading,
  toNumber,
  uncertain,
  unreadable,
} from '../readings.ts';
import { WhatsminerV3Session } from './whatsminer-v3-session.ts';

const TERAHASH = 1e12;
const MOST_BOARDS = 16;
const MOST_ERRORS = 32;
/** What stands for no limit, as machines are shipped and restored. */
const NO_LIMIT_W = 99_999;

/** What its verbs truly do. Times are estimates from documents. */
const VERBS = {
  sleep: { ...PLAIN_VERB, effectS: { typical: 10, atMost: 60 }, source: 'set.miner.service stop' },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    effectS: { typical: 60, atMost: 240 },
    source: 'set.miner.service start',
  },
  'power-limit': {
    ...PLAIN_VERB,
    restartsMining: true,
    survivesReboot: true,
    effectS: { typical: 60, atMost: 240 },
    dwellS: 300,
    grain: { by: 'watts', stepW: 1, leastW: 1, mostW: 99_998 },
    source: 'set.miner.power_limit, 0 to 99999: the device will restart',
  },
  pools: {
    ...PLAIN_VERB,
    restartsMining: true,
    survivesReboot: true,
    effectS: { typical: 10, atMost: 120 },
    source: 'set.miner.pools, sealed; mining starts anew',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'set.system.reboot',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'set.system.led: the lights alone' },
} as const;

export const whatsminerV3: Driver = {
  name: 'whatsminer-v3',
  schemes: ['whatsminer-v3'],
  open: (target, io) => {
    checkOptions(target, ['api']);
    return new WhatsminerV3(target, io);
  },
};

class WhatsminerV3 implements Device {
  readonly driver = 'whatsminer-v3';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: { 'power-limit': 'powerLimit' } };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #session: WhatsminerV3Session;
  #newest: ReturnType<SettingsView['newest']>;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    this.door = { host: target.host, port: portOption(target, 'api') ?? target.port ?? 4433 };
    this.#session = new WhatsminerV3Session(io, this.door, {
      account: target.user ?? 'super',
      password: target.password,
    });
    this.verbs = target.password === undefined ? {} : this.#makeVerbs();
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { value } = await this.#session.ask('get.device.info', undefined, this.#deadline(timeoutMs));
    const type = wordOf(partOf(value, 'msg', 'miner', 'type'));
    const firmware = wordOf(partOf(value, 'msg', 'system', 'fwversion'));
    if (type === '' && firmware === '')
      throw new Fault('ANSWER_GARBAGE', 'get.device.info names no type and no firmware');
    return { vendor: 'MicroBT', model: type === '' ? 'Whatsminer' : `Whatsminer ${type}`, firmware };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = this.#deadline(timeoutMs);
    const beganMs = this.#io.clock.monoMs();
    const full = scope === 'full';
    const status = await this.#session
      .ask('get.miner.status', full ? 'summary+pools+edevs' : 'summary', deadline)
      .catch((error: unknown) => asFault(error));
    // With the mining service stopped there may be no status to give: then the device itself says so, or nobody does.
    if (status instanceof Fault && status.code !== 'VERB_REFUSED') throw status;
    const message = status instanceof Fault ? undefined : field(status.value, 'msg');
    const found = partOf(message, 'summary');
    const summary = isObject(found) ? found : {};
    const atMs = status instanceof Fault ? this.#io.clock.wallMs() : status.atMs;
    const partial = !(status instanceof Fault) && status.partial;
    const readings = summaryReadings(summary, atMs);
    if (partial && readings['hashrate']?.ok !== true)
      readings['hashrate'] = unreadable('ANSWER_PARTIAL', atMs);
    readings['mode'] = await this.#mode(readings['hashrate'] ?? missing(atMs), {
      refused: status instanceof Fault ? status : undefined,
      partial,
      deadline,
    });
    if (!full) return readings;
    readings['pool.active'] = activePool(partOf(message, 'pools'), atMs);
    Object.assign(readings, edevsReadings(partOf(message, 'edevs'), { atMs, partial }));
    await this.#session
      .ask('get.miner.setting', undefined, deadline)
      .then(({ value }) => {
        // Of pools that broke off the missing ones are not gone.
        if (partial) return;
        this.#newest = { settings: settingsOf(value, partOf(message, 'pools')), beganMs };
      })
      .catch(() => undefined);
    const errors = await tried(this.#session.ask('get.device.info', 'error-code', deadline));
    readings['errors'] =
      errors instanceof Fault
        ? unreadable(errors.code, atMs)
        : errorsReading(
            listOf(partOf(errors.value, 'msg'), 'error-code', MOST_ERRORS)
              .flatMap(Object.keys)
              .filter((name) => name !== 'reason'),
            errors.atMs,
          );
    // Only once everything is read: a salt at hand saves a curtailment the asking for one.
    await this.#session.keepSalt(deadline);
    return readings;
  }

  close(): void {}

  #deadline(timeoutMs: number): Deadline {
    return new Deadline(this.#io.clock, timeoutMs);
  }

  /** Hashing is proof of mining. Not hashing, the device says whether its mining service works. */
  async #mode(
    hashrate: Reading,
    { refused, partial, deadline }: { refused: Fault | undefined; partial: boolean; deadline: Deadline },
  ): Promise<Reading> {
    if (hashrate.ok && Number(hashrate.value) > 0 && hashrate.quality === 'good')
      return modeReading('mine', hashrate.atMs);
    if (!hashrate.ok && (partial || hashrate.why !== 'VALUE_MISSING')) return hashrate;
    const info = await this.#session
      .ask('get.device.info', 'miner', deadline)
      .catch((error: unknown) => asFault(error));
    if (info instanceof Fault) {
      if (refused) throw refused;
      return unreadable(info.code, hashrate.atMs, info.detail);
    }
    const working = partOf(info.value, 'msg', 'miner', 'working');
    if (working === 'false' || working === false) return modeReading('sleep', info.atMs);
    if (working !== 'true' && working !== true) {
      if (refused) throw refused;
      return missing(info.atMs, 'get.device.info does not say whether the miner works');
    }
    return hashrate.ok && Number(hashrate.value) > 0
      ? uncertain(modeReading('mine', info.atMs), 'average only')
      : modeReading('idle', info.atMs);
  }

  #makeVerbs(): Device['verbs'] {
    const service =
      (param: 'stop' | 'start') =>
      async (_argument: number | undefined, timeoutMs: number, before?: BeforeWrite): Promise<void> => {
        const deadline = this.#deadline(timeoutMs);
        // It overwrites no setting: those that cannot be read now are no reason to go on hashing.
        if (before) await before(await this.#readSettings(deadline).catch(() => ({})));
        await this.#session.command('set.miner.service', param, deadline);
      };
    return withFacts(VERBS, {
      sleep: service('stop'),
      wake: service('start'),
      'power-limit': (argument, timeoutMs, before) =>
        this.#limit(argument, this.#deadline(timeoutMs), before),
      pools: (pools, timeoutMs, before) => this.#setPools(pools, this.#deadline(timeoutMs), before),
      reboot: async (_argument, timeoutMs) => {
        const deadline = this.#deadline(timeoutMs);
        // The salt is asked for first, so that a broken-off answer below can only be the reboot itself.
        await this.#session.renewSalt(deadline);
        try {
          await this.#session.command('set.system.reboot', undefined, deadline);
        } catch (error) {
          if (asFault(error).code !== 'NET_RESET') throw error;
        }
      },
      /** Argument 0 gives the lights back to the firmware. */
      locate: async (argument, timeoutMs) => {
        const blink = [{ color: 'red', period: 200, duration: 100, start: 0 }];
        await this.#session.command(
          'set.system.led',
          argument === 0 ? 'auto' : blink,
          this.#deadline(timeoutMs),
        );
      },
    });
  }

  async #readSettings(deadline: Deadline): Promise<Settings> {
    const beganMs = this.#io.clock.monoMs();
    const { value } = await this.#session.ask('get.miner.setting', undefined, deadline);
    const pools = await this.#session.ask('get.miner.status', 'pools', deadline).catch(() => undefined);
    const settings = settingsOf(
      value,
      pools?.partial === false ? partOf(pools.value, 'msg', 'pools') : undefined,
    );
    this.#newest = { settings, beganMs };
    return settings;
  }

  async #setPools(
    pools: readonly Pool[],
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const settings = await this.#readSettings(deadline);
    if (hasPools(pools, settings)) return;
    await before?.(settings);
    const words = pools.map(({ url, user, pass }) => ({ pool: url, worker: user, passwd: pass }));
    await this.#session.command('set.miner.pools', words, deadline);
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
    await this.#session.command('set.miner.power_limit', limitW, deadline);
  }
}

function summaryReadings(summary: JsonObject, atMs: number): Record<string, Reading> {
  const power = field(summary, 'power-realtime');
  const readings: Record<string, Reading> = {
    hashrate: rateReading(
      [
        [field(summary, 'hash-realtime'), false],
        [field(summary, 'hash-1min'), false],
        [field(summary, 'hash-average'), true],
      ],
      { scale: TERAHASH, factory: toNumber(field(summary, 'factory-hash')), atMs },
    ),
    power:
      power === undefined
        ? uncertain(powerReading(field(summary, 'power-5min'), atMs, true), 'average of 5 min')
        : powerReading(power, atMs, true),
    // `bootup-time` was seen smaller than it, which a time since boot cannot be.
    uptime: numberReading(field(summary, 'elapsed'), MINER_BOUNDS.uptime, atMs),
    ...namedReadings(summary, atMs, [
      ['power.limit', 'power-limit', { unit: 'W', min: 0, max: NO_LIMIT_W }],
      ['temperature.ambient', 'environment-temperature', MINER_BOUNDS.temperature],
      ['temperature.chip.max', 'chip-temp-max', MINER_BOUNDS.temperature],
      ['fan.1', 'fan-speed-in', MINER_BOUNDS.fan],
      ['fan.2', 'fan-speed-out', MINER_BOUNDS.fan],
    ]),
  };
  const boards = field(summary, 'board-temperature');
  for (const [index, board] of (isList(boards) ? boards : []).slice(0, MOST_BOARDS).entries())
    readings[`temperature.board.${index + 1}`] = numberReading(board, MINER_BOUNDS.temperature, atMs);
  return readings;
}

function edevsReadings(
  edevs: Asked['value'][string] | undefined,
  { atMs, partial }: { readonly atMs: number; readonly partial: boolean },
): Record<string, Reading> {
  const readings: Record<string, Reading> = {};
  const boards: BoardTold[] = [];
  for (const [index, board] of (isList(edevs) ? edevs : []).slice(0, MOST_BOARDS).entries()) {
    if (!isObject(board)) continue;
    const slot = (toNumber(field(board, 'id')) ?? index) + 1;
    readings[`temperature.chip.${slot}`] = numberReading(
      field(board, 'chip-temp-max'),
      MINER_BOUNDS.temperature,
      atMs,
    );
    const factory = toNumber(field(board, 'factory-hash'));
    boards.push({
      place: slot,
      gone: wordOf(field(board, 'status')).toLowerCase() === 'dead',
      chips: toNumber(field(board, 'effective-chips')),
      rate: rateReading(
        [
          [field(board, 'hash-realtime'), false],
          [field(board, 'hash-average'), true],
        ],
        { scale: TERAHASH, factory, atMs },
      ),
    });
  }
  return { ...readings, ...boardReadings(boards, atMs, partial) };
}

function activePool(pools: Asked['value'][string] | undefined, atMs: number): Reading {
  if (!isList(pools) || pools.length === 0) return missing(atMs);
  const active = pools.filter(isObject).find((pool) => field(pool, 'stratum-active') === true);
  return active
    ? textReading(field(active, 'url'), atMs)
    : { ok: true, value: '', unit: 'text', quality: 'good', atMs };
}

/** What a curtailment must leave as it is, as far as the device says. */
function settingsOf(answer: JsonObject, pools: Asked['value'][string] | undefined): Settings {
  const settings: Record<string, string | number> = {};
  const limitW = toNumber(partOf(answer, 'msg', 'power-limit'));
  if (limitW !== undefined) settings['powerLimit'] = limitW;
  const powerMode = wordOf(partOf(answer, 'msg', 'power-mode'));
  if (powerMode !== '') settings['powerMode'] = powerMode;
  const told = (isList(pools) ? pools : [])
    .filter(isObject)
    .map((pool) => ({ url: wordOf(field(pool, 'url')), user: wordOf(field(pool, 'account')) }));
  return { ...settings, ...poolSettings(told) };
}

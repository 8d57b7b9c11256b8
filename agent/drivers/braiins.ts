/**
 * Braiins OS from 25.07 on: its REST API, on whatever hardware it runs.
 * Verified on recorded answers of 25.07; commands and logging in from documents only.
 */
import type { Pool } from '../../config/pools.ts';
import type { Endpoint } from '../../host/deps.ts';
import { field } from '../../protocols/asic/cgminer.ts';
import type { Json } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline } from '../ask-cgminer.ts';
import type { JsonPage } from '../ask-json.ts';
import { boardReadings } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import { listOf, modeReading, partOf, powerReading, rateReading, wordOf } from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { hasPools } from '../pools.ts';
import { MINER_BOUNDS, missing, numberReading, toNumber, uncertain, unreadable } from '../readings.ts';
import { checkTuner, poolReadings, poolsOf, settingsOfPools, vendorOf } from './braiins-answers.ts';
import { BraiinsSession } from './braiins-session.ts';
import type { BraiinsAccess } from './braiins-session.ts';

const GIGAHASH = 1e9;
const MOST_BOARDS = 16;
/** Modes of its tuner in which it holds watts: one by name, and the one that is not specified. */
const POWER_TARGET = [1, 0];
const MOST_FANS = 16;
/** `status` of the device's details: 1 not started, 2 normal, 3 paused, 4 suspended. */
const PAUSED = 3;

/** What its verbs truly do. Times are estimates from documents. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    effectS: { typical: 15, atMost: 60 },
    source: 'pause; no document says whether it outlives a reboot',
  },
  wake: { ...PLAIN_VERB, restartsMining: true, effectS: { typical: 90, atMost: 240 }, source: 'resume' },
  'power-limit': {
    ...PLAIN_VERB,
    isAsynchronous: true,
    survivesReboot: true,
    startsTuning: true,
    effectS: { typical: 180, atMost: 900 },
    readBackS: 60,
    dwellS: 600,
    grain: { by: 'watts', stepW: 1 },
    source: 'a power target shows at once in the configuration, the tuner takes minutes to come to it',
  },
  pools: {
    ...PLAIN_VERB,
    restartsMining: false,
    survivesReboot: true,
    effectS: { typical: 10, atMost: 120 },
    source: 'pools/batch: one group in place of all there are',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'actions/reboot',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'the light alone' },
} as const;

export const braiins: Driver = {
  name: 'braiins',
  schemes: ['braiins'],
  open: (target, io) => {
    checkOptions(target, ['http', 'auth']);
    return new Braiins(target, io);
  },
};

class Braiins implements Device {
  readonly driver = 'braiins';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: { 'power-limit': 'powerLimit' } };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #session: BraiinsSession;
  #newest: ReturnType<SettingsView['newest']>;
  /** What is printed on the machine, GH/s: a bound for what it says. */
  #stickerGhs: number | undefined;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    const port = portOption(target, 'http') ?? target.port ?? 80;
    this.door = { host: target.host, port };
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    const access = accessOf(target);
    this.#session = new BraiinsSession(io, `http://${host}:${port}`, access);
    this.verbs = access === undefined ? {} : this.#makeVerbs();
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { value } = await this.#details(new Deadline(this.#io.clock, timeoutMs));
    const model = wordOf(
      partOf(value, 'miner_identity', 'miner_model') ?? partOf(value, 'miner_identity', 'name'),
    );
    const firmware = wordOf(partOf(value, 'bos_version', 'current'));
    if (model === '' && firmware === '')
      throw new Fault('ANSWER_GARBAGE', 'miner/details names no model and no firmware');
    return { vendor: vendorOf(model), model, firmware: firmware === '' ? '' : `Braiins OS ${firmware}` };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const beganMs = this.#io.clock.monoMs();
    // With its mining process stopped there may be no statistics: then the details alone say what it does.
    const stats = await this.#page('miner/stats', deadline);
    if (stats instanceof Fault && stats.code !== 'VERB_REFUSED' && stats.code !== 'QUEUE_FULL') throw stats;
    const details =
      scope === 'full' ? await this.#details(deadline).catch((error: unknown) => asFault(error)) : undefined;
    const atMs = stats instanceof Fault ? this.#io.clock.wallMs() : stats.atMs;
    const readings = this.#statsReadings(stats instanceof Fault ? undefined : stats.value, atMs);
    readings['mode'] = await this.#mode(readings['hashrate'] ?? missing(atMs), stats, details, deadline);
    if (details === undefined) return readings;
    readings['uptime'] =
      details instanceof Fault
        ? unreadable(details.code, atMs, details.detail)
        : numberReading(partOf(details.value, 'system_uptime_s'), MINER_BOUNDS.uptime, details.atMs);
    await this.#addHardware(readings, deadline);
    const pools = await this.#page('pools', deadline);
    Object.assign(
      readings,
      pools instanceof Fault
        ? { 'pool.active': unreadable(pools.code, atMs, pools.detail) }
        : poolReadings(poolsOf(pools.value), pools.atMs),
    );
    const tuner = await this.#page('performance/tuner-state', deadline);
    readings['power.limit'] =
      tuner instanceof Fault ? unreadable(tuner.code, atMs, tuner.detail) : limitReading(tuner);
    const configuration = await this.#page('configuration/miner', deadline);
    if (!(configuration instanceof Fault) && !(pools instanceof Fault))
      this.#newest = { settings: settingsOf(configuration.value, pools.value), beganMs };
    return readings;
  }

  close(): void {}

  /** A page, or why there is none. */
  #page(path: string, deadline: Deadline): Promise<JsonPage | Fault> {
    return this.#session.get(path, deadline).catch((error: unknown) => asFault(error));
  }

  async #details(deadline: Deadline): Promise<JsonPage> {
    const details = await this.#session.get('miner/details', deadline);
    this.#stickerGhs =
      toNumber(partOf(details.value, 'sticker_hashrate', 'gigahash_per_second')) ?? this.#stickerGhs;
    return details;
  }

  #statsReadings(stats: Json | undefined, atMs: number): Record<string, Reading> {
    const rate = (window: string): Json | undefined =>
      partOf(stats, 'miner_stats', 'real_hashrate', window, 'gigahash_per_second');
    return {
      hashrate: rateReading(
        [
          [rate('last_5s'), false],
          [rate('last_15s'), false],
          [rate('last_1m'), false],
          [rate('since_restart'), true],
        ],
        { scale: GIGAHASH, factory: this.#stickerGhs, atMs },
      ),
      // The firmware reckons it from voltage, frequency and model; there is no sensor.
      power: powerReading(partOf(stats, 'power_stats', 'approximated_consumption', 'watt'), atMs, false),
    };
  }

  /** Hashing is proof of mining. Not hashing, the details say whether it was paused. */
  async #mode(
    hashrate: Reading,
    stats: JsonPage | Fault,
    known: JsonPage | Fault | undefined,
    deadline: Deadline,
  ): Promise<Reading> {
    if (hashrate.ok && Number(hashrate.value) > 0 && hashrate.quality === 'good')
      return modeReading('mine', hashrate.atMs);
    if (!hashrate.ok && hashrate.why !== 'VALUE_MISSING') return hashrate;
    const details = known ?? (await this.#details(deadline).catch((error: unknown) => asFault(error)));
    if (details instanceof Fault) {
      if (stats instanceof Fault) throw stats;
      return unreadable(details.code, hashrate.atMs, details.detail);
    }
    const status = toNumber(partOf(details.value, 'status'));
    if (status === undefined) return missing(details.atMs, 'miner/details does not say what the miner does');
    if (status === PAUSED) return modeReading('sleep', details.atMs);
    return hashrate.ok && Number(hashrate.value) > 0
      ? uncertain(modeReading('mine', details.atMs), 'average only')
      : modeReading('idle', details.atMs);
  }

  async #addHardware(readings: Record<string, Reading>, deadline: Deadline): Promise<void> {
    const boards = await this.#page('miner/hw/hashboards', deadline);
    if (boards instanceof Fault)
      readings['temperature.board.1'] = unreadable(boards.code, this.#io.clock.wallMs(), boards.detail);
    else {
      const told: BoardTold[] = [];
      for (const [index, board] of listOf(boards.value, 'hashboards', MOST_BOARDS).entries()) {
        const slot = toNumber(field(board, 'id')) ?? index + 1;
        const temperature = (...path: string[]): Reading =>
          numberReading(partOf(board, ...path, 'degree_c'), MINER_BOUNDS.temperature, boards.atMs);
        readings[`temperature.board.${slot}`] = temperature('board_temp');
        readings[`temperature.chip.${slot}`] = temperature('highest_chip_temp', 'temperature');
        const rate = partOf(board, 'stats', 'real_hashrate', 'last_5s', 'gigahash_per_second');
        told.push({
          place: slot,
          gone: field(board, 'enabled') === false,
          chips: toNumber(field(board, 'chips_count')),
          ...(rate !== undefined && {
            rate: numberReading(rate, MINER_BOUNDS.hashrate, boards.atMs, GIGAHASH),
          }),
        });
      }
      Object.assign(readings, boardReadings(told, boards.atMs));
    }
    const cooling = await this.#page('cooling/state', deadline);
    if (cooling instanceof Fault) {
      readings['fan.1'] = unreadable(cooling.code, this.#io.clock.wallMs(), cooling.detail);
      return;
    }
    for (const [index, fan] of listOf(cooling.value, 'fans', MOST_FANS).entries())
      readings[`fan.${(toNumber(field(fan, 'position')) ?? index) + 1}`] = numberReading(
        field(fan, 'rpm'),
        MINER_BOUNDS.fan,
        cooling.atMs,
      );
  }

  #makeVerbs(): Device['verbs'] {
    const act =
      (path: 'actions/pause' | 'actions/resume') =>
      async (_argument: number | undefined, timeoutMs: number, before?: BeforeWrite): Promise<void> => {
        const deadline = new Deadline(this.#io.clock, timeoutMs);
        // It overwrites no setting: those that cannot be read now are no reason to go on hashing.
        if (before) await before(await this.#readSettings(deadline).catch(() => ({})));
        await this.#session.put(path, undefined, deadline);
      };
    return withFacts(VERBS, {
      sleep: act('actions/pause'),
      wake: act('actions/resume'),
      'power-limit': (argument, timeoutMs, before) =>
        this.#limit(argument, new Deadline(this.#io.clock, timeoutMs), before),
      pools: (pools, timeoutMs, before) =>
        this.#setPools(pools, new Deadline(this.#io.clock, timeoutMs), before),
      reboot: async (_argument, timeoutMs) => {
        const deadline = new Deadline(this.#io.clock, timeoutMs);
        // A page is asked for first, so that a broken-off answer below can only be the reboot itself.
        await this.#details(deadline);
        try {
          await this.#session.put('actions/reboot', undefined, deadline);
        } catch (error) {
          if (asFault(error).code !== 'NET_RESET') throw error;
        }
      },
      /** Argument 0 ends the blinking. */
      locate: (argument, timeoutMs) =>
        this.#session.put('actions/locate', argument !== 0, new Deadline(this.#io.clock, timeoutMs)),
    });
  }

  async #readSettings(deadline: Deadline): Promise<Settings> {
    const beganMs = this.#io.clock.monoMs();
    const configuration = await this.#session.get('configuration/miner', deadline);
    const pools = await this.#page('pools', deadline);
    const settings = settingsOf(configuration.value, pools instanceof Fault ? undefined : pools.value);
    this.#newest = { settings, beganMs };
    return settings;
  }

  /** They are written as one group, in place of all there are. */
  async #setPools(
    pools: readonly Pool[],
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const settings = await this.#readSettings(deadline);
    if (hasPools(pools, settings)) return;
    await before?.(settings);
    const group = {
      name: 'Default',
      pools: pools.map(({ url, user, pass }) => ({ url, user, password: pass })),
      load_balance_strategy: { quota: { value: 1 } },
    };
    await this.#session.put('pools/batch', [group], deadline);
  }

  /** The tuner takes minutes to come to a new target; what is in force already is left alone. */
  async #limit(
    limitW: number | undefined,
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    if (limitW === undefined || !Number.isInteger(limitW) || limitW <= 0 || limitW > MINER_BOUNDS.power.max)
      throw new Fault('USAGE', `power-limit ${limitW ?? ''}: whole watts, 1 to ${MINER_BOUNDS.power.max}`);
    const settings = await this.#readSettings(deadline);
    checkTuner(settings, POWER_TARGET);
    if (settings['powerLimit'] === limitW) return;
    await before?.(settings);
    await this.#session.put('performance/power-target', { watt: limitW }, deadline);
  }
}

function accessOf(target: Target): BraiinsAccess | undefined {
  const kind = target.options['auth'] ?? 'login';
  if (kind !== 'login' && kind !== 'token')
    throw new Fault('TARGET_INVALID', `${target.url}: auth is login or token, not ${kind}`);
  if (target.password === undefined) return undefined;
  return kind === 'token'
    ? { kind, token: target.password }
    : { kind, username: target.user ?? 'root', password: target.password };
}

/** The power target in force. A tuner that holds a hashrate, or none at all, has no such thing. */
function limitReading({ value, atMs }: JsonPage): Reading {
  const watts = partOf(value, 'mode_state', 'powertargetmodestate', 'current_target', 'watt');
  return watts === undefined
    ? missing(atMs, 'the tuner holds no power target')
    : numberReading(watts, MINER_BOUNDS.power, atMs);
}

/** What a curtailment must leave as it is, as far as the device says. */
function settingsOf(configuration: Json | undefined, groups: Json | undefined): Settings {
  const settings: Record<string, string | number> = {};
  const limitW = toNumber(partOf(configuration, 'tuner', 'power_target', 'watt'));
  if (limitW !== undefined) settings['powerLimit'] = limitW;
  const tunerMode =
    partOf(configuration, 'tuner', 'enabled') === false
      ? 'off'
      : toNumber(partOf(configuration, 'tuner', 'tuner_mode'));
  if (tunerMode !== undefined) settings['tunerMode'] = tunerMode;
  return { ...settings, ...settingsOfPools(poolsOf(groups)) };
}

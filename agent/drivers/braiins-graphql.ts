/**
 * Braiins OS up to 25.05: GraphQL on its web port, on whatever hardware it runs.
 * Reading verified on recorded answers of 24.09 (an S19 XP and others); commands and sessions from published clients only.
 */
import type { Endpoint } from '../../host/deps.ts';
import { field, isObject } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline } from '../ask-cgminer.ts';
import { boardReadings } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import { listOf, modeReading, partOf, powerReading, rateReading, wordOf } from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { MINER_BOUNDS, missing, numberReading, toNumber, unreadable } from '../readings.ts';
import { checkTuner, poolReadings, poolsOf, settingsOfPools, vendorOf } from './braiins-answers.ts';
import { GraphqlSession } from './braiins-graphql-session.ts';
import type { GraphqlAnswer } from './braiins-graphql-session.ts';

const MEGAHASH = 1e6;
const MOST_PARTS = 16;
/** Its control board answers before its mining service has started: not running is no sleep before this, s. */
const STARTS_S = 120;

const NOW =
  '{bos{uptime{durationS}}bosminer{info{workSolver{realHashrate{mhs5S}nominalMhs}fans{name rpm}summary{power{approxConsumptionW limitW}}}}}';
const BOARDS =
  '{bosminer{info{workSolver{childSolvers{name hwDetails{chips}realHashrate{mhs5S}temperatures{name degreesC}}}}}}';
const SETTINGS =
  '{bosminer{config{... on BosminerConfig{autotuning{enabled mode powerTarget}}}info{poolGroups{pools{url user active}}}}}';
const SERVICE = '{bos{uptime{durationS}}bosminer{uptime{durationS}}}';
const NAMES = '{bos{info{version{full}}}bosminer{info{modelName}}}';
const LIMIT =
  'mutation($input:AutotuningIn!){bosminer{config{updateAutotuning(input:$input,apply:true){__typename ... on AutotuningError{message}... on AttributeError{message}}}}}';
const REBOOT = 'mutation{bos{reboot{__typename ... on BosError{message}}}}';
const LIGHT = 'mutation($enable:Boolean!){bos{setFaultLight(enable:$enable){__typename}}}';

/** What its verbs truly do. Times are estimates from documents. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    effectS: { typical: 15, atMost: 60 },
    source: 'the mining service is stopped; no document says whether it stays so over a reboot',
  },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    effectS: { typical: 90, atMost: 240 },
    source: 'the mining service is started',
  },
  'power-limit': {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    survivesReboot: true,
    startsTuning: true,
    effectS: { typical: 180, atMost: 900 },
    readBackS: 60,
    dwellS: 600,
    grain: { by: 'watts', stepW: 1 },
    source: 'a configuration that is applied: that it restarts mining is assumed, the tuner takes minutes',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'the reboot of bos',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'setFaultLight: the light alone' },
} as const;

export const braiinsGraphql: Driver = {
  name: 'braiins-graphql',
  schemes: ['braiins-graphql'],
  open: (target, io) => {
    checkOptions(target, ['http']);
    return new BraiinsGraphql(target, io);
  },
};

class BraiinsGraphql implements Device {
  readonly driver = 'braiins-graphql';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: { 'power-limit': 'powerLimit' } };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #session: GraphqlSession;
  #newest: ReturnType<SettingsView['newest']>;
  /** What its tuner holds to be full, MH/s: a bound for what it says. */
  #nominalMhs: number | undefined;
  /** When it took our word to stop; monotonic. */
  #stoppedMs: number | undefined;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    const port = portOption(target, 'http') ?? target.port ?? 80;
    this.door = { host: target.host, port };
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    const { password } = target;
    const access = password === undefined ? undefined : { username: target.user ?? 'root', password };
    this.#session = new GraphqlSession(io, `http://${host}:${port}`, access);
    this.verbs = access === undefined ? {} : this.#makeVerbs();
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { data } = await this.#session.query(NAMES, new Deadline(this.#io.clock, timeoutMs));
    const model = wordOf(partOf(data, 'bosminer', 'info', 'modelName'));
    const firmware = wordOf(partOf(data, 'bos', 'info', 'version', 'full'));
    if (model === '' && firmware === '')
      throw new Fault('ANSWER_GARBAGE', 'it names no model and no firmware');
    return { vendor: vendorOf(model), model, firmware: firmware === '' ? '' : `Braiins OS ${firmware}` };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const beganMs = this.#io.clock.monoMs();
    const now = await this.#session.query(NOW, deadline);
    const { data, atMs } = now;
    if (!now.stopped && partOf(data, 'bos') === undefined && partOf(data, 'bosminer') === undefined)
      throw new Fault('ANSWER_GARBAGE', 'this is no Braiins OS: neither bos nor bosminer in the answer');
    const info = partOf(data, 'bosminer', 'info');
    const hashrate = this.#rate(partOf(info, 'workSolver'), atMs);
    const readings: Record<string, Reading> = {
      hashrate,
      // The firmware reckons it from voltage, frequency and model; there is no sensor.
      power: powerReading(partOf(info, 'summary', 'power', 'approxConsumptionW'), atMs, false),
      uptime: numberReading(partOf(data, 'bos', 'uptime', 'durationS'), MINER_BOUNDS.uptime, atMs),
      mode: await this.#mode(hashrate, now, deadline),
    };
    if (scope === 'fast') return readings;
    for (const [index, fan] of listOf(info, 'fans', MOST_PARTS).entries())
      readings[`fan.${(toNumber(field(fan, 'name')) ?? index) + 1}`] = numberReading(
        field(fan, 'rpm'),
        MINER_BOUNDS.fan,
        atMs,
      );
    await this.#addBoards(readings, deadline);
    const settings = await this.#query(SETTINGS, deadline);
    if (settings instanceof Fault) {
      readings['power.limit'] = readings['pool.active'] = unreadable(settings.code, atMs, settings.detail);
      return readings;
    }
    readings['power.limit'] = limitReading(partOf(info, 'summary', 'power', 'limitW'), settings);
    Object.assign(readings, poolReadings(poolsIn(settings.data), settings.atMs));
    this.#newest = { settings: settingsOf(settings.data), beganMs };
    return readings;
  }

  close(): void {}

  #query(query: string, deadline: Deadline): Promise<GraphqlAnswer | Fault> {
    return this.#session.query(query, deadline).catch((error: unknown) => asFault(error));
  }

  #rate(solver: Json | undefined, atMs: number): Reading {
    this.#nominalMhs = toNumber(partOf(solver, 'nominalMhs')) ?? this.#nominalMhs;
    return rateReading([[partOf(solver, 'realHashrate', 'mhs5S'), false]], {
      scale: MEGAHASH,
      factory: this.#nominalMhs,
      atMs,
    });
  }

  /** Hashing is proof of mining. Not hashing, it is asleep when its mining service does not run and is not just starting. */
  async #mode(hashrate: Reading, now: GraphqlAnswer, deadline: Deadline): Promise<Reading> {
    if (hashrate.ok && Number(hashrate.value) > 0) return modeReading('mine', hashrate.atMs);
    if (!hashrate.ok && hashrate.why !== 'VALUE_MISSING') return hashrate;
    const service = await this.#query(SERVICE, deadline);
    if (service instanceof Fault) return unreadable(service.code, hashrate.atMs, service.detail);
    const { data, stopped, atMs } = service;
    const runs = stopped ? null : field(objectAt(data, 'bosminer'), 'uptime');
    if (runs === undefined) return missing(atMs, 'it does not say whether its mining service runs');
    if (runs !== null)
      return hashrate.ok ? modeReading('idle', atMs) : missing(atMs, 'it runs without a rate');
    const upS =
      toNumber(partOf(data, 'bos', 'uptime', 'durationS')) ??
      toNumber(partOf(now.data, 'bos', 'uptime', 'durationS'));
    const isStarting = upS !== undefined && upS < STARTS_S && !this.#isStoppedSince(upS);
    return modeReading(isStarting ? 'idle' : 'sleep', atMs);
  }

  /** Whether it was stopped by us, and its control board has not started anew since. */
  #isStoppedSince(upS: number): boolean {
    return this.#stoppedMs !== undefined && this.#io.clock.monoMs() - upS * 1_000 < this.#stoppedMs;
  }

  async #addBoards(readings: Record<string, Reading>, deadline: Deadline): Promise<void> {
    const boards = await this.#query(BOARDS, deadline);
    if (boards instanceof Fault) {
      readings['temperature.board.1'] = unreadable(boards.code, this.#io.clock.wallMs(), boards.detail);
      return;
    }
    const solver = partOf(boards.data, 'bosminer', 'info', 'workSolver');
    const told: BoardTold[] = [];
    for (const [index, board] of listOf(solver, 'childSolvers', MOST_PARTS).entries()) {
      const slot = toNumber(field(board, 'name')) ?? index + 1;
      for (const sensor of listOf(board, 'temperatures', MOST_PARTS)) {
        const name = wordOf(field(sensor, 'name')).toLowerCase();
        if (name === 'board' || name === 'chip')
          readings[`temperature.${name}.${slot}`] = numberReading(
            field(sensor, 'degreesC'),
            MINER_BOUNDS.temperature,
            boards.atMs,
          );
      }
      const rate = partOf(board, 'realHashrate', 'mhs5S');
      told.push({
        place: slot,
        chips: toNumber(partOf(board, 'hwDetails', 'chips')),
        ...(rate !== undefined && {
          rate: numberReading(rate, MINER_BOUNDS.hashrate, boards.atMs, MEGAHASH),
        }),
      });
    }
    Object.assign(readings, boardReadings(told, boards.atMs));
  }

  #makeVerbs(): Device['verbs'] {
    const service =
      (word: 'stop' | 'start') =>
      async (_argument: number | undefined, timeoutMs: number, before?: BeforeWrite): Promise<void> => {
        const deadline = new Deadline(this.#io.clock, timeoutMs);
        // It overwrites no setting: those that cannot be read now are no reason to go on hashing.
        if (before) await before(await this.#readSettings(deadline).catch(() => ({})));
        const query = `mutation{bosminer{${word}{__typename ... on BosminerError{message}}}}`;
        await this.#session.change(['bosminer', word], { query }, deadline);
        this.#stoppedMs = word === 'stop' ? this.#io.clock.monoMs() : undefined;
      };
    return withFacts(VERBS, {
      sleep: service('stop'),
      wake: service('start'),
      'power-limit': (argument, timeoutMs, before) =>
        this.#limit(argument, new Deadline(this.#io.clock, timeoutMs), before),
      reboot: async (_argument, timeoutMs) => {
        const deadline = new Deadline(this.#io.clock, timeoutMs);
        // Something is asked first, so that a broken-off answer below can only be the reboot itself.
        await this.#session.query(NAMES, deadline);
        await this.#session.change(['bos', 'reboot'], { query: REBOOT, goes: true }, deadline);
      },
      /** Argument 0 ends the blinking. */
      locate: (argument, timeoutMs) =>
        this.#session.change(
          ['bos', 'setFaultLight'],
          { query: LIGHT, variables: { enable: argument !== 0 } },
          new Deadline(this.#io.clock, timeoutMs),
        ),
    });
  }

  async #readSettings(deadline: Deadline): Promise<Settings> {
    const beganMs = this.#io.clock.monoMs();
    const settings = settingsOf((await this.#session.query(SETTINGS, deadline)).data);
    this.#newest = { settings, beganMs };
    return settings;
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
    checkTuner(settings, ['POWER_TARGET']);
    if (settings['powerLimit'] === limitW) return;
    await before?.(settings);
    await this.#session.change(
      ['bosminer', 'config', 'updateAutotuning'],
      { query: LIMIT, variables: { input: { powerTarget: limitW } } },
      deadline,
    );
  }
}

const objectAt = (value: JsonObject, name: string): JsonObject => {
  const part = field(value, name);
  return isObject(part) ? part : {};
};

/** Pools stand in groups. */
const poolsIn = (data: JsonObject): readonly JsonObject[] =>
  poolsOf(partOf(data, 'bosminer', 'info', 'poolGroups'));

/** The target in force; while nothing is, the one that is set. */
function limitReading(inForceW: Json | undefined, { data, atMs }: GraphqlAnswer): Reading {
  const watts = inForceW ?? settingsOf(data)['powerLimit'];
  return watts === undefined
    ? missing(atMs, 'the tuner holds no power target')
    : numberReading(watts, MINER_BOUNDS.power, atMs);
}

/** What a curtailment must leave as it is, as far as the device says. */
function settingsOf(data: JsonObject): Settings {
  const settings: Record<string, string | number> = {};
  const tuner = partOf(data, 'bosminer', 'config', 'autotuning');
  const limitW = toNumber(partOf(tuner, 'powerTarget'));
  if (limitW !== undefined) settings['powerLimit'] = limitW;
  const mode = partOf(tuner, 'enabled') === false ? 'DISABLED' : wordOf(partOf(tuner, 'mode'));
  if (mode !== '') settings['tunerMode'] = mode;
  return { ...settings, ...settingsOfPools(poolsIn(data)) };
}

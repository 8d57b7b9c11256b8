/**
 * PowerPlay, the firmware of ePIC's control boards, on Antminer hardware: JSON over HTTP on port 4028.
 * Reading verified on a recorded answer of 1.5.13 from an S19 XP; commands from other clients and the maker's page only.
 */
import type { Endpoint } from '../../host/deps.ts';
import { field, isList, isObject } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline } from '../ask-cgminer.ts';
import { askJson } from '../ask-json.ts';
import type { JsonPage } from '../ask-json.ts';
import { boardReadings, madeWith } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import { LoginPause } from '../login-pause.ts';
import {
  errorsReading,
  listOf,
  modeReading,
  partOf,
  powerReading,
  rateReading,
  sharesReadings,
  tried,
  wordOf,
} from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { poolSettings } from '../pools.ts';
import { MINER_BOUNDS, missing, numberReading, textReading, toNumber } from '../readings.ts';

const MEGAHASH = 1e6;
const TH_IN_MH = 1e6;
const MOST_PARTS = 16;
const MOST_POOLS = 8;
/** The tuner that holds watts; the others hold a hashrate. */
const POWER_TUNE = 'PowerTune';

/** What its verbs truly do. Times are estimates. */
const VERBS = {
  sleep: { ...PLAIN_VERB, effectS: { typical: 20, atMost: 120 }, source: 'miner Stop' },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 150, atMost: 420 },
    source: 'miner Autostart',
  },
  'power-limit': {
    ...PLAIN_VERB,
    isAsynchronous: true,
    survivesReboot: true,
    startsTuning: true,
    effectS: { typical: 180, atMost: 900 },
    readBackS: 60,
    dwellS: 600,
    grain: { by: 'watts', stepW: 1 },
    source: 'perpetualtune/algo: the target of PowerTune; while it tunes, a new one may be taken and dropped',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'reboot',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'identify: the light alone' },
} as const;

export const epic: Driver = {
  name: 'epic',
  schemes: ['epic'],
  open: (target, io) => {
    checkOptions(target, ['api']);
    return new Epic(target, io);
  },
};

interface Summary {
  readonly value: JsonObject;
  readonly atMs: number;
}

class Epic implements Device {
  readonly driver = 'epic';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: { 'power-limit': 'powerLimit' } };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #origin: string;
  readonly #login: LoginPause;
  #newest: ReturnType<SettingsView['newest']>;
  /** What it says it was made for, MH/s, and with. */
  #factoryMhs: number | undefined;
  #boards: number | undefined;
  #chips: number | undefined;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    const port = portOption(target, 'api') ?? target.port ?? 4028;
    this.door = { host: target.host, port };
    this.#origin = `http://${target.host.includes(':') ? `[${target.host}]` : target.host}:${port}`;
    this.#login = new LoginPause(io.clock, { isCommand: true });
    this.verbs = target.password === undefined ? {} : this.#makeVerbs(target.password);
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const deadline = this.#deadline(timeoutMs);
    const { value } = await this.#summary(deadline);
    const model = wordOf(partOf((await this.#capabilities(deadline)).value, 'Model'));
    return {
      vendor: /^antminer/i.test(model) ? 'Bitmain' : '',
      model,
      firmware: wordOf(field(value, 'Software')),
    };
  }

  /** One page holds all there is but what it was made for: that belongs to a full reading. */
  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = this.#deadline(timeoutMs);
    const { value, atMs } = await this.#summary(deadline);
    if (scope === 'full') await tried(this.#capabilities(deadline));
    const hashrate = rateReading([[boardsRate(value), false]], {
      scale: MEGAHASH,
      factory: this.#factoryMhs,
      atMs,
    });
    const readings: Record<string, Reading> = {
      hashrate,
      power: powerOf(value, atMs),
      mode: modeOf(value, hashrate),
    };
    if (scope === 'full') {
      addFull(readings, value, atMs);
      Object.assign(readings, madeWith(this.#boards, this.#chips, atMs));
    }
    return readings;
  }

  close(): void {}

  #deadline(timeoutMs: number): Deadline {
    return new Deadline(this.#io.clock, timeoutMs);
  }

  #get(path: string, deadline: Deadline): Promise<JsonPage> {
    return askJson(this.#io, { method: 'GET', url: `${this.#origin}/${path}` }, deadline);
  }

  async #summary(deadline: Deadline): Promise<Summary> {
    const beganMs = this.#io.clock.monoMs();
    const { value, atMs } = await this.#get('summary', deadline);
    // Anything may answer there.
    if (!isObject(value) || wordOf(field(value, 'Software')) === '')
      throw new Fault('ANSWER_GARBAGE', `${this.#origin}/summary names no software`);
    this.#newest = { settings: settingsOf(value), beganMs };
    return { value, atMs };
  }

  async #capabilities(deadline: Deadline): Promise<JsonPage> {
    const page = await this.#get('capabilities', deadline);
    const factoryThs = toNumber(partOf(page.value, 'Default Hashrate'));
    if (factoryThs !== undefined) this.#factoryMhs = factoryThs * TH_IN_MH;
    this.#boards = toNumber(partOf(page.value, 'Max HBs'));
    const perBoard = toNumber(partOf(page.value, 'Performance Estimator', 'Chip Count'));
    if (this.#boards !== undefined && perBoard !== undefined) this.#chips = this.#boards * perBoard;
    return page;
  }

  #makeVerbs(password: string): Device['verbs'] {
    const post = (path: string, param: Json, deadline: Deadline): Promise<void> =>
      this.#login.login(() => this.#post(path, { param, password }, deadline));
    const run =
      (param: 'Stop' | 'Autostart') =>
      async (_argument: number | undefined, timeoutMs: number, before?: BeforeWrite): Promise<void> => {
        const deadline = this.#deadline(timeoutMs);
        // A password goes to nobody who does not name the firmware.
        const { value } = await this.#summary(deadline);
        await before?.(settingsOf(value));
        await post('miner', param, deadline);
      };
    return withFacts(VERBS, {
      sleep: run('Stop'),
      wake: run('Autostart'),
      'power-limit': async (limitW, timeoutMs, before) => {
        const deadline = this.#deadline(timeoutMs);
        const change = await this.#limit(limitW, deadline);
        if (change === undefined) return;
        await before?.(change.settings);
        await post('perpetualtune/algo', change.param, deadline);
      },
      reboot: async (_argument, timeoutMs) => {
        const deadline = this.#deadline(timeoutMs);
        // A page is asked for first, so that a broken-off answer below can only be the reboot itself.
        await this.#summary(deadline);
        try {
          await post('reboot', '0', deadline);
        } catch (error) {
          if (asFault(error).code !== 'NET_RESET') throw error;
        }
      },
      /** Argument 0 ends the blinking. */
      locate: async (argument, timeoutMs) => {
        const deadline = this.#deadline(timeoutMs);
        await this.#summary(deadline);
        await post('identify', argument !== 0, deadline);
      },
    });
  }

  async #post(
    path: string,
    body: { readonly param: Json; readonly password: string },
    deadline: Deadline,
  ): Promise<void> {
    const url = `${this.#origin}/${path}`;
    const { value } = await askJson(this.#io, { method: 'POST', url, body, secret: true }, deadline);
    const result = partOf(value, 'result');
    if (result === true) return;
    if (result !== false) throw new Fault('ANSWER_GARBAGE', `${url}: neither done nor refused`);
    const said = wordOf(partOf(value, 'error'));
    // It may have quoted what it was sent.
    const shown = said.includes(body.password) ? 'refused' : said || 'refused';
    throw new Fault(/passw|auth|credential/i.test(said) ? 'AUTH_FAILED' : 'VERB_REFUSED', `${url}: ${shown}`);
  }

  /** What is to be written for a limit, with the settings before it; undefined: it is in force. */
  async #limit(
    limitW: number | undefined,
    deadline: Deadline,
  ): Promise<{ readonly settings: Settings; readonly param: JsonObject } | undefined> {
    if (limitW === undefined || !Number.isInteger(limitW) || limitW <= 0 || limitW > MINER_BOUNDS.power.max)
      throw new Fault('USAGE', `power-limit ${limitW ?? ''}: whole watts, 1 to ${MINER_BOUNDS.power.max}`);
    const { value } = await this.#summary(deadline);
    const tuner = tunerOf(value);
    if (tuner?.name !== POWER_TUNE)
      throw new Fault(
        'VERB_REFUSED',
        `its tuner is ${tuner?.name ?? 'none'}, which a limit could not give back: choose ${POWER_TUNE} once on its own page`,
      );
    const settings = settingsOf(value);
    if (settings['powerLimit'] === limitW) return undefined;
    const { value: capabilities } = await this.#capabilities(deadline);
    const bounds = listOf(capabilities, 'PerpetualTune', MOST_PARTS).find(
      (one) => wordOf(field(one, 'algorithm')) === POWER_TUNE,
    );
    const throttle = toNumber(field(tuner.stats, 'Min Throttle Target'));
    const step = toNumber(field(tuner.stats, 'Throttle Step'));
    const least = Math.max(toNumber(bounds && field(bounds, 'min')) ?? 1, (throttle ?? 0) + (step ?? 0));
    const most = toNumber(bounds && field(bounds, 'max')) ?? MINER_BOUNDS.power.max;
    if (limitW < least || limitW > most)
      throw new Fault(
        'VERB_REFUSED',
        `${limitW} W: its tuner takes ${least} to ${most} W, above its least throttle`,
      );
    return {
      settings,
      param: {
        algo: POWER_TUNE,
        target: limitW,
        // Left out they would fall back to what it was shipped with.
        ...(throttle !== undefined && { min_throttle: throttle }),
        ...(step !== undefined && { throttle_step: step }),
      },
    };
  }
}

/** The first of a board's figures is MH/s. */
function rateOf(board: JsonObject): Json | undefined {
  const rate = field(board, 'Hashrate');
  return isList(rate) ? rate[0] : rate;
}

/** Of its boards together, MH/s; undefined: no boards. One that cannot be read spoils the sum. */
function boardsRate(summary: JsonObject): Json | undefined {
  const rates = listOf(summary, 'HBs', MOST_PARTS).map((board) => rateOf(board) ?? null);
  if (rates.length === 0) return undefined;
  const numbers = rates.map(toNumber);
  const bad = numbers.indexOf(undefined);
  return bad >= 0 ? rates[bad] : numbers.reduce<number>((sum, rate) => sum + (rate ?? 0), 0);
}

/** Measured where its supply shows the voltage and current that go with it; else the firmware's estimate. */
function powerOf(summary: JsonObject, atMs: number): Reading {
  const supply = partOf(summary, 'Power Supply Stats');
  const isThere = (name: string): boolean => (toNumber(partOf(supply, name)) ?? 0) > 0;
  const measured = isThere('Input Voltage') && isThere('Input Current');
  return powerReading(partOf(supply, 'Input Power'), atMs, measured);
}

/** Hashing is proof of mining. Idling it rests, unless that is for want of a pool: then it goes on by itself. */
function modeOf(summary: JsonObject, hashrate: Reading): Reading {
  if (hashrate.ok && Number(hashrate.value) > 0) return modeReading('mine', hashrate.atMs);
  if (!hashrate.ok && hashrate.why !== 'VALUE_MISSING') return hashrate;
  const state = wordOf(partOf(summary, 'Status', 'Operating State'));
  if (state === '') return missing(hashrate.atMs, 'it does not say what it does');
  if (state === 'Idling') {
    const told = partOf(summary, 'Status', 'Last Command');
    const wasStarted = /^autostart$/i.test(wordOf(told));
    // Told nothing since it started, it does what it does by itself.
    const lacksPool = told === undefined && field(summary, 'IdleOnConnectionLost') === true;
    return modeReading(wasStarted || lacksPool ? 'idle' : 'sleep', hashrate.atMs);
  }
  return state === 'Mining' && !hashrate.ok
    ? missing(hashrate.atMs, 'it says Mining, but not at what rate')
    : modeReading('idle', hashrate.atMs);
}

function addFull(readings: Record<string, Reading>, summary: JsonObject, atMs: number): void {
  readings['uptime'] = numberReading(partOf(summary, 'Session', 'Uptime'), MINER_BOUNDS.uptime, atMs);
  readings['pool.active'] = textReading(partOf(summary, 'Stratum', 'Current Pool'), atMs);
  const session = partOf(summary, 'Session');
  const shares = { accepted: partOf(session, 'Accepted'), rejected: partOf(session, 'Rejected') };
  Object.assign(readings, sharesReadings([shares], atMs));
  readings['errors'] = errorsReading([wordOf(partOf(summary, 'Status', 'Last Error'))], atMs);
  const tuner = tunerOf(summary);
  readings['power.limit'] =
    tuner?.name === POWER_TUNE && tuner.isRunning
      ? numberReading(field(tuner.stats, 'Target'), MINER_BOUNDS.power, atMs)
      : missing(atMs, 'its tuner holds no power');
  for (const [n, board] of listOf(summary, 'HBs', MOST_PARTS).entries())
    readings[`temperature.board.${(toNumber(field(board, 'Index')) ?? n) + 1}`] = numberReading(
      field(board, 'Temperature'),
      MINER_BOUNDS.temperature,
      atMs,
    );
  Object.assign(readings, boardReadings(boardsOf(summary, atMs), atMs));
  const fans = partOf(summary, 'Fans Rpm');
  for (const [name, rpm] of Object.entries(isObject(fans) ? fans : {}).slice(0, MOST_PARTS)) {
    const n = /^Fans Speed (\d{1,2})$/.exec(name)?.[1];
    // A place without a fan is null; a fan that stands still is zero.
    if (n !== undefined && rpm !== null) readings[`fan.${n}`] = numberReading(rpm, MINER_BOUNDS.fan, atMs);
  }
}

/** Those that are on: one that is off, and all while it is stopped, it does not list. */
function boardsOf(summary: JsonObject, atMs: number): readonly BoardTold[] {
  return listOf(summary, 'HBs', MOST_PARTS).map((board, n) => {
    const rate = rateOf(board);
    return {
      place: (toNumber(field(board, 'Index')) ?? n) + 1,
      ...(rate !== undefined && { rate: numberReading(rate, MINER_BOUNDS.hashrate, atMs, MEGAHASH) }),
    };
  });
}

/** The one algorithm that its tuner is set to. */
function tunerOf(summary: JsonObject): { name: string; stats: JsonObject; isRunning: boolean } | undefined {
  const algorithms = partOf(summary, 'PerpetualTune', 'Algorithm');
  const [first] = isObject(algorithms) ? Object.entries(algorithms) : [];
  if (!first || !isObject(first[1])) return undefined;
  const isRunning = partOf(summary, 'PerpetualTune', 'Running') === true;
  return { name: first[0].slice(0, 40), stats: first[1], isRunning };
}

/** What a curtailment must leave as it is. */
function settingsOf(summary: JsonObject): Settings {
  const settings: Record<string, string | number> = {};
  const keep = (name: string, raw: Json | undefined): void => {
    const value = toNumber(raw);
    if (value !== undefined) settings[name] = value;
  };
  const tuner = tunerOf(summary);
  if (tuner) {
    settings['tuner'] = tuner.isRunning ? tuner.name : `${tuner.name}, off`;
    keep(tuner.name === POWER_TUNE ? 'powerLimit' : 'tunerTarget', field(tuner.stats, 'Target'));
    keep('minThrottle', field(tuner.stats, 'Min Throttle Target'));
    keep('throttleStep', field(tuner.stats, 'Throttle Step'));
  }
  const fans = partOf(summary, 'Fans', 'Fan Mode');
  if (fans !== undefined) settings['fans'] = JSON.stringify(fans).slice(0, 100);
  keep('shutdownTemp', partOf(summary, 'Misc', 'Shutdown Temp'));
  const pools = listOf(summary, 'StratumConfigs', MOST_POOLS).map((pool) => ({
    url: wordOf(field(pool, 'pool')),
    user: wordOf(field(pool, 'login')),
    pass: wordOf(field(pool, 'password')),
  }));
  return { ...settings, ...poolSettings(pools) };
}

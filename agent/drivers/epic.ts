/**
 * PowerPlay, the firmware of ePIC's control boards, on Antminer hardware: JSON over HTTP on port 4028.
 * Reading verified on a recorded answer of 1.5.13 from an S19 XP; commands from other clients and the maker's page only.
 */
import type { Pool } from '../../config/pools.ts';
import type { Endpoint } from '../../host/deps.ts';
import { field, isObject } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline } from '../ask-cgminer.ts';
import { askJson } from '../ask-json.ts';
import type { JsonPage } from '../ask-json.ts';
import { madeWith } from '../boards.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import { LoginPause } from '../login-pause.ts';
import { listOf, partOf, rateReading, tried, wordOf } from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { hasPools } from '../pools.ts';
import {
  addFull,
  boardsRate,
  MEGAHASH,
  modeOf,
  MOST_PARTS,
  POWER_TUNE,
  powerOf,
  settingsOf,
  tunerOf,
} from './epic-summary.ts';
import { MINER_BOUNDS, toNumber } from '../readings.ts';

const TH_IN_MH = 1e6;
/** The maker's page: so many at most. */
const MOST_POOLS = 3;
/** The page that takes them. */
const POOLS = 'coin';

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
  pools: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    survivesReboot: true,
    effectS: { typical: 30, atMost: 300 },
    source: 'coin: three at most, in place of all there are; that it restarts mining is assumed',
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
      pools: async (pools, timeoutMs, before) => {
        const deadline = this.#deadline(timeoutMs);
        const { value } = await this.#summary(deadline);
        const param = poolsParam(pools, value);
        const settings = settingsOf(value);
        if (hasPools(pools, settings)) return;
        await before?.(settings);
        await post(POOLS, param, deadline);
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
    const error = partOf(value, 'error');
    const said = wordOf(error);
    // It may have quoted what it was sent: our password, which the cut of a long word may leave half, or those of pools.
    const quotes = (typeof error === 'string' && error.includes(body.password)) || path === POOLS;
    const shown = quotes ? 'refused' : said || 'refused';
    // Pools have passwords and logins of their own to be refused.
    const isLogin = /passw|auth|credential/i.test(said) && !(path === POOLS && /stratum|pool/i.test(said));
    throw new Fault(isLogin ? 'AUTH_FAILED' : 'VERB_REFUSED', `${url}: ${shown}`);
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
    // A target is for a tuner that runs: a stopped one takes it and moves nothing.
    if (!tuner.isRunning)
      throw new Fault('VERB_REFUSED', `its ${POWER_TUNE} is stopped: start it once on its own page`);
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

/** All that one write sets: the coin and whether workers get names of their own stay as they are. */
function poolsParam(pools: readonly Pool[], summary: JsonObject): Json {
  const coin = wordOf(partOf(summary, 'Mining', 'Coin'));
  const unique = partOf(summary, 'Stratum', 'Worker Unique Id');
  if (pools.length > MOST_POOLS)
    throw new Fault('VERB_REFUSED', `it holds ${MOST_POOLS} pools at most, not ${pools.length}`);
  if (coin === '' || typeof unique !== 'boolean')
    throw new Fault(
      'ANSWER_GARBAGE',
      'its summary does not say coin and worker ids, which pools would overwrite',
    );
  return {
    coin,
    stratum_configs: pools.map(({ url, user, pass }) => ({ pool: url, login: user, password: pass })),
    unique_id: unique,
  };
}

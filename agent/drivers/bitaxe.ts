/**
 * AxeOS, the firmware of Bitaxe boards: one page of JSON over HTTP, no password.
 * Reading verified on a recorded answer of v2.4.5 from a BM1368; commands from the published interface only.
 */
import type { Pool } from '../../config/pools.ts';
import type { Endpoint } from '../../host/deps.ts';
import { field, isObject } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline } from '../ask-cgminer.ts';
import { askJson } from '../ask-json.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import {
  modeReading,
  namedReadings,
  powerReading,
  rateReading,
  sharesReadings,
  wordOf,
} from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { hasPools, poolSettings } from '../pools.ts';
import { MINER_BOUNDS, missing, toNumber, uncertain } from '../readings.ts';

const GIGAHASH = 1e9;
/** What a curtailment must leave as it is. */
const SETTINGS = ['frequency', 'coreVoltage', 'autofanspeed'] as const;
/** Its two pools by the words before their names: address, port and user apart. */
const PLACES = ['stratum', 'fallbackStratum'] as const;

interface Info {
  readonly value: JsonObject;
  readonly atMs: number;
}

export const bitaxe: Driver = {
  name: 'bitaxe',
  schemes: ['bitaxe'],
  open: (target, io) => {
    checkOptions(target, ['http']);
    return new Bitaxe(target, io);
  },
};

/** What its verbs truly do. Times are estimates from documents. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    effectS: { typical: 5, atMost: 30 },
    source: 'pause of AxeOS 2.14; no document says what a restart makes of it',
  },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    effectS: { typical: 15, atMost: 60 },
    source: 'resume of AxeOS 2.14',
  },
  pools: {
    ...PLAIN_VERB,
    restartsMining: true,
    survivesReboot: true,
    effectS: { typical: 10, atMost: 180 },
    source: 'PATCH of the settings, and a restart, from which on they are mined at',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'restart: the board answers and goes down',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'identify: it ends by itself' },
} as const;

class Bitaxe implements Device {
  readonly driver = 'bitaxe';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: {} };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #origin: string;
  #newest: ReturnType<SettingsView['newest']>;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    const port = portOption(target, 'http') ?? target.port ?? 80;
    this.door = { host: target.host, port };
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    this.#origin = `http://${host}:${port}`;
    this.verbs = withFacts(VERBS, {
      sleep: async (_argument, timeoutMs, before) => {
        await this.#act('pause', timeoutMs, before);
      },
      wake: async (_argument, timeoutMs, before) => {
        await this.#act('resume', timeoutMs, before);
      },
      pools: (pools, timeoutMs, before) => this.#setPools(pools, timeoutMs, before),
      reboot: async (_argument, timeoutMs) => {
        await this.#act('restart', timeoutMs, undefined);
      },
      locate: async (argument, timeoutMs) => {
        if (argument === 0)
          throw new Fault('VERB_UNSUPPORTED', 'AxeOS has no word to end its blinking: wait until it does');
        await this.#locate(timeoutMs);
      },
    });
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { value } = await this.#info(new Deadline(this.#io.clock, timeoutMs));
    return {
      vendor: 'Bitaxe',
      model: wordOf(field(value, 'ASICModel')),
      firmware: `AxeOS ${wordOf(field(value, 'version'))}`.trim(),
    };
  }

  /** One page holds all there is: a fast reading is a full one. */
  async read(_scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const { value, atMs } = await this.#info(new Deadline(this.#io.clock, timeoutMs));
    const hashrate = rateReading([[field(value, 'hashRate') ?? undefined, false]], {
      scale: GIGAHASH,
      factory: toNumber(field(value, 'expectedHashrate')),
      atMs,
    });
    return {
      hashrate,
      // A sensor at the input: it agrees with `voltage` times `current`.
      power: powerReading(field(value, 'power') ?? undefined, atMs, true),
      mode: modeOf(value, hashrate),
      'pool.active': activePool(value, atMs),
      ...sharesReadings(
        [{ accepted: field(value, 'sharesAccepted'), rejected: field(value, 'sharesRejected') }],
        atMs,
      ),
      ...namedReadings(value, atMs, [
        ['temperature.chip.1', 'temp', MINER_BOUNDS.temperature],
        ['fan.1', 'fanrpm', MINER_BOUNDS.fan],
        ['uptime', 'uptimeSeconds', MINER_BOUNDS.uptime],
        // What the board was made with; how many of them answer it does not say.
        ['chips.expected', 'asicCount', MINER_BOUNDS.chips],
      ]),
    };
  }

  close(): void {}

  async #info(deadline: Deadline): Promise<Info> {
    const beganMs = this.#io.clock.monoMs();
    const url = `${this.#origin}/api/system/info`;
    const { value, atMs } = await askJson(this.#io, { method: 'GET', url }, deadline);
    // Anything may answer on port 80: without the chip's name it is no AxeOS, and is told nothing.
    if (!isObject(value) || wordOf(field(value, 'ASICModel')) === '')
      throw new Fault('ANSWER_GARBAGE', `${url} names no ASICModel`);
    this.#newest = { settings: settingsOf(value), beganMs };
    return { value, atMs };
  }

  /**
   * Newer firmware takes a second asking for the end of the blinking, and says so (ESP-Miner, `POST_identify`: `The
   * device no longer says "Hi!".`): then it is asked once more.
   */
  async #locate(timeoutMs: number): Promise<void> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const ask = (): Promise<string> => this.#act('identify', deadline.leftMs(), undefined);
    if (/no longer/i.test(await ask())) await ask();
  }

  /** Resolves to what it says. */
  async #act(
    word: 'pause' | 'resume' | 'restart' | 'identify',
    timeoutMs: number,
    before: BeforeWrite | undefined,
  ): Promise<string> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const { value } = await this.#info(deadline);
    await before?.(settingsOf(value));
    try {
      // That some versions confirm it in plain words is no refusal: its status counts, and proof is a reading.
      const url = `${this.#origin}/api/system/${word}`;
      return (await askJson(this.#io, { method: 'POST', url, unread: true }, deadline)).said;
    } catch (error) {
      const fault = asFault(error);
      if (fault.code === 'VERB_UNSUPPORTED' && (word === 'pause' || word === 'resume'))
        throw new Fault(
          fault.code,
          `AxeOS ${wordOf(field(value, 'version'))} cannot ${word}: from v2.14 on it can`,
        );
      // The page before was whole: what breaks off now is the restart itself.
      if (fault.code !== 'NET_RESET' || word !== 'restart') throw fault;
      return '';
    }
  }

  /** They are written down at once and mined at after a restart, which may have been missed the last time. */
  async #setPools(pools: readonly Pool[], timeoutMs: number, before: BeforeWrite | undefined): Promise<void> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const body = poolWords(pools);
    const settings = settingsOf((await this.#info(deadline)).value);
    await before?.(settings);
    if (!hasPools(pools, settings))
      await askJson(
        this.#io,
        { method: 'PATCH', url: `${this.#origin}/api/system`, body, unread: true, secret: true },
        deadline,
      );
    await this.#act('restart', deadline.leftMs(), undefined);
  }
}

/** Hashing is proof of mining, whatever it says of itself; before v2.14 there is no pause to speak of. */
function modeOf(info: JsonObject, hashrate: Reading): Reading {
  if (!hashrate.ok) return hashrate;
  const isPaused = field(info, 'miningPaused') === true || field(info, 'miningPaused') === 1;
  if (Number(hashrate.value) > 0) {
    const mining = modeReading('mine', hashrate.atMs);
    return isPaused ? uncertain(mining, 'says that it is paused') : mining;
  }
  return modeReading(isPaused ? 'sleep' : 'idle', hashrate.atMs);
}

function activePool(info: JsonObject, atMs: number): Reading {
  const isFallback = toNumber(field(info, 'isUsingFallbackStratum')) === 1;
  const host = wordOf(field(info, isFallback ? 'fallbackStratumURL' : 'stratumURL'));
  const port = toNumber(field(info, isFallback ? 'fallbackStratumPort' : 'stratumPort'));
  if (host === '') return missing(atMs);
  const value = port === undefined ? host : `${host}:${port}`;
  return { ok: true, value, unit: 'text', quality: 'good', atMs };
}

function settingsOf(info: JsonObject): Settings {
  const settings: Record<string, string | number> = {};
  for (const name of SETTINGS) {
    const value = field(info, name);
    if (typeof value === 'string') settings[name] = wordOf(value);
    else if (typeof value === 'number') settings[name] = value;
  }
  const told = PLACES.map((place) => {
    const host = wordOf(field(info, `${place}URL`));
    const port = toNumber(field(info, `${place}Port`));
    const url = host === '' || port === undefined ? host : `${host}:${port}`;
    return { url, user: wordOf(field(info, `${place}User`)) };
  });
  return { ...settings, ...poolSettings(told) };
}

/** The words for a board that takes plain stratum and two pools at most. Throws VERB_REFUSED for anything else. */
function poolWords(pools: readonly Pool[]): JsonObject {
  if (pools.length > PLACES.length)
    throw new Fault('VERB_REFUSED', `AxeOS holds ${PLACES.length} pools: the set has ${pools.length}`);
  const words = PLACES.flatMap((place, index): [string, string | number][] => {
    const pool = pools[index];
    if (pool === undefined) return [[`${place}URL`, '']];
    const [, host = '', port = ''] = /^stratum\+tcp:\/\/([^:/]+):(\d+)\/?$/.exec(pool.url) ?? [];
    if (host === '') throw new Fault('VERB_REFUSED', `AxeOS takes stratum+tcp://host:port, not ${pool.url}`);
    return [
      [`${place}URL`, host],
      [`${place}Port`, Number(port)],
      [`${place}User`, pool.user],
      [`${place}Password`, pool.pass],
    ];
  });
  return Object.fromEntries(words);
}

/**
 * Auradine miners with FluxOS: cgminer's API on 4028 tells the rates, pages behind a token the rest.
 * From documents only: sample answers that public clients carry, none of them recorded by us.
 */
import type { Pool } from '../../config/pools.ts';
import type { Endpoint } from '../../host/deps.ts';
import { field, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { askCgminer, Deadline, poolReadings, poolsTold } from '../ask-cgminer.ts';
import type { Asked } from '../ask-cgminer.ts';
import { boardReadings, devBoard } from '../boards.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import {
  listOf,
  modeReading,
  powerReading,
  rateReading,
  sectionValue,
  tried,
  wordOf,
} from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { hasPools, poolSettings } from '../pools.ts';
import { MINER_BOUNDS, missing, numberReading, toNumber, uncertain, unreadable } from '../readings.ts';
import { AuradineSession } from './auradine-session.ts';

const MEGAHASH = 1e6;
const MOST_BOARDS = 16;
const MOST_CHIPS = 512;
const MOST_FANS = 16;
/** Codes of its light. */
const LOCATE = 3;
const NORMAL = 2;
/** The one mode in which it holds watts. */
const CUSTOM = 'custom';

/** What its verbs truly do. Nobody has told any of its times: estimates. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    isAsynchronous: true,
    effectS: { typical: 15, atMost: 60 },
    source: 'mode with sleep on; estimates',
  },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 60, atMost: 240 },
    source: 'mode with sleep off; estimates',
  },
  'power-limit': {
    ...PLAIN_VERB,
    isAsynchronous: true,
    startsTuning: true,
    effectS: { typical: 60, atMost: 600 },
    readBackS: 60,
    dwellS: 300,
    grain: { by: 'watts', stepW: 1 },
    source:
      'mode custom with tune power, only where it holds watts already; that it tunes is its own word, estimates',
  },
  pools: {
    ...PLAIN_VERB,
    survivesReboot: true,
    effectS: { typical: 10, atMost: 120 },
    source: 'updatepools: a list in place of all there are; estimates',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'restart; estimates',
  },
  locate: { ...PLAIN_VERB, source: 'led with code 3, ended by code 2' },
} as const;

export const auradine: Driver = {
  name: 'auradine',
  schemes: ['auradine'],
  open: (target, io) => {
    checkOptions(target, ['http', 'api']);
    return new Auradine(target, io);
  },
};

class Auradine implements Device {
  readonly driver = 'auradine';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: { 'power-limit': 'powerLimit' } };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #api: Endpoint;
  readonly #session: AuradineSession;
  #newest: ReturnType<SettingsView['newest']>;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    const port = portOption(target, 'http') ?? target.port ?? 8080;
    this.door = { host: target.host, port };
    this.#api = { host: target.host, port: portOption(target, 'api') ?? 4028 };
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    this.#session = new AuradineSession(io, `http://${host}:${port}`, {
      user: target.user ?? 'admin',
      password: target.password,
    });
    this.verbs = target.password === undefined ? {} : this.#makeVerbs();
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const report = await tried(this.#session.get('ipreport', deadline));
    if (!(report instanceof Fault)) {
      const model = wordOf(sectionValue(report.value, 'IPReport', 'model'));
      const version = wordOf(sectionValue(report.value, 'IPReport', 'version'));
      if (model !== '') return { vendor: 'Auradine', model, firmware: `FluxOS ${version}`.trim() };
    } else if (report.code !== 'AUTH_FAILED' && report.code !== 'VERB_UNSUPPORTED') throw report;
    // What everybody may ask.
    const { value } = await askCgminer(this.#io, this.#api, 'version', deadline);
    const version = wordOf(sectionValue(value, 'VERSION', 'GCMiner'));
    if (version === '') throw new Fault('ANSWER_GARBAGE', 'version: names no GCMiner');
    return { vendor: 'Auradine', model: '', firmware: `GCMiner ${version}` };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const summary = await this.#ask('summary', deadline);
    const hashrate = summary instanceof Fault ? this.#unread(summary) : hashrateOf(summary);
    const psu = await tried(this.#session.get('psu', deadline));
    if (summary instanceof Fault && psu instanceof Fault) throw summary;
    const readings: Record<string, Reading> = {
      hashrate,
      // Each supply measures it, at its input.
      power: psu instanceof Fault ? this.#unread(psu) : powerReading(inputOf(psu.value), psu.atMs, true),
      mode: await this.#mode(hashrate, deadline),
      uptime:
        summary instanceof Fault
          ? this.#unread(summary)
          : numberReading(
              sectionValue(summary.value, 'SUMMARY', 'Elapsed'),
              MINER_BOUNDS.uptime,
              summary.atMs,
            ),
    };
    if (scope === 'full') await this.#addFull(readings, deadline);
    return readings;
  }

  close(): void {}

  async #addFull(readings: Record<string, Reading>, deadline: Deadline): Promise<void> {
    const pools = await this.#ask('pools', deadline);
    Object.assign(
      readings,
      pools instanceof Fault ? { 'pool.active': this.#unread(pools) } : poolReadings(pools),
    );
    const setup = await tried(this.#readSetup(deadline, pools));
    readings['power.limit'] =
      setup instanceof Fault
        ? this.#unread(setup)
        : setup.settings['powerLimit'] === undefined
          ? missing(setup.atMs, `in mode ${String(setup.settings['mode'])} it holds no watts`)
          : numberReading(setup.settings['powerLimit'], MINER_BOUNDS.power, setup.atMs);
    const devs = await this.#ask('devs', deadline);
    if (devs instanceof Fault) readings['temperature.board.1'] = this.#unread(devs);
    else {
      const boards = listOf(devs.value, 'DEVS', MOST_BOARDS).map((board) => {
        const place = toNumber(field(board, 'ID')) ?? 0;
        readings[`temperature.board.${place}`] = numberReading(
          field(board, 'Temperature'),
          MINER_BOUNDS.temperature,
          devs.atMs,
        );
        return devBoard(board, place, devs.atMs);
      });
      Object.assign(readings, boardReadings(boards, devs.atMs, devs.partial));
    }
    const fan = await tried(this.#session.get('fan', deadline));
    if (fan instanceof Fault) readings['fan.1'] = this.#unread(fan);
    else
      for (const [at, each] of listOf(fan.value, 'Fan', MOST_FANS).entries())
        readings[`fan.${toNumber(field(each, 'ID')) ?? at + 1}`] = numberReading(
          field(each, 'Speed'),
          MINER_BOUNDS.fan,
          fan.atMs,
        );
    const chips = await tried(this.#session.get('temperature', deadline));
    // Older firmware has no such page, and nothing is said of chips then.
    if (!(chips instanceof Fault)) Object.assign(readings, chipReadings(chips.value, chips.atMs));
  }

  async #ask(command: string, deadline: Deadline): Promise<Asked | Fault> {
    return tried(askCgminer(this.#io, this.#api, command, deadline));
  }

  #unread(fault: Fault): Reading {
    return unreadable(fault.code, this.#io.clock.wallMs(), fault.detail);
  }

  /** Hashing is proof of mining; at rest or with no rate to be had, its own word of sleep counts, and nothing less. */
  async #mode(hashrate: Reading, deadline: Deadline): Promise<Reading> {
    const hashed = hashrate.ok && Number(hashrate.value) > 0;
    if (hashed && hashrate.quality === 'good') return modeReading('mine', hashrate.atMs);
    const page = await tried(this.#session.get('mode', deadline));
    if (page instanceof Fault) return hashrate.ok ? this.#unread(page) : hashrate;
    const sleep = sectionValue(page.value, 'Mode', 'Sleep');
    if (sleep === 'on' || sleep === true) return modeReading('sleep', page.atMs);
    // An average goes on above zero after it has stopped: not told to sleep, it probably mines.
    if (hashed) return uncertain(modeReading('mine', page.atMs), 'average only');
    if (!hashrate.ok) return hashrate;
    return sleep === 'off' || sleep === false
      ? modeReading('idle', page.atMs)
      : missing(page.atMs, 'not hashing, and it does not say whether it sleeps');
  }

  #makeVerbs(): Device['verbs'] {
    const mode =
      (sleep: 'on' | 'off') =>
      async (_argument: number | undefined, timeoutMs: number, before?: BeforeWrite): Promise<void> => {
        const deadline = new Deadline(this.#io.clock, timeoutMs);
        if (before) {
          // It overwrites no setting: those that cannot be read now are no reason to go on hashing.
          const setup = await tried(this.#readSetup(deadline));
          await before(setup instanceof Fault ? {} : setup.settings);
        }
        await this.#session.post('mode', { sleep }, deadline);
      };
    return withFacts(VERBS, {
      sleep: mode('on'),
      wake: mode('off'),
      'power-limit': (argument, timeoutMs, before) =>
        this.#limit(argument, new Deadline(this.#io.clock, timeoutMs), before),
      pools: (pools, timeoutMs, before) =>
        this.#setPools(pools, new Deadline(this.#io.clock, timeoutMs), before),
      reboot: async (_argument, timeoutMs) => {
        const deadline = new Deadline(this.#io.clock, timeoutMs);
        // A page is asked for first, so that a broken-off answer below can only be the reboot itself.
        await this.#session.get('mode', deadline);
        try {
          await this.#session.post('restart', {}, deadline);
        } catch (error) {
          if (asFault(error).code !== 'NET_RESET') throw error;
        }
      },
      /** Argument 0 ends the blinking. */
      locate: (argument, timeoutMs) =>
        this.#session.post(
          'led',
          { code: argument === 0 ? NORMAL : LOCATE },
          new Deadline(this.#io.clock, timeoutMs),
        ),
    });
  }

  /** Only where watts are held already: from another mode there would be no way back by a limit. */
  async #limit(
    limitW: number | undefined,
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    if (limitW === undefined || !Number.isInteger(limitW) || limitW <= 0 || limitW > MINER_BOUNDS.power.max)
      throw new Fault('USAGE', `power-limit ${limitW ?? ''}: whole watts, 1 to ${MINER_BOUNDS.power.max}`);
    const { settings } = await this.#readSetup(deadline);
    if (settings['powerLimit'] === undefined)
      throw new Fault(
        'VERB_REFUSED',
        `in mode ${String(settings['mode'])} it holds no watts, and a limit could not be taken back: set mode custom with a power once, by hand`,
      );
    if (settings['powerLimit'] === limitW) return;
    await before?.(settings);
    await this.#session.post('mode', { mode: CUSTOM, tune: 'power', power: limitW }, deadline);
    const after = await tried(this.#readSetup(deadline));
    // Not read again, it is for the next reading to tell.
    if (!(after instanceof Fault) && after.settings['powerLimit'] !== limitW)
      throw new Fault('VERB_NOT_OBSERVED', `taken, and it holds ${String(after.settings['powerLimit'])} W`);
  }

  async #setPools(
    pools: readonly Pool[],
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const { settings } = await this.#readSetup(deadline);
    if (hasPools(pools, settings)) return;
    await before?.(settings);
    const words = pools.map(({ url, user, pass }) => ({ url, user, pass }));
    await this.#session.post('updatepools', { pools: words }, deadline, { secret: true });
  }

  /** `known`: pools that have just been read. */
  async #readSetup(
    deadline: Deadline,
    known?: Asked | Fault,
  ): Promise<{ readonly settings: Settings; readonly atMs: number }> {
    const beganMs = this.#io.clock.monoMs();
    const { value, atMs } = await this.#session.get('mode', deadline);
    const mode = wordOf(sectionValue(value, 'Mode', 'Mode'));
    if (mode === '') throw new Fault('ANSWER_GARBAGE', 'mode: names none');
    const limitW = plainNumber(sectionValue(value, 'Mode', 'Power'), 'W');
    const pools = known ?? (await this.#ask('pools', deadline));
    const settings: Settings = {
      mode,
      // A power it names in another mode is one it does not hold.
      ...(mode === CUSTOM && typeof limitW === 'number' && { powerLimit: limitW }),
      ...(!(pools instanceof Fault) && !pools.partial && poolSettings(poolsTold(pools.value))),
    };
    this.#newest = { settings, beganMs };
    return { settings, atMs };
  }
}

/** `"58.94W"` as a number of this unit; anything else as it is, to be refused where it is read. */
function plainNumber(raw: Json | undefined, unit: string): Json | undefined {
  if (typeof raw !== 'string') return raw;
  const text = raw.trim();
  return toNumber(text.endsWith(unit) ? text.slice(0, -unit.length) : text) ?? raw;
}

/** Of all supplies together, W; one that cannot be read spoils the sum. */
function inputOf(page: JsonObject): Json | undefined {
  const inputs = sectionOf(page, 'PSU').map((supply) => plainNumber(field(supply, 'PowerIn'), 'W'));
  const numbers = inputs.filter((input) => typeof input === 'number');
  return numbers.length > 0 && numbers.length === inputs.length
    ? numbers.reduce((sum, watts) => sum + watts, 0)
    : inputs.find((input) => typeof input !== 'number');
}

function hashrateOf({ value, atMs, partial }: Asked): Reading {
  const [summary] = sectionOf(value, 'SUMMARY');
  const of = (key: string): Json | undefined => summary && field(summary, key);
  const reading = rateReading(
    [
      [of('MHS 5s'), false],
      [of('MHS 1m'), false],
      [of('MHS av'), true],
    ],
    { scale: MEGAHASH, factory: undefined, atMs },
  );
  const isCut = partial && !reading.ok && reading.why === 'VALUE_MISSING';
  return isCut ? unreadable('ANSWER_PARTIAL', atMs) : reading;
}

/** The hottest chip of each board; 0 is the control board, which has none. */
function chipReadings(value: JsonObject, atMs: number): Record<string, Reading> {
  const readings: Record<string, Reading> = {};
  for (const board of listOf(value, 'Temperature', MOST_BOARDS + 1)) {
    const chips = listOf(board, 'ChipTemp', MOST_CHIPS).map((chip) => toNumber(field(chip, 'Temperature')));
    const known = chips.filter((chip) => chip !== undefined);
    if (known.length > 0)
      readings[`temperature.chip.${toNumber(field(board, 'ID')) ?? 0}`] = numberReading(
        Math.max(...known),
        MINER_BOUNDS.temperature,
        atMs,
      );
  }
  return readings;
}

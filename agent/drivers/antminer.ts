/**
 * Bitmain Antminer with stock firmware of 2020 and later (S19 family to S21).
 * Verified on recorded answers (4028 `stats`, `summary`, `pools`, `version`) and on a mock by others (its CGI pages).
 */
import type { Pool } from '../../config/pools.ts';
import type { Endpoint } from '../../host/deps.ts';
import { field, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { askCgminer, Deadline, poolReadings } from '../ask-cgminer.ts';
import type { Asked } from '../ask-cgminer.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, SettingsView, Target } from '../driver.ts';
import { checkOptions, portOption } from '../options.ts';
import { hasPools } from '../pools.ts';
import { MINER_BOUNDS, middleMs, missing, numberReading, uncertain, unreadable } from '../readings.ts';
import { confWith, settingsOf, WORK_MODE, workModeOf } from './antminer-conf.ts';
import { measured, minerStats, silentReadings, statsReadings } from './antminer-stats.ts';
import { statsOfPage } from './antminer-page.ts';
import { AntminerWeb } from './antminer-web.ts';

/** A miner that says nothing of hashing and was seen configured to sleep this recently still sleeps: one connection less. */
const SLEEP_PROOF_MS = 60_000;
/** A start takes minutes at most; set to mine and idle for longer, a machine is told again. */
const STUCK_MS = 240_000;

const GET_CONF = '/cgi-bin/get_miner_conf.cgi';

/** What its verbs truly do. Times are estimates from documents. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    isAsynchronous: true,
    survivesReboot: true,
    effectS: { typical: 15, atMost: 60 },
    source: 'a work mode in the configuration file; the page answers before the restart in the background',
  },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    survivesReboot: true,
    effectS: { typical: 90, atMost: 240 },
    source: 'every write of the configuration restarts the miner; a start takes minutes',
  },
  pools: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    survivesReboot: true,
    effectS: { typical: 5, atMost: 60 },
    source: 'a write of the configuration, which restarts the miner; it shows in the configuration',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 90, atMost: 300 },
    source: 'the page answers on its way down, or breaks off',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'the light alone' },
} as const;

export const antminer: Driver = {
  name: 'antminer',
  schemes: ['antminer'],
  open: (target, io) => {
    checkOptions(target, ['http', 'api', 'powerPort']);
    return new Antminer(target, io);
  },
};

type WorkMode = () => Promise<number | undefined>;

class Antminer implements Device {
  readonly driver = 'antminer';
  readonly verbs: Device['verbs'];
  readonly #io: DeviceIo;
  readonly door: Endpoint;
  readonly #host: string;
  readonly #powerPort: number | undefined;
  readonly #web: AntminerWeb | undefined;
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: { wake: 'workMode' } };
  #newest: ReturnType<SettingsView['newest']>;
  #sleepProvenMs = Number.NEGATIVE_INFINITY;
  /** Since when it is set to mine and does not; Infinity: it is not so. */
  #idleSinceMs = Number.POSITIVE_INFINITY;
  /** Counts our writes: a configuration read before one proves nothing after it. */
  #writes = 0;
  /** Work mode to return to, seen before the last sleep. */
  #mineMode: number = WORK_MODE.normal;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    this.#host = target.host.includes(':') ? `[${target.host}]` : target.host;
    this.door = { host: target.host, port: portOption(target, 'api') ?? target.port ?? 4028 };
    this.#powerPort = portOption(target, 'powerPort');
    const base = `http://${this.#host}:${portOption(target, 'http') ?? 80}`;
    this.#web =
      target.password === undefined
        ? undefined
        : new AntminerWeb(io, { base, user: target.user ?? 'root', password: target.password });
    this.verbs = this.#web ? makeVerbs(this, this.#web) : {};
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    try {
      return identityOf(await askCgminer(this.#io, this.door, 'version', deadline));
    } catch (error) {
      if (!this.#web) throw error;
      const info = await this.#web.json('/cgi-bin/get_system_info.cgi', deadline).catch(() => undefined);
      const model = info && field(info, 'minertype');
      const firmware = info && field(info, 'system_filesystem_version');
      if (typeof model !== 'string') throw error;
      return { vendor: 'Bitmain', model, firmware: typeof firmware === 'string' ? firmware : '' };
    }
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const startMs = this.#io.clock.monoMs();
    const stats = await this.#stats(deadline);
    const atMs = stats instanceof Fault ? middleMs(this.#io.clock, startMs) : stats.atMs;
    const miner = stats instanceof Fault ? undefined : minerStats(stats.value);
    const readings: Record<string, Reading> =
      miner && !(stats instanceof Fault) ? statsReadings(miner, stats) : silentReadings(atMs, stats);
    const workMode = this.#workModeOnce(deadline);
    const mode = await this.#mode(readings['hashrate'], stats, { scope, atMs, workMode });
    readings['mode'] = mode;
    if (mode.ok && mode.value !== 'idle') this.#idleSinceMs = Number.POSITIVE_INFINITY;
    else if (mode.ok) this.#idleSinceMs = Math.min(this.#idleSinceMs, this.#io.clock.monoMs());
    if (!readings['power']?.ok && this.#powerPort !== undefined)
      readings['power'] = await this.#portPower(deadline);
    if (scope === 'full') await this.#addFull(readings, deadline, workMode);
    return readings;
  }

  /** By the API, or where it is closed by the page with the same figures; why not, when there is no such page. */
  async #stats(deadline: Deadline): Promise<Asked | Fault> {
    const told = await askCgminer(this.#io, this.door, 'stats', deadline).catch(asFault);
    if (!(told instanceof Fault)) return told;
    if (told.code !== 'NET_REFUSED' || !this.#web) throw told;
    const startMs = this.#io.clock.monoMs();
    try {
      const value = statsOfPage(await this.#web.json('/cgi-bin/stats.cgi', deadline));
      return { value, partial: false, notes: [], atMs: middleMs(this.#io.clock, startMs) };
    } catch {
      return told;
    }
  }

  close(): void {}

  /** Hashing is proof of mining. Not hashing, the configuration says whether that is meant. */
  async #mode(
    hashrate: Reading | undefined,
    stats: Asked | Fault,
    { scope, atMs, workMode }: { scope: 'fast' | 'full'; atMs: number; workMode: WorkMode },
  ): Promise<Reading> {
    const mode = (value: string): Reading => ({ ok: true, value, unit: 'text', quality: 'good', atMs });
    if (hashrate?.ok) {
      if (Number(hashrate.value) > 0) {
        this.#sleepProvenMs = Number.NEGATIVE_INFINITY;
        return hashrate.quality === 'good'
          ? mode('mine')
          : uncertain(mode('mine'), hashrate.why ?? 'average only');
      }
    } else if (hashrate && hashrate.why !== 'VALUE_MISSING') {
      return hashrate;
    }
    if (!this.#web) return missing(atMs, 'asleep or starting: needs a password to tell');
    const askedMs = this.#io.clock.monoMs();
    // Statistics at zero rather than none are a start, not a sleep: no old proof stands against them.
    if (scope === 'full' || hashrate?.ok || askedMs - this.#sleepProvenMs > SLEEP_PROOF_MS) {
      const writes = this.#writes;
      this.#sleepProvenMs = Number.NEGATIVE_INFINITY;
      try {
        const asked = await workMode();
        if (asked === undefined) return missing(atMs, 'the configuration names no work mode');
        if (asked !== WORK_MODE.sleep)
          return stats instanceof Fault
            ? missing(atMs, 'the mining API is closed, and no page says whether it mines')
            : mode('idle');
        if (writes === this.#writes) this.#sleepProvenMs = askedMs;
      } catch (error) {
        if (stats instanceof Fault) throw stats;
        return unreadable(asFault(error).code, atMs, asFault(error).detail);
      }
    }
    return stats instanceof Fault ? uncertain(mode('sleep'), 'the mining API is closed') : mode('sleep');
  }

  async #addFull(readings: Record<string, Reading>, deadline: Deadline, workMode: WorkMode): Promise<void> {
    const now = (): number => this.#io.clock.wallMs();
    try {
      const pools = await askCgminer(this.#io, this.door, 'pools', deadline);
      Object.assign(readings, poolReadings(pools));
    } catch (error) {
      readings['pool.active'] = unreadable(asFault(error).code, now());
    }
    if (!this.#web) return;
    try {
      readings['workMode'] = numberReading(await workMode(), { unit: '1', min: 0, max: 99 }, now());
    } catch (error) {
      readings['workMode'] = unreadable(asFault(error).code, now());
    }
  }

  /** The work mode the configuration asks for, read at most once. */
  #workModeOnce(deadline: Deadline): WorkMode {
    let asked: Promise<number | undefined> | undefined;
    return () =>
      (asked ??= this.#web ? this.#conf(this.#web, deadline).then(workModeOf) : Promise.resolve(undefined));
  }

  async #conf(web: AntminerWeb, deadline: Deadline): Promise<JsonObject> {
    const beganMs = this.#io.clock.monoMs();
    const conf = await web.json(GET_CONF, deadline);
    this.#newest = { settings: settingsOf(conf), beganMs };
    return conf;
  }

  /** Some models answer `…:3250` at a port of its own (6060). */
  async #portPower(deadline: Deadline): Promise<Reading> {
    const startMs = this.#io.clock.monoMs();
    try {
      const url = `http://${this.#host}:${this.#powerPort}/miner_power`;
      const { body } = await this.#io.http.request({
        method: 'GET',
        url,
        timeoutMs: deadline.leftMs(),
        maxBytes: 4_096,
      });
      const power = /:\s*(\d+(?:\.\d+)?)\s*$/.exec(new TextDecoder().decode(body))?.[1];
      return measured(numberReading(power, MINER_BOUNDS.power, middleMs(this.#io.clock, startMs)));
    } catch (error) {
      return unreadable(asFault(error).code, this.#io.clock.wallMs());
    }
  }

  /** Sets the work mode unless the machine already has it. For control by `verbs` alone. */
  async setAsleep(
    asleep: boolean,
    wakeMode: number | undefined,
    web: AntminerWeb,
    timeoutMs: number,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const deadline = this.deadline(timeoutMs);
    const conf = await this.#conf(web, deadline);
    const current = workModeOf(conf);
    if (current === undefined) throw new Fault('VERB_UNSUPPORTED', 'the configuration names no work mode');
    if (current !== WORK_MODE.sleep) this.#mineMode = current;
    const wanted = asleep ? WORK_MODE.sleep : (wakeMode ?? this.#mineMode);
    // Every write restarts the miner: one that mines or is starting is left alone, one that should sleep is told again,
    // and so is one that is set to mine and has not begun for far longer than a start takes.
    const stuck = this.#io.clock.monoMs() - this.#idleSinceMs > STUCK_MS;
    if (!asleep && current !== WORK_MODE.sleep && (wakeMode ?? current) === current && !stuck) return;
    await before?.(settingsOf(conf));
    await this.#write(confWith(conf, wanted), web, deadline);
  }

  /** Sets its pools at the work mode it has, unless it has them. For control by `verbs` alone. */
  async setPools(
    pools: readonly Pool[],
    web: AntminerWeb,
    timeoutMs: number,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const deadline = this.deadline(timeoutMs);
    const conf = await this.#conf(web, deadline);
    const mode = workModeOf(conf);
    if (mode === undefined) throw new Fault('VERB_UNSUPPORTED', 'the configuration names no work mode');
    const settings = settingsOf(conf);
    // Every write restarts the miner.
    if (hasPools(pools, settings)) return;
    await before?.(settings);
    await this.#write(confWith(conf, mode, pools), web, deadline);
  }

  async #write(conf: JsonObject, web: AntminerWeb, deadline: Deadline): Promise<void> {
    this.#writes += 1;
    this.#sleepProvenMs = Number.NEGATIVE_INFINITY;
    const answer = await web.post('/cgi-bin/set_miner_conf.cgi', JSON.stringify(conf), deadline);
    this.#writes += 1;
    this.#sleepProvenMs = Number.NEGATIVE_INFINITY;
    this.#idleSinceMs = Number.POSITIVE_INFINITY;
    if (field(answer, 'stats') === 'success') return;
    const said = field(answer, 'msg') ?? field(answer, 'code') ?? 'no success in the answer';
    throw new Fault(
      'VERB_REFUSED',
      typeof said === 'string' ? said.slice(0, 100) : 'no success in the answer',
    );
  }

  deadline(timeoutMs: number): Deadline {
    return new Deadline(this.#io.clock, timeoutMs);
  }
}

function makeVerbs(device: Antminer, web: AntminerWeb): Device['verbs'] {
  return withFacts(VERBS, {
    sleep: (_argument, timeoutMs, before) => device.setAsleep(true, undefined, web, timeoutMs, before),
    /** Argument: the work mode to mine at (0 normal, 2 high, 3 low); without, the one before the sleep. */
    wake: (argument, timeoutMs, before) => {
      if (argument !== undefined && ![0, 2, 3].includes(argument)) {
        return Promise.reject(new Fault('USAGE', `work mode ${argument}: 0, 2 or 3`));
      }
      return device.setAsleep(false, argument, web, timeoutMs, before);
    },
    pools: (pools, timeoutMs, before) => device.setPools(pools, web, timeoutMs, before),
    reboot: async (_argument, timeoutMs) => {
      const deadline = device.deadline(timeoutMs);
      // The page is asked for first, so that a broken-off answer below can only be the reboot itself.
      await web.json('/cgi-bin/get_system_info.cgi', deadline);
      try {
        // What it says on its way down is no more than a page; a status of failure is no reboot.
        await web.tell('/cgi-bin/reboot.cgi', deadline);
      } catch (error) {
        if (asFault(error).code !== 'NET_RESET') throw error;
      }
    },
    /** Argument 0 ends the blinking. */
    locate: async (argument, timeoutMs) => {
      const body = JSON.stringify({ blink: argument !== 0 });
      const answer = await web.post('/cgi-bin/blink.cgi', body, device.deadline(timeoutMs));
      const code = field(answer, 'code');
      if (typeof code !== 'string' || !code.startsWith('B'))
        throw new Fault('VERB_REFUSED', 'the answer does not confirm');
    },
  });
}

function identityOf(version: Asked): Identity {
  const [section] = sectionOf(version.value, 'VERSION');
  if (!section) throw new Fault('ANSWER_GARBAGE', 'no VERSION section');
  const other = ['LUXminer', 'BOSminer', 'BOSminer+', 'CGMiner'].find(
    (key) => field(section, key) !== undefined,
  );
  if (other !== undefined) throw new Fault('ANSWER_GARBAGE', `this is ${other}, not stock firmware`);
  const text = (name: string): string => {
    const value = field(section, name);
    return typeof value === 'string' ? value.slice(0, 100) : '';
  };
  const compiled = text('CompileTime');
  return {
    vendor: 'Bitmain',
    model: text('Type'),
    firmware: text('Miner') + (compiled === '' ? '' : ` (${compiled})`),
  };
}

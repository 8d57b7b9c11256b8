/**
 * Proto Rig with ProtoOS: its MDK-API over HTTP.
 * Reading verified on answers recorded from the maker's own simulated rig at 1.8.0; settings and commands from its sources only.
 */
import type { Pool } from '../../config/pools.ts';
import type { Endpoint } from '../../host/deps.ts';
import { field, isObject } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline } from '../ask-cgminer.ts';
import type { JsonPage } from '../ask-json.ts';
import { boardReadings } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import { listOf, modeReading, partOf, powerReading, rateReading, tried, wordOf } from '../miner-readings.ts';
import { hasPools, poolSettings } from '../pools.ts';
import { checkOptions, portOption } from '../options.ts';
import { MINER_BOUNDS, numberReading, toNumber, uncertain, unreadable } from '../readings.ts';
import { poolReadings, poolSeen, poolsOf } from './proto-rig-pools.ts';
import { ProtoRigSession } from './proto-rig-session.ts';

const GIGAHASH = 1e9;
const TERAHASH = 1e12;
const MOST_BOARDS = 16;
const MOST_FANS = 16;
/** The longest blinking the rig grants, s; it ends by itself. */
const LOCATE_S = 300;
/** What a new power target must leave as it is: a PUT may set what it leaves out to a default. */
const TARGET_FIELDS = ['performance_mode', 'balance_bays', 'hash_on_disconnect'] as const;

/** The rig's own curtailment service, through which others command it. */
interface Curtailment {
  readonly active: boolean;
  /** Whom it obeys, as it says. */
  readonly provider: string;
}

/** What its verbs truly do. Times are estimates from documents. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    isAsynchronous: true,
    effectS: { typical: 15, atMost: 60 },
    source: 'mining/stop answers 202: accepted, not done',
  },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 60, atMost: 240 },
    source: 'mining/start answers 202; refused while its own curtailment service is active',
  },
  'power-limit': {
    ...PLAIN_VERB,
    isAsynchronous: true,
    effectS: { typical: 60, atMost: 300 },
    readBackS: 60,
    dwellS: 60,
    grain: { by: 'watts', stepW: 1 },
    source: 'mining/target, within the least and most watts that it tells itself',
  },
  pools: {
    ...PLAIN_VERB,
    survivesReboot: true,
    effectS: { typical: 10, atMost: 120 },
    source: 'POST of pools: a list in place of all there are',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'system/reboot',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'system/locate: ends by itself after 300 s' },
} as const;

export const protoRig: Driver = {
  name: 'proto-rig',
  schemes: ['proto-rig'],
  open: (target, io) => {
    checkOptions(target, ['http']);
    return new ProtoRig(target, io);
  },
};

class ProtoRig implements Device {
  readonly driver = 'proto-rig';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: { 'power-limit': 'powerLimit' } };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #session: ProtoRigSession;
  #newest: ReturnType<SettingsView['newest']>;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    const port = portOption(target, 'http') ?? target.port ?? 80;
    this.door = { host: target.host, port };
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    this.#session = new ProtoRigSession(io, `http://${host}:${port}`, target.password);
    this.verbs = target.password === undefined ? {} : this.#makeVerbs();
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { value } = await this.#session.getOpen('system', new Deadline(this.#io.clock, timeoutMs));
    const info = partOf(value, 'system-info');
    if (wordOf(partOf(info, 'product_name')) === '')
      throw new Fault('ANSWER_GARBAGE', 'system: names no product');
    const os = `${wordOf(partOf(info, 'os', 'name'))} ${wordOf(partOf(info, 'os', 'version'))}`;
    return {
      vendor: wordOf(partOf(info, 'manufacturer')) || 'Proto',
      model: wordOf(partOf(info, 'model')) || wordOf(partOf(info, 'product_name')),
      firmware: os.trim(),
    };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = new Deadline(this.#io.clock, timeoutMs);
    const { value, atMs } = await this.#status(deadline);
    const hashrate = rateReading(
      [
        [partOf(value, 'hashrate_ghs'), false],
        [partOf(value, 'average_hashrate_ghs'), true],
      ],
      { scale: GIGAHASH, factory: toNumber(partOf(value, 'ideal_hashrate_ghs')), atMs },
    );
    const readings: Record<string, Reading> = {
      hashrate,
      // What measures it is not said; the supplies' own figures differ from it by some per cent.
      power: powerReading(partOf(value, 'power_usage_watts'), atMs, false),
      'power.limit': numberReading(partOf(value, 'power_target_watts'), MINER_BOUNDS.power, atMs),
      mode: await this.#mode(wordOf(partOf(value, 'status')), hashrate, deadline),
      uptime: numberReading(partOf(value, 'reboot_uptime_s'), MINER_BOUNDS.uptime, atMs),
    };
    if (scope === 'fast') return readings;
    await this.#addTelemetry(readings, deadline);
    await this.#addFans(readings, deadline);
    const pools = await this.#page('pools', deadline);
    Object.assign(
      readings,
      pools instanceof Fault ? { 'pool.active': this.#unread(pools) } : poolReadings(pools),
    );
    // The book of settings learns of it; a reading says nothing of them.
    await tried(this.#readSetup(deadline, pools));
    return readings;
  }

  close(): void {}

  async #status(deadline: Deadline): Promise<JsonPage> {
    const page = await this.#session.ask('GET', 'mining', deadline);
    const status = partOf(page.value, 'mining-status');
    if (wordOf(partOf(status, 'status')) === '') throw new Fault('ANSWER_GARBAGE', 'mining: names no status');
    return { ...page, value: status };
  }

  /** A page, or why there is none. */
  #page(path: string, deadline: Deadline): Promise<JsonPage | Fault> {
    return tried(this.#session.ask('GET', path, deadline));
  }

  #unread(fault: Fault): Reading {
    return unreadable(fault.code, this.#io.clock.wallMs(), fault.detail);
  }

  /** Hashing is proof of mining, whatever it says of itself; asleep it is when it says so, by whomever. */
  async #mode(status: string, hashrate: Reading, deadline: Deadline): Promise<Reading> {
    if (!hashrate.ok) return hashrate;
    const { atMs } = hashrate;
    if (Number(hashrate.value) > 0) {
      const mining = modeReading('mine', atMs);
      return /^(?:Stopped|Curtailed)$/.test(status) ? uncertain(mining, `says ${status}`) : mining;
    }
    if (status === 'Stopped') return modeReading('sleep', atMs);
    if (status !== 'Curtailed') return modeReading('idle', atMs);
    const provider = (await this.#curtailment(deadline))?.provider ?? 'unnamed';
    return uncertain(modeReading('sleep', atMs), `held by its own curtailment service: ${provider}`);
  }

  /** Undefined: the firmware has no such service, or it does not say. */
  async #curtailment(deadline: Deadline): Promise<Curtailment | undefined> {
    const status = await this.#page('curtailment/status', deadline);
    if (status instanceof Fault || !isObject(status.value)) return undefined;
    const provider = wordOf(field(status.value, 'provider')) || 'unnamed';
    return { active: field(status.value, 'active') === true, provider };
  }

  async #addTelemetry(readings: Record<string, Reading>, deadline: Deadline): Promise<void> {
    const page = await this.#page('telemetry?level=hashboard', deadline);
    if (page instanceof Fault) {
      readings['temperature.board.1'] = this.#unread(page);
      return;
    }
    const boards = listOf(page.value, 'hashboards', MOST_BOARDS).map((board, at): BoardTold => {
      const place = (toNumber(field(board, 'index')) ?? at) + 1;
      readings[`temperature.board.${place}`] = celsius(partOf(board, 'temperature'), 'average', page.atMs);
      const rate = partOf(board, 'hashrate', 'value');
      const isTerahash = partOf(board, 'hashrate', 'unit') === 'TH/s';
      return {
        place,
        ...(isTerahash && { rate: numberReading(rate, MINER_BOUNDS.hashrate, page.atMs, TERAHASH) }),
      };
    });
    Object.assign(readings, boardReadings(boards, page.atMs));
  }

  async #addFans(readings: Record<string, Reading>, deadline: Deadline): Promise<void> {
    const page = await this.#page('cooling', deadline);
    if (page instanceof Fault) {
      readings['fan.1'] = this.#unread(page);
      return;
    }
    const fans = listOf(partOf(page.value, 'cooling-status'), 'fans', MOST_FANS);
    for (const [at, fan] of fans.entries())
      readings[`fan.${toNumber(field(fan, 'slot')) ?? at + 1}`] = numberReading(
        field(fan, 'rpm'),
        MINER_BOUNDS.fan,
        page.atMs,
      );
  }

  #makeVerbs(): Device['verbs'] {
    const post = (path: string, deadline: Deadline): Promise<unknown> =>
      this.#session.ask('POST', path, deadline);
    return withFacts(VERBS, {
      sleep: async (_argument, timeoutMs, before) => {
        const deadline = new Deadline(this.#io.clock, timeoutMs);
        if (before) await before(await this.#settingsIfAny(deadline));
        await post('mining/stop', deadline);
      },
      wake: async (_argument, timeoutMs, before) => {
        const deadline = new Deadline(this.#io.clock, timeoutMs);
        const master = await this.#curtailment(deadline);
        // It would say 202 and stay at rest: its service decides while it curtails.
        if (master?.active === true)
          throw new Fault('FOREIGN_MASTER', `its own curtailment service, provider ${master.provider}`);
        if (before) await before(await this.#settingsIfAny(deadline));
        await post('mining/start', deadline);
      },
      'power-limit': (argument, timeoutMs, before) =>
        this.#limit(argument, new Deadline(this.#io.clock, timeoutMs), before),
      pools: (pools, timeoutMs, before) =>
        this.#setPools(pools, new Deadline(this.#io.clock, timeoutMs), before),
      reboot: async (_argument, timeoutMs) => {
        const deadline = new Deadline(this.#io.clock, timeoutMs);
        // A page is asked for first, so that a broken-off answer below can only be the reboot itself.
        await this.#status(deadline);
        try {
          await post('system/reboot', deadline);
        } catch (error) {
          if (asFault(error).code !== 'NET_RESET') throw error;
        }
      },
      /** Argument 0 ends the blinking. */
      locate: async (argument, timeoutMs) => {
        const how = argument === 0 ? 'enable=false' : `led_on_time=${LOCATE_S}`;
        await post(`system/locate?${how}`, new Deadline(this.#io.clock, timeoutMs));
      },
    });
  }

  /** Everything of the target goes back as it was read, but the watts; then it is read again. */
  async #limit(
    limitW: number | undefined,
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    if (limitW === undefined || !Number.isInteger(limitW) || limitW <= 0 || limitW > MINER_BOUNDS.power.max)
      throw new Fault('USAGE', `power-limit ${limitW ?? ''}: whole watts, 1 to ${MINER_BOUNDS.power.max}`);
    const { target, settings } = await this.#readSetup(deadline);
    const least = toNumber(field(target, 'power_target_min_watts'));
    const most = toNumber(field(target, 'power_target_max_watts'));
    if (limitW < (least ?? limitW) || limitW > (most ?? limitW))
      throw new Fault(
        'VERB_REFUSED',
        `power-limit ${limitW}: this rig takes ${least ?? 1} to ${most ?? '?'} W`,
      );
    if (settings['powerLimit'] === limitW) return;
    await before?.(settings);
    const body: Record<string, Json> = { power_target_watts: limitW };
    for (const name of TARGET_FIELDS) {
      const value = field(target, name);
      if (value !== undefined) body[name] = value;
    }
    await this.#session.ask('PUT', 'mining/target', deadline, { body });
    const after = await tried(this.#readSetup(deadline));
    // Not read again, it is for the next reading to tell.
    if (!(after instanceof Fault) && after.settings['powerLimit'] !== limitW)
      throw new Fault('VERB_NOT_OBSERVED', `taken, and the target is ${after.settings['powerLimit']} W`);
  }

  async #setPools(
    pools: readonly Pool[],
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const { settings } = await this.#readSetup(deadline);
    if (hasPools(pools, settings)) return;
    await before?.(settings);
    const body = pools.map(({ url, user, pass }, priority) => ({
      url,
      username: user,
      password: pass,
      priority,
    }));
    await this.#session.ask('POST', 'pools', deadline, { body, secret: true });
  }

  /** Its target as a PUT takes it, and all settings. `known`: pools that have just been read. */
  async #readSetup(
    deadline: Deadline,
    known?: JsonPage | Fault,
  ): Promise<{ readonly target: JsonObject; readonly settings: Settings }> {
    const beganMs = this.#io.clock.monoMs();
    const { value: target } = await this.#session.ask('GET', 'mining/target', deadline);
    if (!isObject(target) || toNumber(field(target, 'power_target_watts')) === undefined)
      throw new Fault('ANSWER_GARBAGE', 'mining/target: names no power target');
    const pools = known ?? (await this.#page('pools', deadline));
    const curtailment = await this.#curtailment(deadline);
    const settings = {
      ...targetSettings(target),
      ...(!(pools instanceof Fault) && poolSettings(poolsOf(pools.value).map(poolSeen))),
      ...(curtailment && { curtailment: curtailment.active ? `by ${curtailment.provider}` : 'none' }),
    };
    this.#newest = { settings, beganMs };
    return { target, settings };
  }

  /** A mode is changed all the same when they cannot be read now: it overwrites none of them. */
  async #settingsIfAny(deadline: Deadline): Promise<Settings> {
    const setup = await tried(this.#readSetup(deadline));
    return setup instanceof Fault ? {} : setup.settings;
  }
}

/** A figure beside the unit that holds for it. */
function celsius(values: Json | undefined, name: string, atMs: number): Reading {
  const unit = partOf(values, 'unit');
  if (unit !== undefined && unit !== '°C')
    return unreadable('VALUE_INVALID', atMs, `in ${wordOf(unit).slice(0, 10)}`);
  return numberReading(partOf(values, name), MINER_BOUNDS.temperature, atMs);
}

function targetSettings(target: JsonObject): Record<string, string | number> {
  const settings: Record<string, string | number> = {};
  const limitW = toNumber(field(target, 'power_target_watts'));
  if (limitW !== undefined) settings['powerLimit'] = limitW;
  for (const name of TARGET_FIELDS) {
    const value = field(target, name);
    if (typeof value === 'string' || typeof value === 'boolean')
      settings[name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase())] = String(value).slice(
        0,
        100,
      );
  }
  return settings;
}

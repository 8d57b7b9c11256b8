/**
 * VNish from 1.2 on, on Antminer hardware: its REST API. Without a password it is read, but for its settings.
 * From documents, and from what other clients send it and expect of it: no recorded answers.
 */
import type { Endpoint } from '../../host/deps.ts';
import { field, isObject } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline } from '../ask-cgminer.ts';
import type { JsonPage } from '../ask-json.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import { listOf, modeReading, partOf, powerReading, rateReading, wordOf } from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { poolSettings } from '../pools.ts';
import { MINER_BOUNDS, missing, numberReading, toNumber, uncertain, unreadable } from '../readings.ts';
import { poolReadings, addParts, MOST_POOLS, uptimeS } from './vnish-parts.ts';
import { presetFor, presetsOf, switchedUpTo, wattsOf } from './vnish-presets.ts';
import { VnishSession } from './vnish-session.ts';

/** `hr_measure` of its information, as H/s; what it does not name is the first, as on every SHA-256 machine. */
const MEASURES: ReadonlyMap<string, number> = new Map([
  ['GH/s', 1e9],
  ['MH/s', 1e6],
  ['TH/s', 1e12],
]);
const USUAL_MEASURE = 1e9;
/** States in which it stays at rest until it is told to go on, and those in which it works or is about to. */
const RESTING = ['stopped', 'paused'];
const STARTED = ['mining', 'auto-tuning', 'initializing', 'starting', 'restarting'];

/** What its verbs truly do. Times are estimates. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    effectS: { typical: 20, atMost: 120 },
    source: 'mining/stop; whether it outlives a reboot is told nowhere',
  },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 150, atMost: 420 },
    source: 'mining/start, or resume where it was paused',
  },
  'power-limit': {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    survivesReboot: true,
    effectS: { typical: 120, atMost: 420 },
    readBackS: 10,
    dwellS: 600,
    grain: { by: 'list' },
    source:
      'settings: the highest tuned preset within it; where the answer asks for that, mining is started anew. An untuned one would be tuned first, and is not chosen',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'system/reboot; its uptime is in minutes',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'find-miner: the light alone' },
} as const;

export const vnish: Driver = {
  name: 'vnish',
  schemes: ['vnish'],
  open: (target, io) => {
    checkOptions(target, ['http']);
    return new Vnish(target, io);
  },
};

class Vnish implements Device {
  readonly driver = 'vnish';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: { 'power-limit': 'powerLimit' } };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #session: VnishSession;
  readonly #hasPassword: boolean;
  #newest: ReturnType<SettingsView['newest']>;
  /** H/s in one of its units, once it has said which. */
  #measure: number | undefined;
  /** The limit that was asked for, and the preset that stands for it. */
  #asked: { readonly limitW: number; readonly watts: number } | undefined;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    const port = portOption(target, 'http') ?? target.port ?? 80;
    this.door = { host: target.host, port };
    const host = target.host.includes(':') ? `[${target.host}]` : target.host;
    this.#session = new VnishSession(io, `http://${host}:${port}`, target.password);
    this.#hasPassword = target.password !== undefined;
    this.verbs = this.#hasPassword ? this.#makeVerbs() : {};
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { value } = await this.#info(this.#deadline(timeoutMs));
    const model = wordOf(partOf(value, 'miner'));
    return {
      vendor: /^antminer/i.test(model) ? 'Bitmain' : '',
      model,
      firmware: `${wordOf(partOf(value, 'fw_name'))} ${wordOf(partOf(value, 'fw_version'))}`.trim(),
    };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = this.#deadline(timeoutMs);
    const beganMs = this.#io.clock.monoMs();
    // What its figures count in is on another page, which does not change.
    const info = scope === 'full' || this.#measure === undefined ? await this.#info(deadline) : undefined;
    const { value, atMs } = await this.#session.getOpen('summary', deadline);
    const miner = partOf(value, 'miner');
    const readings: Record<string, Reading> = {
      hashrate: this.#rate(miner, atMs),
      // Reckoned by the firmware. Its `power_usage` was watts once and is an efficiency now: it is not looked at.
      power: powerReading(partOf(miner, 'power_consumption'), atMs, false),
    };
    readings['mode'] = await this.#mode(readings['hashrate'] ?? missing(atMs), miner, deadline);
    if (scope === 'fast' || info === undefined) return readings;
    readings['uptime'] = numberReading(
      uptimeS(partOf(info.value, 'system', 'uptime')),
      MINER_BOUNDS.uptime,
      info.atMs,
    );
    addParts(readings, miner, { scale: this.#measure ?? USUAL_MEASURE, atMs });
    Object.assign(readings, poolReadings(miner, atMs));
    readings['power.limit'] = await this.#limitReading(deadline);
    if (this.#hasPassword) await this.#readSettings(deadline, beganMs).catch(() => undefined);
    return readings;
  }

  close(): void {}

  #deadline(timeoutMs: number): Deadline {
    return new Deadline(this.#io.clock, timeoutMs);
  }

  async #info(deadline: Deadline): Promise<JsonPage> {
    const info = await this.#session.getOpen('info', deadline);
    // Anything may answer on port 80.
    if (wordOf(partOf(info.value, 'fw_name')) === '')
      throw new Fault('ANSWER_GARBAGE', 'info names no firmware');
    this.#measure = MEASURES.get(wordOf(partOf(info.value, 'hr_measure'))) ?? USUAL_MEASURE;
    return info;
  }

  #rate(miner: Json | undefined, atMs: number): Reading {
    return rateReading(
      [
        [partOf(miner, 'hr_realtime'), false],
        [partOf(miner, 'hr_average'), true],
      ],
      { scale: this.#measure ?? USUAL_MEASURE, factory: toNumber(partOf(miner, 'hr_stock')), atMs },
    );
  }

  /** Hashing is proof of mining. Not hashing, its state says whether it rests. */
  async #mode(hashrate: Reading, miner: Json | undefined, deadline: Deadline): Promise<Reading> {
    const isHashing = hashrate.ok && Number(hashrate.value) > 0;
    if (isHashing && hashrate.quality === 'good') return modeReading('mine', hashrate.atMs);
    if (!hashrate.ok && hashrate.why !== 'VALUE_MISSING') return hashrate;
    // While its mining process is away there may be nothing to sum up.
    const state =
      wordOf(partOf(miner, 'miner_status', 'miner_state')) ||
      (await this.#status(deadline).then(stateOf, (error: unknown) => asFault(error)));
    if (state instanceof Fault) return unreadable(state.code, hashrate.atMs, state.detail);
    if (state === '') return missing(hashrate.atMs, 'it does not say what it does');
    if (RESTING.includes(state)) return modeReading('sleep', hashrate.atMs);
    if (isHashing) return uncertain(modeReading('mine', hashrate.atMs), 'average only');
    return !hashrate.ok && STARTED.includes(state)
      ? missing(hashrate.atMs, `it says ${state}, but not at what rate`)
      : modeReading('idle', hashrate.atMs);
  }

  async #status(deadline: Deadline): Promise<Json | undefined> {
    return (await this.#session.getOpen('status', deadline)).value;
  }

  /** The preset in force, which need not be the one that is set: for some it starts mining anew first. */
  async #presetInForce(
    deadline: Deadline,
  ): Promise<{ readonly watts: number | undefined; readonly atMs: number }> {
    const { value, atMs } = await this.#session.getOpen('perf-summary', deadline);
    return { watts: wattsOf(partOf(value, 'current_preset', 'name')), atMs };
  }

  async #limitReading(deadline: Deadline): Promise<Reading> {
    const preset = await this.#presetInForce(deadline).catch((error: unknown) => asFault(error));
    if (preset instanceof Fault) return unreadable(preset.code, this.#io.clock.wallMs(), preset.detail);
    return preset.watts === undefined
      ? missing(preset.atMs, 'no preset in watts is in force')
      : numberReading(this.#limitOf(preset.watts), MINER_BOUNDS.power, preset.atMs);
  }

  /** What a preset stands for: the limit that was asked for, as long as it is that one; else its own watts. */
  #limitOf(watts: number): number {
    return this.#asked?.watts === watts ? this.#asked.limitW : watts;
  }

  #makeVerbs(): Device['verbs'] {
    return withFacts(VERBS, {
      sleep: async (_argument, timeoutMs, before) => {
        const deadline = this.#deadline(timeoutMs);
        await this.#showBefore(before, deadline);
        const refused = await this.#refusal('mining/stop', deadline);
        // It refuses to stop what rests already.
        if (refused && !RESTING.includes(stateOf(await this.#status(deadline)))) throw refused;
      },
      wake: async (_argument, timeoutMs, before) => {
        const deadline = this.#deadline(timeoutMs);
        await this.#showBefore(before, deadline);
        const refused = await this.#refusal('mining/start', deadline);
        if (!refused) return;
        const state = stateOf(await this.#status(deadline));
        // Paused by someone else's word it is not started but resumed; on its way already it refuses either.
        if (state === 'paused') await this.#session.post('mining/resume', deadline);
        else if (!STARTED.includes(state)) throw refused;
      },
      'power-limit': (argument, timeoutMs, before) =>
        this.#limit(argument, this.#deadline(timeoutMs), before),
      reboot: async (_argument, timeoutMs) => {
        const deadline = this.#deadline(timeoutMs);
        // A page is asked for first, so that a broken-off answer below can only be the reboot itself.
        await this.#session.get('settings', deadline);
        try {
          await this.#session.post('system/reboot', deadline);
        } catch (error) {
          if (asFault(error).code !== 'NET_RESET') throw error;
        }
      },
      /** Argument 0 ends the blinking. */
      locate: async (argument, timeoutMs) => {
        const deadline = this.#deadline(timeoutMs);
        const on = argument !== 0;
        // Some builds toggle, whatever they are told.
        if (partOf(await this.#status(deadline), 'find_miner') === on) return;
        const answer = await this.#session.post('find-miner', deadline, { on });
        if (partOf(answer, 'on') === !on)
          throw new Fault('VERB_REFUSED', `find-miner answers that the light is ${on ? 'off' : 'on'}`);
      },
    });
  }

  async #refusal(path: string, deadline: Deadline): Promise<Fault | undefined> {
    try {
      await this.#session.post(path, deadline);
      return undefined;
    } catch (error) {
      const fault = asFault(error);
      if (fault.code !== 'VERB_REFUSED') throw fault;
      return fault;
    }
  }

  /** Sleep and wake overwrite no setting: those that cannot be read now are no reason to do nothing. */
  async #showBefore(before: BeforeWrite | undefined, deadline: Deadline): Promise<void> {
    if (!before) return;
    const read = await this.#readSettings(deadline, this.#io.clock.monoMs()).catch(() => undefined);
    await before(read?.settings ?? {});
  }

  async #readSettings(
    deadline: Deadline,
    beganMs: number,
  ): Promise<{ readonly settings: Settings; readonly overclock: JsonObject }> {
    const { value } = await this.#session.get('settings', deadline);
    const overclock = partOf(value, 'miner', 'overclock');
    if (!isObject(overclock)) throw new Fault('ANSWER_GARBAGE', 'settings without miner.overclock');
    const settings = this.#settingsOf(value, overclock);
    this.#newest = { settings, beganMs };
    return { settings, overclock };
  }

  /** What a curtailment must leave as it is. Voltage and clocks go with the preset and are none of it. */
  #settingsOf(page: Json | undefined, overclock: JsonObject): Settings {
    const watts = wattsOf(field(overclock, 'preset'));
    const switcher = partOf(overclock, 'preset_switcher', 'enabled');
    const cooling = wordOf(partOf(page, 'miner', 'cooling', 'mode', 'name'));
    const pools = listOf(partOf(page, 'miner'), 'pools', MOST_POOLS).map((pool) => ({
      url: wordOf(field(pool, 'url')),
      user: wordOf(field(pool, 'user')),
      pass: wordOf(field(pool, 'pass')),
    }));
    return {
      ...(watts === undefined
        ? { preset: wordOf(field(overclock, 'preset')) }
        : { powerLimit: this.#limitOf(watts) }),
      // It changes presets by temperature, of itself.
      ...(typeof switcher === 'boolean' && { presetSwitcher: switcher ? 'on' : 'off' }),
      ...(cooling !== '' && { cooling }),
      ...poolSettings(pools),
    };
  }

  /** The highest tuned preset within the limit; one in force is left alone. */
  async #limit(
    limitW: number | undefined,
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    if (limitW === undefined || !Number.isInteger(limitW) || limitW <= 0 || limitW > MINER_BOUNDS.power.max)
      throw new Fault('USAGE', `power-limit ${limitW ?? ''}: whole watts, 1 to ${MINER_BOUNDS.power.max}`);
    const { settings, overclock } = await this.#readSettings(deadline, this.#io.clock.monoMs());
    const set = wattsOf(field(overclock, 'preset'));
    if (set === undefined)
      throw new Fault(
        'VERB_REFUSED',
        `its preset is ${wordOf(field(overclock, 'preset'))}, which a limit could not give back: choose one in watts on its own page`,
      );
    const wanted = presetFor(
      limitW,
      set,
      presetsOf((await this.#session.get('autotune/presets', deadline)).value),
    );
    if (wanted !== set) {
      const upToW = switchedUpTo(overclock) ?? 0;
      // At a lower draw its boards are cool, and that is what raises it again.
      if (upToW > wanted)
        throw new Fault(
          'VERB_REFUSED',
          `its preset switcher would raise ${wanted} W to ${upToW} W again: switch it off on its own page`,
        );
      await before?.(settings);
      await this.#setPreset(wanted, overclock, deadline);
    }
    await this.#startAnew(wanted, deadline);
    this.#asked = { limitW, watts: wanted };
  }

  /** The whole object is written, so that nothing in it falls back to what it was shipped with; then it is read again: the answer is the same when nothing came of it. */
  async #setPreset(watts: number, overclock: JsonObject, deadline: Deadline): Promise<void> {
    await this.#session.post('settings', deadline, {
      miner: { overclock: { ...overclock, preset: String(watts) } },
    });
    const after = await this.#readSettings(deadline, this.#io.clock.monoMs());
    const now = wattsOf(field(after.overclock, 'preset'));
    if (now !== watts)
      throw new Fault('VERB_NOT_OBSERVED', `preset ${watts} was accepted, but ${now ?? 'none'} is set`);
  }

  /** Where a preset takes effect only when mining starts anew; a machine at rest is not woken by that. */
  async #startAnew(watts: number, deadline: Deadline): Promise<void> {
    const status = await this.#status(deadline);
    if (partOf(status, 'restart_required') !== true || RESTING.includes(stateOf(status))) return;
    if ((await this.#presetInForce(deadline)).watts !== watts)
      await this.#session.post('mining/restart', deadline);
  }
}

const stateOf = (status: Json | undefined): string => wordOf(partOf(status, 'miner_state'));

/**
 * LuxOS with its API on TCP 4028, on Antminer hardware.
 * Verified on recorded answers of 2025.4 (S19k Pro); sessions and commands from documents only.
 */
import type { Endpoint } from '../../host/deps.ts';
import { field, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Reading, Readings } from '../../protocols/reading.ts';
import { gigahash } from '../../protocols/units.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { Deadline, poolReadings, poolsTold } from '../ask-cgminer.ts';
import type { Asked } from '../ask-cgminer.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import { rateReading, wordOf } from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { hasPools, poolSettings } from '../pools.ts';
import { MINER_BOUNDS, missing, numberReading, toNumber, unreadable } from '../readings.ts';
import { setPools } from './luxos-pools.ts';
import { boardsFound, hottest, modeOf, powerOf } from './luxos-readings.ts';
import { LuxosSession } from './luxos-session.ts';
import type { Say } from './luxos-session.ts';

const MOST_PARTS = 16;
const TH_IN_GH = 1_000;
/** Of the time for a command, the share in which it must be done. */
const WORK_SHARE = 0.7;

/** What its verbs truly do. Times are estimates from documents. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    isAsynchronous: true,
    survivesReboot: true,
    effectS: { typical: 20, atMost: 90 },
    source: 'curtail: code 335 says that the command was sent; it persists over reboots until wakeup',
  },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    survivesReboot: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'curtail wakeup, sent as above',
  },
  'power-limit': {
    ...PLAIN_VERB,
    isAsynchronous: true,
    startsTuning: true,
    effectS: { typical: 10, atMost: 60 },
    dwellS: 120,
    grain: { by: 'list' },
    source: 'profileset: a profile of its list, with ATM off meanwhile; an untuned one is tuned',
  },
  pools: {
    ...PLAIN_VERB,
    restartsMining: false,
    survivesReboot: true,
    effectS: { typical: 10, atMost: 120 },
    source: 'addpool, switchpool, removepool: no session, one by one',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'rebootdevice',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'ledset: the light alone' },
} as const;

export const luxos: Driver = {
  name: 'luxos',
  schemes: ['luxos'],
  open: (target, io) => {
    checkOptions(target, ['api']);
    return new Luxos(target, io);
  },
};

/** A level it can mine at. `step` counts from its default, which is 0. */
interface Profile {
  readonly name: string;
  readonly watts: number;
  readonly step: number;
}

class Luxos implements Device {
  readonly driver = 'luxos';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = {
    newest: () => this.#newest,
    setBy: { 'power-limit': 'powerLimit' },
    lends: { verb: 'power-limit', name: 'atm', value: 'true', owe: () => void (this.#owesAtm = true) },
  };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #session: LuxosSession;
  #newest: ReturnType<SettingsView['newest']>;
  /** What it says it was made for, GH/s. */
  #nameplateGhs: number | undefined;
  /** The limit that was asked for, and the profile that stands for it. */
  #asked: { readonly limitW: number; readonly profile: string } | undefined;
  /** Its thermal control was switched off for a profile and has not said that it is on again. */
  #owesAtm = false;

  constructor(target: Target, io: DeviceIo) {
    this.#io = io;
    this.door = { host: target.host, port: portOption(target, 'api') ?? target.port ?? 4028 };
    this.#session = new LuxosSession(io, this.door);
    this.verbs = this.#makeVerbs();
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { value } = await this.#session.ask('version', undefined, this.#deadline(timeoutMs));
    const [version] = sectionOf(value, 'VERSION');
    const firmware = wordOf(version && field(version, 'LUXminer'));
    if (!version || firmware === '')
      throw new Fault('ANSWER_GARBAGE', 'this is no LuxOS: version names no LUXminer');
    return { vendor: 'Bitmain', model: wordOf(field(version, 'Type')), firmware: `LuxOS ${firmware}` };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = this.#deadline(timeoutMs);
    const beganMs = this.#io.clock.monoMs();
    const summary = await this.#try('summary', deadline);
    // Asleep it may have nothing to sum up: then its configuration alone says what it does.
    if (summary instanceof Fault && summary.code !== 'VERB_REFUSED') throw summary;
    const readings = this.#summaryReadings(summary);
    readings['power'] = powerOf(await this.#try('power', deadline), this.#io.clock.wallMs());
    const hashrate = readings['hashrate'] ?? missing(this.#io.clock.wallMs());
    const hashing = hashrate.ok && Number(hashrate.value) > 0 && hashrate.quality === 'good';
    const config =
      scope === 'full' || !hashing
        ? await this.#config(deadline).catch((error: unknown) => asFault(error))
        : undefined;
    readings['mode'] = modeOf(hashrate, config, summary);
    if (scope === 'full') await this.#addFull(readings, config, { beganMs, deadline });
    return readings;
  }

  close(): void {}

  #deadline(timeoutMs: number): Deadline {
    return new Deadline(this.#io.clock, timeoutMs);
  }

  #try(command: string, deadline: Deadline): Promise<Asked | Fault> {
    return this.#session.ask(command, undefined, deadline).catch((error: unknown) => asFault(error));
  }

  async #config(deadline: Deadline): Promise<Asked & { readonly config: JsonObject }> {
    const asked = await this.#session.ask('config', undefined, deadline);
    const [config] = sectionOf(asked.value, 'CONFIG');
    if (!config)
      throw new Fault(asked.partial ? 'ANSWER_PARTIAL' : 'ANSWER_GARBAGE', 'config: no CONFIG section');
    const nameplateThs = toNumber(field(config, 'NameplateTHS'));
    if (nameplateThs !== undefined) this.#nameplateGhs = nameplateThs * TH_IN_GH;
    return { ...asked, config };
  }

  #summaryReadings(asked: Asked | Fault): Record<string, Reading> {
    if (asked instanceof Fault) {
      const none = missing(this.#io.clock.wallMs(), asked.detail);
      return { hashrate: none, uptime: none };
    }
    const { atMs, partial } = asked;
    const [summary = {}] = sectionOf(asked.value, 'SUMMARY');
    const hashrate = rateReading(
      [
        [field(summary, 'GHS 5s'), false],
        [field(summary, 'GHS 1m'), false],
        [field(summary, 'GHS av'), true],
      ],
      { scale: gigahash(1), factory: this.#nameplateGhs, atMs },
    );
    return {
      hashrate: partial && !hashrate.ok ? unreadable('ANSWER_PARTIAL', atMs) : hashrate,
      uptime: numberReading(field(summary, 'Elapsed'), MINER_BOUNDS.uptime, atMs),
    };
  }

  async #addFull(
    readings: Record<string, Reading>,
    config: (Asked & { readonly config: JsonObject }) | Fault | undefined,
    { beganMs, deadline }: { beganMs: number; deadline: Deadline },
  ): Promise<void> {
    const failed = (fault: Fault): Reading => unreadable(fault.code, this.#io.clock.wallMs(), fault.detail);
    if (config && !(config instanceof Fault)) Object.assign(readings, boardsFound(config));
    const temps = await this.#try('temps', deadline);
    if (temps instanceof Fault) readings['temperature.board.1'] = failed(temps);
    else
      for (const [index, board] of sectionOf(temps.value, 'TEMPS').slice(0, MOST_PARTS).entries())
        readings[`temperature.board.${(toNumber(field(board, 'ID')) ?? index) + 1}`] = hottest(
          board,
          temps.atMs,
        );
    const fans = await this.#try('fans', deadline);
    if (fans instanceof Fault) readings['fan.1'] = failed(fans);
    else
      for (const [index, fan] of sectionOf(fans.value, 'FANS').slice(0, MOST_PARTS).entries())
        readings[`fan.${(toNumber(field(fan, 'ID')) ?? index) + 1}`] = numberReading(
          field(fan, 'RPM'),
          MINER_BOUNDS.fan,
          fans.atMs,
        );
    const pools = await this.#try('pools', deadline);
    Object.assign(readings, pools instanceof Fault ? { 'pool.active': failed(pools) } : poolReadings(pools));
    // What a command could not finish: a machine that was away is given back what it lent.
    const isBack = config && !(config instanceof Fault) && field(config.config, 'IsAtmEnabled') === true;
    if (isBack === true) this.#owesAtm = false;
    if (this.#owesAtm)
      await this.#session
        .inSession(deadline, (say) => this.#giveAtmBack(say, deadline))
        .catch(() => undefined);
    const profiles = await this.#profiles(deadline).catch((error: unknown) => asFault(error));
    const known = config === undefined || config instanceof Fault ? undefined : config.config;
    if (profiles instanceof Fault) readings['power.limit'] = failed(profiles);
    else if (known) {
      const limitW = this.#limitOf(known, profiles);
      const atMs = this.#io.clock.wallMs();
      readings['power.limit'] =
        limitW === undefined
          ? missing(atMs, 'its profile is not in its list')
          : numberReading(limitW, MINER_BOUNDS.power, atMs);
      // Of pools that broke off the missing ones are not gone.
      if (!(pools instanceof Fault) && !pools.partial)
        this.#newest = { settings: settingsOf(known, limitW, pools), beganMs };
    }
  }

  async #profiles(deadline: Deadline): Promise<readonly Profile[]> {
    const { value, partial } = await this.#session.ask('profiles', undefined, deadline);
    if (partial) throw new Fault('ANSWER_PARTIAL', 'profiles');
    const profiles = sectionOf(value, 'PROFILES')
      .slice(0, 256)
      .flatMap((one): Profile[] => {
        const name = wordOf(field(one, 'Profile Name'));
        const watts = toNumber(field(one, 'Watts'));
        const step = toNumber(field(one, 'Step')) ?? 0;
        return name === '' || watts === undefined || watts <= 0 ? [] : [{ name, watts, step }];
      });
    return profiles.sort((a, b) => a.watts - b.watts);
  }

  /** What the profile in force stands for: the limit that was asked for, as long as it is that one; else its own watts. */
  #limitOf(config: JsonObject, profiles: readonly Profile[]): number | undefined {
    const inForce = wordOf(field(config, 'Profile'));
    if (this.#asked?.profile === inForce) return this.#asked.limitW;
    return profiles.find(({ name }) => name === inForce)?.watts;
  }

  #makeVerbs(): Device['verbs'] {
    const curtail =
      (word: 'sleep' | 'wakeup') =>
      async (_argument: number | undefined, timeoutMs: number, before?: BeforeWrite): Promise<void> => {
        const deadline = this.#deadline(timeoutMs);
        // It overwrites no setting: those that cannot be read now are no reason to go on hashing.
        if (before) await before((await this.#readSettings(deadline).catch(() => undefined))?.settings ?? {});
        // Its OK says that the command was sent, inside: the effect comes later, and outlives a reboot.
        await this.#command('curtail', word, deadline);
      };
    return withFacts(VERBS, {
      sleep: curtail('sleep'),
      wake: curtail('wakeup'),
      'power-limit': (argument, timeoutMs, before) => this.#limit(argument, timeoutMs, before),
      pools: async (pools, timeoutMs, before) => {
        const deadline = this.#deadline(timeoutMs);
        const { settings } = await this.#readSettings(deadline);
        if (hasPools(pools, settings)) return;
        await before?.(settings);
        await setPools(this.#session, pools, deadline);
      },
      reboot: (_argument, timeoutMs) => this.#command('rebootdevice', '', this.#deadline(timeoutMs)),
      /** Argument 0 ends the blinking. */
      locate: (argument, timeoutMs) =>
        this.#command('ledset', argument === 0 ? 'red,off' : 'red,blink', this.#deadline(timeoutMs)),
    });
  }

  async #giveAtmBack(say: Say, deadline: Deadline): Promise<void> {
    if (!this.#owesAtm) return;
    await say('atmset', 'enabled=true', deadline);
    this.#owesAtm = false;
  }

  #command(command: string, words: string, deadline: Deadline): Promise<void> {
    return this.#session.inSession(deadline, async (say) => {
      await say(command, words, deadline);
    });
  }

  async #readSettings(
    deadline: Deadline,
  ): Promise<{ settings: Settings; config: JsonObject; profiles: readonly Profile[] }> {
    const beganMs = this.#io.clock.monoMs();
    const { config, partial } = await this.#config(deadline);
    // What is missing of it may be what a command must give back.
    if (partial) throw new Fault('ANSWER_PARTIAL', 'config');
    const profiles = await this.#profiles(deadline);
    const pools = await this.#try('pools', deadline);
    const settings = settingsOf(config, this.#limitOf(config, profiles), pools);
    this.#newest = { settings, beganMs };
    return { settings, config, profiles };
  }

  /** The highest profile within the limit; a profile changes the clock of all chips, so one in force is left alone. */
  async #limit(
    limitW: number | undefined,
    timeoutMs: number,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const whole = this.#deadline(timeoutMs);
    // The rest is for giving back what was switched off meanwhile.
    const deadline = this.#deadline(timeoutMs * WORK_SHARE);
    if (limitW === undefined || !Number.isInteger(limitW) || limitW <= 0 || limitW > MINER_BOUNDS.power.max)
      throw new Fault('USAGE', `power-limit ${limitW ?? ''}: whole watts, 1 to ${MINER_BOUNDS.power.max}`);
    const { settings, config, profiles } = await this.#readSettings(deadline);
    const wanted = profileFor(limitW, profiles);
    if (wanted.name !== wordOf(field(config, 'Profile'))) {
      await before?.(settings);
      await this.#session.inSession(deadline, async (say) => {
        // It would take the profile back, and refuses one meanwhile: it is off for that moment alone.
        if (field(config, 'IsAtmEnabled') === true) {
          this.#owesAtm = true;
          await say('atmset', 'enabled=false', deadline);
        }
        try {
          await say('profileset', wanted.name, deadline);
        } finally {
          await this.#giveAtmBack(say, whole);
        }
      });
    } else if (this.#owesAtm) await this.#session.inSession(whole, (say) => this.#giveAtmBack(say, whole));
    this.#asked = { limitW, profile: wanted.name };
  }
}

/** Above its default only where exactly that is asked for, as a restore does: nobody overclocks by a limit. */
function profileFor(limitW: number, profiles: readonly Profile[]): Profile {
  const exact = profiles.find(({ watts }) => watts === limitW);
  const wanted = exact ?? profiles.findLast(({ watts, step }) => watts <= limitW && step <= 0);
  if (wanted) return wanted;
  const [lowest] = profiles;
  throw new Fault(
    'VERB_REFUSED',
    `${limitW} W: ${lowest ? `its lowest profile is ${lowest.watts} W` : 'it has no profiles'}`,
  );
}

/** What a curtailment must leave as it is, as far as the device says. */
function settingsOf(config: JsonObject, limitW: number | undefined, pools: Asked | Fault): Settings {
  const settings: Record<string, string | number> = {};
  if (limitW !== undefined) settings['powerLimit'] = limitW;
  const atm = field(config, 'IsAtmEnabled');
  if (typeof atm === 'boolean') settings['atm'] = String(atm);
  const told = pools instanceof Fault || pools.partial ? [] : poolsTold(pools.value);
  return { ...settings, ...poolSettings(told) };
}

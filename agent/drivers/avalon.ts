/**
 * Canaan Avalon with the cgminer API on TCP 4028, in JSON or as text (`dialect=text`).
 * Verified on recorded answers (A1246 `stats`; Q `stats`, `litestats`, `version`, `pools`); commands from documents only.
 */
import type { Pool } from '../../config/pools.ts';
import type { Endpoint } from '../../host/deps.ts';
import { avalonNumbers, avalonWords, encodeAvalon, parseAvalon } from '../../protocols/asic/avalon.ts';
import type { AvalonDialect, AvalonWords } from '../../protocols/asic/avalon.ts';
import { field, isList, isObject, sectionOf, statusOf } from '../../protocols/asic/cgminer.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { Identity, Readings } from '../../protocols/reading.ts';
import { PLAIN_VERB } from '../../protocols/verb-facts.ts';
import { askBytes, Deadline, poolReadings, poolsTold } from '../ask-cgminer.ts';
import type { Asked } from '../ask-cgminer.ts';
import { withFacts } from '../driver.ts';
import type { BeforeWrite, Device, DeviceIo, Driver, Settings, SettingsView, Target } from '../driver.ts';
import { wordOf } from '../miner-readings.ts';
import { checkOptions, portOption } from '../options.ts';
import { hasPools, poolSettings } from '../pools.ts';
import { toNumber, unreadable } from '../readings.ts';
import { statsReadings } from './avalon-stats.ts';
import type { Stats } from './avalon-stats.ts';

/** Commands that give the bracket string, the shortest first; which of them a firmware has is found out once. */
const STATS = ['litestats', 'estats', 'stats'] as const;
/** Soft-off and soft-on are carried out at a time of the device's own clock; one that has passed is not taken. */
const AHEAD_S = 5;
/** So long after an unanswered soft-on a machine that sleeps on did not know the word. */
const SOFT_ON_MS = 20_000;
/** What its verbs truly do. Times are estimates from documents. */
const VERBS = {
  sleep: {
    ...PLAIN_VERB,
    isAsynchronous: true,
    effectS: { typical: 15, atMost: 60 },
    source: 'soft-off is scheduled by the machine’s own clock, 5 s ahead',
  },
  wake: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'soft-on is scheduled, and may close without a reply; without soft-on a reboot',
  },
  pools: {
    ...PLAIN_VERB,
    restartsMining: true,
    survivesReboot: true,
    effectS: { typical: 60, atMost: 300 },
    source: 'setpool, place by place, and a reboot, from which on they are mined at',
  },
  reboot: {
    ...PLAIN_VERB,
    restartsMining: true,
    isAsynchronous: true,
    effectS: { typical: 120, atMost: 300 },
    source: 'ascset reboot',
  },
  locate: { ...PLAIN_VERB, survivesReboot: false, source: 'ascset led: the light alone' },
} as const;

export const avalon: Driver = {
  name: 'avalon',
  schemes: ['avalon'],
  open: (target, io) => {
    checkOptions(target, ['api', 'dialect']);
    return new Avalon(target, io);
  },
};

class Avalon implements Device {
  readonly driver = 'avalon';
  readonly verbs: Device['verbs'];
  readonly settings: SettingsView = { newest: () => this.#newest, setBy: {} };
  readonly door: Endpoint;
  readonly #io: DeviceIo;
  readonly #dialect: AvalonDialect;
  /** Of its web page: the command that sets pools carries it. */
  readonly #login: readonly [user: string, password: string];
  #newest: ReturnType<SettingsView['newest']>;
  /** The place in STATS of the one that has answered. */
  #stats: number | undefined;
  /** When a soft-on was closed without a word. */
  #unansweredMs: number | undefined;
  /** Its API takes one request at a time: the next waits for the one before. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(target: Target, io: DeviceIo) {
    const dialect = target.options['dialect'] ?? 'json';
    if (dialect !== 'json' && dialect !== 'text')
      throw new Fault('TARGET_INVALID', `${target.url}: dialect is json or text, not ${dialect}`);
    this.#io = io;
    this.#dialect = dialect;
    this.#login = [target.user ?? 'root', target.password ?? 'root'];
    this.door = { host: target.host, port: portOption(target, 'api') ?? target.port ?? 4028 };
    this.verbs = this.#makeVerbs();
  }

  async identify(timeoutMs: number): Promise<Identity> {
    const { value } = await this.#ask('version', undefined, this.#deadline(timeoutMs));
    const [version] = sectionOf(value, 'VERSION');
    if (!version) throw new Fault('ANSWER_GARBAGE', 'no VERSION section');
    const product = wordOf(field(version, 'PROD'));
    const model = product === '' ? wordOf(field(version, 'MODEL')) : product;
    if (!/avalon/i.test(`${product}${wordOf(field(version, 'ID'))}`) && field(version, 'MODEL') === undefined)
      throw new Fault('ANSWER_GARBAGE', 'this is no Avalon');
    // In text a version of digits alone has become a number.
    const firmware = ['CGVERSION', 'VERSION', 'LVERSION', 'CGMiner']
      .map((name) => field(version, name))
      .map((said) => (typeof said === 'number' ? String(said) : wordOf(said)))
      .find((said) => said !== '');
    return { vendor: 'Canaan', model, firmware: firmware ?? '' };
  }

  async read(scope: 'fast' | 'full', timeoutMs: number): Promise<Readings> {
    const deadline = this.#deadline(timeoutMs);
    const beganMs = this.#io.clock.monoMs();
    const stats = await this.#askStats(deadline);
    const readings = statsReadings(stats);
    if (scope === 'full') {
      const pools = await this.#ask('pools', undefined, deadline).catch((error: unknown) => asFault(error));
      Object.assign(
        readings,
        pools instanceof Fault
          ? { 'pool.active': unreadable(pools.code, stats.atMs, pools.detail) }
          : poolReadings(pools),
      );
      // Of pools that broke off the missing ones are not gone.
      if (!(pools instanceof Fault) && !pools.partial)
        this.#newest = { settings: settingsOf(stats.words, pools), beganMs };
    }
    return readings;
  }

  close(): void {}

  #deadline(timeoutMs: number): Deadline {
    return new Deadline(this.#io.clock, timeoutMs);
  }

  /** One request, after those before it. Rejects with a Fault: NET_*, ANSWER_*, VERB_UNSUPPORTED, VERB_REFUSED. */
  #ask(command: string, parameter: string | undefined, deadline: Deadline): Promise<Asked> {
    const turn = this.#turn.then(async (): Promise<Asked> => {
      const request = encodeAvalon(this.#dialect, command, parameter);
      const { bytes, atMs } = await askBytes(this.#io, this.door, request, deadline);
      const answer = parseAvalon(bytes);
      if (answer instanceof Fault) throw answer;
      const status = statusOf(answer.value);
      if (status?.level !== 'E' && status?.level !== 'F') return { ...answer, atMs };
      if (answer.partial && status.code === undefined) throw new Fault('ANSWER_PARTIAL', command);
      const unknown = status.code === 14 || /unknown option/i.test(status.message);
      // An answer may repeat the words of the question, and those of setpool are secret.
      const said = parameter?.includes('setpool') === true ? 'setpool' : status.message.slice(0, 100);
      throw new Fault(unknown ? 'VERB_UNSUPPORTED' : 'VERB_REFUSED', `${command}: ${said}`);
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #askStats(deadline: Deadline): Promise<Stats> {
    let worst: Fault | undefined;
    for (let at = this.#stats ?? 0; at < STATS.length; at += 1) {
      const command = STATS[at] ?? 'stats';
      const asked = await this.#ask(command, undefined, deadline).catch((error: unknown) => asFault(error));
      if (!(asked instanceof Fault)) {
        this.#stats = at;
        const words = avalonWords(sectionOf(asked.value, 'STATS'));
        if (words) return { ...asked, words };
        if (asked.partial) throw new Fault('ANSWER_PARTIAL', `${command}: without MM ID0`);
        throw new Fault('ANSWER_GARBAGE', `${command}: no MM ID0 in it`);
      }
      // Some say that they do not know a command, some close without a word; what has answered is known.
      const isUnknown = asked.code === 'VERB_UNSUPPORTED';
      if (!isUnknown && (asked.code !== 'NET_RESET' || this.#stats !== undefined)) throw asked;
      if (worst === undefined || !isUnknown) worst = asked;
    }
    throw worst ?? new Fault('VERB_UNSUPPORTED', STATS.join(', '));
  }

  #makeVerbs(): Device['verbs'] {
    return withFacts(VERBS, {
      sleep: async (_argument, timeoutMs, before) => {
        const deadline = this.#deadline(timeoutMs);
        const atS = await this.#ready(deadline, before);
        await this.#set(`softoff,1:${atS}`, deadline);
      },
      wake: async (_argument, timeoutMs, before) => {
        const deadline = this.#deadline(timeoutMs);
        const atS = await this.#ready(deadline, before);
        const sinceMs = this.#io.clock.monoMs() - (this.#unansweredMs ?? Number.POSITIVE_INFINITY);
        if (sinceMs > SOFT_ON_MS) {
          this.#unansweredMs = undefined;
          return this.#reboot(deadline);
        }
        try {
          await this.#set(`softon,1:${atS}`, deadline);
        } catch (error) {
          const { code } = asFault(error);
          // Older firmware has no soft-on: there a reboot brings the boards back.
          if (code === 'VERB_UNSUPPORTED') await this.#reboot(deadline);
          // It may close without a word: whether it took it shows in what it does.
          else if (code !== 'NET_RESET') throw error;
          else this.#unansweredMs ??= this.#io.clock.monoMs();
        }
      },
      pools: (pools, timeoutMs, before) => this.#setPools(pools, this.#deadline(timeoutMs), before),
      reboot: (_argument, timeoutMs) => this.#reboot(this.#deadline(timeoutMs)),
      /** Argument 0 ends it. */
      locate: async (argument, timeoutMs) => {
        const deadline = this.#deadline(timeoutMs);
        const on = argument === 0 ? 0 : 1;
        try {
          await this.#set(`led,1-${on}`, deadline);
        } catch (error) {
          // The A13 counts its lights from 0.
          if (asFault(error).code !== 'VERB_REFUSED') throw error;
          await this.#set(`led,0-${on}`, deadline);
        }
      },
    });
  }

  /** Hands over the settings as they are, and gives the device's own time a few seconds ahead, s. */
  async #ready(deadline: Deadline, before: BeforeWrite | undefined): Promise<number> {
    const beganMs = this.#io.clock.monoMs();
    const stats = await this.#askStats(deadline);
    if (before) {
      const pools = await this.#ask('pools', undefined, deadline).catch(() => undefined);
      const settings = settingsOf(stats.words, pools);
      this.#newest = { settings, beganMs };
      await before(settings);
    }
    const status = field(stats.value, 'STATUS');
    const [first] = isList(status) ? status : [];
    const nowS = isObject(first) ? toNumber(field(first, 'When')) : undefined;
    const passedS = (this.#io.clock.monoMs() - beganMs) / 1_000;
    return Math.floor((nowS ?? this.#io.clock.wallMs() / 1_000) + passedS) + AHEAD_S;
  }

  /** One place after the other, with the words of its web page's login; they are mined at after a boot. */
  async #setPools(
    pools: readonly Pool[],
    deadline: Deadline,
    before: BeforeWrite | undefined,
  ): Promise<void> {
    const beganMs = this.#io.clock.monoMs();
    const stats = await this.#askStats(deadline);
    const told = await this.#ask('pools', undefined, deadline);
    if (told.partial) throw new Fault('ANSWER_PARTIAL', 'pools');
    const settings = settingsOf(stats.words, told);
    this.#newest = { settings, beganMs };
    if (hasPools(pools, settings)) return;
    const places = poolsTold(told.value).filter(({ url }) => url !== '').length;
    if (places > pools.length)
      throw new Fault(
        'VERB_REFUSED',
        `it has ${places} pools and no word to empty a place: declare as many in the set`,
      );
    await before?.(settings);
    for (const [place, { url, user, pass }] of pools.entries())
      await this.#set(['setpool', ...this.#login, place, url, user, pass].join(','), deadline);
    await this.#reboot(deadline);
  }

  async #reboot(deadline: Deadline): Promise<void> {
    await this.#set('reboot,0', deadline).catch((error: unknown) => {
      // It may be gone before it has said so; proof is that it has started anew.
      if (asFault(error).code !== 'NET_RESET') throw error;
    });
  }

  async #set(words: string, deadline: Deadline): Promise<void> {
    const { value, partial } = await this.#ask('ascset', `0,${words}`, deadline);
    const status = statusOf(value);
    // Some say S and OK, some I and what they have understood.
    if (status?.level === 'S' || (status?.level === 'I' && /success|LED\[/i.test(status.message))) return;
    if (partial) throw new Fault('ANSWER_PARTIAL', words.split(',', 1)[0]);
    // What was said may hold passwords, and so may an answer that repeats it.
    const [verb] = words.split(',');
    const why = verb === 'setpool' ? '' : `: ${status?.message.slice(0, 100) ?? 'no status in the answer'}`;
    throw new Fault('VERB_REFUSED', `${verb === 'setpool' ? verb : words}${why}`);
  }
}

/** What a curtailment must leave as it is, as far as the device says. */
function settingsOf(words: AvalonWords, pools: Asked | undefined): Settings {
  const settings: Record<string, string | number> = {};
  for (const [name, key] of [
    ['workMode', 'WORKMODE'],
    ['workLevel', 'WORKLEVEL'],
  ] as const) {
    const [value] = avalonNumbers(words, key);
    if (value !== undefined) settings[name] = value;
  }
  return { ...settings, ...(pools && !pools.partial && poolSettings(poolsTold(pools.value))) };
}

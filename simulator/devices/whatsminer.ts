/**
 * A simulated Whatsminer with API v2: plain reads, encrypted commands under a token.
 * Written from the vendor's answers, apart from the driver, so that an error in one shows against the other.
 */
import type { AsicModel } from '../../config/schema/model.ts';
import type { Random } from '../../host/deps.ts';
import {
  decryptWhatsminer,
  encodeWhatsminerReply,
  whatsminerKey,
  whatsminerSign,
} from '../../protocols/asic/whatsminer.ts';
import type { WhatsminerToken } from '../../protocols/asic/whatsminer.ts';
import type { Answer, SimulatedEndpoint, StreamDevice } from '../device.ts';
import { AsicPower } from '../physics/asic.ts';
import {
  bareAnswer,
  BOOT_MS,
  EPOCH_S,
  firstPools,
  noise,
  objectOf,
  poolSettings,
  requestText,
  SLOW_MS,
  WAKES_AFTER_MS,
} from './miner.ts';
import type { MinerAddress, MinerFault, SimulatedMiner, SimulatedPool } from './miner.ts';

export interface WhatsminerOptions {
  readonly id: string;
  readonly model: AsicModel;
  readonly random: Random;
  readonly startMs: number;
  readonly ambientC?: (nowMs: number) => number;
  readonly mode?: 'mine' | 'sleep';
  readonly password: string;
  /** From question to answer, ms; 5 when absent. */
  readonly answerMs?: number;
  /** False as delivered, until the vendor's tool has changed the password; true when absent. */
  readonly writable?: boolean;
  /** `power_off` is carried out without an answer, as some firmwares do. */
  readonly mutePowerOff?: boolean;
}

const TOKEN_LIFE_MS = 30 * 60_000;
const TOKENS_MAX = 32;
const BOARDS = 3;
const CHIPS = 135;
/** Stands for none. */
const NO_LIMIT_W = 99_999;
/** A token given out. Its sign is made when a command comes: most tokens are never used, and a sign is a thousand rounds. */
interface Given {
  readonly token: WhatsminerToken;
  readonly untilMs: number;
  sign: string | undefined;
}

const POWER_MODES = { set_low_power: 'Low', set_normal_power: 'Normal', set_high_power: 'High' } as const;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

export class SimulatedWhatsminer implements SimulatedMiner, StreamDevice {
  readonly id: string;
  readonly power: AsicPower;
  fault: MinerFault = 'none';
  changes = 0;
  /** Tokens given out. */
  tokens = 0;
  led: unknown = 'auto';
  /** No limit is set: it draws what its model does. */
  isUnlimited = false;
  #powerMode: (typeof POWER_MODES)[keyof typeof POWER_MODES] = 'Normal';
  readonly #random: Random;
  readonly #password: string;
  readonly #answerMs: number;
  readonly #writable: boolean;
  readonly #mute: boolean;
  readonly #salt: string;
  readonly #given: Given[] = [];
  #key: string | undefined;
  #pools: readonly SimulatedPool[];
  #off: boolean;
  #offSinceMs: number;
  #startedMs: number;
  /** Since when the system is up; the miner process starts later, and again. */
  #upSinceMs: number;
  #bootUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: WhatsminerOptions) {
    this.id = options.id;
    this.power = new AsicPower(options);
    this.#random = options.random;
    this.#password = options.password;
    this.#answerMs = options.answerMs ?? 5;
    this.#writable = options.writable ?? true;
    this.#mute = options.mutePowerOff ?? false;
    this.#salt = this.#letters(8);
    this.#pools = firstPools(this.id, 1);
    this.#off = options.mode === 'sleep';
    this.#offSinceMs = options.startMs;
    this.#startedMs = options.startMs;
    this.#upSinceMs = options.startMs;
  }

  powerW(nowMs: number): number {
    this.#wakeByItself(nowMs);
    return this.power.powerW(nowMs);
  }

  settings(): Readonly<Record<string, string | number>> {
    return { powerLimit: this.#saysLimitW(), powerMode: this.#powerMode, ...poolSettings(this.#pools) };
  }

  endpoints({ host, api }: MinerAddress): readonly SimulatedEndpoint[] {
    return [{ kind: 'stream', host, port: api, device: this }];
  }

  /** Makes every token given out so far worthless. */
  forgetTokens(): void {
    this.#given.length = 0;
  }

  supply(on: boolean, nowMs: number): void {
    this.power.supply(nowMs, on);
    // Off is a state of the running miner process: with power it starts as it was shipped to.
    if (on && this.#off && this.power.model.keepsSleep !== true) this.#powerOn(nowMs);
    if (on) this.#boot(nowMs);
  }

  respond(bytes: Uint8Array, nowMs: number): Answer {
    this.#wakeByItself(nowMs);
    if (this.fault === 'dead' || !this.power.supplied) return { kind: 'silence' };
    if (nowMs < this.#bootUntilMs) return { kind: 'reset' };
    if (this.fault === 'garbage')
      return { kind: 'bytes', bytes: noise(Math.floor(nowMs)), afterMs: this.#answerMs, close: true };
    const text = requestText(bytes);
    if (text === undefined) return { kind: 'wait' };
    const afterMs = this.fault === 'slow' ? SLOW_MS : this.#answerMs;
    const request = objectOf(text);
    if (request?.['enc'] === 1 && typeof request['data'] === 'string')
      return this.#privileged(request['data'], nowMs, afterMs);
    const cmd = request?.['cmd'] ?? request?.['command'];
    return bareAnswer(this.#plain(typeof cmd === 'string' ? cmd : '', nowMs), afterMs);
  }

  #plain(cmd: string, nowMs: number): string {
    const parts = cmd.split('+').map((part) => [part, this.#classic(part, nowMs)] as const);
    const [first, ...others] = parts;
    if (first?.[1] !== undefined && others.length === 0) return first[1];
    // Several at once: of the classic words alone.
    if (parts.every(([, answer]) => answer !== undefined))
      return `{${parts.map(([part, answer]) => `"${part}":[${answer}]`).join(',')},"id":1}`;
    return this.#own(cmd, nowMs);
  }

  /** What it has of cgminer; undefined when that has no such word. */
  #classic(cmd: string, nowMs: number): string | undefined {
    const listed = (code: number, message: string, name: string, list: string): string =>
      `{"STATUS":[{"STATUS":"S","When":${when(nowMs)},"Code":${code},"Msg":"${message}","Description":"cgminer 4.9.2"}],"${name}":${list},"id":1}`;
    switch (cmd) {
      case 'summary':
        return listed(11, 'Summary', 'SUMMARY', `[${this.#summary(nowMs)}]`);
      case 'pools':
        return listed(7, `${this.#pools.length} Pool(s)`, 'POOLS', JSON.stringify(this.#poolList()));
      case 'devs':
      case 'edevs':
        return listed(9, `${BOARDS} ASC(s)`, 'DEVS', this.#boards(nowMs));
      case 'devdetails':
        return listed(
          69,
          'Device Details',
          'DEVDETAILS',
          JSON.stringify([{ DEVDETAILS: 0, Name: 'SM', ID: 0, Model: this.#modelName() }]),
        );
      default:
        return undefined;
    }
  }

  /** Words of its own; none of them can be asked together with another. */
  #own(cmd: string, nowMs: number): string {
    const flat = (level: string, code: number, message: unknown): string =>
      JSON.stringify({ STATUS: level, When: when(nowMs), Code: code, Msg: message, Description: '' });
    switch (cmd) {
      case 'get_version':
        return flat('S', 131, { api_ver: '2.0.5', fw_ver: '20230803.11.REL', platform: 'H616', chip: 'K30' });
      case 'get_psu':
        return flat('S', 131, { name: 'P222B', hw_version: '', model: 'P222B', fan_speed: '6000' });
      case 'get_miner_info':
        return flat('S', 131, { hostname: 'WhatsMiner', ledstat: this.led === 'auto' ? 'auto' : 'manual' });
      case 'get_error_code':
        return flat('S', 131, { error_code: [] });
      case 'status':
        return flat('S', 131, {
          mineroff: String(this.#off),
          mineroff_reason: '',
          power_mode: this.#powerMode.toLowerCase(),
          power_limit_set: String(this.#saysLimitW()),
          hash_percent: '0',
        });
      case 'get_token':
        return this.#token(nowMs, flat);
      default:
        return flat('E', 14, 'invalid cmd');
    }
  }

  #modelName(): string {
    return this.power.model.id
      .replace(/^whatsminer-/, '')
      .replace('-plus', '+')
      .toUpperCase();
  }

  #saysLimitW(): number {
    return this.isUnlimited ? NO_LIMIT_W : this.power.limitW;
  }

  #poolList(): readonly unknown[] {
    return this.#pools.map(({ url, user }, index) => ({
      POOL: index + 1,
      URL: url,
      User: user,
      Status: 'Alive',
      Priority: index,
      'Stratum Active': index === 0 && !this.#off,
    }));
  }

  #summary(nowMs: number): string {
    const lying = this.#off && this.fault === 'lies';
    const mhs = lying ? 0 : Math.round(this.power.hashrate(nowMs) / 1e6);
    const powerW = lying ? this.power.model.sleepW : Math.round(this.power.powerW(nowMs));
    const board = this.power.boardC(nowMs);
    const factoryGhs = (this.power.model.rungs.at(-1)?.hashrateThs ?? 0) * 1_000;
    const elapsed = Math.max(0, Math.floor((nowMs - this.#startedMs) / 1_000));
    return `{"Elapsed":${elapsed},"MHS av":${mhs},"MHS 5s":${mhs},"MHS 1m":${mhs},"HS RT":${mhs},"Accepted":100,"Rejected":0,"Temperature":${board.toFixed(2)},"Fan Speed In":${this.#off ? 0 : 5_400},"Fan Speed Out":${this.#off ? 0 : 5_280},"Power":${powerW},"Power Limit":${this.#saysLimitW()},"Power Mode":"${this.#powerMode}","Factory GHS":${factoryGhs},"Env Temp":${this.power.ambientC(nowMs).toFixed(2)},"Chip Temp Min":${(board - 4).toFixed(2)},"Chip Temp Max":${(board + 12).toFixed(2)},"Chip Temp Avg":${(board + 5).toFixed(2)},"Upfreq Complete":${mhs > 0 ? 1 : 0},"Uptime":${Math.max(0, Math.floor((nowMs - this.#upSinceMs) / 1_000))}}`;
  }

  #boards(nowMs: number): string {
    const board = this.power.boardC(nowMs);
    const left = this.power.boardsLeft(BOARDS);
    const mhs = this.power.hashrate(nowMs) / 1e6 / left;
    return JSON.stringify(
      Array.from({ length: left }, (_, slot) => ({
        ASC: slot,
        Slot: slot,
        Status: 'Alive',
        Temperature: Number((board + slot - 1).toFixed(2)),
        'Chip Temp Max': Number((board + slot + 11).toFixed(2)),
        'MHS av': Number(mhs.toFixed(2)),
        'Effective Chips': this.power.chipsPerBoard(BOARDS) ?? CHIPS,
      })),
    );
  }

  #token(nowMs: number, flat: (level: string, code: number, message: unknown) => string): string {
    while ((this.#given[0]?.untilMs ?? Infinity) <= nowMs) this.#given.shift();
    if (this.#given.length >= TOKENS_MAX) return flat('E', 136, 'over max connect');
    const token = { time: String(when(nowMs)).slice(-4), salt: this.#salt, newsalt: this.#letters(8) };
    this.#given.push({ token, untilMs: nowMs + TOKEN_LIFE_MS, sign: undefined });
    this.tokens += 1;
    return flat('S', 134, token);
  }

  #privileged(data: string, nowMs: number, afterMs: number): Answer {
    const plainError = (code: number, message: string): Answer =>
      bareAnswer(
        JSON.stringify({ STATUS: 'E', When: when(nowMs), Code: code, Msg: message, Description: '' }),
        afterMs,
      );
    if (!this.#writable) return plainError(45, "can't access write cmd");
    const key = (this.#key ??= whatsminerKey(this.#password, this.#salt));
    const plain = decryptWhatsminer(key, data);
    const command = plain === undefined ? undefined : objectOf(plain);
    if (!command) return plainError(23, 'enc json load err');
    const sign = command['token'];
    const isGiven = this.#given.some(
      (one) => one.untilMs > nowMs && sign === (one.sign ??= whatsminerSign(key, one.token)),
    );
    if (!isGiven) return plainError(135, 'check token err');
    const outcome = this.#command(command, nowMs);
    if (this.fault === 'disturbs' && outcome !== 14) this.#powerMode = 'Low';
    if (outcome === 'mute') return { kind: 'silence' };
    const reply = JSON.stringify({
      STATUS: outcome === 131 ? 'S' : 'E',
      When: when(nowMs),
      Code: outcome,
      Msg: outcome === 131 ? 'API command OK' : 'API command ERROR',
      Description: '',
    });
    return { kind: 'bytes', bytes: encodeWhatsminerReply(key, reply), afterMs, close: true };
  }

  #command(command: Readonly<Record<string, unknown>>, nowMs: number): number | 'mute' {
    const ignores = this.fault === 'ignores';
    switch (command['cmd']) {
      case 'power_off':
        this.changes += 1;
        // Off by its books and hashing all the same, after it lied: then it is told something new.
        if (!ignores && (!this.#off || this.power.mining)) this.#powerOff(nowMs);
        return this.#mute ? 'mute' : 131;
      case 'power_on':
        this.changes += 1;
        if (!ignores && this.#off) this.#powerOn(nowMs);
        return 131;
      case 'adjust_power_limit': {
        const limitW = Number(command['power_limit']);
        if (!Number.isInteger(limitW) || limitW < 0 || limitW > 99_999) return 132;
        this.changes += 1;
        if (!ignores) {
          this.isUnlimited = limitW === NO_LIMIT_W;
          this.power.limit(nowMs, limitW);
          this.power.restart(nowMs);
        }
        return 131;
      }
      case 'set_low_power':
      case 'set_normal_power':
      case 'set_high_power':
        this.changes += 1;
        if (!ignores) {
          this.#powerMode = POWER_MODES[command['cmd']];
          this.power.restart(nowMs);
        }
        return 131;
      case 'update_pools':
        return this.#updatePools(command, nowMs);
      case 'set_led':
        this.changes += 1;
        this.led = command['param'] ?? command['color'];
        return 131;
      case 'restart_btminer':
        this.changes += 1;
        if (ignores) return 131;
        this.#startedMs = nowMs;
        this.power.restart(nowMs);
        return 131;
      case 'reboot':
        this.changes += 1;
        if (ignores) return 131;
        this.#boot(nowMs);
        this.power.restart(nowMs);
        return 131;
      default:
        return 14;
    }
  }

  /** All nine words must be there; an empty address is no pool. */
  #updatePools(command: Readonly<Record<string, unknown>>, nowMs: number): number {
    const words = (name: string): unknown[] => [1, 2, 3].map((place) => command[`${name}${place}`]);
    const [urls, users, passes] = ['pool', 'worker', 'passwd'].map(words);
    const isText = (word: unknown): word is string => typeof word === 'string';
    if (!urls?.every(isText) || !users?.every(isText) || !passes?.every(isText) || urls[0] === '') return 132;
    this.changes += 1;
    if (this.fault === 'ignores') return 131;
    this.#pools = urls.flatMap((url, place) =>
      url === '' ? [] : [{ url, user: users[place] ?? '', pass: passes[place] ?? '' }],
    );
    if (!this.#off) this.power.restart(nowMs);
    return 131;
  }

  #boot(nowMs: number): void {
    this.#startedMs = this.#bootUntilMs = nowMs + BOOT_MS;
    this.#upSinceMs = nowMs;
    this.forgetTokens();
  }

  #powerOff(nowMs: number): void {
    this.#off = true;
    this.#offSinceMs = nowMs;
    if (this.fault !== 'lies') this.power.sleep(nowMs);
  }

  #powerOn(nowMs: number): void {
    this.#off = false;
    this.#startedMs = nowMs;
    this.power.wake(nowMs);
  }

  /** At its own time, however late anybody asks. */
  #wakeByItself(nowMs: number): void {
    const dueMs = this.#offSinceMs + WAKES_AFTER_MS;
    if (this.fault === 'wakes' && this.#off && nowMs >= dueMs) this.#powerOn(dueMs);
  }

  #letters(count: number): string {
    return Array.from(
      { length: count },
      () => LETTERS[Math.floor(this.#random.next() * LETTERS.length)] ?? 'A',
    ).join('');
  }
}

function when(nowMs: number): number {
  return EPOCH_S + Math.floor(nowMs / 1_000);
}

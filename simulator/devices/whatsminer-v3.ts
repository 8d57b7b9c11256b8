/**
 * A simulated Whatsminer with API v3: framed JSON on a connection that stays open, commands under a token of its salt.
 * Written from the vendor's documents, apart from the driver, so that an error in one shows against the other.
 */
import { createDecipheriv, createHash } from 'node:crypto';
import { frameWhatsminerV3, messageOfWhatsminerV3 } from '../../protocols/asic/whatsminer-v3.ts';
import type { Answer, SimulatedEndpoint, StreamDevice } from '../device.ts';
import { objectOf, poolSettings, poolsIn } from './miner.ts';
import type { MinerAddress } from './miner.ts';
import { MinerBody, whenS } from './miner-body.ts';
import type { MinerOptions } from './miner-body.ts';

const BOARDS = 3;
const CHIPS = 75;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const OK = 0;
const FAILED = -1;
const UNKNOWN = -2;
const NO_PARAM = -3;
const DENIED = -4;

export class SimulatedWhatsminerV3 extends MinerBody implements StreamDevice {
  led: unknown = 'auto';
  powerMode = 'normal';
  readonly #account: string;
  readonly #writable: boolean;
  #salt: string;

  /** `writable`: false as delivered, until the vendor's tool has changed the password; true when absent. */
  constructor(options: MinerOptions & { readonly writable?: boolean }) {
    super(options);
    this.#account = options.user ?? 'super';
    this.#writable = options.writable ?? true;
    this.#salt = this.#letters();
  }

  settings(): Readonly<Record<string, string | number>> {
    return { powerLimit: this.power.limitW, powerMode: this.powerMode, ...poolSettings(this.mined) };
  }

  endpoints({ host, api }: MinerAddress): readonly SimulatedEndpoint[] {
    return [{ kind: 'stream', host, port: api, device: this }];
  }

  /** Its salt is another one after each start. */
  protected override forget(): void {
    this.#salt = this.#letters();
  }

  respond(bytes: Uint8Array, nowMs: number): Answer {
    const gate = this.streamGate(nowMs);
    if (gate) return gate;
    const message = messageOfWhatsminerV3(bytes);
    if (!message) return { kind: 'wait' };
    const request = objectOf(new TextDecoder().decode(message.body));
    const cmd = typeof request?.['cmd'] === 'string' ? request['cmd'] : '';
    const [code, msg] = request ? this.#answer(cmd, request, nowMs) : [FAILED, 'invalid json'];
    return {
      kind: 'bytes',
      bytes: frameWhatsminerV3(JSON.stringify({ code, when: whenS(nowMs), msg, desc: cmd })),
      afterMs: this.afterMs,
      close: false,
      consumed: message.end,
    };
  }

  #answer(cmd: string, request: Readonly<Record<string, unknown>>, nowMs: number): [number, unknown] {
    const { param } = request;
    switch (cmd) {
      case 'get.device.info':
        return [OK, this.#info(param)];
      case 'get.miner.status':
        return typeof param === 'string' ? [OK, this.#status(param, nowMs)] : [NO_PARAM, 'param is null'];
      case 'get.miner.setting':
        return [
          OK,
          {
            'power-limit': this.power.limitW,
            'upfreq-speed': 0,
            'power-mode': this.powerMode,
            'fast-boot': 'disable',
            'target-freq': 0,
          },
        ];
      default:
        if (!cmd.startsWith('set.')) return [UNKNOWN, 'invalid command'];
        if (!this.#writable || !this.#isProven(cmd, request)) return [DENIED, 'no permission'];
        return this.#command(cmd, cmd === 'set.miner.pools' ? this.#plain(cmd, request) : param, nowMs);
    }
  }

  #isProven(cmd: string, { ts, account, token }: Readonly<Record<string, unknown>>): boolean {
    const said = `${cmd}${this.password}${this.#salt}${String(ts)}`;
    const proof = createHash('sha256').update(said).digest().toString('base64').slice(0, 8);
    return typeof ts === 'number' && account === this.#account && token === proof;
  }

  /** What stands enciphered under the digest that its token is cut from; undefined: it does not. */
  #plain(cmd: string, { ts, param }: Readonly<Record<string, unknown>>): unknown {
    if (typeof param !== 'string' || !/^[\w+/=]+$/.test(param)) return undefined;
    const bytes = Buffer.from(param, 'base64');
    if (bytes.length === 0 || bytes.length % 16 !== 0) return undefined;
    const key = createHash('sha256')
      .update(`${cmd}${this.password}${this.#salt}${String(ts)}`)
      .digest();
    const decipher = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false);
    const text = Buffer.concat([decipher.update(bytes), decipher.final()])
      .toString()
      .replace(/\0+$/u, '');
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return undefined;
    }
  }

  #command(cmd: string, param: unknown, nowMs: number): [number, unknown] {
    switch (cmd) {
      case 'set.miner.service':
        if (param === 'stop') this.fallAsleep(nowMs);
        else if (param === 'start') this.wakeUp(nowMs);
        else if (param === 'restart') this.power.restart(nowMs);
        else return [FAILED, 'invalid param'];
        break;
      case 'set.miner.power_limit':
        if (typeof param !== 'number' || !(param >= 0 && param <= 99_999)) return [FAILED, 'invalid param'];
        this.limit(param, nowMs, { restarts: true });
        break;
      case 'set.miner.power_mode':
        if (param !== 'low' && param !== 'normal' && param !== 'high') return [FAILED, 'invalid param'];
        this.powerMode = param;
        break;
      case 'set.miner.pools': {
        const pools = poolsIn(param, ['pool', 'worker', 'passwd']);
        if (!pools) return [FAILED, 'invalid param'];
        if (this.fault !== 'ignores') {
          this.mined = pools;
          if (!this.asleep) this.power.restart(nowMs);
        }
        break;
      }
      case 'set.system.led':
        if (param !== 'auto' && !Array.isArray(param)) return [FAILED, 'invalid param'];
        this.led = param;
        break;
      case 'set.system.reboot':
        this.reboot(nowMs);
        break;
      default:
        return [UNKNOWN, 'invalid command'];
    }
    this.changes += 1;
    if (this.fault === 'disturbs') this.powerMode = 'low';
    return [OK, 'ok'];
  }

  #info(filter: unknown): unknown {
    const type = this.power.model.id
      .replace(/^whatsminer-/, '')
      .replaceAll('-plus', '+')
      .toUpperCase();
    const parts: Readonly<Record<string, unknown>> = {
      network: { hostname: 'WhatsMiner', proto: 'dhcp', mac: 'CA:01:14:00:04:EB' },
      miner: { working: String(!this.asleep), type, 'hash-board': 'K40', 'board-num': String(BOARDS) },
      system: {
        api: '3.0.2',
        platform: 'H616',
        fwversion: '20251209.16.Rel2',
        ledstatus: this.led === 'auto' ? 'auto' : 'manual',
      },
      power: { model: 'P221B', fanspeed: 6_000, mode: '1' },
      salt: this.#salt,
      'error-code': [],
    };
    return typeof filter === 'string' ? { [filter]: parts[filter] } : parts;
  }

  #status(filter: string, nowMs: number): unknown {
    const wanted = filter.split('+');
    return {
      ...(wanted.includes('summary') && { summary: this.#summary(nowMs) }),
      ...(wanted.includes('pools') && {
        pools: this.mined.map(({ url, user }, index) => ({
          'pool-priority': index,
          url,
          account: user,
          status: 'alive',
          'stratum-active': index === 0 && !this.asleep,
        })),
      }),
      ...(wanted.includes('edevs') && { edevs: this.#boards(nowMs) }),
    };
  }

  #summary(nowMs: number): unknown {
    const ths = Number((this.ratesHs(nowMs) / 1e12).toFixed(3));
    const boardC = this.power.boardC(nowMs);
    const tenth = (value: number): number => Math.round(value * 10) / 10;
    return {
      elapsed: this.elapsedS(nowMs),
      'bootup-time': this.upS(nowMs),
      'freq-avg': ths > 0 ? 625 : 0,
      'factory-hash': this.factoryThs(),
      'hash-average': ths,
      'hash-1min': ths,
      'hash-15min': ths,
      'hash-realtime': ths,
      'power-5min': this.saysW(nowMs),
      'power-realtime': this.saysW(nowMs),
      'environment-temperature': tenth(this.power.ambientC(nowMs)),
      'board-temperature': Array.from({ length: BOARDS }, (_, n) => tenth(boardC + n - 1)),
      'chip-temp-min': tenth(boardC - 4),
      'chip-temp-avg': tenth(boardC + 5),
      'chip-temp-max': tenth(boardC + 12),
      'power-limit': this.power.limitW,
      'up-freq-finish': ths > 0 ? 1 : 0,
      'fan-speed-in': this.asleep ? 0 : 5_400,
      'fan-speed-out': this.asleep ? 0 : 5_280,
    };
  }

  #boards(nowMs: number): unknown {
    const boardC = this.power.boardC(nowMs);
    const left = this.power.boardsLeft(BOARDS);
    const ths = this.ratesHs(nowMs) / 1e12 / left;
    return Array.from({ length: left }, (_, id) => ({
      id,
      'hash-average': Number(ths.toFixed(3)),
      'hash-realtime': Number(ths.toFixed(3)),
      'chip-temp-max': Math.round((boardC + id + 11) * 10) / 10,
      'effective-chips': this.power.chipsPerBoard(BOARDS) ?? CHIPS,
      'factory-hash': this.factoryThs() / BOARDS,
      status: this.asleep ? 'dead' : 'alive',
    }));
  }

  #letters(): string {
    return Array.from(
      { length: 8 },
      () => LETTERS[Math.floor(this.random.next() * LETTERS.length)] ?? 'A',
    ).join('');
  }
}

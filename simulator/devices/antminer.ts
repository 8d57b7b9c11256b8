/**
 * A simulated Antminer with stock firmware: the read-only API and the CGI pages behind HTTP digest.
 * Written from the vendor's answers, apart from the driver, so that an error in one shows against the other.
 */
import type { AsicModel } from '../../config/schema/model.ts';
import type { Random } from '../../host/deps.ts';
import type {
  Answer,
  DeviceHttpRequest,
  HttpAnswer,
  HttpDevice,
  SimulatedEndpoint,
  StreamDevice,
} from '../device.ts';
import { AsicPower } from '../physics/asic.ts';
import { BOARDS, boardWords } from './antminer-boards.ts';
import { antminerPage } from './antminer-pages.ts';
import type { AntminerTells } from './antminer-pages.ts';
import { DigestGate } from './digest-gate.ts';
import {
  apiAnswer,
  BOOT_MS,
  EPOCH_S,
  firstPools,
  noise,
  objectOf,
  poolSettings,
  poolsIn,
  requestText,
  SLOW_MS,
  WAKES_AFTER_MS,
} from './miner.ts';
import type { MinerAddress, MinerFault, SimulatedMiner, SimulatedPool } from './miner.ts';

export interface AntminerOptions {
  readonly id: string;
  readonly model: AsicModel;
  readonly random: Random;
  readonly startMs: number;
  readonly ambientC?: (nowMs: number) => number;
  readonly mode?: 'mine' | 'sleep';
  readonly password: string;
  readonly user?: string;
  /** From question to answer, ms; 5 when absent. */
  readonly answerMs?: number;
  /** Older firmware names the work mode `miner-mode`. */
  readonly oldFirmware?: boolean;
  /** Whether `stats` reports the draw of the boards; true when absent. */
  readonly reportsPower?: boolean;
  /** Work mode its owner has chosen: 0 normal, 2 high, 3 low; 0 when absent. */
  readonly workMode?: 0 | 2 | 3;
  /** Fan duty its owner has chosen, %; 100 when absent. */
  readonly fanPwm?: number;
}

/** Settings as the configuration page shows them. */
interface Settings {
  mode: number;
  pools: readonly SimulatedPool[];
  fanControl: boolean;
  fanPwm: string;
  level: string;
}

const NORMAL = 0;
const ASLEEP = 1;

export class SimulatedAntminer implements SimulatedMiner, StreamDevice, HttpDevice {
  readonly id: string;
  readonly power: AsicPower;
  fault: MinerFault = 'none';
  changes = 0;
  blinking = false;
  readonly #answerMs: number;
  readonly #old: boolean;
  readonly #reportsPower: boolean;
  readonly #gate: DigestGate;
  readonly #settings: Settings;
  readonly #type: string;
  readonly #header: string;
  /** Work mode of the last time it was not set to sleep. */
  #workMode: number;
  #sleptMs: number;
  #startedMs: number;
  #bootUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: AntminerOptions) {
    const { id, model, random, startMs, mode = 'mine' } = options;
    this.id = id;
    this.power = new AsicPower(options);
    this.#answerMs = options.answerMs ?? 5;
    this.#old = options.oldFirmware ?? false;
    this.#reportsPower = options.reportsPower ?? true;
    this.#gate = new DigestGate({
      realm: 'antMiner Configuration',
      user: options.user ?? 'root',
      password: options.password,
      random,
    });
    this.#workMode = options.workMode ?? NORMAL;
    this.#settings = {
      mode: mode === 'mine' ? this.#workMode : ASLEEP,
      pools: firstPools(id, 3),
      fanControl: false,
      fanPwm: String(options.fanPwm ?? 100),
      level: '100',
    };
    this.#sleptMs = startMs;
    this.#startedMs = startMs;
    this.#type = `Antminer ${model.id
      .replace(/^antminer-/, '')
      .replaceAll('-', ' ')
      .toUpperCase()}`;
    this.#header = JSON.stringify({
      BMMiner: '1.0.0',
      Miner: '49.0.1.3',
      CompileTime: 'Tue Mar  4 10:00:00 CST 2025',
      Type: this.#type,
    });
  }

  powerW(nowMs: number): number {
    this.#wakeByItself(nowMs);
    return this.power.powerW(nowMs);
  }

  endpoints({ host, api, http }: MinerAddress): readonly SimulatedEndpoint[] {
    return [
      { kind: 'stream', host, port: api, device: this },
      { kind: 'http', host, port: http, device: this },
    ];
  }

  /** Another manager, or a person at the page: settings change and nobody here wrote them. */
  anotherWrites(
    change: { readonly mode?: number; readonly fanPwm?: string; readonly pools?: readonly SimulatedPool[] },
    nowMs: number,
  ): void {
    if (change.pools !== undefined) this.#settings.pools = change.pools;
    if (change.fanPwm !== undefined) this.#settings.fanPwm = change.fanPwm;
    if (change.mode !== undefined) this.#setMode(change.mode, nowMs);
  }

  /** What the configuration page shows, for whoever checks that nothing else was changed. */
  conf(): Readonly<Record<string, unknown>> {
    const { mode, pools, fanControl, fanPwm, level } = this.#settings;
    return {
      pools,
      'api-listen': true,
      'api-network': true,
      'api-groups': 'A:stats:pools:devs:summary:version',
      'api-allow': 'A:0/0,W:*',
      'bitmain-fan-ctrl': fanControl,
      'bitmain-fan-pwm': fanPwm,
      'bitmain-use-vil': true,
      'bitmain-freq': '675',
      'bitmain-voltage': '1370',
      'bitmain-ccdelay': '0',
      'bitmain-pwth': '0',
      ...(this.#old
        ? { 'miner-mode': mode, 'freq-level': level }
        : { 'bitmain-work-mode': String(mode), 'bitmain-freq-level': level }),
    };
  }

  settings(): Readonly<Record<string, string | number>> {
    const { mode, pools, fanControl, fanPwm, level } = this.#settings;
    return {
      ...(mode !== ASLEEP && { workMode: mode }),
      ...poolSettings(pools),
      fanControl: String(fanControl),
      fanPwm,
      level,
    };
  }

  supply(on: boolean, nowMs: number): void {
    this.power.supply(nowMs, on);
    if (on) this.#startedMs = this.#bootUntilMs = nowMs + BOOT_MS;
  }

  respond(bytes: Uint8Array, nowMs: number): Answer {
    this.#wakeByItself(nowMs);
    if (this.fault === 'dead' || !this.power.supplied) return { kind: 'silence' };
    if (nowMs < this.#bootUntilMs) return { kind: 'reset' };
    if (this.fault === 'garbage')
      return { kind: 'bytes', bytes: noise(Math.floor(nowMs)), afterMs: this.#answerMs, close: true };
    const text = requestText(bytes);
    if (text === undefined) return { kind: 'wait' };
    const command = /"command"\s*:\s*"([^"]*)"/.exec(text)?.[1] ?? '';
    return apiAnswer(this.#apiAnswer(command, nowMs), this.fault === 'slow' ? SLOW_MS : this.#answerMs);
  }

  respondHttp(request: DeviceHttpRequest, nowMs: number): HttpAnswer {
    this.#wakeByItself(nowMs);
    if (this.fault === 'dead' || !this.power.supplied || nowMs < this.#bootUntilMs)
      return { kind: 'silence' };
    const afterMs = this.fault === 'slow' ? SLOW_MS : this.#answerMs;
    const page = (status: number, body: string): HttpAnswer => ({
      kind: 'response',
      status,
      headers: { 'content-type': 'application/json' },
      body,
      afterMs,
    });
    if (this.fault === 'garbage') return page(200, String.fromCodePoint(...noise(Math.floor(nowMs))));
    const challenge = this.#gate.check(request);
    if (challenge !== undefined) {
      return {
        kind: 'response',
        status: 401,
        headers: { 'www-authenticate': challenge },
        body: '401 Unauthorized',
        afterMs,
      };
    }
    const answer = this.#page(request, nowMs);
    return answer === undefined ? page(404, '404 Not Found') : page(200, answer);
  }

  #apiAnswer(command: string, nowMs: number): string {
    const status = (level: string, code: number, message: string): string =>
      `"STATUS":[{"STATUS":"${level}","When":${EPOCH_S + Math.floor(nowMs / 1_000)},"Code":${code},"Msg":"${message}","Description":"cgminer 1.0.0"}]`;
    switch (command) {
      case 'stats':
        return `{${status('S', 70, 'CGMiner stats')},"STATS":${this.#stats(nowMs)},"id":1}`;
      case 'summary':
        return `{${status('S', 11, 'Summary')},"SUMMARY":${this.#summary(nowMs)},"id":1}`;
      case 'version':
        return `{${status('S', 22, 'CGMiner versions')},"VERSION":[{"API":"3.1",${this.#header.slice(1)}],"id":1}`;
      case 'pools':
        return `{${status('S', 7, '3 Pool(s)')},"POOLS":${JSON.stringify(this.#pools(nowMs))},"id":1}`;
      default:
        return `{${status('E', 14, 'Invalid command')},"id":1}`;
    }
  }

  /** The miner process answers with empty lists while the machine sleeps. */
  #silent(nowMs: number): boolean {
    return this.#settings.mode === ASLEEP && (this.fault === 'lies' || this.power.hashrate(nowMs) <= 0);
  }

  #stats(nowMs: number): string {
    if (this.#silent(nowMs)) return '[]';
    const ghs = this.power.hashrate(nowMs) / 1e9;
    const board = Math.round(this.power.boardC(nowMs));
    const left = this.power.boardsLeft(BOARDS);
    const fan = Math.round(3_000 + board * 40);
    let text = `[${this.#header},{"STATS":0,"ID":"BTM_SOC0","Elapsed":${this.#elapsedS(nowMs)},"Calls":0,"GHS 5s":${ghs.toFixed(2)},"GHS av":${ghs.toFixed(2)},"rate_30m":${ghs.toFixed(2)},"Mode":2,"miner_count":${left},"frequency":675,"fan_num":4,"fan1":${fan},"fan2":${fan - 60},"fan3":${fan + 60},"fan4":${fan}`;
    text += boardWords(this.power, { left, ghs, board });
    text += `,"chain_acn4":0,"temp_pcb4":"0-0-0-0","temp_chip4":"0-0-0-0"`;
    // The firmware counts the supply of the boards, not fans and control board.
    if (this.#reportsPower) text += `,"chain_power":"${Math.round(this.power.powerW(nowMs))} W"`;
    return `${text},"total_rateideal":${this.#idealGhs().toFixed(1)},"rate_unit":"GH"}]`;
  }

  #idealGhs(): number {
    return (this.power.model.rungs.at(-1)?.hashrateThs ?? 0) * 1_000;
  }

  #summary(nowMs: number): string {
    if (this.#silent(nowMs)) return '[]';
    const ghs = Number((this.power.hashrate(nowMs) / 1e9).toFixed(2));
    return JSON.stringify([
      {
        Elapsed: this.#elapsedS(nowMs),
        'GHS 5s': ghs,
        'GHS av': ghs,
        'GHS 30m': ghs,
        'Hardware Errors': 0,
        Accepted: 100,
        Rejected: 0,
      },
    ]);
  }

  #pools(nowMs: number): unknown[] {
    if (this.#silent(nowMs)) return [];
    return this.#settings.pools.flatMap((pool, index) =>
      pool.url === ''
        ? []
        : [
            {
              POOL: index,
              URL: pool.url,
              User: pool.user,
              Status: 'Alive',
              Priority: index,
              'Stratum Active': index === 0,
              'Stratum URL': index === 0 ? pool.url.replace(/^.*\/\//, '') : '',
            },
          ],
    );
  }

  #elapsedS(nowMs: number): number {
    return Math.max(0, Math.floor((nowMs - this.#startedMs) / 1_000));
  }

  /** Undefined for a page there is not. */
  #page({ method, path, body }: DeviceHttpRequest, nowMs: number): string | undefined {
    const name = /^\/cgi-bin\/([\w.]+)/.exec(path)?.[1];
    // A script that asks for neither method nor body.
    if (name === 'reboot.cgi') return this.#reboot(nowMs);
    if (method === 'GET') {
      switch (name) {
        case 'get_miner_conf.cgi':
          return JSON.stringify(this.conf());
        case 'get_blink_status.cgi':
          return JSON.stringify({ blink: this.blinking });
        default:
          return antminerPage(name, this.#tells(nowMs));
      }
    }
    switch (name) {
      case 'set_miner_conf.cgi':
        return this.#setConf(body, nowMs);
      case 'blink.cgi': {
        const blink = objectOf(body)?.['blink'];
        this.changes += 1;
        this.blinking = blink === true || blink === 'true';
        return JSON.stringify({ code: this.blinking ? 'B000' : 'B100' });
      }
      default:
        return undefined;
    }
  }

  #reboot(nowMs: number): string {
    this.changes += 1;
    if (this.fault === 'ignores') return '{}';
    this.#bootUntilMs = nowMs + BOOT_MS;
    this.#startedMs = this.#bootUntilMs;
    this.power.restart(nowMs);
    return '{}';
  }

  #tells(nowMs: number): AntminerTells {
    const section = (text: string) => JSON.parse(text) as AntminerTells['stats'];
    return {
      id: this.id,
      type: this.#type,
      mode: this.#settings.mode,
      stats: section(this.#stats(nowMs)),
      summary: section(this.#summary(nowMs)),
      pools: section(JSON.stringify(this.#pools(nowMs))),
    };
  }

  #setConf(body: string, nowMs: number): string {
    const conf = objectOf(body);
    const mode = conf?.['bitmain-work-mode'] ?? conf?.['miner-mode'];
    const asked = this.#old ? conf?.['miner-mode'] : mode;
    const pools = poolsIn(conf?.['pools'], ['url', 'user', 'pass']);
    if (!conf || ![0, 1, 2, 3].includes(Number(asked)) || pools?.length !== 3) {
      return JSON.stringify({ stats: 'error', code: 'M001', msg: 'illegal request' });
    }
    this.changes += 1;
    // The page stores what the browser sent: what is left out is lost.
    if (this.fault !== 'ignores') this.#settings.pools = pools;
    this.#settings.fanControl = conf['bitmain-fan-ctrl'] === true;
    this.#settings.fanPwm = textOf(conf['bitmain-fan-pwm']);
    this.#settings.level = textOf(conf['freq-level']);
    if (this.fault === 'disturbs') this.#settings.fanPwm = '50';
    this.#setMode(Number(asked), nowMs);
    return JSON.stringify({ stats: 'success', code: 'M000', msg: 'OK!' });
  }

  #setMode(mode: number, nowMs: number): void {
    this.#settings.mode = mode;
    if (mode !== ASLEEP) this.#workMode = mode;
    if (this.fault === 'ignores') return;
    if (mode !== ASLEEP) {
      this.#startedMs = nowMs;
      if (this.power.mining) this.power.restart(nowMs);
      else this.power.wake(nowMs);
    } else if (this.fault !== 'lies') {
      this.#sleptMs = nowMs;
      this.power.sleep(nowMs);
    }
  }

  /** At its own time, however late anybody asks. */
  #wakeByItself(nowMs: number): void {
    const dueMs = this.#sleptMs + WAKES_AFTER_MS;
    if (this.fault === 'wakes' && this.#settings.mode === ASLEEP && nowMs >= dueMs)
      this.#setMode(this.#workMode, dueMs);
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

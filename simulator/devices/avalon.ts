/**
 * A simulated Avalon 1246: the cgminer API in both dialects, one request at a time, off and on by its own clock.
 * Written from the vendor's answers, apart from the driver, so that an error in one shows against the other.
 */
import type { Answer, SimulatedEndpoint, StreamDevice } from '../device.ts';
import { EPOCH_S, apiAnswer, objectOf, poolSettings } from './miner.ts';
import type { MinerAddress, SimulatedPool } from './miner.ts';
import { MinerBody, whenS } from './miner-body.ts';
import type { MinerOptions } from './miner-body.ts';

const BOARDS = 3;
const CHIPS = 120;
/** Of what it takes from the wall its supply gives this share to the boards. */
const SUPPLY = 0.91;
const DESCRIPTION = 'cgminer 4.11.1';

interface Reply {
  readonly level: 'S' | 'I' | 'E';
  readonly code: number;
  readonly message: string;
  /** Name in the text dialect, and its sections. */
  readonly name?: string;
  readonly sections?: readonly Readonly<Record<string, string | number | boolean>>[];
}

const VERSION: Reply = {
  level: 'S',
  code: 22,
  message: 'CGMiner versions',
  name: 'VERSION',
  sections: [
    {
      CGMiner: '4.11.1',
      API: '3.7',
      PROD: 'AvalonMiner 1246-83',
      MODEL: '1246-83',
      HWTYPE: 'MM3v2_X3',
      SWTYPE: 'MM314',
      VERSION: '21072802_4ec6bb0_211fc46',
      DNA: '02010000cbd2fd6d',
    },
  ],
};

export class SimulatedAvalon extends MinerBody implements StreamDevice {
  led = 0;
  workMode = 1;
  #busyUntilMs = Number.NEGATIVE_INFINITY;
  readonly #mute: boolean;
  #written: readonly SimulatedPool[];

  /** `muteSoftOn`: it closes without a word when told to wake, as some firmwares do. */
  constructor(options: MinerOptions & { readonly muteSoftOn?: boolean }) {
    super(options);
    this.#mute = options.muteSoftOn ?? false;
    this.#written = this.mined;
  }

  settings(): Readonly<Record<string, string | number>> {
    return { workMode: this.workMode, ...poolSettings(this.mined) };
  }

  endpoints({ host, api }: MinerAddress): readonly SimulatedEndpoint[] {
    return [{ kind: 'stream', host, port: api, device: this }];
  }

  respond(bytes: Uint8Array, nowMs: number): Answer {
    const gate = this.streamGate(nowMs);
    if (gate) return gate;
    const text = new TextDecoder().decode(bytes).trim();
    const isJson = text.startsWith('{');
    const request = isJson ? objectOf(text) : textRequest(text);
    if (!request) return { kind: 'wait' };
    // Its API is one thread: who asks while it answers another is cut off.
    if (nowMs < this.#busyUntilMs) return { kind: 'reset' };
    this.#busyUntilMs = nowMs + this.afterMs;
    const { command, parameter } = request;
    const words = (value: unknown): string => (typeof value === 'string' ? value : '');
    // Reads can be asked several at once, in JSON.
    const several = isJson ? words(command).split('+') : [];
    if (several.length > 1) return apiAnswer(this.#several(several, nowMs), this.afterMs);
    const reply = this.#reply(words(command), words(parameter), nowMs);
    if (reply === 'mute')
      return { kind: 'bytes', bytes: new Uint8Array(), afterMs: this.afterMs, close: true };
    return apiAnswer(isJson ? jsonText(reply, nowMs) : plainText(reply, nowMs), this.afterMs);
  }

  protected override forget(): void {
    this.led = 0;
    // What was set is mined at from a boot on.
    this.mined = this.#written;
  }

  #several(commands: readonly string[], nowMs: number): string {
    const parts = commands.map((command) => {
      const reply = command === 'ascset' ? 'mute' : this.#reply(command, '', nowMs);
      return reply === 'mute' ? '' : `"${command}":[${jsonText(reply, nowMs)}],`;
    });
    return `{${parts.join('')}"id":1}`;
  }

  #reply(command: string, parameter: string, nowMs: number): Reply | 'mute' {
    switch (command) {
      case 'version':
        return VERSION;
      case 'estats':
      case 'litestats':
      case 'stats':
        return {
          level: 'S',
          code: 70,
          message: 'CGMiner stats',
          name: 'STATS',
          sections: [
            {
              STATS: 0,
              ID: 'AVA100',
              Elapsed: this.elapsedS(nowMs),
              'MM Count': 1,
              'MM ID0': this.#module(nowMs),
            },
            { STATS: 1, ID: 'POOL0', Elapsed: this.elapsedS(nowMs), 'Pool Calls': 0 },
          ],
        };
      case 'summary':
        return {
          level: 'S',
          code: 11,
          message: 'Summary',
          name: 'SUMMARY',
          sections: [
            {
              Elapsed: this.elapsedS(nowMs),
              'MHS av': this.#mhs(nowMs),
              'MHS 5m': this.#mhs(nowMs),
              Accepted: Math.floor(this.elapsedS(nowMs) / 7),
              Rejected: 0,
            },
          ],
        };
      case 'pools':
        return {
          level: 'S',
          code: 7,
          message: `${this.mined.length} Pool(s)`,
          name: 'POOLS',
          sections: this.mined.map(({ url, user }, index) => ({
            POOL: index,
            URL: url,
            Status: 'Alive',
            Priority: index,
            User: user,
            'Stratum Active': index === 0 && !this.asleep,
          })),
        };
      case 'ascset':
        return this.#set(parameter, nowMs);
      default:
        return this.#described(command, nowMs) ?? { level: 'E', code: 14, message: 'Invalid command' };
    }
  }

  /** What it says of its parts; undefined: it knows no such word. */
  #described(command: string, nowMs: number): Reply | undefined {
    switch (command) {
      case 'devs':
        return {
          level: 'S',
          code: 9,
          message: '1 ASC(s)',
          name: 'DEVS',
          sections: [
            { ASC: 0, Name: 'AVALON', ID: 0, Enabled: 'Y', Status: 'Alive', 'MHS av': this.#mhs(nowMs) },
          ],
        };
      case 'devdetails':
        return {
          level: 'S',
          code: 69,
          message: 'Device Details',
          name: 'DEVDETAILS',
          sections: [{ DEVDETAILS: 0, Name: 'AVALON', ID: 0, Driver: 'avalon', Model: '' }],
        };
      case 'config':
        return {
          level: 'S',
          code: 33,
          message: 'CGMiner config',
          name: 'CONFIG',
          sections: [
            {
              'ASC Count': 1,
              'PGA Count': 0,
              'Pool Count': this.mined.length,
              Strategy: 'Failover',
              'Device Code': 'AVALON',
              OS: 'Linux',
            },
          ],
        };
      default:
        return undefined;
    }
  }

  #mhs(nowMs: number): number {
    return Number((this.ratesHs(nowMs) / 1e6).toFixed(2));
  }

  #set(parameter: string, nowMs: number): Reply | 'mute' {
    const [asc, option = '', ...rest] = parameter.split(',');
    const value = rest.join(',');
    const failed = (why: string): Reply => ({ level: 'E', code: 120, message: `ASC 0 set failed: ${why}` });
    if (asc !== '0') return { level: 'E', code: 107, message: 'Invalid ASC id' };
    const time = /^1:(\d{1,12})$/.exec(value)?.[1];
    let info: string | undefined;
    switch (option) {
      case 'softoff':
      case 'softon': {
        const atMs = (Number(time) - EPOCH_S) * 1_000;
        // Without a time it is off at once.
        if (option === 'softoff' && value === '') {
          this.fallAsleep(nowMs);
          break;
        }
        if (time === undefined || atMs < nowMs) return failed(`${option} unknown argument`);
        if (this.fault !== 'ignores')
          this.plan(atMs, (dueMs) => (option === 'softoff' ? this.fallAsleep(dueMs) : this.wakeUp(dueMs)));
        info = `success ${option}:${time}`;
        break;
      }
      case 'workmode':
        if (value === '255')
          return { level: 'I', code: 118, message: `ASC 0 set info: WORKMODE[${this.workMode}] success` };
        if (!/^[012]$/.test(value)) return failed('workmode unknown argument');
        this.workMode = Number(value);
        break;
      case 'led':
        if (!/^[01]-[01]$/.test(value)) return failed('led unknown argument');
        this.led = value.endsWith('1') ? 1 : 0;
        break;
      case 'setpool': {
        const [user, password, place = '', url = '', worker = '', pass = ''] = rest;
        if (user !== 'root' || password !== 'root') return failed('setpool wrong password');
        if (!/^[0-2]$/.test(place) || rest.length !== 6) return failed('setpool unknown argument');
        const places = [...this.#written];
        places[Number(place)] = { url, user: worker, pass };
        if (this.fault !== 'ignores') this.#written = places;
        break;
      }
      case 'reboot':
        if (value !== '0') return failed('reboot unknown argument');
        // Its soft-off does not outlive a boot.
        this.wakeUp(nowMs);
        this.reboot(nowMs);
        break;
      default:
        return failed(`Unknown option: ${option}`);
    }
    this.changes += 1;
    if (this.fault === 'disturbs') this.workMode = 0;
    if (option === 'softon' && this.#mute) return 'mute';
    return info === undefined
      ? { level: 'S', code: 119, message: 'ASC 0 set OK' }
      : { level: 'I', code: 118, message: `ASC 0 set info: ${info}` };
  }

  #module(nowMs: number): string {
    const ghs = this.ratesHs(nowMs) / 1e9;
    const hashing = ghs > 0;
    const boardC = Math.round(this.power.boardC(nowMs));
    const ambientC = Math.round(this.power.ambientC(nowMs));
    const wallW = Math.round(this.saysW(nowMs));
    const boardsW = hashing ? Math.round(wallW * SUPPLY) : 0;
    const left = this.power.boardsLeft(BOARDS);
    const per = (value: (board: number) => number): string =>
      Array.from({ length: left }, (_, board) => String(value(board))).join(' ');
    const temps = (add: number): string => per((board) => (hashing ? boardC + board + add : 0));
    const fan = this.asleep ? 0 : 5_300;
    const chips = this.power.chipsPerBoard(BOARDS) ?? CHIPS;
    const volts = Array.from({ length: left }, (_, n) => `PVT_V${n}[${'306 '.repeat(chips).trim()}]`).join(
      ' ',
    );
    return (
      `Ver[1246-83-21072802_4ec6bb0_211fc46] DNA[02010000cbd2fd6d] MEMFREE[1201472.0] NETFAIL[0 0 0 0 0 0 0 0] ` +
      `SYSTEMSTATU[Work: In ${this.asleep ? 'Idle' : 'Work'}, Hash Board: ${left} ] Elapsed[${this.upS(nowMs)}] ` +
      `DH[2.732%] Temp[${ambientC}] TMax[${hashing ? boardC + 12 : 0}] TAvg[${hashing ? boardC : 0}] ` +
      `Fan1[${fan}] Fan2[${fan + (fan > 0 ? 48 : 0)}] Fan3[${fan}] Fan4[${fan}] FanR[72%] Vo[329] ` +
      `PS[0 1214 ${hashing ? 1_316 : 0} ${Math.round(boardsW / 13.16)} ${boardsW} 1320 ${wallW}] ` +
      `GHSspd[${ghs.toFixed(2)}] GHSmm[${(ghs * 1.03).toFixed(2)}] GHSavg[${ghs.toFixed(2)}] Led[${this.led}] ` +
      `MGHS[${per(() => Number((ghs / left).toFixed(2)))}] MTmax[${temps(12)}] MTavg[${temps(0)}] Core[A3201] ` +
      `SoftOFF[${this.asleep ? 4 : 0}] ECHU[0 0 0] MPO[3200] ${volts} WORKMODE[${this.workMode}]`
    );
  }
}

/** `command` or `command|parameter`. A word that cannot be a whole command yet waits for the rest of it. */
function textRequest(text: string): Readonly<Record<string, unknown>> | undefined {
  const [command = '', parameter] = text.split('|');
  return /^[a-z]{4,}$/.test(command) ? { command, parameter } : undefined;
}

function jsonText({ level, code, message, name, sections }: Reply, nowMs: number): string {
  return JSON.stringify({
    STATUS: [{ STATUS: level, When: whenS(nowMs), Code: code, Msg: message, Description: DESCRIPTION }],
    ...(name !== undefined && { [name]: sections }),
    id: 1,
  });
}

function plainText({ level, code, message, name, sections = [] }: Reply, nowMs: number): string {
  const head = `STATUS=${level},When=${whenS(nowMs)},Code=${code},Msg=${message},Description=${DESCRIPTION}|`;
  return (
    head +
    sections
      .map((section) => {
        const fields = Object.entries(section).map(([key, value]) => `${key}=${shown(value)}`);
        return `${name === 'VERSION' || name === 'SUMMARY' ? `${name},` : ''}${fields.join(',')}|`;
      })
      .join('')
  );
}

/** As text its rates have two places always. */
function shown(value: string | number | boolean): string {
  return typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(2) : String(value);
}

/**
 * A simulated Auradine miner with FluxOS: cgminer's API for the rates, and pages behind a token that ends by itself.
 * Written from the sample answers that public clients carry, apart from the driver.
 */
import type {
  Answer,
  DeviceHttpRequest,
  HttpAnswer,
  HttpDevice,
  SimulatedEndpoint,
  StreamDevice,
} from '../device.ts';
import { apiAnswer, firstPools, objectOf, poolSettings, poolsIn, requestText } from './miner.ts';
import type { MinerAddress } from './miner.ts';
import { MinerBody, whenS } from './miner-body.ts';
import type { MinerOptions } from './miner-body.ts';

const TOKEN_LIFE_MS = 1_800_000;
const BOARDS = 3;
const FANS = 4;
const CHIPS = 3;
const LED_NORMAL = 2;
const VERSION = '2023-12.27';
const MODES = ['custom', 'eco', 'normal', 'turbo'];
const VIN = 240;

type Section = readonly [name: string, rows: readonly unknown[]];

export class SimulatedAuradine extends MinerBody implements HttpDevice, StreamDevice {
  /** As its owner has set it: custom holds watts. */
  mode = 'custom';
  led = LED_NORMAL;
  /** Logins that were right. */
  logins = 0;
  readonly #user: string;
  /** Its API on 4028 belongs to the part that sleeps. */
  readonly #isMuteAsleep: boolean;
  #powerW: number;
  readonly #tokens = new Map<string, number>();

  constructor(options: MinerOptions & { readonly muteAsleep?: boolean }) {
    super(options);
    this.#user = options.user ?? 'admin';
    this.#isMuteAsleep = options.muteAsleep ?? false;
    this.#powerW = this.power.limitW;
    this.mined = firstPools(this.id, 2);
  }

  settings(): Readonly<Record<string, string | number>> {
    return { powerLimit: this.#powerW, mode: this.mode, ...poolSettings(this.mined) };
  }

  endpoints({ host, api, http }: MinerAddress): readonly SimulatedEndpoint[] {
    return [
      { kind: 'stream', host, port: api, device: this },
      { kind: 'http', host, port: http, device: this },
    ];
  }

  protected override forget(): void {
    this.#tokens.clear();
    this.led = LED_NORMAL;
  }

  respond(bytes: Uint8Array, nowMs: number): Answer {
    const gate = this.streamGate(nowMs);
    if (gate) return gate;
    if (this.#isMuteAsleep && this.asleep) return { kind: 'reset' };
    const text = requestText(bytes);
    if (text === undefined) return { kind: 'wait' };
    const asked = objectOf(text)?.['command'];
    return apiAnswer(this.#api(asked, nowMs) ?? this.#said('E', 14, 'Invalid command', nowMs), this.afterMs);
  }

  #said(
    level: string,
    code: number,
    message: string,
    nowMs: number,
    sections: readonly Section[] = [],
  ): string {
    const status = { STATUS: level, When: whenS(nowMs), Code: code, Msg: message };
    return JSON.stringify({
      STATUS: [{ ...status, Description: `FluxOS-${VERSION}-9bf070ee44` }],
      ...Object.fromEntries(sections),
      id: 1,
    });
  }

  #api(command: unknown, nowMs: number): string | undefined {
    const rateMhs = this.ratesHs(nowMs) / 1e6;
    const left = this.power.boardsLeft(BOARDS);
    switch (command) {
      case 'version':
        return this.#said('S', 22, 'GCMiner versions', nowMs, [
          ['VERSION', [{ GCMiner: '0.5', API: '1.0' }]],
        ]);
      case 'summary': {
        const rates = { 'MHS av': rateMhs, 'MHS 5s': rateMhs, 'MHS 1m': rateMhs, 'MHS 15m': rateMhs };
        const summary = { Elapsed: this.elapsedS(nowMs), ...rates, Accepted: 100, Rejected: 0 };
        return this.#said('S', 11, 'Summary', nowMs, [['SUMMARY', [summary]]]);
      }
      case 'devs':
        return this.#said('S', 9, `${left} Dev(s)`, nowMs, [
          [
            'DEVS',
            Array.from({ length: left }, (_, at) => ({
              DEV: at + 1,
              Name: 'ASICBoard',
              ID: at + 1,
              Status: 'Alive',
              Temperature: Math.round((this.power.boardC(nowMs) + at) * 100) / 100,
              'MHS 5s': rateMhs / left,
            })),
          ],
        ]);
      case 'pools':
        return this.#said('S', 7, `${this.mined.length} Pool(s)`, nowMs, [
          [
            'POOLS',
            this.mined.map(({ url, user }, index) => ({
              POOL: index,
              URL: url,
              User: user,
              Status: index === 0 ? 'Alive' : 'Dead',
              Priority: index,
              'Stratum Active': index === 0 && !this.asleep,
            })),
          ],
        ]);
      default:
        return undefined;
    }
  }

  respondHttp(request: DeviceHttpRequest, nowMs: number): HttpAnswer {
    const gate = this.httpGate(nowMs);
    if (gate) return gate;
    const command = request.path.slice(1);
    const asked = objectOf(request.body) ?? {};
    if (request.method === 'POST' && command === 'token') return this.#token(asked, nowMs);
    if ((this.#tokens.get(request.headers['token'] ?? '') ?? 0) <= nowMs)
      return this.page(200, this.#said('E', 45, 'Invalid or expired token', nowMs));
    if (request.method === 'POST') return this.#order(command, asked, nowMs);
    const page = request.method === 'GET' ? this.#page(command, nowMs) : undefined;
    return page === undefined ? this.page(404, '') : this.page(200, page);
  }

  #token(asked: Readonly<Record<string, unknown>>, nowMs: number): HttpAnswer {
    if (asked['command'] !== 'token' || asked['user'] !== this.#user || asked['password'] !== this.password)
      return this.page(200, this.#said('E', 45, 'Invalid username or password', nowMs));
    this.logins += 1;
    const token = Array.from({ length: 24 }, () => Math.floor(this.random.next() * 36).toString(36)).join('');
    this.#tokens.set(token, nowMs + TOKEN_LIFE_MS);
    return this.page(200, this.#said('S', 600, 'Token', nowMs, [['Token', [{ Token: token }]]]));
  }

  #order(command: string, asked: Readonly<Record<string, unknown>>, nowMs: number): HttpAnswer {
    const refused = (why: string): HttpAnswer => this.page(200, this.#said('E', 14, why, nowMs));
    // Named again in the body, but by pyasic where there is nothing else to say.
    const isNamed = asked['command'] === command || Object.keys(asked).length === 0;
    if (!isNamed) return refused('Missing command');
    switch (command) {
      case 'mode':
        if (!this.#setMode(asked, nowMs)) return refused('Invalid mode parameter');
        break;
      case 'led': {
        const code = asked['code'];
        if (typeof code !== 'number') return refused('Invalid led code');
        this.led = code;
        break;
      }
      case 'updatepools': {
        const pools = poolsIn(asked['pools'], ['url', 'user', 'pass']);
        if (!pools) return refused('Invalid pools');
        if (this.fault !== 'ignores') this.mined = pools;
        break;
      }
      case 'restart':
        // Named, a part of it alone.
        if (asked['parameter'] === 'gcminer') this.power.restart(nowMs);
        else if (asked['parameter'] === 'api-server') this.#tokens.clear();
        else this.reboot(nowMs);
        break;
      default:
        return this.page(404, '');
    }
    this.changes += 1;
    if (this.fault === 'disturbs') this.mode = 'eco';
    return this.page(200, this.#said('S', 541, `${command} set`, nowMs));
  }

  #setMode({ sleep, mode, tune, power }: Readonly<Record<string, unknown>>, nowMs: number): boolean {
    if (sleep === 'on' || sleep === 'off') {
      if (sleep === 'on') this.fallAsleep(nowMs);
      else this.wakeUp(nowMs);
      return mode === undefined;
    }
    if (typeof mode !== 'string' || !MODES.includes(mode)) return false;
    if (mode === 'custom') {
      const { rungs } = this.power.model;
      const isWithin =
        typeof power === 'number' && power >= (rungs[0]?.powerW ?? 0) && power <= (rungs.at(-1)?.powerW ?? 0);
      if (tune !== 'power' || !isWithin) return false;
      if (this.fault === 'ignores') return true;
      this.#powerW = power;
      this.limit(power, nowMs, { restarts: false });
    }
    if (this.fault !== 'ignores') this.mode = mode;
    return true;
  }

  #page(command: string, nowMs: number): string | undefined {
    const ok = (code: number, message: string, ...section: Section): string =>
      this.#said('S', code, message, nowMs, [section]);
    switch (command) {
      case 'ipreport':
        return ok(620, 'IP Report', 'IPReport', [
          {
            command: 'ipreport',
            mac: '02:00:00:00:00:04',
            model: this.#type(),
            version: VERSION,
            InternalType: 'T0',
          },
        ]);
      case 'mode':
        return ok(540, `Operating mode: '${this.mode}', sleep: '${this.asleep}'`, 'Mode', [
          { Mode: this.mode, Sleep: this.asleep ? 'on' : 'off', Ths: this.factoryThs(), Power: this.#powerW },
        ]);
      case 'psu':
        return ok(570, 'PSU status', 'PSU', [this.#psu(nowMs)]);
      case 'fan':
        return ok(
          510,
          `Total fans: ${FANS}`,
          'Fan',
          Array.from({ length: FANS }, (_, at) => ({
            ID: at + 1,
            Speed: this.asleep ? 1_020 : 7_080 - at * 20,
            Target: 7_000,
            Max: 7_700,
          })),
        );
      case 'temperature':
        return ok(590, 'System temperature', 'Temperature', this.#temperatures(nowMs));
      case 'frequency':
        return ok(640, 'System frequency', 'Frequency', this.#chips('ChipFrequency', 'Frequency', 327.5));
      case 'voltage':
        return ok(630, 'System voltage', 'Voltage', this.#chips('ChipVoltage', 'Voltage', 0.25));
      case 'led':
        return ok(530, 'Total LEDs 2', 'LED', [{ Code: this.led, LED1: 1, LED2: 1 }]);
      default:
        return undefined;
    }
  }

  /** Of each board a value per chip. */
  #chips(list: string, name: string, value: number): readonly unknown[] {
    return Array.from({ length: this.power.boardsLeft(BOARDS) }, (_, at) => ({
      ID: at + 1,
      Name: `Hash Board ${at + 1}`,
      [list]: Array.from({ length: CHIPS }, (_chip, ID) => ({ ID, [name]: value })),
    }));
  }

  #type(): string {
    return this.power.model.id.replace(/^auradine-/, '').toUpperCase();
  }

  /** Figures as texts, each with its unit. */
  #psu(nowMs: number): unknown {
    const inW = this.saysW(nowMs);
    const text = (value: number, unit: string): string => `${value.toFixed(2)}${unit}`;
    return {
      VoutSet: '11.50V',
      Vin: text(VIN, 'V'),
      Iin: text(inW / VIN, 'A'),
      FanSpeed1: text(4_052, ' RPM'),
      PowerOut: text(inW * 0.95, 'W'),
      PowerIn: text(inW, 'W'),
      PoutMax: text(this.power.model.ratedW, 'W'),
    };
  }

  #temperatures(nowMs: number): readonly unknown[] {
    const boardC = this.power.boardC(nowMs);
    const sensors = (count: number, firstC: number): unknown[] =>
      Array.from({ length: count }, (_, ID) => ({ ID, Temperature: firstC + ID }));
    return Array.from({ length: this.power.boardsLeft(BOARDS) + 1 }, (_, ID) => ({
      ID,
      Name: ID === 0 ? 'Control Board' : `Hash Board ${ID}`,
      BoardTemp: sensors(ID === 0 ? 1 : 5, boardC),
      ChipTemp: ID === 0 ? null : sensors(CHIPS, boardC + 10),
    }));
  }
}

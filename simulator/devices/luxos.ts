/**
 * A simulated Antminer with LuxOS: its API with one session at a time, curtailment that comes later and outlives reboots.
 * Written from the vendor's answers, apart from the driver, so that an error in one shows against the other.
 */
import type { Answer, SimulatedEndpoint, StreamDevice } from '../device.ts';
import { apiAnswer, objectOf, poolSettings, requestText } from './miner.ts';
import type { MinerAddress, SimulatedPool } from './miner.ts';
import { MinerBody, whenS } from './miner-body.ts';

const BOARDS = 3;
const FANS = 4;
/** From "command sent" to the command's effect. */
const CURTAIL_MS = 5_000;
/** A session nobody uses ends by itself. */
const SESSION_MS = 60_000;
const VERSION = '2025.4.8.220305-57b389c7';
/** Clock of the default profile; hashing goes with the clock. */
const DEFAULT_MHZ = 590;

type Section = readonly [name: string, rows: readonly unknown[]];

export class SimulatedLuxos extends MinerBody implements StreamDevice {
  led = 'auto';
  atm = true;
  #session: { readonly id: string; untilMs: number } | undefined;

  settings(): Readonly<Record<string, string | number>> {
    return { powerLimit: this.power.limitW, atm: String(this.atm), ...poolSettings(this.mined) };
  }

  endpoints({ host, api }: MinerAddress): readonly SimulatedEndpoint[] {
    return [{ kind: 'stream', host, port: api, device: this }];
  }

  /** A person, or another manager, works on it: its session. */
  anotherLogsOn(nowMs: number): string {
    return this.#logOn(nowMs);
  }

  protected override forget(): void {
    this.#session = undefined;
    this.led = 'auto';
  }

  respond(bytes: Uint8Array, nowMs: number): Answer {
    const gate = this.streamGate(nowMs);
    if (gate) return gate;
    const text = requestText(bytes);
    if (text === undefined) return { kind: 'wait' };
    const request = objectOf(text);
    const { command, parameter } = request ?? {};
    if (typeof command !== 'string') return apiAnswer(said('E', 23, 'Invalid JSON', nowMs), this.afterMs);
    const read = this.#read(command, nowMs);
    const words = typeof parameter === 'string' ? parameter.split(',') : [];
    return apiAnswer(read ?? this.#command(command, words, nowMs), this.afterMs);
  }

  #read(command: string, nowMs: number): string | undefined {
    const ok = (code: number, message: string, ...sections: Section[]): string =>
      said('S', code, message, nowMs, sections);
    switch (command) {
      case 'version':
        return ok(22, 'LUXminer versions', [
          'VERSION',
          [{ API: '3.7', LUXminer: VERSION, Miner: '2025.4.8.220305', Type: this.#type() }],
        ]);
      case 'summary':
        return ok(11, 'Summary', ['SUMMARY', [this.#summary(nowMs)]]);
      case 'devs':
        return ok(9, `${BOARDS} ASC(s)`, ['DEVS', this.#devices(nowMs)]);
      case 'stats':
        return ok(70, 'LUXminer stats', ['STATS', this.#stats(nowMs)]);
      case 'power':
        return ok(311, 'Power usage', ['POWER', [{ PSU: true, Watts: Math.round(this.saysW(nowMs)) }]]);
      case 'config':
        return ok(33, 'LUXminer config', ['CONFIG', [this.#config()]]);
      case 'profiles':
        return ok(323, 'List profiles', ['PROFILES', this.#profiles()]);
      case 'temps':
        return ok(201, `${this.power.boardsLeft(BOARDS)} Temp(s)`, ['TEMPS', this.#temps(nowMs)]);
      case 'fans':
        return ok(202, `${FANS} Fan(s)`, [
          'FANS',
          Array.from({ length: FANS }, (_, ID) => ({
            FAN: `FAN${ID + 1}`,
            ID,
            RPM: 1_920 + ID * 60,
            Speed: 20,
          })),
        ]);
      case 'pools':
        return ok(7, `${this.mined.length} Pool(s)`, [
          'POOLS',
          this.mined.map(({ url, user }, index) => ({
            POOL: index,
            GROUP: 0,
            URL: url,
            User: user,
            Status: 'Alive',
            Priority: index,
            'Stratum Active': index === 0 && !this.asleep,
          })),
        ]);
      default:
        return undefined;
    }
  }

  #command(command: string, [sid = '', ...words]: readonly string[], nowMs: number): string {
    const open = this.#openSession(nowMs);
    if (command === 'session')
      return said('S', 316, 'Session information', nowMs, [['SESSION', [{ SessionID: open?.id ?? '' }]]]);
    if (command === 'logon') {
      if (open) return said('E', 402, 'Another session is active', nowMs);
      return said('S', 316, 'Session created', nowMs, [['SESSION', [{ SessionID: this.#logOn(nowMs) }]]]);
    }
    const pools = this.#poolCommand(command, [sid, ...words]);
    if (pools !== undefined) {
      if (!pools) return said('E', 305, `Invalid parameter for ${command}`, nowMs);
      this.changes += 1;
      if (this.fault !== 'ignores') this.mined = pools;
      return said('S', 55, `${command} done`, nowMs);
    }
    if (!['logoff', 'curtail', 'profileset', 'atmset', 'ledset', 'rebootdevice'].includes(command))
      return said('E', 14, 'Invalid command', nowMs);
    if (!open || sid !== open.id) return said('E', 316, 'Invalid session id', nowMs);
    open.untilMs = nowMs + SESSION_MS;
    if (command === 'logoff') {
      this.#session = undefined;
      return said('S', 317, 'Session terminated', nowMs);
    }
    const outcome = this.#privileged(command, words, nowMs);
    if (outcome === undefined) return said('E', 305, `Invalid parameter for ${command}`, nowMs);
    // Its thermal control is lent and given back around a profile: no change of its own.
    if (command !== 'atmset') this.changes += 1;
    if (this.fault === 'disturbs') this.atm = !this.atm;
    return said('S', outcome[0], outcome[1], nowMs);
  }

  /** What its pools are after a command about them, which needs no session; false: it cannot be; undefined: it is none. */
  #poolCommand(command: string, words: readonly string[]): readonly SimulatedPool[] | false | undefined {
    const at = /^\d+$/.test(words[0] ?? '') ? Number(words[0]) : -1;
    const one = this.mined[at];
    const others = this.mined.filter((pool) => pool !== one);
    switch (command) {
      case 'addpool': {
        const [url = '', user = '', pass] = words;
        return (
          url.includes('://') && user !== '' && pass !== undefined && [...this.mined, { url, user, pass }]
        );
      }
      case 'switchpool':
        return one !== undefined && [one, ...others];
      case 'removepool':
        // Neither the one at work nor the last.
        return one !== undefined && at > 0 && others;
      default:
        return undefined;
    }
  }

  #privileged(
    command: string,
    words: readonly string[],
    nowMs: number,
  ): readonly [number, string] | undefined {
    const [word = ''] = words;
    switch (command) {
      case 'curtail':
        if (word !== 'sleep' && word !== 'wakeup') return undefined;
        if (this.fault !== 'ignores')
          this.plan(nowMs + CURTAIL_MS, (atMs) =>
            word === 'sleep' ? this.fallAsleep(atMs) : this.wakeUp(atMs),
          );
        return [335, 'Curtailment command sent'];
      case 'profileset': {
        const profile = this.#profiles().find((one) => one['Profile Name'] === word);
        if (!profile || this.atm) return undefined;
        this.limit(profile.Watts, nowMs, { restarts: true });
        return [325, 'Profile set'];
      }
      case 'atmset': {
        const enabled = /^enabled=(true|false)$/.exec(word)?.[1];
        if (enabled === undefined) return undefined;
        this.atm = enabled === 'true';
        return [338, 'Updated advanced thermal management'];
      }
      case 'ledset':
        if (word !== 'red' || !['on', 'off', 'blink'].includes(words[1] ?? '')) return undefined;
        this.led = words[1] ?? '';
        return [321, 'LED set'];
      default:
        this.reboot(nowMs);
        return [323, 'Rebooting device'];
    }
  }

  #openSession(nowMs: number): { readonly id: string; untilMs: number } | undefined {
    if (this.#session && this.#session.untilMs <= nowMs) this.#session = undefined;
    return this.#session;
  }

  #logOn(nowMs: number): string {
    const id = Array.from({ length: 8 }, () => Math.floor(this.random.next() * 36).toString(36)).join('');
    this.#session = { id, untilMs: nowMs + SESSION_MS };
    return id;
  }

  #type(): string {
    const name = this.power.model.id.replace(/^antminer-(.*?)(-luxos)?$/, '$1');
    return `Antminer ${name.replaceAll('-', ' ').toUpperCase()}`;
  }

  #summary(nowMs: number): unknown {
    const ghs = Number((this.ratesHs(nowMs) / 1e9).toFixed(2));
    return {
      Elapsed: this.elapsedS(nowMs),
      'GHS 5s': ghs,
      'GHS 1m': ghs,
      'GHS 15m': ghs,
      'GHS av': ghs,
      Accepted: 100,
      Rejected: 0,
      'Hardware Errors': 0,
    };
  }

  #devices(nowMs: number): readonly unknown[] {
    const mhs = Number((this.ratesHs(nowMs) / BOARDS / 1e6).toFixed(2));
    return Array.from({ length: BOARDS }, (_, ID) => ({
      ASC: ID,
      ID,
      Enabled: 'Y',
      Status: 'Alive',
      'MHS 5s': mhs,
      'MHS av': mhs,
      Temperature: Math.round(this.power.boardC(nowMs)) + ID,
    }));
  }

  #stats(nowMs: number): readonly unknown[] {
    const ghs = Number((this.ratesHs(nowMs) / 1e9).toFixed(2));
    const each = <T>(name: string, value: (n: number) => T): Record<string, T> =>
      Object.fromEntries(Array.from({ length: BOARDS }, (_, n) => [`${name}${n + 1}`, value(n)]));
    return [
      { Miner: '2025.4.8.220305', Type: this.#type() },
      {
        STATS: 0,
        ID: 'BTM_SOC0',
        Elapsed: this.elapsedS(nowMs),
        'GHS 5s': ghs,
        'GHS av': ghs,
        miner_count: BOARDS,
        ...each('chain_rate', () => (ghs / BOARDS).toFixed(2)),
        ...each('temp', (n) => Math.round(this.power.boardC(nowMs)) + n),
        rate_unit: 'GH',
      },
    ];
  }

  #config(): unknown {
    return {
      Model: this.#type(),
      OS: 'LuxOS',
      CurtailMode: this.asleep ? 'Sleep' : 'None',
      IsAtmEnabled: this.atm,
      'ASC Count': this.power.boardsLeft(BOARDS),
      IsPowerSupplyOn: !this.asleep,
      NameplateTHS: this.factoryThs(),
      Profile:
        this.#profiles().find(({ Watts }) => Watts === this.power.limitW)?.['Profile Name'] ?? 'default',
      RedLed: this.led,
      SystemStatus: 'Normal',
    };
  }

  #profiles() {
    const { rungs } = this.power.model;
    return rungs.map(({ powerW, hashrateThs }, index) => {
      const frequency = Math.round((DEFAULT_MHZ * hashrateThs) / this.factoryThs());
      return {
        'Profile Name': index === rungs.length - 1 ? 'default' : `${frequency}MHz`,
        Frequency: frequency,
        Watts: powerW,
        Hashrate: hashrateThs,
        Step: String(index + 1 - rungs.length),
        IsTuned: false,
        IsDynamic: true,
      };
    });
  }

  #temps(nowMs: number): readonly unknown[] {
    const boardC = this.power.boardC(nowMs);
    const half = (value: number): number => Math.round(value * 2) / 2;
    return Array.from({ length: this.power.boardsLeft(BOARDS) }, (_, ID) => ({
      TEMP: ID,
      ID,
      TopLeft: half(boardC + ID),
      TopRight: half(boardC - 12),
      BottomLeft: half(boardC + ID - 1),
      BottomRight: half(boardC - 13),
    }));
  }
}

function said(
  level: string,
  code: number,
  message: string,
  nowMs: number,
  sections: readonly Section[] = [],
): string {
  return JSON.stringify({
    STATUS: [
      { STATUS: level, When: whenS(nowMs), Code: code, Msg: message, Description: `LUXminer ${VERSION}` },
    ],
    ...Object.fromEntries(sections),
    id: 1,
  });
}

/**
 * A simulated Bitaxe with AxeOS: one page, no password. Pause and resume exist from v2.14 on alone.
 * Written from the published interface, apart from the driver, so that an error in one shows against the other.
 */
import type { DeviceHttpRequest, HttpAnswer, HttpDevice, SimulatedEndpoint } from '../device.ts';
import { objectOf, poolSettings } from './miner.ts';
import type { MinerAddress } from './miner.ts';
import { MinerBody } from './miner-body.ts';
import type { MinerOptions } from './miner-body.ts';

const SUPPLY_MV = 5_175;
const BLINK_MS = 30_000;

export class SimulatedBitaxe extends MinerBody implements HttpDevice {
  frequency = 490;
  identified = 0;
  #blinksUntilMs = Number.NEGATIVE_INFINITY;
  readonly #version: string;
  readonly #canPause: boolean;

  constructor(options: MinerOptions & { readonly version?: string }) {
    super(options);
    this.#version = options.version ?? 'v2.14.0';
    const [, major = '0', minor = '0'] = /^v(\d+)\.(\d+)/.exec(this.#version) ?? [];
    this.#canPause = Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 14);
  }

  settings(): Readonly<Record<string, string | number>> {
    return { frequency: this.frequency, ...poolSettings(this.mined) };
  }

  endpoints({ host, http }: MinerAddress): readonly SimulatedEndpoint[] {
    return [{ kind: 'http', host, port: http, device: this }];
  }

  respondHttp({ method, path, body }: DeviceHttpRequest, nowMs: number): HttpAnswer {
    const gate = this.httpGate(nowMs);
    if (gate) return gate;
    if (method === 'GET' && path === '/api/system/info')
      return this.page(200, JSON.stringify(this.#info(nowMs)));
    if (method === 'GET' && path === '/api/system/asic') return this.page(200, JSON.stringify(this.#asic()));
    if (method === 'PATCH' && path === '/api/system') return this.#patch(body);
    if (method !== 'POST') return this.page(404, '');
    switch (path) {
      case '/api/system/pause':
        if (!this.#canPause) return this.page(404, 'This URI does not exist');
        this.fallAsleep(nowMs);
        break;
      case '/api/system/resume':
        if (!this.#canPause) return this.page(404, 'This URI does not exist');
        this.wakeUp(nowMs);
        break;
      case '/api/system/restart':
        this.reboot(nowMs);
        break;
      case '/api/system/identify':
        this.identified += 1;
        this.#blinksUntilMs = this.blinks(nowMs) && this.#canPause ? nowMs : nowMs + BLINK_MS;
        break;
      default:
        return this.page(404, '');
    }
    this.changes += 1;
    if (this.fault === 'disturbs') this.frequency = 525;
    return this.#done(path, nowMs);
  }

  /** Whether its screen says where it is: newer firmware takes a second asking for the end of it. */
  blinks(nowMs: number): boolean {
    return nowMs < this.#blinksUntilMs;
  }

  /** Newer firmware answers in JSON; older a restart in words and the others not at all. */
  #done(path: string, nowMs: number): HttpAnswer {
    const hi = this.blinks(nowMs) ? 'says "Hi!" for 30 seconds' : 'no longer says "Hi!"';
    const message = path.endsWith('identify') ? `The device ${hi}.` : '';
    const words = path.endsWith('restart') ? 'System will restart shortly.' : '';
    return this.page(200, this.#canPause ? JSON.stringify({ message: message + words }) : words);
  }

  /** What is not named stays; addresses stand without scheme and port. */
  #patch(body: string): HttpAnswer {
    const asked = objectOf(body);
    if (!asked) return this.page(400, 'Invalid JSON');
    const word = (name: string): string | undefined => {
      const value = asked[name];
      return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
    };
    const wanted = ['stratum', 'fallbackStratum'].map((place, index) => {
      const present = this.mined[index] ?? { url: '', user: '', pass: '' };
      const host = word(`${place}URL`);
      return {
        url: host === undefined ? present.url : host === '' ? '' : `${host}:${word(`${place}Port`) ?? ''}`,
        user: word(`${place}User`) ?? present.user,
        pass: word(`${place}Password`) ?? present.pass,
      };
    });
    const told = ['stratumURL', 'fallbackStratumURL'].map((name) => word(name) ?? '');
    const frequency = asked['frequency'] ?? this.frequency;
    if (told.some((url) => /[/:]/.test(url)) || typeof frequency !== 'number')
      return this.page(400, 'Wrong API input');
    this.changes += 1;
    if (this.fault !== 'ignores') {
      this.mined = wanted;
      this.frequency = frequency;
    }
    if (this.fault === 'disturbs') this.frequency = 525;
    return this.page(200, '');
  }

  #asic(): unknown {
    return {
      ASICModel: 'BM1368',
      deviceModel: 'Supra',
      asicCount: 1,
      defaultFrequency: 490,
      frequencyOptions: [400, 425, 450, 475, 485, 490, 500, 525, 550, 575],
      defaultVoltage: 1_166,
      voltageOptions: [1_100, 1_150, 1_166, 1_200, 1_250, 1_300],
    };
  }

  #info(nowMs: number): unknown {
    const [first, second] = this.mined.map(({ url, user }) => {
      const [host = '', port = '0'] = url.replace(/^.*\/\//, '').split(':');
      return { host, port: Number(port), user };
    });
    const powerW = this.saysW(nowMs);
    return {
      ASICModel: 'BM1368',
      asicCount: 1,
      version: this.#version,
      boardVersion: '401',
      power: powerW,
      voltage: SUPPLY_MV,
      current: (powerW / SUPPLY_MV) * 1e6,
      hashRate: this.ratesHs(nowMs) / 1e9,
      expectedHashrate: this.factoryThs() * 1_000,
      temp: Math.round(this.power.boardC(nowMs) * 8) / 8,
      vrTemp: Math.round(this.power.boardC(nowMs)) + 10,
      frequency: this.frequency,
      coreVoltage: 1_166,
      autofanspeed: 1,
      fanrpm: this.asleep ? 1_200 : 3_517,
      ...(this.#canPause && { miningPaused: this.asleep }),
      overheat_mode: 0,
      macAddr: '02:00:00:00:00:03',
      isUsingFallbackStratum: 0,
      stratumURL: first?.host ?? '',
      stratumPort: first?.port ?? 0,
      stratumUser: first?.user ?? '',
      fallbackStratumURL: second?.host ?? '',
      fallbackStratumPort: second?.port ?? 3_333,
      fallbackStratumUser: second?.user ?? '',
      uptimeSeconds: this.upS(nowMs),
    };
  }
}

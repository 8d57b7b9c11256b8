/**
 * A simulated Antminer with ePIC's PowerPlay: JSON over HTTP on the port of its API, the password in every body.
 * Written from other clients and the maker's page, apart from the driver, so that an error in one shows against the other.
 */
import type { DeviceHttpRequest, HttpAnswer, HttpDevice, SimulatedEndpoint } from '../device.ts';
import { firstPools, objectOf, poolSettings, poolsIn } from './miner.ts';
import type { MinerAddress, SimulatedPool } from './miner.ts';
import { MinerBody, whenS } from './miner-body.ts';
import type { MinerOptions } from './miner-body.ts';

/** The tuner comes to a new target in this time; what it is told meanwhile is taken and dropped. */
const SETTLE = { ms: 120_000, steps: 6 };
const BOARDS = 3;
const CHIPS = 110;
const FANS = 4;
const LEAST_W = 1_000;
const MOST_W = 3_600;
const DONE = { result: true };

export interface EpicOptions extends MinerOptions {
  /** What its tuner holds; watts when absent. */
  readonly algorithm?: 'PowerTune' | 'VoltageOptimizer';
}

export class SimulatedEpic extends MinerBody implements HttpDevice {
  blinking = false;
  fanSpeed = 20;
  /** Bodies with a wrong password. */
  wrong = 0;
  pools: readonly SimulatedPool[];
  /** Its owner has chosen otherwise than it was shipped. */
  uniqueId = true;
  readonly #algorithm: string;
  #tune: { target: number; min: number; step: number };
  #settledMs = Number.NEGATIVE_INFINITY;
  #lastCommand: string | null = null;
  #isTuning = true;
  readonly #limitsC = { 'Critical Temp': 100, 'Shutdown Temp': 85 };

  constructor(options: EpicOptions) {
    super(options);
    this.pools = firstPools(this.id, 2);
    this.#algorithm = options.algorithm ?? 'PowerTune';
    // Its owner has set the throttle otherwise than it was shipped.
    const holdsW = this.#algorithm === 'PowerTune';
    this.#tune = {
      target: holdsW ? this.power.limitW : this.factoryThs(),
      min: holdsW ? 1_200 : 50,
      step: 150,
    };
  }

  settings(): Readonly<Record<string, string | number>> {
    const { target, min, step } = this.#tune;
    return {
      powerLimit: target,
      throttle: `${min} ${step}`,
      fanSpeed: this.fanSpeed,
      uniqueId: String(this.uniqueId),
      ...poolSettings(this.pools),
    };
  }

  endpoints({ host, api }: MinerAddress): readonly SimulatedEndpoint[] {
    return [{ kind: 'http', host, port: api, device: this }];
  }

  protected override forget(nowMs: number): void {
    this.blinking = false;
    this.#lastCommand = null;
    this.#settledMs = nowMs;
    if (this.#algorithm === 'PowerTune') this.power.limit(nowMs, this.#tune.target);
  }

  respondHttp({ method, path, body }: DeviceHttpRequest, nowMs: number): HttpAnswer {
    const gate = this.httpGate(nowMs);
    if (gate) return gate;
    if (method === 'POST') return this.page(200, JSON.stringify(this.#post(path, objectOf(body), nowMs)));
    const page = method === 'GET' ? this.#get(path, nowMs) : undefined;
    return page === undefined ? this.page(404, '') : this.page(200, JSON.stringify(page));
  }

  #post(path: string, body: Readonly<Record<string, unknown>> | undefined, nowMs: number): object {
    if (body?.['password'] !== this.password) {
      this.wrong += 1;
      return { result: false, error: 'Incorrect password' };
    }
    const error = this.#carryOut(path, body['param'], nowMs);
    if (error !== undefined) return { result: false, error };
    this.changes += 1;
    if (this.fault === 'disturbs') this.fanSpeed = 35;
    return DONE;
  }

  /** Why not; undefined: taken. */
  #carryOut(path: string, param: unknown, nowMs: number): string | undefined {
    switch (path) {
      case '/miner':
        if (param !== 'Stop' && param !== 'Autostart') return 'unknown operation';
        this.#lastCommand = param.toLowerCase();
        if (param === 'Stop') this.fallAsleep(nowMs);
        else this.wakeUp(nowMs);
        return undefined;
      case '/perpetualtune/algo':
        return this.#setTuner(objectOf(JSON.stringify(param ?? null)), nowMs);
      case '/coin':
        return this.#setPools(objectOf(JSON.stringify(param ?? null)), nowMs);
      case '/identify':
        if (typeof param !== 'boolean') return 'a bool is expected';
        this.blinking = param;
        return undefined;
      case '/reboot':
        // asic-rs tells the delay, pyasic nothing.
        if (!/^\d+$/.test(typeof param === 'string' ? param : JSON.stringify(param ?? 0)))
          return 'a delay is expected';
        this.reboot(nowMs);
        return undefined;
      case '/softreboot':
        this.power.restart(nowMs);
        return undefined;
      case '/perpetualtune':
        if (typeof param !== 'boolean') return 'a bool is expected';
        this.#isTuning = param;
        return undefined;
      case '/shutdowntemp':
      case '/criticaltemp':
        if (typeof param !== 'number') return 'a number is expected';
        this.#limitsC[path === '/shutdowntemp' ? 'Shutdown Temp' : 'Critical Temp'] = param;
        return undefined;
      case '/fanspeed':
        return this.#setFans(objectOf(JSON.stringify(param ?? null)));
      default:
        return 'unknown endpoint';
    }
  }

  /** By hand, `{"Manual":{"speed":%}}`, is not simulated. */
  #setFans(param: Readonly<Record<string, unknown>> | undefined): string | undefined {
    const auto = objectOf(JSON.stringify(param?.['Auto'] ?? null));
    const idle = auto?.['Idle Speed'];
    if (typeof idle !== 'number' || typeof auto?.['Target Temperature'] !== 'number')
      return 'invalid fan mode';
    this.fanSpeed = idle;
    return undefined;
  }

  #setTuner(param: Readonly<Record<string, unknown>> | undefined, nowMs: number): string | undefined {
    const { algo, target, min_throttle: min = 1_000, throttle_step: step = 100 } = param ?? {};
    if (algo !== this.#algorithm || algo !== 'PowerTune') return 'unsupported algorithm';
    if (typeof target !== 'number' || typeof min !== 'number' || typeof step !== 'number')
      return 'numbers are expected';
    if (target < LEAST_W || target > MOST_W || min > target - step) return 'target is out of range';
    if (this.fault === 'ignores' || nowMs < this.#settledMs) return undefined;
    this.#tune = { target, min, step };
    this.#settledMs = nowMs + SETTLE.ms;
    this.settle(target, nowMs, SETTLE);
    return undefined;
  }

  /** Left out, worker ids fall back to what they were shipped with. */
  #setPools(param: Readonly<Record<string, unknown>> | undefined, nowMs: number): string | undefined {
    const { coin, stratum_configs: configs, unique_id: uniqueId = false } = param ?? {};
    const pools = poolsIn(configs, ['pool', 'login', 'password']);
    if (coin !== 'BTC' || pools === undefined || typeof uniqueId !== 'boolean') return 'invalid coin config';
    if (this.fault === 'ignores') return undefined;
    this.pools = pools;
    this.uniqueId = uniqueId;
    if (this.power.mining) this.power.restart(nowMs);
    return undefined;
  }

  #get(path: string, nowMs: number): unknown {
    switch (path) {
      case '/summary':
        return this.#summary(nowMs);
      case '/capabilities':
        return this.#capabilities();
      case '/network':
        return { dhcp: { address: '10.0.0.1', mac_address: '02:00:00:00:00:05', netmask: '255.255.255.0' } };
      default:
        return undefined;
    }
  }

  #capabilities(): unknown {
    const inWatts = { algorithm: 'PowerTune', name: 'Power Tune', min: LEAST_W, max: MOST_W };
    return {
      'Chip Type': 'BM1366',
      Coins: ['BTC'],
      'Default Hashrate': this.factoryThs(),
      'Max HBs': BOARDS,
      Model: 'AntMiner S19 XP',
      'Performance Estimator': { 'Chip Count': this.power.chipsPerBoard(BOARDS) ?? CHIPS },
      PerpetualTune: [
        { algorithm: 'VoltageOptimizer', name: 'Voltage Optimizer', min: 60, max: 300 },
        ...(this.#algorithm === 'PowerTune' ? [inWatts] : []),
      ],
    };
  }

  #summary(nowMs: number): unknown {
    const mhs = this.ratesHs(nowMs) / 1e6;
    const boardC = this.power.boardC(nowMs);
    const [pool] = this.pools;
    const left = this.power.boardsLeft(BOARDS);
    return {
      Fans: {
        'Fan Mode': { Auto: { 'Idle Speed': this.fanSpeed, 'Target Temperature': 60 } },
        'Fans Speed': 80,
      },
      'Fans Rpm': Object.fromEntries(
        Array.from({ length: 12 }, (_, n) => [
          `Fans Speed ${n + 1}`,
          n >= FANS ? null : this.asleep ? 1_200 : 5_700 + n * 10,
        ]),
      ),
      // Stopped it has its boards off, and nothing to say of them.
      HBs: this.asleep
        ? null
        : Array.from({ length: left }, (_, Index) => ({
            Index,
            Hashrate: [mhs / left, 100, 0.8],
            'Core Clock Avg': 487.5,
            Temperature: Math.round((boardC + Index) * 1_000) / 1_000,
          })),
      Hostname: 'cminer',
      Mining: { Algorithm: 'SHA-256', Coin: 'BTC' },
      Misc: { ...this.#limitsC, 'Locate Miner State': this.blinking },
      PerpetualTune: { Algorithm: { [this.#algorithm]: this.#tuner(nowMs) }, Running: this.#isTuning },
      'Power Supply Stats': {
        'Input Current': 0,
        'Input Power': this.saysW(nowMs),
        'Input Voltage': 0,
        'Target Voltage': 12_600,
      },
      Session: {
        Accepted: 1_862,
        Rejected: 2,
        Uptime: this.elapsedS(nowMs),
        'Startup Timestamp': whenS(nowMs),
      },
      Software: 'PowerPlay-BMS v1.5.13',
      Status: {
        'Last Command': this.#lastCommand,
        'Last Command Result': null,
        'Last Error': null,
        'Operating State': this.asleep ? 'Idling' : mhs > 0 ? 'Mining' : 'Initializing',
      },
      Stratum: {
        'Config Id': 0,
        'Current Pool': pool?.url ?? '',
        IsPoolConnected: !this.asleep,
        'Worker Unique Id': this.uniqueId,
      },
      StratumConfigs: this.pools.map(({ url, user, pass }) => ({ login: user, password: pass, pool: url })),
    };
  }

  #tuner(nowMs: number): object {
    return {
      'Min Throttle Target': this.#tune.min,
      Optimized: nowMs >= this.#settledMs,
      Target: this.#tune.target,
      'Throttle Step': this.#tune.step,
      'Throttle Target': null,
      Unit: this.#algorithm === 'PowerTune' ? 'W' : 'TH/s',
    };
  }
}

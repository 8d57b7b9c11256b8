/**
 * A simulated miner with Braiins OS 25.07: its REST API, every page behind a token that ends by itself.
 * Written from the vendor's documents, apart from the driver, so that an error in one shows against the other.
 */
import type { DeviceHttpRequest, HttpAnswer, HttpDevice, SimulatedEndpoint } from '../device.ts';
import { BRAIINS_PAGE, firstPools, HTML, objectOf, poolSettings, poolsIn } from './miner.ts';
import type { MinerAddress, SimulatedPool } from './miner.ts';
import { MinerBody } from './miner-body.ts';
import type { MinerOptions } from './miner-body.ts';

const TOKEN_LIFE_S = 3_600;
/** The tuner comes to a new target in this time, step by step. */
const SETTLE = { ms: 180_000, steps: 9 };
const BOARDS = 3;
const CHIPS = 126;
const FANS = 4;
const NORMAL = 2;
const PAUSED = 3;

export class SimulatedBraiins extends MinerBody implements HttpDevice {
  blinking = false;
  tunerMode = 1;
  /** Logins that were right. */
  logins = 0;
  readonly #user: string;
  #targetW: number;
  readonly #tokens = new Map<string, number>();

  constructor(options: MinerOptions) {
    super(options);
    this.#user = options.user ?? 'root';
    this.#targetW = this.power.limitW;
    this.mined = firstPools(this.id, 2);
  }

  settings(): Readonly<Record<string, string | number>> {
    return { powerLimit: this.#targetW, tunerMode: this.tunerMode, ...poolSettings(this.mined) };
  }

  endpoints({ host, http }: MinerAddress): readonly SimulatedEndpoint[] {
    return [{ kind: 'http', host, port: http, device: this }];
  }

  protected override forget(nowMs: number): void {
    this.#tokens.clear();
    this.blinking = false;
    this.power.limit(nowMs, this.#targetW);
  }

  respondHttp(request: DeviceHttpRequest, nowMs: number): HttpAnswer {
    const gate = this.httpGate(nowMs);
    if (gate) return gate;
    if (request.method === 'GET' && request.path === '/') return this.page(200, BRAIINS_PAGE, HTML);
    const path = /^\/api\/v1\/([\w/-]+)$/.exec(request.path)?.[1];
    if (path === 'auth/login' && request.method === 'POST') return this.#login(request.body, nowMs);
    if ((this.#tokens.get(request.headers['authorization'] ?? '') ?? 0) <= nowMs)
      return this.page(401, JSON.stringify({ message: 'Unauthorized' }));
    if (path !== undefined && request.method === 'PUT') return this.#put(path, request.body, nowMs);
    const page = path === undefined || request.method !== 'GET' ? undefined : this.#get(path, nowMs);
    return page === undefined ? this.page(404, '') : this.page(200, JSON.stringify(page));
  }

  #login(body: string, nowMs: number): HttpAnswer {
    const asked = objectOf(body);
    if (asked?.['username'] !== this.#user || asked['password'] !== this.password)
      return this.page(401, JSON.stringify({ message: 'Wrong username or password' }));
    this.logins += 1;
    const token = Array.from({ length: 16 }, () => Math.floor(this.random.next() * 36).toString(36)).join('');
    this.#tokens.set(token, nowMs + TOKEN_LIFE_S * 1_000);
    return this.page(200, JSON.stringify({ token, timeout_s: TOKEN_LIFE_S }));
  }

  #put(path: string, body: string, nowMs: number): HttpAnswer {
    switch (path) {
      case 'actions/pause':
        this.fallAsleep(nowMs);
        break;
      case 'actions/resume':
        this.wakeUp(nowMs);
        break;
      case 'actions/reboot':
        this.reboot(nowMs);
        break;
      case 'actions/locate':
        if (body !== 'true' && body !== 'false') return this.page(400, '{"message":"a bool is expected"}');
        this.blinking = body === 'true';
        break;
      case 'performance/power-target': {
        const watts = objectOf(body)?.['watt'];
        const { rungs } = this.power.model;
        if (typeof watts !== 'number' || watts < (rungs[0]?.powerW ?? 0) || watts > this.power.model.ratedW)
          return this.page(400, '{"message":"power target is out of range"}');
        if (this.fault !== 'ignores') {
          this.#targetW = watts;
          this.settle(watts, nowMs, SETTLE);
        }
        break;
      }
      case 'pools/batch': {
        const pools = poolsInGroup(body);
        if (!pools) return this.page(400, '{"message":"pool groups are expected"}');
        if (this.fault !== 'ignores') this.mined = pools;
        break;
      }
      default:
        return this.page(404, '');
    }
    this.changes += 1;
    if (this.fault === 'disturbs') this.tunerMode = 2;
    return this.page(200, path === 'actions/locate' ? body : 'null');
  }

  #get(path: string, nowMs: number): unknown {
    switch (path) {
      case 'version':
        return { major: 1, minor: 7, patch: 0 };
      case 'miner/details':
        return this.#details(nowMs);
      case 'miner/stats':
        return this.#stats(nowMs);
      case 'miner/hw/hashboards':
        return { hashboards: this.#boards(nowMs) };
      case 'cooling/state':
        return {
          fans: Array.from({ length: FANS }, (_, position) => ({
            position,
            rpm: this.asleep ? 1_200 : 5_880 + position * 6,
            target_speed_ratio: 1,
          })),
        };
      case 'pools':
        return [
          {
            name: 'Default',
            pools: this.mined.map(({ url, user }, index) => ({
              uid: `uid${index}`,
              url,
              user,
              enabled: true,
              active: index === 0 && !this.asleep,
              alive: true,
            })),
            strategy: { quota: { value: 1 } },
          },
        ];
      case 'performance/tuner-state':
        return {
          overall_tuner_state: 2,
          mode_state: { powertargetmodestate: { current_target: { watt: this.#targetW } } },
        };
      case 'configuration/miner':
        return {
          pool_groups: [],
          tuner: {
            enabled: true,
            tuner_mode: this.tunerMode,
            power_target: { watt: this.#targetW },
            hashrate_target: null,
          },
        };
      case 'actions/locate':
        return this.blinking;
      default:
        return undefined;
    }
  }

  #details(nowMs: number): unknown {
    const name = this.power.model.id
      .replace(/^antminer-(.*?)(-braiins)?$/, '$1')
      .replaceAll('-', ' ')
      .toUpperCase();
    return {
      status: this.asleep ? PAUSED : NORMAL,
      miner_identity: { brand: 1, model: 18, miner_model: `Antminer ${name}`, name: `Antminer ${name}` },
      bos_version: { current: '2025-08-06-0-3881c51d-25.07-plus', bos_plus: true },
      sticker_hashrate: { gigahash_per_second: this.factoryThs() * 1_000 },
      bosminer_uptime_s: this.elapsedS(nowMs),
      system_uptime_s: this.upS(nowMs),
      mac_address: '02:00:00:00:00:02',
      hostname: 'Antminer',
    };
  }

  #stats(nowMs: number): unknown {
    return {
      miner_stats: { real_hashrate: this.#rates(this.ratesHs(nowMs)) },
      pool_stats: { accepted_shares: 100, rejected_shares: 0, stale_shares: 0 },
      power_stats: { approximated_consumption: { watt: Math.round(this.saysW(nowMs)) } },
    };
  }

  #rates(rateHs: number): unknown {
    const rate = { gigahash_per_second: rateHs / 1e9 };
    return { last_5s: rate, last_15s: rate, last_1m: rate, last_15m: rate, since_restart: rate };
  }

  #boards(nowMs: number): unknown[] {
    const boardC = this.power.boardC(nowMs);
    const tenth = (value: number): number => Math.round(value * 10) / 10;
    const left = this.power.boardsLeft(BOARDS);
    return Array.from({ length: left }, (_, n) => ({
      id: String(n + 1),
      enabled: true,
      chips_count: this.power.chipsPerBoard(BOARDS) ?? CHIPS,
      board_temp: { degree_c: tenth(boardC + n - 1) },
      highest_chip_temp: { id: 1, temperature: { degree_c: tenth(boardC + n + 12) } },
      stats: { real_hashrate: this.#rates(this.ratesHs(nowMs) / left) },
    }));
  }
}

/** One group with its share of the work, and its pools. */
function poolsInGroup(body: string): readonly SimulatedPool[] | undefined {
  // A list is no object: it is looked into through one.
  const groups = objectOf(`{"groups":${body}}`)?.['groups'];
  const [group] = Array.isArray(groups) && groups.length === 1 ? (groups as unknown[]) : [];
  const { name, pools, load_balance_strategy: strategy } = (group ?? {}) as Readonly<Record<string, unknown>>;
  const quota = (strategy as { readonly quota?: { readonly value?: unknown } } | undefined)?.quota?.value;
  return typeof name === 'string' && typeof quota === 'number'
    ? poolsIn(pools, ['url', 'user', 'password'])
    : undefined;
}

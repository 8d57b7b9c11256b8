/**
 * A simulated Proto Rig with ProtoOS 1.8: its MDK-API, every page behind a bearer token but the one that names it.
 * Written from what the maker's fleet software expects of a rig, apart from the driver.
 */
import type { DeviceHttpRequest, HttpAnswer, HttpDevice, SimulatedEndpoint } from '../device.ts';
import { firstPools, objectOf, poolSettings, poolsIn } from './miner.ts';
import type { MinerAddress } from './miner.ts';
import { MinerBody } from './miner-body.ts';
import type { MinerOptions } from './miner-body.ts';

const ACCESS_MS = 900_000;
const REFRESH_MS = 86_400_000;
const BOARDS = 4;
const FANS = 4;
const LOCATE_MAX_S = 300;
const MODES = ['MaximumHashrate', 'Efficiency'];
const DEFAULT_MODE = 'MaximumHashrate';

interface Issued {
  readonly text: string;
  readonly untilMs: number;
}

export class SimulatedProtoRig extends MinerBody implements HttpDevice {
  /** None of them is what a PUT that leaves them out would make of them. */
  performanceMode = 'Efficiency';
  balanceBays = true;
  hashOnDisconnect = true;
  locateUntilMs = Number.NEGATIVE_INFINITY;
  /** Logins that were right, and tokens that were renewed without one. */
  logins = 0;
  refreshes = 0;
  #targetW: number;
  #access: Issued | undefined;
  #refresh: Issued | undefined;
  /** Who holds it at rest through its own curtailment service. */
  #curtailedBy: string | undefined;

  constructor(options: MinerOptions) {
    super(options);
    this.#targetW = this.power.limitW;
    this.mined = firstPools(this.id, 2);
  }

  settings(): Readonly<Record<string, string | number>> {
    return {
      powerLimit: this.#targetW,
      performanceMode: this.performanceMode,
      balanceBays: String(this.balanceBays),
      hashOnDisconnect: String(this.hashOnDisconnect),
      ...poolSettings(this.mined),
    };
  }

  endpoints({ host, http }: MinerAddress): readonly SimulatedEndpoint[] {
    return [{ kind: 'http', host, port: http, device: this }];
  }

  /** A curtailment that comes to it past the site's control begins, or ends. */
  curtail(provider: string | undefined, nowMs: number): void {
    this.#curtailedBy = provider;
    if (provider === undefined) this.power.wake(nowMs);
    else this.power.sleep(nowMs);
  }

  protected override forget(): void {
    this.#access = this.#refresh = undefined;
    this.locateUntilMs = Number.NEGATIVE_INFINITY;
  }

  respondHttp(request: DeviceHttpRequest, nowMs: number): HttpAnswer {
    const gate = this.httpGate(nowMs);
    if (gate) return gate;
    const { pathname, searchParams } = new URL(request.path, 'http://rig');
    const asked = `${request.method} ${pathname.replace(/^\/api\/v1\//, '')}`;
    if (asked === 'GET system') return this.#json(200, this.#system(nowMs));
    if (asked === 'POST auth/login') return this.#login(request.body, nowMs);
    if (asked === 'POST auth/refresh') return this.#renew(request.body, nowMs);
    const [, token] = /^Bearer (\S+)$/i.exec(request.headers['authorization'] ?? '') ?? [];
    if (token === undefined || token !== this.#access?.text || this.#access.untilMs <= nowMs)
      return this.#refused(401, 'UNAUTHORIZED', 'Missing or invalid bearer token');
    if (request.method === 'GET') {
      const page = this.#page(asked.slice(4), nowMs);
      return page === undefined ? this.#refused(404, 'NOT_FOUND', 'Not found') : this.#json(200, page);
    }
    if (asked === 'PUT mining/target') return this.#target(request.body, nowMs);
    if (asked === 'POST pools') return this.#setPools(request.body);
    return this.#order(asked, searchParams, nowMs);
  }

  #json(status: number, value: unknown): HttpAnswer {
    return this.page(status, JSON.stringify(value));
  }

  #refused(status: number, code: string, message: string): HttpAnswer {
    return this.#json(status, { error: { code, message } });
  }

  #issue(lifeMs: number, nowMs: number): Issued {
    const text = Array.from({ length: 20 }, () => Math.floor(this.random.next() * 36).toString(36)).join('');
    return { text, untilMs: nowMs + lifeMs };
  }

  #login(body: string, nowMs: number): HttpAnswer {
    if (objectOf(body)?.['password'] !== this.password)
      return this.#refused(401, 'UNAUTHORIZED', 'Invalid password');
    this.logins += 1;
    this.#access = this.#issue(ACCESS_MS, nowMs);
    this.#refresh = this.#issue(REFRESH_MS, nowMs);
    return this.#json(200, { access_token: this.#access.text, refresh_token: this.#refresh.text });
  }

  #renew(body: string, nowMs: number): HttpAnswer {
    const token = objectOf(body)?.['refresh_token'];
    if (token === undefined || token !== this.#refresh?.text || this.#refresh.untilMs <= nowMs)
      return this.#refused(401, 'UNAUTHORIZED', 'Invalid refresh token');
    this.refreshes += 1;
    this.#access = this.#issue(ACCESS_MS, nowMs);
    return this.#json(200, { access_token: this.#access.text });
  }

  #order(asked: string, params: URLSearchParams, nowMs: number): HttpAnswer {
    switch (asked) {
      case 'POST mining/stop':
        this.fallAsleep(nowMs);
        break;
      case 'POST mining/start':
        // Taken, and without effect while its curtailment service holds it.
        if (this.#curtailedBy === undefined) this.wakeUp(nowMs);
        break;
      case 'POST system/reboot':
        this.reboot(nowMs);
        break;
      case 'POST system/locate': {
        const seconds = Number(params.get('led_on_time') ?? 0);
        if (!Number.isInteger(seconds)) return this.#refused(400, 'INVALID_REQUEST', 'led_on_time');
        const isOn = params.get('enable') !== 'false';
        const onMs = seconds > 0 ? Math.min(seconds, LOCATE_MAX_S) * 1_000 : Number.POSITIVE_INFINITY;
        this.locateUntilMs = isOn ? nowMs + onMs : nowMs;
        break;
      }
      default:
        return this.#refused(404, 'NOT_FOUND', 'Not found');
    }
    this.#noteChange();
    return this.#json(202, { message: 'accepted' });
  }

  #noteChange(): void {
    this.changes += 1;
    if (this.fault === 'disturbs') this.hashOnDisconnect = !this.hashOnDisconnect;
  }

  /** What is left out becomes what it was shipped with: who names the watts alone is found out. */
  #target(body: string, nowMs: number): HttpAnswer {
    const asked = objectOf(body) ?? {};
    const watts = asked['power_target_watts'];
    const mode = asked['performance_mode'] ?? DEFAULT_MODE;
    const { least, most } = this.#bounds();
    if (typeof watts !== 'number' || watts < least || watts > most)
      return this.#refused(422, 'OUT_OF_RANGE', `power_target_watts must be between ${least} and ${most}`);
    if (typeof mode !== 'string' || !MODES.includes(mode))
      return this.#refused(422, 'INVALID_PERFORMANCE_MODE', 'Invalid performance_mode');
    if (this.fault !== 'ignores') {
      this.#targetW = watts;
      this.limit(watts, nowMs, { restarts: false });
      this.performanceMode = mode;
      this.balanceBays = asked['balance_bays'] === true;
      this.hashOnDisconnect = asked['hash_on_disconnect'] === true;
    }
    this.#noteChange();
    return this.#json(200, this.#targetPage());
  }

  #bounds(): { least: number; most: number } {
    const { rungs } = this.power.model;
    return { least: rungs[0]?.powerW ?? 0, most: rungs.at(-1)?.powerW ?? 0 };
  }

  #targetPage(): unknown {
    const { least, most } = this.#bounds();
    return {
      power_target_watts: this.#targetW,
      power_target_min_watts: least,
      power_target_max_watts: most,
      default_power_target_watts: most,
      performance_mode: this.performanceMode,
      balance_bays: this.balanceBays,
      hash_on_disconnect: this.hashOnDisconnect,
    };
  }

  #page(path: string, nowMs: number): unknown {
    const boardC = this.power.boardC(nowMs);
    switch (path) {
      case 'mining':
        return { 'mining-status': this.#mining(nowMs) };
      case 'mining/target':
        return this.#targetPage();
      case 'telemetry':
        return {
          timestamp: '2026-11-23T00:00:00Z',
          hashboards: Array.from({ length: this.power.boardsLeft(BOARDS) }, (_, index) => ({
            index,
            serial_number: `HB-${this.id}-${index}`,
            hashrate: { unit: 'TH/s', value: this.ratesHs(nowMs) / this.power.boardsLeft(BOARDS) / 1e12 },
            temperature: { unit: '°C', inlet: boardC - 8, outlet: boardC + 8, average: boardC + index },
          })),
        };
      case 'cooling':
        return {
          'cooling-status': {
            fan_mode: 'Auto',
            fans: Array.from({ length: FANS }, (_, at) => ({
              slot: at + 1,
              rpm: this.power.mining ? 4_346 + at * 11 : 1_000,
            })),
          },
        };
      case 'pools':
        return { pools: this.mined.map((_, index) => this.#pool(index)).toReversed() };
      case 'curtailment/status':
        return {
          active: this.#curtailedBy !== undefined,
          known: true,
          provider: this.#curtailedBy ?? null,
          target: this.#curtailedBy === undefined ? null : 0,
          restore_pending: false,
        };
      default:
        return undefined;
    }
  }

  /** The last one first: their priorities tell the order. */
  #pool(index: number): unknown {
    return {
      id: index,
      priority: index,
      url: this.mined[index]?.url,
      user: this.mined[index]?.user,
      status: 'Active',
      connection_status: 'Active',
      enabled: true,
      accepted: 100,
      rejected: 0,
    };
  }

  /** A list in place of what there is. */
  #setPools(body: string): HttpAnswer {
    const list = objectOf(`{"pools":${body}}`)?.['pools'];
    const pools = poolsIn(list, ['url', 'username', 'password']);
    if (!pools || pools.some(({ url }) => !/^stratum2?\+(?:tcp|ssl|tls):\/\/[^:/]+:\d+$/.test(url)))
      return this.#refused(400, 'INVALID_POOL_URL', 'Invalid pool URL');
    if (this.fault !== 'ignores') this.mined = pools;
    this.#noteChange();
    return this.#json(200, { message: 'Pools configured successfully' });
  }

  #mining(nowMs: number): unknown {
    const rateGhs = this.ratesHs(nowMs) / 1e9;
    return {
      status: this.#word(rateGhs),
      hashrate_ghs: rateGhs,
      average_hashrate_ghs: rateGhs,
      ideal_hashrate_ghs: this.factoryThs() * 1_000,
      power_usage_watts: this.saysW(nowMs),
      power_target_watts: this.#targetW,
      average_hb_temp_c: this.power.boardC(nowMs),
      reboot_uptime_s: this.upS(nowMs),
      mining_uptime_s: this.elapsedS(nowMs),
      hashboards_installed: this.power.boardsLeft(BOARDS),
      hashboards_mining: rateGhs > 0 ? this.power.boardsLeft(BOARDS) : 0,
    };
  }

  #word(rateGhs: number): string {
    if (this.asleep) return rateGhs > 0 ? 'PoweringOff' : 'Stopped';
    if (this.#curtailedBy !== undefined) return 'Curtailed';
    return rateGhs > 0 ? 'Mining' : 'PoweringOn';
  }

  #system(nowMs: number): unknown {
    return {
      'system-info': {
        product_name: 'Proto Rig',
        manufacturer: 'Proto',
        model: 'Rig',
        board: 'C3',
        cb_sn: `SIM-${this.id}`,
        uptime_seconds: this.upS(nowMs),
        os: { name: 'ProtoOS', version: '1.8.0', variant: 'release' },
      },
    };
  }
}

/**
 * A simulated Antminer with VNish: its REST API, open to read but for settings and presets, commands behind a token.
 * Written from documents and other clients, apart from the driver, so that an error in one shows against the other.
 */
import type { DeviceHttpRequest, HttpAnswer, HttpDevice, SimulatedEndpoint } from '../device.ts';
import { BOOT_MS, firstPools, objectOf, poolSettings } from './miner.ts';
import type { MinerAddress, SimulatedPool } from './miner.ts';
import { MinerBody } from './miner-body.ts';
import type { MinerOptions } from './miner-body.ts';

const TOKEN_LIFE_MS = 3_600_000;
/** Draw and rate come to a new preset in this time, step by step. */
const SETTLE = { ms: 60_000, steps: 6 };
/** A preset that was never tuned is tuned first. */
const TUNING_MS = 1_800_000;
/** Of the presets within its nameplate, those that nobody has tuned. */
const NEVER_TUNED = [1, 3];
const BOARDS = 3;
const FANS = 4;
/** What it was shipped with: a part of the object that is not sent falls back to this. */
const SHIPPED = {
  modded_psu: false,
  preset: 'disabled',
  globals: { volt: 1380, freq: 675 },
  preset_switcher: { enabled: false, decrease_temp: 75, rise_temp: 55, top_preset: null },
};

interface Preset {
  readonly name: string;
  readonly ths: number;
  readonly modded: boolean;
  status: 'tuned' | 'untuned';
}

export interface VnishOptions extends MinerOptions {
  readonly version?: string;
  /** A new preset waits for mining to start anew, as the answer then says. */
  readonly restarts?: boolean;
  /** Nothing is shown to strangers. */
  readonly guarded?: boolean;
}

export class SimulatedVnish extends MinerBody implements HttpDevice {
  blinking = false;
  cooling = 'auto';
  percent = 100;
  /** Passwords that were tried. */
  unlocks = 0;
  readonly pools: readonly SimulatedPool[];
  readonly presets: readonly Preset[];
  readonly #options: VnishOptions;
  readonly #tokens = new Map<string, number>();
  #overclock: Record<string, unknown>;
  /** The preset in force; the one that is set may wait. */
  #inForce: string;
  #paused = false;
  #tuning = false;

  constructor(options: VnishOptions) {
    super(options);
    this.#options = options;
    this.pools = firstPools(this.id, 3);
    const rungs = this.power.model.rungs.map(({ powerW, hashrateThs }, index): Preset => ({
      name: String(powerW),
      ths: hashrateThs,
      modded: false,
      status: NEVER_TUNED.includes(index) ? 'untuned' : 'tuned',
    }));
    this.presets = [...rungs, { name: '4690', ths: 124, modded: true, status: 'untuned' }];
    this.#inForce = rungs.at(-1)?.name ?? 'disabled';
    // Its owner has set clocks and the switcher otherwise than it was shipped.
    this.#overclock = {
      ...SHIPPED,
      preset: this.#inForce,
      globals: { volt: 1320, freq: 610 },
      preset_switcher: { ...SHIPPED.preset_switcher, rise_temp: 50 },
    };
  }

  settings(): Readonly<Record<string, string | number>> {
    const { preset, ...rest } = this.#overclock;
    return {
      powerLimit: Number(preset),
      overclock: JSON.stringify(rest),
      cooling: this.cooling,
      percent: this.percent,
      ...poolSettings(this.pools),
    };
  }

  endpoints({ host, http }: MinerAddress): readonly SimulatedEndpoint[] {
    return [{ kind: 'http', host, port: http, device: this }];
  }

  protected override forget(nowMs: number): void {
    this.#tokens.clear();
    this.blinking = this.#tuning = this.#paused = false;
    this.#start(nowMs);
  }

  respondHttp(request: DeviceHttpRequest, nowMs: number): HttpAnswer {
    const gate = this.httpGate(nowMs);
    if (gate) return gate;
    const path = /^\/api\/v1\/([\w/-]+)$/.exec(request.path)?.[1] ?? '';
    if (request.method === 'POST' && path === 'unlock') return this.#unlock(request.body, nowMs);
    const token = (request.headers['authorization'] ?? '').replace(/^Bearer /, '');
    const isOpen = request.method === 'GET' ? !/^(settings|autotune)/.test(path) : path === 'find-miner';
    if ((this.#options.guarded === true || !isOpen) && (this.#tokens.get(token) ?? 0) <= nowMs)
      return this.page(401, '{"err":"Unauthorized"}');
    if (request.method === 'POST') return this.#post(path, request.body, nowMs);
    const page = request.method === 'GET' ? this.#get(path, nowMs) : undefined;
    return page === undefined ? this.page(404, '') : this.page(200, JSON.stringify(page));
  }

  #unlock(body: string, nowMs: number): HttpAnswer {
    this.unlocks += 1;
    if (objectOf(body)?.['pw'] !== this.password) return this.page(403, '{"err":"Invalid password"}');
    const token = Array.from({ length: 32 }, () => Math.floor(this.random.next() * 36).toString(36)).join('');
    this.#tokens.set(token, nowMs + TOKEN_LIFE_MS);
    return this.page(200, JSON.stringify({ token }));
  }

  #post(path: string, body: string, nowMs: number): HttpAnswer {
    const answer = this.#carryOut(path, body, nowMs);
    if (answer === undefined) return this.page(404, '');
    if ('err' in answer) return this.page(500, JSON.stringify(answer));
    this.changes += 1;
    if (this.fault === 'disturbs') this.cooling = 'manual';
    return this.page(200, Object.keys(answer).length === 0 ? '' : JSON.stringify(answer));
  }

  /** Its answer, `{}` for none; undefined: there is no such page. */
  #carryOut(path: string, body: string, nowMs: number): object | undefined {
    switch (path) {
      case 'mining/stop':
      case 'mining/pause':
        if (this.asleep) return { err: 'CGMiner err: Cgminer error failed-to-activate-pause-mode ' };
        this.fallAsleep(nowMs);
        this.#paused = path === 'mining/pause';
        return {};
      case 'mining/start':
      case 'mining/resume':
        if (!this.asleep || this.#paused !== (path === 'mining/resume'))
          return { err: 'CGMiner err: Cgminer error failed-to-activate-resume-mode ' };
        this.wakeUp(nowMs);
        this.#start(nowMs);
        return {};
      case 'mining/restart':
        if (this.asleep) this.wakeUp(nowMs);
        else this.power.restart(nowMs);
        this.#start(nowMs);
        return {};
      case 'mining/throttle':
        return this.#throttle(objectOf(body)?.['percent'], nowMs);
      case 'settings':
        return this.#set(objectOf(body), nowMs);
      case 'find-miner':
        this.blinking =
          objectOf(body)?.['on'] === undefined ? !this.blinking : objectOf(body)?.['on'] === true;
        return { on: this.blinking };
      case 'system/reboot':
        this.reboot(nowMs);
        return { after: 3 };
      default:
        return undefined;
    }
  }

  /** From version 1.3 on. */
  #throttle(percent: unknown, nowMs: number): object | undefined {
    if (!/^1\.([3-9]|\d\d)/.test(this.#version)) return undefined;
    if (typeof percent !== 'number' || percent < 20 || percent > 100) return { err: 'percent: 20 to 100' };
    this.percent = percent;
    this.settle(this.#targetW(), nowMs, SETTLE);
    return this.#restartAnswer(false);
  }

  /** Takes what it is sent of the overclock for the whole of it, and says the same whether anything came of it or not. */
  #set(sent: Readonly<Record<string, unknown>> | undefined, nowMs: number): object {
    const overclock = objectOf(
      JSON.stringify(objectOf(JSON.stringify(sent?.['miner']))?.['overclock'] ?? null),
    );
    const preset = overclock?.['preset'];
    const isKnown = preset === 'disabled' || this.presets.some(({ name }) => name === preset);
    if (!overclock || !isKnown || this.fault === 'ignores') return this.#restartAnswer(false);
    this.#overclock = { ...SHIPPED, ...overclock };
    if (this.#options.restarts !== true) this.#bringIn(nowMs);
    return this.#restartAnswer(this.#inForce !== preset);
  }

  #restartAnswer(restart: boolean): object {
    return { restart_required: restart, reboot_required: false };
  }

  /** Mining starts, with the preset that is set. */
  #start(nowMs: number): void {
    this.#bringIn(nowMs);
    this.power.limit(nowMs, this.#targetW());
  }

  #bringIn(nowMs: number): void {
    const name = String(this.#overclock['preset']);
    if (name === this.#inForce) return;
    this.#inForce = name;
    this.settle(this.#targetW(), nowMs, SETTLE);
    const preset = this.presets.find((each) => each.name === name);
    this.#tuning = preset?.status === 'untuned';
    if (preset?.status !== 'untuned') return;
    this.plan(nowMs + TUNING_MS, () => {
      if (this.#inForce !== name) return;
      this.#tuning = false;
      preset.status = 'tuned';
    });
  }

  #targetW(): number {
    const watts = Number(this.#inForce);
    return (
      ((Number.isFinite(watts) ? watts : (this.power.model.rungs.at(-1)?.powerW ?? 0)) * this.percent) / 100
    );
  }

  #get(path: string, nowMs: number): unknown {
    switch (path) {
      case 'info':
        return this.#info(nowMs);
      case 'status':
        return {
          ...this.#state(nowMs),
          find_miner: this.blinking,
          restart_required: this.#overclock['preset'] !== this.#inForce,
          reboot_required: false,
          unlocked: this.#tokens.size > 0,
        };
      case 'summary':
        return { miner: this.#summary(nowMs) };
      case 'perf-summary':
        return {
          current_preset: { ...this.#listed(this.#inForce), globals: this.#overclock['globals'] },
          preset_switcher: this.#overclock['preset_switcher'],
        };
      case 'settings':
        return {
          miner: {
            cooling: { mode: { name: this.cooling, param: 60 } },
            misc: { quiet_mode: false },
            overclock: this.#overclock,
            pools: this.pools,
          },
          regional: { timezone: { current: 'GMT+0' } },
        };
      case 'autotune/presets':
        return ['disabled', ...this.presets.map(({ name }) => name)].map((name) => this.#listed(name));
      default:
        return undefined;
    }
  }

  #listed(name: string): object {
    const preset = this.presets.find((each) => each.name === name);
    return {
      name,
      pretty: preset ? `${name} watt ~ ${preset.ths} TH` : 'Disabled',
      status: preset?.status ?? 'untuned',
      modded_psu_required: preset?.modded ?? false,
    };
  }

  get #version(): string {
    return this.#options.version ?? '1.2.6';
  }

  #info(nowMs: number): unknown {
    // Its kernel runs long before its pages are there.
    const minutes = Math.floor((this.upS(nowMs) + BOOT_MS / 1_000) / 60);
    const clock = `${Math.floor(minutes / 60) % 24}:${String(minutes % 60).padStart(2, '0')}`;
    const days = Math.floor(minutes / 1_440);
    return {
      miner: 'Antminer S19',
      model: 's19',
      fw_name: 'Vnish',
      fw_version: this.#version,
      platform: 'xil',
      install_type: 'nand',
      algorithm: 'sha256d',
      hr_measure: 'GH/s',
      system: {
        os: 'GNU/Linux',
        network_status: { mac: '02:00:00:00:00:04', dhcp: true, hostname: 'antminer' },
        uptime: days === 0 ? clock : `${days} day${days === 1 ? '' : 's'}, ${clock}`,
      },
      serial: 'N/A',
    };
  }

  #state(nowMs: number): object {
    const resting = this.#paused ? 'paused' : 'stopped';
    const working = this.#tuning ? 'auto-tuning' : 'mining';
    return {
      miner_state: this.asleep ? resting : this.ratesHs(nowMs) > 0 ? working : 'initializing',
      miner_state_time: this.elapsedS(nowMs),
      ...(/^1\.([3-9]|\d\d)/.test(this.#version) && { throttled: this.percent }),
    };
  }

  #summary(nowMs: number): unknown {
    const ghs = this.ratesHs(nowMs) / 1e9;
    const left = this.power.boardsLeft(BOARDS);
    const boardC = Math.round(this.power.boardC(nowMs));
    return {
      miner_status: this.#state(nowMs),
      miner_type: `Antminer S19 (Vnish ${this.#version})`,
      hr_stock: this.factoryThs() * 1_000,
      hr_realtime: ghs,
      hr_nominal: this.factoryThs() * 1_000,
      hr_average: ghs,
      pcb_temp: { min: boardC - 6, max: boardC },
      chip_temp: { min: boardC + 4, max: boardC + 14 },
      power_consumption: Math.round(this.saysW(nowMs)),
      // W/TH here, though it was W once.
      power_usage: 31,
      pools: [
        ...this.pools.map(({ url, user }, id) => ({
          id,
          url,
          user,
          pool_type: 'UserPool',
          status: id === 0 && !this.asleep ? 'active' : 'working',
        })),
        { id: 3, url: 'DevFee', user: 'DevFee', pool_type: 'DevFee', status: 'working' },
      ],
      cooling: {
        fan_num: FANS,
        fans: Array.from({ length: FANS }, (_, id) => ({
          id,
          rpm: this.asleep ? 1_200 : 5_400 + id * 10,
          status: 'ok',
          max_rpm: 6_000,
        })),
        fan_duty: 80,
      },
      // Stopped it has no boards to speak of.
      chains: this.asleep
        ? []
        : Array.from({ length: left }, (_, n) => ({
            id: n + 1,
            hr_realtime: ghs / left,
            pcb_temp: { min: boardC - 6, max: boardC + n - 1 },
            chip_temp: { min: boardC + 4, max: boardC + n + 12 },
            status: { state: 'mining' },
          })),
    };
  }
}

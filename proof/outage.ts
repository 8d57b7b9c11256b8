import type { Device } from '../agent/driver.ts';
import { willOf } from '../agent/link.ts';
import { startAgent } from '../agent/main.ts';
import { MODELS } from '../config/models.ts';
import { siteSchema } from '../config/schema/site.ts';
import { resolveSite } from '../config/site.ts';
import type { Site } from '../config/site.ts';
import { startController } from '../controller/main.ts';
import type { Controller } from '../controller/main.ts';
import type { Bus, Deps } from '../host/deps.ts';
import { makeLines } from '../host/line.ts';
import { silentLog } from '../host/log.ts';
import { MemoryBroker } from '../host/memory-bus.ts';
import type { MemoryClient } from '../host/memory-bus.ts';
import { MemoryDisk } from '../host/memory-disk.ts';
import { seededRandom } from '../host/random.ts';
import { Fault } from '../protocols/faults.ts';
import { decodeJson } from '../protocols/mqtt/json.ts';
import { statusSchema } from '../protocols/mqtt/status.ts';
import type { Status } from '../protocols/mqtt/status.ts';
import { agentFilter } from '../protocols/mqtt/topics.ts';
import type { Reading } from '../protocols/reading.ts';
import { Consumer, METER_PERIOD_MS, powerOf, RACK_TICK_MS } from './consumer.ts';
import type { Verdict } from './consumer.ts';
import { Life } from './life.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface OutageOptions {
  readonly seed: number;
  readonly machines: number;
  /** How long the broker is away, h. */
  readonly hours: number;
  /** Room of the spool; absent: the site file's default. */
  readonly diskMiB?: number;
  readonly onProgress?: (text: string) => void;
}

export interface OutageResult extends Verdict {
  /** Numbers that the agent announces as thinned out, let go or damaged, those of its earlier start included. */
  readonly announced: number;
  /** From the broker's return to the first new frame, and to the last of the backlog, s. */
  readonly firstLiveS: number;
  readonly drainedS: number;
  readonly brokerKills: number;
  readonly agentKills: number;
  /** The most that stood on the agent's disk, bytes. */
  readonly diskBytes: number;
}

const START_WALL_MS = Date.UTC(2026, 5, 1);
const SETTLE_MS = 120_000;
const BROKER_DOWN_MS = 5_000;
const AGENT_DOWN_MS = 20_000;
const DRAIN_KILLS = 3;
const MOST_DRAIN_MS = 12 * 3_600_000;
const RACK = 20;

/** A site of miners at their own rates, only watched: what it says is what counts here. */
function outageSite(machines: number, diskMiB: number | undefined): Site {
  const racks = Array.from({ length: Math.ceil(machines / RACK) }, (_, rack) => `r${rack + 1}`);
  const config = siteSchema.parse({
    schema: 1,
    site: 'outage',
    authority: 'observe',
    spool: diskMiB === undefined ? {} : { diskMiB },
    nodes: [
      { id: 'main', kind: 'site', capKw: machines * 5 },
      ...racks.map((id) => ({ id, parent: 'main', kind: 'rack' as const, capKw: RACK * 5 })),
    ],
    meters: [{ id: 'inlet', node: 'main', target: 'toy://meter', periodMs: METER_PERIOD_MS }],
    machines: racks.map((rack) => ({
      rack,
      model: [...MODELS.values()].find((model) => model.kind === 'asic')?.id ?? '',
      target: `toy://${rack}/{n}`,
      count: RACK,
      periodMs: 2 * RACK_TICK_MS,
    })),
    prices: {
      hash: { url: 'http://127.0.0.1/none', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
    },
  });
  return resolveSite(config, MODELS);
}

/** The broker goes away for hours, the agent is killed meanwhile, and the broker three times more during the drain. */
export async function runOutage(options: OutageOptions): Promise<OutageResult> {
  const outage = new Outage(options);
  return outage.go();
}

class Outage {
  readonly #options: OutageOptions;
  readonly #clock = new VirtualClock({ startWallMs: START_WALL_MS });
  readonly #site: Site;
  readonly #broker: MemoryBroker;
  readonly #disks: Readonly<Record<'agent' | 'controller', MemoryDisk>>;
  readonly #consumer: Consumer;
  #agent: { readonly life: Life; readonly bus: MemoryClient; stop(): Promise<void> } | undefined;
  #controller: Controller | undefined;
  #boot = 0;
  #status: Status | undefined;
  #announced = 0;
  #diskBytes = 0;
  #agentKills = 0;

  constructor(options: OutageOptions) {
    this.#options = options;
    const clock = this.#clock;
    const random = seededRandom(options.seed);
    this.#site = outageSite(options.machines, options.diskMiB);
    this.#broker = new MemoryBroker({ clock, latencyMs: () => 1 + 4 * random.next() });
    const disk = (): MemoryDisk => new MemoryDisk({ clock, syncMs: () => 0.5 + 5 * random.next() });
    this.#disks = { agent: disk(), controller: disk() };
    this.#consumer = new Consumer(clock, this.#site);
  }

  async go(): Promise<OutageResult> {
    const outageMs = this.#options.hours * 3_600_000;
    await this.#startController();
    this.#startAgent();
    await this.#clock.advance(SETTLE_MS);
    this.#broker.restart(outageMs);
    await this.#pass(outageMs / 2);
    await this.#killAgent();
    await this.#pass(outageMs / 2 - AGENT_DOWN_MS);
    const { firstLiveS, drainedS, brokerKills } = await this.#drain();
    this.#announced += this.#lossOf(this.#status);
    const verdict = this.#consumer.verdict(this.#controller?.counts.lost ?? Number.NaN);
    this.#agent?.life.end();
    void this.#controller?.stop();
    return {
      ...verdict,
      announced: this.#announced,
      firstLiveS,
      drainedS,
      brokerKills,
      agentKills: this.#agentKills,
      diskBytes: this.#diskBytes,
    };
  }

  /** The broker is back: until nothing waits any more, it dies three times, each time with backlog on the way. */
  async #drain(): Promise<{ firstLiveS: number; drainedS: number; brokerKills: number }> {
    const backMs = this.#clock.monoMs();
    const waiting = this.#diskUsed();
    let brokerKills = 0;
    while (this.#clock.monoMs() - backMs < MOST_DRAIN_MS) {
      await this.#clock.advance(1_000);
      const left = this.#diskUsed();
      if (brokerKills < DRAIN_KILLS && left < waiting * (1 - (brokerKills + 1) / (DRAIN_KILLS + 1))) {
        this.#options.onProgress?.(`drain: ${left} of ${waiting} bytes left, the broker dies`);
        brokerKills += 1;
        this.#broker.restart(BROKER_DOWN_MS);
        await this.#clock.advance(BROKER_DOWN_MS);
      }
      if (brokerKills === DRAIN_KILLS && this.#isThrough()) break;
    }
    const firstLiveS = ((this.#consumer.firstLiveAfter(backMs) ?? Infinity) - backMs) / 1_000;
    return { firstLiveS, drainedS: (this.#clock.monoMs() - backMs) / 1_000, brokerKills };
  }

  /** Nothing stands on the disk, and what waits is what was said a moment ago. */
  #isThrough(): boolean {
    return this.#diskUsed() === 0 && (this.#status?.spooled ?? Infinity) < 5 * (this.#site.racks.length + 1);
  }

  async #pass(ms: number): Promise<void> {
    const untilMs = this.#clock.monoMs() + ms;
    while (this.#clock.monoMs() < untilMs) {
      await this.#clock.advance(Math.min(600_000, untilMs - this.#clock.monoMs()));
      this.#diskBytes = Math.max(this.#diskBytes, this.#diskUsed());
      const hours = Math.floor((this.#clock.monoMs() - SETTLE_MS) / 36_000) / 100;
      this.#options.onProgress?.(`${hours} h of the outage, ${this.#diskUsed()} bytes on the disk`);
    }
  }

  #diskUsed(): number {
    return this.#disks.agent.usedBytes('/agent/agent-a1.spool-');
  }

  #lossOf(status: Status | undefined): number {
    return status === undefined ? 0 : status.thinned + status.dropped + status.damaged;
  }

  async #startController(): Promise<void> {
    const bus = this.#broker.client('controller');
    const refuse = (): Promise<never> => Promise.reject(new Fault('NET_REFUSED'));
    const starting = startController({
      site: this.#site,
      dataDir: '/controller',
      store: this.#consumer,
      deps: {
        clock: this.#clock,
        http: { request: refuse },
        disk: this.#disks.controller,
        bus: this.#tapped(bus),
        log: silentLog,
        report: () => undefined,
      },
      // There is one controller at a time here: one that gave way would be noticed as a loss.
      onStepDown: () => undefined,
    });
    await this.#clock.advance(1_000);
    this.#controller = await starting;
    void bus.subscribe(agentFilter(this.#site.id, 'status'), ({ payload }) => {
      const status = decodeJson(statusSchema, payload);
      if (status.online) this.#status = status;
    });
  }

  /** Lets the consumer see every message as it reaches the controller. */
  #tapped(bus: Bus): Bus {
    return {
      get connected() {
        return bus.connected;
      },
      publish: (topic, payload, how) => bus.publish(topic, payload, how),
      subscribe: (filter, handler) =>
        bus.subscribe(filter, (message) => {
          this.#consumer.arrives(message);
          handler(message);
        }),
      onState: (handler) => bus.onState(handler),
      close: () => bus.close(),
    };
  }

  #startAgent(): void {
    const refuse = (): Promise<never> => Promise.reject(new Fault('NET_REFUSED'));
    const life = new Life({
      clock: this.#clock,
      net: { open: refuse, exchange: refuse },
      http: { request: refuse },
      remote: { open: refuse },
      report: () => undefined,
    });
    this.#boot += 1;
    const bus = this.#broker.client('agent', { will: willOf(this.#site.id, 'a1', this.#boot) });
    const random = seededRandom(this.#options.seed * 1_000 + this.#boot);
    const { clock, net, http, remote, report } = life;
    const deps: Deps = {
      clock,
      net,
      http,
      remote,
      report,
      random,
      disk: this.#disks.agent,
      bus,
      log: silentLog,
    };
    const running = startAgent({
      site: this.#site,
      agent: 'a1',
      boot: this.#boot,
      dataDir: '/agent',
      deps,
      io: { ...deps, lines: makeLines(deps) },
      openDevice: (target) => this.#device(target),
    });
    this.#agent = { life, bus, stop: () => running.stop() };
  }

  /** A machine whose power tells who it is and when it was asked; the first one is dead for 3 min of every 20. */
  #device(target: string): Device {
    const place = this.#site.machines.findIndex((machine) => machine.target === target);
    const value = (
      value: number | string,
      unit: Reading & { ok: true } extends { unit: infer U } ? U : never,
    ) => {
      const atMs = Math.round(this.#clock.wallMs());
      return { ok: true, value, unit, quality: 'good', atMs } as const;
    };
    const refuse = (): Promise<never> => Promise.reject(new Fault('NET_TIMEOUT'));
    return {
      driver: 'toy',
      identify: refuse,
      verbs: {},
      close: () => undefined,
      read: () => {
        const minute = Math.floor(this.#clock.monoMs() / 60_000) % 20;
        if (place === 0 && minute >= 5 && minute < 8) return refuse();
        const power = powerOf(place, Math.round(this.#clock.wallMs()));
        if (place < 0) return Promise.resolve({ 'power.active.total': value(power, 'W') });
        return Promise.resolve({ power: value(power, 'W'), mode: value('mine', 'text') });
      },
    };
  }

  async #killAgent(): Promise<void> {
    const running = this.#agent;
    if (running === undefined) return;
    this.#agentKills += 1;
    this.#consumer.killed(this.#boot, this.#clock.wallMs());
    running.life.end();
    running.bus.kill();
    this.#disks.agent.crash('power', seededRandom(this.#options.seed + 1));
    await this.#clock.advance(AGENT_DOWN_MS);
    this.#startAgent();
  }
}

import { willOf } from '../agent/link.ts';
import { startAgent } from '../agent/main.ts';
import { siteSchema } from '../config/schema/site.ts';
import type { AsicModel } from '../config/schema/model.ts';
import { resolveSite } from '../config/site.ts';
import type { Site } from '../config/site.ts';
import type { Bus, Random } from '../host/deps.ts';
import { makeLines } from '../host/line.ts';
import { silentLog } from '../host/log.ts';
import { MemoryBroker } from '../host/memory-bus.ts';
import type { MemoryClient } from '../host/memory-bus.ts';
import { MemoryDisk } from '../host/memory-disk.ts';
import { seededRandom } from '../host/random.ts';
import { Fault } from '../protocols/faults.ts';
import { decodeJson } from '../protocols/mqtt/json.ts';
import { desiredSchema, leaseSchema } from '../protocols/mqtt/desired.ts';
import { statusSchema } from '../protocols/mqtt/status.ts';
import { leaseTopic } from '../protocols/mqtt/topics.ts';
import { Life } from './life.ts';
import { StormJudge } from './storm-judge.ts';
import type { StormCounts } from './storm-judge.ts';
import { StormMiner } from './storm-miner.ts';
import { StormVoice } from './storm-voice.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface StormOptions {
  readonly seed: number;
  readonly machines: number;
  /** It goes on until so many commands have reached machines. */
  readonly commands: number;
  readonly onProgress?: (commands: number) => void;
}

export interface StormResult extends StormCounts {
  readonly ok: boolean;
  readonly seed: number;
  readonly virtualHours: number;
  readonly documents: number;
  readonly controllers: number;
  readonly agentKills: number;
  readonly brokerRestarts: number;
  readonly partitions: number;
  readonly clockSteps: number;
  /** Machines that were not where the last controller wanted them when all was calm. */
  readonly astray: number;
  /** The first things that were wrong, in words. */
  readonly wrong: readonly string[];
}

const START_WALL_MS = Date.UTC(2026, 5, 1);
const RACK = 50;
const AGENT = 'a1';
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Machines ignore commands, and a GPU-free site settles within this. */
const CALM_MS = 5 * MINUTE_MS;
/** An old controller that does not know it goes on for so long, at most. */
const ZOMBIE_MS = 2 * MINUTE_MS;

const MODEL: AsicModel = {
  kind: 'asic',
  id: 'storm',
  vendor: 'storm',
  driver: 'storm',
  ratedW: 3_400,
  sleepW: 30,
  sleepS: 6,
  wakeS: 6,
  minOnS: 0,
  minOffS: 0,
  sources: [],
  rungs: [{ powerW: 3_200, hashrateThs: 100 }],
};

function stormSite(machines: number): Site {
  const racks = Array.from({ length: Math.ceil(machines / RACK) }, (_, place) => `r${place + 1}`);
  const config = siteSchema.parse({
    schema: 1,
    site: 'storm',
    authority: 'automatic',
    lease: { t1S: 5, t2S: 60, failSafe: 'hold' },
    control: { startsPer10S: 1_000_000, maxCyclesPerDay: 10_000, parallel: 1_000, parallelUrgent: 1_000 },
    nodes: [
      { id: 'main', kind: 'site', capKw: machines * 10 },
      ...racks.map((id) => ({ id, parent: 'main', kind: 'rack' as const, capKw: RACK * 10 })),
    ],
    machines: racks.map((rack, place) => ({
      rack,
      model: MODEL.id,
      target: `storm://${rack}/{n}`,
      count: Math.min(RACK, machines - place * RACK),
      periodMs: 5_000,
    })),
    prices: {
      hash: { url: 'http://127.0.0.1/none', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 },
    },
  });
  return resolveSite(config, new Map([[MODEL.id, MODEL]]));
}

const refuse = (): Promise<never> => Promise.reject(new Fault('NET_REFUSED'));

/**
 * One real agent, machines that count what is done to them, and controllers that change their minds every few
 * seconds, take over from each other and do not always know it, over a network and a disk with every fault there is.
 */
export async function runStorm(options: StormOptions): Promise<StormResult> {
  return new Storm(options).go();
}

class Storm {
  readonly #options: StormOptions;
  readonly #clock = new VirtualClock({ startWallMs: START_WALL_MS });
  readonly #random: Random;
  readonly #site: Site;
  readonly #broker: MemoryBroker;
  readonly #disk: MemoryDisk;
  readonly #judge: StormJudge;
  readonly #miners: readonly StormMiner[];
  readonly #racks: ReadonlyMap<string, readonly string[]>;
  readonly #count = {
    documents: 0,
    controllers: 0,
    agentKills: 0,
    brokerRestarts: 0,
    partitions: 0,
    clockSteps: 0,
  };
  /** Per epoch, what the clock of its controller showed when the run began. */
  readonly #origins = new Map<number, number>();
  #voice: StormVoice | undefined;
  #agent: { readonly life: Life; readonly bus: MemoryClient } | undefined;
  #boot = 0;
  #skewMs = 0;

  constructor(options: StormOptions) {
    this.#options = options;
    const clock = this.#clock;
    this.#random = seededRandom(options.seed * 7_919);
    this.#site = stormSite(options.machines);
    const latency = seededRandom(options.seed * 104_729);
    this.#broker = new MemoryBroker({
      clock,
      latencyMs: () => 1 + 20 * latency.next(),
      random: seededRandom(options.seed * 1_299_709),
    });
    this.#disk = new MemoryDisk({ clock, syncMs: () => 0.5 + 10 * latency.next() });
    const machines = this.#site.machines.map(({ id, rack }) => ({ id, rack }));
    this.#judge = new StormJudge(machines, this.#site.config.lease.t1S * 1_000);
    const behaviour = seededRandom(options.seed * 15_485_863);
    this.#miners = machines.map(
      (_, place) =>
        new StormMiner(place, clock, behaviour, (miner, mode) =>
          this.#judge.call(miner, mode, clock.monoMs()),
        ),
    );
    this.#racks = new Map(
      this.#site.racks.map(({ id }) => [id, machines.filter(({ rack }) => rack === id).map((one) => one.id)]),
    );
  }

  async go(): Promise<StormResult> {
    this.#startAgent();
    this.#takeOver();
    const { commands, onProgress } = this.#options;
    while (this.#judge.counts.commands < commands && this.#judge.wrong.length < 20) {
      await this.#minute();
      onProgress?.(this.#judge.counts.commands);
    }
    await this.#calm();
    const astray = this.#astray();
    this.#agent?.life.end();
    this.#retire(this.#voice);
    const { counts, wrong } = this.#judge;
    return {
      ok: counts.twice + counts.late + counts.stale + counts.unasked + astray === 0,
      seed: this.#options.seed,
      ...counts,
      virtualHours: Math.round(this.#clock.monoMs() / 36_000) / 100,
      ...this.#count,
      astray,
      wrong,
    };
  }

  /** One minute with what chance puts into it. */
  async #minute(): Promise<void> {
    const trouble = this.#chance(0.5);
    const laterMs = this.#random.next() * MINUTE_MS;
    this.#broker.trouble('agent', trouble ? { lost: 0.05, again: 0.2, late: 0.2, laterMs } : undefined);
    await this.#pass(0.5);
    if (this.#chance(0.2)) await this.#killAgent();
    if (this.#chance(0.15)) this.#takeOver();
    if (this.#chance(0.1)) this.#partition();
    if (this.#chance(0.05)) {
      this.#count.brokerRestarts += 1;
      this.#broker.restart(this.#random.next() * 10_000);
    }
    if (this.#chance(0.1)) {
      this.#count.clockSteps += 1;
      this.#skewMs = this.#anySkewMs();
    }
    await this.#pass(0.5);
  }

  async #calm(): Promise<void> {
    this.#broker.trouble('agent', undefined);
    await this.#clock.advance(ZOMBIE_MS);
    if (this.#voice !== undefined) this.#voice.changing = false;
    await this.#clock.advance(CALM_MS);
  }

  #astray(): number {
    return [...(this.#voice?.wanted ?? [])].reduce(
      (sum, [rack, modes]) =>
        sum +
        this.#site.machines.filter(
          (machine) => machine.rack === rack && this.#miners[machine.index]?.mode !== modes[machine.id],
        ).length,
      0,
    );
  }

  #chance(share: number): boolean {
    return this.#random.next() < share;
  }

  async #pass(minutes: number): Promise<void> {
    await this.#clock.advance(Math.round(minutes * MINUTE_MS * (0.5 + this.#random.next())));
  }

  /** Nothing, an hour, or a day, either way. */
  #anySkewMs(): number {
    const most = [0, HOUR_MS, DAY_MS][Math.floor(this.#random.next() * 3)] ?? 0;
    return Math.round((this.#random.next() * 2 - 1) * most);
  }

  /** A new controller, of the next epoch; the old one ends, or goes on for a while and does not know. */
  #takeOver(): void {
    const old = this.#voice;
    if (this.#chance(0.5)) this.#retire(old);
    else this.#clock.after(this.#random.next() * ZOMBIE_MS, () => this.#retire(old));
    this.#count.controllers += 1;
    const epoch = this.#count.controllers;
    const skewMs = this.#anySkewMs();
    this.#origins.set(epoch, START_WALL_MS + skewMs);
    this.#voice = new StormVoice({
      site: this.#site.id,
      agent: AGENT,
      epoch,
      skewMs,
      racks: this.#racks,
      clock: this.#clock,
      random: seededRandom(this.#options.seed * 32_452_843 + epoch),
      bus: this.#broker.client(`controller-${epoch}`),
    });
  }

  readonly #retired = new Set<StormVoice>();

  #retire(voice: StormVoice | undefined): void {
    if (voice === undefined || this.#retired.has(voice)) return;
    this.#retired.add(voice);
    this.#count.documents += voice.documents;
    voice.end();
  }

  #partition(): void {
    this.#count.partitions += 1;
    const way = (['both', 'to', 'from'] as const)[Math.floor(this.#random.next() * 3)] ?? 'both';
    this.#broker.partition('agent', true, way);
    this.#clock.after(this.#random.next() * 30_000, () => this.#broker.partition('agent', false));
  }

  async #killAgent(): Promise<void> {
    const agent = this.#agent;
    if (agent === undefined) return;
    this.#count.agentKills += 1;
    let diedMs = Infinity;
    const die = (): void => {
      if (!agent.life.alive) return;
      diedMs = this.#clock.monoMs();
      agent.life.end();
      agent.bus.kill();
      this.#disk.crash(this.#chance(0.5) ? 'power' : 'process', this.#random);
    };
    // Anywhere: between any two timers.
    this.#clock.afterTimers(1 + Math.floor(this.#random.next() * 2_000), die);
    await this.#clock.advance(1_000);
    die();
    await this.#clock.advance(Math.round(this.#random.next() * 20_000));
    this.#judge.reborn(diedMs);
    for (const miner of this.#miners) miner.seen = false;
    this.#startAgent();
  }

  #startAgent(): void {
    const world = {
      clock: this.#clock,
      net: { open: refuse, exchange: refuse },
      http: { request: refuse },
      remote: { open: refuse },
      report: () => undefined,
    };
    const life = new Life(world, () => this.#skewMs);
    const boot = ++this.#boot;
    const bus = this.#broker.client('agent', { will: willOf(this.#site.id, AGENT, boot) });
    const { clock, net, http, remote, report } = life;
    const random = seededRandom(this.#options.seed * 1_000 + boot);
    const tapped = this.#tapped(bus);
    const deps = { clock, net, http, remote, report, random, disk: this.#disk, bus: tapped, log: silentLog };
    startAgent({
      site: this.#site,
      agent: AGENT,
      boot,
      dataDir: '/agent',
      deps,
      io: { ...deps, lines: makeLines(deps) },
      openDevice: (target) => {
        const miner = this.#miners[this.#site.machines.findIndex((machine) => machine.target === target)];
        if (miner === undefined) throw new Fault('TARGET_INVALID', target);
        return miner.device(() => life.alive);
      },
    });
    this.#agent = { life, bus };
  }

  /** Lets the judge know what reaches the agent and which nonces it gives out. */
  #tapped(bus: Bus): Bus {
    const { id } = this.#site;
    return {
      get connected() {
        return bus.connected;
      },
      publish: (topic, payload, how) => {
        if (topic.endsWith('/status')) {
          const { nonce } = decodeJson(statusSchema, payload);
          this.#judge.nonce(nonce, this.#clock.monoMs());
        }
        return bus.publish(topic, payload, how);
      },
      subscribe: (filter, handler) =>
        bus.subscribe(filter, (message) => {
          this.#arrives(id, message.topic, message.payload);
          handler(message);
        }),
      onState: (handler) => bus.onState(handler),
      close: () => bus.close(),
    };
  }

  #arrives(site: string, topic: string, payload: Uint8Array): void {
    const nowMs = this.#clock.monoMs();
    if (topic === leaseTopic(site)) this.#judge.beat(decodeJson(leaseSchema, payload), AGENT, nowMs);
    else if (topic.endsWith('/desired')) {
      const doc = decodeJson(desiredSchema, payload);
      this.#judge.desired(doc, this.#origins.get(doc.epoch) ?? START_WALL_MS, nowMs);
    }
  }
}

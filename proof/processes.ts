import { willOf } from '../agent/link.ts';
import { startAgent } from '../agent/main.ts';
import type { Site } from '../config/site.ts';
import type { LedgerRecord } from '../controller/core/events.ts';
import { ledgerPath, openLedger } from '../controller/ledger.ts';
import { startController } from '../controller/main.ts';
import type { Controller } from '../controller/main.ts';
import type { Bus, Deps, Random } from '../host/deps.ts';
import { makeLines } from '../host/line.ts';
import { silentLog } from '../host/log.ts';
import type { MemoryBroker, MemoryClient } from '../host/memory-bus.ts';
import { MemoryDisk } from '../host/memory-disk.ts';
import { SIMULATED_ENV } from '../simulator/site.ts';
import type { Happening, ProcessName } from './faults.ts';
import type { DamageJudge } from './damage-judge.ts';
import { Life } from './life.ts';
import type { TelemetryJudge } from './telemetry-judge.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { WallClocks } from './wall-clocks.ts';

type World = Pick<Deps, 'clock' | 'net' | 'http' | 'remote' | 'report'>;
type Kill = Extract<Happening, { kind: 'kill' }>;
type DiskFault = Extract<Happening, { kind: 'disk' }>;

/** One life of a process. */
interface Running {
  readonly life: Life;
  readonly bus: MemoryClient;
  stop(): void;
}

export interface ProcessesOptions {
  readonly site: Site;
  readonly clock: VirtualClock;
  readonly clocks: WallClocks;
  readonly world: World;
  readonly broker: MemoryBroker;
  /** A stream of chance of its own per number. */
  readonly random: (stream: number) => Random;
  /** Everything that the processes give to the bus, at that moment. */
  readonly onPublish: (topic: string, payload: Uint8Array) => void;
  /** Everything that reaches them. */
  readonly onReceive: (process: ProcessName, topic: string, payload: Uint8Array) => void;
  /** Keeps what controllers store, and is told what happens to agents. */
  readonly telemetry: TelemetryJudge;
  /** Is told which bits flip. */
  readonly damage: DamageJudge;
  /** The controller's disk has refused a line for lack of room: its ledger's reserve is used up. */
  readonly onRefused: () => void;
}

const DIRS = { controller: '/controller', agent: '/agent' } as const;
/** Starts of agents are numbered from here on, and so many have a stream of chance of their own each. */
const FIRST_BOOT = 1_000;
const STREAMS = 500;
/** A slow disk takes this long to sync, ms. */
const SLOW_SYNC_MS = 3_000;

/** The processes of the product: started, killed and started again, each with its disk and its clock. */
export class Processes {
  readonly #disks: ReadonlyMap<ProcessName, MemoryDisk>;
  lost = 0;
  duplicated = 0;
  readonly #options: ProcessesOptions;
  readonly #running = new Map<ProcessName, Running>();
  readonly #slow = new Set<ProcessName>();
  #controller: Controller | undefined;
  /** Per agent, the number of its newest start: each counts its own, and two of them may have the same. */
  readonly #boots = new Map<string, number>();

  constructor(options: ProcessesOptions) {
    this.#options = options;
    const sync = options.random(4);
    const disk = (process: ProcessName): MemoryDisk =>
      new MemoryDisk({
        clock: options.clock,
        syncMs: () => 0.5 + 5 * sync.next() + (this.#slow.has(process) ? SLOW_SYNC_MS : 0),
        ...(process === 'controller' && { onFull: options.onRefused }),
      });
    this.#disks = new Map(['controller', ...options.site.agents].map((one) => [one, disk(one)]));
  }

  /** The running controller, once it has started. */
  get controller(): Controller | undefined {
    return this.alive('controller') ? this.#controller : undefined;
  }

  alive(process: ProcessName): boolean {
    return this.#running.get(process)?.life.alive === true;
  }

  /** Throws RangeError for a process that the site does not have. */
  diskOf(process: ProcessName): MemoryDisk {
    const disk = this.#disks.get(process);
    if (disk === undefined) throw new RangeError(`there is no process '${process}'`);
    return disk;
  }

  async start(process: ProcessName): Promise<void> {
    if (process === 'controller') this.#startController();
    else this.#startAgent(process);
    await this.#options.clock.advance(0);
  }

  /** Dies at once, or in the middle of what it will be doing; its disk loses what a crash of that kind loses. */
  async kill(kill: Kill, ended: () => void): Promise<void> {
    const { clock, random } = this.#options;
    const { process, after } = kill;
    const running = this.#running.get(process);
    if (running?.life.alive !== true) return;
    const die = (): void => {
      if (!running.life.alive) return;
      if (process === 'controller') this.#countLost();
      else this.#options.telemetry.killed(process, this.#bootOf(process));
      running.life.end();
      running.bus.kill();
      const chance = random(6 + clock.monoMs());
      this.diskOf(process).crash(kill.disk, chance);
      if (kill.flip !== undefined) this.#flip(kill, kill.flip, chance);
      clock.after(kill.downMs, () => void this.start(process));
      ended();
    };
    if (after === undefined) die();
    else clock.afterTimers(after.timers, () => void turns(after.turns).then(die));
    await clock.advance(0);
  }

  /** Nothing flips when there is no such file yet. */
  #flip({ process, downMs }: Kill, flip: keyof typeof FLIPPED, chance: Random): void {
    const { clock, damage } = this.#options;
    const disk = this.diskOf(process);
    const paths = disk.paths.filter((path) => FLIPPED[flip].test(path) && disk.durable(path).length > 0);
    const path = paths[Math.floor(chance.next() * paths.length)];
    if (path === undefined) return;
    // Of the ledger, where something durable follows: a broken end is what any crash leaves.
    const most = disk.durable(path).length / (flip === 'ledger' ? 2 : 1);
    const offset = Math.floor(chance.next() * most);
    const mask = 1 << Math.floor(chance.next() * 8);
    disk.flip(path, offset, mask);
    if (flip === 'kept') damage.kept(path, clock.monoMs());
    if (flip !== 'ledger') return;
    damage.ledger(clock.monoMs());
    clock.after(downMs + RESTORE_MS, () => {
      disk.flip(path, offset, mask);
      damage.ledgerRestored();
    });
  }

  /** False: the product must go on as ever, since the ledger has room of its own on a full disk. */
  disk({ process, fault, forMs }: DiskFault): boolean {
    const disk = this.diskOf(process);
    if (process !== 'controller') this.#options.telemetry.diskFails(process, this.#bootOf(process), forMs);
    if (fault === 'slow') this.#slow.add(process);
    else if (fault === 'full') disk.capacityBytes = disk.usedBytes();
    else
      for (const operation of ['append', 'sync', 'replace'] as const)
        disk.fail(operation, 'DISK_FAILED', Infinity);
    this.#options.clock.after(forMs, () => {
      if (fault === 'slow') this.#slow.delete(process);
      else if (fault === 'full') disk.capacityBytes = Infinity;
      else disk.heal();
    });
    return process !== 'controller' || fault !== 'full';
  }

  stop(): void {
    this.#countLost();
    for (const running of this.#running.values()) running.stop();
  }

  /** Ends the controller, and reads the ledger as it stands then on its disk. */
  async ledgerRecords(): Promise<readonly LedgerRecord[]> {
    this.#countLost();
    const running = this.#running.get('controller');
    running?.life.end();
    running?.bus.kill();
    await this.#options.clock.advance(10_000);
    const disk = this.diskOf('controller');
    disk.capacityBytes = Infinity;
    disk.heal();
    this.#slow.clear();
    const opening = openLedger(disk, ledgerPath(DIRS.controller));
    await this.#options.clock.advance(1_000);
    return (await opening).records;
  }

  #countLost(): void {
    this.lost += this.#controller?.counts.lost ?? 0;
    this.duplicated += this.#controller?.counts.duplicates ?? 0;
    this.#controller = undefined;
  }

  #startController(): void {
    const { site, clocks, world, broker, onPublish, onReceive, telemetry } = this.#options;
    const life = new Life(world, () => clocks.skewMs('controller'));
    const client = broker.client('controller');
    let stop = (): void => undefined;
    this.#running.set('controller', { life, bus: client, stop: () => stop() });
    // As under a supervisor: what ends by itself is started again.
    const again = (): void => {
      if (!life.alive) return;
      life.end();
      client.kill();
      this.#options.clock.after(RESTART_MS, () => void this.start('controller'));
    };
    const starting = startController({
      site,
      dataDir: DIRS.controller,
      store: telemetry.store(() => life.alive),
      deps: {
        clock: life.clock,
        http: life.http,
        disk: this.diskOf('controller'),
        bus: overheard(client, onPublish, (topic, payload) => onReceive('controller', topic, payload)),
        log: silentLog,
        report: life.report,
      },
      onStepDown: again,
    });
    starting.then((controller) => {
      if (!life.alive) return;
      this.#controller = controller;
      stop = () => void controller.stop();
    }, again);
  }

  #bootOf(agent: string): number {
    return this.#boots.get(agent) ?? FIRST_BOOT;
  }

  #startAgent(agent: string): void {
    const { site, clocks, world, broker, onPublish, onReceive } = this.#options;
    const life = new Life(world, () => clocks.skewMs(agent));
    const boot = this.#bootOf(agent) + 1;
    this.#boots.set(agent, boot);
    this.#options.telemetry.started(agent, boot);
    const client = broker.client(agent, { will: willOf(site.id, agent, boot) });
    const random = this.#options.random(10 + boot + STREAMS * site.agents.indexOf(agent));
    const effects = { clock: life.clock, random, net: life.net, http: life.http, remote: life.remote };
    const running = startAgent({
      site,
      agent,
      boot,
      dataDir: DIRS.agent,
      deps: {
        ...effects,
        disk: this.diskOf(agent),
        bus: overheard(client, onPublish, (topic, payload) => onReceive(agent, topic, payload)),
        log: silentLog,
        report: life.report,
      },
      io: { ...effects, lines: makeLines({ net: life.net, clock: life.clock, random }), log: silentLog },
      secrets: { env: SIMULATED_ENV },
    });
    this.#running.set(agent, { life, bus: client, stop: () => void running.stop() });
  }
}

/** How long a person takes to find a damaged ledger's copy and put it back, ms. */
export const RESTORE_MS = 60_000;
/** Which files a bit flips in. */
const FLIPPED = { kept: /\.json(?:\.copy)?$/, spool: /\.spool-/, ledger: /ledger\.log$/ } as const;

/** How long a supervisor waits before it starts a process again, ms. */
const RESTART_MS = 2_000;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
}

/** A bus whose messages are heard as its process gives and gets them. */
function overheard(
  bus: Bus,
  onPublish: (topic: string, payload: Uint8Array) => void,
  onReceive: (topic: string, payload: Uint8Array) => void,
): Bus {
  return {
    get connected() {
      return bus.connected;
    },
    publish: (topic, payload, options) => {
      onPublish(topic, payload);
      return bus.publish(topic, payload, options);
    },
    subscribe: (filter, handler) =>
      bus.subscribe(filter, (message) => {
        onReceive(message.topic, message.payload);
        handler(message);
      }),
    onState: (handler) => bus.onState(handler),
    close: () => bus.close(),
  };
}

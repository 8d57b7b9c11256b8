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
}

const DIRS: Record<ProcessName, string> = { controller: '/controller', agent: '/agent' };
/** Bytes left on a disk that fills up. */
const LAST_BYTES = 600;
/** A slow disk takes this long to sync, ms. */
const SLOW_SYNC_MS = 3_000;

/** The processes of the product: started, killed and started again, each with its disk and its clock. */
export class Processes {
  readonly disks: Readonly<Record<ProcessName, MemoryDisk>>;
  lost = 0;
  duplicated = 0;
  readonly #options: ProcessesOptions;
  readonly #running: Partial<Record<ProcessName, Running>> = {};
  readonly #slow = new Set<ProcessName>();
  #controller: Controller | undefined;
  #boot = 1_000;

  constructor(options: ProcessesOptions) {
    this.#options = options;
    const sync = options.random(4);
    const disk = (process: ProcessName): MemoryDisk =>
      new MemoryDisk({
        clock: options.clock,
        syncMs: () => 0.5 + 5 * sync.next() + (this.#slow.has(process) ? SLOW_SYNC_MS : 0),
      });
    this.disks = { controller: disk('controller'), agent: disk('agent') };
  }

  /** The running controller, once it has started. */
  get controller(): Controller | undefined {
    return this.alive('controller') ? this.#controller : undefined;
  }

  alive(process: ProcessName): boolean {
    return this.#running[process]?.life.alive === true;
  }

  async start(process: ProcessName): Promise<void> {
    if (process === 'controller') this.#startController();
    else this.#startAgent();
    await this.#options.clock.advance(0);
  }

  /** Dies at once, or in the middle of what it will be doing; its disk loses what a crash of that kind loses. */
  async kill(kill: Kill, ended: () => void): Promise<void> {
    const { clock, random } = this.#options;
    const { process, after } = kill;
    const running = this.#running[process];
    if (running?.life.alive !== true) return;
    const die = (): void => {
      if (!running.life.alive) return;
      if (process === 'controller') this.#countLost();
      else this.#options.telemetry.killed(this.#boot);
      running.life.end();
      running.bus.kill();
      const chance = random(6 + clock.monoMs());
      this.disks[process].crash(kill.disk, chance);
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
    const disk = this.disks[process];
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

  disk({ process, fault, forMs }: DiskFault): void {
    const disk = this.disks[process];
    if (process === 'agent') this.#options.telemetry.diskFails(this.#boot, forMs);
    if (fault === 'slow') this.#slow.add(process);
    else if (fault === 'full') disk.capacityBytes = disk.usedBytes() + LAST_BYTES;
    else
      for (const operation of ['append', 'sync', 'replace'] as const)
        disk.fail(operation, 'DISK_FAILED', Infinity);
    this.#options.clock.after(forMs, () => {
      if (fault === 'slow') this.#slow.delete(process);
      else if (fault === 'full') disk.capacityBytes = Infinity;
      else disk.heal();
    });
  }

  stop(): void {
    this.#countLost();
    for (const running of Object.values(this.#running)) running.stop();
  }

  /** Ends the controller, and reads the ledger as it stands then on its disk. */
  async ledgerRecords(): Promise<readonly LedgerRecord[]> {
    this.#countLost();
    this.#running.controller?.life.end();
    this.#running.controller?.bus.kill();
    await this.#options.clock.advance(10_000);
    this.disks.controller.capacityBytes = Infinity;
    this.disks.controller.heal();
    this.#slow.clear();
    const opening = openLedger(this.disks.controller, ledgerPath(DIRS.controller));
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
    this.#running.controller = { life, bus: client, stop: () => stop() };
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
        disk: this.disks.controller,
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

  #startAgent(): void {
    const { site, clocks, world, broker, onPublish, onReceive } = this.#options;
    const life = new Life(world, () => clocks.skewMs('agent'));
    const boot = ++this.#boot;
    this.#options.telemetry.started(boot);
    const agent = site.agents[0] ?? 'a1';
    const client = broker.client('agent', { will: willOf(site.id, agent, boot) });
    const random = this.#options.random(10 + boot);
    const effects = { clock: life.clock, random, net: life.net, http: life.http, remote: life.remote };
    const running = startAgent({
      site,
      agent,
      boot,
      dataDir: DIRS.agent,
      deps: {
        ...effects,
        disk: this.disks.agent,
        bus: overheard(client, onPublish, (topic, payload) => onReceive('agent', topic, payload)),
        log: silentLog,
        report: life.report,
      },
      io: { ...effects, lines: makeLines({ net: life.net, clock: life.clock, random }), log: silentLog },
      secrets: { env: SIMULATED_ENV },
    });
    this.#running.agent = { life, bus: client, stop: () => void running.stop() };
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

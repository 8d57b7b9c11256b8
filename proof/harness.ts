import { createHash } from 'node:crypto';
import { startAgent } from '../agent/main.ts';
import { willOf } from '../agent/link.ts';
import type { Site } from '../config/site.ts';
import type { LedgerRecord } from '../controller/core/events.ts';
import { ledgerPath, openLedger } from '../controller/ledger.ts';
import { startController } from '../controller/main.ts';
import type { Controller } from '../controller/main.ts';
import type { Deps } from '../host/deps.ts';
import { silentLog } from '../host/log.ts';
import { makeLines } from '../host/line.ts';
import { MemoryBroker } from '../host/memory-bus.ts';
import type { MemoryClient } from '../host/memory-bus.ts';
import { MemoryDisk } from '../host/memory-disk.ts';
import { seededRandom } from '../host/random.ts';
import type { PublicEvent } from '../protocols/events.ts';
import { decodeJson } from '../protocols/mqtt/json.ts';
import { desiredSchema, leaseSchema } from '../protocols/mqtt/desired.ts';
import { resultSchema } from '../protocols/mqtt/status.ts';
import { agentFilter, desiredTopic, leaseTopic } from '../protocols/mqtt/topics.ts';
import { makeMemoryFront } from '../simulator/fronts/memory.ts';
import type { HostFault } from '../simulator/fronts/memory.ts';
import { SIMULATED_ENV } from '../simulator/site.ts';
import { defaultMisbehaviour } from '../simulator/scenarios.ts';
import { makeWorld } from '../simulator/world.ts';
import type { World } from '../simulator/world.ts';
import { drawTimeline } from './faults.ts';
import type { Happening, Planned } from './faults.ts';
import { Judge } from './invariants.ts';
import type { Invariant, Violation } from './invariants.ts';
import { Life } from './life.ts';
import { Recorder } from './recorder.ts';
import type { TimelineLine } from './recorder.ts';
import { harnessSite } from './site.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface RunOptions {
  readonly seed: number;
  readonly hours: number;
  readonly machines: number;
  /** Absent: drawn from the seed. */
  readonly timeline?: readonly Planned[];
  /** Absent: `harnessSite(machines)`. */
  readonly site?: Site;
  /** The longest any simulated ASIC takes to wake, s; absent: its model's own time. */
  readonly wakeMaxS?: number;
  /** Ends the run at the first thing that is violated, as a search does: what follows is a consequence. */
  readonly stopAtViolation?: boolean;
  /** Every public event with its time, as it happens. */
  readonly onEvent?: (atMs: number, event: PublicEvent) => void;
  /** Every line of the run's timeline, as it happens. */
  readonly onLine?: (line: TimelineLine) => void;
}

export interface RunResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly atStake: Readonly<Record<Invariant, number>>;
  readonly commands: number;
  readonly faultClasses: readonly string[];
  readonly lost: number;
  readonly duplicated: number;
  /** SHA-256 of the ordered event log. */
  readonly hash: string;
  /** All that was planned and the last minutes before the first violation; absent when nothing was violated. */
  readonly timeline?: readonly TimelineLine[];
}

const START_WALL_MS = Date.UTC(2026, 5, 1, 6);
const STEP_MS = 1_000;
/** At the end of a run nothing goes wrong any more for this long: then everything must be where it shall be. */
const CALM_MS = 15 * 60_000;
/** Characters of the event log that are hashed at once. */
const LOG_CHARS = 32_768;
/** One seed: the real agent and controller over virtual time, with what the seed brings. Same seed, same hash. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  return run.go();
}

interface Process {
  readonly life: Life;
  readonly bus: MemoryClient;
  stop(): void;
}

class Run {
  readonly #options: RunOptions;
  readonly #site: Site;
  readonly #clock = new VirtualClock({ startWallMs: START_WALL_MS });
  readonly #world: World;
  readonly #broker: MemoryBroker;
  readonly #judge: Judge;
  readonly #hash = createHash('sha256');
  #log = '';
  readonly #random;
  readonly #base: Pick<Deps, 'clock' | 'net' | 'http' | 'remote' | 'report'>;
  readonly #disks: Record<'controller' | 'agent', MemoryDisk>;
  readonly #unreachable = new Map<number, number>();
  /** Machines that cannot be asked to converge: they misbehave now, or need a person after what they did. */
  readonly #excused = new Set<string>();
  readonly #needPerson = new Set<string>();
  #network: { lossPct: number; delayMs: number } | undefined;
  #controllerProcess: Process | undefined;
  #agentProcess: Process | undefined;
  #controller: Controller | undefined;
  #boot = 1_000;
  #commands = 0;
  #lost = 0;
  #duplicated = 0;
  readonly #classes = new Set<string>();
  readonly #recorder = new Recorder();

  constructor(options: RunOptions) {
    this.#options = options;
    this.#random = (stream: number) => seededRandom(options.seed * 1_000 + stream);
    this.#site = options.site ?? harnessSite(options.machines);
    const hurry = options.wakeMaxS === undefined ? {} : { wakeMaxS: options.wakeMaxS };
    this.#world = makeWorld({ site: this.#site, random: this.#random(1), startMs: START_WALL_MS, ...hurry });
    this.#judge = new Judge(this.#site);
    for (const { machine, behaviour } of defaultMisbehaviour(this.#site))
      this.#changeWorld({ kind: 'world', change: { kind: 'machine', machine, behaviour } }, 0);
    const latency = this.#random(2);
    this.#broker = new MemoryBroker({ clock: this.#clock, latencyMs: () => 1 + 4 * latency.next() });
    const front = makeMemoryFront({
      endpoints: this.#world.endpoints,
      clock: this.#clock,
      random: this.#random(3),
      fault: () => this.#wire(),
    });
    this.#base = {
      clock: this.#clock,
      net: front.net,
      http: front.http,
      remote: front.remote,
      report: (event) => this.#report(event),
    };
    const sync = this.#random(4);
    const disk = (): MemoryDisk =>
      new MemoryDisk({ clock: this.#clock, syncMs: () => 0.5 + 5 * sync.next() });
    this.#disks = { controller: disk(), agent: disk() };
  }

  async go(): Promise<RunResult> {
    const { seed, hours, machines } = this.#options;
    const durationMs = hours * 3_600_000;
    const timeline =
      this.#options.timeline ??
      drawTimeline(this.#site, this.#random(5), durationMs, Math.min(CALM_MS, durationMs / 2));
    await this.#watch();
    await this.#startAgent();
    await this.#startController();
    let place = 0;
    for (let atMs = 0; atMs < durationMs; atMs += STEP_MS) {
      for (let next = timeline[place]; next !== undefined && next.atMs <= atMs; next = timeline[++place])
        await this.#happen(next);
      await this.#clock.advance(STEP_MS);
      this.#look();
      if (this.#options.stopAtViolation === true && this.#judge.violations.length > 0) break;
    }
    if (this.#options.stopAtViolation !== true || this.#judge.violations.length === 0) await this.#judgeEnd();
    const { violations } = this.#judge;
    for (const one of violations) this.#options.onLine?.({ t: 'violation', ...one });
    const counts = this.#controller?.counts;
    this.#lost += counts?.lost ?? 0;
    this.#duplicated += counts?.duplicates ?? 0;
    this.#agentProcess?.stop();
    this.#controllerProcess?.stop();
    this.#hashLog();
    return {
      seed,
      violations,
      atStake: this.#judge.atStake,
      commands: this.#commands,
      faultClasses: [...this.#classes].sort(),
      lost: this.#lost,
      duplicated: this.#duplicated,
      hash: this.#hash.digest('hex'),
      ...(violations.length > 0 && {
        timeline: this.#recorder.timeline(
          { t: 'run', v: 1, seed, hours, machines },
          timeline,
          violations.slice(0, 1),
        ),
      }),
    };
  }

  #record(line: Extract<TimelineLine, { readonly atMs: number }>): void {
    this.#recorder.add(line);
    this.#options.onLine?.(line);
  }

  /** What every wire suffers at this moment. */
  #wire(): HostFault | undefined {
    return this.#network === undefined
      ? undefined
      : { loss: this.#network.lossPct / 100, delayMs: this.#network.delayMs };
  }

  #report(event: PublicEvent): void {
    const atMs = this.#clock.monoMs();
    this.#log += `${atMs.toFixed(3)} ${JSON.stringify(event)}\n`;
    if (this.#log.length > LOG_CHARS) this.#hashLog();
    if (event.event === 'acknowledged') this.#commands++;
    this.#record({ t: 'event', atMs, event });
    this.#options.onEvent?.(atMs, event);
  }

  /** Into the hash in pieces: a call per event costs more than the hashing. */
  #hashLog(): void {
    this.#hash.update(this.#log);
    this.#log = '';
  }

  /** An observer of its own on the bus: what it sees is what passed the wire. */
  async #watch(): Promise<void> {
    const bus = this.#broker.client('judge');
    await this.#clock.advance(100);
    const subscriptions = [
      bus.subscribe(desiredTopic(this.#site.id, '+'), ({ payload }) =>
        this.#judge.desired(decodeJson(desiredSchema, payload)),
      ),
      bus.subscribe(leaseTopic(this.#site.id), ({ payload }) =>
        this.#judge.lease(decodeJson(leaseSchema, payload), this.#clock.monoMs()),
      ),
      bus.subscribe(agentFilter(this.#site.id, 'result'), ({ payload }) =>
        this.#judge.result(decodeJson(resultSchema, payload), this.#clock.monoMs()),
      ),
    ];
    await this.#clock.advance(100);
    await Promise.all(subscriptions);
  }

  async #startController(): Promise<void> {
    const life = new Life(this.#base);
    const bus = this.#broker.client('controller');
    let stop = (): void => undefined;
    this.#controllerProcess = { life, bus, stop: () => stop() };
    const starting = startController({
      site: this.#site,
      dataDir: '/controller',
      deps: {
        clock: life.clock,
        http: life.http,
        disk: this.#disks.controller,
        bus,
        log: silentLog,
        report: life.report,
      },
    });
    void starting.then((controller) => {
      if (!life.alive) return;
      this.#controller = controller;
      stop = () => void controller.stop();
    });
    await this.#clock.advance(0);
  }

  async #startAgent(): Promise<void> {
    const life = new Life(this.#base);
    const boot = ++this.#boot;
    const agent = this.#site.agents[0] ?? 'a1';
    const bus = this.#broker.client('agent', { will: willOf(this.#site.id, agent, boot) });
    const random = this.#random(10 + boot);
    const effects = { clock: life.clock, random, net: life.net, http: life.http, remote: life.remote };
    const running = startAgent({
      site: this.#site,
      agent,
      boot,
      dataDir: '/agent',
      deps: { ...effects, disk: this.#disks.agent, bus, log: silentLog, report: life.report },
      io: { ...effects, lines: makeLines({ net: life.net, clock: life.clock, random }), log: silentLog },
      secrets: { env: SIMULATED_ENV },
    });
    this.#agentProcess = { life, bus, stop: () => void running.stop() };
    await this.#clock.advance(0);
  }

  async #happen(planned: Planned): Promise<void> {
    if (planned.fault !== undefined) this.#classes.add(planned.fault);
    const { happening } = planned;
    const nowMs = this.#clock.monoMs();
    this.#record({ t: 'happens', atMs: nowMs, happening });
    if (happening.kind === 'world') this.#changeWorld(happening, nowMs);
    else if (happening.kind === 'broker') {
      this.#broker.restart(happening.downMs);
      this.#judge.excuse(nowMs + happening.downMs + 90_000);
    } else if (happening.kind === 'partition') {
      this.#broker.partition(happening.client, true);
      this.#clock.after(happening.forMs, () => this.#broker.partition(happening.client, false));
      this.#judge.excuse(nowMs + happening.forMs + 90_000);
    } else if (happening.kind === 'network') {
      this.#network = happening;
      this.#clock.after(happening.forMs, () => (this.#network = undefined));
      this.#judge.excuse(nowMs + happening.forMs + 90_000);
    } else await this.#kill(happening, nowMs);
  }

  #changeWorld({ change }: Extract<Happening, { kind: 'world' }>, nowMs: number): void {
    this.#world.apply(change, nowMs);
    if (change.kind === 'utility-limit')
      this.#judge.limit(
        change.limitKw === undefined ? undefined : change.limitKw * 1_000,
        nowMs + change.deadlineS * 1_000,
      );
    if (change.kind === 'utility-heartbeat' && !change.alive) this.#judge.excuse(nowMs + 600_000);
    if (change.kind === 'rack-switch')
      for (const machine of this.#site.machines)
        if (machine.rack === change.rack) this.#reach(machine.index, change.up, nowMs);
    if (change.kind === 'machine') {
      // A hand-over that failed its proof of release stays stopped until a person has looked.
      const needsPerson =
        ['holds-memory', 'wedged', 'ignores'].includes(change.behaviour) && change.machine.startsWith('g');
      if (change.behaviour !== 'none') this.#excused.add(change.machine);
      else if (!this.#needPerson.has(change.machine)) this.#excused.delete(change.machine);
      if (needsPerson) this.#needPerson.add(change.machine);
      const index = this.#site.machines.findIndex((machine) => machine.id === change.machine);
      this.#reach(index, change.behaviour !== 'dead', nowMs);
    }
  }

  #reach(machine: number, up: boolean, nowMs: number): void {
    if (up) this.#unreachable.delete(machine);
    else if (!this.#unreachable.has(machine)) this.#unreachable.set(machine, nowMs);
  }

  /** The process dies at once; its disk loses what a crash of that kind loses; it is back after a while. */
  async #kill(happening: Extract<Happening, { kind: 'kill' }>, nowMs: number): Promise<void> {
    const { process } = happening;
    const running = process === 'controller' ? this.#controllerProcess : this.#agentProcess;
    if (running === undefined || !running.life.alive) return;
    if (process === 'controller') {
      this.#lost += this.#controller?.counts.lost ?? 0;
      this.#duplicated += this.#controller?.counts.duplicates ?? 0;
      this.#controller = undefined;
    }
    running.life.end();
    running.bus.kill();
    this.#disks[process].crash(happening.disk, this.#random(6 + nowMs));
    this.#judge.excuse(nowMs + happening.downMs + 120_000);
    this.#clock.after(
      happening.downMs,
      () => void (process === 'controller' ? this.#startController() : this.#startAgent()),
    );
    await this.#clock.advance(0);
  }

  #look(): void {
    const atMs = this.#clock.monoMs();
    const truth = this.#world.truth(atMs);
    this.#record({ t: 'truth', atMs, nodeKw: truth.nodeW.map((watts) => Math.round(watts) / 1_000) });
    this.#judge.power(truth, atMs);
    if (
      this.#controller !== undefined &&
      this.#controllerProcess?.life.alive === true &&
      this.#agentProcess?.life.alive === true
    )
      this.#judge.unknown(this.#controller.state, this.#unreachable, atMs);
  }

  async #judgeEnd(): Promise<void> {
    const atMs = this.#clock.monoMs();
    // What is applied while the ledger is being read need not stand in what was read.
    const judged = this.#judge.applied;
    this.#judge.ledger(await this.#ledgerRecords(), atMs, judged);
    const excused = new Set([
      ...this.#unreachable.keys(),
      ...this.#site.machines
        .filter((machine) => this.#excused.has(machine.id))
        .map((machine) => machine.index),
    ]);
    if (this.#controller === undefined) this.#judge.absent(atMs);
    else this.#judge.converged(this.#controller.state, this.#world.truth(atMs), excused, atMs);
  }

  /** The ledger as it stands on the simulated disk, read by itself. */
  async #ledgerRecords(): Promise<LedgerRecord[]> {
    const opening = openLedger(this.#disks.controller, ledgerPath('/controller'));
    await this.#clock.advance(1_000);
    return (await opening).records;
  }
}

import type { Site } from '../config/site.ts';
import { ledgerPath } from '../controller/ledger.ts';
import { makeOperatorPort } from '../controller/operator/port.ts';
import type { Random } from '../host/deps.ts';
import { MemoryBroker } from '../host/memory-bus.ts';
import { seededRandom } from '../host/random.ts';
import { topicMatches } from '../host/topic-match.ts';
import type { PublicEvent } from '../protocols/events.ts';
import { desiredSchema, leaseSchema } from '../protocols/mqtt/desired.ts';
import type { Desired } from '../protocols/mqtt/desired.ts';
import { decodeJson } from '../protocols/mqtt/json.ts';
import { resultSchema, statusSchema } from '../protocols/mqtt/status.ts';
import { agentFilter, desiredTopic, leaseTopic } from '../protocols/mqtt/topics.ts';
import { makeMemoryFront } from '../simulator/fronts/memory.ts';
import type { HostFault } from '../simulator/fronts/memory.ts';
import { defaultMisbehaviour } from '../simulator/scenarios.ts';
import { makeWorld } from '../simulator/world.ts';
import type { Truth, World } from '../simulator/world.ts';
import { DurableCommands } from './durable-commands.ts';
import { EventLog } from './event-log.ts';
import { drawTimeline } from './faults.ts';
import type { Happening, Planned } from './faults.ts';
import { Judge } from './invariants.ts';
import type { Invariant, Violation, Wrong } from './invariants.ts';
import { PlantFaults } from './plant-faults.ts';
import { Processes, RESTORE_MS } from './processes.ts';
import { Recorder } from './recorder.ts';
import type { TimelineLine } from './recorder.ts';
import { harnessSite } from './site.ts';
import type { SiteShape } from './site.ts';
import { VirtualClock } from './virtual-clock.ts';
import { WallClocks } from './wall-clocks.ts';

export interface RunOptions {
  readonly seed: number;
  readonly hours: number;
  readonly machines: number;
  /** Absent: drawn from the seed. */
  readonly timeline?: readonly Planned[];
  /** Absent: `harnessSite(machines, shape)`. */
  readonly site?: Site;
  readonly shape?: SiteShape;
  /** The longest any simulated ASIC takes to wake, s; absent: its model's own time. */
  readonly wakeMaxS?: number;
  /** Ends the run at the first thing that is violated, as a search does: what follows is a consequence. */
  readonly stopAtViolation?: boolean;
  /** The run ends in the middle of things: whether everything came to rest is not asked. */
  readonly unsettled?: boolean;
  /** Looks at the truth each second, and says what happens now because of it; 'end': enough is seen. */
  readonly react?: (truth: Truth, atMs: number) => readonly Happening[] | 'end';
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
  readonly wrong: Wrong;
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
/** Within this time after a cut or a crash the product knows again what is asked of it. */
const BACK_MS = 90_000;
/** A meter that begins to lie is found out by then. */
const METER_MS = 60_000;

/** One seed: the real agent and controller over virtual time, with what the seed brings. Same seed, same hash. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  return run.go();
}

type NetworkTrouble = Extract<Happening, { kind: 'network' }>;

class Run {
  readonly #options: RunOptions;
  readonly #site: Site;
  readonly #clock = new VirtualClock({ startWallMs: START_WALL_MS });
  readonly #clocks = new WallClocks(START_WALL_MS, () => this.#clock.monoMs());
  readonly #world: World;
  readonly #broker: MemoryBroker;
  readonly #processes: Processes;
  readonly #durable: DurableCommands;
  readonly #judge: Judge;
  readonly #log = new EventLog();
  readonly #random;
  readonly #wires: Random;
  readonly #unreachable = new Map<number, number>();
  /** Machines that cannot be asked to converge: they misbehave now, or need a person after what they did. */
  readonly #excused = new Set<string>();
  readonly #needPerson = new Set<string>();
  #network: NetworkTrouble | undefined;
  #commands = 0;
  readonly #classes = new Set<string>();
  readonly #recorder = new Recorder();
  readonly #plantFaults: PlantFaults;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#random = (stream: number) => seededRandom(options.seed * 1_000 + stream);
    this.#site = options.site ?? harnessSite(options.machines, options.shape);
    const hurry = options.wakeMaxS === undefined ? {} : { wakeMaxS: options.wakeMaxS };
    this.#world = makeWorld({ site: this.#site, random: this.#random(1), startMs: START_WALL_MS, ...hurry });
    this.#judge = new Judge(this.#site, this.#clocks, {
      unreachable: this.#unreachable,
      powered: (machine) => this.#world.supplied(machine),
      misbehaves: (machine) => this.#excused.has(this.#site.machines[machine]?.id ?? ''),
      settings: (machine) => this.#world.settings(machine),
      clock: this.#clock,
    });
    for (const { machine, behaviour } of defaultMisbehaviour(this.#site))
      this.#changeWorld({ kind: 'world', change: { kind: 'machine', machine, behaviour } }, 0);
    const latency = this.#random(2);
    this.#broker = new MemoryBroker({
      clock: this.#clock,
      latencyMs: () => 1 + 4 * latency.next(),
      random: this.#random(8),
    });
    this.#wires = this.#random(7);
    const front = makeMemoryFront({
      endpoints: this.#world.endpoints,
      clock: this.#clock,
      random: this.#random(3),
      fault: () => this.#wire(),
    });
    this.#processes = new Processes({
      site: this.#site,
      clock: this.#clock,
      clocks: this.#clocks,
      world: {
        clock: this.#clock,
        net: front.net,
        http: front.http,
        remote: front.remote,
        report: (event) => this.#report(event),
      },
      broker: this.#broker,
      random: this.#random,
      onPublish: (topic, payload) => this.#overhear(topic, payload),
      onReceive: (process, topic, payload) => {
        if (process === 'controller')
          for (const { code, text } of this.#judge.telemetry.arrives(topic, payload))
            this.#judge.damage.heard(code, text);
        else if (topicMatches(desiredTopic(this.#site.id, '+'), topic))
          this.#judge.received(decodeJson<Desired>(desiredSchema, payload));
      },
      telemetry: this.#judge.telemetry,
      damage: this.#judge.damage,
    });
    this.#plantFaults = new PlantFaults({
      site: this.#site,
      world: this.#world,
      trips: this.#judge.trips,
      clock: this.#clock,
      controller: () => this.#processes.controller,
      operate: (request) => this.#operate({ kind: 'operator', actor: 'admin@1', request }),
      reach: (machine, up, nowMs) => this.#reach(machine, up, nowMs),
    });
    this.#durable = new DurableCommands(this.#processes.disks.controller, ledgerPath('/controller'));
  }

  async go(): Promise<RunResult> {
    const { seed, hours, machines, shape, unsettled } = this.#options;
    const durationMs = hours * 3_600_000;
    const timeline =
      this.#options.timeline ??
      drawTimeline(this.#site, this.#random(5), durationMs, Math.min(CALM_MS, durationMs / 2));
    await this.#clock.advance(200);
    await this.#processes.start('agent');
    await this.#processes.start('controller');
    let place = 0;
    for (let atMs = 0; atMs < durationMs; atMs += STEP_MS) {
      for (let next = timeline[place]; next !== undefined && next.atMs <= atMs; next = timeline[++place])
        await this.#happen(next);
      await this.#clock.advance(STEP_MS);
      const truth = this.#look();
      const reaction = this.#options.react?.(truth, this.#clock.monoMs()) ?? [];
      if (reaction === 'end') break;
      for (const happening of reaction) await this.#happen({ atMs, fault: undefined, happening });
      if (this.#options.stopAtViolation === true && this.#judge.violations.length > 0) break;
    }
    if (this.#options.stopAtViolation !== true || this.#judge.violations.length === 0) await this.#judgeEnd();
    const { violations, wrong } = this.#judge;
    for (const one of violations) this.#options.onLine?.({ t: 'violation', ...one });
    this.#processes.stop();
    return {
      seed,
      violations,
      atStake: this.#judge.atStake,
      commands: this.#commands,
      wrong,
      faultClasses: [...this.#classes].sort(),
      lost: this.#processes.lost,
      duplicated: this.#processes.duplicated,
      hash: this.#log.digest(),
      ...(violations.length > 0 && {
        timeline: this.#recorder.timeline(
          { t: 'run', v: 1, seed, hours, machines, ...(shape && { shape }), ...(unsettled && { unsettled }) },
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

  /** What the way to every device suffers at this moment. */
  #wire(): HostFault | undefined {
    if (this.#network === undefined) return undefined;
    const { lossPct, delayMs, resetPct = 0, halfPct = 0 } = this.#network;
    return {
      loss: lossPct / 100,
      delayMs,
      reset: resetPct > 0 && this.#wires.next() < resetPct / 100,
      half: halfPct / 100,
    };
  }

  #report(event: PublicEvent): void {
    const atMs = this.#clock.monoMs();
    this.#log.add(atMs, event);
    if (event.event === 'acknowledged') this.#commands++;
    this.#record({ t: 'event', atMs, event });
    this.#options.onEvent?.(atMs, event);
  }

  /** What the processes give to the bus, before anything can happen to it on the way. */
  #overhear(topic: string, payload: Uint8Array): void {
    const { id } = this.#site;
    const atMs = this.#clock.monoMs();
    if (topic === leaseTopic(id)) this.#judge.lease(decodeJson(leaseSchema, payload), atMs);
    else if (topicMatches(desiredTopic(id, '+'), topic)) {
      const desired = decodeJson<Desired>(desiredSchema, payload);
      const { rack, epoch, generation } = desired;
      this.#judge.desired(desired, this.#durable.has(rack, epoch, generation), atMs);
    } else if (topicMatches(agentFilter(id, 'result'), topic))
      this.#judge.result(decodeJson(resultSchema, payload), atMs);
    else if (topicMatches(agentFilter(id, 'status'), topic))
      this.#judge.telemetry.status(decodeJson(statusSchema, payload));
  }

  async #happen(planned: Planned): Promise<void> {
    if (planned.fault !== undefined) this.#classes.add(planned.fault);
    const { happening } = planned;
    const nowMs = this.#clock.monoMs();
    this.#record({ t: 'happens', atMs: nowMs, happening });
    this.#disturb(happening, nowMs);
    switch (happening.kind) {
      case 'world':
        return this.#changeWorld(happening, nowMs);
      case 'broker':
        this.#broker.restart(happening.downMs);
        return this.#judge.excuse(nowMs + happening.downMs + BACK_MS);
      case 'partition':
        this.#broker.partition(happening.client, true, happening.way);
        this.#clock.after(happening.forMs, () => this.#broker.partition(happening.client, false));
        return this.#judge.excuse(nowMs + happening.forMs + BACK_MS);
      case 'trouble':
        this.#broker.trouble(happening.client, happening.trouble);
        this.#clock.after(happening.forMs, () => this.#broker.trouble(happening.client, undefined));
        return this.#judge.excuse(nowMs + happening.forMs + BACK_MS);
      case 'network':
        this.#network = happening;
        this.#clock.after(happening.forMs, () => (this.#network = undefined));
        this.#judge.agentAway(nowMs + happening.forMs + BACK_MS);
        return this.#judge.excuse(nowMs + happening.forMs + BACK_MS);
      case 'clock':
        if (happening.stepMs !== undefined) this.#clocks.step(happening.process, happening.stepMs);
        if (happening.driftMsPerS !== undefined) this.#clocks.drift(happening.process, happening.driftMsPerS);
        return;
      case 'disk':
        this.#processes.disk(happening);
        if (happening.process === 'agent') this.#judge.trips.excuse(nowMs + happening.forMs + BACK_MS);
        return this.#judge.excuse(nowMs + happening.forMs + BACK_MS);
      case 'operator':
        return this.#operate(happening);
      case 'kill':
        return this.#processes.kill(happening, () => {
          const restoredMs = happening.flip === 'ledger' ? RESTORE_MS : 0;
          const backMs = this.#clock.monoMs() + happening.downMs + restoredMs + BACK_MS;
          this.#judge.excuse(backMs + 30_000);
          if (happening.process === 'agent') this.#judge.agentAway(backMs);
        });
    }
  }

  /** What else than a utility limit moves load, and how long it may go on doing so. */
  #disturb(happening: Happening, nowMs: number): void {
    const { load } = this.#judge;
    if (happening.kind !== 'world') load.disturbed(nowMs + ('forMs' in happening ? happening.forMs : 0));
    else if (happening.change.kind === 'ai-job') {
      load.disturbed(nowMs);
      this.#clock.after(happening.change.durationS * 1_000, () => load.disturbed(this.#clock.monoMs()));
    } else if (happening.change.kind !== 'utility-limit') load.disturbed(nowMs);
  }

  /** A person acts as the console does: a preview, and its execution; nothing while no controller answers. */
  #operate({ actor, request }: Extract<Happening, { kind: 'operator' }>): void {
    const { controller } = this.#processes;
    if (controller === undefined) return;
    const port = makeOperatorPort(controller, { clock: this.#clock, random: this.#wires });
    try {
      const { previewId, hash, machines } = port.preview(request, actor);
      const indexes = machines.map((id) => this.#site.machines.findIndex((one) => one.id === id));
      if (request.action === 'unlock') this.#judge.unlocked(indexes);
      if (request.action === 'permit') this.#judge.trips.permitted(request.scope);
      const done = port.execute({ previewId, hash, key: previewId }, actor);
      done.then(
        () => {
          if (request.action === 'lockout') this.#judge.locked(indexes, this.#clock.monoMs());
        },
        // Refused, or not durable: then it was not acknowledged to anybody.
        () => undefined,
      );
    } finally {
      port.close();
    }
  }

  #changeWorld({ change }: Extract<Happening, { kind: 'world' }>, nowMs: number): void {
    this.#world.apply(change, nowMs);
    if (change.kind === 'utility-limit')
      this.#judge.load.limit(
        change.limitKw === undefined ? undefined : change.limitKw * 1_000,
        nowMs,
        nowMs + change.deadlineS * 1_000,
      );
    if (change.kind === 'utility-heartbeat' && !change.alive) this.#judge.excuse(nowMs + 600_000);
    if (change.kind === 'meter') this.#judge.load.excuseGuard(nowMs + METER_MS);
    if (change.kind === 'plant') this.#plantFaults.happened(change, nowMs);
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

  #look(): Truth {
    const atMs = this.#clock.monoMs();
    const truth = this.#world.truth(atMs);
    this.#record({ t: 'truth', atMs, nodeKw: truth.nodeW.map((watts) => Math.round(watts) / 1_000) });
    this.#judge.power(truth, atMs);
    const { controller } = this.#processes;
    if (controller !== undefined) this.#judge.damage.inCharge(atMs);
    if (controller !== undefined && this.#processes.alive('agent'))
      this.#judge.unknown(controller.state, atMs);
    return truth;
  }

  async #judgeEnd(): Promise<void> {
    const atMs = this.#clock.monoMs();
    const excused = new Set([
      ...this.#unreachable.keys(),
      ...this.#site.machines
        .filter((machine) => this.#excused.has(machine.id))
        .map((machine) => machine.index),
    ]);
    const { controller } = this.#processes;
    if (this.#options.unsettled !== true) {
      if (controller === undefined) this.#judge.absent(atMs);
      else this.#judge.converged(controller.state, this.#world.truth(atMs), excused, atMs);
    }
    this.#judge.telemetry.end(atMs);
    if (this.#judge.telemetry.calm(atMs)) this.#judge.damage.end(atMs);
    this.#judge.ledger(await this.#processes.ledgerRecords(), atMs);
  }
}

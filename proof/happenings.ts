import type { Site } from '../config/site.ts';
import { makeOperatorPort } from '../controller/operator/port.ts';
import type { Random } from '../host/deps.ts';
import type { MemoryBroker } from '../host/memory-bus.ts';
import { Fault } from '../protocols/faults.ts';
import type { HostFault } from '../simulator/fronts/memory.ts';
import { defaultMisbehaviour } from '../simulator/scenarios.ts';
import type { World } from '../simulator/world.ts';
import type { Happening } from './faults.ts';
import type { Judge } from './invariants.ts';
import { PlantFaults } from './plant-faults.ts';
import { RESTORE_MS } from './processes.ts';
import type { Processes } from './processes.ts';
import type { VirtualClock } from './virtual-clock.ts';
import type { WallClocks } from './wall-clocks.ts';

/** Within this time after a cut or a crash the product knows again what is asked of it. */
export const BACK_MS = 90_000;
/** A meter that begins to lie is found out by then. */
const METER_MS = 60_000;
/** One whose transformers are not what it believes shows nothing by itself: the others must find it out by then. */
const RATIO_MS = 15 * 60_000;

export interface HappeningsOptions {
  readonly site: Site;
  readonly clock: VirtualClock;
  readonly clocks: WallClocks;
  readonly world: World;
  readonly broker: MemoryBroker;
  readonly processes: Processes;
  readonly judge: Judge;
  readonly random: Random;
  /** Machines that cannot be reached, and since when; kept here. */
  readonly unreachable: Map<number, number>;
}

type NetworkTrouble = Extract<Happening, { kind: 'network' }>;

/** Which process a happening strikes; undefined: none, or all. */
const struckBy = (happening: Happening): string | undefined =>
  'process' in happening ? happening.process : 'client' in happening ? happening.client : undefined;

/** Carries out what happens to a run: does it to the world, the bus and the processes, and tells the judge what it excuses. */
export class Happenings {
  readonly #options: HappeningsOptions;
  /** Machines that cannot be asked to converge: they misbehave now, or need a person after what they did. */
  readonly #excused = new Set<string>();
  readonly #needPerson = new Set<string>();
  readonly #plantFaults: PlantFaults;
  #network: NetworkTrouble | undefined;

  constructor(options: HappeningsOptions) {
    this.#options = options;
    const { site, world, judge, clock, processes } = options;
    this.#plantFaults = new PlantFaults({
      site,
      world,
      trips: judge.trips,
      clock,
      controller: () => processes.controller,
      operate: (request) => this.#operate({ kind: 'operator', actor: 'admin@1', request }),
      onPower: (machines, nowMs) => judge.ramps.powered(machines, nowMs),
      reach: (machine, up, nowMs) => this.#reach(machine, up, nowMs),
    });
    for (const { machine, behaviour } of defaultMisbehaviour(site))
      this.#changeWorld({ kind: 'world', change: { kind: 'machine', machine, behaviour } }, 0);
  }

  misbehaves(machine: number): boolean {
    return this.#excused.has(this.#options.site.machines[machine]?.id ?? '');
  }

  /** Machines that cannot be asked to be where they shall be. */
  excused(): ReadonlySet<number> {
    const { site, unreachable } = this.#options;
    const indexes = site.machines.map(({ index }) => index);
    return new Set([...unreachable.keys(), ...indexes.filter((index) => this.misbehaves(index))]);
  }

  /** What the way to every device suffers at this moment. */
  wire(): HostFault | undefined {
    if (this.#network === undefined) return undefined;
    const { lossPct, delayMs, resetPct = 0, halfPct = 0 } = this.#network;
    return {
      loss: lossPct / 100,
      delayMs,
      reset: resetPct > 0 && this.#options.random.next() < resetPct / 100,
      half: halfPct / 100,
    };
  }

  /** Where the product switches outlets itself, who has power changes with it. */
  look(nowMs: number): void {
    if (this.#options.site.outlets.length > 0) this.#plantFaults.look(nowMs);
  }

  async happen(happening: Happening): Promise<void> {
    const nowMs = this.#options.clock.monoMs();
    const { site, clock, clocks, broker, processes, judge } = this.#options;
    this.#disturb(happening, nowMs);
    const struck = struckBy(happening);
    /** The agent that it strikes; undefined: the controller, or everybody. */
    const agent = site.agents.find((id) => id === struck);
    if (struck !== undefined && struck !== 'controller' && agent === undefined)
      throw new Fault('USAGE', `the site has no process '${struck}'; it has ${site.agents.join(', ')}`);
    switch (happening.kind) {
      case 'world':
        return this.#changeWorld(happening, nowMs);
      case 'broker':
        broker.restart(happening.downMs);
        return judge.excuse(nowMs + happening.downMs + BACK_MS);
      case 'partition':
        broker.partition(happening.client, true, happening.way);
        clock.after(happening.forMs, () => broker.partition(happening.client, false));
        return judge.excuse(nowMs + happening.forMs + BACK_MS, agent);
      case 'trouble':
        broker.trouble(happening.client, happening.trouble);
        clock.after(happening.forMs, () => broker.trouble(happening.client, undefined));
        return judge.excuse(nowMs + happening.forMs + BACK_MS, agent);
      case 'network':
        this.#network = happening;
        clock.after(happening.forMs, () => (this.#network = undefined));
        judge.agentAway(nowMs + happening.forMs + BACK_MS);
        return judge.excuse(nowMs + happening.forMs + BACK_MS, agent);
      case 'clock':
        if (happening.stepMs !== undefined) clocks.step(happening.process, happening.stepMs);
        if (happening.driftMsPerS !== undefined) clocks.drift(happening.process, happening.driftMsPerS);
        return;
      case 'disk':
        if (agent !== undefined) judge.trips.excuse(nowMs + happening.forMs + BACK_MS, agent);
        if (processes.disk(happening)) judge.excuse(nowMs + happening.forMs + BACK_MS, agent);
        return;
      case 'operator':
        return this.#operate(happening);
      case 'kill':
        return processes.kill(happening, () => {
          const restoredMs = happening.flip === 'ledger' ? RESTORE_MS : 0;
          const backMs = clock.monoMs() + happening.downMs + restoredMs + BACK_MS;
          judge.excuse(backMs + 30_000, agent);
          if (agent !== undefined) judge.agentAway(backMs, agent);
        });
    }
  }

  /** What else than a utility limit moves load, and how long it may go on doing so. */
  #disturb(happening: Happening, nowMs: number): void {
    const { load } = this.#options.judge;
    if (happening.kind !== 'world') load.disturbed(nowMs + ('forMs' in happening ? happening.forMs : 0));
    else if (happening.change.kind === 'ai-job') {
      load.disturbed(nowMs);
      this.#options.clock.after(happening.change.durationS * 1_000, () =>
        load.disturbed(this.#options.clock.monoMs()),
      );
    } else if (happening.change.kind !== 'utility-limit') load.disturbed(nowMs);
  }

  /** A person acts as the console does: a preview, and its execution; nothing while no controller answers. */
  #operate({ actor, request }: Extract<Happening, { kind: 'operator' }>): void {
    const { controller } = this.#options.processes;
    if (controller === undefined) return;
    const port = makeOperatorPort(controller, { clock: this.#options.clock, random: this.#options.random });
    try {
      const { previewId, hash, machines } = port.preview(request, actor);
      const indexes = machines.map((id) => this.#options.site.machines.findIndex((one) => one.id === id));
      if (request.action === 'unlock') this.#options.judge.unlocked(indexes);
      if (request.action === 'permit') this.#options.judge.trips.permitted(request.scope);
      const done = port.execute({ previewId, hash, key: previewId }, actor);
      done.then(
        () => {
          if (request.action === 'lockout') this.#options.judge.locked(indexes, this.#options.clock.monoMs());
        },
        // Refused, or not durable: then it was not acknowledged to anybody.
        () => undefined,
      );
    } finally {
      port.close();
    }
  }

  #changeWorld({ change }: Extract<Happening, { kind: 'world' }>, nowMs: number): void {
    this.#options.world.apply(change, nowMs);
    if (change.kind === 'utility-limit') {
      this.#options.judge.ramps.frees('the utility', change.event === 'emergency');
      this.#options.judge.load.limit(
        change.limitKw === undefined ? undefined : change.limitKw * 1_000,
        nowMs,
        nowMs + change.deadlineS * 1_000,
      );
    }
    if (change.kind === 'utility-heartbeat' && !change.alive) this.#options.judge.excuse(nowMs + 600_000);
    if (change.kind === 'meter') {
      const isRatio = change.fault.startsWith('ct-') || change.fault === 'drift';
      this.#options.judge.load.excuseGuard(nowMs + (isRatio ? RATIO_MS : METER_MS));
      this.#options.judge.ramps.frees(change.meter, change.fault !== 'none');
    }
    if (change.kind === 'electric-feed') {
      this.#options.judge.load.breaker(change.node, !change.up);
      // Who hangs on two feeds may be dark or lit by either.
      this.#plantFaults.look(nowMs);
    }
    if (change.kind === 'plant') this.#options.judge.load.breaker(change.part, change.failed);
    if (change.kind === 'plant') this.#plantFaults.happened(change, nowMs);
    if (change.kind === 'rack-switch')
      for (const machine of this.#options.site.machines)
        if (machine.rack === change.rack) this.#reach(machine.index, change.up, nowMs);
    if (change.kind === 'machine') {
      // A hand-over that failed its proof of release stays stopped until a person has looked.
      const needsPerson =
        ['holds-memory', 'wedged', 'ignores'].includes(change.behaviour) && change.machine.startsWith('g');
      if (change.behaviour !== 'none') this.#excused.add(change.machine);
      else if (!this.#needPerson.has(change.machine)) this.#excused.delete(change.machine);
      if (needsPerson) this.#needPerson.add(change.machine);
      const index = this.#options.site.machines.findIndex((machine) => machine.id === change.machine);
      this.#reach(index, change.behaviour !== 'dead', nowMs);
    }
  }

  #reach(machine: number, up: boolean, nowMs: number): void {
    if (up) this.#options.unreachable.delete(machine);
    else if (!this.#options.unreachable.has(machine)) this.#options.unreachable.set(machine, nowMs);
  }
}

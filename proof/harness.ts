import type { Site } from '../config/site.ts';
import type { LedgerRecord } from '../controller/core/events.ts';
import { ledgerPath } from '../controller/ledger.ts';
import type { Controller } from '../controller/main.ts';
import type { Clock } from '../host/deps.ts';
import { MemoryBroker } from '../host/memory-bus.ts';
import { seededRandom } from '../host/random.ts';
import type { PublicEvent } from '../protocols/events.ts';
import type { Desired, Lease } from '../protocols/mqtt/desired.ts';
import type { Result, Status } from '../protocols/mqtt/status.ts';
import { makeMemoryFront } from '../simulator/fronts/memory.ts';
import { makeWorld } from '../simulator/world.ts';
import type { Truth, World } from '../simulator/world.ts';
import { DurableCommands } from './durable-commands.ts';
import { EventLog } from './event-log.ts';
import { drawTimeline } from './faults.ts';
import type { Happening, Planned } from './faults.ts';
import { BACK_MS, Happenings } from './happenings.ts';
import { Judge } from './invariants.ts';
import type { Invariant, Violation, Wrong } from './invariants.ts';
import { Processes } from './processes.ts';
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
  /** What is really there, when the product's site file is wrong about it; absent: as the site says. */
  readonly plant?: Site;
  /** Runs beside the product in the same virtual time; `controller`: the one that runs now. */
  readonly beside?: (means: {
    readonly clock: Clock;
    readonly controller: () => Controller | undefined;
  }) => Promise<void>;
  /** Ends the run at the first thing that is violated, as a search does: what follows is a consequence. */
  readonly stopAtViolation?: boolean;
  /** The run ends in the middle of things: whether everything came to rest is not asked. */
  readonly unsettled?: boolean;
  /** Looks at the truth each second, and says what happens now because of it; 'end': enough is seen. */
  readonly react?: (truth: Truth, atMs: number) => readonly Happening[] | 'end';
  /** Every public event with its time, as it happens. */
  readonly onEvent?: (atMs: number, event: PublicEvent) => void;
  /** The ledger as it stands at the end. */
  readonly onLedger?: (records: readonly LedgerRecord[]) => void;
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

/** The last level of a topic, which says what kind of message it carries. */
const kindOf = (topic: string): string => topic.slice(topic.lastIndexOf('/') + 1);

const decoder = new TextDecoder();
/** What a process gives to the bus. Who receives it checks it; here its type is what the process gave it. */
const said = (payload: Uint8Array): unknown => JSON.parse(decoder.decode(payload));

const START_WALL_MS = Date.UTC(2026, 5, 1, 6);
const STEP_MS = 1_000;
/** At the end of a run nothing goes wrong any more for this long: then everything must be where it shall be. */
const CALM_MS = 15 * 60_000;

/** One seed: the real agent and controller over virtual time, with what the seed brings. Same seed, same hash. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const run = new Run(options);
  return run.go();
}

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
  readonly #happenings: Happenings;
  #commands = 0;
  readonly #classes = new Set<string>();
  readonly #recorder = new Recorder();

  constructor(options: RunOptions) {
    this.#options = options;
    this.#random = (stream: number) => seededRandom(options.seed * 1_000 + stream);
    this.#site = options.site ?? harnessSite(options.machines, options.shape);
    const hurry = options.wakeMaxS === undefined ? {} : { wakeMaxS: options.wakeMaxS };
    this.#world = makeWorld({
      site: options.plant ?? this.#site,
      random: this.#random(1),
      startMs: START_WALL_MS,
      ...hurry,
    });
    const unreachable = new Map<number, number>();
    this.#judge = new Judge(this.#site, this.#clocks, {
      unreachable,
      powered: (machine) => this.#world.supplied(machine),
      misbehaves: (machine) => this.#happenings.misbehaves(machine),
      settings: (machine) => this.#world.settings(machine),
      clock: this.#clock,
    });
    const latency = this.#random(2);
    this.#broker = new MemoryBroker({
      clock: this.#clock,
      latencyMs: () => 1 + 4 * latency.next(),
      random: this.#random(8),
    });
    const wires = this.#random(7);
    const front = makeMemoryFront({
      endpoints: this.#world.endpoints,
      clock: this.#clock,
      random: this.#random(3),
      fault: () => this.#happenings.wire(),
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
        else if (kindOf(topic) === 'desired') this.#judge.received(said(payload) as Desired);
      },
      telemetry: this.#judge.telemetry,
      damage: this.#judge.damage,
      onRefused: () => this.#judge.excuse(this.#clock.monoMs() + BACK_MS),
    });
    this.#happenings = new Happenings({
      site: this.#site,
      clock: this.#clock,
      clocks: this.#clocks,
      world: this.#world,
      broker: this.#broker,
      processes: this.#processes,
      judge: this.#judge,
      random: wires,
      unreachable,
    });
    this.#durable = new DurableCommands(this.#processes.diskOf('controller'), ledgerPath('/controller'));
  }

  async go(): Promise<RunResult> {
    const { seed, hours, machines, shape, unsettled } = this.#options;
    const durationMs = hours * 3_600_000;
    const timeline =
      this.#options.timeline ??
      drawTimeline(
        this.#site,
        this.#random(5),
        { ofFeeds: this.#random(9), ofOutlets: this.#random(10) },
        durationMs,
        Math.min(CALM_MS, durationMs / 2),
      );
    await this.#clock.advance(200);
    for (const agent of this.#site.agents) await this.#processes.start(agent);
    await this.#processes.start('controller');
    const beside = this.#options.beside?.({
      clock: this.#clock,
      controller: () => this.#processes.controller,
    });
    let place = 0;
    for (let atMs = 0; atMs < durationMs; atMs += STEP_MS) {
      for (let next = timeline[place]; next !== undefined && next.atMs <= atMs; next = timeline[++place])
        await this.#happen(next);
      await this.#clock.advance(STEP_MS);
      const truth = this.#look();
      const reaction = this.#options.react?.(truth, this.#clock.monoMs()) ?? [];
      if (reaction === 'end') break;
      for (const happening of reaction) await this.#happen({ fault: undefined, happening });
      if (this.#options.stopAtViolation === true && this.#judge.violations.length > 0) break;
    }
    if (this.#options.stopAtViolation !== true || this.#judge.violations.length === 0) await this.#judgeEnd();
    await beside;
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

  #report(event: PublicEvent): void {
    const atMs = this.#clock.monoMs();
    this.#log.add(atMs, event);
    if (event.event === 'acknowledged') this.#commands++;
    this.#record({ t: 'event', atMs, event });
    this.#options.onEvent?.(atMs, event);
  }

  /** What the processes give to the bus, before anything can happen to it on the way. */
  #overhear(topic: string, payload: Uint8Array): void {
    const atMs = this.#clock.monoMs();
    switch (kindOf(topic)) {
      case 'lease':
        return this.#judge.lease(said(payload) as Lease, atMs);
      case 'desired': {
        const desired = said(payload) as Desired;
        const { rack, epoch, generation } = desired;
        return this.#judge.desired(desired, this.#durable.has(rack, epoch, generation), atMs);
      }
      case 'result':
        return this.#judge.result(said(payload) as Result, atMs);
      case 'status':
        return this.#judge.telemetry.status(said(payload) as Status);
    }
  }

  async #happen({ fault, happening }: Pick<Planned, 'fault' | 'happening'>): Promise<void> {
    if (fault !== undefined) this.#classes.add(fault);
    this.#record({ t: 'happens', atMs: this.#clock.monoMs(), happening });
    await this.#happenings.happen(happening);
  }

  #look(): Truth {
    const atMs = this.#clock.monoMs();
    const truth = this.#world.truth(atMs);
    this.#happenings.look(atMs);
    this.#record({ t: 'truth', atMs, nodeKw: truth.nodeW.map((watts) => Math.round(watts) / 1_000) });
    this.#judge.power(truth, atMs);
    const { controller } = this.#processes;
    if (controller !== undefined) this.#judge.damage.inCharge(atMs);
    if (controller !== undefined)
      this.#judge.unknown(controller.state, (agent) => this.#processes.alive(agent), atMs);
    return truth;
  }

  async #judgeEnd(): Promise<void> {
    const atMs = this.#clock.monoMs();
    const { controller } = this.#processes;
    if (this.#options.unsettled !== true) {
      if (controller === undefined) this.#judge.absent(atMs);
      else this.#judge.converged(controller.state, this.#world.truth(atMs), this.#happenings.excused(), atMs);
    }
    this.#judge.telemetry.end(atMs);
    if (this.#judge.telemetry.calm(atMs)) this.#judge.damage.end(atMs);
    const records = await this.#processes.ledgerRecords();
    this.#options.onLedger?.(records);
    this.#judge.ledger(records, atMs);
  }
}

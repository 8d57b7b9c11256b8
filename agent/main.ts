import { poolsOf } from '../config/pools.ts';
import type { Site } from '../config/site.ts';
import type { Deps } from '../host/deps.ts';
import type { Desired, Lease } from '../protocols/mqtt/desired.ts';
import type { Ack, LeasePhase, MachineResult } from '../protocols/mqtt/status.ts';
import type { Readings } from '../protocols/reading.ts';
import { makeActions } from './actions.ts';
import type { Actions } from './actions.ts';
import { makeAlarms } from './alarms.ts';
import type { AgentAlarms } from './alarms.ts';
import { makeControl } from './control.ts';
import type { Control } from './control.ts';
import { makeOrders, offerDesired, promote } from './core/desired.ts';
import type { RackOrders } from './core/desired.ts';
import { agentPhase, issueNonce, makeLease, takeBeat } from './core/lease.ts';
import type { LeaseState } from './core/lease.ts';
import { makeStall } from './core/stall.ts';
import type { Device, DeviceIo, Target } from './driver.ts';
import { keepEpochs } from './epochs.ts';
import type { Epochs } from './epochs.ts';
import { startFrames } from './frames.ts';
import type { Frames } from './frames.ts';
import { makeHostWatch } from './host-watch.ts';
import { makeHoles } from './holes.ts';
import { openLink } from './link.ts';
import { makeObedience } from './obedience.ts';
import type { Obedience } from './obedience.ts';
import type { Link } from './link.ts';
import { makeLockouts } from './lockouts.ts';
import type { Lockouts } from './lockouts.ts';
import { startPlantIo } from './plant-io.ts';
import type { PlantIo } from './plant-io.ts';
import { buildPlant } from './plant.ts';
import type { Plant } from './plant.ts';
import { keepRatios } from './ratios.ts';
import type { Ratios } from './ratios.ts';
import { closeDevice, startReaders } from './readers.ts';
import type { Readers } from './readers.ts';
import { makeSafety } from './safety.ts';
import { makeStandIns } from './stand-in.ts';
import type { Safety } from './safety.ts';
import { makeSettingsBook } from './settings-book.ts';
import type { SettingsBook } from './settings-book.ts';
import type { Spool } from './spool.ts';
import { openStorage } from './storage.ts';
import type { Storage } from './storage.ts';
import { openDevice, parseTarget } from './target.ts';
import type { Secrets } from './target.ts';
import { openUtility } from './utility.ts';
import type { Utility } from './utility.ts';
import { verbKinds } from './verbs.ts';

export interface AgentOptions {
  readonly site: Site;
  /** Which of the site's agents this is. */
  readonly agent: string;
  readonly deps: Deps;
  readonly io: DeviceIo;
  /** Makes a device of a target's URL; absent: by the drivers. */
  readonly openDevice?: (target: string, io: DeviceIo) => Device;
  /** Where passwords named by targets are found; absent: the environment. */
  readonly secrets?: Secrets;
  readonly dataDir: string;
  /** What the box the agent runs on says of itself; never rejects. Absent: nothing is said. */
  readonly readHost?: () => Promise<Readings>;
  /** Number of this start, unsigned 32 bits: no two starts share one. */
  readonly boot: number;
}

const TICK_MS = 1_000;

/** Runs one agent: reads its devices, publishes what they say, and brings machines to where they shall be. */
export function startAgent(options: AgentOptions): { stop(): Promise<void> } {
  const agent = new Agent(options);
  return { stop: () => agent.stop() };
}

function leaseOf({ site, agent, deps }: AgentOptions, { racks }: Plant): LeaseState {
  const { t1S, t2S } = site.config.lease;
  const ids = racks.map((rack) => rack.id);
  const nowMs = deps.clock.monoMs();
  return makeLease({ agent, t1Ms: t1S * 1_000, t2Ms: t2S * 1_000, racks: ids, durableEpoch: 0, nowMs });
}

class Agent {
  readonly #options: AgentOptions;
  readonly #plant: Plant;
  readonly #lease: LeaseState;
  readonly #orders: readonly RackOrders[];
  readonly #rackPlace: ReadonlyMap<string, number>;
  readonly #storage: Storage;
  readonly #spool: Spool;
  readonly #alarms: AgentAlarms;
  readonly #control: Control;
  readonly #safety: Safety;
  readonly #ratios: Ratios;
  readonly #frames: Frames;
  readonly #readers: Readers;
  readonly #epochs: Epochs;
  readonly #lockouts: Lockouts;
  readonly #plantIo: PlantIo;
  readonly #settings: SettingsBook;
  readonly #actions: Actions;
  readonly #obedience: Obedience;
  readonly #utility: Utility | undefined;
  readonly #lookAtHost: ReturnType<typeof makeHostWatch>;
  readonly #holes = makeHoles();
  #link: Link | undefined;
  #phase: LeasePhase | undefined;
  #waitingBeat: Lease | undefined;
  #stopped = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    const { site, agent, deps, boot } = options;
    const { clock } = deps;
    this.#lookAtHost = makeHostWatch(options.readHost);
    this.#plant = buildPlant(site, agent, (target) => this.#open(target), clock.monoMs());
    this.#rackPlace = new Map(this.#plant.racks.map((rack, place) => [rack.id, place]));
    this.#orders = this.#plant.racks.map(makeOrders);
    this.#lease = leaseOf(options, this.#plant);
    this.#alarms = makeAlarms(() => this.#link);
    this.#storage = openStorage(options, this.#alarms);
    this.#spool = this.#storage.spool;
    const keeper = this.#holes.start(this.#storage.keeper);
    this.#settings = makeSettingsBook({ plant: this.#plant, clock, keeper, alarms: this.#alarms });
    this.#obedience = makeObedience({ plant: this.#plant, clock, keeper, alarms: this.#alarms });
    const shared = {
      site,
      agent,
      boot,
      plant: this.#plant,
      standIns: makeStandIns(site, agent, this.#plant),
      clock,
      stall: makeStall(clock.monoMs()),
      lease: this.#lease,
      orders: this.#orders,
      alarms: this.#alarms,
      settings: this.#settings,
      obedience: this.#obedience,
      keeper,
      io: options.io,
      target: (url: string) => this.#target(url),
      result: (rack: string, result: MachineResult) => this.#link?.result(rack, result),
    };
    this.#control = makeControl({
      ...shared,
      hurry: (machine, everyMs, untilMs) => this.#readers.machines.hurry(machine.at, everyMs, untilMs),
      relax: (machine) => this.#readers.machines.relax(machine.at),
    });
    this.#safety = makeSafety({ ...shared, control: this.#control });
    this.#ratios = keepRatios(shared);
    this.#actions = makeActions({
      ...shared,
      permit: (trip) => this.#plantIo.permit(trip),
      agree: (said) => this.#readers.agree(said),
      pools: ({ config }, name) => poolsOf(site.config.pools, name, config, this.#secrets.env),
    });
    this.#frames = startFrames({ site: site.id, agent, clock, plant: this.#plant, spool: this.#spool });
    this.#readers = startReaders({
      ...shared,
      deps,
      control: this.#control,
      safety: this.#safety,
      frames: this.#frames,
      open: (target) => this.#open(target),
      say: (intervals) => this.#link?.energy(intervals),
      keptFrom: () => this.#spool.status().keptFrom.messages,
    });
    this.#epochs = keepEpochs(shared);
    this.#lockouts = makeLockouts({
      ...shared,
      control: this.#control,
      say: (locks) => this.#link?.lockouts(locks),
    });
    this.#plantIo = startPlantIo({ ...shared, control: this.#control, ready: () => this.#ready() });
    this.#link = this.#openLink();
    const { log } = deps;
    this.#utility = openUtility({ ...shared, log, onObserved: (observed) => this.#link?.observed(observed) });
    this.#tick();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const part of [
      this.#readers,
      this.#frames,
      this.#control,
      this.#actions,
      this.#epochs,
      this.#lockouts,
      this.#plantIo,
      this.#settings,
      this.#obedience,
      this.#ratios,
      this.#utility,
      this.#holes,
    ])
      part?.stop();
    this.#link?.stop();
    for (const { device } of [...this.#plant.machines, ...this.#plant.meters]) closeDevice(device);
    await this.#storage.stop();
  }

  #open(target: string): Device {
    const { io, openDevice: open } = this.#options;
    if (open !== undefined) return open(target, io);
    return openDevice(this.#target(target), { ...io, holes: this.#holes });
  }

  get #secrets(): Secrets {
    return this.#options.secrets ?? { env: process.env };
  }

  #target(url: string): Target {
    return parseTarget(url, this.#secrets);
  }

  #openLink(): Link {
    const { site, agent, deps, boot } = this.#options;
    return openLink({
      site: site.id,
      agent,
      boot,
      racks: this.#plant.racks.map((rack) => rack.id),
      bus: deps.bus,
      clock: deps.clock,
      random: deps.random,
      log: deps.log,
      spool: this.#spool,
      handlers: {
        onDesired: (doc) => this.#onDesired(doc),
        onLockouts: (locks) => this.#lockouts.take(locks),
        onBeat: (beat) => this.#onBeat(beat),
        onAction: (action) => this.#actions.take(action),
        onAck: (ack) => this.#onAck(ack),
        onRefused: (subject, fault) => this.#alarms.tell(fault.code, subject, fault.detail),
        onConnection: (connected) => {
          deps.log.info({ connected }, 'broker');
          if (!connected) return;
          this.#spool.rewind();
          this.#lockouts.say();
          this.#link?.verbs(verbKinds(this.#plant.machines));
        },
      },
    });
  }

  #onDesired(doc: Desired): void {
    const place = this.#rackPlace.get(doc.rack);
    const orders = place === undefined ? undefined : this.#orders[place];
    if (place === undefined || orders === undefined) return;
    const at = {
      highestEpoch: this.#lease.durableEpoch,
      nowMs: this.#options.deps.clock.monoMs(),
      patienceMs: this.#lease.t2Ms,
    };
    const offer = offerDesired(orders, doc, at);
    if (offer.kind === 'refused') this.#alarms.tell(offer.why, doc.rack, offer.detail);
    if (offer.kind !== 'kept') return;
    const strangers = Object.keys(doc.machines).filter(
      (id) => this.#plant.byId.get(id)?.config.rack !== doc.rack,
    );
    if (strangers.length > 0)
      this.#alarms.tell(
        'BUS_MESSAGE',
        doc.rack,
        `generation ${doc.generation} names machines not in the rack: ${strangers.slice(0, 5).join(', ')}`,
      );
    this.#promote(place);
  }

  /** Puts the waiting document of a rack in force if the beat names it, and acts on it. */
  #promote(place: number): boolean {
    const { taken } = this.#lease;
    const rack = this.#plant.racks[place]?.id;
    const orders = this.#orders[place];
    const generation =
      rack !== undefined && taken !== undefined && Object.hasOwn(taken.racks, rack)
        ? taken.racks[rack]
        : undefined;
    if (orders === undefined || taken === undefined || generation === undefined) return false;
    if (!promote(orders, taken.epoch, generation)) return false;
    this.#control.lookRack(place);
    return true;
  }

  /** Nothing is armed before the disk has said what must not be forgotten. */
  #ready(): boolean {
    return this.#epochs.known && this.#lockouts.known && this.#plantIo.known;
  }

  #onBeat(beat: Lease): void {
    if (!this.#ready()) return;
    const { deps, agent } = this.#options;
    const before = this.#lease.taken;
    const verdict = takeBeat(this.#lease, beat, deps.clock.monoMs());
    // One for an earlier start of this agent, or late: silence is judged by the lease, which also ends its alarm.
    if (verdict.kind === 'refused' && verdict.why !== 'LEASE_STALE')
      this.#alarms.tell(verdict.why, agent, verdict.detail);
    if (verdict.kind === 'store-epoch') {
      this.#waitingBeat = beat;
      this.#epochs.keep(verdict.epoch).then(
        () => {
          const waiting = this.#waitingBeat;
          this.#waitingBeat = undefined;
          if (waiting !== undefined && !this.#stopped) this.#onBeat(waiting);
        },
        // The next beat asks again.
        () => undefined,
      );
    }
    if (verdict.kind !== 'taken') return;
    // A controller that has just taken over knows no earlier frame.
    const isNew = before?.epoch !== beat.epoch;
    if (isNew) this.#spool.rewind();
    this.#notePhase();
    if (isNew) this.#alarms.again();
    for (const [place, rack] of this.#plant.racks.entries()) {
      const named = Object.hasOwn(beat.racks, rack.id) ? beat.racks[rack.id] : undefined;
      const same = before?.epoch === beat.epoch && before.racks[rack.id] === named;
      if (!this.#promote(place) && !same) this.#control.lookRack(place);
    }
  }

  #onAck(ack: Ack): void {
    if (ack.boot === this.#options.boot) {
      this.#spool.ack(ack.stored);
      if (ack.resend) this.#spool.rewind();
    }
    if (ack.utility !== undefined) this.#utility?.show(ack.utility);
  }

  /** Once a second: heartbeat, time limits, own protection. */
  #tick(): void {
    if (this.#stopped) return;
    const { clock } = this.#options.deps;
    clock.after(TICK_MS, () => this.#tick());
    this.#notePhase();
    const racks: Record<string, number> = {};
    for (const [place, rack] of this.#plant.racks.entries()) {
      const generation = this.#orders[place]?.current?.generation;
      if (generation !== undefined) racks[rack.id] = generation;
    }
    const phase = agentPhase(this.#lease, clock.monoMs());
    const guarding = this.#safety.guarding();
    const more = {
      ...this.#plantIo.status(),
      ...this.#readers.status(),
      ...this.#actions.status(),
      ...this.#obedience.status(),
      ...this.#lookAtHost(),
    };
    const { durableEpoch: epoch } = this.#lease;
    const nonce = this.#link?.status({ phase, epoch, racks, guarding, ...more });
    if (nonce !== undefined) issueNonce(this.#lease, nonce, clock.monoMs());
    this.#readers.tick();
    this.#safety.tick();
    this.#ratios.tick();
    this.#lockouts.tick();
    this.#plantIo.tick();
    this.#control.sweep();
    this.#frames.meters();
    this.#spool.tick();
  }

  #notePhase(): void {
    const { deps, agent } = this.#options;
    const phase = agentPhase(this.#lease, deps.clock.monoMs());
    if (phase === this.#phase) return;
    const before = this.#phase;
    this.#phase = phase;
    const { taken } = this.#lease;
    const generation = Math.max(0, ...Object.values(taken?.racks ?? {}));
    deps.report({
      event: 'lease',
      agent,
      phase,
      epoch: taken?.epoch ?? this.#lease.durableEpoch,
      generation,
    });
    deps.log.info({ phase, before }, 'lease');
    if (phase === 'stale') this.#alarms.raise('LEASE_STALE', agent, 'nothing is raised');
    else this.#alarms.clear('LEASE_STALE', agent, `the lease is ${phase}`);
    if (phase === 'lost')
      this.#alarms.raise('LEASE_LOST', agent, `fail-safe: ${this.#options.site.config.lease.failSafe}`);
    else this.#alarms.clear('LEASE_LOST', agent, `the lease is ${phase}`);
  }
}

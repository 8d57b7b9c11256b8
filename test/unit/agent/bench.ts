/** One agent over toy miners, a broker in memory and a controller's voice, all on a virtual clock. */
import type { Device, DeviceIo } from '../../../agent/driver.ts';
import { startAgent } from '../../../agent/main.ts';
import type { Model } from '../../../config/schema/model.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import type { SiteConfigInput } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import type { Site } from '../../../config/site.ts';
import { Received } from '../../../controller/received.ts';
import type { Bus, Deps, Log } from '../../../host/deps.ts';
import { MemoryBroker } from '../../../host/memory-bus.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { seededRandom } from '../../../host/random.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import type { PublicEvent } from '../../../protocols/events.ts';
import { Fault } from '../../../protocols/faults.ts';
import type { Mode, Reading } from '../../../protocols/reading.ts';
import type { Desired, Lease } from '../../../protocols/mqtt/desired.ts';
import { decodeSegment, streamOf } from '../../../protocols/mqtt/backlog.ts';
import type { Stream } from '../../../protocols/mqtt/backlog.ts';
import { FrameDecoder } from '../../../protocols/mqtt/frame.ts';
import type { Decoded, Frame } from '../../../protocols/mqtt/frame.ts';
import { heldLockoutsSchema } from '../../../protocols/mqtt/lockouts.ts';
import type { Lock } from '../../../protocols/mqtt/lockouts.ts';
import { decodeJson, encodeJson } from '../../../protocols/mqtt/json.ts';
import { agentEventSchema, resultSchema, statusSchema } from '../../../protocols/mqtt/status.ts';
import type { Action, AgentEvent, MachineResult, Status } from '../../../protocols/mqtt/status.ts';
import {
  agentFilter,
  agentTopic,
  desiredTopic,
  leaseTopic,
  lockoutsTopic,
} from '../../../protocols/mqtt/topics.ts';
import type { SimulatedPlc } from '../../../simulator/devices/plc.ts';
import { linesTo, threePhases } from './bench-wires.ts';
import { Miner } from './toy-miner.ts';

const MODEL: Model = {
  kind: 'asic',
  id: 'toy',
  vendor: 'toy',
  driver: 'toy',
  ratedW: 3_400,
  sleepW: 30,
  sleepS: 4,
  wakeS: 8,
  minOnS: 0,
  minOffS: 0,
  sources: [],
  rungs: [{ powerW: 3_200, hashrateThs: 100 }],
};

export const START_MS = Date.parse('2026-11-22T00:00:00Z');

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, child: () => quiet };

/** The controller's voice: answers every heartbeat's nonce with a beat each second. */
export class Voice {
  epoch = 1;
  generations: Record<string, number> = {};
  speaking = true;
  status: Status | undefined;
  readonly results: MachineResult[] = [];
  readonly events: AgentEvent[] = [];
  readonly frames: Frame[] = [];
  readonly lateFrames: Frame[] = [];
  readonly #received = new Received();
  readonly wills: Status[] = [];
  /** What the agent says it holds on its disk. */
  held: readonly Lock[] = [];
  #seq = 0;
  readonly #decoder = new FrameDecoder();
  readonly bus: Bus;
  readonly #clock: VirtualClock;
  acks = true;
  /** Nonces that the beats echo of other agents. */
  others: Record<string, string> = {};

  constructor(bus: Bus, clock: VirtualClock) {
    this.bus = bus;
    this.#clock = clock;
    void bus.subscribe(agentFilter('toy', 'status'), ({ payload }) => {
      this.status = decodeJson(statusSchema, payload);
    });
    void bus.subscribe(agentFilter('toy', 'result'), ({ payload }) => this.#message('result', payload));
    void bus.subscribe(agentFilter('toy', 'event'), ({ payload }) => this.#message('event', payload));
    void bus.subscribe(agentFilter('toy', 'frame'), ({ payload }) =>
      this.#frame(this.#decoder.decode(payload)),
    );
    void bus.subscribe(agentFilter('toy', 'backlog'), ({ payload }) => this.#backlog(payload));
    void bus.subscribe(agentFilter('toy', 'lockouts'), ({ payload }) => {
      this.held = decodeJson(heldLockoutsSchema, payload).locks;
    });
    const beat = (): void => {
      clock.after(1_000, beat);
      if (this.speaking) this.beat();
    };
    clock.after(500, beat);
  }

  #backlog(payload: Uint8Array): void {
    const segment = decodeSegment(payload);
    const { agent, boot, stream, from } = segment;
    const decoder = new FrameDecoder();
    if (segment.oldest) this.#received.passOver(agent, boot, stream, from);
    for (const { kind, bytes } of segment.items)
      if (kind === 'frame') this.#frame(decoder.decode(bytes), this.lateFrames);
      else if (kind !== 'energy') this.#message(kind, bytes);
    this.#received.cover(agent, boot, stream, segment);
    this.#ack(boot);
  }

  #message(kind: 'result' | 'event', payload: Uint8Array): void {
    const message =
      kind === 'result' ? decodeJson(resultSchema, payload) : decodeJson(agentEventSchema, payload);
    if (this.#takes(message.boot, 'messages', message.seq)) {
      if ('results' in message) this.results.push(...message.results);
      else this.events.push(message);
    }
    this.#ack(message.boot);
  }

  #frame(decoded: Decoded<Frame>, into: Frame[] = this.frames): void {
    if (decoded.kind !== 'frame') return;
    const { boot, group, seq } = decoded.frame;
    if (this.#takes(boot, streamOf(group), seq)) into.push(decoded.frame);
    this.#ack(boot);
  }

  #takes(boot: number, stream: Stream, seq: number): boolean {
    const fresh = this.#received.take('a1', boot, stream, seq);
    if (fresh) this.#received.store('a1', boot, stream, seq);
    return fresh;
  }

  #ack(boot: number): void {
    const stored = [this.#received.storedOf('a1', boot)];
    if (this.acks)
      this.say(agentTopic('toy', 'a1', 'ack'), {
        v: 1,
        site: 'toy',
        agent: 'a1',
        boot,
        stored,
        resend: false,
      });
  }

  say(topic: string, message: object, retain = false): void {
    this.bus.publish(topic, encodeJson(message), { qos: 1, retain }).catch(() => undefined);
  }

  beat(nonce = this.status?.nonce): void {
    const beat: Lease = {
      v: 1,
      site: 'toy',
      epoch: this.epoch,
      seq: this.#seq++,
      atMs: this.#clock.wallMs(),
      racks: this.generations,
      nonces: nonce === undefined ? {} : { ...this.others, a1: nonce },
    };
    this.say(leaseTopic('toy'), beat);
  }

  lock(rack: string, locks: readonly Lock[]): void {
    this.say(lockoutsTopic('toy', rack), { v: 1, site: 'toy', rack, locks }, true);
  }

  act(
    id: string,
    machine: string,
    verb: Action['verb'],
    more: Pick<Partial<Action>, 'trip' | 'pools'> = {},
  ): void {
    const action: Action = {
      v: 1,
      site: 'toy',
      id,
      epoch: this.epoch,
      machine,
      verb,
      ...more,
      expiresAtMs: this.#clock.wallMs() + 60_000,
    };
    this.say(agentTopic('toy', 'a1', 'action'), action);
  }

  want(rack: string, generation: number, modes: Record<string, Mode>, changes: Partial<Desired> = {}): void {
    const because = { owner: 'price' as const, rule: 'test', text: 'test' };
    const doc: Desired = {
      v: 1,
      site: 'toy',
      rack,
      epoch: this.epoch,
      generation,
      commandId: `c${generation}`,
      issuedAtMs: this.#clock.wallMs(),
      expiresAtMs: this.#clock.wallMs() + 60_000,
      urgent: false,
      machines: Object.fromEntries(Object.entries(modes).map(([id, mode]) => [id, { mode, because }])),
      ...changes,
    };
    this.say(desiredTopic('toy', rack), doc, true);
    this.generations = { ...this.generations, [rack]: generation };
    this.beat();
  }
}

export interface Bench {
  readonly site: Site;
  readonly clock: VirtualClock;
  readonly broker: MemoryBroker;
  readonly voice: Voice;
  readonly miners: ReadonlyMap<string, Miner>;
  readonly reports: PublicEvent[];
  readonly disk: MemoryDisk;
  extraW: number;
  /** How the meter sees what flows: power factor, and the first phase over the mean of three. */
  powerFactor: number;
  firstPhase: number;
  meterFault: boolean;
  readonly stop: () => Promise<void>;
}

interface BenchOptions {
  readonly mode?: Mode;
  readonly count?: number;
  readonly capKw?: number;
  readonly lease?: SiteConfigInput['lease'];
  /** What the model says a miner draws asleep; absent: as it does. */
  readonly sleepW?: number;
  /** Of an agent that ran before. */
  readonly disk?: MemoryDisk;
  readonly startMs?: number;
  /** The miners' sleep outlives a power cut. */
  readonly keepsSleep?: boolean;
  readonly authority?: 'observe' | 'automatic';
  readonly rampKwPerMin?: number;
  /** More of the rack, such as its limits in kVA and A. */
  readonly rack?: Partial<SiteConfigInput['nodes'][number]>;
  readonly control?: SiteConfigInput['control'];
  /** What is said elsewhere than in the rack, last of all: other agents, for example. */
  readonly site?: Partial<SiteConfigInput>;
  /** The plant section, and the PLC at 127.0.0.1:502 that serves it. */
  readonly plant?: SiteConfigInput['plant'];
  readonly plc?: SimulatedPlc;
}

/** A rack of toy miners behind one meter. */
function toySite(options: BenchOptions): Site {
  const { rampKwPerMin } = options;
  const ramps =
    rampKwPerMin === undefined ? {} : { rampUpKwPerMin: rampKwPerMin, rampDownKwPerMin: rampKwPerMin };
  const config = siteSchema.parse({
    schema: 1,
    site: 'toy',
    authority: options.authority ?? 'automatic',
    lease: options.lease ?? { t1S: 5, t2S: 30, failSafe: 'hold' },
    control: options.control ?? {},
    plant: options.plant ?? {},
    nodes: [
      { id: 'main', kind: 'site', capKw: 1_000, ...ramps },
      { id: 'r1', parent: 'main', kind: 'rack', capKw: options.capKw ?? 100, ...options.rack },
    ],
    meters: [{ id: 'm1', node: 'r1', target: 'toy://meter' }],
    machines: [{ rack: 'r1', model: 'toy', target: 'toy://{n}', count: options.count ?? 8, periodMs: 5_000 }],
    prices: { hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 } },
    ...options.site,
  } satisfies SiteConfigInput);
  const { sleepW = MODEL.sleepW, keepsSleep } = options;
  return resolveSite(config, new Map([['toy', { ...MODEL, sleepW, keepsSleep }]]));
}

export function makeBench(options: BenchOptions = {}): Bench {
  const clock = new VirtualClock({ startWallMs: options.startMs ?? START_MS });
  const random = seededRandom(7);
  const broker = new MemoryBroker({ clock, latencyMs: () => 2 });
  const site = toySite(options);
  const miners = new Map(
    site.machines.map((machine) => [machine.id, new Miner(clock, options.mode ?? 'mine')]),
  );
  const byTarget = new Map(site.machines.map((machine) => [machine.target, miners.get(machine.id)]));
  const reports: PublicEvent[] = [];
  const disk = options.disk ?? new MemoryDisk({ clock });
  const refuse = (): Promise<never> => Promise.reject(new Fault('NET_REFUSED'));
  const voice = new Voice(broker.client('controller'), clock);
  const bus = broker.client('agent');
  const deps: Deps = {
    clock,
    random,
    net: { open: refuse, exchange: refuse },
    http: { request: refuse },
    remote: { open: refuse },
    disk,
    bus,
    log: quiet,
    report: (event) => reports.push(event),
  };
  const lines = linesTo(options.plc, clock);
  const io: DeviceIo = { ...deps, lines };
  const bench = { extraW: 0, powerFactor: 1, firstPhase: 1, meterFault: false };
  const meter: Device = {
    driver: 'toy-meter',
    identify: refuse,
    verbs: {},
    close: () => {},
    read: () => {
      if (bench.meterFault) return refuse();
      const value = [...miners.values()].reduce((sum, miner) => sum + miner.powerW, bench.extraW);
      const reading: Reading = { ok: true, value, unit: 'W', quality: 'good', atMs: clock.wallMs() };
      return Promise.resolve({ 'power.active.total': reading, ...threePhases(bench, value, clock.wallMs()) });
    },
  };
  const openDevice = (target: string): Device => byTarget.get(target) ?? meter;
  const agent = startAgent({
    site,
    agent: 'a1',
    deps,
    io,
    openDevice,
    dataDir: '/data',
    boot: options.disk === undefined ? 1 : 2,
  });
  return Object.assign(bench, {
    site,
    clock,
    broker,
    voice,
    miners,
    reports,
    disk,
    stop: () => agent.stop(),
  });
}

export const all = (bench: Bench, mode: Mode): Record<string, Mode> =>
  Object.fromEntries([...bench.miners.keys()].map((id) => [id, mode]));
export const modes = (bench: Bench): string =>
  [...bench.miners.values()].map((miner) => miner.mode[0]).join('');
export const stages = (bench: Bench, stage: string): number =>
  bench.voice.results.filter((result) => result.stage === stage).length;

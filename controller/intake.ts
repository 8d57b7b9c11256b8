import type { Site } from '../config/site.ts';
import type { BusMessage } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import { decodeSegment, streamOf } from '../protocols/mqtt/backlog.ts';
import type { BacklogItem, Segment, Stream } from '../protocols/mqtt/backlog.ts';
import { FrameDecoder } from '../protocols/mqtt/frame.ts';
import type { Frame } from '../protocols/mqtt/frame.ts';
import { decodeJson } from '../protocols/mqtt/json.ts';
import { agentEnergySchema } from '../protocols/mqtt/energy.ts';
import { heldLockoutsSchema } from '../protocols/mqtt/lockouts.ts';
import { agentEventSchema, observedSchema, resultSchema, statusSchema } from '../protocols/mqtt/status.ts';
import { agentFilter, agentOfTopic } from '../protocols/mqtt/topics.ts';
import { verbsSchema } from '../protocols/mqtt/verbs.ts';
import type { ControllerEvent } from './core/events.ts';
import { INGESTED } from './core/ingest.ts';
import type { ControllerDeps, Counts, TelemetryStore } from './main.ts';
import { Received } from './received.ts';

/** Who takes what came in. */
export interface Taker {
  submit(event: ControllerEvent): void;
  /** Whether everything written down so far became durable. */
  durable(): Promise<boolean>;
  /** What a message leads to can be written down neither now nor soon: its agent keeps it and says it again. */
  isFull(): boolean;
  readonly counts: Counts;
}

export interface Intake {
  /** A new controller speaks: every agent says what it keeps from its beginning, key frames first. */
  forget(): void;
}

/** Opens the door for what agents say: checks it, takes each number once, acknowledges what is kept. */
export async function openIntake(options: {
  readonly site: Site;
  readonly deps: Pick<ControllerDeps, 'bus' | 'log'>;
  readonly taker: Taker;
  readonly store: TelemetryStore | undefined;
}): Promise<Intake> {
  const { site, deps, taker } = options;
  const intake = new AgentIntake(site, taker, options.store);
  const listen = (
    kind: Parameters<typeof agentFilter>[1],
    take: (payload: Uint8Array, agent: string) => void,
  ): Promise<void> =>
    deps.bus.subscribe(agentFilter(site.id, kind), ({ topic, payload }: BusMessage) => {
      try {
        take(payload, agentOfTopic(topic));
      } catch (error) {
        taker.counts.refused++;
        deps.log.warn({ topic, code: asFault(error).code, detail: asFault(error).detail }, 'message-refused');
      }
    });
  await listen('status', (payload, agent) => intake.status(payload, agent));
  await listen('frame', (payload, agent) => intake.frame(payload, agent));
  await listen('backlog', (payload, agent) => intake.backlog(payload, agent));
  await listen('result', (payload, agent) => intake.message('result', payload, agent));
  await listen('observed', (payload) =>
    taker.submit({ kind: 'observed', observed: decodeJson(observedSchema, payload) }),
  );
  await listen('lockouts', (payload, speaker) => {
    const { agent, locks } = decodeJson(heldLockoutsSchema, payload);
    checkSpeaker(agent, speaker);
    taker.submit({ kind: 'held-lockouts', agent, locks });
  });
  await listen('verbs', (payload, speaker) => {
    const { agent, kinds } = decodeJson(verbsSchema, payload);
    checkSpeaker(agent, speaker);
    taker.submit({ kind: 'verbs', agent, kinds });
  });
  await listen('event', (payload, agent) => intake.message('event', payload, agent));
  await listen('energy', (payload, agent) => intake.message('energy', payload, agent));
  return intake;
}

/** The broker lets each agent speak on its own topics alone: in another's name nothing is taken. */
function checkSpeaker(named: string, speaker: string): void {
  if (named !== speaker) throw new Fault('BUS_MESSAGE', `${speaker} speaks for ${named}`);
}

/** A frame's place in what an agent says. */
interface Place {
  readonly agent: string;
  readonly boot: number;
  readonly stream: Stream;
  readonly seq: number;
}

class AgentIntake implements Intake {
  readonly #site: Site;
  readonly #taker: Taker;
  readonly #store: TelemetryStore | undefined;
  readonly #frames = new FrameDecoder();
  /** What is decoded of a frame: what decides here, or everything when it is stored. */
  readonly #wanted: ReadonlySet<string> | undefined;
  readonly #received = new Received();
  /** What the store was given and has not answered for: said again meanwhile, it is not given a second time. */
  readonly #putting = new Set<string>();

  constructor(site: Site, taker: Taker, store: TelemetryStore | undefined) {
    this.#site = site;
    this.#taker = taker;
    this.#store = store;
    this.#wanted = store === undefined ? INGESTED : undefined;
  }

  forget(): void {
    for (const agent of this.#site.agents) this.#frames.forget(this.#site.id, agent);
  }

  status(payload: Uint8Array, speaker: string): void {
    const status = decodeJson(statusSchema, payload);
    const { agent, boot, keptFrom, online } = status;
    checkSpeaker(agent, speaker);
    if (online)
      for (const stream of ['messages', 'meters', 'machines'] as const)
        this.#received.passOver(agent, boot, stream, keptFrom[stream]);
    this.#taker.submit({ kind: 'status', status });
    if (online) this.#tell(agent, boot);
  }

  /** What is new: the present. */
  frame(payload: Uint8Array, speaker: string): void {
    const decoded = this.#frames.decode(payload, this.#wanted);
    if (decoded.kind === 'fault') throw decoded.fault;
    checkSpeaker(decoded.kind === 'frame' ? decoded.frame.agent : decoded.agent, speaker);
    if (decoded.kind === 'need-key') this.#taker.submit({ kind: 'missed', agent: decoded.agent });
    if (decoded.kind === 'duplicate') this.#taker.counts.duplicates++;
    if (decoded.kind !== 'frame') return;
    const { agent, boot, seq, group, tickMs, rows, cells } = decoded.frame;
    if (!this.#takes({ agent, boot, stream: streamOf(group), seq })) return;
    this.#taker.counts.frames++;
    this.#taker.submit({
      kind: 'frame',
      agent,
      boot,
      seq,
      group,
      tickMs,
      rows: rows.map((id, row) => ({ id, readings: cells[row] ?? {} })),
    });
    this.#keep([decoded.frame], false);
  }

  /**
   * What could not be said when it was new. Its readings are history: they never reach the state that decides.
   * Results and events do, in their order, and are known there by epoch, generation and code.
   */
  backlog(payload: Uint8Array, speaker: string): void {
    const segment = decodeSegment(payload);
    const { agent, boot, stream } = segment;
    checkSpeaker(agent, speaker);
    if (segment.site !== this.#site.id) throw new Fault('BUS_MESSAGE', `backlog of ${segment.site}`);
    if (segment.oldest) this.#received.passOver(agent, boot, stream, segment.from);
    // A piece before it was lost behind the broker, or there is no room: all of it comes again, in order.
    const isRefused = stream === 'messages' && this.#taker.isFull();
    if (isRefused || !this.#received.follows(agent, boot, stream, segment.from)) {
      this.#taker.submit({ kind: 'missed', agent });
      return;
    }
    if (stream === 'messages') for (const item of segment.items) this.#late(item, agent);
    else {
      const frames = framesOf(segment, this.#wanted);
      const fresh = frames.filter((frame) => this.#takes({ agent, boot, stream, seq: frame.seq }));
      this.#taker.counts.late += fresh.length;
      this.#keep(frames, true);
    }
    this.#received.cover(agent, boot, stream, segment);
    this.#taker.counts.lost = this.#received.missing;
    this.#tell(agent, boot);
  }

  #late({ kind, bytes }: BacklogItem, speaker: string): void {
    if (kind !== 'frame') this.#takeMessage(eventOf(kind, bytes), speaker);
  }

  /** A result, an event or intervals of energy when new: only behind those before it, so that no alarm ends before it began. */
  message(kind: MessageKind, payload: Uint8Array, speaker: string): void {
    const event = eventOf(kind, payload);
    const { agent, boot, seq } = messageOf(event);
    if (!this.#taker.isFull() && this.#received.follows(agent, boot, 'messages', seq))
      this.#takeMessage(event, speaker);
    else this.#taker.submit({ kind: 'missed', agent: speaker });
  }

  #takeMessage(event: MessageEvent, speaker: string): void {
    const { agent, boot, seq } = messageOf(event);
    checkSpeaker(agent, speaker);
    if (this.#takes({ agent, boot, stream: 'messages', seq })) this.#taker.submit(event);
    if (this.#received.isStored(agent, boot, 'messages', seq)) return;
    // What it led to stands in the ledger first: an alarm that was acknowledged is not forgotten.
    void this.#taker.durable().then((durable) => {
      if (!durable) return;
      this.#received.store(agent, boot, 'messages', seq);
      this.#tell(agent, boot);
    });
  }

  #takes({ agent, boot, stream, seq }: Place): boolean {
    const fresh = this.#received.take(agent, boot, stream, seq);
    if (!fresh) this.#taker.counts.duplicates++;
    return fresh;
  }

  /** Into the store, when there is one; then it may be acknowledged. Said again, what failed is tried again. */
  #keep(frames: readonly Frame[], late: boolean): void {
    const [first] = frames;
    if (first === undefined) return;
    const { agent, boot } = first;
    const stream = streamOf(first.group);
    const placeOf = ({ seq }: Frame): string => `${agent} ${boot} ${stream} ${seq}`;
    const open = frames.filter(
      (frame) =>
        !this.#received.isStored(agent, boot, stream, frame.seq) && !this.#putting.has(placeOf(frame)),
    );
    const keep = (): void => {
      for (const { seq } of open) this.#received.store(agent, boot, stream, seq);
      this.#tell(agent, boot);
    };
    if (this.#store === undefined) keep();
    else if (open.length > 0) {
      for (const frame of open) this.#putting.add(placeOf(frame));
      const over = (): void => {
        for (const frame of open) this.#putting.delete(placeOf(frame));
      };
      this.#store.put(open, late).then(
        () => {
          over();
          keep();
        },
        () => over(),
      );
    }
  }

  #tell(agent: string, boot: number): void {
    this.#taker.counts.lost = this.#received.missing;
    this.#taker.submit({ kind: 'stored', agent, stored: this.#received.storedOf(agent, boot) });
  }
}

type MessageKind = 'result' | 'event' | 'energy';
type MessageEvent = Extract<ControllerEvent, { kind: 'result' | 'agent-event' | 'energy' }>;

function eventOf(kind: MessageKind, payload: Uint8Array): MessageEvent {
  if (kind === 'result') return { kind, result: decodeJson(resultSchema, payload) };
  if (kind === 'energy') return { kind, energy: decodeJson(agentEnergySchema, payload) };
  return { kind: 'agent-event', event: decodeJson(agentEventSchema, payload) };
}

function messageOf(event: MessageEvent): { agent: string; boot: number; seq: number } {
  if (event.kind === 'energy') return event.energy;
  return event.kind === 'result' ? event.result : event.event;
}

/** The frames of a segment: it needs nothing from outside it. */
function framesOf(segment: Segment, wanted: ReadonlySet<string> | undefined): readonly Frame[] {
  const decoder = new FrameDecoder();
  return segment.items.map(({ kind, seq, bytes }) => {
    const decoded = kind === 'frame' ? decoder.decode(bytes, wanted) : undefined;
    if (decoded?.kind === 'fault') throw decoded.fault;
    if (decoded?.kind !== 'frame') throw new Fault('BUS_MESSAGE', `number ${seq} cannot be read`);
    const { frame } = decoded;
    const fits =
      frame.seq === seq &&
      frame.boot === segment.boot &&
      frame.agent === segment.agent &&
      frame.site === segment.site &&
      streamOf(frame.group) === segment.stream;
    if (!fits)
      throw new Fault('BUS_MESSAGE', `number ${seq} holds frame ${frame.boot}/${frame.group}/${frame.seq}`);
    return frame;
  });
}

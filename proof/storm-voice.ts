import { Received } from '../controller/received.ts';
import type { Clock, Random } from '../host/deps.ts';
import type { MemoryClient } from '../host/memory-bus.ts';
import { decodeSegment, streamOf } from '../protocols/mqtt/backlog.ts';
import type { Stream } from '../protocols/mqtt/backlog.ts';
import type { Desired, Lease, Owner } from '../protocols/mqtt/desired.ts';
import { FrameDecoder } from '../protocols/mqtt/frame.ts';
import { decodeJson, encodeJson } from '../protocols/mqtt/json.ts';
import { agentEventSchema, resultSchema, statusSchema } from '../protocols/mqtt/status.ts';
import type { Status } from '../protocols/mqtt/status.ts';
import { agentFilter, agentTopic, desiredTopic, leaseTopic } from '../protocols/mqtt/topics.ts';
import type { Mode } from '../protocols/reading.ts';

export interface VoiceOptions {
  readonly site: string;
  readonly agent: string;
  readonly epoch: number;
  /** How far its wall clock is from the truth, ms. */
  readonly skewMs: number;
  readonly racks: ReadonlyMap<string, readonly string[]>;
  readonly clock: Clock;
  readonly random: Random;
  readonly bus: MemoryClient;
}

const BEAT_MS = 1_000;
/** A rack hears something new this often, about. */
const CHANGE_MS = 4_000;
const OWNERS: readonly Owner[] = ['price', 'price', 'dr', 'manual', 'ai', 'emergency'];

/** A controller that changes its mind all the time and is honest about it. It keeps what agents say like a real one. */
export class StormVoice {
  documents = 0;
  /** Per rack, what is wanted of its machines now. */
  readonly wanted = new Map<string, Record<string, Mode>>();
  /** False: it repeats what it has said, so that everything can come to rest. */
  changing = true;
  readonly #options: VoiceOptions;
  readonly #generations: Record<string, number> = {};
  readonly #said = new Map<string, Desired>();
  readonly #received = new Received();
  readonly #decoder = new FrameDecoder();
  #status: Status | undefined;
  #seq = 0;
  #ended = false;

  constructor(options: VoiceOptions) {
    this.#options = options;
    const { bus, site, racks, clock } = options;
    void bus.subscribe(agentFilter(site, 'status'), ({ payload }) => {
      this.#status = decodeJson(statusSchema, payload);
      this.#ack(this.#status.boot);
    });
    for (const kind of ['result', 'event'] as const)
      void bus.subscribe(agentFilter(site, kind), ({ payload }) => this.#message(kind, payload));
    void bus.subscribe(agentFilter(site, 'frame'), ({ payload }) => this.#frame(this.#decoder, payload));
    void bus.subscribe(agentFilter(site, 'backlog'), ({ payload }) => this.#backlog(payload));
    for (const rack of racks.keys()) clock.after(options.random.next() * CHANGE_MS, () => this.#turn(rack));
    this.#beatOften();
  }

  end(): void {
    this.#ended = true;
    this.#options.bus.kill();
  }

  #wallMs(): number {
    return this.#options.clock.wallMs() + this.#options.skewMs;
  }

  #say(topic: string, message: object, retain = false): void {
    this.#options.bus.publish(topic, encodeJson(message), { qos: 1, retain }).catch(() => undefined);
  }

  #beatOften(): void {
    if (this.#ended) return;
    this.#options.clock.after(BEAT_MS, () => this.#beatOften());
    this.#beat();
    // Said again to whom it may not have reached.
    for (const doc of this.#said.values())
      if (doc.issuedAtMs < this.#wallMs() - 2 * CHANGE_MS && this.#options.random.next() < 0.2)
        this.#say(desiredTopic(doc.site, doc.rack), this.#renewed(doc), true);
  }

  #renewed(doc: Desired): Desired {
    const renewed = this.changing ? doc : { ...doc, expiresAtMs: this.#wallMs() + 60_000 };
    this.#said.set(doc.rack, renewed);
    return renewed;
  }

  #beat(): void {
    const { site, agent, epoch } = this.#options;
    const beat: Lease = {
      v: 1,
      site,
      epoch,
      seq: this.#seq++,
      atMs: this.#wallMs(),
      racks: { ...this.#generations },
      nonces: this.#status === undefined ? {} : { [agent]: this.#status.nonce },
    };
    this.#say(leaseTopic(site), beat);
  }

  #turn(rack: string): void {
    const { clock, random, racks } = this.#options;
    if (this.#ended) return;
    clock.after(CHANGE_MS * (0.5 + random.next()), () => this.#turn(rack));
    if (!this.changing && this.wanted.has(rack)) return;
    const before = this.wanted.get(rack);
    const modes = Object.fromEntries(
      (racks.get(rack) ?? []).map((id): [string, Mode] => [
        id,
        before === undefined || random.next() < 0.5
          ? random.next() < 0.5
            ? 'mine'
            : 'sleep'
          : (before[id] ?? 'sleep'),
      ]),
    );
    this.wanted.set(rack, modes);
    this.#want(rack, modes);
  }

  #want(rack: string, modes: Readonly<Record<string, Mode>>): void {
    const { site, epoch, random } = this.#options;
    const generation = (this.#generations[rack] ?? 0) + 1;
    this.#generations[rack] = generation;
    this.documents += 1;
    const owner = OWNERS[Math.floor(random.next() * OWNERS.length)] ?? 'price';
    const because = { owner, rule: 'storm', text: 'changes its mind' };
    const issuedAtMs = this.#wallMs();
    // Some are over before they can be carried out.
    const validMs = random.next() < 0.1 ? 50 + random.next() * 1_000 : 5_000 + random.next() * 60_000;
    const doc: Desired = {
      v: 1,
      site,
      rack,
      epoch,
      generation,
      commandId: `c${epoch}.${generation}`,
      issuedAtMs,
      expiresAtMs: issuedAtMs + validMs,
      urgent: random.next() < 0.1,
      machines: Object.fromEntries(Object.entries(modes).map(([id, mode]) => [id, { mode, because }])),
    };
    this.#said.set(rack, doc);
    this.#say(desiredTopic(site, rack), doc, true);
    if (random.next() < 0.8) this.#beat();
  }

  #message(kind: 'result' | 'event', payload: Uint8Array): void {
    const { boot, seq } =
      kind === 'result' ? decodeJson(resultSchema, payload) : decodeJson(agentEventSchema, payload);
    this.#store(boot, 'messages', seq);
  }

  #frame(decoder: FrameDecoder, payload: Uint8Array): void {
    const decoded = decoder.decode(payload);
    if (decoded.kind === 'frame')
      this.#store(decoded.frame.boot, streamOf(decoded.frame.group), decoded.frame.seq);
  }

  #backlog(payload: Uint8Array): void {
    const segment = decodeSegment(payload);
    if (segment.oldest) this.#received.passOver(segment.agent, segment.boot, segment.stream, segment.from);
    const decoder = new FrameDecoder();
    for (const { kind, bytes } of segment.items)
      if (kind === 'frame') this.#frame(decoder, bytes);
      else if (kind !== 'energy') this.#message(kind, bytes);
    this.#received.cover(segment.agent, segment.boot, segment.stream, segment);
  }

  #store(boot: number, stream: Stream, seq: number): void {
    const { agent } = this.#options;
    if (this.#received.take(agent, boot, stream, seq)) this.#received.store(agent, boot, stream, seq);
  }

  #ack(boot: number): void {
    const { site, agent } = this.#options;
    const stored = [this.#received.storedOf(agent, boot)];
    this.#say(agentTopic(site, agent, 'ack'), { v: 1, site, agent, boot, stored, resend: false });
  }
}

/** A spool over a wire and a disk of the test's own, and a controller that takes each number once. */
import { makeSpool } from '../../../agent/spool.ts';
import type { Spool, SpoolOptions } from '../../../agent/spool.ts';
import { Received } from '../../../controller/received.ts';
import type { Bus } from '../../../host/deps.ts';
import { MemoryDisk } from '../../../host/memory-disk.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { Fault } from '../../../protocols/faults.ts';
import { decodeSegment, streamOf } from '../../../protocols/mqtt/backlog.ts';
import { FrameDecoder } from '../../../protocols/mqtt/frame.ts';
import type { Decoded, Frame } from '../../../protocols/mqtt/frame.ts';
import { tableOf } from '../../../protocols/mqtt/rows.ts';

export const START_MS = 1e12;

/** Connected or not, keeping or losing what it is given. */
class Wire implements Bus {
  connected = true;
  fails = false;
  readonly sent: { topic: string; payload: Uint8Array }[] = [];
  publish(topic: string, payload: Uint8Array): Promise<void> {
    if (!this.connected || this.fails) return Promise.reject(new Fault('BUS_OFFLINE'));
    this.sent.push({ topic: topic.split('/').at(-1) ?? '', payload });
    return Promise.resolve();
  }
  subscribe = (): Promise<void> => Promise.resolve();
  onState = (): void => {};
  close = (): Promise<void> => Promise.resolve();
}

/** What arrived: `live 3` of group r1, `late m5` of the meters, `result 2`, and what was wrong with it. */
export class SpoolBench {
  readonly clock = new VirtualClock({ startWallMs: START_MS });
  readonly disk: MemoryDisk = new MemoryDisk({ clock: this.clock });
  readonly wire = new Wire();
  readonly said: string[] = [];
  /** Of frames that came: what they say, by `boot/group/seq`. */
  readonly frames = new Map<string, Frame>();
  received = new Received();
  twice = 0;
  #live = new FrameDecoder();
  spool: Spool;
  #boot = 0;
  #boots = new Set<number>();
  readonly #changes: Partial<SpoolOptions>;

  /** `left`: files that an earlier start, number 1, has left. */
  constructor(changes: Partial<SpoolOptions> = {}, left: ReadonlyMap<string, Uint8Array> = new Map()) {
    this.#changes = changes;
    for (const [path, bytes] of left) this.disk.put(path, bytes);
    if (left.size > 0) this.#boot = 1;
    this.spool = this.start();
  }

  /** A new start of the agent; what ran before is forgotten, not stopped. */
  start(): Spool {
    this.#boot += 1;
    this.#boots.add(this.#boot);
    this.spool = makeSpool({
      bus: this.wire,
      clock: this.clock,
      disk: this.disk,
      site: 's',
      agent: 'a',
      boot: this.#boot,
      prefix: '/data/agent-a.spool-',
      limits: { diskBytes: 1e9, memoryBytes: 1e9, ageMs: 1e12 },
      backlogBytesPerS: 1e6,
      alarms: {
        onDisk: (fault) => {
          if (fault !== undefined) this.said.push(fault.code);
        },
        onLoss: (text, over) => this.said.push(`${over ? 'over' : 'loss'}: ${text}`),
        onDamage: (text) => this.said.push(text),
      },
      ...this.#changes,
    });
    return this.spool;
  }

  frame(group = 'r1', powerW = 3_000): void {
    const tickMs = Math.round(this.clock.wallMs());
    const power = { ok: true, value: powerW, unit: 'W', quality: 'good', atMs: tickMs } as const;
    this.spool.frame({
      site: 's',
      agent: 'a',
      group,
      tickMs,
      rows: ['m1'],
      table: tableOf([{ power }], tickMs),
    });
  }

  message(kind: 'result' | 'event' = 'result'): void {
    this.spool.message(kind, (seq) => new TextEncoder().encode(JSON.stringify({ boot: this.#boot, seq })));
  }

  /** A second of the agent's time. */
  async second(count = 1): Promise<void> {
    for (let second = 0; second < count; second += 1) {
      this.spool.tick();
      await this.clock.advance(1_000);
    }
  }

  /** What has arrived since the last question. */
  take(): string[] {
    const { spool } = this;
    for (const stream of ['messages', 'meters', 'machines'] as const)
      this.received.passOver('a', this.#boot, stream, spool.status().keptFrom[stream]);
    return this.wire.sent.splice(0).flatMap(({ topic, payload }) => {
      if (topic === 'frame') return [this.#frame('live', this.#live.decode(payload))];
      if (topic !== 'backlog') return [this.#message(topic, payload)];
      const segment = decodeSegment(payload);
      const { boot, stream, from, items, oldest } = segment;
      const decoder = new FrameDecoder();
      this.#boots.add(boot);
      if (oldest) this.received.passOver('a', boot, stream, from);
      const came = items.map(({ kind, bytes }) =>
        kind === 'frame' ? this.#frame('late', decoder.decode(bytes)) : this.#message(`late ${kind}`, bytes),
      );
      this.received.cover('a', boot, stream, segment);
      return came;
    });
  }

  ack(): void {
    this.spool.ack([...this.#boots].map((boot) => this.received.storedOf('a', boot)));
  }

  /** The controller is a new one: it knows nothing. */
  newController(): void {
    this.received = new Received();
    this.#live = new FrameDecoder();
    this.spool.rewind();
  }

  #message(name: string, payload: Uint8Array): string {
    const { boot, seq } = JSON.parse(new TextDecoder().decode(payload)) as { boot: number; seq: number };
    return this.#once(boot, 'messages', seq, `${name} ${seq}`);
  }

  #frame(name: string, decoded: Decoded<Frame>): string {
    if (decoded.kind !== 'frame') return decoded.kind;
    const { boot, group, seq } = decoded.frame;
    this.frames.set(`${boot}/${group}/${seq}`, decoded.frame);
    return this.#once(boot, streamOf(group), seq, `${name} ${group === 'meters' ? 'm' : ''}${seq}`);
  }

  #once(boot: number, stream: 'messages' | 'meters' | 'machines', seq: number, name: string): string {
    if (!this.received.take('a', boot, stream, seq)) {
      this.twice += 1;
      return `again ${name}`;
    }
    this.received.store('a', boot, stream, seq);
    return boot === this.#boot ? name : `${name} of ${boot}`;
  }
}

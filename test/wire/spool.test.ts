import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeSpool } from '../../agent/spool.ts';
import type { Spool } from '../../agent/spool.ts';
import { siteSchema } from '../../config/schema/site.ts';
import { MODELS } from '../../config/models.ts';
import { resolveSite } from '../../config/site.ts';
import { openIntake } from '../../controller/intake.ts';
import type { ControllerEvent } from '../../controller/core/events.ts';
import { realClock } from '../../host/clock.ts';
import type { Bus } from '../../host/deps.ts';
import { makeDisk } from '../../host/disk.ts';
import { silentLog } from '../../host/log.ts';
import { STREAMS, streamOf } from '../../protocols/mqtt/backlog.ts';
import type { Frame } from '../../protocols/mqtt/frame.ts';
import { encodeJson } from '../../protocols/mqtt/json.ts';
import { tableOf } from '../../protocols/mqtt/rows.ts';
import type { AgentEvent, Stored } from '../../protocols/mqtt/status.ts';
import { hasMosquitto, mosquittoRig } from './bus-rigs.ts';
import type { Rig } from './bus-rigs.ts';

const present = hasMosquitto();
if (!present && process.env['CI'] !== 'true')
  console.log('skipped: the spool against mosquitto, which is not installed');

const folder = mkdtempSync(join(tmpdir(), 'spool-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const site = resolveSite(
  siteSchema.parse({
    schema: 1,
    site: 's',
    nodes: [{ id: 'r1', kind: 'site', capKw: 100 }],
    prices: { hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 } },
  }),
  MODELS,
);

/** The agent's end: a spool on a real disk that makes frames and events, one start after another. */
class Sender {
  readonly bus: Bus;
  boot = 0;
  /** By boot and stream: numbers given. */
  readonly made = new Map<string, number>();
  #spool: Spool;

  constructor(rig: Rig) {
    this.bus = rig.open('a');
    this.#spool = this.start();
    // As the agent does with every new connection.
    this.bus.onState((connected) => connected && this.#spool.rewind());
  }

  /** A new start; the one before is left as a kill leaves it. */
  start(): Spool {
    this.boot += 1;
    const limits = { diskBytes: 1e9, memoryBytes: 1e8, ageMs: 1e12 };
    const none = (): void => undefined;
    this.#spool = makeSpool({
      bus: this.bus,
      clock: realClock,
      disk: makeDisk(),
      site: 's',
      agent: 'a1',
      boot: this.boot,
      prefix: join(folder, 'agent-a1.spool-'),
      limits,
      backlogBytesPerS: 1e6,
      chunkBytes: 4_096,
      alarms: { onDisk: none, onLoss: none, onDamage: none },
    });
    return this.#spool;
  }

  work(): void {
    const tickMs = Date.now();
    const power = { ok: true, value: 3_000, unit: 'W', quality: 'good', atMs: tickMs } as const;
    for (const group of ['r1', 'meters']) {
      this.#spool.frame({
        site: 's',
        agent: 'a1',
        group,
        tickMs,
        rows: ['m'],
        table: tableOf([{ power }], tickMs),
      });
      this.#count(streamOf(group));
    }
    this.#spool.message('event', (seq) => {
      const { boot } = this;
      const what = { code: 'SELF_WOKEN', subject: 'm', text: '', state: 'raised' } as const;
      return encodeJson({
        v: 1,
        site: 's',
        agent: 'a1',
        boot,
        seq,
        atMs: tickMs,
        ...what,
      } satisfies AgentEvent);
    });
    this.#count('messages');
    this.#spool.tick();
  }

  ack(stored: Stored): void {
    this.#spool.ack([stored]);
  }

  get spool(): Spool {
    return this.#spool;
  }

  #count(stream: string): void {
    const name = `${this.boot} ${stream}`;
    this.made.set(name, (this.made.get(name) ?? 0) + 1);
  }
}

/** The controller's end: its door, and a store of its own behind it. */
class Receiver {
  readonly came = new Map<string, number[]>();
  readonly counts = { frames: 0, late: 0, duplicates: 0, refused: 0, lost: 0 };
  onStored: (stored: Stored) => void = () => undefined;

  onMissed: () => void = () => undefined;

  async open(rig: Rig): Promise<void> {
    const taker = {
      submit: (event: ControllerEvent) => this.#take(event),
      durable: () => Promise.resolve(true),
      isFull: () => false,
      counts: this.counts,
    };
    const store = {
      put: (frames: readonly Frame[], late: boolean): Promise<void> => {
        for (const { boot, group, seq } of frames) this.#note(`${boot} ${streamOf(group)}`, seq, late);
        return Promise.resolve();
      },
    };
    await openIntake({ site, deps: { bus: rig.open('b'), log: silentLog }, taker, store });
  }

  all(name: string): number[] {
    return ['live', 'late'].flatMap((when) => this.came.get(`${when} ${name}`) ?? []).sort((a, b) => a - b);
  }

  #take(event: ControllerEvent): void {
    if (event.kind === 'agent-event') this.#note(`${event.event.boot} messages`, event.event.seq, false);
    if (event.kind === 'stored') this.onStored(event.stored);
    if (event.kind === 'missed') this.onMissed();
  }

  #note(name: string, seq: number, late: boolean): void {
    const key = `${late ? 'late' : 'live'} ${name}`;
    this.came.set(key, [...(this.came.get(key) ?? []), seq]);
  }
}

test.runIf(present || process.env['CI'] === 'true')(
  'Mosquitto is killed again and again while it is used, the agent too: nothing is lost, doubled or out of order',
  async () => {
    const rig = await mosquittoRig();
    const receiver = new Receiver();
    await receiver.open(rig);
    const sender = new Sender(rig);
    receiver.onStored = (stored) => sender.ack(stored);
    receiver.onMissed = () => sender.spool.rewind();
    const connected = (): Promise<void> =>
      new Promise((resolve) => sender.bus.onState((state) => state && resolve()));
    const turns = async (until: () => boolean): Promise<void> => {
      while (!until()) {
        sender.work();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const total = (): number => [...receiver.came.values()].reduce((sum, seqs) => sum + seqs.length, 0);
    await connected();
    await turns(() => total() > 100);
    for (let kill = 0; kill < 3; kill += 1) {
      const restarted = rig.restart();
      const before = total();
      // The agent's own end comes in the second outage, once what it has is on its disk.
      const madeBefore = sender.made.get(`${sender.boot} meters`) ?? 0;
      await turns(() => (sender.made.get(`${sender.boot} meters`) ?? 0) > madeBefore + 40);
      await restarted;
      if (kill === 1) {
        await sender.spool.stop();
        sender.start();
      }
      await connected();
      await turns(() => total() > before + 150);
    }
    const missing = (): boolean =>
      [...sender.made].some(([name, count]) => receiver.all(name).length < count);
    while (missing()) {
      sender.spool.tick();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const [name, count] of sender.made)
      expect(receiver.all(name), name).toEqual(Array.from({ length: count }, (_, seq) => seq));
    for (const [name, seqs] of receiver.came) expect(seqs, name).toEqual([...seqs].sort((a, b) => a - b));
    expect([...sender.made.keys()].map((name) => name.split(' ')[0])).toContain('2');
    expect(STREAMS.every((stream) => (sender.made.get(`1 ${stream}`) ?? 0) > 100)).toBe(true);
    expect(receiver.counts).toMatchObject({ lost: 0, refused: 0 });
    // Once all of it is acknowledged, nothing is left on the disk.
    while (readdirSync(folder).length > 0) {
      sender.spool.tick();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await rig.stop();
  },
);

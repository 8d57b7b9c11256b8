import { expect, test } from 'vitest';
import { MODELS } from '../../../config/models.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import type { ControllerEvent } from '../../../controller/core/events.ts';
import { openIntake } from '../../../controller/intake.ts';
import type { TelemetryStore } from '../../../controller/main.ts';
import type { BusMessage } from '../../../host/deps.ts';
import { silentLog } from '../../../host/log.ts';
import { encodeSegment } from '../../../protocols/mqtt/backlog.ts';
import type { BacklogItem, Segment } from '../../../protocols/mqtt/backlog.ts';
import { encodeTable } from '../../../protocols/mqtt/frame.ts';
import { encodeJson } from '../../../protocols/mqtt/json.ts';
import { tableOf } from '../../../protocols/mqtt/rows.ts';
import type { AgentEvent, Result } from '../../../protocols/mqtt/status.ts';
import { agentTopic } from '../../../protocols/mqtt/topics.ts';

const site = resolveSite(
  siteSchema.parse({
    schema: 1,
    site: 's',
    nodes: [{ id: 'r1', kind: 'site', capKw: 100 }],
    prices: { hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 } },
  }),
  MODELS,
);

const event = (seq: number, agent = 'a1', boot = 1): Uint8Array => {
  const what = { code: 'SELF_WOKEN', subject: 'm', text: `${seq}`, state: 'raised' } as const;
  return encodeJson({ v: 1, site: 's', agent, boot, seq, atMs: 1, ...what } satisfies AgentEvent);
};
const result = (seq: number): Uint8Array =>
  encodeJson({ v: 1, site: 's', agent: 'a1', boot: 1, seq, rack: 'r1', results: [] } satisfies Result);
const frame = (seq: number): Uint8Array => {
  const power = { ok: true, value: seq, unit: 'W', quality: 'good', atMs: 1e12 } as const;
  const head = { site: 's', agent: 'a1', boot: 1, seq, group: 'r1', tickMs: 1e12, rows: ['m'] };
  return encodeTable({ ...head, table: tableOf([{ power }], 1e12) });
};
const segment = (changes: Partial<Segment>): Uint8Array =>
  encodeSegment({
    site: 's',
    agent: 'a1',
    boot: 1,
    stream: 'machines',
    from: 0,
    to: 0,
    oldest: false,
    items: [],
    ...changes,
  });
const frames = (...seqs: number[]): BacklogItem[] =>
  seqs.map((seq) => ({ kind: 'frame', seq, bytes: frame(seq) }));

/** An intake, what it submits, and how far it says things are stored. */
async function door(store?: TelemetryStore) {
  const handlers = new Map<string, (message: BusMessage) => void>();
  const events: ControllerEvent[] = [];
  const counts = { frames: 0, late: 0, duplicates: 0, refused: 0, lost: 0 };
  const taker = {
    counts,
    ok: true,
    submit: (one: ControllerEvent) => void events.push(one),
    durable: () => Promise.resolve(taker.ok),
    full: false,
    isFull: () => taker.full,
  };
  const bus = {
    subscribe: (filter: string, handler: (message: BusMessage) => void): Promise<void> => {
      handlers.set(filter.split('/').at(-1) ?? '', handler);
      return Promise.resolve();
    },
  };
  const deps = {
    bus: {
      connected: true,
      publish: () => Promise.resolve(),
      onState: () => {},
      close: () => Promise.resolve(),
      ...bus,
    },
    log: silentLog,
  };
  await openIntake({ site, deps, taker, store });
  return {
    counts,
    taker,
    say: async (
      kind: 'frame' | 'backlog' | 'event' | 'result',
      payload: Uint8Array,
      agent = 'a1',
    ): Promise<void> => {
      handlers.get(kind)?.({ topic: agentTopic('s', agent, kind), payload, retained: false });
      await Promise.resolve();
      await Promise.resolve();
    },
    /** What was submitted since the last question, shortly. */
    took: (): string[] =>
      events.splice(0).map((one) => {
        if (one.kind === 'stored') return `stored ${one.stored.messages} ${one.stored.machines}`;
        return one.kind === 'agent-event' ? `event ${one.event.text}` : one.kind;
      }),
  };
}

test('readings of a backlog never reach the state that decides; they are acknowledged with the range they cover', async () => {
  const { say, took, counts } = await door();
  await say('frame', frame(0));
  expect(took()).toEqual(['frame', 'stored -1 0']);
  await say('backlog', segment({ from: 1, to: 6, items: frames(1, 2, 5) }));
  expect(new Set(took())).toEqual(new Set(['stored -1 2', 'stored -1 6']));
  expect(counts).toMatchObject({ frames: 1, late: 3, lost: 3, duplicates: 0, refused: 0 });
  await say('backlog', segment({ from: 1, to: 6, items: frames(1, 2, 5) }));
  expect(counts).toMatchObject({ late: 3, duplicates: 3 });
});

test('an event is taken behind those before it, once, and acknowledged when the ledger has it', async () => {
  const { say, took, taker } = await door();
  await say('event', event(1));
  expect(took()).toEqual(['missed']);
  taker.ok = false;
  await say('event', event(0));
  expect(took()).toEqual(['event 0']);
  taker.ok = true;
  // Said again after the ledger failed: not taken again, but acknowledged now.
  await say('event', event(0));
  expect(took()).toEqual(['stored 0 -1']);
  await say(
    'backlog',
    segment({ stream: 'messages', from: 1, to: 2, items: [{ kind: 'event', seq: 2, bytes: event(2) }] }),
  );
  expect(took().filter((one) => one.startsWith('event') || one === 'stored 2 -1')).toEqual([
    'event 2',
    'stored 2 -1',
  ]);
});

test('what an agent says again after a reconnect is taken once, also between messages of another start', async () => {
  const { say, took, counts } = await door();
  const news = (): string[] => took().filter((one) => !one.startsWith('stored'));
  await say('result', result(0));
  await say('event', event(1));
  expect(news()).toEqual(['result', 'event 1']);
  await say('event', event(0, 'a1', 2));
  expect(news()).toEqual(['event 0']);
  await say('result', result(0));
  await say('event', event(1));
  await say('event', event(0, 'a1', 2));
  expect(news()).toEqual([]);
  expect(counts.duplicates).toBe(3);
});

test('a piece of backlog behind one that was lost waits for it', async () => {
  const { say, took, counts } = await door();
  await say('backlog', segment({ from: 5, to: 6, items: frames(5, 6) }));
  expect(took()).toEqual(['missed']);
  await say('backlog', segment({ from: 3, to: 4, items: frames(3, 4), oldest: true }));
  await say('backlog', segment({ from: 5, to: 6, items: frames(5, 6) }));
  expect(took().at(-1)).toBe('stored -1 6');
  expect(counts).toMatchObject({ late: 4, lost: 0 });
});

test('nothing is acknowledged before the store has it, and what it refused is given again', async () => {
  const put: number[][] = [];
  let works = false;
  const { say, took } = await door({
    put: (given) => {
      put.push(given.map(({ seq }) => seq));
      return works ? Promise.resolve() : Promise.reject(new Error('full'));
    },
  });
  const piece = segment({ from: 0, to: 1, items: frames(0, 1) });
  await say('backlog', piece);
  expect(took().filter((one) => one !== 'stored -1 -1')).toEqual([]);
  works = true;
  await say('backlog', piece);
  expect(took().at(-1)).toBe('stored -1 1');
  expect(put).toEqual([
    [0, 1],
    [0, 1],
  ]);
});

test('in another agent’s name, for another site, or with a frame that is not what the piece says, nothing is taken', async () => {
  const { say, took, counts } = await door();
  await say('event', event(0, 'a2'));
  await say('frame', frame(0), 'a2');
  await say('backlog', segment({ to: 1, items: frames(0, 1) }), 'a2');
  await say('backlog', segment({ site: 't', to: 1, items: frames(0, 1) }));
  await say('backlog', segment({ to: 1, items: [{ kind: 'frame', seq: 1, bytes: frame(0) }] }));
  await say('backlog', segment({ stream: 'meters', to: 1, items: frames(0) }));
  await say('backlog', segment({ boot: 2, to: 1, items: frames(0) }));
  await say('backlog', new Uint8Array([1, 2, 3]));
  expect(took()).toEqual([]);
  expect(counts).toMatchObject({ refused: 8, frames: 0, late: 0 });
});

test('what is said again while the store is busy with it is not given to it twice', async () => {
  const given: number[] = [];
  const done: (() => void)[] = [];
  const store: TelemetryStore = {
    put: (some) => {
      given.push(...some.map(({ seq }) => seq));
      return new Promise((resolve) => done.push(resolve));
    },
  };
  const { say, took } = await door(store);
  const piece = segment({ from: 0, to: 1, items: frames(0, 1) });
  await say('frame', frame(0));
  await say('backlog', piece);
  await say('backlog', piece);
  expect(given).toEqual([0, 1]);
  expect(took().at(-1)).toBe('stored -1 -1');
  for (const finish of done) finish();
  await say('backlog', piece);
  expect(took().at(-1)).toBe('stored -1 1');
});

test('while too much waits for the ledger no message is taken; said again later it is, once', async () => {
  const { say, took, taker } = await door();
  const item = { kind: 'event' as const, seq: 0, bytes: event(0) };
  taker.full = true;
  await say('event', event(0));
  await say('backlog', segment({ stream: 'messages', items: [item] }));
  await say('frame', frame(0));
  expect(took()).toEqual(['missed', 'missed', 'frame', 'stored -1 0']);
  taker.full = false;
  await say('backlog', segment({ stream: 'messages', items: [item] }));
  await say('event', event(0));
  expect(took().filter((one) => one.startsWith('event'))).toEqual(['event 0']);
});

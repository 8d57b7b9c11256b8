import type { Bus, BusMessage, Clock, Log, Random } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import type { AgentEnergy, IntervalEnergy } from '../protocols/mqtt/energy.ts';
import { desiredSchema, leaseSchema } from '../protocols/mqtt/desired.ts';
import type { Desired, Lease } from '../protocols/mqtt/desired.ts';
import { lockoutsSchema } from '../protocols/mqtt/lockouts.ts';
import type { HeldLockouts, Lock, Lockouts } from '../protocols/mqtt/lockouts.ts';
import { decodeJson, encodeJson } from '../protocols/mqtt/json.ts';
import type { AgentVerbs } from '../protocols/mqtt/verbs.ts';
import { ackSchema, actionSchema } from '../protocols/mqtt/status.ts';
import type {
  Ack,
  Action,
  AgentEvent,
  MachineResult,
  Observed,
  Result,
  Status,
} from '../protocols/mqtt/status.ts';
import { agentTopic, desiredTopic, leaseTopic, lockoutsTopic } from '../protocols/mqtt/topics.ts';
import type { Spool } from './spool.ts';

/** What comes to the agent, checked against its schema. */
export interface LinkHandlers {
  onDesired(doc: Desired): void;
  onLockouts(locks: readonly Lock[]): void;
  onBeat(beat: Lease): void;
  onAction(action: Action): void;
  onAck(ack: Ack): void;
  /** A message that is not what its topic promises. */
  onRefused(subject: string, fault: Fault): void;
  onConnection(connected: boolean): void;
}

export interface LinkOptions {
  readonly site: string;
  readonly agent: string;
  readonly boot: number;
  readonly racks: readonly string[];
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly spool: Spool;
  readonly handlers: LinkHandlers;
}

export interface Link {
  /** Publishes the heartbeat with a fresh nonce and returns the nonce; undefined while there is no connection. */
  status(
    fields: Pick<
      Status,
      | 'phase'
      | 'epoch'
      | 'racks'
      | 'guarding'
      | 'inhibitions'
      | 'openOutlets'
      | 'agreed'
      | 'intervals'
      | 'host'
    >,
  ): string | undefined;
  /** Results go out together per rack within 100 ms. */
  result(rack: string, result: MachineResult): void;
  event(code: FaultCode, subject: string, text: string, state: 'raised' | 'cleared'): void;
  /** Gives their number among the messages. */
  energy(intervals: readonly IntervalEnergy[]): number;
  observed(utility: Observed['utility']): void;
  /** Retained: the lockouts that are on disk. */
  lockouts(locks: readonly Lock[]): void;
  /** Retained: what the machines can be told. */
  verbs(kinds: AgentVerbs['kinds']): void;
  stop(): void;
}

const BATCH_MS = 100;
/** Results of one rack that go out without waiting. */
const MOST_BATCH = 1_000;

/** The last will of an agent: its heartbeat with `online: false`. For whoever opens the bus. */
export function willOf(
  site: string,
  agent: string,
  boot: number,
): { topic: string; payload: Uint8Array; retain: boolean } {
  const status: Status = {
    v: 1,
    site,
    agent,
    boot,
    seq: 0,
    atMs: 0,
    online: false,
    nonce: '',
    phase: 'lost',
    epoch: 0,
    racks: {},
    guarding: [],
    spooled: 0,
    thinned: 0,
    dropped: 0,
    damaged: 0,
    keptFrom: { messages: 0, meters: 0, machines: 0 },
  };
  return { topic: agentTopic(site, agent, 'status'), payload: encodeJson(status), retain: false };
}

/** The agent's end of the bus: says who it is, checks what comes, loses nothing that must arrive. */
export function openLink(options: LinkOptions): Link {
  const { site, agent, boot, bus, clock, spool } = options;
  const head = { v: 1 as const, site, agent, boot };
  const topic = (kind: Parameters<typeof agentTopic>[2]): string => agentTopic(site, agent, kind);
  const seqs = { status: 0, observed: 0, lockouts: 0, verbs: 0 };
  let stopped = false;

  const batches = makeBatches(clock, (rack, results) =>
    spool.message('result', (seq) => encodeJson({ ...head, seq, rack, results } satisfies Result)),
  );
  /** For what is worthless a second later: lost when it cannot go now. */
  const now = (kind: 'status' | 'observed', message: object): void => {
    bus.publish(topic(kind), encodeJson(message), { qos: 0 }).catch(() => undefined);
  };
  /** For what stands until the next of its kind; said again at the next connection when it cannot go now. */
  const stand = (kind: 'lockouts' | 'verbs', message: object): void => {
    bus.publish(topic(kind), encodeJson(message), { qos: 1, retain: true }).catch(() => undefined);
  };
  /** What the next message of a kind begins with. */
  const begin = (kind: keyof typeof seqs) => ({ ...head, seq: seqs[kind]++, atMs: clock.wallMs() });
  subscribeAll(options, () => stopped);
  return {
    status: (fields) => {
      if (!bus.connected || stopped) return undefined;
      const nonce = makeNonce(options.random);
      const status: Status = {
        ...begin('status'),
        online: true,
        nonce,
        ...fields,
        ...spool.status(),
      };
      now('status', status);
      return nonce;
    },
    result: (rack, result) => {
      if (!stopped) batches.add(rack, result);
    },
    event: (code, subject, text, state) => {
      const what = { atMs: clock.wallMs(), code, subject, text: text.slice(0, 400), state };
      spool.message('event', (seq) => encodeJson({ ...head, seq, ...what } satisfies AgentEvent));
    },
    energy: (intervals) => {
      const what = { atMs: clock.wallMs(), intervals: [...intervals] };
      let number = -1;
      spool.message('energy', (seq) => {
        number = seq;
        return encodeJson({ ...head, seq, ...what } satisfies AgentEnergy);
      });
      return number;
    },
    observed: (utility) => {
      if (!bus.connected || stopped) return;
      now('observed', { ...begin('observed'), utility } satisfies Observed);
    },
    lockouts: (locks) => {
      if (bus.connected && !stopped)
        stand('lockouts', { ...begin('lockouts'), locks: [...locks] } satisfies HeldLockouts);
    },
    verbs: (kinds) => {
      if (bus.connected && !stopped) stand('verbs', { ...begin('verbs'), kinds } satisfies AgentVerbs);
    },
    stop: () => {
      batches.flush();
      stopped = true;
    },
  };
}

/** Results of one rack that come close together go out as one message. */
function makeBatches(
  clock: Clock,
  send: (rack: string, results: MachineResult[]) => void,
): { add(rack: string, result: MachineResult): void; flush(): void } {
  const batches = new Map<string, MachineResult[]>();
  let cancel: (() => void) | undefined;
  const flush = (): void => {
    cancel?.();
    cancel = undefined;
    for (const [rack, results] of batches) send(rack, results);
    batches.clear();
  };
  return {
    add: (rack, result) => {
      const batch = batches.get(rack) ?? [];
      batch.push(result);
      batches.set(rack, batch);
      if (batch.length >= MOST_BATCH) flush();
      else cancel ??= clock.after(BATCH_MS, flush);
    },
    flush,
  };
}

function subscribeAll(options: LinkOptions, stopped: () => boolean): void {
  const { site, agent, bus, handlers, racks, log } = options;
  const listen = (filter: string, subject: string, take: (message: BusMessage) => void): void => {
    const guarded = (message: BusMessage): void => {
      // An empty retained message only says that the topic was cleared.
      if (stopped() || message.payload.length === 0) return;
      try {
        take(message);
      } catch (error) {
        handlers.onRefused(subject, asFault(error, 'INTERNAL'));
      }
    };
    bus
      .subscribe(filter, guarded)
      .catch((error: unknown) => log.warn({ filter, why: asFault(error).message }, 'subscription failed'));
  };
  const isOf = (rack: string, doc: { readonly site: string; readonly rack: string }): boolean => {
    if (doc.site === site && doc.rack === rack) return true;
    handlers.onRefused(rack, new Fault('BUS_MESSAGE', `a document for ${doc.site}/${doc.rack}`));
    return false;
  };
  for (const rack of racks) {
    // First of all: before a command can come, who is locked out is known.
    listen(lockoutsTopic(site, rack), rack, ({ payload }) => {
      const doc = decodeJson<Lockouts>(lockoutsSchema, payload);
      if (isOf(rack, doc)) handlers.onLockouts(doc.locks);
    });
    listen(desiredTopic(site, rack), rack, ({ payload }) => {
      const doc = decodeJson<Desired>(desiredSchema, payload);
      if (isOf(rack, doc)) handlers.onDesired(doc);
    });
  }
  listen(leaseTopic(site), agent, ({ payload, retained }) => {
    const beat = decodeJson<Lease>(leaseSchema, payload);
    // A stored beat is no beat: someone configured the broker to keep it.
    if (!retained && beat.site === site) handlers.onBeat(beat);
  });
  listen(agentTopic(site, agent, 'action'), agent, ({ payload, retained }) => {
    const action = decodeJson<Action>(actionSchema, payload);
    if (!retained && action.site === site) handlers.onAction(action);
  });
  listen(agentTopic(site, agent, 'ack'), agent, ({ payload }) => {
    const ack = decodeJson<Ack>(ackSchema, payload);
    if (ack.site === site && ack.agent === agent) handlers.onAck(ack);
  });
  bus.onState((connected) => {
    if (!stopped()) handlers.onConnection(connected);
  });
}

function makeNonce(random: Random): string {
  let nonce = '';
  for (let part = 0; part < 4; part += 1)
    nonce += Math.floor(random.next() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0');
  return nonce;
}

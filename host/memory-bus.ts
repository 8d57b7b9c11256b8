import { Fault } from '../protocols/faults.ts';
import type { Bus, BusMessage, Clock, Random } from './deps.ts';
import { Link } from './memory-link.ts';
import type { LinkTrouble, Way } from './memory-link.ts';
import { afterReconnect, PublishWindow } from './publish-window.ts';
import { topicMatches } from './topic-match.ts';

export interface Will {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
}

export interface MemoryBrokerOptions {
  readonly clock: Clock;
  /** One-way delay of a client's link, ms; asked once per packet. Packets of a link never overtake each other. */
  readonly latencyMs?: (clientId: string) => number;
  /** How long a cut link stays unnoticed by both ends, ms. */
  readonly silenceMs?: number;
  /** Decides what trouble strikes; without it none does. */
  readonly random?: Random;
}

/** A bus of one simulated process. */
export interface MemoryClient extends Bus {
  readonly id: string;
  /** The process dies: no handler is called again, and the broker publishes the will. */
  kill(): void;
}

const RECONNECT_FIRST_MS = 500;
const RECONNECT_MOST_MS = 5_000;
const WINDOW = 32;
const MOST_WAITING = 1_024;

/** The broker's side of a client. */
interface Session {
  readonly client: Client;
  readonly link: Link;
  readonly filters: Set<string>;
  /** Whether a topic is in one of the filters; forgotten when a filter is added. */
  readonly wanted: Map<string, boolean>;
}

interface Subscription {
  readonly filter: string;
  readonly handler: (message: BusMessage) => void;
}

/** Topics whose subscribers are remembered. */
const MOST_TOPICS = 4_096;

/**
 * A broker without persistence under a virtual clock: retained messages, QoS 0 and 1, wildcards, wills. Deliveries at
 * the same time are made in the order in which clients connected.
 */
export class MemoryBroker {
  readonly clock: Clock;
  readonly #latencyMs: (clientId: string) => number;
  readonly #silenceMs: number;
  readonly #sessions = new Map<string, Session>();
  readonly #retained = new Map<string, Uint8Array>();
  readonly #cut = new Set<string>();
  readonly #troubles = new Map<string, LinkTrouble>();
  readonly #random: Random | undefined;
  #upAtMs = 0;

  constructor(options: MemoryBrokerOptions) {
    this.clock = options.clock;
    this.#latencyMs = options.latencyMs ?? (() => 0);
    this.#silenceMs = options.silenceMs ?? 7_500;
    this.#random = options.random;
  }

  /** A client that connects by itself and stays connected as far as it can. A second one of the same id takes over. */
  client(id: string, options: { readonly will?: Will } = {}): MemoryClient {
    return new Client(this, id, options.will);
  }

  /** From now on this is wrong with a client's link; undefined: nothing any more. */
  trouble(id: string, trouble: LinkTrouble | undefined): void {
    if (trouble === undefined) this.#troubles.delete(id);
    else this.#troubles.set(id, trouble);
  }

  /**
   * Cuts a client's link, or mends it. While cut, packets are held; after `silenceMs` both ends give up, also when
   * only one way is cut: a ping or its answer is missing.
   */
  partition(id: string, cut: boolean, way: Way = 'both'): void {
    if (cut === this.#cut.has(id)) return;
    if (cut) this.#cut.add(id);
    else this.#cut.delete(id);
    const session = this.#sessions.get(id);
    if (!session) return;
    session.link.hold(cut, way);
    if (!cut) return;
    this.clock.after(this.#silenceMs, () => {
      if (!this.#cut.has(id) || this.#sessions.get(id) !== session) return;
      session.client.lost(session.link);
      this.drop(id, session.link, true);
    });
  }

  /** The broker dies and is back after `downMs`: connections and retained messages are gone, wills are not published. */
  restart(downMs = 0): void {
    this.#upAtMs = this.clock.monoMs() + downMs;
    this.#retained.clear();
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) {
      session.link.open = false;
      session.client.lost(session.link);
    }
  }

  /** Topics of the retained messages, for tests. */
  get retainedTopics(): readonly string[] {
    return [...this.#retained.keys()].sort();
  }

  /** For the client: a new connection, or undefined when the broker cannot be reached. */
  accept(client: Client): Link | undefined {
    if (this.#cut.has(client.id) || this.clock.monoMs() < this.#upAtMs) return undefined;
    const old = this.#sessions.get(client.id);
    if (old) {
      this.drop(client.id, old.link, true);
      old.client.lost(old.link);
    }
    const link = new Link({
      clock: this.clock,
      latencyMs: () => this.#latencyMs(client.id),
      random: this.#random,
      trouble: () => this.#troubles.get(client.id),
    });
    this.#sessions.set(client.id, { client, link, filters: new Set(), wanted: new Map() });
    return link;
  }

  /** For the client: the end of a connection, with the will when nobody said goodbye. */
  drop(id: string, link: Link, withWill: boolean): void {
    const session = this.#sessions.get(id);
    if (session?.link !== link) return;
    link.open = false;
    this.#sessions.delete(id);
    if (withWill && session.client.will) this.route(session.client.will);
  }

  /** For the client: a message has arrived at the broker. */
  route(message: Will): void {
    if (message.retain) {
      if (message.payload.length === 0) this.#retained.delete(message.topic);
      else this.#retained.set(message.topic, message.payload);
    }
    for (const session of this.#sessions.values()) {
      if (wants(session, message.topic))
        this.#deliver(session, { topic: message.topic, payload: message.payload, retained: false });
    }
  }

  /** For the client: a subscription has arrived at the broker. */
  subscribe(id: string, link: Link, filter: string): void {
    const session = this.#sessions.get(id);
    if (session?.link !== link) return;
    session.filters.add(filter);
    session.wanted.clear();
    for (const [topic, payload] of this.#retained) {
      if (topicMatches(filter, topic)) this.#deliver(session, { topic, payload, retained: true });
    }
  }

  #deliver(session: Session, message: BusMessage): void {
    const { link, client } = session;
    link.message(1, message.topic, () => client.receive(message));
  }
}

function wants({ filters, wanted }: Session, topic: string): boolean {
  const known = wanted.get(topic);
  if (known !== undefined) return known;
  const answer = [...filters].some((filter) => topicMatches(filter, topic));
  if (wanted.size >= MOST_TOPICS) wanted.clear();
  wanted.set(topic, answer);
  return answer;
}

class Client implements MemoryClient {
  readonly id: string;
  readonly will: Will | undefined;
  readonly #broker: MemoryBroker;
  readonly #subscriptions: Subscription[] = [];
  /** Those that a topic reaches; forgotten when one is added. */
  readonly #reached = new Map<string, readonly Subscription[]>();
  readonly #stateHandlers: ((connected: boolean) => void)[] = [];
  readonly #window = new PublishWindow(WINDOW, MOST_WAITING);
  #link: Link | undefined;
  #connected = false;
  #ended = false;
  #retryMs = RECONNECT_FIRST_MS;

  constructor(broker: MemoryBroker, id: string, will: Will | undefined) {
    this.#broker = broker;
    this.id = id;
    this.will = will;
    broker.clock.after(0, () => this.#connect());
  }

  get connected(): boolean {
    return this.#connected;
  }

  publish(
    topic: string,
    payload: Uint8Array,
    options: { readonly retain?: boolean; readonly qos?: 0 | 1 } = {},
  ): Promise<void> {
    const link = this.#link;
    if (!this.#connected || !link) return Promise.reject(new Fault('BUS_OFFLINE', topic));
    // Copied: the sender may use its buffer again.
    const message: Will = { topic, payload: payload.slice(), retain: options.retain ?? false };
    return this.#window.run(
      () =>
        new Promise((resolve) => {
          link.message(0, topic, () => {
            this.#broker.route(message);
            if (options.qos !== 0) link.carry(1, resolve);
          });
          if (options.qos === 0) resolve();
        }),
    );
  }

  subscribe(filter: string, handler: (message: BusMessage) => void): Promise<void> {
    this.#subscriptions.push({ filter, handler });
    this.#reached.clear();
    const link = this.#link;
    if (!this.#connected || !link) return Promise.resolve();
    const asked = this.#window.run(
      () =>
        new Promise((resolve) => {
          link.carry(0, () => {
            this.#broker.subscribe(this.id, link, filter);
            link.carry(1, resolve);
          });
        }),
    );
    return asked.catch(afterReconnect);
  }

  onState(handler: (connected: boolean) => void): void {
    this.#stateHandlers.push(handler);
    handler(this.#connected);
  }

  close(): Promise<void> {
    this.#end(false);
    return Promise.resolve();
  }

  kill(): void {
    this.#stateHandlers.length = 0;
    this.#subscriptions.length = 0;
    this.#end(true);
  }

  /** For the broker: a message has arrived here. */
  receive(message: BusMessage): void {
    for (const { handler } of this.#reachedBy(message.topic)) {
      // One of them may have ended the process.
      if (this.#subscriptions.length > 0) handler(message);
    }
  }

  #reachedBy(topic: string): readonly Subscription[] {
    let reached = this.#reached.get(topic);
    if (reached !== undefined) return reached;
    reached = this.#subscriptions.filter(({ filter }) => topicMatches(filter, topic));
    if (this.#reached.size >= MOST_TOPICS) this.#reached.clear();
    this.#reached.set(topic, reached);
    return reached;
  }

  /** For the broker: this connection is gone. */
  lost(link: Link): void {
    if (this.#link !== link) return;
    link.open = false;
    this.#link = undefined;
    this.#setConnected(false);
    this.#window.failAll(new Fault('BUS_OFFLINE', 'the connection was lost'));
    this.#retry();
  }

  #end(dies: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    const link = this.#link;
    this.#link = undefined;
    this.#setConnected(false);
    this.#window.failAll(new Fault('BUS_OFFLINE', 'the bus was closed'));
    if (link) this.#broker.drop(this.id, link, dies);
  }

  #connect(): void {
    if (this.#ended || this.#link) return;
    const link = this.#broker.accept(this);
    if (!link) {
      this.#retry();
      return;
    }
    this.#link = link;
    link.carry(0, () => link.carry(1, () => this.#greeted(link)));
  }

  #greeted(link: Link): void {
    if (this.#link !== link) return;
    this.#retryMs = RECONNECT_FIRST_MS;
    for (const filter of new Set(this.#subscriptions.map((subscription) => subscription.filter))) {
      link.carry(0, () => this.#broker.subscribe(this.id, link, filter));
    }
    this.#setConnected(true);
  }

  #retry(): void {
    if (this.#ended) return;
    const delayMs = this.#retryMs;
    this.#retryMs = Math.min(RECONNECT_MOST_MS, delayMs * 2);
    this.#broker.clock.after(delayMs, () => this.#connect());
  }

  #setConnected(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    for (const handler of this.#stateHandlers) handler(connected);
  }
}

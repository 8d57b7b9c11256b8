import { connect } from 'mqtt';
import type { IClientOptions, IConnackPacket, IPublishPacket, MqttClient } from 'mqtt';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Bus, BusMessage, Clock, Log } from './deps.ts';
import { afterReconnect, PublishWindow } from './publish-window.ts';
import { topicMatches } from './topic-match.ts';

export interface BusOptions {
  /** `mqtt://host:port` or `mqtts://host:port`. */
  readonly url: string;
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
  /** PEM. `ca` replaces the system's authorities. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly will?: { readonly topic: string; readonly payload: Uint8Array; readonly retain: boolean };
  /** 5 for an external broker, 4 (MQTT 3.1.1) for the embedded one. */
  readonly protocolVersion: 4 | 5;
  readonly clock: Clock;
  readonly log: Log;
}

const RECONNECT_FIRST_MS = 500;
const RECONNECT_MOST_MS = 5_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** A PUBACK or SUBACK that takes longer means the connection is dead, whatever TCP says. */
const ANSWER_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 5;
const WINDOW = 32;
const MOST_WAITING = 1_024;
const MOST_PACKET_BYTES = 8 * 1_024 * 1_024;

// MQTT.js keeps two bytes for each length of packet it has ever written, up to 16,384 of them, and with them the whole
// block of Node's pool that they were cut from: of 64 KiB each, as Node has them, that comes to hundreds of megabytes.
Buffer.poolSize = 2_048;

/**
 * The bus over MQTT.js. Connects and reconnects by itself (0.5 to 5 s apart), subscribes again after every connect,
 * and keeps nothing for later: while offline a publish rejects with BUS_OFFLINE.
 */
export function makeBus(options: BusOptions): Bus {
  return new MqttBus(options);
}

class MqttBus implements Bus {
  readonly #options: BusOptions;
  readonly #subscriptions: { filter: string; handler: (message: BusMessage) => void }[] = [];
  readonly #stateHandlers: ((connected: boolean) => void)[] = [];
  readonly #window = new PublishWindow(WINDOW, MOST_WAITING);
  #client: MqttClient | undefined;
  #connected = false;
  #closed = false;
  #retryMs = RECONNECT_FIRST_MS;
  #cancelRetry: () => void = () => undefined;
  #lossLogged = false;

  constructor(options: BusOptions) {
    this.#options = options;
    this.#open();
  }

  get connected(): boolean {
    return this.#connected;
  }

  publish(
    topic: string,
    payload: Uint8Array,
    options: { readonly retain?: boolean; readonly qos?: 0 | 1 } = {},
  ): Promise<void> {
    if (!this.#connected) return Promise.reject(new Fault('BUS_OFFLINE', topic));
    const { retain = false, qos = 1 } = options;
    return this.#window.run(() =>
      this.#answered((client, done) => client.publish(topic, Buffer.from(payload), { qos, retain }, done)),
    );
  }

  async subscribe(filter: string, handler: (message: BusMessage) => void): Promise<void> {
    this.#subscriptions.push({ filter, handler });
    if (this.#connected) await this.#window.run(() => this.#subscribeAt([filter])).catch(afterReconnect);
  }

  onState(handler: (connected: boolean) => void): void {
    this.#stateHandlers.push(handler);
    this.#guarded(() => handler(this.#connected));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelRetry();
    const client = this.#client;
    this.#client = undefined;
    const wasConnected = this.#connected;
    this.#down();
    if (!client) return;
    // A broker that does not take the goodbye must not keep the process.
    await new Promise<void>((resolve) => {
      const giveUp = this.#options.clock.after(1_000, () => client.end(true, {}, () => resolve()));
      client.end(!wasConnected, {}, () => {
        giveUp();
        resolve();
      });
    });
  }

  // A fresh client per connection: MQTT.js replays its store one round trip at a time and loses what exceeds it.
  #open(): void {
    const client = connect(this.#options.url, this.#clientOptions());
    this.#client = client;
    client.on('connect', (connack) => {
      if (this.#client === client) this.#up(client, connack);
    });
    client.on('message', (topic, payload, packet) => {
      if (this.#client === client) this.#receive(topic, payload, packet);
    });
    client.on('error', (error) => {
      if (this.#client !== client) return;
      this.#logLoss(error);
      this.#lost(client);
    });
    client.on('close', () => this.#lost(client));
  }

  #clientOptions(): IClientOptions {
    const { clientId, username, password, ca, cert, key, will, protocolVersion } = this.#options;
    return {
      clientId,
      protocolVersion,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(will ? { will: { ...will, payload: Buffer.from(will.payload), qos: 1 as const } } : {}),
      ...(protocolVersion === 5 ? { properties: { maximumPacketSize: MOST_PACKET_BYTES } } : {}),
      clean: true,
      keepalive: KEEPALIVE_S,
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectPeriod: 0,
      // A table of all numbers up to 65,535 as two bytes each takes 8 MB and saves nothing.
      writeCache: false,
      queueQoSZero: false,
      resubscribe: false,
    };
  }

  #up(client: MqttClient, connack: IConnackPacket): void {
    const { log, url } = this.#options;
    this.#retryMs = RECONNECT_FIRST_MS;
    this.#window.size = Math.min(WINDOW, connack.properties?.receiveMaximum ?? WINDOW);
    this.#connected = true;
    log.info({ broker: url }, this.#lossLogged ? 'broker returned' : 'broker connected');
    this.#lossLogged = false;
    const filters = [...new Set(this.#subscriptions.map((subscription) => subscription.filter))];
    // Without its subscriptions this process would be deaf and not know it: then rather a new connection.
    this.#subscribeAt(filters).catch((error: unknown) => {
      if (this.#client !== client) return;
      log.error({ fault: asFault(error).message }, 'subscriptions refused');
      this.#hangUp();
    });
    this.#tell(true);
  }

  async #subscribeAt(filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return;
    await this.#answered((client, done) =>
      client.subscribe([...filters], { qos: 1 }, (error, granted) => {
        const refused = granted?.find((grant) => grant.qos >= 128);
        done(error ?? (refused ? new Fault('AUTH_FAILED', `subscription to ${refused.topic}`) : null));
      }),
    );
  }

  /** Asks the broker and waits for its answer, not longer than a live broker needs. */
  #answered(ask: (client: MqttClient, done: (error?: Error | null) => void) => void): Promise<void> {
    const client = this.#client;
    if (!client || !this.#connected) return Promise.reject(new Fault('BUS_OFFLINE'));
    return new Promise((resolve, reject) => {
      const giveUp = this.#options.clock.after(ANSWER_TIMEOUT_MS, () => {
        reject(new Fault('BUS_OFFLINE', 'the broker does not answer'));
        if (this.#client === client) this.#hangUp();
      });
      ask(client, (error) => {
        giveUp();
        if (error) reject(asFault(error, 'BUS_OFFLINE'));
        else resolve();
      });
    });
  }

  #hangUp(): void {
    const client = this.#client;
    if (!client || this.#closed) return;
    this.#lost(client);
    client.end(true);
  }

  #lost(client: MqttClient): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    this.#logLoss(undefined);
    this.#down();
    client.end(true);
    const delayMs = this.#retryMs;
    this.#retryMs = Math.min(RECONNECT_MOST_MS, delayMs * 2);
    this.#cancelRetry = this.#options.clock.after(delayMs, () => this.#open());
  }

  #down(): void {
    const was = this.#connected;
    this.#connected = false;
    this.#window.failAll(new Fault('BUS_OFFLINE', 'the connection was lost'));
    if (was) this.#tell(false);
  }

  #logLoss(error: Error | undefined): void {
    if (this.#lossLogged || this.#closed) return;
    this.#lossLogged = true;
    const { log, url } = this.#options;
    log.warn({ broker: url, code: 'BUS_OFFLINE', ...(error ? { cause: error.message } : {}) }, 'broker lost');
  }

  #receive(topic: string, payload: Buffer, packet: IPublishPacket): void {
    const bytes = new Uint8Array(payload.buffer, payload.byteOffset, payload.length);
    const message: BusMessage = { topic, payload: bytes, retained: packet.retain };
    for (const { filter, handler } of this.#subscriptions) {
      if (topicMatches(filter, topic)) this.#guarded(() => handler(message));
    }
  }

  #tell(connected: boolean): void {
    for (const handler of this.#stateHandlers) this.#guarded(() => handler(connected));
  }

  // A handler's fault must not end the connection for all others.
  #guarded(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#options.log.error({ fault: asFault(error).message }, 'bus handler failed');
    }
  }
}

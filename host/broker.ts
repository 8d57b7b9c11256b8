import { timingSafeEqual, createHash } from 'node:crypto';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { Aedes } from 'aedes';
import { asFault } from '../protocols/faults.ts';

export interface BrokerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** With both, everybody else is refused. */
  readonly username?: string;
  readonly password?: string;
  /** How long a subscriber that does not read may hold up the others, ms. */
  readonly drainTimeout?: number;
}

export interface RunningBroker {
  readonly port: number;
  close(): Promise<void>;
}

/** One agent, one controller, a few tools: more connections than this are a fault or an attack. */
const MOST_CONNECTIONS = 512;

/**
 * The embedded MQTT 3.1.1 broker for one box: nothing is persistent, QoS at most 1. Rejects with a Fault when the
 * address cannot be had.
 */
export async function startBroker(options: BrokerOptions): Promise<RunningBroker> {
  const { username, password } = options;
  const aedes = await Aedes.createBroker({
    drainTimeout: options.drainTimeout ?? 5_000,
    connectTimeout: 5_000,
    authenticate: (_client, user, secret, done) => {
      const open = username === undefined && password === undefined;
      done(null, open || (same(user ?? '', username ?? '') && same(secret ?? '', password ?? '')));
    },
    authorizePublish: (_client, packet, done) => {
      done(packet.qos > 1 ? new Error('QoS 2 is not offered') : null);
    },
    authorizeSubscribe: (_client, subscription, done) => {
      done(null, { ...subscription, qos: subscription.qos > 1 ? 1 : subscription.qos });
    },
  });
  // Broken clients come and go; the connection is closed by aedes.
  aedes.on('clientError', () => undefined);
  aedes.on('connectionError', () => undefined);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    aedes.handle(socket);
  });
  server.maxConnections = MOST_CONNECTIONS;
  const port = await listening(server, options);
  return {
    port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function listening(server: Server, options: BrokerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(asFault(error, 'BUS_OFFLINE')));
    server.listen(options.port, options.host ?? '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : options.port);
    });
  });
}

function same(given: string | Buffer, wanted: string): boolean {
  const digest = (value: string | Buffer): Buffer => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

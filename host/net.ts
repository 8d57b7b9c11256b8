import * as net from 'node:net';

import { Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import type { Clock, Connection, Endpoint, Exchanged, ExchangeOptions, Net } from './deps.ts';

/** A peer that does not read may make us hold this much, no more. */
const WRITE_QUEUE_MAX_BYTES = 1 << 20;

/** A connection idle for so long is tested by the system. */
const KEEP_ALIVE_MS = 10_000;

/** One read buffer for all sockets: what is kept of it is copied before the callback returns. */
const readBuffer = Buffer.allocUnsafe(64 * 1024);

const CODES: Readonly<Record<string, FaultCode>> = {
  ECONNREFUSED: 'NET_REFUSED',
  ETIMEDOUT: 'NET_TIMEOUT',
  ECONNRESET: 'NET_RESET',
  ECONNABORTED: 'NET_RESET',
  EPIPE: 'NET_RESET',
};

/** The NET_* fault that a socket error is; what is none of the known ones is NET_UNREACHABLE. */
export function netFault(error: unknown, where: string): Fault {
  if (error instanceof Fault) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const detail = code === '' ? String(error) : code;
  return new Fault(CODES[code] ?? 'NET_UNREACHABLE', `${where}: ${detail}`, { cause: error });
}

/** TCP over node:net. Timeouts run on `clock`; every error is a Fault with a NET_* code. */
export function makeNet(clock: Clock): Net {
  return {
    open: (endpoint, options) => open(clock, endpoint, options.timeoutMs),
    exchange: (endpoint, request, options) => exchange(clock, endpoint, request, options),
  };
}

/**
 * `onBytes` gets what lies in the read buffer until it returns. `kept`: it is to last, and to take more than one write;
 * for a single question that would be five system calls more.
 */
function connect(endpoint: Endpoint, kept: boolean, onBytes: (bytes: Uint8Array) => void): net.Socket {
  return net.connect({
    host: endpoint.host,
    port: endpoint.port,
    noDelay: kept,
    // A peer that lost its power says nothing: the system asks for it while a connection is idle.
    keepAlive: kept,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    // An address needs no race between families, which costs a timer per connection.
    autoSelectFamily: net.isIP(endpoint.host) === 0,
    onread: {
      buffer: readBuffer,
      callback: (count, buffer) => {
        onBytes(buffer.subarray(0, count));
        return true;
      },
    },
  });
}

function open(clock: Clock, endpoint: Endpoint, timeoutMs: number): Promise<Connection> {
  const where = `${endpoint.host}:${endpoint.port}`;
  return new Promise((resolve, reject) => {
    let closed = false;
    let connected = false;
    const connection: Connection = {
      onData: () => undefined,
      onClose: () => undefined,
      write: (bytes) => {
        if (closed) return;
        if (socket.writableLength + bytes.length > WRITE_QUEUE_MAX_BYTES) {
          finish(new Fault('NET_TIMEOUT', `${where}: the peer does not read`));
          return;
        }
        // Into node's pool: a small array of its own would be moved out of the heap to be written.
        socket.write(Buffer.from(bytes));
      },
      destroy: () => {
        closed = true;
        cancel();
        socket.destroy();
      },
    };
    const finish = (fault?: Fault): void => {
      if (closed) return;
      closed = true;
      cancel();
      socket.destroy();
      if (connected) connection.onClose(fault);
      else reject(fault ?? new Fault('NET_RESET', where));
    };
    const cancel = clock.after(timeoutMs, () => finish(new Fault('NET_TIMEOUT', `${where}: no connection`)));
    let socket: net.Socket;
    try {
      socket = connect(endpoint, true, (bytes) => {
        if (!closed) connection.onData(bytes);
      });
    } catch (error) {
      cancel();
      reject(netFault(error, where));
      return;
    }
    socket.on('error', (error) => finish(netFault(error, where)));
    socket.on('end', () => finish());
    socket.on('close', () => finish());
    socket.on('connect', () => {
      cancel();
      connected = true;
      resolve(connection);
    });
  });
}

function exchange(
  clock: Clock,
  endpoint: Endpoint,
  request: Uint8Array,
  options: ExchangeOptions,
): Promise<Exchanged> {
  const where = `${endpoint.host}:${endpoint.port}`;
  return new Promise((resolve, reject) => {
    // Grows by doubling: a peer that sends byte by byte costs no copy of all that came before with each.
    let held = Buffer.alloc(0);
    let size = 0;
    let done = false;
    // Faults are made only when they are needed: a stack trace costs as much as an exchange.
    const closedEmpty = (): Fault => new Fault('NET_RESET', `${where}: closed without an answer`);
    const finish = (ended: Exchanged['ended'], faultIfEmpty: () => Fault): void => {
      if (done) return;
      done = true;
      cancel();
      socket.destroy();
      if (size === 0) reject(faultIfEmpty());
      else resolve({ bytes: held.subarray(0, size), ended });
    };
    const take = (bytes: Uint8Array): void => {
      if (done) return;
      const needed = size + bytes.length;
      if (needed > options.maxBytes) {
        done = true;
        cancel();
        socket.destroy();
        reject(new Fault('NET_OVERSIZE', `${where}: more than ${options.maxBytes} bytes`));
        return;
      }
      if (needed > held.length) {
        const grown = Buffer.allocUnsafe(Math.max(needed, 2 * held.length));
        grown.set(held.subarray(0, size));
        held = grown;
      }
      held.set(bytes, size);
      size = needed;
      if (options.complete?.(held.subarray(0, size)) === true) finish('complete', closedEmpty);
    };
    const cancel = clock.after(options.timeoutMs, () =>
      finish(
        'timeout',
        () => new Fault('NET_TIMEOUT', `${where}: no answer in ${Math.round(options.timeoutMs)} ms`),
      ),
    );
    let socket: net.Socket;
    try {
      socket = connect(endpoint, false, take);
    } catch (error) {
      cancel();
      reject(netFault(error, where));
      return;
    }
    socket.on('error', (error) => finish('reset', () => netFault(error, where)));
    socket.on('end', () => finish('fin', closedEmpty));
    socket.on('close', () => finish('reset', closedEmpty));
    socket.write(request);
  });
}

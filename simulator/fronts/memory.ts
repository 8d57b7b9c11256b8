/** Simulated devices in memory: the network of the product answered under any clock, with one timer per exchange. */
import type {
  Clock,
  Connection,
  Endpoint,
  Exchanged,
  ExchangeOptions,
  Http,
  HttpRequest,
  HttpResponse,
  Net,
  Random,
  Remote,
} from '../../host/deps.ts';
import { Fault } from '../../protocols/faults.ts';
import type { ExecDevice, HttpDevice, LaterBytes, SimulatedEndpoint, StreamDevice } from '../device.ts';
import { makeMemoryRemote } from './remote-memory.ts';

/** What is wrong with the way to a host. `loss`: share of exchanges that are never answered. */
export interface HostFault {
  readonly down?: boolean;
  readonly refused?: boolean;
  readonly reset?: boolean;
  readonly loss?: number;
  readonly delayMs?: number;
  /** Share of exchanges in which the host does what it is asked and its answer breaks off in the middle. */
  readonly half?: number;
}

export interface MemoryFrontOptions {
  readonly endpoints: readonly SimulatedEndpoint[];
  readonly clock: Clock;
  readonly random: Random;
  /** There and back, ms; 1 to 3 ms when absent. */
  readonly latencyMs?: (host: string) => number;
  /** Asked at every exchange; undefined: nothing is wrong. */
  readonly fault?: (host: string) => HostFault | undefined;
}

export interface MemoryFront {
  readonly net: Net;
  readonly http: Http;
  readonly remote: Remote;
}

/** An answer chain longer than this is a device that never stops. */
const MAX_ANSWERS = 1_000;
const REQUEST_MAX_BYTES = 256 * 1024;
const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();

/** How the way to a host is, at one exchange. */
type Way =
  | { readonly kind: 'open'; readonly ms: number; readonly half: boolean }
  | { readonly kind: 'refused' | 'reset'; readonly ms: number; readonly half?: never }
  | { readonly kind: 'lost' };

interface Wires {
  readonly clock: Clock;
  readonly streams: ReadonlyMap<string, StreamDevice>;
  readonly webs: ReadonlyMap<string, HttpDevice>;
  readonly shells: ReadonlyMap<string, ExecDevice>;
  way(host: string): Way;
  /** The parts of an http address, undefined when it is none. */
  place(url: string): Place | undefined;
}

interface Place {
  readonly where: string;
  readonly hostname: string;
  readonly host: string;
  readonly path: string;
}

/** Addresses whose parts are remembered: the same few are asked for ever. */
const MOST_PLACES = 10_000;

function rememberPlaces(): (url: string) => Place | undefined {
  const places = new Map<string, Place | undefined>();
  return (text) => {
    if (places.has(text)) return places.get(text);
    const url = URL.parse(text);
    const place =
      url === null || url.protocol !== 'http:'
        ? undefined
        : {
            where: `${url.hostname}:${url.port === '' ? '80' : url.port}`,
            hostname: url.hostname,
            host: url.host,
            path: `${url.pathname}${url.search}`,
          };
    if (places.size >= MOST_PLACES) places.clear();
    places.set(text, place);
    return place;
  };
}

/** Net, Http and Remote that reach `endpoints` and nothing else; any other address is refused. */
export function makeMemoryFront(options: MemoryFrontOptions): MemoryFront {
  const { endpoints, clock, random, fault } = options;
  const latencyMs = options.latencyMs ?? ((): number => 1 + 2 * random.next());
  const streams = new Map<string, StreamDevice>();
  const webs = new Map<string, HttpDevice>();
  const shells = new Map<string, ExecDevice>();
  for (const endpoint of endpoints) {
    const key = `${endpoint.host}:${endpoint.port}`;
    if (endpoint.kind === 'stream') streams.set(key, endpoint.device);
    else if (endpoint.kind === 'http') webs.set(key, endpoint.device);
    else shells.set(key, endpoint.device);
  }
  const way = (host: string): Way => {
    const wrong = fault?.(host);
    const ms = latencyMs(host) + (wrong?.delayMs ?? 0);
    if (wrong === undefined) return { kind: 'open', ms, half: false };
    if (wrong.down === true) return { kind: 'lost' };
    if (wrong.refused === true) return { kind: 'refused', ms };
    if (wrong.loss !== undefined && random.next() < wrong.loss) return { kind: 'lost' };
    if (wrong.reset === true) return { kind: 'reset', ms };
    return { kind: 'open', ms, half: wrong.half !== undefined && random.next() < wrong.half };
  };
  const wires: Wires = { clock, streams, webs, shells, way, place: rememberPlaces() };
  return {
    net: {
      open: (endpoint, { timeoutMs }) => openStream(wires, endpoint, timeoutMs),
      exchange: (endpoint, request, exchange) => exchangeBytes(wires, endpoint, request, exchange),
    },
    http: { request: (request) => requestHttp(wires, request) },
    remote: memoryRemote(wires),
  };
}

const refusedAt = (where: string): Fault => new Fault('NET_REFUSED', where);
const timedOut = (where: string, timeoutMs: number): Fault =>
  new Fault('NET_TIMEOUT', `${where}: no answer in ${timeoutMs} ms`);
const resetBy = (where: string): Fault => new Fault('NET_RESET', where);

/** What a device says to one request, all its answers in a row. */
interface Reply {
  readonly bytes: Uint8Array;
  readonly afterMs: number;
  readonly ended: 'fin' | 'reset' | 'open';
  /** Of an answer that comes in pieces. */
  readonly pieces?: readonly LaterBytes[];
}

function ask(device: StreamDevice, request: Uint8Array, nowMs: number): Reply {
  let rest = request;
  let afterMs = 0;
  let bytes: Uint8Array = NO_BYTES;
  let pieces: readonly LaterBytes[] | undefined;
  for (let n = 0; n < MAX_ANSWERS; n += 1) {
    const answer = device.respond(rest, nowMs);
    if (answer.kind === 'reset') return { bytes, afterMs, ended: 'reset' };
    if (answer.kind !== 'bytes') break;
    afterMs = Math.max(afterMs, answer.afterMs);
    bytes = bytes.length === 0 ? answer.bytes : joined(bytes, answer.bytes);
    if (answer.more) {
      pieces = [...(pieces ?? []), answer, ...answer.more];
      afterMs = Math.max(afterMs, ...answer.more.map((piece) => piece.afterMs));
      bytes = Buffer.concat([bytes, ...answer.more.map((piece) => piece.bytes)]);
    }
    if (answer.close) return { bytes, afterMs, ended: 'fin' };
    if (answer.consumed === undefined || answer.consumed === 0 || answer.consumed >= rest.length) break;
    rest = rest.subarray(answer.consumed);
  }
  return { bytes, afterMs, ended: 'open', ...(pieces && { pieces }) };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

/** An answer that breaks off in its middle. */
const broken = ({ bytes, afterMs }: Reply): Reply => ({ bytes: halfOf(bytes), afterMs, ended: 'reset' });
const halfOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, bytes.length >> 1);

function exchangeBytes(
  wires: Wires,
  endpoint: Endpoint,
  request: Uint8Array,
  options: ExchangeOptions,
): Promise<Exchanged> {
  return new Promise((resolve, reject) => {
    const where = `${endpoint.host}:${endpoint.port}`;
    const { timeoutMs, maxBytes, complete } = options;
    const { clock } = wires;
    const device = wires.streams.get(where);
    const way = wires.way(endpoint.host);
    const late = (): void => void clock.after(timeoutMs, () => reject(timedOut(where, timeoutMs)));
    if (way.kind === 'lost' || way.ms > timeoutMs) return late();
    if (device === undefined || way.kind === 'refused')
      return void clock.after(way.ms, () => reject(refusedAt(where)));
    if (way.kind === 'reset') return void clock.after(way.ms, () => reject(resetBy(where)));
    const { bytes, afterMs, ended, pieces } = way.half
      ? broken(ask(device, request, clock.monoMs()))
      : ask(device, request, clock.monoMs());
    const ms = way.ms + afterMs;
    const inTime = ms > timeoutMs && pieces?.filter((piece) => way.ms + piece.afterMs <= timeoutMs);
    if (inTime && inTime.length > 0)
      return void clock.after(timeoutMs, () =>
        resolve({ bytes: Buffer.concat(inTime.map((piece) => piece.bytes)), ended: 'timeout' }),
      );
    if (ms > timeoutMs) return late();
    if (bytes.length > maxBytes) return void clock.after(ms, () => reject(new Fault('NET_OVERSIZE', where)));
    if (ended === 'reset')
      return void clock.after(ms, () =>
        bytes.length === 0 ? reject(resetBy(where)) : resolve({ bytes, ended: 'reset' }),
      );
    if (ended === 'fin')
      return void clock.after(ms, () =>
        bytes.length === 0 ? reject(resetBy(where)) : resolve({ bytes, ended: 'fin' }),
      );
    if (bytes.length === 0) return late();
    if (complete?.(bytes) === true) return void clock.after(ms, () => resolve({ bytes, ended: 'complete' }));
    return void clock.after(timeoutMs, () => resolve({ bytes, ended: 'timeout' }));
  });
}

function openStream(wires: Wires, endpoint: Endpoint, timeoutMs: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const where = `${endpoint.host}:${endpoint.port}`;
    const device = wires.streams.get(where);
    const way = wires.way(endpoint.host);
    if (way.kind === 'lost' || way.ms > timeoutMs)
      return void wires.clock.after(timeoutMs, () => reject(timedOut(where, timeoutMs)));
    return void wires.clock.after(way.ms, () => {
      if (device === undefined || way.kind !== 'open')
        reject(way.kind === 'reset' ? resetBy(where) : refusedAt(where));
      else resolve(new MemoryConnection(wires, endpoint, device));
    });
  });
}

class MemoryConnection implements Connection {
  onData: (bytes: Uint8Array) => void = () => undefined;
  onClose: (fault?: Error) => void = () => undefined;
  readonly #wires: Wires;
  readonly #endpoint: Endpoint;
  readonly #device: StreamDevice;
  #received: Uint8Array = NO_BYTES;
  #open = true;
  /** Answers leave in the order of their requests. */
  #dueMs = 0;

  constructor(wires: Wires, endpoint: Endpoint, device: StreamDevice) {
    this.#wires = wires;
    this.#endpoint = endpoint;
    this.#device = device;
  }

  write(bytes: Uint8Array): void {
    if (!this.#open) return;
    const way = this.#wires.way(this.#endpoint.host);
    if (way.kind === 'lost') return;
    if (way.kind !== 'open') return this.#later(way.ms, () => this.#close(resetBy(this.#endpoint.host)));
    this.#received = this.#received.length === 0 ? bytes : joined(this.#received, bytes);
    if (this.#received.length > REQUEST_MAX_BYTES) return this.#close(resetBy(this.#endpoint.host));
    for (let n = 0; n < MAX_ANSWERS && this.#open && this.#received.length > 0; n += 1)
      if (!this.#step(way.ms, way.half)) return;
  }

  destroy(): void {
    this.#open = false;
  }

  /** One answer of the device; false when it waits for more. */
  #step(latencyMs: number, half: boolean): boolean {
    const answer = this.#device.respond(this.#received, this.#wires.clock.monoMs());
    if (answer.kind === 'wait') return false;
    if (answer.kind === 'silence') {
      this.#received = NO_BYTES;
      return false;
    }
    if (answer.kind === 'reset') {
      this.#later(latencyMs, () => this.#close(resetBy(this.#endpoint.host)));
      return false;
    }
    this.#received = answer.consumed === undefined ? NO_BYTES : this.#received.subarray(answer.consumed);
    this.#later(latencyMs + answer.afterMs, () => {
      this.onData(half ? halfOf(answer.bytes) : answer.bytes);
      if (half) this.#close(resetBy(this.#endpoint.host));
      else if (answer.close) this.#close();
    });
    for (const { bytes, afterMs } of answer.more ?? [])
      this.#later(latencyMs + afterMs, () => this.onData(bytes));
    return answer.consumed !== 0 && !answer.close && !half;
  }

  #later(ms: number, fn: () => void): void {
    const nowMs = this.#wires.clock.monoMs();
    this.#dueMs = Math.max(this.#dueMs, nowMs + ms);
    this.#wires.clock.after(this.#dueMs - nowMs, () => {
      if (this.#open) fn();
    });
  }

  #close(fault?: Error): void {
    if (!this.#open) return;
    this.#open = false;
    this.onClose(fault);
  }
}

function requestHttp(wires: Wires, request: HttpRequest): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const { clock } = wires;
    const place = wires.place(request.url);
    if (place === undefined)
      return reject(new Fault('TARGET_INVALID', `${request.url}: not an http address`));
    const { where, hostname, host, path } = place;
    const device = wires.webs.get(where);
    const way = wires.way(hostname);
    const late = (): void =>
      void clock.after(request.timeoutMs, () => reject(timedOut(where, request.timeoutMs)));
    if (way.kind === 'lost' || way.ms > request.timeoutMs) return late();
    if (device === undefined || way.kind === 'refused')
      return void clock.after(way.ms, () => reject(refusedAt(where)));
    if (way.kind === 'reset') return void clock.after(way.ms, () => reject(resetBy(where)));
    const headers: Record<string, string> = { host };
    for (const [name, value] of Object.entries(request.headers ?? {})) headers[name.toLowerCase()] = value;
    const answer = device.respondHttp(
      { method: request.method, path, headers, body: request.body ?? '' },
      clock.monoMs(),
    );
    if (answer.kind === 'silence') return late();
    if (answer.kind === 'reset') return void clock.after(way.ms, () => reject(resetBy(where)));
    const ms = way.ms + answer.afterMs;
    if (ms > request.timeoutMs) return late();
    if (way.half) return void clock.after(ms, () => reject(resetBy(where)));
    const body = encoder.encode(answer.body);
    if (body.length > request.maxBytes)
      return void clock.after(ms, () => reject(new Fault('NET_OVERSIZE', where)));
    const lower: Record<string, string> = {};
    for (const [name, value] of Object.entries(answer.headers)) lower[name.toLowerCase()] = value;
    return void clock.after(ms, () => resolve({ status: answer.status, headers: lower, body }));
  });
}

/** SSH: what the shells of GPU hosts answer, silent while the way to them is lost. */
function memoryRemote(wires: Wires): Remote {
  const reached = new Map<string, ExecDevice>();
  const find = (host: string, port: number): ExecDevice | undefined => {
    const where = `${host}:${port}`;
    const device = wires.shells.get(where);
    if (device === undefined) return undefined;
    const known = reached.get(where) ?? overWay(wires, host, device);
    reached.set(where, known);
    return known;
  };
  const remote = makeMemoryRemote({ clock: wires.clock, find });
  return {
    open: (target, { timeoutMs }) =>
      new Promise((resolve, reject) => {
        const where = `${target.host}:${target.port}`;
        const way = wires.way(target.host);
        if (way.kind === 'lost' || way.ms > timeoutMs)
          return void wires.clock.after(timeoutMs, () => reject(timedOut(where, timeoutMs)));
        return void wires.clock.after(way.ms, () => {
          if (way.kind === 'open') remote.open(target, { timeoutMs }).then(resolve, reject);
          else reject(way.kind === 'reset' ? resetBy(where) : refusedAt(where));
        });
      }),
  };
}

function overWay(wires: Wires, host: string, device: ExecDevice): ExecDevice {
  return {
    exec: (command, nowMs) => {
      const way = wires.way(host);
      if (way.kind !== 'open') return { kind: 'silence' };
      const answer = device.exec(command, nowMs);
      if (answer.kind === 'result') return { ...answer, afterMs: answer.afterMs + way.ms };
      if (answer.kind !== 'stream') return answer;
      return { ...answer, lines: (at) => (wires.way(host).kind === 'open' ? answer.lines(at) : []) };
    },
  };
}

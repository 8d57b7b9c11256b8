import type { PublicEvent } from '../protocols/events.ts';

/**
 * The effects every process shares. A function takes only those it uses.
 * `main` builds the real ones once; the proof harness builds them over virtual time from a seed.
 */
export interface Deps {
  readonly clock: Clock;
  readonly random: Random;
  readonly net: Net;
  readonly http: Http;
  readonly remote: Remote;
  readonly disk: Disk;
  readonly bus: Bus;
  readonly log: Log;
  /** Says to whoever watches what happened (scenario runner, proof harness). Never blocks, never throws. */
  readonly report: (event: PublicEvent) => void;
}

export interface Clock {
  /** UTC epoch ms, for records and for what leaves the process. May step. */
  wallMs(): number;
  /** Monotonic ms, for durations and deadlines. */
  monoMs(): number;
  /** Calls `fn` once after `delayMs`. The result cancels it. */
  after(delayMs: number, fn: () => void): () => void;
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** How an exchange ended: the peer closed, `complete` said so, or it broke off with what had come. */
export interface Exchanged {
  readonly bytes: Uint8Array;
  readonly ended: 'fin' | 'complete' | 'reset' | 'timeout';
}

export interface ExchangeOptions {
  /** Whole exchange, connect included. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /**
   * For peers that keep the connection open: true when `bytes` is a whole answer. Asked after each packet with all that
   * has come; it may remember how far it has looked.
   */
  readonly complete?: (bytes: Uint8Array) => boolean;
}

export interface Net {
  /** Connects. Rejects with a Fault: NET_REFUSED, NET_UNREACHABLE, NET_TIMEOUT. */
  open(endpoint: Endpoint, options: { readonly timeoutMs: number }): Promise<Connection>;
  /**
   * Connect, one request, the answer up to FIN. Rejects with a Fault when no byte came
   * (NET_REFUSED, NET_UNREACHABLE, NET_TIMEOUT, NET_RESET) or NET_OVERSIZE.
   */
  exchange(endpoint: Endpoint, request: Uint8Array, options: ExchangeOptions): Promise<Exchanged>;
}

/** An open byte stream. The owner sets both handlers before the first await after `open`. */
export interface Connection {
  /** `bytes` are there until it returns: what it keeps, it copies. */
  onData: (bytes: Uint8Array) => void;
  /** Called once, for FIN (no fault) or a fault; not after `destroy`. */
  onClose: (fault?: Error) => void;
  write(bytes: Uint8Array): void;
  destroy(): void;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /**
   * Once, over a connection of its own that is closed before the answer is given, as all that is no GET: for a GET that
   * changes something, or beside which no connection may stand.
   */
  readonly isAlone?: boolean;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface HttpResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface Http {
  /** Any status resolves; no answer rejects with a Fault (NET_*). No redirects are followed. */
  request(request: HttpRequest): Promise<HttpResponse>;
}

export interface RemoteTarget extends Endpoint {
  readonly user: string;
  readonly keyFile: string;
  /** Pinned host key, `SHA256:…` in OpenSSH's form. */
  readonly hostKey: string;
}

export interface Remote {
  /** Rejects with a Fault: NET_*, SSH_HOST_KEY, SSH_FAILED, AUTH_FAILED. */
  open(target: RemoteTarget, options: { readonly timeoutMs: number }): Promise<RemoteHost>;
}

/** One SSH connection to one host. Words of a command may hold only [A-Za-z0-9=,.:_/@%+-]. */
export interface RemoteHost {
  exec(
    command: readonly string[],
    options: { readonly timeoutMs: number; readonly maxBytes: number },
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
  /** A long-lived channel: lines as they come, until closed. */
  stream(
    command: readonly string[],
    handlers: { readonly onLine: (line: string) => void; readonly onClose: (fault: Error) => void },
  ): { close(): void };
  /** Set by the owner; called once when the connection is lost. */
  onClose: (fault: Error) => void;
  close(): void;
}

export interface Disk {
  /** The whole file, or undefined when there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Replaces the file so that after a power cut it is the old or the new one, whole. */
  replace(path: string, bytes: Uint8Array): Promise<void>;
  append(path: string): Promise<AppendFile>;
  /** Paths that begin with `prefix`, which ends in the beginning of a file's name; sorted. */
  list(prefix: string): Promise<readonly string[]>;
  /** Durable once it resolves; a file that is not there is no error. No handle of it may be used any more. */
  remove(path: string): Promise<void>;
  /** Room where a file of this path stands, or would; undefined where there is no end of it. */
  space(path: string): Promise<DiskSpace | undefined>;
}

/** Room on a file system, for those who are not its administrator. */
export interface DiskSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export interface AppendFile {
  readonly sizeBytes: number;
  append(bytes: Uint8Array): Promise<void>;
  /** Resolves when everything appended so far is durable. */
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  /** Blocks of the disk that the file holds behind its end: this much more fits though the disk is full. */
  readonly reservedBytes: number;
  /**
   * Holds at least this much behind the end; a reader finds zeros there. Durable with the next sync. Rejects with
   * DISK_FULL when the disk gave less, which it then holds.
   */
  reserve(bytes: number): Promise<void>;
  /** The next append goes there; everything behind it becomes zeros that are held, none of it is given back. */
  rewind(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface Bus {
  readonly connected: boolean;
  /** Resolves when the broker has it. Rejects with BUS_OFFLINE while not connected: nothing is queued here. */
  publish(
    topic: string,
    payload: Uint8Array,
    options?: { readonly retain?: boolean; readonly qos?: 0 | 1 },
  ): Promise<void>;
  /** Subscribes now and again after every reconnect. */
  subscribe(filter: string, handler: (message: BusMessage) => void): Promise<void>;
  /** Calls `handler` at every change, and at once with the present state. */
  onState(handler: (connected: boolean) => void): void;
  close(): Promise<void>;
}

export interface BusMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** True for a retained message delivered at subscription. */
  readonly retained: boolean;
}

/** Structured log: fields first, then the event's name. Once on loss, once on return. */
export interface Log {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
  child(fields: object): Log;
  /** Leaves debug lines out, of all its children too, or writes them again; absent: there are none. */
  dropDebug?(isOn: boolean): void;
}

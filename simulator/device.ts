/**
 * A simulated device is a function from bytes and time to bytes. Two fronts serve it: in memory under a virtual
 * clock, and on real sockets. Devices keep their state lazily: they advance it to `nowMs` when asked.
 */
export type Answer =
  /** More bytes are needed to make a whole request. */
  | { readonly kind: 'wait' }
  /** `consumed`: how many bytes of the request were used (all when absent). `close`: FIN after the answer. `more`: what comes later, in this order. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly afterMs: number; readonly close: boolean; readonly consumed?: number; readonly more?: readonly LaterBytes[] }
  | { readonly kind: 'silence' }
  | { readonly kind: 'reset' };

/** `afterMs`: since the request. */
export interface LaterBytes {
  readonly bytes: Uint8Array;
  readonly afterMs: number;
}

/** Speaks on a TCP stream (cgminer API, Modbus TCP). `bytes`: everything received and not yet consumed. */
export interface StreamDevice {
  respond(bytes: Uint8Array, nowMs: number): Answer;
}

export interface DeviceHttpRequest {
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type HttpAnswer =
  | { readonly kind: 'response'; readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string; readonly afterMs: number }
  | { readonly kind: 'silence' }
  | { readonly kind: 'reset' };

export interface HttpDevice {
  respondHttp(request: DeviceHttpRequest, nowMs: number): HttpAnswer;
}

export type ExecAnswer =
  | { readonly kind: 'result'; readonly code: number; readonly stdout: string; readonly stderr: string; readonly afterMs: number }
  /** A command that prints until it is closed: `lines(now)` every `everyMs`. */
  | { readonly kind: 'stream'; readonly everyMs: number; readonly lines: (nowMs: number) => readonly string[] }
  | { readonly kind: 'silence' };

/** Carries out a command line that came over SSH. */
export interface ExecDevice {
  exec(command: string, nowMs: number): ExecAnswer;
}

/** Where a device listens. `host` is a loopback address of its own. */
export type SimulatedEndpoint =
  | { readonly host: string; readonly port: number; readonly kind: 'stream'; readonly device: StreamDevice }
  | { readonly host: string; readonly port: number; readonly kind: 'http'; readonly device: HttpDevice }
  | { readonly host: string; readonly port: number; readonly kind: 'ssh'; readonly device: ExecDevice };

/** Something that draws power, seen from the wires that feed it. */
export interface Load {
  readonly id: string;
  /** True draw at `nowMs`, W, non-negative for loads. Asked with times that never go back. */
  powerW(nowMs: number): number;
}

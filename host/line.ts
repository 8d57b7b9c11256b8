import { asFault, Fault } from '../protocols/faults.ts';
import { exceptionText, requestError } from '../protocols/modbus/frame.ts';
import type { ModbusRequest, ReadRequest, WriteRequest } from '../protocols/modbus/frame.ts';
import type { Clock, Net, Random } from './deps.ts';
import { streamPort } from './line-stream.ts';
import type { Port } from './line-stream.ts';

/** Where a line ends. `rtu` is RTU framing over TCP (a serial gateway); one host:port speaks one framing only. */
export type LineTarget =
  | { readonly framing: 'tcp' | 'rtu'; readonly host: string; readonly port: number }
  | SerialTarget;

/** A serial port of this machine. */
export interface SerialTarget {
  readonly framing: 'serial';
  readonly path: string;
  readonly baud: number;
  readonly parity: 'none' | 'even' | 'odd';
  readonly stopBits: 1 | 2;
}

/** Registers as they came (coils as 0 or 1) and the UTC time in the middle between asking and answering. */
export interface LineAnswer {
  readonly registers: Uint16Array;
  readonly atMs: number;
}

/** `deadlineMs`: on the monotonic clock, queueing and connecting included. */
export type LineRead = Omit<ReadRequest, 'kind'> & { readonly deadlineMs: number };
export type LineWrite = Omit<WriteRequest, 'kind'> & { readonly deadlineMs: number };

/** One host:port or serial port, shared by all units behind it. Rejects with Faults NET_*, MODBUS_*, ANSWER_PARTIAL, QUEUE_FULL. */
export interface Line {
  read(request: LineRead): Promise<LineAnswer>;
  /** Resolves when the device confirmed the write. A write is never repeated by itself. */
  write(request: LineWrite): Promise<void>;
}

/** The owners of all Modbus lines of a process. */
export interface Lines {
  /** The line of this target, made at the first call. Throws TARGET_INVALID when the same port is in use with other settings. */
  line(target: LineTarget): Line;
  close(): void;
}

/** The device's refusal, with the number of the exception. */
export class ModbusException extends Fault {
  readonly exception: number;
  constructor(exception: number, where: string) {
    super('MODBUS_EXCEPTION', `${where}: ${exceptionText(exception)}`);
    this.exception = exception;
  }
}

/** Exceptions 2 and 3 speak of the registers asked for, the others of the moment. */
export function isRefusal(fault: Fault): boolean {
  return fault instanceof ModbusException && (fault.exception === 2 || fault.exception === 3);
}

const QUEUE_MAX = 64;
const TIMEOUT_MIN_MS = 100;
const TIMEOUT_MAX_MS = 3_000;
const BACK_OFF_FIRST_MS = 100;
const BACK_OFF_MAX_MS = 2_000;
/** After a lost RTU answer the bus stays silent at least this long. */
const QUARANTINE_MIN_MS = 300;
/** What a test of the line asks for: even, because some meters keep their values in pairs. */
const PROBE_COUNTS = Array.from({ length: 16 }, (_, at) => 2 + 2 * at);

interface LineDeps {
  readonly net: Net;
  readonly clock: Clock;
  readonly random: Random;
  /** A binding of the package serialport, in place of this machine's serial ports. */
  readonly serial?: object;
}

/** Owns one line per host:port or serial port; `close` ends them all. */
export function makeLines(deps: LineDeps): Lines {
  const lines = new Map<string, { readonly settings: string; readonly line: OwnedLine }>();
  return {
    line: (target) => {
      const key = target.framing === 'serial' ? target.path : `${target.host}:${target.port}`;
      const settings = JSON.stringify(target);
      const known = lines.get(key);
      if (known && known.settings !== settings) {
        throw new Fault(
          'TARGET_INVALID',
          `${key} is already in use as ${known.settings}: one port, one framing`,
        );
      }
      if (known) return known.line;
      const line = new OwnedLine(target, key, deps);
      lines.set(key, { settings, line });
      return line;
    },
    close: () => {
      for (const { line } of lines.values()) line.close();
      lines.clear();
    },
  };
}

interface Job {
  readonly request: ModbusRequest;
  readonly deadlineMs: number;
  readonly resolve: (answer: LineAnswer) => void;
  readonly reject: (fault: Fault) => void;
  cancel: () => void;
}

class OwnedLine implements Line {
  readonly #target: LineTarget;
  readonly #where: string;
  readonly #deps: LineDeps;
  readonly #queue: Job[] = [];
  /** Smoothed answer time by unit, ms. */
  readonly #latencyMs = new Map<number, number>();
  #running = false;
  #closed = false;
  #port: Port | undefined;
  #closing: Promise<void> = Promise.resolve();
  #transaction: number;
  /** Failures since the last answer of any kind. */
  #failures = 0;
  #lastFault: Fault | undefined;
  #notBeforeMs = 0;
  /** Without transaction ids: units that owe answers nobody waits for any more, and of how many values. */
  readonly #owed = new Map<number, Set<number>>();
  #wake: () => void = () => undefined;

  constructor(target: LineTarget, where: string, deps: LineDeps) {
    this.#target = target;
    this.#where = where;
    this.#deps = deps;
    this.#transaction = Math.floor(deps.random.next() * 0x1_0000);
  }

  read({ deadlineMs, ...request }: LineRead): Promise<LineAnswer> {
    return this.#enqueue({ kind: 'read', ...request }, deadlineMs);
  }

  async write({ deadlineMs, ...request }: LineWrite): Promise<void> {
    await this.#enqueue({ kind: 'write', ...request }, deadlineMs);
  }

  close(): void {
    this.#closed = true;
    void this.#port?.close();
    for (const job of this.#queue.splice(0)) {
      job.cancel();
      job.reject(this.#closedFault());
    }
    this.#wake();
  }

  #closedFault(): Fault {
    return new Fault('NET_RESET', `${this.#where}: the line was closed`);
  }

  #enqueue(request: ModbusRequest, deadlineMs: number): Promise<LineAnswer> {
    const wrong = requestError(request);
    if (wrong !== undefined) return Promise.reject(new Fault('INTERNAL', `Modbus request: ${wrong}`));
    if (this.#closed) return Promise.reject(this.#closedFault());
    if (this.#queue.length >= QUEUE_MAX) {
      return Promise.reject(new Fault('QUEUE_FULL', `${this.#where}: ${QUEUE_MAX} requests wait`));
    }
    return new Promise((resolve, reject) => {
      const job: Job = { request, deadlineMs, resolve, reject, cancel: () => undefined };
      this.#queue.push(job);
      if (!this.#running) {
        this.#running = true;
        void this.#run();
        return;
      }
      const remainingMs = deadlineMs - this.#deps.clock.monoMs();
      job.cancel = this.#deps.clock.after(Math.max(0, remainingMs), () => {
        const at = this.#queue.indexOf(job);
        if (at < 0) return;
        this.#queue.splice(at, 1);
        reject(new Fault('NET_TIMEOUT', `${this.#where}: the line was busy until the deadline`));
      });
    });
  }

  async #run(): Promise<void> {
    for (let job = this.#queue.shift(); job; job = this.#queue.shift()) {
      job.cancel();
      try {
        job.resolve(await this.#serve(job.request, job.deadlineMs));
      } catch (error) {
        job.reject(asFault(error));
      }
    }
    this.#running = false;
  }

  async #serve(request: ModbusRequest, deadlineMs: number): Promise<LineAnswer> {
    const reused = this.#port?.state === 'open';
    try {
      return await this.#askSafely(request, deadlineMs);
    } catch (error) {
      // Many devices close an idle connection just as the next question leaves: that is no fault of theirs.
      const stale = reused && request.kind === 'read' && asFault(error).code === 'NET_RESET';
      if (!stale || this.#closed) throw error;
      return this.#askSafely(request, deadlineMs);
    }
  }

  async #askSafely(request: ModbusRequest, deadlineMs: number): Promise<LineAnswer> {
    const port = await this.#ready(deadlineMs);
    const owed = this.#owed.get(request.unit);
    if (owed) await this.#probe(port, request, owed, deadlineMs);
    return this.#ask(port, request, deadlineMs);
  }

  async #ask(port: Port, request: ModbusRequest, deadlineMs: number): Promise<LineAnswer> {
    const { clock } = this.#deps;
    const startMs = clock.monoMs();
    const remainingMs = deadlineMs - startMs;
    if (remainingMs <= 0) throw new Fault('NET_TIMEOUT', `${this.#where}: no time was left to ask`);
    this.#transaction = (this.#transaction + 1) & 0xffff;
    const timeoutMs = Math.min(remainingMs, this.#timeoutMs(request.unit));
    try {
      const answer = await port.exchange(request, this.#transaction, timeoutMs);
      const elapsedMs = clock.monoMs() - startMs;
      this.#succeeded(request.unit, elapsedMs);
      if (answer.kind === 'exception') throw new ModbusException(answer.code, this.#where);
      const registers = answer.kind === 'registers' ? answer.registers : new Uint16Array(0);
      return { registers, atMs: clock.wallMs() - elapsedMs / 2 };
    } catch (error) {
      const fault = asFault(error);
      if (!(fault instanceof ModbusException)) this.#failed(fault, request, timeoutMs);
      throw fault;
    }
  }

  /** An open port that can be trusted, within the deadline. */
  async #ready(deadlineMs: number): Promise<Port> {
    const { clock } = this.#deps;
    if (this.#port?.state === 'open') return this.#port;
    if (this.#port?.state === 'suspect') this.#quarantine();
    this.#drop();
    const waitMs = this.#notBeforeMs - clock.monoMs();
    if (waitMs > 0) {
      if (clock.monoMs() + waitMs >= deadlineMs) throw this.#backingOff(waitMs);
      await this.#pause(waitMs);
    }
    await this.#closing;
    if (this.#closed) throw this.#closedFault();
    const remainingMs = deadlineMs - clock.monoMs();
    if (remainingMs <= 0) throw new Fault('NET_TIMEOUT', `${this.#where}: no time was left to connect`);
    try {
      this.#port = await this.#open(Math.min(remainingMs, TIMEOUT_MAX_MS));
    } catch (error) {
      const fault = asFault(error, 'NET_UNREACHABLE');
      this.#failed(fault, undefined, 0);
      throw fault;
    }
    if (this.#closed) {
      this.#drop();
      throw this.#closedFault();
    }
    return this.#port;
  }

  async #open(timeoutMs: number): Promise<Port> {
    const { net, clock } = this.#deps;
    const target = this.#target;
    if (target.framing === 'serial') {
      // Loaded when a serial port is used: it brings native code that most sites never need.
      const { openSerial } = await import('./line-serial.ts');
      return openSerial(target, timeoutMs, clock, this.#deps.serial);
    }
    const connection = await net.open({ host: target.host, port: target.port }, { timeoutMs });
    return streamPort(connection, target.framing, this.#where, clock);
  }

  /**
   * Asks for a number of registers that neither the coming request asks for nor an answer that is still owed has. A
   * device answers in order: once this one is answered, whatever came late has come.
   */
  async #probe(port: Port, request: ModbusRequest, owed: Set<number>, deadlineMs: number): Promise<void> {
    const unwanted = request.kind === 'read' ? request.count : 0;
    const free = PROBE_COUNTS.find((count) => count !== unwanted && !owed.has(count));
    if (free === undefined) owed.clear();
    const count = free ?? (unwanted === 2 ? 4 : 2);
    const fc = request.fc === 4 ? 4 : 3;
    const address = Math.min(request.address, 0x1_0000 - count);
    try {
      await this.#ask(port, { kind: 'read', unit: request.unit, fc, address, count }, deadlineMs);
    } catch (error) {
      if (!(error instanceof ModbusException)) throw error;
      await this.#hearNoMore(port, deadlineMs);
    }
    this.#owed.delete(request.unit);
  }

  /** One refusal is like another: had it been an older question's, the rest would follow it at once. */
  async #hearNoMore(port: Port, deadlineMs: number): Promise<void> {
    if (this.#deps.clock.monoMs() + QUARANTINE_MIN_MS >= deadlineMs) {
      throw new Fault('NET_TIMEOUT', `${this.#where}: no time was left to hear whether more comes`);
    }
    await this.#pause(QUARANTINE_MIN_MS);
    if (port.state !== 'open') throw new Fault('MODBUS_DESYNC', `${this.#where}: more than one answer`);
  }

  #timeoutMs(unit: number): number {
    const latencyMs = this.#latencyMs.get(unit);
    if (latencyMs === undefined) return TIMEOUT_MAX_MS;
    return Math.min(TIMEOUT_MAX_MS, Math.max(TIMEOUT_MIN_MS, 4 * latencyMs));
  }

  #succeeded(unit: number, elapsedMs: number): void {
    const before = this.#latencyMs.get(unit);
    this.#latencyMs.set(unit, before === undefined ? elapsedMs : before + (elapsedMs - before) / 8);
    this.#failures = 0;
    this.#notBeforeMs = 0;
    this.#lastFault = undefined;
  }

  #failed(fault: Fault, request: ModbusRequest | undefined, timeoutMs: number): void {
    const nowMs = this.#deps.clock.monoMs();
    this.#lastFault = fault;
    this.#failures += 1;
    if (this.#failures > 1) {
      const fullMs = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** Math.min(10, this.#failures - 2));
      this.#notBeforeMs = nowMs + fullMs * (0.5 + this.#deps.random.next() / 2);
    }
    if (!request) return;
    if (fault.code === 'NET_TIMEOUT' || fault.code === 'ANSWER_PARTIAL') {
      // The next wait is as long as this one was, times four: a device that became slow is found again in a few steps.
      const before = this.#latencyMs.get(request.unit);
      if (before !== undefined) this.#latencyMs.set(request.unit, Math.max(before, timeoutMs));
    }
    if (this.#target.framing !== 'tcp') {
      const owed = this.#owed.get(request.unit) ?? new Set<number>();
      this.#owed.set(request.unit, owed.add(request.kind === 'read' ? request.count : 0));
    }
    this.#quarantine();
    this.#drop();
  }

  /** RTU has no transaction ids: after anything unexpected the old answer is given time to come to nobody. */
  #quarantine(): void {
    if (this.#target.framing === 'tcp') return;
    const latencyMs = Math.max(0, ...this.#latencyMs.values());
    const silentMs = Math.min(TIMEOUT_MAX_MS, Math.max(QUARANTINE_MIN_MS, 4 * latencyMs));
    this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#deps.clock.monoMs() + silentMs);
  }

  #drop(): void {
    if (!this.#port) return;
    this.#closing = this.#port.close();
    this.#port = undefined;
  }

  #backingOff(waitMs: number): Fault {
    const last = this.#lastFault;
    const detail = `${last?.detail ?? this.#where}; next try in ${Math.ceil(waitMs)} ms`;
    return new Fault(last?.code ?? 'NET_RESET', detail);
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

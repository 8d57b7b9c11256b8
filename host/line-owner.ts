import { asFault, Fault } from '../protocols/faults.ts';
import { requestError } from '../protocols/modbus/frame.ts';
import type { ModbusRequest } from '../protocols/modbus/frame.ts';
import type { Clock, Net, Random } from './deps.ts';
import { NETWORK_COST, serialCost } from './line-cost.ts';
import type { ReadCost } from './line-cost.ts';
import { isBusy, isUnreachable, LineBusy, ModbusException } from './line-fault.ts';
import { nextStartMs, takeNext } from './line-queue.ts';
import type { Waiting } from './line-queue.ts';
import { streamPort } from './line-stream.ts';
import type { Port } from './line-stream.ts';
import { LineUnits, QUARANTINE_MIN_MS, TIMEOUT_MAX_MS } from './line-units.ts';
import type { Line, LineAnswer, LineRead, LineTarget, LineWrite } from './line.ts';

export interface LineDeps {
  readonly net: Net;
  readonly clock: Clock;
  readonly random: Random;
  /** A binding of the package serialport, in place of this machine's serial ports. */
  readonly serial?: object;
}

/** One request of each unit that an address can name, and some more. */
const QUEUE_MAX = 256;
const BACK_OFF_FIRST_MS = 100;
const BACK_OFF_MAX_MS = 1_200;
/** What a test of the line asks for: even, because some meters keep their values in pairs. */
const PROBE_COUNTS = Array.from({ length: 16 }, (_, at) => 2 + 2 * at);
/** A device that says it is busy is asked once more after this time. */
const BUSY_AGAIN_MS = 200;
/** A device that closes each connection when it likes must not be asked more often for that. */
const LOST_EVERY_MS = 10_000;
/** A gateway does not say how fast the line behind it is. */
const GATEWAY_CHAR_MS = 10 / 9.6;

interface Job extends Waiting {
  readonly request: ModbusRequest;
  readonly resolve: (answer: LineAnswer) => void;
  readonly reject: (fault: Fault) => void;
  notBeforeMs: number;
  cancel: () => void;
}

/** A line with one question under way at a time, the most urgent one next. */
export class OwnedLine implements Line {
  readonly name: string;
  readonly #target: LineTarget;
  readonly #deps: LineDeps;
  readonly #units: LineUnits;
  readonly #queue: Job[] = [];
  readonly #lostListeners = new Set<() => void>();
  #running = false;
  #closed = false;
  #port: Port | undefined;
  #closing: Promise<void> = Promise.resolve();
  #transaction: number;
  /** Failures of the line itself since the last answer of any kind. */
  #failures = 0;
  #lastFault: Fault | undefined;
  #notBeforeMs = 0;
  #lostToldMs = -Infinity;
  #wake: () => void = () => undefined;
  #interrupt: () => void = () => undefined;

  constructor(target: LineTarget, name: string, deps: LineDeps) {
    this.#target = target;
    this.name = name;
    this.#deps = deps;
    this.#units = new LineUnits(priorOf(target), deps.clock.monoMs());
    this.#transaction = Math.floor(deps.random.next() * 0x1_0000);
  }

  read({ unit, fc, address, count, deadlineMs, urgency = 'fast' }: LineRead): Promise<LineAnswer> {
    return this.#enqueue({ kind: 'read', unit, fc, address, count }, deadlineMs, urgency);
  }

  async write({ deadlineMs, ...request }: LineWrite): Promise<void> {
    await this.#enqueue({ kind: 'write', ...request }, deadlineMs, 'control');
  }

  costOf(unit: number): ReadCost {
    return this.#units.costOf(unit);
  }

  onLost(fn: () => void): () => void {
    this.#lostListeners.add(fn);
    return () => this.#lostListeners.delete(fn);
  }

  close(): void {
    this.#closed = true;
    this.#lostListeners.clear();
    void this.#port?.close();
    for (const job of this.#queue.splice(0)) {
      job.cancel();
      job.reject(this.#closedFault());
    }
    this.#wake();
  }

  #closedFault(): Fault {
    return new Fault('NET_RESET', `${this.name}: the line was closed`);
  }

  #enqueue(request: ModbusRequest, deadlineMs: number, asked: Waiting['urgency']): Promise<LineAnswer> {
    const wrong = requestError(request);
    if (wrong !== undefined) return Promise.reject(new Fault('INTERNAL', `Modbus request: ${wrong}`));
    if (this.#closed) return Promise.reject(this.#closedFault());
    const nowMs = this.#deps.clock.monoMs();
    const waitMs = this.#units.waitOf(request.unit, nowMs);
    if (waitMs > 0) return Promise.reject(this.#units.whyHeld(request.unit, waitMs));
    if (this.#queue.length >= QUEUE_MAX) {
      return Promise.reject(new Fault('QUEUE_FULL', `${this.name}: ${QUEUE_MAX} requests wait`));
    }
    const urgency = this.#units.isDoubted(request.unit) ? 'probe' : asked;
    return new Promise((resolve, reject) => {
      const job: Job = {
        request,
        deadlineMs,
        urgency,
        sinceMs: nowMs,
        notBeforeMs: 0,
        resolve,
        reject,
        cancel: NOTHING,
      };
      this.#queue.push(job);
      if (this.#running) {
        this.#limit(job);
        this.#interrupt();
      } else void this.#run();
    });
  }

  /** Ends what waits in the queue at its deadline. */
  #limit(job: Job): void {
    const remainingMs = job.deadlineMs - this.#deps.clock.monoMs();
    job.cancel = this.#deps.clock.after(Math.max(0, remainingMs), () => {
      const at = this.#queue.indexOf(job);
      if (at < 0) return;
      this.#queue.splice(at, 1);
      job.reject(new LineBusy(this.name));
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#queue.length > 0) {
      const nowMs = this.#deps.clock.monoMs();
      const job = takeNext(this.#queue, nowMs);
      if (!job) {
        await this.#pause((nextStartMs(this.#queue) ?? nowMs) - nowMs, 'for work');
        continue;
      }
      job.cancel();
      try {
        job.resolve(await this.#serve(job.request, job.deadlineMs));
      } catch (error) {
        this.#end(job, asFault(error));
      }
    }
    this.#running = false;
  }

  /** What could not be answered: once more a little later when the device is busy. Nothing is written twice. */
  #end(job: Job, fault: Fault): void {
    const againMs = this.#deps.clock.monoMs() + BUSY_AGAIN_MS;
    const isAgain = job.notBeforeMs > 0;
    if (isAgain || !isBusy(fault) || job.request.kind === 'write' || againMs >= job.deadlineMs) {
      job.reject(fault);
      return;
    }
    job.notBeforeMs = againMs;
    this.#queue.push(job);
    this.#limit(job);
  }

  async #serve(request: ModbusRequest, deadlineMs: number): Promise<LineAnswer> {
    // The unit may have fallen silent while this waited.
    const waitMs = this.#units.waitOf(request.unit, this.#deps.clock.monoMs());
    if (waitMs > 0) throw this.#units.whyHeld(request.unit, waitMs);
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

  #askSafely(request: ModbusRequest, deadlineMs: number): Promise<LineAnswer> {
    const port = this.#port;
    const isUsual = port?.state === 'open' && this.#units.owedBy(request.unit) === undefined;
    return isUsual ? this.#ask(port, request, deadlineMs) : this.#askAnew(request, deadlineMs);
  }

  /** Connects, and lets come what is still owed, before it asks. */
  async #askAnew(request: ModbusRequest, deadlineMs: number): Promise<LineAnswer> {
    const port = await this.#ready(deadlineMs);
    const owed = this.#units.owedBy(request.unit);
    if (owed) await this.#probe(port, request, owed, deadlineMs);
    return this.#ask(port, request, deadlineMs);
  }

  async #ask(port: Port, request: ModbusRequest, deadlineMs: number): Promise<LineAnswer> {
    const { clock } = this.#deps;
    const startMs = clock.monoMs();
    const remainingMs = deadlineMs - startMs;
    if (remainingMs <= 0) throw new Fault('NET_TIMEOUT', `${this.name}: no time was left to ask`);
    this.#transaction = (this.#transaction + 1) & 0xffff;
    const timeoutMs = Math.min(remainingMs, this.#units.timeoutMs(request, startMs));
    try {
      const answer = await port.exchange(request, this.#transaction, timeoutMs);
      const nowMs = clock.monoMs();
      this.#failures = 0;
      this.#notBeforeMs = 0;
      if (answer.kind === 'exception') {
        const refusal = new ModbusException(answer.code, this.name);
        if (isUnreachable(refusal)) this.#unitFailed(request.unit, refusal, nowMs - startMs);
        else this.#units.answered(request, nowMs - startMs, nowMs, false);
        throw refusal;
      }
      this.#units.answered(request, nowMs - startMs, nowMs, true);
      const registers = answer.kind === 'registers' ? answer.registers : NO_REGISTERS;
      return { registers, atMs: clock.wallMs() - (nowMs - startMs) / 2 };
    } catch (error) {
      if (!(error instanceof ModbusException)) this.#failed(asFault(error), request, startMs);
      throw error;
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
    if (remainingMs <= 0) throw new Fault('NET_TIMEOUT', `${this.name}: no time was left to connect`);
    try {
      this.#port = await this.#open(Math.min(remainingMs, TIMEOUT_MAX_MS));
    } catch (error) {
      const fault = asFault(error, 'NET_UNREACHABLE');
      this.#backOff(fault);
      throw fault;
    }
    if (this.#closed) {
      this.#drop();
      throw this.#closedFault();
    }
    this.#port.onIdleEnd = () => this.#tellLost();
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
    return streamPort(connection, target.framing, this.name, clock);
  }

  /**
   * Asks for a number of registers that neither the coming request asks for nor an answer that is still owed has. A
   * device answers in order: once this one is answered, whatever came late has come.
   */
  async #probe(
    port: Port,
    request: ModbusRequest,
    owed: ReadonlySet<number>,
    deadlineMs: number,
  ): Promise<void> {
    const unwanted = request.kind === 'read' ? request.count : 0;
    const free = PROBE_COUNTS.find((count) => count !== unwanted && !owed.has(count));
    if (free === undefined) this.#units.owesNothing(request.unit);
    const count = free ?? (unwanted === 2 ? 4 : 2);
    const fc = request.fc === 4 ? 4 : 3;
    const address = Math.min(request.address, 0x1_0000 - count);
    try {
      await this.#ask(port, { kind: 'read', unit: request.unit, fc, address, count }, deadlineMs);
    } catch (error) {
      if (!(error instanceof ModbusException)) throw error;
      await this.#hearNoMore(port, deadlineMs);
    }
    this.#units.owesNothing(request.unit);
  }

  /** One refusal is like another: had it been an older question's, the rest would follow it at once. */
  async #hearNoMore(port: Port, deadlineMs: number): Promise<void> {
    if (this.#deps.clock.monoMs() + QUARANTINE_MIN_MS >= deadlineMs) {
      throw new Fault('NET_TIMEOUT', `${this.name}: no time was left to hear whether more comes`);
    }
    await this.#pause(QUARANTINE_MIN_MS);
    if (port.state !== 'open') throw new Fault('MODBUS_DESYNC', `${this.name}: more than one answer`);
  }

  /**
   * An exchange failed: whose fault it is decides what backs off, the unit or the line. The connection is given up in
   * either case, so that no answer that is late meets a transaction id in use again.
   */
  #failed(fault: Fault, request: ModbusRequest, startMs: number): void {
    const isTcp = this.#target.framing === 'tcp';
    if (!isTcp) this.#units.owes(request.unit, request.kind === 'read' ? request.count : 0);
    this.#drop();
    if (fault.code === 'NET_RESET') this.#backOff(fault);
    else {
      const costMs = this.#deps.clock.monoMs() - startMs + (isTcp ? 0 : this.#units.silenceMs);
      const isAlone = this.#unitFailed(request.unit, fault, costMs);
      this.#lastFault = fault;
      if (isAlone) this.#backOff(fault);
    }
    this.#quarantine();
  }

  #unitFailed(unit: number, fault: Fault, costMs: number): boolean {
    const { clock, random } = this.#deps;
    return this.#units.failed(unit, fault, { nowMs: clock.monoMs(), costMs, chance: random.next() });
  }

  /** The next connection waits, longer each time, so that a device that is down or starting is not run over. */
  #backOff(fault: Fault): void {
    this.#lastFault = fault;
    this.#failures += 1;
    if (this.#failures <= 1) return;
    const fullMs = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** Math.min(10, this.#failures - 2));
    this.#notBeforeMs = this.#deps.clock.monoMs() + fullMs * (0.5 + this.#deps.random.next() / 2);
  }

  /** RTU has no transaction ids: after anything unexpected the old answer is given time to come to nobody. */
  #quarantine(): void {
    if (this.#target.framing === 'tcp') return;
    this.#notBeforeMs = Math.max(this.#notBeforeMs, this.#deps.clock.monoMs() + this.#units.silenceMs);
  }

  #drop(): void {
    if (!this.#port) return;
    this.#port.onIdleEnd = () => undefined;
    this.#closing = this.#port.close();
    this.#port = undefined;
  }

  #tellLost(): void {
    const nowMs = this.#deps.clock.monoMs();
    if (nowMs - this.#lostToldMs < LOST_EVERY_MS) return;
    this.#lostToldMs = nowMs;
    for (const fn of this.#lostListeners) fn();
  }

  #backingOff(waitMs: number): Fault {
    const last = this.#lastFault;
    const detail = `${last?.detail ?? this.name}; next try in ${Math.ceil(waitMs)} ms`;
    return new Fault(last?.code ?? 'NET_RESET', detail);
  }

  /** Until then, or until it is closed; a pause for work ends with new work. */
  #pause(delayMs: number, what: 'for work' | 'in any case' = 'in any case'): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#deps.clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
      this.#interrupt = what === 'for work' ? this.#wake : () => undefined;
    });
  }
}

const NO_REGISTERS = new Uint16Array(0);
const NOTHING = (): void => undefined;

function priorOf(target: LineTarget): ReadCost {
  if (target.framing !== 'serial')
    return target.framing === 'tcp' ? NETWORK_COST : serialCost(GATEWAY_CHAR_MS);
  const bits = 9 + (target.parity === 'none' ? 0 : 1) + target.stopBits;
  return serialCost((1_000 * bits) / target.baud);
}

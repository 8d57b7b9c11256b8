import type ModbusRTU from 'modbus-serial';

import { asFault, Fault } from '../protocols/faults.ts';
import type { ModbusRequest } from '../protocols/modbus/frame.ts';
import type { Clock } from './deps.ts';
import type { Port, PortAnswer } from './line-stream.ts';
import type { SerialTarget } from './line.ts';

type Client = ModbusRTU.default;

/** A driver that never reports that a port is closed must not hold up its line. */
const CLOSE_MAX_MS = 1_000;
/** What came while the port was closed is there at once when it is opened. */
const OLD_BYTES_MS = 20;
/** Whole frames, with unit and checksum; of a read all but the data. */
const EXCEPTION_BYTES = 5;
const WRITTEN_BYTES = 8;
const AROUND_DATA_BYTES = 5;

/**
 * Modbus RTU on a serial port of this machine, by modbus-serial. One exchange at a time, our own deadline, every answer
 * checked for its length, and closed at any failure and at any byte that no question asked for: the library itself
 * takes a late or doubled answer for the next one. `binding`: of the package serialport, in place of this machine's
 * ports.
 */
export async function openSerial(
  target: SerialTarget,
  timeoutMs: number,
  clock: Clock,
  binding?: object,
): Promise<Port> {
  const { default: library } = await import('modbus-serial');
  const port = new SerialPort(new library.default(), target.path, clock);
  await port.open(target, timeoutMs, binding);
  return port;
}

class SerialPort implements Port {
  onIdleEnd: () => void = () => undefined;
  readonly #client: Client;
  readonly #path: string;
  readonly #clock: Clock;
  #state: Port['state'] = 'open';
  #abort: ((fault: Fault) => void) | undefined;
  #closing: Promise<void> | undefined;
  /** Bytes since the question. */
  #received = 0;

  constructor(client: Client, path: string, clock: Clock) {
    this.#client = client;
    this.#path = path;
    this.#clock = clock;
    client.on('error', (error) => void this.#shut('lost', asFault(error, 'NET_RESET')));
    client.on('close', () => void this.close());
  }

  get state(): Port['state'] {
    return this.#state;
  }

  async open(target: SerialTarget, timeoutMs: number, binding: object | undefined): Promise<void> {
    const { baud: baudRate, parity, stopBits } = target;
    const options = { baudRate, parity, stopBits, dataBits: 8 as const, ...(binding && { binding }) };
    try {
      await within<void>(this.#clock, timeoutMs, `${this.#path}: not opened`, (resolve, reject) => {
        this.#client.connectRTUBuffered(this.#path, options, (error: unknown) =>
          error ? reject(asFault(error, 'NET_UNREACHABLE')) : resolve(),
        );
        bytesOf(this.#client).on('data', (bytes) => this.#hear(bytes));
      });
      await new Promise<void>((resolve) => {
        this.#clock.after(OLD_BYTES_MS, resolve);
      });
      if (this.#state === 'lost') throw new Fault('NET_RESET', `${this.#path}: closed`);
      if (this.#state === 'suspect') throw new Fault('MODBUS_DESYNC', `${this.#path}: bytes from before`);
    } catch (error) {
      await this.#shut('lost', asFault(error));
      throw error;
    }
  }

  async exchange(request: ModbusRequest, _transaction: number, limitMs: number): Promise<PortAnswer> {
    if (this.#state !== 'open') throw new Fault('NET_RESET', `${this.#path}: not open`);
    // The library's own timer only clears up after ours.
    this.#client.setTimeout(limitMs + 1_000);
    this.#received = 0;
    const late = `${this.#path}: no answer`;
    try {
      const answer = await within<PortAnswer>(this.#clock, limitMs, late, (resolve, reject) => {
        this.#abort = reject;
        ask(this.#client, request, resolve, reject);
      });
      // Nothing in an RTU frame says which of two answers is ours.
      if (this.#received > answer.consumed)
        throw new Fault('MODBUS_DESYNC', `${this.#path}: more than one answer`);
      return answer;
    } catch (error) {
      const fault = asFault(error);
      const broken = fault.code === 'NET_TIMEOUT' && this.#received > 0;
      void this.#shut('lost', fault);
      throw broken ? new Fault('ANSWER_PARTIAL', fault.detail) : fault;
    } finally {
      this.#abort = undefined;
    }
  }

  close(): Promise<void> {
    return this.#shut('lost', new Fault('NET_RESET', `${this.#path}: closed`));
  }

  #hear(bytes: Uint8Array): void {
    this.#received += bytes.length;
    if (!this.#abort) void this.#shut('suspect', new Fault('MODBUS_DESYNC', this.#path));
  }

  #shut(state: 'lost' | 'suspect', fault: Fault): Promise<void> {
    if (this.#closing) return this.#closing;
    this.#state = state;
    if (this.#abort) this.#abort(fault);
    else this.onIdleEnd();
    this.#closing = closed(this.#client, this.#clock);
    return this.#closing;
  }
}

function within<T>(
  clock: Clock,
  timeoutMs: number,
  late: string,
  start: (resolve: (value: T) => void, reject: (fault: Fault) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => reject(new Fault('NET_TIMEOUT', late)));
    const settle = (fn: () => void): void => {
      cancel();
      fn();
    };
    try {
      start(
        (value) => settle(() => resolve(value)),
        (fault) => settle(() => reject(fault)),
      );
    } catch (error) {
      settle(() => reject(asFault(error, 'NET_RESET')));
    }
  });
}

interface Bytes {
  on(event: 'data', listener: (bytes: Uint8Array) => void): unknown;
}

/**
 * What comes in, as it comes. The library shows only frames that it takes for answers, and keeps the rest for the next
 * question.
 */
function bytesOf(client: Client): Bytes {
  const { _port: buffered } = client as unknown as { readonly _port?: { readonly _client?: Bytes } };
  const { _client: port } = buffered ?? {};
  if (!port) throw new Fault('INTERNAL', 'this version of modbus-serial hides its port');
  return port;
}

function closed(client: Client, clock: Clock): Promise<void> {
  return within<void>(clock, CLOSE_MAX_MS, 'close', (resolve) => client.close(() => resolve())).catch(
    () => undefined,
  );
}

function ask(
  client: Client,
  request: ModbusRequest,
  resolve: (answer: PortAnswer) => void,
  reject: (fault: Fault) => void,
): void {
  const { unit, address } = request;
  const settle = (error: unknown, answer: () => PortAnswer | undefined): void => {
    if (error) {
      const code = exceptionOf(error);
      if (code === undefined) reject(serialFault(error));
      else resolve({ kind: 'exception', code, consumed: EXCEPTION_BYTES });
      return;
    }
    const made = answer();
    if (made) resolve(made);
    else reject(new Fault('MODBUS_FRAME', 'an answer of another length than asked'));
  };
  const written = (): PortAnswer => ({ kind: 'written', consumed: WRITTEN_BYTES });
  const words =
    (count: number) =>
    (error: unknown, result: { data: readonly (number | boolean)[] } | undefined): void =>
      settle(error, () => wordsOf(result?.data, count));
  switch (request.fc) {
    case 1:
      client.writeFC1(unit, address, request.count, words(request.count));
      return;
    case 2:
      client.writeFC2(unit, address, request.count, words(request.count));
      return;
    case 3:
      client.writeFC3(unit, address, request.count, words(request.count));
      return;
    case 4:
      client.writeFC4(unit, address, request.count, words(request.count));
      return;
    case 5:
      client.writeFC5(unit, address, request.values[0] === 1, (error) => settle(error, written));
      return;
    case 6:
      client.writeFC6(unit, address, request.values[0] ?? 0, (error) => settle(error, written));
      return;
    case 16:
      client.writeFC16(unit, address, [...request.values], (error) => settle(error, written));
  }
}

function wordsOf(data: readonly (number | boolean)[] | undefined, count: number): PortAnswer | undefined {
  if (!data) return undefined;
  // Coils come in whole bytes, so there may be more of them than asked.
  const isBits = typeof data[0] === 'boolean';
  const values = isBits ? 8 * Math.ceil(count / 8) : count;
  if (data.length !== values) return undefined;
  const registers = Uint16Array.from(data.slice(0, count), Number);
  return { kind: 'registers', registers, consumed: AROUND_DATA_BYTES + (isBits ? values / 8 : 2 * values) };
}

function exceptionOf(error: unknown): number | undefined {
  const isOne = typeof error === 'object' && error !== null && 'modbusCode' in error;
  return isOne && typeof error.modbusCode === 'number' ? error.modbusCode : undefined;
}

/** The library's errors are not all Errors and have no classes: their texts tell them apart. */
function serialFault(error: unknown): Fault {
  const isOne = typeof error === 'object' && error !== null;
  const text = isOne && 'message' in error ? String(error.message) : String(error);
  if (/not open/i.test(text)) return new Fault('NET_RESET', text);
  if (/timed out/i.test(text)) return new Fault('NET_TIMEOUT', text);
  return new Fault('MODBUS_FRAME', text);
}

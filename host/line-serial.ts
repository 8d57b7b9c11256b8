import type ModbusRTU from 'modbus-serial';

import { asFault, Fault } from '../protocols/faults.ts';
import type { ModbusRequest } from '../protocols/modbus/frame.ts';
import type { Clock } from './deps.ts';
import type { Port, PortAnswer } from './line-stream.ts';
import type { SerialTarget } from './line.ts';

type Client = ModbusRTU.default;

/** A driver that never reports that a port is closed must not hold up its line. */
const CLOSE_MAX_MS = 1_000;

/**
 * Modbus RTU on a serial port of this machine, by modbus-serial. One exchange at a time, our own deadline, every answer
 * checked for its length, and closed at any failure: the library itself takes a late answer for the next one.
 */
export async function openSerial(target: SerialTarget, timeoutMs: number, clock: Clock): Promise<Port> {
  const { default: library } = await import('modbus-serial');
  const client = new library.default();
  let state: Port['state'] = 'open';
  let abort: ((fault: Fault) => void) | undefined;
  const shut = (fault: Fault): Promise<void> => {
    if (state !== 'open') return Promise.resolve();
    state = 'lost';
    abort?.(fault);
    return closed(client, clock);
  };
  client.on('error', (error) => void shut(asFault(error, 'NET_RESET')));
  client.on('close', () => void shut(new Fault('NET_RESET', `${target.path}: closed`)));
  await within(clock, timeoutMs, `${target.path}: not opened`, (resolve, reject) => {
    client.connectRTUBuffered(
      target.path,
      { baudRate: target.baud, parity: target.parity, stopBits: target.stopBits, dataBits: 8 },
      (error: unknown) => (error ? reject(asFault(error, 'NET_UNREACHABLE')) : resolve(undefined)),
    );
  }).catch(async (error: unknown) => {
    await shut(asFault(error));
    throw error;
  });
  return {
    get state() {
      return state;
    },
    exchange: async (request, _transaction, limitMs) => {
      if (state !== 'open') throw new Fault('NET_RESET', `${target.path}: not open`);
      // The library's own timer only clears up after ours.
      client.setTimeout(limitMs + 1_000);
      try {
        return await within<PortAnswer>(clock, limitMs, `${target.path}: no answer`, (resolve, reject) => {
          abort = reject;
          ask(client, request, resolve, reject);
        });
      } catch (error) {
        void shut(asFault(error));
        throw error;
      } finally {
        abort = undefined;
      }
    },
    close: () => shut(new Fault('NET_RESET', `${target.path}: closed`)),
  };
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
      else resolve({ kind: 'exception', code, consumed: 0 });
      return;
    }
    const made = answer();
    if (made) resolve(made);
    else reject(new Fault('MODBUS_FRAME', 'an answer of another length than asked'));
  };
  const written = (): PortAnswer => ({ kind: 'written', consumed: 0 });
  const words =
    (count: number) =>
    (error: unknown, result: { data: readonly (number | boolean)[] } | undefined): void =>
      settle(error, () => wordsOf(result?.data, count));
  switch (request.fc) {
    case 1:
      client.writeFC1(unit, address, request.count, words(request.count));
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
  // Coils come in whole bytes, so there may be more of them than asked.
  const isBits = typeof data?.[0] === 'boolean';
  if (!data || (isBits ? data.length < count : data.length !== count)) return undefined;
  return { kind: 'registers', registers: Uint16Array.from(data.slice(0, count), Number), consumed: 0 };
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

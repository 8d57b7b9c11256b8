import { decodeAnswer, encodeRequest, FRAME_MAX_BYTES } from '../protocols/modbus/frame.ts';
import type { DecodedAnswer, Framing, ModbusRequest } from '../protocols/modbus/frame.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Clock, Connection } from './deps.ts';

/** What a device said: registers, that it wrote, or its refusal. */
export type PortAnswer = Extract<DecodedAnswer, { readonly kind: 'registers' | 'written' | 'exception' }>;

/**
 * One open way to a Modbus device that takes one request at a time. A rejected exchange leaves the port closed: what
 * comes after it could be taken for the answer to another question.
 */
export interface Port {
  /** `open`; `lost`: closed by the peer or by us; `suspect`: closed because of bytes that nobody asked for. */
  readonly state: 'open' | 'lost' | 'suspect';
  /** Rejects with NET_TIMEOUT, NET_RESET, ANSWER_PARTIAL, MODBUS_FRAME or MODBUS_DESYNC. */
  exchange(request: ModbusRequest, transaction: number, timeoutMs: number): Promise<PortAnswer>;
  /** Resolves when the port may be opened again. */
  close(): Promise<void>;
  /** Set by the owner: called once when the port closes while nobody asks. */
  onIdleEnd: () => void;
}

interface Pending {
  readonly request: ModbusRequest;
  readonly transaction: number;
  readonly resolve: (answer: PortAnswer) => void;
  readonly reject: (fault: Fault) => void;
  readonly dueMs: number;
  readonly timeoutMs: number;
}

const NOTHING = new Uint8Array(0);
/** A timer may be so much early. */
const EARLY_MS = 1;

/** Modbus TCP or RTU frames on an open connection, whose handlers it takes over. */
export function streamPort(connection: Connection, framing: Framing, where: string, clock: Clock): Port {
  let state: Port['state'] = 'open';
  let pending: Pending | undefined;
  let received: Uint8Array = NOTHING;
  const watch = watchOver(
    clock,
    () => pending,
    ({ timeoutMs }) => {
      const detail = `${where}: no whole answer in ${Math.round(timeoutMs)} ms`;
      shut('lost', new Fault(received.length > 0 ? 'ANSWER_PARTIAL' : 'NET_TIMEOUT', detail));
    },
  );

  const settle = (): Pending | undefined => {
    const settled = pending;
    pending = undefined;
    received = NOTHING;
    return settled;
  };
  const shut = (next: 'lost' | 'suspect', fault: Fault): void => {
    if (state !== 'open') return;
    state = next;
    watch.stop();
    connection.destroy();
    if (pending) settle()?.reject(fault);
    else port.onIdleEnd();
  };
  connection.onData = (bytes) => {
    if (state !== 'open' || bytes.length === 0) return;
    if (!pending) {
      shut('suspect', new Fault('MODBUS_DESYNC', `${where}: bytes without a question`));
      return;
    }
    const whole = received.length === 0 ? bytes : joined(received, bytes);
    const answer = decodeAnswer(framing, pending.transaction, pending.request, whole);
    const distrust = distrusted(answer, whole.length, where);
    if (distrust) shut('suspect', distrust);
    else if (answer.kind === 'wait') received = whole === bytes ? new Uint8Array(bytes) : whole;
    else if (answer.kind !== 'drop') settle()?.resolve(answer);
  };
  connection.onClose = (fault) => {
    const partial = received.length > 0;
    shut('lost', partial ? new Fault('ANSWER_PARTIAL', where) : closedBy(where, fault));
  };
  const port: Port = {
    onIdleEnd: () => undefined,
    get state() {
      return state;
    },
    exchange: (request, transaction, timeoutMs) =>
      new Promise((resolve, reject) => {
        if (state !== 'open' || pending) {
          reject(new Fault('NET_RESET', `${where}: not open`));
          return;
        }
        const dueMs = clock.monoMs() + timeoutMs;
        pending = { request, transaction, resolve, reject, dueMs, timeoutMs };
        watch.until(dueMs);
        connection.write(encodeRequest(framing, transaction, request));
      }),
    close: () => {
      shut('lost', new Fault('NET_RESET', `${where}: closed`));
      return Promise.resolve();
    },
  };
  return port;
}

/**
 * Calls `expire` when the question under way is overdue. One timer serves all questions: most are answered long before,
 * and a timer of its own for each would cost more than to decode its answer.
 */
function watchOver(
  clock: Clock,
  underWay: () => Pending | undefined,
  expire: (late: Pending) => void,
): { until(dueMs: number): void; stop(): void } {
  let lookMs = Infinity;
  let cancel: () => void = () => undefined;
  const look = (): void => {
    lookMs = Infinity;
    const asked = underWay();
    if (!asked) return;
    if (clock.monoMs() < asked.dueMs - EARLY_MS) until(asked.dueMs);
    // After a stall of this process it is due before an answer that lies in the socket is read: once around.
    else cancel = clock.after(0, () => underWay() === asked && expire(asked));
  };
  const until = (dueMs: number): void => {
    if (dueMs >= lookMs) return;
    cancel();
    lookMs = dueMs;
    cancel = clock.after(dueMs - clock.monoMs(), look);
  };
  return { until, stop: () => cancel() };
}

/** Why what came is no answer to our question, else undefined. */
function distrusted(answer: DecodedAnswer, length: number, where: string): Fault | undefined {
  switch (answer.kind) {
    case 'wait':
      return length > FRAME_MAX_BYTES ? new Fault('MODBUS_FRAME', `${where}: no end`) : undefined;
    case 'drop':
      return new Fault(
        answer.reason === 'frame' ? 'MODBUS_FRAME' : 'MODBUS_DESYNC',
        `${where}: ${answer.detail}`,
      );
    default:
      // Nothing in an RTU frame says which of two answers is ours, and nothing in a TCP frame which bytes are its own.
      return length > answer.consumed
        ? new Fault('MODBUS_DESYNC', `${where}: more than one answer`)
        : undefined;
  }
}

function closedBy(where: string, fault: Error | undefined): Fault {
  return fault ? asFault(fault, 'NET_RESET') : new Fault('NET_RESET', `${where}: closed by the device`);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}

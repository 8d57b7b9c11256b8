import type { Clock, Connection, Net } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import type { ReadRequest } from '../protocols/modbus/frame.ts';
import { decodeRequest } from '../protocols/modbus/serve.ts';
import { memorySerial } from './memory-serial.ts';
import type { MemorySerialPort } from './memory-serial.ts';
import { drawReply } from './modbus-faults.ts';
import type { Drawing, FaultClass } from './modbus-faults.ts';

/** The reader's end, as the device sees it. */
interface ReaderEnd {
  readonly isOpen: boolean;
  give(bytes: Uint8Array): void;
  end(how: 'RST' | 'FIN'): void;
}

const OPEN_MS = 0.3;
const NOTHING = new Uint8Array(0);

/** One device behind one wire, in virtual time, that answers as the drawing says. */
export class MeterWire {
  /** The faults of the questions since this was last emptied. */
  readonly struck: FaultClass[] = [];
  readonly injected = new Map<FaultClass, number>();
  /** How often the reader threw at what it got. On a real socket each would have ended the process. */
  crashes = 0;
  /** How many answers the reader waits for at the moment. */
  waiting = 0;
  readonly #drawing: Drawing;
  readonly #clock: Clock;
  #reader: ReaderEnd | undefined;
  #held: Uint8Array = NOTHING;
  /** Bytes that came to a serial port while nobody had it open. */
  #kept: Uint8Array[] = [];
  readonly #late: (() => void)[] = [];
  readonly #after256 = new Map<number, () => void>();
  #busyUntilMs = 0;

  constructor(drawing: Drawing, clock: Clock) {
    this.#drawing = drawing;
    this.#clock = clock;
  }

  /** For `tcp` and `rtu`. */
  readonly net: Net = {
    open: () =>
      new Promise((resolve) => {
        this.#clock.after(OPEN_MS, () => resolve(this.#connect()));
      }),
    exchange: () => Promise.reject(new Fault('INTERNAL', 'not for lines')),
  };

  /** For `serial`. */
  readonly serial = memorySerial({
    opened: (port) => this.#plug(port),
    written: (bytes) => this.#take(bytes),
    closed: () => undefined,
  });

  /** A reader that has bytes of its own to hear and a hand to hang up with, in place of `net`. */
  attach(reader: ReaderEnd): void {
    this.#reader = reader;
    this.#held = NOTHING;
  }

  /** Bytes of an attached reader. */
  write(bytes: Uint8Array): void {
    this.#take(bytes);
  }

  /** The reader has done with what it asked: now is late. */
  gaveUp(): void {
    for (const send of this.#late.splice(0)) send();
  }

  #connect(): Connection {
    let open = true;
    const connection: Connection = {
      onData: () => undefined,
      onClose: () => undefined,
      write: (bytes) => {
        if (open) this.#take(bytes);
      },
      destroy: () => {
        open = false;
      },
    };
    this.attach({
      get isOpen() {
        return open;
      },
      give: (bytes) => connection.onData(bytes),
      end: (how) => {
        open = false;
        connection.onClose(how === 'RST' ? new Fault('NET_RESET', 'reset') : undefined);
      },
    });
    return connection;
  }

  #plug(port: MemorySerialPort): void {
    this.attach({
      get isOpen() {
        return port.isOpen;
      },
      give: (bytes) => port.give(bytes),
      end: (how) => port.end(how === 'RST' ? 'unplugged' : 'silent'),
    });
    for (const bytes of this.#kept.splice(0)) port.give(bytes);
  }

  /** A TCP device answers on the connection that asked, a device on a bus whoever listens by then. */
  #give(bytes: Uint8Array, asker: ReaderEnd | undefined): void {
    const listener = this.#drawing.wire === 'tcp' ? asker : this.#reader;
    if (listener?.isOpen === true) this.#guarded(() => listener.give(Uint8Array.from(bytes)));
    // Some systems keep what comes while a port is closed, others do not.
    else if (this.#drawing.wire === 'serial' && this.#drawing.random.next() < 0.5) this.#kept.push(bytes);
  }

  #guarded(act: () => void): void {
    try {
      act();
    } catch {
      this.crashes += 1;
    }
  }

  #take(bytes: Uint8Array): void {
    const framing = this.#drawing.wire === 'tcp' ? 'tcp' : 'rtu';
    this.#held = this.#held.length === 0 ? bytes : Uint8Array.from([...this.#held, ...bytes]);
    for (;;) {
      const decoded = decodeRequest(framing, this.#held);
      if (decoded.kind === 'wait') return;
      if (decoded.kind !== 'request' || decoded.request.kind !== 'read')
        throw new Fault('INTERNAL', `the reader asked ${Buffer.from(this.#held).toString('hex')}`);
      this.#held = this.#held.subarray(decoded.consumed);
      this.#answer(decoded.request, decoded.transaction);
    }
  }

  #answer(request: ReadRequest, transaction: number): void {
    const { truth } = this.#drawing;
    const n = truth.ask(request);
    const reply = drawReply(this.#drawing, { request, transaction, n, alone: this.waiting <= 1 });
    this.struck.push(...reply.faults);
    for (const fault of reply.faults) this.injected.set(fault, (this.injected.get(fault) ?? 0) + 1);
    const asker = this.#reader;
    this.#after256.get(n)?.();
    this.#after256.delete(n);
    const { after256, late, busyMs = 0, end } = reply;
    if (after256) this.#after256.set(n + 256, () => this.#give(after256, asker));
    if (late) this.#late.push(() => this.#clock.after(late.afterMs, () => this.#give(late.bytes, asker)));
    const nowMs = this.#clock.monoMs();
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs + busyMs);
    const waitMs = this.#busyUntilMs - nowMs;
    // What is held up stays in order.
    const lastMs = Math.max(0, ...reply.parts.map(({ afterMs }) => afterMs));
    if (waitMs > 0) this.#busyUntilMs += lastMs;
    for (const { afterMs, bytes } of reply.parts) {
      // An answer that is not late is broken off with its connection.
      const send = (): void => {
        if (waitMs > 0 || asker?.isOpen === true) this.#give(bytes, asker);
      };
      this.#clock.after(waitMs + afterMs, send);
    }
    if (end)
      this.#clock.after(waitMs + end.afterMs, () => {
        if (asker?.isOpen === true) this.#guarded(() => asker.end(end.how));
      });
  }
}

import { Fault } from '../protocols/faults.ts';
import type { ReadRequest, WriteRequest } from '../protocols/modbus/frame.ts';
import type { ReadCost } from './line-cost.ts';
import { OwnedLine } from './line-owner.ts';
import type { LineDeps } from './line-owner.ts';
import type { Urgency } from './line-queue.ts';

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

/** `deadlineMs`: on the monotonic clock, queueing and connecting included. `urgency`: `fast` when absent. */
export type LineRead = Omit<ReadRequest, 'kind'> & {
  readonly deadlineMs: number;
  readonly urgency?: Urgency;
};
export type LineWrite = Omit<WriteRequest, 'kind'> & { readonly deadlineMs: number };

/** One host:port or serial port, shared by all units behind it. Rejects with Faults NET_*, MODBUS_*, ANSWER_PARTIAL, QUEUE_FULL. */
export interface Line {
  /** Where it ends: `host:port`, or the path of its port. */
  readonly name: string;
  read(request: LineRead): Promise<LineAnswer>;
  /** Resolves when the device confirmed the write. A write is never repeated by itself. */
  write(request: LineWrite): Promise<void>;
  /** What reads of this unit take, as learnt from its answers so far. */
  costOf(unit: number): ReadCost;
  /** Calls `fn` when an open connection breaks that nobody was asking on. The result ends it. */
  onLost(fn: () => void): () => void;
}

/** The owners of all Modbus lines of a process. */
export interface Lines {
  /** The line of this target, made at the first call. Throws TARGET_INVALID when the same port is in use with other settings. */
  line(target: LineTarget): Line;
  close(): void;
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

import type { Clock, Connection, Net } from '../../../host/deps.ts';
import type { StreamDevice } from '../../../simulator/device.ts';
import { Fault } from '../../../protocols/faults.ts';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly fn: () => void;
}

/** Time that passes only when nothing else is left to do. */
export interface VirtualTime extends Clock {
  /** Runs until `promise` settles; fails when it never can. */
  settle<T>(promise: Promise<T>): Promise<T>;
  advance(ms: number): Promise<void>;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function virtualTime(): VirtualTime {
  let nowMs = 1_000;
  let order = 0;
  let timers: Timer[] = [];
  const step = (untilMs: number): boolean => {
    const [next] = timers.toSorted((a, b) => a.atMs - b.atMs || a.order - b.order);
    if (!next || next.atMs > untilMs) return false;
    timers = timers.filter((timer) => timer !== next);
    nowMs = Math.max(nowMs, next.atMs);
    next.fn();
    return true;
  };
  return {
    wallMs: () => nowMs + 1_700_000_000_000,
    monoMs: () => nowMs,
    after: (delayMs, fn) => {
      const timer = { atMs: nowMs + Math.max(0, delayMs), order: (order += 1), fn };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    settle: async (promise) => {
      let done = false;
      const end = (): void => {
        done = true;
      };
      promise.then(end, end);
      for (;;) {
        await turn();
        if (done) return promise;
        if (!step(Infinity)) throw new Error('hangs: nothing left to wait for');
      }
    },
    advance: async (ms) => {
      const untilMs = nowMs + ms;
      do await turn();
      while (step(untilMs));
      nowMs = untilMs;
    },
  };
}

/** The device's end of a connection. */
export interface PeerEnd {
  send(bytes: Uint8Array, afterMs?: number): void;
  fin(): void;
  reset(): void;
  readonly open: boolean;
}

/** What a peer does with bytes that came; `all` holds what it has not taken yet. */
export type Peer = (all: Uint8Array, end: PeerEnd) => number;

export interface MemoryNet extends Net {
  readonly opened: number;
  /** Connections fail with this while it is set. */
  refuse: Fault | undefined;
  /** The newest connection's end. */
  readonly last: PeerEnd | undefined;
}

/** A network with one peer behind every address. */
export function memoryNet(clock: Clock, peer: Peer): MemoryNet {
  let opened = 0;
  let last: PeerEnd | undefined;
  const net: MemoryNet = {
    refuse: undefined,
    get opened() {
      return opened;
    },
    get last() {
      return last;
    },
    open: async () => {
      opened += 1;
      if (net.refuse) throw net.refuse;
      let open = true;
      let held: Uint8Array = new Uint8Array(0);
      const connection: Connection = {
        onData: () => undefined,
        onClose: () => undefined,
        write: (bytes) => {
          if (!open) return;
          held = Uint8Array.from([...held, ...bytes]);
          held = held.slice(peer(held, end));
        },
        destroy: () => {
          open = false;
        },
      };
      const shut = (fault?: Fault): void => {
        if (!open) return;
        open = false;
        connection.onClose(fault);
      };
      const end: PeerEnd = {
        get open() {
          return open;
        },
        send: (bytes, afterMs = 1) => {
          clock.after(afterMs, () => open && connection.onData(bytes));
        },
        fin: () => clock.after(0, () => shut()),
        reset: () => clock.after(0, () => shut(new Fault('NET_RESET', 'reset'))),
      };
      last = end;
      return connection;
    },
    exchange: () => Promise.reject(new Fault('INTERNAL', 'not for lines')),
  };
  return net;
}

/** A peer that is a simulated device. */
export function devicePeer(device: StreamDevice, clock: Clock): Peer {
  return (all, end) => {
    const answer = device.respond(all, clock.monoMs());
    if (answer.kind === 'wait') return 0;
    if (answer.kind === 'reset') end.reset();
    if (answer.kind !== 'bytes') return all.length;
    end.send(answer.bytes, answer.afterMs);
    return answer.consumed ?? all.length;
  };
}

import type { Clock, Endpoint, Net } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';

const TICK_MS = 200;
/** Each silent device is knocked at this often, while all of them together are not more than the rate allows. */
const EVERY_MS = 4_000;
/** All devices are looked through once in this time, so that a look at so many that answer costs little. */
const LOOKED_THROUGH_MS = 2_000;
const LOOKS_LEAST = 64;
/** A whole rack row that is off the network must not become a flood: at most so many connects a second. */
const MOST_PER_S = 100;
const TIMEOUT_MS = 1_500;

/** What is known of a device's door: nothing answers, its host is there and refuses, or it opens. */
const DOORS = ['none', 'refused', 'open'] as const;
type Door = (typeof DOORS)[number];

export interface KnockOptions {
  readonly clock: Clock;
  readonly net: Net;
  readonly count: number;
  /** Where to knock at a device that is silent now; undefined: it is not, or has no door. */
  readonly doorOf: (index: number) => Endpoint | undefined;
  /** Something answers where nothing did. */
  readonly onAnswer: (index: number) => void;
}

interface Knocked {
  atMs: number;
  door: Door | undefined;
  waiting: boolean;
}

/**
 * Finds silent devices as soon as they are back: their polls back off, a connect costs next to nothing. What answered
 * already when it fell silent (a device that hangs) is left to the back-off.
 */
export function startKnocking(options: KnockOptions): { stop(): void } {
  const { clock, net, count, doorOf, onAnswer } = options;
  const known = new Map<number, Knocked>();
  let stopped = false;
  let cursor = 0;
  const knock = async (index: number, door: Endpoint, knocked: Knocked): Promise<void> => {
    const found = await tryDoor(net, door);
    knocked.waiting = false;
    const before = knocked.door;
    knocked.door = found;
    if (stopped || known.get(index) !== knocked || before === undefined) return;
    if (DOORS.indexOf(found) > DOORS.indexOf(before)) onAnswer(index);
  };
  const round = (): void => {
    cancel = clock.after(TICK_MS, round);
    const nowMs = clock.monoMs();
    let left = (MOST_PER_S * TICK_MS) / 1_000;
    const looks = Math.min(count, Math.max(LOOKS_LEAST, Math.ceil((count * TICK_MS) / LOOKED_THROUGH_MS)));
    for (let step = 0; step < looks && left > 0; step++) {
      const index = cursor;
      cursor = (cursor + 1) % count;
      const door = doorOf(index);
      if (door === undefined) {
        if (known.size > 0) known.delete(index);
        continue;
      }
      const knocked = known.get(index) ?? { atMs: -Infinity, door: undefined, waiting: false };
      known.set(index, knocked);
      if (knocked.waiting || nowMs - knocked.atMs < EVERY_MS) continue;
      knocked.atMs = nowMs;
      knocked.waiting = true;
      left--;
      void knock(index, door, knocked);
    }
  };
  let cancel = clock.after(TICK_MS, round);
  return {
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}

async function tryDoor(net: Net, door: Endpoint): Promise<Door> {
  try {
    const connection = await net.open(door, { timeoutMs: TIMEOUT_MS });
    connection.onData = () => undefined;
    connection.onClose = () => undefined;
    connection.destroy();
    return 'open';
  } catch (error) {
    const { code } = asFault(error, 'NET_TIMEOUT');
    return code === 'NET_TIMEOUT' || code === 'NET_UNREACHABLE' ? 'none' : 'refused';
  }
}

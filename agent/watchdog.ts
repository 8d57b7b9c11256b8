import type { Clock } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { Alarms } from './alarms.ts';
import { isAlive } from './core/alive.ts';
import type { AliveState } from './core/alive.ts';
import type { ModbusOutput } from './drivers/modbus-io.ts';
import { isOff } from './machine.ts';
import { meterW } from './plant.ts';
import type { Plant } from './plant.ts';

/** Writes that fail in a row before it is said. */
const FAILED_AFTER = 3;

export interface WatchdogOptions {
  readonly agent: string;
  readonly clock: Clock;
  readonly alarms: Alarms;
  readonly plant: Plant;
  /** False until the disk has been read. */
  readonly ready: () => boolean;
  readonly config: { readonly kind: 'coil' | 'holding'; readonly periodMs: number; readonly graceS: number };
  /** Throws what is wrong with its target. */
  readonly open: () => ModbusOutput;
}

/** The hardware watchdog: an output that moves only while this agent really controls. */
export interface Watchdog {
  /** The main loop turned. */
  tick(): void;
  stop(): void;
}

/** Toggles a coil or counts a register up; stands still when the agent cannot do its work, and when the box is dead. */
export function startWatchdog(options: WatchdogOptions): Watchdog {
  const { agent, clock, alarms, plant, config } = options;
  const state: AliveState = { goodMs: undefined };
  let loopMs = Number.NEGATIVE_INFINITY;
  let stopped = false;
  let value = 0;
  let failures = 0;
  let output: ModbusOutput;
  try {
    output = options.open();
  } catch (error) {
    alarms.raise('TARGET_INVALID', `${agent} watchdog`, asFault(error).message.slice(0, 300));
    return { tick: () => undefined, stop: () => undefined };
  }
  const alive = (nowMs: number): boolean => {
    const nodes = plant.nodes
      .filter(({ guard, slice }) => guard !== undefined && slice === undefined)
      .map((node) => ({
        metered: meterW(node, nowMs) !== undefined,
        answering: node.machines.filter(({ reachable }) => reachable).length,
        expected: node.machines.filter((machine) => !isOff(machine)).length,
      }));
    return options.ready() && isAlive(state, loopMs, nodes, config.graceS * 1_000, nowMs);
  };
  const move = async (): Promise<void> => {
    value = config.kind === 'coil' ? 1 - value : (value + 1) % 0x1_0000;
    try {
      await output.write(value, Math.max(200, config.periodMs));
      failures = 0;
      alarms.clear('WATCHDOG_FAILED', agent, 'the watchdog output is written again');
    } catch (error) {
      failures += 1;
      if (failures >= FAILED_AFTER)
        alarms.raise('WATCHDOG_FAILED', agent, asFault(error).message.slice(0, 300));
    }
  };
  const beat = async (): Promise<void> => {
    const beganMs = clock.monoMs();
    if (alive(beganMs)) {
      alarms.clear('WATCHDOG_STANDS', agent, 'the watchdog output moves again');
      await move();
    } else if (state.goodMs !== undefined)
      alarms.raise(
        'WATCHDOG_STANDS',
        agent,
        'neither its meters nor its machines tell what a guarded node draws',
      );
    if (!stopped) clock.after(Math.max(50, config.periodMs - (clock.monoMs() - beganMs)), () => void beat());
  };
  void beat();
  return {
    tick: () => {
      loopMs = clock.monoMs();
    },
    stop: () => {
      stopped = true;
    },
  };
}

import type { Loop } from '../config/schema/plant.ts';
import type { Clock } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { Alarms } from './alarms.ts';
import type { RackOrders } from './core/desired.ts';
import type { Sample } from './core/permissive.ts';
import { demandOf, makeLoop, mayNeedWater } from './core/run-on.ts';
import type { Demand } from './core/run-on.ts';
import type { ModbusOutput } from './drivers/modbus-io.ts';
import { isOff, reachingW } from './machine.ts';
import type { Machine } from './machine.ts';
import type { Plant } from './plant.ts';

/** Writes that fail in a row before it is said. */
const FAILED_AFTER = 3;

export interface PumpOptions {
  readonly clock: Clock;
  readonly alarms: Alarms;
  readonly plant: Pick<Plant, 'nodes'>;
  readonly orders: readonly RackOrders[];
  readonly config: Loop;
  readonly sample: (point: string) => Sample | undefined;
  /** Throws what is wrong with its target. */
  readonly open: () => ModbusOutput;
}

/** The output that demands the pump of one water loop. */
export interface Pump {
  readonly loop: string;
  /** True while the pump is demanded. */
  readonly on: boolean;
  /** Looks at the machines and the frost. */
  tick(): void;
  /** Writes no more; what was written last stays. */
  stop(): void;
}

/**
 * Writes the demand every period, changed or not: a PLC that has heard nothing for a while knows that nobody looks
 * after the loop any more, and runs its pump by itself.
 */
export function startPump(options: PumpOptions): Pump {
  const { clock, alarms, plant, config } = options;
  const { id, node, runOnS, freezeBelowC, hysteresisC, unknownS, periodMs } = config;
  const times = { runOnMs: runOnS * 1_000, unknownMs: unknownS * 1_000 };
  const state = makeLoop(clock.monoMs());
  const machines = plant.nodes.find((one) => one.id === node)?.machines ?? [];
  let demand: Demand = 'run-on';
  let failures = 0;
  let stopped = false;
  /** Until it is written again; undefined while a write is under way. */
  let waiting: (() => void) | undefined;
  let written = false;
  const tick = (): void => {
    const nowMs = clock.monoMs();
    const mayWork = machines.some((machine) => needsIt(machine, options.orders, nowMs));
    const temperature = config.temperature === undefined ? undefined : options.sample(config.temperature);
    demand = demandOf({ ...times, freezeBelowC, hysteresisC }, state, mayWork, temperature, nowMs);
    if (waiting !== undefined && written !== pump.on) {
      waiting();
      void write();
    }
  };
  const pump = {
    loop: id,
    get on() {
      return demand !== 'none';
    },
    tick,
    stop: () => {
      stopped = true;
      waiting?.();
    },
  };
  let output: ModbusOutput;
  try {
    output = options.open();
  } catch (error) {
    alarms.raise('TARGET_INVALID', id, asFault(error).message.slice(0, 300));
    // Nobody has put it to rest: whoever watches it looks on.
    return { loop: id, on: true, tick: () => undefined, stop: () => undefined };
  }
  const write = async (): Promise<void> => {
    const beganMs = clock.monoMs();
    waiting = undefined;
    written = pump.on;
    try {
      await output.write(written ? 1 : 0, Math.max(200, periodMs));
      failures = 0;
      alarms.clear('PUMP_FAILED', id, `the pump of ${node} is demanded again as it must be`);
    } catch (error) {
      failures += 1;
      if (failures >= FAILED_AFTER)
        alarms.raise('PUMP_FAILED', id, `pump of ${node}: ${asFault(error).message}`.slice(0, 300));
    }
    if (!stopped)
      waiting = clock.after(Math.max(50, periodMs - (clock.monoMs() - beganMs)), () => void write());
  };
  void write();
  return pump;
}

/** The pump comes before the machine. */
const needsIt = (machine: Machine, orders: readonly RackOrders[], nowMs: number): boolean =>
  mayNeedWater({
    model: machine.config.model,
    wanted: orders[machine.rack]?.current?.machines[machine.config.id]?.mode,
    mode: machine.mode,
    powerW: machine.powerW,
    reachingW: reachingW(machine, nowMs),
    isOff: isOff(machine),
  });

import { openModbusInputs, openModbusOutput } from './drivers/modbus-io.ts';
import type { DeviceIo, Target } from './driver.ts';
import { makePermits } from './permits.ts';
import type { Permits, PermitsOptions } from './permits.ts';
import { startWatchdog } from './watchdog.ts';

export interface PlantIoOptions extends Omit<PermitsOptions, 'openInputs'> {
  readonly io: Pick<DeviceIo, 'clock' | 'lines'>;
  /** A target from its URL; throws TARGET_INVALID. */
  readonly target: (url: string) => Target;
  /** False until the disk has said what must not be forgotten. */
  readonly ready: () => boolean;
}

/** All that the agent reads and writes on the plant's PLCs. */
export type PlantIo = Permits;

export function startPlantIo(options: PlantIoOptions): PlantIo {
  const { site, agent, io, target } = options;
  const permits = makePermits({
    ...options,
    openInputs: (url, points) => openModbusInputs(target(url), points, io),
  });
  const watchdogs = site.config.plant.watchdogs
    .filter((one) => (one.agent ?? site.agents[0]) === agent)
    .map((config) =>
      startWatchdog({ ...options, config, open: () => openModbusOutput(target(config.target), config, io) }),
    );
  return {
    get known() {
      return permits.known;
    },
    tick: () => {
      permits.tick();
      for (const watchdog of watchdogs) watchdog.tick();
    },
    inhibitions: () => permits.inhibitions(),
    permit: (name) => permits.permit(name),
    stop: () => {
      permits.stop();
      for (const watchdog of watchdogs) watchdog.stop();
    },
  };
}

import { openModbusInputs, openModbusOutput } from './drivers/modbus-io.ts';
import type { DeviceIo, Target } from './driver.ts';
import { makeOutlets } from './outlets.ts';
import type { Outlets, OutletsOptions } from './outlets.ts';
import { makePermits } from './permits.ts';
import type { Permits, PermitsOptions } from './permits.ts';
import { startPump } from './pumps.ts';
import type { Pump } from './pumps.ts';
import { startWatchdog } from './watchdog.ts';

export interface PlantIoOptions
  extends
    Omit<PermitsOptions, 'openInputs' | 'control' | 'demanded'>,
    Omit<OutletsOptions, 'openInputs' | 'openOutput'> {
  readonly io: Pick<DeviceIo, 'clock' | 'lines'>;
  /** A target from its URL; throws TARGET_INVALID. */
  readonly target: (url: string) => Target;
}

/** All that the agent reads and writes on the plant's PLCs. */
export interface PlantIo extends Pick<Permits, 'known' | 'tick' | 'permit' | 'stop'> {
  /** What is held back and what is open at this moment: as the heartbeat says it. */
  status(): ReturnType<Permits['inhibitions']> & ReturnType<Outlets['status']>;
}

export function startPlantIo(options: PlantIoOptions): PlantIo {
  const { site, agent, io, target } = options;
  const openInputs: PermitsOptions['openInputs'] = (url, points) => openModbusInputs(target(url), points, io);
  const pumps: Pump[] = [];
  const permits = makePermits({
    ...options,
    demanded: (loop) => pumps.find((pump) => pump.loop === loop)?.on ?? true,
    openInputs,
  });
  const outlets = makeOutlets({
    ...options,
    openInputs,
    openOutput: (outlet) => openModbusOutput(target(outlet.target), outlet, io),
  });
  // Where nothing may be commanded, nothing is written either, and a pump is whatever it is.
  const isCommanded = (loop: string): boolean =>
    options.plant.nodes.some(
      ({ id, machines }) => id === loop && machines.some(({ config }) => config.authority === 'automatic'),
    );
  for (const config of site.config.plant.loops.filter(({ node }) => isCommanded(node)))
    pumps.push(
      startPump({
        ...options,
        config,
        sample: (point) => permits.sample(point),
        open: () => openModbusOutput(target(config.target), { kind: 'coil', address: config.address }, io),
      }),
    );
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
      for (const pump of pumps) pump.tick();
      permits.tick();
      outlets.tick();
      for (const watchdog of watchdogs) watchdog.tick();
    },
    status: () => ({ ...permits.inhibitions(), ...outlets.status() }),
    permit: (trip) => permits.permit(trip),
    stop: () => {
      permits.stop();
      outlets.stop();
      for (const pump of pumps) pump.stop();
      for (const watchdog of watchdogs) watchdog.stop();
    },
  };
}

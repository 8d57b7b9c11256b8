import { modbusMeter } from '../../../../agent/drivers/modbus-meter.ts';
import type { Device, DeviceIo, Target } from '../../../../agent/driver.ts';
import { makeLines } from '../../../../host/line.ts';
import { seededRandom } from '../../../../host/random.ts';
import { numberOf } from '../../../../protocols/reading.ts';
import type { Readings } from '../../../../protocols/reading.ts';
import { makeMeter } from '../../../../simulator/devices/meter.ts';
import type { SimulatedMeter } from '../../../../simulator/devices/meter.ts';
import type { MeterLayout, MeterLayoutId } from '../../../../simulator/devices/meter-layouts.ts';
import type { StreamDevice } from '../../../../simulator/device.ts';
import { devicePeer, memoryNet, virtualTime } from '../../host/virtual-net.ts';
import type { VirtualTime } from '../../host/virtual-net.ts';

const silentLog = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};

export function targetOf(options: Record<string, string>): Target {
  const query = new URLSearchParams(options).toString();
  return {
    url: `modbus://meter:502/3?${query}`,
    scheme: 'modbus',
    host: 'meter',
    port: 502,
    user: undefined,
    password: undefined,
    path: '3',
    options,
  };
}

export function ioOver(time: VirtualTime, device: StreamDevice): { io: DeviceIo; asked: () => number } {
  let asked = 0;
  const counted = devicePeer(device, time);
  const net = memoryNet(time, (all, end) => {
    asked += 1;
    return counted(all, end);
  });
  const random = seededRandom(5);
  const absent = { request: () => Promise.reject(new Error()), open: () => Promise.reject(new Error()) };
  const lines = makeLines({ net, clock: time, random });
  return {
    io: { clock: time, random, net, lines, http: absent, remote: absent, log: silentLog },
    asked: () => asked,
  };
}

export interface Bench {
  readonly time: VirtualTime;
  readonly meter: SimulatedMeter;
  readonly device: Device;
  readonly asked: () => number;
  readonly read: (scope: 'fast' | 'full', timeoutMs?: number) => Promise<Readings>;
}

export function bench(
  layout: MeterLayoutId | MeterLayout,
  profile: string,
  options: Record<string, string> = {},
  powerW = 90_000,
): Bench {
  const time = virtualTime();
  const meter = makeMeter({ unit: 3, layout, powerW: () => powerW, random: seededRandom(1) });
  const { io, asked } = ioOver(time, meter);
  const device = modbusMeter.open(targetOf({ profile, ...options }), io);
  return {
    time,
    meter,
    device,
    asked,
    read: (scope, timeoutMs = 4_000) => time.settle(device.read(scope, timeoutMs)),
  };
}

export const FAMILIES: readonly (readonly [MeterLayoutId, string])[] = [
  ['pm5xxx', 'schneider-pm5xxx'],
  ['sdm630', 'eastron-sdm630'],
  ['b2x', 'abb-b2x'],
  ['pac2200', 'siemens-pac2200'],
];

export const value = (readings: Readings, q: string): number => numberOf(readings[q]) ?? Number.NaN;

/** What the bench's meter and PLC hang on. */
import { makeLines } from '../../../host/line.ts';
import type { Lines } from '../../../host/line.ts';
import { seededRandom } from '../../../host/random.ts';
import type { VirtualClock } from '../../../proof/virtual-clock.ts';
import type { Reading, Readings } from '../../../protocols/reading.ts';
import type { SimulatedEndpoint } from '../../../simulator/device.ts';
import type { SimulatedPlc } from '../../../simulator/devices/plc.ts';
import { makeMemoryFront } from '../../../simulator/fronts/memory.ts';

/** Modbus lines that reach one PLC, or nothing. */
export function linesTo(plc: SimulatedPlc | undefined, clock: VirtualClock): Lines {
  const random = seededRandom(8);
  const endpoints: SimulatedEndpoint[] =
    plc === undefined ? [] : [{ host: '127.0.0.1', port: 502, kind: 'stream', device: plc }];
  const { net } = makeMemoryFront({ endpoints, clock, random });
  return makeLines({ net, clock, random });
}

/** 230 V on three phases, the first of them fuller or emptier than the others. */
export function threePhases(
  { powerFactor, firstPhase }: { readonly powerFactor: number; readonly firstPhase: number },
  powerW: number,
  atMs: number,
): Readings {
  const good = (value: number, unit: 'V' | 'A'): Reading => ({
    ok: true,
    value,
    unit,
    quality: 'good',
    atMs,
  });
  const meanA = powerW / powerFactor / 3 / 230;
  const otherA = (meanA * (3 - firstPhase)) / 2;
  return {
    'voltage.L1N': good(230, 'V'),
    'voltage.L2N': good(230, 'V'),
    'voltage.L3N': good(230, 'V'),
    'current.L1': good(meanA * firstPhase, 'A'),
    'current.L2': good(otherA, 'A'),
    'current.L3': good(otherA, 'A'),
  };
}

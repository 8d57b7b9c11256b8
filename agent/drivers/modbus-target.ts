import type { LineTarget } from '../../host/line.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Target } from '../driver.ts';

const SCHEMES = { modbus: 'tcp', 'modbus+rtu': 'rtu' } as const;
const MODBUS_PORT = 502;
const PARITIES = ['none', 'even', 'odd'] as const;

/** The line and unit that a `modbus`, `modbus+rtu` or `modbus+serial` target names. Throws TARGET_INVALID. */
export function modbusTarget(target: Target): { readonly line: LineTarget; readonly unit: number } {
  if (target.scheme === 'modbus+serial') return serialTarget(target);
  if (target.scheme !== 'modbus' && target.scheme !== 'modbus+rtu') {
    throw new Fault('TARGET_INVALID', `${target.url}: not a Modbus target`);
  }
  if (target.host === '') throw new Fault('TARGET_INVALID', `${target.url}: no host`);
  const port = target.port ?? MODBUS_PORT;
  return {
    line: { framing: SCHEMES[target.scheme], host: target.host, port },
    unit: unitOf(target, target.path),
  };
}

/** `modbus+serial:///dev/ttyUSB0/unit`: the last segment is the unit, what stands before it the device. */
function serialTarget(target: Target): { readonly line: LineTarget; readonly unit: number } {
  const path = /^[^:]+:(?:\/\/)?(\/[^?#]*)/.exec(target.url)?.[1] ?? '';
  const cut = path.lastIndexOf('/');
  const device = decodeURI(path.slice(0, Math.max(0, cut)));
  if (device === '') throw new Fault('TARGET_INVALID', `${target.url}: no serial device and unit`);
  const { baud = '9600', parity = 'none', stopBits = '1' } = target.options;
  const rate = Number(baud);
  if (!Number.isInteger(rate) || rate < 300 || rate > 1_000_000) {
    throw new Fault('TARGET_INVALID', `${target.url}: baud=${baud} is not 300 to 1000000`);
  }
  const known = PARITIES.find((name) => name === parity);
  if (!known) throw new Fault('TARGET_INVALID', `${target.url}: parity is none, even or odd`);
  if (stopBits !== '1' && stopBits !== '2')
    throw new Fault('TARGET_INVALID', `${target.url}: stopBits is 1 or 2`);
  return {
    line: { framing: 'serial', path: device, baud: rate, parity: known, stopBits: stopBits === '1' ? 1 : 2 },
    unit: unitOf(target, path.slice(cut + 1)),
  };
}

function unitOf(target: Target, text: string): number {
  const unit = text === '' ? 1 : Number(text);
  // 0 is the broadcast: nobody answers it.
  if (!/^\d*$/.test(text) || unit < 1 || unit > 255) {
    throw new Fault('TARGET_INVALID', `${target.url}: the unit is 1 to 255`);
  }
  return unit;
}

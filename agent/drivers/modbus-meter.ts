/**
 * Power meters over Modbus, by register map (`config/meters`). Verified against independent Modbus servers and masters
 * on the wire; the maps come from documents and published sources, not from hardware here.
 */
import { outletAt, profilesOf } from '../../config/meters.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Driver, Target } from '../driver.ts';
import { MappedMeter } from './modbus-mapped.ts';
import { PduOutlet } from './modbus-outlet.ts';
import { SunspecMeter } from './modbus-sunspec.ts';
import { modbusTarget } from './modbus-target.ts';

const OPTIONS = ['profile', 'channel', 'invert', 'frozenS', 'baud', 'parity', 'stopBits'];

/**
 * Meters of the profile named in the target:
 * `modbus://host:port/unit?profile=ID[&channel=3][&invert=1][&frozenS=10]`. Values that stand still under load are
 * uncertain: by this meter's habits, or after `frozenS`; 0 lets them stand.
 */
export const modbusMeter: Driver = {
  name: 'modbus-meter',
  schemes: ['modbus', 'modbus+rtu', 'modbus+serial'],
  open: (target, io) => {
    const { line, unit } = modbusTarget(target);
    const { profile: id, invert = '0', frozenS } = target.options;
    const refuse = (detail: string): Fault => new Fault('TARGET_INVALID', `${target.url}: ${detail}`);
    const unknown = Object.keys(target.options).find((name) => !OPTIONS.includes(name));
    if (unknown !== undefined) throw refuse(`option ${unknown} is unknown`);
    if (id === undefined) throw refuse('?profile= names the register map');
    if (invert !== '0' && invert !== '1') throw refuse('invert is 0 or 1');
    const frozenMs = frozenS === undefined ? undefined : Number(frozenS) * 1_000;
    if (frozenMs !== undefined && !(frozenMs >= 0 && frozenMs <= 86_400_000))
      throw refuse('frozenS is 0 to 86400');
    const profiles = profilesOf(id);
    const [first] = profiles;
    if (!first) throw refuse('no SunSpec profile');
    if (first.template === true)
      throw refuse(
        `profile ${id} is a template: its map can be changed in the meter, write your own from it`,
      );
    const place = { target, unit, line: io.lines.line(line), io };
    const channel = channelOf(target, Math.max(first.channels?.count ?? 0, first.outlets?.count ?? 0));
    const meter = { ...place, channel, inverted: invert === '1', frozenMs };
    if (first.sunspecModel === undefined) {
      const mapped = new MappedMeter({ ...meter, profile: first, furtherBy: 0 });
      const { outlets } = first;
      return outlets === undefined || channel === undefined || channel > outlets.count
        ? mapped
        : new PduOutlet(mapped, place, outletAt(outlets, channel));
    }
    return new SunspecMeter(
      place,
      profiles,
      (profile, furtherBy) => new MappedMeter({ ...meter, profile, furtherBy }),
    );
  },
};

/** The channel that is meant; undefined: all of them. */
function channelOf(target: Target, count: number): number | undefined {
  const { channel } = target.options;
  if (channel === undefined) return undefined;
  const number = Number(channel);
  if (!Number.isInteger(number) || number < 1 || number > count) {
    const there = count === 0 ? 'this profile has no channels' : `channel is 1 to ${count}`;
    throw new Fault('TARGET_INVALID', `${target.url}: ${there}`);
  }
  return number;
}

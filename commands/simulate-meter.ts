import { parseArgs } from 'node:util';

import { meterProfile } from '../config/meters.ts';
import type { MeterProfile } from '../config/schema/profile.ts';
import { realClock } from '../host/clock.ts';
import type { Random } from '../host/deps.ts';
import { seededRandom } from '../host/random.ts';
import { Fault } from '../protocols/faults.ts';
import type { Framing } from '../protocols/modbus/frame.ts';
import { makeMeter, METER_FAULTS } from '../simulator/devices/meter.ts';
import type { MeterFault } from '../simulator/devices/meter.ts';
import { makeModbusLine } from '../simulator/devices/modbus-line.ts';
import { layoutFor } from '../simulator/devices/profile-layout.ts';
import { isPlayable, WIRE_FAULTS } from '../simulator/devices/wire-faults.ts';
import type { WireFault } from '../simulator/devices/wire-faults.ts';
import { serveEndpoints } from '../simulator/fronts/socket.ts';
import { numberOf, told } from './simulate-options.ts';

const help = `Usage: ./switchyard simulate meter --profile ID [--port N] [--units N] [--kw KW] [--framing tcp|rtu] [--baud N]
                                    [--turnaround MS] [--fault KIND] [--share S] [--seed N] [--json]

Serves meters of one register map on 127.0.0.1 until it is stopped, units 1 to N behind one port (1502).
ID is a built-in profile or a file in .json. Unit n measures n times KW (10), on three phases of 230 V.
  --framing rtu      RTU frames, as behind a serial gateway; tcp when absent
  --baud N           the units hang on one serial line of this pace, one exchange at a time
  --turnaround MS    from question to answer (2)
  --fault KIND       wrong values of unit 1: ${METER_FAULTS.slice(1).join(', ')};
                     or wrong on the wire, in a share S (0.2) of all answers:
                     ${WIRE_FAULTS.join(', ')}
For a serial port, join it to a pseudo terminal: socat pty,link=/tmp/meters,raw tcp:127.0.0.1:1502
`;

/** `./switchyard simulate meter`. */
export async function runMeter(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      profile: { type: 'string' },
      port: { type: 'string' },
      units: { type: 'string' },
      kw: { type: 'string' },
      framing: { type: 'string' },
      baud: { type: 'string' },
      turnaround: { type: 'string' },
      fault: { type: 'string' },
      share: { type: 'string' },
      seed: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  if (values.profile === undefined) throw new Fault('USAGE', 'simulate meter needs --profile ID');
  const { framing = 'tcp' } = values;
  if (framing !== 'tcp' && framing !== 'rtu')
    throw new Fault('USAGE', `--framing is tcp or rtu, not '${framing}'`);
  const baud = numberOf(values.baud, 'baud', 300, 1_000_000);
  const units = numberOf(values.units, 'units', 1, 247) ?? 1;
  const port = numberOf(values.port, 'port', 1, 65_535) ?? 1_502;
  const random = seededRandom(numberOf(values.seed, 'seed', 0, 0xffff_ffff) ?? 1);
  const profile = meterProfile(values.profile);
  const device = lineOf({
    profile,
    framing,
    units,
    baud,
    random,
    kw: realOf(values.kw, 'kw', -1e6, 1e6) ?? 10,
    turnaroundMs: numberOf(values.turnaround, 'turnaround', 0, 10_000) ?? 2,
    fault: faultOf(values.fault, framing),
    share: realOf(values.share, 'share', 0, 1) ?? 0.2,
  });
  const server = await serveEndpoints([{ host: '127.0.0.1', port, kind: 'stream', device }], {
    clock: realClock,
  });
  const target = `${framing === 'rtu' ? 'modbus+rtu' : 'modbus'}://127.0.0.1:${port}/1?profile=${values.profile}`;
  const text = `${units === 1 ? 'Unit 1' : `Units 1 to ${units}`} of ${profile.id}: ./switchyard read '${target}'`;
  process.stdout.write(
    values.json === true ? `${JSON.stringify({ event: 'listening', target, units })}\n` : `${text}\n`,
  );
  await told();
  await server.close();
  return 0;
}

interface Stand {
  readonly profile: MeterProfile;
  readonly framing: Framing;
  readonly units: number;
  readonly baud: number | undefined;
  readonly random: Random;
  readonly kw: number;
  readonly turnaroundMs: number;
  readonly fault: MeterFault | WireFault;
  readonly share: number;
}

function lineOf({ profile, framing, units, baud, random, kw, turnaroundMs, fault, share }: Stand) {
  const onWire = WIRE_FAULTS.find((kind) => kind === fault);
  const meters = Array.from({ length: units }, (_, index) =>
    makeMeter({
      unit: index + 1,
      layout: layoutFor(profile),
      powerW: () => (index + 1) * kw * 1_000,
      random,
      answerMs: turnaroundMs,
    }),
  );
  const [first] = meters;
  const wrong = METER_FAULTS.find((kind) => kind === fault);
  if (first && wrong) first.fault = wrong;
  return makeModbusLine({
    framing,
    units: meters,
    ...(baud !== undefined && { pace: { baud, bitsPerChar: 10 } }),
    faults: { next: () => (random.next() < share ? onWire : undefined), random },
  });
}

function faultOf(text: string | undefined, framing: Framing): MeterFault | WireFault {
  if (text === undefined) return 'none';
  const fault = [...METER_FAULTS, ...WIRE_FAULTS].find((kind) => kind === text);
  if (fault === undefined)
    throw new Fault('USAGE', `--fault is one of ${[...METER_FAULTS, ...WIRE_FAULTS].join(', ')}`);
  if (WIRE_FAULTS.some((kind) => kind === fault && !isPlayable(kind, framing)))
    throw new Fault('USAGE', `--fault ${fault}: frames of --framing ${framing} have no such field`);
  return fault;
}

function realOf(text: string | undefined, name: string, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text === '' || !(value >= least && value <= most))
    throw new Fault('USAGE', `--${name} takes a number from ${least} to ${most}, not '${text}'`);
  return value;
}

/**
 * Simulated power meters on Modbus, alone on a port or several on a line. The layouts of four families are written from the vendors' register lists,
 * apart from the profiles that the drivers read, so that an error in one shows against the other; the other families
 * are served as their profile says.
 */
import type { Random } from '../../host/deps.ts';
import { encodeException, encodeRead } from '../../protocols/modbus/serve.ts';
import type { Framing, ReadRequest } from '../../protocols/modbus/frame.ts';
import { encodeNumber } from '../../protocols/modbus/registers.ts';
import type { StreamDevice } from '../device.ts';
import { METER_LAYOUTS } from './meter-layouts.ts';
import type { Field, Measured, MeterLayout, MeterLayoutId } from './meter-layouts.ts';
import { makeMeterRegister, REGISTER_FAULTS } from './meter-register.ts';
import type { MeterRegister } from './meter-register.ts';
import { makeModbusLine } from './modbus-line.ts';
import { miswired, WIRING_FAULTS } from './meter-wiring.ts';
import type { AskedUnit, ModbusUnit } from './modbus-line.ts';

/** `frozen`: registers stand still; `silent`: no answer; `garbage`: random bytes; `nan`: no valid numbers; `sign`, `x1000`: wrong power; `swapped`: the transformer of one phase is mounted backwards. */
export const METER_FAULTS = [
  'none',
  'frozen',
  'silent',
  'garbage',
  'nan',
  'sign',
  'x1000',
  'swapped',
  ...WIRING_FAULTS,
  ...REGISTER_FAULTS,
] as const;

export type MeterFault = (typeof METER_FAULTS)[number];

export interface MeterOptions {
  readonly unit: number;
  readonly layout: MeterLayoutId | MeterLayout;
  /** True power through the meter, W, import positive. Asked with times that never go back. */
  readonly powerW: (nowMs: number) => number;
  readonly random: Random;
  /** Phase to neutral, V; 230 when absent. */
  readonly voltageV?: number;
  readonly powerFactor?: number;
  /** False while there is no voltage; its own supply is another one. */
  readonly isLive?: () => boolean;
  /** From question to answer, ms; 2 when absent. */
  readonly answerMs?: number;
}

/** A unit for a line, and by itself a device on a port of its own with Modbus TCP. */
export interface SimulatedMeter extends StreamDevice, ModbusUnit {
  fault: MeterFault;
  /** Its counters and its setup, which can be tampered with. */
  readonly register: MeterRegister;
  /** What the registers say at `nowMs`, before faults: W, V, A, Wh. */
  measured(nowMs: number): Measured;
  /** The same with its fault, as far as that is one of what it measures. */
  shown(nowMs: number): Measured;
}

/** Registers are renewed this often, as in most meters. */
const REFRESH_MS = 1_000;
/** Class 0.5S: a fixed error of the instrument, and noise from sample to sample. */
const GAIN_ERROR = 0.003;
const NOISE = 0.0008;
const MS_PER_HOUR = 3_600_000;
const ENERGY_STEPS_MAX = 256;
const EXCEPTION_FUNCTION = 1;
const EXCEPTION_ADDRESS = 2;

/** A meter that shows `powerW` with the errors of its class and counts its energy. */
export function makeMeter(options: MeterOptions): SimulatedMeter {
  const { random, answerMs = 2 } = options;
  const layout = typeof options.layout === 'string' ? METER_LAYOUTS[options.layout] : options.layout;
  const sampler = makeSampler(options);
  let since = { fault: 'none', atMs: 0 };
  const shown = (nowMs: number): Measured => {
    const { fault } = device;
    if (since.fault !== fault) {
      since = { fault, atMs: nowMs };
      device.register.play(fault);
    }
    const right = device.register.shown(sampler.at(nowMs));
    const wiring = WIRING_FAULTS.find((one) => one === fault);
    if (wiring === undefined) {
      sampler.counts(1);
      return faulty(right, fault);
    }
    const wrong = miswired(right, wiring, nowMs - since.atMs);
    // Its counters count what it shows.
    sampler.counts(right.totalW === 0 ? 1 : wrong.totalW / right.totalW);
    return wrong;
  };
  let image: Image | undefined;
  const imageAt = (nowMs: number): Image => {
    const sample = Math.floor(nowMs / REFRESH_MS);
    if (image && (device.fault === 'frozen' || (image.sample >= sample && image.fault === device.fault)))
      return image;
    const measured = shown(nowMs);
    image = makeImage({
      sample,
      fault: device.fault,
      regions: layout.regions,
      fields: layout.fields(measured),
    });
    return image;
  };
  const device: SimulatedMeter = {
    fault: 'none',
    register: makeMeterRegister(),
    unit: options.unit,
    answerMs,
    measured: (nowMs) => sampler.at(nowMs),
    shown,
    answer: (asked, framing, nowMs) => {
      if (device.fault === 'silent') return undefined;
      return device.fault === 'garbage'
        ? garbage(random)
        : answerTo(asked, framing, layout.fc, imageAt(nowMs));
    },
    respond: (bytes, nowMs) => alone.respond(bytes, nowMs),
  };
  const alone = makeModbusLine({ framing: 'tcp', units: [device] });
  return device;
}

function answerTo(asked: AskedUnit, framing: Framing, fc: 3 | 4, image: Image): Uint8Array {
  const refuse = (exception: number): Uint8Array =>
    encodeException(framing, asked.transaction, {
      ...(asked.kind === 'request' ? asked.request : asked),
      exception,
    });
  if (asked.kind === 'refused') return refuse(asked.exception);
  const { request } = asked;
  if (request.kind === 'write' || request.fc !== fc) return refuse(EXCEPTION_FUNCTION);
  const words = wordsAt(image, request);
  return words ? encodeRead(framing, asked.transaction, request, words) : refuse(EXCEPTION_ADDRESS);
}

function garbage(random: Random): Uint8Array {
  const length = 1 + Math.floor(random.next() * 40);
  return Uint8Array.from({ length }, () => Math.floor(random.next() * 256));
}

interface Image {
  readonly sample: number;
  readonly fault: MeterFault;
  readonly regions: readonly { readonly from: number; readonly words: Uint16Array }[];
}

function makeImage(content: {
  readonly sample: number;
  readonly fault: MeterFault;
  readonly regions: readonly (readonly [from: number, count: number])[];
  readonly fields: readonly Field[];
}): Image {
  const regions = content.regions.map(([from, count]) => ({ from, words: new Uint16Array(count) }));
  for (const field of content.fields) {
    const region = regions.find(({ from, words }) => field.at >= from && field.at < from + words.length);
    region?.words.set(encodeField(field), field.at - region.from);
  }
  return { sample: content.sample, fault: content.fault, regions };
}

/** NaN stands for "no value": the vendor's marker in integers. */
function encodeField(field: Field): Uint16Array {
  if (!Number.isNaN(field.value) || field.type.startsWith('float'))
    return encodeNumber(field.value, field.type, field.wordOrder);
  return Uint16Array.from(field.none ?? []);
}

function wordsAt(image: Image, request: ReadRequest): Uint16Array | undefined {
  const region = image.regions.find(
    ({ from, words }) => request.address >= from && request.address + request.count <= from + words.length,
  );
  return region?.words.subarray(request.address - region.from, request.address - region.from + request.count);
}

function faulty(measured: Measured, fault: MeterFault): Measured {
  const scaled = (factor: number): Measured => ({
    ...measured,
    totalW: measured.totalW * factor,
    phaseW: phases((phase) => measured.phaseW[phase] * factor),
  });
  switch (fault) {
    case 'nan': {
      const none = phases(() => Number.NaN);
      const nan = Number.NaN;
      return {
        totalW: nan,
        phaseW: none,
        voltageV: none,
        currentA: none,
        powerFactor: nan,
        frequencyHz: nan,
        importWh: nan,
        exportWh: nan,
      };
    }
    case 'sign':
      return scaled(-1);
    case 'x1000':
      return scaled(1000);
    case 'swapped':
      return {
        ...measured,
        totalW: measured.totalW - 2 * measured.phaseW[0],
        phaseW: phases((phase) => measured.phaseW[phase] * (phase === 0 ? -1 : 1)),
      };
    default:
      return measured;
  }
}

function phases(value: (phase: 0 | 1 | 2) => number): readonly [number, number, number] {
  return [value(0), value(1), value(2)];
}

/** True power to what the instrument shows; the energy between two questions is integrated in steps. */
function makeSampler({
  powerW,
  random,
  voltageV = 230,
  powerFactor = 0.97,
  isLive = () => true,
}: MeterOptions): {
  at(nowMs: number): Measured;
  /** From now on the counters count so much of what flows. */
  counts(share: number): void;
} {
  const spread = (size: number): number => 1 + size * (2 * random.next() - 1);
  const gain = spread(GAIN_ERROR);
  const shares = phases(() => spread(0.02));
  const sumOfShares = shares[0] + shares[1] + shares[2];
  let lastMs: number | undefined;
  let lastW = 0;
  let importWh = 0;
  let exportWh = 0;
  let shown: Measured | undefined;
  let counted = 1;

  const count = (nowMs: number): void => {
    const fromMs = lastMs ?? nowMs;
    const steps = Math.min(ENERGY_STEPS_MAX, Math.max(1, Math.ceil((nowMs - fromMs) / REFRESH_MS)));
    const stepMs = (nowMs - fromMs) / steps;
    for (let step = 1; step <= steps; step += 1) {
      const nextW = powerW(step === steps ? nowMs : fromMs + step * stepMs) * gain;
      const energyWh =
        (((lastMs === undefined ? nextW : lastW) + nextW) / 2) * (stepMs / MS_PER_HOUR) * counted;
      if (energyWh > 0) importWh += energyWh;
      else exportWh -= energyWh;
      lastW = nextW;
    }
    lastMs = nowMs;
  };
  return {
    counts: (share) => (counted = share),
    at: (nowMs) => {
      if (shown && lastMs !== undefined && Math.floor(nowMs / REFRESH_MS) <= Math.floor(lastMs / REFRESH_MS))
        return shown;
      count(nowMs);
      const phaseW = phases((phase) => ((lastW * shares[phase]) / sumOfShares) * spread(NOISE));
      const live = Number(isLive());
      const volts = phases(() => voltageV * spread(0.004) * live);
      shown = {
        totalW: phaseW[0] + phaseW[1] + phaseW[2],
        phaseW,
        voltageV: volts,
        currentA: phases(
          (phase) => live * (Math.abs(phaseW[phase]) / ((volts[phase] || voltageV) * powerFactor)),
        ),
        powerFactor: powerFactor * spread(0.002),
        frequencyHz: 50 * spread(0.0004) * live,
        importWh,
        exportWh,
      };
      return shown;
    },
  };
}

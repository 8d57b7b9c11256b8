/**
 * A PLC of the plant, simulated: a Modbus TCP server with a process image. Inputs show what the plant does at the time
 * of the question; outputs are kept and handed to the plant.
 */
import type { ModbusRequest, ReadRequest } from '../../protocols/modbus/frame.ts';
import { decodeRequest, encodeException, encodeRead, encodeWritten } from '../../protocols/modbus/serve.ts';
import type { StreamDevice } from '../device.ts';

export type PlcArea = 'coil' | 'discrete' | 'holding' | 'input';

/** An input of the process image: bits are 0 or 1, registers raw words from `address` on. */
export interface PlcInput {
  readonly area: PlcArea;
  readonly address: number;
  readonly words: (nowMs: number) => readonly number[];
}

export interface PlcOptions {
  readonly unit: number;
  readonly inputs: readonly PlcInput[];
  readonly onWrite?: (area: 'coil' | 'holding', address: number, value: number, nowMs: number) => void;
}

export interface SimulatedPlc extends StreamDevice {
  /** True: no answers at all. */
  silent: boolean;
}

const AREAS: Readonly<Record<ReadRequest['fc'], PlcArea>> = {
  1: 'coil',
  2: 'discrete',
  3: 'holding',
  4: 'input',
};

/** What is neither an input nor was ever written reads as 0, as in the image of a real one. */
export function makePlc({ unit, inputs, onWrite }: PlcOptions): SimulatedPlc {
  const written = new Map<string, number>();
  const serve = (request: ModbusRequest, nowMs: number): readonly number[] => {
    const { address } = request;
    if (request.kind === 'write') {
      const area = request.fc === 5 ? 'coil' : 'holding';
      for (const [place, value] of request.values.entries()) {
        written.set(`${area} ${address + place}`, value);
        onWrite?.(area, address + place, value, nowMs);
      }
      return [];
    }
    const area = AREAS[request.fc];
    const image = Array.from(
      { length: request.count },
      (_, place) => written.get(`${area} ${address + place}`) ?? 0,
    );
    for (const input of inputs) {
      if (input.area !== area) continue;
      for (const [word, value] of input.words(nowMs).entries()) {
        const place = input.address + word - address;
        if (place >= 0 && place < image.length) image[place] = value;
      }
    }
    return image;
  };
  const plc: SimulatedPlc = {
    silent: false,
    respond: (bytes, nowMs) => {
      const decoded = decodeRequest('tcp', bytes);
      if (decoded.kind === 'wait') return decoded;
      if (decoded.kind === 'drop') return { kind: 'reset' };
      if (plc.silent) return { kind: 'silence' };
      const { transaction, consumed } = decoded;
      const answer = (answerBytes: Uint8Array) =>
        ({ kind: 'bytes', bytes: answerBytes, afterMs: 2, close: false, consumed }) as const;
      if (decoded.kind === 'refused') return answer(encodeException('tcp', transaction, decoded));
      const { request } = decoded;
      if (request.unit !== unit)
        return answer(
          encodeException('tcp', transaction, { unit: request.unit, fc: request.fc, exception: 11 }),
        );
      const words = serve(request, nowMs);
      return answer(
        request.kind === 'write'
          ? encodeWritten('tcp', transaction, request)
          : encodeRead('tcp', transaction, request, words),
      );
    },
  };
  return plc;
}

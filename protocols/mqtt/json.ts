import type * as z from 'zod';
import { Fault } from '../faults.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const decoder = new TextDecoder('utf-8', { fatal: true });
const encoder = new TextEncoder();

export const encodeJson = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));

/** The message as its schema has it, or a Fault BUS_MESSAGE naming the first thing wrong. */
export function decodeJson<T>(schema: z.ZodType<T>, payload: Uint8Array): T {
  if (payload.length > MAX_BYTES) throw new Fault('BUS_MESSAGE', `${payload.length} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(payload));
  } catch (error) {
    throw new Fault('BUS_MESSAGE', 'not JSON', { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new Fault('BUS_MESSAGE', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
}

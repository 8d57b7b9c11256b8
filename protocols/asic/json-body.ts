import { Fault } from '../faults.ts';
import { isList, isObject } from './cgminer.ts';
import type { Json } from './cgminer.ts';

/** More than any page of a miner is long. */
export const BODY_MAX_BYTES = 1024 * 1024;
const BODY_MAX_DEPTH = 32;
const decoder = new TextDecoder();

/** The JSON of a page, of any kind; undefined when it is empty. Returns a Fault (ANSWER_GARBAGE, NET_OVERSIZE), never throws. */
export function parseJsonBody(bytes: Uint8Array): Json | undefined | Fault {
  if (bytes.length > BODY_MAX_BYTES) return new Fault('NET_OVERSIZE', `${bytes.length} bytes`);
  const text = decoder.decode(bytes).trim();
  if (text === '') return undefined;
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return new Fault('ANSWER_GARBAGE', `not JSON: ${text.slice(0, 60)}`);
  }
  return isSound(value, BODY_MAX_DEPTH)
    ? value
    : new Fault('ANSWER_GARBAGE', 'nested too deep, or a number beyond any');
}

/** No deeper than `levels`, and every number finite: JSON.parse makes infinity of too many digits. */
function isSound(value: Json, levels: number): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  const inner = isList(value) ? value : isObject(value) ? Object.values(value) : [];
  return inner.length === 0 || (levels > 1 && inner.every((part) => isSound(part, levels - 1)));
}

/** Between a driver and a device: what can go wrong with one exchange, whatever the device speaks. */
import type { Answer, HttpAnswer, SimulatedEndpoint } from '../../../../simulator/device.ts';

/** What becomes of an answer. `late`: after so many ms; `trickle`: byte by byte, so many ms apart; `status`: of a web page; `text`: another body, made of its own. */
export type Spoil =
  | { readonly kind: 'silence' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'cut' }
  | { readonly kind: 'late'; readonly ms: number }
  | { readonly kind: 'trickle'; readonly ms: number }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'text'; readonly of: (text: string) => string };

export interface Disturbance {
  /** Comes before the n-th exchange, from 1, reaches the device. */
  readonly before?: (n: number, nowMs: number) => void;
  /** What becomes of the answer to the n-th; undefined: it goes through as it is. */
  readonly spoil?: (n: number) => Spoil | undefined;
}

/** How bytes on a stream hold their JSON text. */
export interface Framing {
  readonly text: (bytes: Uint8Array) => string;
  readonly bytes: (text: string) => Uint8Array;
}

/** The text itself, with a NUL at its end. */
export const NUL_ENDED: Framing = {
  text: (bytes) => new TextDecoder().decode(bytes).replace(/\0$/u, ''),
  bytes: (text) => new TextEncoder().encode(`${text}\0`),
};

/** Four bytes of length, little-endian, then the text. */
export const LENGTH_FIRST: Framing = {
  text: (bytes) => new TextDecoder().decode(bytes.subarray(4)),
  bytes: (text) => {
    const body = Buffer.from(text);
    const head = Buffer.alloc(4);
    head.writeUInt32LE(body.length);
    return new Uint8Array(Buffer.concat([head, body]));
  },
};

/** What a test says of the exchanges to come; they are counted from the last `begin`. */
export class Disturber {
  exchanges = 0;
  #with: Disturbance = {};

  begin(disturbance: Disturbance): void {
    this.#with = disturbance;
    this.exchanges = 0;
  }

  /** The same endpoints with this in between. */
  around(endpoints: readonly SimulatedEndpoint[], framing: Framing): SimulatedEndpoint[] {
    return endpoints.map((endpoint) => {
      if (endpoint.kind === 'stream') {
        const { device } = endpoint;
        const respond = (bytes: Uint8Array, nowMs: number): Answer =>
          this.#exchange(nowMs, () => device.respond(bytes, nowMs), streamSpoiled(framing));
        return { ...endpoint, device: { respond } };
      }
      if (endpoint.kind === 'http') {
        const { device } = endpoint;
        const respondHttp: typeof device.respondHttp = (request, nowMs) =>
          this.#exchange(nowMs, () => device.respondHttp(request, nowMs), httpSpoiled);
        return { ...endpoint, device: { respondHttp } };
      }
      return endpoint;
    });
  }

  #exchange<A>(nowMs: number, ask: () => A, spoiled: (answer: A, spoil: Spoil) => A): A {
    this.exchanges += 1;
    this.#with.before?.(this.exchanges, nowMs);
    const answer = ask();
    const spoil = this.#with.spoil?.(this.exchanges);
    return spoil === undefined ? answer : spoiled(answer, spoil);
  }
}

const streamSpoiled =
  (framing: Framing) =>
  (answer: Answer, spoil: Spoil): Answer => {
    if (spoil.kind === 'silence' || spoil.kind === 'reset') return { kind: spoil.kind };
    if (answer.kind !== 'bytes' || spoil.kind === 'status') return answer;
    if (spoil.kind === 'late') return { ...answer, afterMs: spoil.ms };
    if (spoil.kind === 'trickle') return trickled(answer.bytes, spoil.ms);
    if (spoil.kind === 'cut')
      return { ...answer, bytes: answer.bytes.subarray(0, answer.bytes.length >> 1), close: true };
    return { ...answer, bytes: framing.bytes(spoil.of(framing.text(answer.bytes))), close: true };
  };

/** The connection stays open behind it: that it is whole is for whoever asked to see. */
function trickled(bytes: Uint8Array, ms: number): Answer {
  const afterMs = (at: number): number => ms * (at + 1);
  const [first = bytes, ...rest] = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  const more = rest.map((byte, at) => ({ bytes: byte, afterMs: afterMs(at + 1) }));
  return { kind: 'bytes', bytes: first, afterMs: afterMs(0), close: false, more };
}

function httpSpoiled(answer: HttpAnswer, spoil: Spoil): HttpAnswer {
  // A page that breaks off has its length announced: whoever asked sees a reset.
  if (spoil.kind === 'cut') return { kind: 'reset' };
  if (spoil.kind === 'silence' || spoil.kind === 'reset') return { kind: spoil.kind };
  if (answer.kind !== 'response') return answer;
  if (spoil.kind === 'late') return { ...answer, afterMs: spoil.ms };
  if (spoil.kind === 'trickle') return { ...answer, afterMs: spoil.ms * answer.body.length };
  if (spoil.kind === 'status') return { ...answer, status: spoil.status, body: '' };
  // The question for a password has no text that matters.
  return answer.status === 401 ? answer : { ...answer, body: spoil.of(answer.body) };
}

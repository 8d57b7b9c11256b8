/** Drivers over devices in memory, in virtual time: what the tests of the miner drivers share. */
import { expect } from 'vitest';

import type { Device, DeviceIo } from '../../../../agent/driver.ts';
import { openDevice, parseTarget } from '../../../../agent/target.ts';
import type { Random } from '../../../../host/deps.ts';
import { seededRandom } from '../../../../host/random.ts';
import { VirtualClock } from '../../../../proof/virtual-clock.ts';
import type { HttpAnswer, SimulatedEndpoint, StreamDevice } from '../../../../simulator/device.ts';
import { makeMemoryFront } from '../../../../simulator/fronts/memory.ts';

export const START_MS = 1_700_000_000_000;

export interface Bench {
  readonly clock: VirtualClock;
  readonly io: DeviceIo;
  /** With the password `secret`, or the one given. */
  device(url: string, password?: string): Device;
  /** Lets time pass until the work is done, at most a virtual hour. */
  run<T>(work: Promise<T>): Promise<T>;
}

export function makeBench(endpoints: readonly SimulatedEndpoint[], random: Random = seededRandom(3)): Bench {
  const clock = new VirtualClock({ startWallMs: START_MS });
  const front = makeMemoryFront({ endpoints, clock, random, latencyMs: () => 2 });
  const io: DeviceIo = {
    clock,
    random,
    ...front,
    get lines(): never {
      throw new Error('not used by miners');
    },
    get log(): never {
      throw new Error('not used by miners');
    },
  };
  return {
    clock,
    io,
    device: (url, password = 'secret') => openDevice(parseTarget(url, { env: { P: password } }), io),
    run: async (work) => {
      const state = { done: false };
      const finish = (): void => {
        state.done = true;
      };
      void work.then(finish, finish);
      for (let step = 0; step < 36_000 && !state.done; step += 1) await clock.advance(100);
      return work;
    },
  };
}

export interface Scripted extends StreamDevice {
  /** Commands asked, in order: one connection each. */
  readonly asked: string[];
}

/** Answers by command as written down; a command that is not there is refused as unknown. */
export function scripted(answers: Readonly<Record<string, string>>): Scripted {
  const asked: string[] = [];
  return {
    asked,
    respond: (bytes) => {
      const text = new TextDecoder().decode(bytes);
      const name = /"(?:command|cmd)":"([^"]+)"/.exec(text)?.[1] ?? '';
      asked.push(name);
      const answer =
        answers[name] ?? '{"STATUS":"E","When":1,"Code":14,"Msg":"invalid cmd","Description":""}';
      return { kind: 'bytes', bytes: new TextEncoder().encode(`${answer}\u0000`), afterMs: 0, close: true };
    },
  };
}

/** A web server that asks for no password and answers by path. */
export function pages(answers: Readonly<Record<string, string>>, requests: string[] = []): SimulatedEndpoint {
  return {
    kind: 'http',
    host: '10.0.0.1',
    port: 80,
    device: {
      respondHttp: ({ method, path, body }): HttpAnswer => {
        requests.push(`${method} ${path} ${body}`.trim());
        const answer = answers[path];
        return {
          kind: 'response',
          status: answer === undefined ? 404 : 200,
          headers: {},
          body: answer ?? '',
          afterMs: 0,
        };
      },
    },
  };
}

export const api = (device: StreamDevice): SimulatedEndpoint => ({
  kind: 'stream',
  host: '10.0.0.1',
  port: 4028,
  device,
});

/** The code of the Fault that `work` rejects with. */
export async function codeOf(work: Promise<unknown> | undefined): Promise<string> {
  try {
    await work;
    return 'resolved';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

/** `boards.count`, and `hashrate.board.1` and on from TH/s. */
export const boardRates = (...ths: readonly number[]): Record<string, unknown> => ({
  'boards.count': ths.length,
  ...Object.fromEntries(
    ths.map((rate, at) => [`hashrate.board.${at + 1}`, expect.closeTo(rate * 1e12, -8) as unknown]),
  ),
});

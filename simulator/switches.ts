import { Fault } from '../protocols/faults.ts';
import type { DeviceHttpRequest, SimulatedEndpoint } from './device.ts';
import type { PlantMachine } from './plant.ts';

/** Network switches: one per rack; while it is down, nothing behind it answers. */
export class Switches {
  readonly #rackOf: ReadonlyMap<string, string>;
  readonly #racks: ReadonlySet<string>;
  readonly #down = new Set<string>();

  constructor(machines: readonly PlantMachine[]) {
    this.#rackOf = new Map(machines.map(({ host, machine }) => [host, machine.rack]));
    this.#racks = new Set(machines.map(({ machine }) => machine.rack));
  }

  set(rack: string, up: boolean): void {
    if (!this.#racks.has(rack)) throw new Fault('USAGE', `there is no rack '${rack}' in this site`);
    if (up) this.#down.delete(rack);
    else this.#down.add(rack);
  }

  linkUp(host: string): boolean {
    return this.#down.size === 0 || !this.#down.has(this.#rackOf.get(host) ?? '');
  }

  behind({ machine }: PlantMachine, endpoint: SimulatedEndpoint): SimulatedEndpoint {
    const down = (): boolean => this.#down.size > 0 && this.#down.has(machine.rack);
    switch (endpoint.kind) {
      case 'stream': {
        const { device } = endpoint;
        return {
          ...endpoint,
          device: {
            respond: (bytes: Uint8Array, nowMs: number) =>
              down() ? { kind: 'silence' } : device.respond(bytes, nowMs),
          },
        };
      }
      case 'http': {
        const { device } = endpoint;
        return {
          ...endpoint,
          device: {
            respondHttp: (request: DeviceHttpRequest, nowMs: number) =>
              down() ? { kind: 'silence' } : device.respondHttp(request, nowMs),
          },
        };
      }
      case 'ssh': {
        const { device } = endpoint;
        return {
          ...endpoint,
          device: {
            exec: (command: string, nowMs: number) => {
              const answer = down() ? ({ kind: 'silence' } as const) : device.exec(command, nowMs);
              if (answer.kind !== 'stream') return answer;
              return { ...answer, lines: (at: number) => (down() ? [] : answer.lines(at)) };
            },
          },
        };
      }
    }
  }
}

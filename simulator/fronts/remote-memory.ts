/** Simulated GPU hosts in memory: the `Remote` of the product answered by ExecDevices under any clock, no socket. */
import type { Clock, Remote, RemoteHost } from '../../host/deps.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import type { ExecDevice } from '../device.ts';

export interface MemoryRemoteOptions {
  readonly clock: Clock;
  /** The device at an address, or undefined when nothing listens there (NET_REFUSED). */
  readonly find: (host: string, port: number) => ExecDevice | undefined;
}

/** A `Remote` whose hosts are simulated devices; commands, streams and deadlines run on `clock`. */
export function makeMemoryRemote({ clock, find }: MemoryRemoteOptions): Remote {
  return {
    async open(target): Promise<RemoteHost> {
      const device = find(target.host, target.port);
      if (device === undefined) throw new Fault('NET_REFUSED', `${target.host}:${target.port}`);
      return memoryHost(device, clock);
    },
  };
}

function memoryHost(device: ExecDevice, clock: Clock): RemoteHost {
  let open = true;
  const gone = (): Fault => new Fault('NET_RESET', 'the connection is closed');
  return {
    onClose: () => {},
    exec(command, { timeoutMs, maxBytes }) {
      return new Promise((resolve, reject) => {
        if (!open) return reject(gone());
        const reply = device.exec(command.join(' '), clock.monoMs());
        if (reply.kind !== 'result' || reply.afterMs > timeoutMs) {
          clock.after(timeoutMs, () =>
            reject(new Fault('NET_TIMEOUT', `${command[0]} did not end within ${timeoutMs} ms`)),
          );
          return undefined;
        }
        clock.after(reply.afterMs, () => {
          if (!open) return reject(gone());
          if (reply.stdout.length > maxBytes)
            return reject(new Fault('NET_OVERSIZE', `more than ${maxBytes} bytes`));
          return resolve({ code: reply.code, stdout: reply.stdout, stderr: reply.stderr });
        });
        return undefined;
      });
    },
    stream(command, handlers) {
      let running = true;
      const finish = (fault: Fault): void => {
        if (!running) return;
        running = false;
        handlers.onClose(fault);
      };
      const reply = device.exec(command.join(' '), clock.monoMs());
      if (reply.kind === 'result') {
        const text = `exit code ${reply.code} ${reply.stdout.slice(0, 200)}`;
        clock.after(reply.afterMs, () => finish(new Fault('REMOTE_FAILED', text)));
      }
      const print = (): void => {
        if (!running || reply.kind !== 'stream') return;
        if (!open) return finish(gone());
        try {
          for (const line of reply.lines(clock.monoMs())) handlers.onLine(line);
        } catch (error) {
          return finish(asFault(error));
        }
        clock.after(reply.everyMs, print);
      };
      // The first line comes after the call, as on a wire.
      clock.after(0, print);
      return {
        close() {
          running = false;
        },
      };
    },
    close() {
      open = false;
    },
  };
}

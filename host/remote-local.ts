/** The commands of a remote host carried out on this very machine: no shell, bounded output, deadlines. */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Clock, RemoteHost } from './deps.ts';
import { LineCutter, MAX_LINE_CHARS } from './line-cutter.ts';
import { commandLine } from './remote-link.ts';

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** A `RemoteHost` over child processes. `close` ends those still running; it is never lost by itself. */
export function makeLocalHost(clock: Clock): RemoteHost {
  const running = new Set<Child>();
  let closed = false;
  const start = (command: readonly string[]): Child => {
    commandLine(command);
    if (closed) throw new Fault('NET_RESET', 'closed here');
    const [program = '', ...words] = command;
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    child.once('close', () => running.delete(child));
    return child;
  };
  return {
    onClose: () => {},
    exec: (command, options) => exec(start, clock, command, options),
    stream: (command, handlers) => stream(start, command, handlers),
    close() {
      closed = true;
      for (const child of running) child.kill('SIGKILL');
    },
  };
}

function spawnFault(error: Error): Fault {
  return new Fault('REMOTE_FAILED', error.message, { cause: error });
}

function exec(
  start: (command: readonly string[]) => Child,
  clock: Clock,
  command: readonly string[],
  { timeoutMs, maxBytes }: { readonly timeoutMs: number; readonly maxBytes: number },
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = start(command);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let bytes = 0;
    const give = (fault: Fault): void => {
      cancel();
      // A process in an uninterruptible wait does not die of it, but nobody waits for it any more.
      child.kill('SIGKILL');
      reject(fault);
    };
    const cancel = clock.after(timeoutMs, () => {
      give(new Fault('NET_TIMEOUT', `${command[0]} did not end within ${timeoutMs} ms`));
    });
    const take = (list: Buffer[]) => (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) list.push(chunk);
      else give(new Fault('NET_OVERSIZE', `more than ${maxBytes} bytes from a command`));
    };
    child.stdout.on('data', take(out));
    child.stderr.on('data', take(err));
    child.on('error', (error) => give(spawnFault(error)));
    child.once('close', (code, signal) => {
      cancel();
      if (code === null) reject(new Fault('REMOTE_FAILED', `ended by ${signal ?? 'nobody knows what'}`));
      else
        resolve({
          code,
          stdout: Buffer.concat(out).toString('utf8'),
          stderr: Buffer.concat(err).toString('utf8'),
        });
    });
  });
}

function stream(
  start: (command: readonly string[]) => Child,
  command: readonly string[],
  handlers: { readonly onLine: (line: string) => void; readonly onClose: (fault: Fault) => void },
): { close(): void } {
  const child = start(command);
  const cutter = new LineCutter();
  let ended = false;
  let complaint = '';
  const end = (fault: Fault): void => {
    if (ended) return;
    ended = true;
    child.kill('SIGKILL');
    handlers.onClose(fault);
  };
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = ended ? [] : cutter.push(chunk);
    if (lines === undefined)
      return end(new Fault('NET_OVERSIZE', `a line of more than ${MAX_LINE_CHARS} characters`));
    try {
      for (const line of lines) if (!ended) handlers.onLine(line);
    } catch (error) {
      end(asFault(error));
    }
    return undefined;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString('utf8')).slice(0, 200);
  });
  child.on('error', (error) => end(spawnFault(error)));
  child.once('close', (code, signal) => {
    end(new Fault('REMOTE_FAILED', `exit ${code ?? signal ?? 'unknown'} ${complaint.trim()}`.trim()));
  });
  return {
    close() {
      ended = true;
      child.kill('SIGKILL');
    },
  };
}

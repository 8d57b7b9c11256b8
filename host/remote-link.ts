/** Commands and line streams over one open SSH connection. */
import type { Client, ClientChannel } from 'ssh2';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Clock, RemoteHost } from './deps.ts';
import { LineCutter, MAX_LINE_CHARS } from './line-cutter.ts';

// sshd allows 10 sessions on a connection by default; a few are left to people and other tools behind the same bastion.
const MAX_CHANNELS = 4;
const MAX_WAITING = 64;
/** How long a channel may take to close after its deadline before the link itself is given up. */
const CLOSE_GRACE_MS = 5_000;
const WORD = /^[A-Za-z0-9=,.:_/@%+-]+$/;

/** The command as one line for the far shell. Fault TARGET_INVALID for any word a shell could take for more than a word. */
export function commandLine(words: readonly string[]): string {
  const first = words[0];
  if (first === undefined || first.includes('=') || first.startsWith('-'))
    throw new Fault('TARGET_INVALID', 'no command to run');
  for (const word of words) {
    if (!WORD.test(word))
      throw new Fault(
        'TARGET_INVALID',
        `the word ${JSON.stringify(word.slice(0, 60))} may not stand in a remote command`,
      );
  }
  return words.join(' ');
}

/** Everything the functions below share about one connection. */
interface Link {
  readonly client: Client;
  readonly clock: Clock;
  lost: Fault | undefined;
  busy: number;
  readonly waiting: (() => void)[];
  /** Channels already told to close. */
  readonly shutting: WeakSet<ClientChannel>;
}

/** Wraps a connected client. The owner sets `onClose`; it is called once when the connection is lost, not after `close`. */
export function makeLink(client: Client, clock: Clock): RemoteHost {
  const link: Link = { client, clock, lost: undefined, busy: 0, waiting: [], shutting: new WeakSet() };
  let closed = false;
  const host: RemoteHost = {
    onClose: () => {},
    exec: (command, options) => exec(link, command, options),
    stream: (command, handlers) => stream(link, command, handlers),
    close() {
      closed = true;
      lose(new Fault('SSH_FAILED', 'closed here'));
      client.end();
      // A dead peer never answers the goodbye.
      const cancel = clock.after(CLOSE_GRACE_MS, () => client.destroy());
      client.once('close', cancel);
    },
  };
  const lose = (fault: Fault): void => {
    if (link.lost !== undefined) return;
    link.lost = fault;
    for (const wake of link.waiting.splice(0)) wake();
    if (!closed) host.onClose(fault);
  };
  client.on('error', (error: Error) => lose(linkFault(error)));
  client.on('end', () => lose(new Fault('NET_RESET', 'the host closed the SSH connection')));
  client.on('close', () => lose(new Fault('NET_RESET', 'the SSH connection is gone')));
  return host;
}

function linkFault(error: Error): Fault {
  if (/keepalive/i.test(error.message))
    return new Fault('NET_TIMEOUT', 'three keepalives unanswered', { cause: error });
  return asFault(error, 'NET_RESET');
}

/** Waits for one of the few channels. `gaveUp` is asked before the turn is taken. */
async function acquire(link: Link, gaveUp: () => boolean): Promise<Fault | undefined> {
  while (link.lost === undefined && link.busy >= MAX_CHANNELS && !gaveUp()) {
    if (link.waiting.length >= MAX_WAITING)
      return new Fault('QUEUE_FULL', 'too many commands wait for this host');
    await new Promise<void>((resolve) => link.waiting.push(resolve));
  }
  if (link.lost !== undefined) return link.lost;
  if (gaveUp()) {
    // The turn was given to one who no longer wants it.
    if (link.busy < MAX_CHANNELS) link.waiting.shift()?.();
    return new Fault('NET_TIMEOUT', 'gave up while waiting for a channel');
  }
  link.busy += 1;
  return undefined;
}

function release(link: Link): void {
  link.busy -= 1;
  link.waiting.shift()?.();
}

/** Opens a channel and hands it over at once, since a quick command's exit code may be in the same packet. Gives the fault there was. */
function openChannel(
  link: Link,
  line: string,
  use: (channel: ClientChannel) => void,
): Promise<Fault | undefined> {
  return new Promise((resolve) => {
    try {
      link.client.exec(line, (error, channel) => {
        if (error === undefined) use(channel);
        resolve(error === undefined ? undefined : (link.lost ?? asFault(error, 'SSH_FAILED')));
      });
    } catch (error) {
      resolve(link.lost ?? asFault(error, 'NET_RESET'));
    }
  });
}

/** Closes a channel, and the whole link when the host does not confirm. */
function shut(link: Link, channel: ClientChannel): void {
  if (link.shutting.has(channel)) return;
  link.shutting.add(channel);
  const cancel = link.clock.after(CLOSE_GRACE_MS, () => link.client.destroy());
  channel.once('close', cancel);
  channel.close();
}

interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function exec(
  link: Link,
  command: readonly string[],
  options: { readonly timeoutMs: number; readonly maxBytes: number },
): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const line = commandLine(command);
    let settled = false;
    let channel: ClientChannel | undefined;
    let opening = false;
    const settle = (finish: () => void): void => {
      if (settled) return;
      settled = true;
      cancel();
      finish();
    };
    const fail = (fault: Fault): void => settle(() => reject(fault));
    const cancel = link.clock.after(options.timeoutMs, () => {
      fail(new Fault('NET_TIMEOUT', `${command[0]} did not end within ${options.timeoutMs} ms`));
      if (channel !== undefined) shut(link, channel);
      // A host that does not even open a channel is as lost as one that does not close it.
      else if (opening) link.clock.after(CLOSE_GRACE_MS, () => opening && link.client.destroy());
      else for (const wake of link.waiting.splice(0)) wake();
    });
    const run = async (): Promise<void> => {
      const refused = await acquire(link, () => settled);
      if (refused !== undefined) return fail(refused);
      opening = true;
      const failed = await openChannel(link, line, (given) => {
        opening = false;
        channel = given;
        given.once('close', () => release(link));
        collect(link, given, options.maxBytes, { done: (result) => settle(() => resolve(result)), fail });
        if (settled) shut(link, given);
      });
      if (failed === undefined) return undefined;
      opening = false;
      release(link);
      fail(failed);
      return undefined;
    };
    run().catch((error: unknown) => fail(asFault(error)));
  });
}

function collect(
  link: Link,
  channel: ClientChannel,
  maxBytes: number,
  end: { readonly done: (result: ExecResult) => void; readonly fail: (fault: Fault) => void },
): void {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  let bytes = 0;
  let code: number | undefined;
  let signal = '';
  const take = (list: Buffer[]) => (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBytes) {
      list.push(chunk);
      return;
    }
    end.fail(new Fault('NET_OVERSIZE', `more than ${maxBytes} bytes from a command`));
    list.length = 0;
    shut(link, channel);
  };
  channel.on('data', take(out));
  channel.stderr.on('data', take(err));
  channel.on('error', (error: Error) => end.fail(asFault(error, 'NET_RESET')));
  channel.on('exit', (exitCode: number | null, exitSignal?: string) => {
    if (typeof exitCode === 'number') code = exitCode;
    signal = exitSignal ?? '';
  });
  channel.once('close', () => {
    // node-ssh calls a broken connection an exit with code null: that is no result.
    if (code === undefined)
      end.fail(link.lost ?? new Fault('REMOTE_FAILED', `ended without an exit code ${signal}`.trim()));
    else
      end.done({
        code,
        stdout: Buffer.concat(out).toString('utf8'),
        stderr: Buffer.concat(err).toString('utf8'),
      });
  });
}

function stream(
  link: Link,
  command: readonly string[],
  handlers: { readonly onLine: (line: string) => void; readonly onClose: (fault: Fault) => void },
): { close(): void } {
  const line = commandLine(command);
  let ended = false;
  let channel: ClientChannel | undefined;
  const end = (fault: Fault): void => {
    if (ended) return;
    ended = true;
    handlers.onClose(fault);
  };
  const run = async (): Promise<void> => {
    const refused = await acquire(link, () => ended);
    if (refused !== undefined) return end(refused);
    const failed = await openChannel(link, line, (given) => {
      channel = given;
      given.once('close', () => release(link));
      follow(link, given, (text) => !ended && (handlers.onLine(text), true), end);
      if (ended) shut(link, given);
    });
    if (failed === undefined) return undefined;
    release(link);
    end(failed);
    return undefined;
  };
  run().catch((error: unknown) => end(asFault(error)));
  return {
    close() {
      if (ended) return;
      ended = true;
      if (channel !== undefined) shut(link, channel);
      else for (const wake of link.waiting.splice(0)) wake();
    },
  };
}

/** Cuts a channel's output into lines; a line without end is garbage and ends the stream. */
function follow(
  link: Link,
  channel: ClientChannel,
  onLine: (line: string) => void,
  end: (fault: Fault) => void,
): void {
  const cutter = new LineCutter();
  let complaint = '';
  let exit = 'closed';
  channel.on('data', (chunk: Buffer) => {
    const lines = cutter.push(chunk);
    if (lines === undefined) {
      end(new Fault('NET_OVERSIZE', `a line of more than ${MAX_LINE_CHARS} characters`));
      shut(link, channel);
      return;
    }
    try {
      for (const line of lines) onLine(line);
    } catch (error) {
      end(asFault(error));
      shut(link, channel);
    }
  });
  channel.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString('utf8')).slice(0, 200);
  });
  channel.on('error', (error: Error) => end(asFault(error, 'NET_RESET')));
  channel.on('exit', (code: number | null, signal?: string) => {
    exit = typeof code === 'number' ? `exit code ${code}` : `signal ${signal ?? 'unknown'}`;
  });
  channel.once('close', () =>
    end(link.lost ?? new Fault('REMOTE_FAILED', `${exit} ${complaint.trim()}`.trim())),
  );
}

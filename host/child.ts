import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { PublicEvent } from '../protocols/events.ts';
import type { Clock, Log } from './deps.ts';

/** What a child process tells the one that started it. */
export type FromChild =
  | { readonly type: 'ready'; readonly detail: Readonly<Record<string, unknown>> }
  | { readonly type: 'health'; readonly status: string }
  | { readonly type: 'counts'; readonly lost: number; readonly duplicated: number }
  /** Of the simulated site, when asked: W into each node; per machine its mode and the calls that set a state. */
  | {
      readonly type: 'truth';
      readonly nodeW: readonly number[];
      readonly modes: readonly string[];
      readonly stateCalls: readonly number[];
      /** How often the GPUs of a host were given to a second owner. */
      readonly doubleOwned: number;
    }
  /** One more one-time code for the console, asked for by SIGUSR2. */
  | { readonly type: 'code'; readonly code: string }
  | { readonly type: 'event'; readonly atMs: number; readonly event: PublicEvent };

/** Tells the parent, when there is one; drops it silently when there is not. */
export function tellParent(message: FromChild): void {
  if (process.send !== undefined && process.connected)
    process.send(message, undefined, undefined, () => undefined);
}

/** Ends this process when its parent is gone, or on a signal, after `stop`. */
export function endWithParent(stop: () => Promise<void>): void {
  let ending = false;
  const end = (): void => {
    if (ending) return;
    ending = true;
    stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  process.once('disconnect', end);
}

export interface ChildOptions {
  readonly name: string;
  /** Script and arguments for this same Node. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Log;
  readonly onMessage: (message: FromChild) => void;
  /** It ended without being told to. */
  readonly onEnd?: () => void;
  /** Lines of its standard output. */
  readonly onLine?: (line: string) => void;
}

const RESTART_FIRST_MS = 300;
const RESTART_MOST_MS = 10_000;
const STEADY_MS = 30_000;
const STOP_MS = 5_000;

/** A process that is started again when it ends by itself, at growing intervals while it keeps ending. */
export class Child {
  readonly #options: ChildOptions;
  #process: ChildProcess | undefined;
  #stopping = false;
  #startedMs = 0;
  #restartMs = RESTART_FIRST_MS;
  #cancelRestart: () => void = () => undefined;
  /** How often it was started again. */
  restarts = 0;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.#start();
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  send(message: object): void {
    const child = this.#process;
    if (child?.connected === true) child.send(message, () => undefined);
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGUSR2'): void {
    this.#process?.kill(signal);
  }

  /** Asks it to end, and makes it end. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#cancelRestart();
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGCONT');
    child.kill('SIGTERM');
    const cancel = this.#options.clock.after(STOP_MS, () => child.kill('SIGKILL'));
    await ended;
    cancel();
  }

  #start(): void {
    const { name, argv, env, clock, log, onMessage, onLine } = this.#options;
    const child = spawn(process.execPath, [...argv], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit', 'ipc'],
    });
    this.#process = child;
    this.#startedMs = clock.monoMs();
    child.on('message', (message) => onMessage(message as FromChild));
    let rest = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = (lines.pop() ?? '').slice(0, 100_000);
      for (const line of lines) onLine?.(line);
    });
    child.on('error', (error) => log.error({ child: name, detail: error.message }, 'child-error'));
    child.once('exit', (code, signal) => {
      if (this.#stopping) return;
      log.warn({ child: name, code, signal }, 'child-ended');
      this.#options.onEnd?.();
      if (clock.monoMs() - this.#startedMs > STEADY_MS) this.#restartMs = RESTART_FIRST_MS;
      this.#cancelRestart = clock.after(this.#restartMs, () => {
        this.restarts++;
        this.#start();
      });
      this.#restartMs = Math.min(RESTART_MOST_MS, this.#restartMs * 2);
    });
  }
}

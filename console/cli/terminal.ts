import { randomUUID } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';

import type { ConsoleView, OperatorRequest, Preview } from '../../protocols/console/view.ts';
import { durationText, kwText, progressText } from '../format.ts';
import type { ConsoleLink } from '../link.ts';
import { agree } from './agree.ts';
import { TerminalClient } from './client.ts';
import type { ConsoleClock } from './client.ts';
import { HELP, parseLine } from './commandline.ts';
import type { Asked } from './commandline.ts';
import { Prompt } from './prompt.ts';
import { screenLines } from './screen.ts';
import { plain, plainJson } from './text.ts';
import { alarmText, byUrgency, previewText, statusLines, styled, summary } from './words.ts';

const DRAW_GAP_MS = 250;
const SUMMARY_GAP_MS = 10_000;
const STALE_MS = 3_000;
const CONNECT_MS = 15_000;
/** Share of the site from which the scope's name must be typed. */
const LARGE = 0.2;

export interface TerminalOptions {
  /** The console's address, as `up` prints it. */
  readonly url: string;
  readonly code?: string | undefined;
  /** Who sits there: stands in the ledger, and only it releases its lockouts. */
  readonly name?: string | undefined;
  readonly input: Readable & { readonly isTTY?: boolean; readonly setRawMode?: (raw: boolean) => unknown };
  readonly output: Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };
  readonly clock: ConsoleClock;
  /** One JSON object a line instead of a screen. */
  readonly json?: boolean;
  /** One command, then the end: its words. */
  readonly command?: readonly string[];
  /** Confirms without asking; for scripts, with `command`. */
  readonly yes?: boolean;
  /** What the environment calls the terminal; `dumb` gets plain lines. */
  readonly term?: string | undefined;
  /** Ends the console and gives the terminal back as it was. */
  readonly signal?: AbortSignal;
}

/**
 * The terminal console: a live screen on a terminal, plain lines anywhere else, JSON lines with `json`.
 * Resolves with the exit code. Rejects with TARGET_INVALID for an address that is none.
 */
export function runTerminalConsole(options: TerminalOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    try {
      new Terminal(options, resolve).start();
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

class Terminal {
  readonly #options: TerminalOptions;
  readonly #done: (code: number) => void;
  readonly #prompt: Prompt | undefined;
  readonly #live: boolean;
  #client: TerminalClient | undefined;
  #link: ConsoleLink | undefined;
  #view: ConsoleView | undefined;
  #freshMs = 0;
  #lost: string | undefined = 'connecting';
  #messages: string[] = [];
  #drawing: (() => void) | undefined;
  #summaryMs = Number.NEGATIVE_INFINITY;
  #cancelTick: (() => void) | undefined;
  #cancelConnect: (() => void) | undefined;
  #started = false;
  #ended = false;
  #running = 0;
  #inputEnded = false;
  #told = false;
  #waiting: (() => void)[] = [];

  constructor(options: TerminalOptions, done: (code: number) => void) {
    this.#options = options;
    this.#done = done;
    const { input, output } = options;
    this.#live =
      options.json !== true &&
      options.command === undefined &&
      output.isTTY === true &&
      input.isTTY === true &&
      options.term !== 'dumb';
    const silent = options.command !== undefined && (options.json === true || options.yes === true);
    if (!silent) {
      this.#prompt = new Prompt({
        input,
        raw: this.#live,
        onLine: (line) => {
          this.#told = true;
          void this.#obey(parseLine(line));
        },
        onQuit: () => this.#quit(),
        onChange: () => this.#draw(),
      });
    }
  }

  start(): void {
    const { url, code, name, clock, signal } = this.#options;
    signal?.addEventListener('abort', () => this.#end(0), { once: true });
    this.#client = new TerminalClient({
      url,
      code,
      name,
      clock,
      handlers: {
        onView: (view) => this.#seen(view),
        onReady: (link) => this.#ready(link),
        onLost: (why) => this.#gone(why),
        onRefused: (why) => void this.#refused(why),
      },
    });
    this.#client.start();
    if (this.#live) {
      this.#options.input.setRawMode?.(true);
      this.#options.output.write('\u001B[?1049h\u001B[?25l\u001B[2J');
      this.#options.output.on('resize', this.#onResize);
      this.#tick();
    }
    // A script must not wait for a controller that is not there.
    this.#cancelConnect = clock.after(CONNECT_MS, () => {
      if (this.#link !== undefined || this.#live) return;
      this.#print(`no connection: ${this.#lost ?? ''}`, { error: this.#lost });
      this.#end(1);
    });
  }

  readonly #onResize = (): void => this.#draw();

  #tick(): void {
    this.#cancelTick = this.#options.clock.after(1_000, () => {
      this.#draw();
      this.#tick();
    });
  }

  #ready(link: ConsoleLink): void {
    this.#link = link;
    this.#lost = undefined;
    this.#cancelConnect?.();
    this.#draw();
    this.#begin();
  }

  /** Once there are both a link and a view: what waited for them. */
  #begin(): void {
    if (this.#link === undefined || this.#view === undefined) return;
    for (const go of this.#waiting.splice(0)) go();
    const { command } = this.#options;
    if (this.#started || command === undefined) return;
    this.#started = true;
    void this.#obey(parseLine(command.join(' '))).then((ok) => this.#end(ok ? 0 : 1));
  }

  /** A script's lines wait for the connection; a person is told instead. */
  async #connected(): Promise<ConsoleLink> {
    if (!this.#live && (this.#link === undefined || this.#view === undefined)) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    if (this.#link === undefined) throw new Error('not connected: try again when the screen is live');
    return this.#link;
  }

  /** A person is asked for another code; a script ends. */
  async #refused(why: string): Promise<void> {
    this.#link = undefined;
    this.#lost = 'not logged in';
    this.#print(why, { error: why });
    const { command, json } = this.#options;
    const code = command === undefined && json !== true ? await this.#ask('one-time code:') : undefined;
    if (code === undefined || code.trim() === '') this.#end(1);
    else if (!this.#ended) this.#client?.retryWith(code.trim());
  }

  #gone(why: string): void {
    this.#link = undefined;
    if (this.#lost === undefined && !this.#live)
      this.#print(`connection lost: ${why}`, { event: 'lost', why });
    this.#lost = why;
    this.#draw();
  }

  #seen(view: ConsoleView): void {
    const before = this.#view;
    this.#view = view;
    if (before === undefined) this.#begin();
    if (before?.site.atMs !== view.site.atMs) this.#freshMs = this.#options.clock.monoMs();
    if (this.#live) this.#draw();
    else if (this.#options.command === undefined) this.#tell(before, view);
  }

  /** Plain and JSON output: what changed, line by line. */
  #tell(before: ConsoleView | undefined, view: ConsoleView): void {
    const known = new Map(before?.alarms.map((alarm) => [alarm.id, alarm]));
    for (const alarm of view.alarms) {
      if (!known.has(alarm.id))
        this.#print(alarmText(alarm), {
          event: 'alarm',
          ...alarm,
        });
      known.delete(alarm.id);
    }
    for (const alarm of known.values())
      this.#print(`CLEARED ${alarm.id} ${alarm.code} ${alarm.subject}`, { event: 'cleared', id: alarm.id });
    const commands = new Map(before?.commands.map((command) => [command.id, command]));
    for (const command of view.commands) {
      if (commands.get(command.id) === command) continue;
      this.#print(
        `COMMAND ${command.id} ${command.state} ${command.text}: ${progressText(command)}, ${kwText(command.measuredKw)} of ${kwText(command.expectedKw)}`,
        { event: 'command', ...command },
      );
    }
    const nowMs = this.#options.clock.monoMs();
    const gapMs = this.#options.json === true ? 1_000 : SUMMARY_GAP_MS;
    if (nowMs - this.#summaryMs < gapMs) return;
    this.#summaryMs = nowMs;
    this.#print(summary(view), { event: 'site', ...view.site });
  }

  /** Carries out one line; true when it worked. Never throws. */
  async #obey(asked: Asked): Promise<boolean> {
    this.#running += 1;
    try {
      return await this.#carryOut(asked);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#print(why, { error: why });
      return false;
    } finally {
      this.#running -= 1;
      if (this.#inputEnded && this.#running === 0 && this.#options.command === undefined) this.#end(0);
    }
  }

  async #carryOut(asked: Asked): Promise<boolean> {
    if (asked.kind === 'nothing') return true;
    if (asked.kind === 'quit') {
      this.#end(0);
      return true;
    }
    if (asked.kind === 'help') {
      for (const text of HELP) this.#print(text, { help: text });
      return true;
    }
    if (asked.kind === 'wrong') throw new Error(asked.why);
    const link = await this.#connected();
    if (asked.kind === 'order') return this.#order(link, asked);
    if (asked.kind === 'why') {
      const why = await link.request('why', { machine: asked.machine });
      const inputs = why.inputs.map(({ label, value }) => `${label} ${value}`).join(', ');
      this.#print(`${why.machine}: ${why.text} [${why.owner}: ${why.rule}; ${inputs}] ${why.release}`, {
        why,
      });
    } else if (asked.kind === 'alarms') {
      const alarms = byUrgency(this.#view?.alarms ?? []);
      for (const alarm of alarms) this.#print(alarmText(alarm), { alarm });
      if (alarms.length === 0) this.#print('no alarms', { alarms });
    } else if (asked.kind === 'ack') {
      await link.request('alarm.ack', { alarmId: asked.alarm });
      this.#print(`acknowledged ${asked.alarm}`, { acknowledged: asked.alarm });
    } else if (asked.kind === 'agree' || asked.kind === 'agree-meter')
      this.#print(...(await agree(link, this.#view, asked, (text) => this.#ask(text))));
    else if (asked.kind === 'code') {
      const { code } = await link.request('code.new', {});
      this.#print(`one-time code for one more console, good for 15 minutes: ${code}`, { code });
    } else if (this.#view !== undefined) this.#print(statusLines(this.#view), { view: this.#view });
    return true;
  }

  async #order(link: ConsoleLink, asked: Extract<Asked, { kind: 'order' }>): Promise<boolean> {
    const reason = asked.reason === '' ? await this.#ask('reason:') : asked.reason;
    if (reason === undefined || reason.trim() === '') throw new Error('not done: a reason is needed');
    const request: OperatorRequest = {
      scope: asked.scope.split(',').filter((name) => name !== ''),
      action: asked.action,
      ...(asked.minutes !== undefined && { minutes: asked.minutes }),
      ...(asked.pools !== undefined && { pools: asked.pools }),
      reason: reason.trim(),
    };
    const preview = await link.request('cmd.preview', { ...request, scope: [...request.scope] });
    const text = previewText(request, preview);
    this.#print(text, { preview });
    for (const conflict of preview.conflicts) this.#print(`!! ${conflict}`, { conflict });
    if (preview.machines.length === 0) throw new Error('nothing to do');
    if (!(await this.#confirmed(asked.scope, preview))) {
      this.#print('not done', { done: false });
      return false;
    }
    const { commandId } = await link.request('cmd.execute', {
      previewId: preview.previewId,
      hash: preview.hash,
      key: randomUUID(),
    });
    this.#print(`command ${commandId} accepted`, { commandId });
    return true;
  }

  async #confirmed(scope: string, preview: Preview): Promise<boolean> {
    if (this.#options.yes === true) return true;
    const total = this.#view?.machines.length ?? 0;
    const large = preview.machines.length > LARGE * total;
    if (large)
      return (
        (
          await this.#ask(
            `${preview.machines.length} of ${total} machines: type ${plain(scope, 60)} to confirm:`,
          )
        )?.trim() === scope
      );
    return /^y(es)?$/i.test((await this.#ask('carry it out? y/N:'))?.trim() ?? '');
  }

  async #ask(text: string): Promise<string | undefined> {
    if (this.#prompt === undefined)
      throw new Error(`${text} cannot be asked here: give it on the command line (--yes confirms)`);
    if (!this.#live && this.#options.json !== true) this.#options.output.write(`${plain(text)} `);
    return this.#prompt.ask(text);
  }

  /** Of several lines the screen, which has a list of its own for what follows, shows the first. */
  #print(text: string | readonly string[], json: object): void {
    const lines = [text].flat();
    if (this.#options.json === true) this.#options.output.write(`${plainJson(json)}\n`);
    else if (this.#live && !this.#ended) {
      this.#messages = [...this.#messages.slice(-3), lines[0] ?? ''];
      this.#draw();
    } else for (const line of lines) this.#options.output.write(`${plain(line, 2_000)}\n`);
  }

  #draw(): void {
    if (!this.#live || this.#ended || this.#drawing !== undefined) return;
    this.#drawing = this.#options.clock.after(this.#prompt?.shown === '' ? DRAW_GAP_MS : 20, () => {
      this.#drawing = undefined;
      this.#paint();
    });
  }

  #paint(): void {
    const { output, clock } = this.#options;
    // A terminal that does not read gets the newest picture later, not every picture.
    if (this.#ended || output.writableNeedDrain) return;
    const ageMs = clock.monoMs() - this.#freshMs;
    const stale = this.#lost !== undefined || this.#view === undefined || ageMs > STALE_MS;
    const age =
      this.#view === undefined
        ? 'no data yet'
        : ageMs > STALE_MS
          ? `STALE: ${durationText(ageMs)} old`
          : 'live';
    // A terminal that does not know its size says 0.
    const lines = screenLines(this.#view, {
      columns: Math.max(20, (output.columns || 80) - 1),
      rows: Math.max(6, output.rows || 24),
      nowMs: (this.#view?.site.atMs ?? 0) + ageMs,
      state: this.#lost === undefined ? age : `${this.#lost}; ${age}`,
      stale,
      messages: this.#messages,
      prompt: this.#prompt?.shown ?? '',
    });
    output.write(`\u001B[H${lines.map(styled).join('\r\n')}\u001B[J`);
  }

  /** The person left or the input ended: what was asked is still answered. An input that never said anything only watches. */
  #quit(): void {
    this.#inputEnded = true;
    if (this.#live || (this.#options.command === undefined && this.#running === 0 && this.#told))
      this.#end(0);
  }

  #end(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#drawing?.();
    this.#cancelTick?.();
    this.#cancelConnect?.();
    this.#client?.close();
    this.#prompt?.close();
    for (const go of this.#waiting.splice(0)) go();
    const { input, output } = this.#options;
    if (this.#live) {
      input.setRawMode?.(false);
      output.off('resize', this.#onResize);
      output.write('\u001B[?25h\u001B[?1049l');
    }
    this.#done(code);
  }
}

import { PassThrough } from 'node:stream';
import { afterEach, expect, test } from 'vitest';

import { runTerminalConsole } from '../../console/cli/terminal.ts';
import type { TerminalOptions } from '../../console/cli/terminal.ts';
import { realClock } from '../../host/clock.ts';
import { alarmOf, limitSignal, siteView } from './fake-operator.ts';
import { rig } from './operator-rig.ts';
import type { Rig } from './operator-rig.ts';

const rigs: Rig[] = [];

afterEach(async () => {
  await Promise.all(rigs.splice(0).map(({ server }) => server.close()));
});

async function up(): Promise<Rig> {
  const made = await rig(realClock, { view: siteView({ racks: 6, perRack: 5, atMs: realClock.wallMs() }) });
  rigs.push(made);
  return made;
}

/** A terminal: what was written, waiting for a text, and typing. */
class FakeTty {
  readonly input = Object.assign(new PassThrough(), {
    isTTY: true,
    raw: false,
    setRawMode: (raw: boolean) => (this.input.raw = raw),
  });
  readonly output = Object.assign(new PassThrough(), { isTTY: true, columns: 120, rows: 30 });
  written = '';
  #wake: (() => void)[] = [];

  constructor() {
    this.output.on('data', (data: Buffer) => {
      this.written += data.toString();
      for (const wake of this.#wake.splice(0)) wake();
    });
  }

  /** Waits until a text stands in what was written after `from`. */
  async until(text: string | RegExp, from = 0): Promise<void> {
    const there = (): boolean =>
      typeof text === 'string' ? this.written.indexOf(text, from) >= 0 : text.test(this.written.slice(from));
    while (!there()) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  type(text: string): void {
    this.input.write(text);
  }
}

function start(tty: FakeTty, options: Partial<TerminalOptions> & { readonly url: string }): Promise<number> {
  return runTerminalConsole({
    input: tty.input,
    output: tty.output,
    clock: realClock,
    term: 'xterm',
    ...options,
  });
}

test('the live screen: rows, a limit, why, a command with preview and confirmation, quit', async () => {
  const { server, operator } = await up();
  const tty = new FakeTty();
  const done = start(tty, { url: server.url });
  await tty.until('live');
  expect(tty.input.raw).toBe(true);
  await tty.until('RACKS');
  operator.change({ signals: [limitSignal(realClock.wallMs())] });
  await tty.until('!! limit 400 kW');
  tty.type(':why r1-04\r');
  await tty.until('because power costs more');
  tty.type('\u001B[A:sleep r1 30 belt change\r');
  await tty.until('carry it out? y/N:');
  tty.type('y\r');
  await tty.until('command c1 accepted');
  expect(operator.asked[0]).toMatchObject({
    actor: 'operator#1',
    input: { scope: ['r1'], action: 'sleep', minutes: 30, reason: 'belt change' },
  });
  await tty.until(/c1 {2}sent/);
  tty.type('q');
  expect(await done).toBe(0);
  expect(tty.input.raw).toBe(false);
  expect(tty.written.endsWith('\u001B[?25h\u001B[?1049l')).toBe(true);
});

test('a large command needs the name of its scope, and a refusal is shown', async () => {
  const { server, operator } = await up();
  const tty = new FakeTty();
  const done = start(tty, { url: server.url });
  await tty.until('live');
  tty.type(':sleep delta 10\r');
  await tty.until('reason:');
  tty.type('storm\r');
  await tty.until('type delta to confirm');
  tty.type('y\r');
  await tty.until('not done');
  expect(operator.executed).toBe(0);
  tty.type(':sleep nowhere 10 x\r');
  await tty.until('OPERATOR_REFUSED');
  tty.type('\u0003');
  expect(await done).toBe(0);
});

test('a dumb terminal and a pipe get plain lines, no escape codes', async () => {
  const { server, operator } = await up();
  const tty = new FakeTty();
  const done = start(tty, { url: server.url, term: 'dumb' });
  await tty.until('Delta Flats: ');
  operator.change({ alarms: [{ ...alarmOf('a1', realClock.wallMs()), text: 'evil\u001B[2Jname' }] });
  await tty.until('ALARM a1 COMMAND_IGNORED r1-04: evil·[2Jname');
  const listed = tty.written.length;
  tty.type('alarms\n');
  await tty.until('ALARM a1 COMMAND_IGNORED r1-04: evil·[2Jname. Next: ', listed);
  tty.type('ack a1\n');
  await tty.until('acknowledged a1');
  tty.type('quit\n');
  expect(await done).toBe(0);
  expect(tty.written).not.toContain('\u001B');
});

test('one command as JSON, for scripts', async () => {
  const { server, operator } = await up();
  const tty = new FakeTty();
  const options = { url: server.url, json: true } as const;
  expect(await start(tty, { ...options, command: ['why', 'r1-04'] })).toBe(0);
  expect(JSON.parse(tty.written)).toMatchObject({ why: { machine: 'r1-04', rule: 'price above breakeven' } });
  expect(await start(new FakeTty(), { ...options, command: ['sleep', 'r1', '5', 'test'] })).toBe(1);
  expect(operator.executed).toBe(0);
  expect(await start(new FakeTty(), { ...options, yes: true, command: ['sleep', 'r1', '5', 'test'] })).toBe(
    0,
  );
  expect(operator.executed).toBe(1);
  const last = new FakeTty();
  expect(await start(last, { ...options, command: ['why', 'nobody'] })).toBe(1);
  expect(last.written).toContain('OPERATOR_REFUSED');
});

test('a piped script is carried out line by line; an empty pipe only watches', async () => {
  const { server, operator } = await up();
  const script = new FakeTty();
  const done = start(script, { url: server.url, term: 'dumb' });
  script.input.end('status\nack a1\n');
  expect(await done).toBe(0);
  expect(script.written).toContain('acknowledged a1');
  const watcher = new FakeTty();
  const stop = new AbortController();
  const watching = start(watcher, { url: server.url, term: 'dumb', signal: stop.signal });
  watcher.input.end();
  await watcher.until('Delta Flats: ');
  operator.change({ alarms: [alarmOf('a2', realClock.wallMs())] });
  await watcher.until('ALARM a2');
  stop.abort();
  expect(await watching).toBe(0);
});

test('status waits for the first view', async () => {
  const { server } = await up();
  const tty = new FakeTty();
  expect(await start(tty, { url: server.url, command: ['status'] })).toBe(0);
  expect(tty.written).toContain('Delta Flats: ');
});

test('a wrong code ends with a word; an address that is none is refused', async () => {
  const { server } = await up();
  const tty = new FakeTty();
  expect(
    await start(tty, { url: `http://127.0.0.1:${server.port}`, code: 'WRONG-WRONG', command: ['status'] }),
  ).toBe(1);
  expect(tty.written).toContain('LOGIN_REFUSED');
  const without = new FakeTty();
  expect(await start(without, { url: `http://127.0.0.1:${server.port}`, command: ['status'] })).toBe(1);
  expect(without.written).toContain('a one-time code is needed: --code CODE');
  await expect(start(new FakeTty(), { url: 'nonsense' })).rejects.toMatchObject({ code: 'TARGET_INVALID' });
});

test('a controller that restarted is found again and asks for its new code', async () => {
  const { server } = await up();
  const tty = new FakeTty();
  const done = start(tty, { url: server.url });
  await tty.until('live');
  await server.close();
  rigs.length = 0;
  await tty.until('connection was lost');
  const again = await rig(realClock, { port: server.port });
  rigs.push(again);
  await tty.until('one-time code:');
  const asked = tty.written.length;
  again.operator.tick(realClock.wallMs());
  tty.type(`${again.server.code}\r`);
  await tty.until(/under control {2}live/, asked);
  tty.type('q');
  expect(await done).toBe(0);
});

import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadSite } from '../config/load.ts';
import { MODELS } from '../config/models.ts';
import type { Site } from '../config/site.ts';
import { Child } from '../host/child.ts';
import type { FromChild } from '../host/child.ts';
import { realClock } from '../host/clock.ts';
import type { Log } from '../host/deps.ts';
import { makeDisk } from '../host/disk.ts';
import { makeLog } from '../host/log.ts';
import type { LogLevel } from '../host/log.ts';
import { BROKER_ENV } from '../host/real.ts';
import { freeLoopbackOctet, freePort } from '../host/ports.ts';
import { summarize } from '../proof/summary.ts';
import type { Timed } from '../proof/summary.ts';
import { Fault } from '../protocols/faults.ts';
import { runScenario } from '../simulator/run-scenario.ts';
import { fitScenario, SCENARIOS } from '../simulator/scenarios.ts';
import type { WorldChange } from '../simulator/scenarios.ts';
import { SIMULATED_ENV, SIMULATED_PORTS } from '../simulator/site.ts';

const help = `Usage: ./switchyard up [--site FILE] [--port PORT] [--host HOST] [--data DIR] [--log LEVEL]
       ./switchyard up --scenario NAME [--json]

The whole product in one process tree: broker (when the site file names none), agents, controller, console.
SIGUSR2 prints one more one-time code for the console.
Without --site it runs on a simulated site, over real sockets on loopback, and plays the scenario 'demo'.
--scenario NAME plays one scenario of the simulated site to its end; --json prints its events and a summary.

Scenarios:
${SCENARIOS.map((scenario) => `  ${scenario.name.padEnd(26)}${scenario.title}`).join('\n')}
`;

const SCRIPT = fileURLToPath(new URL('../switchyard.ts', import.meta.url));
const BROKER_SCRIPT = fileURLToPath(new URL('../host/broker-child.ts', import.meta.url));
/** As `./switchyard agent` has them: an agent lives on an edge box, its young objects get little memory. */
const AGENT_FLAGS = ['--max-semi-space-size=8'];
/** A scenario that is not under control by then has failed. */
const CONTROL_MS = 90_000;

interface Options {
  readonly site: string | undefined;
  readonly scenario: string | undefined;
  readonly json: boolean;
  readonly port: string | undefined;
  readonly host: string | undefined;
  readonly data: string | undefined;
  readonly log: LogLevel;
}

/** `./switchyard up`. */
export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      site: { type: 'string' },
      scenario: { type: 'string' },
      json: { type: 'boolean' },
      port: { type: 'string' },
      host: { type: 'string' },
      data: { type: 'string' },
      log: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  if (values.scenario !== undefined && !SCENARIOS.some((scenario) => scenario.name === values.scenario))
    throw new Fault(
      'USAGE',
      `there is no scenario '${values.scenario}'; there are ${SCENARIOS.map((one) => one.name).join(', ')}`,
    );
  if (values.scenario !== undefined && values.site !== undefined)
    throw new Fault('USAGE', 'a scenario runs on the simulated site: leave --site out');
  const options: Options = {
    site: values.site,
    scenario: values.scenario,
    json: values.json ?? false,
    port: values.port,
    host: values.host,
    data: values.data,
    log: (values.log ?? 'error') as LogLevel,
  };
  const log = makeLog({ name: 'up', level: options.log });
  const place = await prepare(options);
  const tree = new Tree(place.dataDir, options, log);
  try {
    return await tree.run();
  } finally {
    await tree.stop();
    if (place.temporary) await rm(place.dataDir, { recursive: true, force: true });
  }
}

/** Where this run keeps its files; a simulated site's are removed at the end unless --data named the place. */
async function prepare(options: Options): Promise<{ dataDir: string; temporary: boolean }> {
  if (options.data !== undefined || options.site === undefined) {
    const dataDir = options.data ?? (await mkdtemp(join(tmpdir(), 'switchyard-')));
    await mkdir(dataDir, { recursive: true });
    return { dataDir, temporary: options.data === undefined };
  }
  const { site } = await loadSite(options.site, (path) => makeDisk().read(path), MODELS);
  const dataDir = `data/${site.id}`;
  await mkdir(dataDir, { recursive: true });
  return { dataDir, temporary: false };
}

/** The processes of one run and what they say. */
class Tree {
  readonly #dataDir: string;
  readonly #options: Options;
  readonly #log: Log;
  #site: Site | undefined;
  readonly #children = new Map<string, Child>();
  readonly #events: Timed[] = [];
  #startMs = 0;
  #recording = false;
  #health = '';
  /** Of the controllers before the present one since the scenario began, and of the present one. */
  #countsBefore = { lost: 0, duplicated: 0 };
  #counts = { lost: 0, duplicated: 0 };
  #announced = false;
  #fail: (fault: Fault) => void = () => undefined;
  #onMessage: () => void = () => undefined;
  /** Ends the wait for a message, if there is one: its timer would keep this process alive. */
  #giveUp: () => void = () => undefined;

  constructor(dataDir: string, options: Options, log: Log) {
    this.#dataDir = dataDir;
    this.#options = options;
    this.#log = log;
  }

  /** Ends when told to, when a part cannot start (PART_FAILED), or with its scenario. */
  async run(): Promise<number> {
    const failed = new Promise<never>((_resolve, reject) => {
      this.#fail = reject;
    });
    const stopped = new Promise<void>((resolve) => {
      process.once('SIGTERM', resolve);
      process.once('SIGINT', resolve);
    });
    process.on('SIGUSR2', () => this.#children.get('controller')?.signal('SIGUSR2'));
    void stopped.then(() => this.#giveUp());
    return Promise.race([this.#runParts(stopped), failed, stopped.then(() => 0)]);
  }

  async #runParts(stopped: Promise<void>): Promise<number> {
    const simulated = this.#options.site === undefined;
    if (simulated) {
      const octet = await freeLoopbackOctet(SIMULATED_PORTS.modbus);
      await this.#start(
        'simulator',
        ['simulate', '--octet', String(octet), '--data', this.#dataDir, '--json'],
        {},
      );
    }
    const siteFile = this.#options.site ?? join(this.#dataDir, 'site.yaml');
    const { site } = await loadSite(siteFile, (path) => makeDisk().read(path), MODELS);
    this.#site = site;
    const common = ['--site', siteFile, '--log', this.#options.log, '--data', this.#dataDir];
    const env = await this.#startBroker(site);
    const port =
      this.#options.scenario === undefined
        ? (this.#options.port ?? String(site.config.console.port))
        : (this.#options.port ?? '0');
    const server = [
      '--port',
      port,
      ...(this.#options.host === undefined ? [] : ['--host', this.#options.host]),
    ];
    for (const agent of site.agents)
      void this.#start(`agent-${agent}`, ['agent', ...common, '--agent', agent], {
        ...env,
        ...SIMULATED_ENV,
      });
    await this.#start('controller', ['controller', ...common, ...server], env);
    if (this.#options.scenario !== undefined) return this.#scenario(site, this.#options.scenario, stopped);
    if (simulated) void this.#play(site, 'demo', stopped);
    await stopped;
    return 0;
  }

  async stop(): Promise<void> {
    this.#giveUp();
    await Promise.all(
      [...this.#children].filter(([name]) => name !== 'broker').map(([, child]) => child.stop()),
    );
    await this.#children.get('broker')?.stop();
  }

  /** The embedded broker with credentials of this run, on a port it keeps over restarts. */
  async #startBroker(site: Site): Promise<Record<string, string>> {
    if (site.config.broker !== undefined) return {};
    const port = await freePort();
    const env = {
      [BROKER_ENV.url]: `mqtt://127.0.0.1:${port}`,
      [BROKER_ENV.user]: 'switchyard',
      [BROKER_ENV.password]: randomBytes(18).toString('base64url'),
    };
    await this.#spawn('broker', [BROKER_SCRIPT, String(port), '127.0.0.1'], env, (line) =>
      line.includes('"listening":true'),
    );
    return env;
  }

  #start(name: string, args: readonly string[], env: Record<string, string>): Promise<void> {
    const flags = args[0] === 'agent' ? AGENT_FLAGS : [];
    return this.#spawn(name, [...flags, SCRIPT, ...args], env, undefined);
  }

  /** Starts a child; resolves when it first says that it is ready. */
  #spawn(
    name: string,
    argv: readonly string[],
    env: Record<string, string>,
    readyLine: ((line: string) => boolean) | undefined,
  ): Promise<void> {
    return new Promise((resolve) => {
      let isReady = false;
      const ready = (): void => {
        isReady = true;
        resolve();
      };
      const child = new Child({
        name,
        onEnd: () => {
          if (!isReady) this.#fail(new Fault('PART_FAILED', name));
        },
        argv,
        env,
        clock: realClock,
        log: this.#log,
        onLine: (line) => {
          if (readyLine?.(line) === true) ready();
        },
        onMessage: (message) => {
          if (message.type === 'ready') {
            if (name === 'controller') {
              this.#countsBefore = plus(this.#countsBefore, this.#counts);
              this.#counts = { lost: 0, duplicated: 0 };
              this.#announce(message.detail);
            }
            ready();
          }
          this.#hear(message);
        },
      });
      this.#children.set(name, child);
    });
  }

  #announce(detail: Readonly<Record<string, unknown>>): void {
    if (this.#options.scenario !== undefined) return;
    const code =
      this.#site?.config.console.login === 'prompt' ? `\n  One-time code: ${String(detail['code'])}` : '';
    process.stdout.write(
      `${this.#announced ? 'The controller was started again.' : `Switchyard runs ${this.#site?.id ?? ''}.`}\n  Open ${String(detail['url'])}${code}\n`,
    );
    this.#announced = true;
  }

  #hear(message: FromChild): void {
    if (message.type === 'code') process.stdout.write(`One-time code: ${message.code}\n`);
    if (message.type === 'health') this.#health = message.status;
    if (message.type === 'counts') this.#counts = { lost: message.lost, duplicated: message.duplicated };
    if (message.type === 'event' && this.#recording) {
      const timed = { tMs: Math.round(message.atMs - this.#startMs), ...message.event };
      this.#events.push(timed);
      if (this.#options.json) process.stdout.write(`${JSON.stringify(timed)}\n`);
      else if (timed.event !== 'meter' && timed.event !== 'acknowledged')
        process.stdout.write(`${(timed.tMs / 1_000).toFixed(1).padStart(7)} s  ${describe(timed)}\n`);
    }
    this.#onMessage();
  }

  /** Resolves when `condition` holds after some message, or false when the time is over. */
  #until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (value: boolean): void => {
        cancel();
        this.#onMessage = () => undefined;
        this.#giveUp = () => undefined;
        resolve(value);
      };
      const cancel = realClock.after(timeoutMs, () => done(false));
      this.#giveUp = () => done(false);
      this.#onMessage = () => {
        if (condition()) done(true);
      };
      this.#onMessage();
    });
  }

  async #scenario(site: Site, name: string, stopped: Promise<void>): Promise<number> {
    const ready = await this.#until(() => this.#health === 'ok', CONTROL_MS);
    if (!ready) process.stderr.write('the site did not come under control in time\n');
    await this.#play(site, name, stopped);
    const counts = plus(this.#countsBefore, this.#counts);
    const summary = summarize({ scenario: name, site, events: this.#events, underControl: ready, ...counts });
    if (this.#options.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
    else process.stdout.write(`${JSON.stringify(summary, undefined, 2)}\n`);
    return summary.ok ? 0 : 1;
  }

  /** Plays a scenario in real time, over and over when it repeats. */
  async #play(site: Site, name: string, stopped: Promise<void>): Promise<void> {
    const scenario = fitScenario(name, site);
    if (scenario === undefined) return;
    if (this.#options.scenario === undefined) await this.#until(() => this.#health === 'ok', CONTROL_MS);
    // What was said twice while the site came under control is not the scenario's.
    this.#countsBefore = { lost: 0, duplicated: -this.#counts.duplicated };
    this.#startMs = realClock.wallMs();
    this.#recording = this.#options.scenario !== undefined;
    const running = runScenario(scenario, { clock: realClock, act: (change) => this.#apply(change) });
    await Promise.race([running.done, stopped]);
    running.stop();
    this.#recording = false;
  }

  #apply(change: WorldChange): void {
    if (change.kind !== 'process') {
      this.#children.get('simulator')?.send({ type: 'apply', change });
      return;
    }
    const signal = ({ kill: 'SIGKILL', freeze: 'SIGSTOP', thaw: 'SIGCONT' } as const)[change.action];
    for (const [name, child] of this.#children)
      if (name === change.process || name.startsWith(`${change.process}-`)) child.signal(signal);
  }
}

interface Counts {
  readonly lost: number;
  readonly duplicated: number;
}

const plus = (a: Counts, b: Counts): Counts => ({
  lost: a.lost + b.lost,
  duplicated: a.duplicated + b.duplicated,
});

function describe(event: Timed): string {
  const { tMs: _, event: name, ...rest } = event;
  const text = JSON.stringify(rest);
  return `${name.padEnd(9)} ${text.length > 200 ? `${text.slice(0, 200)}…` : text}`;
}

/** The product as an operator runs it: whole processes, a broker and a controller that are killed, the site's own meter as judge. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect as connectMqtt } from 'mqtt';
import { afterAll, describe, expect, it } from 'vitest';
import { certificates, hasMosquitto, mortalMosquitto } from './bus-rigs.ts';
import {
  atEnd,
  closeAll,
  eventsOf,
  freePort,
  healthAt,
  runCommand,
  SCRIPT,
  simulateSite,
  SIMULATED_PASSWORD,
  startPart,
  until,
} from './site-rigs.ts';
import type { Part, SimulatedSite } from './site-rigs.ts';

const BROKER_SCRIPT = fileURLToPath(new URL('../../host/broker-child.ts', import.meta.url));
const TEST_MS = 400_000;
/** Longest from the start of the processes to a site under control on a busy machine. */
const CONTROL_MS = 120_000;
const COMPLIED = 2;

function withMosquitto(): boolean {
  if (hasMosquitto()) return true;
  if (process.env['CI'] === 'true') throw new Error('mosquitto, mosquitto_passwd and openssl are needed');
  process.stderr.write('skipped: mosquitto, mosquitto_passwd or openssl is not here\n');
  return false;
}

afterAll(closeAll);

/** Long enough to lose a process and start another one on a machine with a third of its speed. */
const DEADLINE_S = 60;

const limit = (limitKw: number, deadlineS: number): object => ({
  kind: 'utility-limit',
  limitKw: Math.round(limitKw),
  deadlineS,
  event: 'contracted',
});
const noLimit = { kind: 'utility-limit', deadlineS: 0, event: 'none' };

/** The highest reading of the inlet's own meter from `fromMs` on. */
function highestSince(site: SimulatedSite, fromMs: number): number {
  const since = site.samples.filter(({ atMs }) => atMs >= fromMs).map(({ powerKw }) => powerKw);
  expect(since.length).toBeGreaterThan(2);
  return Math.max(...since);
}

/** Waits until the site is under control and its draw no longer rises; its draw, kW. */
async function underControl(site: SimulatedSite, port: number): Promise<number> {
  const health = await until('under control', CONTROL_MS, async () => {
    const answer = await healthAt(port);
    return answer?.body.status === 'ok' && answer;
  });
  expect(health.code).toBe(200);
  expect(health.body).toMatchObject({
    site: 'demo',
    controller: { epoch: 1 },
    agents: { a1: 'live' },
    broker: { connected: true },
  });
  return site.mainKw();
}

/** Machines that took a verb, once per command: an agent says a result again when it cannot know that it was heard. */
function acknowledgements(controller: Part, verb: string): string[] {
  const told = eventsOf(controller).flatMap((event) =>
    event.event === 'acknowledged' && event.verb === verb ? [`${event.commandId} ${event.machine}`] : [],
  );
  return [...new Set(told)].map((one) => one.split(' ')[1] ?? '');
}

/** Machines that took one verb twice with nothing in between. */
function toldTwice(controller: Part): string[] {
  const last = new Map<string, string>();
  const calls = new Set<string>();
  return eventsOf(controller).flatMap((event) => {
    if (event.event !== 'acknowledged') return [];
    const { commandId, machine, verb } = event;
    const call = `${commandId} ${machine} ${verb}`;
    if (calls.has(call)) return [];
    calls.add(call);
    const before = last.get(machine);
    last.set(machine, verb);
    return before === verb ? [`${machine} ${verb}`] : [];
  });
}

interface Carried {
  readonly machine: string;
  readonly verb: string;
  readonly stage: string;
  /** How long the device took, to the nanosecond: no two calls are alike. */
  readonly ms: number;
}

/** What the agents say they carried out, overheard on the broker. */
async function overhear(port: number, username: string, password: string): Promise<Carried[]> {
  const carried: Carried[] = [];
  const client = connectMqtt(`mqtt://127.0.0.1:${port}`, { username, password, protocolVersion: 4 });
  atEnd(() => client.endAsync(true));
  client.on('message', (_topic, payload) => {
    const { results } = JSON.parse(payload.toString()) as { results: Carried[] };
    carried.push(...results.filter(({ stage }) => stage === 'acknowledged'));
  });
  await until('the broker listens', 20_000, () => client.connected);
  await client.subscribeAsync('switchyard/v1/demo/agent/+/result', { qos: 1 });
  return carried;
}

/** Machines that took a verb, once per call: what an agent cannot know to be heard it says again. */
const machinesThat = (carried: readonly Carried[], verb: string): string[] => [
  ...new Map(
    carried.filter((one) => one.verb === verb).map(({ machine, ms }) => [`${machine} ${ms}`, machine]),
  ).values(),
];

/** The site's parts as an operator would start them on their own. */
function startParts(site: SimulatedSite, env: Readonly<Record<string, string>>, port: number) {
  const data = join(site.folder, 'data');
  const common = ['--site', site.siteFile, '--data', data, '--log', 'error'];
  const whole = { ...env, ...SIMULATED_PASSWORD };
  const controller = (): Part => startPart([SCRIPT, 'controller', ...common, '--port', String(port)], whole);
  return { data, controller, agent: startPart([SCRIPT, 'agent', ...common], whole) };
}

interface Mosquitto {
  readonly broker: object;
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** Mosquitto with TLS and credentials; `broker` is what the site file says of it. */
async function tlsBroker(folder: string): Promise<Mosquitto> {
  mkdirSync(folder, { recursive: true });
  certificates(folder);
  const passwords = join(folder, 'passwords');
  execFileSync('mosquitto_passwd', ['-b', '-c', passwords, 'site', 'correct horse'], { stdio: 'ignore' });
  const port = await freePort();
  const configuration = join(folder, 'mosquitto.conf');
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous false',
    `password_file ${passwords}`,
    `cafile ${join(folder, 'ca.pem')}`,
    `certfile ${join(folder, 'broker.pem')}`,
    `keyfile ${join(folder, 'broker.key')}`,
    'persistence false',
    ...(process.getuid?.() === 0 ? ['user root'] : []),
  ];
  writeFileSync(configuration, `${lines.join('\n')}\n`);
  const broker = await mortalMosquitto(configuration, port);
  atEnd(broker.kill);
  return {
    broker: {
      url: `mqtts://127.0.0.1:${port}`,
      protocol: 5,
      username: 'site',
      passwordEnv: 'SITE_BROKER_PASSWORD',
      caFile: join(folder, 'ca.pem'),
    },
    ...broker,
  };
}

describe('whole processes, judged by the meter at the inlet', () => {
  it.skipIf(!withMosquitto()).concurrent(
    'Mosquitto dies by kill -9 in the middle of a curtailment: the limit is kept and control goes on',
    async () => {
      const site = await simulateSite();
      const broker = await tlsBroker(join(site.folder, 'broker'));
      site.edit((file) => Object.assign(file, { broker: broker.broker }));
      const port = await freePort();
      const { controller } = startParts(site, { SITE_BROKER_PASSWORD: 'correct horse' }, port);
      const brain = controller();
      const beforeKw = await underControl(site, port);

      brain.child.kill('SIGUSR2');
      const code = await until('one more code', 10_000, () =>
        brain.messages.find(({ type }) => type === 'code'),
      );
      expect(code).toMatchObject({ code: expect.stringMatching(/^[0-9A-Z]{5}-[0-9A-Z]{5}$/) });

      const firstKw = Math.round(beforeKw * 0.65);
      const deadlineMs = Date.now() + DEADLINE_S * 1_000;
      site.apply(limit(firstKw, DEADLINE_S));
      await until(
        'the first sleep is acknowledged',
        30_000,
        () => acknowledgements(brain, 'sleep').length > 0,
      );
      await broker.kill();
      await until('the loss of the broker is known', 30_000, async () => {
        const health = await healthAt(port);
        return health?.body.status !== 'ok' && JSON.stringify(health?.body.broker) === '{"connected":false}';
      });
      await broker.start();
      await until('control has returned', 60_000, async () => (await healthAt(port))?.body.status === 'ok');
      await until('some time under the limit', 90_000, () => Date.now() > deadlineMs + 4_000);
      expect(highestSince(site, deadlineMs)).toBeLessThanOrEqual(firstKw);

      const secondMs = Date.now() + (DEADLINE_S + 5) * 1_000;
      site.apply(limit(beforeKw * 0.4, DEADLINE_S));
      await until('the second limit is reported as met', (DEADLINE_S + 5) * 1_000, async () => {
        const { sequence, status } = await site.report();
        return sequence === 2 && status === COMPLIED;
      });
      expect(await site.mainKw()).toBeLessThanOrEqual(beforeKw * 0.4);
      expect(Date.now()).toBeLessThan(secondMs);
      expect(highestSince(site, deadlineMs)).toBeLessThanOrEqual(firstKw);

      site.apply(noLimit);
      await until('the load returns', 60_000, async () => (await site.mainKw()) > beforeKw * 0.7);
      // One that was shed for a moment's want may have been woken again below the limit, and go to sleep for the next one.
      expect(toldTwice(brain)).toEqual([]);
    },
    TEST_MS,
  );

  it.concurrent(
    'the controller is killed in the middle of a curtailment and goes on where it was',
    async () => {
      const site = await simulateSite();
      const brokerPort = await freePort();
      const env = {
        SWITCHYARD_BROKER_URL: `mqtt://127.0.0.1:${brokerPort}`,
        SWITCHYARD_BROKER_USER: 'site',
        SWITCHYARD_BROKER_PASSWORD: 'correct horse',
      };
      startPart([BROKER_SCRIPT, String(brokerPort), '127.0.0.1'], env);
      const carried = await overhear(brokerPort, 'site', 'correct horse');
      const port = await freePort();
      const { controller, data } = startParts(site, env, port);
      const first = controller();
      const beforeKw = await underControl(site, port);

      const limitKw = Math.round(beforeKw * 0.6);
      const deadlineMs = Date.now() + DEADLINE_S * 1_000;
      site.apply(limit(limitKw, DEADLINE_S));
      await until('the first command of the curtailment', 30_000, () =>
        eventsOf(first).some((event) => event.event === 'desired' && event.signalId?.startsWith('limit')),
      );
      await first.kill('SIGKILL');
      const second = controller();
      await until('the new controller has control', 60_000, async () => {
        const health = await healthAt(port);
        return health?.body.status === 'ok' && JSON.stringify(health.body.controller).includes('"epoch":2');
      });
      await until('the deadline has passed', 90_000, () => Date.now() > deadlineMs);
      expect(await site.mainKw()).toBeLessThanOrEqual(limitKw);
      expect(await site.report()).toMatchObject({ sequence: 1, status: COMPLIED });
      await until('some time under the limit', 10_000, () => Date.now() > deadlineMs + 5_000);
      expect(highestSince(site, deadlineMs)).toBeLessThanOrEqual(limitKw);
      const asleep = machinesThat(carried, 'sleep');
      expect(asleep.length).toBeGreaterThan(5);
      expect(new Set(asleep).size).toBe(asleep.length);
      expect(machinesThat(carried, 'wake')).toEqual([]);

      site.apply(noLimit);
      await until('the load returns', 60_000, async () => (await site.mainKw()) > beforeKw * 0.9);
      const awake = machinesThat(carried, 'wake');
      expect(new Set(awake).size).toBe(awake.length);
      for (const machine of awake) expect(asleep).toContain(machine);

      const ledger = join(data, 'ledger.log');
      for (const end of [() => undefined, () => second.kill('SIGTERM')]) {
        await end();
        const verdict = await runCommand(['audit', 'verify', ledger, '--json']);
        expect(verdict).toMatchObject({ status: 0 });
        expect(JSON.parse(verdict.stdout)).toMatchObject({ ok: true });
      }
      const starts = [...readFileSync(ledger, 'latin1').matchAll(/"t":"start".*?"epoch":(\d+)/g)];
      expect(starts.map(([, epoch]) => Number(epoch))).toEqual([1, 2]);
    },
    TEST_MS,
  );

  it.concurrent(
    'up ends every process and frees its ports within 10 s of SIGTERM',
    async () => {
      const site = await simulateSite();
      const port = await freePort();
      const data = join(site.folder, 'data');
      const up = startPart([SCRIPT, 'up', '--site', site.siteFile, '--port', String(port), '--data', data], {
        ...SIMULATED_PASSWORD,
      });
      await underControl(site, port);
      expect(up.output).toContain(`http://127.0.0.1:${port}`);
      const children = childrenOf(up.child.pid ?? 0);
      expect(
        new Set(children.map(({ command }) => /broker-child|agent|controller/.exec(command)?.[0])),
      ).toEqual(new Set(['agent', 'broker-child', 'controller']));
      const brokerPort = Number(
        /broker-child\.ts (\d+)/.exec(children.map(({ command }) => command).join('\n'))?.[1],
      );
      const startMs = performance.now();
      await up.kill('SIGTERM');
      expect(performance.now() - startMs).toBeLessThan(10_000);
      expect(up.child.exitCode).toBe(0);
      for (const { pid } of children) expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
      for (const closed of [port, brokerPort]) expect(await answers(closed)).toBe(false);
    },
    TEST_MS,
  );
});

function childrenOf(pid: number): { pid: number; command: string }[] {
  const listed = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(pid)], { encoding: 'utf8' });
  return [...listed.matchAll(/^\s*(\d+)\s+(.*)$/gm)].map(([, id, command]) => ({
    pid: Number(id),
    command: command ?? '',
  }));
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const done = (value: boolean): void => {
      socket.destroy();
      resolve(value);
    };
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}

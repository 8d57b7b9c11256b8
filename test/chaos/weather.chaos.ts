/** The network between real processes misbehaves, by seed, at every link at once. The plant itself is the judge. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectMqtt } from 'mqtt';
import { afterEach, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadSite } from '../../config/load.ts';
import { MODELS } from '../../config/models.ts';
import type { Site } from '../../config/site.ts';
import type { Random } from '../../host/deps.ts';
import { makeDisk } from '../../host/disk.ts';
import { seededRandom } from '../../host/random.ts';
import { SIMULATED_PORTS } from '../../simulator/site.ts';
import { decodeSegment, streamOf } from '../../protocols/mqtt/backlog.ts';
import { FrameDecoder } from '../../protocols/mqtt/frame.ts';
import { atEnd, closeAll, until } from '../wire/site-rigs.ts';
import type { Part } from '../wire/site-rigs.ts';
import { makeYard, withMosquitto } from './rigs.ts';
import type { Yard } from './rigs.ts';
import { startProxy } from './proxy.ts';
import type { Proxy, Weather } from './proxy.ts';

afterEach(closeAll);

const COMPLIED = 2;
const SEED = Number(process.env['CHAOS_SEED'] ?? 1);
const STORM_MS = 45_000;
/** An AI job takes so many hosts from mining in the storm. */
const AI_HOSTS = 2;
/** The judge asks this often; a wake-up takes longer to build up. */
const LOOK_MS = 500;
/** As in the simulation: an agent alone brings a node below its cap within this time. */
const ABOVE_CAP_MS = 15_000;

/** Where proxies stand: one broker link per process, and one hop in front of every port of every device. */
interface Links {
  readonly agentBus: Proxy;
  readonly controllerBus: Proxy;
  readonly http: Proxy[];
  readonly api: Proxy[];
  readonly meters: Proxy[];
  readonly ssh: Proxy[];
}

/** The devices' ports as the agent is told: one higher, where the proxies listen. */
const { http, api, modbus, ssh } = SIMULATED_PORTS;
const PROXIED = [http, api, modbus, ssh] as const;

function behindProxies(file: Record<string, unknown>): void {
  const aside = (target: string): string =>
    PROXIED.reduce(
      (text, port) => text.replace(new RegExp(`(?<=[=:])${port}(?=[/?&]|$)`, 'gu'), String(port + 1)),
      target,
    );
  for (const kind of ['machines', 'meters'] as const)
    for (const device of file[kind] as { target: string }[]) device.target = aside(device.target);
}

async function link(yard: Yard, site: Site, random: Random): Promise<Links> {
  const proxies = new Map<string, Proxy>();
  const hop = async (host: string, port: number, listen?: number): Promise<Proxy> => {
    const name = `${host}:${port}`;
    const proxy = await startProxy({
      target: { host, port },
      random,
      ...(listen === undefined ? {} : { host, port: listen }),
    });
    atEnd(() => proxy.close());
    if (listen !== undefined) proxies.set(name, proxy);
    return proxy;
  };
  const hostOf = (target: string): string => /\/\/(?:[^@/]*@)?([\d.]+)/u.exec(target)?.[1] ?? '';
  for (const { target, model } of site.machines) {
    if (model.kind !== 'asic') {
      await hop(hostOf(target), ssh, ssh + 1);
      continue;
    }
    await hop(hostOf(target), api, api + 1);
    if (target.startsWith('antminer')) await hop(hostOf(target), http, http + 1);
  }
  for (const { target } of site.meters) await hop(hostOf(target), modbus, modbus + 1);
  const on = (port: number): Proxy[] =>
    [...proxies].flatMap(([name, proxy]) => (name.endsWith(`:${port}`) ? [proxy] : []));
  return {
    agentBus: await hop('127.0.0.1', yard.broker.port),
    controllerBus: await hop('127.0.0.1', yard.broker.port),
    http: on(http),
    api: on(api),
    meters: on(modbus),
    ssh: on(ssh),
  };
}

/** One of the kinds of weather, each as likely as any other. */
function draw(random: Random): Weather {
  const upTo = (most: number): number => Math.floor(random.next() * most);
  const kinds: readonly (() => Weather)[] = [
    () => ({ kind: 'delay', ms: 50 + upTo(700) }),
    () => ({ kind: 'jitter', mostMs: 50 + upTo(700) }),
    () => ({ kind: 'trickle', bytes: 1 + upTo(200), everyMs: 2 + upTo(20) }),
    () => ({ kind: 'swallow', direction: 'both' }),
    () => ({ kind: 'swallow', direction: random.next() < 0.5 ? 'to' : 'from' }),
    () => ({ kind: 'cut', afterBytes: 1 + upTo(2_000), direction: random.next() < 0.5 ? 'to' : 'from' }),
    () => ({ kind: 'reset' }),
  ];
  return kinds[upTo(kinds.length)]?.() ?? { kind: 'calm' };
}

/** So many connections must have been cut, or the storm was none. */
const LEAST_CUTS = 10;
const groupsOf = (links: Links): Proxy[][] => [
  [links.agentBus],
  [links.controllerBus],
  links.http,
  links.api,
  links.meters,
  links.ssh,
];
const cutsOf = (links: Links): number =>
  groupsOf(links)
    .flat()
    .reduce((sum, { counts }) => sum + counts.cuts, 0);

/**
 * Changes the weather of some links every few seconds until the time is over and enough was cut (how soon hangs on
 * who happens to speak then), three times as long at most; what kinds there were.
 */
async function storm(links: Links, random: Random): Promise<ReadonlySet<string>> {
  const kinds = new Set<string>();
  const groups = groupsOf(links);
  const all = groups.flat();
  const beganMs = performance.now();
  const lastedMs = (): number => performance.now() - beganMs;
  while (lastedMs() < STORM_MS || (cutsOf(links) <= LEAST_CUTS && lastedMs() < 3 * STORM_MS)) {
    for (const group of groups)
      for (const proxy of group) {
        const strikes = random.next() < 0.4;
        const weather: Weather = strikes ? draw(random) : { kind: 'calm' };
        kinds.add(weather.kind);
        proxy.set(weather);
      }
    const waitMs = 2_000 + random.next() * 4_000;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
  for (const proxy of all) proxy.set({ kind: 'calm' });
  return kinds;
}

/** What was really seen of the plant. */
interface Seen {
  looks: number;
  /** The longest that a node was above its cap at a time. */
  worst: { node: string; ms: number };
  /** Per machine, how often it went to sleep or left it: one call each is right, whoever made it. */
  readonly turns: number[];
}

/** Looks at the true draw of every node and the true mode of every machine, again and again until the test ends. */
function watchPlant(yard: Yard, site: Site): Seen {
  const seen: Seen = { looks: 0, worst: { node: '', ms: 0 }, turns: site.machines.map(() => 0) };
  let before: readonly string[] = [];
  const sinceMs = site.nodes.map(() => Number.NaN);
  const stop = new AbortController();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      const { nodeW, modes } = await yard.site.truth();
      const nowMs = performance.now();
      seen.looks += 1;
      for (const [place, mode] of modes.entries())
        if (seen.looks > 1 && (mode === 'sleep') !== (before[place] === 'sleep'))
          seen.turns[place] = (seen.turns[place] ?? 0) + 1;
      before = modes;
      for (const [place, { id, capKw }] of site.nodes.entries()) {
        const above = capKw !== undefined && (nodeW[place] ?? 0) > capKw * 1_000;
        const began = sinceMs[place] ?? Number.NaN;
        sinceMs[place] = above ? (Number.isNaN(began) ? nowMs : began) : Number.NaN;
        if (above && nowMs - (sinceMs[place] ?? nowMs) > seen.worst.ms)
          seen.worst = { node: id, ms: nowMs - (sinceMs[place] ?? nowMs) };
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  })();
  atEnd(async () => {
    stop.abort();
    await watching.catch(() => undefined);
  });
  return seen;
}

/** By boot and stream, the numbers that came over the broker, new or as backlog; heard without the proxies. */
async function telemetry(port: number): Promise<Map<string, Set<number>>> {
  const numbers = new Map<string, Set<number>>();
  const decoder = new FrameDecoder();
  const note = (boot: number, stream: string, seq: number): void => {
    const name = `${boot} ${stream}`;
    numbers.set(name, (numbers.get(name) ?? new Set()).add(seq));
  };
  const client = connectMqtt(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
  atEnd(() => client.endAsync(true));
  client.on('message', (topic, payload) => {
    const bytes = new Uint8Array(payload);
    if (topic.endsWith('/frame')) {
      const decoded = decoder.decode(bytes);
      if (decoded.kind === 'frame')
        note(decoded.frame.boot, streamOf(decoded.frame.group), decoded.frame.seq);
      return;
    }
    if (topic.endsWith('/backlog')) {
      const { boot, stream, items } = decodeSegment(bytes);
      for (const { seq } of items) note(boot, stream, seq);
      return;
    }
    const { boot, seq } = JSON.parse(payload.toString()) as { boot: number; seq: number };
    note(boot, 'messages', seq);
  });
  await until('the consumer listens', 20_000, () => client.connected);
  const topics = ['frame', 'backlog', 'result', 'event'];
  await client.subscribeAsync(
    topics.map((kind) => `switchyard/v1/demo/agent/a1/${kind}`),
    { qos: 1 },
  );
  return numbers;
}

/** Numbers that are missing below the last one that came. */
const missing = (numbers: ReadonlyMap<string, ReadonlySet<number>>): string[] =>
  [...numbers].flatMap(([name, seqs]) => {
    const last = Math.max(...seqs);
    return last + 1 === seqs.size ? [] : [`${name}: ${last + 1 - seqs.size} of ${last + 1}`];
  });

const lostBy = (controller: Part): number =>
  Math.max(0, ...controller.messages.flatMap((message) => (message.type === 'counts' ? [message.lost] : [])));

it.skipIf(!withMosquitto())(
  'broker links and every device link fail in all ways: nothing above a cap, no command or owner twice, no telemetry lost',
  async () => {
    const random = seededRandom(SEED);
    const yard = await makeYard(behindProxies);
    const { site: config } = await loadSite(yard.site.siteFile, (path) => makeDisk().read(path), MODELS);
    const links = await link(yard, config, random);
    const siteFileOf = (who: string, proxy: Proxy): string => {
      const file = join(yard.site.folder, `site-${who}.yaml`);
      const broker = { url: `mqtt://127.0.0.1:${proxy.port}`, protocol: 5 };
      writeFileSync(
        file,
        stringify({ ...(parse(readFileSync(yard.site.siteFile, 'utf8')) as object), broker }),
      );
      return file;
    };
    const numbers = await telemetry(yard.broker.port);
    yard.agent({ siteFile: siteFileOf('agent', links.agentBus) });
    const controller = yard.controller({ siteFile: siteFileOf('controller', links.controllerBus) });
    await yard.underControl();
    const before = await yard.site.truth();
    const beforeKw = await yard.site.mainKw();
    const seen = watchPlant(yard, config);

    const limitKw = Math.round(beforeKw * 0.6);
    const kinds = storm(links, random);
    yard.site.apply({ kind: 'ai-job', id: 'job-1', contract: 'train', hosts: AI_HOSTS, durationS: 600 });
    yard.site.apply({ kind: 'utility-limit', limitKw, deadlineS: 30, event: 'contracted' });
    expect([...(await kinds)].sort()).toEqual([
      'calm',
      'cut',
      'delay',
      'jitter',
      'reset',
      'swallow',
      'trickle',
    ]);
    await until(
      'the limit is reported as met',
      90_000,
      async () => (await yard.site.report()).status === COMPLIED,
    );
    expect(await yard.site.mainKw()).toBeLessThanOrEqual(limitKw);
    await yard.underControl();

    await until('nothing is missing', 90_000, () => missing(numbers).length === 0);
    expect([...numbers.values()].reduce((sum, seqs) => sum + seqs.size, 0)).toBeGreaterThan(300);
    expect(lostBy(controller)).toBe(0);
    await until(
      'the job runs on its hosts',
      90_000,
      async () => (await yard.site.truth()).modes.filter((mode) => mode === 'ai').length >= AI_HOSTS,
    );
    expect((await yard.site.truth()).doubleOwned, 'GPUs with two owners').toBe(0);
    // A call under way has its turn soon; one too many never has.
    const tooOften = async (): Promise<string[]> => {
      const { stateCalls } = await yard.site.truth();
      return config.machines.flatMap(({ id, model }, place) => {
        const calls = (stateCalls[place] ?? 0) - (before.stateCalls[place] ?? 0);
        const turns = seen.turns[place] ?? 0;
        return model.kind === 'asic' && calls > turns ? [`${id}: ${calls} calls for ${turns} turns`] : [];
      });
    };
    await until('every call has had its turn', 30_000, async () => (await tooOften()).length === 0).catch(
      async () => expect(await tooOften()).toEqual([]),
    );
    expect(seen.turns.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(5);
    expect(seen.looks).toBeGreaterThan(20);
    expect(seen.worst.ms, seen.worst.node).toBeLessThan(ABOVE_CAP_MS);
    expect(cutsOf(links)).toBeGreaterThan(LEAST_CUTS);
  },
  330_000,
);

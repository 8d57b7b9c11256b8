import { describe, expect, test } from 'vitest';

import { MODELS } from '../../../config/models.ts';
import { siteSchema } from '../../../config/schema/site.ts';
import { resolveSite } from '../../../config/site.ts';
import type { Site } from '../../../config/site.ts';
import { findWarnings } from '../../../config/warnings.ts';
import { seededRandom } from '../../../host/random.ts';
import { decodeAnswer, encodeRequest } from '../../../protocols/modbus/frame.ts';
import { parseAiDemand, parseHashpriceFeed, parsePriceFeed } from '../../../protocols/prices/feed.ts';
import type { SimulatedEndpoint } from '../../../simulator/device.ts';
import { defaultMisbehaviour, fitScenario, SCENARIOS } from '../../../simulator/scenarios.ts';
import { simulatedSite } from '../../../simulator/site.ts';
import type { SimulatedSiteOptions } from '../../../simulator/site.ts';
import { makeWorld } from '../../../simulator/world.ts';
import type { World } from '../../../simulator/world.ts';

const HOST_KEY = `SHA256:${'A'.repeat(43)}`;
/** Evening at the site: no sun. */
const NIGHT = Date.parse('2026-11-22T06:00:00Z');
const NOON = Date.parse('2026-11-22T18:00:00Z');

function siteOf(options: Partial<SimulatedSiteOptions> = {}): Site {
  const input = simulatedSite({ hostKey: HOST_KEY, keyFile: 'keys/site', ...options });
  return resolveSite(siteSchema.parse(input), MODELS);
}

const worldOf = (site: Site, startMs = NIGHT): World =>
  makeWorld({ site, random: seededRandom(7), startMs, misbehaving: [] });

function nodeW(site: Site, nodes: readonly number[], id: string): number {
  return nodes[site.nodes.find((node) => node.id === id)?.index ?? -1] ?? Number.NaN;
}

const hosts = (site: Site): string[] => site.machines.map(({ target }) => URL.parse(target)?.hostname ?? '');

describe('the simulated site', () => {
  test('has 240 ASICs, 32 GPU hosts, six meters, and an address for each machine', () => {
    const site = siteOf();
    const asics = site.machines.filter(({ model }) => model.kind === 'asic');
    expect(asics).toHaveLength(240);
    expect(site.machines).toHaveLength(272);
    expect(site.meters.map(({ id }) => id)).toEqual([
      'm-main',
      'm-feeder-1',
      'm-feeder-2',
      'm-feeder-3',
      'm-gpu-row',
      'm-solar',
    ]);
    expect(new Set(asics.map(({ model }) => model.id)).size).toBeGreaterThanOrEqual(3);
    expect(new Set(hosts(site)).size).toBe(272);
    expect(site.machines[0]?.target).toContain('127.20.1.1?');
    for (const host of hosts(site)) expect(host).toMatch(/^127\.20\.\d+\.\d+$/);
  });

  test('is a site file without warnings', () => {
    expect(findWarnings(siteOf())).toEqual([]);
  });

  test('listens on other octets and ports when asked', () => {
    const site = siteOf({ loopbackOctet: 33, ports: { ssh: 2_299 } });
    expect(site.machines.at(-1)?.target).toMatch(/^gpu:\/\/switchyard@127\.33\.14\.8:2299\?/);
  });

  test.each([undefined, 30, 100, 200, 1_000, 3_000])(
    '%s machines: caps keep their proportions',
    (machines) => {
      const site = siteOf(machines === undefined ? {} : { machines });
      const asics = site.machines.filter(({ model }) => model.kind === 'asic').length;
      expect(site.machines.length).toBe(machines ?? 272);
      expect(asics / site.machines.length).toBeCloseTo(240 / 272, 1);
      expect(new Set(hosts(site)).size).toBe(site.machines.length);
      const { nodeW: nodes } = worldOf(site).truth(0);
      for (const feeder of ['feeder-1', 'feeder-2']) {
        const load =
          nodeW(site, nodes, feeder) / 1_000 / (site.nodes.find(({ id }) => id === feeder)?.capKw ?? 0);
        expect(load).toBeGreaterThan(0.88);
        expect(load).toBeLessThan(0.97);
      }
      for (const node of site.nodes) expect((nodes[node.index] ?? 0) / 1_000).toBeLessThan(node.capKw);
      // Everything mining and every GPU host at AI is more than feeder-3 carries; with two thirds of its ASICs it fits.
      const feeder = site.nodes.find(({ id }) => id === 'feeder-3');
      const below = site.machines.filter(({ nodeIndex }) =>
        site.nodes[nodeIndex]?.path.includes(feeder?.index ?? -1),
      );
      const aiKw =
        below.reduce((sum, { model }) => sum + (model.kind === 'gpu-host' ? model.aiW : 0), 0) / 1_000;
      const asicKw =
        below.reduce(
          (sum, { model }) => sum + (model.kind === 'asic' ? (model.rungs.at(-1)?.powerW ?? 0) : 0),
          0,
        ) / 1_000;
      expect(aiKw + asicKw).toBeGreaterThan((feeder?.capKw ?? 0) * 1.05);
      expect((aiKw + asicKw * 0.6) * 1.011).toBeLessThan((feeder?.capKw ?? 0) * 0.98);
    },
  );
});

describe('the plant', () => {
  test('a node draws what hangs on it and a little more', () => {
    const site = siteOf();
    const { nodeW: nodes, machineW } = worldOf(site).truth(5_000);
    for (const node of site.nodes) {
      const machines = site.machines.filter((machine) =>
        site.nodes[machine.nodeIndex]?.path.includes(node.index),
      );
      const sumW = machines.reduce((sum, machine) => sum + (machineW[machine.index] ?? 0), 0);
      const over = (nodes[node.index] ?? 0) / sumW - 1;
      expect(over).toBeGreaterThanOrEqual(0);
      expect(over).toBeLessThan(node.parentIndex < 0 ? 0.06 : 0.02);
      if (node.kind === 'rack') expect(over).toBeLessThan(1e-9);
    }
  });

  test('the sun lowers what the site imports, and a generation meter tells how much', () => {
    const site = siteOf();
    const night = worldOf(site, NIGHT).truth(0);
    const noon = worldOf(site, NOON).truth(0);
    expect(night.generationW).toBe(0);
    expect(noon.generationW).toBeGreaterThan(40_000);
    expect(nodeW(site, noon.nodeW, 'main')).toBeLessThan(nodeW(site, night.nodeW, 'main'));
    expect(nodeW(site, noon.nodeW, 'feeder-1')).toBeCloseTo(nodeW(site, night.nodeW, 'feeder-1'), -4);
  });

  test('at the start everything mines, as it would at the calm price', () => {
    const site = siteOf();
    const { modes } = worldOf(site).truth(0);
    const count = (mode: string): number => modes.filter((one) => one === mode).length;
    expect([count('mine'), count('idle'), count('ai'), count('sleep')]).toEqual([240 + 32, 0, 0, 0]);
  });

  test('a GPU host started for AI over SSH draws more after a while, and the call is counted', () => {
    const site = siteOf();
    const world = worldOf(site);
    const host = site.machines.find(({ id }) => id === 'g1-02');
    const shell = endpoint(world, URL.parse(host?.target ?? '')?.hostname ?? '', 'ssh');
    if (shell.kind !== 'ssh' || host === undefined) throw new Error('no shell');
    expect(shell.device.exec('systemctl stop --no-block miner.service', 1_000).kind).toBe('result');
    const beforeW = world.truth(60_000).machineW[host.index] ?? 0;
    expect(shell.device.exec('systemctl start --no-block ai.service', 60_000).kind).toBe('result');
    const during = world.truth(65_000);
    expect(during.stateCalls[host.index]).toBe(2);
    const after = world.truth(180_000);
    expect(after.modes[host.index]).toBe('ai');
    expect((after.machineW[host.index] ?? 0) - beforeW).toBeGreaterThan(6_000);
    expect(after.doubleOwned).toBe(0);
  });

  test('two workloads on the same GPUs are counted', () => {
    const site = siteOf();
    const world = worldOf(site);
    const shell = endpoint(world, '127.20.11.1', 'ssh');
    if (shell.kind !== 'ssh') throw new Error('no shell');
    expect(world.truth(0).modes[site.machines.find(({ id }) => id === 'g1-01')?.index ?? -1]).toBe('mine');
    shell.device.exec('systemctl start ai.service', 1_000);
    expect(world.truth(60_000).doubleOwned).toBe(1);
  });

  test('the same seed gives the same watts', () => {
    const site = siteOf();
    const watts = (): readonly number[] => worldOf(site).truth(12_345).nodeW;
    expect(watts()).toEqual(watts());
  });
});

function endpoint(world: World, host: string, kind: string): SimulatedEndpoint {
  const found = world.endpoints.find((one) => one.host === host && one.kind === kind);
  if (found === undefined) throw new Error(`nothing at ${host}`);
  return found;
}

describe('feeds', () => {
  const get = (world: World, path: string, nowMs: number): string => {
    const feed = endpoint(world, '127.20.0.20', 'http');
    if (feed.kind !== 'http') throw new Error('no feed');
    const answer = feed.device.respondHttp({ method: 'GET', path, headers: {}, body: '' }, nowMs);
    return answer.kind === 'response' && answer.status === 200 ? answer.body : answer.kind;
  };

  test('the price feed says the price in force and the indicative one, by the product’s own reader', () => {
    const world = worldOf(siteOf());
    const read = (nowMs: number) => parsePriceFeed(get(world, '/price', nowMs), NIGHT + nowMs);
    expect(read(0).current?.usdPerMwh).toBe(28);
    world.apply({ kind: 'price', usdPerMwh: 240, nextUsdPerMwh: 35 }, 20_000);
    expect(read(20_000).current).toMatchObject({ usdPerMwh: 240, startMs: NIGHT + 20_000 });
    expect(read(20_000).next).toMatchObject({ usdPerMwh: 35, kind: 'indicative' });
    world.apply({ kind: 'price', usdPerMwh: -5 }, 70_000);
    expect(read(70_001).current?.usdPerMwh).toBe(-5);
    expect(read(7_200_000).current?.usdPerMwh).toBe(-5);
  });

  test('hashprice and AI demand', () => {
    const world = worldOf(siteOf());
    world.apply({ kind: 'hashprice', usdPerPhDay: 33.5 }, 0);
    expect(parseHashpriceFeed(get(world, '/hashprice', 1_000), NIGHT + 1_000)).toEqual({
      usdPerPhDay: 33.5,
      atMs: NIGHT + 1_000,
    });
    world.apply({ kind: 'ai-job', id: 'j"1', contract: 'train', hosts: 8, durationS: 60 }, 1_000);
    const jobs = (nowMs: number) => parseAiDemand(get(world, '/ai/demand', nowMs), NIGHT + nowMs);
    expect(jobs(2_000)).toEqual([
      { id: 'j"1', contract: 'train', hosts: 8, fromMs: NIGHT + 1_000, untilMs: NIGHT + 61_000 },
    ]);
    expect(world.feeds.hostsWanted(2_000)).toBe(8);
    expect(jobs(61_000)).toEqual([]);
    world.apply({ kind: 'ai-job', id: 'j2', contract: 'train', hosts: 4, durationS: 60 }, 70_000);
    world.apply({ kind: 'ai-end', id: 'j2' }, 71_000);
    expect(jobs(71_000)).toEqual([]);
  });

  test('each fault is refused by the reader, or is old, or is no answer', () => {
    const world = worldOf(siteOf());
    const fault = (name: 'nan' | 'stale' | 'html' | 'down' | 'x1000' | 'none', nowMs: number): string => {
      world.apply({ kind: 'feed', feed: 'price', fault: name }, nowMs);
      return get(world, '/price', nowMs + 50_000);
    };
    expect(() => parsePriceFeed(fault('nan', 0), NIGHT)).toThrow(/PRICE_INVALID/);
    expect(() => parsePriceFeed(fault('html', 0), NIGHT)).toThrow(/PRICE_INVALID/);
    expect(fault('down', 0)).toBe('reset');
    expect(parsePriceFeed(fault('x1000', 0), NIGHT + 50_000).current?.usdPerMwh).toBe(28_000);
    expect(parsePriceFeed(fault('stale', 100_000), NIGHT + 150_000).publishedAtMs).toBe(NIGHT + 100_000);
    expect(parsePriceFeed(fault('none', 200_000), NIGHT + 250_000).publishedAtMs).toBe(NIGHT + 250_000);
  });
});

describe('changes', () => {
  test('the utility’s terminal gets the instruction', () => {
    const world = worldOf(siteOf());
    world.apply({ kind: 'utility-limit', limitKw: 700, deadlineS: 30, event: 'contracted' }, 1_000);
    expect(world.utility?.instruction).toEqual({ limitKw: 700, deadlineS: 30, kind: 1 });
    world.apply({ kind: 'utility-limit', limitKw: undefined, deadlineS: 0, event: 'none' }, 2_000);
    expect(world.utility?.instruction.limitKw).toBeUndefined();
    expect(world.utility?.sequence).toBe(2);
    world.apply({ kind: 'utility-heartbeat', alive: false }, 3_000);
    expect(world.utility?.alive).toBe(false);
  });

  test('behind a switch that is down nothing answers; the machines go on', () => {
    const site = siteOf();
    const world = worldOf(site);
    const request = new TextEncoder().encode('{"command":"summary"}');
    const ask = (host: string): string => {
      const found = endpoint(world, host, 'stream');
      return found.kind === 'stream' ? found.device.respond(request, 1_000).kind : '';
    };
    expect(ask('127.20.8.1')).toBe('bytes');
    world.apply({ kind: 'rack-switch', rack: 'r8', up: false }, 1_000);
    expect(ask('127.20.8.1')).toBe('silence');
    expect(ask('127.20.7.1')).toBe('bytes');
    expect([world.linkUp('127.20.8.24'), world.linkUp('127.20.7.24')]).toEqual([false, true]);
    expect(nodeW(site, world.truth(2_000).nodeW, 'r8')).toBeGreaterThan(70_000);
    world.apply({ kind: 'rack-switch', rack: 'r8', up: true }, 3_000);
    expect(ask('127.20.8.1')).toBe('bytes');
  });

  test('what the site does not have is refused by name', () => {
    const world = worldOf(siteOf());
    expect(() => world.apply({ kind: 'machine', machine: 'r99-01', behaviour: 'dead' }, 0)).toThrow(/r99-01/);
    expect(() => world.apply({ kind: 'rack-switch', rack: 'feeder-1', up: false }, 0)).toThrow(/feeder-1/);
    expect(() => world.apply({ kind: 'meter', meter: 'm-9', fault: 'nan' }, 0)).toThrow(/m-9/);
  });
});

describe('scenarios', () => {
  test('names are unique, and the first is the tour', () => {
    expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length);
    expect(SCENARIOS[0]?.name).toBe('demo');
  });

  test.each(SCENARIOS.map(({ name }) => name))(
    '%s: steps in order, everything named exists, figures fit',
    (name) => {
      const site = siteOf();
      const scenario = fitScenario(name, site);
      if (scenario === undefined) throw new Error('gone');
      expect(scenario).toEqual(SCENARIOS.find((one) => one.name === name));
      const times = scenario.steps.map(({ atS }) => atS);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      expect(times.at(-1)).toBeLessThan(scenario.durationS);
      if (scenario.repeats !== true) {
        expect(scenario.durationS).toBeGreaterThanOrEqual(60);
        expect(scenario.durationS).toBeLessThanOrEqual(180);
      }
      const world = worldOf(site);
      for (const { atS, change } of scenario.steps) world.apply(change, atS * 1_000);
      const drawKw = nodeW(site, worldOf(site).truth(0).nodeW, 'main') / 1_000;
      for (const { change } of scenario.steps) {
        if (change.kind === 'utility-limit' && change.limitKw !== undefined)
          expect(change.limitKw).toBeLessThan(drawKw * 0.85);
        if (change.kind === 'ai-job')
          expect(site.config.ai?.contracts.map(({ id }) => id)).toContain(change.contract);
      }
    },
  );

  test('the tour shows its main events within three minutes', () => {
    const early = SCENARIOS[0]?.steps.filter(({ atS }) => atS < 180).map(({ change }) => change.kind);
    expect(early).toEqual(['price', 'price', 'price', 'utility-limit', 'utility-limit', 'ai-job']);
  });

  test('figures follow the size of the site', () => {
    const limitOf = (site: Site): number | undefined => {
      const step = fitScenario('utility-limit', site)?.steps.find(
        ({ change }) => change.kind === 'utility-limit',
      );
      return step?.change.kind === 'utility-limit' ? step.change.limitKw : undefined;
    };
    expect(limitOf(siteOf({ machines: 2_400 })) ?? 0).toBeGreaterThan(6_000);
    expect(limitOf(siteOf({ machines: 24 })) ?? 0).toBeLessThan(100);
    expect(fitScenario('no-such', siteOf())).toBeUndefined();
  });

  test('three machines misbehave from the start, the same in every run', () => {
    expect(defaultMisbehaviour(siteOf())).toEqual([
      { machine: 'r5-05', behaviour: 'dead' },
      { machine: 'r1-07', behaviour: 'ignores' },
      { machine: 'r4-11', behaviour: 'wakes' },
    ]);
    expect(new Set(defaultMisbehaviour(siteOf({ machines: 24 })).map(({ machine }) => machine)).size).toBe(3);
  });
});

describe('meters behind one serial gateway', () => {
  test('share its port, and each answers to its number', () => {
    const input = simulatedSite({ hostKey: HOST_KEY, keyFile: 'keys/site' });
    const profiles = ['eastron-sdm630', 'eastron-sdm72-v2'];
    const meters = input.meters?.map((meter, index) =>
      index < 2
        ? { ...meter, target: `modbus+rtu://127.20.0.99:1502/${index + 5}?profile=${profiles[index]}` }
        : meter,
    );
    const { endpoints } = worldOf(resolveSite(siteSchema.parse({ ...input, meters }), MODELS));
    const [gateway, ...more] = endpoints.filter(({ host }) => host === '127.20.0.99');
    expect(more).toEqual([]);
    const answered = [4, 5, 6].map((unit) => {
      const request = { kind: 'read', unit, fc: 4, address: 0, count: 2 } as const;
      const asked = encodeRequest('rtu', 0, request);
      const answer = gateway?.kind === 'stream' ? gateway.device.respond(asked, 0) : undefined;
      return answer?.kind === 'bytes' ? decodeAnswer('rtu', 0, request, answer.bytes).kind : answer?.kind;
    });
    expect(answered).toEqual(['silence', 'registers', 'registers']);
  });
});

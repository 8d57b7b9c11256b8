/** The simulated site on real loopback sockets, read by the product's own drivers. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { probeSite } from '../../commands/probe.ts';
import { MODELS } from '../../config/models.ts';
import { siteSchema } from '../../config/schema/site.ts';
import { resolveSite } from '../../config/site.ts';
import type { Site } from '../../config/site.ts';
import { realClock } from '../../host/clock.ts';
import { makeHttp } from '../../host/http.ts';
import { systemRandom } from '../../host/random.ts';
import { parsePriceFeed } from '../../protocols/prices/feed.ts';
import { makeSshKeys } from '../../simulator/fronts/ssh.ts';
import { startSimulator } from '../../simulator/main.ts';
import type { Simulator } from '../../simulator/main.ts';
import { defaultMisbehaviour } from '../../simulator/scenarios.ts';
import { SIMULATED_ENV, simulatedSite } from '../../simulator/site.ts';

const OCTET = 91;
const [host, client] = [makeSshKeys(), makeSshKeys()];
let folder: string;
let site: Site;
let simulator: Simulator;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchyard-simulator-'));
  const keyFile = join(folder, 'agent-key');
  await writeFile(keyFile, client.privateKey, { mode: 0o600 });
  const input = simulatedSite({ loopbackOctet: OCTET, machines: 32, hostKey: host.fingerprint, keyFile });
  site = resolveSite(siteSchema.parse(input), MODELS);
  simulator = await startSimulator({
    site,
    clock: realClock,
    random: systemRandom,
    hostKey: host.privateKey,
    authorizedKey: client.publicKey,
  });
});

afterAll(async () => {
  await simulator.close();
  await rm(folder, { recursive: true });
});

test('every device of the site answers its driver, but the one that never does', async () => {
  const probes = await probeSite(site, { env: SIMULATED_ENV }, { timeoutMs: 4_000 });
  expect(probes).toHaveLength(site.machines.length + site.meters.length + 1);
  const silent = probes.filter(({ ok }) => !ok);
  const dead = defaultMisbehaviour(site).flatMap(({ machine, behaviour }) =>
    behaviour === 'dead' ? machine : [],
  );
  expect(silent.map(({ id, fault }) => [id, fault?.code])).toEqual(dead.map((id) => [id, 'NET_TIMEOUT']));
  const { machineW, nodeW } = simulator.world.truth(realClock.monoMs());
  for (const probe of probes) {
    const machine = site.machines.find(({ id }) => id === probe.id);
    if (machine?.model.kind !== 'asic' || probe.powerW === undefined) continue;
    expect(Math.abs(probe.powerW / (machineW[machine.index] ?? 0) - 1)).toBeLessThan(0.1);
  }
  const main = probes.find(({ id }) => id === 'm-main')?.powerW ?? 0;
  expect(Math.abs(main / (nodeW[0] ?? 0) - 1)).toBeLessThan(0.02);
});

test('what is applied shows on the wire', async () => {
  const http = makeHttp(realClock);
  simulator.apply({ kind: 'price', usdPerMwh: 123.5 });
  const answer = await http.request({
    method: 'GET',
    url: site.config.prices.energy?.url ?? '',
    timeoutMs: 2_000,
    maxBytes: 100_000,
  });
  const text = new TextDecoder().decode(answer.body);
  expect(parsePriceFeed(text, realClock.wallMs()).current?.usdPerMwh).toBe(123.5);
});

test('a second simulator on the same addresses is refused, and leaves nothing open', async () => {
  const again = startSimulator({
    site,
    clock: realClock,
    random: systemRandom,
    hostKey: host.privateKey,
    authorizedKey: client.publicKey,
  });
  await expect(again).rejects.toMatchObject({ code: 'LISTEN_FAILED' });
});

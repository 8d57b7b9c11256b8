/** Processes that are frozen (SIGSTOP) and wake up believing that nothing happened meanwhile. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { atEnd, closeAll, freePort, healthAt, runCommand, until } from '../wire/site-rigs.ts';
import type { Part } from '../wire/site-rigs.ts';
import { bodies, carried, highestSince, makeYard, twice, withMosquitto } from './rigs.ts';
import type { Said } from './rigs.ts';

afterEach(closeAll);

const TEST_MS = 240_000;
const COMPLIED = 2;
/** Longer than the lease, the keepalive and everything that waits for an answer. */
const FROZEN_MS = 35_000;

function freeze(part: Part): void {
  part.child.kill('SIGSTOP');
  // A frozen process takes no goodbye.
  atEnd(() => void part.child.kill('SIGCONT'));
}

const epochs = (said: readonly Said[], kind: string): number[] =>
  bodies(said, kind).map((body) => Number(body['epoch']));

it.skipIf(!withMosquitto())(
  'a controller frozen in the middle of a curtailment wakes up while another is in charge: it moves nothing and ends',
  async () => {
    const yard = await makeYard();
    const { site, said } = yard;
    yard.agent();
    const zombie = yard.controller();
    await yard.underControl();
    const beforeKw = await site.mainKw();
    const limitKw = Math.round(beforeKw * 0.6);
    site.apply({ kind: 'utility-limit', limitKw, deadlineS: 120, event: 'contracted' });
    await until('the first machine sleeps', 30_000, () => carried(said).length > 0);
    freeze(zombie);
    const frozenMs = Date.now();

    // In its own directory nobody can take its place: the ledger has one writer.
    const refused = await runCommand(['controller', '--site', site.siteFile, '--data', yard.data]);
    expect(refused.status).toBe(1);

    // Another box with a copy of the ledger, as the operator's backup made it.
    const data = join(site.folder, 'second');
    cpSync(join(yard.data, 'ledger.log'), join(data, 'ledger.log'), { recursive: true });
    const port = await freePort();
    yard.controller({ data, port });
    await yard.underControl(port);
    await until(
      'the limit is reported as met',
      100_000,
      async () => (await site.report()).status === COMPLIED,
    );
    const metMs = Date.now();
    await until('the first one was frozen long', 60_000, () => Date.now() > frozenMs + FROZEN_MS);

    const awakeAt = said.length;
    zombie.child.kill('SIGCONT');
    await until('the zombie ends', 30_000, () => zombie.child.exitCode !== null);
    expect(zombie.child.exitCode).toBe(1);
    expect(zombie.output).toContain('CONTROLLER_SUPERSEDED');

    await until('the retained documents are of the new epoch', 60_000, () => {
      const last = new Map(bodies(said, 'desired').map((body) => [body['rack'], body['epoch']]));
      return last.size > 0 && [...last.values()].every((epoch) => epoch === 2);
    });
    expect(epochs(said.slice(awakeAt), 'status').every((epoch) => epoch === 2)).toBe(true);
    const obeyed = epochs(said, 'status').filter((epoch) => epoch > 0);
    expect(obeyed).toEqual(obeyed.toSorted((a, b) => a - b));
    const done = carried(said);
    const firstOfTwo = done.findIndex(({ epoch }) => epoch === 2);
    expect(firstOfTwo === -1 ? [] : done.slice(firstOfTwo).filter(({ epoch }) => epoch < 2)).toEqual([]);
    expect(carried(said.slice(awakeAt)).filter(({ epoch }) => epoch < 2)).toEqual([]);
    expect(twice(done, 'sleep')).toEqual([]);
    expect(done.filter(({ verb }) => verb === 'wake')).toEqual([]);
    expect(highestSince(site, metMs)).toBeLessThanOrEqual(limitKw);
    expect((await healthAt(port))?.body.controller).toMatchObject({ epoch: 2 });
    for (const ledger of [yard.data, data].map((folder) => join(folder, 'ledger.log')))
      expect(await runCommand(['audit', 'verify', ledger])).toMatchObject({ status: 0 });
  },
  TEST_MS,
);

it.skipIf(!withMosquitto())(
  'a frozen agent that wakes up does nothing of what it was told meanwhile by a controller that is dead',
  async () => {
    const yard = await makeYard();
    const { site, said } = yard;
    const agent = yard.agent();
    const controller = yard.controller();
    await yard.underControl();
    freeze(agent);
    const done = carried(said).length;
    const documents = bodies(said, 'desired').length;
    // Above the breakeven of all machines.
    site.apply({ kind: 'price', usdPerMwh: 400 });
    await until('the agent is told to let machines sleep', 60_000, () =>
      bodies(said, 'desired')
        .slice(documents)
        .some((body) => JSON.stringify(body).includes('"sleep"')),
    );
    await controller.kill('SIGKILL');
    agent.child.kill('SIGCONT');
    const [wokenMs, woken] = [Date.now(), said.length];
    await until('the agent speaks again', 60_000, () => bodies(said.slice(woken), 'status').length > 10);
    await until(
      'some readings since',
      20_000,
      () => site.samples.filter(({ atMs }) => atMs > wokenMs).length > 10,
    );
    // Nor by its own guard, whose meters it has not read for so long: it reads them first.
    expect(carried(said).slice(done)).toEqual([]);
  },
  TEST_MS,
);

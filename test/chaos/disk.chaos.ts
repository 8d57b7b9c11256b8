/** Disks that are really full, and disks that really refuse. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { atEnd, closeAll, eventsOf, runCommand, until } from '../wire/site-rigs.ts';
import type { Part } from '../wire/site-rigs.ts';
import { bodies, carried, makeYard, operatorAt, traced, twice, withMosquitto, withStrace } from './rigs.ts';
import type { Said, Yard } from './rigs.ts';

afterEach(closeAll);

const TEST_MS = 240_000;
const COMPLIED = 2;

/** A file system of its own in memory; undefined where nobody may mount one. */
function smallDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'switchyard-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]).status === 0;
  atEnd(() => {
    if (mounted) spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  return mounted ? folder : undefined;
}

/** Takes what room there is, to the last byte; the file to remove again. */
function fill(folder: string): string {
  const path = join(folder, 'filler');
  const room = (): number => {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  };
  while (room() > 0) {
    try {
      writeFileSync(path, Buffer.alloc(room()), { flag: 'a' });
    } catch (error) {
      // Somebody else took some of it meanwhile.
      if (!String(error).includes('ENOSPC')) throw error;
    }
  }
  return path;
}

const alarm = (part: Part, code: string, state: string): boolean =>
  eventsOf(part).some((event) => event.event === 'alarm' && event.code === code && event.state === state);

/** The lockouts that the agent says are on its disk. */
const heldBy = (said: readonly Said[]): string =>
  JSON.stringify(bodies(said, 'lockouts').findLast((body) => 'agent' in body));

/** Everything in the ledger, as text; its chain is whole. */
async function ledgerOf(yard: Yard): Promise<string> {
  const path = join(yard.data, 'ledger.log');
  expect(await runCommand(['audit', 'verify', path])).toMatchObject({ status: 0 });
  return readFileSync(path, 'latin1');
}

const reduction = async (yard: Yard, share: number): Promise<number> => {
  const limitKw = Math.round((await yard.site.mainKw()) * share);
  yard.site.apply({ kind: 'utility-limit', limitKw, deadlineS: 30, event: 'contracted' });
  return limitKw;
};

it.skipIf(!withMosquitto())(
  'a disk that is full to the last byte: nothing leaves that is not written down, what was acknowledged stays, control returns with room',
  async ({ skip }) => {
    const data = smallDisk();
    if (data === undefined) {
      process.stderr.write('skipped: no file system can be mounted here\n');
      return skip();
    }
    const yard = await makeYard(undefined, data);
    const { site, said } = yard;
    const agent = yard.agent();
    const controller = yard.controller();
    await yard.underControl();
    const operator = await operatorAt(controller);
    await operator.order('lockout', 'r1-01', 'hands in it');
    await until('the agent holds the lockout', 20_000, () => heldBy(said).includes('r1-01'));

    const filler = fill(yard.data);
    // The page that the ledger ends in has still room for some lines: long ones first, then short ones.
    const acknowledged: string[] = [];
    const orderUntilRefused = async (more: string): Promise<string> => {
      for (let order = 0; order < 100; order += 1) {
        const reason = `order ${order}${more}`;
        try {
          await operator.order(order % 2 === 0 ? 'manual' : 'automatic', 'r3-01', reason);
          acknowledged.push(reason);
        } catch (error) {
          return String(error);
        }
      }
      return 'none was refused';
    };
    expect(await orderUntilRefused(' of many'.repeat(15))).toContain('DISK_FULL');
    expect(await orderUntilRefused('')).toContain('DISK_FULL');
    const documents = bodies(said, 'desired').length;
    const limitKw = await reduction(yard, 0.6);
    await until('the full disk is an alarm', 30_000, () => alarm(controller, 'DISK_FULL', 'raised'));
    await expect(operator.order('lockout', 'r1-02', 'not written down')).rejects.toThrow(/DISK_/u);
    const fresh = (): string[] =>
      bodies(said, 'desired')
        .slice(documents)
        .flatMap((body) => (JSON.stringify(body).includes('"owner":"dr"') ? [String(body['rack'])] : []));
    expect(fresh()).toEqual([]);
    // The one that was locked out before was put to rest for that.
    expect(carried(said).filter(({ machine }) => machine !== 'r1-01')).toEqual([]);
    await yard.broker.kill();
    await yard.broker.start();

    rmSync(filler);
    await until('the limit is met', 90_000, async () => (await site.report()).status === COMPLIED);
    expect(await site.mainKw()).toBeLessThanOrEqual(limitKw);
    expect(fresh()).not.toEqual([]);
    expect(twice(carried(said), 'sleep')).toEqual([]);
    await until('the alarm ends', 60_000, () => alarm(controller, 'DISK_FULL', 'cleared'));
    await operator.order('lockout', 'r2-01', 'written down again');
    await until('the agent holds that too', 20_000, () => heldBy(said).includes('r2-01'));

    await Promise.all([controller.kill('SIGKILL'), agent.kill('SIGKILL')]);
    const ledger = await ledgerOf(yard);
    for (const reason of ['hands in it', ...acknowledged]) expect(ledger).toContain(`"${reason}"`);
    expect(ledger).toContain('"written down again"');
    const restarted = said.length;
    yard.agent();
    yard.controller();
    await yard.underControl();
    expect(heldBy(said.slice(restarted))).toContain('r1-01');
    expect(heldBy(said.slice(restarted))).toContain('r2-01');
    expect((await site.report()).status).toBe(COMPLIED);
  },
  TEST_MS,
);

it.skipIf(!withMosquitto() || !withStrace())(
  'a disk that fails every sync: nothing is acknowledged or confirmed until it works again',
  async () => {
    const yard = await makeYard();
    const { said } = yard;
    const agent = yard.agent();
    const controller = yard.controller();
    await yard.underControl();
    const failing = ['-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO'];
    const trace = join(yard.site.folder, 'injected.strace');
    const operator = await operatorAt(controller);

    const onController = await traced(controller.child.pid ?? 0, failing, trace);
    await expect(operator.order('lockout', 'r1-01', 'unsynced')).rejects.toThrow(/DISK_/u);
    await reduction(yard, 0.6);
    await until('it is an alarm', 30_000, () => alarm(controller, 'DISK_FAILED', 'raised'));
    expect(carried(said)).toEqual([]);
    await onController.stop();
    await until('the limit is met', 90_000, async () => (await yard.site.report()).status === COMPLIED);
    expect(twice(carried(said), 'sleep')).toEqual([]);

    const onAgent = await traced(agent.child.pid ?? 0, failing, trace);
    await operator.order('lockout', 'r2-01', 'the agent cannot');
    await until('nobody confirms it', 60_000, () => alarm(controller, 'LOCKOUT_UNHELD', 'raised'));
    expect(heldBy(said)).not.toContain('r2-01');
    await onAgent.stop();
    await until('the agent holds it', 60_000, () => heldBy(said).includes('r2-01'));
    expect(await ledgerOf(yard)).toContain('"the agent cannot"');
  },
  TEST_MS,
);

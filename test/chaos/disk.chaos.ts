/** Disks that are really full, and disks that really refuse. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import * as z from 'zod';
import { atEnd, closeAll, eventsOf, runCommand, until } from '../wire/site-rigs.ts';
import type { Part } from '../wire/site-rigs.ts';
import { makeKeeper } from '../../agent/kept.ts';
import { realClock } from '../../host/clock.ts';
import { makeDisk } from '../../host/disk.ts';
import { diskRoom, usedShare } from '../../host/disk-room.ts';
import { bodies, carried, makeYard, operatorAt, traced, twice, withMosquitto, withStrace } from './rigs.ts';
import type { Operator, Said, Yard } from './rigs.ts';

afterEach(closeAll);

const TEST_MS = 240_000;
const COMPLIED = 2;
/** Small enough for a person's orders to use it up. */
const RESERVE_MIB = 1 / 16;
/** A console may ask 50 times a second; an order asks twice. */
const ORDER_EVERY_MS = 50;

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

/** Of the ledger: the agent’s files may stand on the same disk. */
const alarm = (part: Part, code: string, state: string, subject = 'ledger'): boolean =>
  eventsOf(part).some(
    (event) =>
      event.event === 'alarm' && event.code === code && event.state === state && event.subject === subject,
  );

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

/** The ledger has room of its own: what the utility and a person ask for is done on a disk without a free byte. */
async function goesOn(yard: Yard, controller: Part, operator: Operator): Promise<void> {
  const { site } = yard;
  await operator.order('manual', 'r3-01', 'on a full disk');
  await operator.order('automatic', 'r3-01', 'on a full disk too');
  const limitKw = await reduction(yard, 0.8);
  const isMet = async (): Promise<boolean> => (await site.report()).status === COMPLIED;
  await until('the limit is met on a full disk', 90_000, isMet);
  expect(await site.mainKw()).toBeLessThanOrEqual(limitKw);
  await until('a person is told', 60_000, async () => {
    fill(yard.data);
    await operator.order('automatic', 'r3-01', 'once more');
    return alarm(controller, 'LEDGER_RESERVE', 'raised');
  });
  expect(alarm(controller, 'DISK_FULL', 'raised')).toBe(false);
}

/** Orders until one is refused, on a disk that is kept full; why it was, and in `acknowledged` those that were not. */
async function refusal(
  yard: Yard,
  operator: Operator,
  more: string,
  acknowledged: string[],
): Promise<string> {
  for (let order = 0; order < 3_000; order += 1) {
    const reason = `order ${order}${more}`;
    // Whoever frees some of it in between shall not have done so.
    fill(yard.data);
    try {
      await operator.order(order % 2 === 0 ? 'manual' : 'automatic', 'r3-01', reason);
      acknowledged.push(reason);
      await pause(ORDER_EVERY_MS);
    } catch (error) {
      return String(error);
    }
  }
  return 'none was refused';
}

it.skipIf(!withMosquitto())(
  'a disk that is full to the last byte: control goes on from the reserve; without it nothing leaves that is not written down, what was acknowledged stays, control returns with room',
  async ({ skip }) => {
    const data = smallDisk();
    if (data === undefined) {
      process.stderr.write('skipped: no file system can be mounted here\n');
      return skip();
    }
    const yard = await makeYard((file) => Object.assign(file, { ledger: { reserveMiB: RESERVE_MIB } }), data);
    const { site, said } = yard;
    const agent = yard.agent();
    const controller = yard.controller();
    await yard.underControl();
    const operator = await operatorAt(controller);
    await operator.order('lockout', 'r1-01', 'hands in it');
    await until('the agent holds the lockout', 20_000, () => heldBy(said).includes('r1-01'));

    const filler = fill(yard.data);
    await goesOn(yard, controller, operator);
    const restedBefore = new Set(carried(said).map(({ machine }) => machine));

    // Until that is used up: long lines first, then short ones.
    const acknowledged: string[] = ['on a full disk', 'on a full disk too'];
    expect(await refusal(yard, operator, ' of many'.repeat(50), acknowledged)).toContain('DISK_FULL');
    expect(await refusal(yard, operator, '', acknowledged)).toContain('DISK_FULL');
    const documents = bodies(said, 'desired').length;
    const limitKw = await reduction(yard, 0.6);
    await until('the full disk is an alarm', 30_000, () => alarm(controller, 'DISK_FULL', 'raised'));
    await expect(operator.order('lockout', 'r1-02', 'not written down')).rejects.toThrow(/DISK_/u);
    const fresh = (): string[] =>
      bodies(said, 'desired')
        .slice(documents)
        .flatMap((body) => (JSON.stringify(body).includes('"owner":"dr"') ? [String(body['rack'])] : []));
    expect(fresh()).toEqual([]);
    expect(carried(said).filter(({ machine }) => !restedBefore.has(machine))).toEqual([]);
    await yard.broker.kill();
    await yard.broker.start();

    rmSync(filler);
    // Its word of the first one still stands: the meter decides.
    await until('the limit is met', 90_000, async () => (await site.mainKw()) <= limitKw);
    await until('it says so', 30_000, async () => (await site.report()).status === COMPLIED);
    expect(fresh()).not.toEqual([]);
    expect(twice(carried(said), 'sleep')).toEqual([]);
    await until('the alarm ends', 60_000, () => alarm(controller, 'DISK_FULL', 'cleared'));
    await until('the reserve is whole again', 60_000, () => alarm(controller, 'LEDGER_RESERVE', 'cleared'));
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

it('a real disk tells how it fills, and the agent’s kept files find room on a full one, once for a while', async ({
  skip,
}) => {
  const folder = smallDisk();
  if (folder === undefined) {
    process.stderr.write('skipped: no file system can be mounted here\n');
    return skip();
  }
  const [disk, clock] = [makeDisk(), realClock];
  const used = async (): Promise<number> =>
    usedShare((await disk.space(join(folder, 'x'))) ?? { totalBytes: 0, freeBytes: 0 });
  const told: string[] = [];
  const say = (code: string): void => void told.push(code);
  const alarms = { raise: say, tell: say, clear: () => undefined };
  const keeper = makeKeeper({ disk, clock, agent: 'a1', dataDir: folder, alarms });
  const schema = z.strictObject({ text: z.string() });
  const kept = keeper.open('test', schema, () => undefined);
  await kept.keep({ text: 'at first' });
  await until('room is held', 10_000, async () => (await used()) > 0.06);
  expect(diskRoom('ample', await used())).toBe('ample');
  writeFileSync(join(folder, 'much'), Buffer.alloc(3.55 * 1_024 * 1_024));
  expect(diskRoom('ample', await used())).toBe('short');
  fill(folder);
  expect(diskRoom('ample', await used())).toBe('full');
  const text = 'x'.repeat(20_000);
  await kept.keep({ text });
  expect(told).toEqual([]);
  expect(readFileSync(join(folder, 'agent-a1.test.json'), 'latin1')).toContain(text);
  // What it gave up is gone when others take it: then the disk is full for it too.
  fill(folder);
  await expect(kept.keep({ text: `${text}${text}` })).rejects.toThrow(/DISK_FULL/u);
  expect(told).toEqual(['DISK_FULL']);
  kept.stop();
  keeper.stop();
});

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
    await until('nobody confirms it', 60_000, () => alarm(controller, 'LOCKOUT_UNHELD', 'raised', 'a1'));
    expect(heldBy(said)).not.toContain('r2-01');
    await onAgent.stop();
    await until('the agent holds it', 60_000, () => heldBy(said).includes('r2-01'));
    expect(await ledgerOf(yard)).toContain('"the agent cannot"');
  },
  TEST_MS,
);

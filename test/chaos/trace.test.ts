/** In which order a real controller and a real agent write, sync and speak, as the kernel saw it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { closeAll, until } from '../wire/site-rigs.ts';
import { bodies, carried, makeYard, operatorAt, traced, withMosquitto, withStrace } from './rigs.ts';
import { fileWrites, readTrace, sends, syncedBetween } from './strace.ts';
import type { Call } from './strace.ts';

afterEach(closeAll);

const CALLS = 'trace=write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,rename,renameat';
const readyTo = withMosquitto() && withStrace();

/** Each of these was sent only after its line was written and synced; returns how many there were. */
function eachAfterItsLine(
  calls: readonly Call[],
  sent: readonly { readonly send: Call; readonly line: RegExp }[],
): number {
  for (const { send, line } of sent) {
    const [write] = fileWrites(calls, 'ledger\\.log', line);
    expect(write, `a line for ${line.source}`).toBeDefined();
    if (write !== undefined)
      expect(syncedBetween(calls, 'ledger\\.log', write, send), `${line.source} is synced first`).toBe(true);
  }
  return sent.length;
}

/** What an agent keeps was written, synced and put in its place before it was said. */
function placedBefore(calls: readonly Call[], name: string, kept: RegExp, told: RegExp): void {
  const file = `${name}\\.json`;
  const [written] = fileWrites(calls, file, kept);
  const placed = calls.find((call) => call.name.startsWith('rename') && call.text.includes(`${name}.json`));
  const [said] = sends(calls, told);
  if (written === undefined || placed === undefined || said === undefined)
    throw new Error(`${name}: not all of it is in the trace`);
  expect(syncedBetween(calls, file, written, placed), `${name} is synced before it is in place`).toBe(true);
  expect(placed.ended, `${name} is in place before it is said`).toBeLessThan(said.began);
}

it.skipIf(!readyTo)(
  'commands leave, and people are answered, after their line is on the disk; the agent says nothing before it is kept',
  async () => {
    const yard = await makeYard();
    const { site, said } = yard;
    const agent = yard.agent();
    const agentTrace = join(site.folder, 'agent.strace');
    const controllerTrace = join(site.folder, 'controller.strace');
    await until('the agent speaks', 60_000, () => bodies(said, 'status').length > 1);
    const onAgent = await traced(agent.child.pid ?? 0, ['-yy', '-s', '300', '-e', CALLS], agentTrace);
    const controller = yard.controller();
    await yard.underControl();
    await onAgent.stop();
    // No status says that an epoch is obeyed before that is kept.
    placedBefore(readTrace(readFileSync(agentTrace, 'utf8')), 'epoch', /"epoch":1/u, /"epoch":1/u);
    const onController = await traced(
      controller.child.pid ?? 0,
      ['-yy', '-s', '30000', '-e', CALLS],
      controllerTrace,
    );
    const saidBefore = bodies(said, 'desired').length;
    const operator = await operatorAt(controller);
    const limitKw = Math.round((await site.mainKw()) * 0.6);
    site.apply({ kind: 'utility-limit', limitKw, deadlineS: 60, event: 'contracted' });
    await until(
      'machines of several documents sleep',
      60_000,
      () => carried(said).length >= 3 && bodies(said, 'desired').length - saidBefore >= 3,
    );
    const alsoOnAgent = await traced(agent.child.pid ?? 0, ['-yy', '-s', '30000', '-e', CALLS], agentTrace);
    await operator.order('lockout', 'r1', 'chaos');
    await until('the agent holds the lockout', 20_000, () =>
      bodies(said, 'lockouts').some((body) => 'agent' in body && JSON.stringify(body).includes('chaos')),
    );
    await alsoOnAgent.stop();
    placedBefore(
      readTrace(readFileSync(agentTrace, 'utf8')),
      'lockouts',
      /"chaos"/u,
      /agent\/a1\/lockouts[^]*"chaos"/u,
    );
    await onController.stop();

    const calls = readTrace(readFileSync(controllerTrace, 'utf8'));
    const documents = sends(calls, /rack\/\w+\/desired/u).flatMap((send) =>
      [...send.text.replaceAll('\\"', '"').matchAll(/"rack":"(\w+)","epoch":(\d+),"generation":(\d+)/gu)].map(
        ([, rack, epoch, generation]) => ({
          send,
          line: new RegExp(
            `"t":"command"[^]*?"epoch":${epoch},"generation":${generation},[^]*?"rack":"${rack}"`,
            'u',
          ),
        }),
      ),
    );
    expect(eachAfterItsLine(calls, documents)).toBeGreaterThanOrEqual(3);
    const answers = sends(calls, /"commandId":"op-/u).flatMap((send) => {
      const commandId = /"result":\{"commandId":"(op-[^"]+)"/u.exec(send.text.replaceAll('\\"', '"'))?.[1];
      return commandId === undefined
        ? []
        : [{ send, line: new RegExp(`"t":"operator"[^]*?"commandId":"${commandId}"`, 'u') }];
    });
    expect(eachAfterItsLine(calls, answers)).toBe(1);
  },
  240_000,
);

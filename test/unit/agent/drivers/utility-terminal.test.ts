import { describe, expect, it } from 'vitest';

import { openUtilityTerminal } from '../../../../agent/drivers/utility-terminal.ts';
import { makeLines } from '../../../../host/line.ts';
import { seededRandom } from '../../../../host/random.ts';
import { makeUtilityTerminal } from '../../../../simulator/devices/utility-terminal.ts';
import { devicePeer, memoryNet, virtualTime } from '../../host/virtual-net.ts';

function bench() {
  const time = virtualTime();
  const utility = makeUtilityTerminal({ unit: 1 });
  const net = memoryNet(time, devicePeer(utility, time));
  const lines = makeLines({ net, clock: time, random: seededRandom(2) });
  const target = {
    url: 'modbus://utility/1',
    scheme: 'modbus',
    host: 'utility',
    port: undefined,
    user: undefined,
    password: undefined,
    path: '1',
    options: {},
  };
  const terminal = openUtilityTerminal(target, { clock: time, lines });
  return { time, utility, terminal, read: () => time.settle(terminal.read(1_000)) };
}

describe('the utility’s terminal', () => {
  it('says that there is no limit', async () => {
    const b = bench();
    expect(await b.read()).toMatchObject({ limitKw: undefined, sequence: 0, kind: 'none', heartbeat: 1 });
  });

  it('gives each instruction once with its sequence number', async () => {
    const b = bench();
    expect(b.utility.instruct({ limitKw: 70_000, deadlineS: 30, kind: 1 })).toBe(1);
    expect(await b.read()).toMatchObject({ limitKw: 70_000, deadlineS: 30, sequence: 1, kind: 'contracted' });
    b.utility.instruct({ limitKw: 0, deadlineS: 5, kind: 2 });
    expect(await b.read()).toMatchObject({ limitKw: 0, sequence: 2, kind: 'emergency' });
    b.utility.instruct({ limitKw: undefined, deadlineS: 0, kind: 0 });
    expect(await b.read()).toMatchObject({ limitKw: undefined, sequence: 3 });
  });

  it('shows its heartbeat, which stands still when it is dead', async () => {
    const b = bench();
    const { heartbeat } = await b.read();
    await b.time.advance(5_000);
    expect((await b.read()).heartbeat).toBe(heartbeat + 5);
    b.utility.alive = false;
    await b.time.advance(5_000);
    expect((await b.read()).heartbeat).toBe(heartbeat + 5);
  });

  it.each([-2, -70_000, 10_000_001])('refuses a limit of %d kW', async (limit) => {
    const b = bench();
    b.utility.corruptLimit(limit);
    await expect(b.read()).rejects.toMatchObject({ code: 'SIGNAL_INVALID' });
  });

  it('hears our report, with NaN for what we do not know', async () => {
    const b = bench();
    expect(b.utility.report).toBeUndefined();
    const report = { powerKw: 3_456.5, status: 'reducing', echoSequence: 70_000, heartbeat: 65_537 } as const;
    await b.time.settle(b.terminal.report(report, 1_000));
    expect(b.utility.report).toMatchObject({
      powerKw: 3_456.5,
      status: 1,
      echoSequence: 70_000,
      heartbeat: 1,
    });
    await b.time.settle(b.terminal.report({ ...report, powerKw: undefined, status: 'cannot-comply' }, 1_000));
    expect(b.utility.report).toMatchObject({ powerKw: Number.NaN, status: 3 });
  });

  it('rejects while the terminal is silent', async () => {
    const b = bench();
    b.utility.silent = true;
    await expect(b.read()).rejects.toMatchObject({ code: 'NET_TIMEOUT' });
    b.utility.silent = false;
    expect((await b.read()).limitKw).toBeUndefined();
  });
});

import { describe, expect, it } from 'vitest';

import { alignedPhases, METER_SCHEDULE } from '../../../agent/core/schedule.ts';
import { startPoller } from '../../../agent/poller.ts';
import { makeLines } from '../../../host/line.ts';
import { seededRandom } from '../../../host/random.ts';
import type { Framing } from '../../../protocols/modbus/frame.ts';
import { decodeRequest, encodeRead } from '../../../protocols/modbus/serve.ts';
import { memoryNet, virtualTime } from '../host/virtual-net.ts';
import type { Peer } from '../host/virtual-net.ts';

const UNITS = 10;
const PERIOD_MS = 1_000;

/**
 * Ten units behind one gateway, each read once a second as the agent does: of each when it was read, s since the start.
 */
async function readTimes(
  framing: Framing,
  untilS: number,
  isSilent: (unit: number, atS: number) => boolean,
): Promise<readonly (readonly number[])[]> {
  const time = virtualTime();
  const beganMs = time.monoMs();
  const sinceS = (): number => (time.monoMs() - beganMs) / 1_000;
  const peer: Peer = (all, end) => {
    const decoded = decodeRequest(framing, all);
    if (decoded.kind !== 'request') return decoded.kind === 'wait' ? 0 : all.length;
    const { request, transaction, consumed } = decoded;
    if (request.kind === 'read' && !isSilent(request.unit, sinceS()))
      end.send(
        encodeRead(
          framing,
          transaction,
          request,
          Array.from({ length: request.count }, () => 7),
        ),
        20,
      );
    return consumed;
  };
  const line = makeLines({ net: memoryNet(time, peer), clock: time, random: seededRandom(7) }).line({
    framing,
    host: 'gateway',
    port: 502,
  });
  const readS: number[][] = Array.from({ length: UNITS }, () => []);
  const periodsMs = readS.map(() => PERIOD_MS);
  const poller = startPoller({
    clock: time,
    random: seededRandom(3),
    periodsMs,
    phasesMs: alignedPhases(
      periodsMs,
      periodsMs.map(() => 'gateway'),
      { monoMs: time.monoMs(), wallMs: time.wallMs() },
    ),
    schedule: METER_SCHEDULE,
    timeoutMs: () => 10_000,
    read: async (index, _scope, timeoutMs) => {
      const deadlineMs = time.monoMs() + timeoutMs;
      await line.read({ unit: index + 1, fc: 3, address: 0, count: 4, deadlineMs });
      return {};
    },
    handlers: {
      onReadings: (index) => readS[index]?.push(sinceS()),
      onFailure: () => undefined,
      onReturned: () => undefined,
      onHung: () => undefined,
    },
  });
  await time.advance(untilS * 1_000);
  poller.stop();
  return readS;
}

const longestGapS = (times: readonly number[]): number =>
  Math.max(...times.map((atS, place) => atS - (times[place - 1] ?? 0)));

describe.each(['tcp', 'rtu'] as const)('ten meters behind one gateway, on %s', (framing) => {
  it('are all back at once when it was silent as a whole, however long that was, and some stay dead', async () => {
    const all = await readTimes(framing, 400, (unit, atS) => atS > 60 && (unit > 7 || atS < 360));
    const backS = all.slice(0, 7).map((times) => times.find((atS) => atS > 60.5) ?? Infinity);
    expect(backS[0]).toBeGreaterThan(360);
    expect(Math.max(...backS)).toBeLessThan(370);
  });

  it('are read on while one of them is dead, at gaps that leave their readings fresh', async () => {
    const all = await readTimes(framing, 300, (unit) => unit === 5);
    for (const times of all.filter((_, place) => place !== 4)) expect(longestGapS(times)).toBeLessThan(3);
  });
});

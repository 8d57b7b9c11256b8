import { describe, expect, it } from 'vitest';

import { alignedPhases, METER_SCHEDULE } from '../../../agent/core/schedule.ts';
import { modbusMeter } from '../../../agent/drivers/modbus-meter.ts';
import { startPoller } from '../../../agent/poller.ts';
import { silentLog } from '../../../host/log.ts';
import { makeLines } from '../../../host/line.ts';
import { seededRandom } from '../../../host/random.ts';
import { Fault } from '../../../protocols/faults.ts';
import { makeMeter } from '../../../simulator/devices/meter.ts';
import { devicePeer, memoryNet, virtualTime } from '../host/virtual-net.ts';

/** A meter that is polled as an agent does it, on a link that breaks; what the poller says of it, with times. */
function bench(seed: number) {
  const time = virtualTime();
  const random = seededRandom(seed);
  const meter = makeMeter({ unit: 1, layout: 'pm5xxx', powerW: () => 90_000, random });
  const net = memoryNet(time, devicePeer(meter, time));
  const lines = makeLines({ net, clock: time, random });
  const absent = { request: () => Promise.reject(new Error()), open: () => Promise.reject(new Error()) };
  const target = { url: 'modbus://m/1', scheme: 'modbus', host: 'm', port: 502, path: '1' };
  const device = modbusMeter.open(
    { ...target, user: undefined, password: undefined, options: { profile: 'schneider-pm5xxx' } },
    { clock: time, random, net, lines, http: absent, remote: absent, log: silentLog },
  );
  const said: { readonly what: string; readonly atMs: number }[] = [];
  const say = (what: string): void => void said.push({ what, atMs: time.monoMs() });
  const now = { monoMs: time.monoMs(), wallMs: time.wallMs() };
  const poller = startPoller({
    clock: time,
    random,
    periodsMs: [1_000],
    phasesMs: alignedPhases([1_000], [device.line?.name], now),
    schedule: METER_SCHEDULE,
    timeoutMs: () => 1_500,
    read: (_index, scope, timeoutMs) => device.read(scope, timeoutMs),
    handlers: {
      onReadings: () => say('read'),
      onFailure: (_index, _fault, _failures, change) => change === 'lost' && say('lost'),
      onReturned: () => say('returned'),
      onHung: () => say('hung'),
    },
  });
  device.line?.onLost(() => poller.hurry(0, 0, 0));
  return { time, net, said, random, stop: () => poller.stop() };
}

describe('a meter whose link breaks', () => {
  it('is lost within a second, wherever between two polls that is, and back within two', async () => {
    for (let seed = 1; seed <= 12; seed += 1) {
      const b = bench(seed);
      await b.time.advance(5_000 + b.random.next() * 1_000);
      const brokenMs = b.time.monoMs();
      b.net.refuse = new Fault('NET_REFUSED', 'm:502');
      if (seed % 2 === 0) b.net.last?.fin();
      else b.net.last?.reset();
      await b.time.advance(1_000);
      expect(b.said.find(({ what }) => what === 'lost')?.atMs, `seed ${seed}`).toBeLessThanOrEqual(
        brokenMs + 1_000,
      );
      await b.time.advance(30_000 + b.random.next() * 10_000);
      b.net.refuse = undefined;
      const backMs = b.time.monoMs();
      await b.time.advance(2_000);
      const read = b.said.find(({ what, atMs }) => what === 'read' && atMs > backMs);
      expect(read?.atMs, `seed ${seed}`).toBeLessThanOrEqual(backMs + 2_000);
      b.stop();
    }
  });

  it('is not asked more often for that, by a device that closes each connection after its answer', async () => {
    const b = bench(3);
    await b.time.advance(2_500);
    for (let turn = 0; turn < 20; turn += 1) {
      b.net.last?.fin();
      await b.time.advance(500);
    }
    const reads = b.said.filter(({ what }) => what === 'read').length;
    expect(reads).toBeLessThan(15);
    expect(b.said.some(({ what }) => what === 'lost')).toBe(false);
    b.stop();
  });
});

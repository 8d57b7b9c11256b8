/** How long a firmware takes, learned by an agent with its real driver on a simulated miner, over a restart and an update. */
import { expect, test } from 'vitest';
import { SimulatedLuxos } from '../../../simulator/devices/luxos.ts';
import type { Answer } from '../../../simulator/device.ts';
import { SettingsRig } from './settings-rig.ts';

/** Of the model: 20 s to sleep and half as much again, and two looks. */
const DECLARED_MS = 34_000;
const USUAL_MS = 42_000;

class Sluggish extends SimulatedLuxos {
  /** From a command to sleep until it shows. */
  sleepsAfterMs = USUAL_MS;
  firmware = '2025.4.8.220305-57b389c7';

  override respond(bytes: Uint8Array, nowMs: number): Answer {
    const answer = super.respond(bytes, nowMs);
    if (answer.kind !== 'bytes') return answer;
    const text = new TextDecoder().decode(answer.bytes);
    return {
      ...answer,
      bytes: new TextEncoder().encode(text.replaceAll('2025.4.8.220305-57b389c7', this.firmware)),
    };
  }

  protected override fallAsleep(nowMs: number): void {
    this.plan(nowMs + this.sleepsAfterMs, (atMs) => super.fallAsleep(atMs));
  }

  /** A new firmware is written, and it starts with that. */
  update(firmware: string, nowMs: number): void {
    this.firmware = firmware;
    this.reboot(nowMs);
  }
}

const rigs = async (): Promise<{ rig: SettingsRig; miner: Sluggish }> => {
  const rig = new SettingsRig({ luxos: Sluggish });
  await rig.clock.advance(20_000);
  return { rig, miner: rig.luxos as Sluggish };
};

/** It is told to sleep, has this long, and is woken; how often it was told. */
async function sleepOnce({ rig, miner }: Awaited<ReturnType<typeof rigs>>, forMs = 100_000): Promise<number> {
  const before = miner.changes;
  rig.wantLuxos('sleep');
  await rig.clock.advance(forMs);
  const told = miner.changes - before;
  rig.wantLuxos('mine');
  await rig.clock.advance(200_000);
  return told;
}

test('a firmware that is slower than declared is told once when that is known, over a restart, until it is another', async () => {
  const both = await rigs();
  const { rig, miner } = both;
  const told: number[] = [];
  for (let at = 0; at < 8; at += 1) told.push(await sleepOnce(both));
  expect(USUAL_MS).toBeGreaterThan(DECLARED_MS);
  expect(told).toEqual([2, 2, 2, 2, 2, 2, 2, 2]);
  expect(rig.alarms('QUARANTINED')).toEqual([]);
  // Known now: told once, also by an agent that has just started.
  expect(await sleepOnce(both)).toBe(1);
  await rig.clock.advance(60_000);
  rig.kill();
  rig.start();
  await rig.clock.advance(20_000);
  expect(await sleepOnce(both)).toBe(1);
  // Another firmware: nothing is known of it, and it is told again as declared.
  miner.update('2026.1.1.000000-aaaaaaaa', rig.clock.monoMs());
  await rig.clock.advance(300_000);
  expect(await sleepOnce(both)).toBe(2);
  expect(rig.alarms('QUARANTINED')).toEqual([]);
});

test('one that takes far longer than its kind has taken is told again, then named', async () => {
  const both = await rigs();
  const { rig, miner } = both;
  for (let at = 0; at < 8; at += 1) await sleepOnce(both);
  miner.sleepsAfterMs = 3_600_000;
  const before = miner.changes;
  rig.wantLuxos('sleep');
  // Half as long again as it has taken, and no sooner.
  await rig.clock.advance(USUAL_MS * 1.5 - 5_000);
  expect(miner.changes - before).toBe(1);
  await rig.clock.advance(30_000);
  expect(miner.changes - before).toBe(2);
  await rig.clock.advance(200_000);
  expect(rig.alarms('QUARANTINED').join()).toMatch(
    /firmware LuxOS 2025\.4\.8\.220305-57b389c7, ignores sleep/,
  );
});

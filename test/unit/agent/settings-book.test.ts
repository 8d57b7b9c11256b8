import { afterEach, expect, test } from 'vitest';
import { SettingsRig } from './settings-rig.ts';

const LOW = 3;
const rigs: SettingsRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.kill();
});
function makeRig(options = {}): SettingsRig {
  const rig = new SettingsRig(options);
  rigs.push(rig);
  return rig;
}
const MINUTE = 60_000;

/** At work in a mode and under a limit that are not the factory's, and seen so. */
async function atWork(): Promise<SettingsRig> {
  const rig = makeRig();
  rig.antminer.anotherWrites({ mode: LOW }, 0);
  rig.whatsminer.power.limit(0, 3_000);
  await rig.clock.advance(2 * MINUTE);
  rig.want('mine');
  await rig.clock.advance(MINUTE);
  return rig;
}

test('a wake brings back the work mode of before the sleep, after a restart of the agent too', async () => {
  const rig = await atWork();
  const before = rig.antminer.conf();
  rig.want('sleep');
  await rig.clock.advance(2 * MINUTE);
  expect(rig.antminer.conf()['bitmain-work-mode']).toBe('1');
  rig.kill();
  await rig.clock.advance(1_000);
  rig.start();
  await rig.clock.advance(MINUTE);
  rig.want('mine');
  await rig.clock.advance(10 * MINUTE);
  expect(rig.antminer.conf()).toEqual(before);
  expect([rig.antminer.power.mining, rig.whatsminer.power.mining]).toEqual([true, true]);
  expect([rig.alarms('FOREIGN_WRITER'), rig.alarms('SETTING_DISTURBED')]).toEqual([[], []]);
});

test('killed at any moment of a curtailment, the agent restores what was: mode, limit, pools', async () => {
  const offsets = [2, 14, 27, 120, 400];
  for (const [at, offsetMs] of offsets.entries()) {
    const rig = await atWork();
    const before = rig.antminer.conf();
    const isLimit = at % 2 === 0;
    // The limit of one, the sleep of the other.
    rig.want(isLimit ? 'mine' : 'sleep', isLimit ? 2_500 : undefined);
    await rig.clock.advance(offsetMs);
    rig.kill();
    await rig.clock.advance(1_000);
    rig.start();
    await rig.clock.advance(MINUTE);
    rig.want('sleep', 2_500);
    await rig.clock.advance(MINUTE);
    rig.want('mine');
    await rig.clock.advance(offsetMs);
    rig.kill();
    rig.start();
    await rig.clock.advance(8 * MINUTE);
    expect(rig.antminer.conf(), `killed after ${offsetMs} ms`).toEqual(before);
    expect(rig.whatsminer.power.limitW, `killed after ${offsetMs} ms`).toBe(3_000);
    expect(rig.alarms('FOREIGN_WRITER')).toEqual([]);
  }
});

test('a limit of ours is taken back exactly, though it is near the one of before', async () => {
  const rig = await atWork();
  rig.want('mine', 2_900);
  await rig.clock.advance(10 * MINUTE);
  expect(rig.whatsminer.power.limitW).toBe(2_900);
  rig.want('mine');
  await rig.clock.advance(10 * MINUTE);
  expect(rig.whatsminer.power.limitW).toBe(3_000);
});

test('a foreign writer is named, and what it set is what is restored', async () => {
  const rig = await atWork();
  rig.want('mine', 2_500);
  await rig.clock.advance(10 * MINUTE);
  rig.antminer.anotherWrites({ mode: 2, fanPwm: '70' }, 0);
  rig.whatsminer.power.limit(0, 3_200);
  await rig.clock.advance(2 * MINUTE);
  expect(rig.alarms('FOREIGN_WRITER').sort()).toEqual([
    'r1-01: fanPwm was "100", is "70"',
    'r1-01: workMode was 3, is 2',
    'r1-02: powerLimit was 2500, is 3200',
  ]);
  const before = rig.antminer.conf();
  rig.want('sleep');
  await rig.clock.advance(2 * MINUTE);
  rig.want('mine');
  await rig.clock.advance(15 * MINUTE);
  expect(rig.antminer.conf()).toEqual(before);
  expect(rig.whatsminer.power.limitW).toBe(3_200);
  expect(rig.alarms('SETTING_DISTURBED')).toEqual([]);
});

test('a foreign writer that does the same again is named again', async () => {
  const rig = await atWork();
  for (const fanPwm of ['70', '100', '70']) {
    rig.antminer.anotherWrites({ fanPwm }, 0);
    await rig.clock.advance(2 * MINUTE);
  }
  expect(rig.alarms('FOREIGN_WRITER').filter((text) => text.endsWith('is "70"'))).toHaveLength(2);
});

test('a write that changes a bystander is a fault that names it', async () => {
  const rig = await atWork();
  rig.antminer.fault = 'disturbs';
  rig.want('sleep');
  await rig.clock.advance(3 * MINUTE);
  expect(rig.alarms('SETTING_DISTURBED')).toEqual(['r1-01: fanPwm was "100", is "50", after sleep']);
  expect(rig.alarms('FOREIGN_WRITER')).toEqual([]);
});

test('while they cannot be kept no price curtails; what is urgent is shed all the same', async () => {
  const rig = await atWork();
  rig.antminer.anotherWrites({ mode: 2 }, 0);
  rig.disk.fail('replace', 'DISK_FULL', Infinity);
  rig.want('sleep');
  await rig.clock.advance(MINUTE);
  expect(rig.antminer.power.mining).toBe(true);
  rig.want('sleep', undefined, true);
  await rig.clock.advance(2 * MINUTE);
  expect(rig.antminer.power.mining).toBe(false);
});

test('no limit at all comes back as that, and not as one of 20 kW', async () => {
  const rig = makeRig();
  rig.whatsminer.isUnlimited = true;
  await rig.clock.advance(2 * MINUTE);
  rig.want('mine', 2_500);
  await rig.clock.advance(5 * MINUTE);
  expect(rig.whatsminer.settings()['powerLimit']).toBe(2_500);
  rig.want('mine');
  await rig.clock.advance(5 * MINUTE);
  expect(rig.whatsminer.settings()['powerLimit']).toBe(99_999);
});

test('what a verb takes away for its own time is given back by an agent that starts anew', async () => {
  const rig = makeRig({ luxos: true });
  await rig.clock.advance(2 * MINUTE);
  rig.want('mine', undefined, false, 2_500);
  for (let ms = 0; ms < MINUTE && rig.luxos.atm; ms += 1) await rig.clock.advance(1);
  expect(rig.luxos.atm).toBe(false);
  rig.kill();
  await rig.clock.advance(20 * MINUTE);
  expect(rig.luxos.atm).toBe(false);
  rig.start();
  await rig.clock.advance(5 * MINUTE);
  expect(rig.luxos.atm).toBe(true);
  expect([rig.alarms('FOREIGN_WRITER'), rig.alarms('SETTING_DISTURBED')]).toEqual([[], []]);
  // From then on it is theirs again: who switches it off has it off.
  rig.luxos.atm = false;
  await rig.clock.advance(5 * MINUTE);
  expect(rig.luxos.atm).toBe(false);
  expect(rig.alarms('FOREIGN_WRITER').join()).toContain('atm was true, is false');
});

test('a limit given in place of a rest is taken back when the machine obeys again, after a restart of the agent too', async () => {
  for (const restarts of [false, true]) {
    const rig = makeRig({ luxos: true });
    const before = rig.luxos.power.model.rungs.at(-2)?.powerW ?? 0;
    rig.luxos.power.limit(0, before);
    await rig.clock.advance(2 * MINUTE);
    expect(rig.luxos.settings()['powerLimit']).toBe(before);
    // Its firmware says yes to every rest and stays at work; it does take limits.
    const deaf = Object.assign(rig.luxos, { fallAsleep: () => undefined });
    rig.wantLuxos('mine');
    await rig.clock.advance(MINUTE);
    rig.wantLuxos('sleep');
    await rig.clock.advance(6 * MINUTE);
    expect(rig.voice.status?.quarantined).toEqual(['r1-03']);
    expect(rig.luxos.settings()['powerLimit']).toBe(rig.luxos.power.model.rungs[0]?.powerW);
    if (restarts) {
      rig.kill();
      rig.start();
      await rig.clock.advance(MINUTE);
    }
    Reflect.deleteProperty(deaf, 'fallAsleep');
    await rig.clock.advance(6 * MINUTE);
    expect([rig.luxos.power.mining, rig.voice.status?.quarantined]).toEqual([false, undefined]);
    rig.wantLuxos('mine');
    await rig.clock.advance(10 * MINUTE);
    expect([rig.luxos.power.mining, rig.luxos.settings()['powerLimit']]).toEqual([true, before]);
    expect([rig.alarms('FOREIGN_WRITER'), rig.alarms('SETTING_DISTURBED')]).toEqual([[], []]);
  }
});

test('a limit given in place of a rest is taken back from a machine that never rested', async () => {
  const rig = makeRig({ luxos: true });
  const before = rig.luxos.power.model.rungs.at(-2)?.powerW ?? 0;
  rig.luxos.power.limit(0, before);
  await rig.clock.advance(2 * MINUTE);
  Object.assign(rig.luxos, { fallAsleep: () => undefined });
  rig.wantLuxos('mine');
  await rig.clock.advance(MINUTE);
  rig.wantLuxos('sleep');
  await rig.clock.advance(6 * MINUTE);
  rig.wantLuxos('mine');
  await rig.clock.advance(10 * MINUTE);
  expect([rig.luxos.power.mining, rig.luxos.settings()['powerLimit']]).toEqual([true, before]);
});

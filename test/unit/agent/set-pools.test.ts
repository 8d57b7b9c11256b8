import { afterEach, expect, test } from 'vitest';
import { SettingsRig } from './settings-rig.ts';

const MINUTE = 60_000;
const rigs: SettingsRig[] = [];
afterEach(() => {
  for (const rig of rigs.splice(0)) rig.kill();
});

async function atWork(): Promise<SettingsRig> {
  const rig = new SettingsRig();
  rigs.push(rig);
  await rig.clock.advance(2 * MINUTE);
  rig.want('mine');
  await rig.clock.advance(MINUTE);
  return rig;
}

const told = ({ voice }: SettingsRig): readonly string[] =>
  voice.results
    .filter(({ verb }) => verb === 'pools')
    .map(({ machine, stage, why = '' }) => `${machine} ${stage} ${why}`.trim());
const poolsOf = (settings: Readonly<Record<string, string | number>>): readonly unknown[] =>
  Object.entries(settings).flatMap(([name, value]) => (name.startsWith('pool.') ? [value] : []));
const beside = (settings: Readonly<Record<string, string | number>>): object =>
  Object.fromEntries(Object.entries(settings).filter(([name]) => !name.startsWith('pool.')));

test('pools are set once by each id, observed by a reading after it, and nothing beside them changes', async () => {
  const rig = await atWork();
  const before = [rig.antminer, rig.whatsminer].map((miner) => beside(miner.settings()));
  rig.setPools('op-1');
  rig.setPools('op-1');
  await rig.clock.advance(5 * MINUTE);
  expect(told(rig).toSorted()).toEqual([
    'r1-01 acknowledged',
    'r1-01 observed',
    'r1-02 acknowledged',
    'r1-02 observed',
  ]);
  expect(rig.antminer.changes).toBe(1);
  const expected = (machine: string): string[] => [
    `stratum+tcp://new.example:3333 acct.${machine} pool-secret`,
    'stratum+tcp://spare.example:3333 acct.r1 x',
  ];
  expect(poolsOf(rig.antminer.settings())).toEqual(expected('r1-01'));
  expect(poolsOf(rig.whatsminer.settings())).toEqual(expected('r1-02'));
  expect([rig.antminer, rig.whatsminer].map((miner) => beside(miner.settings()))).toEqual(before);
  expect([rig.alarms('FOREIGN_WRITER'), rig.alarms('SETTING_DISTURBED')]).toEqual([[], []]);
  // That it stands idle while it begins anew is our own doing.
  expect(rig.alarms('SELF_WOKEN')).toEqual([]);
  expect(JSON.stringify([rig.voice.results, rig.voice.events])).not.toContain('pool-secret');
  // From now on these are the ones that nobody else may change.
  rig.antminer.anotherWrites({ pools: [{ url: 'stratum+tcp://thief.example:1', user: 't', pass: 'x' }] }, 0);
  await rig.clock.advance(2 * MINUTE);
  expect(rig.alarms('FOREIGN_WRITER').join()).toContain(
    'r1-01: pool.1.url was stratum+tcp://new.example:3333, is stratum+tcp://thief.example:1',
  );
});

test('said OK and not done, disturbed, unknown, or held at rest: each is said', async () => {
  const rig = await atWork();
  rig.antminer.fault = 'ignores';
  rig.whatsminer.fault = 'disturbs';
  rig.setPools('op-1');
  await rig.clock.advance(15 * MINUTE);
  expect(told(rig).toSorted()).toEqual([
    'r1-01 acknowledged',
    'r1-01 failed VERB_NOT_OBSERVED',
    'r1-02 acknowledged',
    'r1-02 observed',
  ]);
  expect(rig.alarms('SETTING_DISTURBED').join()).toContain(
    'r1-02: powerMode was Normal, is Low, after pools',
  );
  rig.setPools('op-2', 'mian');
  await rig.clock.advance(MINUTE);
  expect(told(rig).slice(4).toSorted()).toEqual(['r1-01 failed USAGE', 'r1-02 failed USAGE']);
});

test('what is at rest and may start mining with new pools is not told them', async () => {
  const rig = await atWork();
  rig.want('sleep');
  await rig.clock.advance(2 * MINUTE);
  rig.setPools('op-1');
  await rig.clock.advance(MINUTE);
  expect(told(rig).toSorted()).toEqual(['r1-01 refused ENVELOPE_REFUSED', 'r1-02 refused ENVELOPE_REFUSED']);
  expect([rig.antminer.power.mining, rig.whatsminer.power.mining]).toEqual([false, false]);
  rig.want('mine');
  await rig.clock.advance(5 * MINUTE);
  rig.setPools('op-2');
  await rig.clock.advance(5 * MINUTE);
  expect(told(rig).filter((one) => one.endsWith('observed'))).toHaveLength(2);
});

test('an order whose answer never came is settled by what the machine shows', async () => {
  const rig = await atWork();
  rig.whatsminer.fault = 'slow';
  rig.setPools('op-1');
  await rig.clock.advance(MINUTE);
  rig.whatsminer.fault = 'none';
  await rig.clock.advance(5 * MINUTE);
  expect(told(rig).filter((one) => one.startsWith('r1-02'))).toEqual(['r1-02 observed']);
  expect(JSON.stringify(rig.whatsminer.settings())).toContain('new.example');
});

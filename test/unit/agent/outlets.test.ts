import { afterEach, expect, test } from 'vitest';
import { all, makeBench as openBench, modes } from './bench.ts';
import type { Bench } from './bench.ts';
import { events, loseSupplyOfNetwork, open, openRig } from './outlet-rig.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.stop();
});

const makeRig = (...options: Parameters<typeof openRig>): ReturnType<typeof openRig> => {
  const rig = openRig(...options);
  benches.push(rig.bench);
  return rig;
};

test('power returns to an open contactor; it is closed when everything behind it is wanted, as one start', async () => {
  const { bench, writes, power, want, plant } = makeRig();
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  await bench.clock.advance(5_000);
  power(false);
  await bench.clock.advance(20_000);
  expect(open(bench)).toEqual(['k1']);
  // Off in the frames, at its outlet's word; and the output is off before power is back.
  expect(plant.output).toBe(0);
  want(2, { ...all(bench, 'mine'), 'r1-03': 'sleep' });
  await bench.clock.advance(60_000);
  power(true);
  await bench.clock.advance(40_000);
  expect(writes).toEqual([0]);
  expect(modes(bench)).toBe('ssssssss');
  const refused = bench.voice.results
    .filter(({ why }) => why === 'OUTLET_OPEN')
    .map(({ machine }) => machine);
  expect(new Set(refused).size).toBe(7);
  want(3, all(bench, 'mine'));
  await bench.clock.advance(60_000);
  expect(writes).toEqual([0, 1]);
  expect(open(bench)).toEqual([]);
  expect(modes(bench)).toBe('mmmmmmmm');
  const observed = bench.voice.results.filter(
    ({ stage, verb, generation }) => stage === 'observed' && verb === 'outlet' && generation === 3,
  );
  expect(observed).toHaveLength(8);
  // Nobody was to blame, nobody was called, and nobody had to be woken.
  expect(events(bench).filter((event) => /LOST|WOKEN|FAILED/.test(event))).toEqual([]);
  expect([...bench.miners.values()].flatMap(({ calls }) => calls)).toEqual([]);
});

test('an outlet of a PDU is read at its state and switched at its command: open after an outage, closed as one start', async () => {
  const target = 'modbus://127.0.0.1/7?profile=test/unit/config/switched-pdu.json&channel=2';
  const { bench, writes, power, want } = makeRig({
    plant: {
      points: [{ id: 'q0-open', target: 'modbus://127.0.0.1/7', kind: 'discrete', address: 2 }],
      protections: [
        { id: 'q0', node: 'main', input: 'q0-open', kind: 'breaker', autoRelease: true, releaseS: 5 },
      ],
      outlets: [{ id: 'k1', node: 'r1', target, bootS: 10 }],
    },
  });
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  await bench.clock.advance(5_000);
  // At work nothing opens it.
  expect(writes).toEqual([]);
  power(false);
  await bench.clock.advance(40_000);
  expect(open(bench)).toEqual(['k1']);
  expect(writes).toEqual([0]);
  power(true);
  await bench.clock.advance(60_000);
  expect(writes).toEqual([0, 1]);
  expect(open(bench)).toEqual([]);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(events(bench).filter((event) => /FAILED|LOST/.test(event))).toEqual([]);
});

test('what all start with has to fit under the cap with all else; hands in the rack keep it open too', async () => {
  const { bench, writes, power, want } = makeRig({ capKw: 28 });
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  power(false);
  await bench.clock.advance(15_000);
  // 8 of 3.4 kW are 27.2 kW.
  bench.extraW = 2_000;
  power(true);
  await bench.clock.advance(60_000);
  expect(writes).toEqual([0]);
  const whys = bench.voice.results.filter(({ why }) => why === 'OUTLET_OPEN').map(({ detail }) => detail);
  expect(whys.at(-1)).toBe("'k1' is open: ENVELOPE_REFUSED");
  const lock = {
    id: 'l1',
    kind: 'lockout' as const,
    by: 'kim@1',
    sinceMs: 0,
    reason: 'fan',
    freed: [] as string[],
  };
  bench.voice.lock('r1', [{ ...lock, machines: ['r1-02'] }]);
  bench.extraW = 0;
  await bench.clock.advance(60_000);
  expect(writes).toEqual([0]);
  bench.voice.lock('r1', [{ ...lock, machines: ['r1-02'], freed: ['r1-02'] }]);
  await bench.clock.advance(30_000);
  expect(writes).toEqual([0, 1]);
  expect(modes(bench)).toBe('mmmmmmmm');
});

test('an agent that stood still reads an open outlet again before it takes what is behind it for unknown', async () => {
  const { bench, plc, power, want } = makeRig();
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  power(false);
  await bench.clock.advance(20_000);
  expect(open(bench)).toEqual(['k1']);
  bench.clock.freeze(35_000);
  await bench.clock.advance(10_000);
  expect(open(bench)).toEqual(['k1']);
  const told = (): string[] => events(bench).filter((event) => /OUTLET|DEVICE/.test(event));
  expect(told()).toEqual(['OUTLET_OPEN k1 raised']);
  await bench.clock.advance(30_000);
  plc.silent = true;
  bench.clock.freeze(35_000);
  await bench.clock.advance(10_000);
  expect(told()).toContain('OUTLET_OPEN k1 cleared');
});

test('a read-back that cannot be read is neither open nor closed, and nothing is switched', async () => {
  const { bench, plc, writes, power, want } = makeRig();
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  power(false);
  await bench.clock.advance(15_000);
  expect(open(bench)).toEqual(['k1']);
  plc.silent = true;
  await bench.clock.advance(40_000);
  expect(open(bench)).toEqual([]);
  const frame = bench.voice.frames.at(-1);
  expect(JSON.stringify(frame)).not.toContain('"off"');
  power(true);
  await bench.clock.advance(30_000);
  expect(writes).toEqual([0]);
  expect(events(bench)).toContain('INPUT_LOST k1 raised');
});

test('one that does not follow is said, written off again, and tried again a minute later', async () => {
  const { bench, writes, power, want, plant } = makeRig();
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  power(false);
  await bench.clock.advance(20_000);
  plant.stuck = true;
  power(true);
  await bench.clock.advance(50_000);
  expect(writes).toEqual([0, 1, 0]);
  expect(events(bench)).toContain('OUTLET_FAILED k1 raised');
  plant.stuck = false;
  await bench.clock.advance(60_000);
  expect(writes).toEqual([0, 1, 0, 1]);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(events(bench)).toContain('OUTLET_FAILED k1 cleared');
});

test('welded shut: told to open in the dark it stays closed, which is said, and asked again once a minute', async () => {
  const { bench, writes, power, plant } = makeRig();
  await bench.clock.advance(8_000);
  plant.isWelded = true;
  power(false);
  await bench.clock.advance(100_000);
  expect(writes).toEqual([0, 0]);
  expect(events(bench)).toContain('OUTLET_FAILED k1 raised');
  expect(open(bench)).toEqual([]);
  plant.isWelded = false;
  await bench.clock.advance(10_000);
  expect(events(bench)).toContain('OUTLET_FAILED k1 cleared');
  expect(open(bench)).toEqual(['k1']);
});

test('an agent that starts in the dark opens what would close by itself', async () => {
  const { bench, writes, power, plant } = makeRig();
  plant.stuck = false;
  power(false);
  await bench.clock.advance(20_000);
  expect(writes).toEqual([0]);
  power(true);
  await bench.clock.advance(30_000);
  // Nobody wants anything of it.
  expect(modes(bench)).toBe('ssssssss');
  expect(open(bench)).toEqual(['k1']);
});

test('the wire of an auxiliary contact breaks while all behind it work: nothing is switched, and nobody is off', async () => {
  const { bench, writes, want, plant } = makeRig();
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  await bench.clock.advance(30_000);
  const late = bench.miners.get('r1-03');
  if (late === undefined) throw new Error('a miner');
  plant.isBroken = true;
  late.behaviour = 'dead';
  await bench.clock.advance(5_000);
  late.behaviour = 'good';
  await bench.clock.advance(60_000);
  expect(writes).toEqual([]);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(JSON.stringify(bench.voice.frames)).not.toContain('"off"');
  expect(events(bench)).not.toContain('OUTLET_OPEN k1 raised');
  expect(events(bench)).toContain('OUTLET_FAILED k1 raised');
  // Out of sight later, they are no nearer to being off.
  for (const miner of bench.miners.values()) miner.behaviour = 'dead';
  await bench.clock.advance(60_000);
  expect(writes).toEqual([]);
  expect(open(bench)).toEqual([]);
  for (const miner of bench.miners.values()) miner.behaviour = 'good';
  await bench.clock.advance(60_000);
  plant.isBroken = false;
  await bench.clock.advance(10_000);
  expect(events(bench).at(-1)).toBe('OUTLET_FAILED k1 cleared');
});

test('contacts read open and nobody answers, but the meter shows the draw: nothing is switched, nobody is off', async () => {
  const rig = makeRig();
  const { bench, writes, want } = rig;
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  bench.extraW = 9_000;
  await bench.clock.advance(60_000);
  loseSupplyOfNetwork(rig);
  await bench.clock.advance(60_000);
  bench.meterFault = true;
  await bench.clock.advance(60_000);
  bench.meterFault = false;
  await bench.clock.advance(30_000);
  expect(writes).toEqual([]);
  expect(open(bench)).toEqual([]);
  expect(JSON.stringify(bench.voice.frames)).not.toContain('"off"');
  const said = bench.voice.events.filter(({ code }) => code === 'OUTLET_FAILED');
  expect(said.map(({ state }) => state)).toEqual(['raised']);
  expect(said[0]?.text).toMatch(/meter at r1 shows 2\d\.\d kW that nothing else draws/);
  // What goes out behind it after all is believed; what else is drawn there was known before.
  for (const miner of bench.miners.values()) miner.mode = 'sleep';
  await bench.clock.advance(10_000);
  const last = events(bench).filter((event) => event.includes('OUTLET'));
  expect(last.slice(0, 3)).toEqual([
    'OUTLET_FAILED k1 raised',
    'OUTLET_FAILED k1 cleared',
    'OUTLET_OPEN k1 raised',
  ]);
});

test('a meter that shows other load does not speak against a contact; without a meter the contact is believed', async () => {
  for (const isRestarted of [false, true]) {
    const { bench, power, want } = makeRig();
    bench.extraW = 9_000;
    if (!isRestarted) {
      await bench.clock.advance(8_000);
      want(1, all(bench, 'mine'));
      await bench.clock.advance(60_000);
    }
    // Restarted: nobody has learnt what else there is, and it is less than half of what is behind it.
    power(false);
    await bench.clock.advance(20_000);
    expect(open(bench)).toEqual(['k1']);
    // What comes later is other load too: the meter has shown none behind it.
    bench.extraW = 40_000;
    await bench.clock.advance(20_000);
    expect(open(bench)).toEqual(['k1']);
  }
  const rig = makeRig();
  await rig.bench.clock.advance(8_000);
  rig.want(1, all(rig.bench, 'mine'));
  await rig.bench.clock.advance(30_000);
  rig.bench.meterFault = true;
  loseSupplyOfNetwork(rig);
  await rig.bench.clock.advance(30_000);
  expect(events(rig.bench)).toContain('OUTLET_OPEN k1 raised');
});

test('a contact that is read every 12 s: a closing is judged by what was read after it', async () => {
  const { bench, writes, want, power } = makeRig({}, 12_000);
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  for (const darkMs of [60_000, 63_000, 66_000]) {
    power(false);
    await bench.clock.advance(darkMs);
    power(true);
    await bench.clock.advance(120_000);
  }
  expect(writes).toEqual([0, 1, 0, 1, 0, 1]);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(events(bench).filter((event) => event.includes('FAILED'))).toEqual([]);
});

test('who was told to wake when its power went may come back at work, also when it slept by its last word', async () => {
  const { bench, writes, power, want } = makeRig({ keepsSleep: true, mode: 'sleep' });
  const miners = [...bench.miners.values()];
  await bench.clock.advance(8_000);
  want(1, all(bench, 'sleep'));
  await bench.clock.advance(20_000);
  want(2, { ...all(bench, 'sleep'), 'r1-01': 'mine', 'r1-02': 'mine' });
  while (miners.filter(({ calls }) => calls.includes('wake')).length < 2) await bench.clock.advance(100);
  // Asked again before it shows.
  await bench.clock.advance(2_200);
  expect(modes(bench)).toBe('ssssssss');
  power(false);
  want(3, all(bench, 'sleep'));
  await bench.clock.advance(30_000);
  power(true);
  await bench.clock.advance(30_000);
  expect(writes).toEqual([0]);
  expect(open(bench)).toEqual(['k1']);
});

test('what slept and was out of sight with its power on may have been woken by others', async () => {
  const { bench, writes, power, want } = makeRig({ keepsSleep: true, mode: 'sleep' });
  await bench.clock.advance(8_000);
  want(1, all(bench, 'sleep'));
  await bench.clock.advance(20_000);
  for (const miner of bench.miners.values()) miner.behaviour = 'dead';
  await bench.clock.advance(60_000);
  power(false);
  await bench.clock.advance(30_000);
  power(true);
  await bench.clock.advance(30_000);
  expect(writes).toEqual([0]);
  expect(open(bench)).toEqual(['k1']);
});

test('what sleeps and keeps it is given its power back at once', async () => {
  const { bench, writes, power, want } = makeRig({ keepsSleep: true, mode: 'sleep' });
  await bench.clock.advance(8_000);
  want(1, all(bench, 'sleep'));
  await bench.clock.advance(20_000);
  power(false);
  await bench.clock.advance(30_000);
  power(true);
  await bench.clock.advance(30_000);
  expect(writes).toEqual([0, 1]);
  expect(open(bench)).toEqual([]);
});

test('closed by hand after it was told to open: seen with what answers behind it, what it was told is over', async () => {
  const { bench, writes, power, want, plant, settle } = makeRig();
  await bench.clock.advance(8_000);
  want(1, all(bench, 'mine'));
  power(false);
  await bench.clock.advance(30_000);
  expect(writes).toEqual([0]);
  plant.byHand = true;
  settle();
  await bench.clock.advance(1_000);
  power(true);
  while (!events(bench).includes('OUTLET_FAILED k1 raised')) await bench.clock.advance(500);
  await bench.clock.advance(60_000);
  expect(
    events(bench)
      .filter((event) => /OUTLET/.test(event))
      .slice(-1),
  ).toEqual(['OUTLET_FAILED k1 cleared']);
  expect(open(bench)).toEqual([]);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(writes).toEqual([0]);
});

test('who has come back from the dark and does not say what it does counts as one that is starting', async () => {
  const bench = openBench({ mode: 'sleep', count: 2, capKw: 5 });
  benches.push(bench);
  await bench.clock.advance(8_000);
  const [first, second] = [...bench.miners.values()];
  if (first === undefined || second === undefined) throw new Error('two miners');
  first.behaviour = 'dead';
  await bench.clock.advance(30_000);
  Object.assign(first, { behaviour: 'good', mode: 'mine', isStarting: true });
  while (!bench.voice.events.some(({ state }) => state === 'cleared')) await bench.clock.advance(500);
  bench.voice.want('r1', 1, { 'r1-02': 'mine' });
  await bench.clock.advance(4_000);
  expect(second.mode).toBe('sleep');
  expect(bench.voice.results.map(({ why }) => why)).toContain('ENVELOPE_REFUSED');
  // Not for ever: what never says it is none that starts.
  await bench.clock.advance(30_000);
  expect(second.mode).toBe('mine');
});

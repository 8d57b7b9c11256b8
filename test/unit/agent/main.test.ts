import { afterEach, expect, test } from 'vitest';
import { desiredTopic, agentTopic, leaseTopic } from '../../../protocols/mqtt/topics.ts';
import { all, makeBench as openBench, modes, stages, START_MS } from './bench.ts';
import type { Bench } from './bench.ts';
import type { Frame } from '../../../protocols/mqtt/frame.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.stop();
});

function makeBench(options: Parameters<typeof openBench>[0] = {}): Bench {
  const bench = openBench(options);
  benches.push(bench);
  return bench;
}

test('a desired state is acknowledged, observed by a later reading, and carried out once', async () => {
  const bench = makeBench();
  await bench.clock.advance(8_000);
  expect(bench.voice.status?.phase).toBe('live');
  bench.voice.want('r1', 1, all(bench, 'sleep'));
  await bench.clock.advance(1_000);
  expect(stages(bench, 'acknowledged')).toBe(8);
  expect(stages(bench, 'observed')).toBe(0);
  await bench.clock.advance(9_000);
  expect(modes(bench)).toBe('ssssssss');
  expect(stages(bench, 'observed')).toBe(8);
  await bench.clock.advance(30_000);
  for (const miner of bench.miners.values()) expect(miner.calls).toEqual(['sleep']);
  expect(bench.voice.results.every((result) => result.commandId === 'c1' && result.verb === 'sleep')).toBe(
    true,
  );
  expect(bench.voice.events).toEqual([]);
});

test('a document without a live beat, or older than the one in force, changes nothing', async () => {
  const bench = makeBench();
  bench.voice.speaking = false;
  await bench.clock.advance(4_000);
  const because = { owner: 'price' as const, rule: 'x', text: 'x' };
  const doc = {
    v: 1,
    site: 'toy',
    rack: 'r1',
    epoch: 1,
    generation: 3,
    commandId: 'c3',
    urgent: false,
    issuedAtMs: START_MS,
    expiresAtMs: START_MS + 600_000,
    machines: { 'r1-01': { mode: 'sleep', because } },
  };
  bench.voice.say(desiredTopic('toy', 'r1'), doc, true);
  await bench.clock.advance(10_000);
  expect(modes(bench)).toBe('mmmmmmmm');
  bench.voice.speaking = true;
  bench.voice.generations = { r1: 3 };
  await bench.clock.advance(10_000);
  expect(modes(bench)).toBe('smmmmmmm');
  bench.voice.want('r1', 2, all(bench, 'sleep'));
  await bench.clock.advance(15_000);
  expect(modes(bench)).toBe('smmmmmmm');
  expect(bench.voice.events.map((event) => event.code)).toContain('DESIRED_STALE');
});

test('a controller of an older epoch is refused, also after the agent was started anew', async () => {
  const first = makeBench();
  first.voice.epoch = 7;
  await first.clock.advance(5_000);
  first.voice.want('r1', 1, all(first, 'mine'));
  await first.clock.advance(3_000);
  expect(first.voice.status?.epoch).toBe(7);
  expect(first.disk.paths).toContain('/data/agent-a1.epoch.json');
  const second = makeBench({ disk: first.disk });
  second.voice.epoch = 6;
  await second.clock.advance(5_000);
  second.voice.want('r1', 9, all(second, 'sleep'));
  await second.clock.advance(20_000);
  expect(modes(second)).toBe('mmmmmmmm');
  expect(second.voice.status?.phase).toBe('starting');
  expect(second.voice.events.map((event) => event.code)).toContain('DESIRED_STALE');
});

test('with a silent controller nothing is raised, then the fail-safe holds until something fresh comes', async () => {
  const bench = makeBench({ mode: 'sleep', lease: { t1S: 5, t2S: 20, failSafe: 'sleep' } });
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, { 'r1-01': 'mine' });
  await bench.clock.advance(12_000);
  expect(modes(bench)).toBe('msssssss');
  bench.voice.speaking = false;
  await bench.clock.advance(7_000);
  expect(bench.voice.status?.phase).toBe('stale');
  bench.voice.want('r1', 2, all(bench, 'mine'), { expiresAtMs: bench.clock.wallMs() + 3_600_000 });
  bench.voice.generations = { r1: 1 };
  await bench.clock.advance(30_000);
  expect(bench.voice.status?.phase).toBe('lost');
  expect(modes(bench)).toBe('ssssssss');
  const phases = bench.reports.flatMap((event) => (event.event === 'lease' ? [event.phase] : []));
  expect(phases).toEqual(['starting', 'live', 'stale', 'live', 'stale', 'lost']);
  bench.voice.speaking = true;
  await bench.clock.advance(10_000);
  expect(bench.voice.status?.phase).toBe('lost');
  bench.voice.want('r1', 3, { 'r1-02': 'mine' });
  await bench.clock.advance(12_000);
  expect(bench.voice.status?.phase).toBe('live');
  expect(modes(bench)).toBe('smssssss');
});

test('raises stay below the cap by what they will draw, and a refusal is said once', async () => {
  const bench = makeBench({ mode: 'sleep', capKw: 10 });
  await bench.clock.advance(40_000);
  bench.voice.want('r1', 1, all(bench, 'mine'));
  await bench.clock.advance(40_000);
  expect(modes(bench).replaceAll('s', '')).toBe('mmm');
  const refused = bench.voice.results.filter((result) => result.stage === 'refused');
  expect(refused.map((result) => result.why)).toEqual(Array.from({ length: 5 }, () => 'ENVELOPE_REFUSED'));
});

test('machines that tell no power at rest take no room: they are seen asleep, and the meter watches them', async () => {
  const bench = makeBench({ mode: 'sleep', capKw: 20 });
  for (const miner of bench.miners.values()) miner.silentAtRest = true;
  await bench.clock.advance(40_000);
  bench.voice.want('r1', 1, { 'r1-01': 'mine', 'r1-02': 'mine', 'r1-03': 'mine' });
  await bench.clock.advance(40_000);
  expect(modes(bench)).toBe('mmmsssss');
  // One that says it sleeps and draws all the same is seen by the meter, and takes its room.
  bench.extraW = 3 * 3_170;
  await bench.clock.advance(10_000);
  bench.voice.want('r1', 2, { 'r1-04': 'mine' });
  await bench.clock.advance(40_000);
  expect(modes(bench)).toBe('mmmsssss');
});

test('the guard sheds on its own when the meter is above the cap, and keeps its hand on what it shed', async () => {
  const bench = makeBench({ capKw: 26 });
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, all(bench, 'mine'));
  await bench.clock.advance(4_000);
  bench.voice.speaking = false;
  bench.extraW = 5_000;
  await bench.clock.advance(8_000);
  const shed = modes(bench);
  expect(shed.replaceAll('m', '')).toBe('ss');
  const meters = bench.reports.flatMap((event) => (event.event === 'meter' ? [event.powerW] : []));
  expect(meters.at(-1)).toBeLessThan(26_000);
  expect(bench.voice.events.map((event) => `${event.code} ${event.state}`)).toContain('CAP_EXCEEDED cleared');
  bench.voice.speaking = true;
  await bench.clock.advance(20_000);
  expect(modes(bench)).toBe(shed);
  bench.extraW = 0;
  bench.voice.want('r1', 2, all(bench, 'mine'));
  await bench.clock.advance(30_000);
  expect(modes(bench)).toBe('mmmmmmmm');
});

test('a lost meter is replaced by the machines’ sum: the guard still sheds', async () => {
  const bench = makeBench({ mode: 'sleep', capKw: 20 });
  await bench.clock.advance(40_000);
  bench.meterFault = true;
  await bench.clock.advance(5_000);
  for (const miner of bench.miners.values()) miner.mode = 'mine';
  await bench.clock.advance(15_000);
  expect(modes(bench).replaceAll('s', '').length * 3_200 * 1.03).toBeLessThan(20_000);
  expect(bench.voice.events.map((event) => event.code)).toContain('METER_LOST');
  const last = bench.voice.frames.filter((frame) => frame.group === 'meters').at(-1);
  expect(last?.cells[0]?.['power.active.total']).toMatchObject({ ok: false, why: 'NET_REFUSED' });
});

test('a beat for an earlier start of the agent is no alarm that nobody ends', async () => {
  const bench = makeBench();
  await bench.clock.advance(2_000);
  bench.voice.beat('of the start before');
  await bench.clock.advance(4_000);
  expect(bench.voice.events.map((event) => event.code)).toEqual([]);
});

test('without automatic authority no command is given, not even by the guard', async () => {
  const bench = makeBench({ authority: 'observe', capKw: 10 });
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, all(bench, 'sleep'));
  await bench.clock.advance(20_000);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(bench.voice.results.every((result) => result.why === 'AUTHORITY_REFUSED')).toBe(true);
  expect(stages(bench, 'refused')).toBe(8);
  expect(bench.voice.status?.guarding).toEqual(['r1']);
});

test('an ignored command is given twice, reported failed, and left alone for a minute', async () => {
  const bench = makeBench();
  const liar = bench.miners.get('r1-03');
  if (liar !== undefined) liar.behaviour = 'ignores';
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, all(bench, 'sleep'), { expiresAtMs: START_MS + 3_600_000 });
  await bench.clock.advance(40_000);
  expect(liar?.calls).toEqual(['sleep', 'sleep']);
  const failed = bench.voice.results.filter((result) => result.stage === 'failed');
  expect(failed.map(({ machine, why }) => ({ machine, why }))).toEqual([
    { machine: 'r1-03', why: 'VERB_NOT_OBSERVED' },
  ]);
  await bench.clock.advance(38_000);
  expect(liar?.calls.length).toBe(2);
  await bench.clock.advance(10_000);
  expect(liar?.calls.length).toBe(3);
});

test('a machine that wakes by itself comes back under the desired state within 10 s', async () => {
  const bench = makeBench();
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, all(bench, 'sleep'), { expiresAtMs: START_MS + 3_600_000 });
  await bench.clock.advance(15_000);
  const miner = bench.miners.get('r1-05');
  if (miner !== undefined) miner.mode = 'mine';
  await bench.clock.advance(10_000);
  expect(miner?.mode).toBe('sleep');
  const events = bench.voice.events.map((event) => `${event.code} ${event.subject} ${event.state}`);
  expect(events).toEqual(['SELF_WOKEN r1-05 raised', 'SELF_WOKEN r1-05 cleared']);
});

test('dead and hanging machines say why, and one that returns obeys at once', async () => {
  const bench = makeBench();
  const dead = bench.miners.get('r1-02');
  const hung = bench.miners.get('r1-04');
  if (dead === undefined || hung === undefined) throw new Error('no such miner');
  dead.behaviour = 'dead';
  hung.behaviour = 'hangs';
  await bench.clock.advance(60_000);
  bench.voice.want('r1', 1, all(bench, 'sleep'), { expiresAtMs: START_MS + 3_600_000 });
  await bench.clock.advance(15_000);
  expect(modes(bench)).toBe('smsmssss');
  const cells = bench.voice.frames.filter((frame) => frame.group === 'r1').at(-1)?.cells;
  expect(cells?.[1]?.['power']).toMatchObject({ ok: false, why: 'NET_TIMEOUT' });
  expect(cells?.[3]?.['mode']).toMatchObject({ ok: false, why: 'NET_TIMEOUT' });
  expect(cells?.[0]?.['power']).toMatchObject({ ok: true, value: 30 });
  expect(
    bench.voice.results.filter((result) => result.why === 'DEVICE_LOST').map((result) => result.machine),
  ).toEqual(['r1-02', 'r1-04']);
  dead.behaviour = 'good';
  await bench.clock.advance(70_000);
  expect(dead.mode).toBe('sleep');
});

test('steps of the wall clock change nothing', async () => {
  const bench = makeBench();
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, all(bench, 'sleep'));
  await bench.clock.advance(12_000);
  expect(modes(bench)).toBe('ssssssss');
  const sent = [...bench.miners.values()].reduce((count, miner) => count + miner.calls.length, 0);
  bench.clock.stepWall(-86_400_000);
  await bench.clock.advance(20_000);
  bench.clock.stepWall(2 * 86_400_000);
  await bench.clock.advance(20_000);
  expect(bench.voice.status?.phase).toBe('live');
  expect([...bench.miners.values()].reduce((count, miner) => count + miner.calls.length, 0)).toBe(sent);
});

test('after an outage what is new comes first, then the backlog in order, without gaps, and the spool empties', async () => {
  const bench = makeBench();
  await bench.clock.advance(10_000);
  bench.broker.partition('agent', true);
  await bench.clock.advance(60_000);
  bench.broker.partition('agent', false);
  await bench.clock.advance(20_000);
  const { frames, lateFrames, status } = bench.voice;
  for (const group of ['r1', 'meters']) {
    const seqsOf = (those: readonly Frame[]): number[] =>
      those.filter((frame) => frame.group === group).map((frame) => frame.seq);
    const [live, late] = [seqsOf(frames), seqsOf(lateFrames)];
    for (const seqs of [live, late]) expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    expect(late.length).toBeGreaterThan(12);
    const all = [...live, ...late].sort((a, b) => a - b);
    expect(all).toEqual(all.map((_, place) => place));
  }
  expect(status?.spooled).toBeLessThan(6);
  expect(status?.phase).toBe('live');
});

test('garbage on every topic is refused by name and harms nothing', async () => {
  const bench = makeBench();
  await bench.clock.advance(6_000);
  for (const topic of [desiredTopic('toy', 'r1'), leaseTopic('toy'), agentTopic('toy', 'a1', 'ack')])
    for (const text of ['', '{', '[]', '{"v":1}', '\u0000', '{"v":1,"__proto__":{"epoch":9}}'])
      void bench.voice.bus.publish(topic, new TextEncoder().encode(text));
  await bench.clock.advance(10_000);
  expect(bench.voice.status?.phase).toBe('live');
  expect(new Set(bench.voice.events.map((event) => event.code))).toEqual(new Set(['BUS_MESSAGE']));
});

test('after stop nothing is asked, said or left waiting', async () => {
  const bench = makeBench();
  await bench.clock.advance(10_000);
  await bench.stop();
  await bench.clock.advance(20_000);
  const before = bench.voice.frames.length;
  const { pending } = bench.clock;
  await bench.clock.advance(60_000);
  expect(bench.voice.frames.length).toBe(before);
  expect(bench.clock.pending).toBeLessThanOrEqual(pending);
});

test('the same seed gives the same run', async () => {
  const run = async (): Promise<string> => {
    const bench = makeBench();
    const liar = bench.miners.get('r1-06');
    if (liar !== undefined) liar.behaviour = 'ignores';
    await bench.clock.advance(6_000);
    bench.voice.want('r1', 1, all(bench, 'sleep'));
    await bench.clock.advance(60_000);
    const { results, events, frames, status } = bench.voice;
    return JSON.stringify({ results, events, frames, status, reports: bench.reports });
  };
  expect(await run()).toBe(await run());
});

test('a machine of which nothing is wanted is left to people; the guard sheds it once and lets it go again', async () => {
  const bench = makeBench({ capKw: 27 });
  await bench.clock.advance(6_000);
  const { 'r1-08': _, ...others } = all(bench, 'mine');
  bench.voice.want('r1', 1, all(bench, 'mine'), { expiresAtMs: START_MS + 3_600_000 });
  await bench.clock.advance(5_000);
  bench.voice.want('r1', 2, others, { expiresAtMs: START_MS + 3_600_000 });
  const manual = bench.miners.get('r1-08');
  if (manual === undefined) throw new Error('no such miner');
  await bench.clock.advance(5_000);
  manual.mode = 'sleep';
  await bench.clock.advance(60_000);
  expect(manual.calls).toEqual([]);
  manual.mode = 'mine';
  bench.extraW = 25_000;
  await bench.clock.advance(20_000);
  expect(modes(bench)).toBe('ssssssss');
  expect(manual.calls).toEqual(['sleep']);
  bench.extraW = 0;
  await bench.clock.advance(10_000);
  manual.mode = 'mine';
  await bench.clock.advance(60_000);
  expect(manual.mode).toBe('mine');
  expect(manual.calls).toEqual(['sleep']);
});

test('least times and starts of the day outlive the agent', async () => {
  const control = { minOffS: 60, maxCyclesPerDay: 2 };
  const first = makeBench({ count: 2, control });
  await first.clock.advance(8_000);
  first.voice.want('r1', 1, { 'r1-01': 'sleep', 'r1-02': 'mine' });
  await first.clock.advance(10_000);
  expect(modes(first)).toBe('sm');
  await first.stop();
  const second = makeBench({
    count: 2,
    control,
    disk: first.disk,
    startMs: START_MS + 20_000,
    mode: 'sleep',
  });
  second.voice.epoch = 2;
  await second.clock.advance(8_000);
  second.voice.want('r1', 1, all(second, 'mine'));
  await second.clock.advance(20_000);
  // The first rests since 40 s, by the word of the agent before; the second it never put to rest.
  expect(modes(second)).toBe('sm');
  expect(second.voice.results.map((result) => result.why)).toContain('DWELL_WAIT');
  await second.clock.advance(30_000);
  expect(modes(second)).toBe('mm');
});

test('an agent that stood still reads its meters again before it takes them for lost, and no longer than that takes', async () => {
  // The sum of the machines with its margin is above the cap; the meter is not.
  const bench = makeBench({ capKw: 26 });
  await bench.clock.advance(20_000);
  const sleeps = (): number =>
    [...bench.miners.values()].reduce(
      (sum, { calls }) => sum + calls.filter((verb) => verb === 'sleep').length,
      0,
    );
  bench.clock.freeze(35_000);
  await bench.clock.advance(20_000);
  expect(sleeps()).toBe(0);
  bench.clock.freeze(35_000);
  bench.meterFault = true;
  await bench.clock.advance(2_500);
  expect(sleeps()).toBe(0);
  await bench.clock.advance(5_000);
  expect(sleeps()).toBeGreaterThan(0);
});

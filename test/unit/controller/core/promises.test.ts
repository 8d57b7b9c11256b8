import { describe, expect, test } from 'vitest';
import type { SiteConfigInput } from '../../../../config/schema/site.ts';
import { whyOf } from '../../../../controller/core/view.ts';
import type { MachineResult } from '../../../../protocols/mqtt/status.ts';
import { Plant } from './plant.ts';
import { smallSite } from './small-site.ts';

const r1 = Array.from({ length: 10 }, (_, n) => `r1-${String(n + 1).padStart(2, '0')}`);
const limit = (plant: Plant, limitKw: number, sequence: number, deadlineS = 60): void => {
  plant.utility = { limitKw, deadlineS, sequence };
};
const hold = (plant: Plant, action: 'mine' | 'sleep' | 'lockout', machines: readonly number[]): void =>
  plant.take({
    kind: 'operator',
    commandId: 'op-1',
    actor: 'anna#1',
    request: { scope: ['site'], action, minutes: 60, reason: 'test' },
    machines,
  });
const all = (plant: Plant): number[] => plant.state.site.machines.map((machine) => machine.index);
const alarms = (plant: Plant): string[] => [...plant.state.alarms.keys()];
const withRamp = (kwPerMin: number): SiteConfigInput => ({
  ...smallSite,
  nodes: smallSite.nodes.map((node) =>
    node.id === 'site' ? { ...node, rampUpKwPerMin: kwPerMin, rampDownKwPerMin: kwPerMin } : node,
  ),
});

/** Each was broken once. */
describe('nobody above a limit', () => {
  test('who is on an agent’s quarantine list counts as what it draws, whatever it was seen to do before', () => {
    const rests = (one: Plant): string[] => r1.filter((_, at) => one.state.wish[at]?.mode === 'sleep');
    const free = new Plant().run(23);
    limit(free, 45, 1);
    const [first = ''] = rests(free.run(30));
    expect(first).not.toBe('');
    const plant = new Plant().run(20);
    plant.quarantined = [first];
    plant.run(3);
    limit(plant, 45, 1);
    expect(rests(plant.run(30))).not.toContain(first);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(45_000);
    const readOnly = new Plant().run(20);
    readOnly.unable = [first];
    readOnly.run(3);
    limit(readOnly, 45, 1);
    expect(rests(readOnly.run(30))).not.toContain(first);
    expect(readOnly.nodeW('site')).toBeLessThanOrEqual(45_000);
  });

  test('machines that cannot be commanded at all are not counted as asleep', () => {
    const plant = new Plant().run(20);
    plant.refusal = 'NET_REFUSED';
    for (const id of r1) plant.stubborn.add(id);
    limit(plant, 45, 1);
    plant.run(120);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(45_000);
    expect(alarms(plant).some((id) => id.startsWith('COMMAND_IGNORED'))).toBe(true);
  });

  test('nor are machines that ignore a lockout', () => {
    const plant = new Plant().run(20);
    for (const id of r1) plant.stubborn.add(id);
    hold(plant, 'lockout', all(plant).slice(0, 10));
    plant.run(30);
    limit(plant, 50, 1);
    plant.run(120);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(50_000);
  });

  test('a hold on machines that may only be observed moves nothing and hides nothing', () => {
    const machines =
      smallSite.machines?.map((group) =>
        group.rack === 'r1' ? { ...group, authority: 'observe' as const } : group,
      ) ?? [];
    const plant = new Plant({ ...smallSite, machines }).run(20);
    hold(plant, 'sleep', all(plant).slice(0, 10));
    limit(plant, 46, 1);
    plant.run(120);
    expect(plant.count('mine', 'r1')).toBe(10);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(46_000);
  });

  test('a cap in kVA is kept at the worst power factor, then at the one that is measured', () => {
    const nodes = smallSite.nodes.map((node) => (node.id === 'f1' ? { ...node, capKva: 30 } : node));
    const blind = new Plant({ ...smallSite, nodes }).run(200);
    // 27 kW of 30 kVA: seven of ten miners.
    expect(blind.count('mine', 'r1')).toBe(7);
    const seen = new Plant({ ...smallSite, nodes });
    seen.powerFactor = 0.98;
    seen.run(200);
    expect(seen.count('mine', 'r1')).toBe(8);
    seen.powerFactor = 0.8;
    seen.run(60);
    expect(seen.nodeW('f1') / 0.8).toBeLessThanOrEqual(30_000);
    expect(seen.count('mine', 'r1')).toBe(6);
  });

  test('a hold at work gives way to the utility', () => {
    const plant = new Plant().run(20);
    hold(plant, 'mine', all(plant).slice(0, 18));
    plant.run(5);
    limit(plant, 30, 1);
    plant.run(120);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(30_000);
  });

  test('a machine its agent put to sleep is told so, and counted', () => {
    const plant = new Plant().run(20);
    plant.mode[0] = 'sleep';
    plant.run(200);
    const last = plant.desired.filter((desired) => desired.rack === 'r1').at(-1);
    expect(last?.machines['r1-01']?.mode).toBe(plant.mode[0]);
    limit(plant, 45, 1);
    plant.run(120);
    expect(plant.nodeW('site')).toBeLessThanOrEqual(45_000);
  });

  test('unknown machines count at their rating when load is raised, whatever else hangs on the node', () => {
    const plant = new Plant().run(20);
    plant.extraW.set('f1', 12_000);
    plant.priceUsdPerMwh = 80;
    plant.run(90);
    for (const id of r1.slice(0, 5)) plant.silent.add(id);
    plant.run(60);
    plant.priceUsdPerMwh = 30;
    plant.run(200);
    for (let index = 0; index < 5; index++) plant.mode[index] = 'mine';
    expect(plant.nodeW('f1')).toBeLessThanOrEqual(40_000);
  });
});

describe('nothing moves that need not', () => {
  test('a controller that starts after a fail-safe wakes nobody at once', () => {
    const plant = new Plant(withRamp(6));
    for (const index of all(plant).slice(0, 18)) {
      plant.mode[index] = 'sleep';
      plant.state.wish[index] = { mode: 'mine', because: { owner: 'price', rule: 'recovered', text: '' } };
    }
    const beforeW = plant.nodeW('site');
    plant.run(30);
    expect(plant.state.deciding).toBe(true);
    expect(plant.nodeW('site') - beforeW).toBeLessThanOrEqual(12_000);
  });

  test('what a person puts to sleep falls no faster than the ramp', () => {
    const plant = new Plant(withRamp(30)).run(20);
    const beforeW = plant.nodeW('site');
    hold(plant, 'sleep', all(plant));
    plant.run(10);
    expect(beforeW - plant.nodeW('site')).toBeLessThanOrEqual(12_000);
    plant.run(240);
    expect(plant.count('mine')).toBe(0);
  });

  test('a contracted reduction keeps the ramp, of a feeder too; an emergency does not wait for it', () => {
    const fall = (kind: 'contracted' | 'emergency', ramped: string): number => {
      const nodes = smallSite.nodes.map((node) =>
        node.id === ramped ? { ...node, rampDownKwPerMin: 21 } : node,
      );
      const plant = new Plant({ ...smallSite, nodes }).run(20);
      const beforeW = plant.nodeW('f1');
      plant.utility = { limitKw: 15, deadlineS: 1, sequence: 1, kind };
      plant.run(30);
      return beforeW - plant.nodeW('f1');
    };
    // Half a minute of 21 kW a minute, the burst and one machine.
    for (const ramped of ['site', 'f1']) expect(fall('contracted', ramped)).toBeLessThanOrEqual(15_000);
    expect(fall('emergency', 'f1')).toBeGreaterThan(25_000);
  });

  test('what an agent does not let out yet is said where people ask why', () => {
    const plant = new Plant().run(20);
    const { epoch, issuedGeneration } = plant.state;
    const one = {
      commandId: 'c',
      epoch,
      generation: issuedGeneration[0] ?? 0,
      machine: 'r1-01',
      verb: 'none',
      stage: 'refused' as const,
      ms: 0,
      why: 'RAMP_WAIT' as const,
      detail: 'f1: load may rise by 6 kW a minute',
      atMs: 0,
    };
    let seq = 1_000;
    const say = (result: MachineResult): void =>
      plant.take({
        kind: 'result',
        result: { v: 1, site: 'small', agent: 'a1', boot: 1, seq: seq++, rack: 'r1', results: [result] },
      });
    const waits = (): string | undefined =>
      whyOf(plant.state, 0, { wallMs: 1_000_000 + plant.nowMs, monoMs: plant.nowMs }).inputs.find(
        ({ label }) => label === 'its agent waits',
      )?.value;
    say(one);
    expect(waits()).toBe('RAMP_WAIT: f1: load may rise by 6 kW a minute');
    say({ ...one, stage: 'acknowledged', verb: 'wake' });
    expect(waits()).toBeUndefined();
  });

  test('under a limit with time AI is the last to go', () => {
    const plant = new Plant(withRamp(6)).run(20);
    plant.take({
      kind: 'ai-demand',
      jobs: [{ id: 'j', contract: 'acme', hosts: 2, fromMs: 0, untilMs: 1e12 }],
    });
    plant.run(120);
    expect(plant.count('ai')).toBe(2);
    limit(plant, 20, 1, 200);
    plant.run(100);
    expect(plant.count('ai')).toBe(2);
  });

  test('an agent whose wall clock steps back is still heard', () => {
    const plant = new Plant().run(20);
    plant.agentClockMs = -3_600_000;
    plant.run(60);
    expect(alarms(plant).filter((id) => id.startsWith('RACK_LOST') || id.startsWith('METER_LOST'))).toEqual(
      [],
    );
    expect(plant.state.mode.every((mode) => mode >= 0)).toBe(true);
  });

  test('an agent that comes back with a lower number of start is taken after the old one has been silent', () => {
    const plant = new Plant();
    plant.boot = 9;
    plant.run(20);
    plant.agentSpeaks = false;
    plant.run(10);
    expect(plant.state.agents.get('a1')?.phase).toBe('lost');
    plant.boot = 3;
    plant.agentSpeaks = true;
    plant.run(5);
    expect(plant.state.agents.get('a1')?.phase).toBe('live');
  });

  test('a job leaves a host that does not obey', () => {
    const plant = new Plant().run(20);
    plant.stubborn.add('g1-01');
    plant.take({
      kind: 'ai-demand',
      jobs: [{ id: 'j', contract: 'acme', hosts: 1, fromMs: 0, untilMs: 1e12 }],
    });
    plant.run(120);
    expect(plant.count('ai')).toBe(1);
  });
});

describe('nothing is said that is not so', () => {
  test('the utility hears no figure from a dead meter', () => {
    const plant = new Plant().run(20);
    plant.acks.length = 0;
    plant.metersRead = false;
    plant.run(20);
    limit(plant, 60, 1);
    plant.run(5);
    expect(plant.acks.at(-1)?.utility).toBeUndefined();
  });

  test('what a meter said long ago is not its word of now, however often it is said again', () => {
    const plant = new Plant().run(20);
    plant.metersStoodMs = 1_000_000 + plant.nowMs;
    plant.run(4);
    expect(alarms(plant)).toEqual([]);
    plant.run(6);
    expect(alarms(plant).some((id) => id.startsWith('METER_LOST'))).toBe(true);
    plant.metersStoodMs = undefined;
    plant.run(3);
    expect(alarms(plant)).toEqual([]);
  });

  test('without a meter nothing is called verified', () => {
    const plant = new Plant({ ...smallSite, meters: [] }).run(30);
    for (const id of r1) plant.liars.add(id);
    plant.priceUsdPerMwh = 80;
    plant.run(120);
    expect(plant.events.some((event) => event.event === 'verified')).toBe(false);
    expect(plant.state.commands.every((command) => command.state !== 'verified')).toBe(true);
  });

  test('a start that a limit takes back before it was seen is superseded and never called verified', () => {
    const plant = new Plant(smallSite, { rampS: 15 }).run(20);
    plant.priceUsdPerMwh = 80;
    plant.run(60);
    plant.priceUsdPerMwh = 30;
    plant.run(20);
    const raises = plant.state.commands.filter((command) => command.expectedW > 0);
    expect(raises.length).toBeGreaterThan(0);
    for (const { state } of raises) expect(['sent', 'verifying']).toContain(state);
    const ids = new Set(raises.map((command) => command.id));
    limit(plant, 30, 1);
    plant.run(180);
    expect(plant.count('mine', 'r1')).toBe(0);
    expect(raises.map((command) => command.state)).toEqual(raises.map(() => 'superseded'));
    expect(plant.events.filter((event) => event.event === 'verified' && ids.has(event.commandId))).toEqual(
      [],
    );
    expect(
      plant.records.filter((record) => record.t === 'verified' && ids.has(record.commandId) && record.ok),
    ).toEqual([]);
  });

  test('a job that begins by its time is a signal then', () => {
    const plant = new Plant().run(20);
    const fromMs = 1_000_000 + plant.nowMs + 20_000;
    plant.take({
      kind: 'ai-demand',
      jobs: [{ id: 'j', contract: 'acme', hosts: 1, fromMs, untilMs: fromMs + 60_000 }],
    });
    plant.run(150);
    const kinds = plant.events.flatMap((event) =>
      event.event === 'signal' && event.signalId === 'ai-j' ? [event.kind] : [],
    );
    expect(kinds).toEqual(['ai', 'ai-end']);
    expect(plant.events.some((event) => event.event === 'signal' && event.kind === 'limit-end')).toBe(false);
  });

  test('sun behind a feeder may feed the main meter backwards', () => {
    const plant = new Plant({
      ...smallSite,
      meters: [
        ...(smallSite.meters ?? []),
        { id: 'sun', node: 'f2', role: 'generation', target: 'modbus://127.0.0.1:1502/9?profile=x' },
      ],
    }).run(20);
    plant.extraW.set('f2', -90_000);
    plant.run(10);
    expect(alarms(plant).filter((id) => id.startsWith('METER_IMPLAUSIBLE'))).toEqual([]);
  });
});

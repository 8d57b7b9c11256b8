import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import model from '../../../../config/models/gpu-8x-h100.json' with { type: 'json' };
import { gpuModelSchema } from '../../../../config/schema/model.ts';
import { acknowledgeFault, handoverProfile, unknownState } from '../../../../agent/core/handover-state.ts';
import type {
  GpuObservation,
  GpuOwner,
  GpuWanted,
  HandoverProfile,
  HandoverResult,
  HandoverState,
} from '../../../../agent/core/handover-state.ts';
import { advance } from '../../../../agent/core/handover.ts';

const profile = handoverProfile(gpuModelSchema.parse(model), { drainMs: 20_000 });

function seen(atMs: number, change: Partial<GpuObservation> = {}): GpuObservation {
  return {
    atMs,
    units: { mine: 'inactive', ai: 'inactive' },
    processes: { mine: 0, ai: 0, other: 0 },
    memoryUsedMib: 0,
    powerW: 560,
    limitW: 5_600,
    aiHealthy: undefined,
    ...change,
  };
}
const mining = (atMs: number, change: Partial<GpuObservation> = {}): GpuObservation =>
  seen(atMs, {
    units: { mine: 'active', ai: 'inactive' },
    processes: { mine: 8, ai: 0, other: 0 },
    memoryUsedMib: 9_400,
    powerW: 3_400,
    ...change,
  });
const serving = (atMs: number, change: Partial<GpuObservation> = {}): GpuObservation =>
  seen(atMs, {
    units: { mine: 'inactive', ai: 'active' },
    processes: { mine: 0, ai: 8, other: 0 },
    memoryUsedMib: 71_800,
    powerW: 5_200,
    ...change,
  });

/** Drives a state through observations two seconds apart; collects steps and alarms. */
class Run {
  state: HandoverState = unknownState(0);
  nowMs = 0;
  readonly log: string[] = [];
  last: HandoverResult | undefined;
  readonly profile: HandoverProfile;

  constructor(changes: Partial<HandoverProfile> = {}) {
    this.profile = { ...profile, ...changes };
  }

  feed(
    make: (atMs: number) => GpuObservation | undefined,
    wanted: GpuWanted,
    rounds = 1,
    everyMs = 2_000,
  ): this {
    for (let round = 0; round < rounds; round += 1) {
      this.nowMs += everyMs;
      this.last = advance(this.state, make(this.nowMs - 100), wanted, this.nowMs, this.profile);
      this.state = this.last.state;
      for (const step of this.last.steps)
        if (step.kind !== 'read-back')
          this.log.push('unit' in step ? `${step.kind} ${step.unit}` : step.kind);
      if (this.last.alarm !== undefined) this.log.push(`! ${this.last.alarm.code}`);
    }
    return this;
  }

  idle(): this {
    return this.feed((at) => seen(at), 'idle', 7);
  }
  mining(): this {
    return this.idle()
      .feed((at) => seen(at), 'mine')
      .feed((at) => mining(at), 'mine', 2);
  }
  serving(): this {
    return this.idle()
      .feed((at) => seen(at), 'ai')
      .feed((at) => serving(at), 'ai', 2);
  }
}

describe('the way from mining to AI and back', () => {
  it('starts nothing before release has been seen for the whole settling time', () => {
    const run = new Run().feed((at) => seen(at), 'ai', 5);
    expect([run.state.name, run.log]).toEqual(['UNKNOWN', []]);
    run.feed((at) => seen(at), 'ai', 2);
    expect(run.state.name).toBe('STARTING_AI');
    expect(run.log).toEqual(['start ai', 'open-admission']);
  });

  it('hands over: stop, release, start, proof', () => {
    const run = new Run().mining();
    expect(run.state.name).toBe('MINING');
    run.feed((at) => mining(at), 'ai');
    expect(run.state.name).toBe('STOPPING_MINING');
    run.feed((at) => seen(at, { memoryUsedMib: 9_400 }), 'ai', 2).feed((at) => seen(at), 'ai', 5);
    expect(run.state.name).toBe('STOPPING_MINING');
    run.feed((at) => seen(at), 'ai');
    expect(run.state.name).toBe('STARTING_AI');
    run.feed((at) => serving(at, { aiHealthy: false }), 'ai');
    expect(run.state.name).toBe('STARTING_AI');
    run.feed((at) => serving(at, { aiHealthy: true }), 'ai');
    expect(run.state.name).toBe('AI_RUNNING');
    expect(run.log).toEqual(['start mine', 'stop mine', 'start ai', 'open-admission']);
  });

  it('drains AI before it stops it, and takes the drain back when AI is wanted again', () => {
    const run = new Run().serving();
    run.log.length = 0;
    run.feed((at) => serving(at), 'mine', 2);
    expect(run.state.name).toBe('AI_DRAINING');
    run.feed((at) => serving(at), 'ai');
    expect([run.state.name, run.log]).toEqual(['AI_RUNNING', ['close-admission', 'open-admission']]);
    run.feed((at) => serving(at), 'mine', 2).feed((at) => serving(at, { aiInFlight: 0 }), 'mine');
    expect(run.state.name).toBe('AI_STOPPING');
    run.feed((at) => seen(at), 'mine', 7);
    expect(run.state.name).toBe('STARTING_MINING');
  });

  it('stops AI when the time to drain is over, even blind', () => {
    const run = new Run().serving().feed(() => undefined, 'idle', 12);
    expect(run.state.name).toBe('AI_STOPPING');
    expect(run.log.at(-1)).toBe('stop ai');
  });

  it('accepts mining under a cap as mining', () => {
    const run = new Run()
      .idle()
      .feed((at) => seen(at), 'mine')
      .feed((at) => mining(at, { powerW: 1_550, limitW: 1_600 }), 'mine');
    expect(run.state.name).toBe('MINING');
  });
});

describe('what is unknown is not idle', () => {
  const holes: readonly [string, Partial<GpuObservation>][] = [
    ['unit of the miner', { units: { mine: 'unknown', ai: 'inactive' } }],
    ['unit of the AI service', { units: { mine: 'inactive', ai: 'unknown' } }],
    ['processes', { processes: undefined }],
    ['memory', { memoryUsedMib: undefined }],
    ['power', { powerW: undefined }],
    ['power, not a number', { powerW: Number.NaN }],
    ['processes, negative', { processes: { mine: -1, ai: 0, other: 0 } }],
  ];
  it.each(holes)('%s unknown: no release, no start', (_name, hole) => {
    const run = new Run().feed((at) => seen(at, hole), 'ai', 50);
    expect([run.state.name, run.log]).toEqual(['UNKNOWN', []]);
  });

  it('one unknown observation begins the settling time anew', () => {
    const run = new Run()
      .feed((at) => seen(at), 'ai', 5)
      .feed(() => undefined, 'ai')
      .feed((at) => seen(at), 'ai', 5);
    expect(run.log).toEqual([]);
    run.feed((at) => seen(at), 'ai', 2);
    expect(run.log).toContain('start ai');
  });

  it('observations far apart, repeated, old or from the future prove nothing', () => {
    expect(new Run().feed((at) => seen(at), 'ai', 5, 40_000).log).toEqual([]);
    expect(new Run().feed(() => seen(1_900), 'ai', 20).log).toEqual([]);
    expect(new Run().feed((at) => seen(at - 20_000), 'ai', 20).log).toEqual([]);
    expect(new Run().feed((at) => seen(at + 5_000), 'ai', 20).log).toEqual([]);
  });

  it('a link lost for 30 s makes every settled state unknown', () => {
    for (const run of [new Run().idle(), new Run().mining()]) {
      const wanted = run.state.name === 'MINING' ? 'mine' : 'idle';
      run.feed(() => undefined, wanted, 17);
      expect(run.state.name).toBe('UNKNOWN');
      expect(run.log.at(-1)).toBe('! GPU_TELEMETRY_LOST');
    }
  });

  it('a broken power sensor does not shake a running owner', () => {
    const run = new Run().mining().feed((at) => mining(at, { powerW: undefined }), 'mine', 60);
    expect(run.state.name).toBe('MINING');
  });
});

describe('what goes wrong', () => {
  it.each([
    ['memory held by nobody', (at: number) => seen(at, { memoryUsedMib: 9_400 }), 'in use'],
    [
      'a process that lingers',
      (at: number) => seen(at, { processes: { mine: 1, ai: 0, other: 0 } }),
      '1 processes',
    ],
    ['power that does not fall', (at: number) => seen(at, { powerW: 2_000 }), 'draw 2000 W'],
    ['a unit that stays active', (at: number) => mining(at), "miner's unit"],
  ])('%s: FAULT, no start, ever', (_name, stuck, words) => {
    const run = new Run().mining();
    run.log.length = 0;
    run.feed(stuck, 'ai', 40).feed((at) => seen(at), 'ai', 100);
    expect(run.state.name).toBe('FAULT');
    expect(run.log.filter((line) => line.startsWith('start'))).toEqual([]);
    expect(run.log.at(-1)).toBe('! GPU_NOT_RELEASED');
    expect(run.state.why).toContain(words);
    run.state = acknowledgeFault(run.state, run.nowMs);
    run.feed((at) => seen(at), 'ai', 8);
    expect(run.log).toContain('start ai');
  });

  it('says a stop again while the unit stays up, and can still shed out of a fault', () => {
    const run = new Run().mining();
    run.log.length = 0;
    run.feed((at) => mining(at), 'idle', 60);
    expect(run.log.filter((line) => line === 'stop mine').length).toBeGreaterThan(3);
    expect(run.state.name).toBe('FAULT');
  });

  it('a release that shows late, and has not lasted when its time is over, is waited for', () => {
    const leaving = (at: number): GpuObservation =>
      mining(at, { units: { mine: 'inactive', ai: 'inactive' } });
    const run = new Run().mining().feed(leaving, 'ai', 28);
    expect(run.state.name).toBe('STOPPING_MINING');
    run.feed((at) => seen(at), 'ai', 4);
    expect(run.state.name).toBe('STOPPING_MINING');
    expect(run.feed((at) => seen(at), 'ai', 3).state.name).toBe('STARTING_AI');
    const again = new Run()
      .mining()
      .feed(leaving, 'ai', 28)
      .feed((at) => seen(at), 'ai', 4);
    expect(again.feed(leaving, 'ai').state.name).toBe('FAULT');
  });

  it('a release that cannot be seen is unknown, not released', () => {
    const run = new Run().mining().feed(() => undefined, 'ai', 40);
    expect(run.state.name).toBe('UNKNOWN');
    expect(run.log.filter((line) => line === 'start ai')).toEqual([]);
  });

  it('keeps its hands off a tenant, and stops only its own miner', () => {
    const tenant = (at: number): GpuObservation => seen(at, { processes: { mine: 0, ai: 0, other: 1 } });
    const run = new Run().idle().feed(tenant, 'ai', 20);
    expect([run.state.name, run.log]).toEqual(['EXTERNAL', []]);
    run.feed((at) => seen(at), 'ai', 4);
    expect(run.state.name).toBe('UNKNOWN');
    const second = new Run()
      .mining()
      .feed((at) => mining(at, { processes: { mine: 8, ai: 0, other: 1 } }), 'mine', 2);
    expect([second.state.name, second.log.slice(-2)]).toEqual(['EXTERNAL', ['stop mine', '! SELF_WOKEN']]);
    const third = new Run()
      .serving()
      .feed((at) => serving(at, { processes: { mine: 0, ai: 8, other: 1 } }), 'ai', 2);
    expect([third.state.name, third.log.at(-1)]).toEqual(['EXTERNAL', '! SELF_WOKEN']);
  });

  it('two owners at once: the younger or the cheaper gives way, and a person is called', () => {
    const both = (at: number): GpuObservation =>
      serving(at, { units: { mine: 'active', ai: 'active' }, processes: { mine: 8, ai: 8, other: 0 } });
    const run = new Run().serving().feed(both, 'ai');
    expect([run.state.name, run.log.slice(-2)]).toEqual(['FAULT', ['stop mine', '! GPU_NOT_RELEASED']]);
    expect(new Run().feed(both, 'ai', 3).state.name).toBe('FAULT');
  });

  it('a start that cannot be proven is taken back and waits longer each time', () => {
    const run = new Run({ startMineMs: 10_000 }).idle().feed((at) => seen(at), 'mine', 20);
    expect(run.log).toEqual(['start mine', 'stop mine', '! VERB_NOT_OBSERVED']);
    run.feed((at) => seen(at), 'mine', 200);
    expect(run.state.name).toBe('IDLE');
    run.feed((at) => seen(at), 'mine', 120);
    expect(run.state.failures.mine).toBe(2);
  });

  it('what starts or ends by itself is named, not fought', () => {
    const woken = new Run().idle().feed((at) => mining(at), 'idle');
    expect([woken.state.name, woken.log]).toEqual(['UNKNOWN', ['! SELF_WOKEN']]);
    const ended = new Run().mining().feed((at) => seen(at), 'mine');
    expect([ended.state.name, ended.log.at(-1)]).toEqual(['UNKNOWN', '! SELF_WOKEN']);
  });
});

const unit = fc.constantFrom<GpuObservation['units']['mine'][]>(
  'active',
  'inactive',
  'inactive',
  'inactive',
  'changing',
  'unknown',
);
const count = fc.constantFrom(0, 0, 0, 0, 8);
const observation = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Partial<GpuObservation> | undefined>({}) },
  { weight: 1, arbitrary: fc.constant<Partial<GpuObservation> | undefined>(undefined) },
  {
    weight: 2,
    arbitrary: fc.record({
      units: fc.record({ mine: unit, ai: unit }),
      processes: fc.option(
        fc.record({ mine: count, ai: count, other: fc.constantFrom(0, 0, 0, 0, 0, 0, 1) }),
        { nil: undefined, freq: 8 },
      ),
      memoryUsedMib: fc.constantFrom(0, 0, 9_400, undefined),
      powerW: fc.constantFrom(560, 560, 3_400, undefined),
    }) as fc.Arbitrary<Partial<GpuObservation> | undefined>,
  },
);
const round = fc.record({
  change: observation,
  repeat: fc.integer({ min: 1, max: 9 }),
  wanted: fc.constantFrom<GpuWanted[]>('ai', 'mine', 'idle'),
  everyMs: fc.constantFrom(500, 1_000, 2_000, 2_000, 5_000, 31_000),
});

function shows(seenNow: GpuObservation | undefined): boolean {
  return (
    seenNow !== undefined &&
    seenNow.units.mine === 'inactive' &&
    seenNow.units.ai === 'inactive' &&
    seenNow.processes !== undefined &&
    seenNow.processes.mine + seenNow.processes.ai + seenNow.processes.other === 0 &&
    (seenNow.memoryUsedMib ?? Infinity) <= 256 &&
    (seenNow.powerW ?? Infinity) <= 560 * 1.2
  );
}

describe('for any sequence of observations', () => {
  it('no start without ten unbroken seconds of every sign of release, and never two owners started', () => {
    fc.assert(
      fc.property(fc.array(round, { maxLength: 60 }), (rounds) => {
        let state = unknownState(0);
        let nowMs = 0;
        let quietFromMs: number | undefined;
        let lastMs = -Infinity;
        let told: GpuOwner | undefined;
        for (const { change, repeat, wanted, everyMs } of rounds) {
          for (let at = 0; at < repeat; at += 1) {
            nowMs += everyMs;
            const now = change === undefined ? undefined : seen(nowMs - 50, change);
            const result = advance(state, now, wanted, nowMs, profile);
            state = result.state;
            if (!shows(now)) quietFromMs = undefined;
            else if (quietFromMs === undefined || nowMs - 50 - lastMs > 30_000) quietFromMs = nowMs - 50;
            if (now !== undefined) lastMs = now.atMs;
            const starts = result.steps.filter((step) => step.kind === 'start');
            expect(starts.length).toBeLessThanOrEqual(1);
            for (const step of result.steps) {
              if (step.kind === 'start') {
                expect(quietFromMs).toBeDefined();
                expect(nowMs - 50 - (quietFromMs ?? nowMs)).toBeGreaterThanOrEqual(10_000);
                expect(step.unit).toBe(wanted);
                expect(told === undefined || told === step.unit).toBe(true);
                told = step.unit;
                // The start is activity of its own: proof begins anew.
                quietFromMs = undefined;
              }
              if (step.kind === 'stop' && step.unit === told) told = undefined;
            }
            if (state.name === 'IDLE' || state.name === 'UNKNOWN' || state.name === 'EXTERNAL')
              told = undefined;
            if (['UNKNOWN', 'FAULT', 'EXTERNAL'].includes(state.name)) expect(starts).toEqual([]);
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it('a state fed twice with the same observation takes no second step', () => {
    fc.assert(
      fc.property(fc.array(round, { maxLength: 30 }), (rounds) => {
        let state = unknownState(0);
        let nowMs = 0;
        for (const { change, wanted, everyMs } of rounds) {
          nowMs += everyMs;
          const now = change === undefined ? undefined : seen(nowMs - 50, change);
          state = advance(state, now, wanted, nowMs, profile).state;
          const again = advance(state, now, wanted, nowMs, profile);
          expect(again.steps.filter((step) => step.kind === 'start')).toEqual([]);
          state = again.state;
        }
      }),
      { numRuns: 200 },
    );
  });
});

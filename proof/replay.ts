import { Fault } from '../protocols/faults.ts';
import type { Planned } from './faults.ts';
import { runSeed } from './harness.ts';
import type { RunResult } from './harness.ts';
import type { Violation } from './invariants.ts';
import type { TimelineHead, TimelineLine } from './recorder.ts';

/** A timeline file, read. */
export interface Timeline {
  readonly head: TimelineHead;
  readonly planned: readonly Planned[];
  /** What was found when it was written. */
  readonly found: Violation | undefined;
}

/** JSON lines as `sim` writes them. Fault USAGE for anything else. */
export function parseTimeline(text: string): Timeline {
  const lines = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, place): TimelineLine => {
      try {
        return JSON.parse(line) as TimelineLine;
      } catch {
        throw new Fault('USAGE', `line ${place + 1} is no JSON: this is no timeline file`);
      }
    });
  const head = lines[0];
  if (head?.t !== 'run' || head.v !== 1)
    throw new Fault('USAGE', 'the file does not begin with the line of a run: this is no timeline file');
  return {
    head,
    planned: lines.flatMap((line) =>
      line.t === 'planned' ? [{ atMs: line.atMs, happening: line.happening, fault: line.fault }] : [],
    ),
    found: lines.find((line) => line.t === 'violation'),
  };
}

/**
 * Runs a timeline again up to the first thing that is violated. What happens comes from the file and not from the
 * seed, so that it stays the same when the seed has come to mean something else.
 */
export function replay(timeline: Timeline, onLine: (line: TimelineLine) => void): Promise<RunResult> {
  const { seed, hours, machines, shape, unsettled } = timeline.head;
  return runSeed({
    seed,
    hours,
    machines,
    ...(shape && { shape }),
    ...(unsettled && { unsettled }),
    timeline: timeline.planned,
    stopAtViolation: true,
    onLine,
  });
}

/** One line for a reader: seconds, what kind, what. */
export function lineText(line: TimelineLine): string {
  if (line.t === 'run') return `seed ${line.seed}, ${line.hours} h, ${line.machines} machines`;
  const at = `${(line.atMs / 1_000).toFixed(3).padStart(10)} s`;
  switch (line.t) {
    case 'planned':
    case 'happens': {
      const { kind, ...more } = line.happening;
      return `${at}  HAPPENS    ${kind} ${JSON.stringify(more)}`;
    }
    case 'truth':
      return `${at}  truth      ${line.nodeKw.map((kw) => kw.toFixed(1)).join(' ')} kW`;
    case 'violation':
      return `${at}  VIOLATED   ${line.invariant}: ${line.text}`;
    case 'event': {
      const { event, ...more } = line.event;
      return `${at}  ${event.padEnd(10)} ${JSON.stringify(more)}`;
    }
  }
}

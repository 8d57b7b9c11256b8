import type { PublicEvent } from '../protocols/events.ts';
import type { Planned } from './faults.ts';
import type { Violation } from './invariants.ts';
import type { SiteShape } from './site.ts';

/** What a timeline file begins with: all that is needed to run it again. */
export interface TimelineHead {
  readonly t: 'run';
  readonly v: 1;
  readonly seed: number;
  readonly hours: number;
  readonly machines: number;
  readonly shape?: SiteShape;
  readonly unsettled?: boolean;
  /** The commit that was run, where it is known. */
  readonly commit?: string;
}

/** One line of a timeline file. Times are ms from the start of the run. */
export type TimelineLine =
  | TimelineHead
  /** What was going to happen, faults and market, all of it: the run is repeated from these. */
  | ({ readonly t: 'planned' } & Planned)
  | { readonly t: 'happens'; readonly atMs: number; readonly happening: Planned['happening'] }
  | { readonly t: 'event'; readonly atMs: number; readonly event: PublicEvent }
  /** True load in and true power per node, kW, in the order of the site's nodes. */
  | { readonly t: 'truth'; readonly atMs: number; readonly nodeKw: readonly number[] }
  | ({ readonly t: 'violation' } & Violation);

/** What is kept before a violation, and how many lines at most. */
const KEEP_MS = 5 * 60_000;
const MOST_LINES = 20_000;

/** Keeps the last minutes of a run, so that a violation can be looked at with what led to it. */
export class Recorder {
  #lines: Extract<TimelineLine, { readonly atMs: number }>[] = [];
  /** Lines in front of this one are older than what is kept. */
  #from = 0;

  add(line: Extract<TimelineLine, { readonly atMs: number }>): void {
    this.#lines.push(line);
    for (
      let first = this.#lines[this.#from];
      first !== undefined &&
      (line.atMs - first.atMs > KEEP_MS || this.#lines.length - this.#from > MOST_LINES);
      first = this.#lines[this.#from]
    )
      this.#from += 1;
    if (this.#from < MOST_LINES) return;
    this.#lines = this.#lines.slice(this.#from);
    this.#from = 0;
  }

  /** The whole timeline as it is written to a file. */
  timeline(
    head: TimelineHead,
    planned: readonly Planned[],
    violations: readonly Violation[],
  ): TimelineLine[] {
    return [
      head,
      ...planned.map((one): TimelineLine => ({ t: 'planned', ...one })),
      ...this.#lines.slice(this.#from),
      ...violations.map((one): TimelineLine => ({ t: 'violation', ...one })),
    ];
  }
}

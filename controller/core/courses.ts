import type { LedgerRecord } from './events.ts';

/** A notice as it stands in the ledger. */
export type NoticeRecord = Extract<LedgerRecord, { t: 'notice' }>;

/** One direction of the site's load, up or down: what was announced of it and is still to come, and what went without. */
export interface Course {
  /** The last notice. */
  notice: NoticeRecord | undefined;
  leftW: number;
  unannounced: { readonly atMonoMs: number; readonly watts: number }[];
}

const makeCourse = (): Course => ({ notice: undefined, leftW: 0, unannounced: [] });

/** Both directions, and how many notices this controller gave. */
export interface Courses {
  readonly down: Course;
  readonly up: Course;
  count: number;
}

export const makeCourses = (): Courses => ({ down: makeCourse(), up: makeCourse(), count: 0 });

/** What a verb of a firmware truly does, as data beside its driver: controller, planner and people go by it. */

/** The steps in which a power limit can be set. */
export type PowerGrain =
  | { readonly by: 'watts'; readonly stepW: number; readonly leastW?: number; readonly mostW?: number }
  /** A list of the machine's own; what is asked for becomes the highest entry within it. */
  | { readonly by: 'list' }
  | { readonly by: 'percent'; readonly least: number; readonly most: number };

export interface VerbFacts {
  /** Hashing stops with it and begins anew. */
  readonly restartsMining: boolean;
  /** Its OK says that it was taken in; the deed comes later. */
  readonly isAsynchronous: boolean;
  /** What it set is still so after a reboot; undefined: nobody has told. */
  readonly survivesReboot: boolean | undefined;
  /** It may begin a run of the tuner. */
  readonly startsTuning: boolean;
  /**
   * From its OK until its effect is there, s: as a rule, and at most, after which it counts as ignored. A model's file,
   * and what was learned, go before it. Absent: no reading shows it.
   */
  readonly effectS?: { readonly typical: number; readonly atMost: number };
  /** What it set is read back by then at most, s: long before its effect; absent: with it. */
  readonly readBackS?: number;
  /** Between two of these with different arguments at least, s, where money alone asks for the second. */
  readonly dwellS: number;
  /** Of a power limit. */
  readonly grain?: PowerGrain;
  /** Where this is from, and what of it is an estimate. */
  readonly source: string;
}

/** As it travels: where it is from is for who reads the driver, and what nobody has told is absent. */
export type ToldFacts = Omit<VerbFacts, 'source' | 'survivesReboot'> & {
  readonly survivesReboot?: boolean | undefined;
};

/** What is so of a verb of which nothing else is known. */
export const PLAIN_VERB = {
  restartsMining: false,
  isAsynchronous: false,
  survivesReboot: undefined,
  startsTuning: false,
  dwellS: 0,
} as const satisfies Omit<VerbFacts, 'source'>;

/** One verb as a line of a table for people. */
export const verbText = (verb: string, facts: ToldFacts): string =>
  `${verb.padEnd(12)} ${verbWords(facts).join('; ')}`;

/** What a verb truly does, in words. */
export function verbWords(facts: ToldFacts): string[] {
  const { effectS, grain, dwellS, survivesReboot } = facts;
  return [
    effectS === undefined
      ? 'no reading shows it'
      : `shows after ${effectS.typical} s, at most ${effectS.atMost} s`,
    ...(facts.isAsynchronous ? ['its OK comes before the deed'] : []),
    ...(facts.restartsMining ? ['restarts mining'] : []),
    ...(facts.startsTuning ? ['may start tuning'] : []),
    ...(survivesReboot === undefined ? [] : [survivesReboot ? 'outlives a reboot' : 'a reboot ends it']),
    ...(dwellS > 0 ? [`for money again after ${dwellS} s`] : []),
    ...(grain === undefined ? [] : [grainText(grain)]),
  ];
}

function grainText(grain: PowerGrain): string {
  if (grain.by === 'list') return 'to an entry of its own list';
  if (grain.by === 'percent') return `${grain.least} to ${grain.most} %`;
  const { stepW, leastW, mostW } = grain;
  const range = leastW === undefined && mostW === undefined ? '' : `, ${leastW ?? '?'} to ${mostW ?? '?'} W`;
  return `in steps of ${stepW} W${range}`;
}

/** What goes wrong in the conformance suite of miners, and what comes of it in most families. */
/** What goes wrong with every answer, reading or commanding. */
export const CELLS = [
  'slow answer',
  'no answer',
  'reset',
  'broken off in its middle',
  'trickled bytes',
  'oversized body',
  'wrong JSON',
  'a web page',
  'nothing in it',
  'words for numbers',
  'lists for numbers',
  'nulls for numbers',
  'numbers for words',
  'wrong units',
  'busy',
] as const;
export type Cell = (typeof CELLS)[number];

/** What a reading and, where there are commands, a `sleep` come to: `hashrate, mode | code`, or the code of the Fault. */
export type Outcomes = Readonly<Record<Cell, string>>;

/** Where nothing can be understood, reading and commanding fail alike. */
export const ALIKE = {
  'slow answer': 'NET_TIMEOUT | NET_TIMEOUT',
  'no answer': 'NET_TIMEOUT | NET_TIMEOUT',
  reset: 'NET_RESET | NET_RESET',
  'oversized body': 'NET_OVERSIZE | NET_OVERSIZE',
  'wrong JSON': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
  'a web page': 'ANSWER_GARBAGE | ANSWER_GARBAGE',
  'wrong units': 'VALUE_IMPLAUSIBLE, mode VALUE_IMPLAUSIBLE | resolved',
} as const satisfies Partial<Outcomes>;

export const READING_ALONE = Object.fromEntries(
  Object.entries(ALIKE).map(([cell, outcome]) => [cell, outcome.split(' | ')[0]]),
) as typeof ALIKE;

export const times1000 = (text: string, key: RegExp): string =>
  text.replace(key, (_, before: string, number: string) => `${before}${Number(number) * 1_000}`);

/** Which alarms a quarantine list becomes: one for each machine, or one for all of a kind when they are many. Pure. */

/** So many of one kind that ignore one verb are one trouble. */
const MANY = 5;
/** Of them, so many are named. */
const MOST_NAMED = 5;
const MOST_SUBJECT = 128;
/** Where the words of one machine end that are those of its kind: make, model, firmware, verb. */
const END_OF_KIND = ': ';

export interface QuarantineAlarm {
  readonly subject: string;
  readonly text: string;
}

/** What is said of one machine on the list. */
export const quarantineWords = (who: string, version: string, verb: string): string =>
  `${who}, ${version}, ignores ${verb}${END_OF_KIND}it counts as not controllable`.slice(0, 300);

const kindOf = (words: string): string => {
  const end = words.lastIndexOf(END_OF_KIND);
  return (end < 0 ? words : words.slice(0, end)).slice(0, MOST_SUBJECT);
};

/**
 * The alarms for a list, by machine why it is on it. A kind that was told as one, by its subject in `told`, stays one
 * until none of it is left: it would come and go with every machine.
 */
export function quarantineAlarms(
  list: ReadonlyMap<string, string>,
  told: ReadonlySet<string>,
): readonly QuarantineAlarm[] {
  const kinds = new Map<string, string[]>();
  for (const [id, words] of list) {
    const kind = kindOf(words);
    const ids = kinds.get(kind);
    if (ids === undefined) kinds.set(kind, [id]);
    else ids.push(id);
  }
  return [...kinds].flatMap(([kind, ids]): readonly QuarantineAlarm[] =>
    ids.length >= MANY || told.has(kind)
      ? [{ subject: kind, text: manyText(ids) }]
      : ids.map((id) => ({ subject: id, text: list.get(id) ?? '' })),
  );
}

function manyText(list: readonly string[]): string {
  const ids = list.toSorted();
  const named = ids.slice(0, MOST_NAMED).join(', ');
  const more = ids.length - MOST_NAMED;
  const names = `${named}${more > 0 ? ` and ${more} more` : ''}`.slice(0, 300);
  return ids.length === 1
    ? `1 machine counts as not controllable: ${names}`
    : `${ids.length} machines count as not controllable: ${names}`;
}

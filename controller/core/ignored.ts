/** Who takes commands and does not follow them, for people: one by one, or by racks when they are many. */
import { clearAlarm, raiseAlarm, setAlarm, subjectsOf } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import { indexesOf } from './indexes.ts';
import type { SiteState } from './state.ts';

/** So many of one rack are told by themselves; those after them together. */
const TOLD_ALONE = 4;

/** One more does not follow: its alarm, or that of its rack. */
export function raiseIgnored(
  state: SiteState,
  index: number,
  said: { readonly text: string; readonly commandId: string },
  now: Now,
): Effect[] {
  const { id = '', rack = '' } = state.site.machines[index] ?? {};
  const alone = subjectsOf(state, 'COMMAND_IGNORED');
  const isTold = alone.has(id);
  const members = membersOf(state, rack);
  const told = members.filter((member) => alone.has(state.site.machines[member]?.id ?? '')).length;
  if (isTold || told < TOLD_ALONE)
    return raiseAlarm(state, now, 'COMMAND_IGNORED', id, said.text, said.commandId);
  return raiseAlarm(state, now, 'COMMAND_IGNORED', rack, rackText(state, rack), said.commandId);
}

/** Once a second: an alarm ends when its machine, or the last of its rack, is not known any more to ignore anything. */
export function watchIgnored(state: SiteState, now: Now): Effect[] {
  const { machines } = indexesOf(state);
  return [...subjectsOf(state, 'COMMAND_IGNORED')].flatMap((subject) => {
    const index = machines.get(subject);
    if (index !== undefined)
      return state.disobeys[index] === 1 ? [] : clearAlarm(state, now, 'COMMAND_IGNORED', subject);
    const some = membersOf(state, subject).some((member) => state.disobeys[member] === 1);
    return setAlarm(state, now, some, 'COMMAND_IGNORED', subject, () => rackText(state, subject));
  });
}

const membersOf = (state: SiteState, rack: string): readonly number[] =>
  state.site.racks.find(({ id }) => id === rack)?.machines ?? [];

function rackText(state: SiteState, rack: string): string {
  const members = membersOf(state, rack);
  const count = members.filter((member) => state.disobeys[member] === 1).length;
  return `${count} of ${members.length} machines of ${rack} were told and do not follow. Their load was taken elsewhere`;
}

import * as z from 'zod';

/**
 * A table by id of at most `mostKey` characters, each value as `isValue` has it; checked in one go. For what comes
 * every second with an entry per rack, or is written with one per machine: `z.record` costs ten times as much.
 */
export const recordOf = <T>(
  mostKey: number,
  isValue: (value: unknown) => value is T,
  what: string,
): z.ZodType<Record<string, T>> =>
  z.custom<Record<string, T>>((table) => {
    if (typeof table !== 'object' || table === null || Array.isArray(table)) return false;
    for (const [key, value] of Object.entries(table))
      if (key === '' || key.length > mostKey || key === '__proto__' || !isValue(value)) return false;
    return true;
  }, `no table of ${what}`);

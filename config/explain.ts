import * as z from 'zod';

import { nearestWord } from './nearest.ts';

/** One thing wrong with a value: where, in words, and what was probably meant. `key`: the name itself is wrong. */
export interface Explained {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly suggestion?: string;
  readonly key?: boolean;
}

type Issue = z.core.$ZodIssue;
type Schema = z.core.$ZodType;

/** Puts what a schema has against a value into an operator's words: one entry per problem, none dropped. */
export function explainIssue(issue: Issue, schema: Schema, value: unknown): readonly Explained[] {
  const path = issue.path;
  const found = valueAt(value, path);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = keysAt(schema, path);
      const present = typeof found === 'object' && found !== null ? Object.keys(found) : [];
      const free = known.filter((name) => !present.includes(name));
      return issue.keys.map((name) => ({
        path: [...path, name],
        key: true,
        message: `unknown key '${name}'`,
        ...suggested(nearestKey(name, free) ?? nearestKey(name, known)),
      }));
    }
    case 'invalid_type':
      if (found === undefined)
        return [{ path, message: `'${String(path.at(-1) ?? 'site file')}' is missing` }];
      return [
        {
          path,
          message: `expected ${article(issue.expected)}, not ${describe(found)}`,
          ...suggested(issue.expected === 'number' ? numberIn(found) : undefined),
        },
      ];
    case 'invalid_value':
      return [oneOf(path, found, issue.values.map(String))];
    case 'invalid_union': {
      const values = issue.errors
        .flat()
        .flatMap((part) => (part.code === 'invalid_value' ? part.values.map(String) : []));
      if (values.length > 0) return [oneOf(path, found, values)];
      const meant = issue.errors.filter((parts) => !parts.some(isOfAnotherKind));
      const [only] = meant;
      if (only === undefined || meant.length > 1) return [{ path, message: issue.message }];
      return only.flatMap((part) => explainIssue({ ...part, path: [...path, ...part.path] }, schema, value));
    }
    case 'too_small':
    case 'too_big':
      return [{ path, message: bound(issue) }];
    case 'invalid_format':
      return [
        {
          path,
          message:
            issue.format === 'url' ? `${describe(found)} is no URL of the kind expected here` : issue.message,
        },
      ];
    default:
      return [{ path, message: issue.message }];
  }
}

/** Whether the value is not even of the kind that this part of a union takes: another part was meant. */
const isOfAnotherKind = ({ code, path }: Issue): boolean => code === 'invalid_type' && path.length === 0;

function oneOf(path: readonly PropertyKey[], found: unknown, values: readonly string[]): Explained {
  if (found === undefined)
    return { path, message: `'${String(path.at(-1))}' is missing (${values.join(', ')})` };
  const given = typeof found === 'string' || typeof found === 'number' ? String(found) : '';
  return {
    path,
    message: `expected ${values.length > 1 ? 'one of ' : ''}${values.join(', ')}, not ${describe(found)}`,
    ...suggested(values.length > 1 ? nearestWord(given.toLowerCase(), values) : undefined),
  };
}

function bound(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): string {
  const [limit, less] = issue.code === 'too_small' ? [issue.minimum, true] : [issue.maximum, false];
  const what = issue.origin === 'string' ? ' characters' : issue.origin === 'array' ? ' entries' : '';
  const exclusive = issue.inclusive === false;
  if (less) return `must be ${exclusive ? 'more than' : 'at least'} ${limit}${what}`;
  return `must be ${exclusive ? 'less than' : 'at most'} ${limit}${what}`;
}

function article(expected: string): string {
  const names: Readonly<Record<string, string>> = {
    number: 'a number',
    int: 'a whole number',
    string: 'text',
    array: 'a list',
    object: 'a group of keys',
    record: 'a group of keys',
    boolean: 'true or false',
  };
  return names[expected] ?? expected;
}

function describe(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a group of keys';
  if (typeof value === 'string') return `the text '${value.length > 60 ? `${value.slice(0, 60)}…` : value}'`;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'this';
}

/** The number somebody wrote with a unit or thousands marks: `'1,000 kW'` → `1000`. */
function numberIn(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const match = /^\s*([+-]?[\d,_' ]*\d(?:\.\d+)?)\s*[A-Za-z%/°]*\s*$/.exec(value);
  const digits = match?.[1]?.replaceAll(/[,_' ]/g, '');
  return digits !== undefined && Number.isFinite(Number(digits)) ? digits : undefined;
}

const suggested = (suggestion: string | undefined): { readonly suggestion?: string } =>
  suggestion === undefined ? {} : { suggestion };

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = Reflect.get(at, step);
  }
  return at;
}

/** Names a group of keys may hold at `path`, read from the schema itself. */
function keysAt(schema: Schema, path: readonly PropertyKey[]): readonly string[] {
  let at: Schema | undefined = bare(schema);
  for (const step of path) {
    if (at instanceof z.ZodObject) {
      const shape: Readonly<Record<string, Schema>> = at.shape;
      at = bare(shape[String(step)]);
    } else if (at instanceof z.ZodArray) at = bare(at.element);
    else return [];
    // Keys stand in the one part of a union that has any.
    if (at instanceof z.ZodUnion) at = at.options.find((option: Schema) => option instanceof z.ZodObject);
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function bare(schema: Schema | undefined): Schema | undefined {
  let at = schema;
  while (at instanceof z.ZodOptional || at instanceof z.ZodDefault || at instanceof z.ZodPrefault)
    at = at.unwrap();
  return at;
}

const UNITS =
  /(usdpermwh|usdperphday|usdpergpuhour|kwpermin|mwpermin|kva|kw|mw|gw|pct|percent|ms|sec|seconds|min|hours|w|s|h)$/;
const plain = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
const stem = (name: string): string => plain(name).replace(UNITS, '');

/** The known key that was probably meant: the same but for case and marks, the same with another unit, or a slip of the pen. */
function nearestKey(name: string, known: readonly string[]): string | undefined {
  const same = known.find((key) => plain(key) === plain(name));
  if (same !== undefined) return same;
  const otherUnit = known.find((key) => stem(key).length >= 2 && stem(key) === stem(name));
  return otherUnit ?? nearestWord(name, known);
}

import { LineCounter, parseDocument, visit } from 'yaml';
import type { Document } from 'yaml';

import { Fault } from '../protocols/faults.ts';
import { explainIssue } from './explain.ts';
import type { Explained } from './explain.ts';
import { locate } from './locate.ts';
import { withProfileIn } from './meters.ts';
import { nearestWord } from './nearest.ts';
import type { Model } from './schema/model.ts';
import { siteSchema } from './schema/site.ts';
import { resolveSite, SiteInvalid } from './site.ts';
import type { Site } from './site.ts';
import { findWarnings } from './warnings.ts';

/** Larger than any site that fits one controller. */
const MAX_CHARS = 8 * 1024 * 1024;
/** After this many the rest says nothing new. */
const MAX_PROBLEMS = 200;

/** One thing wrong, or worth a look, in a site file: where (counted from 1), what, and what was probably meant. */
export interface ConfigProblem {
  readonly line: number;
  readonly column: number;
  /** Dotted: `nodes.2.capKw`. */
  readonly path: string;
  readonly message: string;
  readonly suggestion?: string;
}

/** A site file that cannot be used: CONFIG_SYNTAX or CONFIG_INVALID, with every problem in order of line. */
export class SiteFileInvalid extends Fault {
  readonly problems: readonly ConfigProblem[];
  constructor(code: 'CONFIG_SYNTAX' | 'CONFIG_INVALID', problems: readonly ConfigProblem[]) {
    const [first] = problems;
    const more = problems.length > 1 ? `, and ${problems.length - 1} more` : '';
    super(
      code,
      first === undefined ? '' : `line ${first.line}, column ${first.column}: ${first.message}${more}`,
    );
    this.problems = problems;
  }
}

/** A site file as read: the site with every reference resolved, and what is allowed but probably not meant. */
export interface LoadedSite {
  readonly site: Site;
  readonly warnings: readonly ConfigProblem[];
  /** Turns what somebody else finds wrong with an entry into a problem with its place. */
  readonly problemAt: (path: readonly PropertyKey[], message: string) => ConfigProblem;
}

/**
 * Reads a site file. Throws SiteFileInvalid with all its problems at once. `profiles`: the known meter profiles;
 * without them the meters' `profile=` is not checked. `folder`: where the file is, with a slash at its end, and
 * what its own profiles are named from.
 */
export function parseSite(
  text: string,
  models: ReadonlyMap<string, Model>,
  profiles?: Iterable<string>,
  folder = '',
): LoadedSite {
  const { document, lines, value } = readYaml(text);
  const known: Known = { models: new Set(models.keys()), ...(profiles && { profiles: new Set(profiles) }) };
  const place = (problem: Explained): ConfigProblem => ({
    ...locate(document, lines, problem.path, problem.key ? { key: true } : {}),
    path: problem.path.map(String).join('.'),
    message: problem.message,
    ...(problem.suggestion !== undefined && { suggestion: problem.suggestion }),
  });
  const parsed = siteSchema.safeParse(value);
  if (!parsed.success) {
    const issues = parsed.error.issues.flatMap((issue) => explainIssue(issue, siteSchema, value));
    throw invalid([...issues, ...brokenReferences(value, known)].map(place));
  }
  const profileProblems = brokenReferences(value, known).filter(({ path }) => path.at(-1) === 'target');
  let site: Site;
  try {
    const meters = parsed.data.meters.map((meter) => ({
      ...meter,
      target: withProfileIn(folder, meter.target),
    }));
    site = resolveSite({ ...parsed.data, meters }, models);
  } catch (error) {
    if (!(error instanceof SiteInvalid)) throw error;
    const names = new Set(parsed.data.nodes.map(({ id }) => id));
    const found = error.problems.map((problem) => withSuggestion(problem, parsed.data, names));
    // A node that stands there and has no place in the tree is wrong itself: who names it is not.
    const roots = found.filter(({ path, message }) => !isThere(entry(parsed.data, path), message, names));
    const broken = roots.length > 0 ? roots : found;
    throw invalid([...broken, ...profileProblems].map(place));
  }
  if (profileProblems.length > 0) throw invalid(profileProblems.map(place));
  return {
    site,
    warnings: inOrder(findWarnings(site).map(place)),
    problemAt: (path, message) => place({ path, message }),
  };
}

/**
 * Reads the site file at `path` through `read` (undefined: there is no such file). Throws SiteFileInvalid, or
 * CONFIG_INVALID when there is no file to read.
 */
export async function loadSite(
  path: string,
  read: (path: string) => Promise<Uint8Array | undefined>,
  models: ReadonlyMap<string, Model>,
  profiles?: Iterable<string>,
): Promise<LoadedSite> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await read(path);
  } catch (error) {
    throw new Fault('CONFIG_INVALID', `${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (bytes === undefined) throw new Fault('CONFIG_INVALID', `${path}: there is no such file`);
  if (bytes.length > MAX_CHARS) throw new Fault('CONFIG_INVALID', `${path}: more than ${MAX_CHARS} bytes`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Fault('CONFIG_SYNTAX', `${path}: is not UTF-8 text`, { cause: error });
  }
  return parseSite(text, models, profiles, path.slice(0, path.lastIndexOf('/') + 1));
}

function readYaml(text: string): { document: Document; lines: LineCounter; value: unknown } {
  const at = (line: number, column: number, message: string): ConfigProblem => ({
    line,
    column,
    path: '',
    message,
  });
  if (text.length > MAX_CHARS)
    throw new SiteFileInvalid('CONFIG_SYNTAX', [at(1, 1, `more than ${MAX_CHARS} characters`)]);
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'silent',
    uniqueKeys: true,
  });
  const troubles = [...document.errors, ...document.warnings].map(({ pos, message }) => ({
    at: pos[0],
    message,
  }));
  const anchors = new Set<string>();
  visit(document, {
    Value: (_key, node) => {
      if (node.anchor !== undefined) anchors.add(node.anchor);
    },
    Alias: (_key, alias) => {
      if (!anchors.has(alias.source))
        troubles.push({ at: alias.range?.[0] ?? 0, message: `there is no anchor '&${alias.source}' above` });
    },
  });
  if (troubles.length > 0) {
    const problems = troubles.slice(0, MAX_PROBLEMS).map((trouble) => {
      const { line, col } = lines.linePos(trouble.at);
      return at(Math.max(1, line), Math.max(1, col), trouble.message);
    });
    throw new SiteFileInvalid('CONFIG_SYNTAX', inOrder(problems));
  }
  if (document.contents === null)
    throw new SiteFileInvalid('CONFIG_INVALID', [at(1, 1, 'the file holds no site')]);
  try {
    return { document, lines, value: document.toJS({ maxAliasCount: 1_000 }) };
  } catch (error) {
    throw new SiteFileInvalid('CONFIG_SYNTAX', [
      at(1, 1, error instanceof Error ? error.message : String(error)),
    ]);
  }
}

function invalid(problems: readonly ConfigProblem[]): SiteFileInvalid {
  const seen = new Set<string>();
  const once = inOrder(problems).filter((problem) => {
    const key = `${problem.path}|${problem.message}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
  return new SiteFileInvalid('CONFIG_INVALID', once.slice(0, MAX_PROBLEMS));
}

function inOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
}

/** resolveSite says a suggestion in its sentence when it has one; where it has none, nodes are looked up here. */
function withSuggestion(
  problem: { readonly path: readonly (string | number)[]; readonly message: string },
  value: unknown,
  nodes: ReadonlySet<string>,
): Explained {
  const [message = '', meant] = problem.message.split("; did you mean '");
  if (meant !== undefined) return { path: problem.path, message, suggestion: meant.replace(/'\?$/, '') };
  if (!message.startsWith('there is no node')) return { path: problem.path, message };
  const name = entry(value, problem.path);
  const suggestion = typeof name === 'string' ? nearestWord(name, nodes) : undefined;
  return { path: problem.path, message, ...(suggestion !== undefined && { suggestion }) };
}

const isThere = (name: unknown, message: string, nodes: ReadonlySet<string>): boolean =>
  message.startsWith('there is no node') && typeof name === 'string' && nodes.has(name);

interface Known {
  readonly models: ReadonlySet<string>;
  readonly profiles?: ReadonlySet<string>;
}

/**
 * References that lead nowhere, found in a file that may break other rules too, so that one reading names them all.
 */
function brokenReferences(value: unknown, known: Known): Explained[] {
  const nodes = new Set(list(value, 'nodes').flatMap((node) => text(node, 'id') ?? []));
  const problems: Explained[] = [];
  const check = (
    path: readonly PropertyKey[],
    name: string | undefined,
    among: ReadonlySet<string>,
    what: string,
  ): void => {
    if (name === undefined || among.has(name)) return;
    const suggestion = nearestWord(name, among);
    problems.push({
      path,
      message: `there is no ${what} '${name}'`,
      ...(suggestion !== undefined && { suggestion }),
    });
  };
  for (const [index, node] of list(value, 'nodes').entries()) {
    check(['nodes', index, 'parent'], text(node, 'parent'), nodes, 'node');
    for (const [place, feed] of list(node, 'feeds').entries())
      check(['nodes', index, 'feeds', place], typeof feed === 'string' ? feed : undefined, nodes, 'node');
  }
  for (const [index, group] of list(value, 'machines').entries()) {
    check(['machines', index, 'rack'], text(group, 'rack'), nodes, 'node');
    check(['machines', index, 'model'], text(group, 'model'), known.models, 'model');
  }
  for (const [index, meter] of list(value, 'meters').entries()) {
    check(['meters', index, 'node'], text(meter, 'node'), nodes, 'node');
    const profile = /[?&]profile=([^&#]*)/.exec(text(meter, 'target') ?? '')?.[1];
    // A file is looked at by who opens it.
    if (known.profiles && profile?.endsWith('.json') !== true)
      check(['meters', index, 'target'], profile, known.profiles, 'meter profile');
  }
  return problems;
}

function entry(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = Reflect.get(at, step);
  }
  return at;
}

function list(value: unknown, key: string): readonly unknown[] {
  const found = entry(value, [key]);
  return Array.isArray(found) ? found : [];
}

function text(value: unknown, key: string): string | undefined {
  const found = entry(value, [key]);
  return typeof found === 'string' ? found : undefined;
}

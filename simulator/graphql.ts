/**
 * As much of a GraphQL server as a device has: names, arguments, variables, fragments in line. Values may be functions of
 * their arguments; a value that throws is null with an error beside it, a name that is not there refuses the whole.
 */
type Value = string | number | boolean | null | undefined | readonly Value[] | Type | Resolve;
/** `__typename` says what it is; without it, it has no name. */
export interface Type {
  readonly [name: string]: Value;
}
type Resolve = (args: Readonly<Record<string, unknown>>) => Value;

export class GraphqlError extends Error {
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

interface Field {
  readonly name: string;
  readonly alias: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly select: readonly Selection[] | undefined;
}
type Selection = Field | { readonly on: string; readonly select: readonly Selection[] };

interface ErrorText {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: { readonly code: string };
}

/** The answer to a request, as the server would send it. `roots` are made anew for each, since they may change the device. */
export function answerGraphql(
  request: { readonly query: string; readonly variables?: unknown },
  roots: { readonly query: Type; readonly mutation: Type },
): { data: unknown; errors?: readonly ErrorText[] } {
  const errors: ErrorText[] = [];
  try {
    const { kind, select } = parse(request.query, variablesOf(request.variables));
    return { data: walk(roots[kind], select, [], errors), ...(errors.length > 0 && { errors }) };
  } catch (error) {
    if (!(error instanceof GraphqlError)) throw error;
    return { data: null, errors: [{ message: error.message, extensions: { code: error.code } }] };
  }
}

const variablesOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

function walk(
  value: Value,
  select: readonly Selection[] | undefined,
  path: readonly (string | number)[],
  errors: ErrorText[],
): unknown {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value))
    return value.map((item, at) => walk(item as Value, select, [...path, at], errors));
  if (typeof value !== 'object') return value;
  const type = value as Type;
  if (!select) throw new GraphqlError(`Field "${path.at(-1) ?? ''}" must have a selection`, 'VALIDATION');
  const result: Record<string, unknown> = {};
  for (const selection of select)
    if ('on' in selection) {
      if (isOf(type, selection.on)) Object.assign(result, walk(type, selection.select, path, errors));
    } else result[selection.alias] = fieldOf(type, selection, [...path, selection.alias], errors);
  return result;
}

/** Its own name, or the interface that all errors share. */
const isOf = (type: Type, on: string): boolean =>
  nameOf(type) === on || (on === 'Error' && nameOf(type).endsWith('Error'));

function nameOf({ __typename: name }: Type): string {
  return typeof name === 'string' ? name : 'Object';
}

function fieldOf(
  type: Type,
  { name, args, select }: Field,
  path: readonly (string | number)[],
  errors: ErrorText[],
): unknown {
  if (!(name in type))
    throw new GraphqlError(`Unknown field "${name}" on type "${nameOf(type)}"`, 'VALIDATION');
  const held = type[name];
  try {
    return walk(typeof held === 'function' ? held(args) : held, select, path, errors);
  } catch (error) {
    if (!(error instanceof GraphqlError) || error.code === 'VALIDATION') throw error;
    errors.push({ message: error.message, path, extensions: { code: error.code } });
    return null;
  }
}

const TOKEN = /[\s,]+|#[^\n]*|"((?:[^"\\]|\\.)*)"|\.\.\.|[{}()[\]:!=$]|-?\d+(?:\.\d+)?|[A-Za-z_]\w*/gy;

/** One operation and what it selects. */
function parse(
  text: string,
  variables: Readonly<Record<string, unknown>>,
): { kind: 'query' | 'mutation'; select: readonly Selection[] } {
  const tokens: string[] = [];
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < text.length;) {
    const at = TOKEN.lastIndex;
    const [token] = TOKEN.exec(text) ?? [];
    if (token === undefined) throw new GraphqlError(`Syntax error at ${at}`, 'SYNTAX');
    if (!/^[\s,#]/u.test(token)) tokens.push(token);
  }
  const parser = new Parser(tokens, variables);
  const kind = tokens[0] === 'mutation' ? 'mutation' : 'query';
  return { kind, select: parser.operation() };
}

class Parser {
  readonly #tokens: readonly string[];
  readonly #variables: Readonly<Record<string, unknown>>;
  #at = 0;

  constructor(tokens: readonly string[], variables: Readonly<Record<string, unknown>>) {
    this.#tokens = tokens;
    this.#variables = variables;
  }

  operation(): readonly Selection[] {
    // Name and declarations of variables: what they are called is said again where they are used.
    while (this.#peek() !== '{') this.#next();
    return this.#selections(0);
  }

  #selections(depth: number): readonly Selection[] {
    if (depth > 12) throw new GraphqlError('Query is nested too deep', 'SYNTAX');
    this.#expect('{');
    const found: Selection[] = [];
    while (this.#peek() !== '}') {
      if (this.#peek() === '...') {
        this.#next();
        this.#expect('on');
        found.push({ on: this.#next(), select: this.#selections(depth + 1) });
        continue;
      }
      const first = this.#next();
      const aliased = this.#peek() === ':';
      if (aliased) this.#next();
      const name = aliased ? this.#next() : first;
      const args = this.#peek() === '(' ? this.#args() : {};
      const select = this.#peek() === '{' ? this.#selections(depth + 1) : undefined;
      found.push({ name, alias: first, args, select });
    }
    this.#next();
    return found;
  }

  #args(): Readonly<Record<string, unknown>> {
    return this.#pairs('(', ')');
  }

  #pairs(open: string, close: string): Readonly<Record<string, unknown>> {
    this.#expect(open);
    const pairs: Record<string, unknown> = {};
    while (this.#peek() !== close) {
      const name = this.#next();
      this.#expect(':');
      pairs[name] = this.#value();
    }
    this.#next();
    return pairs;
  }

  #value(): unknown {
    const token = this.#peek();
    if (token === '{') return this.#pairs('{', '}');
    this.#next();
    if (token === '$') return this.#variables[this.#next()] ?? null;
    if (token.startsWith('"')) return JSON.parse(token) as string;
    if (/^-?\d/u.test(token)) return Number(token);
    // The rest are names of an enumeration.
    return token === 'true' ? true : token === 'false' ? false : token === 'null' ? null : token;
  }

  #peek(): string {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new GraphqlError('Syntax error: unexpected end', 'SYNTAX');
    return token;
  }

  #next(): string {
    const token = this.#peek();
    this.#at += 1;
    return token;
  }

  #expect(token: string): void {
    if (this.#next() !== token) throw new GraphqlError(`Syntax error: "${token}" expected`, 'SYNTAX');
  }
}

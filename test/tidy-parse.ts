import { parseSync } from 'oxc-parser';

/** A node of the syntax tree (ESTree with TypeScript), read as plain data. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** Where a node stands: the node around it and the property of that node it is in. */
export interface Place {
  readonly parent: Node | undefined;
  readonly key: string;
}

/** A file read by the parser. */
export interface Parsed {
  readonly path: string;
  readonly text: string;
  readonly program: Node;
  readonly comments: readonly { readonly value: string; readonly start: number }[];
  /** What the parser could not read. */
  readonly errors: readonly string[];
  /** Line number of an offset, from 1. */
  readonly lineOf: (offset: number) => number;
}

/** One import in any form: static, re-export, type, dynamic, or a URL of a source file for a worker or child. */
export interface Import {
  readonly line: number;
  /** Undefined: the specifier is not a literal. */
  readonly specifier: string | undefined;
  readonly typeOnly: boolean;
  readonly form: 'import' | 'export' | 'dynamic' | 'type' | 'url' | 'require';
}

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';

/** Parses a source file; syntax errors are in `errors`. */
export function parse(path: string, text: string): Parsed {
  const { program, comments, errors } = parseSync(path, text);
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return {
    path,
    text,
    program: program as unknown as Node,
    comments,
    errors: errors.map(({ message }) => message),
    lineOf: (offset) => {
      let low = 0;
      for (let high = starts.length; high - low > 1;) {
        const middle = (low + high) >> 1;
        if ((starts[middle] ?? 0) <= offset) low = middle;
        else high = middle;
      }
      return low + 1;
    },
  };
}

/** Visits every node, parents first. `enter` returns false to skip what is below. */
export function walk(root: Node, enter: (node: Node, place: Place) => boolean | void): void {
  const visit = (node: Node, place: Place): void => {
    if (enter(node, place) === false) return;
    for (const [key, value] of Object.entries(node)) {
      if (isNode(value)) visit(value, { parent: node, key });
      else if (Array.isArray(value))
        for (const item of value) if (isNode(item)) visit(item, { parent: node, key });
    }
  };
  visit(root, { parent: undefined, key: '' });
}

/** The string of a literal or of a template without holes, else undefined. */
export function stringOf(value: unknown): string | undefined {
  if (!isNode(value)) return undefined;
  if (value.type === 'Literal' && typeof value['value'] === 'string') return value['value'];
  const quasis = value['quasis'];
  if (value.type !== 'TemplateLiteral' || !Array.isArray(quasis) || quasis.length !== 1) return undefined;
  return (quasis[0] as { value: { cooked: string } }).value.cooked;
}

/** The name of an identifier, else undefined. */
export const nameOf = (value: unknown): string | undefined =>
  isNode(value) && value.type === 'Identifier' ? String(value['name']) : undefined;

/** The property a member expression names, by dot or by a literal in brackets; undefined when computed. */
export function propertyOf(node: Node): string | undefined {
  return node['computed'] === true ? stringOf(node['property']) : nameOf(node['property']);
}

/** Everything a file imports. */
export function importsOf({ program, lineOf }: Parsed): Import[] {
  const found: Import[] = [];
  walk(program, (node) => {
    const add = (form: Import['form'], specifier: unknown, typeOnly = false): void => {
      found.push({ line: lineOf(node.start), specifier: stringOf(specifier), typeOnly, form });
    };
    switch (node.type) {
      case 'ImportDeclaration':
        add('import', node['source'], node['importKind'] === 'type' || onlyTypes(node['specifiers']));
        break;
      case 'ExportAllDeclaration':
      case 'ExportNamedDeclaration':
        if (isNode(node['source'])) add('export', node['source'], node['exportKind'] === 'type');
        break;
      case 'ImportExpression':
        add('dynamic', node['source']);
        break;
      case 'TSImportType':
        add('type', node['source'], true);
        break;
      case 'NewExpression': {
        const [first] = node['arguments'] as unknown[];
        if (nameOf(node['callee']) === 'URL' && /^\..*\.ts$/u.test(stringOf(first) ?? '')) add('url', first);
        break;
      }
      case 'CallExpression':
        if (nameOf(node['callee']) === 'require') add('require', (node['arguments'] as unknown[])[0]);
        break;
      default:
    }
  });
  return found;
}

function onlyTypes(specifiers: unknown): boolean {
  return (
    Array.isArray(specifiers) &&
    specifiers.length > 0 &&
    specifiers.every((specifier) => isNode(specifier) && specifier['importKind'] === 'type')
  );
}

/** Identifiers that stand for values (not property names, not types), with their places. */
export function valueNames(
  root: Node,
): { readonly name: string; readonly node: Node; readonly place: Place }[] {
  const found: { name: string; node: Node; place: Place }[] = [];
  walk(root, (node, place) => {
    if (node.type.startsWith('TS') && !WRAPPERS.has(node.type)) return false;
    if (node.type === 'ImportDeclaration') return false;
    if (node.type === 'Identifier' && !isPropertyName(place))
      found.push({ name: String(node['name']), node, place });
    return true;
  });
  return found;
}

const WRAPPERS = new Set([
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSNonNullExpression',
  'TSTypeAssertion',
  'TSInstantiationExpression',
  'TSExportAssignment',
]);
const KEYED = new Set(['Property', 'MethodDefinition', 'PropertyDefinition', 'AccessorProperty']);

function isPropertyName({ parent, key }: Place): boolean {
  if (parent === undefined) return false;
  if (parent.type === 'MemberExpression') return key === 'property' && parent['computed'] !== true;
  if (KEYED.has(parent.type)) return key === 'key' && parent['computed'] !== true;
  return parent.type === 'ExportSpecifier' && key === 'exported';
}

/** Names a file exports. */
export function exportedNames({ program }: Parsed): Set<string> {
  const names = new Set<string>();
  walk(program, (node) => {
    if (node.type === 'ExportSpecifier') {
      const name = nameOf(node['exported']);
      if (name !== undefined) names.add(name);
    }
    if (node.type !== 'ExportNamedDeclaration' || !isNode(node['declaration'])) return;
    const declaration = node['declaration'];
    const own = nameOf(declaration['id']);
    if (own !== undefined) names.add(own);
    for (const item of (declaration['declarations'] as unknown[] | undefined) ?? []) {
      const name = isNode(item) ? nameOf(item['id']) : undefined;
      if (name !== undefined) names.add(name);
    }
  });
  return names;
}

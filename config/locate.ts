import { isAlias, isMap, isNode, isScalar, isSeq } from 'yaml';
import type { Document, LineCounter, Node, Pair } from 'yaml';

/** A place in a text, both counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Where the value at `path` stands, or its key with `key`. What is missing stands where it would be looked for: at
 * the key of the nearest thing that is there.
 */
export function locate(
  document: Document,
  lines: LineCounter,
  path: readonly PropertyKey[],
  options: { readonly key?: boolean } = {},
): Place {
  let at: Node | undefined = resolved(document, document.contents);
  let place = offsetOf(at) ?? 0;
  for (const [index, step] of path.entries()) {
    const last = index === path.length - 1;
    if (isMap(at)) {
      const pair: Pair | undefined = at.items.find(
        ({ key }) => String(isScalar(key) ? key.value : key) === String(step),
      );
      if (pair === undefined) break;
      const keyAt = isNode(pair.key) ? offsetOf(pair.key) : undefined;
      const valueAt = isNode(pair.value) ? offsetOf(pair.value) : undefined;
      // A group of keys is named by the key above it, a value by itself.
      const named =
        (last && options.key) || isMap(pair.value) || isSeq(pair.value) ? keyAt : (valueAt ?? keyAt);
      place = named ?? place;
      at = resolved(document, isNode(pair.value) ? pair.value : null);
    } else if (isSeq(at)) {
      const item: unknown = at.items[Number(step)];
      if (!isNode(item)) break;
      place = offsetOf(item) ?? place;
      at = resolved(document, item);
    } else break;
  }
  const { line, col } = lines.linePos(place);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function resolved(document: Document, node: Node | null): Node | undefined {
  return (isAlias(node) ? node.resolve(document) : node) ?? undefined;
}

function offsetOf(node: Node | null | undefined): number | undefined {
  return node?.range?.[0];
}

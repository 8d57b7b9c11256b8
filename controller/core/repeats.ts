import type { SiteState } from './state.ts';

/** An agent keeps no more messages than this to say again. */
const REMEMBERED = 4_096;

/**
 * False for a message that was taken before: after a reconnect an agent says again what it cannot know to have been
 * heard, under the same number.
 */
export function isNews(
  state: SiteState,
  kind: 'result' | 'event',
  message: { readonly agent: string; readonly boot: number; readonly seq: number },
): boolean {
  const key = `${kind} ${message.agent}`;
  let taken = state.taken.get(key);
  if (taken?.boot !== message.boot) {
    taken = { boot: message.boot, seqs: new Set() };
    state.taken.set(key, taken);
  }
  if (taken.seqs.has(message.seq)) return false;
  taken.seqs.add(message.seq);
  for (const oldest of taken.seqs) {
    if (taken.seqs.size <= REMEMBERED) break;
    taken.seqs.delete(oldest);
  }
  return true;
}

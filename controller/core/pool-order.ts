import type { CommandView } from '../../protocols/console/view.ts';

/** How far one machine has come with new pools, and since when it was said, or ordered. */
export interface PoolPart {
  readonly stage: 'waiting' | 'sent' | 'acknowledged' | 'observed' | 'failed';
  readonly sinceMonoMs: number;
}

/** A person's order to mine at other pools, with its machines by index. */
export interface PoolOrder {
  readonly id: string;
  readonly name: string;
  readonly actor: string;
  readonly text: string;
  readonly atMs: number;
  readonly parts: Map<number, PoolPart>;
  /** Of whom nothing was known yet when the controller started anew: they were perhaps told, and are not told again. */
  readonly interrupted: Set<number>;
}

/** As consoles show it: a command without watts. */
export function poolOrderView({ id, text, atMs, parts }: PoolOrder): CommandView {
  const count = (...stages: readonly PoolPart['stage'][]): number =>
    [...parts.values()].filter(({ stage }) => stages.includes(stage)).length;
  const failed = count('failed');
  const isOpen = count('waiting', 'sent', 'acknowledged') > 0;
  return {
    id,
    owner: 'operator',
    text,
    atMs,
    state: isOpen ? 'sent' : failed > 0 ? 'failed' : 'observed',
    machines: parts.size,
    acknowledged: count('acknowledged', 'observed'),
    observed: count('observed'),
    failed,
    expectedKw: 0,
    measuredKw: null,
  };
}

/** What people say to findings, and what is found again after a restart: in the hands of the one who judges. */
import { findingOf, keepFinding } from './finding.ts';
import type { MeterFinding } from './finding.ts';
import { isOver } from './kept-meter.ts';
import type { KeptMeter, Pardon } from './kept-meter.ts';
import { standsIn } from './look.ts';
import { pardoned } from './reconcile.ts';
import type { Reconciler } from './reconcile.ts';

/** What of a reconciler's knowledge about a meter is kept. */
export function keptOf(
  { found, pardons, meters }: Reconciler,
  meter: number,
): { readonly finding: KeptMeter['finding']; readonly pardon: Pardon | undefined } {
  const finding = found.get(meter);
  return {
    finding: finding === undefined ? undefined : keepFinding(finding, meters),
    pardon: pardons.get(meter),
  };
}

/**
 * Takes back in what was kept of a meter. False when its finding is about meters that are none any more, or that
 * nothing here compares with each other: nothing could end it, and it is dropped.
 */
export function restoreMeter(
  state: Reconciler,
  meter: number,
  { finding, pardons }: Pick<KeptMeter, 'finding' | 'pardons'>,
): boolean {
  const pardon = pardons?.find(({ of }) => of.kind === 'finding');
  if (pardon !== undefined) state.pardons.set(meter, pardon);
  if (finding === undefined) return true;
  const found = findingOf(finding, meter, state.meters);
  if (found === undefined || !isJudged(state, found)) return false;
  state.found.set(meter, pardoned(state, found));
  return true;
}

/** An equation is there whose windows can end it. */
const isJudged = ({ equations }: Reconciler, { kind, meter }: MeterFinding): boolean =>
  equations.some((equation) => (kind === 'ratio' ? standsIn(equation, meter) : equation.meter === meter));

/** A person declares what is found of a meter wrong. */
export function pardonMeter(state: Reconciler, meter: number, word: Omit<Pardon, 'of'>): void {
  const finding = state.found.get(meter);
  if (finding === undefined) return;
  const of = { kind: 'finding' as const, finding: keepFinding(finding, state.meters) };
  state.pardons.set(meter, { ...word, of });
  state.found.set(meter, pardoned(state, finding));
}

/** Words whose time is over are so; true when there was one. What they covered stands again. */
export function endPardons(state: Reconciler, nowWallMs: number): boolean {
  const over = [...state.pardons].filter(([, pardon]) => isOver(pardon, nowWallMs));
  for (const [meter] of over) {
    state.pardons.delete(meter);
    const finding = state.found.get(meter);
    if (finding !== undefined) state.found.set(meter, pardoned(state, finding));
  }
  return over.length > 0;
}

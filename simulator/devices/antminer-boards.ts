/** What a stock Antminer's `stats` say of its hash boards. */
import type { AsicPower } from '../physics/asic.ts';

export const BOARDS = 3;
/** Of an S19 Pro, where the model does not say. */
const CHIPS = 114;

/** The fields of each place; one without a board has no chips, no rate and all-zero temperatures. */
export function boardWords(
  power: AsicPower,
  { left, ghs, board }: { left: number; ghs: number; board: number },
): string {
  const chips = power.chipsPerBoard(BOARDS) ?? CHIPS;
  const shown = 'o'.repeat(chips).replaceAll(/(?=(?:o{3})+$)/g, ' ');
  let text = '';
  for (let n = 1; n <= BOARDS; n += 1) {
    const c = board + n - 2;
    text +=
      n > left
        ? `,"freq${n}":0,"chain_acn${n}":0,"chain_acs${n}":"","chain_rate${n}":"","temp_pcb${n}":"0-0-0-0","temp_chip${n}":"0-0-0-0"`
        : `,"freq${n}":675,"chain_acn${n}":${chips},"chain_acs${n}":"${shown}","chain_rate${n}":"${(ghs / left).toFixed(2)}","temp_pcb${n}":"${c - 9}-${c - 8}-${c - 1}-${c}","temp_chip${n}":"${c - 4}-${c - 3}-${c + 4}-${c + 5}"`;
  }
  return text;
}

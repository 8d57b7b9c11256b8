import { field, isList, isObject, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import { partOf } from '../miner-readings.ts';
import { shown, toNumber } from '../readings.ts';

/** GH/s in one of its units: `rate_unit` of recorded answers is GH/s on the Bitcoin models. */
const UNITS: Readonly<Record<string, number>> = { 'h/s': 1e-9, 'mh/s': 1e-3, 'gh/s': 1, 'th/s': 1e3 };

/**
 * The page `stats.cgi` in the words of the API's `stats`, so that both are judged alike. A figure in a unit that is not
 * known keeps it, and so is no number. An empty list stays one: nothing mines. Throws ANSWER_GARBAGE on a page that is
 * none of statistics, as one that says what went wrong: it does not say that nothing mines.
 */
export function statsOfPage(page: JsonObject): JsonObject {
  const sections = sectionOf(page, 'STATS');
  const level = partOf(page, 'STATUS', 'STATUS') ?? 'S';
  if (level !== 'S' || !isList(field(page, 'STATS')) || !sections.every(hasRate))
    throw new Fault('ANSWER_GARBAGE', 'stats.cgi: no statistics');
  return { STATS: sections.map(translated) };
}

const hasRate = (said: JsonObject): boolean =>
  field(said, 'rate_5s') !== undefined || field(said, 'rate_avg') !== undefined;

function translated(said: JsonObject): JsonObject {
  const unit = field(said, 'rate_unit');
  const factor = typeof unit === 'string' ? UNITS[unit.toLowerCase()] : undefined;
  const rate = (from: JsonObject, name: string): Json | undefined => {
    const value = field(from, name);
    const number = toNumber(value);
    if (value === undefined || number === undefined) return value;
    return factor === undefined ? `${number} ${shown(unit ?? '')}` : number * factor;
  };
  const words: Record<string, Json> = {};
  const put = (name: string, value: Json | undefined): void => {
    if (value !== undefined) words[name] = value;
  };
  put('GHS 5s', rate(said, 'rate_5s'));
  put('GHS av', rate(said, 'rate_avg'));
  put('total_rateideal', rate(said, 'rate_ideal'));
  put('Elapsed', field(said, 'elapsed'));
  put('chain_power', field(said, 'watt'));
  listOf(said, 'fan').forEach((fan, at) => put(`fan${at + 1}`, fan));
  listOf(said, 'chain')
    .filter(isObject)
    .forEach((chain, at) => {
      const place = (toNumber(field(chain, 'index')) ?? at) + 1;
      put(`chain_acn${place}`, field(chain, 'asic_num'));
      put(`chain_acs${place}`, field(chain, 'asic'));
      put(`chain_rate${place}`, rate(chain, 'rate_real'));
      put(`temp_pcb${place}`, field(chain, 'temp_pcb'));
      put(`temp_chip${place}`, field(chain, 'temp_chip'));
    });
  return words;
}

function listOf(said: JsonObject, name: string): readonly Json[] {
  const list = field(said, name);
  return isList(list) ? list : [];
}

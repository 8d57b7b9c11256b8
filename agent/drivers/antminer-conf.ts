import { field, isList, isObject } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Pool } from '../../config/pools.ts';
import type { Settings } from '../driver.ts';
import { wordOf } from '../miner-readings.ts';
import { poolSettings } from '../pools.ts';
import { shown, toNumber } from '../readings.ts';

/** Work modes of stock firmware, as numbers in `miner-mode` (older) or `bitmain-work-mode` (newer, a string when read). */
export const WORK_MODE = { normal: 0, sleep: 1, high: 2, low: 3 } as const;

/** Pools the browser always sends. */
const POOLS = 3;

/** The work mode a configuration asks for; undefined when it does not say. */
export function workModeOf(conf: JsonObject): number | undefined {
  // New firmware reports the new key, and keeps the old one without meaning.
  return toNumber(field(conf, 'bitmain-work-mode')) ?? toNumber(field(conf, 'miner-mode'));
}

/** What a curtailment must leave as it is. A machine that is to sleep does not say at which work mode it mines. */
export function settingsOf(conf: JsonObject): Settings {
  const settings: Record<string, string | number> = {};
  const workMode = workModeOf(conf);
  if (workMode !== undefined && workMode !== WORK_MODE.sleep) settings['workMode'] = workMode;
  const level = field(conf, 'freq-level') ?? field(conf, 'bitmain-freq-level');
  const plain = {
    level,
    fanControl: field(conf, 'bitmain-fan-ctrl'),
    fanPwm: field(conf, 'bitmain-fan-pwm'),
  };
  for (const [name, value] of Object.entries(plain)) if (value !== undefined) settings[name] = shown(value);
  const pools = field(conf, 'pools');
  const seen = (isList(pools) ? pools : []).filter(isObject).map((pool) => {
    const pass = field(pool, 'pass');
    return {
      url: wordOf(field(pool, 'url')),
      user: wordOf(field(pool, 'user')),
      ...(typeof pass === 'string' && { pass }),
    };
  });
  return { ...settings, ...poolSettings(seen) };
}

/**
 * The object the browser sends to set a work mode, or pools, every other setting as `conf` has it.
 * Throws ANSWER_GARBAGE when `conf` lacks what must be sent back: pools are never written from nothing.
 */
export function confWith(conf: JsonObject, mode: number, wanted?: readonly Pool[]): JsonObject {
  const pools = wanted?.map(({ url, user, pass }) => ({ url, user, pass })) ?? field(conf, 'pools');
  if (!isList(pools) || pools.length === 0)
    throw new Fault('ANSWER_GARBAGE', 'the configuration holds no pools: not written');
  const kept = pools.map((pool) => {
    const text = (name: string): string => {
      const value = isObject(pool) ? field(pool, name) : undefined;
      if (typeof value !== 'string') throw new Fault('ANSWER_GARBAGE', `a pool without ${name}: not written`);
      return value;
    };
    return { url: text('url'), user: text('user'), pass: text('pass') };
  });
  while (kept.length < POOLS) kept.push({ url: '', user: '', pass: '' });
  const fanControl = field(conf, 'bitmain-fan-ctrl');
  const fanPwm = field(conf, 'bitmain-fan-pwm');
  const level = field(conf, 'freq-level') ?? field(conf, 'bitmain-freq-level');
  return {
    ...(fanControl === undefined ? {} : { 'bitmain-fan-ctrl': fanControl }),
    ...(fanPwm === undefined ? {} : { 'bitmain-fan-pwm': fanPwm }),
    'miner-mode': mode,
    'bitmain-work-mode': mode,
    'freq-level': level === undefined || level === '' ? '100' : level,
    pools: kept,
  };
}

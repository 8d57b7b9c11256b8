import { Fault } from '../protocols/faults.ts';
import type { Target } from './driver.ts';

/** Throws TARGET_INVALID when the target has no host, or an option or path its driver does not know. */
export function checkOptions(target: Target, known: readonly string[]): void {
  if (target.host === '') throw new Fault('TARGET_INVALID', `${target.url}: no host`);
  if (target.path !== '') throw new Fault('TARGET_INVALID', `${target.url}: takes no path`);
  for (const name of Object.keys(target.options)) {
    if (!known.includes(name)) {
      throw new Fault('TARGET_INVALID', `${target.url}: unknown option ${name}; known: ${known.join(', ')}`);
    }
  }
}

/** A port among the options; undefined when it is not given. Throws TARGET_INVALID when it is none. */
export function portOption(target: Target, name: string): number | undefined {
  const raw = target.options[name];
  if (raw === undefined) return undefined;
  const port = /^\d{1,5}$/.test(raw) ? Number(raw) : 0;
  if (port < 1 || port > 65_535) throw new Fault('TARGET_INVALID', `${target.url}: ${name} is no port`);
  return port;
}

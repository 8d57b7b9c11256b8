import { Fault } from '../protocols/faults.ts';

/** A whole number between two bounds from the command line. */
export function numberOf(
  text: string | undefined,
  name: string,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new Fault('USAGE', `--${name} takes a whole number from ${min} to ${max}, not '${text}'`);
  return value;
}

/** Resolves when this process is told to end, or its parent is gone. */
export function told(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
    process.once('disconnect', resolve);
  });
}

import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';
import { asFault } from '../protocols/faults.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

/** The options of a soak. `--help` prints `help` and ends the process with 0, an unknown option with 2. */
export function optionsOrHelp<const T extends Options>(
  help: string,
  options: T,
): ReturnType<typeof parseArgs<{ options: T }>>['values'] {
  if (process.argv.includes('--help')) {
    process.stdout.write(help);
    process.exit(0);
  }
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return misused(asFault(error).detail, help);
  }
}

/** Ends the process with 2. */
export function misused(why: string, help: string): never {
  process.stderr.write(`${why}\n\n${help}`);
  process.exit(2);
}

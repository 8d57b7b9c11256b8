import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';
import type { Log } from './deps.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  /** Name of the process in every line: `agent`, `controller` … */
  readonly name?: string;
  /** Least level written; `silent` writes nothing. Default `info`. */
  readonly level?: LogLevel;
  /** Where lines go instead of stderr. */
  readonly destination?: DestinationStream;
}

const SECRETS = ['password', 'token', 'key', 'secret', 'authorization', 'cookie', 'privateKey', 'apiKey'];
// pino redacts by path, not by name at any depth: three levels cover what is ever logged here.
const REDACTED = SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

function wrap(logger: Logger, debug = { isDropped: false }): Log {
  return {
    debug: (fields, event) => {
      if (!debug.isDropped) logger.debug(fields, event);
    },
    info: (fields, event) => logger.info(fields, event),
    warn: (fields, event) => logger.warn(fields, event),
    error: (fields, event) => logger.error(fields, event),
    child: (fields) => wrap(logger.child(fields), debug),
    dropDebug: (isOn) => {
      debug.isDropped = isOn;
    },
  };
}

/** The structured log: one JSON object a line to stderr, times in UTC ISO, secrets replaced by `[redacted]`. */
export function makeLog(options: LogOptions = {}): Log {
  const destination = options.destination ?? pino.destination({ dest: 2, sync: true });
  return wrap(
    pino(
      {
        level: options.level ?? 'info',
        base: options.name === undefined ? {} : { name: options.name },
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        messageKey: 'event',
        redact: { paths: REDACTED, censor: '[redacted]' },
      },
      destination,
    ),
  );
}

/** A log that writes nothing: for tests and for the proof harness. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

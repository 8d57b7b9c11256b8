import { parseArgs } from 'node:util';

import { runTerminalConsole } from '../console/cli/terminal.ts';
import { realClock } from '../host/clock.ts';

const HELP = `The terminal console of a running site.

Usage: ./switchyard console [options] [COMMAND …]

  --url URL      address of the console, as 'up' prints it (default http://127.0.0.1:8080)
  --code CODE    one-time code; one behind #code= in the address serves too; also from SWITCHYARD_CODE
  --name NAME    who you are, for the record (default: the login name of this machine)
  --json         one JSON object a line
  --yes          confirm without asking (with COMMAND)
  --help

Without COMMAND: a live screen; ':' begins a command, 'q' ends. On a dumb terminal or in a pipe: plain lines.
With COMMAND: carries it out and ends; exit code 0 when it worked.

  sleep|mine|ai|idle SCOPE [MINUTES] [REASON]    release|manual|automatic|lockout|unlock|permit SCOPE [REASON]
  pools SCOPE NAME [REASON]     NAME is a set of the site file's pools
  agree price|hashprice|limit    agree METER setup|wiring|ratio|drift [REASON]
  why MACHINE      alarms      ack ALARM      status      code (for one more login)

A code is good for one login. When no console is logged in that could give one (code): SIGUSR2 to the controller, or to
'up', prints one. Several commands in one login: a line each on standard input, with --yes.
`;

/** `switchyard console`: exit code 0 when it ended as asked, 1 when refused. */
export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:8080' },
      code: { type: 'string' },
      name: { type: 'string' },
      json: { type: 'boolean', default: false },
      yes: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) process.once(name, () => stop.abort());
  return runTerminalConsole({
    signal: stop.signal,
    url: values.url,
    code: values.code ?? process.env['SWITCHYARD_CODE'],
    name: values.name ?? process.env['USER'],
    input: process.stdin,
    output: process.stdout,
    clock: realClock,
    json: values.json,
    yes: values.yes,
    term: process.env['TERM'],
    ...(positionals.length > 0 && { command: positionals }),
  });
}

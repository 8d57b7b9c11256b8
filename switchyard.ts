import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import { asFault, faultJson } from './protocols/faults.ts';

// Every start but the first takes half the time. It is kept beside the dependencies, where only who installed them may
// write: another user's code is never loaded from it. Where it cannot be written there is none.
enableCompileCache(fileURLToPath(new URL('node_modules/.cache/switchyard', import.meta.url)));

type Run = (argv: string[]) => Promise<number>;

/** One file per command, loaded when asked for. */
const COMMANDS: Readonly<
  Record<string, { readonly does: string; readonly load: () => Promise<{ run: Run }> }>
> = {
  up: {
    does: 'the whole product in one process tree; without --site, on a simulated site',
    load: () => import('./commands/up.ts'),
  },
  agent: { does: 'one agent of a site on its own', load: () => import('./commands/agent.ts') },
  controller: { does: 'the controller of a site on its own', load: () => import('./commands/controller.ts') },
  simulate: {
    does: 'the simulated devices of a site on real sockets',
    load: () => import('./commands/simulate.ts'),
  },
  'check-config': {
    does: 'checks a site file and explains it; --probe also reads the devices',
    load: () => import('./commands/check-config.ts'),
  },
  read: { does: 'one device, once: its readings', load: () => import('./commands/read.ts') },
  act: { does: 'one device, once: a command and its verification', load: () => import('./commands/act.ts') },
  commission: {
    does: 'toggles one rack at a time and proves at the meters what hangs where',
    load: () => import('./commands/commission.ts'),
  },
  sim: {
    does: 'the whole product in virtual time, faults by seed, invariants checked',
    load: () => import('./commands/sim.ts'),
  },
  console: { does: 'the terminal console of a running site', load: () => import('./commands/console.ts') },
  energy: {
    does: 'what revenue meters counted per interval of the market, from a ledger',
    load: () => import('./commands/energy.ts'),
  },
  audit: { does: 'audit verify: integrity of a ledger', load: () => import('./commands/audit.ts') },
};

const help = `Switchyard runs a site of ASIC and GPU racks as one controllable electrical load.

Usage: ./switchyard <command> [options]     ./switchyard <command> --help

${Object.entries(COMMANDS)
  .map(([name, { does }]) => `  ${name.padEnd(14)}${does}`)
  .join('\n')}
`;

async function main(): Promise<number> {
  const [name, ...argv] = process.argv.slice(2);
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(help);
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    process.stderr.write(`USAGE: there is no command '${name}'\nNext: ./switchyard --help lists them\n`);
    return 2;
  }
  try {
    return await (await command.load()).run(argv);
  } catch (error) {
    const usage =
      error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
    const fault = faultJson(asFault(error, usage ? 'USAGE' : 'INTERNAL'));
    if (argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: fault })}\n`);
    process.stderr.write(
      `${fault.code}: ${fault.cause}${fault.detail === '' ? '' : ` (${fault.detail})`}\nNext: ${fault.next}\n`,
    );
    return fault.code === 'USAGE' ? 2 : 1;
  }
}

// Who reads only the beginning of what is said has closed the pipe: that is no fault.
process.stdout.on('error', (error) => {
  if (!('code' in error) || error.code !== 'EPIPE') throw error;
  process.exit(0);
});
const code = await main();
// A command that failed may leave sockets and timers behind; its words are out before it ends.
if (code === 0) process.exitCode = 0;
else process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));

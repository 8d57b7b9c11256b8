import { parseArgs } from 'node:util';
import { runStorm } from './storm.ts';

/** `npm run soak:commands`: a million commands and more to machines that count them. Exits 1 when one was wrong. */
const { values } = parseArgs({
  options: {
    commands: { type: 'string', default: '1000000' },
    machines: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
  },
});
const result = await runStorm({
  seed: Number(values.seed),
  machines: Number(values.machines),
  commands: Number(values.commands),
  onProgress: (commands) => process.stderr.write(`${commands} commands\n`),
});
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(result.ok ? 0 : 1);

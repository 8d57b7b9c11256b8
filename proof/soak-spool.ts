import { parseArgs } from 'node:util';
import { runOutage } from './outage.ts';

/** `npm run soak:spool`: an outage of days in virtual time, judged by an independent consumer. Exits 1 on a loss. */
const { values } = parseArgs({
  options: {
    hours: { type: 'string', default: '72' },
    machines: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    'disk-mib': { type: 'string' },
  },
});
const diskMiB = values['disk-mib'];
const result = await runOutage({
  seed: Number(values.seed),
  machines: Number(values.machines),
  hours: Number(values.hours),
  ...(diskMiB === undefined ? {} : { diskMiB: Number(diskMiB) }),
  onProgress: (text) => process.stderr.write(`${text}\n`),
});
const { lost, announced, duplicated, disordered, wrong, worstKillGapS } = result;
const ok = lost <= announced && [duplicated, disordered, wrong, worstKillGapS].every((count) => count === 0);
process.stdout.write(`${JSON.stringify({ ok, ...result })}\n`);
process.exit(ok ? 0 : 1);

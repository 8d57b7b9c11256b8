import { parseArgs } from 'node:util';
import { verifyDiskLog } from '../host/disklog.ts';
import { Fault } from '../protocols/faults.ts';
import { ledgerFile, mustBeLedger } from './ledger-file.ts';

const help = `Usage: ./switchyard audit verify FILE [--json]

Checks a ledger (DATA/ledger.log): lengths, checksums and the hash chain from the first record to the last.
Names the first bad record. Exit code 0 when the chain is whole.
`;

/** `./switchyard audit verify`. */
export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const [word, path, ...rest] = positionals;
  if (word !== 'verify' || path === undefined || rest.length > 0)
    throw new Fault('USAGE', "audit takes 'verify' and a file");
  const verdict = verifyDiskLog(await ledgerFile(path));
  if (verdict.ok) mustBeLedger(verdict.records, verdict.tornBytes);
  process.stdout.write(
    values.json === true ? `${JSON.stringify(verdict)}\n` : `${JSON.stringify(verdict, undefined, 2)}\n`,
  );
  return verdict.ok ? 0 : 1;
}

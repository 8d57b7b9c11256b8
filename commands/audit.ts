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
  if (values.json === true) process.stdout.write(`${JSON.stringify(verdict)}\n`);
  else if (verdict.ok) process.stdout.write(wholeText(verdict));
  else throw verdict.fault;
  return verdict.ok ? 0 : 1;
}

const wholeText = ({
  records,
  tornBytes,
  head,
}: {
  records: number;
  tornBytes: number;
  head: string;
}): string =>
  `Whole: ${records} records, each chained to the one before; the last one’s hash is ${head}\n${
    tornBytes === 0
      ? ''
      : `Behind it ${tornBytes} bytes of a record that was cut off, as in a copy of a ledger at work, or by a crash.\n`
  }`;
